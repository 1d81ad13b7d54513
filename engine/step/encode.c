/* SPDX-License-Identifier: MIT */
/*
 * encode.c - the native form of a guest instruction.
 *
 * The host runs 64-bit code, so forms that only other modes have are re-encoded with the same
 * meaning (40-4F INC/DEC, group 82, PUSH and POP of general registers, MOV with moffs). The memory
 * operand becomes [scratch] with mod = 0. Segment and address-size prefixes are dropped: the
 * operand's address has been computed already.
 */
#include "stub.h"
#include "../support.h"

struct emitter {
    uint8_t *out;
    unsigned length;
};

static void emit(struct emitter *e, unsigned byte)
{
    e->out[e->length++] = (uint8_t)byte;
}

/* The immediate names a register; outside 64-bit code its top bit has no meaning (SDM Vol.
 * 2, 2.3.5.6). */
static bool names_register(const struct instruction *insn)
{
    return insn->encoding == ENCODING_VEX && insn->map == 3 && insn->opcode >= 0x4a &&
           insn->opcode <= 0x4c;
}

static void emit_immediate(struct emitter *e, const struct instruction *insn)
{
    if (insn->code_size != 64 && names_register(insn)) {
        emit(e, insn->bytes[insn->immediate_offset] & 0x7fu);
        return;
    }
    for (unsigned i = 0; i < insn->immediate_size; i++)
        emit(e, insn->bytes[insn->immediate_offset + i]);
}

/* RSI, RDI or RBX: encodable with mod = 0 and no SIB or REX, and never an implicit operand of an
 * instruction with a ModRM memory operand, except RBX in CMPXCHG8B/16B, whose reg field is /1. */
static uint8_t choose_scratch(const struct instruction *insn)
{
    static const uint8_t candidates[] = { REGISTER_RSI, REGISTER_RDI, REGISTER_RBX };
    for (unsigned i = 0; i < ARRAY_SIZE(candidates); i++) {
        uint8_t candidate = candidates[i];
        if (insn->has_modrm && (insn->reg & 31) == candidate)
            continue;
        /* BH is register 7 in byte instructions without REX. */
        if (candidate == REGISTER_RBX && insn->has_modrm && insn->reg == 7 &&
            (insn->row->flags & ROW_BYTE_REGISTERS) && !insn->has_rex)
            continue;
        if (insn->encoding != ENCODING_LEGACY && (insn->vvvv & 31) == candidate)
            continue;
        return candidate;
    }
    return REGISTER_NONE;
}

/* 66h as the host must see it: in 16-bit code the default operand size is the other one. */
static bool host_operand_prefix(const struct instruction *insn)
{
    if (insn->code_size == 16 && insn->row->state == STATE_GENERAL &&
        !(insn->row->flags & ROW_MANDATORY_66))
        return insn->operand_size == 2;
    return insn->operand_override;
}

static void emit_legacy_prefixes(struct emitter *e, const struct instruction *insn)
{
    if (insn->lock)
        emit(e, 0xf0);
    if (host_operand_prefix(insn))
        emit(e, 0x66);
    if (insn->rep)
        emit(e, insn->rep);
}

static void emit_map(struct emitter *e, unsigned map)
{
    if (map >= 1)
        emit(e, 0x0f);
    if (map == 2)
        emit(e, 0x38);
    if (map == 3)
        emit(e, 0x3a);
}

/* VPCMPESTRI and VPCMPESTRM outside 64-bit code: W would make the lengths those of RAX and RDX. */
static bool compares_lengths(const struct instruction *insn)
{
    return insn->code_size != 64 && insn->map == 3 &&
           (insn->opcode == 0x60 || insn->opcode == 0x61);
}

/* The prefix bytes precede the opcode: C5 p, C4 m p, or 62 p0 p1 p2. */
static void emit_vex(struct emitter *e, const struct instruction *insn, uint8_t scratch)
{
    const uint8_t *opcode = insn->bytes + insn->opcode_offset;
    uint8_t payload = opcode[-1];
    unsigned w = insn->vex_w && !compares_lengths(insn) ? 0x80u : 0;
    /* R as decoded; X = 0; B = 0 for [scratch], as decoded for a register. All stored inverted. */
    unsigned inverted = (insn->rex & REX_R ? 0 : 0x80u) | 0x40u | 0x20u;
    if (insn->has_memory) {
        inverted &= scratch >= 8 ? ~0x20u : ~0u;
    } else {
        inverted &= insn->rex & REX_B ? ~0x20u : ~0u;
        inverted &= insn->rex & REX_X ? ~0x40u : ~0u;
    }
    unsigned vvvv = insn->code_size == 64 ? payload & 0x78u : (payload & 0x38u) | 0x40u;
    emit(e, 0xc4);
    emit(e, inverted | insn->map);
    emit(e, w | vvvv | (payload & 7u));
}

