/* SPDX-License-Identifier: MIT */
/*
 * Flipped privilege checks: would the checker notice a wrong description?
 *
 * Usage: test_mutations_privilege FILE[,PARAMETER=VALUE...]... For each instruction of each
 * description every test of the mode is removed, made unconditional and negated, and where no test
 * leads to a trap one is added. The analysis of the changed instruction must give another class.
 * Where it does not, the reason is looked for and printed: same machine    the solver finds no
 * state in which the change can be told from the original rests elsewhere each witness of its
 * classes still holds for the changed instruction other states    it has the same classes, shown by
 * other states. That is accepted of a test that leads to no trap (a descriptor's level, say), and
 * of a check that looks at more than the mode where user mode traps in some states before and after
 * Anything else is a failure. Without ORIGAMI_LONG=1 every fourth instruction is tried.
 */
#include "commands.h"
#include "encode.h"
#include "flip.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUT = 20000 };

struct tally {
    unsigned flips, class, theorem, property, same, elsewhere, states, failed;
};

/* Outcome and result of both versions, on one state and one set of choices. */
static Z3_ast differs(struct encoder *encoder, const struct symbolic_outcome *a,
                      const struct symbolic_outcome *b)
{
    Z3_ast same = encode_equal(encoder, a->after.halted, b->after.halted);

    for (uint32_t i = 0; i < encoder->description->value_count; i++)
        same = encode_and(encoder, same,
                          encode_equal(encoder, a->after.values[i], b->after.values[i]));
    same = encode_or(encoder, same, encode_not(encoder, a->normal));
    same = encode_and(encoder, same, encode_equal(encoder, a->trap, b->trap));
    same = encode_and(encoder, same, encode_equal(encoder, a->fault, b->fault));
    return encode_not(encoder, same);
}

/* Is there no valid state of the pair's modes in which the flip matters? */
static bool same_machine(const struct isa_description *description, struct flip *flip)
{
    const struct isa_cell *mode = &description->cells[description->mode_cell];
    struct encoder encoder;
    struct symbolic_outcome run[2];
    struct symbolic_state state;
    bool same = false;
    Z3_solver solver;
    Z3_ast formula, place;

    if (encoder_init(&encoder, description, flip->instruction) != 0)
        return false;
    state = encode_state(
        &encoder, "state",
        description->memory_cell >= 0 ? description->cells[description->memory_cell].count : 0);
    place = state.values[mode->offset];
    run[0] = encode_run(&encoder, &state);
    flip_do(description, flip);
    run[1] = encode_run(&encoder, &state);
    flip_undo(flip);
    formula = differs(&encoder, &run[0], &run[1]);
    formula = encode_and(&encoder, formula, encode_domains(&encoder));
    formula = encode_and(&encoder, formula, encode_valid(&encoder, &state));
    formula = encode_and(
        &encoder, formula,
        encode_or(
            &encoder,
            encode_equal(&encoder, place, encode_number(&encoder, description->user, mode->width)),
            encode_equal(&encoder, place,
                         encode_number(&encoder, description->supervisor, mode->width))));
    solver = encoder_ok(&encoder) ? Z3_mk_solver(encoder.context) : NULL;
    if (solver != NULL) {
        Z3_solver_inc_ref(encoder.context, solver);
        Z3_solver_assert(encoder.context, solver, formula);
        same = Z3_solver_check(encoder.context, solver) == Z3_L_FALSE;
        Z3_solver_dec_ref(encoder.context, solver);
    }
    encoder_release(&encoder);
    return same;
}

/* Do all witnesses of the original hold for the changed instruction too? */
static bool rests_elsewhere(const struct isa_description *description, struct flip *flip,
                            struct instruction_report *base)
{
    bool all = true;

    flip_do(description, flip);
    for (int i = 0; i < PROPERTY_COUNT; i++)
        if (base->found.witness[i] != NULL)
            all = witness_holds(description, base->found.witness[i]) && all;
    flip_undo(flip);
    for (int i = 0; i < PROPERTY_COUNT; i++) /* their second halves are the changed run's */
        if (base->found.witness[i] != NULL)
            (void)witness_holds(description, base->found.witness[i]);
    return all;
}

/* Critical and hybrid critical decide Theorems 1 and 3; `others` counts the rest of the machine. */
static bool changes_theorem(const enum answer *before, const enum answer *after,
                            const unsigned *others)
{
    static const enum instruction_class deciding[] = { CLASS_CRITICAL, CLASS_HYBRID_CRITICAL };

    for (int i = 0; i < 2; i++)
        if (before[deciding[i]] != after[deciding[i]] && others[i] == 0)
            return true;
    return false;
}

/* The first answer that differs, or PROPERTY_COUNT. */
static int changed_property(const struct instruction_report *before,
                            const struct instruction_report *after)
{
    int i = 0;

    while (i < PROPERTY_COUNT && before->found.answer[i] == after->found.answer[i])
        i++;
    return i;
}

static bool is_partial(const struct instruction_report *before,
                       const struct instruction_report *after)
{
    return before->is[CLASS_PARTIAL] == ANSWER_YES && after->is[CLASS_PARTIAL] == ANSWER_YES;
}

