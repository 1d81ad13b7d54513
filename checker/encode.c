/* SPDX-License-Identifier: MIT */
/* Encoding: see encode.h. Symbolic execution that merges paths at the end of each if. */
#include "encode_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void execute(struct execution *run, const struct isa_statement *statement);

/* Is this address below the end of memory? */
static Z3_ast inside(struct encoder *encoder, Z3_ast address, unsigned width, uint32_t size)
{
    if (width < 32 && size > ((uint64_t)1 << width) - 1)
        return encoder->yes;
    return Z3_mk_bvult(encoder->context, address, encode_number(encoder, size, width));
}

/* The map on one address: where it yields a cell that exists, and which. */
static Z3_ast map_address(struct encoder *encoder, const struct symbolic_state *state,
                          Z3_ast address, Z3_ast mode, Z3_ast *physical)
{
    const struct isa_description *description = encoder->description;
    struct symbolic_state view = *state;
    struct execution *run = calloc(1, sizeof(*run));
    Z3_ast good;

    if (run == NULL) {
        encoder->out_of_memory = true;
        *physical = encode_number(encoder, 0, description->map_physical_width);
        return encoder->no;
    }
    run->encoder = encoder;
    run->state = &view;
    run->path = encoder->yes;
    run->trap = run->fault = encoder->no;
    run->result = encode_number(encoder, 0, description->map_physical_width);
    run->slots[0] = address;
    run->slots[1] = mode;
    execute(run, description->map.first);
    *physical = run->result;
    good = encode_not(encoder, encode_or(encoder, run->fault, run->path));
    free(run);
    return encode_and(
        encoder, good,
        inside(encoder, *physical, description->map_physical_width, state->memory_size));
}

static Z3_ast is_cell(struct encoder *encoder, Z3_ast address, unsigned width, uint32_t cell)
{
    if (width < 32 && cell >> width != 0)
        return encoder->no;
    return encode_equal(encoder, address, encode_number(encoder, cell, width));
}

static Z3_ast read_cell(struct encoder *encoder, const struct symbolic_state *state, Z3_ast address,
                        unsigned width)
{
    Z3_ast *memory = encode_memory(encoder, state);
    Z3_ast result = memory[0];

    for (uint32_t i = 1; i < state->memory_size; i++)
        result = encode_choose(encoder, is_cell(encoder, address, width, i), memory[i], result);
    return result;
}

static void stop(struct execution *run, Z3_ast *where, Z3_ast condition)
{
    *where = encode_or(run->encoder, *where, encode_and(run->encoder, run->path, condition));
    run->path = encode_and(run->encoder, run->path, encode_not(run->encoder, condition));
}

/* Does this state still show the window that `start` showed? */
static bool is_untouched(const struct encoder *encoder, const struct symbolic_state *state,
                         const struct symbolic_state *start)
{
    const struct isa_description *description = encoder->description;

    if (start == NULL)
        return false;
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (cell->role == ROLE_USER || cell->role == ROLE_PC || cell->role == ROLE_CLOCK)
            continue;
        if (memcmp(state->values + cell->offset, start->values + cell->offset,
                   cell->count * sizeof(*state->values)) != 0)
            return false;
    }
    return true;
}

/* The variable that stands for a load from the shared window, or NULL. */
static Z3_ast shared_load(struct execution *run, const struct isa_statement *statement,
                          Z3_ast address, Z3_ast good, Z3_ast physical)
{
    struct encoder *encoder = run->encoder;
    const struct isa_description *description = encoder->description;
    bool first = is_untouched(encoder, run->state, encoder->share_first);
    struct shared_load *load;

    if (statement->b != NULL ||
        (!first && !is_untouched(encoder, run->state, encoder->share_second)))
        return NULL;
    for (unsigned i = 0; i < encoder->shared_count; i++)
        if (encoder->shared[i].address == address)
            return encoder->shared[i].value;
    if (!first || encoder->shared_count == sizeof(encoder->shared) / sizeof(encoder->shared[0]))
        return NULL;
    load = &encoder->shared[encoder->shared_count];
    load->address = address;
    load->value = encode_variable(encoder, "shared", encoder->shared_count++,
                                  description->cells[description->memory_cell].width);
    encoder->shared_meaning =
        encode_and(encoder, encoder->shared_meaning,
                   encode_or(encoder, encode_not(encoder, good),
                             encode_equal(encoder, load->value,
                                          read_cell(encoder, run->state, physical,
                                                    description->map_physical_width))));
    return load->value;
}

