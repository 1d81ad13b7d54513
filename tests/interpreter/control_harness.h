/* SPDX-License-Identifier: MIT */
/*
 * control_harness.h - a virtual machine of one vCPU with the host's CPU model and real extended
 * state, for tests of control registers, MSRs, CPUID, the XSAVE family, x87 and ports. Instructions
 * are decoded from bytes and given to their interpreters.
 */
#ifndef ORIGAMI_TEST_CONTROL_HARNESS_H
#define ORIGAMI_TEST_CONTROL_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "host/hosted.h"
#include "interpreter/transfer.h"

#define RAM_SIZE 0x200000u
#define TABLES   0x10000u /* PML4, PDPT, PD, PT: identity map of the RAM by 4 KiB pages */
#define LEAVES   0x13000u
#define TSS      0x4000u
#define CODE     0x40000u
#define DATA     0x50000u
#define HOLE     0x60000u /* not mapped when paging is on */

struct port_record {
    uint16_t port;
    unsigned size;
    bool write;
    uint32_t value;
};

struct machine {
    struct vm vm;
    struct vcpu vcpu;
    uint8_t *ram;
    struct port_record port[64];
    unsigned port_count;
    uint32_t port_input; /* what reads give; counts up */
    bool cancel;
};

enum machine_mode { MODE_REAL, MODE_PROTECTED32, MODE_LONG64, MODE_COMPATIBILITY };

struct machine *machine_new(enum machine_mode mode, unsigned cpl, enum cpu_vendor vendor);
void machine_free(struct machine *m);

/* One instruction: the interpreter's result; RIP moves as the dispatcher would move it. */
int run(struct machine *m, const void *bytes, size_t size);
#define RUN(m, bytes) run(m, bytes, sizeof(bytes) - 1)

/* The last result was this exception. */
void assert_fault(const struct machine *m, int result, unsigned vector, uint32_t error);
#define assert_gp(m, result) assert_fault(m, result, EXCEPTION_GP, 0)
#define assert_ud(m, result) assert_fault(m, result, EXCEPTION_UD, 0)

/* Rewrites the leaf page-table entry of a page, and flushes. */
void set_page(struct machine *m, uint64_t linear, uint64_t entry);

uint64_t random_next(uint64_t *state);
void random_fill(uint64_t *state, void *bytes, size_t size);

/* Gives the guest a random but legal extended state in every component that the model allows. */
void random_extended_state(struct machine *m, uint64_t *state);

#define GPR(m, name) ((m)->vcpu.r.gpr[REGISTER_##name])

#endif