static void emit_evex(struct emitter *e, const struct instruction *insn, uint8_t scratch)
{
    const uint8_t *prefix = insn->bytes + insn->opcode_offset - 4;
    unsigned p0 = prefix[1], p1 = prefix[2], p2 = prefix[3];
    if (insn->has_memory)
        p0 |= 0x60; /* X and B are 0: [scratch] */
    if (insn->code_size != 64) {
        p0 |= 0xf0;
        p1 |= 0x40;
    }
    if (insn->has_memory && scratch >= 8)
        p0 &= ~0x20u;
    p1 = (p1 & 0x7fu) | (insn->vex_w ? 0x80u : 0); /* as decoded: ignored where it would widen */
    emit(e, 0x62);
    emit(e, p0);
    emit(e, p1);
    emit(e, p2);
}

static void emit_modrm(struct emitter *e, const struct instruction *insn, uint8_t scratch)
{
    if (insn->has_memory)
        emit(e, (insn->modrm & 0x38u) | (scratch & 7u));
    else
        emit(e, insn->modrm);
}

/* MOV between `reg` and [scratch]: the native form of PUSH r, POP r, PUSH imm and MOV moffs. */
static void emit_move(struct emitter *e, unsigned size, unsigned opcode, unsigned reg,
                      uint8_t scratch)
{
    unsigned rex = (size == 8 ? 0x48u : 0) | (reg >= 8 ? 0x44u : 0);
    if (size == 2)
        emit(e, 0x66);
    if (rex)
        emit(e, rex);
    emit(e, opcode);
    emit(e, ((reg & 7u) << 3) | scratch);
}

static int encode_push_pop(struct emitter *e, const struct instruction *insn, uint8_t *scratch)
{
    unsigned size = insn->operand_size;
    unsigned reg = (insn->opcode & 7u) | (insn->rex & REX_B ? 8u : 0);
    *scratch = reg == REGISTER_RSI ? REGISTER_RDI : REGISTER_RSI;
    if (insn->map != 0)
        return -EINVAL;
    if (insn->opcode >= 0x50 && insn->opcode <= 0x57) {
        emit_move(e, size, 0x89, reg, *scratch);
    } else if (insn->opcode >= 0x58 && insn->opcode <= 0x5f) {
        emit_move(e, size, 0x8b, reg, *scratch);
    } else if (insn->opcode == 0x68 || insn->opcode == 0x6a) {
        emit_move(e, size, 0xc7, 0, *scratch);
        for (unsigned i = 0; i < (size == 2 ? 2u : 4u); i++)
            emit(e, (unsigned)(insn->immediate >> (8 * i)) & 0xffu);
    } else {
        return -EINVAL;
    }
    return 0;
}

static int encode_moffs(struct emitter *e, const struct instruction *insn, uint8_t *scratch)
{
    static const uint8_t opcodes[] = { 0x8a, 0x8b, 0x88, 0x89 }; /* A0..A3 */
    *scratch = REGISTER_RSI;
    emit_move(e, insn->opcode & 1 ? insn->operand_size : 1, opcodes[insn->opcode & 3], REGISTER_RAX,
              *scratch);
    return 0;
}

static int encode_string(struct emitter *e, const struct instruction *insn, uint8_t *scratch)
{
    *scratch = REGISTER_NONE;
    if (insn->rep)
        emit(e, insn->rep);
    if (insn->opcode & 1) {
        if (insn->operand_size == 2)
            emit(e, 0x66);
        if (insn->operand_size == 8)
            emit(e, 0x48);
    }
    emit(e, insn->opcode);
    return 0;
}

