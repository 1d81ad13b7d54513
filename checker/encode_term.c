/* SPDX-License-Identifier: MIT */
/* Encoding: terms, and states made of them. */
#include "encode_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct block_header {
    struct block_header *next;
    _Alignas(max_align_t) unsigned char bytes[];
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

Z3_ast encode_choose(struct encoder *encoder, Z3_ast condition, Z3_ast a, Z3_ast b)
{
    if (condition == encoder->yes || a == b)
        return a;
    return condition == encoder->no ? b : Z3_mk_ite(encoder->context, condition, a, b);
}

/* Bit to truth value and back; our expressions keep truth in one bit. */
Z3_ast encode_is_set(struct encoder *encoder, Z3_ast bit)
{
    return Z3_simplify(encoder->context, encode_equal(encoder, bit, encode_number(encoder, 1, 1)));
}

Z3_ast encode_as_bit(struct encoder *encoder, Z3_ast truth)
{
    return encode_choose(encoder, truth, encode_number(encoder, 1, 1),
                         encode_number(encoder, 0, 1));
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

Z3_ast *encode_memory(const struct encoder *encoder, const struct symbolic_state *state)
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
