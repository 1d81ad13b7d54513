/* SPDX-License-Identifier: MIT */
/*
 * test_ioapic.c - redirection, edges and levels, remote IRR, EOI with re-delivery.
 */
#include "harness.h"

#define EOI 0xb0

static void test_registers(void **state)
{
    struct test_machine *m = *state;
    assert_int_equal(io_read(m, 1), 0x00170020);
    io_write(m, 0, 0xffffffff);
    assert_int_equal(io_read(m, 0), 0x0f000000);
    assert_int_equal(io_read(m, 2), 0x0f000000);
    for (unsigned pin = 0; pin < 24; pin++) {
        assert_int_equal(io_read(m, 0x10 + 2 * pin), 0x10000);
        io_write(m, 0x11 + 2 * pin, 0xffffffff);
        io_write(m, 0x10 + 2 * pin, 0xffffffff);
        assert_int_equal(io_read(m, 0x11 + 2 * pin), 0xff000000);
        assert_int_equal(io_read(m, 0x10 + 2 * pin), 0x0001afff);
    }
    io_write(m, 0x40, 0xffffffff); /* beyond the last pin */
    assert_int_equal(io_read(m, 0x40), 0);
    assert_int_equal(io_read(m, 0xff), 0);
    uint64_t value = 0x01;
    assert_true(controllers_mmio(&m->vcpu[0], IOAPIC_ADDRESS, 1, true, &value)); /* byte select */
    assert_true(controllers_mmio(&m->vcpu[0], IOAPIC_ADDRESS + 0x12, 1, false, &value));
    assert_int_equal(value, 0x17);
}

static void test_edge(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    io_route(m, 4, 0, 0x54);
    controllers_irq_line(&m->vm, 4, true);
    assert_int_equal(take(m, 0), 0x54);
    apic_write(m, 0, EOI, 0);
    controllers_irq_line(&m->vm, 4, true); /* no new edge */
    assert_int_equal(take(m, 0), -1);
    controllers_irq_line(&m->vm, 4, false);
    controllers_irq_line(&m->vm, 4, true);
    assert_int_equal(take(m, 0), 0x54);
    apic_write(m, 0, EOI, 0);
    io_route(m, 4, 0, 0x10054); /* edges at a masked pin are lost */
    controllers_irq_line(&m->vm, 4, false);
    controllers_irq_line(&m->vm, 4, true);
    io_route(m, 4, 0, 0x54);
    assert_int_equal(take(m, 0), -1);
}

static void test_level(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    io_route(m, 20, 0, 0x8000 | 0x60);
    controllers_irq_line(&m->vm, 20, true);
    assert_int_equal(io_read(m, 0x10 + 40), 0xc060);
    assert_int_equal(take(m, 0), 0x60);
    controllers_irq_line(&m->vm, 20, false);
    controllers_irq_line(&m->vm, 20, true); /* held back by remote IRR */
    assert_int_equal(take(m, 0), -1);
    apic_write(m, 0, EOI, 0); /* still asserted: once more */
    assert_int_equal(take(m, 0), 0x60);
    controllers_irq_line(&m->vm, 20, false);
    apic_write(m, 0, EOI, 0);
    assert_int_equal(io_read(m, 0x10 + 40), 0x8060);
    assert_int_equal(take(m, 0), -1);
    /* Asserted while masked: delivered when unmasked. */
    io_route(m, 20, 0, 0x18060);
    controllers_irq_line(&m->vm, 20, true);
    assert_int_equal(take(m, 0), -1);
    io_write(m, 0x10 + 40, 0x8060);
    assert_int_equal(take(m, 0), 0x60);
    apic_write(m, 0, EOI, 0);
    assert_int_equal(take(m, 0), 0x60);
}

/* Linux clears a stuck remote IRR by going to edge and back, or by the EOI register. */
static void test_remote_irr_clearing(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    io_route(m, 11, 0, 0x806b);
    controllers_irq_line(&m->vm, 11, true);
    controllers_irq_line(&m->vm, 11, false);
    assert_int_equal(io_read(m, 0x26), 0xc06b);
    io_write(m, 0x26, 0x1006b);
    io_write(m, 0x26, 0x806b);
    assert_int_equal(io_read(m, 0x26), 0x806b);
    assert_int_equal(take(m, 0), 0x6b);
    apic_write(m, 0, EOI, 0);
    controllers_irq_line(&m->vm, 11, true);
    uint64_t vector = 0x6b;
    controllers_irq_line(&m->vm, 11, false);
    controllers_mmio(&m->vcpu[0], IOAPIC_ADDRESS + 0x40, 4, true, &vector);
    assert_int_equal(io_read(m, 0x26), 0x806b);
}

