/* SPDX-License-Identifier: MIT */
/* reference.c - see reference.h. Quotations are paraphrased from SDM Vol. 3A, chapter 4. */
#include "reference.h"

static bool bit(uint64_t value, int n)
{
    return value >> n & 1;
}

/* ---- 4.6.2: protection keys. ---- */
static bool key_read_permitted(const struct reference_mode *mode, const struct reference_page *page)
{
    if (mode->levels != 4 || !mode->pke)
        return true; /* keys are used only with 4-level paging and CR4.PKE = 1 */
    return !bit(mode->pkru, 2 * page->key); /* ADi = 1: no data accesses are permitted */
}

static bool key_write_permitted(const struct reference_mode *mode,
                                const struct reference_page *page, enum reference_who who)
{
    if (mode->levels != 4 || !mode->pke)
        return true;
    if (bit(mode->pkru, 2 * page->key))
        return false;
    if (bit(mode->pkru, 2 * page->key + 1)) { /* WDi = 1 */
        if (who == REFERENCE_USER)
            return false; /* user-mode writes are not permitted */
        if (mode->wp)
            return false; /* supervisor-mode writes are not permitted if CR0.WP = 1 */
    }
    return true;
}

/* ---- 4.6.1: determination of access rights. ---- */
static bool supervisor_reach(const struct reference_mode *mode, enum reference_who who)
{
    /* Data of user-mode addresses: SMAP = 0 always; SMAP = 1 only explicitly and with AC = 1. */
    if (!mode->smap)
        return true;
    return who == REFERENCE_EXPLICIT && mode->ac;
}

static bool supervisor_allowed(const struct reference_mode *mode, const struct reference_page *page,
                               enum reference_who who, enum reference_kind kind)
{
    switch (kind) {
    case REFERENCE_READ:
        if (!page->user_mode_address)
            return true; /* data may be read from any supervisor-mode address */
        return supervisor_reach(mode, who) && key_read_permitted(mode, page);
    case REFERENCE_WRITE:
        if (!page->user_mode_address) {
            if (!mode->wp)
                return true; /* WP = 0: to any supervisor-mode address */
            return page->writable;
        }
        if (!mode->wp)
            return supervisor_reach(mode, who) && key_write_permitted(mode, page, who);
        return page->writable && supervisor_reach(mode, who) &&
               key_write_permitted(mode, page, who);
    default:
        if (!page->user_mode_address) {
            if (mode->levels == 2 || !mode->nxe)
                return true;
            return !page->execute_disable;
        }
        if (mode->smep)
            return false; /* no fetches from user-mode addresses */
        if (mode->levels == 2 || !mode->nxe)
            return true;
        return !page->execute_disable;
    }
}

static bool user_allowed(const struct reference_mode *mode, const struct reference_page *page,
                         enum reference_kind kind)
{
    if (!page->user_mode_address)
        return false; /* no user-mode access to supervisor-mode addresses at all */
    switch (kind) {
    case REFERENCE_READ:
        return key_read_permitted(mode, page);
    case REFERENCE_WRITE:
        return page->writable && key_write_permitted(mode, page, REFERENCE_USER);
    default:
        if (mode->levels == 2 || !mode->nxe)
            return true;
        return !page->execute_disable;
    }
}

bool reference_allowed(const struct reference_mode *mode, const struct reference_page *page,
                       enum reference_who who, enum reference_kind kind)
{
    if (who == REFERENCE_USER)
        return user_allowed(mode, page, kind);
    return supervisor_allowed(mode, page, who, kind);
}

/* ---- 4.7: the error code, flag by flag. ---- */
uint32_t reference_error(const struct reference_mode *mode, const struct reference_page *page,
                         bool translated, bool reserved, enum reference_who who,
                         enum reference_kind kind)
{
    uint32_t error = 0;
    /* P: 0 if there is no translation because a P flag was 0. */
    if (translated || reserved)
        error |= 1;
    /* W/R: the access was a write. */
    if (kind == REFERENCE_WRITE)
        error |= 2;
    /* U/S: a user-mode access. */
    if (who == REFERENCE_USER)
        error |= 4;
    if (reserved)
        error |= 8;
    /* I/D: a fetch, and either SMEP = 1, or both PAE = 1 and NXE = 1. */
    if (kind == REFERENCE_FETCH && (mode->smep || (mode->levels != 2 && mode->nxe)))
        error |= 16;
    /* PK: LMA = PKE = 1, a data access, to a user-mode address with key i, and ADi = 1 or all of:
     * WDi = 1, a write, and WP = 1 or a user-mode access. */
    if (translated && mode->levels == 4 && mode->pke && kind != REFERENCE_FETCH &&
        page->user_mode_address) {
        bool ad = bit(mode->pkru, 2 * page->key);
        bool wd = bit(mode->pkru, 2 * page->key + 1);
        if (ad || (wd && kind == REFERENCE_WRITE && (mode->wp || who == REFERENCE_USER)))
            error |= 32;
    }
    return error;
}

/* ---- 4.3, 4.4, 4.5: which bits of a present entry are reserved, asked bit by bit. ---- */
static bool reserved_in_32bit(const struct reference_mode *mode, bool maps_4m, int n)
{
    if (!maps_4m)
        return false;
    /* Table 4-4: with PSE-36, bits (M-20):13 are address bits (M-1):32, 21:(M-19) are reserved,
     * where M is the lesser of 40 and MAXPHYADDR; without PSE-36, 21:13 are. */
    int m = mode->maxphyaddr < 40 ? mode->maxphyaddr : 40;
    if (!mode->pse36)
        return n >= 13 && n <= 21;
    return n >= m - 19 && n <= 21;
}

