/* SPDX-License-Identifier: MIT */
/* test_wire.c - what is believed of an engine's exit, and the filters that are built for it. */
#include "backend/filter.h"
#include "backend/hostclock.h"
#include "backend/wirecheck.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct problem problem;

static int check(const struct wire_exit *exit, struct backend_run *run)
{
    problem = (struct problem){ 0 };
    return wire_check_exit(exit, run, &problem);
}

static void honest_exits(void **state)
{
    struct backend_run run;
    struct wire_exit exit = { .reason = WIRE_EXIT_PORT,
                              .size = 1,
                              .write = 1,
                              .address = 0x3f8,
                              .value = 0xffffffffffffff41ull,
                              .virtual_ns = 5,
                              .instructions = 6 };

    (void)state;
    assert_int_equal(check(&exit, &run), 0);
    assert_true(run.exit == BACKEND_PORT && run.write && run.size == 1 && run.address == 0x3f8);
    assert_int_equal(run.value, 0x41); /* cut to the access */
    assert_true(run.virtual_ns == 5 && run.instructions == 6);
    exit = (struct wire_exit){
        .reason = WIRE_EXIT_MMIO, .size = 8, .address = 0xfed00000, .value = ~0ull
    };
    assert_int_equal(check(&exit, &run), 0);
    assert_true(run.exit == BACKEND_MMIO && !run.write && run.value == ~0ull);
    exit = (struct wire_exit){ .reason = WIRE_EXIT_SHUTDOWN, .size = 77, .address = ~0ull };
    assert_int_equal(check(&exit, &run), 0); /* fields that do not matter are not looked at */
    assert_true(run.exit == BACKEND_SHUTDOWN && run.size == 0 && run.address == 0);
}

static void dishonest_exits(void **state)
{
    static const struct wire_exit exits[] = {
        { .reason = WIRE_EXIT_NONE },
        { .reason = WIRE_EXIT_READY },
        { .reason = WIRE_EXIT_STATE },
        { .reason = 99 },
        { .reason = 0xffffffff },
        { .reason = WIRE_EXIT_PORT, .size = 0, .address = 0x3f8 },
        { .reason = WIRE_EXIT_PORT, .size = 3, .address = 0x3f8 },
        { .reason = WIRE_EXIT_PORT, .size = 8, .address = 0x3f8 },
        { .reason = WIRE_EXIT_PORT, .size = 0x80000000, .address = 0x3f8 },
        { .reason = WIRE_EXIT_PORT, .size = 1, .address = 0x10000 },
        { .reason = WIRE_EXIT_PORT, .size = 1, .write = 2, .address = 0x3f8 },
        { .reason = WIRE_EXIT_MMIO, .size = 16, .address = 0x1000 },
        { .reason = WIRE_EXIT_MMIO, .size = 8, .address = ~0ull },
    };
    struct backend_run run;

    (void)state;
    for (unsigned i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
        assert_int_not_equal(check(&exits[i], &run), 0);
        assert_int_equal(problem.status, STATUS_ENGINE);
    }
}

static void messages_are_bounded(void **state)
{
    struct wire_exit exit = { .reason = WIRE_EXIT_ERROR };
    struct backend_run run;

    (void)state;
    memset(exit.message, '\n', sizeof(exit.message)); /* no NUL, no printable byte */
    assert_int_not_equal(check(&exit, &run), 0);
    assert_null(strchr(problem.text, '\n'));
    memcpy(exit.message, "100%s%n", 8);
    assert_int_not_equal(check(&exit, &run), 0);
    assert_non_null(strstr(problem.text, "100%s%n"));
}

static void random_exits(void **state)
{
    uint64_t random = 99991;
    struct wire_exit exit;
    struct backend_run run;

    (void)state;
    for (unsigned i = 0; i < 500000; i++) {
        for (unsigned j = 0; j < sizeof(exit) / 8; j++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            memcpy((uint8_t *)&exit + 8 * j, &random, 8);
        }
        exit.reason = i % 12;
        if (random & 1)
            exit.size &= 15;
        if (check(&exit, &run) == 0 && (run.exit == BACKEND_PORT || run.exit == BACKEND_MMIO)) {
            assert_true(run.size == 1 || run.size == 2 || run.size == 4 || run.size == 8);
            assert_true(run.exit == BACKEND_MMIO || (run.address <= 0xffff && run.size <= 4));
        }
    }
}

static void filters_fit(void **state)
{
    static struct wire_filter filter;

    (void)state;
    assert_int_equal(filter_build(FILTER_ENGINE_EARLY, &filter, &problem), 0);
    assert_in_range(filter.length, 4, WIRE_FILTER_MAX);
    uint32_t early = filter.length;
    assert_int_equal(filter_build(FILTER_ENGINE_FINAL, &filter, &problem), 0);
    assert_in_range(filter.length, 4, early - 1);
}

static void clock_rates(void **state)
{
    const struct host_sample start = { .tsc = 1000, .ns = 5000 };
    struct host_clock clock;

    (void)state;
    assert_int_equal(host_clock_multiplier(start, (struct host_sample){ 1000, 6000 }), 0);
    assert_int_equal(host_clock_multiplier(start, (struct host_sample){ 2000, 5000 }), 0);
    assert_int_equal(host_clock_multiplier(start, (struct host_sample){ 1001, 1000000000 }), 0);
    /* 2 GHz: half a nanosecond a tick */
    assert_true(host_clock_multiplier(
                    start, (struct host_sample){ 2000001000ull, 1000005000ull }) == 1ull << 31);
    clock = (struct host_clock){ .base = 100, .multiplier = 1ull << 31, .shift = 32 };
    assert_int_equal(host_clock_ns(&clock, 50), 0);
    assert_true(host_clock_ns(&clock, 100 + (1ull << 60)) == 1ull << 59);
    struct host_sample now = host_clock_sample();
    assert_int_equal(host_clock_calibrate(&clock, now, &problem), 0);
    assert_true(host_clock_ns(&clock, clock.base + (host_clock_sample().tsc - now.tsc)) > 39000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_exits),         cmocka_unit_test(dishonest_exits),
        cmocka_unit_test(messages_are_bounded), cmocka_unit_test(random_exits),
        cmocka_unit_test(filters_fit),          cmocka_unit_test(clock_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
