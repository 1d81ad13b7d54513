/* SPDX-License-Identifier: MIT */
/*
 * message.c - interrupt messages: who is meant, and the ICR (SDM Vol. 3, "Issuing Interprocessor
 * Interrupts", "Determining IPI Destination", "x2APIC Register Address Space").
 */
#include "internal.h"

#define BROADCAST_8  0xffu
#define BROADCAST_32 0xffffffffu
#define DFR_CLUSTER  0u /* DFR bits 31:28; all ones: flat */

#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT  (1u << 14)
#define ICR_LEVEL   (1u << 15)

static bool matches_physical(const struct vcpu *vcpu, const struct interrupt_message *message)
{
    uint32_t broadcast = message->x2apic ? BROADCAST_32 : BROADCAST_8;
    return message->destination == broadcast || message->destination == vcpu->id;
}

static bool matches_logical(const struct vcpu *vcpu, const struct interrupt_message *message)
{
    const struct lapic *lapic = lapic_of(vcpu);
    uint32_t destination = message->destination;

    if (destination == (message->x2apic ? BROADCAST_32 : BROADCAST_8))
        return true;
    if (lapic_x2apic(vcpu)) {
        /* The logical id is derived: cluster = id / 16, one bit in it (SDM Vol. 3, "Logical
         * Destination Mode in x2APIC Mode"). Eight-bit senders reach cluster 0. */
        uint32_t cluster = vcpu->id >> 4, bit = 1u << (vcpu->id & 15);
        return destination >> 16 == cluster && (destination & bit) != 0;
    }
    uint32_t logical = lapic->ldr >> 24;
    if (destination > 0xff)
        return false;
    if (lapic->dfr >> 28 == DFR_CLUSTER)
        return destination >> 4 == logical >> 4 && (destination & logical & 0xf) != 0;
    return (destination & logical) != 0;
}

bool message_matches(const struct vcpu *vcpu, const struct interrupt_message *message)
{
    return message->logical ? matches_logical(vcpu, message) : matches_physical(vcpu, message);
}

/* Lowest priority: the one with the least processor priority; among equals the lowest id, so that
 * runs repeat. A LAPIC disabled by software does not take part. */
static unsigned send_lowest(struct vm *vm, const struct interrupt_message *message)
{
    struct vcpu *best = NULL;
    uint32_t best_priority = 0;

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpus[i];
        if (!vcpu || !lapic_enabled(vcpu) || !(lapic_of(vcpu)->svr & 1u << 8) ||
            !message_matches(vcpu, message))
            continue;
        uint32_t priority = lapic_ppr(lapic_of(vcpu));
        if (!best || priority < best_priority) {
            best = vcpu;
            best_priority = priority;
        }
    }
    if (!best)
        return 0;
    return lapic_accept(best, DELIVER_FIXED, message->vector, message->level);
}

unsigned message_send(struct vm *vm, const struct interrupt_message *message)
{
    unsigned taken = 0;

    if (message->mode == DELIVER_LOWEST ||
        (message->mode == DELIVER_FIXED && message->redirect && message->logical))
        return send_lowest(vm, message);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpus[i];
        if (vcpu && message_matches(vcpu, message))
            taken += lapic_accept(vcpu, message->mode, message->vector, message->level);
    }
    return taken;
}

/* Shorthands: 1 self, 2 all including self, 3 all but self. */
static void send_shorthand(struct vcpu *sender, const struct interrupt_message *message,
                           unsigned shorthand)
{
    struct vm *vm = sender->vm;
    /* INIT and start-up to oneself by shorthand are not valid combinations (SDM Vol. 3, "Valid
     * Combinations for the ... ICR"). NMI isn't either, but is let through, as CPUs in use do. */
    bool self_valid = message->mode != DELIVER_INIT && message->mode != DELIVER_STARTUP;

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpus[i];
        if (!vcpu || (vcpu == sender ? shorthand == 3 || !self_valid : shorthand == 1))
            continue;
        lapic_accept(vcpu, message->mode, message->vector, message->level);
    }
}

void message_send_icr(struct vcpu *vcpu, uint64_t icr)
{
    bool x2apic = lapic_x2apic(vcpu);
    struct interrupt_message message = {
        .destination = x2apic ? (uint32_t)(icr >> 32) : (uint32_t)(icr >> 56),
        .vector = (uint8_t)icr,
        .mode = (uint8_t)(icr >> 8 & 7),
        .logical = icr & ICR_LOGICAL,
        .x2apic = x2apic,
        /* IPIs are edge triggered, whatever the bit says; it only marks the INIT de-assert. */
        .level = false,
    };
    unsigned shorthand = icr >> 18 & 3;

    switch (message.mode) {
    case DELIVER_FIXED:
    case DELIVER_LOWEST:
        if (message.vector < 16) {
            lapic_error(vcpu, ESR_SEND_ILLEGAL_VECTOR);
            return;
        }
        break;
    case DELIVER_INIT:
        if (icr & ICR_LEVEL && !(icr & ICR_ASSERT))
            return; /* INIT level de-assert: only sets arbitration ids, and newer CPUs ignore it */
        break;
    case DELIVER_NMI:
    case DELIVER_STARTUP:
        break;
    default:
        return;
    }
    if (shorthand)
        send_shorthand(vcpu, &message, shorthand);
    else
        message_send(vcpu->vm, &message);
}
