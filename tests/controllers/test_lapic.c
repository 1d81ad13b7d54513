/* SPDX-License-Identifier: MIT */
/*
 * test_lapic.c - LAPIC registers in both views, mode transitions, priorities, EOI, errors.
 */
#include "harness.h"

static void msi(struct test_machine *machine, unsigned vector)
{
    controllers_msi(&machine->vm, 0, 0xfee00000, vector);
}

static void test_reset_values(void **state)
{
    struct test_machine *m = *state;
    assert_int_equal(m->vcpu[0].r.apic_base, 0xfee00900);
    assert_int_equal(apic_read(m, 0, 0x20), 0);
    assert_int_equal(apic_read(m, 0, 0x30), 0x00050014);
    assert_int_equal(apic_read(m, 0, 0x80), 0);
    assert_int_equal(apic_read(m, 0, 0xe0), 0xffffffff);
    assert_int_equal(apic_read(m, 0, 0xf0), 0xff);
    assert_int_equal(apic_read(m, 0, 0x320), 0x10000);
    assert_int_equal(apic_read(m, 0, 0x350), 0x700); /* virtual wire, as firmware leaves it */
    assert_int_equal(apic_read(m, 0, 0x360), 0x10000);
    assert_int_equal(apic_read(m, 0, 0x370), 0x10000);
}

static void test_register_masks(void **state)
{
    static const struct {
        uint32_t offset, ones;
    } rows[] = {
        { 0x80, 0xff },        { 0xd0, 0xff000000 },  { 0xe0, 0xffffffff },  { 0xf0, 0x3ff },
        { 0x310, 0xff000000 }, { 0x320, 0x000700ff }, { 0x330, 0x000107ff }, { 0x340, 0x000107ff },
        { 0x350, 0x0001a7ff }, { 0x360, 0x0001a7ff }, { 0x370, 0x000100ff }, { 0x3e0, 0xb },
        { 0x20, 0 },           { 0x30, 0x00050014 },
    };
    struct test_machine *m = *state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        apic_write(m, 0, rows[i].offset, 0xffffffff);
        assert_int_equal(apic_read(m, 0, rows[i].offset), rows[i].ones);
    }
}

static void test_access_sizes(void **state)
{
    struct test_machine *m = *state;
    struct vcpu *vcpu = &m->vcpu[0];
    uint64_t value;
    apic_write(m, 0, 0x80, 0x50);
    value = 0xaa;
    controllers_mmio(vcpu, APIC_BASE_ADDRESS + 0x80, 1, true, &value); /* bytes are not written */
    assert_int_equal(apic_read(m, 0, 0x80), 0x50);
    value = 0xaa;
    controllers_mmio(vcpu, APIC_BASE_ADDRESS + 0x84, 4, true, &value);
    assert_int_equal(apic_read(m, 0, 0x80), 0x50);
    controllers_mmio(vcpu, APIC_BASE_ADDRESS + 0x32, 1, false, &value);
    assert_int_equal(value, 5);
    controllers_mmio(vcpu, APIC_BASE_ADDRESS + 0x30, 8, false, &value);
    assert_int_equal(value, 0x00050014);
    controllers_mmio(vcpu, APIC_BASE_ADDRESS + 0x38, 4, false, &value);
    assert_int_equal(value, 0);
    controllers_mmio(vcpu, APIC_BASE_ADDRESS + 0xffc, 4, false, &value);
    assert_int_equal(value, 0);
    assert_false(controllers_mmio(vcpu, APIC_BASE_ADDRESS + 0x1000, 4, false, &value));
    assert_false(controllers_mmio(vcpu, APIC_BASE_ADDRESS - 4, 4, false, &value));
}

/* Fixed interrupts by class; the processor priority; nesting; EOI in order. */
static void test_priority(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    msi(m, 0x41);
    msi(m, 0x45);
    msi(m, 0x61);
    assert_int_equal(apic_read(m, 0, 0x220), 0x22);
    assert_int_equal(take(m, 0), 0x61);
    assert_int_equal(apic_read(m, 0, 0xa0), 0x60);
    assert_int_equal(take(m, 0), -1); /* 0x45 is of a lower class */
    msi(m, 0x6f);
    assert_int_equal(take(m, 0), -1); /* the same class does not nest */
    msi(m, 0x70);
    assert_int_equal(take(m, 0), 0x70);
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(apic_read(m, 0, 0xa0), 0x60);
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(take(m, 0), 0x6f);
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(take(m, 0), 0x45);
    assert_int_equal(take(m, 0), -1);
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(take(m, 0), 0x41);
    apic_write(m, 0, 0xb0, 0);
    apic_write(m, 0, 0xb0, 0); /* nothing in service: no effect */
    assert_int_equal(apic_read(m, 0, 0xa0), 0);
}

