/* SPDX-License-Identifier: MIT */
/*
 * test_pit.c - the 8254 in every mode, tick by tick, against the datasheet's timing diagrams.
 */
#include "harness.h"

/* The first nanosecond of a tick. */
static uint64_t at(uint64_t tick)
{
    return (tick * 1000000000 + PIT_HZ - 1) / PIT_HZ;
}

static void control(struct test_machine *m, unsigned channel, unsigned access, unsigned mode,
                    unsigned bcd)
{
    out8(m, 0x43, (uint8_t)(channel << 6 | access << 4 | mode << 1 | bcd));
}

static void load(struct test_machine *m, unsigned channel, unsigned count)
{
    out8(m, (uint16_t)(0x40 + channel), (uint8_t)count);
    out8(m, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static unsigned latch(struct test_machine *m, unsigned channel)
{
    out8(m, 0x43, (uint8_t)(channel << 6));
    unsigned low = in8(m, (uint16_t)(0x40 + channel));
    return low | (unsigned)in8(m, (uint16_t)(0x40 + channel)) << 8;
}

static bool output2(struct test_machine *m)
{
    return in8(m, 0x61) >> 5 & 1;
}

/* Interrupts of channel 0 while time goes tick by tick to `end`; the last one's tick in *last. */
static unsigned interrupts_until(struct test_machine *m, uint64_t end, uint64_t *last)
{
    unsigned count = 0;
    for (uint64_t tick = time_now(m) * PIT_HZ / 1000000000 + 1; tick <= end; tick++) {
        time_to(m, at(tick));
        int vector = take(m, 0);
        if (vector < 0)
            continue;
        assert_int_equal(vector, 0x30);
        out8(m, 0x20, 0x20);
        count++;
        *last = tick;
    }
    return count;
}

/* The output of channel 2 over ticks 1..n after `start` as a string of H and L. */
static const char *trace(struct test_machine *m, uint64_t start, unsigned n)
{
    static char text[128];
    for (unsigned i = 0; i < n; i++) {
        time_to(m, at(start + 1 + i));
        text[i] = output2(m) ? 'H' : 'L';
    }
    text[n] = 0;
    return text;
}

static void test_mode0_interrupt(void **state)
{
    struct test_machine *m = *state;
    uint64_t last = 0;
    pic_init(m, 1);
    time_to(m, at(10));
    control(m, 0, 3, 0, 0);
    load(m, 0, 100);
    assert_int_equal(controllers_next_deadline(&m->vm), at(111)); /* N + 1 pulses after the write */
    assert_int_equal(interrupts_until(m, 400, &last), 1);
    assert_int_equal(last, 111);
    assert_int_equal(controllers_next_deadline(&m->vm), CLOCK_NEVER);
    assert_int_equal(latch(m, 0), 65536 - (400 - 111)); /* goes on counting through zero */
}

static void test_mode2_interrupts(void **state)
{
    struct test_machine *m = *state;
    uint64_t last = 0;
    pic_init(m, 1);
    control(m, 0, 3, 2, 0);
    load(m, 0, 200);
    for (unsigned i = 1; i < 10; i++) {
        assert_int_equal(interrupts_until(m, 1 + 200 * i - 1, &last), 0);
        assert_int_equal(interrupts_until(m, 1 + 200 * i, &last), 1);
        assert_int_equal(latch(m, 0), 200);
    }
    time_jump(m, at(1 + 200 * 50 + 3)); /* held up: missed ticks are one */
    assert_int_equal(take(m, 0), 0x30);
    out8(m, 0x20, 0x20);
    assert_int_equal(take(m, 0), -1);
    assert_int_equal(controllers_next_deadline(&m->vm), at(1 + 200 * 51));
    load(m, 0, 300); /* takes effect when the period is over */
    assert_int_equal(interrupts_until(m, 1 + 200 * 51, &last), 1);
    assert_int_equal(interrupts_until(m, 1 + 200 * 51 + 299, &last), 0);
    assert_int_equal(interrupts_until(m, 1 + 200 * 51 + 300, &last), 1);
}

static void test_hundred_hertz(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 1);
    apic_enable(m, 0);
    apic_write(m, 0, 0x350, 0x10700);
    io_route(m, 2, 0, 0x50); /* the IOAPIC sees it on pin 2 */
    control(m, 0, 3, 2, 0);
    load(m, 0, 11932);
    unsigned ticks = 0;
    for (unsigned ms = 1; ms <= 10000; ms++) {
        time_to(m, ms * MS);
        if (take(m, 0) == 0x50) {
            ticks++;
            apic_write(m, 0, 0xb0, 0);
        }
    }
    assert_int_equal(ticks, 999); /* 10 s at 99.998 Hz */
}

static void test_mode3_interrupts(void **state)
{
    struct test_machine *m = *state;
    uint64_t last = 0;
    pic_init(m, 1);
    control(m, 0, 3, 3, 0);
    load(m, 0, 101);
    assert_int_equal(interrupts_until(m, 101, &last), 0);
    assert_int_equal(interrupts_until(m, 102, &last), 1);
    assert_int_equal(interrupts_until(m, 102 + 101 * 5, &last), 5);
}

static void test_storm(void **state)
{
    struct test_machine *m = *state;
    pic_init(m, 1);
    for (unsigned count = 1; count < 60; count++) {
        uint64_t start = time_now(m);
        control(m, 0, 1, 2 + count % 2, 0);
        out8(m, 0x40, (uint8_t)count);
        assert_in_range(time_to(m, start + 10 * MS), 150, 202);
    }
    /* A one-shot right after is not held up by the storm's floor. */
    uint64_t now_tick = time_now(m) * PIT_HZ / 1000000000;
    control(m, 0, 1, 0, 0);
    out8(m, 0x40, 5);
    assert_int_equal(controllers_next_deadline(&m->vm), at(now_tick + 6));
}

static void test_mode4_interrupt(void **state)
{
    struct test_machine *m = *state;
    uint64_t last = 0;
    pic_init(m, 1);
    control(m, 0, 3, 4, 0);
    load(m, 0, 50);
    assert_int_equal(interrupts_until(m, 500, &last), 1);
    assert_int_equal(last, 1 + 50 + 1); /* the end of the strobe */
}

static void test_mode1_and_5_need_a_trigger(void **state)
{
    struct test_machine *m = *state;
    uint64_t last = 0;
    pic_init(m, 1);
    for (unsigned mode = 1; mode <= 5; mode += 4) { /* channel 0's gate never moves */
        control(m, 0, 3, mode, 0);
        load(m, 0, 20);
        assert_int_equal(interrupts_until(m, mode * 200, &last), 0);
        assert_int_equal(controllers_next_deadline(&m->vm), CLOCK_NEVER);
    }
}

/* Output waveforms on channel 2, whose gate the port 0x61 drives. */
static void test_waveforms(void **state)
{
    struct test_machine *m = *state;
    uint64_t t = 100;
    time_to(m, at(t));
    out8(m, 0x61, 1);
    control(m, 2, 1, 0, 0);
    out8(m, 0x42, 4);
    assert_string_equal(trace(m, t, 8), "LLLLHHHH");
    t += 8;
    control(m, 2, 1, 2, 0);
    out8(m, 0x42, 3);
    assert_string_equal(trace(m, t, 9), "HHLHHLHHL");
    t += 9;
    control(m, 2, 1, 3, 0);
    out8(m, 0x42, 4);
    assert_string_equal(trace(m, t, 10), "HHLLHHLLHH");
    t += 10;
    control(m, 2, 1, 3, 0);
    out8(m, 0x42, 5);
    assert_string_equal(trace(m, t, 10), "HHHLLHHHLL");
    t += 10;
    control(m, 2, 1, 4, 0);
    out8(m, 0x42, 3);
    assert_string_equal(trace(m, t, 8), "HHHLHHHH");
    t += 8;
    control(m, 2, 1, 1, 0); /* waits for a rising gate */
    out8(m, 0x42, 3);
    assert_string_equal(trace(m, t, 4), "HHHH");
    t += 4;
    out8(m, 0x61, 0);
    out8(m, 0x61, 1);
    assert_string_equal(trace(m, t, 6), "LLLHHH");
    t += 6;
    out8(m, 0x61, 0);
    out8(m, 0x61, 1);
    time_to(m, at(t + 2)); /* a trigger in the middle starts anew */
    out8(m, 0x61, 0);
    out8(m, 0x61, 1);
    assert_string_equal(trace(m, t + 2, 5), "LLLHH");
    t += 7;
    control(m, 2, 1, 5, 0);
    out8(m, 0x42, 2);
    assert_string_equal(trace(m, t, 3), "HHH");
    t += 3;
    out8(m, 0x61, 0);
    out8(m, 0x61, 1);
    assert_string_equal(trace(m, t, 5), "HHLHH");
}

static void test_gate(void **state)
{
    struct test_machine *m = *state;
    time_to(m, at(100));
    out8(m, 0x61, 0);
    control(m, 2, 3, 0, 0);
    load(m, 2, 1000);
    time_to(m, at(500));
    assert_int_equal(latch(m, 2), 1000); /* held by the gate */
    out8(m, 0x61, 1);
    time_to(m, at(600));
    assert_int_equal(latch(m, 2), 900);
    out8(m, 0x61, 0);
    time_to(m, at(700));
    assert_int_equal(latch(m, 2), 900);
    assert_false(output2(m));
    out8(m, 0x61, 1);
    time_to(m, at(700 + 899));
    assert_false(output2(m));
    time_to(m, at(700 + 900));
    assert_true(output2(m));
    /* Mode 2: gate low holds the output high; its rise starts the period anew. */
    control(m, 2, 3, 2, 0);
    load(m, 2, 100);
    time_to(m, at(1600 + 50));
    out8(m, 0x61, 0);
    assert_true(output2(m));
    time_to(m, at(2000));
    out8(m, 0x61, 1);
    time_to(m, at(2000 + 1 + 30));
    assert_int_equal(latch(m, 2), 70);
}

/* As Linux calibrates the TSC (pit_hpet_ptimer_calibrate_cpu: mode 0, gate up, wait for bit 5). */
static void test_linux_calibration(void **state)
{
    struct test_machine *m = *state;
    const unsigned count = PIT_HZ / 100; /* 10 ms */
    out8(m, 0x61, (uint8_t)((in8(m, 0x61) & ~2) | 1));
    out8(m, 0x43, 0xb0);
    load(m, 2, count);
    uint64_t start = time_now(m), t = start;
    while (!(in8(m, 0x61) & 0x20)) {
        t += 1000;
        time_to(m, t);
        assert_true(t < 20 * MS);
    }
    assert_in_range(t - start, 10 * MS - 5 * US, 10 * MS + 5 * US);
}

static void test_count_mode3(void **state)
{
    struct test_machine *m = *state;
    control(m, 0, 3, 3, 0);
    load(m, 0, 10);
    static const unsigned even[] = { 10, 8, 6, 4, 2, 10, 8, 6, 4, 2, 10 };
    for (unsigned i = 0; i < 11; i++) {
        time_to(m, at(1 + i));
        assert_int_equal(latch(m, 0), even[i]);
    }
}

static void test_bcd(void **state)
{
    struct test_machine *m = *state;
    control(m, 0, 3, 2, 1);
    load(m, 0, 0x1000);
    time_to(m, at(1 + 1));
    assert_int_equal(latch(m, 0), 0x0999);
    time_to(m, at(1 + 765));
    assert_int_equal(latch(m, 0), 0x0235);
    load(m, 0, 0); /* 10000 */
    time_to(m, at(1 + 1000 + 1));
    assert_int_equal(latch(m, 0), 0x9999);
    control(m, 0, 3, 0, 1);
    load(m, 0, 0x0005);
    time_to(m, at(1 + 1000 + 1 + 1 + 7));
    assert_int_equal(latch(m, 0), 0x9998); /* wraps in decimal */
    control(m, 0, 3, 2, 1);
    load(m, 0, 0xffff); /* not digits: harmless */
    latch(m, 0);
}

static void test_access_modes(void **state)
{
    struct test_machine *m = *state;
    control(m, 0, 1, 2, 0); /* low byte only */
    out8(m, 0x40, 0x80);
    time_to(m, at(1 + 0x10));
    assert_int_equal(in8(m, 0x40), 0x70);
    assert_int_equal(in8(m, 0x40), 0x70);
    control(m, 0, 2, 2, 0); /* high byte only */
    out8(m, 0x40, 0x12);
    assert_int_equal(in8(m, 0x40), 0x12);
    control(m, 0, 3, 2, 0);
    load(m, 0, 0x1234);
    assert_int_equal(in8(m, 0x40), 0x34); /* both bytes in turn, unlatched */
    assert_int_equal(in8(m, 0x40), 0x12);
    assert_int_equal(in8(m, 0x43), 0xff);
    control(m, 0, 3, 0, 0); /* mode 0: the first byte stops the count and lowers the output */
    load(m, 0, 10);
    time_to(m, at(1000));
    out8(m, 0x43, 0xe2);
    assert_int_equal(in8(m, 0x40) & 0x80, 0x80);
    out8(m, 0x40, 5);
    out8(m, 0x43, 0xe2);
    assert_int_equal(in8(m, 0x40) & 0x80, 0);
}

static void test_read_back(void **state)
{
    struct test_machine *m = *state;
    control(m, 0, 3, 2, 0);
    out8(m, 0x43, 0xe2);                                         /* status of channel 0 */
    assert_int_equal(in8(m, 0x40), 0x80 | 0x40 | 0x30 | 2 << 1); /* null count: not loaded yet */
    load(m, 0, 0x4000);
    time_to(m, at(0x101));
    out8(m, 0x43, 0xc2); /* count and status: status first */
    time_to(m, at(0x201));
    out8(m, 0x43, 0xd2); /* a second latch is ignored until the first is read */
    assert_int_equal(in8(m, 0x40), 0x80 | 0x30 | 2 << 1);
    assert_int_equal(in8(m, 0x40), 0x00);
    assert_int_equal(in8(m, 0x40), 0x3f);
    assert_int_equal(in8(m, 0x40), 0x00); /* live again */
    assert_int_equal(in8(m, 0x40), 0x3e);
    load(m, 0, 0x5000);
    out8(m, 0x43, 0xe2);
    assert_int_equal(in8(m, 0x40) & 0x40, 0x40); /* waits for the period to end */
    out8(m, 0x43, 0xce);                         /* counts of channels 0, 1, 2 at once */
    for (unsigned i = 0; i < 3; i++)
        in8(m, (uint16_t)(0x40 + i));
    control(m, 1, 3, 7, 1); /* mode 7 is mode 3 */
    out8(m, 0x43, 0xe4);
    assert_int_equal(in8(m, 0x41) & 0x3f, 0x30 | 3 << 1 | 1);
}

static void test_port_61(void **state)
{
    struct test_machine *m = *state;
    out8(m, 0x61, 0xff);
    assert_int_equal(in8(m, 0x61) & 0xcf, 0x0f);
    unsigned changes = 0, last = in8(m, 0x61) & 0x10;
    for (unsigned us = 0; us < 1000; us++) {
        time_to(m, us * US);
        unsigned bit = in8(m, 0x61) & 0x10;
        changes += bit != last;
        last = bit;
    }
    assert_in_range(changes, 65, 67);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mode0_interrupt),
        TEST(test_mode2_interrupts),
        TEST(test_hundred_hertz),
        TEST(test_mode3_interrupts),
        TEST(test_storm),
        TEST(test_mode4_interrupt),
        TEST(test_mode1_and_5_need_a_trigger),
        TEST(test_waveforms),
        TEST(test_gate),
        TEST(test_linux_calibration),
        TEST(test_count_mode3),
        TEST(test_bcd),
        TEST(test_access_modes),
        TEST(test_read_back),
        TEST(test_port_61),
    };
    return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
