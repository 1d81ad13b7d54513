/* SPDX-License-Identifier: MIT */
/*
 * layout.h - where the loaders put what a kernel finds below 640 KiB. Nothing of it outlives the
 * kernel's own start-up. An ELF segment that would lie on it is refused.
 */
#ifndef ORIGAMI_MACHINE_LAYOUT_H
#define ORIGAMI_MACHINE_LAYOUT_H

#define BOOT_AREA         0x1000ull
#define BOOT_GDT          0x1000ull
#define BOOT_PAGE_TABLES  0x2000ull  /* PML4, PDPT, four page directories: 6 pages */
#define BOOT_PARAMS       0x10000ull /* Linux's "zero page", 4 KiB */
#define BOOT_SETUP_DATA   0x11000ull
#define BOOT_START_INFO   0x12000ull /* PVH: start info, memory map, module list, 8 KiB */
#define BOOT_CMDLINE      0x20000ull
#define BOOT_CMDLINE_SIZE 0x10000ull
#define BOOT_STRINGS      0x30000ull /* PVH: arguments of modules */
#define BOOT_STRINGS_SIZE 0x10000ull
#define BOOT_STACK        0x50000ull /* top of a stack for kernels that push before setting one up */
#define BOOT_AREA_END     0x50000ull

#define PAGE_ALIGN(value) (((value) + 4095) & ~4095ull)

#endif
