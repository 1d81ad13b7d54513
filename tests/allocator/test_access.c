/* SPDX-License-Identifier: MIT */
/*
 * test_access.c - segment checks in every mode, and copies through linear addresses: where exactly
 * an access faults, and that a faulting one has changed nothing.
 */
#include <string.h>
#include "harness.h"

#define DATA_RW     0x93u /* P, S, accessed, writable */
#define DATA_RO     0x91u
#define DATA_DOWN   0x97u /* expand-down, writable */
#define CODE_READ   0x9bu
#define CODE_ONLY   0x99u
#define PAGE_RIGHTS (PT_P | PT_W | PT_U)

static void mode_protected(struct harness *h)
{
    h->vcpu.long_mode = h->vcpu.long_code = false;
    h->vcpu.r.efer = 0;
    h->vcpu.r.cr0 = CR0_PE;
    h->vcpu.r.cr4 = 0;
    for (unsigned i = 0; i < 6; i++)
        h->vcpu.r.segment[i] =
            (struct segment_register){ .limit = 0xffffffff,
                                       .rights =
                                           (i == SEGMENT_CS ? CODE_READ : DATA_RW) | RIGHTS_DB,
                                       .selector = 8 };
    tlb_mode_changed(&h->vcpu);
}

static void mode_real(struct harness *h)
{
    mode_protected(h);
    h->vcpu.r.cr0 = 0;
    for (unsigned i = 0; i < 6; i++)
        h->vcpu.r.segment[i] =
            (struct segment_register){ .limit = 0xffff, .rights = DATA_RW, .base = 0x10000 };
    tlb_mode_changed(&h->vcpu);
}

/* The linear address, or the fault's vector negated. */
static int64_t try_segment(struct harness *h, unsigned segment, uint64_t offset, unsigned size,
                           unsigned access)
{
    uint64_t linear;
    if (!segment_linear(&h->vcpu, segment, offset, size, access, &linear))
        return (int64_t)linear;
    assert_fault(h, h->vcpu.fault.vector);
    return -(int64_t)h->vcpu.fault.vector;
}

#define GP (-(int64_t)EXCEPTION_GP)
#define SS (-(int64_t)EXCEPTION_SS)
#define AC (-(int64_t)EXCEPTION_AC)

static void segments_64bit(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    for (unsigned i = 0; i < 6; i++)
        h->vcpu.r.segment[i] =
            (struct segment_register){ .base = 0x1000, .limit = 0, .unusable = 1 };
    /* Base, limit, type and null count for nothing, but the bases of FS and GS. */
    for (unsigned i = 0; i < 6; i++) {
        uint64_t base = i == SEGMENT_FS || i == SEGMENT_GS ? 0x1000 : 0;
        assert_int_equal(try_segment(h, i, 0x5555, 8, ACCESS_WRITE), 0x5555 + base);
    }
    h->vcpu.r.segment[SEGMENT_GS].base = 0xffff800000000000;
    assert_int_equal(try_segment(h, SEGMENT_GS, 0x10, 8, ACCESS_READ), 0xffff800000000010);
    assert_int_equal(try_segment(h, SEGMENT_GS, -0x10ull, 8, ACCESS_READ), GP);
    h->vcpu.r.segment[SEGMENT_FS].base = 0x10;
    assert_int_equal(try_segment(h, SEGMENT_FS, -0x8ull, 4, ACCESS_READ), 8); /* wraps */
    /* Canonical: both ends count, and SS makes it #SS. */
    for (unsigned size = 1; size <= 64; size *= 2) {
        uint64_t top = (1ull << 47) - size, bottom = 0xffff800000000000;
        assert_int_equal(try_segment(h, SEGMENT_DS, top, size, ACCESS_READ), top);
        assert_int_equal(try_segment(h, SEGMENT_DS, top + 1, size, ACCESS_READ), GP);
        assert_int_equal(try_segment(h, SEGMENT_SS, top + 1, size, ACCESS_WRITE), SS);
        assert_int_equal(try_segment(h, SEGMENT_DS, bottom, size, ACCESS_READ), (int64_t)bottom);
        assert_int_equal(try_segment(h, SEGMENT_DS, bottom - 1, size, ACCESS_READ), GP);
        assert_int_equal(try_segment(h, SEGMENT_CS, bottom - 1, size, ACCESS_FETCH), GP);
    }
    /* The end of the address space wraps to its beginning: both are canonical. */
    assert_int_equal(try_segment(h, SEGMENT_DS, ~0ull, 8, ACCESS_READ), -1);
    harness_free(h);
}

