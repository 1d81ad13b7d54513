/* SPDX-License-Identifier: MIT */
/*
 * bzimage.c - Linux's own format by the 64-bit boot protocol, or by the 32-bit one for kernels that
 * have no 64-bit entry. Offsets are those of Linux Documentation/arch/x86/boot.rst and
 * zero-page.rst.
 *
 * The kernel goes to its preferred address when that fits, else as low as its alignment allows; the
 * initrd as high as both the kernel's limit and RAM below 3 GiB allow.
 */
#include "../firmware/memorymap.h"
#include "../memory/dma.h"
#include "layout.h"
#include "loader.h"
#include <errno.h>
#include <inttypes.h>

enum setup_field {
    /* boot_params */
    ACPI_RSDP = 0x070,
    EXT_RAMDISK_IMAGE = 0x0c0,
    E820_ENTRIES = 0x1e8,
    E820_TABLE = 0x2d0,
    /* its setup header, also found at these offsets in the file */
    SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4,
    BOOT_FLAG = 0x1fe,
    JUMP_LENGTH = 0x201,
    HEADER = 0x202,
    VERSION = 0x206,
    TYPE_OF_LOADER = 0x210,
    LOADFLAGS = 0x211,
    CODE32_START = 0x214,
    RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c,
    HEAP_END = 0x224,
    CMD_LINE_PTR = 0x228,
    INITRD_ADDR_MAX = 0x22c,
    KERNEL_ALIGNMENT = 0x230,
    RELOCATABLE = 0x234,
    XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    SETUP_DATA = 0x250,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_END = 0x290
};
#define LOADED_HIGH          0x01u
#define CAN_USE_HEAP         0x80u
#define KERNEL_64            0x01u
#define E820_MAX             128u
#define SETUP_RNG_SEED       9u
#define ENTRY_64             0x200u
#define PROTOCOL_RELOCATABLE 0x20a /* init_size and pref_address exist from here on */

/* What the header says, checked. */
struct image {
    struct bytes code; /* the protected-mode part */
    uint32_t version;
    bool entry_64;
    bool relocatable;
    uint64_t alignment, preferred, room; /* `room`: bytes it needs from its load address on */
    uint64_t initrd_end;                 /* first address an initrd may not touch */
    uint64_t cmdline_max;
    uint64_t address; /* chosen */
};

static bool recognizes(struct bytes kernel)
{
    return bytes_has(kernel, HEADER, 4) && bytes_u16(kernel, BOOT_FLAG) == 0xaa55 &&
           !memcmp(kernel.data + HEADER, "HdrS", 4);
}

static int parse(const struct boot_request *request, struct image *image, struct problem *problem)
{
    struct bytes kernel = request->kernel;
    const char *name = request->kernel_name;
    uint64_t sectors = bytes_u8(kernel, SETUP_SECTS);
    uint64_t setup = (sectors ? sectors + 1 : 5) * 512;
    uint64_t code_size = (uint64_t)bytes_u32(kernel, SYSSIZE) * 16;

    image->version = bytes_u16(kernel, VERSION);
    if (image->version < 0x206 || !(bytes_u8(kernel, LOADFLAGS) & LOADED_HIGH))
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: boot protocol %u.%02u is too old (2.06 needed)", name,
                           image->version >> 8, image->version & 0xff);
    if (kernel.size <= setup || kernel.size < HEADER_END || kernel.size - setup + 15 < code_size)
        return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: truncated: %zu bytes of %" PRIu64,
                           name, kernel.size, setup + code_size);
    image->code = (struct bytes){ kernel.data + setup, kernel.size - setup };
    image->entry_64 = image->version >= 0x20c && bytes_u16(kernel, XLOADFLAGS) & KERNEL_64;
    if (image->entry_64 && image->code.size <= ENTRY_64)
        return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: no code at the 64-bit entry", name);
    image->relocatable = bytes_u8(kernel, RELOCATABLE) != 0;
    image->alignment = bytes_u32(kernel, KERNEL_ALIGNMENT);
    image->preferred = RAM_MINIMUM;
    image->room = image->code.size;
    if (image->version >= PROTOCOL_RELOCATABLE) {
        image->preferred = bytes_u64(kernel, PREF_ADDRESS);
        if (bytes_u32(kernel, INIT_SIZE) > image->room)
            image->room = bytes_u32(kernel, INIT_SIZE);
    }
    if (image->relocatable && (!image->alignment || image->alignment & (image->alignment - 1)))
        return problem_set(problem, STATUS_INPUT, ENOEXEC,
                           "%s: kernel_alignment 0x%" PRIx64 " is no power of two", name,
                           image->alignment);
    image->initrd_end = (uint64_t)bytes_u32(kernel, INITRD_ADDR_MAX) + 1;
    image->cmdline_max = bytes_u32(kernel, CMDLINE_SIZE);
    return 0;
}

