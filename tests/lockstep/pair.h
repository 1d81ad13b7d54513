/* SPDX-License-Identifier: MIT */
/*
 * pair.h - the same machine twice: once with the Soft tier, once with Step alone, compared after
 * any number of instructions. Both count instructions as time, so both must do the same to the bit.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_PAIR_H
#define ORIGAMI_TEST_LOCKSTEP_PAIR_H

#include <stdio.h>
#include "host/hosted.h"
#include "translator/translator.h"

enum { SOFT, STEP, MACHINES };

struct machine {
    struct vm vm;
    struct vcpu *vcpu;
    uint8_t *ram;
};

struct pair {
    struct machine machine[MACHINES];
    uint64_t ram_size;
};

/* RAM from guest-physical 0 on. 0, or -1: this host lacks something the Soft tier needs. */
int pair_create(struct pair *pair, uint64_t ram_size, const struct machine_operations *operations);
void pair_destroy(struct pair *pair);

/* One thread runs both in turns: signal handlers must know whose turn it is. */
void machine_select(struct machine *machine);
enum vcpu_exit machine_run(struct machine *machine, uint64_t budget);

/* Runs Soft for `budget` instructions in one go and Step as far. NULL, or what differs. */
const char *pair_run(struct pair *pair, uint64_t budget, enum vcpu_exit *exit);
/* Registers, vector state and counters; NULL if equal, else what differs. */
const char *pair_compare(struct pair *pair);
/* Offset and size of a component (2-7) in the standard format: processors differ in them. */
void extended_component(unsigned component, unsigned *offset, unsigned *size);
/* The first byte of RAM that differs, or ram_size. */
uint64_t pair_compare_ram(const struct pair *pair, uint64_t from);

/* Everything that decides how a machine goes on, so that a stretch of its run can be repeated. */
struct snapshot;
struct snapshot *snapshot_take(struct pair *pair);
/* With the translator emptied: what it knew is no part of a machine's state. */
void snapshot_restore(struct pair *pair, const struct snapshot *snapshot);
void snapshot_free(struct snapshot *snapshot);

/* ---- report.c ---- */
/* Both register states, side by side, differences marked. */
void report_registers(struct pair *pair, FILE *out);
/* Where guest memory differs, the first places of it. */
void report_memory(const struct pair *pair, FILE *out);
/* Guest instructions from `rip` on, as `machine` would fetch them now. */
void report_guest_code(struct machine *machine, uint64_t rip, unsigned count, FILE *out);
/* Blocks that hold the guest instruction at `rip`, or the last one translated if none does. */
void report_blocks(struct machine *machine, uint64_t rip, FILE *out);
void report_block(struct machine *machine, const struct soft_block *block, FILE *out);

#endif
