/* SPDX-License-Identifier: MIT */
/*
 * operands.h - the second half of the decoder: once the row is known, what its operands are.
 *
 * Included by decoder.c only, so that the compiler sees all of the hot path at once. Nothing here
 * selects a row; a rule of the row may still forbid the form (DECODE_UNDEFINED).
 */
#ifndef ORIGAMI_ENGINE_INSTRUCTION_OPERANDS_H
#define ORIGAMI_ENGINE_INSTRUCTION_OPERANDS_H

#include "table.h"

/* What is needed while decoding and not after. */
struct cursor {
    struct instruction *out;
    unsigned at;          /* next byte */
    unsigned limit;       /* bytes there are, at most 15 */
    unsigned pp;          /* mandatory prefix, PP_* */
    unsigned length_code; /* VEX.L, EVEX.L'L */
    bool evex_v;          /* EVEX.V', un-inverted: index bit 4 of a VSIB operand */
    bool evex_r;          /* EVEX.R', un-inverted */
};

/* An instruction that needs bytes up to `end` cannot be had. */
static int out_of_bytes(unsigned end)
{
    return end > INSTRUCTION_MAX_LENGTH ? DECODE_TOO_LONG : DECODE_TRUNCATED;
}

/* A little-endian field of 0, 1, 2, 3, 4, 6 or 8 bytes. Most are 1 or 4. */
static uint64_t little_endian(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;
    uint32_t word;

    if (size == 1)
        return bytes[0];
    if (size == 4) {
        __builtin_memcpy(&word, bytes, 4);
        return word;
    }
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static int64_t sign_extend(uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        return (int8_t)value;
    case 2:
        return (int16_t)value;
    case 4:
        return (int32_t)value;
    default:
        return (int64_t)value;
    }
}

/* Rules of EVEX that do not select a row but forbid a form. SDM, section 2.7.11 and the E classes.
 */
static int check_evex(struct cursor *cursor, uint32_t rules)
{
    struct instruction *out = cursor->out;
    bool in_memory = out->mod != 3;

    if (out->evex_mask ? !(rules & RULE_MASKABLE) : (rules & RULE_MASK_NEEDED) != 0)
        return DECODE_UNDEFINED;
    if (out->evex_zero) {
        bool to_memory = in_memory && out->row->direction == DIRECTION_WRITE;

        if (!(rules & RULE_ZEROABLE) || !out->evex_mask || to_memory)
            return DECODE_UNDEFINED;
    }
    out->vector_length = (uint8_t)(16u << cursor->length_code);
    if (out->evex_b) {
        if (in_memory ? !(out->row->flags & ROW_BROADCAST) : !(rules & (RULE_ROUNDING | RULE_SAE)))
            return DECODE_UNDEFINED;
        if (!in_memory) {
            out->vector_length = 64;
            return DECODE_OK;
        }
    }
    return cursor->length_code == 3 ? DECODE_UNDEFINED : DECODE_OK;
}

/* Register numbers, and the rules about which registers a vector prefix may name. */
static int decode_registers(struct cursor *cursor, uint32_t rules)
{
    struct instruction *out = cursor->out;
    unsigned vvvv = out->vvvv;

    if (out->code_size != 64 && (rules & (RULE_GENERAL_REG | RULE_GENERAL_RM))) {
        out->vex_w = 0; /* there it only widens a general register, and is ignored */
        out->rex &= (uint8_t)~REX_W;
    }
    out->reg = (uint8_t)(((out->modrm >> 3) & 7) | (out->rex & REX_R ? 8 : 0));
    out->rm = (uint8_t)((out->modrm & 7) | (out->rex & REX_B ? 8 : 0));
    if (out->encoding == ENCODING_LEGACY)
        return DECODE_OK;

    if (cursor->evex_r)
        out->reg |= 16;
    if (rules & RULE_MASK_RM)
        out->rm &= 7; /* B and X are ignored */
    else if (out->encoding == ENCODING_EVEX && out->mod == 3 && (out->rex & REX_X) &&
             !(rules & RULE_GENERAL_RM))
        out->rm |= 16;
    if (out->row->memory == MEMORY_VSIB)
        vvvv &= 15; /* V' belongs to the index there */
    if (vvvv && !(rules & RULE_VVVV))
        return DECODE_UNDEFINED;
    if (out->code_size != 64)
        vvvv = out->vvvv &= 7; /* the top bit is ignored where the field is used */
    if ((rules & RULE_MASK_REG) && out->reg > 7)
        return DECODE_UNDEFINED;
    if ((rules & RULE_MASK_VVVV) && vvvv > 7)
        return DECODE_UNDEFINED;
    if ((rules & RULE_GENERAL_REG) && out->reg > 15)
        return DECODE_UNDEFINED;
    return DECODE_OK;
}

