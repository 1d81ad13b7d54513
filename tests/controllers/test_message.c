/* SPDX-License-Identifier: MIT */
/*
 * test_message.c - interprocessor interrupts and MSIs: destinations, shorthands, delivery modes.
 */
#include "harness.h"

#define ICR_LOW  0x300
#define ICR_HIGH 0x310

static void enable_all(struct test_machine *m)
{
    for (unsigned i = 0; i < TEST_CPUS; i++)
        apic_enable(m, i);
}

/* Who has got `vector`, as a bit mask; takes and ends it. */
static unsigned receivers(struct test_machine *m, int vector)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < TEST_CPUS; i++) {
        if (take(m, i) != vector)
            continue;
        mask |= 1u << i;
        lapic_eoi(&m->vcpu[i]);
        assert_int_equal(take(m, i), -1);
    }
    return mask;
}

static void ipi(struct test_machine *m, unsigned from, uint32_t destination, uint32_t low)
{
    apic_write(m, from, ICR_HIGH, destination << 24);
    apic_write(m, from, ICR_LOW, low);
    assert_int_equal(apic_read(m, from, ICR_LOW), low & 0xcefff); /* never busy */
}

static void test_physical(void **state)
{
    struct test_machine *m = *state;
    enable_all(m);
    for (unsigned i = 0; i < TEST_CPUS; i++) {
        ipi(m, 1, i, 0x40a5);
        assert_int_equal(receivers(m, 0xa5), 1u << i);
    }
    ipi(m, 1, 0xff, 0x40a6);
    assert_int_equal(receivers(m, 0xa6), 0xf);
    ipi(m, 1, 9, 0x40a7);
    assert_int_equal(receivers(m, 0xa7), 0);
}

static void test_shorthands(void **state)
{
    struct test_machine *m = *state;
    enable_all(m);
    ipi(m, 2, 0, 0x440b1);
    assert_int_equal(receivers(m, 0xb1), 1u << 2);
    ipi(m, 2, 0, 0x840b2);
    assert_int_equal(receivers(m, 0xb2), 0xf);
    ipi(m, 2, 0, 0xc40b3);
    assert_int_equal(receivers(m, 0xb3), 0xf & ~(1u << 2));
}

static void test_logical_flat(void **state)
{
    struct test_machine *m = *state;
    enable_all(m);
    for (unsigned i = 0; i < TEST_CPUS; i++)
        apic_write(m, i, 0xd0, 1u << (24 + i));
    for (unsigned mask = 0; mask < 16; mask++) {
        ipi(m, 0, mask, 0x48c1);
        assert_int_equal(receivers(m, 0xc1), mask);
    }
    ipi(m, 0, 0xff, 0x48c2);
    assert_int_equal(receivers(m, 0xc2), 0xf);
}

static void test_logical_cluster(void **state)
{
    struct test_machine *m = *state;
    enable_all(m);
    for (unsigned i = 0; i < TEST_CPUS; i++) {
        apic_write(m, i, 0xe0, 0);
        apic_write(m, i, 0xd0, (i / 2 << 4 | 1u << i % 2) << 24); /* two clusters of two */
    }
    ipi(m, 0, 0x03, 0x48c1);
    assert_int_equal(receivers(m, 0xc1), 0x3);
    ipi(m, 0, 0x12, 0x48c1);
    assert_int_equal(receivers(m, 0xc1), 0x8);
    ipi(m, 0, 0x21, 0x48c1);
    assert_int_equal(receivers(m, 0xc1), 0);
    ipi(m, 0, 0xff, 0x48c1);
    assert_int_equal(receivers(m, 0xc1), 0xf);
}

static void test_lowest_priority(void **state)
{
    struct test_machine *m = *state;
    enable_all(m);
    for (unsigned i = 0; i < TEST_CPUS; i++) {
        apic_write(m, i, 0xd0, 1u << (24 + i));
        controllers_cr8_write(&m->vcpu[i], 8 - i);
    }
    ipi(m, 0, 0x7, 0x49d1);
    assert_int_equal(receivers(m, 0xd1), 1u << 2);
    ipi(m, 0, 0xf, 0x49d1);
    assert_int_equal(receivers(m, 0xd1), 1u << 3);
    apic_write(m, 3, 0xf0, 0xff); /* disabled: not a candidate */
    ipi(m, 0, 0xf, 0x49d1);
    assert_int_equal(receivers(m, 0xd1), 1u << 2);
    controllers_msi(&m->vm, 0, 0xfee0f00c, 0xd2); /* redirection hint, logical */
    assert_int_equal(receivers(m, 0xd2), 1u << 2);
}

static void test_nmi(void **state)
{
    struct test_machine *m = *state;
    ipi(m, 0, 1, 0x4400); /* the vector does not matter, nor does software disable */
    assert_true(m->vcpu[1].nmi_pending);
    ipi(m, 0, 0, 0xc4400);
    assert_false(m->vcpu[0].nmi_pending);
    assert_true(m->vcpu[3].nmi_pending);
    assert_true(m->vcpu[3].attention & ATTENTION_INTERRUPT);
}

