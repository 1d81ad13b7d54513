/* SPDX-License-Identifier: MIT */
/*
 * Search by trying everything. No solver, no cleverness: the evaluator on every state, every
 * operand, every choice, and every partner state that the property allows.
 */
#include "search.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_BITS = 28,
    MAX_AXES = 512,
};

/* One value that takes all its possibilities in turn. */
struct axis {
    uint64_t *place;
    uint64_t last;          /* counts 0..last, or */
    const uint64_t *domain; /* takes these */
    uint64_t position;
};

struct axes {
    unsigned count;
    struct axis axis[MAX_AXES];
};

struct enumeration {
    const struct isa_description *description;
    const struct search_universe *universe; /* NULL: all states */
    struct witness *witness;
    struct axes outer; /* first state, operands, choices */
    struct axes inner; /* what the second state is free to hold */
    bool *fixed;       /* memory cells that the window decides */
};

static uint64_t width_last(unsigned width)
{
    return width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

static int add_axis(struct axes *axes, uint64_t *place, unsigned width,
                    const struct search_set *set)
{
    struct axis *axis;

    if (axes->count == MAX_AXES)
        return -E2BIG;
    axis = &axes->axis[axes->count++];
    axis->place = place;
    axis->domain = set != NULL ? set->values : NULL;
    axis->last = axis->domain != NULL ? set->count - 1 : width_last(width);
    axis->position = 0;
    *place = axis->domain != NULL ? axis->domain[0] : 0;
    return 0;
}

/* An axis for one place of a state. */
static int add_place(struct enumeration *e, struct axes *axes, struct machine_state *state,
                     const struct isa_cell *cell, uint32_t element)
{
    uint32_t place = cell->offset + element;

    return add_axis(axes, &state->values[place], cell->width,
                    e->universe != NULL ? &e->universe->places[place] : NULL);
}

/* Sets the next combination; false, and everything back at the start, after the last. */
static bool advance(struct axes *axes)
{
    for (unsigned i = 0; i < axes->count; i++) {
        struct axis *axis = &axes->axis[i];
        bool wrapped = axis->position == axis->last;

        axis->position = wrapped ? 0 : axis->position + 1;
        *axis->place = axis->domain != NULL ? axis->domain[axis->position] : axis->position;
        if (!wrapped)
            return true;
    }
    return false;
}

static int add_state(struct enumeration *e)
{
    const struct isa_description *description = e->description;
    struct machine_state *state = &e->witness->before[0];
    int error = 0;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        uint32_t count = cell->role == ROLE_MEMORY ? state->memory_size : cell->count;

        for (uint32_t j = 0; j < count && cell->role != ROLE_MODE && error == 0; j++)
            error = add_place(e, &e->outer, state, cell, j);
    }
    return error;
}

static int add_input(struct enumeration *e)
{
    const struct isa_instruction *instruction = e->witness->instruction;
    struct instruction_input *input = &e->witness->input;
    int error = 0;

    for (unsigned i = 0; i < instruction->operand_count && error == 0; i++) {
        const struct isa_operand *operand = &instruction->operands[i];
        struct search_set all = { operand->domain, operand->domain_count };

        error = add_axis(&e->outer, &input->operands[i], operand->width,
                         e->universe != NULL && e->universe->operands[i].values != NULL
                             ? &e->universe->operands[i]
                             : &all);
    }
    for (unsigned i = 0; i < instruction->choice_count && error == 0; i++)
        error = add_axis(&e->outer, &input->choices[i], instruction->choice_width[i],
                         e->universe != NULL ? &e->universe->choices[i] : NULL);
    return error;
}

unsigned search_bits(const struct isa_description *description,
                     const struct isa_instruction *instruction)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < description->cell_count; i++)
        bits += (uint64_t)description->cells[i].width * description->cells[i].count;
    for (unsigned i = 0; i < instruction->operand_count; i++)
        bits += instruction->operands[i].width;
    for (unsigned i = 0; i < instruction->choice_count; i++)
        bits += instruction->choice_width[i];
    return bits > 10000 ? 10000 : (unsigned)bits;
}

