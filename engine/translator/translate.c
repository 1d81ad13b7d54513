/* SPDX-License-Identifier: MIT */
/*
 * translate.c - from a run of guest instructions to a block of host code.
 *
 * A block has two entries: one for jumps that come with the guest's flags in the host's flags, and
 * one for those that come with them in saved_flags. Either leads to the other's state.
 */
#include "block.h"
#include "../support.h"

/* Is the first thing the block does with the flags to read them? */
static bool begins_with_flags(const struct builder *b, const struct soft_block *block,
                              unsigned count)
{
    if (block->second_number)
        return false; /* the check of the page changes them */
    for (unsigned i = 0; i < count; i++) {
        const struct instruction *insn = &b->insn[i];
        if (looks_up(b, insn) || flags_replaced(insn))
            return false;
        if (flags_needed(insn))
            return true;
    }
    return false;
}

static void budget_tail(struct builder *b, uint32_t from)
{
    struct tail *tail = tail_new(b, TAIL_BUDGET, from);
    tail->number = b->t->block_count + 1;
    tail->how = b->saved;
}

/* Counts the block's instructions before it runs; leaves if the budget is used up. */
static void emit_count(struct builder *b, unsigned count)
{
    struct cursor *c = &b->c;
    emit_gs(c, WIDE, 0x83, 5, REGISTER_NONE, CONTEXT(left)); /* sub */
    emit8(c, count);
    b->in_host = false;
    budget_tail(b, emit_jcc(c, CONDITION_S));
}

/* The same without a change of flags: the upper half of `left` is 0 unless it is negative. */
static void emit_count_flagless(struct builder *b, unsigned count)
{
    struct cursor *c = &b->c;
    emit_load(c, T0, CONTEXT(left));
    emit_lea(c, true, T0, T0, NO_INDEX, 0, -(int32_t)count);
    emit_store(c, T0, CONTEXT(left));
    emit_store(c, REGISTER_RCX, CONTEXT(rcx));
    emit_gs(c, WORD, 0x8b, REGISTER_RCX, REGISTER_NONE, CONTEXT(left) + 4);
    uint32_t over = c->at + 1;
    emit_jrcxz(c, 0);
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
    emit8(c, 0xe9);
    emit32(c, 0);
    budget_tail(b, c->at - 4);
    if (!c->full)
        c->base[over] = (uint8_t)(c->at - (over + 1));
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
}

static void emit_prologue(struct builder *b, unsigned count, struct soft_block *block)
{
    struct cursor *c = &b->c;
    uint32_t start = c->at;
    if (begins_with_flags(b, block, count)) {
        b->saved = true;
        b->in_host = false;
        flags_restore(b, T0);
        b->saved = false;
        block->entry_host = (uint16_t)(c->at - start);
        emit_count_flagless(b, count);
    } else {
        b->saved = false;
        b->in_host = true;
        flags_save(b, T0);
        block->entry_saved = (uint16_t)(c->at - start);
        emit_count(b, count);
    }
}

/* The instruction goes on in a page that must be the one it was. */
static void emit_second(struct builder *b, const struct soft_code *code,
                        const struct soft_block *block)
{
    struct cursor *c = &b->c;
    if (block->second_number == 0)
        return;
    emit_gs(c, WORD, 0x81, GROUP1_CMP, REGISTER_NONE,
            TABLES(b, page) + soft_page_index(code->second_linear) * 4);
    emit32(c, block->second_number);
    tail_new(b, TAIL_AGAIN, emit_jcc(c, CONDITION_NE))->number = b->t->block_count + 1;
}

static void emit_body(struct builder *b, unsigned count, enum block_end end,
                      struct soft_insn *records, uint32_t start)
{
    for (unsigned i = 0; i < count; i++) {
        records[i].host = (uint16_t)(b->c.at - start);
        records[i].guest = (uint8_t)(b->insn_rip[i] - b->rip);
        b->saved_at = true; /* an access to memory: after a look-up */
        if (end == END_BRANCH && i + 1 == count)
            emit_branch(b, i);
        else
            emit_instruction(b, i);
        records[i].saved = b->saved_at;
    }
}

static bool room(const struct translator *t)
{
    return t->block_count + 1 < SOFT_BLOCKS && t->insn_count + SOFT_INSNS <= ARRAY_SIZE(t->insn) &&
           t->site_count + SOFT_SITES <= ARRAY_SIZE(t->site) &&
           t->link_count + 2 <= ARRAY_SIZE(t->link) && t->page_count + 1 < ARRAY_SIZE(t->page) &&
           t->used + 32768 <= SOFT_CODE_SIZE;
}

struct soft_block *translate_block(struct vcpu *vcpu, uint64_t rip, const struct soft_code *code,
                                   uint32_t mode)
{
    struct translator *t = vcpu->translator;
    struct builder builder, *b = &builder;
    enum block_end end;
    b->vcpu = vcpu;
    b->t = t;
    b->rip = rip;
    b->mode = mode;
    b->view = mode & MODE_VIEW;
    b->wide = mode & MODE_WIDE;
    b->tail_count = 0;
    b->step = 0;
    if (!room(t))
        translator_flush(vcpu);
    /* Before the bytes are read: a device that writes them sees the mark, or is seen. */
    code_protect(vcpu, code->frame);
    if (code->second_host)
        code_protect(vcpu, code->second);
    unsigned count = select_block(b, code, &end);
    if (count == 0 && (end != END_STEP || code->second_host))
        return NULL;
    uint32_t second = 0;
    if (code->second_host) {
        second = page_number(vcpu, code->second_linear, code->second);
        if (second == 0)
            return NULL;
    }
    struct soft_block *block = &t->block[t->block_count + 1];
    *block = (struct soft_block){ .rip = rip,
                                  .frame = code->frame,
                                  .second = code->second,
                                  .second_number = second,
                                  .mode = mode,
                                  .code = t->used,
                                  .valid = 1,
                                  .insns = t->insn_count,
                                  .step = b->step,
                                  .count = (uint16_t)count };
    b->c = (struct cursor){ .base = t->write_view, .at = t->used, .limit = SOFT_CODE_SIZE };
    emit_prologue(b, count, block);
    emit_second(b, code, block);
    emit_body(b, count, end, &t->insn[t->insn_count], block->code);
    if (end == END_STEP)
        emit_step(b, b->insn_rip[count]);
    else if (end == END_PAGE)
        emit_goto(b, b->insn_rip[count]);
    emit_tails(b);
    if (b->c.full)
        return NULL;
    t->block_count++;
    block->code_size = b->c.at - block->code;
    t->insn_count += count;
    t->used = (b->c.at + 15u) & ~15u;
    vcpu->statistics.translated += count;
    vcpu->statistics.translated_blocks++;
    return block;
}
