/* SPDX-License-Identifier: MIT */
/* kernels.c - building small kernels byte by byte. */
#include "kernels.h"
#include "loaders/bytes.h"
#include <stdlib.h>
#include <string.h>

size_t kernel_bzimage(uint8_t *data)
{
    const size_t setup = 512 * 3, code = 4096;

    memset(data, 0, KERNEL_MAX);
    data[0x1f1] = 2; /* setup sectors after the boot sector */
    bytes_put(data + 0x1f4, code / 16, 4);
    bytes_put(data + 0x1fe, 0xaa55, 2);
    data[0x200] = 0xeb;
    data[0x201] = 0x6a;
    memcpy(data + 0x202, "HdrS", 4);
    bytes_put(data + 0x206, 0x20f, 2);
    data[0x211] = 1;
    bytes_put(data + 0x22c, 0x7fffffff, 4);
    bytes_put(data + 0x230, 0x200000, 4);
    data[0x234] = 1;
    bytes_put(data + 0x236, 1, 2);
    bytes_put(data + 0x238, 2047, 4);
    bytes_put(data + 0x258, 0x1000000, 8);
    bytes_put(data + 0x260, 0x100000, 4);
    memset(data + setup, 0x90, code);
    data[setup + 0x200] = 0xf4;
    return setup + code;
}

/* ELF header with `count` program headers right behind it. */
static uint8_t *elf_header(uint8_t *data, int is_64, uint64_t entry, unsigned count)
{
    memset(data, 0, KERNEL_MAX);
    memcpy(data,
           "\x7f"
           "ELF",
           4);
    data[4] = is_64 ? 2 : 1;
    data[5] = data[6] = 1;
    bytes_put(data + 16, 2, 2);
    bytes_put(data + 18, is_64 ? 62 : 3, 2);
    bytes_put(data + 20, 1, 4);
    if (is_64) {
        bytes_put(data + 24, entry, 8);
        bytes_put(data + 32, 64, 8);
        bytes_put(data + 54, 56, 2);
        bytes_put(data + 56, count, 2);
        return data + 64;
    }
    bytes_put(data + 24, entry, 4);
    bytes_put(data + 28, 52, 4);
    bytes_put(data + 42, 32, 2);
    bytes_put(data + 44, count, 2);
    return data + 52;
}

size_t kernel_pvh(uint8_t *data)
{
    uint8_t *load = elf_header(data, 1, 0x100000, 2);
    uint8_t *note = load + 56;

    bytes_put(load, 1, 4);
    bytes_put(load + 8, 4096, 8);
    bytes_put(load + 16, 0x100000, 8);
    bytes_put(load + 24, 0x100000, 8);
    bytes_put(load + 32, 1024, 8);
    bytes_put(load + 40, 8192, 8);
    bytes_put(note, 4, 4);
    bytes_put(note + 8, 512, 8);
    bytes_put(note + 32, 40, 8);
    bytes_put(note + 40, 40, 8);
    /* Another note first, then the entry point. */
    bytes_put(data + 512, 4, 4);
    bytes_put(data + 516, 4, 4);
    bytes_put(data + 520, 6, 4);
    memcpy(data + 524, "Xen", 4);
    bytes_put(data + 532, 4, 4);
    bytes_put(data + 536, 4, 4);
    bytes_put(data + 540, 18, 4);
    memcpy(data + 544, "Xen", 4);
    bytes_put(data + 548, 0x100010, 4);
    bytes_put(note + 32, 552 - 512, 8);
    memset(data + 4096, 0xf4, 1024);
    return 4096 + 1024;
}

static void multiboot_header(uint8_t *at, uint32_t flags)
{
    bytes_put(at, 0x1badb002, 4);
    bytes_put(at + 4, flags, 4);
    bytes_put(at + 8, (uint32_t) - (0x1badb002 + flags), 4);
}

size_t kernel_multiboot_elf(uint8_t *data)
{
    uint8_t *load = elf_header(data, 0, 0xc0100020, 1);

    bytes_put(load, 1, 4);
    bytes_put(load + 4, 4096, 4);
    bytes_put(load + 8, 0xc0100000, 4); /* linked high, loaded low */
    bytes_put(load + 12, 0x100000, 4);
    bytes_put(load + 16, 1024, 4);
    bytes_put(load + 20, 5000, 4);
    memset(data + 4096, 0xf4, 1024);
    multiboot_header(data + 4096, 3);
    return 4096 + 1024;
}

size_t kernel_multiboot_addresses(uint8_t *data)
{
    memset(data, 0, KERNEL_MAX);
    multiboot_header(data + 64, 0x10003);
    bytes_put(data + 76, 0x200040, 4); /* header */
    bytes_put(data + 80, 0x200000, 4); /* load */
    bytes_put(data + 84, 0x200800, 4); /* load end */
    bytes_put(data + 88, 0x203000, 4); /* bss end */
    bytes_put(data + 92, 0x200100, 4); /* entry */
    data[0x100] = 0xf4;
    return 4096;
}

void test_ram_make(struct ram *ram, uint64_t size)
{
    const struct ram_chunk chunks[2] = {
        { .gpa = 0, .size = RAM_VGA, .host = calloc(1, RAM_VGA), .fd = -1 },
        { .gpa = RAM_VGA_END,
          .size = size - RAM_VGA_END,
          .host = calloc(1, size - RAM_VGA_END),
          .fd = -1 },
    };

    ram_init(ram);
    if (!chunks[0].host || !chunks[1].host || ram_add(ram, &chunks[0]) || ram_add(ram, &chunks[1]))
        abort();
    ram->size = size;
}

void test_ram_free(struct ram *ram)
{
    for (unsigned i = 0; i < ram->count; i++)
        free(ram->chunk[i].host);
    ram_init(ram);
}
