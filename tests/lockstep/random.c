/* SPDX-License-Identifier: MIT */
/*
 * random.c - lockstep-random [--count N] [--seed N] [--only N] [--mutation NAME | --mutations]:
 * random programs in the Soft tier and in Step; the first difference is reduced, shown, and ends
 * the test. With
 * --mutations the Soft tier is broken in one way after another, and each must be found out.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "mutation.h"
#include "program.h"
#include "verifier.h"

#define COUNT_SHORT 60000u
#define COUNT_LONG  10000000u /* with ORIGAMI_LONG=1 */
#define REFILL      4096u

struct options {
    uint64_t count, seed, only;
    bool one, mutations;
};

static int port(struct vcpu *vcpu, uint16_t number, unsigned size, bool write, uint32_t *value)
{
    (void)vcpu, (void)size;
    if (!write)
        *value = number * 0x01010101u;
    return 0;
}

static int mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    (void)vcpu, (void)size;
    if (!write)
        *value = gpa * 0x0101010101010101ull;
    return 0;
}

static int sync_nothing(struct vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

static const struct machine_operations operations = { port, mmio, sync_nothing };

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = {
        { "count", required_argument, NULL, 'c' }, { "seed", required_argument, NULL, 's' },
        { "only", required_argument, NULL, 'o' },  { "mutation", required_argument, NULL, 'm' },
        { "mutations", no_argument, NULL, 'a' },   { 0 }
    };
    const char *long_run = getenv("ORIGAMI_LONG");
    struct options options = { .count = COUNT_SHORT, .seed = 1 };
    int option;
    if (long_run && *long_run == '1')
        options.count = COUNT_LONG;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'c') {
            options.count = strtoull(optarg, NULL, 0);
        } else if (option == 's') {
            options.seed = strtoull(optarg, NULL, 0);
        } else if (option == 'o') {
            options.only = strtoull(optarg, NULL, 0);
            options.one = true;
        } else if (option == 'a') {
            options.mutations = true;
        } else if (option != 'm' || !mutation_choose(optarg)) {
            fprintf(stderr, "usage: lockstep-random [--count N] [--seed N] [--only N] "
                            "[--mutation NAME | --mutations]\n");
            exit(2);
        }
    }
    return options;
}

static void difference(struct pair *pair, struct program *p, uint64_t number, const char *what)
{
    struct program_counts counts;
    printf("program %llu: %s\n", (unsigned long long)number, what);
    program_reduce(pair, p);
    memset(&counts, 0, sizeof(counts));
    program_show(p, stdout);
    report_registers(pair, stdout);
    report_memory(pair, stdout);
    report_blocks(&pair->machine[SOFT], pair->machine[STEP].vcpu->r.rip, stdout);
}

static int run(const struct options *options, struct pair *pair, struct pool *pool,
               struct program_counts *counts, uint64_t *done)
{
    static struct program program;
    uint64_t from = options->one ? options->only : 0;
    uint64_t to = options->one ? options->only + 1 : options->count;
    for (uint64_t i = from; i < to; i++, ++*done) {
        if (i % REFILL == 0 || i == from)
            pool_refill(pool, options->seed + i / REFILL * 0x10001);
        program_generate(&program, pool, options->seed * 0x9e3779b97f4a7c15ull + i);
        const char *what = program_run(pair, &program, counts);
        if (what == NULL && verifier_failed())
            return 1;
        if (what) {
            /* What is broken on purpose may never end while it is reduced: found is enough. */
            if (!options->mutations)
                difference(pair, &program, i, what);
            return 1;
        }
    }
    return 0;
}

/* Each mutation in a process of its own: 0 if all were found out. */
static int run_mutations(const struct options *options, struct pair *pair, struct pool *pool)
{
    int result = 0;
    for (unsigned i = 1; mutation_name(i); i++) {
        struct program_counts counts = { 0, 0, 0 };
        uint64_t done = 0;
        int status = 0;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stdout))
                _exit(2);
            (void)mutation_choose(mutation_name(i));
            _exit(run(options, pair, pool, &counts, &done));
        }
        if (child < 0 || waitpid(child, &status, 0) != child)
            return 2;
        bool found = !WIFEXITED(status) || WEXITSTATUS(status) == 1; /* a crash is a find as well */
        printf("%-16s %s\n", mutation_name(i), found ? "found" : "NOT FOUND");
        result |= !found;
    }
    return result;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    static struct pair pair;
    struct program_counts counts = { 0, 0, 0 };
    struct timespec begin, end;
    uint64_t done = 0;
    if (pair_create(&pair, ARENA_RAM, &operations)) {
        printf("the Soft tier does not work on this host\n");
        return 77; /* skipped */
    }
    struct pool *pool = pool_create(&pair.machine[STEP].vm.model);
    if (pool == NULL)
        return 2;
    mutation_start(&pair.machine[SOFT]);
    arena_prepare(&pair);
    if (options.mutations)
        return run_mutations(&options, &pair, pool);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int result = run(&options, &pair, pool, &counts, &done);
    clock_gettime(CLOCK_MONOTONIC, &end);
    /* Patched by now: as they were run last. */
    if (!verifier_all(pair.machine[SOFT].vcpu->translator))
        result = 1;
    const struct vcpu_statistics *s = &pair.machine[SOFT].vcpu->statistics;
    printf("seed %llu: %llu programs, %llu instructions (%llu translated code, %llu faults, "
           "%llu interrupts), %llu blocks verified, %llu invalidations, %llu flushes, %.1f s\n",
           (unsigned long long)options.seed, (unsigned long long)done,
           (unsigned long long)counts.instructions, (unsigned long long)s->direct,
           (unsigned long long)counts.faults, (unsigned long long)counts.interrupts,
           (unsigned long long)verifier_blocks(), (unsigned long long)s->pages_invalidated,
           (unsigned long long)s->cache_flushes,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9);
    return result;
}
