/* SPDX-License-Identifier: MIT */
/* Premises: see premises.h. Each question is "is there a state ...?", small next to an
 * instruction's. */
#include "premises.h"
#include "encode.h"
#include "evaluator.h"
#include "messages.h"
#include "solver.h"

#include <errno.h>

const char *const premise_names[PREMISE_COUNT] = {
    [PREMISE_MODES] = N_("two modes"),
    [PREMISE_RELOCATION] = N_("a relocation mechanism"),
    [PREMISE_TRAPS] = N_("traps"),
    [PREMISE_LOOKUP] = N_("table look-up"),
    [PREMISE_STATES] = N_("states that the invariants allow, in both modes"),
};

bool premises_declared(const struct isa_description *description, bool *premise)
{
    bool relocation = false, lookup = false;

    for (unsigned i = 0; i < description->cell_count; i++)
        relocation = relocation || description->cells[i].role == ROLE_RELOCATION;
    for (unsigned i = 0; i < description->instruction_count; i++)
        lookup = lookup || description->instructions[i]->reads_memory;
    premise[PREMISE_MODES] = description->mode_cell >= 0 && description->pair_declared;
    premise[PREMISE_RELOCATION] = relocation && description->has_map && description->has_relocate;
    premise[PREMISE_TRAPS] = description->has_trap;
    premise[PREMISE_LOOKUP] = lookup;
    premise[PREMISE_STATES] = true;
    for (int i = 0; i < PREMISE_COUNT; i++)
        if (!premise[i])
            return false;
    return true;
}

/* One question: a symbolic state, perhaps a shift, and a formula about them. */
struct example {
    struct encoder encoder;
    const struct isa_description *description;
    struct symbolic_state state;
    Z3_ast shift, formula;
};

static void require(struct example *example, Z3_ast condition)
{
    example->formula = encode_and(&example->encoder, example->formula, condition);
}

static Z3_ast in_mode(struct example *example, const struct symbolic_state *state, uint64_t mode)
{
    const struct isa_cell *cell = &example->description->cells[example->description->mode_cell];

    return encode_equal(&example->encoder, state->values[cell->offset],
                        encode_number(&example->encoder, mode, cell->width));
}

/* A valid state in one of the pair's modes, before any question is added. */
static int begin(struct example *example, const struct isa_description *description)
{
    /* The encoder wants an instruction; which one doesn't matter, as it is never run. */
    int error = encoder_init(&example->encoder, description, description->instructions[0]);

    example->description = description;
    example->shift = NULL;
    example->formula = example->encoder.yes;
    if (error != 0)
        return error;
    example->state = encode_state(
        &example->encoder, "state",
        description->memory_cell >= 0 ? description->cells[description->memory_cell].count : 0);
    require(example, encode_valid(&example->encoder, &example->state));
    require(example,
            encode_or(&example->encoder, in_mode(example, &example->state, description->supervisor),
                      in_mode(example, &example->state, description->user)));
    return 0;
}

/* Solves; 1 with the state (and shift) filled, 0 when there is none, or an error. */
static int solve(struct example *example, unsigned timeout, struct machine_state *state,
                 uint64_t *shift)
{
    struct solver solver;
    Z3_lbool found;
    int error;

    if (!encoder_ok(&example->encoder))
        return example->encoder.out_of_memory ? -ENOMEM : -EIO;
    solver_init(&solver, example->encoder.context, timeout);
    found = solver_ask(&solver, example->formula, &error);
    if (found == Z3_L_TRUE) {
        for (uint32_t i = 0; i < example->description->value_count; i++)
            state->values[i] = solver_value(&solver, example->state.values[i]);
        if (example->shift != NULL)
            *shift = solver_value(&solver, example->shift);
    }
    solver_release(&solver);
    if (error == 0 && found == Z3_L_UNDEF)
        error = -EIO;
    return error != 0 ? error : found == Z3_L_TRUE;
}

/* Some address that both states map, to different places: seen as different contents, which is
 * enough, since memory is free. */
