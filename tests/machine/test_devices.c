/* SPDX-License-Identifier: MIT */
/* test_devices.c - the bus, the small devices, saved state. */
#include "device_harness.h"
#include "firmware/acpi.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(nothing_there),
        DEVICE_TEST(wide_accesses_are_split),
        DEVICE_TEST(pm_timer_counts_and_wraps),
        DEVICE_TEST(pm_timer_interrupt),
        DEVICE_TEST(pm_power_off),
        DEVICE_TEST(resets),
        DEVICE_TEST(keyboard_controller),
        DEVICE_TEST(debug_exit),
        DEVICE_TEST(state_survives),
        DEVICE_TEST(damaged_state_is_harmless),
        DEVICE_TEST(random_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
