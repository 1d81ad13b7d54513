/* SPDX-License-Identifier: MIT */
/*
 * Parser: fn, macro and insn.
 *
 * An operand marked `each` makes one instruction per value: the paper's classes belong to single
 * instructions, and an encoding that traps must not hide one that does not. The body is read once
 * per combination with the operand as a constant.
 */
#include "parser.h"

#include <string.h>

struct operand_syntax {
    const struct token *name;
    bool each;
    unsigned width;
    unsigned count; /* of listed values */
    uint64_t values[ISA_MAX_DOMAIN];
    const struct token *value_names[ISA_MAX_DOMAIN];
    unsigned chosen; /* index of the value at hand, for `each` */
};

struct instruction_syntax {
    const char *name;
    const char *summary;
    struct source_position at;
    struct operand_syntax *operands;
    unsigned operand_count;
    size_t encoding; /* position of its '{', 0: none */
    size_t body;
    unsigned symbols; /* global names at the start */
};

bool parse_callable(struct parser *parser, bool macro)
{
    const struct token *name = parser_expect_name(parser, "a name");
    struct callable *callable = parser_allocate(parser, sizeof(*callable));
    struct body_context scratch = { .allow = ALLOW_INSTRUCTION };
    struct body_context *outer = parser->context;
    struct isa_block unused;
    struct symbol *symbol;
    bool good;

    if (name == NULL || callable == NULL || !parse_parameters(parser, callable))
        return false;
    if (!macro && !parser_expect(parser, "="))
        return false;
    callable->body = parser->position;
    /* Read once now, so that a mistake shows even in a helper that nothing uses. */
    parser->global_count = parser->symbol_count;
    parser->floor = parser->symbol_count;
    parser->in_body = true;
    for (unsigned i = 0; i < callable->parameter_count; i++) {
        struct isa_expression *value =
            expression_new(parser, EXPRESSION_LOCAL, callable->widths[i], name->at);

        symbol = parser_declare(parser, &callable->parameters[i], SYMBOL_EXPRESSION);
        if (symbol == NULL || value == NULL)
            return false;
        value->index = scratch.slots++;
        symbol->expression = value;
    }
    if (macro) {
        good = parse_body(parser, &scratch, &unused);
    } else {
        unused.first = NULL;
        scratch.tail = &unused.first;
        parser->context = &scratch;
        good = parse_expression(parser) != NULL && parser_expect(parser, ";");
        parser->context = outer;
    }
    parser->in_body = false;
    parser->symbol_count = parser->global_count;
    if (!good)
        return false;
    symbol = parser_declare(parser, name, macro ? SYMBOL_MACRO : SYMBOL_FUNCTION);
    if (symbol == NULL)
        return false;
    symbol->callable = callable;
    return true;
}

static bool parse_domain(struct parser *parser, struct operand_syntax *operand)
{
    while (!parser_accept(parser, "}")) {
        const struct token *first = parser_peek(parser);
        bool named = first->kind == TOKEN_IDENTIFIER && parser->position + 1 < parser->count &&
                     token_is(first + 1, "=");

        if (operand->count == ISA_MAX_DOMAIN) {
            parser_error(parser, first->at, "more than %d values", ISA_MAX_DOMAIN);
            return false;
        }
        operand->value_names[operand->count] = NULL;
        if (named) {
            operand->value_names[operand->count] = first;
            (void)parser_next(parser);
            (void)parser_next(parser);
        }
        if (!parse_constant(parser, 0, width_mask(operand->width), "an operand's value",
                            &operand->values[operand->count]))
            return false;
        operand->count++;
        if (!token_is(parser_peek(parser), "}") && !parser_expect(parser, ","))
            return false;
    }
    if (operand->count == 0) {
        parser_error(parser, operand->name->at, "an operand needs at least one value");
        return false;
    }
    return true;
}

static bool parse_operand(struct parser *parser, struct operand_syntax *operand)
{
    const struct token *name = parser_expect_name(parser, "an operand or ')'");

    memset(operand, 0, sizeof(*operand));
    if (name != NULL && token_is(name, "each") && parser_peek(parser)->kind == TOKEN_IDENTIFIER) {
        operand->each = true;
        name = parser_next(parser);
    }
    operand->name = name;
    if (name == NULL || !parser_expect(parser, ":") || !parse_width(parser, &operand->width))
        return false;
    if (parser_accept(parser, "{") && !parse_domain(parser, operand))
        return false;
    if (!operand->each || operand->count != 0)
        return true;
    if (operand->width > 8) {
        parser_error(parser, name->at, "list the values of an `each` operand of more than 8 bits");
        return false;
    }
    for (uint64_t value = 0; value <= width_mask(operand->width); value++)
        operand->values[operand->count++] = value;
    return true;
}

