/* SPDX-License-Identifier: MIT */
/* test_devices.c - each device as its drivers use it. */
#include "devices/board.h"
#include "devices/calendar.h"
#include "firmware/acpi.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COM    0x3f8
#define SECOND 1000000000ull

/* The board's surroundings: a console with little room, and the interrupt lines. */
static struct world {
    struct board board;
    uint64_t lines;
    char output[256], input[64];
    size_t written, room, read, available;
} world;

static void set_line(void *context, unsigned gsi, bool level)
{
    struct world *w = context;
    w->lines = level ? w->lines | 1ull << gsi : w->lines & ~(1ull << gsi);
}
static bool put(void *context, uint8_t byte)
{
    struct world *w = context;
    if (w->written >= w->room)
        return false;
    w->output[w->written++] = (char)byte;
    return true;
}
static bool room(void *context)
{
    struct world *w = context;
    return w->written < w->room;
}
static int get(void *context)
{
    struct world *w = context;
    return w->read < w->available ? (uint8_t)w->input[w->read++] : -1;
}

static int set_up(void **state)
{
    struct problem problem;
    const struct board_config config = { .memory = 512 << 20,
                                         .debug_exit = true,
                                         .wall_base = 1700000000ull * SECOND };
    const struct board_host host = { &world, set_line, NULL, put, room, get };

    (void)state;
    memset(&world, 0, sizeof(world));
    world.room = sizeof(world.output) - 1;
    return board_init(&world.board, &config, &host, &problem);
}
static int tear_down(void **state)
{
    (void)state;
    board_destroy(&world.board);
    return 0;
}

static uint8_t in(unsigned port)
{
    return (uint8_t)board_read(&world.board, SPACE_PORT, port, 1);
}
static void out(unsigned port, unsigned value)
{
    board_write(&world.board, SPACE_PORT, port, 1, value);
}
static void type(const char *text)
{
    size_t length = strlen(text);
    memcpy(world.input + world.available, text, length);
    world.available += length;
    board_console(&world.board);
}
static bool line(unsigned gsi)
{
    return world.lines >> gsi & 1;
}
/* Lets time pass up to `when`, running timers as the run loop does. */
static void pass_to(uint64_t when)
{
    while (board_deadline(&world.board) <= when) {
        board_set_time(&world.board, board_deadline(&world.board));
        board_run_timers(&world.board);
    }
    board_set_time(&world.board, when);
}

/* ---- Bus ---- */

static void nothing_there(void **state)
{
    (void)state;
    assert_int_equal(board_read(&world.board, SPACE_PORT, 0x2f8, 1), 0xff);
    assert_int_equal(board_read(&world.board, SPACE_PORT, 0x1234, 4), 0xffffffff);
    assert_true(board_read(&world.board, SPACE_MMIO, 0xfed00000, 8) == ~0ull);
    board_write(&world.board, SPACE_MMIO, ~0ull, 8, 1);
    board_write(&world.board, SPACE_PORT, 0xffff, 4, 1);
}

static void wide_accesses_are_split(void **state)
{
    (void)state;
    board_write(&world.board, SPACE_PORT, COM + 7, 2, 0x5aa5); /* scratch, then past the end */
    assert_int_equal(in(COM + 7), 0xa5);
    assert_int_equal(board_read(&world.board, SPACE_PORT, COM + 7, 4), 0xffffffa5);
    /* A PCI configuration address must not touch the reset register inside it. */
    board_write(&world.board, SPACE_PORT, 0xcf8, 4, 0x80000600);
    assert_int_equal(world.board.request, REQUEST_NONE);
}

/* ---- 16550 ---- */

static void serial_writes(void **state)
{
    (void)state;
    for (const char *at = "hello"; *at; at++) {
        assert_int_equal(in(COM + 5) & 0x60, 0x60);
        out(COM, (uint8_t)*at);
    }
    assert_string_equal(world.output, "hello");
}

