/* SPDX-License-Identifier: MIT */
/*
 * emit.h - writing host code: a cursor in the code area, and the few instruction forms the
 * translator itself uses. None of them changes a flag.
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

/* opcode reg, gs:[displacement] with REX.W */
static inline void emit_context(struct cursor *c, unsigned opcode, unsigned reg, uint32_t field)
{
    emit8(c, 0x65);
    emit8(c, 0x48u | (reg >= 8 ? 4u : 0));
    emit8(c, opcode);
    emit8(c, ((reg & 7u) << 3) | 4u);
    emit8(c, 0x25);
    emit32(c, field);
}
static inline void emit_load(struct cursor *c, unsigned reg, uint32_t field)
{
    emit_context(c, 0x8b, reg, field);
}
static inline void emit_store(struct cursor *c, unsigned reg, uint32_t field)
{
    emit_context(c, 0x89, reg, field);
}

/* mov qword gs:[field], imm32 (sign-extended) */
static inline void emit_store_immediate(struct cursor *c, uint32_t field, uint32_t value)
{
    emit_context(c, 0xc7, 0, field);
    emit32(c, value);
}

/* opcode reg, gs:[table + index * 8] */
static inline void emit_table(struct cursor *c, unsigned opcode, unsigned reg, unsigned index,
                              uint32_t table)
{
    emit8(c, 0x65);
    emit8(c, 0x48u | (reg >= 8 ? 4u : 0) | (index >= 8 ? 2u : 0));
    emit8(c, opcode);
    emit8(c, ((reg & 7u) << 3) | 4u);
    emit8(c, 0xc0u | ((index & 7u) << 3) | 5u);
    emit32(c, table);
}

/* mov reg, value (the shortest form) */
static inline void emit_constant(struct cursor *c, unsigned reg, uint64_t value)
{
    if (value == (uint64_t)(int64_t)(int32_t)value) {
        emit8(c, 0x48u | (reg >= 8 ? 1u : 0));
        emit8(c, 0xc7);
        emit8(c, 0xc0u | (reg & 7u));
        emit32(c, (uint32_t)value);
    } else {
        emit8(c, 0x48u | (reg >= 8 ? 1u : 0));
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
    bool none = base == REGISTER_NONE;
    unsigned rex = (wide ? 8u : 0) | (reg >= 8 ? 4u : 0) |
                   (index != NO_INDEX && index >= 8 ? 2u : 0) | (!none && base >= 8 ? 1u : 0);
    if (rex)
        emit8(c, 0x40u | rex);
    emit8(c, 0x8d);
    emit8(c, (none ? 0u : 0x80u) | ((reg & 7u) << 3) | 4u);
    emit8(c, (scale << 6) | ((index & 7u) << 3) | (none ? 5u : base & 7u));
    emit32(c, (uint32_t)displacement);
}

/* pext reg, source, gs:[field] */
static inline void emit_pext(struct cursor *c, unsigned reg, unsigned source, uint32_t field)
{
    emit8(c, 0x65);
    emit8(c, 0xc4);
    emit8(c, (reg >= 8 ? 0u : 0x80u) | 0x60u | 2u);
    emit8(c, 0x80u | ((~source & 15u) << 3) | 2u);
    emit8(c, 0xf5);
    emit8(c, ((reg & 7u) << 3) | 4u);
    emit8(c, 0x25);
    emit32(c, field);
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

#endif
