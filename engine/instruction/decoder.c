/* SPDX-License-Identifier: MIT */
/*
 * decoder.c - bytes to struct instruction, for legacy, VEX and EVEX encodings in 16-, 32- and
 * 64-bit code.
 *
 * Steps: prefixes, opcode (and the vector prefix with it), ModRM, the matching row, the rules that
 * the row sets, addressing, immediate. No byte is asked for before the bytes so far allow a valid
 * instruction, so DECODE_TRUNCATED never hides a #UD.
 *
 * Where CPUs differ the decoder does as Intel's: near branches in 64-bit mode ignore 66h. Source:
 * Intel SDM Vol. 2, chapter 2.
 */
#include "operands.h"

enum prefix_kind {
    PREFIX_NONE, /* not a prefix */
    PREFIX_REX,  /* in 64-bit mode */
    PREFIX_ES,
    PREFIX_CS,
    PREFIX_SS,
    PREFIX_DS,
    PREFIX_FS,
    PREFIX_GS,
    PREFIX_OPERAND,
    PREFIX_ADDRESS,
    PREFIX_LOCK,
    PREFIX_REP
};

static const uint8_t prefix_kinds[256] = {
    [0x26] = PREFIX_ES,      [0x2e] = PREFIX_CS,      [0x36] = PREFIX_SS,
    [0x3e] = PREFIX_DS,      [0x64] = PREFIX_FS,      [0x65] = PREFIX_GS,
    [0x66] = PREFIX_OPERAND, [0x67] = PREFIX_ADDRESS, [0xf0] = PREFIX_LOCK,
    [0xf2] = PREFIX_REP,     [0xf3] = PREFIX_REP,     [0x40 ... 0x4f] = PREFIX_REX,
};

/* Copies the bytes that may be looked at and gives every field its default. */
static void begin(struct cursor *cursor, const uint8_t *bytes, size_t available, unsigned code_size)
{
    struct instruction *out = cursor->out;
    unsigned limit =
        available < INSTRUCTION_MAX_LENGTH ? (unsigned)available : INSTRUCTION_MAX_LENGTH;

    /* In pieces: cleared at once it becomes a "rep stos", which costs as much as the rest. */
    _Static_assert(sizeof(*out) % 8 == 0, "cleared by words");
    for (size_t i = 0; i < sizeof(*out); i += 8)
        __builtin_memset((uint8_t *)out + i, 0, 8);
    out->code_size = (uint8_t)code_size;
    out->segment_override = SEGMENT_NONE;
    out->segment = SEGMENT_NONE;
    out->base = REGISTER_NONE;
    out->index = REGISTER_NONE;
    out->scale = 1;
    if (available >= sizeof(out->bytes)) {
        __builtin_memcpy(out->bytes, bytes, sizeof(out->bytes));
    } else {
        for (unsigned i = 0; i < limit; i++)
            out->bytes[i] = bytes[i];
    }
    cursor->at = 0;
    cursor->limit = limit;
    cursor->length_code = 0;
    cursor->evex_v = false;
    cursor->evex_r = false;
}

/* Legacy prefixes and REX. A REX prefix counts only right before the opcode. */
static int decode_prefixes(struct cursor *cursor)
{
    struct instruction *out = cursor->out;
    bool long_mode = out->code_size == 64;

    for (;; cursor->at++) {
        if (cursor->at >= cursor->limit)
            return out_of_bytes(cursor->at + 1);

        uint8_t byte = out->bytes[cursor->at];
        unsigned kind = prefix_kinds[byte];

        if (kind == PREFIX_NONE || (kind == PREFIX_REX && !long_mode))
            break;
        out->has_rex = false;
        out->rex = 0;
        switch (kind) {
        case PREFIX_REX:
            out->has_rex = true;
            out->rex = byte & 15;
            break;
        case PREFIX_ES:
        case PREFIX_CS:
        case PREFIX_SS:
        case PREFIX_DS:
            if (long_mode) /* a null prefix there: it does not cancel FS or GS either */
                break;
            out->segment_override = (uint8_t)(kind - PREFIX_ES + SEGMENT_ES);
            break;
        case PREFIX_FS:
        case PREFIX_GS:
            out->segment_override = (uint8_t)(kind - PREFIX_FS + SEGMENT_FS);
            break;
        case PREFIX_OPERAND:
            out->operand_override = true;
            break;
        case PREFIX_ADDRESS:
            out->address_override = true;
            break;
        case PREFIX_LOCK:
            out->lock = true;
            break;
        case PREFIX_REP:
            out->rep = byte;
            break;
        default:
            break;
        }
    }
    cursor->pp = out->rep == 0xf3        ? PP_F3
                 : out->rep == 0xf2      ? PP_F2
                 : out->operand_override ? PP_66
                                         : PP_NONE;
    return DECODE_OK;
}

