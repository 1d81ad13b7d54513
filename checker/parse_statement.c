/* SPDX-License-Identifier: MIT */
/* Parser: bodies, statements, and the expansion of fn and macro. */
#include "parser.h"

#include <string.h>

static struct isa_statement *append(struct parser *parser, enum statement_kind kind,
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
    let = append(parser, STATEMENT_LET, expression->at);
    if (let == NULL)
        return NULL;
    let->slot = slot;
    let->a = expression;
    return local(parser, slot, expression->width, expression->at);
}

static bool allowed(struct parser *parser, unsigned what, const char *name,
                    struct source_position at)
{
    if (parser->context != NULL && (parser->context->allow & what) != 0)
        return true;
    parser_error(parser, at, "%s may not stand here", name);
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

    if (!allowed(parser, ALLOW_MEMORY, "load", at))
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
    load = append(parser, STATEMENT_LOAD, at);
    if (load == NULL)
        return NULL;
    load->slot = slot;
    load->a = address;
    load->b = mode;
    parser->context->reads_memory = true;
    return local(parser, slot, parser->description->cells[parser->description->memory_cell].width,
                 at);
}

static const struct isa_expression *parse_physical_address(struct parser *parser)
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

    if (!allowed(parser, ALLOW_PHYSICAL, "physical memory", at))
        return NULL;
    if (parser->lazy != 0) {
        parser_error(parser, at, "memory may not be read in an arm of ?:; use if");
        return NULL;
    }
    address = parse_physical_address(parser);
    if (address == NULL || !new_slot(parser, at, &slot))
        return NULL;
    read = append(parser, STATEMENT_PHYSICAL_READ, at);
    if (read == NULL)
        return NULL;
    read->slot = slot;
    read->a = address;
    parser->context->reads_memory = true;
    return local(parser, slot, parser->description->cells[parser->description->memory_cell].width,
                 at);
}

bool parse_parameters(struct parser *parser, struct callable *callable)
{
    if (!parser_expect(parser, "("))
        return false;
    while (!parser_accept(parser, ")")) {
        const struct token *name = parser_expect_name(parser, "a parameter's name or ')'");
        unsigned index = callable->parameter_count;

        if (name == NULL)
            return false;
        if (index == PARSER_MAX_PARAMETERS) {
            parser_error(parser, name->at, "more than %d parameters", PARSER_MAX_PARAMETERS);
            return false;
        }
        callable->parameters[index] = *name;
        if (!parser_expect(parser, ":") || !parse_width(parser, &callable->widths[index]))
            return false;
        callable->parameter_count++;
        if (!token_is(parser_peek(parser), ")") && !parser_expect(parser, ","))
            return false;
    }
    return true;
}

static bool parse_arguments(struct parser *parser, const struct callable *callable, bool by_value,
                            const struct isa_expression **arguments)
{
    if (!parser_expect(parser, "("))
        return false;
    for (unsigned i = 0; i < callable->parameter_count; i++) {
        if (i > 0 && !parser_expect(parser, ","))
            return false;
        arguments[i] = expression_adopt(parser, parse_expression(parser), callable->widths[i]);
        if (arguments[i] != NULL && (by_value || arguments[i]->weight > 1))
            arguments[i] = statement_hoist(parser, arguments[i]);
        if (arguments[i] == NULL)
            return false;
    }
    return parser_expect(parser, ")");
}

bool parser_call(struct parser *parser, const struct symbol *symbol, bool by_value,
                 struct expansion *saved)
{
    const struct callable *callable = symbol->callable;
    const struct isa_expression *arguments[PARSER_MAX_PARAMETERS];
    struct diagnostics *diagnostics = parser->diagnostics;
    struct source_position at = parser_peek(parser)->at;

    if (!parser_enter(parser))
        return false;
    if (!parse_arguments(parser, callable, by_value, arguments)) {
        parser_leave(parser);
        return false;
    }
    saved->position = parser->position;
    saved->symbol_count = parser->symbol_count;
    saved->floor = parser->floor;
    saved->lazy = parser->lazy;
    saved->outermost = parser->expansions++ == 0;
    if (saved->outermost) {
        diagnostics->expanded = true;
        diagnostics->used_at = at;
        (void)snprintf(diagnostics->used_name, sizeof(diagnostics->used_name), "%.*s",
                       (int)symbol->length, symbol->name);
    }
    parser->floor = parser->symbol_count;
    parser->position = callable->body;
    for (unsigned i = 0; i < callable->parameter_count; i++) {
        struct symbol *parameter =
            parser_declare(parser, &callable->parameters[i], SYMBOL_EXPRESSION);

        if (parameter != NULL)
            parameter->expression = arguments[i];
    }
    return true;
}

