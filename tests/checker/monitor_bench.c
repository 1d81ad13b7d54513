/* SPDX-License-Identifier: MIT */
/* The tests' bench for monitors. */
#include "monitor_bench.h"
#include "commands.h"
#include "monitor/simulation.h"
#include "random_program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_LIMIT = 60, GUEST_CELLS = 12 };

static int parse(const char *text, const struct isa_override *overrides, unsigned count,
                 const char *path, const char *resources, struct isa_description **description)
{
    struct diagnostics diagnostics = { .path = path };
    const char *unknown = NULL;

    if (description_parse(text, strlen(text), overrides, count, &diagnostics, description) != 0) {
        diagnostics_print(&diagnostics, stdout);
        return -1;
    }
    if (resources != NULL && description_choose_resources(*description, resources, &unknown) != 0) {
        printf("%s: no resource '%s'\n", path, unknown);
        return -1;
    }
    return 0;
}

/* More memory, if the description has the parameter that all of the library has: the first size
 * with room for three monitors and a program, or the largest that the description can take. */
static int open_running(struct bench *bench, const char *path, const char *text,
                        const struct isa_description *analysed, const char *resources)
{
    static const uint64_t sizes[] = { 6, 7, 8, 5, 4 };
    struct isa_override larger = { "address_bits", 0 };
    bool known = false;

    for (unsigned i = 0; i < analysed->parameter_count; i++)
        known = known || strcmp(analysed->parameters[i].name, larger.name) == 0;
    for (size_t i = 0; known && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct diagnostics ignored = { .path = path };
        struct isa_description *tried = NULL;
        bool roomy = false;

        larger.value = sizes[i];
        if (description_parse(text, strlen(text), &larger, 1, &ignored, &tried) == 0)
            roomy = tried->cells[tried->memory_cell].count >=
                    3 * tower_monitor_cells(tried) + GUEST_CELLS;
        description_release(tried);
        if (roomy)
            return parse(text, &larger, 1, path, resources, &bench->running);
    }
    return parse(text, NULL, 0, path, resources, &bench->running);
}

/* The plan of the analysed machine, stretched over instructions that it does not have. */
static int make_plan(struct bench *bench, const struct analysis *analysis,
                     const struct isa_description *analysed)
{
    const char *missing = NULL;
    struct plan_row *rows;

    if (bench->running->instruction_count == analysed->instruction_count)
        return plan_make(analysis, bench->running, &bench->plan, &missing);
    if (plan_make(analysis, analysed, &bench->plan, &missing) != 0)
        return -1;
    rows = calloc(bench->running->instruction_count + 1, sizeof(*rows));
    if (rows == NULL)
        return -1;
    memcpy(rows, bench->plan.rows, bench->plan.count * sizeof(*rows));
    for (unsigned i = bench->plan.count; i < bench->running->instruction_count; i++)
        rows[i].innocuous = true;
    free(bench->plan.rows);
    bench->plan.rows = rows;
    bench->plan.count = bench->running->instruction_count;
    return 0;
}

static int analyse(struct bench *bench, const char *path, const char *text, const char *extended,
                   const char *resources)
{
    static const struct analysis_options options = { .mode = MODE_CLASSIC };
    struct isa_description *analysed = NULL;
    struct analysis analysis;
    int result = parse(text, NULL, 0, path, resources, &analysed);

    if (result != 0)
        return result;
    if (analysis_run(analysed, &options, &analysis) != 0) {
        printf("%s: %s\n", path, analysis.error);
        result = -1;
    } else if (analysis.verdict == VERDICT_NOT_APPLICABLE) {
        result = 1;
    } else {
        result = open_running(bench, path, extended, analysed, resources);
        if (result == 0)
            result = make_plan(bench, &analysis, analysed);
    }
    analysis_release(&analysis);
    description_release(analysed);
    return result;
}

