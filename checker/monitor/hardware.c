/* SPDX-License-Identifier: MIT */
/* The hardware: one instruction of the guest runs directly, or traps to monitor 1. */
#include "tower.h"

/* What the hardware fetches: memory, or the copy that a patching monitor keeps. */
static bool fetch(struct tower *tower, struct step_record *record)
{
    struct patch_entry *entry = tower->patches != NULL ? patch_fetch(tower) : NULL;

    if (entry == NULL)
        return evaluate_decode(tower->description, &tower->hardware, record) == 0;
    tower_choose(tower, &entry->record);
    if (entry->replaced) {
        patch_execute_trap(tower, entry, record);
        tower->patch_trap = entry;
        return false;
    }
    *record = entry->record;
    return true;
}

static void commit(struct tower *tower, const struct step_record *record)
{
    uint64_t *values = tower->hardware.values;
    unsigned index = tower_index(tower, record->instruction);

    tower->hardware.values = tower->scratch.values;
    tower->hardware.halted = tower->scratch.halted;
    tower->scratch.values = values;
    tower->direct++;
    tower->direct_by[index]++;
}

void hardware_step(struct tower *tower, struct step_record *record)
{
    const struct isa_description *description = tower->description;

    if (fetch(tower, record)) {
        tower_choose(tower, record);
        machine_state_copy(&tower->scratch, &tower->hardware, description);
        record->outcome = evaluate_instruction(description, record->instruction, &record->input,
                                               &tower->scratch);
        if (record->outcome.kind == OUTCOME_NORMAL) {
            commit(tower, record);
            return;
        }
    }
    dispatcher_trap(tower, 0, record);
}
