/* SPDX-License-Identifier: MIT */
/*
 * emit.h - writing host code: a cursor in the code area, and the few instruction forms the
 * translator itself uses. Those above the line change no flag.
 */
#ifndef ORIGAMI_ENGINE_EMIT_H
#define ORIGAMI_ENGINE_EMIT_H

#include "translator.h"

struct cursor {
    uint8_t *base; /* writable view */
    uint32_t at;
    uint32_t limit;
    bool full;
};

static inline void emit8(struct cursor *c, unsigned byte)
{
    if (c->at >= c->limit) {
        c->full = true;
        return;
    }
    c->base[c->at++] = (uint8_t)byte;
}

static inline void emit32(struct cursor *c, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        emit8(c, (value >> (8 * i)) & 0xffu);
}

static inline void emit64(struct cursor *c, uint64_t value)
{
    emit32(c, (uint32_t)value);
    emit32(c, (uint32_t)(value >> 32));
}

#define CONTEXT(field) ((uint32_t)offsetof(struct soft_context, field))

enum { WORD = 0, WIDE = 8 }; /* operand size 4, or 8: REX.W */

/* opcode reg, gs:[base + displacement]; base is R10, R11 or REGISTER_NONE. */
static inline void emit_gs(struct cursor *c, unsigned wide, unsigned opcode, unsigned reg,
                           unsigned base, uint32_t displacement)
{
    unsigned rex = wide | (reg >= 8 ? 4u : 0) | (base != REGISTER_NONE && base >= 8 ? 1u : 0);
    emit8(c, 0x65);
    if (rex)
        emit8(c, 0x40u | rex);
    emit8(c, opcode);
    if (base == REGISTER_NONE) {
        emit8(c, ((reg & 7u) << 3) | 4u);
        emit8(c, 0x25);
    } else {
        emit8(c, 0x80u | ((reg & 7u) << 3) | (base & 7u));
    }
    emit32(c, displacement);
}
static inline void emit_load(struct cursor *c, unsigned reg, uint32_t field)
{
    emit_gs(c, WIDE, 0x8b, reg, REGISTER_NONE, field);
}
static inline void emit_store(struct cursor *c, unsigned reg, uint32_t field)
{
    emit_gs(c, WIDE, 0x89, reg, REGISTER_NONE, field);
}

/* mov dword gs:[field], imm32: the upper half of the field stays. */
static inline void emit_store_immediate(struct cursor *c, uint32_t field, uint32_t value)
{
    emit_gs(c, WORD, 0xc7, 0, REGISTER_NONE, field);
    emit32(c, value);
}

/* mov to, from (64 bits) */
static inline void emit_move(struct cursor *c, unsigned to, unsigned from)
{
    emit8(c, 0x48u | (from >= 8 ? 4u : 0) | (to >= 8 ? 1u : 0));
    emit8(c, 0x89);
    emit8(c, 0xc0u | ((from & 7u) << 3) | (to & 7u));
}

/* mov reg, value (the shortest form) */
static inline void emit_constant(struct cursor *c, unsigned reg, uint64_t value)
{
    unsigned b = reg >= 8 ? 1u : 0;
    if (value == (uint32_t)value) {
        if (b)
            emit8(c, 0x41);
        emit8(c, 0xb8u | (reg & 7u));
        emit32(c, (uint32_t)value);
    } else if (value == (uint64_t)(int64_t)(int32_t)value) {
        emit8(c, 0x48u | b);
        emit8(c, 0xc7);
        emit8(c, 0xc0u | (reg & 7u));
        emit32(c, (uint32_t)value);
    } else {
        emit8(c, 0x48u | b);
        emit8(c, 0xb8u | (reg & 7u));
        emit64(c, value);
    }
}

#define NO_INDEX 4u
/* lea reg, [base + index * 2^scale + displacement]; wide = 64-bit result, else 32-bit
 * (zero-extended). base may be REGISTER_NONE. */
static inline void emit_lea(struct cursor *c, bool wide, unsigned reg, unsigned base,
                            unsigned index, unsigned scale, int32_t displacement)
{
    bool none = base == REGISTER_NONE, sib = none || index != NO_INDEX || (base & 7u) == 4;
    bool small = displacement == (int8_t)displacement;
    unsigned mod = none ? 0 : displacement == 0 && (base & 7u) != 5 ? 0 : small ? 1 : 2;
    unsigned rex = (wide ? 8u : 0) | (reg >= 8 ? 4u : 0) |
                   (index != NO_INDEX && index >= 8 ? 2u : 0) | (!none && base >= 8 ? 1u : 0);
    if (rex)
        emit8(c, 0x40u | rex);
    emit8(c, 0x8d);
    emit8(c, mod << 6 | ((reg & 7u) << 3) | (sib ? 4u : base & 7u));
    if (sib)
        emit8(c, (scale << 6) | ((index & 7u) << 3) | (none ? 5u : base & 7u));
    if (none || mod == 2)
        emit32(c, (uint32_t)displacement);
    else if (mod == 1)
        emit8(c, (unsigned)displacement & 0xffu);
}

/* jmp to an offset in the code area */
static inline void emit_jump(struct cursor *c, uint32_t to)
{
    emit8(c, 0xe9);
    emit32(c, to - (c->at + 4));
}
/* jrcxz over `bytes` */
static inline void emit_jrcxz(struct cursor *c, unsigned bytes)
{
    emit8(c, 0xe3);
    emit8(c, bytes);
}

/* The rel32 at `site` now leads to `to`. */
static inline void emit_patch(struct cursor *c, uint32_t site, uint32_t to)
{
    uint32_t distance = to - (site + 4);
    for (unsigned i = 0; i < 4 && !c->full; i++)
        c->base[site + i] = (uint8_t)(distance >> (8 * i));
}

/* jcc rel32, to be patched: where the rel32 is. */
enum { CONDITION_NE = 5, CONDITION_A = 7, CONDITION_S = 8 };
static inline uint32_t emit_jcc(struct cursor *c, unsigned condition)
{
    emit8(c, 0x0f);
    emit8(c, 0x80u | condition);
    emit32(c, 0);
    return c->at - 4;
}

/* ---- These change flags ---- */

/* op reg, imm32 (sign-extended): opcode extension `digit` of group 1 */
enum { GROUP1_ADD = 0, GROUP1_AND = 4, GROUP1_CMP = 7 };
static inline void emit_immediate(struct cursor *c, unsigned wide, unsigned digit, unsigned reg,
                                  uint32_t value)
{
    unsigned rex = wide | (reg >= 8 ? 1u : 0);
    if (rex)
        emit8(c, 0x40u | rex);
    emit8(c, 0x81);
    emit8(c, 0xc0u | digit << 3 | (reg & 7u));
    emit32(c, value);
}

/* shift reg by a constant: SHL (4), SHR (5), SAR (7) */
enum { SHIFT_LEFT = 4, SHIFT_RIGHT = 5, SHIFT_ARITHMETIC = 7 };
static inline void emit_shift(struct cursor *c, unsigned digit, unsigned reg, unsigned count)
{
    emit8(c, 0x48u | (reg >= 8 ? 1u : 0));
    emit8(c, 0xc1);
    emit8(c, 0xc0u | digit << 3 | (reg & 7u));
    emit8(c, count);
}

#endif
