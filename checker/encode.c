/* SPDX-License-Identifier: MIT */
/* Encoding: see encode.h. Symbolic execution that merges paths at the end of each if. */
#include "encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct block_header {
    struct block_header *next;
    _Alignas(max_align_t) unsigned char bytes[];
};

/* One body being executed. `path` is where it has neither stopped nor yielded. */
struct execution {
    struct encoder *encoder;
    struct symbolic_state *state;
    Z3_ast slots[ISA_MAX_SLOTS];
    Z3_ast path, trap, fault, result;
};

static void ignore_error(Z3_context context, Z3_error_code code)
{
    (void)context;
    (void)code;
}

int encoder_init(struct encoder *encoder, const struct isa_description *description,
                 const struct isa_instruction *instruction)
{
    Z3_config config = Z3_mk_config();

    memset(encoder, 0, sizeof(*encoder));
    encoder->description = description;
    encoder->instruction = instruction;
    encoder->context = Z3_mk_context(config);
    Z3_del_config(config);
    if (encoder->context == NULL)
        return -EIO;
    Z3_set_error_handler(encoder->context, ignore_error);
    encoder->yes = Z3_mk_true(encoder->context);
    encoder->shared_meaning = encoder->yes;
    encoder->no = Z3_mk_false(encoder->context);
    for (unsigned i = 0; i < instruction->operand_count; i++)
        encoder->operands[i] =
            encode_variable(encoder, "operand", i, instruction->operands[i].width);
    for (unsigned i = 0; i < instruction->choice_count; i++)
        encoder->choices[i] = encode_variable(encoder, "choice", i, instruction->choice_width[i]);
    return encoder_ok(encoder) ? 0 : -EIO;
}

void encoder_release(struct encoder *encoder)
{
    struct block_header *block = encoder->blocks;

    while (block != NULL) {
        struct block_header *next = block->next;

        free(block);
        block = next;
    }
    encoder->blocks = NULL;
    if (encoder->context != NULL)
        Z3_del_context(encoder->context);
    encoder->context = NULL;
}

bool encoder_ok(const struct encoder *encoder)
{
    return !encoder->out_of_memory && Z3_get_error_code(encoder->context) == Z3_OK;
}

static Z3_sort sort(struct encoder *encoder, unsigned width)
{
    return Z3_mk_bv_sort(encoder->context, width);
}

Z3_ast encode_number(struct encoder *encoder, uint64_t value, unsigned width)
{
    return Z3_mk_unsigned_int64(encoder->context, value, sort(encoder, width));
}

Z3_ast encode_variable(struct encoder *encoder, const char *prefix, uint32_t index, unsigned width)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%s.%u", prefix, index);
    return Z3_mk_const(encoder->context, Z3_mk_string_symbol(encoder->context, name),
                       sort(encoder, width));
}

Z3_ast encode_and(struct encoder *encoder, Z3_ast a, Z3_ast b)
{
    Z3_ast both[2] = { a, b };

    if (a == encoder->no || b == encoder->no)
        return encoder->no;
    if (a == encoder->yes || a == b)
        return b;
    return b == encoder->yes ? a : Z3_mk_and(encoder->context, 2, both);
}

Z3_ast encode_or(struct encoder *encoder, Z3_ast a, Z3_ast b)
{
    Z3_ast both[2] = { a, b };

    if (a == encoder->yes || b == encoder->yes)
        return encoder->yes;
    if (a == encoder->no || a == b)
        return b;
    return b == encoder->no ? a : Z3_mk_or(encoder->context, 2, both);
}

Z3_ast encode_not(struct encoder *encoder, Z3_ast a)
{
    if (a == encoder->yes)
        return encoder->no;
    return a == encoder->no ? encoder->yes : Z3_mk_not(encoder->context, a);
}

Z3_ast encode_equal(struct encoder *encoder, Z3_ast a, Z3_ast b)
{
    return a == b ? encoder->yes : Z3_mk_eq(encoder->context, a, b);
}

static Z3_ast choose_term(struct encoder *encoder, Z3_ast condition, Z3_ast a, Z3_ast b)
{
    if (condition == encoder->yes || a == b)
        return a;
    return condition == encoder->no ? b : Z3_mk_ite(encoder->context, condition, a, b);
}

/* Bit to truth value and back; our expressions keep truth in one bit. */
static Z3_ast is_set(struct encoder *encoder, Z3_ast bit)
{
    return Z3_simplify(encoder->context, encode_equal(encoder, bit, encode_number(encoder, 1, 1)));
}

