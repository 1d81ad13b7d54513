/* SPDX-License-Identifier: MIT */
/* kernels.h - the smallest kernels of each format, for tests to load, break and fuzz. */
#ifndef ORIGAMI_TESTS_KERNELS_H
#define ORIGAMI_TESTS_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "memory/ram.h"

#define KERNEL_MAX 16384

/* Each fills `data` (KERNEL_MAX bytes) and returns the size. */
size_t kernel_bzimage(uint8_t *data); /* 64-bit entry, relocatable, prefers 16 MiB, room 1 MiB */
size_t kernel_pvh(uint8_t *data);     /* one segment at 1 MiB, entry 0x100010 */
size_t kernel_multiboot_elf(uint8_t *data);       /* the same with a multiboot header, 32-bit ELF */
size_t kernel_multiboot_addresses(uint8_t *data); /* load addresses in the header: 2 MiB */

/* Guest memory without a memory object: 640 KiB, then from 768 KiB to `size`. Zeroed. */
void test_ram_make(struct ram *ram, uint64_t size);
void test_ram_free(struct ram *ram);

#endif
