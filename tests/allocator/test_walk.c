/* SPDX-License-Identifier: MIT */
/*
 * test_walk.c - the walker on random and hostile page tables against the naive reference: result,
 * error code and every A and D bit; and what it does when other processors change the tables under
 * it.
 *
 * ALLOCATOR_WALKS=n sets the number of random walks.
 */
#include <string.h>
#include "harness.h"
#include "reference.h"

#define TABLES 24u /* pages of RAM that serve as tables, frames 0.. */

struct fuzz {
    struct harness *h;
    uint8_t shadow[TABLES * 4096]; /* the reference's copy of them */
    uint8_t shadow_rom[4096];
    struct random random;
    struct reference_mode mode;
    uint64_t walks, faults, updates, reserved, large;
};

static uint64_t below(struct fuzz *f, uint64_t n)
{
    return (random_next(&f->random) >> 16) % n;
}

/* Where the reference sees an entry, or NULL: nothing there. */
static uint8_t *shadow_at(struct fuzz *f, uint64_t gpa)
{
    if (gpa < sizeof(f->shadow))
        return f->shadow + gpa;
    if (gpa >= ROM_GPA && gpa < ROM_GPA + 4096)
        return f->shadow_rom + (gpa - ROM_GPA);
    if (gpa >= ROM_GPA && gpa < ROM_GPA + ROM_SIZE)
        return f->h->rom + (gpa - ROM_GPA);
    if (gpa >= RAM2_GPA && gpa < RAM2_GPA + RAM2_SIZE)
        return f->h->ram2 + (gpa - RAM2_GPA); /* always zero: not present */
    if (gpa < RAM_SIZE)
        return f->h->ram + gpa; /* the same */
    return NULL;
}

static uint64_t shadow_read(void *context, uint64_t gpa, int size)
{
    const uint8_t *at = shadow_at(context, gpa);
    uint64_t value = size == 4 ? 0xffffffffu : ~0ull;
    if (at)
        memcpy(&value, at, (size_t)size);
    return value;
}

/* Mostly a table or page frame in the tables themselves, so that walks go deep and tables are
 * shared, self-referencing or used at two levels; sometimes ROM, nothing, or noise. */
static uint64_t random_entry(struct fuzz *f)
{
    uint64_t r = random_next(&f->random);
    uint64_t frame = below(f, TABLES) << 12;
    if (below(f, 16) == 0)
        frame = ROM_GPA;
    if (below(f, 32) == 0)
        frame = DEVICE_GPA;
    uint64_t flags = (r & 0xf7f) | PT_P;
    if (below(f, 8) == 0)
        flags ^= PT_P;
    if (below(f, 4) == 0)
        flags |= PT_PS;
    if (flags & PT_PS && below(f, 4) != 0)
        frame &= 0x1000 | ~0x3fffffffull; /* a clean large page, with or without PAT */
    if (below(f, 8) == 0)
        flags |= PT_XD;
    if (below(f, 4) == 0)
        flags |= (r >> 20 & 0x7ff) << 52;
    if (below(f, 24) == 0)
        flags |= 1ull << (r >> 40 & 63);
    return below(f, 64) == 0 ? random_next(&f->random) : frame | flags;
}

static void tables_randomize(struct fuzz *f)
{
    size_t step = f->mode.levels == 2 ? 4 : 8;
    for (size_t at = 0; at < sizeof(f->shadow); at += step) {
        uint64_t entry = random_entry(f);
        memcpy(f->shadow + at, &entry, step);
    }
    for (size_t at = 0; at < sizeof(f->shadow_rom); at += step) {
        uint64_t entry = random_entry(f);
        memcpy(f->shadow_rom + at, &entry, step);
    }
    memcpy(f->h->ram, f->shadow, sizeof(f->shadow));
    memcpy(f->h->rom, f->shadow_rom, sizeof(f->shadow_rom));
}

