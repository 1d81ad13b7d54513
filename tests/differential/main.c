/* SPDX-License-Identifier: MIT */
/*
 * main.c - differential [--count N] [--seed N] [--show N]: random user-mode instructions in 64- and 32-bit
 * segments, on the bare CPU and in the Step tier; any difference fails.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "vector.h"

struct options {
    uint64_t count, seed, show;
};

static void usage(void)
{
    fprintf(stderr, "usage: differential [--count N] [--seed N] [--show N]\n");
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = { { "count", required_argument, NULL, 'c' },
                                           { "seed", required_argument, NULL, 's' },
                                           { "show", required_argument, NULL, 'w' },
                                           { 0 } };
    struct options options = { .count = 5000000, .seed = 1, .show = 10 };
    int option;
    if (getenv("ORIGAMI_LONG"))
        options.count = 100000000;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint64_t *value = option == 'c' ? &options.count :
                          option == 's' ? &options.seed :
                          option == 'w' ? &options.show :
                                          NULL;
        if (value == NULL)
            usage();
        *value = strtoull(optarg, NULL, 0);
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    uint64_t mask, differences = 0, done = 0, faults = 0;
    struct guest *guest = guest_create(&mask);
    struct oracle *oracle = oracle_start(mask);
    struct generator generator = { .random = options.seed, .extended_size = extended_size() };
    struct batch *batch = aligned_alloc(64, (sizeof(*batch) + 63) & ~(size_t)63);
    struct output *bare = aligned_alloc(64, sizeof(*bare) * BATCH);
    struct output *step = aligned_alloc(64, sizeof(*step));
    if (!guest || !oracle || !batch || !bare || !step)
        return 2;
    generator.model = guest_model(guest);
    while (done < options.count) {
        uint32_t count = options.count - done < BATCH ? (uint32_t)(options.count - done) : BATCH;
        uint32_t died = 0;
        generate_batch(&generator, batch, count);
        if (oracle_run(oracle, batch, bare, &died)) {
            printf("the bare CPU's process died at:");
            for (unsigned i = 0; i < batch->input[died].length; i++)
                printf(" %02x", batch->input[died].code[i]);
            printf("\n");
            return 1;
        }
        for (uint32_t i = 0; i < count; i++) {
            struct instruction insn;
            guest_run(guest, batch, i, step);
            (void)instruction_decode(batch->input[i].code, 15, batch->input[i].bits, &insn);
            const char *what = compare(batch, i, &insn, &bare[i], step);
            faults += bare[i].faulted;
            if (what == NULL || explained(&(struct difference){ .input = &batch->input[i], .insn = &insn,
                                                                .bare = &bare[i], .step = step,
                                                                .what = what }))
                continue;
            if (differences++ < options.show)
                report(batch, i, &insn, &bare[i], step, what);
        }
        done += count;
    }
    oracle_stop(oracle);
    guest_destroy(guest);
    (void)explained_show();
    printf("%llu instructions (%llu of them faulted), %llu differences\n",
           (unsigned long long)done, (unsigned long long)faults, (unsigned long long)differences);
    return differences != 0;
}
