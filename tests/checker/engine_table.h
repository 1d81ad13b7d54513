/* SPDX-License-Identifier: MIT */
/*
 * Engine's table: the Popek-Goldberg class of each row, in words of its own.
 *
 * The engine and the checker both call their classes CLASS_...; only engine_table.c sees the
 * engine's.
 */
#ifndef ORIGAMI_TESTS_ENGINE_TABLE_H
#define ORIGAMI_TESTS_ENGINE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum engine_class { ENGINE_INNOCUOUS, ENGINE_PRIVILEGED, ENGINE_CRITICAL, ENGINE_PARTIAL };

extern const char *const engine_class_names[];

/* The row of the instruction that these bytes encode, or 0. code_size: 32 or 64. */
unsigned engine_row(const uint8_t *bytes, size_t count, unsigned code_size);

/* Rows are numbered from 1. Those that change RIP only are innocuous here. */
unsigned engine_row_count(void);
enum engine_class engine_row_class(unsigned row);
const char *engine_row_mnemonic(unsigned row);

#endif