/* What Linux's autoconfig() does to tell a 16550A. */
static void serial_is_a_16550a(void **state)
{
    (void)state;
    out(COM + 1, 0);
    assert_int_equal(in(COM + 1), 0);
    out(COM + 1, 0x0f);
    assert_int_equal(in(COM + 1) & 0x0f, 0x0f);
    out(COM + 1, 0);
    out(COM + 4, 0x10 | 0x0a);
    assert_int_equal(in(COM + 6) & 0xf0, 0x90);
    out(COM + 4, 0);
    out(COM + 2, 1);
    assert_int_equal(in(COM + 2) >> 6, 3);
    out(COM + 3, 0x80);
    out(COM, 1);
    assert_int_equal(in(COM), 1);
    out(COM + 3, 3);
    assert_int_equal(in(COM + 3), 3);
}

static void serial_transmit_interrupt(void **state)
{
    (void)state;
    out(COM + 4, 0x0b);
    out(COM + 1, 2);
    assert_true(line(4)); /* enabling it while empty raises it */
    assert_int_equal(in(COM + 2) & 0x0f, 2);
    assert_false(line(4)); /* reading IIR takes it */
    out(COM, 'x');
    assert_true(line(4));
    out(COM + 1, 0);
    assert_false(line(4));
}

static void serial_interrupt_needs_out2(void **state)
{
    (void)state;
    out(COM + 1, 2);
    assert_false(line(4));
    out(COM + 4, 8);
    assert_true(line(4));
}

static void serial_receives(void **state)
{
    (void)state;
    out(COM + 2, 0x81); /* FIFO, trigger at 8 */
    out(COM + 4, 0x0b);
    out(COM + 1, 1);
    type("abc");
    assert_true(line(4));
    assert_int_equal(in(COM + 2), 0xcc); /* below the trigger: timeout */
    assert_int_equal(in(COM + 5) & 1, 1);
    assert_int_equal(in(COM), 'a');
    assert_int_equal(in(COM), 'b');
    assert_true(line(4));
    assert_int_equal(in(COM), 'c');
    assert_false(line(4));
    assert_int_equal(in(COM + 5) & 1, 0);
    type("12345678");
    assert_int_equal(in(COM + 2), 0xc4);
}

static void serial_takes_only_what_fits(void **state)
{
    (void)state;
    type("0123456789abcdefghijklmnop");
    assert_int_equal(world.read, 0); /* nobody is there yet */
    out(COM + 2, 7);
    out(COM + 2, 0);
    in(COM);
    out(COM + 1, 1); /* no FIFO: one byte */
    assert_int_equal(world.read, 1);
    assert_int_equal(in(COM), '0');
    assert_int_equal(in(COM), '1');
    assert_int_equal(in(COM), '2');
    out(COM + 1, 0);
    out(COM + 2, 1); /* empties the FIFO: 3 is gone */
    assert_int_equal(world.read, 4);
    out(COM + 1, 1);
    assert_int_equal(world.read, 20);
    for (unsigned i = 4; i < 26; i++)
        assert_int_equal(in(COM), (uint8_t) "0123456789abcdefghijklmnop"[i]);
    assert_int_equal(in(COM + 5) & 2, 0); /* nothing overran */
}

static void serial_polled_input(void **state)
{
    unsigned polls = 0;

    (void)state;
    type("ab");
    for (unsigned i = 0; i < 20; i++) { /* a console that prints */
        assert_int_equal(in(COM + 5) & 1, 0);
        out(COM, 'x');
        assert_int_equal(in(COM + 5) & 1, 0);
    }
    while (!(in(COM + 5) & 1))
        assert_true(++polls < 20);
    assert_int_equal(in(COM), 'a');
    while (!(in(COM + 5) & 1))
        assert_true(++polls < 40);
    assert_int_equal(in(COM), 'b');
}

static void serial_waits_for_the_console(void **state)
{
    (void)state;
    world.room = 2;
    out(COM + 4, 8);
    out(COM, 'a');
    out(COM, 'b');
    assert_int_equal(in(COM + 5) & 0x60, 0);
    out(COM + 1, 2);
    assert_false(line(4));
    out(COM, 'c'); /* lost */
    world.room = 10;
    board_console(&world.board);
    assert_true(line(4));
    assert_int_equal(in(COM + 5) & 0x60, 0x60);
    assert_string_equal(world.output, "ab");
}

static void serial_loopback(void **state)
{
    (void)state;
    out(COM + 2, 1);
    out(COM + 4, 0x18);
    out(COM, 'z');
    type("no");
    assert_int_equal(in(COM), 'z');
    assert_int_equal(in(COM + 5) & 1, 0);
    assert_int_equal(world.written, 0);
    for (unsigned i = 0; i < 17; i++)
        out(COM, i);
    assert_int_equal(in(COM + 5) & 2, 2); /* overrun, once */
    assert_int_equal(in(COM + 5) & 2, 0);
}

