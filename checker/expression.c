/* SPDX-License-Identifier: MIT */
/* Parser: the nodes of expressions. Widths are checked here, once, for all readers. */
#include "parser.h"

#include <string.h>

uint64_t width_mask(unsigned width)
{
    return width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

struct isa_expression *expression_new(struct parser *parser, enum expression_kind kind,
                                      unsigned width, struct source_position at)
{
    struct isa_expression *expression = parser_allocate(parser, sizeof(*expression));

    if (expression == NULL)
        return NULL;
    expression->kind = kind;
    expression->width = width;
    expression->depth = 1;
    expression->weight = 1;
    expression->at = at;
    return expression;
}

const struct isa_expression *expression_constant(struct parser *parser, uint64_t value,
                                                 unsigned width, struct source_position at)
{
    struct isa_expression *constant = expression_new(parser, EXPRESSION_CONSTANT, width, at);

    if (constant != NULL)
        constant->value = value;
    return constant;
}

bool expression_is_constant(const struct isa_expression *expression)
{
    return expression->kind == EXPRESSION_CONSTANT;
}

const struct isa_expression *expression_node(struct parser *parser, enum expression_kind kind,
                                             unsigned width, const struct isa_expression *a,
                                             const struct isa_expression *b,
                                             const struct isa_expression *c,
                                             struct source_position at)
{
    const struct isa_expression *children[3] = { a, b, c };
    struct isa_expression *node = expression_new(parser, kind, width, at);

    if (node == NULL)
        return NULL;
    node->a = a;
    node->b = b;
    node->c = c;
    for (int i = 0; i < 3; i++) {
        if (children[i] == NULL)
            continue;
        node->weight += children[i]->weight;
        if (children[i]->depth >= node->depth)
            node->depth = (uint16_t)(children[i]->depth + 1);
    }
    if (node->depth > PARSER_MAX_DEPTH || node->weight > PARSER_MAX_WEIGHT) {
        parser_error(parser, at, "this expression is too large; name its parts with let");
        return NULL;
    }
    return node;
}

const struct isa_expression *
expression_adopt(struct parser *parser, const struct isa_expression *expression, unsigned width)
{
    struct isa_expression *sized;

    if (expression == NULL || parser_failed(parser))
        return NULL;
    if (expression->width == width)
        return expression;
    if (expression->width != 0) {
        parser_error(parser, expression->at, "this value has %u bits where %u are needed",
                     expression->width, width);
        return NULL;
    }
    if (expression_is_constant(expression) && (expression->value & ~width_mask(width)) != 0) {
        parser_error(parser, expression->at, "%llu does not fit in %u bit%s",
                     (unsigned long long)expression->value, width, width == 1 ? "" : "s");
        return NULL;
    }
    if (expression->kind == EXPRESSION_MEMORY_SIZE && expression->value > width_mask(width)) {
        parser_error(parser, expression->at, "memsize does not fit in %u bits; zext the other side",
                     width);
        return NULL;
    }
    sized = parser_allocate(parser, sizeof(*sized));
    if (sized == NULL)
        return NULL;
    *sized = *expression;
    sized->width = width;
    return sized;
}

static bool fold(enum expression_kind kind, uint64_t a, uint64_t b, uint64_t *result)
{
    switch (kind) {
    case EXPRESSION_ADD:
        *result = a + b;
        return true;
    case EXPRESSION_SUBTRACT:
        *result = a - b;
        return a >= b;
    case EXPRESSION_MULTIPLY:
        *result = a * b;
        return true;
    case EXPRESSION_DIVIDE:
        *result = b == 0 ? 0 : a / b;
        return b != 0;
    case EXPRESSION_REMAINDER:
        *result = b == 0 ? 0 : a % b;
        return b != 0;
    case EXPRESSION_AND:
        *result = a & b;
        return true;
    case EXPRESSION_OR:
        *result = a | b;
        return true;
    case EXPRESSION_XOR:
        *result = a ^ b;
        return true;
    case EXPRESSION_SHIFT_LEFT:
        *result = b >= 64 ? 0 : a << b;
        return true;
    case EXPRESSION_SHIFT_RIGHT:
        *result = b >= 64 ? 0 : a >> b;
        return true;
    case EXPRESSION_EQUAL:
        *result = a == b;
        return true;
    case EXPRESSION_NOT_EQUAL:
        *result = a != b;
        return true;
    case EXPRESSION_LESS:
        *result = a < b;
        return true;
    case EXPRESSION_LESS_EQUAL:
        *result = a <= b;
        return true;
    default:
        return false;
    }
}

static bool is_comparison(enum expression_kind kind)
{
    return kind >= EXPRESSION_EQUAL && kind <= EXPRESSION_LESS_EQUAL_SIGNED;
}

const struct isa_expression *expression_binary(struct parser *parser, enum expression_kind kind,
                                               const struct isa_expression *a,
                                               const struct isa_expression *b,
                                               struct source_position at)
{
    uint64_t value = 0;

    if (a == NULL || b == NULL || parser_failed(parser))
        return NULL;
    if (expression_is_constant(a) && expression_is_constant(b) && a->width == 0 && b->width == 0) {
        if (!fold(kind, a->value, b->value, &value)) {
            parser_error(parser, at, "this can't be computed from constants without a width");
            return NULL;
        }
        return expression_constant(parser, value, is_comparison(kind) ? 1 : 0, at);
    }
    if (a->width == 0 && b->width == 0) {
        parser_error(parser, at, "neither side has a width; write zext(value, width)");
        return NULL;
    }
    if (a->width == 0)
        a = expression_adopt(parser, a, b->width);
    else if (b->width == 0)
        b = expression_adopt(parser, b, a->width);
    if (a == NULL || b == NULL)
        return NULL;
    if (a->width != b->width) {
        parser_error(parser, at, "the left side has %u bits, the right side %u", a->width,
                     b->width);
        return NULL;
    }
    if (expression_is_constant(a) && expression_is_constant(b) && is_comparison(kind) &&
        fold(kind, a->value, b->value, &value))
        return expression_constant(parser, value, 1, at);
    return expression_node(parser, kind, is_comparison(kind) ? 1 : a->width, a, b, NULL, at);
}

const struct isa_expression *expression_slice(struct parser *parser,
                                              const struct isa_expression *value, uint64_t high,
                                              uint64_t low, struct source_position at)
{
    const struct isa_expression *node;

    if (value == NULL || parser_failed(parser))
        return NULL;
    if (value->width == 0) {
        parser_error(parser, at, "bits can be taken only of a value with a width");
        return NULL;
    }
    if (high < low || high >= value->width) {
        parser_error(parser, at, "bits %llu to %llu of a value of %u bits",
                     (unsigned long long)high, (unsigned long long)low, value->width);
        return NULL;
    }
    if (low == 0 && high + 1 == value->width)
        return value;
    if (expression_is_constant(value))
        return expression_constant(parser,
                                   (value->value >> low) & width_mask((unsigned)(high - low + 1)),
                                   (unsigned)(high - low + 1), at);
    node = expression_node(parser, EXPRESSION_SLICE, (unsigned)(high - low + 1), value, NULL, NULL,
                           at);
    if (node != NULL) {
        struct isa_expression *changed = (struct isa_expression *)(uintptr_t)node;

        changed->high = (unsigned)high;
        changed->low = (unsigned)low;
    }
    return node;
}
