/* SPDX-License-Identifier: MIT */
/*
 * Random programs for any description: a seeded first state whose memory is full of instructions,
 * numbers and saved program status words, and whose trap vectors lead somewhere.
 *
 * Nothing here knows an instruction set. What a status word looks like is learnt from the
 * description's own trap rule: whatever it stores when a plausible state traps is a word that it
 * will load some day.
 */
#ifndef ORIGAMI_TESTS_CHECKER_RANDOM_PROGRAM_H
#define ORIGAMI_TESTS_CHECKER_RANDOM_PROGRAM_H

#include "evaluator.h"

struct random_program {
    const struct isa_description *description;
    uint64_t state;
    struct machine_state scratch;
    bool pinned[ISA_MAX_CELLS];    /* cells that an invariant mentions */
    struct machine_state valid[2]; /* something that the invariants allow: supervisor, user */
};

/* 0 or -ENOMEM. */
int random_program_init(struct random_program *random, const struct isa_description *description);
void random_program_release(struct random_program *random);

/* Fills `state`, whose memory size is given. */
void random_program_make(struct random_program *random, uint64_t seed, struct machine_state *state);

#endif
