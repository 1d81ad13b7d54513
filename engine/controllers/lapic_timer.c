/* SPDX-License-Identifier: MIT */
/*
 * lapic_timer.c - the LAPIC timer: one-shot, periodic and TSC-deadline (SDM Vol. 3, "APIC Timer").
 *
 * The count is computed from virtual time when it is read. An undivided count is one nanosecond.
 */
#include "internal.h"

static unsigned timer_mode(const struct lapic *lapic)
{
    return LVT_TIMER_MODE(lapic->lvt[LVT_TIMER]);
}

/* Divide configuration register: bits 3, 1, 0 as a number n mean 2 << n, but 7 means 1. */
static uint64_t timer_divisor(uint32_t divide)
{
    uint32_t n = (divide >> 1 & 4) | (divide & 3);
    return 1ull << ((n + 1) & 7);
}

/* At most 2^32 * 128 ns. */
static uint64_t timer_period(const struct lapic *lapic)
{
    return lapic->timer_initial * timer_divisor(lapic->timer_divide);
}

static bool timer_counts(const struct lapic *lapic)
{
    return timer_mode(lapic) <= TIMER_PERIODIC && lapic->timer_initial != 0;
}

static uint64_t timer_elapsed(const struct lapic *lapic, uint64_t now)
{
    /* Modulo 2^64: the start may lie before time 0 after a change of the divisor. */
    uint64_t elapsed = now - lapic->timer_start;
    return (int64_t)elapsed < 0 ? 0 : elapsed;
}

static uint32_t timer_count(const struct lapic *lapic, uint64_t now)
{
    if (!timer_counts(lapic) || lapic->timer_expiry == CLOCK_NEVER)
        return 0;
    uint64_t period = timer_period(lapic), elapsed = timer_elapsed(lapic, now);
    if (timer_mode(lapic) == TIMER_PERIODIC)
        elapsed %= period;
    else if (elapsed >= period)
        return 0;
    return (uint32_t)(lapic->timer_initial - elapsed / timer_divisor(lapic->timer_divide));
}

/* The first expiry after `now` that is on the grid of periods and not sooner than the floor allows.
 */
static uint64_t timer_next_period(const struct lapic *lapic, uint64_t now)
{
    uint64_t period = timer_period(lapic), elapsed = timer_elapsed(lapic, now);
    uint64_t periods = elapsed / period + 1;
    if (period < TIMER_FLOOR_NS)
        periods = (elapsed + TIMER_FLOOR_NS + period - 1) / period;
    return lapic->timer_start + periods * period;
}

static void timer_disarm(struct lapic *lapic)
{
    lapic->timer_initial = 0;
    lapic->timer_expiry = CLOCK_NEVER;
    lapic->tsc_deadline = 0;
}

void lapic_timer_write_lvt(struct vcpu *vcpu, uint32_t value)
{
    struct lapic *lapic = lapic_of(vcpu);
    unsigned old = timer_mode(lapic), mode = LVT_TIMER_MODE(value);
    /* A change to or from TSC-deadline mode disarms the timer (SDM Vol. 3, "TSC-Deadline Mode");
     * the reserved mode 3 counts as a mode that never fires. */
    if (old != mode && (old >= TIMER_TSC_DEADLINE || mode >= TIMER_TSC_DEADLINE))
        timer_disarm(lapic);
    lapic->lvt[LVT_TIMER] = value;
    timer_changed(vcpu);
}

void lapic_timer_write_initial(struct vcpu *vcpu, uint32_t value)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (timer_mode(lapic) >= TIMER_TSC_DEADLINE)
        return;
    lapic->timer_initial = value;
    lapic->timer_start = clock_now(vcpu);
    lapic->timer_expiry = value ? lapic->timer_start + timer_period(lapic) : CLOCK_NEVER;
    timer_changed(vcpu);
}

void lapic_timer_write_divide(struct vcpu *vcpu, uint32_t value)
{
    struct lapic *lapic = lapic_of(vcpu);
    uint64_t now = clock_now(vcpu);
    uint32_t count = timer_count(lapic, now);

    lapic->timer_divide = value & 0xb;
    if (lapic->timer_expiry == CLOCK_NEVER || !timer_counts(lapic))
        return;
    /* The count goes on from where it stands at the new rate. */
    uint64_t divisor = timer_divisor(lapic->timer_divide);
    lapic->timer_start = now - (lapic->timer_initial - count) * divisor;
    lapic->timer_expiry = now + count * divisor;
    timer_changed(vcpu);
}

uint32_t lapic_timer_current(struct vcpu *vcpu)
{
    return timer_count(lapic_of(vcpu), clock_now(vcpu));
}

uint64_t lapic_timer_read_deadline(struct vcpu *vcpu)
{
    const struct lapic *lapic = lapic_of(vcpu);
    return timer_mode(lapic) == TIMER_TSC_DEADLINE ? lapic->tsc_deadline : 0;
}

void lapic_timer_write_deadline(struct vcpu *vcpu, uint64_t value)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (timer_mode(lapic) != TIMER_TSC_DEADLINE)
        return;
    lapic->tsc_deadline = value;
    timer_changed(vcpu);
}

uint64_t lapic_timer_next(const struct vcpu *vcpu)
{
    const struct lapic *lapic = lapic_of(vcpu);
    if (!lapic_enabled(vcpu))
        return CLOCK_NEVER;
    if (lapic->tsc_deadline == 0)
        return lapic->timer_expiry;
    /* The deadline stays in guest TSC ticks, so that it follows writes to the TSC; here it is taken
     * back to virtual time, modulo 2^64. */
    uint64_t offset = vcpu->r.tsc_offset + vcpu->r.tsc_adjust;
    uint64_t when = lapic->tsc_deadline - offset, now = clock_now(vcpu);
    bool due = now + offset >= lapic->tsc_deadline;
    if (due)
        return when <= now ? when : 0;      /* 0: it was before time began */
    return when > now ? when : CLOCK_NEVER; /* never: it is after time ends */
}

void lapic_timer_advance(struct vcpu *vcpu, uint64_t now)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (!lapic_enabled(vcpu))
        return;
    if (lapic->tsc_deadline) {
        if (now + vcpu->r.tsc_offset + vcpu->r.tsc_adjust >= lapic->tsc_deadline) {
            lapic->tsc_deadline = 0;
            lapic_local_interrupt(vcpu, LVT_TIMER);
        }
        return;
    }
    if (lapic->timer_expiry == CLOCK_NEVER || now < lapic->timer_expiry)
        return;
    if (timer_counts(lapic) && timer_mode(lapic) == TIMER_PERIODIC)
        lapic->timer_expiry = timer_next_period(lapic, now);
    else
        lapic->timer_expiry = CLOCK_NEVER;
    lapic_local_interrupt(vcpu, LVT_TIMER);
}
