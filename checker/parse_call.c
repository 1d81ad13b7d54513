/* SPDX-License-Identifier: MIT */
/* Parser: the expansion of fn and macro. */
#include "parser.h"

#include <string.h>

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
