/* SPDX-License-Identifier: MIT */
/*
 * test_pic.c - the 8259 pair as operating systems program it: initialization, priorities, EOI
 * commands, rotation, special mask, automatic EOI, poll, ELCR, spurious interrupts, virtual wire.
 */
#include "harness.h"

static void irq(struct test_machine *m, unsigned line, bool level)
{
    controllers_irq_line(&m->vm, line == 0 ? 2 : line, level);
}

static void pulse(struct test_machine *m, unsigned line)
{
    irq(m, line, false);
    irq(m, line, true);
}

static uint8_t isr(struct test_machine *m, uint16_t port)
{
    out8(m, port, 0x0b);
    return in8(m, port);
}

static uint8_t irr(struct test_machine *m, uint16_t port)
{
    out8(m, port, 0x0a);
    return in8(m, port);
}

static void test_linux_setup(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0);
    assert_int_equal(in8(m, 0x21), 0xff);
    /* Linux's probe_8259A: writes the mask and reads it back */
    out8(m, 0x21, 0xfb);
    assert_int_equal(in8(m, 0x21), 0xfb);
    assert_int_equal(in8(m, 0xa1), 0xff);
    /* Edge on IRQ 4, handled as mask_and_ack_8259A does: mask, then specific EOI. */
    out8(m, 0x21, 0xeb);
    pulse(m, 4);
    assert_int_equal(take(m, 0), 0x34);
    in8(m, 0x21);
    out8(m, 0x21, 0xfb);
    assert_int_equal(isr(m, 0x20), 0x10);
    out8(m, 0x20, 0x64);
    assert_int_equal(isr(m, 0x20), 0);
    out8(m, 0x21, 0xeb);
    assert_int_equal(take(m, 0), -1);
    /* IRQ 12 through the cascade. */
    out8(m, 0xa1, 0xef);
    pulse(m, 12);
    assert_int_equal(irr(m, 0x20), 4);
    assert_int_equal(irr(m, 0xa0), 0x10);
    assert_int_equal(take(m, 0), 0x3c);
    assert_int_equal(isr(m, 0x20), 4);
    assert_int_equal(isr(m, 0xa0), 0x10);
    out8(m, 0xa0, 0x64);
    out8(m, 0x20, 0x62);
    assert_int_equal(isr(m, 0x20) | isr(m, 0xa0), 0);
}

static void test_priority(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    for (unsigned line = 15; line > 2; line--)
        pulse(m, line);
    pulse(m, 1);
    pulse(m, 0);
    static const unsigned order[] = { 0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7 };
    for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_int_equal(take(m, 0), 0x30 + order[i]);
        assert_int_equal(take(m, 0), -1); /* nothing of lower priority before the EOI */
        if (order[i] >= 8)
            out8(m, 0xa0, 0x20);
        out8(m, 0x20, 0x20);
    }
    assert_int_equal(take(m, 0), -1);
}

static void test_nesting(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    pulse(m, 6);
    assert_int_equal(take(m, 0), 0x36);
    pulse(m, 7);
    assert_int_equal(take(m, 0), -1);
    pulse(m, 3);
    assert_int_equal(take(m, 0), 0x33);
    assert_int_equal(isr(m, 0x20), 0x48);
    out8(m, 0x20, 0x20); /* non-specific: the highest */
    assert_int_equal(isr(m, 0x20), 0x40);
    out8(m, 0x20, 0x66);
    assert_int_equal(take(m, 0), 0x37);
}

/* The slave may nest in itself only in special fully nested mode. */
static void test_special_fully_nested(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    pulse(m, 14);
    assert_int_equal(take(m, 0), 0x3e);
    pulse(m, 9);
    assert_int_equal(take(m, 0), -1);
    out8(m, 0xa0, 0x20);
    out8(m, 0x20, 0x20);
    assert_int_equal(take(m, 0), 0x39);
    out8(m, 0x20, 0x11); /* the master again, with SFNM */
    out8(m, 0x21, 0x30);
    out8(m, 0x21, 4);
    out8(m, 0x21, 0x11);
    out8(m, 0xa0, 0x20);
    pulse(m, 14);
    assert_int_equal(take(m, 0), 0x3e);
    pulse(m, 9);
    assert_int_equal(take(m, 0), 0x39);
}

