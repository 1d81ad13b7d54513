/* SPDX-License-Identifier: MIT */
/* Parser: expressions. */
#include "messages.h"
#include "parser.h"

#include <string.h>

static const struct isa_expression *parse_slices(struct parser *parser,
                                                 const struct isa_expression *value)
{
    while (value != NULL && token_is(parser_peek(parser), "[")) {
        struct source_position at = parser_next(parser)->at;
        uint64_t high = 0;
        uint64_t low;

        if (!parse_constant(parser, 0, 63, "a bit number", &high))
            return NULL;
        low = high;
        if (parser_accept(parser, ":") && !parse_constant(parser, 0, 63, "a bit number", &low))
            return NULL;
        if (!parser_expect(parser, "]"))
            return NULL;
        value = expression_slice(parser, value, high, low, at);
    }
    return value;
}

static const struct isa_expression *parse_concatenation(struct parser *parser)
{
    const struct isa_expression *result = NULL;

    do {
        const struct isa_expression *part = parse_expression(parser);

        if (part == NULL)
            return NULL;
        if (part->width == 0) {
            parser_error(parser, part->at,
                         "a constant in {...} needs a width: write it in binary or as "
                         "zext(value, width)");
            return NULL;
        }
        if (result == NULL) {
            result = part;
        } else {
            if (result->width + part->width > 64) {
                parser_error(parser, part->at, "{...} is wider than 64 bits");
                return NULL;
            }
            result = expression_node(parser, EXPRESSION_CONCATENATE, result->width + part->width,
                                     result, part, NULL, part->at);
        }
    } while (result != NULL && parser_accept(parser, ","));
    return parser_expect(parser, "}") ? result : NULL;
}

static const struct isa_expression *parse_extension(struct parser *parser, bool is_signed,
                                                    struct source_position at)
{
    const struct isa_expression *value;
    unsigned width = 0;

    if (!parser_expect(parser, "("))
        return NULL;
    value = parse_expression(parser);
    if (value == NULL || !parser_expect(parser, ",") || !parse_width(parser, &width) ||
        !parser_expect(parser, ")"))
        return NULL;
    if (value->width == 0 || value->width == width)
        return expression_adopt(parser, value, width);
    if (value->width > width) {
        parser_error(parser, at, "%u bits can't be extended to %u; take a slice", value->width,
                     width);
        return NULL;
    }
    if (expression_is_constant(value) && !is_signed)
        return expression_constant(parser, value->value, width, at);
    return expression_node(parser, is_signed ? EXPRESSION_SIGN_EXTEND : EXPRESSION_ZERO_EXTEND,
                           width, value, NULL, NULL, at);
}

static const struct isa_expression *
parse_signed_less(struct parser *parser, enum expression_kind kind, struct source_position at)
{
    const struct isa_expression *a, *b;

    if (!parser_expect(parser, "("))
        return NULL;
    a = parse_expression(parser);
    if (!parser_expect(parser, ","))
        return NULL;
    b = parse_expression(parser);
    if (!parser_expect(parser, ")"))
        return NULL;
    if (a != NULL && b != NULL && a->width == 0 && b->width == 0) {
        parser_error(parser, at, "neither side has a width; write zext(value, width)");
        return NULL;
    }
    return expression_binary(parser, kind, a, b, at);
}

static const struct isa_expression *parse_choice(struct parser *parser, struct source_position at)
{
    struct body_context *context = parser->context;
    struct isa_expression *choice;
    unsigned width = 0;

    if (!parser_expect(parser, "(") || !parse_width(parser, &width) || !parser_expect(parser, ")"))
        return NULL;
    if (context == NULL || (context->allow & ALLOW_CHOICE) == 0) {
        parser_error(parser, at, "choose may stand only in an instruction's body");
        return NULL;
    }
    if (context->choices == ISA_MAX_CHOICES) {
        parser_error(parser, at, "an instruction may choose at most %d times", ISA_MAX_CHOICES);
        return NULL;
    }
    choice = expression_new(parser, EXPRESSION_CHOICE, width, at);
    if (choice == NULL)
        return NULL;
    context->choice_width[context->choices] = width;
    choice->index = context->choices++;
    /* One choice is one value, however often the expression around it is used. */
    return statement_hoist(parser, choice);
}

static const struct isa_expression *parse_element(struct parser *parser, uint32_t cell,
                                                  struct source_position at)
{
    const struct isa_cell *array = &parser->description->cells[cell];
    const struct isa_expression *index, *node;

    if (!parser_expect(parser, "["))
        return NULL;
    index = parse_expression(parser);
    if (index != NULL && index->width == 0)
        index = expression_adopt(parser, index, 16);
    if (index == NULL || !parser_expect(parser, "]"))
        return NULL;
    node = expression_node(parser, EXPRESSION_ELEMENT, array->width, index, NULL, NULL, at);
    if (node != NULL)
        ((struct isa_expression *)(uintptr_t)node)->index = cell;
    return node;
}

static const struct isa_expression *parse_cell_use(struct parser *parser, uint32_t cell,
                                                   struct source_position at)
{
    const struct isa_cell *declared = &parser->description->cells[cell];
    struct isa_expression *node;

