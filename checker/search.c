/* SPDX-License-Identifier: MIT */
/*
 * Search with Z3: each property as a formula over one or two symbolic states.
 *
 * The formulas restate witness.c's definitions on purpose: two statements that must agree.
 */
#include "encode.h"
#include "search.h"
#include "solver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct question {
    struct encoder *encoder;
    const struct isa_description *description;
    const struct search_universe *universe; /* NULL: all states */
    enum property property;
    struct symbolic_state before[2];
    struct symbolic_outcome run[2];
    Z3_ast shift;
    Z3_ast formula;
    bool windows_equal; /* required of `before` */
};

void search_release(struct search_result *result)
{
    for (int i = 0; i < PROPERTY_COUNT; i++) {
        if (result->witness[i] != NULL) {
            witness_release(result->witness[i]);
            free(result->witness[i]);
        }
        result->witness[i] = NULL;
    }
}

bool search_applies(const struct isa_description *description, enum property property)
{
    bool resources = false;

    for (unsigned i = 0; i < description->cell_count; i++)
        resources = resources || description->cells[i].counted;
    if (!description->pair_declared)
        return false;
    switch (property_rows[property].relation) {
    case RELATION_RELOCATED:
        return description->has_relocate && description->has_map;
    case RELATION_FOLDED:
        return description->has_relocate && description->has_map && description->memory_cell >= 0 &&
               description->cells[description->memory_cell].count > description->monitor_cells &&
               (description->shift_width >= 32 ||
                description->monitor_cells >> description->shift_width == 0);
    case RELATION_RESOURCES:
        return resources;
    default:
        return true;
    }
}

static void require(struct question *q, Z3_ast condition)
{
    q->formula = encode_and(q->encoder, q->formula, condition);
}

static const struct isa_cell *mode_cell(const struct question *q)
{
    return &q->description->cells[q->description->mode_cell];
}

static void set_mode(struct question *q, struct symbolic_state *state, uint64_t mode)
{
    state->values[mode_cell(q)->offset] = encode_number(q->encoder, mode, mode_cell(q)->width);
}

static Z3_ast same_cells(struct question *q, const struct isa_cell *cell,
                         const struct symbolic_state *a, const struct symbolic_state *b)
{
    Z3_ast same = q->encoder->yes;

    for (uint32_t i = 0; i < cell->count; i++)
        same = encode_and(
            q->encoder, same,
            encode_equal(q->encoder, a->values[cell->offset + i], b->values[cell->offset + i]));
    return same;
}

static Z3_ast same_windows(struct question *q, const struct symbolic_state *a,
                           const struct symbolic_state *b)
{
    struct encoder *encoder = q->encoder;
    uint64_t addresses = (uint64_t)1 << q->description->map_address_width;
    Z3_ast same = encoder->yes;

    for (uint64_t address = 0; address < addresses; address++) {
        Z3_ast contents[2];
        Z3_ast first = encode_view(encoder, a, address, &contents[0]);
        Z3_ast second = encode_view(encoder, b, address, &contents[1]);
        Z3_ast equal = encode_or(encoder, encode_not(encoder, first),
                                 encode_equal(encoder, contents[0], contents[1]));

        same = encode_and(encoder, same,
                          encode_and(encoder, encode_equal(encoder, first, second), equal));
    }
    return same;
}

static void require_member(struct question *q, const struct search_set *set, Z3_ast term,
                           unsigned width)
{
    Z3_ast some = q->encoder->no;

    if (set->values == NULL)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        some = encode_or(
            q->encoder, some,
            encode_equal(q->encoder, term, encode_number(q->encoder, set->values[i], width)));
    require(q, some);
}

/* A fresh term for one place of the second state. */
static void renew_place(struct question *q, const struct isa_cell *cell, uint32_t element)
{
    uint32_t place = cell->offset + element;

    q->before[1].values[place] = encode_variable(q->encoder, "second", place, cell->width);
    if (q->universe != NULL)
        require_member(q, &q->universe->places[place], q->before[1].values[place], cell->width);
}

