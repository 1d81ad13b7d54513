/* SPDX-License-Identifier: MIT */
/* exit.h - which exits are written down, and what is compared of them. */
#ifndef ORIGAMI_MACHINE_RECORD_EXIT_H
#define ORIGAMI_MACHINE_RECORD_EXIT_H

#include "../memory/dma.h"
#include "../memory/hash.h"
#include "record.h"

/* The guest's own: at the same place in every run. PAUSED and STOPPED are the machine's. */
static inline bool exit_is_guests(const struct backend_run *run)
{
    return run->exit != BACKEND_PAUSED && run->exit != BACKEND_STOPPED;
}

static inline bool exit_wants_answer(const struct backend_run *run)
{
    return (run->exit == BACKEND_PORT || run->exit == BACKEND_MMIO) && !run->write;
}

/* `chain` takes in all exits so far; the check is 16 bits of it. */
static inline uint16_t exit_check(uint64_t *chain, const struct backend_run *run)
{
    uint64_t kind = run->exit | (uint64_t)run->size << 8 | (uint64_t)run->write << 16;

    *chain = hash_word(hash_word(*chain, kind), run->address);
    if (run->write)
        *chain = hash_word(*chain, run->value);
    return (uint16_t)(*chain >> 24);
}

#endif
