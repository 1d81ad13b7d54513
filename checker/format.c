/* SPDX-License-Identifier: MIT */
/*
 * Formatter: see format.h.
 *
 * A brace opens a block or a list, told by what it holds. A block has a ';' at any depth, an `if`,
 * two names in a row (`mode M`, as every declaration begins), or nothing at all, or holds a brace
 * that holds nothing. No list - of values, of names, of an encoding's fields - has any of these; it
 * stays on the line.
 */
#include "format.h"
#include "lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 4, MAX_OPEN = 256 };

struct formatter {
    const struct token *tokens;
    size_t count;
    FILE *out;
    unsigned depth; /* of blocks */
    bool line_start;
    bool block[MAX_OPEN]; /* for every open brace: is it a block? */
    unsigned open;
    unsigned brackets; /* open '[': a ':' inside is a range of bits */
};

static bool is_block(const struct formatter *f, size_t brace)
{
    const struct token *before = &f->tokens[brace];
    unsigned depth = 1;

    for (size_t i = brace + 1; i < f->count && depth > 0; i++) {
        const struct token *token = &f->tokens[i];

        if (token->kind == TOKEN_COMMENT)
            continue;
        if (token_is(token, ";") || (token_is(token, "}") && token_is(before, "{")))
            return true;
        if (depth == 1 && token->kind == TOKEN_IDENTIFIER &&
            (token_is(token, "if") || before->kind == TOKEN_IDENTIFIER))
            return true;
        if (token_is(token, "{"))
            depth++;
        else if (token_is(token, "}"))
            depth--;
        before = token;
    }
    return false;
}

static void new_line(struct formatter *f)
{
    if (!f->line_start)
        fputc('\n', f->out);
    f->line_start = true;
}

static void put(struct formatter *f, const struct token *token, bool space)
{
    if (f->line_start)
        fprintf(f->out, "%*s", (int)(f->depth * INDENT), "");
    else if (space)
        fputc(' ', f->out);
    if (token->kind == TOKEN_STRING)
        fputc('"', f->out);
    (void)fwrite(token->text, 1, token->length, f->out);
    if (token->kind == TOKEN_STRING)
        fputc('"', f->out);
    f->line_start = false;
}

static bool is_operand_end(const struct token *token)
{
    return token->kind == TOKEN_NUMBER || token->kind == TOKEN_IDENTIFIER ||
           token->kind == TOKEN_STRING || token_is(token, ")") || token_is(token, "]") ||
           token_is(token, "}");
}

static bool is_prefix(const struct formatter *f, size_t i)
{
    const struct token *token = &f->tokens[i];

    return token_is(token, "!") || token_is(token, "~") ||
           (token_is(token, "-") && (i == 0 || !is_operand_end(&f->tokens[i - 1])));
}

/* Does a space stand before token i, when it is not the first of its line? */
static bool wants_space(const struct formatter *f, size_t i)
{
    static const char *const tight_before[] = { ",", ";", ")", "]", "[" };
    const struct token *token = &f->tokens[i], *before = &f->tokens[i - 1];

    for (size_t j = 0; j < sizeof(tight_before) / sizeof(tight_before[0]); j++)
        if (token_is(token, tight_before[j]))
            return false;
    if (token_is(before, "(") || token_is(before, "[") || is_prefix(f, i - 1))
        return false;
    if (token_is(token, "("))
        return before->kind != TOKEN_IDENTIFIER || token_is(before, "if") ||
               token_is(before, "when");
    if (token_is(token, "}") || token_is(before, "{"))
        return f->open > 0 && f->block[f->open - 1];
    if (token_is(token, ":"))
        return f->brackets == 0 && !token_is(before, "_");
    if (token_is(before, ":"))
        return f->brackets == 0 && i >= 2 && !token_is(&f->tokens[i - 2], "_");
    return true;
}

static void comment(struct formatter *f, size_t i)
{
    const struct token *token = &f->tokens[i];
    uint32_t length = token->length;

    while (length > 0 && strchr(" \t\r", token->text[length - 1]) != NULL)
        length--;
    if (f->line_start)
        fprintf(f->out, "%*s", (int)(f->depth * INDENT), "");
    else
        fputc(' ', f->out);
    (void)fwrite(token->text, 1, length, f->out); /* whatever bytes a comment holds */
    f->line_start = false;
    new_line(f);
}

static void close_brace(struct formatter *f, size_t i)
{
    bool block = f->open == 0 || f->block[f->open - 1];

    if (block) {
        new_line(f);
        if (f->depth > 0)
            f->depth--;
    }
    put(f, &f->tokens[i], false);
    if (f->open > 0)
        f->open--;
    if (!block)
        return;
    if (!token_is(&f->tokens[i + 1], "else") && f->tokens[i + 1].kind != TOKEN_COMMENT)
        new_line(f);
    else if (f->tokens[i + 1].kind == TOKEN_COMMENT &&
             f->tokens[i + 1].at.line != f->tokens[i].at.line)
        new_line(f);
}

/* A list that names values, as after a mode cell, ends its declaration like a ';': nothing else
 * that has a list goes on with a name. */
static bool ends_line(const struct formatter *f, size_t i)
{
    const struct token *next = &f->tokens[i + 1];

    if (next->kind == TOKEN_COMMENT)
        return next->at.line != f->tokens[i].at.line;
    if (token_is(&f->tokens[i], ";"))
        return true;
    return token_is(&f->tokens[i], "}") && (f->open == 0 || f->block[f->open - 1]) &&
           next->kind == TOKEN_IDENTIFIER && !token_is(next, "else");
}

static int format_tokens(struct formatter *f)
{
    for (size_t i = 0; i + 1 < f->count; i++) {
        const struct token *token = &f->tokens[i];

        if (i > 0 && f->line_start && token->at.line > f->tokens[i - 1].at.line + 1 &&
            !token_is(token, "}"))
            fputc('\n', f->out);
        if (token->kind == TOKEN_COMMENT) {
            comment(f, i);
            continue;
        }
        if (token_is(token, "["))
            f->brackets++;
        else if (token_is(token, "]") && f->brackets > 0)
            f->brackets--;
        if (token_is(token, "}")) {
            close_brace(f, i);
        } else {
            put(f, token, i > 0 && wants_space(f, i));
            if (token_is(token, "{")) {
                if (f->open == MAX_OPEN)
                    return -EINVAL;
                f->block[f->open++] = is_block(f, i);
                if (f->block[f->open - 1]) {
                    f->depth++;
                    if (f->tokens[i + 1].kind != TOKEN_COMMENT ||
                        f->tokens[i + 1].at.line != token->at.line)
                        new_line(f);
                }
            }
        }
        if (ends_line(f, i))
            new_line(f);
    }
    new_line(f);
    return 0;
}

int format_description(const char *text, size_t length, struct diagnostics *diagnostics, FILE *out)
{
    struct formatter formatter = { .out = out, .line_start = true };
    struct token_list list;
    int error;

    diagnostics->text = text;
    diagnostics->text_length = length;
    error = lexer_run(text, length, true, diagnostics, &list);
    if (error != 0)
        return error;
    formatter.tokens = list.tokens;
    formatter.count = list.count;
    error = format_tokens(&formatter);
    if (error != 0)
        diagnostics_error(diagnostics, list.tokens[0].at, "braces nest too deep");
    lexer_release(&list);
    if (error == 0 && (fflush(out) != 0 || ferror(out)))
        error = -EIO;
    return error;
}
