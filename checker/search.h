/* SPDX-License-Identifier: MIT */
/*
 * Search: does a witness exist? Asked of Z3, or found by trying every state.
 *
 * Both return an answer and, for "yes", a witness that witness_holds() has confirmed. A witness
 * that the solver proposes and the evaluator refuses is -EPROTO: an error in the checker itself.
 */
#ifndef ORIGAMI_CHECKER_SEARCH_H
#define ORIGAMI_CHECKER_SEARCH_H

#include "witness.h"

enum answer {
    ANSWER_NO,
    ANSWER_YES,
    ANSWER_UNDECIDED, /* the solver gave up */
};

struct search_result {
    enum answer answer[PROPERTY_COUNT];
    struct witness *witness[PROPERTY_COUNT]; /* owned; NULL without one */
    enum property failed;                    /* after -EPROTO: where */
};

void search_release(struct search_result *result);

/* Does the question make sense for this description (a map to relocate, resources to vary)? */
bool search_applies(const struct isa_description *description, enum property property);

/* Values that something may take; NULL: all of its width. */
struct search_set {
    const uint64_t *values;
    uint32_t count;
};

/* Fewer states than the description has: a set for each place of a state (value_count of them), and
 * for operands (within their domains), choices and shift. The sets hold for the first state, and
 * for what the property's relation leaves free in the second; what the relation computes may lie
 * outside. All cells of memory have the same set, since windows move. A witness found here is a
 * witness everywhere; "no" says nothing beyond the sets. */
struct search_universe {
    struct search_set *places;
    struct search_set operands[ISA_MAX_OPERANDS];
    struct search_set choices[ISA_MAX_CHOICES];
    struct search_set shift;
};

/* Asks Z3 for every property. The universe may be NULL: all states. Timeout per question in
 * milliseconds. 0, -ENOMEM, -EIO, -EPROTO. */
int search_solve(const struct isa_description *description,
                 const struct isa_instruction *instruction, const struct search_universe *universe,
                 unsigned timeout, struct search_result *result);

/* Tries every state, operand, choice and shift of the universe (NULL: of the description). 0,
 * -ENOMEM, or -E2BIG when there are too many. */
int search_enumerate(const struct isa_description *description,
                     const struct isa_instruction *instruction,
                     const struct search_universe *universe, struct search_result *result);
/* The number of bits that the enumeration would have to try for one instruction, without a
 * universe. */
unsigned search_bits(const struct isa_description *description,
                     const struct isa_instruction *instruction);

#endif
