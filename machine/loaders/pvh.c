/* SPDX-License-Identifier: MIT */
/*
 * pvh.c - ELF kernels with the Xen note PHYS32_ENTRY (Xen docs/misc/pvh.pandoc and
 * public/arch-x86/hvm/start_info.h): 32-bit protected mode, paging off, EBX = start info.
 *
 * --initrd is the first module, as Linux expects; --module adds more. Modules go to the top of low
 * RAM.
 */
#include "../firmware/memorymap.h"
#include "../memory/dma.h"
#include "elf.h"
#include "layout.h"
#include <errno.h>
#include <inttypes.h>

#define NOTE_PHYS32_ENTRY 18u
#define START_MAGIC       0x336ec578u
#define START_SIZE        56u
#define ENTRY_SIZE        32u /* of the module list */
#define RANGE_SIZE        24u /* of the memory map */
#define MODULES_MAX       (LOADER_MODULE_MAX + 1)

/* Looks through the notes of one segment for the entry address. */
static bool find_note(struct bytes file, uint64_t offset, uint64_t size, uint64_t *entry)
{
    uint64_t end = offset + size;

    while (end - offset >= 12 && end > offset) {
        uint64_t name_size = bytes_u32(file, offset);
        uint64_t value_size = bytes_u32(file, offset + 4);
        uint64_t name = offset + 12;
        uint64_t value = name + ((name_size + 3) & ~3ull);
        if (bytes_u32(file, offset + 8) == NOTE_PHYS32_ENTRY && name_size == 4 &&
            bytes_has(file, name, 4) && !memcmp(file.data + name, "Xen", 4) &&
            (value_size == 4 || value_size == 8) && bytes_has(file, value, value_size)) {
            *entry = bytes_field(file, value, (unsigned)value_size);
            return true;
        }
        offset = value + ((value_size + 3) & ~3ull);
    }
    return false;
}

static bool find_entry(const struct elf *elf, uint64_t *entry)
{
    for (unsigned i = 0; i < elf->count; i++) {
        struct elf_segment segment = elf_segment(elf, i);
        if (segment.type == ELF_NOTE && bytes_has(elf->file, segment.offset, segment.file_size) &&
            find_note(elf->file, segment.offset, segment.file_size, entry))
            return true;
    }
    return false;
}

/* Any ELF file that no other loader took: load() explains what it lacks. */
static bool recognizes(struct bytes kernel)
{
    return elf_recognizes(kernel);
}

/* Everything that is written below 640 KiB, put together in private memory first. */
struct start {
    uint8_t info[START_SIZE + RANGE_SIZE * MEMORY_MAP_MAX + ENTRY_SIZE * MODULES_MAX];
    unsigned range_count, module_count;
    uint64_t strings;    /* used of BOOT_STRINGS */
    uint64_t floor, top; /* of the memory still free for modules */
};
#define RANGES_AT  (BOOT_START_INFO + START_SIZE)
#define MODULES_AT (RANGES_AT + RANGE_SIZE * MEMORY_MAP_MAX)

static int add_module(struct ram *ram, struct start *start, const struct boot_module *module,
                      struct problem *problem)
{
    uint8_t *entry =
        start->info + (MODULES_AT - BOOT_START_INFO) + ENTRY_SIZE * start->module_count;
    size_t length = strlen(module->arguments) + 1;

    if (start->module_count == MODULES_MAX || module->data.size > start->top - start->floor ||
        ((start->top - module->data.size) & ~4095ull) < start->floor)
        return problem_set(problem, STATUS_INPUT, ENOMEM,
                           "%s: module of %zu KiB does not fit beside the kernel (see --memory)",
                           module->name, module->data.size >> 10);
    if (length > BOOT_STRINGS_SIZE - start->strings)
        return problem_set(problem, STATUS_INPUT, E2BIG, "%s: arguments too long", module->name);
    start->top = (start->top - module->data.size) & ~4095ull;
    bytes_put(entry, start->top, 8);
    bytes_put(entry + 8, module->data.size, 8);
    bytes_put(entry + 16, BOOT_STRINGS + start->strings, 8);
    int result = dma_write(ram, DMA_MACHINE, start->top, module->data.data, module->data.size);
    if (result == 0)
        result =
            dma_write(ram, DMA_MACHINE, BOOT_STRINGS + start->strings, module->arguments, length);
    if (result)
        return problem_set(problem, STATUS_INPUT, -result, "%s: does not fit in memory",
                           module->name);
    start->strings += length;
    start->module_count++;
    return 0;
}