/* ---- RTC ---- */

static uint8_t cmos(unsigned index)
{
    out(0x70, index);
    return in(0x71);
}
static void set_cmos(unsigned index, unsigned value)
{
    out(0x70, index);
    out(0x71, value);
}

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

/* ---- ACPI ---- */

static uint32_t timer(void)
{
    return (uint32_t)board_read(&world.board, SPACE_PORT, ACPI_PM_TIMER, 4);
}

static void pm_timer_counts_and_wraps(void **state)
{
    (void)state;
    assert_int_equal(timer(), 0);
    pass_to(SECOND);
    assert_int_equal(timer(), 3579545);
    pass_to(1200 * SECOND); /* 2^32 ticks take 1199.86 s */
    assert_int_equal(timer(), (uint32_t)(1200ull * 3579545));
    assert_int_equal(board_read(&world.board, SPACE_PORT, ACPI_PM1_EVENT, 2) & 1, 1);
    board_write(&world.board, SPACE_PORT, ACPI_PM1_EVENT, 2, 1);
    assert_int_equal(board_read(&world.board, SPACE_PORT, ACPI_PM1_EVENT, 2), 0);
}

static void pm_timer_interrupt(void **state)
{
    (void)state;
    board_write(&world.board, SPACE_PORT, ACPI_PM1_EVENT + 2, 2, 1);
    pass_to(599 * SECOND);
    assert_false(line(ACPI_SCI));
    pass_to(600 * SECOND);
    assert_true(line(ACPI_SCI));
    assert_true(timer() >> 31);
    board_write(&world.board, SPACE_PORT, ACPI_PM1_EVENT, 2, 1);
    assert_false(line(ACPI_SCI));
}

static void pm_power_off(void **state)
{
    (void)state;
    assert_int_equal(board_read(&world.board, SPACE_PORT, ACPI_PM1_CONTROL, 2), 1);
    board_write(&world.board, SPACE_PORT, ACPI_PM1_CONTROL, 2, 1 << 10 | 1 << 13);
    assert_int_equal(world.board.request, REQUEST_NONE);
    board_write(&world.board, SPACE_PORT, ACPI_PM1_CONTROL, 2, ACPI_SLEEP_S5 << 10 | 1 << 13);
    assert_int_equal(world.board.request, REQUEST_POWER_OFF);
}

/* ---- The small ones ---- */

static void resets(void **state)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } ways[] = { { 0xcf9, 0x06 }, { 0xcf9, 0x0e }, { 0x92, 0x03 }, { 0x64, 0xfe } };

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        board_reset(&world.board, 0);
        out(ways[i].port, ways[i].value);
        assert_int_equal(world.board.request, REQUEST_RESET);
    }
    board_reset(&world.board, 0);
    out(0xcf9, 2);
    out(0x92, 2);
    assert_int_equal(world.board.request, REQUEST_NONE);
    assert_int_equal(in(0x92), 2);
}

static void keyboard_controller(void **state)
{
    (void)state;
    assert_int_equal(in(0x64) & 3, 0);
    out(0x64, 0xaa);
    assert_int_equal(in(0x64) & 1, 1);
    assert_int_equal(in(0x60), 0x55);
    assert_int_equal(in(0x64) & 1, 0);
    out(0x64, 0x60);
    out(0x60, 0x47);
    out(0x64, 0x20);
    assert_int_equal(in(0x60), 0x47);
    out(0x60, 0xff); /* reset of a keyboard that is not there: no answer */
    assert_int_equal(in(0x64) & 1, 0);
}

static void debug_exit(void **state)
{
    (void)state;
    board_write(&world.board, SPACE_PORT, 0xf4, 4, 0x1234);
    assert_int_equal(world.board.request, REQUEST_DEBUG_EXIT);
    assert_int_equal(world.board.request_value, 0x1234);
    out(0xcf9, 6); /* the first request counts */
    assert_int_equal(world.board.request, REQUEST_DEBUG_EXIT);
}

/* ---- State ---- */

