/* SPDX-License-Identifier: MIT */
/*
 * controllers.c - how the controllers hang together: ports, memory, MSRs, lines, messages, time.
 *
 *   devices -> lines -> 8259 pair -> INTR -+-> LINT0 of every LAPIC (ExtINT: straight through)
 *                  \                       +-> IOAPIC pin 0
 *                   +-> IOAPIC -----------------> messages -> LAPICs -> CPUs
 *   8254 channel 0 -> IRQ 0 and IOAPIC pin 2
 *
 * Locking: none yet. One vCPU runs at a time; with more, everything here but IRR, nmi_pending and
 * attention (atomic) is to be entered under the machine's interrupt lock.
 */
#include "internal.h"

#define MSR_APIC_BASE    0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST  0x8ffu

#define TIMER_GSI 2u /* where ACPI's interrupt source override puts IRQ 0 */

/* ---- Creation ---- */

void controllers_init(struct vm *vm)
{
    memset(&vm->controllers, 0, sizeof(vm->controllers));
    for (unsigned i = 0; i < VCPU_MAX; i++) /* vCPUs are attached later */
        lapic_state_reset(&vm->controllers.lapic[i], i);
    controllers_reset(vm);
}

void controllers_reset(struct vm *vm)
{
    struct controllers *controllers = &vm->controllers;

    pic_reset(&controllers->pic);
    pit_reset(&controllers->pit);
    ioapic_reset(&controllers->ioapic);
    /* The idle 8254's output is high: that is no edge. */
    controllers->pic.chip[0].line |= 1;
    controllers->ioapic.line |= 1u << TIMER_GSI;
    for (unsigned i = 0; i < vm->vcpu_count && i < VCPU_MAX; i++) {
        if (vm->vcpus[i])
            lapic_reset(vm->vcpus[i], false);
    }
    controllers_pic_changed(vm);
}

void controllers_state_loaded(struct vm *vm)
{
    struct controllers *controllers = &vm->controllers;

    for (unsigned i = 0; i < 2; i++)
        controllers->pic.chip[i].lowest &= 7;
    for (unsigned i = 0; i < 3; i++) {
        struct pit_channel *channel = &controllers->pit.channel[i];
        channel->mode = channel->mode > 5 ? 0 : channel->mode;
        channel->access = channel->access & 3 ? channel->access & 3 : 3;
        channel->bcd &= 1;
        channel->count = channel->count <= 65536 ? channel->count : 65536;
        channel->next = channel->next <= 65536 ? channel->next : 65536;
        channel->latched = channel->latched <= 2 ? channel->latched : 2;
    }
    for (unsigned i = 0; i < vm->vcpu_count && i < VCPU_MAX; i++) {
        struct vcpu *vcpu = vm->vcpus[i];
        if (!vcpu)
            continue;
        lapic_of(vcpu)->id = vcpu->id;
        lapic_of(vcpu)->timer_divide &= 0xb;
        /* Interrupts 0-15 cannot be in an APIC. */
        lapic_of(vcpu)->irr[0] &= 0xffff0000u;
        lapic_of(vcpu)->isr[0] &= 0xffff0000u;
        lapic_of(vcpu)->clock_seen = 0; /* time is now what the loaded clock says */
        timer_changed(vcpu);
    }
}

/* ---- Lines ---- */

void controllers_pic_changed(struct vm *vm)
{
    bool level = pic_output(&vm->controllers.pic);

    ioapic_set_line(vm, 0, level);
    for (unsigned i = 0; i < vm->vcpu_count && i < VCPU_MAX; i++) {
        struct vcpu *vcpu = vm->vcpus[i];
        if (!vcpu)
            continue;
        lapic_lint(vcpu, 0, level);
        if (level)
            vcpu_raise(vcpu, ATTENTION_INTERRUPT);
    }
}

static void timer_line(struct vm *vm, bool level)
{
    pic_set_line(&vm->controllers.pic, 0, level);
    ioapic_set_line(vm, TIMER_GSI, level);
}

void controllers_irq_line(struct vm *vm, unsigned gsi, bool level)
{
    if (gsi >= IOAPIC_PINS || gsi == 0)
        return; /* pin 0 is the 8259s' */
    if (gsi == TIMER_GSI) {
        timer_line(vm, level);
    } else {
        ioapic_set_line(vm, gsi, level);
        pic_set_line(&vm->controllers.pic, gsi, level);
    }
    controllers_pic_changed(vm);
}

void controllers_msi(struct vm *vm, uint16_t requester, uint64_t address, uint32_t data)
{
    (void)requester;
    if (address >> 20 != 0xfee)
        return;
    /* SDM Vol. 3, "Message Address Register Format", "Message Data Register Format". */
    struct interrupt_message message = {
        .destination = (uint32_t)(address >> 12 & 0xff),
        .vector = (uint8_t)data,
        .mode = (uint8_t)(data >> 8 & 7),
        .logical = address & 4,
        .redirect = address & 8,
        .level = data & 1u << 15,
    };
    if (message.level && !(data & 1u << 14))
        return;                          /* level triggered, de-asserted */
    if (message.mode != DELIVER_STARTUP) /* "reserved" here */
        message_send(vm, &message);
}

void controllers_nmi(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count && i < VCPU_MAX; i++) {
        if (!vm->vcpus[i])
            continue;
        lapic_lint(vm->vcpus[i], 1, true);
        lapic_lint(vm->vcpus[i], 1, false);
    }
}

/* ---- The CPU's side ---- */

static bool extint_pending(const struct vcpu *vcpu)
{
    return pic_output(&vcpu->vm->controllers.pic) && lapic_takes_extint(vcpu);
}