static void mode_randomize(struct fuzz *f)
{
    static const int widths[] = { 36, 39, 40, 46, 52 };
    uint64_t r = random_next(&f->random);
    struct reference_mode *m = &f->mode;
    *m = (struct reference_mode){ .levels = (int)below(f, 3) + 2,
                                  .wp = r & 1,
                                  .pse = r & 2,
                                  .smep = r & 4,
                                  .smap = r & 8,
                                  .ac = r & 16,
                                  .nxe = r & 32,
                                  .pke = r & 64,
                                  .pse36 = r & 128,
                                  .gb_pages = r & 256 };
    m->maxphyaddr = widths[below(f, ARRAY_SIZE(widths))];
    m->pkru = (uint32_t)random_next(&f->random) & (uint32_t)random_next(&f->random);
    m->cr3 = (below(f, TABLES) << 12) | (r >> 20 & 0xfff);
    for (unsigned i = 0; i < 4; i++) {
        m->pdpte[i] = (below(f, TABLES) << 12) | (below(f, 8) != 0);
        if (below(f, 16) == 0)
            m->pdpte[i] |= 1ull << below(f, 64);
    }
}

static void mode_copy(const struct reference_mode *from, struct vcpu *vcpu)
{
    struct vcpu_registers *r = &vcpu->r;
    r->cr0 = CR0_PE | CR0_PG | (from->wp ? CR0_WP : 0);
    r->cr4 = CR4_PGE | (from->levels == 2 ? 0 : CR4_PAE) | (from->pse ? CR4_PSE : 0) |
             (from->smep ? CR4_SMEP : 0) | (from->smap ? CR4_SMAP : 0) | (from->pke ? CR4_PKE : 0);
    r->efer = (from->nxe ? EFER_NXE : 0) | (from->levels == 4 ? EFER_LMA : 0);
    r->rflags = FLAG_ONE | (from->ac ? FLAG_AC : 0);
    r->pkru = from->pkru;
    r->cr3 = from->cr3;
    memcpy(r->pdpte, from->pdpte, sizeof(r->pdpte));
    vcpu->vm->model.physical_bits = (uint8_t)from->maxphyaddr;
    vcpu->vm->model.leaf[0].edx = from->pse36 ? 1u << 17 : 0;
    vcpu->vm->model.leaf[1].edx = from->gb_pages ? 1u << 26 : 0;
    vcpu->tlb.signature = 0; /* the model never changes in a real machine */
}

static void apply_updates(struct fuzz *f, const struct reference_result *want)
{
    for (int i = 0; i < want->update_count; i++) {
        const struct reference_update *update = &want->update[i];
        if (update->gpa >= sizeof(f->shadow))
            continue; /* ROM or nothing: the write is lost */
        uint64_t value = shadow_read(f, update->gpa, update->size) | update->or_mask;
        memcpy(f->shadow + update->gpa, &value, (size_t)update->size);
        f->updates++;
    }
}

static void compare_entries(struct fuzz *f, const struct reference_result *want)
{
    for (int i = 0; i < want->update_count; i++) {
        uint64_t gpa = want->update[i].gpa;
        if (gpa < sizeof(f->shadow))
            assert_memory_equal(f->h->ram + gpa, f->shadow + gpa, (size_t)want->update[i].size);
    }
}

