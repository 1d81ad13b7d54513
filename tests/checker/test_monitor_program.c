/* SPDX-License-Identifier: MIT */
/*
 * Programs as text, the examples of isa/programs, and what the monitors count while they run.
 *
 * Usage: test_monitor_program DIRECTORY-OF-DESCRIPTIONS
 */
#include "commands.h"
#include "monitor/program.h"
#include "monitor/simulation.h"
#include "monitor_bench.h"
#include "random_machine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *directory;

static struct isa_description *open_description(const char *name)
{
    struct description_options options = { 0 };
    struct isa_description *description = NULL;
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/%s.isa", directory, name);
    assert_int_equal(command_open(path, &options, &description), 0);
    return description;
}

struct refusal {
    const char *text;
    uint32_t line, column;
    const char *message;
};

static const struct refusal refusals[] = {
    { "FLY 3", 1, 1, "neither an instruction" },
    { "NOP\n  JMP nowhere", 2, 7, "nothing is called" },
    { "JMP 8", 1, 5, "does not fit 3 bits" },
    { "JMP", 1, 1, "expected a value" },
    { "JMP 1 2", 1, 7, "more on this line" },
    { "JZ 1", 1, 4, "expected ','" },
    { "a: NOP\na: NOP", 2, 1, "stands at another place" },
    { "at 7\nNOP\nNOP", 3, 1, "beyond the memory" },
    { "at 99999", 1, 4, "beyond the memory" },
    { "word {1 : 3}", 1, 6, "3 bits" },
    { "word {1 : 0}", 1, 9, "width" },
    { "word {9 : 3, 0 : 9}", 1, 7, "does not fit" },
    { "word {1", 1, 7, "expected ':'" },
    { "cell E = 1", 1, 6, "other than memory" },
    { "cell l 1", 1, 8, "expected '='" },
    { "cell l[1] = 1", 1, 7, "expected '='" },
    { "set address_bits", 1, 1, "a setting is" },
    { "start", 1, 1, "expected a value" },
    { "word \"text\"", 1, 6, "expected a number" },
    { "JMP $", 1, 5, "no meaning" },
};

static int assemble(const struct isa_description *description, const char *text,
                    struct diagnostics *diagnostics, struct machine_state *state)
{
    struct program *program = calloc(1, sizeof(*program));
    int error;

    assert_non_null(program);
    error = program_read(program, text, strlen(text), diagnostics);
    if (error == 0)
        error = program_assemble(program, description, state);
    program_release(program);
    free(program);
    return error;
}

static void test_refusals(void **unused)
{
    struct isa_description *description = open_description("third-generation");
    struct machine_state state;

    (void)unused;
    assert_int_equal(machine_state_init(&state, description), 0);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct diagnostics diagnostics = { 0 };
        int error = assemble(description, refusals[i].text, &diagnostics, &state);

        if (error != -EINVAL || diagnostics.at.line != refusals[i].line ||
            diagnostics.at.column != refusals[i].column ||
            strstr(diagnostics.message, refusals[i].message) == NULL)
            fail_msg("'%s': %d, %u:%u: %s", refusals[i].text, error, diagnostics.at.line,
                     diagnostics.at.column, diagnostics.message);
    }
    machine_state_release(&state);
    description_release(description);
}

static void test_values(void **unused)
{
    static const char text[] = "here: word {u : 1, there + 1 : 3, -1 : 4, memsize : 4}, 0x10\n"
                               "at 4\nthere: JZ here, there - 1 # a comment\n"
                               "cell b = memsize\ncell M = u\nstart there\n";
    struct isa_description *description = open_description("third-generation");
    struct diagnostics diagnostics = { 0 };
    struct machine_state state;
    uint64_t *memory;

    (void)unused;
    assert_int_equal(machine_state_init(&state, description), 0);
    assert_int_equal(assemble(description, text, &diagnostics, &state), 0);
    memory = machine_state_memory(&state, description);
    assert_int_equal(memory[0], 1 << 11 | 5 << 8 | 15 << 4 | 8);
    assert_int_equal(memory[1], 0x10);
    assert_int_equal(memory[4], 2 << 8 | 0 << 5 | 3 << 2);
    assert_int_equal(machine_state_mode(&state, description), description->user);
    machine_state_release(&state);
    description_release(description);
}

/* Whatever the bytes: an error with a position, or a program. */
static void test_mutated(void **unused)
{
    static const char text[] = "set address_bits = 3\nat 0\nold: word 0\n"
                               "word {s : 1, go : 3, 0 : 4, memsize : 4}\n"
                               "go: JZ go, 3\nMOVE old, go + 1\ncell b = memsize\nstart go\n";
    struct isa_description *description = open_description("third-generation");
    struct machine_state state;
    uint64_t random = 7;

    (void)unused;
    assert_int_equal(machine_state_init(&state, description), 0);
    for (int i = 0; i < 20000; i++) {
        struct diagnostics diagnostics = { 0 };
        char mutated[sizeof(text)];

        memcpy(mutated, text, sizeof(text));
        for (uint64_t edits = 1 + random_next(&random) % 4; edits > 0; edits--)
            mutated[random_next(&random) % (sizeof(text) - 1)] =
                random_next(&random) % 4 == 0 ? text[random_next(&random) % (sizeof(text) - 1)]
                                              : (char)(1 + random_next(&random) % 127);
        if (assemble(description, mutated, &diagnostics, &state) != 0 &&
            (diagnostics.at.line == 0 || diagnostics.at.column == 0 ||
             diagnostics.message[0] == '\0'))
            fail_msg("no position for:\n%s", mutated);
    }
    machine_state_release(&state);
    description_release(description);
}

