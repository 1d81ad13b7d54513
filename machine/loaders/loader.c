/* SPDX-License-Identifier: MIT */
/*
 * loader.c - which loader takes a file, and the CPU state every boot protocol starts from.
 */
#include "loader.h"
#include "../memory/dma.h"
#include "layout.h"
#include <errno.h>

static const struct loader *const loaders[] = { &loader_bzimage, &loader_multiboot, &loader_pvh };

/* Says what the file is instead, for the usual mistakes. */
static const char *unusable(struct bytes kernel)
{
    static const struct {
        const char magic[7];
        uint8_t size, offset;
        const char *text;
    } known[] = {
        { "\x7f"
          "ELF",
          4, 0, "is an ELF file without a PVH note or multiboot header" },
        { "MZ", 2, 0, "is an EFI program; give a bzImage, PVH or multiboot kernel" },
        { "\x1f\x8b", 2, 0, "is gzip-compressed; decompress it first" },
        { "\xfd"
          "7zXZ",
          5, 0, "is xz-compressed; decompress it first" },
        { "\x28\xb5\x2f\xfd", 4, 0, "is zstd-compressed; decompress it first" },
        { "!<arch>", 7, 0, "is an archive (a Debian package?), not a kernel" },
        { "070701", 6, 0, "is a cpio archive; give it with --initrd" },
    };
    if (!kernel.size)
        return "is empty";
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (bytes_has(kernel, known[i].offset, known[i].size) &&
            !memcmp(kernel.data + known[i].offset, known[i].magic, known[i].size))
            return known[i].text;
    }
    return "is no kernel that can be booted (bzImage, PVH ELF or multiboot 1)";
}

int loader_load(struct ram *ram, const struct boot_request *request, struct boot_entry *entry,
                struct problem *problem)
{
    *entry = (struct boot_entry){ 0 };
    for (unsigned i = 0; i < sizeof(loaders) / sizeof(loaders[0]); i++) {
        if (loaders[i]->recognizes(request->kernel)) {
            entry->protocol = loaders[i]->name;
            return loaders[i]->load(ram, request, entry, problem);
        }
    }
    return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: %s", request->kernel_name,
                       unusable(request->kernel));
}

/* Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol": selectors 0x10 and 0x18. */
int loader_write_gdt(struct ram *ram, bool long_mode, struct boot_entry *entry)
{
    /* base 0, limit 4 GiB, present, accessed; code: readable; L for 64-bit, D for 32-bit */
    uint64_t table[4] = { 0, 0, long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
                          0x00cf93000000ffffull };
    uint8_t bytes[sizeof(table)];

    for (unsigned i = 0; i < 4; i++)
        bytes_put(bytes + 8 * i, table[i], 8);
    entry->gdt = BOOT_GDT;
    entry->gdt_limit = sizeof(table) - 1;
    entry->cs = 0x10;
    entry->ds = 0x18;
    return dma_write(ram, DMA_MACHINE, BOOT_GDT, bytes, sizeof(bytes));
}

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
enum { ES, CS, SS, DS, FS, GS, LDTR, TR };

void loader_registers(const struct boot_entry *entry, struct vcpu_registers *registers)
{
    struct segment_register code = { .limit = 0xffffffff,
                                     .selector = entry->cs,
                                     /* accessed, readable code, S, P, G; and L or D */
                                     .rights = (uint16_t)(0x809b |
                                                          (entry->long_mode ? RIGHTS_L : 0x4000)) };
    struct segment_register data = { .limit = 0xffffffff, .selector = entry->ds, .rights = 0xc093 };

    memset(registers->gpr, 0, sizeof(registers->gpr));
    registers->gpr[RAX] = entry->rax;
    registers->gpr[RBX] = entry->rbx;
    registers->gpr[RSI] = entry->rsi;
    registers->gpr[RSP] = entry->rsp;
    registers->rip = entry->rip;
    registers->rflags = 2;
    for (unsigned i = ES; i <= GS; i++)
        registers->segment[i] = i == CS ? code : data;
    registers->segment[LDTR] = (struct segment_register){ .limit = 0xffff, .unusable = 1 };
    /* A task register is never empty: a busy 32- or 64-bit TSS (SDM Vol. 3, 27.3.1.2) */
    registers->segment[TR] = (struct segment_register){ .limit = 0x67, .rights = 0x008b };
    registers->gdtr = (struct table_register){ .base = entry->gdt, .limit = entry->gdt_limit };
    registers->idtr = (struct table_register){ .base = 0, .limit = 0 };
    registers->cr2 = 0;
    registers->cr3 = entry->cr3;
    registers->cr0 = 0x11; /* PE, ET */
    registers->cr4 = 0;
    registers->efer = 0;
    if (entry->long_mode) {
        registers->cr0 |= 0x80000000u; /* PG */
        registers->cr4 = 0x20;         /* PAE */
        registers->efer = 0x500;       /* LME, LMA */
    }
    registers->cpl = 0;
    registers->activity = ACTIVITY_RUNNING;
}
