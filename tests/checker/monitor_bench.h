/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the monitor share: a description with its plan, enlarged to hold programs, and
 * runs of many random programs at once.
 */
#ifndef ORIGAMI_TESTS_CHECKER_MONITOR_BENCH_H
#define ORIGAMI_TESTS_CHECKER_MONITOR_BENCH_H

#include "monitor/compare.h"

struct bench {
    struct isa_description *running;
    struct monitor_plan plan;
};

struct bench_totals {
    uint64_t programs, runs, steps, traps, direct, emulated, reflected, interpreted, replaced,
        ended[END_MONITOR_CELLS + 1];
};

enum bench_result { BENCH_EQUAL, BENCH_DIFFERENT, BENCH_FAILED };

/* Reads `path`, analyses it as it is, and again with address_bits of 6 or more and
 * `resources` (may be NULL) to run. `extra` (may be NULL) is text appended to the description that
 * runs, but not analysed: its instructions are unknown to the plan and count as innocuous. 0, or -1
 * said on stdout; 1: the theorems do not apply. */
int bench_open(struct bench *bench, const char *path, const char *resources, const char *extra);
void bench_close(struct bench *bench);

/* Random programs first, first + 1, ... at each depth from 1 to `depth` against the bare machine.
 * Stops at the first difference, which is printed unless quiet. */
enum bench_result bench_run(const struct bench *bench, uint64_t first, uint64_t count,
                            unsigned depth, bool quiet, struct bench_totals *totals);

#endif
