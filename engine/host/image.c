/* SPDX-License-Identifier: MIT */
/*
 * image.c - self-relocation of the static PIE, and the move to the base chosen at launch.
 */
#include "image.h"
#include "system.h"
#include "../support.h"

struct elf_header {
    uint8_t identification[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_offset, section_offset;
    uint32_t flags;
    uint16_t header_size, program_size, program_count;
};
struct elf_program {
    uint32_t type, flags;
    uint64_t offset, address, physical, file_size, memory_size, align;
};
struct elf_dynamic {
    int64_t tag;
    uint64_t value;
};
struct elf_rela {
    uint64_t offset, info;
    int64_t addend;
};
enum { PROGRAM_LOAD = 1, DYNAMIC_RELA = 7, DYNAMIC_RELASZ = 8, RELOCATION_RELATIVE = 8 };

extern const struct elf_header __ehdr_start __attribute__((visibility("hidden")));
extern const struct elf_dynamic _DYNAMIC[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));
void engine_switch(uint64_t stack, uint64_t function, uint64_t argument);

#define USER_END 0x7ffffffff000ull
#define GUARD    4096u

static uint64_t image_base(void)
{
    return (uint64_t)(uintptr_t)&__ehdr_start;
}

static uint64_t image_size(void)
{
    return ((uint64_t)(uintptr_t)_end - image_base() + 4095) & ~4095ull;
}

/* Writes every relative relocation of the image copied to `copy` for running at `base`. */
static void relocate(uint64_t copy, uint64_t base)
{
    uint64_t table = 0, size = 0;
    for (const struct elf_dynamic *d = _DYNAMIC; d->tag; d++) {
        if (d->tag == DYNAMIC_RELA)
            table = d->value;
        if (d->tag == DYNAMIC_RELASZ)
            size = d->value;
    }
    const struct elf_rela *rela = (const struct elf_rela *)(uintptr_t)(image_base() + table);
    for (uint64_t i = 0; i < size / sizeof(*rela); i++) {
        if ((rela[i].info & 0xffffffffu) == RELOCATION_RELATIVE)
            *(uint64_t *)(uintptr_t)(copy + rela[i].offset) = base + (uint64_t)rela[i].addend;
    }
}

void image_relocate(void)
{
    relocate(image_base(), image_base());
}

static long protect_segments(uint64_t base)
{
    const struct elf_program *program =
        (const struct elf_program *)(uintptr_t)(image_base() + __ehdr_start.program_offset);
    for (unsigned i = 0; i < __ehdr_start.program_count; i++) {
        if (program[i].type != PROGRAM_LOAD)
            continue;
        uint64_t start = program[i].address & ~4095ull;
        uint64_t end = (program[i].address + program[i].memory_size + 4095) & ~4095ull;
        uint64_t protection = (program[i].flags & 4 ? PROTECT_READ : 0) |
                              (program[i].flags & 2 ? PROTECT_WRITE : 0) |
                              (program[i].flags & 1 ? PROTECT_EXECUTE : 0);
        long result = system3(SYSTEM_mprotect, base + start, end - start, protection);
        if (result)
            return result;
    }
    return 0;
}

/* image | guard | stack | guard | signal stack (aligned) | guard */
struct layout {
    uint64_t stack, signal_stack, end;
};

static struct layout layout_at(uint64_t base)
{
    struct layout at;
    at.stack = base + image_size() + GUARD;
    at.signal_stack = (at.stack + IMAGE_STACK_SIZE + GUARD + IMAGE_SIGNAL_SIZE - 1) &
                      ~(uint64_t)(IMAGE_SIGNAL_SIZE - 1);
    at.end = at.signal_stack + IMAGE_SIGNAL_SIZE + GUARD;
    return at;
}

struct arrival {
    uint64_t base, end;
    void (*function)(uint64_t signal_stack);
    uint64_t signal_stack;
};

/* First code to run at the new place: what was is unmapped. */
static void arrive(uint64_t argument)
{
    const struct arrival arrival = *(const struct arrival *)(uintptr_t)argument;
    system2(SYSTEM_munmap, 0, arrival.base);
    system2(SYSTEM_munmap, arrival.end, USER_END - arrival.end);
    arrival.function(arrival.signal_stack);
}

static uint64_t moved(uint64_t address, uint64_t base)
{
    return address - image_base() + base;
}

long image_move(uint64_t base, void (*function)(uint64_t signal_stack))
{
    bool stays = base == 0;
    struct layout at = layout_at(base);
    long result = system_map(base, at.end - base, PROTECT_READ | PROTECT_WRITE,
                             MAP_PRIVATE_COPY | MAP_NO_FILE | (stays ? 0 : MAP_AT_FREE), -1, 0);
    if (system_failed(result))
        return result;
    if (!stays && (uint64_t)result != base)
        return -EINVAL;
    base = (uint64_t)result;
    at = layout_at(base);
    memcpy((void *)(uintptr_t)base, &__ehdr_start, image_size());
    relocate(base, base);
    result = protect_segments(base);
    if (result)
        return result;
    const uint64_t guards[] = { at.stack - GUARD, at.stack + IMAGE_STACK_SIZE,
                                at.signal_stack + IMAGE_SIGNAL_SIZE };
    for (unsigned i = 0; i < ARRAY_SIZE(guards); i++) {
        result = system3(SYSTEM_mprotect, guards[i], GUARD, 0);
        if (result)
            return result;
    }
    struct arrival *arrival =
        (struct arrival *)(uintptr_t)(at.stack + IMAGE_STACK_SIZE - sizeof(struct arrival));
    arrival->base = base;
    arrival->end = at.end;
    arrival->function = (void (*)(uint64_t))(uintptr_t)moved((uint64_t)(uintptr_t)function, base);
    arrival->signal_stack = at.signal_stack;
    engine_switch((uint64_t)(uintptr_t)arrival & ~15ull, moved((uint64_t)(uintptr_t)arrive, base),
                  (uint64_t)(uintptr_t)arrival);
    return -EINVAL;
}