/* Picks the load address: all `room` bytes must be RAM between 1 MiB and the end of low RAM. */
static int place(const struct ram *ram, const struct boot_request *request, struct image *image,
                 struct problem *problem)
{
    uint64_t end = ram_low_end(ram);

    image->address = image->preferred;
    if (image->address >= RAM_MINIMUM && image->address < end &&
        image->room <= end - image->address)
        return 0;
    if (image->relocatable) {
        image->address = (RAM_MINIMUM + image->alignment - 1) & ~(image->alignment - 1);
        if (image->address < end && image->room <= end - image->address)
            return 0;
    }
    return problem_set(problem, STATUS_INPUT, ENOMEM,
                       "%s: the kernel needs %" PRIu64 " KiB from 0x%" PRIx64
                       " on; this machine's memory ends at 0x%" PRIx64 " (see --memory)",
                       request->kernel_name, (image->room + 1023) >> 10, image->address, end);
}

static int load_initrd(struct ram *ram, const struct boot_request *request,
                       const struct image *image, uint8_t *params, struct problem *problem)
{
    const struct boot_module *initrd = request->initrd;
    uint64_t floor = PAGE_ALIGN(image->address + image->room);
    uint64_t top = ram_low_end(ram);

    if (!initrd)
        return 0;
    if (image->initrd_end < top)
        top = image->initrd_end;
    if (top < floor || initrd->data.size > top - floor ||
        ((top - initrd->data.size) & ~4095ull) < floor)
        return problem_set(problem, STATUS_INPUT, ENOMEM,
                           "%s: initrd of %zu KiB does not fit between the kernel's end 0x%" PRIx64
                           " and 0x%" PRIx64 " (see --memory)",
                           initrd->name, initrd->data.size >> 10, floor, top);
    uint64_t address = (top - initrd->data.size) & ~4095ull;
    bytes_put(params + RAMDISK_IMAGE, address, 4);
    bytes_put(params + RAMDISK_SIZE, initrd->data.size, 4);
    return dma_write(ram, DMA_MACHINE, address, initrd->data.data, initrd->data.size);
}

static int write_cmdline(struct ram *ram, const struct boot_request *request,
                         const struct image *image, uint8_t *params, struct problem *problem)
{
    const char *cmdline = request->cmdline ? request->cmdline : LOADER_DEFAULT_CMDLINE;
    uint64_t limit =
        image->cmdline_max < BOOT_CMDLINE_SIZE - 1 ? image->cmdline_max : BOOT_CMDLINE_SIZE - 1;
    size_t length = strlen(cmdline);

    if (length > limit)
        return problem_set(problem, STATUS_INPUT, E2BIG,
                           "--cmdline: %zu characters; this kernel takes at most %" PRIu64, length,
                           limit);
    bytes_put(params + CMD_LINE_PTR, BOOT_CMDLINE, 4);
    return dma_write(ram, DMA_MACHINE, BOOT_CMDLINE, cmdline, length + 1);
}

static void write_e820(const struct ram *ram, uint8_t *params)
{
    struct memory_range map[MEMORY_MAP_MAX];
    unsigned count = memory_map_build(ram, map);

    if (count > E820_MAX)
        count = E820_MAX;
    params[E820_ENTRIES] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = params + E820_TABLE + 20 * i;
        bytes_put(entry, map[i].address, 8);
        bytes_put(entry + 8, map[i].size, 8);
        bytes_put(entry + 16, map[i].type, 4);
    }
}

/* struct setup_data { next, type, len, data }: the seed spares the guest a wait for entropy. */
static int write_setup_data(struct ram *ram, const struct boot_request *request, uint8_t *params)
{
    uint8_t data[16 + sizeof(request->seed)] = { 0 };

    bytes_put(data + 8, SETUP_RNG_SEED, 4);
    bytes_put(data + 12, sizeof(request->seed), 4);
    memcpy(data + 16, request->seed, sizeof(request->seed));
    bytes_put(params + SETUP_DATA, BOOT_SETUP_DATA, 8);
    return dma_write(ram, DMA_MACHINE, BOOT_SETUP_DATA, data, sizeof(data));
}

