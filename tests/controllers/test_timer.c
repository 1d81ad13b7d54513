/* SPDX-License-Identifier: MIT */
/*
 * test_timer.c - the LAPIC timer against exact virtual times, and the clock itself.
 */
#include "harness.h"

#define LVT     0x320
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE  0x3e0
#define EOI     0xb0

static const struct {
    uint32_t value, divisor;
} divides[] = { { 0x0, 2 },  { 0x1, 4 },  { 0x2, 8 },   { 0x3, 16 },
                { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };

static void test_one_shot(void **state)
{
    struct test_machine *m = *state;
    uint64_t start = 1000;
    apic_enable(m, 0);
    apic_write(m, 0, LVT, 0x40);
    for (unsigned i = 0; i < sizeof(divides) / sizeof(divides[0]); i++) {
        uint64_t divisor = divides[i].divisor, length = 1000000 * divisor;
        time_to(m, start);
        apic_write(m, 0, DIVIDE, divides[i].value);
        apic_write(m, 0, INITIAL, 1000000);
        assert_int_equal(controllers_next_deadline(&m->vm), start + length);
        time_to(m, start + 10 * divisor);
        assert_int_equal(apic_read(m, 0, CURRENT), 1000000 - 10);
        time_to(m, start + length - 1);
        assert_int_equal(take(m, 0), -1);
        assert_int_equal(apic_read(m, 0, CURRENT), 1);
        time_to(m, start + length);
        assert_int_equal(apic_read(m, 0, CURRENT), 0);
        assert_int_equal(take(m, 0), 0x40);
        apic_write(m, 0, EOI, 0);
        assert_int_equal(controllers_next_deadline(&m->vm), CLOCK_NEVER);
        time_to(m, start + 10 * length);
        assert_int_equal(take(m, 0), -1);
        start += 10 * length;
    }
}

static void test_periodic(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, LVT, 0x20000 | 0x41);
    apic_write(m, 0, DIVIDE, 0xb);
    time_to(m, 777);
    apic_write(m, 0, INITIAL, 1000000);
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(controllers_next_deadline(&m->vm), 777 + i * MS);
        time_to(m, 777 + i * MS);
        assert_int_equal(take(m, 0), 0x41);
        apic_write(m, 0, EOI, 0);
        time_to(m, 777 + i * MS + 250000);
        assert_int_equal(apic_read(m, 0, CURRENT), 750000);
        assert_int_equal(take(m, 0), -1);
    }
    /* Held up for a hundred periods: one interrupt, and the grid is kept. */
    time_jump(m, 777 + 120 * MS + 5);
    assert_int_equal(take(m, 0), 0x41);
    apic_write(m, 0, EOI, 0);
    assert_int_equal(take(m, 0), -1);
    assert_int_equal(controllers_next_deadline(&m->vm), 777 + 121 * MS);
    apic_write(m, 0, INITIAL, 0);
    assert_int_equal(controllers_next_deadline(&m->vm), CLOCK_NEVER);
}

/* A period of a nanosecond must leave time for something else. */
static void test_storm(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, LVT, 0x20000 | 0x41);
    apic_write(m, 0, DIVIDE, 0xb);
    for (uint32_t period = 1; period < 100000; period = period * 3 + 1) {
        uint64_t start = time_now(m);
        apic_write(m, 0, INITIAL, period);
        unsigned deadlines = time_to(m, start + 10 * MS);
        assert_in_range(deadlines, 90, 203);
        assert_int_equal(take(m, 0), 0x41);
        apic_write(m, 0, EOI, 0);
    }
}

static void test_masked(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, LVT, 0x10000 | 0x42);
    apic_write(m, 0, INITIAL, 100000);
    time_to(m, 100000);
    assert_int_equal(apic_read(m, 0, CURRENT), 50000); /* counts all the same */
    time_to(m, 200000);
    apic_write(m, 0, LVT, 0x42);
    time_to(m, 400000);
    assert_int_equal(take(m, 0), -1); /* what came while masked is lost */
}