/* Limits, byte by byte, against the rule as the manual states it. */
static void segment_limits(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    static const uint32_t limits[] = { 0, 1, 0xfff, 0xfffe, 0xffff, 0x12345, 0xfffffffe, ~0u };
    mode_protected(h);
    struct segment_register *ds = &h->vcpu.r.segment[SEGMENT_DS];
    for (unsigned l = 0; l < ARRAY_SIZE(limits); l++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            bool down = kind & 1, big = kind & 2;
            uint64_t lowest = down ? limits[l] + 1ull : 0;
            uint64_t highest = !down ? limits[l] : big ? 0xffffffff : 0xffff;
            *ds = (struct segment_register){ .limit = limits[l],
                                             .rights = (uint16_t)((down ? DATA_DOWN : DATA_RW) |
                                                                  (big ? RIGHTS_DB : 0)) };
            for (unsigned size = 1; size <= 16; size++) {
                for (int delta = -20; delta <= 20; delta++) {
                    uint64_t offset = (uint32_t)((int64_t)limits[l] + delta);
                    bool good = offset >= lowest && offset + size - 1 <= highest;
                    assert_int_equal(try_segment(h, SEGMENT_DS, offset, size, ACCESS_READ),
                                     good ? (int64_t)offset : GP);
                }
            }
        }
    }
    ds->limit = 10;
    h->vcpu.r.segment[SEGMENT_SS].limit = 10;
    ds->rights = DATA_RW;
    assert_int_equal(try_segment(h, SEGMENT_SS, 8, 4, ACCESS_READ), SS);
    assert_int_equal(try_segment(h, SEGMENT_DS, 8, 4, ACCESS_READ), GP);
    harness_free(h);
}

static void segment_types(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    mode_protected(h);
    struct segment_register *ds = &h->vcpu.r.segment[SEGMENT_DS];
    static const struct {
        uint16_t rights;
        bool read, write;
    } types[] = {
        { DATA_RW, true, true },    { DATA_RO, true, false },
        { CODE_READ, true, false }, { CODE_ONLY, false, false },
        { 0x9d, false, false },     { 0x9f, true, false }, /* conforming */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        ds->rights = types[i].rights;
        int64_t read = try_segment(h, SEGMENT_DS, 0x10, 4, ACCESS_READ);
        int64_t write = try_segment(h, SEGMENT_DS, 0x10, 4, ACCESS_WRITE);
        int64_t modify = try_segment(h, SEGMENT_DS, 0x10, 4, ACCESS_READ | ACCESS_WRITE);
        assert_int_equal(read, types[i].read ? 0x10 : GP);
        assert_int_equal(write, types[i].write ? 0x10 : GP);
        assert_int_equal(modify, types[i].write ? 0x10 : GP);
    }
    ds->rights = DATA_RW;
    ds->unusable = 1;
    assert_int_equal(try_segment(h, SEGMENT_DS, 0, 1, ACCESS_READ), GP);
    h->vcpu.r.segment[SEGMENT_SS].unusable = 1;
    assert_int_equal(try_segment(h, SEGMENT_SS, 0, 1, ACCESS_READ), SS);
    h->vcpu.r.segment[SEGMENT_CS].rights = CODE_ONLY;
    h->vcpu.r.segment[SEGMENT_CS].limit = 0xff;
    assert_int_equal(try_segment(h, SEGMENT_CS, 0xff, 1, ACCESS_FETCH), 0xff);
    assert_int_equal(try_segment(h, SEGMENT_CS, 0x100, 1, ACCESS_FETCH), GP);
    /* Base plus offset has 32 bits, in compatibility mode as well. */
    h->vcpu.r.segment[SEGMENT_ES].base = 0xfffff000;
    assert_int_equal(try_segment(h, SEGMENT_ES, 0x2000, 4, ACCESS_READ), 0x1000);
    h->vcpu.long_mode = true;
    h->vcpu.r.efer = EFER_LMA;
    h->vcpu.r.segment[SEGMENT_FS].base = 0xffff888000001000;
    assert_int_equal(try_segment(h, SEGMENT_FS, 4, 4, ACCESS_READ), 0x1004);
    harness_free(h);
}

