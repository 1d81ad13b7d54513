/* SPDX-License-Identifier: MIT */
/* hostclock.c - measuring the host's TSC against CLOCK_MONOTONIC_RAW. */
#include "hostclock.h"
#include <cpuid.h>
#include <errno.h>
#include <time.h>

#define SHIFT      32
#define MEASURE_NS 40000000ull
#define ATTEMPTS   9
#define AGREEMENT                                                                                  \
    1000 /* a stated rate within one part in this many of the measured one is believed */
#define RATE_MINIMUM 10000000ull /* Hz: below and above these the clock is no TSC */
#define RATE_MAXIMUM 100000000000ull

uint64_t host_clock_tsc(void)
{
    /* LFENCE: the counter is not read before earlier loads are done (SDM Vol. 2B, RDTSC). */
    __asm__ volatile("lfence" ::: "memory");
    return __builtin_ia32_rdtsc();
}

static uint64_t now_ns(clockid_t id)
{
    struct timespec now = { 0 };

    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct host_sample host_clock_sample(void)
{
    struct host_sample best = { 0 };
    uint64_t best_gap = UINT64_MAX;

    /* The closest pair of TSC reads around the clock's: not preempted, not interrupted. */
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint64_t before = host_clock_tsc();
        uint64_t ns = now_ns(CLOCK_MONOTONIC_RAW);
        uint64_t gap = host_clock_tsc() - before;
        if (gap < best_gap) {
            best_gap = gap;
            best = (struct host_sample){ .tsc = before + gap / 2, .ns = ns };
        }
    }
    return best;
}

uint64_t host_clock_multiplier(struct host_sample start, struct host_sample end)
{
    uint64_t ticks = end.tsc - start.tsc;
    uint64_t ns = end.ns - start.ns;

    if (end.tsc <= start.tsc || end.ns <= start.ns)
        return 0;
    unsigned __int128 hz = (unsigned __int128)ticks * 1000000000u / ns;
    if (hz < RATE_MINIMUM || hz > RATE_MAXIMUM)
        return 0;
    return (uint64_t)(((unsigned __int128)ns << SHIFT) / ticks);
}

/* CPUID leaf 0x15: crystal frequency times EBX / EAX; 0 if it does not say. */
static uint64_t stated_multiplier(void)
{
    unsigned denominator = 0, numerator = 0, crystal = 0, unused = 0;

    if (!__get_cpuid_count(0x15, 0, &denominator, &numerator, &crystal, &unused) || !denominator ||
        !numerator || !crystal)
        return 0;
    uint64_t hz = (uint64_t)crystal * numerator / denominator;
    if (hz < RATE_MINIMUM || hz > RATE_MAXIMUM)
        return 0;
    return (uint64_t)(((unsigned __int128)1000000000u << SHIFT) / hz);
}

int host_clock_calibrate(struct host_clock *clock, struct host_sample start,
                         struct problem *problem)
{
    uint64_t elapsed = now_ns(CLOCK_MONOTONIC_RAW) - start.ns;

    while (elapsed < MEASURE_NS) {
        struct timespec rest = { .tv_nsec = (long)(MEASURE_NS - elapsed) };
        nanosleep(&rest, NULL);
        elapsed = now_ns(CLOCK_MONOTONIC_RAW) - start.ns;
    }
    uint64_t measured = host_clock_multiplier(start, host_clock_sample());
    uint64_t stated = stated_multiplier();
    if (!measured)
        return problem_set(problem, STATUS_HOST, ENOTSUP,
                           "the host's time stamp counter does not keep time");
    uint64_t difference = stated > measured ? stated - measured : measured - stated;
    *clock =
        (struct host_clock){ .multiplier =
                                 stated && difference < measured / AGREEMENT ? stated : measured,
                             .shift = SHIFT,
                             .base = host_clock_tsc() };
    return 0;
}

uint64_t host_clock_ns(const struct host_clock *clock, uint64_t tsc)
{
    if (tsc <= clock->base)
        return 0;
    return (uint64_t)(((unsigned __int128)(tsc - clock->base) * clock->multiplier) >> clock->shift);
}

uint64_t host_clock_wall(void)
{
    return now_ns(CLOCK_REALTIME);
}
