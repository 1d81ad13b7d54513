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

/* Asks Z3 for every property. Timeout per question in milliseconds. 0, -ENOMEM, -EIO, -EPROTO. */
int search_solve(const struct isa_description *description,
                 const struct isa_instruction *instruction, unsigned timeout,
                 struct search_result *result);

/* Tries every state, operand, choice and shift. 0, -ENOMEM, or -E2BIG when there are too many. */
int search_enumerate(const struct isa_description *description,
                     const struct isa_instruction *instruction, struct search_result *result);
/* The number of bits that the enumeration would have to try for one instruction. */
unsigned search_bits(const struct isa_description *description,
                     const struct isa_instruction *instruction);

#endif