static void segments_real_mode(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    mode_real(h);
    for (int vm86 = 0; vm86 < 2; vm86++) {
        assert_int_equal(try_segment(h, SEGMENT_DS, 0xfffe, 2, ACCESS_WRITE), 0x1fffe);
        assert_int_equal(try_segment(h, SEGMENT_DS, 0xffff, 2, ACCESS_WRITE), GP);
        assert_int_equal(try_segment(h, SEGMENT_SS, 0xffff, 2, ACCESS_WRITE), SS);
        /* No types, no null: CS is written like any other. */
        h->vcpu.r.segment[SEGMENT_CS].rights = CODE_ONLY;
        h->vcpu.r.segment[SEGMENT_ES].unusable = 1;
        assert_int_equal(try_segment(h, SEGMENT_CS, 0x10, 2, ACCESS_WRITE), 0x10010);
        assert_int_equal(try_segment(h, SEGMENT_ES, 0x10, 2, ACCESS_READ), 0x10010);
        h->vcpu.r.cr0 = CR0_PE;
        h->vcpu.r.rflags |= FLAG_VM;
        h->vcpu.r.cpl = 3;
    }
    /* Limits that protected mode left behind stay in force in real mode. */
    mode_real(h);
    h->vcpu.r.rflags = FLAG_ONE;
    h->vcpu.r.cpl = 0;
    h->vcpu.r.segment[SEGMENT_DS].limit = 0xffffffff;
    assert_int_equal(try_segment(h, SEGMENT_DS, 0x12345678, 4, ACCESS_READ), 0x12355678);
    harness_free(h);
}

static void alignment(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    for (unsigned bits = 0; bits < 16; bits++) {
        bool on = (bits & 7) == 7, intel = bits & 8;
        h->vm.model.vendor_intel = intel;
        h->vcpu.r.cr0 = CR0_PE | CR0_PG | (bits & 1 ? CR0_AM : 0);
        h->vcpu.r.rflags = FLAG_ONE | (bits & 2 ? FLAG_AC : 0);
        h->vcpu.r.cpl = bits & 4 ? 3 : 0;
        for (unsigned size = 1; size <= 64; size++) {
            for (unsigned offset = 0; offset < 16; offset++) {
                bool vector = size == 16 || size == 32 || size == 64;
                unsigned need = size == 2 || size == 4 || size == 8 ? size : size == 10 ? 8 : 1;
                bool fault = on && offset % (vector && !intel ? 16 : need);
                assert_int_equal(try_segment(h, SEGMENT_DS, 0x1000 + offset, size, ACCESS_READ),
                                 fault ? AC : 0x1000 + (int64_t)offset);
            }
        }
    }
    assert_int_equal(try_segment(h, SEGMENT_DS, 0x1001, 4, ACCESS_READ | ACCESS_NO_ALIGN_CHECK),
                     0x1001);
    assert_int_equal(try_segment(h, SEGMENT_DS, 0x1001, 4, ACCESS_READ | ACCESS_SYSTEM), 0x1001);
    assert_int_equal(try_segment(h, SEGMENT_CS, 0x1001, 4, ACCESS_FETCH), 0x1001);
    /* Non-canonical comes before misaligned. */
    assert_int_equal(try_segment(h, SEGMENT_DS, 1ull << 47 | 1, 4, ACCESS_READ), GP);
    harness_free(h);
}