static bool parse_operands(struct parser *parser, struct instruction_syntax *syntax)
{
    if (!parser_accept(parser, "("))
        return true;
    while (!parser_accept(parser, ")")) {
        if (syntax->operand_count == ISA_MAX_OPERANDS) {
            parser_error(parser, parser_peek(parser)->at, "more than %d operands",
                         ISA_MAX_OPERANDS);
            return false;
        }
        if (!parse_operand(parser, &syntax->operands[syntax->operand_count]))
            return false;
        syntax->operand_count++;
        if (!token_is(parser_peek(parser), ")") && !parser_expect(parser, ","))
            return false;
    }
    return true;
}

/* Moves behind "{ ... }" without reading it. */
static bool skip_braces(struct parser *parser)
{
    unsigned depth = 0;

    do {
        const struct token *token = parser_next(parser);

        if (token_is(token, "{"))
            depth++;
        else if (token_is(token, "}"))
            depth--;
        else if (token->kind == TOKEN_END) {
            parser_error(parser, token->at, "expected '}', but the file ends here");
            return false;
        }
    } while (depth > 0 && !parser_failed(parser));
    return !parser_failed(parser);
}

/* The operand of this name, in the instruction made (never an `each` one), or -1. */
static int find_operand(const struct isa_instruction *instruction, const struct token *name)
{
    for (unsigned i = 0; i < instruction->operand_count; i++) {
        const char *operand = instruction->operands[i].name;

        if (strlen(operand) == name->length && memcmp(operand, name->text, name->length) == 0)
            return (int)i;
    }
    return -1;
}

static bool parse_field(struct parser *parser, const struct isa_instruction *instruction,
                        struct isa_field *field)
{
    const struct token *first = parser_peek(parser);
    const struct isa_expression *value;

    if (parser_accept(parser, "_")) {
        uint64_t width = 0; /* none at all is fine: it depends on parameters */

        field->operand = -2;
        if (!parser_expect(parser, ":") || !parse_constant(parser, 0, 64, "a width", &width))
            return false;
        field->width = (unsigned)width;
        return true;
    }
    if (first->kind == TOKEN_IDENTIFIER && find_operand(instruction, first) >= 0) {
        (void)parser_next(parser);
        field->operand = find_operand(instruction, first);
        field->width = instruction->operands[field->operand].width;
        return true;
    }
    field->operand = -1;
    value = parse_expression(parser);
    if (value == NULL)
        return false;
    if (value->kind != EXPRESSION_CONSTANT) {
        parser_error(parser, first->at, "an encoding holds constants, operands and _:width");
        return false;
    }
    field->width = value->width;
    field->value = value->value;
    if (parser_accept(parser, ":")) {
        if (!parse_width(parser, &field->width) ||
            expression_adopt(parser, value, field->width) == NULL)
            return false;
    } else if (field->width == 0) {
        parser_error(parser, first->at,
                     "this constant needs a width: binary digits or value:width");
        return false;
    }
    return true;
}

static bool parse_encoding(struct parser *parser, struct isa_instruction *instruction)
{
    const struct isa_description *description = parser->description;
    struct isa_field *fields = parser_allocate(parser, ISA_MAX_FIELDS * sizeof(*fields));
    struct source_position at = parser_peek(parser)->at;
    unsigned total = 0, width;

    if (fields == NULL || !parser_expect(parser, "{"))
        return false;
    if (description->memory_cell < 0) {
        parser_error(parser, at, "an encoding needs a memory declared above");
        return false;
    }
    width = description->cells[description->memory_cell].width;
    do {
        if (instruction->field_count == ISA_MAX_FIELDS) {
            parser_error(parser, at, "more than %d fields", ISA_MAX_FIELDS);
            return false;
        }
        if (!parse_field(parser, instruction, &fields[instruction->field_count]))
            return false;
        total += fields[instruction->field_count++].width;
    } while (parser_accept(parser, ","));
    if (!parser_expect(parser, "}"))
        return false;
    if (total % width != 0 || total / width > ISA_MAX_WORDS) {
        parser_error(parser, at,
                     "this encoding has %u bits; memory cells have %u, at most %d of "
                     "them",
                     total, width, ISA_MAX_WORDS);
        return false;
    }
    instruction->words = total / width;
    instruction->fields = fields;
    return true;
}

static const char *instance_name(struct parser *parser, const struct instruction_syntax *syntax)
{
    char name[200];
    size_t used = (size_t)snprintf(name, sizeof(name), "%s", syntax->name);

    for (unsigned i = 0; i < syntax->operand_count && used < sizeof(name); i++) {
        const struct operand_syntax *operand = &syntax->operands[i];
        const struct token *value = operand->value_names[operand->chosen];

        if (!operand->each)
            continue;
        if (value != NULL)
            used += (size_t)snprintf(name + used, sizeof(name) - used, ".%.*s", (int)value->length,
                                     value->text);
        else
            used += (size_t)snprintf(name + used, sizeof(name) - used, ".%llu",
                                     (unsigned long long)operand->values[operand->chosen]);
    }
    if (used >= sizeof(name)) {
        parser_error(parser, syntax->at, "this instruction's name is too long");
        return NULL;
    }
    return description_copy_text(parser->description, name, used);
}