static void access_memory(struct execution *run, const struct isa_statement *statement)
{
    struct encoder *encoder = run->encoder;
    const struct isa_description *description = encoder->description;
    Z3_ast address = encode_expression(run, statement->a), mode, good, value, *memory;
    Z3_ast virtual_address = address;
    unsigned width = statement->a->width;

    if (statement->kind == STATEMENT_LOAD || statement->kind == STATEMENT_STORE) {
        mode = statement->b != NULL ? encode_expression(run, statement->b)
               : description->mode_cell >= 0
                   ? run->state->values[description->cells[description->mode_cell].offset]
                   : NULL;
        good = map_address(encoder, run->state, address, mode, &address);
        width = description->map_physical_width;
    } else {
        good = inside(encoder, address, width, run->state->memory_size);
    }
    stop(run, &run->fault, encode_not(encoder, good));
    if (statement->kind == STATEMENT_LOAD || statement->kind == STATEMENT_PHYSICAL_READ) {
        value = statement->kind == STATEMENT_LOAD
                    ? shared_load(run, statement, virtual_address, good, address)
                    : NULL;
        if (value == NULL)
            value = read_cell(encoder, run->state, address, width);
        run->slots[statement->slot] = value;
        return;
    }
    value = encode_expression(run, statement->c);
    memory = encode_memory(encoder, run->state);
    for (uint32_t i = 0; i < run->state->memory_size; i++)
        memory[i] = encode_choose(encoder, is_cell(encoder, address, width, i), value, memory[i]);
}

static Z3_ast replace_bits(struct encoder *encoder, Z3_ast old, Z3_ast value, unsigned width,
                           unsigned high, unsigned low)
{
    if (high + 1 < width)
        value = Z3_mk_concat(encoder->context,
                             Z3_mk_extract(encoder->context, width - 1, high + 1, old), value);
    if (low > 0)
        value =
            Z3_mk_concat(encoder->context, value, Z3_mk_extract(encoder->context, low - 1, 0, old));
    return value;
}

static void assign(struct execution *run, const struct isa_statement *statement)
{
    struct encoder *encoder = run->encoder;
    const struct isa_cell *cell = &encoder->description->cells[statement->cell];
    Z3_ast value = encode_expression(run, statement->a);
    Z3_ast index = statement->index != NULL ? encode_expression(run, statement->index) : NULL;

    for (uint32_t i = 0; i < cell->count; i++) {
        Z3_ast *place = &run->state->values[cell->offset + i];
        Z3_ast here = index == NULL
                          ? encoder->yes
                          : Z3_simplify(encoder->context,
                                        is_cell(encoder, index, statement->index->width, i));

        *place = encode_choose(
            encoder, here,
            replace_bits(encoder, *place, value, cell->width, statement->high, statement->low),
            *place);
    }
}

static void merge(struct execution *run, Z3_ast condition, const struct symbolic_state *other)
{
    struct encoder *encoder = run->encoder;

    for (uint32_t i = 0; i < encoder->description->value_count; i++)
        run->state->values[i] =
            encode_choose(encoder, condition, other->values[i], run->state->values[i]);
    run->state->halted = encode_choose(encoder, condition, other->halted, run->state->halted);
}

static void branch(struct execution *run, const struct isa_statement *statement)
{
    struct encoder *encoder = run->encoder;
    Z3_ast condition = encode_is_set(encoder, encode_expression(run, statement->a));
    struct symbolic_state start, taken;
    Z3_ast path = run->path, taken_path, result = run->result, taken_result;

    if (condition == encoder->yes || condition == encoder->no) {
        execute(run, condition == encoder->yes ? statement->body : statement->otherwise);
        return;
    }
    start = encode_copy(encoder, run->state);
    run->path = encode_and(encoder, path, condition);
    execute(run, statement->body);
    taken = encode_copy(encoder, run->state);
    taken_path = run->path;
    taken_result = run->result;
    memcpy(run->state->values, start.values,
           encoder->description->value_count * sizeof(*start.values));
    run->state->halted = start.halted;
    run->result = result;
    run->path = encode_and(encoder, path, encode_not(encoder, condition));
    execute(run, statement->otherwise);
    merge(run, condition, &taken);
    run->path = encode_or(encoder, taken_path, run->path);
    run->result = encode_choose(encoder, condition, taken_result, run->result);
}

static void execute(struct execution *run, const struct isa_statement *statement)
{
    struct encoder *encoder = run->encoder;

    for (; statement != NULL && !encoder->out_of_memory; statement = statement->next) {
        switch (statement->kind) {
        case STATEMENT_LET:
            run->slots[statement->slot] = encode_expression(run, statement->a);
            break;
        case STATEMENT_ASSIGN:
            assign(run, statement);
            break;
        case STATEMENT_LOAD:
        case STATEMENT_STORE:
        case STATEMENT_PHYSICAL_READ:
        case STATEMENT_PHYSICAL_WRITE:
            access_memory(run, statement);
            break;
        case STATEMENT_IF:
            branch(run, statement);
            break;
        case STATEMENT_TRAP:
            stop(run, &run->trap, encoder->yes);
            break;
        case STATEMENT_FAULT:
            stop(run, &run->fault, encoder->yes);
            break;
        case STATEMENT_HALT:
            run->state->halted = encoder->yes;
            break;
        case STATEMENT_YIELD:
            run->result = encode_choose(encoder, run->path, encode_expression(run, statement->a),
                                        run->result);
            run->path = encoder->no;
            break;
        }
    }
}

