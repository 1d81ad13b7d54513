/* SPDX-License-Identifier: MIT */
/* Memory: bandwidth, latency, and the kernel's part in handing pages out. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int item_memcpy(struct run *run, uint64_t *sum)
{
    enum { BYTES = 32 << 20 };
    unsigned char *from = malloc(BYTES), *to = malloc(BYTES);
    uint64_t seed = 13, hash = HASH_START;
    int result = -ENOMEM;

    if (!from || !to)
        goto out;
    memset(to, 0, BYTES);
    for (size_t i = 0; i < BYTES; i += 8) {
        uint64_t x = random_next(&seed);
        memcpy(from + i, &x, 8);
    }
    run_begin(run);
    for (uint64_t round = 0; round < run->n; round++) {
        from[round % BYTES]++;
        memcpy(to, from, BYTES);
        hash = hash_bytes(hash, to + round * 4096 % BYTES, 64);
    }
    *sum = hash;
    result = 0;
out:
    free(from);
    free(to);
    return result;
}

struct node {
    struct node *next;
    uint64_t number;
    char fill[48]; /* one node a cache line */
};

int item_chase(struct run *run, uint64_t *sum)
{
    enum { NODES = (32 << 20) / sizeof(struct node) };
    struct node *nodes = aligned_alloc(64, NODES * sizeof(*nodes));
    uint32_t *order = malloc(NODES * sizeof(*order));
    uint64_t seed = 17, total = 0;
    int result = -ENOMEM;

    if (!nodes || !order)
        goto out;
    for (uint32_t i = 0; i < NODES; i++)
        order[i] = i;
    for (uint32_t i = NODES - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(random_next(&seed) % i), keep = order[i];

        order[i] = order[j];
        order[j] = keep;
    }
    for (uint32_t i = 0; i < NODES; i++) {
        nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
        nodes[order[i]].number = i;
    }
    const struct node *at = &nodes[order[0]];
    run_begin(run);
    for (uint64_t i = 0; i < run->n * 10000; i++) {
        total += at->number;
        at = at->next;
    }
    *sum = total;
    result = 0;
out:
    free(nodes);
    free(order);
    return result;
}

int item_pagefault(struct run *run, uint64_t *sum)
{
    enum { PAGES = 1024, BYTES = PAGES * 4096 };
    uint64_t total = 0;

    for (uint64_t round = 0; round < run->n; round++) {
        volatile unsigned char *p =
            mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return -errno;
        /* Huge pages would make this one fault on one system and 1024 on another. */
        (void)madvise((void *)p, BYTES, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < BYTES; i += 4096) {
            p[i] = (unsigned char)(i >> 12);
            total += p[i];
        }
        if (munmap((void *)p, BYTES))
            return -errno;
    }
    *sum = total;
    return 0;
}