/* ---- Linear accesses ---- */

struct pages {
    struct harness *h;
    uint64_t next;
};

static struct pages pages_new(void)
{
    struct pages p = { harness_new(), 0x10000 };
    p.h->vcpu.r.cr3 = 0x1000;
    return p;
}

static void map(struct pages *p, uint64_t linear, uint64_t leaf)
{
    map4k(p->h, 0x1000, &p->next, linear, leaf);
    tlb_flush_all(&p->h->vcpu);
}

static void crossing_pages(void **state)
{
    (void)state;
    struct pages p = pages_new();
    struct vcpu *vcpu = &p.h->vcpu;
    uint8_t data[64], back[64];
    map(&p, 0x5000, 0x201000 | PAGE_RIGHTS);
    map(&p, 0x6000, 0x200000 | PAGE_RIGHTS); /* not in order in memory */
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + 1);
    for (unsigned size = 1; size <= 64; size++) {
        for (unsigned before = 0; before <= size; before++) {
            uint64_t linear = 0x6000 - before;
            memset(p.h->ram + 0x200000, 0, 0x2000);
            assert_int_equal(linear_write(vcpu, linear, data, size, ACCESS_WRITE), 0);
            assert_memory_equal(p.h->ram + 0x202000 - before, data, before);
            assert_memory_equal(p.h->ram + 0x200000, data + before, size - before);
            assert_int_equal(p.h->ram[0x200000 + size - before], 0);
            memset(back, 0, sizeof(back));
            assert_int_equal(linear_read(vcpu, linear, back, size, ACCESS_READ), 0);
            assert_memory_equal(back, data, size);
        }
    }
    harness_free(p.h);
}

/* CR2 is the first byte that can't be reached; nothing is written before all of it can. */
static void crossing_faults(void **state)
{
    (void)state;
    struct pages p = pages_new();
    struct vcpu *vcpu = &p.h->vcpu;
    uint64_t data = ~0ull;
    map(&p, 0x5000, 0x201000 | PAGE_RIGHTS);
    map(&p, 0x6000, 0);
    assert_int_equal(linear_write(vcpu, 0x5ffd, &data, 8, ACCESS_WRITE), -EFAULT);
    assert_page_fault(p.h, 0x6000, PAGE_FAULT_W);
    assert_int_equal(get64(p.h, 0x201ff8), 0);
    assert_int_equal(linear_read(vcpu, 0x5ffd, &data, 8, ACCESS_READ), -EFAULT);
    assert_page_fault(p.h, 0x6000, 0);
    assert_int_equal(linear_read(vcpu, 0x6abc, &data, 4, ACCESS_READ), -EFAULT);
    assert_page_fault(p.h, 0x6abc, 0);
    assert_int_equal(linear_read(vcpu, 0x4ffe, &data, 4, ACCESS_READ), -EFAULT);
    assert_page_fault(p.h, 0x4ffe, 0); /* the first page's fault wins */
    map(&p, 0x6000, 0x202000 | PT_P | PT_U);
    vcpu->r.cpl = 3;
    tlb_mode_changed(vcpu);
    assert_int_equal(linear_write(vcpu, 0x5ffd, &data, 8, ACCESS_WRITE), -EFAULT);
    assert_page_fault(p.h, 0x6000, PAGE_FAULT_P | PAGE_FAULT_W | PAGE_FAULT_U);
    assert_int_equal(linear_read(vcpu, 0x5ffd, &data, 8, ACCESS_READ | ACCESS_WRITE), -EFAULT);
    assert_page_fault(p.h, 0x6000, PAGE_FAULT_P | PAGE_FAULT_W | PAGE_FAULT_U);
    assert_int_equal(linear_read(vcpu, 0x5ffd, &data, 8, ACCESS_READ), 0);
    /* More than two pages. */
    uint8_t *large = malloc(0x3000);
    memset(large, 0x77, 0x3000);
    map(&p, 0x6000, 0x202000 | PAGE_RIGHTS);
    map(&p, 0x7000, 0x203000 | PAGE_RIGHTS);
    assert_int_equal(linear_write(vcpu, 0x5800, large, 0x3000, ACCESS_WRITE), -EFAULT);
    assert_page_fault(p.h, 0x8000, PAGE_FAULT_W | PAGE_FAULT_U);
    assert_int_equal(p.h->ram[0x201800], 0);
    assert_int_equal(linear_write(vcpu, 0x5800, large, 0x2800, ACCESS_WRITE), 0);
    memset(large, 0, 0x3000);
    assert_int_equal(linear_read(vcpu, 0x5800, large, 0x2800, ACCESS_READ), 0);
    assert_int_equal(large[0] & large[0x27ff] & large[0x1000], 0x77);
    free(large);
    harness_free(p.h);
}