int bench_open(struct bench *bench, const char *path, const char *resources, const char *extra)
{
    char *text, *extended;
    size_t length = 0;
    int result;

    memset(bench, 0, sizeof(*bench));
    if (command_read_file(path, &text, &length) != 0)
        return -1;
    if (asprintf(&extended, "%s\n%s", text, extra != NULL ? extra : "") < 0) {
        free(text);
        return -1;
    }
    result = analyse(bench, path, text, extended, resources);
    free(extended);
    free(text);
    if (result != 0)
        bench_close(bench);
    return result;
}

void bench_close(struct bench *bench)
{
    plan_release(&bench->plan);
    description_release(bench->running);
    bench->running = NULL;
}

static void add(struct bench_totals *totals, const struct tower *tower,
                const struct comparison *comparison)
{
    totals->runs++;
    totals->steps += comparison->steps;
    totals->traps += comparison->traps;
    totals->direct += tower->direct;
    totals->replaced += tower->patch.replaced;
    totals->ended[comparison->end]++;
    for (unsigned n = 1; n <= tower->depth; n++) {
        totals->emulated += tower->levels[n].counters.emulated;
        totals->reflected += tower->levels[n].counters.reflected;
        totals->interpreted += tower->levels[n].counters.interpreted;
    }
}

struct lane {
    struct tower tower;
    struct comparison comparison;
    struct machine_state initial;
};

static int lane_open(struct lane *lane, const struct bench *bench, unsigned depth)
{
    int error = tower_init(&lane->tower, bench->running, &bench->plan, depth);

    if (error != 0)
        return error;
    error = comparison_init(&lane->comparison, bench->running);
    if (error == 0)
        error = machine_state_init(&lane->initial, bench->running);
    lane->initial.memory_size = lane->tower.levels[depth].memory_size;
    return error;
}

static void lane_close(struct lane *lane)
{
    machine_state_release(&lane->initial);
    comparison_release(&lane->comparison);
    tower_release(&lane->tower);
}

static enum bench_result run_one(struct lane *lane, struct random_program *random, uint64_t seed,
                                 bool quiet, struct bench_totals *totals)
{
    const struct compare_options options = { .step_limit = STEP_LIMIT, .seed = seed };
    const struct simulation simulation = { .program = "a random program",
                                           .tower = &lane->tower,
                                           .comparison = &lane->comparison };

    random_program_make(random, seed, &lane->initial);
    comparison_run(&lane->comparison, &lane->tower, &lane->initial, &options);
    add(totals, &lane->tower, &lane->comparison);
    if (lane->comparison.end != END_DIFFERENT && lane->comparison.end != END_MONITOR_CELLS)
        return BENCH_EQUAL;
    if (!quiet) {
        printf("seed %llu, depth %u:\n", (unsigned long long)seed, lane->tower.depth);
        simulation_text(&simulation, stdout);
    }
    return BENCH_DIFFERENT;
}

enum bench_result bench_run(const struct bench *bench, uint64_t first, uint64_t count,
                            unsigned depth, bool quiet, struct bench_totals *totals)
{
    struct lane *lanes = calloc(depth + 1, sizeof(*lanes));
    struct random_program random = { 0 };
    enum bench_result result = lanes == NULL ? BENCH_FAILED : BENCH_EQUAL;

    memset(totals, 0, sizeof(*totals));
    if (result == BENCH_EQUAL && random_program_init(&random, bench->running) != 0)
        result = BENCH_FAILED;
    for (unsigned n = 1; n <= depth && result == BENCH_EQUAL; n++) {
        int error = lane_open(&lanes[n], bench, n);

        if (error != 0) {
            printf("depth %u: no room for a guest (%d)\n", n, error);
            result = BENCH_FAILED;
        }
    }
    for (uint64_t i = 0; i < count && result == BENCH_EQUAL; i++) {
        totals->programs++;
        for (unsigned n = 1; n <= depth && result == BENCH_EQUAL; n++)
            result = run_one(&lanes[n], &random, first + i, quiet, totals);
    }
    for (unsigned n = 1; lanes != NULL && n <= depth; n++)
        lane_close(&lanes[n]);
    random_program_release(&random);
    free(lanes);
    return result;
}