static void ask_relocation(struct example *example)
{
    const struct isa_description *description = example->description;
    struct encoder *encoder = &example->encoder;
    struct symbolic_state moved = encode_copy(encoder, &example->state);
    uint64_t addresses = (uint64_t)1 << description->map_address_width;
    Z3_ast some = encoder->no;

    example->shift = encode_variable(encoder, "shift", 0, description->shift_width);
    require(example, encode_relocate(encoder, &moved, example->shift));
    require(example, encode_valid(encoder, &moved));
    for (uint64_t address = 0; address < addresses; address++) {
        Z3_ast contents[2];
        Z3_ast both = encode_view(encoder, &example->state, address, &contents[0]);

        both = encode_and(encoder, both, encode_view(encoder, &moved, address, &contents[1]));
        some = encode_or(
            encoder, some,
            encode_and(encoder, both,
                       encode_not(encoder, encode_equal(encoder, contents[0], contents[1]))));
    }
    require(example, some);
}

static bool relocation_replays(const struct isa_description *description,
                               const struct machine_state *state, uint64_t shift)
{
    uint64_t mode = machine_state_mode(state, description);
    struct machine_state moved;
    bool differs = false;

    if (machine_state_init(&moved, description) != 0)
        return false;
    machine_state_copy(&moved, state, description);
    if (evaluate_relocate(description, &moved, shift) == 0 && evaluate_valid(description, &moved)) {
        for (uint64_t a = 0; a >> description->map_address_width == 0; a++) {
            uint64_t places[2];

            differs = differs || (evaluate_map(description, state, a, mode, &places[0]) == 0 &&
                                  evaluate_map(description, &moved, a, mode, &places[1]) == 0 &&
                                  places[0] != places[1]);
        }
    }
    machine_state_release(&moved);
    return differs;
}

static void ask_trap(struct example *example)
{
    const struct isa_description *description = example->description;
    struct encoder *encoder = &example->encoder;
    struct symbolic_outcome after =
        encode_trap(encoder, &example->state, encode_number(encoder, 0, description->trap_width));

    require(example, in_mode(example, &example->state, description->user));
    require(example, after.normal);
    require(example, in_mode(example, &after.after, description->supervisor));
}

static bool replays(const struct isa_description *description, enum premise premise, uint64_t mode,
                    struct machine_state *state, uint64_t shift)
{
    if (!evaluate_valid(description, state))
        return false;
    switch (premise) {
    case PREMISE_RELOCATION:
        return relocation_replays(description, state, shift);
    case PREMISE_TRAPS:
        return machine_state_mode(state, description) == description->user &&
               evaluate_trap(description, state, 0) == 0 &&
               machine_state_mode(state, description) == description->supervisor;
    default:
        return machine_state_mode(state, description) == mode;
    }
}

/* Is there an example? 1, 0 or an error. `mode` is for PREMISE_STATES. */
static int show(const struct isa_description *description, unsigned timeout, enum premise premise,
                uint64_t mode)
{
    struct example example;
    struct machine_state state;
    uint64_t shift = 0;
    int result;

    if (machine_state_init(&state, description) != 0)
        return -ENOMEM;
    result = begin(&example, description);
    if (result == 0) {
        if (premise == PREMISE_RELOCATION)
            ask_relocation(&example);
        else if (premise == PREMISE_TRAPS)
            ask_trap(&example);
        else
            require(&example, in_mode(&example, &example.state, mode));
        result = solve(&example, timeout, &state, &shift);
    }
    encoder_release(&example.encoder);
    if (result == 1 && !replays(description, premise, mode, &state, shift))
        result = -EPROTO;
    machine_state_release(&state);
    return result;
}

int premises_shown(const struct isa_description *description, unsigned timeout, bool *premise)
{
    static const enum premise asked[] = { PREMISE_STATES, PREMISE_STATES, PREMISE_RELOCATION,
                                          PREMISE_TRAPS };

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        int result = show(description, timeout, asked[i],
                          i == 0 ? description->supervisor : description->user);

        if (result < 0)
            return result;
        if (result == 0)
            premise[asked[i]] = false;
        if (!premise[PREMISE_STATES])
            break; /* without states there is no example of anything */
    }
    return 0;
}