static void test_divide_while_counting(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, LVT, 0x43);
    apic_write(m, 0, DIVIDE, 0xb);
    apic_write(m, 0, INITIAL, 100000);
    time_to(m, 40000);
    apic_write(m, 0, DIVIDE, 0xa);
    assert_int_equal(apic_read(m, 0, CURRENT), 60000);
    assert_int_equal(controllers_next_deadline(&m->vm), 40000 + 60000 * 128);
    time_to(m, 40000 + 128 * 100);
    assert_int_equal(apic_read(m, 0, CURRENT), 60000 - 100);
    time_to(m, 40000 + 60000 * 128);
    assert_int_equal(take(m, 0), 0x43);
}

static void test_mode_change(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, LVT, 0x44);
    apic_write(m, 0, DIVIDE, 0xb);
    apic_write(m, 0, INITIAL, 1000000);
    apic_write(m, 0, LVT, 0x20000 | 0x44); /* one-shot to periodic: goes on */
    time_to(m, 3 * MS);
    assert_int_equal(take(m, 0), 0x44);
    apic_write(m, 0, EOI, 0);
    assert_int_equal(controllers_next_deadline(&m->vm), 4 * MS);
    apic_write(m, 0, LVT, 0x40000 | 0x44); /* to TSC-deadline: disarmed */
    assert_int_equal(controllers_next_deadline(&m->vm), CLOCK_NEVER);
    apic_write(m, 0, INITIAL, 1000); /* no effect in this mode */
    assert_int_equal(apic_read(m, 0, INITIAL), 0);
    assert_int_equal(apic_read(m, 0, CURRENT), 0);
    assert_int_equal(wrmsr(m, 0, 0x6e0, 10 * MS), 0);
    apic_write(m, 0, LVT, 0x60000 | 0x44); /* reserved mode: never fires */
    assert_int_equal(controllers_next_deadline(&m->vm), CLOCK_NEVER);
    apic_write(m, 0, LVT, 0x44);
    assert_int_equal(controllers_next_deadline(&m->vm), CLOCK_NEVER);
    apic_write(m, 0, INITIAL, 1000); /* expired one-shot, then periodic: stays at zero */
    time_to(m, 4 * MS);
    apic_write(m, 0, LVT, 0x20000 | 0x44);
    assert_int_equal(apic_read(m, 0, CURRENT), 0);
}

static void test_tsc_deadline(void **state)
{
    struct test_machine *m = *state;
    uint64_t value;
    apic_enable(m, 0);
    time_to(m, 1000);
    assert_int_equal(wrmsr(m, 0, 0x6e0, 5000), 0); /* another mode: ignored */
    assert_int_equal(rdmsr(m, 0, 0x6e0, &value), 0);
    assert_int_equal(value, 0);
    apic_write(m, 0, LVT, 0x40000 | 0x45);
    wrmsr(m, 0, 0x6e0, 5000);
    rdmsr(m, 0, 0x6e0, &value);
    assert_int_equal(value, 5000);
    assert_int_equal(controllers_next_deadline(&m->vm), 5000);
    time_to(m, 4999);
    assert_int_equal(take(m, 0), -1);
    time_to(m, 5000);
    assert_int_equal(take(m, 0), 0x45);
    apic_write(m, 0, EOI, 0);
    rdmsr(m, 0, 0x6e0, &value);
    assert_int_equal(value, 0);
    wrmsr(m, 0, 0x6e0, 6000);
    wrmsr(m, 0, 0x6e0, 0); /* disarms */
    time_to(m, 10000);
    assert_int_equal(take(m, 0), -1);
    wrmsr(m, 0, 0x6e0, 1); /* already past: at once */
    assert_true(controllers_next_deadline(&m->vm) <= time_now(m));
    time_to(m, 10001);
    assert_int_equal(take(m, 0), 0x45);
    apic_write(m, 0, EOI, 0);
    wrmsr(m, 0, 0x6e0, ~0ull);
    time_to(m, 20000);
    assert_int_equal(take(m, 0), -1);
}