/* A VEX or EVEX prefix tolerates only segment and address-size prefixes. */
static bool vector_prefix_allowed(const struct instruction *out)
{
    return !out->operand_override && !out->rep && !out->lock && !out->has_rex;
}

/* C5 and C4: VEX. On entry the prefix's first byte is at the cursor; on exit the opcode is. */
static int decode_vex(struct cursor *cursor)
{
    struct instruction *out = cursor->out;
    bool long_mode = out->code_size == 64;
    const uint8_t *payload = out->bytes + cursor->at + 1;
    bool three_bytes = out->bytes[cursor->at] == 0xc4;
    uint8_t last;

    out->encoding = ENCODING_VEX;
    out->map = 1;
    if (!(payload[0] & 0x80))
        out->rex |= REX_R;
    cursor->at += 2;
    if (three_bytes) {
        out->rex |= (uint8_t)((~payload[0] >> 5) & (REX_X | REX_B));
        out->map = payload[0] & 0x1f;
        if (out->map < 1 || out->map > 3)
            return DECODE_UNDEFINED;
        if (cursor->at >= cursor->limit)
            return out_of_bytes(cursor->at + 1);
        last = payload[1];
        cursor->at++;
        out->vex_w = last >> 7;
        if (out->vex_w)
            out->rex |= REX_W;
    } else {
        last = payload[0];
    }
    out->vvvv = (~last >> 3) & 15;
    if (!long_mode)
        out->rex &= REX_W;
    cursor->length_code = (last >> 2) & 1;
    cursor->pp = last & 3;
    out->vector_length = cursor->length_code ? 32 : 16;
    return DECODE_OK;
}

/* 62: EVEX. Three payload bytes; see the SDM, section 2.7.1 for the names. */
static int decode_evex(struct cursor *cursor)
{
    struct instruction *out = cursor->out;
    bool long_mode = out->code_size == 64;
    const uint8_t *payload = out->bytes + cursor->at + 1;

    out->encoding = ENCODING_EVEX;
    out->map = payload[0] & 7;
    if ((payload[0] & 8) || out->map < 1 || out->map > 3)
        return DECODE_UNDEFINED;
    if (cursor->at + 2 >= cursor->limit)
        return out_of_bytes(cursor->at + 3);
    if (!(payload[1] & 4))
        return DECODE_UNDEFINED;
    if (cursor->at + 3 >= cursor->limit)
        return out_of_bytes(cursor->at + 4);

    out->rex = (uint8_t)((payload[0] & 0x80 ? 0 : REX_R) | (payload[0] & 0x40 ? 0 : REX_X) |
                         (payload[0] & 0x20 ? 0 : REX_B));
    cursor->evex_r = !(payload[0] & 0x10);
    out->vex_w = payload[1] >> 7;
    out->vvvv = (uint8_t)((~payload[1] >> 3) & 15);
    cursor->pp = payload[1] & 3;
    out->evex_zero = payload[2] >> 7;
    cursor->length_code = (payload[2] >> 5) & 3;
    out->evex_b = (payload[2] >> 4) & 1;
    cursor->evex_v = !(payload[2] & 8);
    out->evex_mask = payload[2] & 7;
    if (!long_mode) { /* R' and B are ignored; V' = 0 would name a register that is not there */
        out->rex = 0;
        cursor->evex_r = false;
        if (cursor->evex_v)
            return DECODE_UNDEFINED;
    }
    if (cursor->evex_v)
        out->vvvv |= 16;
    if (out->vex_w)
        out->rex |= REX_W;
    cursor->at += 4;
    return DECODE_OK;
}

/* The opcode and what selects its map. Sets *entry to the index entry, which is never 0. */
static int decode_opcode(struct cursor *cursor, unsigned *entry)
{
    struct instruction *out = cursor->out;
    uint8_t byte = out->bytes[cursor->at];
    bool long_mode = out->code_size == 64;
    unsigned map = MAP_ONE_BYTE;
    int status;

    if (byte == 0x0f) {
        if (++cursor->at >= cursor->limit)
            return out_of_bytes(cursor->at + 1);
        byte = out->bytes[cursor->at];
        map = MAP_0F;
        if (byte == 0x38 || byte == 0x3a) {
            map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
            if (++cursor->at >= cursor->limit)
                return out_of_bytes(cursor->at + 1);
        }
        out->map = (uint8_t)map;
    } else if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
        if (long_mode && !vector_prefix_allowed(out))
            return DECODE_UNDEFINED;
        if (cursor->at + 1 >= cursor->limit)
            return out_of_bytes(cursor->at + 2);
        /* Outside 64-bit mode these are LES, LDS and BOUND, which have no register form. */
        if (long_mode || out->bytes[cursor->at + 1] >= 0xc0) {
            if (!vector_prefix_allowed(out))
                return DECODE_UNDEFINED;
            status = byte == 0x62 ? decode_evex(cursor) : decode_vex(cursor);
            if (status)
                return status;
            map = out->map - 1u + (byte == 0x62 ? MAP_EVEX_0F : MAP_VEX_0F);
            if (cursor->at >= cursor->limit)
                return out_of_bytes(cursor->at + 1);
        }
    }
    out->opcode = out->bytes[cursor->at];
    out->opcode_offset = (uint8_t)cursor->at++;
    *entry = opcode_index[map][out->opcode];
    return *entry ? DECODE_OK : DECODE_UNDEFINED;
}

