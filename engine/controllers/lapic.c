/* SPDX-License-Identifier: MIT */
/*
 * lapic.c - the heart of the local APIC: accepting, prioritizing, acknowledging and ending
 * interrupts (SDM Vol. 3, "Local APIC", "Handling Interrupts").
 */
#include "internal.h"

#define SVR_ENABLED    (1u << 8)
#define LVT_REMOTE_IRR (1u << 14)
#define PRIORITY_CLASS 0xf0u
#define FIRST_LEGAL    16u /* vectors 0-15 cannot be sent through an APIC */

/* ---- State ---- */

void lapic_state_reset(struct lapic *lapic, unsigned id)
{
    uint64_t seen = lapic->clock_seen;
    uint8_t lint0 = lapic->lint_level[0], lint1 = lapic->lint_level[1];

    *lapic = (struct lapic){
        .id = id,
        .dfr = 0xffffffffu,
        .svr = 0xff,
        .timer_expiry = CLOCK_NEVER,
        .clock_seen = seen,
        .lint_level = { lint0, lint1 },
    };
    for (unsigned i = 0; i < LVT_COUNT; i++)
        lapic->lvt[i] = LVT_MASKED;
    /* Virtual wire mode on the boot processor: guests that know only the 8259 expect what firmware
     * has set up before them, and there may be no firmware. */
    if (id == 0)
        lapic->lvt[LVT_LINT0] = DELIVER_EXTINT << 8;
}

void lapic_reset(struct vcpu *vcpu, bool init)
{
    lapic_state_reset(lapic_of(vcpu), vcpu->id);
    if (!init)
        vcpu->r.apic_base = APIC_BASE_ADDRESS | APIC_BASE_EN | (vcpu->id == 0 ? APIC_BASE_BSP : 0);
    timer_changed(vcpu);
}

bool lapic_enabled(const struct vcpu *vcpu)
{
    return vcpu->r.apic_base & APIC_BASE_EN;
}

bool lapic_x2apic(const struct vcpu *vcpu)
{
    const uint64_t both = APIC_BASE_EN | APIC_BASE_EXTD;
    return (vcpu->r.apic_base & both) == both;
}

/* ---- Accepting ---- */

static bool accept_vector(struct vcpu *vcpu, unsigned vector, bool level)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (!(lapic->svr & SVR_ENABLED))
        return false;
    if (vector < FIRST_LEGAL) {
        lapic_error(vcpu, ESR_RECEIVE_ILLEGAL_VECTOR);
        return false;
    }
    if (level)
        vector_set(lapic->tmr, vector);
    else
        vector_clear(lapic->tmr, vector);
    vector_set(lapic->irr, vector);
    vcpu_raise(vcpu, ATTENTION_INTERRUPT);
    return true;
}

bool lapic_accept(struct vcpu *vcpu, unsigned mode, unsigned vector, bool level)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (!lapic_enabled(vcpu))
        return false;
    switch (mode) {
    case DELIVER_FIXED:
    case DELIVER_LOWEST:
        return accept_vector(vcpu, vector & 0xff, level);
    case DELIVER_NMI:
        __atomic_store_n(&vcpu->nmi_pending, true, __ATOMIC_SEQ_CST);
        break;
    case DELIVER_INIT:
        lapic->startup_pending = false;
        __atomic_store_n(&vcpu->init_pending, true, __ATOMIC_SEQ_CST);
        break;
    case DELIVER_STARTUP:
        /* Only a CPU that waits for it, or is about to, takes a SIPI. */
        if (vcpu->r.activity != ACTIVITY_WAIT_INIT && !vcpu->init_pending)
            return false;
        lapic->startup_vector = (uint8_t)vector;
        __atomic_store_n(&lapic->startup_pending, true, __ATOMIC_SEQ_CST);
        break;
    default: /* SMI: there is no SMM; ExtINT is not a message but a wire (lapic_takes_extint) */
        return false;
    }
    vcpu_raise(vcpu, ATTENTION_INTERRUPT);
    return true;
}

/* ---- Errors ---- */

void lapic_error(struct vcpu *vcpu, uint32_t bits)
{
    struct lapic *lapic = lapic_of(vcpu);
    bool armed = lapic->esr_pending == 0;
    lapic->esr_pending |= bits;
    /* One error interrupt per write of ESR, which re-arms it. `armed` also ends the recursion when
     * the error vector itself is illegal. */
    if (armed)
        lapic_local_interrupt(vcpu, LVT_ERROR);
}

/* ---- Local interrupts ---- */