static void decode_sizes(struct cursor *cursor, uint32_t rules)
{
    struct instruction *out = cursor->out;
    bool long_mode = out->code_size == 64;
    bool wide = long_mode && (out->rex & REX_W);

    if (long_mode)
        out->address_size = out->address_override ? 4 : 8;
    else
        out->address_size = (out->code_size == 16) == out->address_override ? 4 : 2;

    if (wide && (rules & RULE_AT_MOST_32))
        out->operand_size = 4;
    else if (wide || (long_mode && (out->row->flags & ROW_FORCE_64)))
        out->operand_size = 8;
    else if (out->encoding != ENCODING_LEGACY || (rules & RULE_NATURAL) ||
             out->row->state >= STATE_MMX) /* there 66h is a mandatory prefix */
        out->operand_size = 4;
    else if (long_mode)
        out->operand_size = out->operand_override ? 2 : out->row->flags & ROW_STACK_64 ? 8 : 4;
    else
        out->operand_size = (out->code_size == 16) == out->operand_override ? 4 : 2;
}

static uint8_t operand_bytes(const struct instruction *in)
{
    const struct instruction_row *row = in->row;

    if (in->evex_b && (row->flags & ROW_BROADCAST))
        return row->element;
    switch (row->size) {
    case SIZE_OPERAND:
        return in->operand_size;
    case SIZE_OPERAND_NATURAL:
        return in->operand_size == 8 ? 8 : 4;
    case SIZE_VECTOR:
        return in->vector_length;
    case SIZE_HALF_VECTOR:
        return in->vector_length / 2;
    case SIZE_QUARTER_VECTOR:
        return in->vector_length / 4;
    case SIZE_EIGHTH_VECTOR:
        return in->vector_length / 8;
    case SIZE_VARIES:
        return 0;
    case SIZE_FAR_POINTER:
        return (uint8_t)(in->operand_size + 2);
    case SIZE_BOUNDS:
        return (uint8_t)(in->operand_size * 2);
    case SIZE_PORT:
        return in->operand_size == 2 ? 2 : 4;
    case SIZE_DESCRIPTOR_TABLE:
        return in->code_size == 64 ? 10 : 6;
    case SIZE_PAIR:
        return in->operand_size == 8 ? 16 : 8;
    default:
        return row->size;
    }
}

/* 16-bit addressing: the fixed pairs of the SDM's table 2-1. Returns the displacement's size. */
static unsigned decode_address_16(struct instruction *out)
{
    static const uint8_t bases[8] = { REGISTER_RBX, REGISTER_RBX, REGISTER_RBP, REGISTER_RBP,
                                      REGISTER_RSI, REGISTER_RDI, REGISTER_RBP, REGISTER_RBX };
    unsigned rm = out->modrm & 7;

    if (out->mod == 0 && rm == 6)
        return 2;
    out->base = bases[rm];
    if (rm < 4)
        out->index = rm & 1 ? REGISTER_RDI : REGISTER_RSI;
    return out->mod; /* 0, 1 or 2 bytes */
}

/* 32- and 64-bit addressing, with SIB. Returns the displacement's size or a decode_status. */
static int decode_address(struct cursor *cursor)
{
    struct instruction *out = cursor->out;
    unsigned rm = out->modrm & 7;
    bool vsib = out->row->memory == MEMORY_VSIB;

    if (rm == 4) {
        if (cursor->at >= cursor->limit)
            return out_of_bytes(cursor->at + 1);
        out->sib = out->bytes[cursor->at++];
        out->scale = (uint8_t)(1u << (out->sib >> 6));
        out->index = (uint8_t)(((out->sib >> 3) & 7) | (out->rex & REX_X ? 8 : 0));
        if (vsib)
            out->index |= cursor->evex_v ? 16 : 0;
        else if (out->index == REGISTER_RSP)
            out->index = REGISTER_NONE;
        rm = out->sib & 7;
        if (rm == 5 && out->mod == 0)
            return 4; /* no base */
    } else if (rm == 5 && out->mod == 0) {
        if (out->code_size == 64)
            out->base = REGISTER_RIP;
        return 4;
    }
    out->base = (uint8_t)(rm | (out->rex & REX_B ? 8 : 0));
    return out->mod == 2 ? 4 : out->mod;
}