static void test_rotation(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    out8(m, 0x20, 0xc0 | 4); /* IRQ 4 lowest, so 5 highest */
    for (unsigned line = 3; line < 8; line++)
        pulse(m, line);
    assert_int_equal(take(m, 0), 0x35);
    out8(m, 0x20, 0xa0); /* rotate on non-specific EOI: 5 lowest now */
    assert_int_equal(take(m, 0), 0x36);
    out8(m, 0x20, 0xe0 | 6); /* rotate on specific EOI */
    assert_int_equal(take(m, 0), 0x37);
    out8(m, 0x20, 0x20);
    assert_int_equal(take(m, 0), 0x33);
    pulse(m, 7);
    assert_int_equal(take(m, 0), 0x37); /* above 3 in this order */
}

static void test_special_mask(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    pulse(m, 3);
    assert_int_equal(take(m, 0), 0x33);
    pulse(m, 5);
    assert_int_equal(take(m, 0), -1);
    out8(m, 0x21, 0x08);
    assert_int_equal(take(m, 0), -1);
    out8(m, 0x20, 0x68); /* special mask: what is masked no longer blocks */
    assert_int_equal(take(m, 0), 0x35);
    out8(m, 0x20, 0x20); /* non-specific EOI passes the masked level over */
    assert_int_equal(isr(m, 0x20), 0x08);
    out8(m, 0x20, 0x48);
    pulse(m, 6);
    assert_int_equal(take(m, 0), -1);
}

static void test_automatic_eoi(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    out8(m, 0x20, 0x11);
    out8(m, 0x21, 0x30);
    out8(m, 0x21, 4);
    out8(m, 0x21, 3);
    out8(m, 0x20, 0x80); /* rotate in automatic EOI */
    pulse(m, 3);
    pulse(m, 4);
    assert_int_equal(take(m, 0), 0x33);
    assert_int_equal(isr(m, 0x20), 0);
    pulse(m, 3); /* now the lowest */
    assert_int_equal(take(m, 0), 0x34);
    assert_int_equal(take(m, 0), 0x33);
    out8(m, 0x20, 0x00);
    pulse(m, 5);
    pulse(m, 6);
    assert_int_equal(take(m, 0), 0x35);
    assert_int_equal(take(m, 0), 0x36);
}

static void test_poll(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    out8(m, 0x20, 0x0c);
    assert_int_equal(in8(m, 0x20), 0);
    pulse(m, 5);
    out8(m, 0x20, 0x0c);
    assert_int_equal(in8(m, 0x20), 0x85);
    assert_int_equal(isr(m, 0x20), 0x20); /* a poll acknowledges */
    assert_int_equal(take(m, 0), -1);
    assert_int_equal(in8(m, 0x20), 0x20); /* and only one read is a poll */
}

static void test_level(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    out8(m, 0x4d0, 0xff);
    out8(m, 0x4d1, 0xff);
    assert_int_equal(in8(m, 0x4d0), 0xf8);
    assert_int_equal(in8(m, 0x4d1), 0xde);
    irq(m, 10, true);
    assert_int_equal(take(m, 0), 0x3a);
    out8(m, 0xa0, 0x20);
    out8(m, 0x20, 0x20);
    assert_int_equal(take(m, 0), 0x3a); /* still asserted */
    irq(m, 10, false);
    out8(m, 0xa0, 0x20);
    out8(m, 0x20, 0x20);
    assert_int_equal(take(m, 0), -1);
    irq(m, 11, true);
    irq(m, 11, false); /* a level that went away is no request */
    assert_int_equal(take(m, 0), -1);
    irq(m, 5, true);
    out8(m, 0x4d0, 0); /* back to edges: the level is no edge */
    assert_int_equal(take(m, 0), -1);
}

