/* SPDX-License-Identifier: MIT */
/*
 * elf.h - loading the segments of an x86 ELF file (32- or 64-bit) at their physical addresses.
 * Shared by the PVH and multiboot loaders.
 */
#ifndef ORIGAMI_MACHINE_ELF_H
#define ORIGAMI_MACHINE_ELF_H

#include "loader.h"

#define ELF_LOAD 1u
#define ELF_NOTE 4u

struct elf_segment {
    uint32_t type;
    uint64_t offset, virtual, physical, file_size, memory_size;
};

struct elf {
    struct bytes file;
    const char *name; /* for messages */
    bool is_64;
    uint64_t entry;
    uint64_t table; /* program headers */
    unsigned count, stride;
};

bool elf_recognizes(struct bytes file);
/* Checks the headers: 32- or 64-bit little-endian x86, program headers inside the file. */
int MUST_CHECK elf_open(struct elf *elf, struct bytes file, const char *name,
                        struct problem *problem);
struct elf_segment elf_segment(const struct elf *elf, unsigned index);

/*
 * Loads every PT_LOAD segment. Refuses segments outside the file, outside RAM, over the boot area
 * or over the firmware's. *end is the first address past all of them.
 */
int MUST_CHECK elf_load(const struct elf *elf, struct ram *ram, uint64_t *end,
                        struct problem *problem);

/* The checks of elf_load() for one piece of memory. */
int MUST_CHECK elf_check_place(const struct ram *ram, const char *name, uint64_t start,
                               uint64_t size, struct problem *problem);

#endif
