/* SPDX-License-Identifier: MIT */
/* Parser: bodies and statements. */
#include "messages.h"
#include "parser.h"

#include <string.h>

struct isa_statement *statement_append(struct parser *parser, enum statement_kind kind,
                                       struct source_position at)
{
    struct isa_statement *statement = parser_allocate(parser, sizeof(*statement));

    if (statement == NULL)
        return NULL;
    statement->kind = kind;
    statement->at = at;
    *parser->context->tail = statement;
    parser->context->tail = &statement->next;
    return statement;
}

static bool new_slot(struct parser *parser, struct source_position at, uint32_t *slot)
{
    if (parser->context->slots == ISA_MAX_SLOTS) {
        parser_error(parser, at, "a body may hold at most %d local values", ISA_MAX_SLOTS);
        return false;
    }
    *slot = parser->context->slots++;
    return true;
}

static const struct isa_expression *local(struct parser *parser, uint32_t slot, unsigned width,
                                          struct source_position at)
{
    struct isa_expression *expression = expression_new(parser, EXPRESSION_LOCAL, width, at);

    if (expression != NULL)
        expression->index = slot;
    return expression;
}

const struct isa_expression *statement_hoist(struct parser *parser,
                                             const struct isa_expression *expression)
{
    struct isa_statement *let;
    uint32_t slot = 0;

    if (parser->context == NULL || parser->context->tail == NULL || expression == NULL ||
        expression->kind == EXPRESSION_CONSTANT || expression->kind == EXPRESSION_LOCAL ||
        expression->kind == EXPRESSION_OPERAND || expression->width == 0)
        return expression;
    if (!new_slot(parser, expression->at, &slot))
        return NULL;
    let = statement_append(parser, STATEMENT_LET, expression->at);
    if (let == NULL)
        return NULL;
    let->slot = slot;
    let->a = expression;
    return local(parser, slot, expression->width, expression->at);
}

bool statement_allowed(struct parser *parser, unsigned what, const char *name,
                       struct source_position at)
{
    if (parser->context != NULL && (parser->context->allow & what) != 0)
        return true;
    parser_error(parser, at, "%s may not stand here", _(name));
    return false;
}

/* "(address [, mode]" - the closing bracket is the caller's. */
static bool parse_virtual_address(struct parser *parser, const struct isa_expression **address,
                                  const struct isa_expression **mode)
{
    struct isa_description *description = parser->description;

    *mode = NULL;
    if (!parser_expect(parser, "("))
        return false;
    if (!description->has_map || description->memory_cell < 0) {
        parser_error(parser, parser_peek(parser)->at,
                     "load and store need a memory and a map declared above");
        return false;
    }
    *address = expression_adopt(parser, parse_expression(parser), description->map_address_width);
    return *address != NULL;
}

static bool parse_access_mode(struct parser *parser, const struct isa_expression **mode)
{
    const struct isa_description *description = parser->description;

    if (description->mode_cell < 0) {
        parser_error(parser, parser_peek(parser)->at, "there is no mode to access as");
        return false;
    }
    *mode = expression_adopt(parser, parse_expression(parser),
                             description->cells[description->mode_cell].width);
    return *mode != NULL;
}

const struct isa_expression *parse_load(struct parser *parser, struct source_position at)
{
    const struct isa_expression *address = NULL, *mode = NULL;
    struct isa_statement *load;
    uint32_t slot = 0;

    if (!statement_allowed(parser, ALLOW_MEMORY, "load", at))
        return NULL;
    if (parser->lazy != 0) {
        parser_error(parser, at,
                     "load may not stand in an arm of ?:, where it would not be "
                     "conditional; use if");
        return NULL;
    }
    if (!parse_virtual_address(parser, &address, &mode))
        return NULL;
    if (parser_accept(parser, ",") && !parse_access_mode(parser, &mode))
        return NULL;
    if (!parser_expect(parser, ")") || !new_slot(parser, at, &slot))
        return NULL;
    load = statement_append(parser, STATEMENT_LOAD, at);
    if (load == NULL)
        return NULL;
    load->slot = slot;
    load->a = address;
    load->b = mode;
    parser->context->reads_memory = true;
    return local(parser, slot, parser->description->cells[parser->description->memory_cell].width,
                 at);
}

