/* SPDX-License-Identifier: MIT */
/*
 * ioapic.c - the I/O APIC (Intel 82093AA datasheet, section 3).
 *
 * A redirection entry:
 *   63:56 destination | 16 mask | 15 level | 14 remote IRR | 13 polarity | 12 status | 11 logical |
 *   10:8 delivery mode | 7:0 vector
 */
#include "internal.h"

#define IOAPIC_VERSION   ((IOAPIC_PINS - 1) << 16 | 0x20u)
#define ENTRY_MASKED     (1ull << 16)
#define ENTRY_LEVEL      (1ull << 15)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LOGICAL    (1ull << 11)
#define ENTRY_MODE(e)    ((unsigned)((e) >> 8 & 7))
#define ENTRY_WRITABLE   0xff0000000001afffull

enum window { WINDOW_SELECT = 0x00, WINDOW_DATA = 0x10, WINDOW_EOI = 0x40 };
enum index { INDEX_ID = 0, INDEX_VERSION = 1, INDEX_ARBITRATION = 2, INDEX_REDIRECTION = 0x10 };

void ioapic_reset(struct ioapic *ioapic)
{
    uint32_t line = ioapic->line; /* what drives the pins is not reset with the chip */
    *ioapic = (struct ioapic){ .line = line };
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        ioapic->redirection[i] = ENTRY_MASKED;
}

static struct interrupt_message entry_message(uint64_t entry)
{
    return (struct interrupt_message){
        .destination = (uint32_t)(entry >> 56),
        .vector = (uint8_t)entry,
        .mode = (uint8_t)ENTRY_MODE(entry),
        .logical = entry & ENTRY_LOGICAL,
        .level = entry & ENTRY_LEVEL,
    };
}

/* Sends the pin's interrupt if its entry lets it. */
static void pin_fire(struct vm *vm, unsigned pin)
{
    uint64_t *entry = &vm->controllers.ioapic.redirection[pin];
    struct interrupt_message message = entry_message(*entry);
    bool vectored = message.mode == DELIVER_FIXED || message.mode == DELIVER_LOWEST;

    if (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR) || message.mode == DELIVER_STARTUP)
        return;
    if (!vectored)
        message.level = false; /* SMI, NMI, INIT are edges by definition (3.2.4, delivery mode) */
    if (message_send(vm, &message) && message.level)
        *entry |= ENTRY_REMOTE_IRR;
}

/* Level triggered and asserted: an interrupt is due whenever nothing holds it back any more. */
static void pin_level(struct vm *vm, unsigned pin)
{
    const struct ioapic *ioapic = &vm->controllers.ioapic;
    if (ioapic->redirection[pin] & ENTRY_LEVEL && ioapic->line >> pin & 1)
        pin_fire(vm, pin);
}

void ioapic_set_line(struct vm *vm, unsigned pin, bool level)
{
    struct ioapic *ioapic = &vm->controllers.ioapic;
    if (pin >= IOAPIC_PINS)
        return;
    bool rose = level && !(ioapic->line >> pin & 1);
    ioapic->line = (ioapic->line & ~(1u << pin)) | (uint32_t)level << pin;
    /* An edge at a masked pin is lost (3.2.4, interrupt mask). */
    if (rose)
        pin_fire(vm, pin);
}

void ioapic_eoi(struct vm *vm, unsigned vector)
{
    struct ioapic *ioapic = &vm->controllers.ioapic;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *entry = &ioapic->redirection[pin];
        if (!(*entry & ENTRY_REMOTE_IRR) || (*entry & 0xff) != vector)
            continue;
        *entry &= ~ENTRY_REMOTE_IRR;
        pin_level(vm, pin); /* still asserted: once more */
    }
}

bool ioapic_extint_reaches(const struct vcpu *vcpu)
{
    uint64_t entry = vcpu->vm->controllers.ioapic.redirection[0];
    if (entry & ENTRY_MASKED || ENTRY_MODE(entry) != DELIVER_EXTINT)
        return false;
    struct interrupt_message message = entry_message(entry);
    return message_matches(vcpu, &message);
}

/* ---- Registers ---- */

static uint32_t index_read(const struct ioapic *ioapic)
{
    switch (ioapic->select) {
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return ioapic->id;
    case INDEX_VERSION:
        return IOAPIC_VERSION;
    default:
        break;
    }
    uint32_t pin = (ioapic->select - INDEX_REDIRECTION) / 2;
    if (ioapic->select < INDEX_REDIRECTION || pin >= IOAPIC_PINS)
        return 0;
    return (uint32_t)(ioapic->redirection[pin] >> (ioapic->select & 1) * 32);
}

static void redirection_write(struct vm *vm, uint32_t pin, unsigned half, uint32_t value)
{
    uint64_t *entry = &vm->controllers.ioapic.redirection[pin];
    uint64_t mask = (half ? 0xffffffff00000000ull : 0xffffffffull) & ENTRY_WRITABLE;

    *entry = (*entry & ~mask) | ((uint64_t)value << half * 32 & mask);
    /* Going to edge and back is the known way to clear remote IRR by software. */
    if (!(*entry & ENTRY_LEVEL))
        *entry &= ~ENTRY_REMOTE_IRR;
    pin_level(vm, pin);
    if (pin == 0)
        controllers_pic_changed(vm); /* may now be the 8259s' way in */
}

static void index_write(struct vm *vm, uint32_t value)
{
    struct ioapic *ioapic = &vm->controllers.ioapic;
    if (ioapic->select == INDEX_ID)
        ioapic->id = value & 0x0f000000;
    uint32_t pin = (ioapic->select - INDEX_REDIRECTION) / 2;
    if (ioapic->select >= INDEX_REDIRECTION && pin < IOAPIC_PINS)
        redirection_write(vm, pin, ioapic->select & 1, value);
}

uint32_t ioapic_read(struct vm *vm, uint32_t offset)
{
    const struct ioapic *ioapic = &vm->controllers.ioapic;
    switch (offset) {
    case WINDOW_SELECT:
        return ioapic->select;
    case WINDOW_DATA:
        return index_read(ioapic);
    default:
        return 0;
    }
}

void ioapic_write(struct vm *vm, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case WINDOW_SELECT:
        vm->controllers.ioapic.select = value & 0xff;
        break;
    case WINDOW_DATA:
        index_write(vm, value);
        break;
    case WINDOW_EOI:
        ioapic_eoi(vm, value & 0xff);
        break;
    default:
        break;
    }
}
