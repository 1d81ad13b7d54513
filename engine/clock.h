/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the one clock of a machine. TSC, deadline timer, kvmclock, 8254, RTC and the PM timer
 * all derive from it, in the engine and (through the wire) in the machine process.
 *
 * Unit: nanoseconds of virtual time since power-on. The guest's TSC runs at CLOCK_TSC_HZ (1 GHz),
 * so one TSC tick is one nanosecond before TSC_ADJUST.
 */
#ifndef ORIGAMI_ENGINE_CLOCK_H
#define ORIGAMI_ENGINE_CLOCK_H

#include <stdint.h>

struct vcpu;

#define CLOCK_TSC_HZ 1000000000ull
#define CLOCK_NEVER  (~0ull)

enum clock_mode {
    CLOCK_REAL, /* host TSC scaled: ns = ((host_tsc - host_base) * multiplier) >> shift + offset */
    CLOCK_INSTRUCTIONS /* ns = retired instructions + time skipped while halted: deterministic */
};

struct clock {
    uint32_t mode; /* enum clock_mode */
    uint32_t shift;
    uint64_t multiplier;
    uint64_t host_base;
    uint64_t offset;    /* added: continues a saved machine's time; also time skipped by HLT */
    uint64_t wall_base; /* ns since 1970 at virtual time 0 (fixed in deterministic runs) */
};

/* Virtual nanoseconds now, as seen by this vCPU. Never goes backwards on one vCPU. */
uint64_t clock_now(const struct vcpu *vcpu);
/* The guest's TSC: clock_now + the vCPU's TSC offset and TSC_ADJUST. */
uint64_t clock_tsc(const struct vcpu *vcpu);
/* Deterministic runs: jumps to `when` (the vCPU is halted and nothing happens before). */
void clock_skip(struct vcpu *vcpu, uint64_t when);

/* The host's TSC, read in program order: for clock.host_base. */
uint64_t clock_host_tsc(void);
/* Sets multiplier and shift for a host TSC of host_hz (0 is taken as 1 GHz). */
void clock_scale(struct clock *clock, uint64_t host_hz);

#endif