    if (declared->role == ROLE_MEMORY)
        return parse_physical_read(parser, at);
    if (declared->is_array)
        return parse_element(parser, cell, at);
    if (parser->context != NULL && declared->role == ROLE_MODE)
        parser->context->uses_mode = true;
    node = expression_new(parser, EXPRESSION_CELL, declared->width, at);
    if (node != NULL)
        node->index = cell;
    return node;
}

static const struct isa_expression *parse_function_use(struct parser *parser,
                                                       const struct symbol *symbol)
{
    const struct isa_expression *result;
    struct expansion saved;

    if (!parser_call(parser, symbol, false, &saved))
        return NULL;
    result = parse_expression(parser);
    parser_return(parser, &saved);
    return result;
}

static const struct isa_expression *parse_name(struct parser *parser, const struct token *name)
{
    const struct symbol *symbol = parser_find(parser, name);
    struct isa_expression *size;

    if (token_is(name, "zext") || token_is(name, "sext"))
        return parse_extension(parser, token_is(name, "sext"), name->at);
    if (token_is(name, "slt"))
        return parse_signed_less(parser, EXPRESSION_LESS_SIGNED, name->at);
    if (token_is(name, "sle"))
        return parse_signed_less(parser, EXPRESSION_LESS_EQUAL_SIGNED, name->at);
    if (token_is(name, "choose"))
        return parse_choice(parser, name->at);
    if (token_is(name, "load"))
        return parse_load(parser, name->at);
    if (token_is(name, "memsize")) {
        size = expression_new(parser, EXPRESSION_MEMORY_SIZE, 0, name->at);
        if (size != NULL && parser->description->memory_cell >= 0)
            size->value = parser->description->cells[parser->description->memory_cell].count;
        return size;
    }
    if (symbol == NULL) {
        parser_error(parser, name->at, "nothing is called '%.*s' here", parser_shown_length(name),
                     name->text);
        return NULL;
    }
    switch (symbol->kind) {
    case SYMBOL_CONSTANT:
        return expression_constant(parser, symbol->value, symbol->width, name->at);
    case SYMBOL_CELL:
        return parse_cell_use(parser, (uint32_t)symbol->value, name->at);
    case SYMBOL_EXPRESSION:
        return symbol->expression;
    case SYMBOL_FUNCTION:
        return parse_function_use(parser, symbol);
    case SYMBOL_MACRO:
        break;
    }
    parser_error(parser, name->at, "'%.*s' is a macro: it stands alone, as a statement",
                 parser_shown_length(name), name->text);
    return NULL;
}

static const struct isa_expression *parse_primary(struct parser *parser)
{
    const struct token *token = parser_peek(parser);
    const struct isa_expression *inner;

    if (token->kind == TOKEN_NUMBER) {
        (void)parser_next(parser);
        return expression_constant(parser, token->value, token->width, token->at);
    }
    if (token->kind == TOKEN_IDENTIFIER)
        return parse_name(parser, parser_next(parser));
    if (parser_accept(parser, "{"))
        return parse_concatenation(parser);
    if (parser_accept(parser, "(")) {
        inner = parse_expression(parser);
        return parser_expect(parser, ")") ? inner : NULL;
    }
    parser_error_expected(parser, "a value");
    return NULL;
}

static const struct isa_expression *parse_unary(struct parser *parser)
{
    const struct token *sign = parser_peek(parser);
    const struct isa_expression *value = NULL;

    if (!parser_enter(parser))
        return NULL;
    if (parser_accept(parser, "!")) {
        value = parse_unary(parser);
        if (value != NULL && expression_is_constant(value) && value->width <= 1)
            value = expression_constant(parser, value->value == 0, 1, sign->at);
        else if ((value = expression_adopt(parser, value, 1)) != NULL)
            value = expression_node(parser, EXPRESSION_NOT, 1, value, NULL, NULL, sign->at);
    } else if (parser_accept(parser, "~") || parser_accept(parser, "-")) {
        value = parse_unary(parser);
        if (value != NULL && value->width == 0) {
            parser_error(parser, sign->at,
                         "this needs a value with a width; write "
                         "zext(value, width)");
            value = NULL;
        }
        if (value != NULL)
            value =
                expression_node(parser, token_is(sign, "~") ? EXPRESSION_NOT : EXPRESSION_NEGATE,
                                value->width, value, NULL, NULL, sign->at);
    } else {
        value = parse_slices(parser, parse_primary(parser));
    }
    parser_leave(parser);
    return parser_failed(parser) ? NULL : value;
}

struct operator_row {
    const char *text;
    unsigned level; /* a higher one binds tighter */
    enum expression_kind kind;
    bool logical, swapped;
};

