/* SPDX-License-Identifier: MIT */
/*
 * memorymap.h - what the firmware tells the guest about physical memory, in the terms of the E820
 * call (ACPI specification, chapter 15). The same map serves the Linux, PVH and multiboot
 * protocols.
 */
#ifndef ORIGAMI_MACHINE_MEMORYMAP_H
#define ORIGAMI_MACHINE_MEMORYMAP_H

#include "../memory/ram.h"

#define MEMORY_MAP_MAX  (RAM_CHUNK_MAX + 4)
#define MEMORY_USABLE   1u
#define MEMORY_RESERVED 2u

/* The first megabyte: below EBDA all is the guest's; from FIRMWARE_AREA on are the ACPI tables. */
#define FIRMWARE_EBDA     0x9fc00ull
#define FIRMWARE_AREA     0xe0000ull
#define FIRMWARE_AREA_END 0x100000ull

struct memory_range {
    uint64_t address, size;
    uint32_t type; /* MEMORY_* */
};

/* Fills map[MEMORY_MAP_MAX] in ascending order and returns how many ranges there are. */
unsigned memory_map_build(const struct ram *ram, struct memory_range *map);

#endif
