/* SPDX-License-Identifier: MIT */
/*
 * mutation.h - ways to break the Soft tier on purpose: a test that can't fail proves nothing.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_MUTATION_H
#define ORIGAMI_TEST_LOCKSTEP_MUTATION_H

#include "pair.h"

/* The first one is none at all; NULL: there are no more. */
const char *mutation_name(unsigned number);
bool mutation_choose(const char *name);
/* Blocks translated before it strikes. */
void mutation_delay(uint64_t blocks);
void mutation_start(struct machine *machine);

#endif
