/* SPDX-License-Identifier: MIT */
/*
 * hash.h - a 64-bit hash to compare machine states with. Not cryptographic: it finds differences
 * between honest runs.
 */
#ifndef ORIGAMI_MACHINE_HASH_H
#define ORIGAMI_MACHINE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_START 0x6f726967616d6931ull

/* One step: the two halves of a 128-bit product folded together, so that every input bit matters.
 */
static inline uint64_t hash_word(uint64_t hash, uint64_t word)
{
    unsigned __int128 product =
        (unsigned __int128)(hash ^ 0x9e3779b97f4a7c15ull) * (word ^ 0xd6e8feb86659fd93ull);
    /* The word is added again: a zero factor must not forget the state. */
    return ((uint64_t)product ^ (uint64_t)(product >> 64)) + (hash << 7 | hash >> 57) + word;
}

static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t word;

    for (; size >= 8; size -= 8, at += 8) {
        memcpy(&word, at, 8);
        hash = hash_word(hash, word);
    }
    word = size;
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)at[i] << (8 * i + 8);
    return hash_word(hash, word);
}

#endif