/* The memory form of ModRM: registers, displacement, segment. */
static int decode_memory(struct cursor *cursor, uint32_t rules)
{
    struct instruction *out = cursor->out;
    int size;

    if (out->row->memory == MEMORY_VSIB && ((out->modrm & 7) != 4 || out->address_size == 2))
        return DECODE_UNDEFINED;
    size = out->address_size == 2 ? (int)decode_address_16(out) : decode_address(cursor);
    if (size < 0)
        return size;
    if (cursor->at + (unsigned)size > cursor->limit)
        return out_of_bytes(cursor->at + (unsigned)size);
    if (size) {
        out->displacement_offset = (uint8_t)cursor->at;
        out->displacement_size = (uint8_t)size;
        out->displacement =
            sign_extend(little_endian(out->bytes + cursor->at, (unsigned)size), (unsigned)size);
        cursor->at += (unsigned)size;
        if (size == 1 && out->encoding == ENCODING_EVEX)
            out->displacement *= rules & RULE_ELEMENT_DISP ? out->row->element : operand_bytes(out);
    }
    out->has_memory = out->row->memory != MEMORY_NONE;
    if (out->segment_override != SEGMENT_NONE)
        out->segment = out->segment_override;
    else
        out->segment =
            out->base == REGISTER_RSP || out->base == REGISTER_RBP ? SEGMENT_SS : SEGMENT_DS;
    return DECODE_OK;
}

/* Operands that no ModRM names. */
static void imply_memory(struct instruction *out)
{
    uint8_t data = out->segment_override != SEGMENT_NONE ? out->segment_override : SEGMENT_DS;

    switch (out->row->memory) {
    case MEMORY_PUSH:
    case MEMORY_POP:
        out->segment = SEGMENT_SS;
        out->base = REGISTER_RSP;
        break;
    case MEMORY_STRING:
        out->segment = out->row->string_operands & STRING_SOURCE ? data : SEGMENT_ES;
        out->base = out->row->string_operands & STRING_SOURCE ? REGISTER_RSI : REGISTER_RDI;
        break;
    case MEMORY_MOFFS:
        out->segment = data;
        break;
    case MEMORY_RDI:
        out->segment = data;
        out->base = REGISTER_RDI;
        break;
    case MEMORY_XLAT:
        out->segment = data;
        out->base = REGISTER_RBX;
        break;
    default:
        return;
    }
    out->has_memory = true;
}

/* Immediates, relative displacements, far pointers and moffs. */
static int decode_immediate(struct cursor *cursor, unsigned kind)
{
    struct instruction *out = cursor->out;
    unsigned size = 0;
    uint64_t value;

    switch (kind) {
    case IMMEDIATE_8:
    case IMMEDIATE_8_SIGNED:
    case IMMEDIATE_REGISTER:
        size = 1;
        break;
    case IMMEDIATE_16:
    case IMMEDIATE_8_8:
        size = 2;
        break;
    case IMMEDIATE_Z:
        size = out->operand_size == 2 ? 2 : 4;
        break;
    case IMMEDIATE_V:
        size = out->operand_size;
        break;
    case IMMEDIATE_ENTER:
        size = 3;
        break;
    case IMMEDIATE_FAR:
        size = out->operand_size + 2u;
        break;
    case IMMEDIATE_MOFFS:
        size = out->address_size;
        break;
    default:
        break;
    }
    if (cursor->at + size > cursor->limit)
        return out_of_bytes(cursor->at + size);
    value = little_endian(out->bytes + cursor->at, size);
    if (kind == IMMEDIATE_MOFFS) {
        out->displacement_offset = (uint8_t)cursor->at;
        out->displacement_size = (uint8_t)size;
        out->displacement = (int64_t)value;
    } else {
        out->immediate_offset = (uint8_t)cursor->at;
        out->immediate_size = (uint8_t)size;
        out->immediate = value;
    }
    if (kind == IMMEDIATE_8_SIGNED || kind == IMMEDIATE_Z) {
        out->immediate = (uint64_t)sign_extend(value, size);
    } else if (kind == IMMEDIATE_ENTER || kind == IMMEDIATE_FAR) {
        unsigned split = 8 * (kind == IMMEDIATE_ENTER ? 2u : size - 2);

        out->immediate = value & ((1ull << split) - 1);
        out->immediate2 = (uint16_t)(value >> split);
    } else if (kind == IMMEDIATE_REGISTER && out->code_size != 64) {
        out->immediate = value & 0x7f; /* there are eight registers; the top bit is ignored */
    } else if (kind == IMMEDIATE_8_8) {
        out->immediate = value & 0xff;
        out->immediate2 = (uint16_t)(value >> 8);
    }
    cursor->at += size;
    return DECODE_OK;
}

/* A gather writes element by element: its registers must be told apart. */
static bool gather_overlaps(const struct instruction *in)
{
    if (in->encoding == ENCODING_EVEX)
        return in->reg == in->index;
    return in->reg == in->index || in->reg == in->vvvv || in->index == in->vvvv;
}

#endif
