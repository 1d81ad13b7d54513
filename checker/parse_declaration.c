/* SPDX-License-Identifier: MIT */
/* Parser: top-level declarations, and description_parse(), the way in. */
#include "messages.h"
#include "parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_isa(struct parser *parser)
{
    return (parser->description->name = parse_string(parser, "a name")) != NULL &&
           parser_expect(parser, ";");
}

static bool parse_title(struct parser *parser)
{
    return (parser->description->title = parse_string(parser, "a title")) != NULL &&
           parser_expect(parser, ";");
}

static bool parse_scope(struct parser *parser)
{
    return (parser->description->scope = parse_string(parser, "the scope")) != NULL &&
           parser_expect(parser, ";");
}

static bool parse_source(struct parser *parser)
{
    struct isa_description *description = parser->description;
    const char *source = parse_string(parser, "a source");

    if (source == NULL)
        return false;
    if (description->source_count == 16) {
        parser_error(parser, parser_peek(parser)->at, "more than 16 sources");
        return false;
    }
    description->sources[description->source_count++] = source;
    return parser_expect(parser, ";");
}

static bool parse_named_constant(struct parser *parser, bool parameter)
{
    struct isa_description *description = parser->description;
    const struct token *name = parser_expect_name(parser, "a name");
    struct isa_parameter *entry;
    struct symbol *symbol;
    uint64_t value = 0;

    if (name == NULL || !parser_expect(parser, "=") ||
        !parse_constant(parser, 0, UINT64_MAX, "this value", &value))
        return false;
    symbol = parser_declare(parser, name, SYMBOL_CONSTANT);
    if (symbol == NULL)
        return false;
    symbol->value = value;
    if (!parameter)
        return parser_expect(parser, ";");
    if (description->parameter_count == 32) {
        parser_error(parser, name->at, "more than 32 parameters");
        return false;
    }
    entry = &description->parameters[description->parameter_count++];
    entry->name = parser_copy(parser, name);
    for (unsigned i = 0; i < parser->override_count; i++) {
        if (strlen(parser->overrides[i].name) == name->length &&
            memcmp(parser->overrides[i].name, name->text, name->length) == 0) {
            symbol->value = parser->overrides[i].value;
            entry->overridden = true;
        }
    }
    entry->value = symbol->value;
    return parser_expect(parser, ";");
}

static bool parse_param(struct parser *parser)
{
    return parse_named_constant(parser, true);
}

static bool parse_const(struct parser *parser)
{
    return parse_named_constant(parser, false);
}

static bool parse_user(struct parser *parser)
{
    return parse_cell(parser, ROLE_USER);
}

static bool parse_mode(struct parser *parser)
{
    return parse_cell(parser, ROLE_MODE);
}

static bool parse_pc(struct parser *parser)
{
    return parse_cell(parser, ROLE_PC);
}

static bool parse_relocation(struct parser *parser)
{
    return parse_cell(parser, ROLE_RELOCATION);
}

static bool parse_resource(struct parser *parser)
{
    return parse_cell(parser, ROLE_RESOURCE);
}

static bool parse_clock(struct parser *parser)
{
    return parse_cell(parser, ROLE_CLOCK);
}

static bool parse_memory(struct parser *parser)
{
    return parse_cell(parser, ROLE_MEMORY);
}

static bool parse_analyze(struct parser *parser)
{
    struct isa_description *description = parser->description;
    struct source_position at = parser_peek(parser)->at;
    uint64_t most;

    if (description->mode_cell < 0) {
        parser_error(parser, at, "analyze needs a mode cell declared above");
        return false;
    }
    most = width_mask(description->cells[description->mode_cell].width);
    if (!parse_constant(parser, 0, most, "a mode", &description->supervisor) ||
        !parser_expect(parser, "over") ||
        !parse_constant(parser, 0, most, "a mode", &description->user))
        return false;
    if (description->supervisor == description->user) {
        parser_error(parser, at, "the pair under analysis needs two different modes");
        return false;
    }
    description->pair_declared = true;
    return parser_expect(parser, ";");
}

static bool parse_monitor(struct parser *parser)
{
    uint64_t cells = 0;

    if (!parse_constant(parser, 1, ISA_MAX_MEMORY, "the monitor's memory", &cells))
        return false;
    parser->description->monitor_cells = (uint32_t)cells;
    return parser_expect(parser, ";");
}

static bool parse_invariant(struct parser *parser)
{
    struct isa_description *description = parser->description;
    const struct isa_expression *condition;

    if (description->invariant_count == 32) {
        parser_error(parser, parser_peek(parser)->at, "more than 32 invariants");
        return false;
    }
    condition = parse_condition(parser);
    if (condition == NULL)
        return false;
    description->invariants[description->invariant_count++] = condition;
    return parser_expect(parser, ";");
}