void lapic_local_interrupt(struct vcpu *vcpu, unsigned index)
{
    struct lapic *lapic = lapic_of(vcpu);
    uint32_t lvt = lapic->lvt[index];
    if (lvt & LVT_MASKED || !lapic_enabled(vcpu))
        return;
    /* Timer and error entries have no delivery mode field: always fixed. */
    unsigned mode = index == LVT_TIMER || index == LVT_ERROR ? DELIVER_FIXED : LVT_MODE(lvt);
    bool lint = index == LVT_LINT0 || index == LVT_LINT1;
    /* LINT1 is always edge triggered (SDM Vol. 3, "Local Vector Table", trigger mode). */
    bool level = index == LVT_LINT0 && mode == DELIVER_FIXED && lvt & LVT_LEVEL;

    if (mode == DELIVER_STARTUP || mode == DELIVER_LOWEST || (mode == DELIVER_INIT && !lint))
        return; /* not valid in an LVT entry */
    if (level && lvt & LVT_REMOTE_IRR)
        return;
    if (lapic_accept(vcpu, mode, lvt & 0xff, level) && level)
        lapic->lvt[index] |= LVT_REMOTE_IRR;
    /* A counter overflow masks its entry (SDM Vol. 3, "Performance Monitoring Counter LVT"). */
    if (index == LVT_PERFORMANCE)
        lapic->lvt[index] |= LVT_MASKED;
}

void lapic_lint(struct vcpu *vcpu, unsigned pin, bool level)
{
    struct lapic *lapic = lapic_of(vcpu);
    unsigned index = pin ? LVT_LINT1 : LVT_LINT0;
    bool rose = level && !lapic->lint_level[pin & 1];

    lapic->lint_level[pin & 1] = level;
    if (rose)
        lapic_local_interrupt(vcpu, index);
}

bool lapic_takes_extint(const struct vcpu *vcpu)
{
    if (!lapic_enabled(vcpu))
        return true; /* INTR goes straight to the CPU (SDM Vol. 3, "Enabling or Disabling the Local
                        APIC") */
    uint32_t lint0 = lapic_of(vcpu)->lvt[LVT_LINT0];
    if (!(lint0 & LVT_MASKED) && LVT_MODE(lint0) == DELIVER_EXTINT)
        return true;
    return ioapic_extint_reaches(vcpu);
}

/* ---- Priority, acknowledge, EOI ---- */

uint32_t lapic_ppr(const struct lapic *lapic)
{
    int service = vector_highest(lapic->isr);
    uint32_t in_service = service < 0 ? 0 : (uint32_t)service & PRIORITY_CLASS;
    if ((lapic->tpr & PRIORITY_CLASS) >= in_service)
        return lapic->tpr & 0xff;
    return in_service;
}

static void end_of_interrupt(struct vcpu *vcpu)
{
    struct lapic *lapic = lapic_of(vcpu);
    int vector = vector_highest(lapic->isr);
    if (vector < 0)
        return;
    vector_clear(lapic->isr, (unsigned)vector);
    if (vector_test(lapic->tmr, (unsigned)vector)) {
        uint32_t *lint0 = &lapic->lvt[LVT_LINT0];
        if (*lint0 & LVT_REMOTE_IRR && (*lint0 & 0xff) == (uint32_t)vector) {
            *lint0 &= ~LVT_REMOTE_IRR;
            if (lapic->lint_level[0])
                lapic_local_interrupt(vcpu, LVT_LINT0);
        }
        ioapic_eoi(vcpu->vm, (unsigned)vector);
    }
    if (vector_highest(lapic->irr) >= 0)
        vcpu_raise(vcpu, ATTENTION_INTERRUPT);
}

/* The guest may have ended an interrupt in its own memory: carry that out before looking at ISR. */
static void settle_pv_eoi(struct vcpu *vcpu)
{
    if (paravirtual_eoi_used(vcpu))
        end_of_interrupt(vcpu);
}

void lapic_eoi(struct vcpu *vcpu)
{
    settle_pv_eoi(vcpu);
    paravirtual_eoi_withdraw(vcpu);
    end_of_interrupt(vcpu);
}

int lapic_pending(struct vcpu *vcpu)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (!lapic_enabled(vcpu))
        return -1;
    settle_pv_eoi(vcpu);
    int vector = vector_highest(lapic->irr);
    if (vector < 0)
        return -1;
    /* Something waits: the end of what is in service must be noticed at once. */
    paravirtual_eoi_withdraw(vcpu);
    if (((uint32_t)vector & PRIORITY_CLASS) <= (lapic_ppr(lapic) & PRIORITY_CLASS))
        return -1;
    return vector;
}

int lapic_acknowledge(struct vcpu *vcpu)
{
    struct lapic *lapic = lapic_of(vcpu);
    int vector = lapic_pending(vcpu);
    if (vector < 0)
        return -1;
    vector_clear(lapic->irr, (unsigned)vector);
    vector_set(lapic->isr, (unsigned)vector);
    paravirtual_eoi_offer(vcpu, (unsigned)vector);
    return vector;
}
