/* SPDX-License-Identifier: MIT */
/* test_memory.c - the slot map, physical accesses, MMIO pieces and the dirty log. */
#include <string.h>
#include "harness.h"

static struct memory_slot slot_of(uint64_t gpa, uint64_t size)
{
    return (struct memory_slot){ .gpa = gpa, .size = size, .host = (uint8_t *)0x10000, .fd = -1 };
}

static int add(struct guest_memory *memory, uint64_t gpa, uint64_t size)
{
    struct memory_slot slot = slot_of(gpa, size);
    return memory_add_slot(memory, &slot);
}

static void slots_refused(void **state)
{
    (void)state;
    struct guest_memory memory = { 0 };
    assert_int_equal(add(&memory, 0x1000, 0), -EINVAL);
    assert_int_equal(add(&memory, 0x1001, 0x1000), -EINVAL);
    assert_int_equal(add(&memory, 0x1000, 0x1008), -EINVAL);
    assert_int_equal(add(&memory, ~0xfffull, 0x2000), -EINVAL);
    assert_int_equal(add(&memory, ~0xfffull, 0x1000), -EINVAL);
    struct memory_slot slot = slot_of(0, 0x1000);
    slot.host = NULL;
    assert_int_equal(memory_add_slot(&memory, &slot), -EINVAL);
    slot.host = (uint8_t *)0x10001;
    assert_int_equal(memory_add_slot(&memory, &slot), -EINVAL);
    assert_int_equal(memory.slot_count, 0);
    assert_int_equal(memory.generation, 0);
    assert_int_equal(add(&memory, 0x4000, 0x3000), 0);
    assert_int_equal(add(&memory, 0x4000, 0x3000), -EEXIST);
    assert_int_equal(add(&memory, 0x6000, 0x1000), -EEXIST);
    assert_int_equal(add(&memory, 0x3000, 0x2000), -EEXIST);
    assert_int_equal(add(&memory, 0x0, 0x100000), -EEXIST);
    assert_int_equal(add(&memory, 0x3000, 0x1000), 0);
    assert_int_equal(add(&memory, 0x7000, 0x1000), 0);
    assert_int_equal(memory_remove_slot(&memory, 0x5000), -ENOENT);
    assert_int_equal(memory_remove_slot(&memory, 0x9000), -ENOENT);
    for (uint64_t i = 0; memory.slot_count < MEMORY_SLOT_MAX; i++)
        assert_int_equal(add(&memory, 0x100000 + i * 0x2000, 0x1000), 0);
    assert_int_equal(add(&memory, 0x900000, 0x1000), -ENOSPC);
    assert_int_equal(add(&memory, 0x100000, 0x1000), -EEXIST);
}

/* Random additions and removals against a plain page map. */
static void slots_random(void **state)
{
    (void)state;
    enum { PAGES = 64 };
    struct guest_memory memory = { 0 };
    uint64_t owner[PAGES] = { 0 }; /* 1 + first page of the slot */
    struct random random = { 5 };
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t r = random_next(&random) >> 8;
        uint64_t first = r % PAGES, count = 1 + (r >> 8) % 4;
        if (first + count > PAGES)
            continue;
        if (r >> 20 & 1) {
            bool there = owner[first] == first + 1;
            assert_int_equal(memory_remove_slot(&memory, first << 12), there ? 0 : -ENOENT);
            for (uint64_t page = 0; there && page < PAGES; page++)
                if (owner[page] == first + 1)
                    owner[page] = 0;
        } else {
            bool overlap = false;
            for (uint64_t page = first; page < first + count; page++)
                overlap |= owner[page] != 0;
            int want = overlap ? -EEXIST : memory.slot_count == MEMORY_SLOT_MAX ? -ENOSPC : 0;
            struct memory_slot slot = slot_of(first << 12, count << 12);
            slot.host = (uint8_t *)((first + 1) << 20);
            assert_int_equal(memory_add_slot(&memory, &slot), want);
            for (uint64_t page = first; !want && page < first + count; page++)
                owner[page] = first + 1;
        }
        uint64_t probe = (r >> 32) % PAGES;
        uint8_t *host = memory_host(&memory, (probe << 12) + 5, 1, false);
        uint64_t start = owner[probe];
        assert_ptr_equal(host,
                         start ? (uint8_t *)(start << 20) + ((probe - start + 1) << 12) + 5 : NULL);
    }
}