static bool bind_operand(struct parser *parser, struct isa_instruction *instruction,
                         const struct operand_syntax *syntax)
{
    struct symbol *symbol;
    struct isa_operand *operand;
    struct isa_expression *value;

    symbol =
        parser_declare(parser, syntax->name, syntax->each ? SYMBOL_CONSTANT : SYMBOL_EXPRESSION);
    if (symbol == NULL)
        return false;
    if (syntax->each) {
        symbol->value = syntax->values[syntax->chosen];
        symbol->width = syntax->width;
        return true;
    }
    operand = &instruction->operands[instruction->operand_count];
    operand->name = parser_copy(parser, syntax->name);
    operand->width = syntax->width;
    operand->domain_count = syntax->count;
    if (syntax->count != 0) {
        uint64_t *domain = parser_allocate(parser, syntax->count * sizeof(*domain));

        if (domain == NULL)
            return false;
        memcpy(domain, syntax->values, syntax->count * sizeof(*domain));
        operand->domain = domain;
    }
    value = expression_new(parser, EXPRESSION_OPERAND, syntax->width, syntax->name->at);
    if (value == NULL)
        return false;
    value->index = instruction->operand_count++;
    symbol->expression = value;
    return true;
}

static bool read_instance(struct parser *parser, const struct instruction_syntax *syntax,
                          struct isa_instruction *instruction)
{
    struct body_context context = { .allow = ALLOW_INSTRUCTION };

    for (unsigned i = 0; i < syntax->operand_count; i++)
        if (!bind_operand(parser, instruction, &syntax->operands[i]))
            return false;
    if (syntax->encoding != 0) {
        parser->position = syntax->encoding;
        if (!parse_encoding(parser, instruction))
            return false;
    }
    parser->position = syntax->body;
    if (!parse_body(parser, &context, &instruction->body))
        return false;
    instruction->choice_count = context.choices;
    memcpy(instruction->choice_width, context.choice_width, sizeof(context.choice_width));
    instruction->reads_memory = context.reads_memory;
    return true;
}

static bool make_instance(struct parser *parser, const struct instruction_syntax *syntax)
{
    struct isa_description *description = parser->description;
    struct isa_instruction *instruction = parser_allocate(parser, sizeof(*instruction));
    bool good;

    if (instruction == NULL)
        return false;
    if (description->instruction_count == ISA_MAX_INSTRUCTIONS) {
        parser_error(parser, syntax->at, "more than %d instructions", ISA_MAX_INSTRUCTIONS);
        return false;
    }
    instruction->at = syntax->at;
    instruction->summary = syntax->summary;
    instruction->name = instance_name(parser, syntax);
    if (instruction->name == NULL)
        return false;
    if (description_find_instruction(description, instruction->name) != NULL) {
        parser_error(parser, syntax->at, "instruction '%.60s' is described twice",
                     instruction->name);
        return false;
    }
    parser->global_count = parser->symbol_count;
    parser->floor = parser->symbol_count;
    parser->in_body = true;
    good = read_instance(parser, syntax, instruction);
    parser->in_body = false;
    parser->symbol_count = parser->global_count;
    if (good)
        description->instructions[description->instruction_count++] = instruction;
    return good;
}

/* Steps the `each` operands like an odometer; false after the last combination. */
static bool next_combination(struct instruction_syntax *syntax)
{
    for (unsigned i = syntax->operand_count; i > 0; i--) {
        struct operand_syntax *operand = &syntax->operands[i - 1];

        if (!operand->each)
            continue;
        if (++operand->chosen < operand->count)
            return true;
        operand->chosen = 0;
    }
    return false;
}

static bool parse_instances(struct parser *parser, struct instruction_syntax *syntax)
{
    if (parser_accept(parser, "=")) {
        syntax->encoding = parser->position;
        if (!token_is(parser_peek(parser), "{"))
            return parser_expect(parser, "{");
        if (!skip_braces(parser))
            return false;
    }
    if (parser_peek(parser)->kind == TOKEN_STRING)
        syntax->summary = parse_string(parser, "a summary");
    syntax->body = parser->position;
    do {
        if (!make_instance(parser, syntax))
            return false;
    } while (next_combination(syntax));
    return true;
}

bool parse_instruction(struct parser *parser)
{
    struct instruction_syntax syntax = { .at = parser_peek(parser)->at };
    const struct token *name = parser_peek(parser);

    if (name->kind == TOKEN_STRING && name->length > 0)
        syntax.name = parse_string(parser, "an instruction's name");
    else if ((name = parser_expect_name(parser, "an instruction's name")) != NULL)
        syntax.name = parser_copy(parser, name);
    syntax.operands = parser_allocate(parser, ISA_MAX_OPERANDS * sizeof(*syntax.operands));
    if (syntax.name == NULL || syntax.operands == NULL || !parse_operands(parser, &syntax))
        return false;
    return parse_instances(parser, &syntax);
}
