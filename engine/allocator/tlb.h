/* SPDX-License-Identifier: MIT */
/*
 * tlb.h - the software translation look-aside buffer of one virtual CPU, tagged by ASID.
 *
 * Owned by the allocator; the types are here because struct vcpu embeds them. An entry caches one 4
 * KiB linear page (large pages are cached piecewise). Rights are kept as the leaf's combined bits
 * and checked against the current CPL, CR0.WP, CR4.SMEP/SMAP, RFLAGS.AC and PKRU at each use, so
 * that those may change without a flush; A and D bits are set when the entry is filled (an entry
 * without dirty set does not serve writes). A miss of any kind, permission included, walks the
 * tables again: a stale entry never faults by itself.
 *
 * ASIDs (PCIDs) are renamed to tags. Flushing an ASID gives it a new tag and leaves its entries
 * behind to be overwritten, so that no flush of an address space touches the entries. A zeroed
 * struct tlb is valid and empty.
 */
#ifndef ORIGAMI_ENGINE_TLB_H
#define ORIGAMI_ENGINE_TLB_H

#include <stdbool.h>
#include <stdint.h>
#include "paging.h"

#ifndef TLB_ENTRIES
#define TLB_ENTRIES 4096 /* power of two; the hostile build uses 1 */
#endif
#define TLB_ASIDS       4096
#define TLB_DROPS       512
#define TLB_DROPPED_ALL ~0ull /* in the log: pages that are not listed */

struct tlb_entry {
    uint64_t page;  /* linear address >> 12, or ~0 when empty */
    uint64_t frame; /* guest-physical address of the page */
    uint8_t *host;  /* host address of the page, or NULL: MMIO */
    uint16_t tag;   /* renamed ASID, or the tag of global entries */
    uint8_t rights; /* TLB_* */
    uint8_t key;    /* protection key; TLB_KEY_NONE for supervisor pages */
    uint8_t shift;  /* log2 of the page this is a piece of: 12, 21, 22, 30 */
    uint8_t reserved[3];
};
#define TLB_USER     1u /* U/S of all levels */
#define TLB_WRITE    2u /* R/W of all levels */
#define TLB_NX       4u /* no-execute at any level */
#define TLB_DIRTY    8u /* D is set in the leaf (and the dirty log, if kept, knows) */
#define TLB_GLOBAL   16u
#define TLB_READONLY 32u /* ROM: writes go to MMIO */

#define TLB_KEY_NONE 16u /* bit 16 of the key masks is never set */

/* Who accesses, times what is done: the index of a view is who * TLB_KINDS + kind. */
enum tlb_who { TLB_WHO_USER, TLB_WHO_SUPERVISOR, TLB_WHO_SYSTEM, TLB_WHOS };
enum tlb_kind { TLB_KIND_READ, TLB_KIND_WRITE, TLB_KIND_FETCH, TLB_KINDS };

/* What one kind of access may use right now. */
struct tlb_view {
    uint64_t allow;    /* bit n: an entry with rights n serves it */
    uint32_t key_deny; /* bit n: protection key n forbids it */
    uint32_t reserved;
};

#define TLB_LARGE_WORDS 8

struct tlb {
    struct tlb_view view[TLB_WHOS * TLB_KINDS];
    uint64_t
        generation; /* changes whenever any entry is dropped or a mode that matters changes; lets
                       others cache a translation beside it. Replacing an entry does not count. */
    /* Pages dropped one by one, newest at dropped[(drops - 1) % TLB_DROPS]: for who keeps copies of
     * entries by tag. Flushes of more need no log, as they come with new tags. */
    uint64_t drops, dropped[TLB_DROPS];
    uint64_t epoch; /* changes when tags are used anew */
    uint16_t asid;  /* the current PCID (0 when CR4.PCIDE is clear) */
    uint16_t tag;   /* its tag */
    uint16_t global_tag;
    uint16_t last_tag;       /* the last one given out */
    uint32_t current;        /* enum tlb_who of an ordinary access at the current CPL */
    uint64_t signature;      /* of everything the views depend on; 0: not yet computed */
    struct paging_mode mode; /* root, pdpte, ac and pkru are refreshed at each walk */
    /* Which 1 GiB regions (hashed) have had pieces of large pages cached: INVLPG there must search.
     */
    uint64_t large[TLB_LARGE_WORDS];
    uint16_t tag_of_asid[TLB_ASIDS]; /* 0: none yet */
    struct tlb_entry entry[TLB_ENTRIES];
};

/* Caches one page: `result` as the walker gave it, `host` its host address or NULL. */
void tlb_fill(struct tlb *tlb, uint64_t page, const struct paging_result *result, uint8_t *host);
/* Drops the entry of one page after a fault on it, as hardware does (SDM Vol. 3, 4.10.4.1). */
void tlb_drop(struct tlb *tlb, uint64_t page);

static inline unsigned tlb_index(uint64_t page)
{
    /* Fold the second level in, so that stacks, heaps and text of equal low bits do not collide. */
    return (unsigned)(page ^ page >> 9 ^ page >> 21) & (TLB_ENTRIES - 1);
}

static inline bool tlb_permits(const struct tlb *tlb, const struct tlb_entry *entry, unsigned view)
{
    return (tlb->view[view].allow >> (entry->rights & 63) & 1) &&
           !(tlb->view[view].key_deny >> (entry->key & 31) & 1);
}

static inline bool tlb_matches(const struct tlb *tlb, const struct tlb_entry *entry, uint64_t page)
{
    return entry->page == page && (entry->tag == tlb->tag || entry->tag == tlb->global_tag);
}

#endif
