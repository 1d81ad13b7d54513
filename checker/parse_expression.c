/* SPDX-License-Identifier: MIT */
/* Parser: tokens, names and expressions. Widths are checked here, once, for all readers. */
#include "parser.h"

#include <stdarg.h>
#include <string.h>

uint64_t width_mask(unsigned width)
{
    return width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

bool parser_failed(const struct parser *parser)
{
    return parser->out_of_memory || parser->diagnostics->failed;
}

void parser_error(struct parser *parser, struct source_position at, const char *format, ...)
{
    char message[sizeof(parser->diagnostics->message)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    diagnostics_error(parser->diagnostics, at, "%s", message);
    parser->position = parser->count - 1;
}

const struct token *parser_peek(const struct parser *parser)
{
    return &parser->tokens[parser->position];
}

const struct token *parser_next(struct parser *parser)
{
    const struct token *token = parser_peek(parser);

    if (++parser->steps > PARSER_MAX_STEPS)
        parser_error(parser, token->at, "this description is too large once expanded");
    if (token->kind != TOKEN_END)
        parser->position++;
    return token;
}

bool parser_accept(struct parser *parser, const char *text)
{
    if (!token_is(parser_peek(parser), text))
        return false;
    (void)parser_next(parser);
    return true;
}

static int shown_length(const struct token *token)
{
    return token->length > 40 ? 40 : (int)token->length;
}

static void error_expected(struct parser *parser, const char *what)
{
    const struct token *token = parser_peek(parser);

    if (token->kind == TOKEN_END)
        parser_error(parser, token->at, "expected %s, but the file ends here", what);
    else
        parser_error(parser, token->at, "expected %s, found '%.*s'", what, shown_length(token),
                     token->text);
}

bool parser_expect(struct parser *parser, const char *text)
{
    char quoted[32];

    if (parser_failed(parser))
        return false;
    if (parser_accept(parser, text))
        return true;
    (void)snprintf(quoted, sizeof(quoted), "'%s'", text);
    error_expected(parser, quoted);
    return false;
}

const struct token *parser_expect_name(struct parser *parser, const char *what)
{
    if (parser_failed(parser))
        return NULL;
    if (parser_peek(parser)->kind != TOKEN_IDENTIFIER) {
        error_expected(parser, what);
        return NULL;
    }
    return parser_next(parser);
}

bool parser_enter(struct parser *parser)
{
    if (++parser->nesting > PARSER_MAX_NESTING) {
        parser_error(parser, parser_peek(parser)->at, "nested more than %d deep",
                     PARSER_MAX_NESTING);
        return false;
    }
    return true;
}

void parser_leave(struct parser *parser)
{
    parser->nesting--;
}

void *parser_allocate(struct parser *parser, size_t size)
{
    void *result = description_allocate(parser->description, size);

    if (result == NULL) {
        parser->out_of_memory = true;
        parser->position = parser->count - 1;
    }
    return result;
}

const char *parser_copy(struct parser *parser, const struct token *token)
{
    char *copy = parser_allocate(parser, (size_t)token->length + 1);

    if (copy != NULL)
        memcpy(copy, token->text, token->length);
    return copy;
}

static const struct symbol *find_between(const struct parser *parser, const struct token *name,
                                         unsigned from, unsigned to)
{
    for (unsigned i = to; i > from; i--) {
        const struct symbol *symbol = &parser->symbols[i - 1];

        if (symbol->length == name->length && memcmp(symbol->name, name->text, name->length) == 0)
            return symbol;
    }
    return NULL;
}

const struct symbol *parser_find(const struct parser *parser, const struct token *name)
{
    const struct symbol *symbol = NULL;

    if (parser->in_body)
        symbol = find_between(parser, name, parser->floor, parser->symbol_count);
    if (symbol == NULL)
        symbol = find_between(parser, name, 0,
                              parser->in_body ? parser->global_count : parser->symbol_count);
    return symbol;
}

struct symbol *parser_declare(struct parser *parser, const struct token *name,
                              enum symbol_kind kind)
{
    static const char *const reserved[] = { "load",    "store", "trap", "fault", "halt", "choose",
                                            "if",      "else",  "let",  "yield", "zext", "sext",
                                            "memsize", "slt",   "sle",  "_" };
    struct symbol *symbol;

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (token_is(name, reserved[i])) {
            parser_error(parser, name->at, "'%s' is a word of the language", reserved[i]);
            return NULL;
        }
    }
    if (!parser->in_body && find_between(parser, name, 0, parser->symbol_count) != NULL) {
        parser_error(parser, name->at, "'%.*s' is declared twice", shown_length(name), name->text);
        return NULL;
    }
    if (parser->symbol_count == PARSER_MAX_SYMBOLS) {
        parser_error(parser, name->at, "too many names");
        return NULL;
    }
    symbol = &parser->symbols[parser->symbol_count++];
    memset(symbol, 0, sizeof(*symbol));
    symbol->kind = kind;
    symbol->name = name->text;
    symbol->length = name->length;
    return symbol;
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

static bool is_constant(const struct isa_expression *expression)
{
    return expression->kind == EXPRESSION_CONSTANT;
}

static const struct isa_expression *
expression_node(struct parser *parser, enum expression_kind kind, unsigned width,
                const struct isa_expression *a, const struct isa_expression *b,
                const struct isa_expression *c, struct source_position at)
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
    if (is_constant(expression) && (expression->value & ~width_mask(width)) != 0) {
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

static const struct isa_expression *binary(struct parser *parser, enum expression_kind kind,
                                           const struct isa_expression *a,
                                           const struct isa_expression *b,
                                           struct source_position at)
{
    uint64_t value = 0;

    if (a == NULL || b == NULL || parser_failed(parser))
        return NULL;
    if (is_constant(a) && is_constant(b) && a->width == 0 && b->width == 0) {
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
    if (is_constant(a) && is_constant(b) && is_comparison(kind) &&
        fold(kind, a->value, b->value, &value))
        return expression_constant(parser, value, 1, at);
    return expression_node(parser, kind, is_comparison(kind) ? 1 : a->width, a, b, NULL, at);
}

static const struct isa_expression *slice(struct parser *parser, const struct isa_expression *value,
                                          uint64_t high, uint64_t low, struct source_position at)
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
    if (is_constant(value))
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
        value = slice(parser, value, high, low, at);
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
    if (is_constant(value) && !is_signed)
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
    return binary(parser, kind, a, b, at);
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

static const struct isa_expression *parse_cell(struct parser *parser, uint32_t cell,
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
        parser_error(parser, name->at, "nothing is called '%.*s' here", shown_length(name),
                     name->text);
        return NULL;
    }
    switch (symbol->kind) {
    case SYMBOL_CONSTANT:
        return expression_constant(parser, symbol->value, symbol->width, name->at);
    case SYMBOL_CELL:
        return parse_cell(parser, (uint32_t)symbol->value, name->at);
    case SYMBOL_EXPRESSION:
        return symbol->expression;
    case SYMBOL_FUNCTION:
        return parse_function_use(parser, symbol);
    case SYMBOL_MACRO:
        break;
    }
    parser_error(parser, name->at, "'%.*s' is a macro: it stands alone, as a statement",
                 shown_length(name), name->text);
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
    error_expected(parser, "a value");
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
        if (value != NULL && is_constant(value) && value->width <= 1)
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
    known = is_constant(a) ? a : is_constant(b) ? b : NULL;
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
            left = binary(parser, row->kind, right, left, token->at);
        else
            left = binary(parser, row->kind, left, right, token->at);
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
    if (is_constant(condition))
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
    if (!is_constant(expression)) {
        parser_error(parser, expression->at, "%s must be known here: constants and parameters only",
                     what);
        return false;
    }
    if (expression->value < minimum || expression->value > maximum) {
        parser_error(parser, expression->at, "%s must lie between %llu and %llu, not be %llu", what,
                     (unsigned long long)minimum, (unsigned long long)maximum,
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
