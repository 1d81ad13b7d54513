/* SPDX-License-Identifier: MIT */
/* Mutations of a description's text, for tests of what reads it. */
#ifndef ORIGAMI_TESTS_CHECKER_MUTATE_H
#define ORIGAMI_TESTS_CHECKER_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* One to six edits, drawn from *state, within the capacity. */
void mutate(char *text, size_t *length, size_t capacity, uint64_t *state);

#endif
