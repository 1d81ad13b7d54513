/* SPDX-License-Identifier: MIT */
/*
 * damage_jumps.c - what could go wrong with jumps, and code that has no business in a block.
 */
#include <string.h>
#include "damage.h"

/* ---- Jumps ---- */

static bool between_instructions(struct place *p)
{
    return p->line->jump && p->line->jump != JUMP_INDIRECT && p->line->length >= 5 &&
           lead_to(p, p->line->target + 1);
}

static bool next_instruction(struct place *p)
{
    if (!guard(p, FLAGS_TAGGED) || p->line->record == NONE ||
        p->line->record + 1u >= p->block->count)
        return false;
    uint32_t to = p->block->code + p->r->record[p->line->record + 1].host;
    return to > p->line->at && lead_to(p, to);
}

/* Flags are only in saved_flags there. */
static bool other_block_entry(struct place *p)
{
    const struct soft_block *to = led_to(p);
    return to && p->s->flags != FLAGS_GUEST && lead_to(p, to->code + to->entry_host);
}

static bool other_block(struct place *p)
{
    const struct soft_block *to = led_to(p);
    for (uint32_t i = 1; to && i <= p->t->block_count; i++) {
        const struct soft_block *other = &p->t->block[i];
        if (other->rip != to->rip || other->mode != to->mode || other->frame != to->frame)
            return lead_to(p, other->code + (p->line->target - to->code == to->entry_host
                                                 ? other->entry_host
                                                 : other->entry_saved));
    }
    return false;
}

static bool other_frame(struct place *p)
{
    struct soft_block *to = led_to(p);
    uint64_t frame = to ? to->frame ^ 0x1000 : 0;
    if (to == NULL || to == p->block)
        return false;
    change(p, &to->frame, &frame, 8);
    return true;
}

static bool checks_page(const struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_CMP) && p->line->memory.gs &&
           p->line->operand[0].kind == OPERAND_MEMORY;
}

/* A number that was given to another page. */
static bool other_page(struct place *p)
{
    const struct soft_page *page = p->t->page;
    if (!checks_page(p) || p->line->immediate == 0)
        return false;
    const struct soft_page *now = &page[p->line->immediate];
    for (uint32_t i = 1; i <= p->t->page_count; i++) {
        if (page[i].linear != now->linear || page[i].frame != now->frame)
            return set_last(p, page[i].number);
    }
    return false;
}

static bool other_page_slot(struct place *p)
{
    return checks_page(p) &&
           set_displacement(p, TABLE(p, page) + ((displacement(p) - TABLE(p, page)) ^ 4));
}

static bool no_page_guard(struct place *p)
{
    return guard(p, FLAGS_PAGE) && no_operation(p);
}

static bool no_jump_guard(struct place *p)
{
    return guard(p, FLAGS_JUMP) && no_operation(p);
}

static bool jump_to_rip(struct place *p)
{
    return p->line->jump == JUMP_INDIRECT && set_last(p, (uint32_t)displacement(p) - 8);
}

static bool other_jump_hash(struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_SHL) && p->line->immediate == 4 &&
           p->s->scratch[1].kind == VALUE_JUMP_MASKED && set_byte(p, p->line->length - 1u, 5);
}

static bool other_pop(struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_LEA) && p->line->operand[0].reg == R_RSP &&
           p->s->scratch[1].kind == VALUE_JUMP_FOUND && p->line->length == 5 &&
           set_byte(p, 4, p->code[4] + 8u);
}

static bool other_way_out(struct place *p)
{
    for (unsigned saved = 0; saved < 2; saved++) {
        if (p->line->jump == JUMP_ALWAYS && p->line->target == p->t->leave_chain[saved])
            return lead_to(p, p->t->leave_budget[saved]);
        if (p->line->jump == JUMP_ALWAYS && p->line->target == p->t->leave_slow[saved])
            return lead_to(p, p->t->leave_slow[!saved]);
    }
    return false;
}

static bool flags_elsewhere(struct place *p)
{
    return p->line->jump == JUMP_ALWAYS && p->line->target == p->t->leave_chain[1] &&
           p->s->flags != FLAGS_GUEST && lead_to(p, p->t->leave_chain[0]);
}

static bool to_the_exit(struct place *p)
{
    return p->line->jump == JUMP_ALWAYS && lead_to(p, p->t->exit);
}

static bool off_the_end(struct place *p)
{
    return p->line == &p->r->line[p->r->count - 1] && no_operation(p);
}

/* ---- What has no business there ---- */

static bool put_code(struct place *p, const char *code, size_t size)
{
    if (p->line->length < size)
        return false;
    (void)no_operation(p);
    change(p, p->code, code, size);
    return true;
}
#define CODE(name, bytes)                                                                          \
    static bool name(struct place *p)                                                              \
    {                                                                                              \
        return put_code(p, bytes, sizeof(bytes) - 1);                                              \
    }
CODE(a_syscall, "\x0f\x05")
CODE(an_interrupt, "\xcd\x80")
CODE(a_return, "\xc3")
CODE(a_push, "\x50")
CODE(a_pop, "\x58")
CODE(a_call, "\xe8\0\0\0\0")
CODE(a_string, "\xf3\xaa")
CODE(an_x87, "\xd9\xe8")
CODE(a_segment, "\x8e\xd8")
CODE(a_port, "\xee")
CODE(a_cpuid, "\x0f\xa2")
CODE(a_gs_base, "\xf3\x48\x0f\xae\xd8")
CODE(a_pkru, "\x0f\x01\xef")
CODE(indirect, "\xff\xe0")
CODE(any_address, "\x48\x8b\x03")
CODE(any_address_relative, "\x48\x8b\x05\0\0\0\0")
CODE(wild_store, "\x89\x07")

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct damage rows[] = {
    ROW(between_instructions),
    ROW(next_instruction),
    ROW(other_block_entry),
    ROW(other_block),
    ROW(other_frame),
    ROW(other_page),
    ROW(other_page_slot),
    ROW(no_page_guard),
    ROW(no_jump_guard),
    ROW(jump_to_rip),
    ROW(other_jump_hash),
    ROW(other_pop),
    ROW(other_way_out),
    ROW(flags_elsewhere),
    ROW(to_the_exit),
    ROW(off_the_end),
    ROW(a_syscall),
    ROW(an_interrupt),
    ROW(a_return),
    ROW(a_push),
    ROW(a_pop),
    ROW(a_call),
    ROW(a_string),
    ROW(an_x87),
    ROW(a_segment),
    ROW(a_port),
    ROW(a_cpuid),
    ROW(a_gs_base),
    ROW(a_pkru),
    ROW(indirect),
    ROW(any_address),
    ROW(any_address_relative),
    ROW(wild_store),
};
const struct damage_list damage_jumps = { rows, ARRAY_SIZE(rows) };