static void walk_once(struct fuzz *f)
{
    static const unsigned kinds[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };
    static const unsigned whos[] = { ACCESS_USER, ACCESS_SUPERVISOR, ACCESS_SYSTEM };
    struct reference_result want;
    struct translation at;
    uint64_t linear = random_next(&f->random);
    enum reference_kind kind = (enum reference_kind)below(f, 3);
    enum reference_who who = (enum reference_who)below(f, 3);
    linear = f->mode.levels == 4 ? (uint64_t)((int64_t)(linear << 16) >> 16) : (uint32_t)linear;
    reference_walk(&f->mode, shadow_read, f, linear, who, kind, &want);
    struct vcpu *vcpu = &f->h->vcpu;
    struct tlb_entry *entry = &vcpu->tlb.entry[tlb_index(linear >> 12)];
    entry->page = ~0ull; /* this fuzzer is about walks, not about stale entries */
    int status = linear_translate(vcpu, linear, kinds[kind] | whos[who], &at);
    if ((status != 0) != want.fault)
        fail_msg("levels %d linear %lx kind %d who %d: status %d error %x, want error %x",
                 f->mode.levels, linear, kind, who, status, vcpu->fault.error, want.error);
    f->walks++;
    if (want.fault) {
        assert_page_fault(f->h, linear, want.error);
        f->faults++;
        f->reserved += want.error >> 3 & 1;
        return;
    }
    f->large += want.page_bits > 12;
    apply_updates(f, &want);
    compare_entries(f, &want);
    assert_int_equal(at.gpa, want.gpa);
    assert_int_equal(entry->frame | (linear & 0xfff), want.gpa);
    assert_int_equal(entry->shift, want.page_bits);
    assert_int_equal(!!(entry->rights & TLB_USER), want.page.user_mode_address);
    assert_int_equal(!!(entry->rights & TLB_WRITE), want.page.writable);
    assert_int_equal(!!(entry->rights & TLB_NX), want.page.execute_disable);
    assert_int_equal(!!(entry->rights & TLB_DIRTY), want.dirty_before || kind == REFERENCE_WRITE);
    assert_int_equal(!!(entry->rights & TLB_GLOBAL), want.global);
    assert_int_equal(entry->key, want.page.user_mode_address ? want.page.key : (int)TLB_KEY_NONE);
}

static void random_tables(void **state)
{
    (void)state;
    const char *wish = getenv("ALLOCATOR_WALKS");
    uint64_t total = wish ? strtoull(wish, NULL, 0) : 2000000;
    struct fuzz *f = calloc(1, sizeof(*f));
    f->h = harness_new();
    f->random.state = 0x0123456789abcdefull;
    while (f->walks < total) {
        mode_randomize(f);
        mode_copy(&f->mode, &f->h->vcpu);
        tables_randomize(f);
        for (unsigned i = 0; i < 4000; i++)
            walk_once(f);
        assert_memory_equal(f->h->ram, f->shadow, sizeof(f->shadow));
        assert_memory_equal(f->h->rom, f->shadow_rom, sizeof(f->shadow_rom));
    }
    print_message("%lu random walks: %lu faults (%lu reserved), %lu large pages, %lu entries "
                  "marked\n",
                  f->walks, f->faults, f->reserved, f->large, f->updates);
    assert_true(f->large > 0 && f->reserved > 0 && f->updates > 0);
    harness_free(f->h);
    free(f);
}

/* ---- Tables that change under the walker ---- */

struct contested {
    uint64_t entry[4];
    unsigned losses; /* compare-and-swaps still to fail */
    unsigned reads, swaps;
    uint64_t then; /* what the leaf becomes at the first loss, if not 0 */
};

static int contested_read(void *context, uint64_t gpa, unsigned size, uint64_t *value)
{
    struct contested *c = context;
    (void)size;
    c->reads++;
    *value = c->entry[gpa >> 12 & 3];
    return 0;
}

static int contested_swap(void *context, uint64_t gpa, unsigned size, uint64_t expected,
                          uint64_t desired)
{
    struct contested *c = context;
    (void)size;
    c->swaps++;
    if (c->losses) {
        c->losses--;
        if (c->then)
            c->entry[3] = c->then;
        return -EAGAIN;
    }
    if (c->entry[gpa >> 12 & 3] != expected)
        return -EAGAIN;
    c->entry[gpa >> 12 & 3] = desired;
    return 0;
}

static const struct paging_mode contested_mode = {
    .levels = 4, .nxe = true, .wp = true, .physical_bits = 40
};

