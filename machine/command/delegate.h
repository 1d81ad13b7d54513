/* SPDX-License-Identifier: MIT */
/*
 * delegate.h - commands that another program carries out: `origami check ...` becomes
 * `origami-checker check ...`.
 */
#ifndef ORIGAMI_MACHINE_DELEGATE_H
#define ORIGAMI_MACHINE_DELEGATE_H

#include <stdbool.h>
#include "../support/problem.h"

struct delegate {
    const char *name;
    const char *text;    /* for --help */
    const char *program; /* that carries it out */
    const char *tree;    /* its folder in the build tree */
    bool shift;          /* it is for this command alone and does not want to hear its name */
};
extern const struct delegate delegates[]; /* ends with a NULL name */

bool delegate_knows(const char *name);
/* Becomes the program. Returns only if that fails. argv[0] is the command's name. */
int MUST_CHECK delegate_run(char **argv, struct problem *problem);

#endif
