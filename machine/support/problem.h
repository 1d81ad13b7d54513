/* SPDX-License-Identifier: MIT */
/*
 * problem.h - how the machine process reports failure: functions return 0 or -errno and describe
 * what went wrong, once, where it is best known. The command prints the line; nobody else prints or
 * exits.
 */
#ifndef ORIGAMI_MACHINE_PROBLEM_H
#define ORIGAMI_MACHINE_PROBLEM_H

#include "status.h"

#define MUST_CHECK __attribute__((warn_unused_result))

struct problem {
    int status;     /* enum exit_status the run should end with */
    char text[256]; /* one line without newline; "" = none */
};

/*
 * Describes a failure and returns -error. A text that is too long loses its middle; control
 * characters (file names and engine messages may hold any) become '?', so that it stays one line.
 */
int problem_set(struct problem *problem, int status, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
