/* SPDX-License-Identifier: MIT */
/* Evaluator: bodies over concrete states. machine.c fetches, decodes and steps. */
#include "evaluator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct evaluation {
    const struct isa_description *description;
    const struct instruction_input *input; /* NULL outside instructions */
    struct machine_state *state;
    struct outcome outcome;
    bool stopped;
    uint64_t result; /* of a map */
    uint64_t *slots;
};

static uint64_t truncate_to(uint64_t value, unsigned width)
{
    return width >= 64 ? value : value & (((uint64_t)1 << width) - 1);
}

static int64_t as_signed(uint64_t value, unsigned width)
{
    uint64_t sign = (uint64_t)1 << (width - 1);

    return (int64_t)((value ^ sign) - sign);
}

int machine_state_init(struct machine_state *state, const struct isa_description *description)
{
    state->values = calloc(description->value_count + 1, sizeof(*state->values));
    state->halted = false;
    state->memory_size =
        description->memory_cell >= 0 ? description->cells[description->memory_cell].count : 0;
    return state->values == NULL ? -ENOMEM : 0;
}

void machine_state_release(struct machine_state *state)
{
    free(state->values);
    state->values = NULL;
}

void machine_state_copy(struct machine_state *to, const struct machine_state *from,
                        const struct isa_description *description)
{
    memcpy(to->values, from->values, description->value_count * sizeof(*to->values));
    to->memory_size = from->memory_size;
    to->halted = from->halted;
}

uint64_t machine_state_mode(const struct machine_state *state,
                            const struct isa_description *description)
{
    if (description->mode_cell < 0)
        return 0;
    return state->values[description->cells[description->mode_cell].offset];
}

void machine_state_set_mode(struct machine_state *state, const struct isa_description *description,
                            uint64_t mode)
{
    if (description->mode_cell >= 0)
        state->values[description->cells[description->mode_cell].offset] = mode;
}

uint64_t *machine_state_memory(const struct machine_state *state,
                               const struct isa_description *description)
{
    if (description->memory_cell < 0)
        return NULL;
    return state->values + description->cells[description->memory_cell].offset;
}

static uint64_t evaluate(const struct evaluation *run, const struct isa_expression *e);

static uint64_t shift(const struct isa_expression *e, uint64_t a, uint64_t b)
{
    switch (e->kind) {
    case EXPRESSION_SHIFT_LEFT:
        return b >= e->width ? 0 : a << b;
    case EXPRESSION_SHIFT_RIGHT:
        return b >= e->width ? 0 : a >> b;
    default:
        return (uint64_t)(as_signed(a, e->width) >> (b >= e->width ? e->width - 1 : b));
    }
}

static uint64_t binary(const struct isa_expression *e, uint64_t a, uint64_t b)
{
    switch (e->kind) {
    case EXPRESSION_ADD:
        return a + b;
    case EXPRESSION_SUBTRACT:
        return a - b;
    case EXPRESSION_MULTIPLY:
        return a * b;
    case EXPRESSION_DIVIDE:
        return b == 0 ? UINT64_MAX : a / b;
    case EXPRESSION_REMAINDER:
        return b == 0 ? a : a % b;
    case EXPRESSION_AND:
        return a & b;
    case EXPRESSION_OR:
        return a | b;
    case EXPRESSION_XOR:
        return a ^ b;
    case EXPRESSION_EQUAL:
        return a == b;
    case EXPRESSION_NOT_EQUAL:
        return a != b;
    case EXPRESSION_LESS:
        return a < b;
    case EXPRESSION_LESS_EQUAL:
        return a <= b;
    case EXPRESSION_LESS_SIGNED:
        return as_signed(a, e->a->width) < as_signed(b, e->a->width);
    case EXPRESSION_LESS_EQUAL_SIGNED:
        return as_signed(a, e->a->width) <= as_signed(b, e->a->width);
    case EXPRESSION_CONCATENATE:
        return a << e->b->width | b;
    default:
        return shift(e, a, b);
    }
}

static uint64_t element(const struct evaluation *run, uint32_t cell, uint64_t index)
{
    const struct isa_cell *array = &run->description->cells[cell];

    return index < array->count ? run->state->values[array->offset + index] : 0;
}

