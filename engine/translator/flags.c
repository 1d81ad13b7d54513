/* SPDX-License-Identifier: MIT */
/*
 * flags.c - where the guest's arithmetic flags are.
 *
 * Looking an address up changes the host's flags. The guest's are therefore put into saved_flags
 * once before the first look-up after each instruction that changed them, and taken from there when
 * an instruction reads them. In between they are known at every point at which the block can be
 * left: struct soft_insn says where.
 */
#include "block.h"

/* Shifts by a constant: a count of 0 leaves the flags alone, any other replaces them all. */
static bool shifts(const struct instruction *insn)
{
    uint64_t count = insn->immediate & (insn->operand_size == 8 ? 63 : 31);
    return insn->immediate_size == 1 && count != 0;
}

/*
 * Flags the manual leaves undefined come out of AND, OR, XOR, TEST and shifts by a constant
 * independent of what was there; others (multiplication, rotation, bit tests) leave some as they
 * were on some processors, and the Step tier shows that.
 */
bool flags_replaced(const struct instruction *insn)
{
    const struct instruction_row *row = insn->row;
    uint32_t undefined = row->flags_undefined & FLAG_ARITHMETIC;
    if ((row->flags_written & FLAG_ARITHMETIC) != FLAG_ARITHMETIC ||
        (row->flags_read & FLAG_ARITHMETIC) || insn->rep)
        return false;
    if (row->flags & ROW_SHIFT_COUNT)
        return row->memory == MEMORY_MODRM && insn->map == 0 && shifts(insn) &&
               !(undefined & ~(uint32_t)(FLAG_AF | FLAG_OF));
    return !(undefined & ~(uint32_t)FLAG_AF);
}

bool flags_changed(const struct instruction *insn)
{
    return insn->row->flags_written & FLAG_ARITHMETIC;
}

bool flags_needed(const struct instruction *insn)
{
    return ((insn->row->flags_read | insn->row->flags_written) & FLAG_ARITHMETIC) &&
           !flags_replaced(insn);
}

/* mov scratch, rax; lahf; seto al; mov [saved_flags], eax; mov rax, scratch */
void flags_save(struct builder *b, unsigned scratch)
{
    struct cursor *c = &b->c;
    if (b->saved)
        return;
    emit_move(c, scratch, REGISTER_RAX);
    emit8(c, 0x9f);
    emit8(c, 0x0f);
    emit8(c, 0x90);
    emit8(c, 0xc0);
    emit_gs(c, WORD, 0x89, REGISTER_RAX, REGISTER_NONE, CONTEXT(saved_flags));
    emit_move(c, REGISTER_RAX, scratch);
    b->saved = true;
}

/* mov scratch, rax; mov eax, [saved_flags]; add al, 127; sahf; mov rax, scratch */
void flags_restore(struct builder *b, unsigned scratch)
{
    struct cursor *c = &b->c;
    if (b->in_host)
        return;
    emit_move(c, scratch, REGISTER_RAX);
    emit_gs(c, WORD, 0x8b, REGISTER_RAX, REGISTER_NONE, CONTEXT(saved_flags));
    emit8(c, 0x04);
    emit8(c, 0x7f);
    emit8(c, 0x9e);
    emit_move(c, REGISTER_RAX, scratch);
    b->in_host = true;
}
