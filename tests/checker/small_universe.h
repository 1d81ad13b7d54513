/* SPDX-License-Identifier: MIT */
/*
 * Small universes: sets of values for an instruction, few enough to try every combination.
 *
 * A description at its declared widths has far too many states to enumerate. A universe picks a few
 * values for each cell that the instruction's body, the map or the relocation can look at or
 * change, and leaves every other cell at what a valid state has. Nothing is claimed of the choice:
 * the solver and the enumeration are asked about exactly the same states, so they must give the
 * same answer whatever was picked, and a "yes" among fewer states is one among all of them. The
 * choice only decides how often the small answer is also the large one.
 */
#ifndef ORIGAMI_TESTS_SMALL_UNIVERSE_H
#define ORIGAMI_TESTS_SMALL_UNIVERSE_H

#include "search.h"

enum { SMALL_SET_MAX = 16 };

struct small_set {
    uint64_t values[SMALL_SET_MAX];
    uint32_t count;
};

struct small_universe {
    struct search_universe universe; /* points into what follows */
    const struct isa_description *description;
    const struct isa_instruction *instruction;
    struct small_set *places; /* value_count */
    struct small_set operands[ISA_MAX_OPERANDS], choices[ISA_MAX_CHOICES], shift;
    struct machine_state valid[2]; /* supervisor, user: what cells have that nobody looks at */
    bool *used;                    /* places that the instruction, map or relocation mention */
    double bits;                   /* of all combinations, second states included */
};

/* 0, -ENOMEM, or -ENOENT: no valid state was found in one of the modes. */
int small_universe_init(struct small_universe *small, const struct isa_description *description);
void small_universe_release(struct small_universe *small);

/* A universe for one instruction, grown at random (seed) to at most 2^bits combinations. */
void small_universe_grow(struct small_universe *small, const struct isa_instruction *instruction,
                         uint64_t seed, double bits);
/* Just what this witness is made of. */
void small_universe_of(struct small_universe *small, const struct witness *witness);
/* Is the witness's first state in the universe, and what its relation leaves free in the second?
 * If not, the first value outside is named in `text`. */
bool small_universe_holds(const struct small_universe *small, const struct witness *witness,
                          char *text, size_t size);

#endif