static uint64_t evaluate(const struct evaluation *run, const struct isa_expression *e)
{
    switch (e->kind) {
    case EXPRESSION_CONSTANT:
        return e->value;
    case EXPRESSION_CELL:
        return run->state->values[run->description->cells[e->index].offset];
    case EXPRESSION_ELEMENT:
        return element(run, e->index, evaluate(run, e->a));
    case EXPRESSION_OPERAND:
        return run->input->operands[e->index];
    case EXPRESSION_LOCAL:
        return run->slots[e->index];
    case EXPRESSION_CHOICE:
        return run->input->choices[e->index];
    case EXPRESSION_MEMORY_SIZE:
        return run->state->memory_size;
    case EXPRESSION_NOT:
        return truncate_to(~evaluate(run, e->a), e->width);
    case EXPRESSION_NEGATE:
        return truncate_to(0 - evaluate(run, e->a), e->width);
    case EXPRESSION_CONDITIONAL:
        return evaluate(run, e->a) != 0 ? evaluate(run, e->b) : evaluate(run, e->c);
    case EXPRESSION_SLICE:
        return truncate_to(evaluate(run, e->a) >> e->low, e->width);
    case EXPRESSION_ZERO_EXTEND:
        return evaluate(run, e->a);
    case EXPRESSION_SIGN_EXTEND:
        return truncate_to((uint64_t)as_signed(evaluate(run, e->a), e->a->width), e->width);
    default:
        return truncate_to(binary(e, evaluate(run, e->a), evaluate(run, e->b)), e->width);
    }
}

static void stop(struct evaluation *run, enum outcome_kind kind, uint64_t code)
{
    run->outcome.kind = kind;
    run->outcome.code = code;
    run->stopped = true;
}

static void execute(struct evaluation *run, const struct isa_statement *statement);

/* The map is a body of its own with its own locals; its fault becomes the instruction's. */
static bool map_address(const struct isa_description *description, struct machine_state *state,
                        uint64_t address, uint64_t mode, uint64_t *physical,
                        struct outcome *outcome)
{
    uint64_t slots[ISA_MAX_SLOTS];
    struct evaluation run = { .description = description, .state = state, .slots = slots };

    slots[0] = address;
    slots[1] = mode;
    run.outcome.kind = OUTCOME_NORMAL;
    execute(&run, description->map.first);
    if (!run.stopped || run.outcome.kind != OUTCOME_NORMAL) {
        outcome->kind = OUTCOME_FAULT;
        outcome->code = run.stopped ? run.outcome.code : description->memory_code;
        return false;
    }
    if (run.result >= state->memory_size) {
        outcome->kind = OUTCOME_FAULT;
        outcome->code = description->memory_code;
        return false;
    }
    *physical = run.result;
    return true;
}

static uint64_t *access_cell(struct evaluation *run, const struct isa_statement *statement)
{
    uint64_t address = evaluate(run, statement->a);
    uint64_t *memory = machine_state_memory(run->state, run->description);
    uint64_t mode, physical = address;
    struct outcome outcome;

    if (statement->kind == STATEMENT_LOAD || statement->kind == STATEMENT_STORE) {
        mode = statement->b != NULL ? evaluate(run, statement->b)
                                    : machine_state_mode(run->state, run->description);
        if (!map_address(run->description, run->state, address, mode, &physical, &outcome)) {
            stop(run, outcome.kind, outcome.code);
            return NULL;
        }
    } else if (address >= run->state->memory_size) {
        stop(run, OUTCOME_FAULT, run->description->memory_code);
        return NULL;
    }
    return &memory[physical];
}

static void assign(struct evaluation *run, const struct isa_statement *statement)
{
    const struct isa_cell *cell = &run->description->cells[statement->cell];
    uint64_t index = statement->index != NULL ? evaluate(run, statement->index) : 0;
    uint64_t value = evaluate(run, statement->a);
    uint64_t mask = truncate_to(UINT64_MAX, statement->high - statement->low + 1) << statement->low;
    uint64_t *place;

    if (index >= cell->count)
        return;
    place = &run->state->values[cell->offset + index];
    *place = (*place & ~mask) | (value << statement->low & mask);
}