static bool reserved_in_64bit(const struct reference_mode *mode, int level, bool large, int n)
{
    if (n == 63)
        return !mode->nxe;
    if (n >= 52)
        return mode->levels == 3; /* PAE: 62:M reserved; 4-level: 62:52 ignored */
    if (n >= mode->maxphyaddr)
        return true;
    if (level == 4)
        return n == 7;
    if (level == 3 && !mode->gb_pages)
        return n == 7;
    if (level == 3 && large)
        return n >= 13 && n <= 29;
    if (level == 2 && large)
        return n >= 13 && n <= 20;
    return false;
}

static bool entry_has_reserved(const struct reference_mode *mode, int level, bool large,
                               uint64_t entry)
{
    for (int n = 0; n < 64; n++) {
        bool reserved = mode->levels == 2 ? reserved_in_32bit(mode, large, n)
                                          : reserved_in_64bit(mode, level, large, n);
        if (reserved && bit(entry, n))
            return true;
    }
    return false;
}

/* The four PDPTEs: 63:M, 8:5 and 2:1 (table 4-8). */
static bool pdpte_has_reserved(const struct reference_mode *mode, uint64_t entry)
{
    for (int n = 0; n < 64; n++) {
        bool reserved = n >= mode->maxphyaddr || (n >= 5 && n <= 8) || n == 1 || n == 2;
        if (reserved && bit(entry, n))
            return true;
    }
    return false;
}

static bool maps_page(const struct reference_mode *mode, int level, uint64_t entry)
{
    if (level == 1)
        return true;
    if (!bit(entry, 7))
        return false;
    if (mode->levels == 2)
        return mode->pse;
    if (level == 2)
        return true;
    return level == 3 && mode->gb_pages;
}

static uint64_t page_address(const struct reference_mode *mode, uint64_t entry, uint64_t linear,
                             int bits)
{
    uint64_t address = 0;
    for (int n = 0; n < 52; n++) {
        if (n < bits)
            address |= (uint64_t)bit(linear, n) << n;
        else if (mode->levels != 2 || n < 32)
            address |= (uint64_t)bit(entry, n) << n;
        else if (bits == 22 && mode->pse36 && n < 40)
            address |= (uint64_t)bit(entry, n - 32 + 13) << n;
    }
    return address;
}

static int index_bits(const struct reference_mode *mode)
{
    return mode->levels == 2 ? 10 : 9;
}

/* Walks from the table at `table` of the given level; the page's rights gather in result->page. */
static void walk_level(const struct reference_mode *mode, reference_read *read, void *context,
                       uint64_t linear, int level, uint64_t table, bool *reserved, bool *translated,
                       struct reference_result *result)
{
    int size = mode->levels == 2 ? 4 : 8;
    int bits = 12 + index_bits(mode) * (level - 1);
    uint64_t index = (linear >> bits) % (1u << index_bits(mode));
    uint64_t gpa = table + index * (uint64_t)size;
    uint64_t entry = read(context, gpa, size);
    if (!bit(entry, 0))
        return;
    bool large = maps_page(mode, level, entry) && level != 1;
    if (entry_has_reserved(mode, level, large, entry)) {
        *reserved = true;
        return;
    }
    if (!bit(entry, 1))
        result->page.writable = false;
    if (!bit(entry, 2))
        result->page.user_mode_address = false;
    if (size == 8 && bit(entry, 63))
        result->page.execute_disable = true;
    result->update[result->update_count++] = (struct reference_update){ gpa, size, 0x20 };
    if (maps_page(mode, level, entry)) {
        *translated = true;
        result->page.key = mode->levels == 4 ? (int)(entry >> 59 & 15) : 0;
        result->dirty_before = bit(entry, 6);
        result->global = bit(entry, 8);
        result->page_bits = bits;
        result->gpa = page_address(mode, entry, linear, bits);
        return;
    }
    uint64_t below = size == 4 ? entry & 0xfffff000u : entry & 0xffffffffff000ull;
    walk_level(mode, read, context, linear, level - 1, below, reserved, translated, result);
}

void reference_walk(const struct reference_mode *mode, reference_read *read, void *context,
                    uint64_t linear, enum reference_who who, enum reference_kind kind,
                    struct reference_result *result)
{
    bool reserved = false, translated = false;
    *result = (struct reference_result){ .page = { .user_mode_address = true, .writable = true } };
    if (mode->levels == 3) {
        uint64_t pdpte = mode->pdpte[linear >> 30 & 3];
        if (bit(pdpte, 0)) {
            reserved = pdpte_has_reserved(mode, pdpte);
            if (!reserved)
                walk_level(mode, read, context, linear, 2, pdpte & 0xffffffffff000ull, &reserved,
                           &translated, result);
        }
    } else {
        uint64_t root =
            mode->levels == 2 ? mode->cr3 & 0xfffff000u : mode->cr3 & 0xffffffffff000ull;
        walk_level(mode, read, context, linear, mode->levels, root, &reserved, &translated, result);
    }
    if (!translated || !reference_allowed(mode, &result->page, who, kind)) {
        result->fault = true;
        result->error = reference_error(mode, &result->page, translated, reserved, who, kind);
        result->update_count = 0;
        return;
    }
    if (kind == REFERENCE_WRITE) /* D only in the entry that maps the page */
        result->update[result->update_count - 1].or_mask |= 0x40;
}