static void fill_info(const struct ram *ram, const struct boot_request *request,
                      struct start *start)
{
    struct memory_range map[MEMORY_MAP_MAX];
    uint8_t *info = start->info;

    start->range_count = memory_map_build(ram, map);
    for (unsigned i = 0; i < start->range_count; i++) {
        uint8_t *range = info + START_SIZE + RANGE_SIZE * i;
        bytes_put(range, map[i].address, 8);
        bytes_put(range + 8, map[i].size, 8);
        bytes_put(range + 16, map[i].type, 4);
    }
    bytes_put(info, START_MAGIC, 4);
    bytes_put(info + 4, 1, 4); /* version: with a memory map */
    bytes_put(info + 12, start->module_count, 4);
    bytes_put(info + 16, start->module_count ? MODULES_AT : 0, 8);
    bytes_put(info + 24, BOOT_CMDLINE, 8);
    bytes_put(info + 32, request->rsdp, 8);
    bytes_put(info + 40, RANGES_AT, 8);
    bytes_put(info + 48, start->range_count, 4);
}

static int load_modules(struct ram *ram, const struct boot_request *request, struct start *start,
                        struct problem *problem)
{
    int result = 0;

    if (request->initrd)
        result = add_module(ram, start, request->initrd, problem);
    for (unsigned i = 0; i < request->module_count && result == 0; i++)
        result = add_module(ram, start, &request->module[i], problem);
    return result;
}

static int load(struct ram *ram, const struct boot_request *request, struct boot_entry *entry,
                struct problem *problem)
{
    const char *cmdline = request->cmdline ? request->cmdline : LOADER_DEFAULT_CMDLINE;
    struct start start = { .top = ram_low_end(ram) };
    struct elf elf;
    uint64_t end;
    int result = elf_open(&elf, request->kernel, request->kernel_name, problem);

    if (result)
        return result;
    if (!find_entry(&elf, &entry->rip))
        return problem_set(
            problem, STATUS_INPUT, ENOEXEC,
            "%s: an ELF file without a PVH note (Xen PHYS32_ENTRY) or multiboot header",
            request->kernel_name);
    if (strlen(cmdline) >= BOOT_CMDLINE_SIZE)
        return problem_set(problem, STATUS_INPUT, E2BIG, "--cmdline: longer than %llu characters",
                           BOOT_CMDLINE_SIZE - 1);
    result = elf_load(&elf, ram, &end, problem);
    if (result)
        return result;
    if (!ram_covers(ram, entry->rip, 1) || entry->rip > UINT32_MAX)
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: entry point 0x%" PRIx64 " is not in memory", request->kernel_name,
                           entry->rip);
    start.floor = PAGE_ALIGN(end > RAM_MINIMUM ? end : RAM_MINIMUM);
    if (start.floor > start.top)
        start.floor = start.top;
    result = load_modules(ram, request, &start, problem);
    if (result)
        return result;
    fill_info(ram, request, &start);
    result = dma_write(ram, DMA_MACHINE, BOOT_START_INFO, start.info, sizeof(start.info));
    if (result == 0)
        result = dma_write(ram, DMA_MACHINE, BOOT_CMDLINE, cmdline, strlen(cmdline) + 1);
    if (result == 0)
        result = loader_write_gdt(ram, false, entry);
    if (result)
        return problem_set(problem, STATUS_INPUT, -result, "%s: does not fit in memory",
                           request->kernel_name);
    entry->rbx = BOOT_START_INFO;
    entry->rsp = BOOT_STACK;
    return 0;
}

const struct loader loader_pvh = { "PVH", recognizes, load };