static double set_bits(const struct search_set *set, unsigned width)
{
    return set->values != NULL ? log2(set->count) : width;
}

/* The same within a universe; rounded up. */
static unsigned universe_bits(const struct isa_description *description,
                              const struct isa_instruction *instruction,
                              const struct search_universe *universe)
{
    double bits = 0;

    if (universe == NULL)
        return search_bits(description, instruction);
    for (unsigned i = 0; i < description->cell_count; i++)
        for (uint32_t j = 0; j < description->cells[i].count; j++)
            bits += set_bits(&universe->places[description->cells[i].offset + j],
                             description->cells[i].width);
    for (unsigned i = 0; i < instruction->operand_count; i++)
        bits += set_bits(&universe->operands[i], instruction->operands[i].width);
    for (unsigned i = 0; i < instruction->choice_count; i++)
        bits += set_bits(&universe->choices[i], instruction->choice_width[i]);
    return bits > 10000 ? 10000 : (unsigned)ceil(bits);
}

/* Makes the second state's window show what the first one's does; the rest becomes free. */
static bool fit_window(struct enumeration *e)
{
    const struct isa_description *description = e->description;
    struct machine_state *states[2] = { &e->witness->before[0], &e->witness->before[1] };
    uint64_t *memory = machine_state_memory(states[1], description);
    const struct isa_cell *cell = &description->cells[description->memory_cell];

    memset(e->fixed, 0, cell->count * sizeof(*e->fixed));
    e->inner.count = 0;
    for (uint64_t a = 0; a < (uint64_t)1 << description->map_address_width; a++) {
        uint64_t physical[2] = { 0, 0 }, seen;
        bool mapped[2];

        for (int i = 0; i < 2; i++)
            mapped[i] = evaluate_map(description, states[i], a,
                                     machine_state_mode(states[i], description), &physical[i]) == 0;
        if (mapped[0] != mapped[1])
            return false;
        if (!mapped[0])
            continue;
        seen = machine_state_memory(states[0], description)[physical[0]];
        if (e->fixed[physical[1]] && memory[physical[1]] != seen)
            return false;
        e->fixed[physical[1]] = true;
        memory[physical[1]] = seen;
    }
    for (uint32_t i = 0; i < cell->count; i++)
        if (!e->fixed[i] && add_place(e, &e->inner, states[1], cell, i) != 0)
            return false;
    return true;
}

static void free_resources(struct enumeration *e)
{
    for (unsigned i = 0; i < e->description->cell_count; i++) {
        const struct isa_cell *cell = &e->description->cells[i];

        for (uint32_t j = 0; cell->counted && j < cell->count; j++)
            (void)add_place(e, &e->inner, &e->witness->before[1], cell, j);
    }
}

/* Tries every second state that the inner axes allow. */
static bool try_inner(struct enumeration *e)
{
    do {
        if (evaluate_valid(e->description, &e->witness->before[1])) {
            witness_run(e->description, e->witness, 1);
            if (witness_judge(e->description, e->witness) &&
                witness_holds(e->description, e->witness))
                return true;
        }
    } while (advance(&e->inner));
    return false;
}

static bool try_relocated(struct enumeration *e)
{
    const struct search_set *set = e->universe != NULL ? &e->universe->shift : NULL;
    uint64_t last = width_last(e->description->shift_width);
    struct witness *witness = e->witness;

    if (set != NULL && set->values != NULL)
        last = set->count;
    for (uint64_t i = 1; i <= last; i++) {
        uint64_t shift = set != NULL && set->values != NULL ? set->values[i - 1] : i;

        witness->shift = shift;
        if (shift == 0)
            continue;
        machine_state_copy(&witness->before[1], &witness->before[0], e->description);
        if (evaluate_relocate(e->description, &witness->before[1], shift) == 0 && fit_window(e) &&
            try_inner(e))
            return true;
    }
    return false;
}