/* The zero page: the file's setup header, up to where its jump instruction says it ends, plus ours.
 */
static void fill_header(const struct boot_request *request, const struct image *image,
                        uint8_t *params)
{
    size_t header_end = HEADER + (size_t)bytes_u8(request->kernel, JUMP_LENGTH);

    if (header_end > HEADER_END)
        header_end = HEADER_END;
    memcpy(params + SETUP_SECTS, request->kernel.data + SETUP_SECTS, header_end - SETUP_SECTS);
    params[TYPE_OF_LOADER] = 0xff; /* "undefined": no number is assigned to this loader */
    params[LOADFLAGS] = (uint8_t)(params[LOADFLAGS] | CAN_USE_HEAP);
    bytes_put(params + HEAP_END, 0xfe00, 2);
    bytes_put(params + CODE32_START, image->address, 4);
    bytes_put(params + RAMDISK_IMAGE, 0, 8); /* and size */
    bytes_put(params + SETUP_DATA, 0, 8);
    bytes_put(params + ACPI_RSDP, request->rsdp, 8);
}

/* Identity map of the first 4 GiB in 2 MiB pages. */
static int write_page_tables(struct ram *ram)
{
    uint8_t page[RAM_PAGE] = { 0 };
    int result;

    bytes_put(page, (BOOT_PAGE_TABLES + RAM_PAGE) | 3, 8);
    result = dma_write(ram, DMA_MACHINE, BOOT_PAGE_TABLES, page, sizeof(page));
    for (unsigned i = 0; i < 4; i++)
        bytes_put(page + 8 * i, (BOOT_PAGE_TABLES + (2 + i) * RAM_PAGE) | 3, 8);
    if (result == 0)
        result = dma_write(ram, DMA_MACHINE, BOOT_PAGE_TABLES + RAM_PAGE, page, sizeof(page));
    for (unsigned table = 0; table < 4 && result == 0; table++) {
        for (uint64_t i = 0; i < 512; i++)
            bytes_put(page + 8 * i, (table * 512 + i) << 21 | 0x83, 8); /* PS, W, P */
        result = dma_write(ram, DMA_MACHINE, BOOT_PAGE_TABLES + (2 + table) * RAM_PAGE, page,
                           sizeof(page));
    }
    return result;
}

static int load(struct ram *ram, const struct boot_request *request, struct boot_entry *entry,
                struct problem *problem)
{
    struct image image = { 0 };
    uint8_t params[RAM_PAGE] = { 0 };
    int result;

    if (request->module_count)
        return problem_set(
            problem, STATUS_USAGE, EINVAL,
            "--module is for multiboot and PVH kernels; %s is a bzImage (see --initrd)",
            request->kernel_name);
    result = parse(request, &image, problem);
    if (result == 0)
        result = place(ram, request, &image, problem);
    if (result)
        return result;
    fill_header(request, &image, params);
    write_e820(ram, params);
    result = load_initrd(ram, request, &image, params, problem);
    if (result == 0)
        result = write_cmdline(ram, request, &image, params, problem);
    if (result)
        return result;

    /* From here on all addresses are known to be RAM; a failure would be ours. */
    if (image.version >= 0x209)
        result = write_setup_data(ram, request, params);
    if (result == 0)
        result = dma_write(ram, DMA_MACHINE, image.address, image.code.data, image.code.size);
    if (result == 0)
        result = dma_write(ram, DMA_MACHINE, BOOT_PARAMS, params, sizeof(params));
    if (result == 0)
        result = loader_write_gdt(ram, image.entry_64, entry);
    if (result == 0 && image.entry_64)
        result = write_page_tables(ram);
    if (result)
        return problem_set(problem, STATUS_INPUT, -result, "%s: does not fit in memory",
                           request->kernel_name);
    entry->long_mode = image.entry_64;
    entry->cr3 = image.entry_64 ? BOOT_PAGE_TABLES : 0;
    entry->rip = image.address + (image.entry_64 ? ENTRY_64 : 0);
    entry->rsi = BOOT_PARAMS;
    entry->rsp = BOOT_STACK;
    return 0;
}

const struct loader loader_bzimage = { "bzImage", recognizes, load };
