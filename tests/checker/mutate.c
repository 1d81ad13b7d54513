/* SPDX-License-Identifier: MIT */
/* Mutations: see mutate.h. */
#include "mutate.h"
#include "random_machine.h"

#include <string.h>

void mutate(char *text, size_t *length, size_t capacity, uint64_t *state)
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
