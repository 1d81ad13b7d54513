/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher D: where every trap of a machine arrives, and where it goes from there.
 *
 * D decides with the plan alone: a privileged instruction of a guest that believes it is the
 * supervisor has an interpreter; every other trap is the guest's own and is given to it.
 */
#include "tower.h"

/* The trap rule may store and load only what lies in the monitor's own cells of the machine. */
static bool stays_inside(struct tower *tower, unsigned level)
{
    const struct tower_level *at = &tower->levels[level];

    for (uint32_t i = tower->description->monitor_cells; i < at->memory_size; i++) {
        uint32_t place = tower->memory_offset + i;

        if (at->before.values[place] != at->after.values[place]) {
            tower->trouble = TROUBLE_CELLS;
            tower->trouble_cell = i;
            return false;
        }
    }
    return true;
}

/* The cells that the guest shares with the machine below go back to what they were. */
static void restore_shared(struct tower *tower, unsigned level)
{
    const struct machine_state *saved = &tower->levels[level - 1].before;

    for (uint32_t place = 0; place < tower->memory_offset; place++)
        if (tower->kept[place].pieces == 0)
            tower_write(tower, level - 1, place, saved->values[place]);
}

/* Which interpreter, if any? */
static const struct step_record *find_interpreter(const struct tower *tower, unsigned level,
                                                  const struct step_record *record)
{
    const struct isa_description *description = tower->description;
    uint32_t mode = description->cells[description->mode_cell].offset;

    /* Its own trap code, in the copy of its own guest. */
    if (tower->patch_trap != NULL)
        return level == tower->depth ? &tower->patch_trap->record : NULL;
    if (record->instruction == NULL)
        return NULL;
    if (record->outcome.kind == OUTCOME_TRAP &&
        tower->plan->rows[tower_index(tower, record->instruction)].privileged &&
        tower_read(tower, level, mode) == description->supervisor)
        return record;
    return NULL;
}

/* No class says anything about fetching. Where the map looks at the mode, the machine below may
 * refuse an address that the guest's supervisor may use; only then D has to look for itself. */
static bool is_hidden_fault(const struct tower *tower, const struct step_record *record)
{
    return tower->plan->kind == MONITOR_PATCHING && tower->description->map_uses_mode &&
           tower->patch_trap == NULL && record->instruction == NULL &&
           record->outcome.kind == OUTCOME_FAULT;
}

static void dispatch(struct tower *tower, unsigned level, const struct step_record *record)
{
    struct monitor_counters *counters = &tower->levels[level].counters;
    const struct step_record *interpreted;

    counters->traps++;
    restore_shared(tower, level);
    interpreted = find_interpreter(tower, level, record);
    if (interpreted != NULL) {
        interpreter_run(tower, level, interpreted);
    } else if (is_hidden_fault(tower, record)) {
        struct step_record own;

        interpreter_step(tower, level, &own);
    } else {
        counters->reflected++;
        dispatcher_trap(tower, level, record);
    }
    allocator_resume(tower, level);
}

void dispatcher_trap(struct tower *tower, unsigned level, const struct step_record *record)
{
    const struct isa_description *description = tower->description;
    struct tower_level *at = &tower->levels[level];

    tower_view(tower, level, &at->before);
    machine_state_copy(&at->after, &at->before, description);
    if (evaluate_trap(description, &at->after, record->outcome.code) != 0) {
        /* The guest's own end, if it is the guest's rule. */
        if (level == tower->depth) {
            tower->trouble = TROUBLE_DEAD;
            return;
        }
        machine_state_copy(&at->after, &at->before, description);
    }
    if (level < tower->depth && !stays_inside(tower, level))
        return;
    if (level < tower->depth)
        machine_state_set_mode(&at->after, description, description->supervisor);
    allocator_commit(tower, level, tower->plan->trap_asks);
    if (level < tower->depth)
        dispatch(tower, level + 1, record);
}