static void contested_init(struct contested *c, unsigned losses)
{
    *c = (struct contested){ .losses = losses };
    for (uint64_t i = 0; i < 4; i++)
        c->entry[i] = ((i + 1) << 12) | PT_P | PT_W | PT_U;
}

static void restart(void **state)
{
    (void)state;
    struct contested c;
    struct paging_result result;
    const struct paging_memory memory = { contested_read, contested_swap, &c };
    uint32_t error;
    for (unsigned losses = 0; losses < 100; losses++) {
        contested_init(&c, losses);
        assert_int_equal(
            paging_walk(&contested_mode, &memory, 0, ACCESS_WRITE, true, &result, &error), 0);
        assert_int_equal(c.reads, 4 * (losses + 1)); /* each loss starts the walk again */
        assert_int_equal(result.gpa, 0x4000);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(c.entry[i] & (PT_A | PT_D), PT_A | (i == 3 ? PT_D : 0));
    }
    /* What the restarted walk finds is what counts: the page has moved, then it has gone read-only.
     */
    contested_init(&c, 1);
    c.then = 0x9000 | PT_P | PT_W | PT_U;
    assert_int_equal(paging_walk(&contested_mode, &memory, 0, ACCESS_WRITE, true, &result, &error),
                     0);
    assert_int_equal(result.gpa, 0x9000);
    contested_init(&c, 1);
    c.then = 0x9000 | PT_P | PT_U;
    assert_int_equal(paging_walk(&contested_mode, &memory, 0, ACCESS_WRITE, true, &result, &error),
                     -EFAULT);
    assert_int_equal(error, PAGE_FAULT_P | PAGE_FAULT_W | PAGE_FAULT_U);
}

static void livelock_ends(void **state)
{
    (void)state;
    struct contested c;
    struct paging_result result;
    const struct paging_memory memory = { contested_read, contested_swap, &c };
    uint32_t error;
    contested_init(&c, ~0u);
    assert_int_equal(paging_walk(&contested_mode, &memory, 0, ACCESS_WRITE, true, &result, &error),
                     -EFAULT);
    assert_int_equal(error, PAGE_FAULT_W | PAGE_FAULT_U);
    assert_true(c.swaps <= 1000);
}

/* ---- Hostile tables ---- */

static void hostile_tables(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct translation at;
    /* One page is all four levels and the target. */
    put64(h, 0x1000, 0x1000 | PT_P | PT_W | PT_U);
    h->vcpu.r.cr3 = 0x1000;
    assert_int_equal(linear_translate(&h->vcpu, 0x10, ACCESS_WRITE, &at), 0);
    assert_int_equal(at.gpa, 0x1010);
    assert_int_equal(get64(h, 0x1000), 0x1000 | PT_P | PT_W | PT_U | PT_A | PT_D);
    /* CR3 beyond memory: all ones, which 4-level paging refuses by its reserved bits. */
    h->vcpu.r.cr3 = DEVICE_GPA;
    tlb_flush_all(&h->vcpu);
    assert_int_equal(linear_translate(&h->vcpu, 0x5010, ACCESS_READ, &at), -EFAULT);
    assert_page_fault(h, 0x5010, PAGE_FAULT_P | PAGE_FAULT_RSVD);
    assert_int_equal(h->log_count, 0); /* and no device register was read by it */
    /* A whole tree in ROM works, and keeps its A and D bits. */
    uint64_t entry = ROM_GPA | PT_P | PT_W | PT_U;
    memcpy(h->rom, &entry, 8);
    h->vcpu.r.cr3 = ROM_GPA;
    assert_int_equal(linear_translate(&h->vcpu, 0x20, ACCESS_WRITE, &at), 0);
    assert_int_equal(at.gpa, ROM_GPA + 0x20);
    assert_null(at.host);
    assert_memory_equal(h->rom, &entry, 8);
    assert_int_equal(h->log_count, 0);
    harness_free(h);
}