/* The deadline is in the guest's TSC and follows it. */
static void test_tsc_offset(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    apic_write(m, 0, LVT, 0x40000 | 0x46);
    time_to(m, 1000000);
    m->vcpu[0].r.tsc_adjust = (uint64_t)-900000;
    assert_int_equal(clock_tsc(&m->vcpu[0]), 100000);
    wrmsr(m, 0, 0x6e0, 150000);
    assert_int_equal(controllers_next_deadline(&m->vm), 1050000);
    m->vcpu[0].r.tsc_adjust = (uint64_t)-910000;
    controllers_tsc_changed(&m->vcpu[0]);
    assert_int_equal(controllers_next_deadline(&m->vm), 1060000);
    time_to(m, 1059999);
    assert_int_equal(take(m, 0), -1);
    time_to(m, 1060000);
    assert_int_equal(take(m, 0), 0x46);
    apic_write(m, 0, EOI, 0);
    m->vcpu[0].r.tsc_adjust = 1ull << 62; /* deadline before time began: due at once */
    wrmsr(m, 0, 0x6e0, 5);
    assert_int_equal(controllers_next_deadline(&m->vm), 0);
    time_to(m, 1060001);
    assert_int_equal(take(m, 0), 0x46);
}

static void test_attention(void **state)
{
    struct test_machine *m = *state;
    apic_enable(m, 0);
    m->vcpu[0].attention = 0;
    m->vcpu[0].boundary_check = ~0ull;
    apic_write(m, 0, INITIAL, 1000);
    assert_true(m->vcpu[0].attention & ATTENTION_INTERRUPT);
    assert_int_equal(m->vcpu[0].boundary_check, m->vcpu[0].instructions);
}

static void test_clock_instructions(void **state)
{
    struct test_machine *m = *state;
    struct vcpu *vcpu = &m->vcpu[0];
    assert_int_equal(clock_now(vcpu), 0);
    vcpu->instructions = 500;
    assert_int_equal(clock_now(vcpu), 500);
    clock_skip(vcpu, 10000);
    assert_int_equal(clock_now(vcpu), 10000);
    clock_skip(vcpu, 400); /* never back */
    assert_int_equal(clock_now(vcpu), 10000);
    clock_skip(vcpu, CLOCK_NEVER);
    assert_int_equal(clock_now(vcpu), 10000);
    vcpu->instructions++;
    assert_int_equal(clock_now(vcpu), 10001);
}

static void test_clock_real(void **state)
{
    struct test_machine *m = *state;
    struct vcpu *vcpu = &m->vcpu[0];
    struct clock *clock = &m->vm.clock;
    clock->mode = CLOCK_REAL;
    clock_scale(clock, 2500000000ull);
    clock->host_base = clock_host_tsc();
    clock->offset = 12345;
    uint64_t last = clock_now(vcpu);
    assert_true(last >= 12345);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now = clock_now(vcpu);
        assert_true(now >= last);
        last = now;
    }
    clock->host_base += 1ull << 40; /* as on a core whose TSC is behind */
    assert_int_equal(clock_now(vcpu), last);
    clock_skip(vcpu, last + 1000 * MS);
    assert_int_equal(clock_now(vcpu), last);
}

static void test_clock_scale(void **state)
{
    (void)state;
    static const uint64_t rates[] = { 0, 1, 19200000, 1000000000, 2399998765, 6000000000, ~0ull };
    for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct clock clock = { 0 };
        clock_scale(&clock, rates[i]);
        uint64_t hz = rates[i] ? rates[i] : 1000000000;
        uint64_t second = (uint64_t)(((unsigned __int128)hz * clock.multiplier) >> clock.shift);
        if (hz < 1ull << 40)
            assert_in_range(second, 999999990, 1000000000);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_shot),
        TEST(test_periodic),
        TEST(test_storm),
        TEST(test_masked),
        TEST(test_divide_while_counting),
        TEST(test_mode_change),
        TEST(test_tsc_deadline),
        TEST(test_tsc_offset),
        TEST(test_attention),
        TEST(test_clock_instructions),
        TEST(test_clock_real),
        TEST(test_clock_scale),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