/* Two pins that share a vector: one EOI is for both. */
static void test_shared_vector(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    io_route(m, 16, 0, 0x8070);
    io_route(m, 17, 0, 0x8070);
    controllers_irq_line(&m->vm, 16, true);
    controllers_irq_line(&m->vm, 17, true);
    assert_int_equal(take(m, 0), 0x70);
    controllers_irq_line(&m->vm, 16, false);
    apic_write(m, 0, EOI, 0);
    assert_int_equal(take(m, 0), 0x70); /* 17 */
    controllers_irq_line(&m->vm, 17, false);
    apic_write(m, 0, EOI, 0);
    assert_int_equal(take(m, 0), -1);
}

static void test_delivery_modes(void **state)
{
    struct test_machine *m = *state;
    for (unsigned i = 0; i < TEST_CPUS; i++) {
        apic_enable(m, i);
        apic_write(m, i, 0xd0, 1u << (24 + i));
    }
    io_route(m, 5, 2, 0x0400); /* NMI */
    controllers_irq_line(&m->vm, 5, true);
    assert_true(m->vcpu[2].nmi_pending);
    io_route(m, 6, 3, 0x8500); /* INIT is an edge, whatever the entry says */
    controllers_irq_line(&m->vm, 6, true);
    assert_true(m->vcpu[3].init_pending);
    assert_int_equal(io_read(m, 0x1c), 0x8500);
    io_route(m, 7, 0xe, 0x0900 | 0x80); /* lowest priority, logical */
    controllers_cr8_write(&m->vcpu[1], 9);
    controllers_irq_line(&m->vm, 7, true);
    assert_int_equal(take(m, 1), -1);
    assert_int_equal(take(m, 2), 0x80);
    io_route(m, 8, 0xff, 0x0081); /* physical broadcast */
    controllers_irq_line(&m->vm, 8, true);
    for (unsigned i = 0; i < TEST_CPUS; i++)
        assert_int_equal(apic_read(m, i, 0x240) >> 1 & 1, 1);
    io_route(m, 9, 0, 0x8300); /* reserved, start-up, illegal vector: nothing breaks */
    io_route(m, 10, 0, 0x8600);
    io_route(m, 12, 0, 0x8005);
    for (unsigned pin = 9; pin <= 12; pin++)
        controllers_irq_line(&m->vm, pin, true);
    assert_int_equal(io_read(m, 0x10 + 24), 0x8005); /* not accepted: no remote IRR */
}

/* A level interrupt that nobody takes is delivered once somebody can be found. */
static void test_unclaimed_level(void **state)
{
    struct test_machine *m = *state;
    io_route(m, 19, 0, 0x8065); /* LAPIC still disabled */
    controllers_irq_line(&m->vm, 19, true);
    assert_int_equal(io_read(m, 0x10 + 38), 0x8065);
    apic_enable(m, 0);
    io_write(m, 0x10 + 38, 0x8065);
    assert_int_equal(take(m, 0), 0x65);
}

static void test_lines_out_of_range(void **state)
{
    struct test_machine *m = *state;
    controllers_irq_line(&m->vm, 24, true);
    controllers_irq_line(&m->vm, 0xffffffff, true);
    controllers_irq_line(&m->vm, 0, true);
    assert_int_equal(take(m, 0), -1);
}

/* The 8259s' way in through pin 0 as ExtINT. */
static void test_extint_pin(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, 0x350, 0x10700);
    pic_init(m, 1u << 3);
    controllers_irq_line(&m->vm, 3, true);
    assert_int_equal(take(m, 0), -1);
    io_route(m, 0, 0, 0x0700);
    assert_true(m->vcpu[0].attention & ATTENTION_INTERRUPT);
    assert_int_equal(take(m, 0), 0x33);
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)
#define TEST_SMP(name) cmocka_unit_test_setup_teardown(name, machine_setup_smp, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registers),       TEST(test_edge),
        TEST(test_level),           TEST(test_remote_irr_clearing),
        TEST(test_shared_vector),   TEST_SMP(test_delivery_modes),
        TEST(test_unclaimed_level), TEST(test_lines_out_of_range),
        TEST(test_extint_pin),
    };
    return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
