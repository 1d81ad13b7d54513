/* SPDX-License-Identifier: MIT */
/*
 * native.c - instructions that are copied, their memory operand replaced by [s], and those that
 * move words between registers and the stack.
 */
#include "block.h"
#include "../support.h"

static void emit_code(struct builder *b, const struct instruction *insn, unsigned s)
{
    uint8_t code[STUB_SLOT];
    int length = stub_encode_with(insn, code, (uint8_t)s);
    for (int i = 0; i < length; i++)
        emit8(&b->c, code[i]);
}

static void emit_homes(struct builder *b, unsigned used, bool load)
{
    if (used & 1)
        emit_gs(&b->c, WIDE, load ? 0x8b : 0x89, REGISTER_R10, REGISTER_NONE, CONTEXT(r10));
    if (used & 2)
        emit_gs(&b->c, WIDE, load ? 0x8b : 0x89, REGISTER_R11, REGISTER_NONE, CONTEXT(r11));
}

static uint8_t alignment_of(const struct instruction *insn)
{
    if (insn->row->flags & ROW_ALIGNED)
        return (uint8_t)(insn->memory_size - 1u);
    return insn->row->flags & ROW_EXPLICIT_16 ? 15 : 0;
}

static bool masked(const struct instruction *insn)
{
    return (insn->row->flags & ROW_MASKED) &&
           (insn->encoding != ENCODING_EVEX || insn->evex_mask != 0);
}

/* CMP, TEST, BT and the like only read their registers, as does a store. */
static bool registers_kept(const struct instruction *insn)
{
    if (insn->encoding != ENCODING_LEGACY || insn->row->state != STATE_GENERAL)
        return false;
    if (insn->map != 0)
        return false;
    return (insn->opcode & 0xfe) == 0x38 || (insn->opcode & 0xfe) == 0x3a || /* CMP */
           (insn->opcode & 0xfe) == 0x84 ||                                  /* TEST */
           (insn->has_memory && (insn->opcode & 0xfe) == 0x88) ||            /* MOV m, r */
           ((insn->opcode & 0xfc) == 0x80 && (insn->modrm & 0x38) == 0x38);  /* CMP r, imm */
}

/* The instruction itself, between the guest's R10 and R11. */
static void emit_body(struct builder *b, unsigned index, unsigned s, unsigned t)
{
    const struct instruction *insn = &b->insn[index];
    unsigned used = names_scratch(insn);
    if (flags_needed(insn))
        flags_restore(b, t);
    b->saved_at = b->saved;
    emit_homes(b, used, true);
    emit_code(b, insn, s);
    if (!registers_kept(insn))
        emit_homes(b, used, false);
    if (flags_changed(insn)) {
        b->in_host = true;
        b->saved = false;
    }
}

static void emit_native(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    unsigned used = names_scratch(insn);
    unsigned s = used & 2 ? REGISTER_R10 : REGISTER_R11;
    unsigned t = s == REGISTER_R10 ? REGISTER_R11 : REGISTER_R10;
    if (insn->row->memory == MEMORY_ADDRESS_ONLY && insn->has_memory) {
        if (insn->opcode == 0x8d)
            emit_offset(b, index, s, t);
        else
            return; /* a no-operation with an address */
    } else if (insn->has_memory) {
        emit_lookup(b, (struct lookup){ .insn = (uint8_t)index,
                                        .where = WHERE_OPERAND,
                                        .write = (insn->row->direction & DIRECTION_WRITE) != 0,
                                        .size = insn->memory_size,
                                        .s = (uint8_t)s,
                                        .t = (uint8_t)t,
                                        .alignment = alignment_of(insn),
                                        .masked = masked(insn) });
    }
    emit_body(b, index, s, t);
}

/* ---- The stack ---- */

static struct lookup word_at(const struct builder *b, unsigned index, enum where where, bool write)
{
    return (struct lookup){ .insn = (uint8_t)index,
                            .where = (uint8_t)where,
                            .write = write,
                            .size = b->wide ? 8 : 4,
                            .s = S0,
                            .t = T0 };
}

void emit_push_constant(struct builder *b, unsigned index, uint64_t value)
{
    emit_lookup(b, word_at(b, index, WHERE_STACK_BELOW, true));
    emit_constant(&b->c, T0, value);
    emit_word(b, 0x89, T0, S0);
    emit_rsp(b, b->wide ? -8 : -4);
}

static void emit_push(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    unsigned reg = (insn->opcode & 7u) | (insn->rex & REX_B ? 8u : 0);
    if (insn->opcode == 0x68 || insn->opcode == 0x6a) {
        emit_push_constant(b, index, insn->immediate);
        return;
    }
    emit_lookup(b, word_at(b, index, WHERE_STACK_BELOW, true));
    if (scratch(reg))
        emit_load(&b->c, T0, home(reg));
    emit_word(b, 0x89, scratch(reg) ? T0 : reg, S0);
    emit_rsp(b, b->wide ? -8 : -4);
}

static void emit_pop(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    unsigned reg = (insn->opcode & 7u) | (insn->rex & REX_B ? 8u : 0);
    emit_lookup(b, word_at(b, index, WHERE_STACK_TOP, false));
    emit_word(b, 0x8b, scratch(reg) ? T0 : reg, S0);
    if (reg == REGISTER_RSP)
        return; /* the value popped is what counts */
    if (scratch(reg))
        emit_store(&b->c, T0, home(reg));
    emit_rsp(b, b->wide ? 8 : 4);
}

/* The word waits in the context block while the place it goes to is looked up. */
static void emit_push_memory(struct builder *b, unsigned index)
{
    emit_lookup(b, word_at(b, index, WHERE_OPERAND, false));
    emit_word(b, 0x8b, T0, S0);
    emit_store(&b->c, T0, CONTEXT(exit_rip));
    emit_lookup(b, word_at(b, index, WHERE_STACK_BELOW, true));
    emit_load(&b->c, T0, CONTEXT(exit_rip));
    emit_word(b, 0x89, T0, S0);
    emit_rsp(b, b->wide ? -8 : -4);
}

static void emit_leave(struct builder *b, unsigned index)
{
    emit_lookup(b, word_at(b, index, WHERE_FRAME, false));
    emit_lea(&b->c, b->wide, REGISTER_RSP, REGISTER_RBP, NO_INDEX, 0, b->wide ? 8 : 4);
    emit_word(b, 0x8b, REGISTER_RBP, S0);
}

void emit_instruction(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    if (hint(b, insn))
        return;
    if (insn->row->interpreter == INTERPRET_leave)
        emit_leave(b, index);
    else if (insn->row->interpreter == INTERPRET_push_rm)
        emit_push_memory(b, index);
    else if (insn->row->memory == MEMORY_PUSH)
        emit_push(b, index);
    else if (insn->row->memory == MEMORY_POP)
        emit_pop(b, index);
    else
        emit_native(b, index);
}
