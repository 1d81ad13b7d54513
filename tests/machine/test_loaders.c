/* SPDX-License-Identifier: MIT */
/* test_loaders.c - what each loader puts where, and what it refuses. */
#include "kernels.h"
#include "loaders/layout.h"
#include "loaders/loader.h"
#include "memory/dma.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MIB (1ull << 20)

static uint8_t file[KERNEL_MAX];
static struct problem problem;

static uint64_t guest(struct ram *ram, uint64_t address, unsigned size)
{
    uint8_t bytes[8] = { 0 };

    assert_int_equal(dma_read(ram, DMA_MACHINE, address, bytes, size), 0);
    return bytes_field((struct bytes){ bytes, 8 }, 0, size);
}

static void guest_string(struct ram *ram, uint64_t address, const char *expected)
{
    char text[256] = { 0 };

    assert_int_equal(dma_read(ram, DMA_MACHINE, address, text, strlen(expected) + 1), 0);
    assert_string_equal(text, expected);
}

static struct boot_request request_for(size_t size)
{
    return (
        struct boot_request){ .kernel = { file, size }, .kernel_name = "kernel", .rsdp = 0xe0000 };
}

/* Loads into fresh memory and expects the status (0 = success). */
static void expect(const struct boot_request *request, uint64_t memory, int status)
{
    struct ram ram;
    struct boot_entry entry;

    test_ram_make(&ram, memory);
    problem = (struct problem){ 0 };
    int result = loader_load(&ram, request, &entry, &problem);
    if (status) {
        assert_int_not_equal(result, 0);
        assert_int_equal(problem.status, status);
        assert_true(problem.text[0]);
    } else {
        assert_int_equal(result, 0);
    }
    test_ram_free(&ram);
}

/* ---- bzImage ---- */

static void bzimage_boots_in_64_bit(void **state)
{
    struct ram ram;
    struct boot_entry entry;
    struct boot_request request = request_for(kernel_bzimage(file));
    const struct boot_module initrd = { .data = { file, 5000 }, .name = "initrd" };

    (void)state;
    request.initrd = &initrd;
    request.cmdline = "quiet";
    test_ram_make(&ram, 64 * MIB);
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    assert_true(entry.long_mode);
    assert_int_equal(entry.rip, 0x1000200);
    assert_int_equal(entry.rsi, BOOT_PARAMS);
    assert_int_equal(guest(&ram, entry.rip, 1), 0xf4);
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x202, 4), 0x53726448); /* HdrS */
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x210, 1), 0xff);
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x070, 8), 0xe0000);
    guest_string(&ram, guest(&ram, BOOT_PARAMS + 0x228, 4), "quiet");
    uint64_t image = guest(&ram, BOOT_PARAMS + 0x218, 4);
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x21c, 4), 5000);
    assert_int_equal(image, (64 * MIB - 5000) & ~4095ull);
    assert_int_equal(guest(&ram, image + 0x1fe, 2), 0xaa55);
    /* E820: below 640 KiB, EBDA, firmware, RAM from 1 MiB, PCI's configuration space. */
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x1e8, 1), 5);
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x2d0 + 60, 8), MIB);
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x2d0 + 68, 8), 63 * MIB);
    /* The page tables map the last 2 MiB below 4 GiB one to one. */
    uint64_t pdpt = guest(&ram, entry.cr3, 8) & ~4095ull;
    uint64_t directory = guest(&ram, pdpt + 24, 8) & ~4095ull;
    assert_int_equal(guest(&ram, directory + 511 * 8, 8), 0xffe00083);
    /* Seed for the guest's random numbers. */
    assert_int_equal(guest(&ram, BOOT_PARAMS + 0x250, 8), BOOT_SETUP_DATA);
    assert_int_equal(guest(&ram, BOOT_SETUP_DATA + 8, 4), 9);
    test_ram_free(&ram);
}

