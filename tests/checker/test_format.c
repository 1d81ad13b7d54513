/* SPDX-License-Identifier: MIT */
/*
 * The formatter changes layout and nothing else, and has nothing to change in its own work.
 *
 * Usage: test_format COUNT FILE... Each file, random machines, and COUNT mutated files that still
 * lex, each as it is and with its white space shuffled: the result has the same tokens in the same
 * order (so the parser, which looks at nothing else, makes the same description of it), and
 * formatting it again changes no byte.
 */
#include "commands.h"
#include "format.h"
#include "lexer.h"
#include "mutate.h"
#include "random_machine.h"

#include <stdlib.h>
#include <string.h>

static const char *const samples[] = {
    "isa \"w\"; when 1 == 1 { trap code : 2 illegal 1 { } } insn A { }",
    "isa \"w\"; when 1 { when 0 { trap c : 1 { M = 0; } } } insn A { }",
    "isa \"w\"; when 1 { mode M : 1 { s = 0, u = 1 } analyze s over u; } insn A { }",
    "isa \"w\"; when 1 { user R[2] : 4 { a = 0 } user Q : 1; } insn A { }",
    "isa \"w\"; insn A { if (1) { } else if (0) { } else { } {a, b} = {{0b1, c}, d}; }",
    "isa \"w\"; when 1 { } # end\ninsn A { } # of it\n",
    "isa \"w\"; insn A(each k : 2 {x = 0, y = 1}, r : 1 {0}) = {0b1, k, _:2} \"s\" { trap; }",
};

/* The first two of them, as they must look. */
static const char *const laid_out[] = {
    "isa \"w\";\nwhen 1 == 1 {\n    trap code : 2 illegal 1 {\n    }\n}\ninsn A {\n}\n",
    "isa \"w\";\nwhen 1 {\n    when 0 {\n        trap c : 1 {\n            M = 0;\n        }\n"
    "    }\n}\ninsn A {\n}\n",
};

struct formatted {
    char *text;
    size_t length;
};

static int format(const char *text, size_t length, struct formatted *result)
{
    struct diagnostics ignored = { 0 };
    FILE *out = open_memstream(&result->text, &result->length);
    int error = out != NULL ? format_description(text, length, &ignored, out) : -1;

    if (out != NULL)
        (void)fclose(out);
    return error;
}

/* A comment may lose the spaces at its end. */
static size_t length_of(const struct token *token)
{
    size_t length = token->length;

    while (token->kind == TOKEN_COMMENT && length > 0 &&
           strchr(" \t\r", token->text[length - 1]) != NULL)
        length--;
    return length;
}

static bool same_token(const struct token *a, const struct token *b)
{
    return a->kind == b->kind && length_of(a) == length_of(b) &&
           memcmp(a->text, b->text, length_of(a)) == 0;
}

static bool same_tokens(const char *first, size_t first_length, const char *second,
                        size_t second_length)
{
    struct diagnostics ignored[2] = { { 0 }, { 0 } };
    struct token_list a = { 0 }, b = { 0 };
    bool same = lexer_run(first, first_length, true, &ignored[0], &a) == 0 &&
                lexer_run(second, second_length, true, &ignored[1], &b) == 0 && a.count == b.count;

    for (size_t i = 0; same && i < a.count; i++) {
        same = same_token(&a.tokens[i], &b.tokens[i]);
        if (!same)
            printf("token %zu of %zu: '%.*s' against '%.*s'\n", i, a.count, (int)a.tokens[i].length,
                   a.tokens[i].text, (int)b.tokens[i].length, b.tokens[i].text);
    }
    lexer_release(&a);
    lexer_release(&b);
    return same;
}

static bool one(const char *name, const char *text, size_t length)
{
    struct formatted once = { 0 }, twice = { 0 };
    const char *what = NULL;

    if (format(text, length, &once) != 0)
        what = "not formatted";
    else if (!same_tokens(text, length, once.text, once.length))
        what = "other tokens";
    else if (format(once.text, once.length, &twice) != 0 || twice.length != once.length ||
             memcmp(once.text, twice.text, once.length) != 0)
        what = "not at rest";
    if (what != NULL)
        printf("%s: %s:\n%.*s\n----\n%.*s\n----\n%.*s\n", name, what, (int)length, text,
               (int)once.length, once.text != NULL ? once.text : "", (int)twice.length,
               twice.text != NULL ? twice.text : "");
    free(once.text);
    free(twice.text);
    return what == NULL;
}

