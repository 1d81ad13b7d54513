/* SPDX-License-Identifier: MIT */
/*
 * main.c - differential [--count N] [--seed N] [--show N] [--coverage]: random user-mode instructions in 64-,
 * 32- and 16-bit segments, on the bare CPU and in the Step tier; any difference without a known reason fails.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "vector.h"

#define COUNT_SHORT 5000000u
#define COUNT_LONG  100000000u /* with ORIGAMI_LONG=1 */

struct options {
    uint64_t count, seed, show;
    bool coverage;
};

struct run {
    struct options options;
    struct guest *guest;
    struct oracle *oracle;
    struct generator generator;
    struct output *step;
    uint64_t *row_counts;
    uint64_t done, faults, differences, explained;
};

static void usage(void)
{
    fprintf(stderr, "usage: differential [--count N] [--seed N] [--show N] [--coverage]\n");
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = { { "count", required_argument, NULL, 'c' },
                                           { "seed", required_argument, NULL, 's' },
                                           { "show", required_argument, NULL, 'w' },
                                           { "coverage", no_argument, NULL, 'v' },
                                           { 0 } };
    struct options options = { .count = COUNT_SHORT, .seed = 1, .show = 10 };
    const char *long_run = getenv("ORIGAMI_LONG");
    int option;
    if (long_run && *long_run == '1')
        options.count = COUNT_LONG;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'v')
            options.coverage = true;
        else if (option == 'c')
            options.count = strtoull(optarg, NULL, 0);
        else if (option == 's')
            options.seed = strtoull(optarg, NULL, 0);
        else if (option == 'w')
            options.show = strtoull(optarg, NULL, 0);
        else
            usage();
    }
    return options;
}

static bool prepare(struct run *run)
{
    uint64_t mask;
    run->guest = guest_create(&mask);
    run->oracle = oracle_start(mask);
    run->step = aligned_alloc(64, sizeof(*run->step));
    run->row_counts = calloc(instruction_row_count, sizeof(*run->row_counts));
    if (!run->guest || !run->oracle || !run->step || !run->row_counts)
        return false;
    run->generator = (struct generator){
        .random = run->options.seed, .extended_size = extended_size(),
        .model = guest_model(run->guest),
        .segment_bases = oracle_has_segment_bases(run->oracle),
        .local_descriptors = oracle_has_local_descriptors(run->oracle),
    };
    if (!run->generator.segment_bases)
        printf("no RDFSBASE on this host: FS and GS are left out\n");
    if (!run->generator.local_descriptors)
        printf("no modify_ldt on this host: 16-bit code is left out\n");
    run->generator.templates = code_templates_make(&run->generator);
    return run->generator.templates != NULL;
}

/* Fills the next free place and hands it over, if there is anything left to do. */
static bool submit(struct run *run, uint64_t *submitted)
{
    uint64_t left = run->options.count - *submitted;
    if (left == 0)
        return false;
    uint32_t count = left < BATCH ? (uint32_t)left : BATCH;
    generate_batch(&run->generator, oracle_batch(run->oracle), count);
    oracle_submit(run->oracle);
    *submitted += count;
    return true;
}

static void verify(struct run *run, const struct batch *batch, const struct output *bare)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct input *in = &batch->input[i];
        struct difference d = { .input = in, .bare = &bare[i], .step = run->step };
        struct instruction insn;
        d.insn = &insn;
        guest_run(run->guest, batch, i, run->step);
        (void)instruction_decode(in->code, 15, in->bits, &insn);
        run->row_counts[code_row(&insn)]++;
        run->faults += bare[i].faulted;
        d.what = compare(batch, i, &insn, &bare[i], run->step);
        if (d.what == NULL)
            continue;
        if (explained(&d)) {
            run->explained++;
            continue;
        }
        if (run->differences++ < run->options.show)
            report(batch, i, &insn, &bare[i], run->step, d.what);
    }
    run->done += batch->count;
}

static int go(struct run *run)
{
    const struct batch *batch;
    const struct output *outputs;
    uint64_t submitted = 0;
    uint32_t died = 0;
    bool more = submit(run, &submitted) && submit(run, &submitted); /* two ahead */
    while (run->done < run->options.count) {
        if (more)
            more = submit(run, &submitted);
        if (oracle_wait(run->oracle, &batch, &outputs, &died)) {
            printf("the bare CPU's process is lost at: (%u-bit)", batch->input[died].bits);
            for (unsigned i = 0; i < batch->input[died].length; i++)
                printf(" %02x", batch->input[died].code[i]);
            printf("\n");
            return 1;
        }
        verify(run, batch, outputs);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct run run = { .options = parse(argc, argv) };
    struct timespec begin, end;
    if (!prepare(&run))
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (go(&run))
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    oracle_stop(run.oracle);
    guest_destroy(run.guest);
    explained_show();
    if (run.options.coverage)
        code_coverage(&run.generator, run.row_counts);
    printf("seed %llu: %llu instructions in %.1f s (%llu faulted), %llu explained, "
           "%llu differences\n",
           (unsigned long long)run.options.seed, (unsigned long long)run.done,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9,
           (unsigned long long)run.faults, (unsigned long long)run.explained,
           (unsigned long long)run.differences);
    return run.differences != 0;
}
