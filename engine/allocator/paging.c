/* SPDX-License-Identifier: MIT */
/*
 * paging.c - the page walker for 32-bit, PAE and 4-level paging (SDM Vol. 3, 4.3-4.8).
 *
 * A walk goes down reading entries, then decides on the rights, and only then writes A and D bits,
 * each by compare-and-swap against the value it read; if another processor was faster the whole
 * walk starts again. So a walk that faults leaves the tables as they were, and a translation is
 * never taken from an entry that changed before its A bit was set.
 *
 * Where the vendors differ (AMD reserves bits 7 and 8 of a PML4E and re-reads PDPTEs at each walk)
 * Intel is followed. MAXPHYADDR is the guest's, not the host's.
 */
#include "paging.h"
#include "access.h"

#define ENTRY_P         (1ull << 0)
#define ENTRY_W         (1ull << 1)
#define ENTRY_U         (1ull << 2)
#define ENTRY_A         (1ull << 5)
#define ENTRY_D         (1ull << 6)
#define ENTRY_PS        (1ull << 7)
#define ENTRY_G         (1ull << 8)
#define ENTRY_XD        (1ull << 63)
#define ENTRY_KEY_SHIFT 59

#define ADDRESS_BITS 0x000ffffffffff000ull /* 51:12 */

/* How often a walk may lose against other processors. */
#define WALK_ATTEMPTS 256

#define LEVELS_MAX 4

struct walk {
    const struct paging_mode *mode;
    const struct paging_memory *memory;
    uint64_t linear;
    unsigned entry_size;
    unsigned count;             /* entries used; the last one is the leaf */
    uint64_t gpa[LEVELS_MAX];   /* where each was read */
    uint64_t entry[LEVELS_MAX]; /* what was read */
    unsigned leaf_shift;
};

