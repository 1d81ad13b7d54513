/* SPDX-License-Identifier: MIT */
/*
 * common.c - code every block shares: the way in, and the ways out.
 */
#include "emit.h"
#include "../support.h"

static const uint8_t callee_saved[] = { 3, 5, 12, 13, 14, 15 }; /* RBX RBP R12-R15 */

/* opcode reg, [rdi + 8 * reg] */
static void emit_register(struct cursor *c, unsigned opcode, unsigned reg)
{
    emit8(c, 0x48u | (reg >= 8 ? 4u : 0));
    emit8(c, opcode);
    emit8(c, 0x40u | ((reg & 7u) << 3) | 7u);
    emit8(c, reg * 8);
}

static bool in_context(unsigned reg)
{
    return reg == REGISTER_R10 || reg == REGISTER_R11;
}

/* The arithmetic flags are in saved_flags; DF comes with `flags`. */
static void emit_enter(struct cursor *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++) {
        if (callee_saved[i] >= 8)
            emit8(c, 0x41);
        emit8(c, 0x50u | (callee_saved[i] & 7u));
    }
    emit_store(c, REGISTER_RSP, CONTEXT(host_rsp));
    emit_gs(c, WORD, 0xf7, 0, REGISTER_NONE, CONTEXT(flags)); /* test dword [flags], DF */
    emit32(c, FLAG_DF);
    emit8(c, 0x74); /* jz over the next */
    emit8(c, 1);
    emit8(c, 0xfd); /* std */
    emit_load(c, REGISTER_RDI, CONTEXT(registers));
    for (unsigned reg = 0; reg < REGISTER_COUNT; reg++) {
        if (reg != REGISTER_RDI && !in_context(reg))
            emit_register(c, 0x8b, reg);
    }
    emit_register(c, 0x8b, REGISTER_RDI);
    emit_gs(c, WORD, 0xff, 4, REGISTER_NONE, CONTEXT(resume)); /* jmp */
}

static void emit_exit(struct cursor *c)
{
    emit_store(c, REGISTER_RDI, CONTEXT(save));
    emit_load(c, REGISTER_RDI, CONTEXT(registers));
    for (unsigned reg = 0; reg < REGISTER_COUNT; reg++) {
        if (reg != REGISTER_RDI && !in_context(reg))
            emit_register(c, 0x89, reg);
    }
    emit_load(c, REGISTER_RSP, CONTEXT(host_rsp));
    emit8(c, 0x9c);                                           /* pushfq */
    emit_gs(c, WORD, 0x8f, 0, REGISTER_NONE, CONTEXT(flags)); /* pop */
    emit_load(c, REGISTER_RAX, CONTEXT(save));
    emit8(c, 0x48); /* mov [rdi + 56], rax */
    emit8(c, 0x89);
    emit8(c, 0x47);
    emit8(c, 56);
    emit8(c, 0xfc); /* cld */
    for (unsigned i = ARRAY_SIZE(callee_saved); i-- > 0;) {
        if (callee_saved[i] >= 8)
            emit8(c, 0x41);
        emit8(c, 0x58u | (callee_saved[i] & 7u));
    }
    emit8(c, 0xc3);
}

static uint32_t emit_leave(struct cursor *c, const struct translator *t, uint32_t reason)
{
    uint32_t at = c->at;
    emit_store_immediate(c, CONTEXT(reason), reason);
    emit_jump(c, t->exit);
    return at;
}

void emit_common(struct translator *t)
{
    struct cursor c = { .base = t->write_view, .limit = SOFT_CODE_SIZE };
    t->enter = c.at;
    emit_enter(&c);
    c.at = (c.at + 15u) & ~15u;
    t->exit = c.at;
    emit_exit(&c);
    t->probe = c.at; /* rdgsbase r11 */
    emit8(&c, 0xf3);
    emit8(&c, 0x49);
    emit8(&c, 0x0f);
    emit8(&c, 0xae);
    emit8(&c, 0xcb);
    (void)emit_leave(&c, t, SOFT_EXIT_STEP);
    for (unsigned saved = 0; saved < 2; saved++) {
        uint32_t also = saved ? SOFT_EXIT_SAVED : 0;
        t->leave_chain[saved] = emit_leave(&c, t, SOFT_EXIT_CHAIN | also);
        t->leave_step[saved] = emit_leave(&c, t, SOFT_EXIT_STEP | also);
        t->leave_budget[saved] = emit_leave(&c, t, SOFT_EXIT_BUDGET | also);
    }
    t->leave_again = emit_leave(&c, t, SOFT_EXIT_AGAIN | SOFT_EXIT_SAVED);
    t->leave_undo = emit_leave(&c, t, SOFT_EXIT_UNDO | SOFT_EXIT_SAVED);
    for (unsigned i = 0; i < 2; i++) {
        t->leave_slow[i] = c.at;
        emit_store(&c, i ? REGISTER_R11 : REGISTER_R10, CONTEXT(slow_address));
        (void)emit_leave(&c, t, SOFT_EXIT_SLOW | SOFT_EXIT_SAVED);
    }
    t->leave_lookup = c.at;
    emit_store(&c, REGISTER_R10, CONTEXT(exit_rip));
    (void)emit_leave(&c, t, SOFT_EXIT_LOOKUP | SOFT_EXIT_SAVED);
    t->common = t->used = (c.at + 63u) & ~63u;
}