static const struct operator_row operators[] = {
    { "||", 1, EXPRESSION_OR, true, false },
    { "&&", 2, EXPRESSION_AND, true, false },
    { "==", 3, EXPRESSION_EQUAL, false, false },
    { "!=", 3, EXPRESSION_NOT_EQUAL, false, false },
    { "<", 3, EXPRESSION_LESS, false, false },
    { "<=", 3, EXPRESSION_LESS_EQUAL, false, false },
    { ">", 3, EXPRESSION_LESS, false, true },
    { ">=", 3, EXPRESSION_LESS_EQUAL, false, true },
    { "|", 4, EXPRESSION_OR, false, false },
    { "^", 5, EXPRESSION_XOR, false, false },
    { "&", 6, EXPRESSION_AND, false, false },
    { "<<", 7, EXPRESSION_SHIFT_LEFT, false, false },
    { ">>", 7, EXPRESSION_SHIFT_RIGHT, false, false },
    { ">>>", 7, EXPRESSION_SHIFT_ARITHMETIC, false, false },
    { "+", 8, EXPRESSION_ADD, false, false },
    { "-", 8, EXPRESSION_SUBTRACT, false, false },
    { "*", 9, EXPRESSION_MULTIPLY, false, false },
    { "/", 9, EXPRESSION_DIVIDE, false, false },
    { "%", 9, EXPRESSION_REMAINDER, false, false },
};

static const struct operator_row *find_operator(const struct token *token)
{
    if (token->kind != TOKEN_PUNCTUATION)
        return NULL;
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (token_is(token, operators[i].text))
            return &operators[i];
    return NULL;
}

static const struct isa_expression *logical(struct parser *parser, enum expression_kind kind,
                                            const struct isa_expression *a,
                                            const struct isa_expression *b,
                                            struct source_position at)
{
    const struct isa_expression *known;

    a = expression_adopt(parser, a, 1);
    b = expression_adopt(parser, b, 1);
    if (a == NULL || b == NULL)
        return NULL;
    known = expression_is_constant(a) ? a : expression_is_constant(b) ? b : NULL;
    if (known != NULL && (known->value != 0) == (kind == EXPRESSION_OR))
        return known;
    if (known != NULL)
        return known == a ? b : a;
    return expression_node(parser, kind, 1, a, b, NULL, at);
}

static const struct isa_expression *parse_binary(struct parser *parser, unsigned level)
{
    const struct isa_expression *left = parse_unary(parser);

    while (left != NULL && !parser_failed(parser)) {
        const struct token *token = parser_peek(parser);
        const struct operator_row *row = find_operator(token);
        const struct isa_expression *right;

        if (row == NULL || row->level < level)
            break;
        (void)parser_next(parser);
        right = parse_binary(parser, row->level + 1);
        if (row->logical)
            left = logical(parser, row->kind, left, right, token->at);
        else if (row->swapped)
            left = expression_binary(parser, row->kind, right, left, token->at);
        else
            left = expression_binary(parser, row->kind, left, right, token->at);
    }
    return left;
}

static const struct isa_expression *parse_arms(struct parser *parser,
                                               const struct isa_expression *condition)
{
    struct source_position at = condition->at;
    const struct isa_expression *yes, *no;

    condition = expression_adopt(parser, condition, 1);
    parser->lazy++;
    yes = parse_expression(parser);
    no = parser_expect(parser, ":") ? parse_expression(parser) : NULL;
    parser->lazy--;
    if (condition == NULL || yes == NULL || no == NULL)
        return NULL;
    if (expression_is_constant(condition))
        return condition->value != 0 ? yes : no;
    if (yes->width == 0 && no->width == 0) {
        parser_error(parser, at, "neither arm has a width; write zext(value, width)");
        return NULL;
    }
    if (yes->width == 0)
        yes = expression_adopt(parser, yes, no->width);
    else
        no = expression_adopt(parser, no, yes->width);
    if (yes == NULL || no == NULL)
        return NULL;
    return expression_node(parser, EXPRESSION_CONDITIONAL, yes->width, condition, yes, no, at);
}

const struct isa_expression *parse_expression(struct parser *parser)
{
    const struct isa_expression *result;

    if (parser_failed(parser) || !parser_enter(parser))
        return NULL;
    result = parse_binary(parser, 1);
    if (result != NULL && parser_accept(parser, "?"))
        result = parse_arms(parser, result);
    parser_leave(parser);
    return parser_failed(parser) ? NULL : result;
}

const struct isa_expression *parse_condition(struct parser *parser)
{
    return expression_adopt(parser, parse_expression(parser), 1);
}

bool parse_constant(struct parser *parser, uint64_t minimum, uint64_t maximum, const char *what,
                    uint64_t *value)
{
    const struct isa_expression *expression = parse_expression(parser);

    if (expression == NULL)
        return false;
    if (!expression_is_constant(expression)) {
        parser_error(parser, expression->at, "%s must be known here: constants and parameters only",
                     _(what));
        return false;
    }
    if (expression->value < minimum || expression->value > maximum) {
        parser_error(parser, expression->at, "%s must lie between %llu and %llu, not be %llu",
                     _(what), (unsigned long long)minimum, (unsigned long long)maximum,
                     (unsigned long long)expression->value);
        return false;
    }
    *value = expression->value;
    return true;
}

bool parse_width(struct parser *parser, unsigned *width)
{
    uint64_t value = 0;

    if (!parse_constant(parser, 1, 64, "a width", &value))
        return false;
    *width = (unsigned)value;
    return true;
}
