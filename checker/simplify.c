/* SPDX-License-Identifier: MIT */
/* Simplify: a witness that holds nothing but what it lives by. */
#include "witness.h"

struct simplification {
    const struct isa_description *description;
    struct witness *witness;
};

/* Sets two places, perhaps the same one; undone where the witness does not hold any more. */
static void try_pair(const struct simplification *s, uint64_t *first, uint64_t *second,
                     uint64_t value)
{
    uint64_t old[2] = { *first, *second };

    if (old[0] == value && old[1] == value)
        return;
    *first = *second = value;
    if (witness_holds(s->description, s->witness))
        return;
    *first = old[0];
    *second = old[1];
}

static void empty_cell(const struct simplification *s, const struct isa_cell *cell)
{
    struct machine_state *before = s->witness->before;

    for (uint32_t i = 0; i < cell->count; i++)
        try_pair(s, &before[0].values[cell->offset + i], &before[1].values[cell->offset + i], 0);
}

/* Under the VM map a guest's cell lies higher in the host, below it what the monitor has. */
static void empty_folded_memory(const struct simplification *s, const struct isa_cell *cell)
{
    uint64_t *guest = s->witness->before[0].values + cell->offset;
    uint64_t *host = s->witness->before[1].values + cell->offset;
    uint32_t monitor = s->description->monitor_cells;

    for (uint32_t i = 0; i < monitor; i++)
        try_pair(s, &host[i], &host[i], 0);
    for (uint32_t i = 0; i + monitor < cell->count; i++)
        try_pair(s, &guest[i], &host[i + monitor], 0);
}

static void empty_input(const struct simplification *s)
{
    const struct isa_instruction *instruction = s->witness->instruction;
    struct instruction_input *input = &s->witness->input;

    for (unsigned i = 0; i < instruction->operand_count; i++)
        try_pair(s, &input->operands[i], &input->operands[i],
                 instruction->operands[i].domain != NULL ? instruction->operands[i].domain[0] : 0);
    for (unsigned i = 0; i < instruction->choice_count; i++)
        try_pair(s, &input->choices[i], &input->choices[i], 0);
}

/* What the host has of its own becomes what the guest has, where that is not the reason. */
static void equalise_resources(const struct simplification *s, const struct isa_cell *cell)
{
    struct machine_state *before = s->witness->before;

    for (uint32_t i = 0; cell->counted && i < cell->count; i++)
        try_pair(s, &before[1].values[cell->offset + i], &before[1].values[cell->offset + i],
                 before[0].values[cell->offset + i]);
}

bool witness_simplify(const struct isa_description *description, struct witness *witness)
{
    const struct simplification s = { description, witness };
    enum relation relation = property_rows[witness->property].relation;

    empty_input(&s);
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (relation == RELATION_FOLDED && cell->role == ROLE_MEMORY)
            empty_folded_memory(&s, cell);
        else if (cell->role != ROLE_MODE)
            empty_cell(&s, cell);
    }
    for (unsigned i = 0; i < description->cell_count; i++)
        if (relation == RELATION_RESOURCES || relation == RELATION_FOLDED)
            equalise_resources(&s, &description->cells[i]);
    /* The last attempt may have been one that does not hold. */
    return witness_holds(description, witness);
}

const struct isa_cell *witness_resource(const struct isa_description *description,
                                        const struct witness *witness, unsigned number)
{
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        bool differs = false;

        for (uint32_t j = 0; cell->counted && j < cell->count; j++)
            differs = differs || witness->before[0].values[cell->offset + j] !=
                                     witness->before[1].values[cell->offset + j];
        if (differs && number-- == 0)
            return cell;
    }
    return NULL;
}
