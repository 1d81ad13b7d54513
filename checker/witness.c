/* SPDX-License-Identifier: MIT */
/* Witness: the definitions of Popek and Goldberg, and ours beside them, on concrete states. */
#include "witness.h"
#include "messages.h"

#include <errno.h>
#include <string.h>

const struct property_row property_rows[PROPERTY_COUNT] = {
    [PROPERTY_CONTROL_USER] = { N_("control sensitive in user mode"), RELATION_SINGLE, 1 },
    [PROPERTY_CONTROL_SUPERVISOR] = { N_("control sensitive in supervisor mode"), RELATION_SINGLE,
                                      0 },
    [PROPERTY_LOCATION_USER] = { N_("location sensitive in user mode"), RELATION_RELOCATED, 1 },
    [PROPERTY_LOCATION_SUPERVISOR] = { N_("location sensitive in supervisor mode"),
                                       RELATION_RELOCATED, 0 },
    [PROPERTY_MODE] = { N_("mode sensitive"), RELATION_MODE, -1 },
    [PROPERTY_RESOURCE_USER] = { N_("resource sensitive in user mode"), RELATION_RESOURCES, 1 },
    [PROPERTY_RESOURCE_SUPERVISOR] = { N_("resource sensitive in supervisor mode"),
                                       RELATION_RESOURCES, 0 },
    [PROPERTY_UNPRIVILEGED] = { N_("not privileged"), RELATION_MODE, -1 },
    [PROPERTY_COMPARABLE] = { N_("comparable in both modes"), RELATION_MODE, -1 },
    [PROPERTY_TRAPS_IN_USER] = { N_("traps in user mode"), RELATION_SINGLE, 1 },
    [PROPERTY_RUNS_IN_USER] = { N_("runs in user mode"), RELATION_SINGLE, 1 },
    [PROPERTY_DIFFERS] = { N_("does not commute with the VM map"), RELATION_FOLDED, -1 },
    [PROPERTY_FALSE_TRAP] = { N_("traps only under the VM map"), RELATION_FOLDED, -1 },
    [PROPERTY_FALSE_FAULT] = { N_("memory-traps only under the VM map"), RELATION_FOLDED, -1 },
    [PROPERTY_STRAYS_IN_USER] = { N_("goes astray in user mode under the VM map"), RELATION_FOLDED,
                                  1 },
};

bool property_equal_windows(const struct isa_description *description, enum property property)
{
    return property == PROPERTY_MODE && description->map_uses_mode && description->has_map;
}

int witness_init(struct witness *witness, const struct isa_description *description,
                 const struct isa_instruction *instruction, enum property property)
{
    int error = 0;

    memset(witness, 0, sizeof(*witness));
    witness->property = property;
    witness->instruction = instruction;
    for (int i = 0; i < 2; i++) {
        if (machine_state_init(&witness->before[i], description) != 0 ||
            machine_state_init(&witness->after[i], description) != 0)
            error = -ENOMEM;
    }
    if (property_rows[property].relation == RELATION_FOLDED)
        witness->before[0].memory_size -= description->monitor_cells;
    if (error != 0)
        witness_release(witness);
    return error;
}

void witness_release(struct witness *witness)
{
    for (int i = 0; i < 2; i++) {
        machine_state_release(&witness->before[i]);
        machine_state_release(&witness->after[i]);
    }
}

/* What the two machines' programs can tell apart: not M, R, counted resources, or time. */
static bool is_visible(const struct isa_cell *cell)
{
    return cell->role == ROLE_USER || cell->role == ROLE_PC ||
           (cell->role == ROLE_RESOURCE && !cell->counted);
}

/* Are all elements of a cell equal? The first that is not goes to *element. */
static bool same_cell(const struct isa_cell *cell, const struct machine_state *first,
                      const struct machine_state *second, uint32_t *element)
{
    for (uint32_t i = 0; i < cell->count; i++) {
        if (first->values[cell->offset + i] != second->values[cell->offset + i]) {
            *element = i;
            return false;
        }
    }
    return true;
}

