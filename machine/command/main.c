/* SPDX-License-Identifier: MIT */
/*
 * main.c - the `origami` command: which subcommand, and the one place that prints a failure and
 * exits.
 */
#include "../run/run.h"
#include "delegate.h"
#include "help.h"
#include "options.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int command_run(int argc, char **argv, struct problem *problem)
{
    struct options options;
    int status = STATUS_OK;

    if (options_parse(&options, argc, argv, problem) != 0)
        status = problem->status;
    else if (options.help)
        status = help_run(problem) ? problem->status : STATUS_OK;
    else if (options.version)
        status = help_version(problem) ? problem->status : STATUS_OK;
    else
        status = run_machine(&options, problem);
    options_free(&options);
    return status;
}

static int command_help(int argc, char **argv, struct problem *problem)
{
    (void)argc;
    (void)argv;
    return help_general(problem) ? problem->status : STATUS_OK;
}

static int command_version(int argc, char **argv, struct problem *problem)
{
    (void)argc;
    (void)argv;
    return help_version(problem) ? problem->status : STATUS_OK;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv, struct problem *problem);
} commands[] = {
    { "run", command_run }, { "help", command_help },         { "--help", command_help },
    { "-h", command_help }, { "--version", command_version }, { "version", command_version },
};

static int dispatch(int argc, char **argv, struct problem *problem)
{
    if (argc < 2) {
        problem_set(problem, STATUS_USAGE, EINVAL, "no command (see origami --help)");
        return STATUS_USAGE;
    }
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1, problem);
    }
    if (delegate_knows(argv[1]))
        return delegate_run(argv + 1, problem) ? problem->status : STATUS_OK;
    problem_set(problem, STATUS_USAGE, EINVAL, "unknown command: %s (see origami --help)", argv[1]);
    return STATUS_USAGE;
}

/* Descriptors 0-2 must exist, or the first file opened would be taken for the console. */
static void open_standard_streams(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return;
    }
}

int main(int argc, char **argv)
{
    struct problem problem = { 0 };

    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a failure to report */
    open_standard_streams();
    int status = dispatch(argc, argv, &problem);

    if (problem.text[0])
        fprintf(stderr, "origami: %s\n", problem.text);
    return status;
}