static void test_task_priority(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, 0x80, 0x5f);
    assert_int_equal(controllers_cr8_read(&m->vcpu[0]), 5);
    assert_int_equal(apic_read(m, 0, 0xa0), 0x5f);
    msi(m, 0x5e);
    assert_int_equal(take(m, 0), -1);
    m->vcpu[0].attention = 0;
    controllers_cr8_write(&m->vcpu[0], 4);
    assert_int_equal(m->vcpu[0].attention & ATTENTION_INTERRUPT, ATTENTION_INTERRUPT);
    assert_int_equal(apic_read(m, 0, 0x80), 0x40);
    assert_int_equal(take(m, 0), 0x5e);
    apic_write(m, 0, 0xb0, 0);
    controllers_cr8_write(&m->vcpu[0], 15);
    msi(m, 0xff);
    assert_int_equal(take(m, 0), -1);
}

static void test_software_disable(void **state)
{
    struct test_machine *m = *state;
    msi(m, 0x50); /* disabled since reset */
    assert_int_equal(take(m, 0), -1);
    apic_enable(m, 0);
    apic_write(m, 0, 0x320, 0x40);
    msi(m, 0x50);
    apic_write(m, 0, 0xf0, 0xff);
    assert_int_equal(apic_read(m, 0, 0x320), 0x10040); /* masked, and stays so */
    apic_write(m, 0, 0x320, 0x40);
    assert_int_equal(apic_read(m, 0, 0x320), 0x10040);
    msi(m, 0x51);
    assert_int_equal(take(m, 0), 0x50); /* what had come before is still there */
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(take(m, 0), -1);
    controllers_msi(&m->vm, 0, 0xfee00000, DELIVER_NMI << 8); /* but NMI comes through */
    assert_true(m->vcpu[0].nmi_pending);
}

static void test_errors(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, 0x370, 0xfe);
    msi(m, 0x0f);
    assert_int_equal(apic_read(m, 0, 0x280), 0); /* shown by a write only */
    apic_write(m, 0, 0x280, 0);
    assert_int_equal(apic_read(m, 0, 0x280), ESR_RECEIVE_ILLEGAL_VECTOR);
    assert_int_equal(take(m, 0), 0xfe);
    apic_write(m, 0, 0xb0, 0);
    apic_write(m, 0, 0x300, 0x05); /* self by physical id 0 */
    assert_int_equal(take(m, 0), 0xfe);
    apic_write(m, 0, 0xb0, 0);
    apic_read(m, 0, 0x40); /* reserved; no second interrupt before ESR is written */
    assert_int_equal(take(m, 0), -1);
    apic_write(m, 0, 0x280, 0);
    assert_int_equal(apic_read(m, 0, 0x280), ESR_SEND_ILLEGAL_VECTOR | ESR_ILLEGAL_REGISTER);
    apic_write(m, 0, 0x280, 0);
    assert_int_equal(apic_read(m, 0, 0x280), 0);
    apic_write(m, 0, 0x370, 0x03); /* an illegal error vector must not recurse */
    msi(m, 0x01);
    apic_write(m, 0, 0x280, 0);
    assert_int_equal(apic_read(m, 0, 0x280), ESR_RECEIVE_ILLEGAL_VECTOR);
}

/* Linux reads only the register it wrote, but tools read ISR and TMR. */
static void test_trigger_mode_register(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    controllers_msi(&m->vm, 0, 0xfee00000, 0xc000 | 0x91);
    assert_int_equal(apic_read(m, 0, 0x1c0), 1u << 17);
    controllers_msi(&m->vm, 0, 0xfee00000, 0x8000 | 0x92); /* level de-assert: nothing */
    assert_int_equal(take(m, 0), 0x91);
    assert_int_equal(apic_read(m, 0, 0x140), 1u << 17);
    apic_write(m, 0, 0xb0, 0);
    msi(m, 0x91);
    assert_int_equal(apic_read(m, 0, 0x1c0), 0);
}

