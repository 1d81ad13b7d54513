/* SPDX-License-Identifier: MIT */
/*
 * test_verifier.c - test-verifier [--programs N] [--seed N]: can the verifier fail? Blocks that
 * random programs left behind, jumps between them and all, are broken in one way after another
 * wherever that applies. Each time the verifier alone must refuse; put right again, it must accept.
 * Bytes changed at random must not confuse it either.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "damage.h"
#include "program.h"

#define PLACES 400u /* of one kind, at most */
#define FLIPS  64u  /* random changes of a block */

static int port(struct vcpu *vcpu, uint16_t number, unsigned size, bool write, uint32_t *value)
{
    (void)vcpu, (void)size;
    if (!write)
        *value = number;
    return 0;
}

static int mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    (void)vcpu, (void)size;
    if (!write)
        *value = gpa;
    return 0;
}

static int sync_nothing(struct vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

struct tally {
    unsigned places, accepted;
    const char *reason; /* of the first refusal */
};

static const struct damage_list *const lists[] = { &damage_memory, &damage_jumps, &damage_state };

#define ROWS 64u /* of a list, at most */

struct test {
    struct translator *t;
    struct tally tally[ARRAY_SIZE(lists)][ROWS];
    uint64_t random;
    uint64_t flips, flips_refused;
    bool refused_good;
};

/* The verifier's reading of the block in order: it reads the broken one over its own. */
static struct reading good;

static void keep_reading(void)
{
    const struct reading *r = verifier_reading();
    good.t = r->t;
    good.block = r->block;
    good.record = r->record;
    good.code = r->code;
    good.tables = r->tables;
    good.count = r->count;
    good.first_link = r->first_link;
    good.end_link = r->end_link;
    memcpy(good.line, r->line, r->count * sizeof(r->line[0]));
    memcpy(good.state, r->state, r->count * sizeof(r->state[0]));
    memcpy(good.reached, r->reached, r->count);
    memcpy(good.line_at, r->line_at, r->block->code_size * sizeof(r->line_at[0]));
}

static void expect_refusal(const struct test *test, const struct place *place,
                           const struct damage *damage, struct tally *tally)
{
    tally->places++;
    if (!verifier_block(test->t, place->block)) {
        tally->reason = tally->reason ? tally->reason : verifier_reason();
        return;
    }
    if (tally->accepted++ == 0)
        printf("accepted: %s, guest %#llx, host offset %#x\n", damage->name,
               (unsigned long long)place->block->rip, place->line->at - place->block->code);
}

static void break_line(struct test *test, struct soft_block *block, unsigned index)
{
    struct place place = { .t = test->t,
                           .block = block,
                           .r = &good,
                           .line = &good.line[index],
                           .s = &good.state[index],
                           .code = test->t->write_view + good.line[index].at };
    for (unsigned list = 0; list < ARRAY_SIZE(lists); list++) {
        for (unsigned i = 0; i < lists[list]->count; i++) {
            struct tally *tally = &test->tally[list][i];
            if (tally->places < PLACES && lists[list]->rows[i].apply(&place))
                expect_refusal(test, &place, &lists[list]->rows[i], tally);
            damage_undo(&place);
        }
    }
}

static void break_anywhere(struct test *test, struct soft_block *block)
{
    uint8_t *code = test->t->write_view + block->code;
    for (unsigned i = 0; i < FLIPS; i++) {
        uint8_t *at = code + random_under(&test->random, block->code_size);
        uint8_t old = *at;
        *at = (uint8_t)random_value(&test->random);
        test->flips += *at != old;
        test->flips_refused += !verifier_block(test->t, block);
        *at = old;
    }
}

static void break_block(struct test *test, struct soft_block *block)
{
    if (!verifier_block(test->t, block)) {
        test->refused_good = true;
        printf("refused in order: guest %#llx: %s\n", (unsigned long long)block->rip,
               verifier_reason());
        return;
    }
    keep_reading();
    for (unsigned i = 0; i < good.count; i++) {
        if (good.reached[i])
            break_line(test, block, i);
    }
    break_anywhere(test, block);
    if (!verifier_block(test->t, block))
        test->refused_good = true;
}

static int report_list(const struct damage_list *list, const struct tally *tally)
{
    int result = 0;
    for (unsigned i = 0; i < list->count; i++, tally++) {
        const char *verdict = tally->places == 0 ? "NOWHERE" : tally->accepted ? "ACCEPTED" : "ok";
        printf("%-28s %4u places, %u accepted  %-8s %s\n", list->rows[i].name, tally->places,
               tally->accepted, verdict, tally->reason ? tally->reason : "");
        result |= tally->places == 0 || tally->accepted;
    }
    return result;
}

static int report(const struct test *test)
{
    int result = test->refused_good;
    unsigned kinds = 0;
    for (unsigned list = 0; list < ARRAY_SIZE(lists); list++) {
        result |= report_list(lists[list], test->tally[list]);
        kinds += lists[list]->count;
    }
    printf("%u kinds of damage; %llu of %llu random changes of a byte refused\n", kinds,
           (unsigned long long)test->flips_refused, (unsigned long long)test->flips);
    return result;
}

static void report_speed(const struct translator *t)
{
    struct timespec begin, end;
    const unsigned rounds = 20;
    bool in_order = true;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < rounds; i++)
        in_order &= verifier_all(t);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
    printf("%.0f blocks per second%s\n", rounds * t->block_count / seconds,
           in_order ? "" : ", and not all of them in order");
}

/* Some of the blocks, each as likely as any other. */
static void break_some(struct test *test)
{
    struct translator *t = test->t;
    for (uint32_t i = 1; i <= t->block_count; i++) {
        if (random_under(&test->random, 8) == 0)
            break_block(test, &t->block[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = { { "programs", required_argument, NULL, 'p' },
                                           { "seed", required_argument, NULL, 's' },
                                           { 0 } };
    static const struct machine_operations operations = { port, mmio, sync_nothing };
    static struct pair pair;
    static struct program program;
    uint64_t programs = 600, seed = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option != 'p' && option != 's') {
            fprintf(stderr, "usage: test-verifier [--programs N] [--seed N]\n");
            return 2;
        }
        *(option == 'p' ? &programs : &seed) = strtoull(optarg, NULL, 0);
    }
    static struct test test;
    if (pair_create(&pair, ARENA_RAM, &operations)) {
        printf("the Soft tier does not work on this host\n");
        return 77; /* skipped */
    }
    struct pool *pool = pool_create(&pair.machine[STEP].vm.model);
    if (pool == NULL)
        return 2;
    test.random = seed;
    test.t = pair.machine[SOFT].vcpu->translator;
    pool_refill(pool, seed);
    arena_prepare(&pair);
    verifier_quiet();
    for (uint64_t i = 0; i < programs; i++) {
        struct program_counts counts = { 0, 0, 0 };
        program_generate(&program, pool, seed * 0x9e3779b97f4a7c15ull + i);
        (void)program_run(&pair, &program, &counts); /* whether it is right is another test's */
        if (i % 60 == 59)
            break_some(&test);
    }
    report_speed(test.t);
    return report(&test);
}