static void probing(void **state)
{
    (void)state;
    struct pages p = pages_new();
    struct vcpu *vcpu = &p.h->vcpu;
    map(&p, 0x5000, DEVICE_GPA | PAGE_RIGHTS);
    map(&p, 0x6000, 0x202000 | PAGE_RIGHTS);
    map(&p, 0x7000, 0);
    assert_int_equal(linear_probe(vcpu, 0x5ff0, 0x1010, ACCESS_WRITE), 0);
    assert_int_equal(p.h->log_count, 0);
    assert_true(get64(p.h, entry_gpa(p.h, 0x1000, 0x6000, 1)) & PT_D);
    assert_int_equal(linear_probe(vcpu, 0x5ff0, 0x1011, ACCESS_READ), -EFAULT);
    assert_page_fault(p.h, 0x7000, 0);
    assert_int_equal(linear_probe(vcpu, 0x5ff0, 0x2011, ACCESS_WRITE), -EFAULT);
    assert_page_fault(p.h, 0x7000, PAGE_FAULT_W);
    assert_int_equal(linear_probe(vcpu, 0x7123, 0, ACCESS_WRITE), 0);
    assert_int_equal(linear_read(vcpu, 0x7123, NULL, 0, ACCESS_READ), 0);
    harness_free(p.h);
}

static void devices(void **state)
{
    (void)state;
    struct pages p = pages_new();
    struct vcpu *vcpu = &p.h->vcpu;
    uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    map(&p, 0x5000, DEVICE_GPA | PAGE_RIGHTS);
    map(&p, 0x6000, 0x202000 | PAGE_RIGHTS);
    map(&p, 0x7000, (ROM_GPA + 0x1000) | PAGE_RIGHTS);
    assert_int_equal(linear_write(vcpu, 0x5ffc, data, 8, ACCESS_WRITE), 0);
    assert_int_equal(p.h->log_count, 1);
    assert_int_equal(p.h->log[0].gpa, DEVICE_GPA + 0xffc);
    assert_int_equal(p.h->log[0].size, 4);
    assert_memory_equal(p.h->ram + 0x202000, data + 4, 4);
    p.h->mmio_status = -ECANCELED;
    p.h->mmio_value = 0x9999999999999999;
    memset(data, 0, sizeof(data));
    assert_int_equal(linear_read(vcpu, 0x5ffe, data, 8, ACCESS_READ), -ECANCELED);
    assert_int_equal(data[1], 0x99);
    assert_int_equal(data[2], 5); /* and the rest of it, from RAM */
    p.h->mmio_status = 0;
    /* ROM: read as memory, also after a write, which goes to the machine. */
    p.h->rom[0x1004] = 0x42;
    for (int round = 0; round < 2; round++) {
        p.h->log_count = 0;
        assert_int_equal(linear_read(vcpu, 0x7004, data, 1, ACCESS_READ), 0);
        assert_int_equal(data[0], 0x42);
        assert_int_equal(linear_read(vcpu, 0x7004, data, 1, ACCESS_READ | ACCESS_WRITE), 0);
        assert_int_equal(data[0], 0x42);
        assert_int_equal(p.h->log_count, 0);
        data[0] = 0x43;
        assert_int_equal(linear_write(vcpu, 0x7004, data, 1, ACCESS_WRITE), 0);
        assert_int_equal(p.h->log_count, 1);
        assert_int_equal(p.h->log[0].gpa, ROM_GPA + 0x1004);
        assert_int_equal(p.h->rom[0x1004], 0x42);
    }
    harness_free(p.h);
}

