/* SPDX-License-Identifier: MIT */
/*
 * generate.h - random instruction encodings for the decoder's tests.
 *
 * The same seed gives the same encodings. Most are structured: what each field may hold is drawn on
 * its own, weighted towards values that make the encoding legal or only just illegal.
 */
#ifndef ORIGAMI_TESTS_DECODER_GENERATE_H
#define ORIGAMI_TESTS_DECODER_GENERATE_H

#include <stdint.h>

struct generator {
    uint64_t state;
};

void generator_init(struct generator *generator, uint64_t seed);
uint32_t generator_next(struct generator *generator);

/* Fills all 15 bytes: an encoding, and random bytes after it. */
void generate_encoding(struct generator *generator, unsigned code_size, uint8_t bytes[15]);

#endif