static bool same_role(const struct isa_description *description, enum isa_role role,
                      const struct machine_state *first, const struct machine_state *second)
{
    uint32_t element;

    for (unsigned i = 0; i < description->cell_count; i++)
        if (description->cells[i].role == role &&
            !same_cell(&description->cells[i], first, second, &element))
            return false;
    return true;
}

static bool same_counted(const struct isa_description *description,
                         const struct machine_state *first, const struct machine_state *second)
{
    uint32_t element;

    for (unsigned i = 0; i < description->cell_count; i++)
        if (description->cells[i].counted &&
            !same_cell(&description->cells[i], first, second, &element))
            return false;
    return true;
}

bool witness_same_window(const struct isa_description *description,
                         const struct machine_state *first, const struct machine_state *second,
                         uint32_t *address, uint64_t seen[2])
{
    const struct machine_state *states[2] = { first, second };
    uint64_t addresses = (uint64_t)1 << description->map_address_width;

    for (uint64_t a = 0; a < addresses; a++) {
        bool mapped[2];

        for (int i = 0; i < 2; i++) {
            uint64_t physical = 0;

            mapped[i] = evaluate_map(description, states[i], a,
                                     machine_state_mode(states[i], description), &physical) == 0;
            seen[i] = mapped[i] ? machine_state_memory(states[i], description)[physical] : 0;
        }
        if (mapped[0] != mapped[1] || seen[0] != seen[1]) {
            *address = (uint32_t)a;
            return false;
        }
    }
    return true;
}

static bool same_memory(const struct isa_description *description,
                        const struct machine_state *first, const struct machine_state *second)
{
    return same_role(description, ROLE_MEMORY, first, second);
}

/* Memory of the pair: equal windows when the map tells them apart, else equal cells. */
static bool memory_related(const struct isa_description *description, const struct witness *witness,
                           bool windows)
{
    uint32_t address;
    uint64_t seen[2];

    if (!windows || !description->has_map)
        return same_memory(description, &witness->before[0], &witness->before[1]);
    return witness_same_window(description, &witness->before[0], &witness->before[1], &address,
                               seen);
}

static bool others_equal(const struct isa_description *description,
                         const struct machine_state *first, const struct machine_state *second,
                         bool mode, bool resources)
{
    uint32_t element;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (cell->role == ROLE_MEMORY || (cell->role == ROLE_MODE && !mode) ||
            (cell->counted && !resources))
            continue;
        if (!same_cell(cell, first, second, &element))
            return false;
    }
    return true;
}

/* Is the second state the first with its relocation shifted, memory apart? */
static bool relocated(const struct isa_description *description, const struct witness *witness,
                      uint64_t shift, bool mode, bool resources)
{
    struct machine_state moved;
    bool related;

    if (machine_state_init(&moved, description) != 0)
        return false;
    machine_state_copy(&moved, &witness->before[0], description);
    related = evaluate_relocate(description, &moved, shift) == 0 &&
              others_equal(description, &moved, &witness->before[1], mode, resources);
    machine_state_release(&moved);
    return related;
}

/* f: the guest's memory above the monitor's, user mode, relocation shifted, host's resources. */
static bool folded(const struct isa_description *description, const struct witness *witness)
{
    const struct machine_state *bare = &witness->before[0], *host = &witness->before[1];
    uint32_t monitor = description->monitor_cells;

    if (description->memory_cell < 0 ||
        bare->memory_size + monitor != description->cells[description->memory_cell].count ||
        machine_state_mode(host, description) != description->user ||
        !relocated(description, witness, monitor, false, false))
        return false;
    for (uint32_t i = 0; i < bare->memory_size; i++)
        if (machine_state_memory(bare, description)[i] !=
            machine_state_memory(host, description)[i + monitor])
            return false;
    return true;
}

static bool modes_right(const struct isa_description *description, const struct witness *witness)
{
    const struct property_row *row = &property_rows[witness->property];
    uint64_t first = machine_state_mode(&witness->before[0], description);
    uint64_t second = machine_state_mode(&witness->before[1], description);

    switch (row->relation) {
    case RELATION_MODE:
        return first == description->supervisor && second == description->user;
    case RELATION_FOLDED:
        return second == description->user && (row->mode < 0 || first == description->user);
    default:
        return first == (row->mode == 1 ? description->user : description->supervisor);
    }
}

