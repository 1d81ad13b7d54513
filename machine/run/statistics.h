/* SPDX-License-Identifier: MIT */
/*
 * statistics.h - what --stats reports: the engine's counters, the machine's own, times, and hashes
 * of the final state.
 */
#ifndef ORIGAMI_MACHINE_STATISTICS_H
#define ORIGAMI_MACHINE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support/problem.h"

#define STATISTICS_WORDS 1024

struct run_statistics {
    /* struct vcpu_statistics of every boot added up, as the 64-bit words it consists of. */
    uint64_t word[STATISTICS_WORDS];
    size_t words;
    unsigned boots;
    const char *backend;                 /* its name; "engine" counts, others do not */
    uint32_t tier;                       /* enum wire_tier that ran */
    unsigned namespaces;                 /* NAMESPACE_*: those the machine process is alone in */
    uint64_t instructions;               /* retired, all boots */
    uint64_t virtual_ns;                 /* of the last boot */
    uint64_t start_ns, ready_ns, end_ns; /* host time: start, first instruction, end */
    const char *disk_io;                 /* how the disks' I/O is done; NULL = no disks */
    uint64_t exits[8];                   /* by enum backend_exit */
    uint64_t device_ns;                  /* host time spent in device emulation */
    bool state_valid;                    /* the final state could be read */
    uint64_t registers_hash, extended_hash, memory_hash;
    bool instructions_clock;
    uint64_t memory;
    int exit_status;
};

/* Adds one boot's counters (a struct vcpu_statistics of `size` bytes). */
void statistics_add(struct run_statistics *statistics, const void *counters, size_t size);

/*
 * The report. Made in two steps because the second must work inside the system call filter: open
 * makes a file in the directory of `path`, nameless where the file system can (so that even SIGKILL
 * leaves nothing behind), write fills it and puts it in place at once, or removes it.
 */
struct statistics_file {
    const char *path;
    char temporary[4096 + 32];
    bool nameless;
    int fd; /* -1 = none */
};
int MUST_CHECK statistics_open(struct statistics_file *file, const char *path,
                               struct problem *problem);
int MUST_CHECK statistics_write(struct statistics_file *file,
                                const struct run_statistics *statistics, struct problem *problem);
void statistics_abandon(struct statistics_file *file);

#endif
