/* SPDX-License-Identifier: MIT */
/*
 * test_run.c - the real `origami run` with the fake engine: every documented exit status, one clear
 * line, the terminal restored, nothing left over.
 *
 * Arguments: the origami program, the fake engine.
 */
#include "kernels.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static const char *origami, *engine;
static char directory[] = "/tmp/origami-run-XXXXXX";
static char kernel[64], statistics[64];

#define ARGUMENTS  32
#define ANY_STATUS 1000
#define PATIENCE   120 /* seconds; nothing here takes so long */

/* One run, its output and how it ended. */
static struct outcome {
    pid_t child;
    int input, output, errors; /* our ends; a terminal has one descriptor for all */
    char text[1 << 20], problem[4096];
    size_t length, problem_length;
    int status;
} run;

static void fill_arguments(char **argv, const char *script, const char *extra)
{
    static char copy[256];
    unsigned argc = 0;
    const char *const first[] = { origami, "run",      "--kernel", kernel,      "--engine",
                                  engine,  "--memory", "16M",      "--cmdline", script };

    for (; argc < sizeof(first) / sizeof(first[0]); argc++)
        argv[argc] = (char *)(uintptr_t)first[argc];
    strncpy(copy, extra, sizeof(copy) - 1);
    for (char *word = strtok(copy, " "); word && argc < ARGUMENTS - 1; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
}

static void start(const char *script, const char *extra)
{
    int in[2], out[2], err[2];
    char *argv[ARGUMENTS];

    memset(&run, 0, sizeof(run));
    fill_arguments(argv, script, extra);
    assert_true(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
                pipe2(err, O_CLOEXEC) == 0);
    run.child = fork();
    if (run.child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execv(origami, argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    run.input = in[1];
    run.output = out[0];
    run.errors = err[0];
}

static void start_on_terminal(const char *script, const char *extra, struct termios *before)
{
    char *argv[ARGUMENTS];
    int master, slave;

    memset(&run, 0, sizeof(run));
    fill_arguments(argv, script, extra);
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(slave, before), 0);
    fcntl(master, F_SETFD, FD_CLOEXEC);
    run.child = fork();
    if (run.child == 0) {
        setsid();
        for (int fd = 0; fd < 3; fd++)
            dup2(slave, fd);
        close(slave);
        execv(origami, argv);
        _exit(127);
    }
    run.input = run.output = master;
    run.errors = slave; /* kept to look at its modes */
}

/* Reads what there is; false at the end of both. */
static bool collect(int timeout)
{
    struct pollfd fds[2] = { { .fd = run.output, .events = POLLIN },
                             { .fd = run.errors != run.output ? run.errors : -1,
                               .events = POLLIN } };
    ssize_t size;

    if (run.output < 0 && run.errors < 0)
        return false;
    if (poll(fds, run.input == run.output ? 1 : 2, timeout) <= 0)
        return true;
    if (fds[0].revents) {
        size = read(run.output, run.text + run.length, sizeof(run.text) - 1 - run.length);
        if (size > 0)
            run.length += (size_t)size;
        else if (run.input == run.output)
            return false;
        else
            run.output = -1;
    }
    if (fds[1].revents) {
        size = read(run.errors, run.problem + run.problem_length,
                    sizeof(run.problem) - 1 - run.problem_length);
        if (size > 0)
            run.problem_length += (size_t)size;
        else
            run.errors = -1;
    }
    return run.output >= 0 || run.errors >= 0;
}

static void wait_for_text(const char *text)
{
    time_t until = time(NULL) + PATIENCE;

    while (!strstr(run.text, text) && time(NULL) < until && collect(100))
        continue;
    assert_non_null(strstr(run.text, text));
}

static bool ended(void)
{
    int status;

    if (waitpid(run.child, &status, WNOHANG) != run.child)
        return false;
    run.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return true;
}

static void finish(int status)
{
    time_t until = time(NULL) + PATIENCE;

    while (!ended()) {
        if (!collect(50))
            usleep(10000);
        assert_true(time(NULL) < until);
    }
    for (unsigned i = 0; i < 100 && collect(5); i++)
        continue;
    if (status != ANY_STATUS) {
        if (run.status != status)
            fprintf(stderr, "status %d, expected %d: %s\n", run.status, status, run.problem);
        assert_int_equal(run.status, status);
    }
    close(run.input);
    if (run.output != run.input)
        close(run.output);
    close(run.errors);
}

/* Exactly one line on standard error that starts as it should and holds `text`. */
static void expect_line(const char *text)
{
    assert_memory_equal(run.problem, "origami: ", 9);
    assert_ptr_equal(strchr(run.problem, '\n'), run.problem + run.problem_length - 1);
    if (!strstr(run.problem, text))
        fprintf(stderr, "line: %s", run.problem);
    assert_non_null(strstr(run.problem, text));
}

static void simple(const char *script, const char *extra, int status, const char *text)
{
    start(script, extra);
    finish(status);
    if (text)
        expect_line(text);
    else
        assert_int_equal(run.problem_length, 0);
}

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

static int make_files(void **state)
{
    static uint8_t data[KERNEL_MAX];

    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(kernel, sizeof(kernel), "%s/kernel", directory);
    snprintf(statistics, sizeof(statistics), "%s/stats.json", directory);
    FILE *file = fopen(kernel, "wb");
    size_t size = kernel_pvh(data);
    if (!file || fwrite(data, 1, size, file) != size)
        return -1;
    return fclose(file);
}

/* Only succeeds if no run left a file behind. */
static int remove_files(void **state)
{
    (void)state;
    unlink(kernel);
    return rmdir(directory);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_off),
        cmocka_unit_test(debug_exit),
        cmocka_unit_test(reboots),
        cmocka_unit_test(triple_fault),
        cmocka_unit_test(signals),
        cmocka_unit_test(signal_to_a_hung_engine),
        cmocka_unit_test(engine_failures),
        cmocka_unit_test(hostile_engine),
        cmocka_unit_test(timers),
        cmocka_unit_test(machine_killed),
        cmocka_unit_test(statistics_file),
        cmocka_unit_test(input_reaches_the_guest),
        cmocka_unit_test(long_input_is_not_lost),
        cmocka_unit_test(end_of_input_is_not_the_end),
        cmocka_unit_test(reader_goes_away),
        cmocka_unit_test(reader_stops),
        cmocka_unit_test(leave_keys),
        cmocka_unit_test(terminal_is_raw_and_restored),
        cmocka_unit_test(terminal_help_keys),
        cmocka_unit_test(bad_files),
    };

    if (argc != 3)
        return 2;
    origami = argv[1];
    engine = argv[2];
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
