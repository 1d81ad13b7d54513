/* SPDX-License-Identifier: MIT */
/*
 * Lexer: the text of a description as an array of tokens.
 *
 * Tokens point into the text, which must outlive them. The array ends with TOKEN_END. Comments are
 * tokens only when asked for (the formatter wants them, the parser does not).
 */
#ifndef ORIGAMI_CHECKER_LEXER_H
#define ORIGAMI_CHECKER_LEXER_H

#include "diagnostics.h"

/* A description is written by hand; anything larger is a mistake or an attack. */
enum { LEXER_MAX_TEXT = 1 << 20 };

enum token_kind {
    TOKEN_END,
    TOKEN_IDENTIFIER,
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_PUNCTUATION,
    TOKEN_COMMENT,
};

struct token {
    enum token_kind kind;
    const char *text; /* strings: between the quotes, escapes not allowed */
    uint32_t length;
    struct source_position at;
    uint64_t value; /* numbers */
    unsigned width; /* binary numbers: their digits; others: 0, the context decides */
};

struct token_list {
    struct token *tokens;
    size_t count;
};

/* 0, -EINVAL (diagnostics filled) or -ENOMEM. */
int lexer_run(const char *text, size_t length, bool keep_comments, struct diagnostics *diagnostics,
              struct token_list *list);
void lexer_release(struct token_list *list);

/* Is this token the given word or punctuation? */
bool token_is(const struct token *token, const char *text);

#endif
