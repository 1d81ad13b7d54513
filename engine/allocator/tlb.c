/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - the software TLB: filling, flushing, and what each kind of access may use in the current
 * mode.
 *
 * Promises: after a flush function returns no entry it names is served again; an entry is served
 * only if a walk at this moment, with the same tables, would allow the access; flushing an address
 * space costs the same however many entries it has.
 */
#include "tlb.h"
#include "../support.h"
#include "access.h"

/* ---- Tags: ASIDs under names that are used once ---- */

static uint16_t tag_new(struct tlb *tlb)
{
    if (tlb->last_tag == UINT16_MAX) {
        /* All names are used up: forget everything and begin again. */
        for (unsigned i = 0; i < TLB_ENTRIES; i++)
            tlb->entry[i].page = ~0ull;
        memset(tlb->tag_of_asid, 0, sizeof(tlb->tag_of_asid));
        tlb->global_tag = 1;
        tlb->last_tag = 1;
        tlb->epoch++;
    }
    return ++tlb->last_tag;
}

/* Makes tlb->tag the tag of the current ASID. */
static void tag_select(struct tlb *tlb)
{
    uint16_t tag = tlb->tag_of_asid[tlb->asid];
    if (!tag) {
        tag = tag_new(tlb);
        tlb->tag_of_asid[tlb->asid] = tag;
    }
    tlb->tag = tag;
}

/* ---- Flushing ---- */

static void log_drop(struct tlb *tlb, uint64_t page)
{
    tlb->generation++;
    tlb->dropped[tlb->drops++ % TLB_DROPS] = page;
}

static void flush_everything(struct tlb *tlb)
{
    memset(tlb->tag_of_asid, 0, sizeof(tlb->tag_of_asid));
    memset(tlb->large, 0, sizeof(tlb->large));
    tlb->global_tag = tag_new(tlb);
    tag_select(tlb);
    tlb->generation++;
}

void tlb_flush_all(struct vcpu *vcpu)
{
    vcpu->statistics.tlb_flushes++;
    flush_everything(&vcpu->tlb);
}

void tlb_flush_nonglobal(struct vcpu *vcpu)
{
    struct tlb *tlb = &vcpu->tlb;
    vcpu->statistics.tlb_flushes++;
    memset(tlb->tag_of_asid, 0, sizeof(tlb->tag_of_asid));
    tag_select(tlb);
    tlb->generation++;
}

void tlb_flush_asid(struct vcpu *vcpu, uint16_t asid)
{
    struct tlb *tlb = &vcpu->tlb;
    vcpu->statistics.tlb_flushes++;
    tlb->tag_of_asid[asid & (TLB_ASIDS - 1)] = 0;
    tag_select(tlb);
    tlb->generation++;
}

/* The bit that remembers large pages cached around a linear address. */
static unsigned large_bit(uint64_t linear)
{
    uint64_t region = linear >> 30;
    return (unsigned)(region ^ region >> 9) & (TLB_LARGE_WORDS * 64 - 1);
}

static void flush_page(struct tlb *tlb, uint64_t linear, uint16_t tag, uint16_t other_tag)
{
    log_drop(tlb, linear >> 12);
    struct tlb_entry *entry = &tlb->entry[tlb_index(linear >> 12)];
    if (entry->page == linear >> 12 && (entry->tag == tag || entry->tag == other_tag))
        entry->page = ~0ull;
    unsigned bit = large_bit(linear);
    if (!(tlb->large[bit / 64] >> (bit % 64) & 1))
        return;
    log_drop(tlb, TLB_DROPPED_ALL);
    /* INVLPG drops the whole large page, by whatever address in it (SDM Vol. 3, 4.10.4.1). */
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        entry = &tlb->entry[i];
        if (entry->shift > 12 && (entry->tag == tag || entry->tag == other_tag) &&
            entry->page >> (entry->shift - 12) == linear >> entry->shift)
            entry->page = ~0ull;
    }
}

void tlb_flush_page(struct vcpu *vcpu, uint64_t linear)
{
    struct tlb *tlb = &vcpu->tlb;
    flush_page(tlb, linear, tlb->tag, tlb->global_tag);
}

