/* SPDX-License-Identifier: MIT */
/*
 * program.h - a random program of a few dozen instructions and everything that happens to it.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_PROGRAM_H
#define ORIGAMI_TEST_LOCKSTEP_PROGRAM_H

#include "arena.h"
#include "pool.h"

#define PROGRAM_INSNS 64u
#define PROGRAM_BYTES 1024u

struct program {
    enum program_mode mode;
    uint64_t options;  /* ARENA_* */
    uint64_t address;  /* linear, of the first byte */
    uint32_t frame[2]; /* the pages it lies in */
    uint8_t code[PROGRAM_BYTES];
    unsigned size, count;
    uint16_t
        start[PROGRAM_INSNS + 1]; /* of each piece: one instruction or a few that belong together */
    uint64_t data_seed, gpr[16], rflags, fs_base, gs_base;
    uint8_t extended[XSAVE_AREA_SIZE];
    uint32_t timer;      /* instructions until the first interrupt; 0: none */
    uint64_t chunk_seed; /* how the run is cut into calls of vcpu_run */
    unsigned remap;      /* 0, or after how many calls a mapping changes */
    unsigned budget;     /* instructions at most, loops and handlers included */
};

void program_generate(struct program *program, const struct pool *pool, uint64_t seed);

/* What happened, for the summary. */
struct program_counts {
    uint64_t instructions, faults, interrupts;
};
/* NULL, or what differed. */
const char *program_run(struct pair *pair, const struct program *program,
                        struct program_counts *counts);
/* Takes out what a difference does not need. */
void program_reduce(struct pair *pair, struct program *program);
void program_show(const struct program *program, FILE *out);

#endif