/* The same tokens, with other white space between them; a comment still ends its line. */
static bool shuffled(const char *name, const char *text, size_t length, uint64_t *random)
{
    static const char *const gaps[] = { " ", "\n", "\n\n\n", "\t ", " \n  ", " ", " ", "  " };
    struct diagnostics ignored = { 0 };
    struct token_list list = { 0 };
    struct formatted other = { 0 };
    FILE *out = open_memstream(&other.text, &other.length);
    bool good = out != NULL && lexer_run(text, length, true, &ignored, &list) == 0;

    for (size_t i = 0; good && i + 1 < list.count; i++) {
        const char *quote = list.tokens[i].kind == TOKEN_STRING ? "\"" : "";

        fputs(quote, out);
        (void)fwrite(list.tokens[i].text, 1, list.tokens[i].length, out);
        fprintf(out, "%s%s", quote,
                list.tokens[i].kind == TOKEN_COMMENT ? "\n" : gaps[random_next(random) % 8]);
    }
    if (out != NULL)
        (void)fclose(out);
    if (good && !same_tokens(text, length, other.text, other.length)) {
        printf("%s: shuffled to other tokens:\n%.*s\n", name, (int)other.length, other.text);
        good = false;
    }
    good = good && one(name, other.text, other.length);
    lexer_release(&list);
    free(other.text);
    return good;
}

static bool looks_right(void)
{
    bool good = true;

    for (size_t i = 0; i < sizeof(laid_out) / sizeof(laid_out[0]) && good; i++) {
        struct formatted result = { 0 };

        good = format(samples[i], strlen(samples[i]), &result) == 0 &&
               strcmp(result.text, laid_out[i]) == 0;
        if (!good)
            printf("sample %zu looks like this:\n%s", i, result.text);
        free(result.text);
    }
    return good;
}

static bool lexes(const char *text, size_t length)
{
    struct formatted ignored = { 0 };
    bool good = format(text, length, &ignored) == 0;

    free(ignored.text);
    return good;
}

static bool files(char **paths, int count, unsigned long mutations, unsigned long *tried)
{
    uint64_t random = 7;
    bool good = true;

    for (unsigned long i = 0; i < mutations + (unsigned long)count && good; i++) {
        const char *path = paths[i % (unsigned long)count];
        bool mutated = i >= (unsigned long)count;
        char *text, *grown;
        size_t length = 0;

        if (command_read_file(path, &text, &length) != 0)
            return false;
        grown = realloc(text, length + 1024);
        if (grown == NULL)
            return false;
        if (mutated)
            mutate(grown, &length, length + 1000, &random);
        if (!mutated || lexes(grown, length)) {
            good = one(path, grown, length) && shuffled(path, grown, length, &random);
            ++*tried;
        }
        free(grown);
    }
    return good;
}

int main(int argc, char **argv)
{
    unsigned long mutations = argc > 2 ? strtoul(argv[1], NULL, 10) : 0, tried = 0;
    uint64_t random = 3;
    bool good = argc > 2 && looks_right();

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]) && good; i++)
        good = one("sample", samples[i], strlen(samples[i])) &&
               shuffled("sample", samples[i], strlen(samples[i]), &random);
    for (uint64_t seed = 1; seed <= 100 && good; seed++) {
        size_t length = 0;
        char *text = random_machine(seed, &length);

        good = text != NULL && one("random machine", text, length) &&
               shuffled("random machine", text, length, &random);
        free(text);
    }
    good = good && files(argv + 2, argc - 2, mutations, &tried);
    printf("%lu files and mutations, each twice: %s\n", tried, good ? "at rest" : "FAILED");
    return !good || tried <= (unsigned long)(argc - 2);
}