void tlb_flush_page_asid(struct vcpu *vcpu, uint64_t linear, uint16_t asid)
{
    struct tlb *tlb = &vcpu->tlb;
    uint16_t tag = tlb->tag_of_asid[asid & (TLB_ASIDS - 1)];
    flush_page(tlb, linear, tag, tag);
}

void tlb_drop(struct tlb *tlb, uint64_t page)
{
    struct tlb_entry *entry = &tlb->entry[tlb_index(page)];
    log_drop(tlb, page); /* others may hold a copy although it is gone here */
    if (tlb_matches(tlb, entry, page))
        entry->page = ~0ull;
}

void tlb_protect_frame(struct vcpu *vcpu, uint64_t frame)
{
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        if (vcpu->tlb.entry[i].frame == frame)
            vcpu->tlb.entry[i].rights &= (uint8_t)~TLB_DIRTY;
    }
}

void tlb_fill(struct tlb *tlb, uint64_t page, const struct paging_result *result, uint8_t *host)
{
    struct tlb_entry *entry = &tlb->entry[tlb_index(page)];
    entry->page = page;
    entry->frame = result->gpa;
    entry->host = host;
    entry->tag = result->rights & TLB_GLOBAL ? tlb->global_tag : tlb->tag;
    entry->rights = result->rights;
    entry->key = result->rights & TLB_USER ? result->key : TLB_KEY_NONE;
    entry->shift = result->page_shift;
    if (result->page_shift > 12) {
        unsigned bit = large_bit(page << 12);
        tlb->large[bit / 64] |= 1ull << (bit % 64);
    }
}

/* ---- Views: SDM Vol. 3, 4.6.1 and 4.6.2 for all 64 values of an entry's rights at once ---- */

/* Bit n is set if n, as a set of rights, has the right. */
#define WITH_USER     0xaaaaaaaaaaaaaaaaull
#define WITH_WRITE    0xccccccccccccccccull
#define WITH_NX       0xf0f0f0f0f0f0f0f0ull
#define WITH_DIRTY    0xff00ff00ff00ff00ull
#define WITH_READONLY 0xffffffff00000000ull

static void view_rights(struct tlb_view *view, const struct paging_mode *mode, bool user,
                        uint64_t reachable)
{
    uint64_t writable = user || mode->wp ? WITH_WRITE : ~0ull;
    uint64_t executable = user ? WITH_USER : mode->smep ? ~WITH_USER : ~0ull;
    view[TLB_KIND_READ].allow = reachable;
    view[TLB_KIND_WRITE].allow = reachable & writable & WITH_DIRTY & ~WITH_READONLY;
    view[TLB_KIND_FETCH].allow = executable & ~WITH_NX;
}

static void view_keys(struct tlb_view *view, const struct paging_mode *mode, bool user)
{
    uint32_t read = 0;
    uint32_t write = 0;
    for (unsigned key = 0; mode->pke && key < 16; key++) {
        read |= (mode->pkru >> (key * 2) & 1) << key;
        write |= (mode->pkru >> (key * 2 + 1) & 1) << key;
    }
    view[TLB_KIND_READ].key_deny = read;
    view[TLB_KIND_WRITE].key_deny = read | (user || mode->wp ? write : 0);
    view[TLB_KIND_FETCH].key_deny = 0;
}

static void views_compute(struct tlb *tlb)
{
    const struct paging_mode *mode = &tlb->mode;
    uint64_t implicit = mode->smap ? ~WITH_USER : ~0ull;
    uint64_t explicit = mode->ac ? ~0ull : implicit;
    view_rights(&tlb->view[TLB_WHO_USER * TLB_KINDS], mode, true, WITH_USER);
    view_rights(&tlb->view[TLB_WHO_SUPERVISOR * TLB_KINDS], mode, false, explicit);
    view_rights(&tlb->view[TLB_WHO_SYSTEM * TLB_KINDS], mode, false, implicit);
    for (unsigned who = 0; who < TLB_WHOS; who++)
        view_keys(&tlb->view[who * TLB_KINDS], mode, who == TLB_WHO_USER);
}

/* ---- The mode ---- */

/* One bit of CPUID as the guest sees it. */
static bool model_bit(const struct cpu_model *model, uint32_t leaf, unsigned bit)
{
    for (uint32_t i = 0; i < model->leaf_count && i < CPUID_LEAF_MAX; i++) {
        if (model->leaf[i].leaf == leaf)
            return model->leaf[i].edx >> bit & 1;
    }
    return false;
}