bool witness_related(const struct isa_description *description, const struct witness *witness)
{
    const struct machine_state *first = &witness->before[0], *second = &witness->before[1];

    if (!evaluate_valid(description, first) || !modes_right(description, witness) || first->halted)
        return false;
    if (property_rows[witness->property].relation == RELATION_SINGLE)
        return true;
    if (!evaluate_valid(description, second) || second->halted)
        return false;
    switch (property_rows[witness->property].relation) {
    case RELATION_RELOCATED:
        return witness->shift != 0 && relocated(description, witness, witness->shift, true, true) &&
               memory_related(description, witness, true);
    case RELATION_MODE:
        return others_equal(description, first, second, false, true) &&
               memory_related(description, witness,
                              property_equal_windows(description, witness->property));
    case RELATION_RESOURCES:
        return others_equal(description, first, second, true, false) &&
               same_memory(description, first, second);
    default:
        return folded(description, witness);
    }
}

void witness_run(const struct isa_description *description, struct witness *witness, int which)
{
    machine_state_copy(&witness->after[which], &witness->before[which], description);
    witness->outcome[which] = evaluate_instruction(description, witness->instruction,
                                                   &witness->input, &witness->after[which]);
}

static void note_difference(struct witness *witness, const struct isa_cell *cell, uint32_t element,
                            uint64_t first, uint64_t second)
{
    witness->has_difference = true;
    witness->cell = cell;
    witness->element = element;
    witness->windowed = false;
    witness->seen[0] = first;
    witness->seen[1] = second;
}

static bool changes_control(const struct isa_description *description, struct witness *witness)
{
    const struct machine_state *before = &witness->before[0], *after = &witness->after[0];
    uint32_t element = 0;

    if (witness->outcome[0].kind != OUTCOME_NORMAL)
        return false;
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if ((cell->role == ROLE_MODE || cell->role == ROLE_RELOCATION || cell->counted) &&
            !same_cell(cell, before, after, &element)) {
            note_difference(witness, cell, element, before->values[cell->offset + element],
                            after->values[cell->offset + element]);
            return true;
        }
    }
    return false;
}

static bool keeps_mode_and_relocation(const struct isa_description *description,
                                      const struct witness *witness)
{
    for (int i = 0; i < 2; i++)
        if (!same_role(description, ROLE_MODE, &witness->before[i], &witness->after[i]) ||
            !same_role(description, ROLE_RELOCATION, &witness->before[i], &witness->after[i]))
            return false;
    return true;
}

static bool visible_difference(const struct isa_description *description, struct witness *witness)
{
    const struct machine_state *first = &witness->after[0], *second = &witness->after[1];
    uint32_t element = 0;
    uint64_t seen[2];

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (is_visible(cell) && !same_cell(cell, first, second, &element)) {
            note_difference(witness, cell, element, first->values[cell->offset + element],
                            second->values[cell->offset + element]);
            return true;
        }
    }
    if (first->halted != second->halted) {
        note_difference(witness, NULL, 0, first->halted, second->halted);
        return true;
    }
    if (description->memory_cell < 0)
        return false;
    if (!description->has_map) {
        const struct isa_cell *memory = &description->cells[description->memory_cell];

        if (same_cell(memory, first, second, &element))
            return false;
        note_difference(witness, memory, element, first->values[memory->offset + element],
                        second->values[memory->offset + element]);
        return true;
    }
    if (witness_same_window(description, first, second, &element, seen))
        return false;
    note_difference(witness, &description->cells[description->memory_cell], element, seen[0],
                    seen[1]);
    witness->windowed = true;
    return true;
}

static bool behaves_differently(const struct isa_description *description, struct witness *witness)
{
    return witness->outcome[0].kind == OUTCOME_NORMAL &&
           witness->outcome[1].kind == OUTCOME_NORMAL &&
           keeps_mode_and_relocation(description, witness) &&
           visible_difference(description, witness);
}

static bool neither_faults(const struct witness *witness)
{
    return witness->outcome[0].kind != OUTCOME_FAULT && witness->outcome[1].kind != OUTCOME_FAULT;
}

