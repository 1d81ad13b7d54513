/* SPDX-License-Identifier: MIT */
/*
 * pool.c - encodings made by the differential test's generator.
 */
#include <stdlib.h>
#include <string.h>
#include "../differential/vector.h"
#include "pool.h"

#define POOL_SIZE 8192u /* of each kind */

struct pool {
    struct generator generator;
    unsigned count[2][2]; /* [wide][native] */
    struct instruction insn[2][2][POOL_SIZE];
};

struct pool *pool_create(const struct cpu_model *model)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return NULL;
    pool->generator = (struct generator){ .random = 1, .model = model, .segment_bases = true };
    pool->generator.templates = code_templates_make(&pool->generator);
    return pool->generator.templates ? pool : NULL;
}

void pool_refill(struct pool *pool, uint64_t seed)
{
    struct generator *g = &pool->generator;
    g->random = seed;
    memset(pool->count, 0, sizeof(pool->count));
    for (unsigned tries = 0; tries < 8 * POOL_SIZE; tries++) {
        struct input in;
        struct instruction insn;
        memset(&in, 0, sizeof(in));
        code_generate(g, &in, &insn);
        if (in.bits == 16)
            continue;
        bool wide = in.bits == 64, native = insn.row->interpreter == INTERPRETER_NONE;
        unsigned *count = &pool->count[wide][native];
        if (*count < POOL_SIZE)
            pool->insn[wide][native][(*count)++] = insn;
    }
}

const struct instruction *pool_pick(const struct pool *pool, bool wide, bool native,
                                    uint64_t number)
{
    unsigned count = pool->count[wide][native];
    return count ? &pool->insn[wide][native][number % count] : NULL;
}