static void host_ranges(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct guest_memory *memory = &h->vm.memory;
    assert_ptr_equal(memory_host(memory, 0x123, 1, true), h->ram + 0x123);
    assert_ptr_equal(memory_host(memory, 0, RAM_SIZE, true), h->ram);
    assert_null(memory_host(memory, 0, RAM_SIZE + 1ull, true));
    assert_null(memory_host(memory, 1, RAM_SIZE, false));
    assert_null(memory_host(memory, 8, ~0ull, false));
    assert_null(memory_host(memory, RAM_SIZE, 1, false));
    assert_null(memory_host(memory, ~0ull, 1, false));
    assert_ptr_equal(memory_host(memory, ROM_GPA + 8, 8, false), h->rom + 8);
    assert_null(memory_host(memory, ROM_GPA + 8, 8, true));
    harness_free(h);
}

static void dirty_log(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct guest_memory *memory = &h->vm.memory;
    uint64_t value = 1;
    assert_true(memory_is_dirty(memory, 0x5000)); /* no log: everything counts as written */
    memory->page_flags = h->page_flags;
    memory->page_flags_count = sizeof(h->page_flags);
    h->page_flags[5] = PAGE_CODE;
    assert_int_equal(memory_physical_write(&h->vcpu, 0x4ffe, &value, 8), 0);
    assert_int_equal(h->page_flags[4], PAGE_DIRTY);
    assert_int_equal(h->page_flags[5], PAGE_DIRTY | PAGE_CODE);
    assert_int_equal(h->page_flags[3] | h->page_flags[6], 0);
    assert_non_null(memory_host(memory, 0x8000, 0x2001, true));
    assert_int_equal(h->page_flags[8] & h->page_flags[9] & h->page_flags[10], PAGE_DIRTY);
    assert_int_equal(h->page_flags[11], 0);
    assert_non_null(memory_host(memory, 0xb000, 0x1000, false));
    assert_int_equal(memory_physical_read(&h->vcpu, 0xb000, &value, 8), 0);
    assert_int_equal(h->page_flags[11], 0);
    assert_int_equal(memory_physical_write(&h->vcpu, RAM2_GPA, &value, 8), 0); /* beyond the log */
    harness_free(h);
}

/* A TLB entry must not hide the first write after the log was cleared and the TLB flushed. */
static void dirty_log_and_tlb(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct vcpu *vcpu = &h->vcpu;
    uint64_t next = 0x10000, value = 7;
    h->vm.memory.page_flags = h->page_flags;
    h->vm.memory.page_flags_count = sizeof(h->page_flags);
    vcpu->r.cr3 = 0x1000;
    map4k(h, 0x1000, &next, 0x5000, 0x9000 | PT_P | PT_W | PT_U | PT_D);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(linear_read(vcpu, 0x5000, &value, 8, ACCESS_READ), 0);
        assert_int_equal(h->page_flags[9], 0);
        assert_int_equal(linear_write(vcpu, 0x5000, &value, 8, ACCESS_WRITE), 0);
        assert_int_equal(h->page_flags[9], PAGE_DIRTY);
        uint64_t misses = vcpu->statistics.tlb_misses;
        assert_int_equal(linear_write(vcpu, 0x5008, &value, 8, ACCESS_WRITE), 0);
        assert_int_equal(vcpu->statistics.tlb_misses, misses);
        h->page_flags[9] = 0;
        tlb_flush_all(vcpu);
    }
    assert_int_equal(h->page_flags[entry_gpa(h, 0x1000, 0x5000, 1) >> 12], PAGE_DIRTY); /* A */
    harness_free(h);
}