/* Starts a body with one parameter, "name : width". */
static bool begin_body(struct parser *parser, struct body_context *context, unsigned *width)
{
    const struct token *name = parser_expect_name(parser, "a name");
    struct isa_expression *value;
    struct symbol *symbol;

    if (name == NULL || !parser_expect(parser, ":") || !parse_width(parser, width))
        return false;
    parser->global_count = parser->symbol_count;
    parser->floor = parser->symbol_count;
    parser->in_body = true;
    symbol = parser_declare(parser, name, SYMBOL_EXPRESSION);
    value = expression_new(parser, EXPRESSION_LOCAL, *width, name->at);
    if (symbol == NULL || value == NULL)
        return false;
    value->index = context->slots++;
    symbol->expression = value;
    return true;
}

static bool end_body(struct parser *parser, struct body_context *context, struct isa_block *block)
{
    bool good = parse_body(parser, context, block);

    parser->in_body = false;
    parser->symbol_count = parser->global_count;
    return good;
}

static bool refuse_second(struct parser *parser, bool declared, const char *what)
{
    if (declared)
        parser_error(parser, parser_peek(parser)->at, "there is a %s already", _(what));
    return !declared;
}

/* "map a : 4 [as m] -> 5 { ... yield physical; }" */
static bool parse_map(struct parser *parser)
{
    struct isa_description *description = parser->description;
    struct body_context context = { .allow = ALLOW_FAULT | ALLOW_YIELD };

    if (!refuse_second(parser, description->has_map, "map") ||
        !begin_body(parser, &context, &description->map_address_width))
        return false;
    context.slots = 2;
    if (parser_accept(parser, "as")) {
        const struct token *name = parser_expect_name(parser, "a name for the mode");
        struct isa_expression *mode;
        struct symbol *symbol;

        if (name == NULL)
            return false;
        if (description->mode_cell < 0) {
            parser_error(parser, name->at, "there is no mode cell");
            return false;
        }
        mode = expression_new(parser, EXPRESSION_LOCAL,
                              description->cells[description->mode_cell].width, name->at);
        symbol = parser_declare(parser, name, SYMBOL_EXPRESSION);
        if (symbol == NULL || mode == NULL)
            return false;
        mode->index = 1;
        symbol->expression = mode;
        description->map_uses_mode = true;
    }
    if (!parser_expect(parser, "->") || !parse_width(parser, &description->map_physical_width))
        return false;
    context.yield_width = description->map_physical_width;
    if (!end_body(parser, &context, &description->map))
        return false;
    /* A map that reads the mode cell itself depends on the mode too. */
    if (context.uses_mode)
        description->map_uses_mode = true;
    description->has_map = true;
    return true;
}

/* "relocate x : 4 [when condition] { ... }" */
static bool parse_relocate(struct parser *parser)
{
    struct isa_description *description = parser->description;
    struct body_context context = { .allow = ALLOW_ASSIGN };

    if (!refuse_second(parser, description->has_relocate, "relocate") ||
        !begin_body(parser, &context, &description->shift_width))
        return false;
    if (parser_accept(parser, "when")) {
        description->relocate_guard = parse_condition(parser);
        if (description->relocate_guard == NULL)
            return false;
    }
    if (!end_body(parser, &context, &description->relocate))
        return false;
    description->has_relocate = true;
    return true;
}

/* "trap code : 4 [illegal n] [memory n] { ... }" */
static bool parse_trap(struct parser *parser)
{
    struct isa_description *description = parser->description;
    struct body_context context = { .allow = ALLOW_ASSIGN | ALLOW_PHYSICAL };
    uint64_t most;

    if (!refuse_second(parser, description->has_trap, "trap rule") ||
        !begin_body(parser, &context, &description->trap_width))
        return false;
    most = width_mask(description->trap_width);
    if (parser_accept(parser, "illegal") &&
        !parse_constant(parser, 0, most, "a trap code", &description->illegal_code))
        return false;
    if (parser_accept(parser, "memory") &&
        !parse_constant(parser, 0, most, "a trap code", &description->memory_code))
        return false;
    if (!end_body(parser, &context, &description->trap))
        return false;
    description->has_trap = true;
    return true;
}

static bool parse_fn(struct parser *parser)
{
    return parse_callable(parser, false);
}

static bool parse_macro(struct parser *parser)
{
    return parse_callable(parser, true);
}

static bool parse_declarations(struct parser *parser, bool nested);

/* "when condition { declarations }": for what a parameter adds or takes away. */
static bool parse_when(struct parser *parser)
{
    uint64_t wanted = 0;
    unsigned depth = 1;
    bool good;

    if (!parse_constant(parser, 0, UINT64_MAX, "this condition", &wanted) ||
        !parser_expect(parser, "{"))
        return false;
    if (wanted != 0) {
        good = parser_enter(parser) && parse_declarations(parser, true);
        parser_leave(parser);
        return good;
    }
    while (depth > 0 && !parser_failed(parser)) {
        const struct token *token = parser_next(parser);

        if (token_is(token, "{"))
            depth++;
        else if (token_is(token, "}"))
            depth--;
        else if (token->kind == TOKEN_END)
            parser_error(parser, token->at, "expected '}', but the file ends here");
    }
    return !parser_failed(parser);
}

