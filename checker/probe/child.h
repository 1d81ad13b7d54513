/* SPDX-License-Identifier: MIT */
/* What the probe and its children share; see child.c. */
#ifndef ORIGAMI_PROBE_CHILD_H
#define ORIGAMI_PROBE_CHILD_H

#include "probe.h"

enum probe_stage {
    STAGE_SETUP,   /* nothing under test has run */
    STAGE_RUN,     /* the one run that counts */
    STAGE_MEASURE, /* it executed; now timing it */
    STAGE_STEP,    /* single-stepping over it */
    STAGE_DONE,
};

/* Mapped shared, below 4 GiB if the kernel lets us. Written by the child and its handler. */
struct probe_shared {
    struct probe_result result;
    volatile enum probe_stage stage;
    volatile uint64_t instruction, next; /* addresses, for the handler */
    volatile uint64_t step_previous;
    volatile unsigned step_count;
    _Alignas(16) uint8_t copy[2048]; /* for probe_call_guarded */
    _Alignas(64) uint8_t scratch[PROBE_SCRATCH_SIZE];
};

/* signals.c: in the child. Handlers on a stack of their own; a trap ends the process, with the
 * result in *shared. 0 or -errno. */
int probe_catch_signals(struct probe_shared *shared) PROBE_MUST_CHECK;

#endif
