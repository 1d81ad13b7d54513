/* SPDX-License-Identifier: MIT */
/* Compare: two runs in step. */
#include "compare.h"

#include <errno.h>
#include <string.h>

struct chooser {
    uint64_t seed, step;
    unsigned site;
};

static uint64_t choose(void *context, unsigned width)
{
    struct chooser *chooser = context;

    (void)width;
    return tower_choice(chooser->seed, chooser->step, chooser->site++);
}

int comparison_init(struct comparison *comparison, const struct isa_description *description)
{
    memset(comparison, 0, sizeof(*comparison));
    if (machine_state_init(&comparison->initial, description) == 0 &&
        machine_state_init(&comparison->before, description) == 0 &&
        machine_state_init(&comparison->bare, description) == 0 &&
        machine_state_init(&comparison->virtual, description) == 0)
        return 0;
    comparison_release(comparison);
    return -ENOMEM;
}

void comparison_release(struct comparison *comparison)
{
    machine_state_release(&comparison->initial);
    machine_state_release(&comparison->before);
    machine_state_release(&comparison->bare);
    machine_state_release(&comparison->virtual);
}

static void differ(struct comparison *comparison, const struct isa_cell *cell, uint32_t element,
                   uint64_t bare, uint64_t seen)
{
    comparison->end = END_DIFFERENT;
    comparison->cell = cell;
    comparison->element = element;
    comparison->seen[0] = bare;
    comparison->seen[1] = seen;
}

/* Through the map: is the bare state the top machine's? */
static bool same(struct comparison *comparison, const struct tower *tower)
{
    const struct isa_description *description = tower->description;
    const struct machine_state *bare = &comparison->bare;
    struct machine_state *virtual = &comparison->virtual;

    tower_view(tower, tower->depth, virtual);
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        uint32_t count = cell->role == ROLE_MEMORY ? bare->memory_size : cell->count;
        const uint64_t *first = bare->values + cell->offset;
        const uint64_t *second = virtual->values + cell->offset;

        if (cell->role == ROLE_CLOCK && !cell->counted)
            continue;
        for (uint32_t j = 0; j < count; j++) {
            if (first[j] != second[j]) {
                differ(comparison, cell, j, first[j], second[j]);
                return false;
            }
        }
    }
    if (bare->halted != virtual->halted)
        differ(comparison, NULL, 0, bare->halted, virtual->halted);
    return bare->halted == virtual->halted;
}

/* One step of the bare machine; `before` keeps the state that it started from. */
static int step_bare(struct comparison *comparison, const struct tower *tower,
                     struct chooser *chooser)
{
    const struct isa_description *description = tower->description;
    uint64_t *values = comparison->before.values;
    int error;

    machine_state_copy(&comparison->before, &comparison->bare, description);
    comparison->pc = values[description->cells[description->pc_cell].offset];
    chooser->site = 0;
    error = evaluate_step(description, &comparison->bare, &comparison->virtual, choose, chooser,
                          &comparison->record);
    if (comparison->record.outcome.kind != OUTCOME_NORMAL)
        comparison->traps++;
    return error;
}

/* After a step: does the run go on? */
static bool compare_step(struct comparison *comparison, struct tower *tower, int error,
                         const struct compare_options *options)
{
    bool dead = tower->trouble == TROUBLE_DEAD;

    if (tower->trouble == TROUBLE_CELLS) {
        comparison->end = END_MONITOR_CELLS;
        return false;
    }
    if (tower->depth > 0 && dead != (error != 0)) {
        tower_view(tower, tower->depth, &comparison->virtual);
        differ(comparison, NULL, 0, error != 0, dead);
        return false;
    }
    if (error != 0) {
        comparison->end = END_DEAD;
        return false;
    }
    return tower->depth == 0 || options->at_end || same(comparison, tower);
}

void comparison_run(struct comparison *comparison, struct tower *tower,
                    const struct machine_state *initial, const struct compare_options *options)
{
    struct chooser chooser = { .seed = options->seed };
    struct step_record ran;
    uint64_t storm = 0;
    bool on = true;

    machine_state_copy(&comparison->initial, initial, tower->description);
    machine_state_copy(&comparison->bare, initial, tower->description);
    comparison->end = END_STEP_LIMIT;
    comparison->steps = 0;
    comparison->traps = 0;
    memset(&comparison->record, 0, sizeof(comparison->record));
    if (tower->depth > 0)
        tower_load(tower, initial, options->seed);
    while (on && comparison->steps < options->step_limit && !comparison->bare.halted) {
        int error;

        chooser.step = comparison->steps++;
        error = step_bare(comparison, tower, &chooser);
        if (tower->depth > 0)
            tower_step(tower, options->seed, chooser.step, &ran);
        storm = comparison->record.outcome.kind == OUTCOME_NORMAL ? 0 : storm + 1;
        on = compare_step(comparison, tower, error, options);
        if (on && storm == COMPARE_STORM) {
            comparison->end = END_TRAP_STORM;
            break;
        }
    }
    if (on && comparison->bare.halted)
        comparison->end = END_HALTED;
    if (on && options->at_end && tower->depth > 0)
        (void)same(comparison, tower);
}