static bool try_folded(struct enumeration *e)
{
    const struct isa_description *description = e->description;
    struct machine_state *bare = &e->witness->before[0], *host = &e->witness->before[1];
    const struct isa_cell *memory = &description->cells[description->memory_cell];
    uint32_t monitor = description->monitor_cells;

    machine_state_copy(host, bare, description);
    host->memory_size = memory->count;
    if (evaluate_relocate(description, host, monitor) != 0)
        return false;
    machine_state_set_mode(host, description, description->user);
    memcpy(machine_state_memory(host, description) + monitor,
           machine_state_memory(bare, description), bare->memory_size * sizeof(uint64_t));
    e->inner.count = 0;
    for (uint32_t i = 0; i < monitor; i++)
        (void)add_place(e, &e->inner, host, memory, i);
    free_resources(e);
    return try_inner(e);
}

static bool try_second(struct enumeration *e)
{
    const struct isa_description *description = e->description;
    struct witness *witness = e->witness;
    bool behaves = property_rows[witness->property].relation == RELATION_RELOCATED ||
                   property_rows[witness->property].relation == RELATION_RESOURCES ||
                   witness->property == PROPERTY_MODE;

    if (behaves && witness->outcome[0].kind != OUTCOME_NORMAL)
        return false;
    e->inner.count = 0;
    switch (property_rows[witness->property].relation) {
    case RELATION_RELOCATED:
        return try_relocated(e);
    case RELATION_FOLDED:
        return try_folded(e);
    case RELATION_MODE:
        machine_state_copy(&witness->before[1], &witness->before[0], description);
        machine_state_set_mode(&witness->before[1], description, description->user);
        if (property_equal_windows(description, witness->property) && !fit_window(e))
            return false;
        return try_inner(e);
    case RELATION_RESOURCES:
        machine_state_copy(&witness->before[1], &witness->before[0], description);
        free_resources(e);
        return try_inner(e);
    default:
        return witness_judge(description, witness) && witness_holds(description, witness);
    }
}

/* All first states in one mode. */
static bool try_mode(struct enumeration *e, uint64_t mode)
{
    machine_state_set_mode(&e->witness->before[0], e->description, mode);
    do {
        if (!evaluate_valid(e->description, &e->witness->before[0]))
            continue;
        witness_run(e->description, e->witness, 0);
        if (try_second(e))
            return true;
    } while (advance(&e->outer));
    return false;
}

static bool try_property(struct enumeration *e)
{
    const struct isa_description *description = e->description;
    const struct property_row *row = &property_rows[e->witness->property];

    if (row->relation == RELATION_FOLDED && row->mode < 0)
        return try_mode(e, description->supervisor) || try_mode(e, description->user);
    return try_mode(e, row->mode == 1 ? description->user : description->supervisor);
}

static int enumerate_property(struct enumeration *e, const struct isa_instruction *instruction,
                              enum property property, struct search_result *result)
{
    int error;

    e->witness = calloc(1, sizeof(*e->witness));
    if (e->witness == NULL)
        return -ENOMEM;
    if (witness_init(e->witness, e->description, instruction, property) != 0) {
        free(e->witness);
        return -ENOMEM;
    }
    e->outer.count = 0;
    error = add_state(e);
    if (error == 0)
        error = add_input(e);
    if (error == 0 && try_property(e)) {
        result->answer[property] = ANSWER_YES;
        result->witness[property] = e->witness;
        return 0;
    }
    witness_release(e->witness);
    free(e->witness);
    return error;
}

int search_enumerate(const struct isa_description *description,
                     const struct isa_instruction *instruction,
                     const struct search_universe *universe, struct search_result *result)
{
    struct enumeration *e;
    int error = 0;

    memset(result, 0, sizeof(*result));
    if (universe_bits(description, instruction, universe) > MAX_BITS)
        return -E2BIG;
    e = calloc(1, sizeof(*e));
    if (e == NULL)
        return -ENOMEM;
    e->description = description;
    e->universe = universe;
    e->fixed = calloc(description->value_count + 1, sizeof(*e->fixed));
    if (e->fixed == NULL)
        error = -ENOMEM;
    for (int i = 0; i < PROPERTY_COUNT && error == 0; i++)
        if (search_applies(description, (enum property)i))
            error = enumerate_property(e, instruction, (enum property)i, result);
    free(e->fixed);
    free(e);
    return error;
}
