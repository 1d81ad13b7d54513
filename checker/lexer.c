/* SPDX-License-Identifier: MIT */
/* Lexer: see lexer.h. One pass, no look-back, every byte checked. */
#include "lexer.h"
#include "messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lexer {
    const char *text;
    size_t length;
    size_t position;
    uint32_t line;
    size_t line_start;
    struct diagnostics *diagnostics;
    struct token_list *list;
    size_t capacity;
};

/* Longest first, so that "<<" is not read as two "<". */
static const char *const punctuation[] = {
    ">>>", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "{", "}", "(", ")", "[", "]", ",",
    ";",   ":",  "?",  "=",  "<",  ">",  "+",  "-",  "*",  "/",  "%", "&", "|", "^", "~", "!",
};

bool token_is(const struct token *token, const char *text)
{
    return (token->kind == TOKEN_IDENTIFIER || token->kind == TOKEN_PUNCTUATION) &&
           token->length == strlen(text) && memcmp(token->text, text, token->length) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word(char c)
{
    return is_word_start(c) || is_digit(c) || c == '.';
}

static char peek(const struct lexer *lexer, size_t ahead)
{
    size_t position = lexer->position + ahead;

    return position < lexer->length ? lexer->text[position] : '\0';
}

static struct source_position here(const struct lexer *lexer)
{
    struct source_position at = { lexer->line,
                                  (uint32_t)(lexer->position - lexer->line_start) + 1 };
    return at;
}

static int fail(struct lexer *lexer, const char *message)
{
    diagnostics_error(lexer->diagnostics, here(lexer), "%s", _(message));
    return -EINVAL;
}

static struct token *append(struct lexer *lexer, enum token_kind kind, size_t length)
{
    struct token_list *list = lexer->list;
    struct token *token;

    if (list->count == lexer->capacity) {
        size_t capacity = lexer->capacity == 0 ? 256 : lexer->capacity * 2;
        struct token *grown = realloc(list->tokens, capacity * sizeof(*grown));

        if (grown == NULL)
            return NULL;
        list->tokens = grown;
        lexer->capacity = capacity;
    }
    token = &list->tokens[list->count++];
    memset(token, 0, sizeof(*token));
    token->kind = kind;
    token->text = lexer->text + lexer->position;
    token->length = (uint32_t)length;
    token->at = here(lexer);
    return token;
}

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

static int read_number(struct lexer *lexer)
{
    unsigned base = 10;
    size_t length = 0;
    unsigned digits = 0;
    uint64_t value = 0;
    struct token *token;

    if (peek(lexer, 0) == '0' && (peek(lexer, 1) == 'x' || peek(lexer, 1) == 'b')) {
        base = peek(lexer, 1) == 'x' ? 16 : 2;
        length = 2;
    }
    for (;; length++) {
        char c = peek(lexer, length);

        if (c == '_')
            continue;
        if (!is_word(c))
            break;
        if (digit_value(c) >= (int)base)
            return fail(lexer, base == 10  ? N_("a decimal number may hold only digits")
                               : base == 2 ? N_("a binary number may hold only 0 and 1")
                                           : N_("a hexadecimal number may hold only 0-9 and a-f"));
        if (value > (UINT64_MAX - (uint64_t)digit_value(c)) / base)
            return fail(lexer, "this number needs more than 64 bits");
        value = value * base + (uint64_t)digit_value(c);
        digits++;
    }
    if (digits == 0)
        return fail(lexer, "a number needs digits after its prefix");
    if (base == 2 && digits > 64)
        return fail(lexer, "this number needs more than 64 bits");
    token = append(lexer, TOKEN_NUMBER, length);
    if (token == NULL)
        return -ENOMEM;
    token->value = value;
    token->width = base == 2 ? digits : 0;
    lexer->position += length;
    return 0;
}

static int read_string(struct lexer *lexer)
{
    size_t length = 1;
    struct token *token;

    while (peek(lexer, length) != '"') {
        char c = peek(lexer, length);

        if (lexer->position + length >= lexer->length || c == '\n')
            return fail(lexer, "this string is not closed on its line");
        if ((unsigned char)c < ' ')
            return fail(lexer, "a string may not hold control characters");
        length++;
    }
    token = append(lexer, TOKEN_STRING, length - 1);
    if (token == NULL)
        return -ENOMEM;
    token->text++;
    lexer->position += length + 1;
    return 0;
}

static int read_punctuation(struct lexer *lexer)
{
    for (size_t i = 0; i < sizeof(punctuation) / sizeof(punctuation[0]); i++) {
        size_t length = strlen(punctuation[i]);

        if (lexer->length - lexer->position >= length &&
            memcmp(lexer->text + lexer->position, punctuation[i], length) == 0) {
            if (append(lexer, TOKEN_PUNCTUATION, length) == NULL)
                return -ENOMEM;
            lexer->position += length;
            return 0;
        }
    }
    return fail(lexer, "this character has no meaning here");
}

static int read_word(struct lexer *lexer)
{
    size_t length = 1;

    while (is_word(peek(lexer, length)))
        length++;
    if (append(lexer, TOKEN_IDENTIFIER, length) == NULL)
        return -ENOMEM;
    lexer->position += length;
    return 0;
}

static int read_comment(struct lexer *lexer, bool keep)
{
    size_t length = 0;

    while (lexer->position + length < lexer->length && peek(lexer, length) != '\n' &&
           peek(lexer, length) != '\0')
        length++;
    if (keep && append(lexer, TOKEN_COMMENT, length) == NULL)
        return -ENOMEM;
    lexer->position += length;
    return 0;
}

static int read_token(struct lexer *lexer, bool keep_comments)
{
    char c = peek(lexer, 0);

    if (c == '\n') {
        lexer->position++;
        lexer->line++;
        lexer->line_start = lexer->position;
        return 0;
    }
    if (c == ' ' || c == '\t' || c == '\r') {
        lexer->position++;
        return 0;
    }
    if (c == '#')
        return read_comment(lexer, keep_comments);
    if (is_digit(c))
        return read_number(lexer);
    if (is_word_start(c))
        return read_word(lexer);
    if (c == '"')
        return read_string(lexer);
    return read_punctuation(lexer);
}

int lexer_run(const char *text, size_t length, bool keep_comments, struct diagnostics *diagnostics,
              struct token_list *list)
{
    struct lexer lexer = {
        .text = text, .length = length, .line = 1, .diagnostics = diagnostics, .list = list
    };
    int error = 0;

    memset(list, 0, sizeof(*list));
    if (length > LEXER_MAX_TEXT)
        return fail(&lexer, "a description may not be larger than 1 MiB");
    while (error == 0 && lexer.position < length)
        error = read_token(&lexer, keep_comments);
    if (error == 0 && append(&lexer, TOKEN_END, 0) == NULL)
        error = -ENOMEM;
    if (error != 0)
        lexer_release(list);
    return error;
}

void lexer_release(struct token_list *list)
{
    free(list->tokens);
    memset(list, 0, sizeof(*list));
}
