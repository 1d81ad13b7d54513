/* SPDX-License-Identifier: MIT */
/*
 * masked.h - memory operands of which only some elements are accessed: VMASKMOV, MASKMOV, EVEX
 * opmasks.
 *
 * Elements that are masked off must not fault. When the whole operand is not plainly there (a page
 * that would fault, a page boundary, MMIO), the step tier runs the instruction natively on a bounce
 * buffer which these two fill from memory and write back, touching enabled elements only.
 */
#ifndef ORIGAMI_ENGINE_INTERPRETER_MASKED_H
#define ORIGAMI_ENGINE_INTERPRETER_MASKED_H

#include "interpreter.h"

#define MASKED_BOUNCE_SIZE 64

/* Which bytes of the memory operand are accessed: bit n is byte n. For expanding and compressing
 * forms the first ones, as many as elements are enabled. */
uint64_t masked_operand_bytes(struct vcpu *vcpu, const struct instruction *insn);

/* Fills the enabled elements, zeros the others; or -EFAULT. */
int masked_operand_read(struct vcpu *vcpu, const struct instruction *insn,
                        uint8_t bounce[MASKED_BOUNCE_SIZE]) MUST_CHECK;
/* Writes the enabled elements; all are checked before the first is written. */
int masked_operand_probe(struct vcpu *vcpu, const struct instruction *insn) MUST_CHECK;
int masked_operand_write(struct vcpu *vcpu, const struct instruction *insn,
                         const uint8_t bounce[MASKED_BOUNCE_SIZE]) MUST_CHECK;

#endif