/* --- the examples --- */

static const char *const examples[] = { "third-generation", "mc68000", "pdp-11-45" };
enum { EXAMPLES = sizeof(examples) / sizeof(examples[0]) };

/* Analysed once. */
static struct bench benches[EXAMPLES];

static int open_benches(void **unused)
{
    char path[4096];

    (void)unused;
    for (size_t i = 0; i < EXAMPLES; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s.isa", directory, examples[i]);
        if (bench_open(&benches[i], path, NULL, NULL) != 0)
            return -1;
    }
    return 0;
}

static int close_benches(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < EXAMPLES; i++)
        bench_close(&benches[i]);
    return 0;
}

struct run {
    struct bench bench; /* a copy of the shared one: only the kind may be changed */
    struct tower tower;
    struct comparison comparison;
};

static void run_open(struct run *run, const char *name, int kind, unsigned depth, bool at_end)
{
    const struct compare_options options = { .step_limit = 10000, .seed = 1, .at_end = at_end };
    struct diagnostics diagnostics = { 0 };
    struct machine_state initial;
    char path[4096];
    char *text;
    size_t length = 0;

    for (size_t i = 0; i < EXAMPLES; i++)
        if (strcmp(examples[i], name) == 0)
            run->bench = benches[i];
    if (kind >= 0)
        run->bench.plan.kind = (enum monitor_kind)kind;
    assert_int_equal(tower_init(&run->tower, run->bench.running, &run->bench.plan, depth), 0);
    assert_int_equal(comparison_init(&run->comparison, run->bench.running), 0);
    assert_int_equal(machine_state_init(&initial, run->bench.running), 0);
    initial.memory_size = run->tower.levels[depth].memory_size;
    (void)snprintf(path, sizeof(path), "%s/programs/%s.prog", directory, name);
    assert_int_equal(command_read_file(path, &text, &length), 0);
    assert_int_equal(assemble(run->bench.running, text, &diagnostics, &initial), 0);
    comparison_run(&run->comparison, &run->tower, &initial, &options);
    free(text);
    machine_state_release(&initial);
}

static void run_close(struct run *run)
{
    comparison_release(&run->comparison);
    tower_release(&run->tower);
}

static void test_examples(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < EXAMPLES; i++) {
        for (unsigned depth = 0; depth <= 3; depth++) {
            struct run run;

            run_open(&run, examples[i], -1, depth, depth == 2);
            assert_int_equal(run.comparison.end, END_HALTED);
            run_close(&run);
        }
    }
}

/* The paper's efficiency property: every innocuous instruction runs without the monitor. */
static void test_efficiency(void **unused)
{
    uint64_t direct, indirect;
    struct run run;

    (void)unused;
    run_open(&run, "third-generation", -1, 3, false);
    simulation_efficiency(&run.tower, &direct, &indirect);
    assert_true(direct > 50);
    assert_int_equal(indirect, 0);
    /* Each trap goes through all three monitors, and only the innermost one emulates. */
    assert_int_equal(run.tower.levels[1].counters.traps, run.tower.levels[3].counters.traps);
    assert_int_equal(run.tower.levels[1].counters.emulated, 0);
    assert_int_equal(run.tower.levels[3].counters.emulated + run.tower.levels[3].counters.reflected,
                     run.tower.levels[3].counters.traps);
    assert_true(run.tower.levels[3].counters.allocator > 0);
    assert_true(run.tower.levels[1].counters.nested > 0);
    run_close(&run);
}

static void test_hybrid_interprets_supervisor(void **unused)
{
    struct run run;
    unsigned index;

    (void)unused;
    run_open(&run, "mc68000", -1, 1, false);
    assert_int_equal(run.bench.plan.kind, MONITOR_HYBRID);
    assert_true(run.tower.levels[1].counters.interpreted > 0);
    /* MOVE from SR is critical, but not in user mode: there it runs. */
    index =
        tower_index(&run.tower, description_find_instruction(run.bench.running, "MOVE from SR"));
    assert_int_equal(run.tower.direct_by[index], 3);
    run_close(&run);
}

static void test_patching_follows_changes(void **unused)
{
    struct run run;

    (void)unused;
    run_open(&run, "pdp-11-45", -1, 1, false);
    assert_int_equal(run.bench.plan.kind, MONITOR_PATCHING);
    assert_true(run.tower.patch.replaced > 0);
    assert_int_equal(run.tower.patch.invalidated, 1);
    assert_true(run.tower.patch.hits > run.tower.patch.scanned);
    run_close(&run);
}

static void test_wrong_monitor(void **unused)
{
    struct run run;

    (void)unused;
    run_open(&run, "mc68000", MONITOR_CLASSIC, 1, false);
    assert_int_equal(run.comparison.end, END_DIFFERENT);
    assert_string_equal(run.comparison.record.instruction->name, "MOVE from SR");
    assert_string_equal(run.comparison.cell->name, "D");
    assert_int_equal(run.comparison.pc, 3);
    run_close(&run);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_efficiency),
        cmocka_unit_test(test_hybrid_interprets_supervisor),
        cmocka_unit_test(test_patching_follows_changes),
        cmocka_unit_test(test_wrong_monitor),
    };

    directory = argc > 1 ? argv[1] : "isa";
    return cmocka_run_group_tests(tests, open_benches, close_benches);
}
