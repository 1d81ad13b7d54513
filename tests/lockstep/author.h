/* SPDX-License-Identifier: MIT */
/*
 * author.h - what writes a random program: the program so far, and the random numbers it follows.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_AUTHOR_H
#define ORIGAMI_TEST_LOCKSTEP_AUTHOR_H

#include "program.h"

struct author {
    struct program *p;
    const struct pool *pool;
    uint64_t random;
    bool wide, kernel;
    bool maps; /* changes mappings, else stores into its code: an INVLPG must not be overwritten */
    unsigned wanted;
    struct {
        uint16_t at, size, piece;
        bool absolute;
    } fixup[PROGRAM_INSNS * 2];
    unsigned fixup_count;
};

static inline uint64_t author_pick(struct author *a, uint64_t bound)
{
    return random_under(&a->random, bound);
}

static inline void author_byte(struct author *a, uint64_t value)
{
    if (a->p->size < PROGRAM_BYTES)
        a->p->code[a->p->size++] = (uint8_t)value;
}

static inline void author_bytes(struct author *a, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        author_byte(a, value >> (8 * i));
}

/* An address in the data pages, most often where two of them meet. */
static inline uint32_t author_data_address(struct author *a)
{
    uint32_t page = (uint32_t)author_pick(a, 4) ? (uint32_t)author_pick(a, 3)
                                                : (uint32_t)author_pick(a, PAGE_COUNT);
    uint32_t base =
        author_pick(a, 12) ? DATA_ADDRESS + page * 4096 : LOW_ADDRESS + (page & 3) * 4096;
    if (author_pick(a, 2))
        return base + 4096 - 16 + (uint32_t)author_pick(a, 32);
    return base + (uint32_t)author_pick(a, 4096);
}

/* pieces.c: one more piece, an instruction or a few that belong together. */
void author_write_piece(struct author *a);
/* Fills in the addresses of pieces. */
void author_resolve(struct author *a);

#endif
