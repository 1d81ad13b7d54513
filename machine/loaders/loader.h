/* SPDX-License-Identifier: MIT */
/*
 * loader.h - from kernel files to guest memory and the state of the first virtual CPU.
 *
 * A loader works on bounded byte buffers and the DMA interface only: no files, no clock, no host
 * state, so that each can be tested and fuzzed by itself. The order in which a file is tried, as in
 * QEMU:
 *   1. bzImage      boot sector 55 AA at 510 and "HdrS" at 514
 *   2. multiboot 1  magic 1BADB002 with a good checksum in the first 8 KiB
 *   3. PVH          ELF with the Xen note PHYS32_ENTRY
 */
#ifndef ORIGAMI_MACHINE_LOADER_H
#define ORIGAMI_MACHINE_LOADER_H

#include <origami/state.h>
#include "../memory/ram.h"
#include "../support/problem.h"
#include "bytes.h"

#define LOADER_MODULE_MAX      32
#define LOADER_DEFAULT_CMDLINE "console=ttyS0" /* for Linux, when no command line was given */

struct boot_module {
    struct bytes data;
    const char *name;      /* as given on the command line, for messages and multiboot */
    const char *arguments; /* "" = none */
};

struct boot_request {
    struct bytes kernel;
    const char *kernel_name;
    const struct boot_module *initrd; /* NULL = none */
    const struct boot_module *module;
    unsigned module_count;
    const char *cmdline; /* NULL = none given */
    uint64_t rsdp;       /* guest-physical address of the ACPI root pointer, 0 = none */
    uint8_t seed[32];    /* for the guest's random number generator */
};

/* How the first instruction finds the CPU. Everything not named here is as after reset. */
struct boot_entry {
    const char *protocol;
    bool long_mode; /* 64-bit with paging on; else 32-bit protected mode, paging off */
    uint64_t rip, rsp, rsi, rax, rbx;
    uint64_t cr3;
    uint64_t gdt; /* address of the descriptor table, 0 = none (limit 0) */
    uint16_t gdt_limit;
    uint16_t cs, ds; /* selectors; the segments are flat */
};

struct loader {
    const char *name;
    bool (*recognizes)(struct bytes kernel);
    int (*load)(struct ram *ram, const struct boot_request *request, struct boot_entry *entry,
                struct problem *problem);
};
extern const struct loader loader_bzimage, loader_multiboot, loader_pvh;

/* Finds the loader and loads. Guest memory must be all zeros. */
int MUST_CHECK loader_load(struct ram *ram, const struct boot_request *request,
                           struct boot_entry *entry, struct problem *problem);

/* Puts the entry state over `registers`, which hold the CPU's state after reset. */
void loader_registers(const struct boot_entry *entry, struct vcpu_registers *registers);

/* Writes the descriptor table that the Linux boot protocol asks for; see layout.h. */
int MUST_CHECK loader_write_gdt(struct ram *ram, bool long_mode, struct boot_entry *entry);

#endif
