/* SPDX-License-Identifier: MIT */
/* The rows' machine code and the ways into it. See code.c. */
#ifndef ORIGAMI_PROBE_CODE_H
#define ORIGAMI_PROBE_CODE_H

#include "probe.h"

/* All rows' code and the 32-bit gate, position independent: may be copied as one piece. */
extern const uint8_t __start_origami_probe[], __stop_origami_probe[];

/* Loads *registers, calls `code` and stores them again. `flags` is ORed into RFLAGS first
 * (0x100, TF, to step; else 0). */
void probe_enter(struct probe_registers *registers, const void *code, uint64_t flags);

/*
 * The way into 32-bit code, to be called through probe_enter from a copy below 4 GiB:
 * RSI = address of 32-bit code; RDI = scratch memory below 4 GiB, of which bytes 0-7 are the
 * gate's and bytes 8-13 hold the far pointer 0x33:probe_gate_back that the code leaves by.
 */
extern const uint8_t probe_gate_32[], probe_gate_back[];

enum { PROBE_USER_CODE = 0x33, PROBE_USER_CODE_32 = 0x23 };

#endif
