/* SPDX-License-Identifier: MIT */
/*
 * boundary.c - what happens between two instructions, in the priority order of SDM Vol. 3, table
 * 6-2: debug traps of the last instruction, NMI, maskable interrupts, then code breakpoints of the
 * next one.
 */
#include "dispatcher.h"
#include "../interpreter/debugregister.h"
#include "../interpreter/interpreter.h"
#include "../support.h"

/* Instructions between looks at the timers: bounds how late a timer interrupt can be, about 10 us
 * in each tier. Runs that count instructions use one number, so that every tier takes an interrupt
 * at the same instruction. */
#ifdef ORIGAMI_HOSTILE
enum { INTERVAL_STEP = 1, INTERVAL_SOFT = 1, INTERVAL_COUNTED = 1 };
#else
enum { INTERVAL_STEP = 512, INTERVAL_SOFT = 16384, INTERVAL_COUNTED = 2048 };
#endif

static uint64_t timer_interval(const struct vcpu *vcpu)
{
    if (vcpu->vm->clock.mode == CLOCK_INSTRUCTIONS)
        return INTERVAL_COUNTED;
    return vcpu->translator ? INTERVAL_SOFT : INTERVAL_STEP;
}

static int machine_requests(struct vcpu *vcpu, uint32_t attention)
{
    struct vm *vm = vcpu->vm;
    if (attention & ATTENTION_STOP)
        return EXIT_STOPPED;
    if (vm->machine_stop != CLOCK_NEVER && clock_now(vcpu) >= vm->machine_stop) {
        vm->machine_stop = CLOCK_NEVER;
        return EXIT_KICK;
    }
    if (!(attention & ATTENTION_KICK) && !__atomic_load_n(vcpu->kick, __ATOMIC_SEQ_CST))
        return BOUNDARY_GO;
    __atomic_store_n(vcpu->kick, 0, __ATOMIC_SEQ_CST);
    switch (vm->machine->sync(vcpu)) {
    case -ECANCELED:
        return EXIT_STOPPED;
    case -EAGAIN:
        return EXIT_KICK;
    default:
        return BOUNDARY_GO;
    }
}

static int timers(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    uint64_t now = clock_now(vcpu);
    uint64_t interval = timer_interval(vcpu);
    if (now >= controllers_next_deadline(vm))
        controllers_advance(vm, now);
    uint64_t deadline = controllers_next_deadline(vm);
    if (deadline > vm->machine_deadline)
        deadline = vm->machine_deadline;
    if (deadline > vm->machine_stop)
        deadline = vm->machine_stop;
    if (vm->clock.mode == CLOCK_INSTRUCTIONS && deadline > now && deadline - now < interval)
        interval = deadline - now;
    vcpu->boundary_check = vcpu->instructions + interval;
    if (now >= vm->machine_deadline) {
        vm->machine_deadline = CLOCK_NEVER;
        return EXIT_DEADLINE;
    }
    return BOUNDARY_GO;
}

static int shutdown(struct vcpu *vcpu)
{
    vcpu->r.activity = ACTIVITY_SHUTDOWN;
    return EXIT_SHUTDOWN;
}

static int debug_traps(struct vcpu *vcpu)
{
    struct fault fault = { .vector = EXCEPTION_DB, .address = vcpu->debug_pending };
    vcpu->debug_pending = 0;
    vcpu->statistics.exceptions[EXCEPTION_DB]++;
    /* A trap: the saved RIP is the next instruction's and RF is not set in the image. */
    if (event_deliver(vcpu, &fault, EVENT_TRAP))
        return shutdown(vcpu);
    return BOUNDARY_GO;
}

static int nmi(struct vcpu *vcpu)
{
    struct fault fault = { .vector = EXCEPTION_NMI };
    vcpu->nmi_pending = false;
    vcpu->statistics.nmis++;
    vcpu->r.activity = ACTIVITY_RUNNING;
    if (event_deliver(vcpu, &fault, EVENT_NMI))
        return shutdown(vcpu);
    vcpu->r.nmi_blocked = 1;
    return BOUNDARY_GO;
}