static void test_base_transitions(void **state)
{
    struct test_machine *m = *state;
    const uint64_t off = 0xfee00100, xapic = 0xfee00900, x2apic = 0xfee00d00;
    uint64_t value;
    assert_int_not_equal(wrmsr(m, 0, 0x1b, 0xfee00500), 0); /* EXTD without EN */
    assert_int_equal(m->vcpu[0].fault.vector, EXCEPTION_GP);
    assert_int_not_equal(wrmsr(m, 0, 0x1b, xapic | 1), 0);
    assert_int_not_equal(wrmsr(m, 0, 0x1b, xapic | 1ull << 9), 0);
    assert_int_not_equal(wrmsr(m, 0, 0x1b, xapic | 1ull << 40), 0);
    assert_int_equal(wrmsr(m, 0, 0x1b, xapic | 1ull << 39), 0);
    assert_int_equal(wrmsr(m, 0, 0x1b, xapic), 0);
    assert_int_equal(wrmsr(m, 0, 0x1b, x2apic), 0);
    assert_int_not_equal(wrmsr(m, 0, 0x1b, xapic), 0); /* no way back but off */
    assert_int_equal(wrmsr(m, 0, 0x1b, x2apic), 0);
    assert_int_equal(wrmsr(m, 0, 0x1b, off), 0);
    assert_int_not_equal(wrmsr(m, 0, 0x1b, x2apic), 0);
    assert_int_equal(rdmsr(m, 0, 0x1b, &value), 0);
    assert_int_equal(value, off);
    assert_int_equal(wrmsr(m, 0, 0x1b, xapic), 0);
    m->vm.model.leaf[0].ecx = 0; /* a model without x2APIC */
    assert_int_not_equal(wrmsr(m, 0, 0x1b, x2apic), 0);
}

static void test_base_moves(void **state)
{
    struct test_machine *m = *state;
    uint64_t value;
    assert_int_equal(wrmsr(m, 0, 0x1b, 0xd0000900), 0);
    assert_false(controllers_mmio(&m->vcpu[0], 0xfee00030, 4, false, &value));
    assert_true(controllers_mmio(&m->vcpu[0], 0xd0000030, 4, false, &value));
    assert_int_equal(value, 0x00050014);
    assert_int_equal(wrmsr(m, 0, 0x1b, 0xd0000100), 0);
    assert_false(controllers_mmio(&m->vcpu[0], 0xd0000030, 4, false, &value));
    msi(m, 0x55); /* off: nothing is accepted */
    assert_int_equal(take(m, 0), -1);
}

static void test_x2apic_access(void **state)
{
    static const struct {
        uint32_t msr;
        bool readable, writable;
        uint64_t legal, illegal;
    } rows[] = {
        { 0x802, true, false, 0, 0 },
        { 0x803, true, false, 0, 0 },
        { 0x808, true, true, 0xff, 0x100 },
        { 0x809, false, false, 0, 0 },
        { 0x80a, true, false, 0, 0 },
        { 0x80b, false, true, 0, 1 },
        { 0x80d, true, false, 0, 0 },
        { 0x80e, false, false, 0, 0 },
        { 0x80f, true, true, 0x1ff, 0x1000 },
        { 0x810, true, false, 0, 0 },
        { 0x827, true, false, 0, 0 },
        { 0x828, true, true, 0, 1 },
        { 0x82f, false, false, 0, 0 },
        { 0x830, true, true, 0x000c40ff, 0x00100000 },
        { 0x831, false, false, 0, 0 },
        { 0x832, true, true, 0x000510ff, 0x00080000 },
        { 0x833, true, true, 0x000107ff, 0x00020000 },
        { 0x834, true, true, 0x000107ff, 0x00020000 },
        { 0x835, true, true, 0x0001f7ff, 0x00020000 },
        { 0x836, true, true, 0x0001f7ff, 0x00020000 },
        { 0x837, true, true, 0x000110ff, 0x00000100 },
        { 0x838, true, true, 0xffffffff, 0x100000000 },
        { 0x839, true, false, 0, 0 },
        { 0x83e, true, true, 0xb, 0x4 },
        { 0x83f, false, true, 0xff, 0x100 },
        { 0x840, false, false, 0, 0 },
        { 0x8ff, false, false, 0, 0 },
    };
    struct test_machine *m = *state;
    uint64_t value;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) { /* not in xAPIC mode */
        assert_int_not_equal(rdmsr(m, 0, rows[i].msr, &value), 0);
        assert_int_not_equal(wrmsr(m, 0, rows[i].msr, rows[i].legal), 0);
    }
    apic_enter_x2apic(m, 0);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(rdmsr(m, 0, rows[i].msr, &value) == 0, rows[i].readable);
        assert_int_equal(wrmsr(m, 0, rows[i].msr, rows[i].legal) == 0, rows[i].writable);
        if (rows[i].writable)
            assert_int_not_equal(wrmsr(m, 0, rows[i].msr, rows[i].illegal), 0);
    }
    assert_false(controllers_mmio(&m->vcpu[0], APIC_BASE_ADDRESS + 0x20, 4, false, &value));
    assert_int_equal(controllers_msr_read(&m->vcpu[0], 0x900, &value), -2); /* -ENOENT: not ours */
    assert_int_equal(controllers_msr_write(&m->vcpu[0], 0x7ff, 0), -2);
}