void parser_return(struct parser *parser, const struct expansion *saved)
{
    parser_leave(parser);
    parser->expansions--;
    parser->symbol_count = saved->symbol_count;
    parser->floor = saved->floor;
    parser->lazy = saved->lazy;
    if (parser_failed(parser))
        return;
    parser->position = saved->position;
    if (saved->outermost)
        parser->diagnostics->expanded = false;
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
        statement = append(parser, STATEMENT_IF, at);
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

    if (!allowed(parser, ALLOW_MEMORY, "store", at) ||
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
    store = append(parser, STATEMENT_STORE, at);
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

    if (!allowed(parser, what[kind], kind == STATEMENT_TRAP ? "trap" : "fault", at))
        return false;
    if (token_is(parser_peek(parser), ";"))
        code = expression_constant(parser, 0, width, at);
    else
        code = expression_adopt(parser, parse_expression(parser), width);
    plain = token_is(&parser->tokens[parser->position - 1], "fault");
    if (code == NULL || !parser_expect(parser, ";"))
        return false;
    statement = append(parser, kind, at);
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

    if (!allowed(parser, ALLOW_YIELD, "yield", at))
        return false;
    value = expression_adopt(parser, parse_expression(parser), parser->context->yield_width);
    if (value == NULL || !parser_expect(parser, ";"))
        return false;
    statement = append(parser, STATEMENT_YIELD, at);
    if (statement == NULL)
        return false;
    statement->a = value;
    return true;
}

struct target {
    uint32_t cell;
    unsigned high, low;
    const struct isa_expression *index;
    bool physical;
    struct source_position at;
};

static bool parse_target_bits(struct parser *parser, struct target *target, unsigned width)
{
    uint64_t high = 0, low;

    target->high = width - 1;
    target->low = 0;
    if (target->physical || !parser_accept(parser, "["))
        return true;
    if (!parse_constant(parser, 0, width - 1, "a bit number", &high))
        return false;
    low = high;
    if (parser_accept(parser, ":") && !parse_constant(parser, 0, high, "a bit number", &low))
        return false;
    target->high = (unsigned)high;
    target->low = (unsigned)low;
    return parser_expect(parser, "]");
}

static bool parse_target(struct parser *parser, const struct token *name, struct target *target)
{
    const struct symbol *symbol = parser_find(parser, name);
    const struct isa_cell *cell;

    if (symbol == NULL || symbol->kind != SYMBOL_CELL) {
        parser_error(parser, name->at, "'%.*s' is not a cell that can be assigned",
                     name->length > 40 ? 40 : (int)name->length, name->text);
        return false;
    }
    memset(target, 0, sizeof(*target));
    target->at = name->at;
    target->cell = (uint32_t)symbol->value;
    cell = &parser->description->cells[target->cell];
    target->physical = cell->role == ROLE_MEMORY;
    if (!allowed(parser, target->physical ? ALLOW_PHYSICAL : ALLOW_ASSIGN, "this assignment",
                 name->at))
        return false;
    if (cell->is_array) {
        target->index = parse_physical_address(parser);
        if (target->index == NULL)
            return false;
    }
    return parse_target_bits(parser, target, cell->width);
}

static bool append_assignment(struct parser *parser, const struct target *target,
                              const struct isa_expression *value)
{
    struct isa_statement *statement =
        append(parser, target->physical ? STATEMENT_PHYSICAL_WRITE : STATEMENT_ASSIGN, target->at);

    if (statement == NULL)
        return false;
    statement->cell = target->cell;
    statement->high = target->high;
    statement->low = target->low;
    if (target->physical) {
        statement->a = target->index;
        statement->c = value;
    } else {
        statement->index = target->index;
        statement->a = value;
    }
    return true;
}

static bool parse_assignment(struct parser *parser, const struct token *name)
{
    const struct isa_expression *value;
    struct target target;

    if (!parse_target(parser, name, &target) || !parser_expect(parser, "="))
        return false;
    value = expression_adopt(parser, parse_expression(parser), target.high - target.low + 1);
    if (value == NULL || !parser_expect(parser, ";"))
        return false;
    return append_assignment(parser, &target, value);
}

/* "{a, b, c} = value;": the first target takes the highest bits. */
static bool parse_spread(struct parser *parser)
{
    struct target targets[16];
    unsigned count = 0, total = 0;
    const struct isa_expression *value;

    do {
        const struct token *name = parser_expect_name(parser, "a cell");

        if (name == NULL)
            return false;
        if (count == 16) {
            parser_error(parser, name->at, "more than 16 cells in one assignment");
            return false;
        }
        if (!parse_target(parser, name, &targets[count]))
            return false;
        total += targets[count].high - targets[count].low + 1;
        count++;
    } while (parser_accept(parser, ","));
    if (!parser_expect(parser, "}") || !parser_expect(parser, "="))
        return false;
    if (total > 64) {
        parser_error(parser, targets[0].at, "these cells together are wider than 64 bits");
        return false;
    }
    value = statement_hoist(parser, expression_adopt(parser, parse_expression(parser), total));
    if (value == NULL || !parser_expect(parser, ";"))
        return false;
    for (unsigned i = 0; i < count; i++) {
        unsigned width = targets[i].high - targets[i].low + 1;
        struct isa_expression *part;

        total -= width;
        part = expression_new(parser, EXPRESSION_SLICE, width, targets[i].at);
        if (part == NULL)
            return false;
        part->a = value;
        part->low = total;
        part->high = total + width - 1;
        part->depth = (uint16_t)(value->depth + 1);
        part->weight = value->weight + 1;
        if (!append_assignment(parser, &targets[i], part))
            return false;
    }
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
        return allowed(parser, ALLOW_HALT, "halt", token->at) &&
               append(parser, STATEMENT_HALT, token->at) != NULL && parser_expect(parser, ";");
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
