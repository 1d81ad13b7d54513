/* SPDX-License-Identifier: MIT */
/* help.h - the texts of --help and --version, on standard output. 0, or -EIO if it cannot be
 * written. */
#ifndef ORIGAMI_MACHINE_HELP_H
#define ORIGAMI_MACHINE_HELP_H

#include "../support/problem.h"

int MUST_CHECK help_general(struct problem *problem);
int MUST_CHECK help_run(struct problem *problem);
int MUST_CHECK help_version(struct problem *problem);

#endif