/* The key of table.h, from what is known once ModRM has been read. */
static uint32_t matching_key(const struct cursor *cursor)
{
    const struct instruction *out = cursor->out;
    uint32_t key = cursor->pp << KEY_PP_SHIFT | cursor->length_code << KEY_L_SHIFT;

    if (out->has_modrm) {
        key |= ((out->modrm >> 3) & 7u) << KEY_REG_SHIFT | (out->modrm & 7u) << KEY_RM_SHIFT;
        if (out->mod == 3)
            key |= KEY_MOD3;
    }
    if (out->code_size == 64)
        key |= KEY_MODE64;
    if (out->operand_override)
        key |= KEY_66;
    if (out->rex & REX_W)
        key |= KEY_W;
    if (out->rex & REX_B)
        key |= KEY_REX_B;
    if (out->rex & REX_R)
        key |= KEY_REX_R;
    if (out->evex_b)
        key |= KEY_EVEX_B;
    return key;
}

/* The first candidate that matches in the bits of the key that are known, or NULL. */
static const struct decode_rule *match(unsigned row, uint32_t key, uint32_t known)
{
    const struct decode_rule *rule = &decode_rules[row];

    while ((key ^ rule->value) & rule->mask & known) {
        rule++;
        if (!(rule->rules & RULE_ALTERNATIVE))
            return NULL;
    }
    return rule;
}

/* Bytes after the instruction read as 0. Two words at a time: the length is 1 to 15. */
static void clear_tail(struct instruction *out)
{
    uint64_t low, high = 0;

    __builtin_memcpy(&low, out->bytes, 8);
    if (out->length < 8) {
        low &= ~0ull >> (64 - 8 * out->length);
    } else if (out->length > 8) {
        __builtin_memcpy(&high, out->bytes + 8, 8);
        high &= ~0ull >> (128 - 8 * out->length);
    }
    __builtin_memcpy(out->bytes, &low, 8);
    __builtin_memcpy(out->bytes + 8, &high, 8);
}

int instruction_decode(const uint8_t *bytes, size_t available, unsigned code_size,
                       struct instruction *out)
{
    struct cursor cursor = { .out = out };
    const struct decode_rule *rule;
    unsigned entry;
    int status;

    begin(&cursor, bytes, available, code_size);
    status = decode_prefixes(&cursor);
    if (status)
        return status;
    status = decode_opcode(&cursor, &entry);
    if (status)
        return status;
    if (entry & INDEX_HAS_MODRM) {
        if (cursor.at >= cursor.limit) {
            if (!match(entry & ~INDEX_HAS_MODRM, matching_key(&cursor), ~KEY_MODRM))
                return DECODE_UNDEFINED; /* whatever ModRM says */
            return out_of_bytes(cursor.at + 1);
        }
        out->has_modrm = true;
        out->modrm_offset = (uint8_t)cursor.at;
        out->modrm = out->bytes[cursor.at++];
        out->mod = out->modrm >> 6;
    }
    rule = match(entry & ~INDEX_HAS_MODRM, matching_key(&cursor), ~0u);
    if (!rule)
        return DECODE_UNDEFINED;
    out->row = &instruction_rows[rule - decode_rules];
    if (rule->rules & RULE_IGNORE_MOD)
        out->mod = 3;
    if (out->lock && !((out->row->flags & ROW_LOCKABLE) && out->has_modrm && out->mod != 3))
        return DECODE_UNDEFINED;
    if (out->encoding == ENCODING_EVEX) {
        status = check_evex(&cursor, rule->rules);
        if (status)
            return status;
    }
    decode_sizes(&cursor, rule->rules);
    if (out->has_modrm) {
        status = decode_registers(&cursor, rule->rules);
        if (!status && out->mod != 3)
            status = decode_memory(&cursor, rule->rules);
        if (status)
            return status;
    } else {
        if (out->encoding != ENCODING_LEGACY && out->vvvv)
            return DECODE_UNDEFINED; /* VZEROUPPER */
    }
    if (!out->has_modrm || out->row->memory == MEMORY_RDI)
        imply_memory(out);
    if ((rule->rules & RULE_DISTINCT) && gather_overlaps(out))
        return DECODE_UNDEFINED;
    if (out->has_memory)
        out->memory_size = operand_bytes(out);
    if (rule->immediate != IMMEDIATE_NONE) {
        status = decode_immediate(&cursor, rule->immediate);
        if (status)
            return status;
    }
    out->length = (uint8_t)cursor.at;
    clear_tail(out);
    return DECODE_OK;
}