static Z3_ast as_bit(struct encoder *encoder, Z3_ast truth)
{
    return choose_term(encoder, truth, encode_number(encoder, 1, 1), encode_number(encoder, 0, 1));
}

static Z3_ast *new_terms(struct encoder *encoder, size_t count)
{
    struct block_header *block = calloc(1, sizeof(*block) + (count + 1) * sizeof(Z3_ast));

    if (block == NULL) {
        encoder->out_of_memory = true;
        return NULL;
    }
    block->next = encoder->blocks;
    encoder->blocks = block;
    return (Z3_ast *)(void *)block->bytes;
}

struct symbolic_state encode_copy(struct encoder *encoder, const struct symbolic_state *state)
{
    struct symbolic_state copy = *state;

    copy.values = new_terms(encoder, encoder->description->value_count);
    if (copy.values != NULL)
        memcpy(copy.values, state->values,
               encoder->description->value_count * sizeof(*copy.values));
    else
        copy.values = state->values;
    return copy;
}

static Z3_ast *memory_of(const struct encoder *encoder, const struct symbolic_state *state)
{
    return state->values + encoder->description->cells[encoder->description->memory_cell].offset;
}

struct symbolic_state encode_state(struct encoder *encoder, const char *prefix,
                                   uint32_t memory_size)
{
    const struct isa_description *description = encoder->description;
    struct symbolic_state state = { .memory_size = memory_size, .halted = encoder->no };

    state.values = new_terms(encoder, description->value_count);
    if (state.values == NULL)
        return state;
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        for (uint32_t j = 0; j < cell->count; j++)
            state.values[cell->offset + j] =
                encode_variable(encoder, prefix, cell->offset + j, cell->width);
    }
    return state;
}

static Z3_ast expression(struct execution *run, const struct isa_expression *e);

static Z3_ast element(struct execution *run, const struct isa_expression *e)
{
    struct encoder *encoder = run->encoder;
    const struct isa_cell *array = &encoder->description->cells[e->index];
    Z3_ast index = expression(run, e->a);
    Z3_ast result = encode_number(encoder, 0, array->width);

    for (uint32_t i = array->count; i > 0; i--) {
        if (e->a->width < 32 && (i - 1) >> e->a->width != 0)
            continue;
        result = choose_term(
            encoder,
            Z3_simplify(encoder->context,
                        encode_equal(encoder, index, encode_number(encoder, i - 1, e->a->width))),
            run->state->values[array->offset + i - 1], result);
    }
    return result;
}

static Z3_ast arithmetic(Z3_context z, enum expression_kind kind, Z3_ast a, Z3_ast b)
{
    switch (kind) {
    case EXPRESSION_ADD:
        return Z3_mk_bvadd(z, a, b);
    case EXPRESSION_SUBTRACT:
        return Z3_mk_bvsub(z, a, b);
    case EXPRESSION_MULTIPLY:
        return Z3_mk_bvmul(z, a, b);
    case EXPRESSION_DIVIDE:
        return Z3_mk_bvudiv(z, a, b);
    case EXPRESSION_REMAINDER:
        return Z3_mk_bvurem(z, a, b);
    case EXPRESSION_AND:
        return Z3_mk_bvand(z, a, b);
    case EXPRESSION_OR:
        return Z3_mk_bvor(z, a, b);
    case EXPRESSION_XOR:
        return Z3_mk_bvxor(z, a, b);
    case EXPRESSION_SHIFT_LEFT:
        return Z3_mk_bvshl(z, a, b);
    case EXPRESSION_SHIFT_RIGHT:
        return Z3_mk_bvlshr(z, a, b);
    case EXPRESSION_SHIFT_ARITHMETIC:
        return Z3_mk_bvashr(z, a, b);
    default:
        return Z3_mk_concat(z, a, b);
    }
}

static Z3_ast comparison(struct encoder *encoder, enum expression_kind kind, Z3_ast a, Z3_ast b)
{
    Z3_context z = encoder->context;

    switch (kind) {
    case EXPRESSION_EQUAL:
        return encode_equal(encoder, a, b);
    case EXPRESSION_NOT_EQUAL:
        return encode_not(encoder, encode_equal(encoder, a, b));
    case EXPRESSION_LESS:
        return Z3_mk_bvult(z, a, b);
    case EXPRESSION_LESS_EQUAL:
        return Z3_mk_bvule(z, a, b);
    case EXPRESSION_LESS_SIGNED:
        return Z3_mk_bvslt(z, a, b);
    default:
        return Z3_mk_bvsle(z, a, b);
    }
}