static void state_survives(void **state)
{
    static uint8_t saved[8192];

    (void)state;
    out(COM + 2, 1);
    out(COM + 4, 8);
    out(COM + 1, 1);
    type("ab");
    set_cmos(11, 0x12);
    long size = board_save(&world.board, saved, sizeof(saved));
    assert_true(size > 0);
    assert_int_equal(board_save(&world.board, saved, (size_t)size - 1), -28);
    board_reset(&world.board, world.board.config.wall_base);
    world.lines = 0;
    assert_int_equal(board_load(&world.board, saved, (size_t)size), 0);
    assert_true(line(4));
    assert_int_equal(board_deadline(&world.board), SECOND);
    assert_int_equal(in(COM), 'a');
    assert_int_equal(in(COM), 'b');
}

/* Whatever a state file holds: refused or harmless. */
static void damaged_state_is_harmless(void **state)
{
    static uint8_t saved[8192], damaged[8192];
    long size = board_save(&world.board, saved, sizeof(saved));
    uint64_t random = 88172645463325252ull;

    (void)state;
    for (size_t cut = 0; cut < (size_t)size; cut++)
        assert_int_equal(board_load(&world.board, saved, cut), -22);
    assert_int_equal(board_load(&world.board, saved, (size_t)size + 1), -22);
    for (unsigned i = 0; i < 20000; i++) {
        memcpy(damaged, saved, sizeof(saved));
        for (unsigned edits = 0; edits < 1 + i % 8; edits++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            damaged[random % (uint64_t)size] = (uint8_t)(random >> 32);
        }
        if (board_load(&world.board, damaged, (size_t)size) != 0)
            continue;
        for (unsigned port = 0x60; port < 0x700; port++) {
            in(port);
            if (port != 0x70 && port != 0x71)
                out(port, (unsigned)(random >> 8) & 0xff);
        }
        board_run_timers(&world.board);
        board_console(&world.board);
    }
}

/* Random accesses of every size at random times: nothing crashes, time stays sane. */
static void random_accesses(void **state)
{
    static const uint16_t bases[] = { 0x60, 0x70, 0x92, 0xf4, 0x3f8, 0x600, 0xcf8 };
    uint64_t random = 1234567891011ull;

    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t port = bases[random % 7] + (random >> 8) % 16;
        unsigned size = 1u << ((random >> 16) & 3);
        if (random & 1 << 20)
            board_write(&world.board, SPACE_PORT, port, size, random >> 24);
        else
            board_read(&world.board, SPACE_PORT, port, size);
        world.written = world.read = 0;
        world.available = random >> 60;
        if ((random >> 32) % 64 == 0)
            board_set_time(&world.board,
                           world.board.now + (random >> (random & 63)) % (1ull << 50));
        board_run_timers(&world.board);
        board_console(&world.board);
    }
    board_set_time(&world.board, ~0ull);
    board_run_timers(&world.board);
    cmos(0);
    timer();
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

#define DEVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(nothing_there),
        DEVICE_TEST(wide_accesses_are_split),
        DEVICE_TEST(serial_writes),
        DEVICE_TEST(serial_is_a_16550a),
        DEVICE_TEST(serial_transmit_interrupt),
        DEVICE_TEST(serial_interrupt_needs_out2),
        DEVICE_TEST(serial_receives),
        DEVICE_TEST(serial_takes_only_what_fits),
        DEVICE_TEST(serial_polled_input),
        DEVICE_TEST(serial_waits_for_the_console),
        DEVICE_TEST(serial_loopback),
        DEVICE_TEST(rtc_tells_the_time),
        DEVICE_TEST(rtc_update_in_progress),
        DEVICE_TEST(rtc_can_be_set),
        DEVICE_TEST(rtc_periodic_interrupt),
        DEVICE_TEST(rtc_update_interrupt),
        DEVICE_TEST(rtc_alarm),
        DEVICE_TEST(pm_timer_counts_and_wraps),
        DEVICE_TEST(pm_timer_interrupt),
        DEVICE_TEST(pm_power_off),
        DEVICE_TEST(resets),
        DEVICE_TEST(keyboard_controller),
        DEVICE_TEST(debug_exit),
        DEVICE_TEST(state_survives),
        DEVICE_TEST(damaged_state_is_harmless),
        DEVICE_TEST(random_accesses),
        cmocka_unit_test(calendar_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
