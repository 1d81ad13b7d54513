/* SPDX-License-Identifier: MIT */
/*
 * Flips: an instruction's tests of the mode, found in its tree and changed there one at a time.
 *
 * A flip replaces one condition, or puts one test before the body; flip_undo() puts everything
 * back. The description must not be used by anybody else meanwhile.
 */
#ifndef ORIGAMI_TESTS_FLIP_H
#define ORIGAMI_TESTS_FLIP_H

#include "description.h"

enum flip_kind {
    FLIP_NEVER,  /* the test is taken out: its condition is never true */
    FLIP_ALWAYS, /* taken out the other way: always true */
    FLIP_NEGATE,
    FLIP_ADD, /* a trap in user mode before everything else */
};

struct flip {
    enum flip_kind kind;
    bool traps; /* the test leads to a trap: a privilege check, not another use of the mode */
    bool mixed; /* it looks at more than the mode */
    struct isa_statement *test;             /* NULL when added */
    const struct isa_expression *condition; /* as it was */
    struct isa_instruction *instruction;
    struct isa_expression constant, cell, comparison, code;
    struct isa_statement guard, trap;
    const struct isa_statement *first; /* of the body, as it was */
};

enum { FLIP_MAX = 128 };

extern const char *const flip_names[];

/* Every flip of this instruction; at most FLIP_MAX, or 0 when there are more. */
unsigned flip_list(const struct isa_description *description, struct isa_instruction *instruction,
                   struct flip *flips);
void flip_do(const struct isa_description *description, struct flip *flip);
void flip_undo(struct flip *flip);

#endif
