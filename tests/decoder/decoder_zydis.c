/* SPDX-License-Identifier: MIT */
/*
 * decoder_zydis.c - the decoder against Zydis, an independent decoder, on millions of encodings.
 *
 *   decoder-zydis [--count N] [--seed S] [--verbose N] [FILE...]
 *
 * N encodings are generated in equal parts for 64-, 32- and 16-bit code, structured (prefixes, map,
 * opcode and ModRM drawn separately, so that every row is reached) and raw; then the executable
 * segments of each ELF file are swept instruction by instruction in all three modes. Compared are
 * validity, length and, when both accept, every field of the operands (compare.c). A difference
 * passes only if it belongs to one of the classes of differences.c, each with its reason; any other
 * is printed and fails the test.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "generate.h"
#include "sweep.h"

static const unsigned code_sizes[3] = { 64, 32, 16 };

static void usage(FILE *to)
{
    fputs("usage: decoder-zydis [--count N] [--seed S] [--verbose N] [FILE...]\n"
          "Compares the decoder with Zydis on N random encodings and on the code of ELF files.\n",
          to);
}

static void compare_random(struct comparison *comparison, uint64_t count, uint64_t seed)
{
    struct generator generator;
    uint8_t bytes[INSTRUCTION_MAX_LENGTH];

    generator_init(&generator, seed);
    for (uint64_t i = 0; i < count; i++) {
        unsigned code_size = code_sizes[i % 3];

        generate_encoding(&generator, code_size, bytes);
        compare_one(comparison, bytes, code_size);
    }
}

static void sweep_callback(void *context, const uint8_t *bytes, size_t size)
{
    for (unsigned mode = 0; mode < 3; mode++) {
        size_t at = 0;

        while (at < size) {
            uint8_t window[INSTRUCTION_MAX_LENGTH] = { 0 };
            size_t left = size - at;

            memcpy(window, bytes + at, left < sizeof(window) ? left : sizeof(window));
            at += compare_one(context, window, code_sizes[mode]);
        }
    }
}

int main(int argc, char **argv)
{
    struct comparison comparison = { .examples = 10 };
    uint64_t count = 2000000, seed = 1;

    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;

        if (more && !strcmp(argv[i], "--count")) {
            count = strtoull(argv[++i], NULL, 0);
        } else if (more && !strcmp(argv[i], "--seed")) {
            seed = strtoull(argv[++i], NULL, 0);
        } else if (more && !strcmp(argv[i], "--verbose")) {
            comparison.examples = strtoull(argv[++i], NULL, 0);
        } else if (argv[i][0] == '-') {
            usage(stderr);
            return 2;
        }
    }
    comparison_init(&comparison);
    compare_random(&comparison, count, seed);
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            i++;
        else if (sweep_file(argv[i], sweep_callback, &comparison))
            printf("note: %s is not there or not ELF, skipped\n", argv[i]);
    }
    return comparison_report(&comparison) ? 0 : 1;
}
