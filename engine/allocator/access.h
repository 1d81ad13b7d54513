/* SPDX-License-Identifier: MIT */
/*
 * access.h - how everything in the engine reaches guest memory by virtual address.
 *
 *   virtual (segment:offset) --segment_linear--> linear --paging--> guest-physical --memory--> host
 *
 * Every function returns 0, -EFAULT with vcpu->fault set exactly as hardware would raise it, or
 * -ECANCELED (see struct machine_operations; the access is complete). Data is copied once. Accesses
 * that cross a page are checked on both pages before anything is written.
 */
#ifndef ORIGAMI_ENGINE_ACCESS_H
#define ORIGAMI_ENGINE_ACCESS_H

#include "../engine.h"
#include "paging.h"

/* What kind of access; combine one of the first three with the rest. */
#define ACCESS_READ  1u
#define ACCESS_WRITE 2u /* with ACCESS_READ: read-modify-write, checked as a write */
#define ACCESS_FETCH 4u
#define ACCESS_SYSTEM                                                                              \
    8u /* implicit supervisor access (descriptor tables, TSS, event delivery's pushes at           \
          the new CPL are explicit): CPL taken as 0, SMAP applies whatever AC says */
#define ACCESS_USER                                                                                \
    16u /* as if at CPL 3 whatever CPL is (pushes during a stack switch to ring 3) */
#define ACCESS_SUPERVISOR     32u /* explicit access as if at CPL 0 (pushes while entering ring 0) */
#define ACCESS_NO_ALIGN_CHECK 64u

/*
 * Segment checks (limit, type, null, canonical) for [offset, offset + size) through segment
 * `segment`. `size` >= 1. Raises #GP(0), or #SS(0) through SS (and for non-canonical rSP/rBP-based
 * operands), and #AC(0) if alignment checking is on and the linear address is not a multiple of
 * what `size` asks for: 2, 4 and 8 themselves, 10 asks for 8, and vectors by vendor. Offsets wrap
 * at the address size before they come here.
 */
int segment_linear(struct vcpu *vcpu, unsigned segment, uint64_t offset, unsigned size,
                   unsigned access, uint64_t *linear) MUST_CHECK;

/* #AC(0) if alignment checking is on and `linear` is not a multiple of `alignment`: for operands
 * whose alignment does not follow from their size. */
int alignment_check(struct vcpu *vcpu, uint64_t linear, unsigned alignment) MUST_CHECK;

/* What one linear page is right now. */
struct translation {
    uint64_t gpa;  /* of the byte asked for */
    uint8_t *host; /* of the byte asked for, or NULL: MMIO; valid to the end of its 4 KiB page */
};

/* The part of linear_translate behind a TLB miss: page walk with A/D update, then fills the TLB. */
int linear_translate_miss(struct vcpu *vcpu, uint64_t linear, unsigned access,
                          struct translation *out) MUST_CHECK;

/* Which of the TLB's views an access needs; folds to very little where `access` is a constant. */
static inline unsigned access_view(const struct vcpu *vcpu, unsigned access)
{
    unsigned kind = access & ACCESS_FETCH   ? TLB_KIND_FETCH
                    : access & ACCESS_WRITE ? TLB_KIND_WRITE
                                            : TLB_KIND_READ;
    unsigned who = access & ACCESS_USER         ? TLB_WHO_USER
                   : access & ACCESS_SYSTEM     ? TLB_WHO_SYSTEM
                   : access & ACCESS_SUPERVISOR ? TLB_WHO_SUPERVISOR
                                                : vcpu->tlb.current;
    return who * TLB_KINDS + kind;
}

/* Translates one linear byte for `access`: TLB, then the page walk with A/D update. #PF (or #GP(0)
 * for a non-canonical address in long mode) or 0. A write to ROM translates to host == NULL, as
 * MMIO. */
static inline MUST_CHECK int linear_translate(struct vcpu *vcpu, uint64_t linear, unsigned access,
                                              struct translation *out)
{
    const struct tlb *tlb = &vcpu->tlb;
    uint64_t page = linear >> 12;
    const struct tlb_entry *entry = &tlb->entry[tlb_index(page)];
    if (!tlb_matches(tlb, entry, page) || !tlb_permits(tlb, entry, access_view(vcpu, access)))
        return linear_translate_miss(vcpu, linear, access, out);
    out->gpa = entry->frame | (linear & 0xfff);
    out->host = entry->host ? entry->host + (linear & 0xfff) : NULL;
    return 0;
}

/* Copies through linear addresses; any size, RAM and MMIO. In 32-bit modes addresses wrap at 4 GiB.
 */
int linear_read(struct vcpu *vcpu, uint64_t linear, void *data, size_t size,
                unsigned access) MUST_CHECK;
int linear_write(struct vcpu *vcpu, uint64_t linear, const void *data, size_t size,
                 unsigned access) MUST_CHECK;
/* Checks that [linear, linear + size) would allow `access`, without touching data (A and D are set
 * as the access itself would set them). Used where an instruction must not fault half-way. */
int linear_probe(struct vcpu *vcpu, uint64_t linear, size_t size, unsigned access) MUST_CHECK;

/* segment_linear + linear_read/write at the current CPL. */
int virtual_read(struct vcpu *vcpu, unsigned segment, uint64_t offset, void *data,
                 unsigned size) MUST_CHECK;
int virtual_write(struct vcpu *vcpu, unsigned segment, uint64_t offset, const void *data,
                  unsigned size) MUST_CHECK;

/* ---- Paging and TLB control (allocator/paging.c, tlb.c) ---- */

/* Walks the current page tables without TLB, without setting A or D; for debuggers and tests.
 * 0 and *gpa, or -ENOENT. */
int paging_lookup(struct vcpu *vcpu, uint64_t linear, uint64_t *gpa);

/* Entries of this guest-physical page serve no write until they are filled for one. */
void tlb_protect_frame(struct vcpu *vcpu, uint64_t frame);
void tlb_flush_all(struct vcpu *vcpu);                 /* everything, global entries too */
void tlb_flush_nonglobal(struct vcpu *vcpu);           /* all ASIDs, global entries stay */
void tlb_flush_asid(struct vcpu *vcpu, uint16_t asid); /* one PCID, global entries stay */
void tlb_flush_page(struct vcpu *vcpu,
                    uint64_t linear); /* INVLPG: this page, current ASID + global */
void tlb_flush_page_asid(struct vcpu *vcpu, uint64_t linear, uint16_t asid); /* INVPCID type 0 */
/* After a change of CR3 (the ASID) or of any CR0/CR4/EFER/CPL/AC/PKRU bit that permission checks
 * use. A change of what the tables mean (CR0.PG, CR4.PSE/PAE/PGE/PCIDE, EFER.LMA/NXE) drops every
 * entry. */
void tlb_mode_changed(struct vcpu *vcpu);

/* ---- The walker behind them: paging.h ---- */
/* Fills the mode from the vCPU. */
void paging_mode_get(struct vcpu *vcpu, struct paging_mode *mode);
/* PAE paging: reloads the PDPTEs from CR3; #GP(0) if a reserved bit is set. Call on MOV CR3 etc. */
int paging_load_pdptes(struct vcpu *vcpu) MUST_CHECK;

#endif