/* The first state, operands, choices and shift lie in the universe. */
static void require_universe(struct question *q)
{
    const struct isa_instruction *instruction = q->encoder->instruction;

    if (q->universe == NULL)
        return;
    for (unsigned i = 0; i < q->description->cell_count; i++) {
        const struct isa_cell *cell = &q->description->cells[i];
        uint32_t count = cell->role == ROLE_MEMORY ? q->before[0].memory_size : cell->count;

        for (uint32_t j = 0; j < count && cell->role != ROLE_MODE; j++)
            require_member(q, &q->universe->places[cell->offset + j],
                           q->before[0].values[cell->offset + j], cell->width);
    }
    for (unsigned i = 0; i < instruction->operand_count; i++)
        require_member(q, &q->universe->operands[i], q->encoder->operands[i],
                       instruction->operands[i].width);
    for (unsigned i = 0; i < instruction->choice_count; i++)
        require_member(q, &q->universe->choices[i], q->encoder->choices[i],
                       instruction->choice_width[i]);
    if (q->shift != NULL)
        require_member(q, &q->universe->shift, q->shift, q->description->shift_width);
}

/* Fresh terms in the second state for every cell of a kind. */
static void renew(struct question *q, bool memory, bool counted)
{
    for (unsigned i = 0; i < q->description->cell_count; i++) {
        const struct isa_cell *cell = &q->description->cells[i];

        if (!(memory && cell->role == ROLE_MEMORY) && !(counted && cell->counted))
            continue;
        for (uint32_t j = 0; j < cell->count; j++)
            renew_place(q, cell, j);
    }
}

static void relate_relocated(struct question *q)
{
    unsigned width = q->description->shift_width;

    q->shift = encode_variable(q->encoder, "shift", 0, width);
    require(q, encode_not(q->encoder,
                          encode_equal(q->encoder, q->shift, encode_number(q->encoder, 0, width))));
    require(q, encode_relocate(q->encoder, &q->before[1], q->shift));
    renew(q, true, false);
    require(q, same_windows(q, &q->before[0], &q->before[1]));
    q->windows_equal = true;
}

static void relate_modes(struct question *q)
{
    set_mode(q, &q->before[0], q->description->supervisor);
    set_mode(q, &q->before[1], q->description->user);
    if (!property_equal_windows(q->description, q->property))
        return;
    renew(q, true, false);
    require(q, same_windows(q, &q->before[0], &q->before[1]));
    q->windows_equal = true;
}

static void relate_folded(struct question *q)
{
    const struct isa_description *description = q->description;
    struct encoder *encoder = q->encoder;
    uint32_t monitor = description->monitor_cells;
    uint32_t offset = description->cells[description->memory_cell].offset;
    uint32_t size = description->cells[description->memory_cell].count;
    Z3_ast mode = q->before[0].values[mode_cell(q)->offset];

    require(q,
            encode_or(
                encoder,
                encode_equal(encoder, mode,
                             encode_number(encoder, description->supervisor, mode_cell(q)->width)),
                encode_equal(encoder, mode,
                             encode_number(encoder, description->user, mode_cell(q)->width))));
    require(q, encode_relocate(encoder, &q->before[1],
                               encode_number(encoder, monitor, description->shift_width)));
    set_mode(q, &q->before[1], description->user);
    renew(q, false, true);
    q->before[1].memory_size = size;
    for (uint32_t i = 0; i < monitor; i++)
        renew_place(q, &description->cells[description->memory_cell], i);
    for (uint32_t i = monitor; i < size; i++)
        q->before[1].values[offset + i] = q->before[0].values[offset + i - monitor];
}

static void relate(struct question *q)
{
    const struct property_row *row = &property_rows[q->property];
    uint32_t size = 0;

    if (q->description->memory_cell >= 0)
        size = q->description->cells[q->description->memory_cell].count;
    if (row->relation == RELATION_FOLDED)
        size -= q->description->monitor_cells;
    q->before[0] = encode_state(q->encoder, "first", size);
    if (row->mode >= 0)
        set_mode(q, &q->before[0],
                 row->mode == 1 ? q->description->user : q->description->supervisor);
    q->before[1] = encode_copy(q->encoder, &q->before[0]);
    if (row->relation == RELATION_RELOCATED)
        relate_relocated(q);
    else if (row->relation == RELATION_MODE)
        relate_modes(q);
    else if (row->relation == RELATION_RESOURCES)
        renew(q, false, true);
    else if (row->relation == RELATION_FOLDED)
        relate_folded(q);
    require_universe(q);
    require(q, encode_domains(q->encoder));
    require(q, encode_valid(q->encoder, &q->before[0]));
    q->encoder->shared_count = 0;
    q->encoder->shared_meaning = q->encoder->yes;
    q->encoder->share_first = q->windows_equal ? &q->before[0] : NULL;
    q->encoder->share_second = q->windows_equal ? &q->before[1] : NULL;
    q->run[0] = encode_run(q->encoder, &q->before[0]);
    if (row->relation == RELATION_SINGLE)
        return;
    require(q, encode_valid(q->encoder, &q->before[1]));
    q->run[1] = encode_run(q->encoder, &q->before[1]);
    q->encoder->share_first = q->encoder->share_second = NULL;
    require(q, q->encoder->shared_meaning);
}