static void bzimage_entry_registers(void **state)
{
    struct vcpu_registers registers;
    struct ram ram;
    struct boot_entry entry;
    const struct boot_request request = request_for(kernel_bzimage(file));

    (void)state;
    test_ram_make(&ram, 64 * MIB);
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    memset(&registers, 0xaa, sizeof(registers));
    loader_registers(&entry, &registers);
    assert_int_equal(registers.cr0, 0x80000011);
    assert_int_equal(registers.efer, 0x500);
    assert_int_equal(registers.cr4, 0x20);
    assert_int_equal(registers.rflags, 2);
    assert_int_equal(registers.segment[1].selector, 0x10);
    assert_int_equal(registers.segment[3].selector, 0x18);
    assert_true(registers.segment[1].rights & RIGHTS_L);
    assert_false(registers.segment[1].rights & 0x4000);
    assert_int_equal(guest(&ram, registers.gdtr.base + 0x10, 8), 0x00af9b000000ffffull);
    test_ram_free(&ram);
}

static void bzimage_relocates_when_it_must(void **state)
{
    struct ram ram;
    struct boot_entry entry;
    struct boot_request request = request_for(kernel_bzimage(file));

    (void)state;
    test_ram_make(&ram, 8 * MIB); /* the preferred 16 MiB are not there */
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    assert_int_equal(entry.rip, 0x200200);
    test_ram_free(&ram);
    file[0x234] = 0; /* not relocatable */
    expect(&request, 8 * MIB, STATUS_INPUT);
}

static void bzimage_without_64_bit_entry(void **state)
{
    struct ram ram;
    struct boot_entry entry;
    const struct boot_request request = request_for(kernel_bzimage(file));

    (void)state;
    file[0x236] = 0;
    test_ram_make(&ram, 64 * MIB);
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    assert_false(entry.long_mode);
    assert_int_equal(entry.rip, 0x1000000);
    assert_int_equal(guest(&ram, BOOT_GDT + 0x10, 8), 0x00cf9b000000ffffull);
    test_ram_free(&ram);
}

static void bzimage_refusals(void **state)
{
    const struct boot_module large = { .data = { file, KERNEL_MAX }, .name = "x", .arguments = "" };
    struct boot_module huge = large;
    size_t size = kernel_bzimage(file);
    struct boot_request request = request_for(size);
    char cmdline[3000];

    (void)state;
    expect(&request, 2 * MIB, STATUS_INPUT); /* no room */
    expect(&request, 1 * MIB, STATUS_INPUT);
    request.kernel.size = size - 100; /* truncated */
    expect(&request, 64 * MIB, STATUS_INPUT);
    request.kernel.size = 0x210;
    expect(&request, 64 * MIB, STATUS_INPUT);
    request.kernel.size = size;
    request.module = &large;
    request.module_count = 1;
    expect(&request, 64 * MIB, STATUS_USAGE);
    request.module_count = 0;
    memset(cmdline, 'a', sizeof(cmdline));
    cmdline[sizeof(cmdline) - 1] = 0;
    request.cmdline = cmdline;
    expect(&request, 64 * MIB, STATUS_INPUT);
    request.cmdline = NULL;
    huge.data.size = 48 * MIB; /* refused by its size before it is read */
    request.initrd = &huge;
    expect(&request, 64 * MIB, STATUS_INPUT);
    request.initrd = NULL;
    bytes_put(file + 0x206, 0x204, 2); /* old protocol */
    expect(&request, 64 * MIB, STATUS_INPUT);
    bytes_put(file + 0x206, 0x20f, 2);
    bytes_put(file + 0x230, 0x300000, 4); /* alignment */
    expect(&request, 64 * MIB, STATUS_INPUT);
    bytes_put(file + 0x230, 0x200000, 4);
    bytes_put(file + 0x258, 0xfffffffffffff000ull, 8); /* preferred address wraps: relocated */
    expect(&request, 64 * MIB, 0);
    bytes_put(file + 0x260, 0xffffffff, 4);
    expect(&request, 64 * MIB, STATUS_INPUT);
}

/* ---- PVH ---- */

