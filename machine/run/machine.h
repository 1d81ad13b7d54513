/* SPDX-License-Identifier: MIT */
/*
 * machine.h - one running machine: memory, board, console, back end, and the two threads that share
 * it.
 *
 * The vCPU's thread waits for exits and runs the devices; the main thread watches the terminal,
 * signals and the engine's life. `lock` is the one device lock: it protects the board and the calls
 * it makes. The engine never holds it, so it can't block anybody.
 */
#ifndef ORIGAMI_MACHINE_MACHINE_H
#define ORIGAMI_MACHINE_MACHINE_H

#include <pthread.h>
#include <signal.h>
#include "../backend/backend.h"
#include "../command/options.h"
#include "../devices/board.h"
#include "../loaders/loader.h"
#include "../record/record.h"
#include "../terminal/terminal.h"
#include "statistics.h"

/* Why a run ends. The first reason counts. */
enum run_end {
    END_NONE,
    END_POWER_OFF,
    END_RESET,
    END_DEBUG_EXIT,
    END_SHUTDOWN, /* triple fault */
    END_SIGNAL,
    END_LEFT,     /* Ctrl-A x */
    END_REPLAYED, /* a replay has come to the end of its log */
    END_FAILED    /* see problem */
};

struct machine {
    const struct options *options;
    struct ram ram;
    struct board board;
    struct terminal terminal;
    const struct backend_operations *operations;
    struct backend *backend;
    struct boot_request boot;
    struct boot_module module[LOADER_MODULE_MAX], initrd;
    char engine[4096];
    int engine_fd, null_fd; /* the engine's program and /dev/null: later there may be no names */
    struct log_parameters parameters; /* runs that count instructions: start time and seeds too */
    struct recording *recording;      /* or NULL */
    struct replay *replay;            /* or NULL */
    struct host_sample started;
    struct host_clock clock;
    uint64_t wall_base; /* of the current boot */

    struct board_disk disk[OPTIONS_DISKS];

    pthread_mutex_t lock;
    pthread_t thread, bells;
    bool bells_run;
    uint32_t console_event; /* board_console() is due; atomic */

    /* Under `lock` */
    enum run_end end;
    uint32_t end_value; /* debug-exit value or signal number */
    struct problem problem;

    bool boundary;    /* the vCPU's thread has stopped the guest and collects its state; atomic */
    bool thread_done; /* set by the vCPU's thread as its last act; atomic */
    int wake;         /* eventfd: the main loop should look */
    int signals;      /* signalfd */
    sigset_t signal_mask, old_mask;
    struct sigaction old_pipe, old_size;
    struct run_statistics statistics;
};

/* Reads the input files and makes memory, board and console. machine_destroy() undoes any part of
 * it. */
int MUST_CHECK machine_create(struct machine *machine, const struct options *options,
                              struct problem *problem);
void machine_destroy(struct machine *machine);

/* Loads the kernel, starts the back end and sets the first CPU's state. */
int MUST_CHECK machine_boot(struct machine *machine, struct problem *problem);
/* The input files are not needed any more: there will be no other boot. */
void machine_release_files(struct machine *machine);
/* Takes the back end down and brings memory and devices to their state before the first boot. */
int MUST_CHECK machine_reset(struct machine *machine, struct problem *problem);

/* Ends the run at the next instruction boundary, for the first reason that is given. */
void machine_end(struct machine *machine, enum run_end end, uint32_t value);
/* The console has input or room. Never waits for the device lock. */
void machine_console(struct machine *machine);
/* Does what machine_console() asked for, if the lock is free; the vCPU's thread calls it too. */
void machine_run_console(struct machine *machine);

/* The device lock around what happens outside an exit: time is brought up to date first; deadline
 * and console are seen to afterwards. */
void machine_enter(struct machine *machine);
void machine_leave(struct machine *machine);

/* Virtual time now, for events that come from outside an exit. Under `lock`. */
uint64_t machine_now(const struct machine *machine);

/* vcpu.c: the vCPU's thread, from the first instruction of a boot to its end. */
void *vcpu_main(void *machine);
/* doorbell.c: the thread that answers doorbells, as long as the vCPU's runs. */
int MUST_CHECK doorbell_start(struct machine *machine, struct problem *problem);
void doorbell_stop(struct machine *machine);
/* loop.c: the main thread, while the vCPU's runs. */
int MUST_CHECK loop_run(struct machine *machine, struct problem *problem);

#endif
