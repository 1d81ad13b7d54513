/* SPDX-License-Identifier: MIT */
/*
 * elf.c - ELF program headers, checked (System V ABI, "Program Loading"; both classes).
 */
#include "elf.h"
#include "../firmware/memorymap.h"
#include "../memory/dma.h"
#include "layout.h"
#include <errno.h>
#include <inttypes.h>

#define SEGMENTS_MAX 128u

/* Field offsets by class: [0] 32-bit, [1] 64-bit. */
static const struct fields {
    uint8_t word;                                 /* size of an address */
    uint8_t phoff, phentsize, phnum, header_size; /* in the ELF header */
    uint8_t offset, virtual, physical, file_size, memory_size,
        segment_size; /* in a program header */
} fields[2] = {
    { 4, 28, 42, 44, 52, 4, 8, 12, 16, 20, 32 },
    { 8, 32, 54, 56, 64, 8, 16, 24, 32, 40, 56 },
};

bool elf_recognizes(struct bytes file)
{
    return bytes_has(file, 0, 52) && !memcmp(file.data,
                                             "\x7f"
                                             "ELF",
                                             4);
}

int elf_open(struct elf *elf, struct bytes file, const char *name, struct problem *problem)
{
    uint8_t class = bytes_u8(file, 4);
    uint16_t machine = bytes_u16(file, 18);

    *elf = (struct elf){ .file = file, .name = name, .is_64 = class == 2 };
    if (!elf_recognizes(file) || (class != 1 && class != 2) || bytes_u8(file, 5) != 1)
        return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: not a little-endian ELF file",
                           name);
    if (machine != 3 && machine != 62)
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: ELF file for machine type %u, not x86", name, machine);
    const struct fields *at = &fields[elf->is_64];
    elf->entry = bytes_field(file, 24, at->word);
    elf->table = bytes_field(file, at->phoff, at->word);
    elf->stride = bytes_u16(file, at->phentsize);
    elf->count = bytes_u16(file, at->phnum);
    if (!bytes_has(file, 0, at->header_size) || !elf->count || elf->count > SEGMENTS_MAX ||
        elf->stride < at->segment_size ||
        !bytes_has(file, elf->table, (uint64_t)elf->count * elf->stride))
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: ELF program headers are missing or outside the file (truncated?)",
                           name);
    return 0;
}

struct elf_segment elf_segment(const struct elf *elf, unsigned index)
{
    const struct fields *at = &fields[elf->is_64];
    uint64_t base = elf->table + (uint64_t)index * elf->stride;

    return (struct elf_segment){
        .type = bytes_u32(elf->file, base),
        .offset = bytes_field(elf->file, base + at->offset, at->word),
        .virtual = bytes_field(elf->file, base + at->virtual, at->word),
        .physical = bytes_field(elf->file, base + at->physical, at->word),
        .file_size = bytes_field(elf->file, base + at->file_size, at->word),
        .memory_size = bytes_field(elf->file, base + at->memory_size, at->word),
    };
}

static bool overlaps(uint64_t start, uint64_t size, uint64_t area, uint64_t area_end)
{
    return start < area_end && start + size > area;
}

int elf_check_place(const struct ram *ram, const char *name, uint64_t start, uint64_t size,
                    struct problem *problem)
{
    if (!ram_covers(ram, start, size))
        return problem_set(problem, STATUS_INPUT, ENOMEM,
                           "%s: the kernel wants %" PRIu64 " KiB at 0x%" PRIx64
                           ", where this machine has no memory (see --memory)",
                           name, (size + 1023) >> 10, start);
    if (overlaps(start, size, BOOT_AREA, BOOT_AREA_END) ||
        overlaps(start, size, FIRMWARE_AREA, FIRMWARE_AREA_END))
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: the kernel wants 0x%" PRIx64
                           ", which boot information and firmware tables take up",
                           name, start);
    return 0;
}

static int load_segment(const struct elf *elf, struct ram *ram, const struct elf_segment *segment,
                        struct problem *problem)
{
    if (segment->file_size > segment->memory_size ||
        !bytes_has(elf->file, segment->offset, segment->file_size))
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: an ELF segment lies outside the file (truncated?)", elf->name);
    int result = elf_check_place(ram, elf->name, segment->physical, segment->memory_size, problem);
    if (result)
        return result;
    /* The rest of the segment is zero: so is fresh guest memory, unless segments overlap. */
    result = dma_write(ram, DMA_MACHINE, segment->physical, elf->file.data + segment->offset,
                       segment->file_size);
    if (result)
        return problem_set(problem, STATUS_INPUT, -result, "%s: a segment does not fit in memory",
                           elf->name);
    return 0;
}

int elf_load(const struct elf *elf, struct ram *ram, uint64_t *end, struct problem *problem)
{
    *end = 0;
    for (unsigned i = 0; i < elf->count; i++) {
        struct elf_segment segment = elf_segment(elf, i);
        if (segment.type != ELF_LOAD || !segment.memory_size)
            continue;
        int result = load_segment(elf, ram, &segment, problem);
        if (result)
            return result;
        if (segment.physical + segment.memory_size > *end)
            *end = segment.physical + segment.memory_size;
    }
    if (!*end)
        return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: the ELF file has nothing to load",
                           elf->name);
    return 0;
}
