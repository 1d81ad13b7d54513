/* SPDX-License-Identifier: MIT */
/*
 * controllers.h - interrupt controllers and timers: LAPIC (xAPIC and x2APIC), IOAPIC, two 8259s,
 * 8254.
 *
 * They live in the engine so that EOI, IPI and timer deadlines cost no process switch. All state is
 * plain data (saved and loaded as it is). Whenever something may have become deliverable they call
 * vcpu_raise(vcpu, ATTENTION_INTERRUPT).
 */
#ifndef ORIGAMI_ENGINE_CONTROLLERS_H
#define ORIGAMI_ENGINE_CONTROLLERS_H

#include <stdbool.h>
#include <stdint.h>
#include "lapic.h"
#include "ioapic.h"
#include "pic.h"
#include "pit.h"

struct vm;
struct vcpu;

struct controllers {
    struct lapic lapic[64]; /* one per vCPU */
    struct ioapic ioapic;
    struct pic pic;
    struct pit pit;
};

void controllers_init(struct vm *vm);
void controllers_reset(struct vm *vm);

/* A device's interrupt line, by GSI (0-15 also drive the 8259s as ISA IRQs; GSI 2 is the 8254 on
 * the IOAPIC, IRQ 0 on the 8259). Level is the wire's level; edges are found here. */
void controllers_irq_line(struct vm *vm, unsigned gsi, bool level);
/* A message-signalled interrupt (SDM Vol. 3, 10.11). Wild addresses are ignored. `requester` is the
 * PCI requester id, for interrupt remapping later. */
void controllers_msi(struct vm *vm, uint16_t requester, uint64_t address, uint32_t data);

/* Is a maskable interrupt deliverable to this vCPU now (priority and mask considered, not IF)? */
bool controllers_pending(struct vcpu *vcpu);
/* Takes it: the vector to deliver, or -1 if it went away (spurious handled inside). */
int controllers_acknowledge(struct vcpu *vcpu);

/* The next virtual time at which a timer fires (CLOCK_NEVER if none). */
uint64_t controllers_next_deadline(struct vm *vm);
/* Fires everything due at `now`. */
void controllers_advance(struct vm *vm, uint64_t now);

/* Port and MMIO registers of the controllers: true if handled here. */
bool controllers_port(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t *value);
bool controllers_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value);

/* x2APIC MSRs (0x800-0x8ff), IA32_APIC_BASE, IA32_TSC_DEADLINE. 0; -ENOENT not ours; -EFAULT: #GP
 * raised. */
int controllers_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
int controllers_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);
/* CR8 is the LAPIC's task priority, bits 7:4. */
uint64_t controllers_cr8_read(const struct vcpu *vcpu);
void controllers_cr8_write(struct vcpu *vcpu, uint64_t value);

/* After a write to the TSC or TSC_ADJUST, and after loading state: kvmclock and the deadline
 * follow. */
void controllers_tsc_changed(struct vcpu *vcpu);
/* After loading any of the controllers' or the clock's state: makes every field one that the code
 * could have produced. */
void controllers_state_loaded(struct vm *vm);
/* A start-up IPI has arrived: true once, with the vector (start at vector << 12, SDM Vol. 3, 9.4).
 */
bool controllers_take_startup(struct vcpu *vcpu, uint8_t *vector);
/* The NMI button: a pulse on every LINT1. */
void controllers_nmi(struct vm *vm);

/* KVM paravirtual interface: kvmclock, PV EOI (Linux Documentation/virt/kvm/x86/msr.rst).
 * Same results as controllers_msr_*. */
int paravirtual_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
int paravirtual_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);

#endif
