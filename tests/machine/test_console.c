/* SPDX-License-Identifier: MIT */
/* test_console.c - what is typed, what is shown, and the terminal as it was. */
#include "run_harness.h"

/* ---- Console ---- */

static void input_reaches_the_guest(void **state)
{
    (void)state;
    start("hello echo poweroff", "");
    wait_for_text("hello");
    assert_int_equal(write(run.input, "ab\x01\x01", 4), 4);
    wait_for_text("<b>");
    wait_for_text("<\x01>");
    assert_int_equal(write(run.input, "q", 1), 1);
    finish(0);
}
static void long_input_is_not_lost(void **state)
{
    char block[4096];
    size_t count = 0;

    (void)state;
    memset(block, 'x', sizeof(block));
    block[sizeof(block) - 1] = 'q';
    start("hello echo poweroff", "");
    wait_for_text("hello");
    assert_int_equal(write(run.input, block, sizeof(block)), sizeof(block));
    finish(0);
    for (const char *at = run.text; (at = strstr(at, "<x>")) != NULL; at++)
        count++;
    assert_int_equal(count, sizeof(block) - 1);
}
static void end_of_input_is_not_the_end(void **state)
{
    (void)state;
    start("hello lines poweroff", "");
    close(run.input);
    run.input = open("/dev/null", O_WRONLY | O_CLOEXEC);
    finish(0);
    assert_int_equal(run.length, 7 + 3000 * 11);
}
static void reader_goes_away(void **state)
{
    (void)state;
    start("hello lines flood poweroff", "");
    wait_for_text("hello");
    close(run.output);
    run.output = -1;
    finish(0);
}
/* Nobody reads: neither a full pipe nor the end of the run hangs. */
static void reader_stops(void **state)
{
    static const char *const clocks[] = { "--clock real", "--clock instructions" };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start("hello flood sleep", clocks[i]);
        wait_for_text("hello");
        int kept = run.output;
        run.output = -1;
        usleep(500000);
        kill(run.child, SIGTERM);
        finish(12);
        close(kept);
    }
}
static void leave_keys(void **state)
{
    (void)state;
    start("hello sleep", "");
    wait_for_text("hello");
    assert_int_equal(write(run.input, "\x01x", 2), 2);
    finish(14);
    expect_line("Ctrl-A x");
}

/* ---- Terminal ---- */

static bool same_modes(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
           a->c_cflag == b->c_cflag;
}

static void terminal_is_raw_and_restored(void **state)
{
    struct termios before, now;
    static const struct {
        const char *script, *keys;
        int signal, status;
    } ways[] = {
        { "hello echo poweroff", "q", 0, 0 },     { "hello sleep", "\x01x", 0, 14 },
        { "hello sleep", "", SIGTERM, 12 },       { "hello echo kill", "q", 0, 8 },
        { "hello echo triple", "q", 0, 10 },      { "hello sleep", "", SIGKILL, -SIGKILL },
        { "hello sleep", "", SIGABRT, -SIGABRT },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        start_on_terminal(ways[i].script, "", &before);
        wait_for_text("hello");
        assert_int_equal(tcgetattr(run.errors, &now), 0);
        assert_false(now.c_lflag & (ICANON | ECHO | ISIG));
        if (ways[i].signal)
            kill(run.child, ways[i].signal);
        else
            assert_true(write(run.input, ways[i].keys, strlen(ways[i].keys)) > 0);
        for (unsigned j = 0; j < 200 && !ended(); j++)
            collect(50);
        assert_int_equal(run.status, ways[i].status);
        for (unsigned j = 0; j < 100; j++) {
            assert_int_equal(tcgetattr(run.errors, &now), 0);
            if (same_modes(&before, &now))
                break;
            usleep(10000); /* the guard needs a moment after SIGKILL */
        }
        assert_true(same_modes(&before, &now));
        close(run.input);
        close(run.errors);
    }
}

static void terminal_help_keys(void **state)
{
    struct termios before;

    (void)state;
    start_on_terminal("hello sleep", "", &before);
    wait_for_text("hello");
    assert_int_equal(write(run.input, "\x01h", 2), 2);
    wait_for_text("Ctrl-A x");
    assert_int_equal(write(run.input, "\x01x", 2), 2);
    for (unsigned j = 0; j < 200 && !ended(); j++)
        collect(50);
    assert_int_equal(run.status, 14);
    close(run.input);
    close(run.errors);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_reaches_the_guest),
        cmocka_unit_test(long_input_is_not_lost),
        cmocka_unit_test(end_of_input_is_not_the_end),
        cmocka_unit_test(reader_goes_away),
        cmocka_unit_test(reader_stops),
        cmocka_unit_test(leave_keys),
        cmocka_unit_test(terminal_is_raw_and_restored),
        cmocka_unit_test(terminal_help_keys),
    };

    if (argc != 3)
        return 2;
    origami = argv[1];
    engine = argv[2];
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
