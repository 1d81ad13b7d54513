/* SPDX-License-Identifier: MIT */
/*
 * test_product.c - the permission product: CPL and kind of privilege x access x CR0.WP x CR4.SMEP x
 * SMAP x RFLAGS.AC x EFER.NXE x CR4.PKE x AD x WD x P, U/S, R/W and XD of every level, for every
 * shape of paging; each combination three ways (the walker, linear_translate on an empty TLB, and
 * what a filled TLB entry would serve) against the reference.
 *
 * ALLOCATOR_PRODUCT=full also combines missing P with every pattern of XD (five times as long).
 */
#include <string.h>
#include "harness.h"
#include "reference.h"

#define KEY    5
#define TARGET 0x205000ull

struct shape {
    const char *name;
    int levels;  /* of paging */
    int entries; /* in memory on the way to the page */
    bool large;
    bool pdpte;
    uint64_t linear;
};

static const struct shape shapes[] = {
    { "4-level, 4 KiB", 4, 4, false, false, 0x8040205000 },
    { "4-level, 2 MiB", 4, 3, true, false, 0x8040205000 },
    { "4-level, 1 GiB", 4, 2, true, false, 0x8040205000 },
    { "PAE, 4 KiB", 3, 2, false, true, 0x40205000 },
    { "PAE, 2 MiB", 3, 1, true, true, 0x40205000 },
    { "32-bit, 4 KiB", 2, 2, false, false, 0x00205000 },
    { "32-bit, 4 MiB", 2, 1, true, false, 0x00205000 },
};