static struct execution *new_execution(struct encoder *encoder, struct symbolic_state *state)
{
    struct execution *run = calloc(1, sizeof(*run));

    if (run == NULL) {
        encoder->out_of_memory = true;
        return NULL;
    }
    run->encoder = encoder;
    run->state = state;
    run->path = encoder->yes;
    run->trap = run->fault = encoder->no;
    run->result = encoder->no;
    return run;
}

struct symbolic_outcome encode_run(struct encoder *encoder, const struct symbolic_state *before)
{
    const struct isa_description *description = encoder->description;
    struct symbolic_outcome outcome = { .trap = encoder->no,
                                        .fault = encoder->no,
                                        .normal = encoder->no };
    struct execution *run;

    outcome.after = encode_copy(encoder, before);
    run = new_execution(encoder, &outcome.after);
    if (run == NULL)
        return outcome;
    if (description->pc_cell >= 0) {
        const struct isa_cell *pc = &description->cells[description->pc_cell];
        uint64_t length = encoder->instruction->words == 0 ? 1 : encoder->instruction->words;

        length &= pc->width >= 64 ? UINT64_MAX : ((uint64_t)1 << pc->width) - 1;
        outcome.after.values[pc->offset] =
            Z3_mk_bvadd(encoder->context, outcome.after.values[pc->offset],
                        encode_number(encoder, length, pc->width));
    }
    execute(run, encoder->instruction->body.first);
    outcome.trap = run->trap;
    outcome.fault = run->fault;
    outcome.normal = encode_not(encoder, encode_or(encoder, run->trap, run->fault));
    free(run);
    return outcome;
}

struct symbolic_outcome encode_trap(struct encoder *encoder, const struct symbolic_state *before,
                                    Z3_ast code)
{
    struct symbolic_outcome outcome = { .trap = encoder->no,
                                        .fault = encoder->yes,
                                        .normal = encoder->no };
    struct execution *run;

    outcome.after = encode_copy(encoder, before);
    run = new_execution(encoder, &outcome.after);
    if (run == NULL)
        return outcome;
    run->slots[0] = code;
    execute(run, encoder->description->trap.first);
    outcome.fault = run->fault;
    outcome.normal = encode_not(encoder, run->fault);
    free(run);
    return outcome;
}

Z3_ast encode_relocate(struct encoder *encoder, struct symbolic_state *state, Z3_ast shift)
{
    const struct isa_description *description = encoder->description;
    struct execution *run = new_execution(encoder, state);
    Z3_ast guard = encoder->yes;

    if (run == NULL)
        return encoder->no;
    run->slots[0] = shift;
    if (description->relocate_guard != NULL)
        guard = encode_is_set(encoder, encode_expression(run, description->relocate_guard));
    execute(run, description->relocate.first);
    free(run);
    return guard;
}

Z3_ast encode_view(struct encoder *encoder, const struct symbolic_state *state, uint64_t address,
                   Z3_ast *contents)
{
    const struct isa_description *description = encoder->description;
    Z3_ast mode = description->mode_cell >= 0
                      ? state->values[description->cells[description->mode_cell].offset]
                      : NULL;
    Z3_ast physical, mapped;

    mapped =
        map_address(encoder, state, encode_number(encoder, address, description->map_address_width),
                    mode, &physical);
    *contents = read_cell(encoder, state, physical, description->map_physical_width);
    return mapped;
}

Z3_ast encode_valid(struct encoder *encoder, const struct symbolic_state *state)
{
    struct symbolic_state view = *state;
    struct execution *run = new_execution(encoder, &view);
    Z3_ast valid = encoder->yes;

    if (run == NULL)
        return encoder->no;
    for (unsigned i = 0; i < encoder->description->invariant_count; i++)
        valid = encode_and(
            encoder, valid,
            encode_is_set(encoder, encode_expression(run, encoder->description->invariants[i])));
    free(run);
    return valid;
}

Z3_ast encode_domains(struct encoder *encoder)
{
    Z3_ast all = encoder->yes;

    for (unsigned i = 0; i < encoder->instruction->operand_count; i++) {
        const struct isa_operand *operand = &encoder->instruction->operands[i];
        Z3_ast some = operand->domain == NULL ? encoder->yes : encoder->no;

        for (uint32_t j = 0; j < operand->domain_count; j++)
            some =
                encode_or(encoder, some,
                          encode_equal(encoder, encoder->operands[i],
                                       encode_number(encoder, operand->domain[j], operand->width)));
        all = encode_and(encoder, all, some);
    }
    return all;
}