/* 32-bit linear addresses wrap at 4 GiB; in long mode only operands of compatibility-mode code do.
 */
static void wrapping(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct vcpu *vcpu = &h->vcpu;
    uint64_t value = 0x8877665544332211, back = 0;
    mode_protected(h);
    assert_int_equal(linear_write(vcpu, 0xfffffffc, &value, 8, ACCESS_WRITE), 0);
    assert_int_equal(h->log_count, 1);
    assert_int_equal(h->log[0].gpa, 0xfffffffc);
    assert_int_equal(h->log[0].value, 0x44332211);
    assert_memory_equal(h->ram, (uint8_t *)&value + 4, 4);
    assert_int_equal(linear_read(vcpu, 0xfffffffe, &back, 4, ACCESS_READ), 0);
    assert_int_equal(back >> 16, 0x6655);
    assert_int_equal(virtual_read(vcpu, SEGMENT_DS, 0xfffffffe, &back, 4), -EFAULT);
    harness_free(h);

    struct pages p = pages_new();
    vcpu = &p.h->vcpu;
    map(&p, 0xfffff000, 0x201000 | PAGE_RIGHTS);
    map(&p, 0x0, 0x202000 | PAGE_RIGHTS);
    map(&p, 0x100000000, 0x203000 | PAGE_RIGHTS);
    p.h->ram[0x202000] = 0x22;
    p.h->ram[0x203000] = 0x33;
    uint8_t two[2];
    assert_int_equal(linear_read(vcpu, 0xffffffff, two, 2, ACCESS_READ), 0);
    assert_int_equal(two[1], 0x33);
    vcpu->long_code = false;
    assert_int_equal(linear_read(vcpu, 0xffffffff, two, 2, ACCESS_READ), 0);
    assert_int_equal(two[1], 0x22);
    assert_int_equal(linear_read(vcpu, 0xffffffff, two, 2, ACCESS_READ | ACCESS_SYSTEM), 0);
    assert_int_equal(two[1], 0x33);
    harness_free(p.h);
}

static void non_canonical(void **state)
{
    (void)state;
    struct pages p = pages_new();
    struct vcpu *vcpu = &p.h->vcpu;
    uint64_t value = 0;
    map(&p, 0x7ffffffff000, 0x201000 | PAGE_RIGHTS);
    assert_int_equal(linear_read(vcpu, 1ull << 47, &value, 8, ACCESS_READ), -EFAULT);
    assert_fault(p.h, EXCEPTION_GP);
    assert_int_equal(linear_write(vcpu, 0x7ffffffffffc, &value, 8, ACCESS_WRITE), -EFAULT);
    assert_fault(p.h, EXCEPTION_GP);
    assert_int_equal(virtual_write(vcpu, SEGMENT_SS, 0x7ffffffffffc, &value, 8), -EFAULT);
    assert_fault(p.h, EXCEPTION_SS);
    assert_int_equal(virtual_write(vcpu, SEGMENT_SS, 0x7ffffffffff8, &value, 8), 0);
    harness_free(p.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_64bit),  cmocka_unit_test(segment_limits),
        cmocka_unit_test(segment_types),   cmocka_unit_test(segments_real_mode),
        cmocka_unit_test(alignment),       cmocka_unit_test(crossing_pages),
        cmocka_unit_test(crossing_faults), cmocka_unit_test(probing),
        cmocka_unit_test(devices),         cmocka_unit_test(wrapping),
        cmocka_unit_test(non_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
