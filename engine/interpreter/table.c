/* SPDX-License-Identifier: MIT */
/*
 * table.c - the dispatch table of the interpreters, derived from interpreters.def.
 */
#include "interpreter.h"

interpreter_function *const interpreter_table[INTERPRETER_COUNT] = {
#define INTERPRETER(name) [INTERPRET_##name] = interpret_##name,
#include "interpreters.def"
#undef INTERPRETER
};
