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

/* What a machine process still has to do, beside what all of them do. */
enum filter_need {
    FILTER_REBOOT = 1,     /* starts engines again */
    FILTER_STATISTICS = 2, /* puts one file in place */
    FILTER_KVM = 4,        /* runs the guest through /dev/kvm, instead of in an engine */
    FILTER_DISK = 8,       /* has disk images open */
    FILTER_NET = 16        /* opens sockets for the guest */
};

/* Confines the machine process itself, all threads made from now on included. `needs`: FILTER_*. */
int MUST_CHECK filter_confine_machine(unsigned needs, struct problem *problem);

#endif
