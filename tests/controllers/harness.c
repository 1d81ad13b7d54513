/* SPDX-License-Identifier: MIT */
/*
 * harness.c - see harness.h.
 */
#include <stdlib.h>
#include <errno.h>
#include "harness.h"

static int setup(void **state, unsigned cpus)
{
    struct test_machine *machine = calloc(1, sizeof(*machine));
    if (!machine || posix_memalign((void **)&machine->ram, PAGE_SIZE_4K, TEST_RAM_SIZE))
        return -1;
    for (unsigned i = 0; i < TEST_RAM_SIZE; i++)
        machine->ram[i] = 0;
    struct vm *vm = &machine->vm;
    vm->model.physical_bits = 40;
    vm->model.leaf_count = 1;
    vm->model.leaf[0] = (struct cpuid_leaf){ .leaf = 1, .ecx = 1u << 21 | 1u << 24 };
    vm->clock.mode = CLOCK_INSTRUCTIONS;
    vm->machine_deadline = CLOCK_NEVER;
    controllers_init(vm);
    for (unsigned i = 0; i < cpus; i++) {
        machine->vcpu[i].id = i;
        machine->vcpu[i].vm = vm;
        vm->vcpus[i] = &machine->vcpu[i];
    }
    vm->vcpu_count = cpus;
    controllers_reset(vm);
    const struct memory_slot slot = { .size = TEST_RAM_SIZE, .host = machine->ram, .fd = -1 };
    if (memory_add_slot(&vm->memory, &slot))
        return -1;
    *state = machine;
    return 0;
}

int machine_setup(void **state)
{
    return setup(state, 1);
}

int machine_setup_smp(void **state)
{
    return setup(state, TEST_CPUS);
}

int machine_teardown(void **state)
{
    struct test_machine *machine = *state;
    free(machine->ram);
    free(machine);
    return 0;
}

uint64_t time_now(struct test_machine *machine)
{
    return clock_now(&machine->vcpu[0]);
}

void time_jump(struct test_machine *machine, uint64_t when)
{
    clock_skip(&machine->vcpu[0], when);
    controllers_advance(&machine->vm, time_now(machine));
}

unsigned time_to(struct test_machine *machine, uint64_t when)
{
    unsigned deadlines = 0;
    for (;;) {
        uint64_t next = controllers_next_deadline(&machine->vm);
        if (next > when)
            break;
        time_jump(machine, next);
        deadlines++;
        /* A deadline must be gone once it has been served, or the engine would not get on. */
        assert_true(controllers_next_deadline(&machine->vm) > time_now(machine));
    }
    time_jump(machine, when);
    return deadlines;
}

int take(struct test_machine *machine, unsigned cpu)
{
    struct vcpu *vcpu = &machine->vcpu[cpu];
    if (!controllers_pending(vcpu))
        return -1;
    int vector = controllers_acknowledge(vcpu);
    assert_true(vector >= 0);
    return vector;
}

uint8_t in8(struct test_machine *machine, uint16_t port)
{
    uint32_t value = 0;
    assert_true(controllers_port(&machine->vcpu[0], port, 1, false, &value));
    return (uint8_t)value;
}

void out8(struct test_machine *machine, uint16_t port, uint8_t value)
{
    uint32_t data = value;
    assert_true(controllers_port(&machine->vcpu[0], port, 1, true, &data));
}

static uint32_t mmio_read(struct vcpu *vcpu, uint64_t gpa)
{
    uint64_t value = ~0ull;
    assert_true(controllers_mmio(vcpu, gpa, 4, false, &value));
    assert_true(value <= 0xffffffffu);
    return (uint32_t)value;
}

static void mmio_write(struct vcpu *vcpu, uint64_t gpa, uint32_t value)
{
    uint64_t data = value;
    assert_true(controllers_mmio(vcpu, gpa, 4, true, &data));
}

uint32_t apic_read(struct test_machine *machine, unsigned cpu, uint32_t offset)
{
    return mmio_read(&machine->vcpu[cpu], APIC_BASE_ADDRESS + offset);
}

void apic_write(struct test_machine *machine, unsigned cpu, uint32_t offset, uint32_t value)
{
    mmio_write(&machine->vcpu[cpu], APIC_BASE_ADDRESS + offset, value);
}

uint32_t io_read(struct test_machine *machine, uint32_t index)
{
    mmio_write(&machine->vcpu[0], IOAPIC_ADDRESS, index);
    return mmio_read(&machine->vcpu[0], IOAPIC_ADDRESS + 0x10);
}

void io_write(struct test_machine *machine, uint32_t index, uint32_t value)
{
    mmio_write(&machine->vcpu[0], IOAPIC_ADDRESS, index);
    mmio_write(&machine->vcpu[0], IOAPIC_ADDRESS + 0x10, value);
}

void io_route(struct test_machine *machine, unsigned pin, uint32_t destination, uint32_t low)
{
    io_write(machine, 0x11 + 2 * pin, destination << 24);
    io_write(machine, 0x10 + 2 * pin, low);
}

int rdmsr(struct test_machine *machine, unsigned cpu, uint32_t msr, uint64_t *value)
{
    int result = controllers_msr_read(&machine->vcpu[cpu], msr, value);
    return result == -ENOENT ? paravirtual_msr_read(&machine->vcpu[cpu], msr, value) : result;
}

int wrmsr(struct test_machine *machine, unsigned cpu, uint32_t msr, uint64_t value)
{
    int result = controllers_msr_write(&machine->vcpu[cpu], msr, value);
    return result == -ENOENT ? paravirtual_msr_write(&machine->vcpu[cpu], msr, value) : result;
}

void apic_enable(struct test_machine *machine, unsigned cpu)
{
    apic_write(machine, cpu, 0xf0, 0x1ff);
}

void apic_enter_x2apic(struct test_machine *machine, unsigned cpu)
{
    uint64_t base;
    assert_int_equal(rdmsr(machine, cpu, 0x1b, &base), 0);
    assert_int_equal(wrmsr(machine, cpu, 0x1b, base | APIC_BASE_EXTD), 0);
    assert_int_equal(wrmsr(machine, cpu, 0x80f, 0x1ff), 0);
}

void pic_init(struct test_machine *machine, uint16_t unmasked)
{
    /* Linux, arch/x86/kernel/i8259.c, init_8259A() */
    out8(machine, 0x21, 0xff);
    out8(machine, 0x20, 0x11);
    out8(machine, 0x21, 0x30);
    out8(machine, 0x21, 1u << 2);
    out8(machine, 0x21, 1);
    out8(machine, 0xa0, 0x11);
    out8(machine, 0xa1, 0x38);
    out8(machine, 0xa1, 2);
    out8(machine, 0xa1, 1);
    out8(machine, 0x21, (uint8_t)~unmasked);
    out8(machine, 0xa1, (uint8_t)(~unmasked >> 8));
}

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}
