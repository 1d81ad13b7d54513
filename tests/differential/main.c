/* SPDX-License-Identifier: MIT */
/*
 * main.c - differential [--count N] [--seed N] [--show N] [--coverage]: random user-mode
 * instructions in 64-, 32- and 16-bit segments, on the bare CPU and in the Step tier; any
 * difference without a known reason fails.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "vector.h"

#define COUNT_SHORT 5000000u
#define COUNT_LONG  100000000u /* with ORIGAMI_LONG=1 */
#define SUSPECTS    64u
#define TRIES       16u /* of a suspect, when all vectors have run */

struct options {
    uint64_t count, seed, show;
    bool coverage;
};

/* A vector whose outcomes differ. It counts as a difference if it does so again: once in many
 * millions the CPU itself answers differently from one time to the next. */
struct suspect {
    struct input input;
    uint8_t extended[EXTENDED_SIZE], data[DATA_SIZE];
};

struct run {
    struct options options;
    struct guest *guest;
    struct oracle *oracle;
    struct generator generator;
    struct output *step;
    uint64_t *row_counts;
    uint64_t done, faults, differences, explained, passing;
    struct suspect *suspects;
    uint32_t suspect_count;
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
    run->suspects = calloc(SUSPECTS, sizeof(*run->suspects));
    if (!run->guest || !run->oracle || !run->step || !run->row_counts || !run->suspects)
        return false;
    run->generator = (struct generator){
        .random = run->options.seed,
        .extended_size = extended_size(),
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

/* The Step tier's side of vector i, and the verdict: NULL if equal or explained. */
static const char *judge(struct run *run, const struct batch *batch, uint32_t i,
                         const struct output *bare, struct instruction *insn)
{
    const struct input *in = &batch->input[i];
    struct difference d = { .input = in, .insn = insn, .bare = bare, .step = run->step };
    guest_run(run->guest, batch, i, run->step);
    (void)instruction_decode(in->code, 15, in->bits, insn);
    d.what = compare(batch, i, insn, bare, run->step);
    if (d.what && explained(&d)) {
        run->explained++;
        return NULL;
    }
    return d.what;
}

static void difference(struct run *run, const struct batch *batch, uint32_t i,
                       const struct output *bare, const struct instruction *insn, const char *what)
{
    if (run->differences++ < run->options.show)
        report(batch, i, insn, bare, run->step, what);
}

static void verify(struct run *run, const struct batch *batch, const struct output *bare)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct input *in = &batch->input[i];
        struct instruction insn;
        const char *what = judge(run, batch, i, &bare[i], &insn);
        run->row_counts[code_row(&insn)]++;
        run->faults += bare[i].faulted;
        if (what && run->suspect_count < SUSPECTS) {
            struct suspect *suspect = &run->suspects[run->suspect_count++];
            suspect->input = *in;
            memcpy(suspect->extended, batch->extended[in->extended], EXTENDED_SIZE);
            memcpy(suspect->data, batch->data[in->data], DATA_SIZE);
        } else if (what) {
            difference(run, batch, i, &bare[i], &insn, what);
        }
    }
    run->done += batch->count;
}

/* Runs a suspect again, several times over in one batch. */
static int try_again(struct run *run, const struct suspect *suspect)
{
    struct batch *place = oracle_batch(run->oracle);
    const struct output *outputs;
    const struct batch *batch;
    uint32_t died;
    place->count = TRIES;
    place->extended_size = run->generator.extended_size;
    for (uint32_t i = 0; i < TRIES; i++) {
        place->input[i] = suspect->input;
        place->input[i].extended = place->input[i].data = 0;
    }
    memcpy(place->extended[0], suspect->extended, EXTENDED_SIZE);
    memcpy(place->data[0], suspect->data, DATA_SIZE);
    oracle_submit(run->oracle);
    if (oracle_wait(run->oracle, &batch, &outputs, &died))
        return 1;
    for (uint32_t i = 0; i < TRIES; i++) {
        struct instruction insn;
        const char *what = judge(run, batch, i, &outputs[i], &insn);
        if (what) {
            difference(run, batch, i, &outputs[i], &insn, what);
            return 0;
        }
    }
    run->passing++;
    return 0;
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
    for (uint32_t i = 0; i < run->suspect_count; i++) {
        if (try_again(run, &run->suspects[i]))
            return 1;
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
    if (run.passing)
        printf("the bare CPU did otherwise once and not again: %llu\n",
               (unsigned long long)run.passing);
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
