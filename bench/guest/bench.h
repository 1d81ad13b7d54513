/* SPDX-License-Identifier: MIT */
/*
 * The benchmark program: one static binary that runs the same items on bare Linux and in a guest.
 * An item does n units of work and returns a checksum that depends on n and on nothing else, so
 * equal checksums mean that the three systems did the same work and got the same result.
 */
#ifndef ORIGAMI_BENCH_H
#define ORIGAMI_BENCH_H

#include <stddef.h>
#include <stdint.h>

struct run {
    uint64_t n;          /* units of work */
    uint64_t start;      /* CLOCK_MONOTONIC when the work began, in ns */
    const char *variant; /* what the item chose by CPUID, or "-" */
    const char *self;    /* path of this program */
    const char *root;    /* where the other programs are: "" in the guest */
    const char *tmp;     /* a directory in memory */
};

struct item {
    const char *name;
    const char *what; /* for `bench list` */
    int (*work)(struct run *run, uint64_t *sum);
};

/* Preparation is over: the clock starts (again) here. */
void run_begin(struct run *run);
uint64_t clock_now(void);

/* A small generator (xorshift64*) and FNV-1a, both the same everywhere. */
uint64_t random_next(uint64_t *state);
uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes);
#define HASH_START 0xcbf29ce484222325u

/* Items: 0, or -errno. */
int item_sieve(struct run *run, uint64_t *sum);
int item_sort(struct run *run, uint64_t *sum);
int item_calls(struct run *run, uint64_t *sum);
int item_matrix(struct run *run, uint64_t *sum);
int item_bodies(struct run *run, uint64_t *sum);
int item_vector(struct run *run, uint64_t *sum);
int item_sha256(struct run *run, uint64_t *sum);
int item_sha256_best(struct run *run, uint64_t *sum);
int item_aes(struct run *run, uint64_t *sum);
int item_memcpy(struct run *run, uint64_t *sum);
int item_chase(struct run *run, uint64_t *sum);
int item_syscall(struct run *run, uint64_t *sum);
int item_pagefault(struct run *run, uint64_t *sum);
int item_fork_exec(struct run *run, uint64_t *sum);
int item_pingpong(struct run *run, uint64_t *sum);
int item_files(struct run *run, uint64_t *sum);
int item_shell(struct run *run, uint64_t *sum);
int item_compiler(struct run *run, uint64_t *sum);
int item_python(struct run *run, uint64_t *sum);

#endif