struct declaration_row {
    const char *word;
    bool (*parse)(struct parser *parser);
};

static const struct declaration_row declarations[] = {
    { "isa", parse_isa },
    { "title", parse_title },
    { "scope", parse_scope },
    { "source", parse_source },
    { "param", parse_param },
    { "const", parse_const },
    { "mode", parse_mode },
    { "pc", parse_pc },
    { "relocation", parse_relocation },
    { "resource", parse_resource },
    { "clock", parse_clock },
    { "user", parse_user },
    { "memory", parse_memory },
    { "analyze", parse_analyze },
    { "monitor", parse_monitor },
    { "invariant", parse_invariant },
    { "map", parse_map },
    { "relocate", parse_relocate },
    { "trap", parse_trap },
    { "fn", parse_fn },
    { "macro", parse_macro },
    { "insn", parse_instruction },
    { "when", parse_when },
};

static bool parse_declarations(struct parser *parser, bool nested)
{
    while (!parser_failed(parser)) {
        const struct token *word;
        bool known = false;

        if (nested && parser_accept(parser, "}"))
            return true;
        if (!nested && parser_peek(parser)->kind == TOKEN_END)
            return true;
        word = parser_expect_name(parser, "a declaration");
        if (word == NULL)
            return false;
        for (size_t i = 0; i < sizeof(declarations) / sizeof(declarations[0]) && !known; i++) {
            if (!token_is(word, declarations[i].word))
                continue;
            known = true;
            if (!declarations[i].parse(parser))
                return false;
        }
        if (!known)
            parser_error(parser, word->at, "'%.*s' does not begin a declaration",
                         word->length > 40 ? 40 : (int)word->length, word->text);
    }
    return false;
}

static void check_override(struct parser *parser, struct source_position start, const char *name)
{
    const struct isa_description *description = parser->description;
    char names[160] = "";

    for (unsigned i = 0; i < description->parameter_count; i++) {
        size_t used = strlen(names);

        if (strcmp(description->parameters[i].name, name) == 0)
            return;
        (void)snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : _(", "),
                       description->parameters[i].name);
    }
    if (names[0] == '\0')
        parser_error(parser, start, "there is no parameter '%.60s': this description has none",
                     name);
    else
        parser_error(parser, start, "there is no parameter '%.60s'; there are: %s", name, names);
}

static void check_whole(struct parser *parser)
{
    struct isa_description *description = parser->description;
    struct source_position start = { 1, 1 };

    if (description->name == NULL)
        parser_error(parser, start, "a description begins with: isa \"name\";");
    if (description->instruction_count == 0)
        parser_error(parser, start, "a description needs at least one insn");
    if (description->memory_cell >= 0 &&
        description->monitor_cells >= description->cells[description->memory_cell].count)
        parser_error(parser, description->cells[description->memory_cell].at,
                     "the monitor leaves no memory to its guest");
    for (unsigned i = 0; i < parser->override_count; i++)
        check_override(parser, start, parser->overrides[i].name);
}

static int run_parser(struct parser *parser)
{
    const char *unknown = NULL;

    if (parse_declarations(parser, false))
        parser_assign_offsets(parser->description);
    if (!parser_failed(parser))
        check_whole(parser);
    if (parser->out_of_memory)
        parser_error(parser, parser_peek(parser)->at,
                     "this description needs more memory than is allowed");
    if (parser_failed(parser))
        return -EINVAL;
    (void)description_choose_resources(parser->description, NULL, &unknown);
    return 0;
}

int description_parse(const char *text, size_t length, const struct isa_override *overrides,
                      unsigned override_count, struct diagnostics *diagnostics,
                      struct isa_description **result)
{
    struct token_list list;
    struct parser parser = { .diagnostics = diagnostics,
                             .overrides = overrides,
                             .override_count = override_count };
    int error;

    *result = NULL;
    diagnostics->text = text;
    diagnostics->text_length = length;
    error = lexer_run(text, length, false, diagnostics, &list);
    if (error != 0)
        return error;
    parser.tokens = list.tokens;
    parser.count = list.count;
    parser.symbols = calloc(PARSER_MAX_SYMBOLS, sizeof(*parser.symbols));
    parser.description = calloc(1, sizeof(*parser.description));
    error = -ENOMEM;
    if (parser.symbols != NULL && parser.description != NULL) {
        parser.description->mode_cell = -1;
        parser.description->pc_cell = -1;
        parser.description->memory_cell = -1;
        error = run_parser(&parser);
    }
    free(parser.symbols);
    lexer_release(&list);
    if (error != 0) {
        description_release(parser.description);
        return error;
    }
    *result = parser.description;
    return 0;
}
