/* SPDX-License-Identifier: MIT */
/* test_memory.c - guest memory, DMA, hashes, the memory map. */
#include "devices/pci/pci.h"
#include "firmware/memorymap.h"
#include "kernels.h"
#include "memory/dma.h"
#include "memory/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct problem problem;

static void layout(void **state)
{
    struct ram ram;
    struct memory_range map[MEMORY_MAP_MAX];

    (void)state;
    ram_init(&ram);
    assert_int_equal(ram_create(&ram, 4 * GIB, &problem), 0);
    assert_int_equal(ram.count, 3);
    assert_int_equal(ram.chunk[1].gpa, RAM_VGA_END);
    assert_int_equal(ram.chunk[1].gpa + ram.chunk[1].size, 3 * GIB);
    assert_int_equal(ram.chunk[2].gpa, 4 * GIB);
    assert_int_equal(ram.chunk[2].size, GIB);
    assert_int_equal(ram_low_end(&ram), 3 * GIB);
    assert_int_equal(ram_page_count(&ram), 5 * GIB / 4096);
    unsigned count = memory_map_build(&ram, map);
    assert_int_equal(count, 6);
    for (unsigned i = 1; i < count; i++)
        assert_true(map[i].address >= map[i - 1].address + map[i - 1].size);
    assert_int_equal(map[4].address, PCI_ECAM); /* PCI's configuration space */
    assert_int_equal(map[4].type, MEMORY_RESERVED);
    assert_int_equal(map[5].address, 4 * GIB);
    ram_destroy(&ram);
    ram_destroy(&ram);
}

static void sizes(void **state)
{
    struct ram ram;

    (void)state;
    ram_init(&ram);
    assert_int_equal(ram_create(&ram, MIB, &problem), 0);
    assert_int_equal(ram_low_end(&ram), MIB);
    ram_destroy(&ram);
    assert_int_not_equal(ram_create(&ram, MIB - 4096, &problem), 0);
    assert_int_equal(problem.status, STATUS_USAGE);
    assert_int_not_equal(ram_create(&ram, 1024 * GIB, &problem), 0);
    assert_int_equal(problem.status, STATUS_USAGE);
    ram_destroy(&ram);
}

static void dma_crosses_chunks_only_where_there_is_ram(void **state)
{
    struct ram ram;
    uint8_t flags[1024] = { 0 }, data[64], back[64];
    uint8_t *blocks = calloc(4, 4096);
    const struct ram_chunk chunks[] = {
        { .gpa = 0, .size = 4096, .host = blocks, .fd = -1 },
        { .gpa = 4096, .size = 4096, .host = blocks + 8192, .fd = -1 },
        { .gpa = 16384, .size = 4096, .host = blocks + 4096, .fd = -1 },
    };

    (void)state;
    assert_non_null(blocks);
    ram_init(&ram);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ram_add(&ram, &chunks[i]), 0);
    assert_int_equal(ram_add(&ram, &chunks[0]), -17);
    ram.page_flags = flags;
    ram.page_flags_count = sizeof(flags);
    for (unsigned i = 0; i < 64; i++)
        data[i] = (uint8_t)(i + 1);
    assert_int_equal(dma_write(&ram, 8, 4096 - 32, data, 64), 0);
    assert_int_equal(blocks[4095], 32);
    assert_int_equal(blocks[8192], 33);
    assert_int_equal(dma_read(&ram, 8, 4096 - 32, back, 64), 0);
    assert_memory_equal(data, back, 64);
    assert_true(flags[0] == DMA_PAGE_DIRTY && flags[1] == DMA_PAGE_DIRTY && flags[2] == 0);
    /* All or nothing. */
    memset(back, 0x77, sizeof(back));
    assert_int_equal(dma_read(&ram, 8, 8192 - 32, back, 64), -14);
    assert_int_equal(back[0], 0x77);
    assert_int_equal(dma_write(&ram, 8, 20480 - 8, data, 64), -14);
    assert_int_equal(dma_write(&ram, 8, ~0ull - 8, data, 64), -14);
    assert_int_equal(dma_write(&ram, 8, ~0ull - 8, data, 9), -14);
    assert_int_equal(dma_fill(&ram, 8, 0, 0xff, 8192), 0);
    assert_int_equal(blocks[8192 + 4095], 0xff);
    assert_null(dma_map(&ram, 8, 4000, 200, false));
    assert_ptr_equal(dma_map(&ram, 8, 4200, 200, true), blocks + 8192 + 104);
    dma_unmap(&ram, 8, 4200, 200, true);
    assert_null(dma_map(&ram, 8, 12288, 1, false));
    assert_null(dma_map(&ram, 8, 16384, ~0ull, false));
    free(blocks);
}

static void hash_sees_contents_not_history(void **state)
{
    struct ram one, two;
    uint8_t zero[8192] = { 0 };

    (void)state;
    ram_init(&one);
    ram_init(&two);
    assert_int_equal(ram_create(&one, 32 * MIB, &problem), 0);
    assert_int_equal(ram_create(&two, 32 * MIB, &problem), 0);
    assert_true(ram_hash(&one) == ram_hash(&two));
    assert_int_equal(dma_write(&one, 0, 5 * MIB, "x", 1), 0);
    uint64_t with_x = ram_hash(&one);
    assert_true(with_x != ram_hash(&two));
    assert_int_equal(dma_write(&two, 0, 5 * MIB + 4096, "x", 1), 0);
    assert_true(with_x != ram_hash(&two)); /* the same byte elsewhere */
    assert_int_equal(dma_write(&two, 0, 5 * MIB + 4096, zero, 1), 0);
    assert_int_equal(dma_write(&two, 0, 9 * MIB, zero, sizeof(zero)), 0);
    assert_int_equal(dma_write(&two, 0, 5 * MIB, "x", 1), 0);
    assert_true(with_x == ram_hash(&two));
    assert_int_equal(ram_clear(&one, &problem), 0);
    assert_int_equal(ram_clear(&two, &problem), 0);
    assert_true(ram_hash(&one) == ram_hash(&two));
    ram_destroy(&one);
    ram_destroy(&two);
}

static void hash_of_bytes(void **state)
{
    const uint8_t a[16] = { 0 }, b[16] = { [15] = 1 };

    (void)state;
    assert_true(hash_bytes(HASH_START, a, 16) != hash_bytes(HASH_START, b, 16));
    assert_true(hash_bytes(HASH_START, a, 15) != hash_bytes(HASH_START, a, 16));
    assert_true(hash_bytes(HASH_START, a, 8) != hash_bytes(1, a, 8));
    /* The word that makes a factor zero must not forget what came before. */
    assert_true(hash_word(1, 0xd6e8feb86659fd93ull) != hash_word(2, 0xd6e8feb86659fd93ull));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),
        cmocka_unit_test(sizes),
        cmocka_unit_test(dma_crosses_chunks_only_where_there_is_ram),
        cmocka_unit_test(hash_sees_contents_not_history),
        cmocka_unit_test(hash_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