const struct isa_expression *parse_physical_address(struct parser *parser)
{
    const struct isa_expression *address;

    if (!parser_expect(parser, "["))
        return NULL;
    address = parse_expression(parser);
    if (address != NULL && address->width == 0)
        address = expression_adopt(parser, address, 32);
    return parser_expect(parser, "]") ? address : NULL;
}

const struct isa_expression *parse_physical_read(struct parser *parser, struct source_position at)
{
    const struct isa_expression *address;
    struct isa_statement *read;
    uint32_t slot = 0;

    if (!statement_allowed(parser, ALLOW_PHYSICAL, "physical memory", at))
        return NULL;
    if (parser->lazy != 0) {
        parser_error(parser, at, "memory may not be read in an arm of ?:; use if");
        return NULL;
    }
    address = parse_physical_address(parser);
    if (address == NULL || !new_slot(parser, at, &slot))
        return NULL;
    read = statement_append(parser, STATEMENT_PHYSICAL_READ, at);
    if (read == NULL)
        return NULL;
    read->slot = slot;
    read->a = address;
    parser->context->reads_memory = true;
    return local(parser, slot, parser->description->cells[parser->description->memory_cell].width,
                 at);
}

static bool parse_let(struct parser *parser)
{
    const struct token *name = parser_expect_name(parser, "the name of a value");
    const struct isa_expression *value;
    struct symbol *symbol;

    if (name == NULL || !parser_expect(parser, "="))
        return false;
    value = parse_expression(parser);
    if (value == NULL || !parser_expect(parser, ";"))
        return false;
    if (value->kind == EXPRESSION_MEMORY_SIZE && value->width == 0) {
        parser_error(parser, value->at, "memsize needs a width here: zext(memsize, width)");
        return false;
    }
    value = statement_hoist(parser, value);
    symbol = value != NULL ? parser_declare(parser, name, SYMBOL_EXPRESSION) : NULL;
    if (symbol == NULL)
        return false;
    symbol->expression = value;
    return true;
}

static bool parse_branch(struct parser *parser, const struct isa_statement **first)
{
    const struct isa_statement **tail = parser->context->tail;
    bool good;

    *first = NULL;
    parser->context->tail = first;
    good = parse_block(parser);
    parser->context->tail = tail;
    return good;
}

static bool parse_if(struct parser *parser, struct source_position at);

static bool parse_else_if(struct parser *parser, const struct isa_statement **first)
{
    const struct isa_statement **tail = parser->context->tail;
    struct source_position at = parser_peek(parser)->at;
    bool good;

    *first = NULL;
    parser->context->tail = first;
    good = parser_enter(parser) && parse_if(parser, at);
    parser_leave(parser);
    parser->context->tail = tail;
    return good;
}

static bool parse_if(struct parser *parser, struct source_position at)
{
    const struct isa_statement *body = NULL, *otherwise = NULL, *taken;
    const struct isa_expression *condition;
    struct isa_statement *statement;

    if (!parser_expect(parser, "("))
        return false;
    condition = parse_condition(parser);
    if (condition == NULL || !parser_expect(parser, ")") || !parse_branch(parser, &body))
        return false;
    if (parser_accept(parser, "else")) {
        if (parser_accept(parser, "if")) {
            if (!parse_else_if(parser, &otherwise))
                return false;
        } else if (!parse_branch(parser, &otherwise)) {
            return false;
        }
    }
    if (condition->kind != EXPRESSION_CONSTANT) {
        statement = statement_append(parser, STATEMENT_IF, at);
        if (statement == NULL)
            return false;
        statement->a = condition;
        statement->body = body;
        statement->otherwise = otherwise;
        return true;
    }
    /* A parameter decided: keep only the branch it takes. */
    taken = condition->value != 0 ? body : otherwise;
    *parser->context->tail = taken;
    while (taken != NULL) {
        parser->context->tail = &((struct isa_statement *)(uintptr_t)taken)->next;
        taken = taken->next;
    }
    return true;
}

static bool parse_store(struct parser *parser, struct source_position at)
{
    const struct isa_expression *address = NULL, *mode = NULL, *value;
    struct isa_statement *store;

    if (!statement_allowed(parser, ALLOW_MEMORY, "store", at) ||
        !parse_virtual_address(parser, &address, &mode) || !parser_expect(parser, ","))
        return false;
    value = expression_adopt(parser, parse_expression(parser),
                             parser->description->cells[parser->description->memory_cell].width);
    if (value == NULL)
        return false;
    if (parser_accept(parser, ",") && !parse_access_mode(parser, &mode))
        return false;
    if (!parser_expect(parser, ")") || !parser_expect(parser, ";"))
        return false;
    store = statement_append(parser, STATEMENT_STORE, at);
    if (store == NULL)
        return false;
    store->a = address;
    store->b = mode;
    store->c = value;
    return true;
}

