/* SPDX-License-Identifier: MIT */
/*
 * multiboot1.c - kernels with a multiboot header (Multiboot Specification 0.6.96), as ELF files
 * (32- or 64-bit) or with the header's own load addresses (the "a.out kludge").
 *
 * As GRUB and QEMU do, the command line starts with the kernel's file name and a module's string
 * with the module's. Modules and the information structure follow the kernel in memory, on page
 * boundaries.
 */
#include "../firmware/memorymap.h"
#include "../memory/dma.h"
#include "elf.h"
#include "layout.h"
#include <errno.h>
#include <inttypes.h>

#define HEADER_MAGIC   0x1badb002u
#define LOADER_MAGIC   0x2badb002u
#define SEARCH_LIMIT   8192u
#define FLAG_ADDRESSES (1u << 16)
#define FLAGS_UNKNOWN  0x0000fff8u /* of the bits that must be understood; 0-2 are */

#define INFO_MEMORY  (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODULES (1u << 3)
#define INFO_MAP     (1u << 6)
#define INFO_LOADER  (1u << 9)
#define INFO_SIZE    116u
#define MODULE_SIZE  16u
#define RANGE_SIZE   24u

static bool find_header(struct bytes file, uint64_t *offset)
{
    for (uint64_t at = 0; at + 12 <= SEARCH_LIMIT && bytes_has(file, at, 12); at += 4) {
        if (bytes_u32(file, at) == HEADER_MAGIC &&
            bytes_u32(file, at) + bytes_u32(file, at + 4) + bytes_u32(file, at + 8) == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

static bool recognizes(struct bytes kernel)
{
    uint64_t offset;

    return find_header(kernel, &offset);
}

/* The a.out kludge: addresses in the header say which part of the file goes where (section 3.1.3).
 */
static int load_by_addresses(struct ram *ram, const struct boot_request *request, uint64_t header,
                             uint64_t *end, uint64_t *entry, struct problem *problem)
{
    struct bytes file = request->kernel;
    uint64_t header_address = bytes_u32(file, header + 12);
    uint64_t load_address = bytes_u32(file, header + 16);
    uint64_t load_end = bytes_u32(file, header + 20);
    uint64_t bss_end = bytes_u32(file, header + 24);
    const char *name = request->kernel_name;

    *entry = bytes_u32(file, header + 28);
    if (!bytes_has(file, header, 32) || load_address > header_address ||
        header_address - load_address > header)
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: multiboot header with contradictory load addresses", name);
    uint64_t offset = header - (header_address - load_address);
    uint64_t size = load_end ? load_end - load_address : file.size - offset;
    if ((load_end && load_end < load_address) || !bytes_has(file, offset, size) || !size)
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: multiboot load addresses reach past the file (truncated?)", name);
    uint64_t room = size;
    if (bss_end > load_address && bss_end - load_address > room)
        room = bss_end - load_address;
    int result = elf_check_place(ram, name, load_address, room, problem);
    if (result)
        return result;
    *end = load_address + room;
    result = dma_write(ram, DMA_MACHINE, load_address, file.data + offset, size);
    if (result)
        return problem_set(problem, STATUS_INPUT, -result, "%s: does not fit in memory", name);
    return 0;
}

static int load_image(struct ram *ram, const struct boot_request *request, uint64_t *end,
                      uint64_t *entry, struct problem *problem)
{
    struct elf elf;
    uint64_t header = 0;
    int result;

    if (!find_header(request->kernel, &header))
        return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: no multiboot header",
                           request->kernel_name);
    uint32_t flags = bytes_u32(request->kernel, header + 4);
    if (flags & FLAGS_UNKNOWN)
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: multiboot header asks for unknown features (flags 0x%x)",
                           request->kernel_name, flags);
    if (flags & FLAG_ADDRESSES)
        return load_by_addresses(ram, request, header, end, entry, problem);
    result = elf_open(&elf, request->kernel, request->kernel_name, problem);
    if (result)
        return result;
    result = elf_load(&elf, ram, end, problem);
    *entry = elf.entry;
    /* Some kernels give a virtual entry point: the segment that holds it says where it went. */
    for (unsigned i = 0; i < elf.count && result == 0; i++) {
        struct elf_segment segment = elf_segment(&elf, i);
        if (segment.type == ELF_LOAD && elf.entry >= segment.virtual &&
            elf.entry - segment.virtual < segment.memory_size)
            *entry = segment.physical + (elf.entry - segment.virtual);
    }
    return result;
}

/* Memory after the kernel, handed out upwards. */
struct arena {
    struct ram *ram;
    uint64_t next, end;
};

static int arena_put(struct arena *arena, const void *data, uint64_t size, uint64_t alignment,
                     uint64_t *address, struct problem *problem, const char *name)
{
    uint64_t at = (arena->next + alignment - 1) & ~(alignment - 1);

    if (at > arena->end || size > arena->end - at ||
        dma_write(arena->ram, DMA_MACHINE, at, data, size) != 0)
        return problem_set(problem, STATUS_INPUT, ENOMEM,
                           "%s: %" PRIu64 " KiB do not fit after the kernel (see --memory)", name,
                           (size + 1023) >> 10);
    *address = at;
    arena->next = at + size;
    return 0;
}

/* "first second", or "first" alone; two pieces that end up next to each other in the arena. */
static int put_string(struct arena *arena, const char *first, const char *second, uint64_t *address,
                      struct problem *problem)
{
    uint64_t tail;
    bool both = *second != 0;
    int result = arena_put(arena, first, strlen(first) + !both, 1, address, problem, first);

    if (result == 0 && both)
        result = arena_put(arena, " ", 1, 1, &tail, problem, first);
    if (result == 0 && both)
        result = arena_put(arena, second, strlen(second) + 1, 1, &tail, problem, first);
    return result;
}

static int put_modules(struct arena *arena, const struct boot_request *request, uint8_t *info,
                       struct problem *problem)
{
    uint8_t list[MODULE_SIZE * LOADER_MODULE_MAX] = { 0 };
    uint64_t address = 0;
    int result = 0;

    for (unsigned i = 0; i < request->module_count && result == 0; i++) {
        const struct boot_module *module = &request->module[i];
        result = arena_put(arena, module->data.data, module->data.size, RAM_PAGE, &address, problem,
                           module->name);
        bytes_put(list + MODULE_SIZE * i, address, 4);
        bytes_put(list + MODULE_SIZE * i + 4, address + module->data.size, 4);
    }
    arena->next = PAGE_ALIGN(arena->next);
    for (unsigned i = 0; i < request->module_count && result == 0; i++) {
        result = put_string(arena, request->module[i].name, request->module[i].arguments, &address,
                            problem);
        bytes_put(list + MODULE_SIZE * i + 8, address, 4);
    }
    if (result == 0)
        result = arena_put(arena, list, MODULE_SIZE * request->module_count, 8, &address, problem,
                           request->kernel_name);
    bytes_put(info + 20, request->module_count, 4);
    bytes_put(info + 24, address, 4);
    return result;
}

static int put_map(struct arena *arena, const struct boot_request *request, uint8_t *info,
                   struct problem *problem)
{
    struct memory_range map[MEMORY_MAP_MAX];
    uint8_t list[RANGE_SIZE * MEMORY_MAP_MAX];
    unsigned count = memory_map_build(arena->ram, map);
    uint64_t address = 0;

    for (unsigned i = 0; i < count; i++) {
        uint8_t *range = list + RANGE_SIZE * i;
        bytes_put(range, RANGE_SIZE - 4, 4); /* the size field does not count itself */
        bytes_put(range + 4, map[i].address, 8);
        bytes_put(range + 12, map[i].size, 8);
        bytes_put(range + 20, map[i].type, 4);
    }
    int result =
        arena_put(arena, list, RANGE_SIZE * count, 8, &address, problem, request->kernel_name);
    bytes_put(info + 44, RANGE_SIZE * count, 4);
    bytes_put(info + 48, address, 4);
    return result;
}

static int put_information(struct arena *arena, const struct boot_request *request,
                           struct boot_entry *entry, struct problem *problem)
{
    static const char loader_name[] = "Origami";
    uint8_t info[INFO_SIZE] = { 0 };
    uint64_t address = 0;
    int result = put_modules(arena, request, info, problem);

    if (result == 0)
        result = put_map(arena, request, info, problem);
    if (result == 0)
        result = put_string(arena, request->kernel_name, request->cmdline ? request->cmdline : "",
                            &address, problem);
    bytes_put(info + 16, address, 4);
    if (result == 0)
        result = arena_put(arena, loader_name, sizeof(loader_name), 1, &address, problem,
                           request->kernel_name);
    bytes_put(info + 64, address, 4);
    bytes_put(info, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER, 4);
    bytes_put(info + 4, FIRMWARE_EBDA >> 10, 4);
    bytes_put(info + 8, (ram_low_end(arena->ram) - RAM_MINIMUM) >> 10, 4);
    if (result == 0)
        result =
            arena_put(arena, info, sizeof(info), 8, &entry->rbx, problem, request->kernel_name);
    return result;
}

static int load(struct ram *ram, const struct boot_request *request, struct boot_entry *entry,
                struct problem *problem)
{
    uint64_t end = 0;
    int result;

    if (request->initrd)
        return problem_set(problem, STATUS_USAGE, EINVAL,
                           "--initrd is for Linux; %s is a multiboot kernel (see --module)",
                           request->kernel_name);
    if (request->module_count > LOADER_MODULE_MAX)
        return problem_set(problem, STATUS_USAGE, E2BIG, "more than %d modules", LOADER_MODULE_MAX);
    result = load_image(ram, request, &end, &entry->rip, problem);
    if (result)
        return result;
    if (entry->rip > UINT32_MAX || !ram_covers(ram, entry->rip, 1))
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: entry point 0x%" PRIx64 " is not in memory", request->kernel_name,
                           entry->rip);
    struct arena arena = { .ram = ram,
                           .next = PAGE_ALIGN(end > RAM_MINIMUM ? end : RAM_MINIMUM),
                           .end = ram_low_end(ram) };
    result = put_information(&arena, request, entry, problem);
    if (result == 0 && loader_write_gdt(ram, false, entry) != 0)
        result = problem_set(problem, STATUS_INPUT, EFAULT, "%s: no room for a descriptor table",
                             request->kernel_name);
    entry->rax = LOADER_MAGIC;
    entry->rsp = BOOT_STACK;
    return result;
}

const struct loader loader_multiboot = { "multiboot 1", recognizes, load };