/* 32-bit paging: all ones map the last frame, or a page with reserved bits. */
static void nothing_32bit(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct translation at;
    h->vcpu.long_code = h->vcpu.long_mode = false;
    h->vcpu.r.efer = 0;
    h->vcpu.r.cr4 = 0;
    h->vcpu.r.cr3 = DEVICE_GPA;
    assert_int_equal(linear_translate(&h->vcpu, 0x5010, ACCESS_WRITE, &at), 0);
    assert_int_equal(at.gpa, 0xfffff010);
    assert_null(at.host);
    h->vcpu.r.cr4 = CR4_PSE;
    h->vm.model.leaf[0].edx = 0;
    tlb_mode_changed(&h->vcpu);
    assert_int_equal(linear_translate(&h->vcpu, 0x5010, ACCESS_WRITE, &at), -EFAULT);
    assert_page_fault(h, 0x5010, PAGE_FAULT_P | PAGE_FAULT_RSVD | PAGE_FAULT_W);
    harness_free(h);
}

static void pdptes(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    h->vcpu.r.cr3 = 0x1020 | 0x18;          /* bits 4:0 are ignored */
    put64(h, 0x1020, 0x2000 | PT_P | 0x18); /* PWT and PCD are allowed */
    put64(h, 0x1028, ~1ull);                /* not present: anything goes */
    put64(h, 0x1030, 0x3000 | PT_P | 0xe00);
    put64(h, 0x1038, 0);
    assert_int_equal(paging_load_pdptes(&h->vcpu), 0);
    assert_int_equal(h->vcpu.r.pdpte[0], 0x2019);
    assert_int_equal(h->vcpu.r.pdpte[1], ~1ull);
    assert_int_equal(h->vcpu.r.pdpte[2], 0x3e01);
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 40;
        put64(h, 0x1038, PT_P | 1ull << bit);
        int status = paging_load_pdptes(&h->vcpu);
        assert_int_equal(status, reserved ? -EFAULT : 0);
        if (reserved)
            assert_fault(h, EXCEPTION_GP);
    }
    h->vcpu.r.cr3 = DEVICE_GPA;
    assert_int_equal(paging_load_pdptes(&h->vcpu), -EFAULT);
    assert_int_equal(h->vcpu.r.pdpte[0], 0x2019); /* a refused load changes nothing */
    harness_free(h);
}

static void lookup(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    uint64_t next = 0x2000, gpa;
    h->vcpu.r.cr3 = 0x1000;
    h->vcpu.r.cr4 |= CR4_SMAP | CR4_PKE;
    h->vcpu.r.pkru = ~0u;
    map4k(h, 0x1000, &next, 0x7fff12345000, 0x9000 | PT_P | PT_U | PT_XD);
    uint8_t *before = malloc(RAM_SIZE);
    memcpy(before, h->ram, RAM_SIZE);
    assert_int_equal(paging_lookup(&h->vcpu, 0x7fff12345678, &gpa), 0);
    assert_int_equal(gpa, 0x9678);
    assert_int_equal(paging_lookup(&h->vcpu, 0x7fff12346678, &gpa), -ENOENT);
    assert_int_equal(paging_lookup(&h->vcpu, 1ull << 47, &gpa), -ENOENT);
    assert_memory_equal(before, h->ram, RAM_SIZE); /* no A, no D */
    h->vcpu.r.cr0 = 0;
    h->vcpu.r.efer = 0;
    assert_int_equal(paging_lookup(&h->vcpu, 0x12345, &gpa), 0);
    assert_int_equal(gpa, 0x12345);
    free(before);
    harness_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_tables), cmocka_unit_test(restart),
        cmocka_unit_test(livelock_ends), cmocka_unit_test(hostile_tables),
        cmocka_unit_test(nothing_32bit), cmocka_unit_test(pdptes),
        cmocka_unit_test(lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
