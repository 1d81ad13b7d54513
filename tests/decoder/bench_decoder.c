/* SPDX-License-Identifier: MIT */
/*
 * bench_decoder.c - nanoseconds per decoded instruction over the code of ELF files.
 *
 *   bench-decoder FILE...
 *
 * A linear sweep in 64-bit mode, the best of several passes. The target is under 30 ns.
 */
#include <stdio.h>
#include <time.h>

#include "instruction.h"
#include "sweep.h"

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void measure(void *context, const uint8_t *bytes, size_t size)
{
    double best = 1e9;
    unsigned long count = 0;

    (void)context;
    for (unsigned pass = 0; pass < 7; pass++) {
        double start = now(), elapsed;

        count = 0;
        for (size_t at = 0; at + 16 <= size; count++) {
            struct instruction in;

            at += instruction_decode(bytes + at, size - at, 64, &in) ? 1 : in.length;
        }
        elapsed = now() - start;
        if (elapsed < best)
            best = elapsed;
    }
    if (count)
        printf("%lu instructions, %.1f ns each\n", count, best * 1e9 / (double)count);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (sweep_file(argv[i], measure, NULL))
            printf("%s: not there or not ELF\n", argv[i]);
    }
    return 0;
}
