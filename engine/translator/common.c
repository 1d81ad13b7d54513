/* SPDX-License-Identifier: MIT */
/*
 * common.c - code every block shares: the way in, the way out, and the dispatch of computed jumps.
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

static void emit_enter(struct cursor *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++) {
        if (callee_saved[i] >= 8)
            emit8(c, 0x41);
        emit8(c, 0x50u | (callee_saved[i] & 7u));
    }
    emit_store(c, REGISTER_RSP, CONTEXT(host_rsp));
    emit_context(c, 0xff, 6, CONTEXT(flags)); /* push */
    emit8(c, 0x9d);                           /* popfq */
    emit_load(c, REGISTER_RDI, CONTEXT(registers));
    for (unsigned reg = 0; reg < REGISTER_COUNT; reg++) {
        if (reg != REGISTER_RDI && !in_context(reg))
            emit_register(c, 0x8b, reg);
    }
    emit_register(c, 0x8b, REGISTER_RDI);
    emit_context(c, 0xff, 4, CONTEXT(resume)); /* jmp */
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
    emit8(c, 0x9c);                           /* pushfq */
    emit_context(c, 0x8f, 0, CONTEXT(flags)); /* pop */
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

/* R10 holds the guest address to go to; flags and every other register are the guest's. */
static void emit_dispatch(struct cursor *c, struct translator *t, unsigned view)
{
    uint32_t jump = CONTEXT(tables) + view * (uint32_t)sizeof(struct soft_tables) +
                    (uint32_t)offsetof(struct soft_tables, jump);
    uint32_t code = jump + (uint32_t)sizeof(((struct soft_tables *)0)->jump);
    emit_store(c, REGISTER_RCX, CONTEXT(rcx));
    emit_pext(c, REGISTER_R11, REGISTER_R10, CONTEXT(mask_jump));
    emit_table(c, 0x8b, REGISTER_RCX, REGISTER_R11, jump);
    emit_lea(c, true, REGISTER_RCX, REGISTER_RCX, REGISTER_R10, 0, 0);
    uint32_t patch = c->at + 1;
    emit_jrcxz(c, 0);
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
    emit_store(c, REGISTER_R10, CONTEXT(exit_rip));
    emit_store_immediate(c, CONTEXT(reason), SOFT_EXIT_LOOKUP);
    emit_jump(c, t->exit);
    c->base[patch] = (uint8_t)(c->at - (patch + 1));
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
    emit_table(c, 0xff, 4, REGISTER_R11, code); /* jmp gs:[code + r11 * 8] */
}

void emit_common(struct translator *t)
{
    struct cursor c = { .base = t->write_view, .limit = SOFT_CODE_SIZE };
    emit_enter(&c);
    c.at = (c.at + 15u) & ~15u;
    t->exit = c.at;
    emit_exit(&c);
    for (unsigned view = 0; view < SOFT_VIEWS; view++) {
        c.at = (c.at + 15u) & ~15u;
        t->dispatch[view] = c.at;
        emit_dispatch(&c, t, view);
    }
    t->common = t->used = (c.at + 63u) & ~63u;
}
