/* SPDX-License-Identifier: MIT */
/*
 * The solver, the exhaustive enumeration and the replay, on every instruction of real descriptions.
 *
 * Usage: test_small_widths [--flip] FILE...
 *
 * For each instruction some small universes (small_universe.h) are decided twice, by the solver and
 * by trying every combination: every property must get the same answer. Every witness of either is
 * replayed by the evaluator and must lie in the universe. Then both are compared with what the
 * solver says of all states, at the declared widths:
 *
 *   small yes, declared no     is impossible, and a failure
 *   small no, declared yes     must be explained: the declared witness has a value that the
 * universe lacks, which is named; and with the values of that witness for a universe both must say
 * yes
 *
 * Each difference is printed, and a table counts them. ORIGAMI_LONG=1 tries more and larger
 * universes. With --flip the enumeration works on a changed instruction (a privilege check flipped,
 * one at a time) and must be caught disagreeing: this test can fail.
 */
#include "commands.h"
#include "flip.h"
#include "small_universe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT = 60000, INSTRUCTIONS = ISA_MAX_INSTRUCTIONS };

struct effort {
    unsigned universes;
    double bits;
};

struct tally {
    unsigned instructions, questions, universes, yes, no, replays, differences, undecided, failed;
    unsigned classes_same, classes_differ;
};

struct subject {
    const struct isa_description *description;
    const struct isa_instruction *instruction;
    unsigned index; /* of the instruction: its universes depend on nothing else */
    struct small_universe small;
    const struct effort *effort;
    struct tally *tally;
};

static unsigned complain(struct subject *subject, int property, const char *what)
{
    printf("%s, %s%s%s: %s\n", subject->description->name, subject->instruction->name,
           property >= 0 ? ", " : "", property >= 0 ? property_rows[property].name : "", what);
    subject->tally->failed++;
    return 1;
}

/* Each witness once more, by the evaluator alone, and is it one of these states? */
static unsigned replay(struct subject *subject, struct search_result *result)
{
    char outside[160];

    for (int i = 0; i < PROPERTY_COUNT; i++) {
        if ((result->answer[i] == ANSWER_YES) != (result->witness[i] != NULL))
            return complain(subject, i, "an answer without a witness");
        if (result->witness[i] == NULL)
            continue;
        if (!witness_holds(subject->description, result->witness[i]))
            return complain(subject, i, "a witness that does not replay");
        if (!small_universe_holds(&subject->small, result->witness[i], outside, sizeof(outside)))
            return complain(subject, i, "a witness from outside the universe");
        subject->tally->replays++;
    }
    return 0;
}

/* Decides one universe both ways; what was found is added to `found`. */
static unsigned decide(struct subject *subject, enum answer *found)
{
    struct search_result solved, tried;
    unsigned wrong = 0;
    int error = search_solve(subject->description, subject->instruction, &subject->small.universe,
                             TIMEOUT, &solved);

    memset(&tried, 0, sizeof(tried));
    if (error != 0)
        wrong = complain(subject, (int)solved.failed,
                         error == -EPROTO ? "the solver's witness does not replay"
                                          : "the solver failed");
    if (wrong == 0 && search_enumerate(subject->description, subject->instruction,
                                       &subject->small.universe, &tried) != 0)
        wrong = complain(subject, -1, "the enumeration failed");
    for (int i = 0; i < PROPERTY_COUNT && wrong == 0; i++) {
        if (!search_applies(subject->description, (enum property)i))
            continue;
        subject->tally->questions++;
        if (solved.answer[i] == ANSWER_UNDECIDED)
            subject->tally->undecided++;
        else if (solved.answer[i] != tried.answer[i])
            wrong = complain(subject, i,
                             tried.answer[i] == ANSWER_YES ? "enumeration yes, solver no"
                                                           : "solver yes, enumeration no");
        subject->tally->yes += tried.answer[i] == ANSWER_YES;
        subject->tally->no += tried.answer[i] == ANSWER_NO;
        if (tried.answer[i] == ANSWER_YES)
            found[i] = ANSWER_YES;
    }
    if (wrong == 0)
        wrong = replay(subject, &solved) + replay(subject, &tried);
    subject->tally->universes++;
    search_release(&solved);
    search_release(&tried);
    return wrong;
}

static void grow(struct subject *subject, unsigned number)
{
    small_universe_grow(&subject->small, subject->instruction,
                        (uint64_t)subject->index * 1000 + number, subject->effort->bits);
}

/* "No" among the small universes, "yes" among all states. */
static unsigned explain(struct subject *subject, enum property property, struct witness *witness)
{
    enum answer found[PROPERTY_COUNT] = { ANSWER_NO };
    char outside[160] = "";

    subject->tally->differences++;
    for (unsigned i = 0; i < subject->effort->universes; i++) {
        grow(subject, i);
        if (small_universe_holds(&subject->small, witness, outside, sizeof(outside)))
            return complain(subject, (int)property, "a witness in the universe that was not found");
    }
    small_universe_of(&subject->small, witness);
    if (decide(subject, found) != 0)
        return 1;
    if (found[property] != ANSWER_YES)
        return complain(subject, (int)property, "not found with the values of its witness");
    printf("  %s, %s, %s: needs %s, or the like\n", subject->description->name,
           subject->instruction->name, property_rows[property].name, outside);
    return 0;
}

static void compare_classes(struct subject *subject, const struct search_result *declared,
                            const enum answer *found)
{
    struct instruction_report small = { .instruction = subject->instruction };
    struct instruction_report large = { .instruction = subject->instruction };

    memcpy(large.found.answer, declared->answer, sizeof(large.found.answer));
    memcpy(small.found.answer, found, sizeof(small.found.answer));
    analysis_classify(&large);
    analysis_classify(&small);
    if (memcmp(small.is, large.is, sizeof(small.is)) == 0)
        subject->tally->classes_same++;
    else
        subject->tally->classes_differ++;
}

