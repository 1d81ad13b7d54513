/* SPDX-License-Identifier: MIT */
/*
 * oracle.h - between the two halves of the oracle: the process that asks (oracle.c) and the child
 * that runs instructions on the bare CPU (bare.c).
 */
#ifndef ORIGAMI_TEST_ORACLE_H
#define ORIGAMI_TEST_ORACLE_H

#include "vector.h"

#define PLACES 3u /* batches under way */

struct oracle_shared {
    struct batch batch[PLACES];
    struct output output[PLACES][BATCH];
    uint32_t request, done; /* futexes: batches submitted, batches finished; done starts at ~0 */
    uint32_t running;       /* index of the input being run */
    bool local_descriptors, segment_bases;
};

/* The child's whole life. Tells the parent that it is ready by done = 0. */
void bare_main(struct oracle_shared *shared, uint64_t extended_mask) __attribute__((noreturn));

#endif
