/* SPDX-License-Identifier: MIT */
/*
 * fuzz_replay.c - runs a fuzz target without libFuzzer: on the files given, or else on random
 * encodings.
 *
 *   fuzz-decoder-replay [FILE...]
 */
#include <stdio.h>
#include <stdlib.h>

#include "generate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    static uint8_t buffer[1 << 16];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file)
        return -1;
    size = fread(buffer, 1, sizeof(buffer), file);
    fclose(file);
    LLVMFuzzerTestOneInput(buffer, size);
    return 0;
}

int main(int argc, char **argv)
{
    static const unsigned modes[3] = { 64, 32, 16 };
    struct generator generator;
    uint8_t bytes[15];

    for (int i = 1; i < argc; i++) {
        if (replay_file(argv[i])) {
            perror(argv[i]);
            return 1;
        }
    }
    if (argc > 1)
        return 0;
    generator_init(&generator, 42);
    for (unsigned i = 0; i < 200000; i++) {
        /* In a block of exactly that size, so that sanitizers see a byte too many. */
        size_t size = generator_next(&generator) % 16;
        uint8_t *block;

        generate_encoding(&generator, modes[i % 3], bytes);
        block = malloc(size ? size : 1);
        if (!block)
            return 1;
        for (size_t j = 0; j < size; j++)
            block[j] = bytes[j];
        LLVMFuzzerTestOneInput(block, size);
        free(block);
    }
    return 0;
}
