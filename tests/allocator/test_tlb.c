/* SPDX-License-Identifier: MIT */
/*
 * test_tlb.c - what the TLB may remember and what each flush must make it forget (SDM Vol.
 * 3, 4.10).
 *
 * The random test asks only what the architecture promises: a translation is one that the tables
 * held at some time since the last flush that covers it. So it holds for a TLB of any size, one
 * entry included.
 */
#include <string.h>
#include "harness.h"

#define USER_RIGHTS (PT_P | PT_W | PT_U)
#define KERNEL      0xffff800000000000ull

struct fixture {
    struct harness *h;
    uint64_t next;
};

static struct fixture fixture_new(void)
{
    struct fixture f = { harness_new(), 0x10000 };
    f.h->vcpu.r.cr3 = 0x1000;
    f.h->vcpu.r.cr4 |= CR4_PCIDE;
    tlb_mode_changed(&f.h->vcpu);
    return f;
}

static void switch_asid(struct harness *h, uint16_t asid)
{
    h->vcpu.r.cr3 = (h->vcpu.r.cr3 & ~0xfffull) | asid;
    tlb_mode_changed(&h->vcpu);
}

static uint64_t gpa_of(struct harness *h, uint64_t linear)
{
    struct translation at;
    if (linear_translate(&h->vcpu, linear, ACCESS_READ, &at))
        return ~0ull;
    return at.gpa;
}

static void set_leaf(struct fixture *f, uint64_t linear, uint64_t leaf)
{
    map4k(f->h, 0x1000, &f->next, linear, leaf);
}

/* ---- Single rules ---- */

static void zeroed_is_empty(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    h->vcpu.r.cr3 = 0x1000;
    struct translation at;
    /* Page 0 of a structure that is all zeroes must not be taken for a cached one. */
    assert_int_equal(linear_translate(&h->vcpu, 0x10, ACCESS_READ, &at), -EFAULT);
    assert_page_fault(h, 0x10, 0);
    harness_free(h);
}

static void invlpg_drops_one(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    set_leaf(&f, 0x5000, 0x9000 | USER_RIGHTS);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x9000);
    set_leaf(&f, 0x5000, 0xa000 | USER_RIGHTS);
    uint64_t generation = f.h->vcpu.tlb.generation;
    tlb_flush_page(&f.h->vcpu, 0x5fff);
    assert_true(f.h->vcpu.tlb.generation != generation);
    assert_int_equal(gpa_of(f.h, 0x5000), 0xa000);
    harness_free(f.h);
}

/* A miss in rights walks again: what the tables allow now never faults for an old entry. */
static void stale_rights_do_not_fault(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct translation at;
    set_leaf(&f, 0x5000, 0x9000 | PT_P | PT_U);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x9000);
    set_leaf(&f, 0x5000, 0x9000 | USER_RIGHTS);
    assert_int_equal(linear_translate(&f.h->vcpu, 0x5000, ACCESS_WRITE | ACCESS_USER, &at), 0);
    /* And a fault drops the entry it is about (4.10.4.1). */
    tlb_flush_all(&f.h->vcpu);
    set_leaf(&f, 0x5000, 0x9000 | PT_P);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x9000);
    set_leaf(&f, 0x5000, 0xb000 | PT_P);
    assert_int_equal(linear_translate(&f.h->vcpu, 0x5000, ACCESS_WRITE, &at), -EFAULT);
    assert_int_equal(gpa_of(f.h, 0x5000), 0xb000);
    harness_free(f.h);
}

static void dirty_needs_a_walk(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct translation at;
    set_leaf(&f, 0x5000, 0x9000 | USER_RIGHTS);
    uint64_t pte = entry_gpa(f.h, 0x1000, 0x5000, 1);
    assert_int_equal(linear_translate(&f.h->vcpu, 0x5000, ACCESS_READ, &at), 0);
    assert_int_equal(get64(f.h, pte) & (PT_A | PT_D), PT_A);
    assert_int_equal(linear_translate(&f.h->vcpu, 0x5000, ACCESS_READ | ACCESS_WRITE, &at), 0);
    assert_int_equal(get64(f.h, pte) & (PT_A | PT_D), PT_A | PT_D);
    harness_free(f.h);
}

static void asids_are_apart(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct vcpu *vcpu = &f.h->vcpu;
    switch_asid(f.h, 1);
    set_leaf(&f, 0x5000, 0x9000 | USER_RIGHTS);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x9000);
    set_leaf(&f, 0x5000, 0xa000 | USER_RIGHTS);
    switch_asid(f.h, 2);
    assert_int_equal(gpa_of(f.h, 0x5000), 0xa000); /* never 1's */
    set_leaf(&f, 0x5000, 0xb000 | USER_RIGHTS);
    tlb_flush_page_asid(vcpu, 0x5000, 2);
    assert_int_equal(gpa_of(f.h, 0x5000), 0xb000);
    set_leaf(&f, 0x5000, 0xc000 | USER_RIGHTS);
    tlb_flush_asid(vcpu, 2);
    assert_int_equal(gpa_of(f.h, 0x5000), 0xc000);
    harness_free(f.h);
}

