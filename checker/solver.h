/* SPDX-License-Identifier: MIT */
/*
 * Solver: one formula at a time, asked of Z3.
 *
 * Most questions are small. Z3's plain solver answers those in a fraction of the time that its
 * bit-vector strategy takes to get going, so it is asked first, within a limit of work (not of
 * time, so that the same question is answered by the same one everywhere); the strategy gets what
 * is left.
 */
#ifndef ORIGAMI_CHECKER_SOLVER_H
#define ORIGAMI_CHECKER_SOLVER_H

#include <stdint.h>
#include <z3.h>

struct solver {
    Z3_context context; /* the caller's; outlives the solver */
    unsigned timeout;   /* of one question to the strategy, milliseconds */
    Z3_solver quick, thorough;
    Z3_model model; /* of the last question, when it was answered with Z3_L_TRUE */
};

/* Sets nothing up that could fail. */
void solver_init(struct solver *solver, Z3_context context, unsigned timeout);
void solver_release(struct solver *solver);

/* Z3_L_TRUE with a model, Z3_L_FALSE, or Z3_L_UNDEF: no answer within the limits. *error is -EIO
 * when Z3 can't even start, else 0. */
Z3_lbool solver_ask(struct solver *solver, Z3_ast formula, int *error);
/* What the model says of a term of at most 64 bits; anything that it leaves open is 0. */
uint64_t solver_value(const struct solver *solver, Z3_ast term);

#endif