static bool parse_stop(struct parser *parser, enum statement_kind kind, struct source_position at)
{
    static const unsigned what[] = {
        [STATEMENT_TRAP] = ALLOW_TRAP, [STATEMENT_FAULT] = ALLOW_FAULT
    };
    const struct isa_description *description = parser->description;
    const struct isa_expression *code;
    struct isa_statement *statement;
    unsigned width = description->has_trap ? description->trap_width : 64;
    bool plain;

    if (!statement_allowed(parser, what[kind], kind == STATEMENT_TRAP ? "trap" : "fault", at))
        return false;
    if (token_is(parser_peek(parser), ";"))
        code = expression_constant(parser, 0, width, at);
    else
        code = expression_adopt(parser, parse_expression(parser), width);
    plain = token_is(&parser->tokens[parser->position - 1], "fault");
    if (code == NULL || !parser_expect(parser, ";"))
        return false;
    statement = statement_append(parser, kind, at);
    if (statement == NULL)
        return false;
    /* The trap rule, which names the code of a plain memory trap, may stand below the map. */
    statement->a = plain ? NULL : code;
    return true;
}

static bool parse_yield(struct parser *parser, struct source_position at)
{
    const struct isa_expression *value;
    struct isa_statement *statement;

    if (!statement_allowed(parser, ALLOW_YIELD, "yield", at))
        return false;
    value = expression_adopt(parser, parse_expression(parser), parser->context->yield_width);
    if (value == NULL || !parser_expect(parser, ";"))
        return false;
    statement = statement_append(parser, STATEMENT_YIELD, at);
    if (statement == NULL)
        return false;
    statement->a = value;
    return true;
}

static bool parse_macro_use(struct parser *parser, const struct symbol *symbol)
{
    struct expansion saved;
    bool good;

    if (!parser_call(parser, symbol, true, &saved))
        return false;
    good = parse_block(parser);
    parser_return(parser, &saved);
    return good && parser_expect(parser, ";");
}

static bool parse_statement(struct parser *parser)
{
    const struct token *token = parser_peek(parser);
    const struct symbol *symbol;

    if (parser_accept(parser, "{"))
        return parse_spread(parser);
    token = parser_expect_name(parser, "a statement");
    if (token == NULL)
        return false;
    if (token_is(token, "let"))
        return parse_let(parser);
    if (token_is(token, "if"))
        return parse_if(parser, token->at);
    if (token_is(token, "store"))
        return parse_store(parser, token->at);
    if (token_is(token, "trap"))
        return parse_stop(parser, STATEMENT_TRAP, token->at);
    if (token_is(token, "fault"))
        return parse_stop(parser, STATEMENT_FAULT, token->at);
    if (token_is(token, "yield"))
        return parse_yield(parser, token->at);
    if (token_is(token, "halt"))
        return statement_allowed(parser, ALLOW_HALT, "halt", token->at) &&
               statement_append(parser, STATEMENT_HALT, token->at) != NULL &&
               parser_expect(parser, ";");
    symbol = parser_find(parser, token);
    if (symbol != NULL && symbol->kind == SYMBOL_MACRO)
        return parse_macro_use(parser, symbol);
    return parse_assignment(parser, token);
}

bool parse_block(struct parser *parser)
{
    unsigned symbols = parser->symbol_count;

    if (!parser_expect(parser, "{") || !parser_enter(parser))
        return false;
    while (!parser_failed(parser) && !parser_accept(parser, "}"))
        if (!parse_statement(parser))
            break;
    parser_leave(parser);
    parser->symbol_count = symbols;
    return !parser_failed(parser);
}

bool parse_body(struct parser *parser, struct body_context *context, struct isa_block *block)
{
    struct body_context *outer = parser->context;
    bool good;

    block->first = NULL;
    context->tail = &block->first;
    parser->context = context;
    good = parse_block(parser);
    parser->context = outer;
    block->slots = context->slots;
    return good;
}