static void try_flip(const struct isa_description *description, struct flip *flip,
                     struct instruction_report *base, const unsigned *others, struct tally *tally)
{
    struct instruction_report changed = { .instruction = flip->instruction };
    unsigned line = flip->test != NULL ? flip->test->at.line : flip->instruction->at.line;
    int error, property;

    flip_do(description, flip);
    error = search_solve(description, flip->instruction, NULL, TIMEOUT, &changed.found);
    if (error == 0)
        analysis_classify(&changed);
    flip_undo(flip);
    tally->flips++;
    if (error == 0 && memcmp(changed.is, base->is, sizeof(base->is)) != 0) {
        tally->class ++;
        tally->theorem += changes_theorem(base->is, changed.is, others);
    } else if (error == 0 && (property = changed_property(base, &changed)) < PROPERTY_COUNT) {
        tally->property++;
        printf("  %s, line %u: %s %s: other property: %s %s\n", flip->instruction->name, line,
               flip->traps ? "check" : "test of the mode", flip_names[flip->kind],
               changed.found.answer[property] == ANSWER_YES ? "now" : "no longer",
               property_rows[property].name);
    } else if (error == 0 && same_machine(description, flip)) {
        tally->same++;
        printf("  %s, line %u: %s %s: same machine\n", flip->instruction->name, line,
               flip->traps ? "check" : "test of the mode", flip_names[flip->kind]);
    } else if (error == 0 && rests_elsewhere(description, flip, base)) {
        tally->elsewhere++;
        printf("  %s, line %u: %s %s: its classes rest elsewhere\n", flip->instruction->name, line,
               flip->traps ? "check" : "test of the mode", flip_names[flip->kind]);
    } else if (error == 0 && (!flip->traps || (flip->mixed && is_partial(base, &changed)))) {
        tally->states++;
        printf("  %s, line %u: %s %s: other states\n", flip->instruction->name, line,
               flip->traps ? "check of more than the mode" : "test of the mode",
               flip_names[flip->kind]);
    } else {
        tally->failed++;
        printf("  %s, line %u: %s %s: UNNOTICED (%d)\n", flip->instruction->name, line,
               flip->traps ? "check" : "test of the mode", flip_names[flip->kind], error);
    }
    search_release(&changed.found);
}

static void count_others(const struct analysis *analysis, unsigned index, unsigned *others)
{
    others[0] = others[1] = 0;
    for (unsigned i = 0; i < analysis->report_count; i++) {
        others[0] += i != index && analysis->reports[i].is[CLASS_CRITICAL] == ANSWER_YES;
        others[1] += i != index && analysis->reports[i].is[CLASS_HYBRID_CRITICAL] == ANSWER_YES;
    }
}

/* "file,p=v,q=w": the file's name in place, the rest as overrides. */
static int split_argument(char *argument, struct description_options *options)
{
    char *rest = strchr(argument, ',');

    while (rest != NULL) {
        char *parameter = rest + 1;

        *rest = '\0';
        rest = strchr(parameter, ',');
        if (rest != NULL)
            *rest = '\0';
        if (command_add_override(options, parameter) != 0)
            return 64;
    }
    return 0;
}

static int try_description(char *path, unsigned step, struct tally *tally)
{
    static struct flip flips[FLIP_MAX];
    struct description_options options = { 0 };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    struct analysis analysis = { 0 };
    int status = split_argument(path, &options);

    if (status == 0)
        status = command_open(path, &options, &description);
    if (status != 0)
        return status;
    status = analysis_run(description, &how, &analysis);
    if (status == 0 && analysis.reports == NULL)
        printf("%s: not applicable, there is no mode to test\n", path);
    for (unsigned i = 0; status == 0 && i < analysis.report_count; i += step) {
        unsigned others[2];
        unsigned count = flip_list(description, description->instructions[i], flips);

        count_others(&analysis, i, others);
        if (count == 0)
            status = 70;
        for (unsigned j = 0; j < count; j++)
            try_flip(description, &flips[j], &analysis.reports[i], others, tally);
    }
    analysis_release(&analysis);
    description_release(description);
    return status;
}

int main(int argc, char **argv)
{
    const char *lengthy = getenv("ORIGAMI_LONG");
    unsigned step = lengthy != NULL && strcmp(lengthy, "1") == 0 ? 1 : 4;
    struct tally all = { 0 };

    for (int i = 1; i < argc; i++) {
        struct tally tally = { 0 };
        int status = try_description(argv[i], step, &tally);

        if (status != 0) {
            printf("%s: could not be analysed (%d)\n", argv[i], status);
            return 1;
        }
        printf("%s: %u flips, %u seen by a class (%u by a theorem), %u other property, %u same "
               "machine, %u resting elsewhere, %u in other states, %u unnoticed\n",
               argv[i], tally.flips, tally.class, tally.theorem, tally.property, tally.same,
               tally.elsewhere, tally.states, tally.failed);
        all.flips += tally.flips;
        all.class += tally.class;
        all.failed += tally.failed;
        (void)fflush(stdout);
    }
    printf("%u flips, %u seen by a class, %u explained, %u unnoticed\n", all.flips, all.class,
           all.flips - all.class - all.failed, all.failed);
    return all.failed != 0 || all.flips == 0;
}
