/* SPDX-License-Identifier: MIT */
/*
 * Terminal: a story for the terminal, wrapped, its tables lined up.
 */
#ifndef ORIGAMI_CHECKER_TERMINAL_H
#define ORIGAMI_CHECKER_TERMINAL_H

#include "story.h"

enum { TERMINAL_WIDTH = 78 };

/* May `out` be given colours: a terminal, and NO_COLOR not set. */
bool terminal_has_colour(FILE *out);

/* 0 or -ENOMEM. */
int terminal_print_story(const struct story *story, bool colour, FILE *out);

#endif