static void test_x2apic_ids(void **state)
{
    struct test_machine *m = *state;
    uint64_t value;
    apic_enter_x2apic(m, 0);
    m->vcpu[0].id = 37; /* cluster 2, bit 5 */
    m->vm.controllers.lapic[37] = m->vm.controllers.lapic[0];
    assert_int_equal(rdmsr(m, 0, 0x802, &value), 0);
    assert_int_equal(value, 37);
    assert_int_equal(rdmsr(m, 0, 0x80d, &value), 0);
    assert_int_equal(value, 2u << 16 | 1u << 5);
    m->vcpu[0].id = 0;
}

static void test_x2apic_self_ipi(void **state)
{
    struct test_machine *m = *state;
    apic_enter_x2apic(m, 0);
    assert_int_equal(wrmsr(m, 0, 0x83f, 0x77), 0);
    assert_int_equal(take(m, 0), 0x77);
    assert_int_equal(wrmsr(m, 0, 0x80b, 0), 0);
    assert_int_equal(wrmsr(m, 0, 0x83f, 0x07), 0); /* illegal vector: ESR, not #GP */
    uint64_t value;
    wrmsr(m, 0, 0x828, 0);
    rdmsr(m, 0, 0x828, &value);
    assert_int_equal(value, ESR_SEND_ILLEGAL_VECTOR);
}

static void test_lint_pins(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    controllers_nmi(&m->vm);
    assert_false(m->vcpu[0].nmi_pending); /* masked */
    apic_write(m, 0, 0x360, DELIVER_NMI << 8);
    controllers_nmi(&m->vm);
    assert_true(m->vcpu[0].nmi_pending);
    /* LINT0, fixed and level triggered: again after EOI as long as the 8259 asks. */
    apic_write(m, 0, 0x350, 0x8000 | 0x88);
    pic_init(m, 1u << 4);
    controllers_irq_line(&m->vm, 4, true);
    assert_int_equal(apic_read(m, 0, 0x350), 0xc088); /* remote IRR */
    assert_int_equal(take(m, 0), 0x88);
    assert_int_equal(take(m, 0), -1);
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(take(m, 0), 0x88);
    out8(m, 0x21, 0xff);
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(apic_read(m, 0, 0x350), 0x8088);
    assert_int_equal(take(m, 0), -1);
}

static void test_init_reset(void **state)
{
    struct test_machine *m = *state;
    apic_enter_x2apic(m, 0);
    wrmsr(m, 0, 0x808, 0x40);
    msi(m, 0x99);
    lapic_reset(&m->vcpu[0], true);
    uint64_t value;
    rdmsr(m, 0, 0x808, &value); /* still x2APIC, its registers as after power-on */
    assert_int_equal(value, 0);
    assert_int_equal(take(m, 0), -1);
    lapic_reset(&m->vcpu[0], false);
    assert_int_equal(m->vcpu[0].r.apic_base, 0xfee00900);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reset_values),     TEST(test_register_masks),
        TEST(test_access_sizes),     TEST(test_priority),
        TEST(test_task_priority),    TEST(test_software_disable),
        TEST(test_errors),           TEST(test_trigger_mode_register),
        TEST(test_base_transitions), TEST(test_base_moves),
        TEST(test_x2apic_access),    TEST(test_x2apic_ids),
        TEST(test_x2apic_self_ipi),  TEST(test_lint_pins),
        TEST(test_init_reset),
    };
    return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
