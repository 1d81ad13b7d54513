/* SPDX-License-Identifier: MIT */
/* Random programs: biased towards what runs for a while before it goes wrong. */
#include "random_program.h"
#include "random_machine.h"

#include <errno.h>
#include <string.h>

enum { WORDS_LEARNT = 6, TRIES = 200, VALID_TRIES = 1000000 };

static uint64_t pick(struct random_program *random, uint64_t bound)
{
    return random_next(&random->state) % bound;
}

static uint64_t bits(struct random_program *random, unsigned width)
{
    uint64_t value = random_next(&random->state);

    return width >= 64 ? value : value & (((uint64_t)1 << width) - 1);
}

/* Mostly a small number, as addresses are. */
static uint64_t number(struct random_program *random, unsigned width, uint32_t memory_size)
{
    uint64_t value = pick(random, 4) == 0 ? random_next(&random->state) : pick(random, memory_size);

    return width >= 64 ? value : value & (((uint64_t)1 << width) - 1);
}

static bool reachable(const struct isa_description *description, const struct machine_state *state)
{
    uint64_t pc = state->values[description->cells[description->pc_cell].offset], physical = 0;

    return (description->map_address_width >= 64 || pc >> description->map_address_width == 0) &&
           evaluate_map(description, state, pc, machine_state_mode(state, description),
                        &physical) == 0;
}

/* Is most of what programs name mapped? */
static bool roomy(struct random_program *random, const struct machine_state *state)
{
    uint64_t physical = 0, mode = machine_state_mode(state, random->description);
    unsigned mapped = 0;

    for (int i = 0; i < 4; i++)
        if (evaluate_map(random->description, state, pick(random, state->memory_size), mode,
                         &physical) == 0)
            mapped++;
    return mapped >= 3;
}

/* A bound is often all of memory, and a base nothing. */
static uint64_t relocation(struct random_program *random, unsigned width, uint32_t memory_size)
{
    uint64_t mask = width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;

    if (pick(random, 3) == 0)
        return number(random, width, memory_size);
    return pick(random, 2) == 0 ? 0 : memory_size & mask;
}

static uint64_t draw(struct random_program *random, const struct isa_cell *cell,
                     uint32_t memory_size)
{
    return cell->role == ROLE_RELOCATION ? relocation(random, cell->width, memory_size)
                                         : number(random, cell->width, memory_size);
}

/* Every cell but mode and memory is drawn anew; one at a time, where that keeps the invariants. */
static void redraw(struct random_program *random, struct machine_state *state, bool one_by_one)
{
    const struct isa_description *description = random->description;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        for (uint32_t j = 0;
             cell->role != ROLE_MEMORY && cell->role != ROLE_MODE && j < cell->count; j++) {
            uint64_t *place = &state->values[cell->offset + j], old = *place;

            *place = draw(random, cell, state->memory_size);
            if (one_by_one && random->pinned[i] && !evaluate_valid(description, state))
                *place = old;
        }
    }
}

/* Everything but memory, so that it belongs together: the description's invariants hold and the
 * next fetch works. Invariants that pin many cells are hopeless to meet by chance alone, so the
 * draw starts from a state that meets them. */
static void control(struct random_program *random, struct machine_state *state, bool supervisor)
{
    const struct isa_description *description = random->description;
    bool any = pick(random, 8) == 0;
    bool user = !supervisor && pick(random, 3) != 0;
    uint32_t cells = description->cells[description->memory_cell].offset;

    memcpy(state->values, random->valid[user].values, cells * sizeof(*state->values));
    for (int i = 0; i < TRIES; i++) {
        redraw(random, state, true);
        if (reachable(description, state) && (any || roomy(random, state)))
            return;
    }
}

/* What the trap rule saves of a plausible state, as the first cell of memory that it changes. */
static bool learn(struct random_program *random, const struct machine_state *state, bool supervisor,
                  uint64_t *word)
{
    const struct isa_description *description = random->description;
    struct machine_state *scratch = &random->scratch;
    uint64_t *memory = machine_state_memory(scratch, description);

    machine_state_copy(scratch, state, description);
    control(random, scratch, supervisor);
    memset(memory, 0, state->memory_size * sizeof(*memory));
    if (evaluate_trap(description, scratch, bits(random, description->trap_width)) != 0)
        return false;
    for (uint32_t i = 0; i < state->memory_size; i++) {
        if (memory[i] != 0) {
            *word = memory[i];
            return true;
        }
    }
    return false;
}

