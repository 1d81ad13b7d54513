/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - standard input and output as the guest's console.
 *
 * Output goes through a queue and a thread of its own, so that a slow, stopped or closed reader
 * never holds up the machine. When the queue is full there is no room (the guest's port stays
 * busy), or, in deterministic runs, the vCPU waits. Input is queued until the guest takes it.
 *
 * A terminal is put into raw mode and back again on every way out (see guard.h for the violent
 * ones).
 */
#ifndef ORIGAMI_MACHINE_TERMINAL_H
#define ORIGAMI_MACHINE_TERMINAL_H

#include <pthread.h>
#include <stdbool.h>
#include <termios.h>
#include "../support/problem.h"
#include "escape.h"
#include "guard.h"
#include "ring.h"

struct terminal {
    int input, output; /* descriptors, not ours to close */
    bool is_tty;       /* input is a terminal, its modes saved and changed */
    struct termios saved;
    struct guard guard;
    struct escape escape; /* main thread only */
    bool input_ended;     /* main thread only */
    int wake;             /* eventfd of the main loop: room again, or input wanted again */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    pthread_t writer;
    bool writer_runs, closing;
    bool wait_for_room; /* deterministic runs: terminal_put() waits */
    bool was_full;      /* somebody was told that there is no room */
    bool idle;          /* the writer waits for something to do */
    bool broken;        /* nobody reads any more: output is dropped */
    struct ring in, out;
};

/* `wake` is an eventfd that gets a 1 whenever the main loop should look. */
int MUST_CHECK terminal_init(struct terminal *terminal, int input, int output, int wake,
                             bool deterministic, struct problem *problem);
/* Raw mode and guard; forks, so call it before there are threads. */
int MUST_CHECK terminal_open(struct terminal *terminal, struct problem *problem);
/* Starts the writer. */
int MUST_CHECK terminal_start(struct terminal *terminal, struct problem *problem);
/* Writes out what is queued (gives up after `seconds` without progress) and restores the modes.
 * False if the writer hangs in write(): then `terminal` must stay until the process ends. */
bool terminal_close(struct terminal *terminal, int seconds);
/* The run is ending: terminal_put() waits no more. */
void terminal_abandon(struct terminal *terminal);
/* Modes back, and raw again: around being stopped. */
void terminal_suspend(struct terminal *terminal);
void terminal_resume(struct terminal *terminal);

/* Guest's side, any thread. terminal_get(): -1 = nothing there. */
bool terminal_put(struct terminal *terminal, uint8_t byte);
bool terminal_room(struct terminal *terminal);
int terminal_get(struct terminal *terminal);

/* Main loop's side: is input wanted, and what to do when it is there. */
bool terminal_wants_input(struct terminal *terminal);
enum escape_action terminal_read(struct terminal *terminal);

#endif