static void test_init_startup(void **state)
{
    struct test_machine *m = *state;
    uint8_t vector;
    ipi(m, 0, 1, 0x4699); /* a SIPI to a running CPU is lost */
    assert_false(controllers_take_startup(&m->vcpu[1], &vector));
    ipi(m, 0, 1, 0x8500); /* INIT level de-assert: nothing */
    assert_false(m->vcpu[1].init_pending);
    ipi(m, 0, 1, 0xc500);
    assert_true(m->vcpu[1].init_pending);
    ipi(m, 0, 1, 0x469a); /* right behind INIT: kept */
    assert_true(controllers_take_startup(&m->vcpu[1], &vector));
    assert_int_equal(vector, 0x9a);
    assert_false(controllers_take_startup(&m->vcpu[1], &vector));
    m->vcpu[2].r.activity = ACTIVITY_WAIT_INIT;
    ipi(m, 0, 0, 0xc4607);
    assert_true(controllers_take_startup(&m->vcpu[2], &vector));
    assert_int_equal(vector, 7);
    assert_false(controllers_take_startup(&m->vcpu[3], &vector));
    m->vcpu[0].init_pending = false;
    ipi(m, 0, 0, 0x44500); /* INIT to self by shorthand is not valid */
    assert_false(m->vcpu[0].init_pending);
}

static void test_reserved_modes(void **state)
{
    struct test_machine *m = *state;
    enable_all(m);
    ipi(m, 0, 1, 0x4200 | 0x55); /* SMI */
    ipi(m, 0, 1, 0x4300 | 0x55); /* reserved */
    ipi(m, 0, 1, 0x4700 | 0x55); /* ExtINT */
    assert_int_equal(take(m, 1), -1);
    assert_false(m->vcpu[1].nmi_pending);
}

static void test_x2apic_destinations(void **state)
{
    struct test_machine *m = *state;
    for (unsigned i = 0; i < TEST_CPUS; i++)
        apic_enter_x2apic(m, i);
    assert_int_equal(wrmsr(m, 0, 0x830, 3ull << 32 | 0x40e1), 0);
    assert_int_equal(receivers(m, 0xe1), 1u << 3);
    assert_int_equal(wrmsr(m, 0, 0x830, 0xffffffffull << 32 | 0x40e1), 0);
    assert_int_equal(receivers(m, 0xe1), 0xf);
    assert_int_equal(wrmsr(m, 0, 0x830, 0xffull << 32 | 0x40e1), 0); /* 0xff is an id here */
    assert_int_equal(receivers(m, 0xe1), 0);
    assert_int_equal(wrmsr(m, 0, 0x830, 6ull << 32 | 0x48e2), 0); /* logical, cluster 0 */
    assert_int_equal(receivers(m, 0xe2), 6);
    assert_int_equal(wrmsr(m, 0, 0x830, 0x10006ull << 32 | 0x48e2), 0); /* cluster 1 */
    assert_int_equal(receivers(m, 0xe2), 0);
    assert_int_equal(wrmsr(m, 0, 0x830, 0xc40e3), 0);
    assert_int_equal(receivers(m, 0xe3), 0xe);
    controllers_msi(&m->vm, 0, 0xfee05004, 0xe4); /* eight-bit logical reaches cluster 0 */
    assert_int_equal(receivers(m, 0xe4), 5);
    controllers_msi(&m->vm, 0, 0xfeeff000, 0xe5); /* eight-bit broadcast */
    assert_int_equal(receivers(m, 0xe5), 0xf);
    uint64_t value;
    assert_int_equal(rdmsr(m, 0, 0x830, &value), 0);
    assert_int_equal(value, 0xc40e3);
}

static void test_msi(void **state)
{
    struct test_machine *m = *state;
    enable_all(m);
    controllers_msi(&m->vm, 0x18, 0xfee02000, 0x71);
    assert_int_equal(receivers(m, 0x71), 1u << 2);
    controllers_msi(&m->vm, 0x18, 0xfee02008, 0x71); /* hint without logical mode: physical */
    assert_int_equal(receivers(m, 0x71), 1u << 2);
    controllers_msi(&m->vm, 0x18, 0xfef02000, 0x71); /* wild addresses */
    controllers_msi(&m->vm, 0x18, 0x1fee02000, 0x71);
    controllers_msi(&m->vm, 0x18, 0, 0x71);
    assert_int_equal(receivers(m, 0x71), 0);
    controllers_msi(&m->vm, 0x18, 0xfee03000, 0x400);
    assert_true(m->vcpu[3].nmi_pending);
    controllers_msi(&m->vm, 0x18, 0xfee03000, 0x0a);
    apic_write(m, 3, 0x280, 0);
    assert_int_equal(apic_read(m, 3, 0x280), ESR_RECEIVE_ILLEGAL_VECTOR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup_smp, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_physical),
        TEST(test_shorthands),
        TEST(test_logical_flat),
        TEST(test_logical_cluster),
        TEST(test_lowest_priority),
        TEST(test_nmi),
        TEST(test_init_startup),
        TEST(test_reserved_modes),
        TEST(test_x2apic_destinations),
        TEST(test_msi),
    };
    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