static Z3_ast operation(struct execution *run, const struct isa_expression *e)
{
    struct encoder *encoder = run->encoder;
    Z3_ast a = expression(run, e->a);
    Z3_ast b = expression(run, e->b);

    if (e->kind >= EXPRESSION_EQUAL && e->kind <= EXPRESSION_LESS_EQUAL_SIGNED)
        return as_bit(encoder, comparison(encoder, e->kind, a, b));
    return arithmetic(encoder->context, e->kind, a, b);
}

static Z3_ast expression(struct execution *run, const struct isa_expression *e)
{
    struct encoder *encoder = run->encoder;
    Z3_context z = encoder->context;

    switch (e->kind) {
    case EXPRESSION_CONSTANT:
        return encode_number(encoder, e->value, e->width);
    case EXPRESSION_CELL:
        return run->state->values[encoder->description->cells[e->index].offset];
    case EXPRESSION_ELEMENT:
        return element(run, e);
    case EXPRESSION_OPERAND:
        return encoder->operands[e->index];
    case EXPRESSION_LOCAL:
        return run->slots[e->index];
    case EXPRESSION_CHOICE:
        return encoder->choices[e->index];
    case EXPRESSION_MEMORY_SIZE:
        return encode_number(encoder, run->state->memory_size, e->width);
    case EXPRESSION_NOT:
        return Z3_mk_bvnot(z, expression(run, e->a));
    case EXPRESSION_NEGATE:
        return Z3_mk_bvneg(z, expression(run, e->a));
    case EXPRESSION_CONDITIONAL:
        return choose_term(encoder, is_set(encoder, expression(run, e->a)), expression(run, e->b),
                           expression(run, e->c));
    case EXPRESSION_SLICE:
        return Z3_mk_extract(z, e->high, e->low, expression(run, e->a));
    case EXPRESSION_ZERO_EXTEND:
        return Z3_mk_zero_ext(z, e->width - e->a->width, expression(run, e->a));
    case EXPRESSION_SIGN_EXTEND:
        return Z3_mk_sign_ext(z, e->width - e->a->width, expression(run, e->a));
    default:
        return operation(run, e);
    }
}

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
    Z3_ast *memory = memory_of(encoder, state);
    Z3_ast result = memory[0];

    for (uint32_t i = 1; i < state->memory_size; i++)
        result = choose_term(encoder, is_cell(encoder, address, width, i), memory[i], result);
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
    Z3_ast address = expression(run, statement->a), mode, good, value, *memory;
    Z3_ast virtual_address = address;
    unsigned width = statement->a->width;

    if (statement->kind == STATEMENT_LOAD || statement->kind == STATEMENT_STORE) {
        mode = statement->b != NULL ? expression(run, statement->b)
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
    value = expression(run, statement->c);
    memory = memory_of(encoder, run->state);
    for (uint32_t i = 0; i < run->state->memory_size; i++)
        memory[i] = choose_term(encoder, is_cell(encoder, address, width, i), value, memory[i]);
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
    Z3_ast value = expression(run, statement->a);
    Z3_ast index = statement->index != NULL ? expression(run, statement->index) : NULL;

    for (uint32_t i = 0; i < cell->count; i++) {
        Z3_ast *place = &run->state->values[cell->offset + i];
        Z3_ast here = index == NULL
                          ? encoder->yes
                          : Z3_simplify(encoder->context,
                                        is_cell(encoder, index, statement->index->width, i));

        *place = choose_term(
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
            choose_term(encoder, condition, other->values[i], run->state->values[i]);
    run->state->halted = choose_term(encoder, condition, other->halted, run->state->halted);
}

static void branch(struct execution *run, const struct isa_statement *statement)
{
    struct encoder *encoder = run->encoder;
    Z3_ast condition = is_set(encoder, expression(run, statement->a));
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
    run->result = choose_term(encoder, condition, taken_result, run->result);
}

static void execute(struct execution *run, const struct isa_statement *statement)
{
    struct encoder *encoder = run->encoder;

    for (; statement != NULL && !encoder->out_of_memory; statement = statement->next) {
        switch (statement->kind) {
        case STATEMENT_LET:
            run->slots[statement->slot] = expression(run, statement->a);
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
            run->result =
                choose_term(encoder, run->path, expression(run, statement->a), run->result);
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
        guard = is_set(encoder, expression(run, description->relocate_guard));
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
        valid = encode_and(encoder, valid,
                           is_set(encoder, expression(run, encoder->description->invariants[i])));
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