/* Every alignment and size against a byte-wise prediction: pieces are aligned powers of two. */
static void mmio_pieces(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    uint8_t data[40];
    for (unsigned offset = 0; offset < 16; offset++) {
        for (unsigned size = 1; size <= 32; size++) {
            for (unsigned i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t)(i + 1);
            h->log_count = 0;
            assert_int_equal(memory_physical_write(&h->vcpu, DEVICE_GPA + offset, data, size), 0);
            uint64_t at = DEVICE_GPA + offset;
            for (unsigned i = 0; i < h->log_count; i++) {
                const struct mmio_record *piece = &h->log[i];
                assert_int_equal(piece->gpa, at);
                assert_true(piece->size == 1 || piece->size == 2 || piece->size == 4 ||
                            piece->size == 8);
                assert_int_equal(piece->gpa % piece->size, 0);
                assert_true(piece->write && !piece->internal);
                assert_memory_equal(&piece->value, data + (at - DEVICE_GPA - offset), piece->size);
                assert_int_equal(piece->value & ~bits_mask(piece->size), 0);
                at += piece->size;
            }
            assert_int_equal(at, DEVICE_GPA + offset + size);
        }
    }
    /* A naturally aligned access is one piece. */
    for (unsigned size = 1; size <= 8; size *= 2) {
        h->log_count = 0;
        h->mmio_value = 0x8877665544332211;
        memset(data, 0xcc, sizeof(data));
        assert_int_equal(memory_physical_read(&h->vcpu, DEVICE_GPA + size, data, size), 0);
        assert_int_equal(h->log_count, 1);
        assert_memory_equal(data, &h->mmio_value, size);
        assert_int_equal(data[size], 0xcc);
    }
    harness_free(h);
}

static void mmio_dispatch(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    uint64_t value = 0;
    /* The controllers come first. */
    assert_int_equal(memory_physical_read(&h->vcpu, APIC_GPA + 0x20, &value, 4), 0);
    assert_int_equal(value, 0xa5a6a7a8);
    assert_true(h->log[0].internal);
    /* -ECANCELED is passed on, after the whole access. */
    h->mmio_status = -ECANCELED;
    h->log_count = 0;
    uint64_t data[3] = { 1, 2, 3 };
    assert_int_equal(memory_physical_write(&h->vcpu, DEVICE_GPA, data, 24), -ECANCELED);
    assert_int_equal(h->log_count, 3);
    h->mmio_value = 0x1234;
    assert_int_equal(memory_physical_read(&h->vcpu, DEVICE_GPA, data, 8), -ECANCELED);
    assert_int_equal(data[0], 0x1234);
    h->mmio_status = 0;
    /* ROM: reads are memory, writes are MMIO. */
    h->rom[0x10] = 0x5a;
    h->log_count = 0;
    value = 0;
    assert_int_equal(memory_physical_read(&h->vcpu, ROM_GPA + 0x10, &value, 1), 0);
    assert_int_equal(value, 0x5a);
    assert_int_equal(h->log_count, 0);
    assert_int_equal(memory_physical_write(&h->vcpu, ROM_GPA + 0x10, &value, 8), 0);
    assert_int_equal(h->log_count, 1);
    assert_int_equal(h->rom[0x10], 0x5a);
    /* Nobody there at all. */
    h->vm.machine = NULL;
    assert_int_equal(memory_physical_read(&h->vcpu, DEVICE_GPA, &value, 8), 0);
    assert_int_equal(value, ~0ull);
    assert_int_equal(memory_physical_write(&h->vcpu, DEVICE_GPA, &value, 8), 0);
    harness_free(h);
}

/* From RAM over the end of its slot. */
static void crossing_slots(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    uint8_t data[16];
    memset(h->ram2 + RAM2_SIZE - 4, 0x11, 4);
    h->mmio_value = 0x2222222222222222;
    assert_int_equal(memory_physical_read(&h->vcpu, RAM2_GPA + RAM2_SIZE - 4, data, 12), 0);
    assert_int_equal(data[3], 0x11);
    assert_int_equal(data[4], 0x22);
    assert_int_equal(h->log_count, 1);
    assert_int_equal(h->log[0].gpa, RAM2_GPA + RAM2_SIZE);
    assert_int_equal(h->log[0].size, 8);
    h->log_count = 0;
    memset(data, 0x33, sizeof(data));
    assert_int_equal(memory_physical_write(&h->vcpu, RAM2_GPA - 2, data, 4), 0);
    assert_int_equal(h->log_count, 1);
    assert_int_equal(h->log[0].size, 2);
    assert_int_equal(h->ram2[1], 0x33);
    assert_int_equal(h->ram2[2], 0);
    /* Around the end of the address space nothing is there, and nothing breaks. */
    h->log_count = 0;
    assert_int_equal(memory_physical_read(&h->vcpu, ~0ull - 1, data, 4), 0);
    assert_int_equal(h->log_count, 1);
    harness_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_refused),     cmocka_unit_test(slots_random),
        cmocka_unit_test(host_ranges),       cmocka_unit_test(dirty_log),
        cmocka_unit_test(dirty_log_and_tlb), cmocka_unit_test(mmio_pieces),
        cmocka_unit_test(mmio_dispatch),     cmocka_unit_test(crossing_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
