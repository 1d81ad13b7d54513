/* SPDX-License-Identifier: MIT */
/*
 * pool.h - encodings of any instruction of the table, for random programs.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_POOL_H
#define ORIGAMI_TEST_LOCKSTEP_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include "instruction/instruction.h"

struct cpu_model;
struct pool;
struct pool *pool_create(const struct cpu_model *model);
/* Other encodings than before; the same for the same seed. */
void pool_refill(struct pool *pool, uint64_t seed);
/* One for 64- or 32-bit code, `native`: that no interpreter is needed for; NULL once in a while. */
const struct instruction *pool_pick(const struct pool *pool, bool wide, bool native,
                                    uint64_t number);

#endif
