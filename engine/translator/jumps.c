/* SPDX-License-Identifier: MIT */
/*
 * jumps.c - how blocks end, and the code that is put off to the end of the block.
 */
#include "block.h"
#include "../support.h"

/* ---- Links: jumps to known addresses ---- */

static uint32_t link_new(struct builder *b, uint64_t target)
{
    uint32_t number = b->t->link_count++;
    b->t->link[number] = (struct soft_link){ .target = target, .saved = b->saved };
    return number;
}

/* The tail that leaves to have link `number` patched; `from` leads there too, if not 0. */
static void link_tail(struct builder *b, uint32_t number, uint32_t from)
{
    struct tail *tail = tail_new(b, TAIL_LINK, from);
    tail->number = number;
    tail->how = b->saved;
}

/* cmp dword [page of target], its number; jne tail; jmp target */
static void emit_goto_page(struct builder *b, uint64_t target)
{
    struct cursor *c = &b->c;
    flags_save(b, S0);
    uint32_t number = link_new(b, target);
    emit_gs(c, WORD, 0x81, GROUP1_CMP, REGISTER_NONE,
            TABLES(b, page) + soft_page_index(target) * 4);
    b->t->link[number].check = c->at;
    emit32(c, 0);
    uint32_t from = emit_jcc(c, CONDITION_NE);
    emit8(c, 0xe9);
    b->t->link[number].site = c->at;
    emit32(c, 0);
    b->in_host = false;
    link_tail(b, number, from);
}

static bool same_page(const struct builder *b, uint64_t target)
{
    return target >> 12 == b->rip >> 12;
}

void emit_goto(struct builder *b, uint64_t target)
{
    struct cursor *c = &b->c;
    if (!b->wide)
        target = (uint32_t)target;
    if (!same_page(b, target)) {
        emit_goto_page(b, target);
        return;
    }
    uint32_t number = link_new(b, target);
    emit8(c, 0xe9);
    b->t->link[number].site = c->at;
    emit32(c, 0);
    link_tail(b, number, 0);
}

static void emit_conditional(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    uint64_t next = b->insn_rip[index + 1], target = next + insn->immediate;
    struct cursor *c = &b->c;
    if (!b->wide)
        target = (uint32_t)target;
    flags_restore(b, T0);
    uint32_t site = emit_jcc(c, insn->opcode & 15u);
    if (same_page(b, target)) {
        uint32_t number = link_new(b, target);
        b->t->link[number].site = site;
        link_tail(b, number, 0);
    } else {
        struct tail *tail = tail_new(b, TAIL_PAGE, site);
        tail->address = target;
        tail->how = b->saved;
    }
    emit_goto(b, next);
}

void emit_step(struct builder *b, uint64_t rip)
{
    uint32_t number = link_new(b, rip);
    b->t->link[number].site = b->c.at;
    b->t->link[number].step = b->step;
    emit_store_immediate(&b->c, CONTEXT(info), number);
    emit_jump(&b->c, b->t->leave_step[b->saved]);
}

/* ---- Computed jumps ---- */

/* To the address in T0, through the jump table; RSP then moves by `pop`. An address that is found
 * there is canonical; of one that is not, run.c decides. */
static void emit_computed(struct builder *b, uint32_t pop)
{
    struct cursor *c = &b->c;
    const uint32_t jump = TABLES(b, jump);
    flags_save(b, S0);
    uint32_t number = link_new(b, 0);
    b->t->link[number].site = c->at;
    b->t->link[number].pop = pop;
    emit_move(c, S0, T0);
    emit_shift(c, SHIFT_RIGHT, S0, SOFT_JUMP_SHIFT);
    emit8(c, 0x45); /* xor r11d, r10d */
    emit8(c, 0x31);
    emit8(c, 0xd3);
    emit_immediate(c, WORD, GROUP1_AND, S0, SOFT_JUMPS - 1);
    emit_shift(c, SHIFT_LEFT, S0, 4);
    emit_gs(c, WIDE, 0x3b, T0, S0, jump + (uint32_t)offsetof(struct soft_jump, rip)); /* cmp */
    tail_new(b, TAIL_LOOKUP, emit_jcc(c, CONDITION_NE))->number = number;
    if (pop)
        emit_rsp(b, (int32_t)pop);
    emit_gs(c, WORD, 0xff, 4, S0, jump + (uint32_t)offsetof(struct soft_jump, code)); /* jmp */
    b->in_host = false;
}