/* Every way to come by a privilege. */
static const struct variant {
    unsigned cpl;
    unsigned flags;
    enum reference_who who;
} variants[] = {
    { 0, 0, REFERENCE_EXPLICIT },
    { 1, 0, REFERENCE_EXPLICIT },
    { 2, 0, REFERENCE_EXPLICIT },
    { 3, 0, REFERENCE_USER },
    { 0, ACCESS_SYSTEM, REFERENCE_IMPLICIT },
    { 3, ACCESS_SYSTEM, REFERENCE_IMPLICIT },
    { 3, ACCESS_SUPERVISOR, REFERENCE_EXPLICIT },
    { 0, ACCESS_USER, REFERENCE_USER },
};
static const unsigned kind_flags[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

struct product {
    struct harness *h;
    const struct shape *shape;
    uint64_t gpa[4];
    uint64_t entry[4];
    unsigned bits[4]; /* P, W, U, XD of each level */
    struct reference_mode mode;
    struct reference_page page;
    bool translated, reserved;
    uint64_t combinations, allowed;
};

static int ram_read(void *context, uint64_t gpa, unsigned size, uint64_t *value)
{
    struct harness *h = context;
    *value = 0;
    memcpy(value, h->ram + gpa, size);
    return 0;
}

static int ram_swap(void *context, uint64_t gpa, unsigned size, uint64_t expected, uint64_t desired)
{
    struct harness *h = context;
    assert_memory_equal(h->ram + gpa, &expected, size);
    memcpy(h->ram + gpa, &desired, size);
    return 0;
}

static void entries_store(struct product *p)
{
    for (int i = 0; i < p->shape->entries; i++)
        memcpy(p->h->ram + p->gpa[i], &p->entry[i], p->shape->levels == 2 ? 4 : 8);
}

/* Entry 0 is the topmost; the PDPTE of PAE is a register and always good here. */
static void entries_build(struct product *p, unsigned config)
{
    const struct shape *s = p->shape;
    p->page = (struct reference_page){ true, true, false, s->levels == 4 ? KEY : 0 };
    p->translated = true;
    p->reserved = false;
    for (int i = 0; i < s->entries; i++) {
        unsigned bits = config >> (4 * i) & 15;
        bool last = i + 1 == s->entries;
        uint64_t entry = last ? (s->large ? PT_PS : TARGET) : 0x2000 + 0x1000 * (uint64_t)i;
        if (last && s->large && s->levels != 2 && s->entries != 2)
            entry |= TARGET & ~0x1fffffull;
        if (last && s->levels == 4)
            entry |= (uint64_t)KEY << 59;
        p->entry[i] = entry | (bits & 7) | (bits & 8 ? PT_XD : 0);
        if (p->translated && !p->reserved) {
            if (!(bits & 1))
                p->translated = false;
            else if (bits & 8 && !p->mode.nxe)
                p->reserved = true;
        }
        p->page.writable &= bits >> 1 & 1;
        p->page.user_mode_address &= bits >> 2 & 1;
        p->page.execute_disable |= bits >> 3 & 1;
    }
    p->translated &= !p->reserved;
    entries_store(p);
}

static void mode_apply(struct product *p)
{
    struct vcpu_registers *r = &p->h->vcpu.r;
    const struct reference_mode *m = &p->mode;
    r->cr0 = CR0_PE | CR0_PG | (m->wp ? CR0_WP : 0);
    r->cr4 = (m->levels == 2 ? CR4_PSE : CR4_PAE) | (m->smep ? CR4_SMEP : 0) |
             (m->smap ? CR4_SMAP : 0) | (m->pke ? CR4_PKE : 0);
    r->efer = (m->nxe ? EFER_NXE : 0) | (m->levels == 4 ? EFER_LME | EFER_LMA : 0);
    r->rflags = FLAG_ONE | (m->ac ? FLAG_AC : 0);
    r->pkru = m->pkru;
    r->cr3 = 0x1000;
    r->pdpte[1] = 0x1001;
    tlb_mode_changed(&p->h->vcpu);
}

static void mismatch(const struct product *p, const char *what, unsigned variant, unsigned kind,
                     uint32_t got, uint32_t want)
{
    const struct reference_mode *m = &p->mode;
    fail_msg("%s, %s: variant %u kind %u wp %d smep %d smap %d ac %d nxe %d pke %d pkru %x entries "
             "%lx %lx %lx %lx: got %x, want %x",
             p->shape->name, what, variant, kind, m->wp, m->smep, m->smap, m->ac, m->nxe, m->pke,
             m->pkru, p->entry[0], p->entry[1], p->entry[2], p->entry[3], got, want);
}

/* A and D bits as they must be after the access. */
static void check_marks(struct product *p, bool allowed, unsigned variant, unsigned kind)
{
    for (int i = 0; i < p->shape->entries; i++) {
        uint64_t want = p->entry[i];
        bool last = i + 1 == p->shape->entries;
        if (allowed)
            want |= PT_A | (last && kind == REFERENCE_WRITE ? PT_D : 0);
        uint64_t got = 0;
        memcpy(&got, p->h->ram + p->gpa[i], p->shape->levels == 2 ? 4 : 8);
        if (got != want)
            mismatch(p, "A and D", variant, kind, (uint32_t)got, (uint32_t)want);
    }
}

#define NO_FAULT 0xffffffffu

static void check_walk(struct product *p, unsigned v, unsigned kind, bool allowed, uint32_t want)
{
    const struct paging_memory memory = { ram_read, ram_swap, p->h };
    struct paging_result result;
    uint32_t error;
    unsigned access = kind_flags[kind] | (variants[v].flags & ACCESS_SYSTEM);
    int status = paging_walk(&p->h->vcpu.tlb.mode, &memory, p->shape->linear, access,
                             variants[v].who == REFERENCE_USER, &result, &error);
    uint32_t got = status ? error : NO_FAULT;
    if (got != want)
        mismatch(p, "walk", v, kind, got, want);
    if (allowed && result.gpa != TARGET)
        mismatch(p, "walk address", v, kind, (uint32_t)result.gpa, TARGET);
    check_marks(p, allowed, v, kind);
    if (allowed)
        entries_store(p);
}

static void check_translate(struct product *p, unsigned v, unsigned kind, bool allowed,
                            uint32_t want)
{
    struct vcpu *vcpu = &p->h->vcpu;
    struct translation at = { 0 };
    int status =
        linear_translate(vcpu, p->shape->linear | 0x123, kind_flags[kind] | variants[v].flags, &at);
    uint32_t got = status ? vcpu->fault.error : NO_FAULT;
    if (got != want)
        mismatch(p, "translate", v, kind, got, want);
    if (allowed && (at.gpa != (TARGET | 0x123) || at.host != p->h->ram + (TARGET | 0x123)))
        mismatch(p, "translate address", v, kind, (uint32_t)at.gpa, TARGET | 0x123);
    if (!allowed &&
        (vcpu->fault.vector != EXCEPTION_PF || vcpu->fault.address != (p->shape->linear | 0x123)))
        mismatch(p, "CR2", v, kind, (uint32_t)vcpu->fault.address, (uint32_t)p->shape->linear);
    check_marks(p, allowed, v, kind);
    if (!allowed)
        return;
    entries_store(p);
    if (p->shape->large)
        vcpu->tlb.entry[tlb_index(p->shape->linear >> 12)].page = ~0ull;
    else
        tlb_flush_page(vcpu, p->shape->linear);
}

/* Does the entry that a fully privileged write left serve exactly what is allowed now? */
static void check_entry(struct product *p, unsigned v, unsigned kind, bool allowed)
{
    const struct tlb *tlb = &p->h->vcpu.tlb;
    uint64_t page = p->shape->linear >> 12;
    const struct tlb_entry *entry = &tlb->entry[tlb_index(page)];
    unsigned view = access_view(&p->h->vcpu, kind_flags[kind] | variants[v].flags);
    if (!tlb_matches(tlb, entry, page) || tlb_permits(tlb, entry, view) != allowed)
        mismatch(p, "TLB entry", v, kind, !allowed, allowed);
}

static void entry_fill(struct product *p)
{
    struct reference_mode mode = p->mode;
    struct translation at;
    p->h->vcpu.r.cpl = 0;
    p->mode = (struct reference_mode){ .levels = mode.levels, .nxe = mode.nxe };
    mode_apply(p);
    assert_int_equal(linear_translate(&p->h->vcpu, p->shape->linear, ACCESS_WRITE, &at), 0);
    entries_store(p);
    p->mode = mode;
}

static void check_mode(struct product *p, bool entry)
{
    for (unsigned v = 0; v < ARRAY_SIZE(variants); v++) {
        p->h->vcpu.r.cpl = variants[v].cpl;
        mode_apply(p);
        for (unsigned kind = 0; kind < 3; kind++) {
            bool allowed =
                p->translated && reference_allowed(&p->mode, &p->page, variants[v].who, kind);
            if (entry) {
                check_entry(p, v, kind, allowed);
                continue;
            }
            uint32_t want = NO_FAULT;
            if (!allowed)
                want = reference_error(&p->mode, &p->page, p->translated, p->reserved,
                                       variants[v].who, kind);
            check_walk(p, v, kind, allowed, want);
            check_translate(p, v, kind, allowed, want);
            p->combinations++;
            p->allowed += allowed;
        }
    }
}

static void check_modes(struct product *p, bool entry)
{
    for (unsigned bits = 0; bits < 16; bits++) {
        p->mode.wp = bits & 1;
        p->mode.smep = bits & 2;
        p->mode.smap = bits & 4;
        p->mode.ac = bits & 8;
        for (unsigned key = 0; key < (p->mode.levels == 4 ? 8u : 1u); key++) {
            p->mode.pke = key & 4;
            /* The other keys say the opposite: a walker that took another key would be seen. */
            uint32_t mine = (key & 3) << (KEY * 2);
            p->mode.pkru = mine | (~((key & 3) * 0x55555555u) & ~(3u << (KEY * 2)));
            check_mode(p, entry);
        }
    }
}

/* The rights patterns to be tried: every one with all levels present; with a level missing, R/W and
 * U/S in full and XD clear (or also in full, if asked). */
static bool config_wanted(const struct shape *s, unsigned config, bool full)
{
    unsigned p = config & 0x1111, xd = config >> 3 & 0x1111;
    unsigned all = 0x1111u >> (4 * (4 - s->entries));
    if (s->levels == 2 && xd)
        return false;
    return p == all || full || xd == 0;
}

static void check_shape(struct product *p, bool full)
{
    unsigned configs = 1u << (4 * p->shape->entries);
    for (int i = 0; i < p->shape->entries; i++) {
        int level = p->shape->levels == 2 ? 2 - i : (p->shape->levels == 3 ? 2 : 4) - i;
        int shift = 12 + (p->shape->levels == 2 ? 10 : 9) * (level - 1);
        uint64_t index = p->shape->linear >> shift & (p->shape->levels == 2 ? 0x3ff : 0x1ff);
        p->gpa[i] = 0x1000 + 0x1000 * (uint64_t)i + index * (p->shape->levels == 2 ? 4 : 8);
    }
    p->mode = (struct reference_mode){ .levels = p->shape->levels };
    for (unsigned nxe = 0; nxe < 2; nxe++) {
        p->mode.nxe = nxe;
        for (unsigned config = 0; config < configs; config++) {
            if (!config_wanted(p->shape, config, full))
                continue;
            entries_build(p, config);
            if (p->translated) {
                entry_fill(p);
                check_modes(p, true);
            }
            tlb_flush_all(&p->h->vcpu);
            check_modes(p, false);
        }
    }
}

static void product(void **state)
{
    (void)state;
    const char *wish = getenv("ALLOCATOR_PRODUCT");
    bool full = wish && !strcmp(wish, "full");
    uint64_t total = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
        struct product p = { .h = harness_new(), .shape = &shapes[i] };
        double start = seconds_now();
        check_shape(&p, full);
        print_message("%s: %lu combinations (%lu allowed), %.1f s\n", p.shape->name, p.combinations,
                      p.allowed, seconds_now() - start);
        total += p.combinations;
        harness_free(p.h);
    }
    print_message("permission product: %lu combinations, each by walk, empty TLB and full TLB\n",
                  total);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(product) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
