/* SPDX-License-Identifier: MIT */
/*
 * Random machines: small descriptions from a seed, for comparing the solver with the enumeration.
 *
 * Every construct of bodies can occur; the widths are so small that all states can be tried.
 */
#ifndef ORIGAMI_TESTS_CHECKER_RANDOM_MACHINE_H
#define ORIGAMI_TESTS_CHECKER_RANDOM_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* The description of machine number `seed`; the caller frees it. NULL without memory. */
char *random_machine(uint64_t seed, size_t *length);

/* splitmix64: the tests' only source of chance. */
uint64_t random_next(uint64_t *state);

#endif
