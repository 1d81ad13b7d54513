/* SPDX-License-Identifier: MIT */
/*
 * transfer_harness.h - a virtual machine of one vCPU and 1 MiB of RAM between guard pages, for
 * tests of control transfer, segments and events. Instructions are decoded from bytes and given to
 * their interpreters; nothing runs natively.
 */
#ifndef ORIGAMI_TEST_TRANSFER_HARNESS_H
#define ORIGAMI_TEST_TRANSFER_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "interpreter/transfer.h"

#define RAM_SIZE 0x100000u

/* Where things are. */
#define GDT  0x1000u
#define IDT  0x2000u
#define TSS  0x4000u
#define TSS2 0x5000u
#define LDT  0x6000u
#define TABLES                                                                                     \
    0x10000u /* PML4; the tables follow; identity map of the first 1 MiB by 4 KiB pages */
#define LEAVES   0x13000u
#define STACK0   0x20000u /* ring 0 */
#define STACK3   0x28000u /* ring 3 */
#define STACK_I  0x30000u /* IST */
#define CODE     0x40000u
#define UNMAPPED 0x50000u /* not present when paging is on */

/* Selectors of the table that every machine starts with. */
enum {
    CODE0_64 = 0x08,
    DATA0 = 0x10,
    CODE3_32 = 0x18,
    DATA3 = 0x20,
    CODE3_64 = 0x28,
    CODE0_32 = 0x30,
    TSS_SELECTOR = 0x38, /* two slots in long mode */
    CODE0_16 = 0x48,
    DATA0_16 = 0x50,
    CONFORMING = 0x58,
    DATA1 = 0x60,
    CODE1_32 = 0x68,
    TSS2_SELECTOR = 0x70,
    LDT_SELECTOR = 0x80, /* two slots in long mode */
    GATE = 0x90,         /* two slots: tests put call gates here */
    ABSENT_CODE = 0xa0,
    ABSENT_DATA = 0xa8,
    EXECUTE_ONLY = 0xb0,
    READ_ONLY = 0xb8,
    EXPAND_DOWN = 0xc0,
    TASK_GATE_SELECTOR = 0xc8,
    FREE = 0xd0,
    GDT_BYTES = 0x100
};

struct machine {
    struct vm vm;
    struct vcpu vcpu;
    uint8_t *ram;
    unsigned cancel; /* the machine asks for a stop at each MMIO access */
    unsigned mmio;   /* accesses outside RAM */
};

enum machine_mode {
    MODE_REAL,
    MODE_PROTECTED32,
    MODE_LONG64,
    MODE_COMPATIBILITY,
    MODE_VIRTUAL8086
};

/* A machine with tables as above, running at `cpl` on the ring's own stack, RIP at CODE. */
struct machine *machine_new(enum machine_mode mode, unsigned cpl);
void machine_free(struct machine *m);

void put(struct machine *m, uint64_t gpa, unsigned size, uint64_t value);
uint64_t get(const struct machine *m, uint64_t gpa, unsigned size);

/* A descriptor: access byte and the upper flags nibble (G=8, D/B=4, L=2). */
uint64_t make_segment(uint32_t base, uint32_t limit, unsigned access, unsigned flags);
void set_descriptor(struct machine *m, unsigned selector, uint64_t raw);
void set_gate64(struct machine *m, unsigned vector, uint16_t selector, uint64_t offset,
                unsigned access, unsigned stack);
void set_gate32(struct machine *m, unsigned vector, uint16_t selector, uint32_t offset,
                unsigned access);
/* Unmaps or changes a 4 KiB page when paging is on, and flushes the TLB. */
void set_page(struct machine *m, uint64_t linear, uint64_t entry);

/* Decodes and carries out one instruction as the dispatcher does; RIP moves on success. */
int run(struct machine *m, const char *bytes, size_t size);
#define RUN(m, bytes) run(m, bytes, sizeof(bytes) - 1)

/* The last fault. */
void assert_fault(const struct machine *m, int result, unsigned vector, uint32_t error);
#define assert_selector(m, segment_, value)                                                        \
    assert_int_equal((m)->vcpu.r.segment[segment_].selector, value)

/* xorshift64* */
uint64_t random_next(uint64_t *state);

#endif