static unsigned examine(struct subject *subject)
{
    enum answer found[PROPERTY_COUNT] = { ANSWER_NO };
    struct search_result declared;
    unsigned wrong = 0;

    if (search_solve(subject->description, subject->instruction, NULL, TIMEOUT, &declared) != 0)
        wrong = complain(subject, -1, "the solver failed at the declared widths");
    for (unsigned i = 0; i < subject->effort->universes && wrong == 0; i++) {
        grow(subject, i);
        wrong = decide(subject, found);
    }
    compare_classes(subject, &declared, found);
    for (int i = 0; i < PROPERTY_COUNT && wrong == 0; i++) {
        if (found[i] == ANSWER_YES && declared.answer[i] == ANSWER_NO)
            wrong = complain(subject, i, "yes among few states, no among all");
        else if (found[i] == ANSWER_NO && declared.answer[i] == ANSWER_YES)
            wrong = explain(subject, (enum property)i, declared.witness[i]);
    }
    subject->tally->instructions++;
    search_release(&declared);
    return wrong;
}

/* The enumeration sees the flipped instruction, the solver the original. True: caught. */
static bool disagree(struct subject *subject, struct flip *flip)
{
    bool caught = false;

    for (unsigned i = 0; i < subject->effort->universes && !caught; i++) {
        struct search_result solved, tried;

        grow(subject, i);
        if (search_solve(subject->description, subject->instruction, &subject->small.universe,
                         TIMEOUT, &solved) != 0)
            return false;
        flip_do(subject->description, flip);
        caught = search_enumerate(subject->description, subject->instruction,
                                  &subject->small.universe, &tried) == 0 &&
                 memcmp(solved.answer, tried.answer, sizeof(solved.answer)) != 0;
        flip_undo(flip);
        search_release(&solved);
        search_release(&tried);
    }
    return caught;
}

/* A check before what always traps changes nothing. */
static bool runs(struct subject *subject)
{
    struct search_result declared;
    bool found =
        search_solve(subject->description, subject->instruction, NULL, TIMEOUT, &declared) == 0 &&
        declared.answer[PROPERTY_RUNS_IN_USER] == ANSWER_YES;

    search_release(&declared);
    return found;
}

/* A privilege check that is taken out, negated, or put where there was none, must always be seen.
 */
static unsigned examine_flips(struct subject *subject, struct isa_instruction *instruction)
{
    static struct flip flips[FLIP_MAX];
    unsigned count = flip_list(subject->description, instruction, flips), wrong = 0;

    for (unsigned i = 0; i < count; i++) {
        if (!flips[i].traps || flips[i].mixed || (flips[i].kind == FLIP_ADD && !runs(subject)))
            continue;
        subject->tally->questions++;
        if (!disagree(subject, &flips[i])) {
            printf("%s, %s: check %s: not noticed\n", subject->description->name, instruction->name,
                   flip_names[flips[i].kind]);
            wrong++;
        }
    }
    return wrong;
}

static unsigned examine_file(const char *path, bool flips, const struct effort *effort,
                             struct tally *tally)
{
    struct description_options options = { 0 };
    struct isa_description *description = NULL;
    struct subject subject = { .effort = effort, .tally = tally };
    unsigned wrong = 0;
    int error;

    if (command_open(path, &options, &description) != 0)
        return 1;
    subject.description = description;
    error = description->pair_declared ? small_universe_init(&subject.small, description) : 0;
    if (!description->pair_declared)
        printf("%s: no modes, nothing to decide\n", description->name);
    if (error != 0)
        printf("%s: no universe (%d)\n", path, error);
    for (unsigned i = 0; description->pair_declared && error == 0 &&
                         i < description->instruction_count && wrong == 0;
         i++) {
        subject.instruction = description->instructions[i];
        subject.index = i;
        wrong = flips ? examine_flips(&subject, description->instructions[i]) : examine(&subject);
    }
    if (description->pair_declared && error == 0)
        small_universe_release(&subject.small);
    if (!flips && description->pair_declared)
        printf("%-17s %4u %6u %6u %6u %6u %6u %6u %5u %5u\n", description->name,
               tally->instructions, tally->universes, tally->questions, tally->yes, tally->no,
               tally->replays, tally->differences, tally->classes_same, tally->classes_differ);
    (void)fflush(stdout);
    description_release(description);
    return wrong + (error != 0);
}

int main(int argc, char **argv)
{
    const char *lengthy = getenv("ORIGAMI_LONG");
    bool all = lengthy != NULL && strcmp(lengthy, "1") == 0;
    bool flips = argc > 1 && strcmp(argv[1], "--flip") == 0;
    const struct effort effort = { .universes = all ? 8 : 2, .bits = all ? 15 : 11 };
    unsigned wrong = argc < 2, undecided = 0, flipped = 0;

    if (!flips)
        puts("description      insn  univ. quest.    yes     no replay  expl.  same  diff");
    for (int i = flips ? 2 : 1; i < argc; i++) {
        struct tally tally = { 0 };

        wrong += examine_file(argv[i], flips, &effort, &tally);
        undecided += tally.undecided;
        flipped += tally.questions;
    }
    if (flips)
        printf("%u flips, %u not noticed\n", flipped, wrong);
    else
        printf("%u disagreements, %u questions undecided\n", wrong, undecided);
    return wrong != 0 || undecided != 0 || (flips && flipped == 0);
}
