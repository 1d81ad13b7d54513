/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the controllers share among themselves and nobody else needs.
 */
#ifndef ORIGAMI_ENGINE_CONTROLLERS_INTERNAL_H
#define ORIGAMI_ENGINE_CONTROLLERS_INTERNAL_H

#include "../engine.h"
#include "../support.h"

/*
 * A periodic timer interrupts at most this often; periods in between are merged into one interrupt,
 * as a loaded real machine would lose them. Without a floor, a period of a few nanoseconds would
 * leave neither the guest nor the engine time for anything else. Only interrupts are held back:
 * counts stay exact.
 */
#define TIMER_FLOOR_NS 50000u

static inline struct lapic *lapic_of(const struct vcpu *vcpu)
{
    return &vcpu->vm->controllers.lapic[vcpu->id % VCPU_MAX];
}

/* 256-bit vector sets: IRR, ISR, TMR. */
static inline bool vector_test(const uint32_t set[8], unsigned vector)
{
    return __atomic_load_n(&set[vector / 32 % 8], __ATOMIC_RELAXED) >> (vector % 32) & 1;
}
static inline void vector_set(uint32_t set[8], unsigned vector)
{
    __atomic_fetch_or(&set[vector / 32 % 8], 1u << (vector % 32), __ATOMIC_SEQ_CST);
}
static inline void vector_clear(uint32_t set[8], unsigned vector)
{
    __atomic_fetch_and(&set[vector / 32 % 8], ~(1u << (vector % 32)), __ATOMIC_SEQ_CST);
}
static inline int vector_highest(const uint32_t set[8])
{
    for (int word = 7; word >= 0; word--) {
        uint32_t bits = __atomic_load_n(&set[word], __ATOMIC_RELAXED);
        if (bits)
            return word * 32 + 31 - __builtin_clz(bits);
    }
    return -1;
}

/* A timer was armed or moved: the boundary check computed from the old deadline no longer holds. */
static inline void timer_changed(struct vcpu *vcpu)
{
    vcpu->boundary_check = vcpu->instructions;
    vcpu_raise(vcpu, ATTENTION_INTERRUPT);
}

/* ---- PV EOI (paravirtual.c) ---- */
/* `vector` has just gone into service: lets the guest end it by the byte in its memory, if that is
 * safe. */
void paravirtual_eoi_offer(struct vcpu *vcpu, unsigned vector);
/* Has the guest used the offer? Then the offer is over and the caller carries out the EOI. */
bool paravirtual_eoi_used(struct vcpu *vcpu);
/* Takes the offer back, so that the guest's EOI is a real one and is noticed. */
void paravirtual_eoi_withdraw(struct vcpu *vcpu);

/* ---- lapic.c ---- */
/* Power-on state; input pins and clock_seen stay. */
void lapic_state_reset(struct lapic *lapic, unsigned id);

/* ---- Wiring (controllers.c) ---- */
/* Call after anything that may move the 8259s' INTR. */
void controllers_pic_changed(struct vm *vm);

#endif
