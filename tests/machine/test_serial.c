/* SPDX-License-Identifier: MIT */
/* test_serial.c - the 16550 as its drivers use it. */
#include "device_harness.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(serial_writes),
        DEVICE_TEST(serial_is_a_16550a),
        DEVICE_TEST(serial_transmit_interrupt),
        DEVICE_TEST(serial_interrupt_needs_out2),
        DEVICE_TEST(serial_receives),
        DEVICE_TEST(serial_takes_only_what_fits),
        DEVICE_TEST(serial_polled_input),
        DEVICE_TEST(serial_waits_for_the_console),
        DEVICE_TEST(serial_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
