/* SPDX-License-Identifier: MIT */
/*
 * test_run.c - every documented exit status of `origami run`, one clear line, nothing left over.
 */
#include "run_harness.h"

/* ---- Ends ---- */

static void power_off(void **state)
{
    (void)state;
    simple("hello poweroff", "", 0, NULL);
    assert_string_equal(run.text, "hello\r\n");
}
static void debug_exit(void **state)
{
    (void)state;
    simple("exit", "--debug-exit", 3, NULL);
    simple("exit poweroff", "", 0, NULL); /* not there unless asked for */
}
static void reboots(void **state)
{
    (void)state;
    simple("hello reset-once poweroff", "", 0, NULL);
    assert_string_equal(run.text, "hello\r\nhello\r\n");
    simple("hello reset", "--no-reboot", 0, NULL);
    assert_string_equal(run.text, "hello\r\n");
}
static void triple_fault(void **state)
{
    (void)state;
    simple("triple", "", 10, "triple fault");
}
static void signals(void **state)
{
    static const struct {
        const char *script;
        int signal;
    } cases[] = { { "hello sleep", SIGTERM },
                  { "hello sleep", SIGINT },
                  { "hello spin", SIGTERM },
                  { "hello sleep", SIGHUP } };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(cases[i].script, "");
        wait_for_text("hello");
        kill(run.child, cases[i].signal);
        finish(12);
        expect_line("signal");
    }
}
static void signal_to_a_hung_engine(void **state)
{
    (void)state;
    start("hello hang", "");
    wait_for_text("hello");
    kill(run.child, SIGTERM);
    finish(12);
    expect_line("signal");
}
static void engine_failures(void **state)
{
    (void)state;
    simple("die", "", 8, "ended by itself with status 3");
    simple("kill", "", 8, "killed by signal 9");
    simple("error", "", 8, "a message?with ?[31mcolour");
    simple("bad-reason", "", 8, "broke the protocol");
    simple("bad-port", "", 8, "broke the protocol");
    simple("bad-address", "", 8, "broke the protocol");
    simple("unknown-step", "", 8, "status 76");
}
static void hostile_engine(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        start("hello scribble", "--debug-exit");
        /* It may happen to ask for anything a guest may ask for, but not to crash the machine. */
        finish(ANY_STATUS);
        assert_true(run.status >= 0 &&
                    (run.status & 1 || run.status == 8 || run.status == 0 || run.status == 10));
        if (run.status == 8)
            expect_line("engine");
    }
}
static void timers(void **state)
{
    (void)state;
    simple("deadline poweroff", "--clock instructions", 0, NULL);
    simple("deadline poweroff", "", 0, NULL);
}

/* The engine kills the machine; then it must be gone itself. */
static void machine_killed(void **state)
{
    char process[64];

    (void)state;
    start("hello sleep", "");
    wait_for_text("hello");
    kill(run.child, SIGSTOP);
    /* Its only child is the engine. */
    snprintf(process, sizeof(process), "/proc/%d/task/%d/children", run.child, run.child);
    FILE *file = fopen(process, "r");
    int child = 0;
    if (file) {
        assert_int_equal(fscanf(file, "%d", &child), 1);
        fclose(file);
    }
    kill(run.child, SIGKILL);
    finish(-SIGKILL);
    if (!child)
        return; /* a kernel without the children file */
    for (unsigned i = 0; i < 100 && kill(child, 0) == 0; i++)
        usleep(20000);
    assert_int_not_equal(kill(child, 0), 0);
}

static void statistics_file(void **state)
{
    char extra[128], text[65536] = { 0 };
    struct stat info;

    (void)state;
    snprintf(extra, sizeof(extra), "--stats %s", statistics);
    simple("hello poweroff", extra, 0, NULL);
    FILE *file = fopen(statistics, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(text, "\"tier\":\t\"step\""));
    assert_non_null(strstr(text, "\"complete\":\ttrue"));
    assert_non_null(strstr(text, "\"exit_status\":\t0"));
    unlink(statistics);
    /* A run that never began writes none, and leaves no temporary file. */
    start("x", extra);
    finish(8);
    unlink(statistics);
    snprintf(extra, sizeof(extra), "--stats %s/none/x", directory);
    simple("poweroff", extra, 6, "--stats");
    assert_int_equal(stat(statistics, &info), -1);
}

/* ---- Bad files ---- */

static void bad_files(void **state)
{
    char path[64], extra[160];

    (void)state;
    snprintf(path, sizeof(path), "%s/empty", directory);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    snprintf(extra, sizeof(extra), "--initrd %s", path);
    simple("poweroff", extra, 4, "empty");
    snprintf(extra, sizeof(extra), "--module %s,args", path);
    simple("poweroff", extra, 4, "empty");
    unlink(path);
    simple("poweroff", extra, 4, "No such file");
    snprintf(extra, sizeof(extra), "--initrd %s", directory);
    simple("poweroff", extra, 4, "directory");
    snprintf(extra, sizeof(extra), "--initrd %s", kernel);
    simple("poweroff", extra, 4, "no initial RAM disk");
    simple("poweroff", "--initrd /dev/zero", 4, "larger than");
    snprintf(extra, sizeof(extra), "--module %s,args", kernel);
    simple("poweroff", extra, 0, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_off),       cmocka_unit_test(debug_exit),
        cmocka_unit_test(reboots),         cmocka_unit_test(triple_fault),
        cmocka_unit_test(signals),         cmocka_unit_test(signal_to_a_hung_engine),
        cmocka_unit_test(engine_failures), cmocka_unit_test(hostile_engine),
        cmocka_unit_test(timers),          cmocka_unit_test(machine_killed),
        cmocka_unit_test(statistics_file), cmocka_unit_test(bad_files),
    };

    if (argc != 3)
        return 2;
    origami = argv[1];
    engine = argv[2];
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
