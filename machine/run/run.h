/* SPDX-License-Identifier: MIT */
/* run.h - `origami run` after its options are parsed. */
#ifndef ORIGAMI_MACHINE_RUN_H
#define ORIGAMI_MACHINE_RUN_H

#include "../command/options.h"

/*
 * Boots and runs a machine to its end. Returns the exit status; if `problem` has a text, that line
 * is the reason. Every way out leaves the terminal as it was and no process or file behind.
 */
int run_machine(const struct options *options, struct problem *problem);

#endif