bool controllers_pending(struct vcpu *vcpu)
{
    /* An external interrupt has no class: it is held off by IF alone. */
    return extint_pending(vcpu) || lapic_pending(vcpu) >= 0;
}

int controllers_acknowledge(struct vcpu *vcpu)
{
    if (!extint_pending(vcpu))
        return lapic_acknowledge(vcpu);
    int vector = pic_acknowledge(&vcpu->vm->controllers.pic);
    controllers_pic_changed(vcpu->vm);
    return vector;
}

bool controllers_take_startup(struct vcpu *vcpu, uint8_t *vector)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (!__atomic_exchange_n(&lapic->startup_pending, false, __ATOMIC_SEQ_CST))
        return false;
    *vector = lapic->startup_vector;
    return true;
}

uint64_t controllers_cr8_read(const struct vcpu *vcpu)
{
    return lapic_of(vcpu)->tpr >> 4 & 15;
}

void controllers_cr8_write(struct vcpu *vcpu, uint64_t value)
{
    lapic_of(vcpu)->tpr = (uint32_t)(value & 15) << 4;
    vcpu_raise(vcpu, ATTENTION_INTERRUPT);
}

/* ---- Time ---- */

uint64_t controllers_next_deadline(struct vm *vm)
{
    uint64_t next = pit_next(&vm->controllers.pit);
    for (unsigned i = 0; i < vm->vcpu_count && i < VCPU_MAX; i++) {
        uint64_t timer = vm->vcpus[i] ? lapic_timer_next(vm->vcpus[i]) : CLOCK_NEVER;
        next = timer < next ? timer : next;
    }
    return next;
}

static void pit_update(struct vm *vm, uint64_t now)
{
    struct pit *pit = &vm->controllers.pit;
    bool before = pit->output, level;

    if (pit_advance(pit, now, &level)) {
        timer_line(vm, false);
        timer_line(vm, true);
    } else if (level == before) {
        return;
    }
    timer_line(vm, level);
    controllers_pic_changed(vm);
}

void controllers_advance(struct vm *vm, uint64_t now)
{
    pit_update(vm, now);
    for (unsigned i = 0; i < vm->vcpu_count && i < VCPU_MAX; i++) {
        if (vm->vcpus[i])
            lapic_timer_advance(vm->vcpus[i], now);
    }
}

/* ---- Ports ---- */

static uint8_t port_byte(struct vcpu *vcpu, uint16_t port, bool write, uint8_t value)
{
    struct vm *vm = vcpu->vm;
    if (pic_port(port)) {
        if (write)
            pic_write(&vm->controllers.pic, port, value);
        else
            value = pic_read(&vm->controllers.pic, port);
        controllers_pic_changed(vm); /* reads too: a poll is an acknowledge */
        return value;
    }
    if (!pit_port(port))
        return 0xff;
    uint64_t now = clock_now(vcpu);
    pit_update(vm, now);
    if (!write)
        return pit_read(&vm->controllers.pit, port, now);
    pit_write(&vm->controllers.pit, port, value, now);
    pit_update(vm, now);
    timer_changed(vcpu);
    return value;
}

bool controllers_port(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t *value)
{
    if (!pic_port(port) && !pit_port(port))
        return false;
    uint32_t result = 0;
    /* These chips are 8 bits wide: wider accesses are taken apart, as the bus does. */
    for (unsigned i = 0; i < size && i < 4; i++) {
        uint8_t byte = port_byte(vcpu, (uint16_t)(port + i), write, (uint8_t)(*value >> i * 8));
        result |= (uint32_t)byte << i * 8;
    }
    if (!write)
        *value = result;
    return true;
}

/* ---- Memory ---- */

/* Registers are the first four bytes of every sixteen; parts of them can be read, and written from
 * the first byte on. */
static void ioapic_access(struct vm *vm, uint32_t offset, unsigned size, bool write,
                          uint64_t *value)
{
    uint32_t shift = (offset & 3) * 8;
    if (write && !(offset & 15))
        ioapic_write(vm, offset, (uint32_t)(*value & bits_mask(size)));
    else if (!write)
        *value = ioapic_read(vm, offset & ~3u) >> shift & bits_mask(size);
}

bool controllers_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    uint64_t base = vcpu->r.apic_base & ~(uint64_t)(PAGE_SIZE_4K - 1);

    if (gpa - base < PAGE_SIZE_4K && lapic_enabled(vcpu) && !lapic_x2apic(vcpu)) {
        uint32_t offset = (uint32_t)(gpa - base);
        if (write)
            lapic_mmio_write(vcpu, offset, size, *value);
        else
            lapic_mmio_read(vcpu, offset, size, value);
        return true;
    }
    if (gpa - IOAPIC_ADDRESS < IOAPIC_SIZE) {
        ioapic_access(vcpu->vm, (uint32_t)(gpa - IOAPIC_ADDRESS), size, write, value);
        return true;
    }
    return false;
}

/* ---- MSRs ---- */

int controllers_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    if (msr == MSR_APIC_BASE)
        *value = vcpu->r.apic_base;
    else if (msr == MSR_TSC_DEADLINE)
        *value = lapic_timer_read_deadline(vcpu);
    else if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return lapic_msr_read(vcpu, msr, value);
    else
        return -ENOENT;
    return 0;
}

int controllers_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (msr == MSR_APIC_BASE)
        return lapic_base_write(vcpu, value);
    if (msr == MSR_TSC_DEADLINE)
        lapic_timer_write_deadline(vcpu, value);
    else if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return lapic_msr_write(vcpu, msr, value);
    else
        return -ENOENT;
    return 0;
}
