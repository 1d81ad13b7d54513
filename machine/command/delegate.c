/* SPDX-License-Identifier: MIT */
/* delegate.c - handing a command to its program. */
#include "delegate.h"
#include "../backend/process.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKER "origami-checker", "checker", false

const struct delegate delegates[] = {
    { "check", "is this architecture virtualizable? decides it from a description", CHECKER },
    { "explain", "why an instruction is in its class", CHECKER },
    { "diff", "compare two descriptions", CHECKER },
    { "simulate", "run a program on a described machine, bare and under a monitor", CHECKER },
    { "list", "the library, or the instructions of a description", CHECKER },
    { "probe", "classify the CPU this runs on", CHECKER },
    { "fmt", "format a description", CHECKER },
    { "guest", "build a Debian guest from packages, without root", "origami-guest", "guests/debian",
      true },
    { NULL, NULL, NULL, NULL, false },
};

static const struct delegate *find(const char *name)
{
    for (const struct delegate *at = delegates; at->name; at++) {
        if (!strcmp(name, at->name))
            return at;
    }
    return NULL;
}

bool delegate_knows(const char *name)
{
    return find(name) != NULL;
}

int delegate_run(char **argv, struct problem *problem)
{
    const struct delegate *delegate = find(argv[0]);
    char path[4096];
    unsigned count = 0;

    if (!delegate)
        return problem_set(problem, STATUS_USAGE, EINVAL, "unknown command: %s", argv[0]);
    int result = process_find(delegate->program, delegate->tree, path, sizeof(path), problem);
    if (result)
        return result;
    argv += delegate->shift;
    while (argv[count])
        count++;
    char **arguments = calloc(count + 2, sizeof(*arguments));
    if (!arguments)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    arguments[0] = path;
    memcpy(arguments + 1, argv, count * sizeof(*argv));
    execv(path, arguments);
    result = problem_set(problem, STATUS_HOST, errno, "%s: %s", path, strerror(errno));
    free(arguments);
    return result;
}
