/* SPDX-License-Identifier: MIT */
/* Integer and floating-point work that never enters the kernel once its memory is there. */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int item_sieve(struct run *run, uint64_t *sum)
{
    enum { LIMIT = 1 << 20 };
    unsigned char *composite = malloc(LIMIT);
    uint64_t total = 0;

    if (!composite)
        return -ENOMEM;
    memset(composite, 0, LIMIT);
    run_begin(run);
    for (uint64_t round = 0; round < run->n; round++) {
        memset(composite, 0, LIMIT);
        for (uint32_t i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            total += i ^ round;
            for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
    }
    free(composite);
    *sum = total;
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

int item_sort(struct run *run, uint64_t *sum)
{
    enum { COUNT = 1 << 16 };
    uint32_t *v = malloc(COUNT * sizeof(*v));
    uint64_t seed = 1, hash = HASH_START;

    if (!v)
        return -ENOMEM;
    memset(v, 0, COUNT * sizeof(*v));
    run_begin(run);
    for (uint64_t round = 0; round < run->n; round++) {
        for (size_t i = 0; i < COUNT; i++)
            v[i] = (uint32_t)(random_next(&seed) >> 32);
        qsort(v, COUNT, sizeof(*v), compare);
        for (size_t i = 0; i < COUNT; i += 64)
            hash = hash_bytes(hash, &v[i], sizeof(v[i]));
    }
    free(v);
    *sum = hash;
    return 0;
}

__attribute__((noinline)) static uint64_t fibonacci(unsigned n)
{
    __asm__ volatile("" : "+r"(n)); /* keeps the compiler from unrolling the recursion away */
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

typedef uint64_t operation(uint64_t);

__attribute__((noinline)) static uint64_t op_add(uint64_t x)
{
    return x + 0x9e3779b97f4a7c15u;
}
__attribute__((noinline)) static uint64_t op_xor(uint64_t x)
{
    return x ^ x >> 29;
}
__attribute__((noinline)) static uint64_t op_multiply(uint64_t x)
{
    return x * 0xbf58476d1ce4e5b9u;
}
__attribute__((noinline)) static uint64_t op_rotate(uint64_t x)
{
    return x << 17 | x >> 47;
}

int item_calls(struct run *run, uint64_t *sum)
{
    static operation *const table[] = { op_add, op_xor, op_multiply, op_rotate };
    uint64_t x = 1;

    for (uint64_t round = 0; round < run->n; round++) {
        x += fibonacci(20);
        for (unsigned i = 0; i < 20000; i++)
            x = table[x >> 7 & 3](x);
    }
    *sum = x;
    return 0;
}

int item_matrix(struct run *run, uint64_t *sum)
{
    enum { N = 128 };
    double(*a)[N] = malloc(3 * sizeof(double[N][N]));
    uint64_t seed = 7;

    if (!a)
        return -ENOMEM;
    double(*b)[N] = a + N, (*c)[N] = a + 2 * N;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (double)(random_next(&seed) >> 40) / 16777216.0;
            b[i][j] = (double)(random_next(&seed) >> 40) / 16777216.0;
            c[i][j] = 0;
        }
    run_begin(run);
    for (uint64_t round = 0; round < run->n; round++)
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++) {
                double x = a[i][k];

                for (int j = 0; j < N; j++)
                    c[i][j] += x * b[k][j];
            }
    *sum = hash_bytes(HASH_START, c, sizeof(double[N][N]));
    free(a);
    return 0;
}

struct body {
    double at[3], speed[3], mass;
};

static void advance(struct body *bodies, int count, double dt)
{
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++) {
            double d[3], square = 0.01;

            for (int k = 0; k < 3; k++) {
                d[k] = bodies[i].at[k] - bodies[j].at[k];
                square += d[k] * d[k];
            }
            double pull = dt / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                bodies[i].speed[k] -= d[k] * bodies[j].mass * pull;
                bodies[j].speed[k] += d[k] * bodies[i].mass * pull;
            }
        }
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].at[k] += dt * bodies[i].speed[k];
}

int item_bodies(struct run *run, uint64_t *sum)
{
    struct body bodies[5];
    uint64_t seed = 11;

    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 3; k++) {
            bodies[i].at[k] = (double)(random_next(&seed) >> 40) / 1048576.0;
            bodies[i].speed[k] = (double)(random_next(&seed) >> 40) / 16777216.0;
        }
        bodies[i].mass = 1.0 + i;
    }
    for (uint64_t round = 0; round < run->n; round++)
        for (int step = 0; step < 1000; step++)
            advance(bodies, 5, 0.001);
    *sum = hash_bytes(HASH_START, bodies, sizeof(bodies));
    return 0;
}