/* What may change without a change of the tables' meaning. */
static void mode_refresh(struct vcpu *vcpu, struct paging_mode *mode)
{
    const struct vcpu_registers *r = &vcpu->r;
    bool paging = mode->levels != 0;
    mode->wp = r->cr0 & CR0_WP;
    mode->smep = paging && r->cr4 & CR4_SMEP;
    mode->smap = paging && r->cr4 & CR4_SMAP;
    mode->pke = mode->levels == 4 && r->cr4 & CR4_PKE;
    mode->ac = r->rflags & FLAG_AC;
    mode->pkru = r->pkru;
    mode->root = r->cr3;
    memcpy(mode->pdpte, r->pdpte, sizeof(mode->pdpte));
}

void paging_mode_get(struct vcpu *vcpu, struct paging_mode *mode)
{
    const struct vcpu_registers *r = &vcpu->r;
    const struct cpu_model *model = &vcpu->vm->model;
    *mode = (struct paging_mode){ .levels = 2 };
    if (!(r->cr0 & CR0_PG))
        mode->levels = 0;
    else if (r->efer & EFER_LMA)
        mode->levels = 4;
    else if (r->cr4 & CR4_PAE)
        mode->levels = 3;
    mode->pse = r->cr4 & CR4_PSE;
    mode->pge = r->cr4 & CR4_PGE;
    mode->nxe = r->efer & EFER_NXE;
    mode->physical_bits = model->physical_bits;
    mode->pse36 = model_bit(model, 1, 17);
    mode->gb_pages = model_bit(model, 0x80000001, 26);
    mode_refresh(vcpu, mode);
}

/* Signature: bit 0 always set; 1-7 what the tables mean; 8-12 and 32-63 (PKRU) what the views
 * depend on; 13 whether CPL is 3; 14-25 ASID. */
#define SIGNATURE_TABLES 0xfeull
#define SIGNATURE_VIEWS  (0xffffffff00001f00ull | SIGNATURE_TABLES | 1)

static uint64_t mode_signature(const struct vcpu *vcpu, uint16_t asid)
{
    const struct vcpu_registers *r = &vcpu->r;
    const uint64_t bits[] = {
        1,
        r->cr0 & CR0_PG,
        r->cr4 & CR4_PSE,
        r->cr4 & CR4_PAE,
        r->cr4 & CR4_PGE,
        r->cr4 & CR4_PCIDE,
        r->efer & EFER_LMA,
        r->efer & EFER_NXE,
        r->cr0 & CR0_WP,
        r->cr4 & CR4_SMEP,
        r->cr4 & CR4_SMAP,
        r->cr4 & CR4_PKE,
        r->rflags & FLAG_AC,
        r->cpl == 3,
    };
    uint64_t signature = (uint64_t)asid << 14;
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        signature |= (uint64_t)(bits[i] != 0) << i;
    if (r->cr4 & CR4_PKE)
        signature |= (uint64_t)r->pkru << 32;
    return signature;
}

void tlb_mode_changed(struct vcpu *vcpu)
{
    struct tlb *tlb = &vcpu->tlb;
    const struct vcpu_registers *r = &vcpu->r;
    uint16_t asid = r->cr4 & CR4_PCIDE ? (uint16_t)(r->cr3 & 0xfff) : 0;
    uint64_t signature = mode_signature(vcpu, asid);
    uint64_t changed = signature ^ tlb->signature;
    if (!changed)
        return;
    if (changed & (SIGNATURE_TABLES | 1)) {
        paging_mode_get(vcpu, &tlb->mode);
        tlb->asid = asid;
        flush_everything(tlb);
    } else {
        mode_refresh(vcpu, &tlb->mode);
        tlb->asid = asid;
        tag_select(tlb);
    }
    tlb->current = r->cpl == 3 ? TLB_WHO_USER : TLB_WHO_SUPERVISOR;
    tlb->signature = signature;
    if (changed &
        SIGNATURE_VIEWS) /* a change of CPL, by far the most frequent, needs no new views */
        views_compute(tlb);
    tlb->generation++;
}