/* i(f(S)) against f(i(S)): the expected host state is built from the bare result. */
static bool fold_difference(const struct isa_description *description, struct witness *witness,
                            struct machine_state *expected)
{
    const struct machine_state *bare = &witness->after[0], *host = &witness->after[1];
    uint32_t monitor = description->monitor_cells, element = 0;
    uint64_t *memory = machine_state_memory(expected, description);

    machine_state_copy(expected, bare, description);
    expected->memory_size = host->memory_size;
    if (evaluate_relocate(description, expected, monitor) != 0)
        return true;
    machine_state_set_mode(expected, description, description->user);
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        size_t bytes = cell->count * sizeof(uint64_t);

        if (cell->counted || cell->role == ROLE_CLOCK)
            memcpy(expected->values + cell->offset, witness->before[1].values + cell->offset,
                   bytes);
    }
    memcpy(memory, machine_state_memory(&witness->before[1], description),
           monitor * sizeof(*memory));
    memcpy(memory + monitor, machine_state_memory(bare, description),
           bare->memory_size * sizeof(*memory));
    /* What the monitor keeps for its guest does not change by itself. */
    if (machine_state_mode(bare, description) !=
            machine_state_mode(&witness->before[0], description) ||
        !same_counted(description, bare, &witness->before[0]))
        return changes_control(description, witness);
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if ((cell->role == ROLE_CLOCK && !cell->counted) ||
            same_cell(cell, expected, host, &element))
            continue;
        note_difference(witness, cell, element, expected->values[cell->offset + element],
                        host->values[cell->offset + element]);
        return true;
    }
    if (bare->halted != host->halted)
        note_difference(witness, NULL, 0, bare->halted, host->halted);
    return bare->halted != host->halted;
}

static bool does_not_commute(const struct isa_description *description, struct witness *witness)
{
    struct machine_state expected;
    bool differs;

    if (witness->outcome[1].kind != OUTCOME_NORMAL)
        return false;
    if (witness->outcome[0].kind != OUTCOME_NORMAL)
        return true;
    if (machine_state_init(&expected, description) != 0)
        return false;
    differs = fold_difference(description, witness, &expected);
    machine_state_release(&expected);
    return differs;
}

bool witness_judge(const struct isa_description *description, struct witness *witness)
{
    const struct outcome *outcome = witness->outcome;

    witness->has_difference = false;
    switch (witness->property) {
    case PROPERTY_CONTROL_USER:
    case PROPERTY_CONTROL_SUPERVISOR:
        return changes_control(description, witness);
    case PROPERTY_LOCATION_USER:
    case PROPERTY_LOCATION_SUPERVISOR:
    case PROPERTY_MODE:
    case PROPERTY_RESOURCE_USER:
    case PROPERTY_RESOURCE_SUPERVISOR:
        return behaves_differently(description, witness);
    case PROPERTY_UNPRIVILEGED:
        return neither_faults(witness) &&
               !(outcome[1].kind == OUTCOME_TRAP && outcome[0].kind == OUTCOME_NORMAL);
    case PROPERTY_COMPARABLE:
        return neither_faults(witness);
    case PROPERTY_TRAPS_IN_USER:
        return outcome[0].kind == OUTCOME_TRAP;
    case PROPERTY_RUNS_IN_USER:
        return outcome[0].kind == OUTCOME_NORMAL;
    case PROPERTY_DIFFERS:
        return does_not_commute(description, witness);
    case PROPERTY_FALSE_TRAP:
        return outcome[1].kind == OUTCOME_TRAP && outcome[0].kind != OUTCOME_TRAP;
    case PROPERTY_FALSE_FAULT:
        return outcome[1].kind == OUTCOME_FAULT && outcome[0].kind != OUTCOME_FAULT;
    case PROPERTY_STRAYS_IN_USER:
        return outcome[1].kind != OUTCOME_NORMAL ? outcome[1].kind != outcome[0].kind
                                                 : does_not_commute(description, witness);
    default:
        return false;
    }
}

bool witness_holds(const struct isa_description *description, struct witness *witness)
{
    if (!witness_related(description, witness))
        return false;
    witness_run(description, witness, 0);
    if (property_rows[witness->property].relation != RELATION_SINGLE)
        witness_run(description, witness, 1);
    return witness_judge(description, witness);
}
