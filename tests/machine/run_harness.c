/* SPDX-License-Identifier: MIT */
/* run_harness.c - starting the command, and reading what it says. */
#include "run_harness.h"
#include "kernels.h"
#include <pty.h>

const char *origami, *engine;
char directory[] = "/tmp/origami-run-XXXXXX";
char kernel[64], statistics[64];

#define ARGUMENTS 32

struct outcome run;

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

void start(const char *script, const char *extra)
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

void start_on_terminal(const char *script, const char *extra, struct termios *before)
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

bool collect(int timeout)
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

void wait_for_text(const char *text)
{
    time_t until = time(NULL) + PATIENCE;

    while (!strstr(run.text, text) && time(NULL) < until && collect(100))
        continue;
    assert_non_null(strstr(run.text, text));
}

bool ended(void)
{
    int status;

    if (waitpid(run.child, &status, WNOHANG) != run.child)
        return false;
    run.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return true;
}

void finish(int status)
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

void expect_line(const char *text)
{
    assert_memory_equal(run.problem, "origami: ", 9);
    assert_ptr_equal(strchr(run.problem, '\n'), run.problem + run.problem_length - 1);
    if (!strstr(run.problem, text))
        fprintf(stderr, "line: %s", run.problem);
    assert_non_null(strstr(run.problem, text));
}

void simple(const char *script, const char *extra, int status, const char *text)
{
    start(script, extra);
    finish(status);
    if (text)
        expect_line(text);
    else
        assert_int_equal(run.problem_length, 0);
}

int make_files(void **state)
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
int remove_files(void **state)
{
    (void)state;
    unlink(kernel);
    return rmdir(directory);
}
