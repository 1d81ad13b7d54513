/* SPDX-License-Identifier: MIT */
/* delegate.c - handing a command to its program. */
#include "delegate.h"
#include "../backend/process.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKER "origami-checker"

const struct delegate delegates[] = {
    { "check", "is this architecture virtualizable? decides it from a description" },
    { "explain", "why an instruction is in its class" },
    { "diff", "compare two descriptions" },
    { "simulate", "run a program on a described machine, bare and under a monitor" },
    { "list", "the library, or the instructions of a description" },
    { "probe", "classify the CPU this runs on" },
    { "fmt", "format a description" },
    { NULL, NULL },
};

bool delegate_knows(const char *name)
{
    for (unsigned i = 0; delegates[i].name; i++) {
        if (!strcmp(name, delegates[i].name))
            return true;
    }
    return false;
}

int delegate_run(char **argv, struct problem *problem)
{
    char path[4096];
    unsigned count = 0;
    int result = process_find(CHECKER, "checker", path, sizeof(path), problem);

    if (result)
        return result;
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