static int interrupts(struct vcpu *vcpu)
{
    if (!controllers_pending(vcpu))
        return BOUNDARY_GO;
    int vector = controllers_acknowledge(vcpu);
    if (vector < 0)
        return BOUNDARY_GO;
    struct fault fault = { .vector = (uint8_t)vector };
    vcpu->statistics.interrupts++;
    vcpu->r.activity = ACTIVITY_RUNNING;
    if (event_deliver(vcpu, &fault, EVENT_INTERRUPT))
        return shutdown(vcpu);
    return BOUNDARY_GO;
}

static int code_breakpoint(struct vcpu *vcpu)
{
    if ((vcpu->r.rflags & FLAG_RF) || !debug_breakpoints_armed(vcpu))
        return BOUNDARY_GO;
    uint64_t linear = vcpu->r.rip;
    if (!vcpu->long_code)
        linear = (uint32_t)(linear + vcpu->r.segment[SEGMENT_CS].base);
    uint32_t match = debug_match_fetch(vcpu, linear);
    if (match == 0)
        return BOUNDARY_GO;
    vcpu->fault = (struct fault){ .vector = EXCEPTION_DB, .address = match };
    return dispatch_fault(vcpu);
}

/* Events in order; each may change what the next one sees. */
static int events(struct vcpu *vcpu, uint64_t shadow)
{
    int result = BOUNDARY_GO;
    if (shadow & SHADOW_MOV_SS)
        return BOUNDARY_GO;
    if (vcpu->debug_pending)
        result = debug_traps(vcpu);
    if (result == BOUNDARY_GO && vcpu->nmi_pending && !vcpu->r.nmi_blocked)
        result = nmi(vcpu);
    if (result == BOUNDARY_GO && (vcpu->r.rflags & FLAG_IF) && !shadow)
        result = interrupts(vcpu);
    return result;
}

/* A start-up IPI ends the wait after INIT: real mode at the vector's page (SDM Vol. 3, 8.4.3). */
static bool start_up(struct vcpu *vcpu)
{
    struct segment_register *cs = &vcpu->r.segment[SEGMENT_CS];
    uint8_t vector;
    if (!controllers_take_startup(vcpu, &vector))
        return false;
    cs->selector = (uint16_t)(vector << 8);
    cs->base = (uint64_t)vector << 12;
    vcpu->r.rip = 0;
    vcpu->r.activity = ACTIVITY_RUNNING;
    vcpu_mode_changed(vcpu);
    return true;
}

int boundary(struct vcpu *vcpu)
{
    uint32_t attention = __atomic_exchange_n(&vcpu->attention, 0, __ATOMIC_SEQ_CST);
    uint64_t shadow = vcpu->r.interrupt_shadow;
    bool kicked = (attention & ATTENTION_KICK) || __atomic_load_n(vcpu->kick, __ATOMIC_SEQ_CST);
    int result = machine_requests(vcpu, attention);
    if (result == BOUNDARY_GO && (kicked || vcpu->instructions >= vcpu->boundary_check))
        result = timers(vcpu);
    if (result != BOUNDARY_GO) {
        /* Left before events were looked at: do so on the way back in. */
        vcpu_raise(vcpu, (attention & ~ATTENTION_STOP) | ATTENTION_DEBUG);
        return result;
    }
    if (vcpu->init_pending) {
        vcpu->init_pending = false;
        vcpu_reset(vcpu, true);
    }
    if (vcpu->r.activity == ACTIVITY_WAIT_INIT && !start_up(vcpu))
        return EXIT_HALTED;
    vcpu->r.interrupt_shadow = 0;
    result = events(vcpu, shadow);
    if (result != BOUNDARY_GO)
        return result;
    if (vcpu->r.activity == ACTIVITY_HALTED)
        return EXIT_HALTED;
    if (debug_breakpoints_armed(vcpu)) {
        vcpu_raise(vcpu, ATTENTION_DEBUG);
        if (!(shadow & SHADOW_MOV_SS))
            result = code_breakpoint(vcpu);
    }
    if (shadow || (vcpu->r.rflags & FLAG_TF) || vcpu->debug_pending)
        vcpu_raise(vcpu, ATTENTION_DEBUG | ATTENTION_INTERRUPT);
    return result;
}
