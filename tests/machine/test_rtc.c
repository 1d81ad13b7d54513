/* SPDX-License-Identifier: MIT */
/* test_rtc.c - the real-time clock, and the calendar behind it. */
#include "device_harness.h"
#include "devices/calendar.h"

static void rtc_tells_the_time(void **state)
{
    (void)state;
    /* 2023-11-14 22:13:20 UTC, a Tuesday; BCD, 24 hours */
    assert_int_equal(cmos(0), 0x20);
    assert_int_equal(cmos(2), 0x13);
    assert_int_equal(cmos(4), 0x22);
    assert_int_equal(cmos(6), 3);
    assert_int_equal(cmos(7), 0x14);
    assert_int_equal(cmos(8), 0x11);
    assert_int_equal(cmos(9), 0x23);
    assert_int_equal(cmos(0x32), 0x20);
    pass_to(41 * SECOND);
    assert_int_equal(cmos(0), 0x01);
    assert_int_equal(cmos(2), 0x14);
    set_cmos(11, 0x04); /* binary, 12 hours */
    assert_int_equal(cmos(4), 0x80 | 10);
    assert_int_equal(cmos(13), 0x80);
    assert_int_equal(cmos(0x34) | cmos(0x35) << 8, (512 - 16) * 16);
}

static void rtc_update_in_progress(void **state)
{
    (void)state;
    assert_int_equal(cmos(10) & 0x80, 0);
    pass_to(SECOND - 100000);
    assert_int_equal(cmos(10) & 0x80, 0x80);
    pass_to(SECOND);
    assert_int_equal(cmos(10) & 0x80, 0);
}

static void rtc_can_be_set(void **state)
{
    static const struct {
        uint8_t index, value;
    } set[] = { { 0, 0x59 }, { 2, 0x59 }, { 4, 0x23 },   { 7, 0x28 },
                { 8, 0x02 }, { 9, 0x24 }, { 0x32, 0x20 } };

    (void)state;
    set_cmos(11, 0x82);
    for (unsigned i = 0; i < 7; i++)
        set_cmos(set[i].index, set[i].value);
    pass_to(5 * SECOND); /* stands still while SET */
    assert_int_equal(cmos(0), 0x59);
    set_cmos(11, 0x02);
    pass_to(7 * SECOND - SECOND / 2);
    assert_int_equal(cmos(7), 0x29); /* a leap year */
    assert_int_equal(cmos(0), 0x00);
    board_reset(&world.board, world.board.config.wall_base + 7 * SECOND);
    assert_int_equal(cmos(8), 0x02); /* a battery keeps it over a reset */
    assert_int_equal(cmos(7), 0x29);
}

static void rtc_periodic_interrupt(void **state)
{
    unsigned count = 0;

    (void)state;
    set_cmos(10, 0x26); /* 1024 Hz */
    set_cmos(11, 0x42);
    for (uint64_t t = 0; t < SECOND / 2; t += 100000) {
        pass_to(t);
        if (line(8)) {
            count++;
            assert_int_equal(cmos(12) & 0xc0, 0xc0);
            assert_false(line(8));
        }
    }
    assert_in_range(count, 510, 513);
}

static void rtc_update_interrupt(void **state)
{
    (void)state;
    set_cmos(11, 0x12);
    assert_false(line(8));
    pass_to(SECOND - 1);
    assert_false(line(8));
    pass_to(SECOND);
    assert_true(line(8));
    assert_int_equal(cmos(12) & 0x90, 0x90);
    assert_int_equal(cmos(12), 0);
    pass_to(2 * SECOND);
    assert_true(line(8));
}

static void rtc_alarm(void **state)
{
    (void)state;
    set_cmos(1, 0x25);
    set_cmos(3, 0x13);
    set_cmos(5, 0x22);
    set_cmos(11, 0x22);
    pass_to(5 * SECOND - 1);
    assert_false(line(8));
    pass_to(5 * SECOND);
    assert_true(line(8));
    assert_int_equal(cmos(12) & 0xa0, 0xa0);
    assert_int_equal(board_deadline(&world.board), (86400 + 5) * SECOND);
    set_cmos(1, 0xff); /* every second of that minute */
    assert_int_equal(board_deadline(&world.board), 6 * SECOND);
    set_cmos(3, 0x77); /* never */
    assert_true(board_deadline(&world.board) == DEVICE_NEVER);
}

static void calendar_round_trip(void **state)
{
    uint64_t back;

    (void)state;
    for (uint64_t seconds = 0; seconds < 250000000000ull; seconds += 86399 * 37 + 11) {
        struct calendar calendar = calendar_from_seconds(seconds);
        assert_true(calendar_to_seconds(&calendar, &back));
        assert_true(back == seconds);
    }
    struct calendar date = calendar_from_seconds(951782400); /* 2000-02-29 00:00 */
    assert_true(date.year == 2000 && date.month == 2 && date.day == 29 && date.weekday == 3);
    date.year = 2001;
    assert_false(calendar_to_seconds(&date, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(rtc_tells_the_time),       DEVICE_TEST(rtc_update_in_progress),
        DEVICE_TEST(rtc_can_be_set),           DEVICE_TEST(rtc_periodic_interrupt),
        DEVICE_TEST(rtc_update_interrupt),     DEVICE_TEST(rtc_alarm),
        cmocka_unit_test(calendar_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
