/* SPDX-License-Identifier: MIT */
/* memorymap.c - the map of physical memory that every boot protocol hands to the guest. */
#include "memorymap.h"
#include "../devices/pci/pci.h"

static unsigned add(struct memory_range *map, unsigned count, uint64_t start, uint64_t end,
                    uint32_t type)
{
    if (start >= end || count == MEMORY_MAP_MAX)
        return count;
    map[count] = (struct memory_range){ .address = start, .size = end - start, .type = type };
    return count + 1;
}

unsigned memory_map_build(const struct ram *ram, struct memory_range *map)
{
    unsigned count = 0;
    bool reserved = false; /* configuration space of PCI */

    count = add(map, count, 0, FIRMWARE_EBDA, MEMORY_USABLE);
    count = add(map, count, FIRMWARE_EBDA, RAM_VGA, MEMORY_RESERVED);
    count = add(map, count, FIRMWARE_AREA, FIRMWARE_AREA_END, MEMORY_RESERVED);
    for (unsigned i = 0; i < ram->count; i++) {
        uint64_t start = ram->chunk[i].gpa;
        uint64_t end = start + ram->chunk[i].size;
        if (start < FIRMWARE_AREA_END)
            start = FIRMWARE_AREA_END;
        if (start > PCI_ECAM && !reserved) /* in ascending order */
            count = add(map, count, PCI_ECAM, PCI_ECAM + PCI_ECAM_SIZE, MEMORY_RESERVED);
        reserved |= start > PCI_ECAM;
        count = add(map, count, start, end, MEMORY_USABLE);
    }
    if (!reserved)
        count = add(map, count, PCI_ECAM, PCI_ECAM + PCI_ECAM_SIZE, MEMORY_RESERVED);
    return count;
}
