/* SPDX-License-Identifier: MIT */
/*
 * Diagnostics: where a description is wrong, and why.
 *
 * One struct holds the first error of a reading (a second one is usually its echo). Lines and
 * columns start at 1; columns count bytes. Nothing here allocates, so an error can always be told.
 */
#ifndef ORIGAMI_CHECKER_DIAGNOSTICS_H
#define ORIGAMI_CHECKER_DIAGNOSTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct source_position {
    uint32_t line;
    uint32_t column;
};

struct diagnostics {
    const char *path; /* borrowed; NULL prints as "<input>" */
    const char *text; /* borrowed; the file's text, for the caret line; may be NULL */
    size_t text_length;
    bool failed;
    struct source_position at;
    char message[256];
    bool expanded; /* the error lies inside a fn or macro used at `used_at` */
    struct source_position used_at;
    char used_name[64];
};

/* Records an error unless one is recorded already. The format is given in English and looked up in
 * the catalog here. */
__attribute__((format(printf, 3, 4))) void diagnostics_error(struct diagnostics *diagnostics,
                                                             struct source_position at,
                                                             const char *format, ...);

/* Prints "path:line:column: error: message", the source line and a caret. */
void diagnostics_print(const struct diagnostics *diagnostics, FILE *out);

#endif