static bool is_control(const struct isa_cell *cell)
{
    return cell->role == ROLE_MODE || cell->role == ROLE_RELOCATION || cell->counted;
}

static Z3_ast control_changed(struct question *q)
{
    Z3_ast same = q->encoder->yes;

    for (unsigned i = 0; i < q->description->cell_count; i++)
        if (is_control(&q->description->cells[i]))
            same = encode_and(
                q->encoder, same,
                same_cells(q, &q->description->cells[i], &q->before[0], &q->run[0].after));
    return encode_not(q->encoder, same);
}

static Z3_ast results_differ(struct question *q)
{
    struct encoder *encoder = q->encoder;
    Z3_ast kept = encode_and(encoder, q->run[0].normal, q->run[1].normal);
    Z3_ast same = encode_equal(encoder, q->run[0].after.halted, q->run[1].after.halted);

    for (unsigned i = 0; i < q->description->cell_count; i++) {
        const struct isa_cell *cell = &q->description->cells[i];

        if (cell->role == ROLE_MODE || cell->role == ROLE_RELOCATION) {
            for (int j = 0; j < 2; j++)
                kept =
                    encode_and(encoder, kept, same_cells(q, cell, &q->before[j], &q->run[j].after));
        } else if (cell->role != ROLE_MEMORY && cell->role != ROLE_CLOCK && !cell->counted) {
            same =
                encode_and(encoder, same, same_cells(q, cell, &q->run[0].after, &q->run[1].after));
        } else if (cell->role == ROLE_MEMORY && !q->description->has_map) {
            same =
                encode_and(encoder, same, same_cells(q, cell, &q->run[0].after, &q->run[1].after));
        }
    }
    if (q->description->has_map && q->description->memory_cell >= 0)
        same = encode_and(encoder, same, same_windows(q, &q->run[0].after, &q->run[1].after));
    return encode_and(encoder, kept, encode_not(encoder, same));
}

/* i(f(S)) = f(i(S)), the guest's mode and resources, kept by the monitor, unchanged. */
static Z3_ast commutes(struct question *q)
{
    const struct isa_description *description = q->description;
    struct encoder *encoder = q->encoder;
    const struct symbolic_state *bare = &q->run[0].after, *host = &q->run[1].after;
    struct symbolic_state expected = encode_copy(encoder, bare);
    uint32_t monitor = description->monitor_cells;
    Z3_ast same = encode_relocate(encoder, &expected,
                                  encode_number(encoder, monitor, description->shift_width));

    same = encode_and(encoder, same, encode_equal(encoder, bare->halted, host->halted));
    same = encode_and(encoder, same, same_cells(q, mode_cell(q), bare, &q->before[0]));
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (cell->role == ROLE_CLOCK && !cell->counted)
            continue;
        if (cell->counted)
            same = encode_and(encoder, same,
                              encode_and(encoder, same_cells(q, cell, bare, &q->before[0]),
                                         same_cells(q, cell, host, &q->before[1])));
        else if (cell->role == ROLE_MODE)
            same = encode_and(encoder, same, same_cells(q, cell, host, &q->before[1]));
        else if (cell->role != ROLE_MEMORY)
            same = encode_and(encoder, same, same_cells(q, cell, &expected, host));
        else
            for (uint32_t j = 0; j < cell->count; j++)
                same = encode_and(encoder, same,
                                  encode_equal(encoder, host->values[cell->offset + j],
                                               j < monitor
                                                   ? q->before[1].values[cell->offset + j]
                                                   : bare->values[cell->offset + j - monitor]));
    }
    return same;
}

