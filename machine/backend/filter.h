/* SPDX-License-Identifier: MIT */
/*
 * filter.h - the seccomp filters of both processes. The engine's are built here and handed over as
 * BPF programs; it installs them itself, `early` first and `final` on top (the stricter of the two
 * counts).
 */
#ifndef ORIGAMI_MACHINE_FILTER_H
#define ORIGAMI_MACHINE_FILTER_H

#include <origami/wire.h>
#include <stdbool.h>
#include "../support/problem.h"

enum filter_stage {
    FILTER_ENGINE_EARLY, /* mapping guest memory, moving the image, signal handlers */
    FILTER_ENGINE_FINAL  /* guest code runs */
};

int MUST_CHECK filter_build(enum filter_stage stage, struct wire_filter *filter,
                            struct problem *problem);

/*
 * Confines the machine process itself, all threads made from now on included. With `reboot` it may
 * still start engines; with `statistics` it may still put one file in place.
 */
int MUST_CHECK filter_confine_machine(bool reboot, bool statistics, struct problem *problem);

#endif
