/* SPDX-License-Identifier: MIT */
/*
 * engineprivate.h - between engine.c (the engine's process and the conversation with it) and
 * posted.c (what passes beside the conversation: interrupts, doorbells, pages of code).
 */
#ifndef ORIGAMI_MACHINE_ENGINEPRIVATE_H
#define ORIGAMI_MACHINE_ENGINEPRIVATE_H

#include <linux/futex.h>
#include <origami/wire.h>
#include <stdbool.h>
#include "backend.h"

#define ENGINE_SLICE_NS 500000000l /* how long a missed wake-up may go unnoticed */

struct backend {
    struct wire *wire;
    size_t wire_size;
    int wire_fd;
    struct ram *ram;
    pid_t child;      /* 0 = none, or collected */
    bool own_waiting; /* nobody else collects the child yet: the main loop is not running */
    uint32_t dead;    /* set by lost(); atomic */
    int wait_status;
    uint32_t in_exit;    /* the move is ours: no kick needed; atomic */
    uint64_t spin_ticks; /* SPIN_NS of host TSC; 0 = never, there is one CPU only */
    unsigned spin_trust, spin_skipped;
    uint64_t lines[4];
    uint64_t deadline;
    uint32_t msi_head;
    uint32_t code_head;
    uint32_t bell_stopped; /* stop_doorbells() was called; atomic */
};

long engine_futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout);

/* posted.c: see backend.h and wire.h */
void engine_irq_line(struct backend *backend, unsigned gsi, bool level);
void engine_msi(struct backend *backend, uint32_t requester, uint64_t address, uint32_t data);
void engine_set_deadline(struct backend *backend, uint64_t when);
void engine_pause(struct backend *backend);
void engine_set_doorbell(struct backend *backend, unsigned slot, uint64_t gpa);
bool engine_wait_doorbells(struct backend *backend, uint64_t rung[BACKEND_DOORBELLS]);
void engine_stop_doorbells(struct backend *backend);
/* ram->code_written */
void engine_code_written(void *context, uint64_t page);

#endif
