/* SPDX-License-Identifier: MIT */
/*
 * harness.h - a virtual machine for the allocator's tests: RAM, a ROM, a recording MMIO device, one
 * vCPU; nothing else of the engine is linked.
 */
#ifndef ORIGAMI_TEST_ALLOCATOR_HARNESS_H
#define ORIGAMI_TEST_ALLOCATOR_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "allocator/access.h"
#include "engine.h"

#define RAM_SIZE   0x400000u /* at guest-physical 0 */
#define RAM2_GPA   0x80000000ull
#define RAM2_SIZE  0x4000u
#define ROM_GPA    0xff000000ull
#define ROM_SIZE   0x4000u
#define DEVICE_GPA 0xc0000000ull /* any address without a slot; the device takes them all */
#define APIC_GPA   0xfee00000ull /* one page, taken by the stand-in for the controllers */

#define LOG_MAX 64

struct mmio_record {
    uint64_t gpa;
    unsigned size;
    bool write;
    bool internal;
    uint64_t value;
};

struct harness {
    struct vm vm;
    struct vcpu vcpu;
    uint8_t *ram, *ram2, *rom;
    uint8_t page_flags[RAM_SIZE / 4096];
    struct mmio_record log[LOG_MAX];
    unsigned log_count;
    uint64_t mmio_value; /* what reads of the device give */
    int mmio_status;     /* what the machine answers */
};

/* A machine in 64-bit mode at CPL 0, paging off in EFER.LMA's sense only: tests set CR3 themselves.
 */
struct harness *harness_new(void);
void harness_free(struct harness *h);

/* Puts a 4- or 8-byte entry into RAM. */
void put64(struct harness *h, uint64_t gpa, uint64_t value);
uint64_t get64(struct harness *h, uint64_t gpa);
void put32(struct harness *h, uint64_t gpa, uint32_t value);

/* Maps one 4 KiB page in 4-level tables rooted at `root`, making tables from `*next` on as needed.
 */
void map4k(struct harness *h, uint64_t root, uint64_t *next, uint64_t linear, uint64_t leaf);
/* Guest-physical address of the leaf entry of `linear` at `level` (1: PTE, 2: PDE, ...). */
uint64_t entry_gpa(struct harness *h, uint64_t root, uint64_t linear, unsigned level);

/* Small deterministic random numbers (xorshift64*). */
struct random {
    uint64_t state;
};
uint64_t random_next(struct random *random);

/* Asserts that the last call raised this page fault. */
void assert_page_fault(struct harness *h, uint64_t address, uint32_t error);
/* Asserts a fault with error code 0. */
void assert_fault(struct harness *h, unsigned vector);

double seconds_now(void);

#define PT_P  0x001ull
#define PT_W  0x002ull
#define PT_U  0x004ull
#define PT_A  0x020ull
#define PT_D  0x040ull
#define PT_PS 0x080ull
#define PT_G  0x100ull
#define PT_XD (1ull << 63)

#endif
