/* SPDX-License-Identifier: MIT */
/* Encoding: expressions. */
#include "encode_internal.h"

static Z3_ast element(struct execution *run, const struct isa_expression *e)
{
    struct encoder *encoder = run->encoder;
    const struct isa_cell *array = &encoder->description->cells[e->index];
    Z3_ast index = encode_expression(run, e->a);
    Z3_ast result = encode_number(encoder, 0, array->width);

    for (uint32_t i = array->count; i > 0; i--) {
        if (e->a->width < 32 && (i - 1) >> e->a->width != 0)
            continue;
        result = encode_choose(
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
    Z3_ast a = encode_expression(run, e->a);
    Z3_ast b = encode_expression(run, e->b);

    if (e->kind >= EXPRESSION_EQUAL && e->kind <= EXPRESSION_LESS_EQUAL_SIGNED)
        return encode_as_bit(encoder, comparison(encoder, e->kind, a, b));
    return arithmetic(encoder->context, e->kind, a, b);
}

Z3_ast encode_expression(struct execution *run, const struct isa_expression *e)
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
        return Z3_mk_bvnot(z, encode_expression(run, e->a));
    case EXPRESSION_NEGATE:
        return Z3_mk_bvneg(z, encode_expression(run, e->a));
    case EXPRESSION_CONDITIONAL:
        return encode_choose(encoder, encode_is_set(encoder, encode_expression(run, e->a)),
                             encode_expression(run, e->b), encode_expression(run, e->c));
    case EXPRESSION_SLICE:
        return Z3_mk_extract(z, e->high, e->low, encode_expression(run, e->a));
    case EXPRESSION_ZERO_EXTEND:
        return Z3_mk_zero_ext(z, e->width - e->a->width, encode_expression(run, e->a));
    case EXPRESSION_SIGN_EXTEND:
        return Z3_mk_sign_ext(z, e->width - e->a->width, encode_expression(run, e->a));
    default:
        return operation(run, e);
    }
}
