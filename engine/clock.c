/* SPDX-License-Identifier: MIT */
/*
 * clock.c - virtual time from the host's TSC or from the count of retired instructions.
 */
#include "engine.h"
#include "support.h"

uint64_t clock_host_tsc(void)
{
    uint32_t low, high;
    /* LFENCE: RDTSC may otherwise be executed ahead of earlier loads (SDM Vol. 2B, RDTSC). */
    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

void clock_scale(struct clock *clock, uint64_t host_hz)
{
    if (host_hz == 0)
        host_hz = CLOCK_TSC_HZ;
    clock->shift = 32;
    clock->multiplier = (CLOCK_TSC_HZ << 32) / host_hz;
}

static uint64_t clock_real(const struct clock *clock)
{
    uint64_t host = clock_host_tsc();
    /* Another core's TSC may be a little behind the one that gave host_base. */
    uint64_t ticks = host > clock->host_base ? host - clock->host_base : 0;
    unsigned __int128 product = (unsigned __int128)ticks * clock->multiplier;
    return (uint64_t)(product >> (clock->shift & 63)) + clock->offset;
}

uint64_t clock_now(const struct vcpu *vcpu)
{
    const struct clock *clock = &vcpu->vm->clock;
    if (clock->mode == CLOCK_INSTRUCTIONS)
        return vcpu->instructions + clock->offset;

    /* Moving to a core with a slightly earlier TSC must not turn time back. */
    uint64_t *seen = &vcpu->vm->controllers.lapic[vcpu->id % VCPU_MAX].clock_seen;
    uint64_t last = __atomic_load_n(seen, __ATOMIC_RELAXED);
    uint64_t now = clock_real(clock);
    if (now < last)
        return last;
    __atomic_store_n(seen, now, __ATOMIC_RELAXED);
    return now;
}

uint64_t clock_tsc(const struct vcpu *vcpu)
{
    return clock_now(vcpu) + vcpu->r.tsc_offset + vcpu->r.tsc_adjust;
}

void clock_skip(struct vcpu *vcpu, uint64_t when)
{
    struct clock *clock = &vcpu->vm->clock;
    if (clock->mode != CLOCK_INSTRUCTIONS || when == CLOCK_NEVER)
        return; /* real time passes by itself */
    uint64_t now = clock_now(vcpu);
    if (when > now)
        clock->offset += when - now;
}
