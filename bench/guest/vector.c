/* SPDX-License-Identifier: MIT */
/*
 * Vector work written once with the compiler's vector types and compiled twice: for AVX2 and for
 * the SSE2 that every x86-64 has. Which one runs is decided by what CPUID and XCR0 show.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>

typedef uint32_t lanes __attribute__((vector_size(32)));
typedef float floats __attribute__((vector_size(32)));

enum { VECTORS = 1024 }; /* 32 KiB of each kind: stays in the first-level caches */

struct data {
    lanes x[VECTORS];
    floats f[VECTORS];
};

/* No fused multiply-add: its result differs from SSE2's. */
static inline __attribute__((always_inline)) void mix(struct data *d, uint64_t rounds)
{
    const lanes k = { 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f,
                      0x165667b1, 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d };
    const floats half = { 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f };
    const floats step = { 1, 2, 3, 4, 5, 6, 7, 8 };

    for (uint64_t round = 0; round < rounds; round++) {
        lanes carry = k;

        for (int i = 0; i < VECTORS; i++) {
            lanes v = d->x[i] * k;

            v ^= v << 13 | v >> 19;
            carry += v & ~carry;
            d->x[i] = v ^ carry;
            d->f[i] = d->f[i] * half + step;
        }
    }
}

__attribute__((target("avx2"))) static void mix_avx2(struct data *d, uint64_t rounds)
{
    mix(d, rounds);
}

static void mix_sse2(struct data *d, uint64_t rounds)
{
    mix(d, rounds);
}

int item_vector(struct run *run, uint64_t *sum)
{
    struct data *d = aligned_alloc(64, sizeof(*d));
    uint64_t seed = 3;

    if (!d)
        return -ENOMEM;
    for (int i = 0; i < VECTORS; i++)
        for (int j = 0; j < 8; j++) {
            d->x[i][j] = (uint32_t)(random_next(&seed) >> 32);
            d->f[i][j] = (float)(random_next(&seed) >> 50);
        }
    if (__builtin_cpu_supports("avx2")) {
        run->variant = "avx2";
        run_begin(run);
        mix_avx2(d, run->n);
    } else {
        run->variant = "sse2";
        run_begin(run);
        mix_sse2(d, run->n);
    }
    *sum = hash_bytes(HASH_START, d, sizeof(*d));
    free(d);
    return 0;
}