static void encode_legacy(struct emitter *e, const struct instruction *insn, uint8_t scratch)
{
    unsigned opcode = insn->opcode;
    unsigned rex = insn->rex & (REX_W | REX_R | REX_B | REX_X);
    if (insn->has_memory)
        rex = (rex & (unsigned)(REX_W | REX_R)) | (scratch >= 8 ? REX_B : 0u);
    emit_legacy_prefixes(e, insn);
    if (insn->code_size != 64 && insn->map == 0 && opcode >= 0x40 && opcode <= 0x4f) {
        emit(e, 0xff); /* INC r, DEC r: there the one-byte form is a REX prefix */
        emit(e, 0xc0u | (opcode & 0x0fu));
        return;
    }
    if (insn->code_size != 64 && insn->map == 0 && opcode == 0x82)
        opcode = 0x80;
    if (insn->has_rex || (insn->has_memory && scratch >= 8))
        emit(e, 0x40u | rex);
    emit_map(e, insn->map);
    emit(e, opcode);
    if (insn->has_modrm)
        emit_modrm(e, insn, scratch);
    emit_immediate(e, insn);
}

int stub_encode(const struct instruction *insn, uint8_t *out, uint8_t *scratch)
{
    struct emitter e = { .out = out };
    *scratch = REGISTER_NONE;
    switch (insn->row->memory) {
    case MEMORY_PUSH:
    case MEMORY_POP:
        return encode_push_pop(&e, insn, scratch) ? -EINVAL : (int)e.length;
    case MEMORY_MOFFS:
        return encode_moffs(&e, insn, scratch) ? -EINVAL : (int)e.length;
    case MEMORY_STRING:
        return encode_string(&e, insn, scratch) ? -EINVAL : (int)e.length;
    case MEMORY_VSIB:
    case MEMORY_XLAT:
        return -EINVAL;
    default:
        break;
    }
    uint8_t modrm_scratch = 0;
    if (insn->row->memory == MEMORY_RDI)
        *scratch = REGISTER_RDI;
    else if (insn->has_memory) {
        *scratch = modrm_scratch = choose_scratch(insn);
        if (modrm_scratch == REGISTER_NONE)
            return -EINVAL;
    }
    if (insn->row->memory == MEMORY_RDI) {
        /* MASKMOVQ, MASKMOVDQU: both operands are registers, memory is at RDI. */
        struct instruction registers = *insn;
        registers.has_memory = false;
        if (insn->encoding == ENCODING_LEGACY) {
            encode_legacy(&e, &registers, 0);
        } else {
            emit_vex(&e, &registers, 0);
            emit(&e, insn->opcode);
            emit(&e, insn->modrm);
        }
        return (int)e.length;
    }
    if (insn->encoding == ENCODING_LEGACY) {
        encode_legacy(&e, insn, modrm_scratch);
        return (int)e.length;
    }
    if (insn->encoding == ENCODING_VEX)
        emit_vex(&e, insn, modrm_scratch);
    else
        emit_evex(&e, insn, modrm_scratch);
    emit(&e, insn->opcode);
    if (insn->has_modrm)
        emit_modrm(&e, insn, modrm_scratch);
    emit_immediate(&e, insn);
    return (int)e.length;
}

/* In group rows ModRM.reg is part of the opcode, and MOVZX and MOVSX have a wide destination. */
static bool reg_is_byte_register(const struct instruction *insn)
{
    unsigned opcode = insn->opcode;
    if (!(insn->row->flags & ROW_BYTE_REGISTERS))
        return false;
    if (insn->map == 0)
        return opcode < 0x40 || (opcode >= 0x84 && opcode <= 0x8a);
    return insn->map == 1 && (opcode == 0xb0 || opcode == 0xc0); /* CMPXCHG, XADD */
}

int stub_encode_with(const struct instruction *insn, uint8_t *out, uint8_t scratch)
{
    struct emitter e = { .out = out };
    /* AH..BH cannot be named beside a REX prefix. */
    if (insn->encoding == ENCODING_LEGACY && insn->has_memory && scratch >= 8 && !insn->has_rex &&
        reg_is_byte_register(insn) && insn->reg >= 4 && insn->reg < 8)
        return -EINVAL;
    if (insn->encoding == ENCODING_LEGACY) {
        encode_legacy(&e, insn, scratch);
        return (int)e.length;
    }
    if (insn->encoding == ENCODING_VEX)
        emit_vex(&e, insn, scratch);
    else
        emit_evex(&e, insn, scratch);
    emit(&e, insn->opcode);
    if (insn->has_modrm)
        emit_modrm(&e, insn, scratch);
    emit_immediate(&e, insn);
    return (int)e.length;
}