static void pvh_boots(void **state)
{
    struct ram ram;
    struct boot_entry entry;
    struct boot_request request = request_for(kernel_pvh(file));
    const struct boot_module initrd = { .data = { file, 100 }, .name = "initrd", .arguments = "" };
    const struct boot_module module = { .data = { file, 200 }, .name = "m", .arguments = "a b" };

    (void)state;
    request.initrd = &initrd;
    request.module = &module;
    request.module_count = 1;
    test_ram_make(&ram, 16 * MIB);
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    assert_false(entry.long_mode);
    assert_int_equal(entry.rip, 0x100010);
    uint64_t info = entry.rbx;
    assert_int_equal(guest(&ram, info, 4), 0x336ec578);
    assert_int_equal(guest(&ram, info + 4, 4), 1);
    assert_int_equal(guest(&ram, info + 12, 4), 2);
    assert_int_equal(guest(&ram, info + 32, 8), 0xe0000);
    guest_string(&ram, guest(&ram, info + 24, 8), LOADER_DEFAULT_CMDLINE);
    uint64_t list = guest(&ram, info + 16, 8);
    assert_int_equal(guest(&ram, list + 8, 8), 100);
    assert_int_equal(guest(&ram, list + 40, 8), 200);
    guest_string(&ram, guest(&ram, list + 48, 8), "a b");
    assert_int_equal(guest(&ram, guest(&ram, list + 32, 8), 4), 0x464c457f);
    assert_int_equal(guest(&ram, info + 48, 4), 5);
    uint64_t map = guest(&ram, info + 40, 8);
    assert_int_equal(guest(&ram, map + 3 * 24, 8), MIB);
    assert_int_equal(guest(&ram, map + 3 * 24 + 16, 4), 1);
    test_ram_free(&ram);
}

static void pvh_refusals(void **state)
{
    static const struct {
        unsigned offset, size;
        uint64_t value;
    } damage[] = {
        { 4, 1, 3 },                /* class */
        { 5, 1, 2 },                /* big-endian */
        { 18, 2, 40 },              /* ARM */
        { 32, 8, 1ull << 63 },      /* program headers far away */
        { 54, 2, 8 },               /* too small */
        { 56, 2, 0xffff },          /* too many */
        { 540, 4, 17 },             /* no such note */
        { 532, 4, 0xffffffff },     /* note name size */
        { 536, 4, 0xfffffff0 },     /* note value size */
        { 548, 4, 0xf0000000 },     /* entry outside memory */
        { 64 + 8, 8, 1ull << 60 },  /* segment outside the file */
        { 64 + 24, 8, 0xa0000 },    /* segment in the VGA hole */
        { 64 + 24, 8, 0x20000 },    /* over boot information */
        { 64 + 24, 8, 0xf0000 },    /* over firmware tables */
        { 64 + 24, 8, ~0ull },      /* wraps */
        { 64 + 40, 8, 1ull << 40 }, /* larger than memory */
        { 64 + 40, 8, 100 },        /* smaller in memory than in the file */
        { 64, 4, 2 },               /* nothing to load */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        struct boot_request request = request_for(kernel_pvh(file));
        bytes_put(file + damage[i].offset, damage[i].value, damage[i].size);
        expect(&request, 16 * MIB, STATUS_INPUT);
    }
    for (size_t size = 0; size < 5120; size += 37) {
        struct boot_request request = request_for(kernel_pvh(file));
        request.kernel.size = size;
        expect(&request, 16 * MIB, STATUS_INPUT);
    }
}

/* ---- Multiboot ---- */

static void multiboot_boots(void **state)
{
    struct ram ram;
    struct boot_entry entry;
    struct boot_request request = request_for(kernel_multiboot_elf(file));
    const struct boot_module modules[2] = {
        { .data = { file, 100 }, .name = "one", .arguments = "" },
        { .data = { file, 5000 }, .name = "two", .arguments = "x=1" },
    };

    (void)state;
    request.module = modules;
    request.module_count = 2;
    request.cmdline = "-v";
    test_ram_make(&ram, 16 * MIB);
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    assert_int_equal(entry.rip, 0x100020); /* the virtual entry point, moved with its segment */
    assert_int_equal(entry.rax, 0x2badb002);
    uint64_t info = entry.rbx;
    assert_int_equal(guest(&ram, info, 4), 0x24d);
    assert_int_equal(guest(&ram, info + 4, 4), 639);
    assert_int_equal(guest(&ram, info + 8, 4), 15 * 1024);
    guest_string(&ram, guest(&ram, info + 16, 4), "kernel -v");
    assert_int_equal(guest(&ram, info + 20, 4), 2);
    uint64_t list = guest(&ram, info + 24, 4);
    uint64_t start = guest(&ram, list + 16, 4);
    assert_int_equal(start % 4096, 0);
    assert_true(start >= 0x100000 + 5000);
    assert_int_equal(guest(&ram, list + 20, 4) - start, 5000);
    guest_string(&ram, guest(&ram, list + 8, 4), "one");
    guest_string(&ram, guest(&ram, list + 24, 4), "two x=1");
    assert_int_equal(guest(&ram, info + 44, 4), 5 * 24);
    test_ram_free(&ram);
}