#if TLB_ENTRIES > 64
/* What a TLB with room keeps, so that the flushes are seen to do no more than they should. */
static void flushes_are_exact(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct vcpu *vcpu = &f.h->vcpu;
    for (unsigned step = 0; step < 6; step++) {
        tlb_flush_all(vcpu);
        switch_asid(f.h, 1);
        set_leaf(&f, 0x5000, 0x9000 | USER_RIGHTS);
        set_leaf(&f, KERNEL + 0x6000, 0x9000 | PT_P | PT_W | PT_G);
        gpa_of(f.h, 0x5000);
        gpa_of(f.h, KERNEL + 0x6000);
        set_leaf(&f, 0x5000, 0xa000 | USER_RIGHTS);
        set_leaf(&f, KERNEL + 0x6000, 0xa000 | PT_P | PT_W | PT_G);
        switch_asid(f.h, 2);
        assert_int_equal(gpa_of(f.h, KERNEL + 0x6000), 0x9000); /* global: any ASID's */
        bool user_stays = step == 1 || step == 2 || step == 4;
        bool global_stays = step != 0 && step != 2;
        if (step == 0)
            tlb_flush_all(vcpu);
        if (step == 1)
            tlb_flush_asid(vcpu, 2);
        if (step == 2)
            tlb_flush_page(vcpu, KERNEL + 0x6000);
        if (step == 3)
            tlb_flush_nonglobal(vcpu);
        if (step == 4)
            tlb_flush_page_asid(vcpu, KERNEL + 0x6000, 1); /* does not touch global entries */
        if (step == 5)
            tlb_flush_asid(vcpu, 1);
        assert_int_equal(gpa_of(f.h, KERNEL + 0x6000), global_stays ? 0x9000 : 0xa000);
        switch_asid(f.h, 1);
        assert_int_equal(gpa_of(f.h, 0x5000), user_stays ? 0x9000 : 0xa000);
    }
    harness_free(f.h);
}
#endif

static void global_needs_pge(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    f.h->vcpu.r.cr4 &= ~(uint64_t)CR4_PGE;
    tlb_mode_changed(&f.h->vcpu);
    set_leaf(&f, 0x5000, 0x9000 | PT_P | PT_G);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x9000);
    set_leaf(&f, 0x5000, 0xa000 | PT_P | PT_G);
    tlb_flush_nonglobal(&f.h->vcpu);
    assert_int_equal(gpa_of(f.h, 0x5000), 0xa000);
    harness_free(f.h);
}

/* INVLPG of any address in a large page drops every cached piece of it. */
static void invlpg_of_large_pages(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct vcpu *vcpu = &f.h->vcpu;
    static const unsigned pieces[] = { 0, 1, 7, 100, 511 };
    for (unsigned level = 2; level <= 3; level++) {
        unsigned shift = level == 2 ? 21 : 30;
        uint64_t linear = 0x7f0000000000ull + (1ull << 30);
        set_leaf(&f, linear, 0);
        uint64_t gpa = entry_gpa(f.h, 0x1000, linear, level);
        put64(f.h, gpa, 0x40000000 | USER_RIGHTS | PT_PS);
        for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
            uint64_t offset = (uint64_t)pieces[i] << (shift - 9);
            assert_int_equal(gpa_of(f.h, linear + offset), 0x40000000 + offset);
        }
        put64(f.h, gpa, 0x80000000 | USER_RIGHTS | PT_PS);
        tlb_flush_page(vcpu, linear + (1ull << shift) - 1);
        for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
            uint64_t offset = (uint64_t)pieces[i] << (shift - 9);
            assert_int_equal(gpa_of(f.h, linear + offset), 0x80000000 + offset);
        }
        put64(f.h, gpa, 0x40000000 | USER_RIGHTS | PT_PS);
        tlb_flush_page_asid(vcpu, linear + 0x3000, vcpu->tlb.asid);
        assert_int_equal(gpa_of(f.h, linear + 0x11000), 0x40011000);
        put64(f.h, gpa, 0);
        tlb_flush_all(vcpu);
    }
    harness_free(f.h);
}

