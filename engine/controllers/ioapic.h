/* SPDX-License-Identifier: MIT */
/*
 * ioapic.h - the I/O APIC (Intel 82093AA datasheet; EOI register as in later ones, version 0x20).
 *
 * 24 pins. `line` is the logic level of each input; polarity in the redirection entry is kept for
 * the guest to read but not applied (devices say "asserted", not volts).
 */
#ifndef ORIGAMI_ENGINE_CONTROLLERS_IOAPIC_H
#define ORIGAMI_ENGINE_CONTROLLERS_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;

#define IOAPIC_ADDRESS 0xfec00000ull
#define IOAPIC_SIZE    0x1000u
#define IOAPIC_PINS    24u

struct ioapic {
    uint64_t redirection[IOAPIC_PINS]; /* the registers, remote IRR (bit 14) included */
    uint32_t line;                     /* input levels, a bit a pin */
    uint32_t id;                       /* bits 27:24 */
    uint32_t select;                   /* IOREGSEL */
    uint32_t reserved;
};

void ioapic_reset(struct ioapic *ioapic);
void ioapic_set_line(struct vm *vm, unsigned pin, bool level);
/* EOI of a level-triggered vector, from a LAPIC's broadcast or the EOI register. */
void ioapic_eoi(struct vm *vm, unsigned vector);
/* Does an unmasked ExtINT entry on pin 0 (wired to the 8259s' INTR) lead to this vCPU? */
bool ioapic_extint_reaches(const struct vcpu *vcpu);

uint32_t ioapic_read(struct vm *vm, uint32_t offset);
void ioapic_write(struct vm *vm, uint32_t offset, uint32_t value);

#endif
