/* SPDX-License-Identifier: MIT */
/* Parser: tokens and names. */
#include "messages.h"
#include "parser.h"

#include <stdarg.h>
#include <string.h>

bool parser_failed(const struct parser *parser)
{
    return parser->out_of_memory || parser->diagnostics->failed;
}

void parser_error(struct parser *parser, struct source_position at, const char *format, ...)
{
    char message[sizeof(parser->diagnostics->message)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), gettext(format), arguments);
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

int parser_shown_length(const struct token *token)
{
    return token->length > 40 ? 40 : (int)token->length;
}

void parser_error_expected(struct parser *parser, const char *what)
{
    const struct token *token = parser_peek(parser);

    if (token->kind == TOKEN_END)
        parser_error(parser, token->at, "expected %s, but the file ends here", _(what));
    else
        parser_error(parser, token->at, "expected %s, found '%.*s'", _(what),
                     parser_shown_length(token), token->text);
}

bool parser_expect(struct parser *parser, const char *text)
{
    char quoted[32];

    if (parser_failed(parser))
        return false;
    if (parser_accept(parser, text))
        return true;
    (void)snprintf(quoted, sizeof(quoted), "'%s'", text);
    parser_error_expected(parser, quoted);
    return false;
}

const struct token *parser_expect_name(struct parser *parser, const char *what)
{
    if (parser_failed(parser))
        return NULL;
    if (parser_peek(parser)->kind != TOKEN_IDENTIFIER) {
        parser_error_expected(parser, what);
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
        parser_error(parser, name->at, "'%.*s' is declared twice", parser_shown_length(name),
                     name->text);
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

const char *parse_string(struct parser *parser, const char *what)
{
    const struct token *token = parser_peek(parser);

    if (parser_failed(parser))
        return NULL;
    if (token->kind != TOKEN_STRING) {
        parser_error(parser, token->at, "expected %s in double quotes", _(what));
        return NULL;
    }
    return parser_copy(parser, parser_next(parser));
}