/* A change of what the tables mean leaves nothing behind. */
static void mode_changes_flush(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct vcpu *vcpu = &f.h->vcpu;
    set_leaf(&f, 0x5000, 0x9000 | PT_P | PT_W | PT_G);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x9000);
    vcpu->long_mode = vcpu->long_code = false;
    vcpu->r.efer = 0;
    vcpu->r.cr0 = CR0_PE;
    tlb_mode_changed(vcpu);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x5000);
    vcpu->r.efer = EFER_LMA;
    vcpu->r.cr0 |= CR0_PG;
    tlb_mode_changed(vcpu);
    assert_int_equal(gpa_of(f.h, 0x5000), 0x9000);
    uint64_t generation = vcpu->tlb.generation;
    tlb_mode_changed(vcpu);
    assert_int_equal(vcpu->tlb.generation, generation); /* nothing has changed */
    vcpu->r.cpl = 3;
    tlb_mode_changed(vcpu);
    assert_true(vcpu->tlb.generation != generation);
    harness_free(f.h);
}

/* Tags wrap after 65,535 flushes; nothing old may come back. */
static void tags_wrap(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct vcpu *vcpu = &f.h->vcpu;
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t frame = (i & 0xffff) << 12 | 0x100000000;
        if (i % 1000 == 0)
            switch_asid(f.h, (uint16_t)(i / 1000 & 7));
        set_leaf(&f, 0x5000, frame | USER_RIGHTS);
        set_leaf(&f, KERNEL + 0x7000, frame | PT_P | PT_G);
        if (i % 3 == 0)
            tlb_flush_all(vcpu);
        else
            tlb_flush_asid(vcpu, vcpu->tlb.asid);
        assert_int_equal(gpa_of(f.h, 0x5000), frame);
        if (i % 3 == 0)
            assert_int_equal(gpa_of(f.h, KERNEL + 0x7000), frame);
    }
    harness_free(f.h);
}

/* Entries that nobody overwrites must not come back to life when their tag is given out again. */
static void old_tags_stay_dead(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct tlb *tlb = &f.h->vcpu.tlb;
    const uint64_t pages = 64;
    for (uint64_t page = 0; page < pages; page++) {
        set_leaf(&f, page << 12, 0x9000 | USER_RIGHTS | (page & 1 ? PT_G : 0));
        assert_int_equal(gpa_of(f.h, page << 12), 0x9000);
    }
    for (unsigned flush = 0; flush < 70000; flush++) {
        tlb_flush_all(&f.h->vcpu);
        for (uint64_t page = 0; page < pages; page++)
            if (tlb_matches(tlb, &tlb->entry[tlb_index(page)], page))
                fail_msg("page %lu is back after %u flushes", page, flush);
    }
    harness_free(f.h);
}

/* ---- Random operations against the promise ---- */

#define ASIDS    4u
#define REGIONS  8u
#define VERSIONS (1u << 16)

enum region_kind { REGION_4K, REGION_2M, REGION_1G };
static const struct region {
    uint64_t linear;
    enum region_kind kind;
    bool global; /* the kernel's: one table for all address spaces */
} regions[REGIONS] = {
    { 0x0000000000400000, REGION_4K, false }, { 0x0000000000401000, REGION_4K, false },
    { 0x00007ffffffff000, REGION_4K, false }, { 0x0000000040000000, REGION_2M, false },
    { 0xffffffff81000000, REGION_2M, true },  { 0xffff888000000000, REGION_1G, true },
    { 0xffffc90000000000, REGION_4K, true },  { 0xffffc90000001000, REGION_4K, true },
};

struct model {
    struct fixture f;
    struct random random;
    uint64_t entry[ASIDS][REGIONS];   /* gpa of the leaf entry */
    uint64_t version[ASIDS][REGIONS]; /* what the tables hold; global regions use ASID 0's */
    uint64_t oldest[ASIDS][REGIONS];  /* the oldest version that may still be cached */
    uint64_t translations, stale;
};

static unsigned region_shift(unsigned r)
{
    return regions[r].kind == REGION_4K ? 12 : regions[r].kind == REGION_2M ? 21 : 30;
}

static unsigned home(unsigned asid, unsigned r)
{
    return regions[r].global ? 0 : asid;
}

/* The version is written into the frame. */
static void version_store(struct model *m, unsigned asid, unsigned r)
{
    uint64_t frame = m->version[asid][r] % (region_shift(r) == 30 ? 512 : VERSIONS)
                     << region_shift(r);
    uint64_t flags = PT_P | PT_W | (regions[r].global ? PT_G : PT_U) |
                     (regions[r].kind == REGION_4K ? 0 : PT_PS);
    put64(m->f.h, m->entry[asid][r], frame | flags);
}