/* Bits n:m, both included. */
static uint64_t bit_range(unsigned high, unsigned low)
{
    return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

uint64_t paging_pdpte_reserved(unsigned physical_bits)
{
    return bit_range(63, physical_bits) | bit_range(8, 5) | bit_range(2, 1);
}

static unsigned level_shift(const struct paging_mode *mode, unsigned level)
{
    return 12 + (mode->levels == 2 ? 10 : 9) * (level - 1);
}

/* Does an entry of this level with PS set map a page? Level 1 entries always do. */
static bool level_has_pages(const struct paging_mode *mode, unsigned level)
{
    switch (level) {
    case 2:
        return mode->levels != 2 || mode->pse;
    case 3:
        return mode->levels == 4 && mode->gb_pages;
    default:
        return false;
    }
}

/* Reserved bits of a 4 MiB page (SDM Vol. 3, 4.3, table 4-4): bits 20:13 carry address bits 39:32
 * as far as PSE-36 and MAXPHYADDR reach, the others up to bit 21 must be 0. */
static uint64_t reserved_4m(const struct paging_mode *mode)
{
    unsigned address_bits = 32;
    if (mode->pse36)
        address_bits = mode->physical_bits < 40 ? mode->physical_bits : 40;
    return bit_range(21, address_bits - 19);
}

/* The bits that must be 0 in a present entry (SDM Vol. 3, tables 4-4 to 4-20). */
static uint64_t reserved_bits(const struct paging_mode *mode, unsigned level, bool large)
{
    if (mode->levels == 2)
        return large ? reserved_4m(mode) : 0;
    /* PAE has nothing to ignore above the address but XD; 4-level ignores 62:52. */
    uint64_t reserved = bit_range(mode->levels == 3 ? 62 : 51, mode->physical_bits);
    if (!mode->nxe)
        reserved |= ENTRY_XD;
    /* Bit 12 of a large page is PAT; between it and the page's address nothing may be set. */
    if (large)
        return reserved | bit_range(level_shift(mode, level) - 1, 13);
    if (level == 4 || (level == 3 && !mode->gb_pages))
        reserved |= ENTRY_PS;
    return reserved;
}

static uint64_t entry_read(const struct walk *walk, uint64_t gpa)
{
    uint64_t entry;
    if (walk->memory->read(walk->memory->context, gpa, walk->entry_size, &entry))
        return walk->entry_size == 4 ? 0xffffffffull : ~0ull;
    return entry;
}

/* Table address of the top level; PAE starts from the PDPTE register. Returns error-code bits: the
 * walk ends unless they are 0 and *present. */
static uint32_t walk_root(const struct walk *walk, uint64_t *table, bool *present)
{
    const struct paging_mode *mode = walk->mode;
    *present = true;
    *table = mode->root & (mode->levels == 2 ? 0xfffff000ull : ADDRESS_BITS);
    if (mode->levels != 3)
        return 0;
    uint64_t pdpte = mode->pdpte[walk->linear >> 30 & 3];
    *present = pdpte & ENTRY_P;
    *table = pdpte & ADDRESS_BITS;
    /* MOV CR3 refuses such a PDPTE, so only a loaded state can bring it here. */
    if (*present && pdpte & paging_pdpte_reserved(mode->physical_bits))
        return PAGE_FAULT_P | PAGE_FAULT_RSVD;
    return 0;
}

/* Reads the entries down to the leaf. 0; or -EFAULT with P and RSVD of the error code. */
static int walk_down(struct walk *walk, uint32_t *error)
{
    const struct paging_mode *mode = walk->mode;
    uint64_t table;
    bool present;
    *error = walk_root(walk, &table, &present);
    if (*error || !present)
        return -EFAULT;
    walk->count = 0;
    for (unsigned level = mode->levels == 4 ? 4 : 2;; level--) {
        unsigned shift = level_shift(mode, level);
        uint64_t index = walk->linear >> shift & (mode->levels == 2 ? 0x3ff : 0x1ff);
        uint64_t gpa = table + index * walk->entry_size;
        uint64_t entry = entry_read(walk, gpa);
        bool large = entry & ENTRY_PS && level_has_pages(mode, level);
        walk->gpa[walk->count] = gpa;
        walk->entry[walk->count++] = entry;
        walk->leaf_shift = shift;
        if (!(entry & ENTRY_P))
            return -EFAULT; /* *error is 0; reserved bits are not looked at (SDM Vol. 3, 4.7) */
        if (entry & reserved_bits(mode, level, large)) {
            *error = PAGE_FAULT_P | PAGE_FAULT_RSVD;
            return -EFAULT;
        }
        if (level == 1 || large)
            return 0;
        table = entry & (mode->levels == 2 ? 0xfffff000ull : ADDRESS_BITS);
    }
}

/* Guest-physical address of the 4 KiB page. */
static uint64_t walk_page(const struct walk *walk)
{
    uint64_t leaf = walk->entry[walk->count - 1];
    uint64_t offset = bit_range(walk->leaf_shift - 1, 0);
    uint64_t base = leaf & ADDRESS_BITS & ~offset;
    if (walk->leaf_shift == 22) /* bits 20:13 are 39:32; without PSE-36 they are known to be 0 */
        base |= (leaf >> 13 & 0xff) << 32;
    return base | (walk->linear & offset & ADDRESS_BITS);
}

/* The rights all levels together give. */
static void walk_rights(const struct walk *walk, struct paging_result *result)
{
    const struct paging_mode *mode = walk->mode;
    uint64_t all = ~0ull;
    uint64_t any = 0;
    for (unsigned i = 0; i < walk->count; i++) {
        all &= walk->entry[i];
        any |= walk->entry[i];
    }
    uint64_t leaf = walk->entry[walk->count - 1];
    unsigned rights = 0;
    if (all & ENTRY_U)
        rights |= TLB_USER;
    if (all & ENTRY_W)
        rights |= TLB_WRITE;
    if (any & ENTRY_XD) /* with NXE clear it was a reserved bit */
        rights |= TLB_NX;
    if (leaf & ENTRY_D)
        rights |= TLB_DIRTY;
    if (leaf & ENTRY_G && mode->pge)
        rights |= TLB_GLOBAL;
    result->rights = (uint8_t)rights;
    result->key = mode->levels == 4 ? leaf >> ENTRY_KEY_SHIFT & 15 : 0;
    result->page_shift = (uint8_t)walk->leaf_shift;
    result->gpa = walk_page(walk);
}

/* Does the protection key forbid a data access to this user-mode page (SDM Vol. 3, 4.6.2)? It also
 * binds supervisor-mode accesses; WD only with CR0.WP for them. */
static bool key_denies(const struct paging_mode *mode, const struct paging_result *page,
                       unsigned access, bool user)
{
    if (!mode->pke || mode->levels != 4 || !(page->rights & TLB_USER) || access & ACCESS_FETCH)
        return false;
    unsigned bits = mode->pkru >> (page->key * 2) & 3; /* AD, WD */
    return bits & 1 || (bits & 2 && access & ACCESS_WRITE && (user || mode->wp));
}

/* Access rights without keys (SDM Vol. 3, 4.6.1). */
static bool rights_deny(const struct paging_mode *mode, const struct paging_result *page,
                        unsigned access, bool user)
{
    bool user_page = page->rights & TLB_USER;
    if (access & ACCESS_FETCH)
        return page->rights & TLB_NX || (user ? !user_page : user_page && mode->smep);
    if (user) {
        if (!user_page)
            return true;
    } else if (user_page && mode->smap && (access & ACCESS_SYSTEM || !mode->ac)) {
        return true;
    }
    return access & ACCESS_WRITE && !(page->rights & TLB_WRITE) && (user || mode->wp);
}

/* Sets A everywhere and D in the leaf of a write. 0; -EAGAIN: an entry has changed meanwhile. */
static int walk_mark(const struct walk *walk, bool write)
{
    for (unsigned i = 0; i < walk->count; i++) {
        uint64_t mark = ENTRY_A;
        if (write && i + 1 == walk->count)
            mark |= ENTRY_D;
        if ((walk->entry[i] & mark) == mark)
            continue;
        int status =
            walk->memory->compare_swap(walk->memory->context, walk->gpa[i], walk->entry_size,
                                       walk->entry[i], walk->entry[i] | mark);
        if (status)
            return status;
    }
    return 0;
}

/* The part of the error code that the access itself determines. */
static uint32_t access_error(const struct paging_mode *mode, unsigned access, bool user)
{
    uint32_t error = 0;
    if (access & ACCESS_WRITE && !(access & ACCESS_FETCH))
        error |= PAGE_FAULT_W;
    if (user)
        error |= PAGE_FAULT_U;
    if (access & ACCESS_FETCH && (mode->smep || (mode->levels >= 3 && mode->nxe)))
        error |= PAGE_FAULT_I;
    return error;
}

int paging_walk(const struct paging_mode *mode, const struct paging_memory *memory, uint64_t linear,
                unsigned access, bool user, struct paging_result *result, uint32_t *error)
{
    struct walk walk = { .mode = mode, .memory = memory, .linear = linear };
    bool write = access & ACCESS_WRITE && !(access & ACCESS_FETCH);
    walk.entry_size = mode->levels == 2 ? 4 : 8;
    *error = access_error(mode, access, user);
    for (unsigned attempt = 0; attempt < WALK_ATTEMPTS; attempt++) {
        uint32_t stopped;
        if (walk_down(&walk, &stopped)) {
            *error |= stopped;
            return -EFAULT;
        }
        walk_rights(&walk, result);
        bool key = key_denies(mode, result, access, user);
        if (key || rights_deny(mode, result, access, user)) {
            *error |= PAGE_FAULT_P | (key ? PAGE_FAULT_PK : 0);
            return -EFAULT;
        }
        if (walk_mark(&walk, write) == 0) {
            if (write)
                result->rights |= TLB_DIRTY;
            return 0;
        }
    }
    /* Another processor keeps rewriting an entry. Report what it might have been in between: not
     * present. A guest that does this must expect such a fault, and this vCPU comes back to its
     * loop. */
    return -EFAULT;
}
