/* SPDX-License-Identifier: MIT */
/*
 * Premises: do the theorems speak about this machine at all?
 *
 * premises_declared() looks for the parts (modes, map, trap rule, a load); premises_shown() asks
 * for an example that each part does its work: states in both modes that the invariants allow, a
 * relocation that moves what an address shows, a trap from user mode that ends in supervisor mode.
 * The solver proposes the example and the evaluator confirms it.
 */
#ifndef ORIGAMI_CHECKER_PREMISES_H
#define ORIGAMI_CHECKER_PREMISES_H

#include "description.h"

enum premise {
    PREMISE_MODES,
    PREMISE_RELOCATION,
    PREMISE_TRAPS,
    PREMISE_LOOKUP,
    PREMISE_STATES,
    PREMISE_COUNT,
};

extern const char *const premise_names[PREMISE_COUNT];

/* True when all parts are there. */
bool premises_declared(const struct isa_description *description, bool *premise);

/* Only after premises_declared() was true, and for a machine small enough to analyse. Clears what
 * has no example. 0, -ENOMEM, -EIO (the solver failed or gave up), -EPROTO (an example did not
 * replay). */
int premises_shown(const struct isa_description *description, unsigned timeout, bool *premise);

#endif
