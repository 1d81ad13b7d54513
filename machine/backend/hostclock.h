/* SPDX-License-Identifier: MIT */
/*
 * hostclock.h - the rate of the host's TSC, and virtual time from it: the formula of
 * engine/clock.h, ns = ((tsc - base) * multiplier) >> shift, with a 128-bit product.
 */
#ifndef ORIGAMI_MACHINE_HOSTCLOCK_H
#define ORIGAMI_MACHINE_HOSTCLOCK_H

#include <stdint.h>
#include "../support/problem.h"

struct host_sample {
    uint64_t tsc;
    uint64_t ns; /* CLOCK_MONOTONIC_RAW */
};

struct host_clock {
    uint64_t base; /* TSC at virtual time 0 */
    uint64_t multiplier;
    uint32_t shift;
};

uint64_t host_clock_tsc(void);
/* The TSC and the time at the same moment, as closely as can be. */
struct host_sample host_clock_sample(void);
/*
 * Rate from the time since `start`, which should be 40 ms ago or more (the rest is slept). A rate
 * that CPUID states (leaf 0x15) is preferred if the measurement agrees with it.
 */
int MUST_CHECK host_clock_calibrate(struct host_clock *clock, struct host_sample start,
                                    struct problem *problem);
/* The same from two given samples; 0 if they cannot be right. */
uint64_t host_clock_multiplier(struct host_sample start, struct host_sample end);
/* Virtual ns of a TSC value; 0 before the base (TSCs of cores may differ a little). */
uint64_t host_clock_ns(const struct host_clock *clock, uint64_t tsc);
/* Wall clock, ns since 1970. */
uint64_t host_clock_wall(void);

#endif