_Static_assert(sizeof(struct soft_jump) == 16, "the index is shifted by 4");

/* The target of an indirect jump or call into T0. */
static void emit_target(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    if (insn->has_memory) {
        emit_lookup(b, (struct lookup){ .insn = (uint8_t)index,
                                        .where = WHERE_OPERAND,
                                        .size = b->wide ? 8 : 4,
                                        .s = S0,
                                        .t = T0 });
        emit_word(b, 0x8b, T0, S0);
        return;
    }
    flags_save(b, S0);
    if (scratch(insn->rm))
        emit_load(&b->c, T0, home(insn->rm));
    else
        emit_lea(&b->c, b->wide, T0, insn->rm, NO_INDEX, 0, 0);
}

/* The return address is pushed only if the target does not fault. */
static void emit_call(struct builder *b, unsigned index)
{
    emit_target(b, index);
    if (b->wide) {
        b->in_host = false;
        emit_canonical(b, index, T0, 0, S0);
    }
    emit_store(&b->c, T0, CONTEXT(exit_rip));
    emit_push_constant(b, index, b->insn_rip[index + 1]);
    emit_load(&b->c, T0, CONTEXT(exit_rip));
    emit_computed(b, 0);
}

static void emit_return(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    unsigned more = insn->opcode == 0xc2 ? (unsigned)insn->immediate & 0xffff : 0;
    emit_lookup(b, (struct lookup){ .insn = (uint8_t)index,
                                    .where = WHERE_STACK_TOP,
                                    .size = b->wide ? 8 : 4,
                                    .s = S0,
                                    .t = T0 });
    emit_word(b, 0x8b, T0, S0);
    emit_computed(b, more + (b->wide ? 8u : 4u));
}

void emit_branch(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    uint64_t next = b->insn_rip[index + 1];
    switch (insn->row->interpreter) {
    case INTERPRET_jcc:
        emit_conditional(b, index);
        break;
    case INTERPRET_call_relative:
        emit_push_constant(b, index, next);
        emit_goto(b, next + insn->immediate);
        break;
    case INTERPRET_jmp_relative:
        emit_goto(b, next + insn->immediate);
        break;
    case INTERPRET_ret_near:
        emit_return(b, index);
        break;
    case INTERPRET_jmp_indirect:
        emit_target(b, index);
        emit_computed(b, 0);
        break;
    default:
        emit_call(b, index);
        break;
    }
}

/* ---- Tails ---- */

static void emit_leave(struct builder *b, uint32_t number, uint32_t leave)
{
    emit_store_immediate(&b->c, CONTEXT(info), number);
    emit_jump(&b->c, leave);
}

void emit_tails(struct builder *b)
{
    struct cursor *c = &b->c;
    struct translator *t = b->t;
    for (unsigned i = 0; i < b->tail_count && !c->full; i++) {
        const struct tail *tail = &b->tail[i];
        if (tail->from)
            emit_patch(c, tail->from, c->at);
        switch (tail->kind) {
        case TAIL_SLOW:
            emit_slow_tail(b, tail);
            break;
        case TAIL_LINK:
            emit_patch(c, t->link[tail->number].site, c->at);
            emit_leave(b, tail->number, t->leave_chain[tail->how]);
            break;
        case TAIL_PAGE:
            b->in_host = true;
            b->saved = tail->how;
            emit_goto_page(b, tail->address);
            break;
        case TAIL_LOOKUP:
            emit_leave(b, tail->number, t->leave_lookup);
            break;
        case TAIL_AGAIN:
            emit_leave(b, tail->number, t->leave_again);
            break;
        case TAIL_UNDO:
            emit_leave(b, tail->number, t->leave_undo);
            break;
        default:
            emit_leave(b, tail->number, t->leave_budget[tail->how]);
            break;
        }
    }
}
