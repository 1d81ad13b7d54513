/* SPDX-License-Identifier: MIT */
/*
 * The interpreters v_i: there is one text for all of them, as each is its instruction's body in
 * the description, evaluated on the guest's machine through the VM map.
 */
#include "tower.h"

/* Runs the body on machine `level`; a trap of the body is the guest's. */
static void run(struct tower *tower, unsigned level, struct step_record *record)
{
    struct tower_level *at = &tower->levels[level];

    machine_state_copy(&at->after, &at->before, tower->description);
    record->outcome =
        evaluate_instruction(tower->description, record->instruction, &record->input, &at->after);
    if (record->outcome.kind == OUTCOME_NORMAL) {
        const struct plan_row *row = &tower->plan->rows[tower_index(tower, record->instruction)];

        if (row->innocuous)
            tower->innocuous_indirect++;
        allocator_commit(tower, level, row->asks);
        return;
    }
    if (level == tower->depth)
        at->counters.reflected++;
    dispatcher_trap(tower, level, record);
}

void interpreter_run(struct tower *tower, unsigned level, const struct step_record *record)
{
    struct tower_level *at = &tower->levels[level];
    struct step_record own = *record;

    at->counters.emulated++;
    at->counters.by_instruction[tower_index(tower, own.instruction)]++;
    tower_view(tower, level, &at->before);
    run(tower, level, &own);
}

void interpreter_step(struct tower *tower, unsigned level, struct step_record *record)
{
    struct tower_level *at = &tower->levels[level];

    at->counters.interpreted++;
    tower_view(tower, level, &at->before);
    if (!patch_fetch(tower, level, &at->before, record)) {
        if (level == tower->depth)
            at->counters.reflected++;
        dispatcher_trap(tower, level, record);
        return;
    }
    tower_choose(tower, record);
    run(tower, level, record);
}