static void place_instruction(struct random_program *random, struct machine_state *state,
                              uint32_t at)
{
    const struct isa_description *description = random->description;
    const struct isa_instruction *instruction =
        description->instructions[pick(random, description->instruction_count)];
    uint64_t operands[ISA_MAX_OPERANDS], words[ISA_MAX_WORDS];

    if (instruction->words == 0 || at + instruction->words > state->memory_size)
        return;
    for (unsigned i = 0; i < instruction->operand_count; i++) {
        const struct isa_operand *operand = &instruction->operands[i];

        operands[i] = operand->domain != NULL ? operand->domain[pick(random, operand->domain_count)]
                                              : number(random, operand->width, state->memory_size);
    }
    encode_instruction(description, instruction, operands, words);
    for (unsigned i = 0; i < instruction->words; i++)
        machine_state_memory(state, description)[at + i] = words[i];
}

/* Vectors that a trap survives: the cells that the monitor would keep hold words that were learnt,
 * and are tried, with the resources, until a trap leads to a supervisor that can fetch. */
static void vectors(struct random_program *random, struct machine_state *state)
{
    const struct isa_description *description = random->description;
    uint64_t *memory = machine_state_memory(state, description);
    struct machine_state *scratch = &random->scratch;

    for (int i = 0; i < TRIES; i++) {
        uint32_t cells = description->monitor_cells < state->memory_size
                             ? description->monitor_cells
                             : state->memory_size;

        for (uint32_t j = 0; j < cells; j++)
            if (!learn(random, state, true, &memory[j]))
                memory[j] = bits(random, description->cells[description->memory_cell].width);
        if (i > TRIES / 2)
            control(random, state, false);
        machine_state_copy(scratch, state, description);
        if (evaluate_trap(description, scratch, 0) == 0 && evaluate_valid(description, scratch) &&
            machine_state_mode(scratch, description) == description->supervisor &&
            reachable(description, scratch))
            return;
    }
}

static void find_pinned(struct random_program *random, const struct isa_expression *e)
{
    if (e == NULL)
        return;
    if (e->kind == EXPRESSION_CELL || e->kind == EXPRESSION_ELEMENT)
        random->pinned[e->index] = true;
    find_pinned(random, e->a);
    find_pinned(random, e->b);
    find_pinned(random, e->c);
}

/* Once for a description: a valid state of either mode, or the nearest to one that luck finds. */
static void find_valid(struct random_program *random, unsigned which)
{
    const struct isa_description *description = random->description;
    struct machine_state *state = &random->valid[which];

    machine_state_set_mode(state, description,
                           which == 0 ? description->supervisor : description->user);
    for (int i = 0; i < VALID_TRIES && !evaluate_valid(description, state); i++)
        redraw(random, state, false);
}

int random_program_init(struct random_program *random, const struct isa_description *description)
{
    memset(random, 0, sizeof(*random));
    random->description = description;
    random->state = 1;
    if (machine_state_init(&random->scratch, description) != 0 ||
        machine_state_init(&random->valid[0], description) != 0 ||
        machine_state_init(&random->valid[1], description) != 0) {
        random_program_release(random);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < description->invariant_count; i++)
        find_pinned(random, description->invariants[i]);
    find_valid(random, 0);
    find_valid(random, 1);
    return 0;
}

void random_program_release(struct random_program *random)
{
    machine_state_release(&random->scratch);
    machine_state_release(&random->valid[0]);
    machine_state_release(&random->valid[1]);
}

void random_program_make(struct random_program *random, uint64_t seed, struct machine_state *state)
{
    const struct isa_description *description = random->description;
    uint64_t *memory = machine_state_memory(state, description);
    uint64_t learnt[WORDS_LEARNT] = { 0 };

    random->state = seed;
    memset(state->values, 0, description->value_count * sizeof(*state->values));
    state->halted = false;
    control(random, state, pick(random, 6) == 0);
    for (int i = 0; i < WORDS_LEARNT; i++)
        (void)learn(random, state, false, &learnt[i]);
    for (uint32_t i = 0; i < state->memory_size; i++) {
        uint64_t kind = pick(random, 20);
        unsigned width = description->cells[description->memory_cell].width;

        if (kind < 3)
            memory[i] = learnt[pick(random, WORDS_LEARNT)];
        else if (kind < 4)
            memory[i] = number(random, width, state->memory_size);
        else if (kind < 5)
            memory[i] = bits(random, width);
        else
            place_instruction(random, state, i);
    }
    vectors(random, state);
}