static void multiboot_load_addresses(void **state)
{
    struct ram ram;
    struct boot_entry entry;
    struct boot_request request = request_for(kernel_multiboot_addresses(file));

    (void)state;
    test_ram_make(&ram, 16 * MIB);
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    assert_int_equal(entry.rip, 0x200100);
    assert_int_equal(guest(&ram, entry.rip, 1), 0xf4);
    assert_int_equal(guest(&ram, 0x200040, 4), 0x1badb002);
    test_ram_free(&ram);
    bytes_put(file + 76, 0x300040, 4); /* contradiction */
    expect(&request, 16 * MIB, STATUS_INPUT);
    kernel_multiboot_addresses(file);
    bytes_put(file + 84, 0x300000, 4); /* past the file */
    expect(&request, 16 * MIB, STATUS_INPUT);
    kernel_multiboot_addresses(file);
    bytes_put(file + 88, 0xffffffff, 4); /* bss past memory */
    expect(&request, 16 * MIB, STATUS_INPUT);
}

static void multiboot_refusals(void **state)
{
    struct boot_request request = request_for(kernel_multiboot_elf(file));
    const struct boot_module initrd = { .data = { file, 100 }, .name = "initrd", .arguments = "" };

    (void)state;
    request.initrd = &initrd;
    expect(&request, 16 * MIB, STATUS_USAGE);
    request.initrd = NULL;
    expect(&request, 1 * MIB, STATUS_INPUT);
    bytes_put(file + 4096 + 4, 0x23, 4); /* unknown required feature */
    bytes_put(file + 4096 + 8, (uint32_t) - (0x1badb002 + 0x23), 4);
    expect(&request, 16 * MIB, STATUS_INPUT);
}

/* ---- Others ---- */

static void not_kernels(void **state)
{
    static const char *const starts[] = { "\x1f\x8b", "MZ", "!<arch>", "hello", "070701", "" };

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        memset(file, 0, sizeof(file));
        memcpy(file, starts[i], strlen(starts[i]));
        struct boot_request request = request_for(i == 5 ? 0 : 100);
        expect(&request, 16 * MIB, STATUS_INPUT);
    }
}

/* A real kernel, if one is given: loads, and every truncation of it is refused. */
static void debian_kernel(void **state)
{
    const char *path = getenv("ORIGAMI_TEST_KERNEL");
    FILE *stream = path ? fopen(path, "rb") : NULL;
    struct ram ram;
    struct boot_entry entry;

    (void)state;
    if (!stream)
        skip();
    size_t capacity = 64 * MIB;
    uint8_t *data = malloc(capacity);
    assert_non_null(data);
    size_t size = fread(data, 1, capacity, stream);
    fclose(stream);
    struct boot_request request = { .kernel = { data, size }, .kernel_name = path };
    test_ram_make(&ram, 128 * MIB);
    assert_int_equal(loader_load(&ram, &request, &entry, &problem), 0);
    assert_true(entry.long_mode);
    test_ram_free(&ram);
    for (size_t cut = size - 4096; cut > 4096; cut /= 3) {
        request.kernel.size = cut;
        expect(&request, 128 * MIB, STATUS_INPUT);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bzimage_boots_in_64_bit),
        cmocka_unit_test(bzimage_entry_registers),
        cmocka_unit_test(bzimage_relocates_when_it_must),
        cmocka_unit_test(bzimage_without_64_bit_entry),
        cmocka_unit_test(bzimage_refusals),
        cmocka_unit_test(pvh_boots),
        cmocka_unit_test(pvh_refusals),
        cmocka_unit_test(multiboot_boots),
        cmocka_unit_test(multiboot_load_addresses),
        cmocka_unit_test(multiboot_refusals),
        cmocka_unit_test(not_kernels),
        cmocka_unit_test(debian_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
