/* SPDX-License-Identifier: MIT */
/*
 *     bench list              the items, one a line
 *     bench run ITEM N        one item
 *     bench serve             reads "run ITEM N" lines until "quit"; as process 1 it then powers
 * off bench true              exits at once (what the fork+exec item starts)
 *
 * A result is one line: @bench ITEM N NANOSECONDS CPU-NANOSECONDS CHECKSUM VARIANT
 * The first time is CLOCK_MONOTONIC's without the preparation; the second is what this process and
 * its children used of the CPU, with it.
 * A failure is one line: @failed ITEM N REASON
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const struct item items[] = {
    { "sieve", "primes below 2^20", item_sieve },
    { "sort", "qsort of 64 Ki integers through a comparison function", item_sort },
    { "calls", "recursion and a table of functions", item_calls },
    { "matrix", "product of two 128 x 128 matrices of doubles", item_matrix },
    { "bodies", "five bodies under gravity: scalar double, sqrt, division", item_bodies },
    { "vector", "integer and float lanes, AVX2 if shown, else SSE2", item_vector },
    { "sha256", "SHA-256, plain C", item_sha256 },
    { "sha256-best", "SHA-256, SHA instructions if shown, else plain C", item_sha256_best },
    { "aes", "AES-128 blocks, AES-NI if shown, else plain C", item_aes },
    { "memcpy", "copies of 32 MiB", item_memcpy },
    { "chase", "dependent loads over 32 MiB in random order", item_chase },
    { "syscall", "getppid", item_syscall },
    { "pagefault", "mmap, touch 1024 pages, munmap", item_pagefault },
    { "fork-exec", "fork, exec of a static program, wait", item_fork_exec },
    { "pingpong", "a byte there and back between two processes over pipes", item_pingpong },
    { "files", "create, write, stat, rename, read, unlink in tmpfs", item_files },
    { "shell", "busybox sh: arithmetic, strings, subshells, pipelines", item_shell },
    { "compiler", "gcc's cc1 -O1 over one generated file", item_compiler },
    { "python", "CPython: objects, dicts, strings, floats", item_python },
};
enum { ITEMS = sizeof(items) / sizeof(items[0]) };

uint64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_used(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000u;
}

static uint64_t cpu_now(void)
{
    return cpu_used(RUSAGE_SELF) + cpu_used(RUSAGE_CHILDREN);
}

void run_begin(struct run *run)
{
    run->start = clock_now();
}

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1du;
}

uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *p = data;

    while (bytes--)
        hash = (hash ^ *p++) * 0x100000001b3u;
    return hash;
}

static int run_item(struct run *run, const char *name, uint64_t n)
{
    uint64_t sum = 0, elapsed, cpu = cpu_now();

    for (size_t i = 0; i < ITEMS; i++) {
        if (strcmp(items[i].name, name) != 0)
            continue;
        run->n = n;
        run->variant = "-";
        run_begin(run);
        int result = items[i].work(run, &sum);
        elapsed = clock_now() - run->start;
        cpu = cpu_now() - cpu;
        if (result)
            printf("@failed %s %" PRIu64 " %s\n", name, n, strerror(-result));
        else
            printf("@bench %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 " %s\n", name, n,
                   elapsed, cpu, sum, run->variant);
        fflush(stdout);
        return result;
    }
    printf("@failed %s %" PRIu64 " no such item\n", name, n);
    fflush(stdout);
    return -ENOENT;
}

/* The guest's console would echo what the host sends. */
static void console_quiet(void)
{
    struct termios t;

    if (tcgetattr(STDIN_FILENO, &t) == 0) {
        t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
        t.c_oflag &= ~(tcflag_t)OPOST;
        tcsetattr(STDIN_FILENO, TCSANOW, &t);
    }
}

static void serve(struct run *run)
{
    char line[128], name[64];
    uint64_t n;

    console_quiet();
    printf("@ready\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4) != 0)
        if (sscanf(line, "run %63s %" SCNu64, name, &n) == 2)
            run_item(run, name, n);
    if (getpid() == 1)
        reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
    const char *root = getenv("BENCH_ROOT"), *tmp = getenv("BENCH_TMP");
    struct run run = { .self = argv[0], .root = root ? root : "", .tmp = tmp ? tmp : "/tmp" };

    if (argc == 2 && strcmp(argv[1], "true") == 0)
        return 0;
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < ITEMS; i++)
            printf("%-12s %s\n", items[i].name, items[i].what);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        serve(&run);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "run") == 0)
        return run_item(&run, argv[2], strtoull(argv[3], NULL, 10)) ? 1 : 0;
    fprintf(stderr, "usage: bench list | run ITEM N | serve\n");
    return 2;
}
