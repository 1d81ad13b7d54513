/* SPDX-License-Identifier: MIT */
/* problem.c - filling in the one line that says what went wrong. */
#include "problem.h"
#include <stdarg.h>
#include <stdio.h>

int problem_set(struct problem *problem, int status, int error, const char *format, ...)
{
    va_list arguments;

    problem->status = status;
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
    for (char *at = problem->text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    return -error;
}
