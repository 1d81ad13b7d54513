/* SPDX-License-Identifier: MIT */
/*
 * backend.h - what runs the virtual CPUs, in the shape of KVM's interface: memory, run until an
 * exit, interrupt lines and messages, state by parts. The engine process stands behind it, or KVM.
 * Where the interrupt controllers live is the back end's business.
 *
 * Threads: create, start-up state and destroy from the main thread; run and state from the vCPU's
 * thread while one exists; set_doorbell, irq_line, msi, set_deadline under the machine's device
 * lock from any thread; pause and lost from the main thread.
 */
#ifndef ORIGAMI_MACHINE_BACKEND_H
#define ORIGAMI_MACHINE_BACKEND_H

#include <origami/state.h>
#include <sys/types.h>
#include "../memory/ram.h"
#include "../support/problem.h"
#include "hostclock.h"

#define BACKEND_STATE_MAX 65536
#define BACKEND_DOORBELLS 32

struct backend; /* each back end's own */
struct recording;
struct replay;

struct backend_config {
    struct ram *ram; /* page_flags is set by create and cleared by destroy */
    unsigned cpus;
    uint32_t tier;          /* enum wire_tier wanted */
    uint32_t *tier_running; /* filled by create: the host may not be able to do more */
    bool instructions;      /* clock: count instructions instead of host time */
    struct host_clock clock;
    uint64_t wall_base;          /* ns since 1970 at virtual time 0 */
    uint64_t seed[2];            /* of the guest's RDRAND in deterministic runs */
    const char *program;         /* name of the engine, for messages */
    int program_fd;              /* the engine */
    int null_fd;                 /* /dev/null */
    int ready_timeout;           /* seconds an engine may take to get ready */
    struct recording *recording; /* record/record.h */
    struct replay *replay;
};

enum backend_exit {
    BACKEND_PORT, /* answer with `value` */
    BACKEND_MMIO, /* answer with `value` */
    BACKEND_DEADLINE,
    BACKEND_PAUSED,   /* pause() was called */
    BACKEND_STOPPED,  /* `stop` was set at the last run */
    BACKEND_SHUTDOWN, /* triple fault */
    BACKEND_ENDED     /* a replay has come to the end of its log; state as after STOPPED */
};

/* One run: what goes in answers the previous exit; what comes out has been validated. */
struct backend_run {
    uint64_t value; /* in: result of a read; out: value written, within its size */
    bool stop;      /* in: finish the access, then report BACKEND_STOPPED */
    /* in, in runs that count instructions: report BACKEND_PAUSED at the first boundary at which
     * virtual time is not earlier; 0 = not. */
    uint64_t pause_at;
    enum backend_exit exit;
    uint64_t address; /* port number or guest-physical address */
    unsigned size;    /* 1, 2, 4; for MMIO also 8 */
    bool write;
    uint64_t virtual_ns;
    uint64_t instructions;
};

struct backend_operations {
    const char *name;
    int (*create)(struct backend **backend, const struct backend_config *config,
                  struct problem *problem);
    void (*destroy)(struct backend *backend);
    /* -ESRCH: the back end is gone; other errors: it cannot go on. Both with a problem. */
    int (*run)(struct backend *backend, struct backend_run *run, struct problem *problem);
    /* After create, STOPPED, PAUSED or SHUTDOWN. *size is the part's size. */
    int (*get_state)(struct backend *backend, enum state_part part, void *data, size_t capacity,
                     size_t *size, struct problem *problem);
    int (*set_state)(struct backend *backend, enum state_part part, const void *data, size_t size,
                     struct problem *problem);
    void (*irq_line)(struct backend *backend, unsigned gsi, bool level);
    void (*msi)(struct backend *backend, uint32_t requester, uint64_t address, uint32_t data);
    /* The next BACKEND_DEADLINE, in virtual ns; ~0 = never. */
    void (*set_deadline)(struct backend *backend, uint64_t when);
    void (*pause)(struct backend *backend);
    /*
     * Doorbells: writes to the page at `gpa` (~0 = none any more) do not become exits but bits for
     * PCI slot `slot`, one for each 32-bit word of the page. NULL: this back end has none.
     * wait_doorbells is for one thread: it sleeps until there are bits, and takes them; false: stop
     * was called. The bits may be anything.
     */
    void (*set_doorbell)(struct backend *backend, unsigned slot, uint64_t gpa);
    bool (*wait_doorbells)(struct backend *backend, uint64_t rung[BACKEND_DOORBELLS]);
    void (*stop_doorbells)(struct backend *backend);
    /* The process to watch, and what to call with its wait status when it has ended. */
    pid_t (*child)(const struct backend *backend);
    void (*lost)(struct backend *backend, int wait_status);
};

extern const struct backend_operations backend_engine; /* engine.c: an engine process */
extern const struct backend_operations backend_kvm;    /* kvm.c: /dev/kvm */

#endif
