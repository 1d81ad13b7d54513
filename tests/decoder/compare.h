/* SPDX-License-Identifier: MIT */
/*
 * compare.h - one encoding decoded by Origami and by Zydis, and the books kept about the
 * differences.
 */
#ifndef ORIGAMI_TESTS_DECODER_COMPARE_H
#define ORIGAMI_TESTS_DECODER_COMPARE_H

#include <stdbool.h>
#include <stdint.h>
#include <Zydis/Zydis.h>

#include "instruction.h"

/* Everything known about one encoding. */
struct specimen {
    const uint8_t *bytes; /* 15 */
    unsigned code_size;
    int status; /* ours: enum decode_status */
    struct instruction ours;
    bool valid; /* Zydis's verdict */
    ZydisDecodedInstruction theirs;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

enum { DIFFERENCE_CLASSES = 64 };

struct comparison {
    uint64_t examples; /* how many unlisted differences to print */
    uint64_t total, both_valid, both_invalid;
    uint64_t listed[DIFFERENCE_CLASSES];
    uint64_t unlisted;
    ZydisDecoder decoders[3]; /* 64, 32, 16 */
};

void comparison_init(struct comparison *comparison);

/* Compares one encoding; returns by how many bytes a sweep should go on. */
unsigned compare_one(struct comparison *comparison, const uint8_t bytes[15], unsigned code_size);

/* Prints the totals and each class of difference met. True if nothing unlisted was met. */
bool comparison_report(const struct comparison *comparison);

/*
 * The listed classes of differences (differences.c). Returns the class that covers this specimen,
 * which differs in `field` ("validity" when only one accepts), or -1.
 */
int difference_class(const struct specimen *specimen, const char *field);
const char *difference_reason(unsigned index); /* NULL past the last */

#endif
