/* SPDX-License-Identifier: MIT */
/*
 * Mutated descriptions: whatever the bytes, an error with a position or a description; never a
 * crash, never a hang. Usage: test_mutation COUNT FILE...
 */
#include "commands.h"
#include "format.h"
#include "random_machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void mutate(char *text, size_t *length, size_t capacity, uint64_t *state)
{
    static const char *const pieces[] = {
        "{",     "}", "(",     "[",  ";",         "insn X",         "0b1",
        "load(", "?", "each ", "64", "choose(8)", "fn f(a : 4) = ", ":",
        "99"
    };
    unsigned edits = 1 + (unsigned)(random_next(state) % 6);

    for (unsigned i = 0; i<edits && * length> 1; i++) {
        size_t at = (size_t)(random_next(state) % *length);
        size_t span = (size_t)(random_next(state) % 40);
        const char *piece = pieces[random_next(state) % (sizeof(pieces) / sizeof(pieces[0]))];

        switch (random_next(state) % 5) {
        case 0:
            text[at] = (char)random_next(state);
            break;
        case 1: /* delete */
            span = span < *length - at ? span : *length - at;
            memmove(text + at, text + at + span, *length - at - span);
            *length -= span;
            break;
        case 2: /* insert a piece */
            span = strlen(piece);
            if (*length + span > capacity)
                break;
            memmove(text + at + span, text + at, *length - at);
            memcpy(text + at, piece, span);
            *length += span;
            break;
        case 3: /* swap two bytes */
            text[at] = text[(at * 7 + span) % *length];
            break;
        default: /* cut the end */
            if (random_next(state) % 8 == 0)
                *length = at + 1;
            break;
        }
    }
}

static int check_one(const char *text, size_t length)
{
    struct diagnostics diagnostics = { 0 }, ignored = { 0 };
    struct isa_description *description = NULL;
    int error = description_parse(text, length, NULL, 0, &diagnostics, &description);
    FILE *nowhere = fopen("/dev/null", "w");

    if (nowhere != NULL) {
        (void)format_description(text, length, &ignored, nowhere);
        (void)fclose(nowhere);
    }
    description_release(description);
    if (error == 0)
        return 0;
    return error == -EINVAL && diagnostics.at.line > 0 && diagnostics.at.column > 0 &&
                   diagnostics.message[0] != '\0'
               ? 1
               : -1;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long refused = 0;
    uint64_t state = 42;

    for (unsigned long i = 0; i < count; i++) {
        const char *path = argv[2 + i % (unsigned long)(argc - 2)];
        char *text, *grown;
        size_t length = 0;
        int result;

        if (command_read_file(path, &text, &length) != 0)
            return 66;
        grown = realloc(text, length + 1024);
        if (grown == NULL)
            return 70;
        mutate(grown, &length, length + 1000, &state);
        result = check_one(grown, length);
        free(grown);
        if (result < 0) {
            printf("mutation %lu of %s: an error without a position\n", i, path);
            return 1;
        }
        refused += (unsigned long)result;
    }
    printf("%lu mutated files: %lu refused with a position, %lu accepted\n", count, refused,
           count - refused);
    return refused == 0;
}