static void test_spurious(void **state)
{
    struct test_machine *m = *state;
    struct pic *pic = &m->vm.controllers.pic;
    pic_init(m, 0xffff);
    assert_int_equal(pic_acknowledge(pic), 0x37);
    assert_int_equal(isr(m, 0x20), 0);
    /* The slave's request goes away between the two INTA pulses. */
    pulse(m, 9);
    pic->chip[1].irr = 0;
    assert_int_equal(pic_acknowledge(pic), 0x3f);
    assert_int_equal(isr(m, 0x20), 4);
    assert_int_equal(isr(m, 0xa0), 0);
}

static void test_initialization(void **state)
{
    struct test_machine *m = *state;
    assert_int_equal(in8(m, 0x21), 0xff); /* nothing comes in before it is set up */
    pulse(m, 4);
    assert_int_equal(take(m, 0), -1);
    out8(m, 0x20, 0x11); /* in the middle of it there is no interrupt, and edges are forgotten */
    pulse(m, 5);
    assert_int_equal(take(m, 0), -1);
    out8(m, 0x21, 0x57); /* low bits of ICW2 don't count */
    out8(m, 0x21, 4);
    assert_int_equal(take(m, 0), -1);
    out8(m, 0x21, 1);
    assert_int_equal(take(m, 0), 0x55);
    out8(m, 0x20, 0x20);
    assert_int_equal(take(m, 0), -1);
    out8(m, 0x20, 0x12); /* single, no ICW4: one more word only */
    out8(m, 0x21, 0x60);
    out8(m, 0x21, 0xdf);
    assert_int_equal(in8(m, 0x21), 0xdf);
    pulse(m, 12); /* no slave */
    assert_int_equal(take(m, 0), -1);
    pulse(m, 5);
    assert_int_equal(take(m, 0), 0x65);
}

static void test_virtual_wire(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 0xffff);
    pulse(m, 4);
    assert_true(controllers_pending(&m->vcpu[0])); /* LINT0 as firmware leaves it */
    apic_write(m, 0, 0xf0, 0x1ff);
    apic_write(m, 0, 0x350, 0x10700);
    assert_false(controllers_pending(&m->vcpu[0]));
    apic_write(m, 0, 0x350, 0x700);
    assert_true(controllers_pending(&m->vcpu[0]));
    controllers_cr8_write(&m->vcpu[0], 15); /* ExtINT has no priority class */
    assert_int_equal(take(m, 0), 0x34);
    out8(m, 0x20, 0x20);
    apic_write(m, 0, 0x350, 0x10700);
    assert_int_equal(wrmsr(m, 0, 0x1b, 0xfee00100), 0); /* LAPIC off: straight to INTR */
    pulse(m, 4);
    assert_int_equal(take(m, 0), 0x34);
}

static void test_wide_ports(void **state)
{
    struct test_machine *m = *state;
    uint32_t value = 0xa50b; /* OCW3 and the mask in one 16-bit write */
    pic_init(m, 0xffff);
    assert_true(controllers_port(&m->vcpu[0], 0x20, 2, true, &value));
    assert_int_equal(in8(m, 0x21), 0xa5);
    assert_true(controllers_port(&m->vcpu[0], 0x20, 4, false, &value));
    assert_int_equal(value, 0xffffa500);
    assert_false(controllers_port(&m->vcpu[0], 0x22, 1, false, &value));
    assert_false(controllers_port(&m->vcpu[0], 0x4d2, 1, false, &value));
    assert_false(controllers_port(&m->vcpu[0], 0x60, 1, false, &value));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_linux_setup),    TEST(test_priority),
        TEST(test_nesting),        TEST(test_special_fully_nested),
        TEST(test_rotation),       TEST(test_special_mask),
        TEST(test_automatic_eoi),  TEST(test_poll),
        TEST(test_level),          TEST(test_spurious),
        TEST(test_initialization), TEST(test_virtual_wire),
        TEST(test_wide_ports),
    };
    return cmocka_run_group_tests_name("pic", tests, NULL, NULL);
}