static Z3_ast judge(struct question *q)
{
    struct encoder *encoder = q->encoder;
    const struct symbolic_outcome *first = &q->run[0], *second = &q->run[1];
    Z3_ast no_fault;

    switch (q->property) {
    case PROPERTY_CONTROL_USER:
    case PROPERTY_CONTROL_SUPERVISOR:
        return encode_and(encoder, first->normal, control_changed(q));
    case PROPERTY_TRAPS_IN_USER:
        return first->trap;
    case PROPERTY_RUNS_IN_USER:
        return first->normal;
    case PROPERTY_UNPRIVILEGED:
    case PROPERTY_COMPARABLE:
        no_fault = encode_not(encoder, encode_or(encoder, first->fault, second->fault));
        if (q->property == PROPERTY_COMPARABLE)
            return no_fault;
        return encode_and(encoder, no_fault,
                          encode_not(encoder, encode_and(encoder, second->trap, first->normal)));
    case PROPERTY_DIFFERS:
        return encode_and(encoder, second->normal,
                          encode_not(encoder, encode_and(encoder, first->normal, commutes(q))));
    case PROPERTY_FALSE_TRAP:
        return encode_and(encoder, second->trap, encode_not(encoder, first->trap));
    case PROPERTY_FALSE_FAULT:
        return encode_and(encoder, second->fault, encode_not(encoder, first->fault));
    case PROPERTY_STRAYS_IN_USER:
        no_fault =
            encode_or(encoder, encode_and(encoder, second->trap, encode_not(encoder, first->trap)),
                      encode_and(encoder, second->fault, encode_not(encoder, first->fault)));
        return encode_or(
            encoder, no_fault,
            encode_and(encoder, second->normal,
                       encode_not(encoder, encode_and(encoder, first->normal, commutes(q)))));
    default:
        return results_differ(q);
    }
}

static void read_state(struct question *q, const struct solver *solver,
                       const struct symbolic_state *symbolic, struct machine_state *state)
{
    state->memory_size = symbolic->memory_size;
    for (uint32_t i = 0; i < q->description->value_count; i++)
        state->values[i] = solver_value(solver, symbolic->values[i]);
}

static int read_witness(struct question *q, const struct solver *solver,
                        struct search_result *result)
{
    const struct isa_instruction *instruction = q->encoder->instruction;
    struct witness *witness = calloc(1, sizeof(*witness));

    if (witness == NULL)
        return -ENOMEM;
    if (witness_init(witness, q->description, instruction, q->property) != 0) {
        free(witness);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < instruction->operand_count; i++)
        witness->input.operands[i] = solver_value(solver, q->encoder->operands[i]);
    for (unsigned i = 0; i < instruction->choice_count; i++)
        witness->input.choices[i] = solver_value(solver, q->encoder->choices[i]);
    if (q->shift != NULL)
        witness->shift = solver_value(solver, q->shift);
    read_state(q, solver, &q->before[0], &witness->before[0]);
    read_state(q, solver, &q->before[1], &witness->before[1]);
    result->witness[q->property] = witness;
    result->failed = q->property;
    /* The solver's own states are what is held against the evaluator; then they may become nicer,
     * unless that could leave the universe. */
    if (!witness_holds(q->description, witness) ||
        (q->universe == NULL && !witness_simplify(q->description, witness)))
        return -EPROTO;
    return 0;
}

/* An instruction that never looks at the mode gives the same formula for both; terms are shared, so
 * that equal formulas are one pointer. `refuted` remembers what had no witness. */
static int ask(struct question *q, struct solver *solver, Z3_ast *refuted,
               struct search_result *result)
{
    Z3_lbool found;
    int error = 0;

    q->formula = q->encoder->yes;
    relate(q);
    require(q, judge(q));
    if (!encoder_ok(q->encoder))
        return q->encoder->out_of_memory ? -ENOMEM : -EIO;
    q->formula = Z3_simplify(q->encoder->context, q->formula);
    for (int i = 0; i < PROPERTY_COUNT; i++)
        if (q->formula == q->encoder->no || q->formula == refuted[i])
            return 0;
    found = solver_ask(solver, q->formula, &error);
    if (error != 0)
        return error;
    if (found == Z3_L_FALSE)
        refuted[q->property] = q->formula;
    if (found != Z3_L_TRUE) {
        result->answer[q->property] = found == Z3_L_UNDEF ? ANSWER_UNDECIDED : ANSWER_NO;
        return 0;
    }
    result->answer[q->property] = ANSWER_YES;
    return read_witness(q, solver, result);
}

int search_solve(const struct isa_description *description,
                 const struct isa_instruction *instruction, const struct search_universe *universe,
                 unsigned timeout, struct search_result *result)
{
    Z3_ast refuted[PROPERTY_COUNT] = { NULL };
    struct encoder encoder;
    int error = encoder_init(&encoder, description, instruction);

    memset(result, 0, sizeof(*result));
    if (error == 0) {
        struct solver solver;

        solver_init(&solver, encoder.context, timeout);
        for (int i = 0; i < PROPERTY_COUNT && error == 0; i++) {
            struct question question = { .encoder = &encoder,
                                         .description = description,
                                         .universe = universe,
                                         .property = (enum property)i };

            if (search_applies(description, (enum property)i))
                error = ask(&question, &solver, refuted, result);
        }
        solver_release(&solver);
    }
    encoder_release(&encoder);
    return error;
}
