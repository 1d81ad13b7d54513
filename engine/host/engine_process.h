/* SPDX-License-Identifier: MIT */
/*
 * engine_process.h - what one engine process holds: its end of the wire, the virtual machine, and
 * the one virtual CPU it runs. Lives in memory of its own; nothing of it is global.
 */
#ifndef ORIGAMI_ENGINE_PROCESS_H
#define ORIGAMI_ENGINE_PROCESS_H

#include <origami/wire.h>
#include "../engine.h"
#include "../step/stub.h"

struct engine_process {
    struct vm vm;
    struct vcpu vcpu;
    struct wire *wire;
    struct wire_vcpu *channel;
    struct wire_setup setup; /* the copy that is believed */
    uint64_t lines[4];       /* as last seen */
    uint64_t deadline_seen;
    struct stub_cache stubs;
};

/* Hands `exit` (already filled in channel->exit) to the machine and carries out its commands until
 * one lets the guest go on. 0 or -ECANCELED (stop at the next boundary); QUIT does not return. */
int process_converse(struct engine_process *process, uint32_t reason);

/* posted.c: a write that nobody waits for. False: the address is no doorbell. */
bool process_doorbell(struct engine_process *process, uint64_t gpa, unsigned size);
/* posted.c: drops the translations of pages that devices have written. */
void process_code_written(struct engine_process *process);

/* The vCPU's life: never returns. */
void process_run(struct engine_process *process) __attribute__((noreturn));

/* Ends the process with one line for the machine to print. */
void process_fail(struct engine_process *process, const char *message) __attribute__((noreturn));

extern const struct machine_operations process_operations;

#endif
