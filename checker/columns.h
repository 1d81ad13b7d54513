/* SPDX-License-Identifier: MIT */
/*
 * Columns: text on a terminal, where some characters are two columns wide.
 *
 * Text is UTF-8; bytes that are not count as one column each.
 */
#ifndef ORIGAMI_CHECKER_COLUMNS_H
#define ORIGAMI_CHECKER_COLUMNS_H

#include <stdint.h>
#include <stdio.h>

/* The character at `text`, which is not at its end: its length in bytes; *character is UINT32_MAX
 * where the bytes are not UTF-8. */
size_t columns_character(const char *text, uint32_t *character);

unsigned columns_of(const char *text);

/* The text, then spaces up to `width`. */
void columns_pad(const char *text, unsigned width, FILE *out);

/* A paragraph, lines at most `width` wide, `indent` spaces before each but the first, whose
 * beginning (`used` columns) is written already. Breaks at spaces and beside wide characters, but
 * never before closing punctuation. Ends with a newline. */
void columns_wrap(const char *text, unsigned used, unsigned indent, unsigned width, FILE *out);

#endif
