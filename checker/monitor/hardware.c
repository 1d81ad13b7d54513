/* SPDX-License-Identifier: MIT */
/* The hardware: one instruction of the guest runs directly, or traps to monitor 1. */
#include "tower.h"

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

    if (patch_fetch(tower, 0, &tower->hardware, record)) {
        tower_choose(tower, record);
        machine_state_copy(&tower->scratch, &tower->hardware, description);
        record->outcome =
            evaluate_instruction(description, record->instruction, &record->input, &tower->scratch);
        if (record->outcome.kind == OUTCOME_NORMAL) {
            commit(tower, record);
            return;
        }
    }
    dispatcher_trap(tower, 0, record);
}