static void execute(struct evaluation *run, const struct isa_statement *statement)
{
    uint64_t *place;

    for (; statement != NULL && !run->stopped; statement = statement->next) {
        switch (statement->kind) {
        case STATEMENT_LET:
            run->slots[statement->slot] = evaluate(run, statement->a);
            break;
        case STATEMENT_ASSIGN:
            assign(run, statement);
            break;
        case STATEMENT_LOAD:
        case STATEMENT_PHYSICAL_READ:
            place = access_cell(run, statement);
            if (place != NULL)
                run->slots[statement->slot] = *place;
            break;
        case STATEMENT_STORE:
        case STATEMENT_PHYSICAL_WRITE:
            place = access_cell(run, statement);
            if (place != NULL)
                *place = evaluate(run, statement->c);
            break;
        case STATEMENT_IF:
            execute(run, evaluate(run, statement->a) != 0 ? statement->body : statement->otherwise);
            break;
        case STATEMENT_TRAP:
            stop(run, OUTCOME_TRAP, evaluate(run, statement->a));
            break;
        case STATEMENT_FAULT:
            stop(run, OUTCOME_FAULT,
                 statement->a != NULL ? evaluate(run, statement->a)
                                      : run->description->memory_code);
            break;
        case STATEMENT_HALT:
            run->state->halted = true;
            break;
        case STATEMENT_YIELD:
            run->result = evaluate(run, statement->a);
            run->stopped = true;
            break;
        }
    }
}

struct outcome evaluate_instruction(const struct isa_description *description,
                                    const struct isa_instruction *instruction,
                                    const struct instruction_input *input,
                                    struct machine_state *state)
{
    uint64_t slots[ISA_MAX_SLOTS];
    struct evaluation run = {
        .description = description, .input = input, .state = state, .slots = slots
    };

    if (description->pc_cell >= 0) {
        const struct isa_cell *pc = &description->cells[description->pc_cell];
        uint64_t length = instruction->words == 0 ? 1 : instruction->words;

        state->values[pc->offset] = truncate_to(state->values[pc->offset] + length, pc->width);
    }
    run.outcome.kind = OUTCOME_NORMAL;
    execute(&run, instruction->body.first);
    return run.outcome;
}

int evaluate_map(const struct isa_description *description, const struct machine_state *state,
                 uint64_t address, uint64_t mode, uint64_t *physical)
{
    struct machine_state view = *state;
    struct outcome outcome;

    /* A map can't assign, so the view's values are only read. */
    if (!description->has_map ||
        !map_address(description, &view, address, mode, physical, &outcome))
        return -EFAULT;
    return 0;
}

int evaluate_relocate(const struct isa_description *description, struct machine_state *state,
                      uint64_t amount)
{
    uint64_t slots[ISA_MAX_SLOTS];
    struct evaluation run = { .description = description, .state = state, .slots = slots };

    slots[0] = amount;
    if (!description->has_relocate ||
        (description->relocate_guard != NULL && evaluate(&run, description->relocate_guard) == 0))
        return -ERANGE;
    execute(&run, description->relocate.first);
    return 0;
}

int evaluate_trap(const struct isa_description *description, struct machine_state *state,
                  uint64_t code)
{
    uint64_t slots[ISA_MAX_SLOTS];
    struct evaluation run = { .description = description, .state = state, .slots = slots };

    if (!description->has_trap)
        return -ENOTSUP;
    slots[0] = truncate_to(code, description->trap_width);
    execute(&run, description->trap.first);
    return run.outcome.kind == OUTCOME_NORMAL ? 0 : -EFAULT;
}

const struct isa_expression *evaluate_broken(const struct isa_description *description,
                                             const struct machine_state *state)
{
    struct machine_state view = *state;
    struct evaluation run = { .description = description, .state = &view };

    for (unsigned i = 0; i < description->invariant_count; i++)
        if (evaluate(&run, description->invariants[i]) == 0)
            return description->invariants[i];
    return NULL;
}

bool evaluate_valid(const struct isa_description *description, const struct machine_state *state)
{
    uint64_t mode = machine_state_mode(state, description);

    if (description->pair_declared && mode != description->supervisor && mode != description->user)
        return false;
    return evaluate_broken(description, state) == NULL;
}