static void model_init(struct model *m)
{
    m->f = fixture_new();
    m->random.state = 77;
    struct harness *h = m->f.h;
    for (unsigned asid = 0; asid < ASIDS; asid++) {
        uint64_t root = 0x1000 + asid * 0x1000;
        for (unsigned r = 0; r < REGIONS; r++) {
            if (regions[r].global && asid) /* share the kernel's half */
                put64(h, entry_gpa(h, root, regions[r].linear, 4),
                      get64(h, entry_gpa(h, 0x1000, regions[r].linear, 4)));
            else
                map4k(h, root, &m->f.next, regions[r].linear, 0);
            m->entry[asid][r] = entry_gpa(h, root, regions[r].linear, regions[r].kind + 1);
            m->version[asid][r] = m->oldest[asid][r] = 1;
        }
    }
    for (unsigned asid = 0; asid < ASIDS; asid++)
        for (unsigned r = 0; r < REGIONS; r++)
            if (!regions[r].global || asid == 0)
                version_store(m, asid, r);
}

static void forget(struct model *m, unsigned asid, unsigned r)
{
    m->oldest[asid][r] = m->version[asid][r];
}

static void flush_random(struct model *m, unsigned current)
{
    struct vcpu *vcpu = &m->f.h->vcpu;
    uint64_t random = random_next(&m->random);
    unsigned r = random >> 8 & 7, asid = random >> 16 & 3;
    uint64_t linear = regions[r].linear + (random >> 20 & ((1u << region_shift(r)) - 1));
    switch (random >> 60) {
    case 0:
        tlb_flush_all(vcpu);
        for (unsigned i = 0; i < ASIDS * REGIONS; i++)
            forget(m, i / REGIONS, i % REGIONS);
        break;
    case 1:
        tlb_flush_nonglobal(vcpu);
        for (unsigned i = 0; i < ASIDS * REGIONS; i++)
            if (!regions[i % REGIONS].global)
                forget(m, i / REGIONS, i % REGIONS);
        break;
    case 2:
    case 3:
        tlb_flush_asid(vcpu, (uint16_t)asid);
        for (unsigned i = 0; i < REGIONS; i++)
            if (!regions[i].global)
                forget(m, asid, i);
        break;
    case 4:
    case 5:
        tlb_flush_page_asid(vcpu, linear, (uint16_t)asid);
        if (!regions[r].global)
            forget(m, asid, r);
        break;
    default:
        tlb_flush_page(vcpu, linear);
        forget(m, home(current, r), r);
    }
}

static void translate_random(struct model *m, unsigned current)
{
    uint64_t random = random_next(&m->random);
    unsigned r = random >> 8 & 7, asid = home(current, r);
    uint64_t offset = random >> 20 & ((1u << region_shift(r)) - 1);
    uint64_t gpa = gpa_of(m->f.h, regions[r].linear + offset);
    uint64_t now = m->version[asid][r], size = 1ull << region_shift(r);
    uint64_t wrap = region_shift(r) == 30 ? 512 : VERSIONS;
    assert_int_equal(gpa & (size - 1), offset);
    uint64_t age = (now - gpa / size) % wrap;
    if (age > now - m->oldest[asid][r])
        fail_msg("region %u asid %u: %lu versions old, %lu allowed", r, asid, age,
                 now - m->oldest[asid][r]);
    m->translations++;
    m->stale += age != 0;
}

static void promise(void **state)
{
    (void)state;
    struct model *m = calloc(1, sizeof(*m));
    model_init(m);
    unsigned current = 0;
    for (unsigned i = 0; i < 3000000; i++) {
        uint64_t random = random_next(&m->random);
        unsigned r = random >> 8 & 7;
        unsigned asid = home(random >> 16 & 3, r);
        switch (random >> 60) {
        case 0:
            current = random >> 12 & 3;
            m->f.h->vcpu.r.cr3 = (0x1000 + current * 0x1000) | current;
            tlb_mode_changed(&m->f.h->vcpu);
            break;
        case 1:
        case 2:
            m->version[asid][r]++;
            version_store(m, asid, r);
            break;
        case 3:
            flush_random(m, current);
            break;
        default:
            translate_random(m, current);
        }
    }
    print_message("%lu translations against the promise, %lu of them from a stale entry\n",
                  m->translations, m->stale);
    harness_free(m->f.h);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_is_empty),
        cmocka_unit_test(invlpg_drops_one),
        cmocka_unit_test(stale_rights_do_not_fault),
        cmocka_unit_test(dirty_needs_a_walk),
        cmocka_unit_test(asids_are_apart),
#if TLB_ENTRIES > 64
        cmocka_unit_test(flushes_are_exact),
#endif
        cmocka_unit_test(global_needs_pge),
        cmocka_unit_test(invlpg_of_large_pages),
        cmocka_unit_test(mode_changes_flush),
        cmocka_unit_test(tags_wrap),
        cmocka_unit_test(old_tags_stay_dead),
        cmocka_unit_test(promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
