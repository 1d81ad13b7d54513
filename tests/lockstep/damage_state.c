/* SPDX-License-Identifier: MIT */
/*
 * damage_state.c - what could go wrong with the guest's state: its flags and registers, the count
 * of instructions, and what the engine is told about the block.
 */
#include <string.h>
#include "damage.h"

/* ---- Flags and registers ---- */

static bool flags_not_saved(struct place *p)
{
    return field(p, ZYDIS_MNEMONIC_MOV, FIELD(saved_flags), true) && !p->s->saved &&
           no_operation(p);
}

static bool overflow_not_saved(struct place *p)
{
    return p->s->rax == LENT_LAHF && no_operation(p);
}

/* Sometimes they are restored for an instruction that replaces them all. */
static bool flags_not_restored(struct place *p)
{
    bool needed = p->line->record == NONE;
    for (const struct line *l = p->line; l < &p->r->line[p->r->count] && !needed; l++)
        needed = l->record == p->line->record && l->mnemonic != ZYDIS_MNEMONIC_SAHF &&
                 (l->flags_needed || l->jump == JUMP_IF);
    return needed && p->s->rax == LENT_OVERFLOW && is(p, ZYDIS_MNEMONIC_SAHF) && no_operation(p);
}

static bool overflow_not_restored(struct place *p)
{
    return p->s->rax == LENT_SAVED && set_byte(p, 1, 126);
}

static bool rax_lost(struct place *p)
{
    return p->s->rax != LENT_NOT && is(p, ZYDIS_MNEMONIC_MOV) &&
           p->line->operand[0].kind == OPERAND_REGISTER && p->line->operand[0].reg == R_RAX &&
           !p->line->memory.present && no_operation(p);
}

static bool rcx_lost(struct place *p)
{
    return field(p, ZYDIS_MNEMONIC_MOV, FIELD(rcx), false) && no_operation(p);
}

static bool register_not_stored(struct place *p)
{
    return (field(p, ZYDIS_MNEMONIC_MOV, FIELD(r10), true) ||
            field(p, ZYDIS_MNEMONIC_MOV, FIELD(r11), true)) &&
           (p->s->scratch[p->line->operand[1].reg == R_R11].kind == VALUE_UNSTORED) &&
           no_operation(p);
}

static bool flags_of_the_host(struct place *p)
{
    /* an instruction that changes flags, in the middle of what saves them */
    static const uint8_t compare[] = { 0x39, 0xc0 }; /* cmp eax, eax */
    if (p->s->flags != FLAGS_GUEST || p->s->saved || p->line->record != NONE ||
        !is(p, ZYDIS_MNEMONIC_MOV) || p->line->length != 3)
        return false;
    (void)no_operation(p);
    change(p, p->code, compare, sizeof(compare));
    return true;
}

/* ---- The count ---- */

static bool wrong_count(struct place *p)
{
    return field(p, ZYDIS_MNEMONIC_SUB, FIELD(left), true) &&
           set_byte(p, p->line->length - 1u, (unsigned)p->line->immediate - 1);
}

static bool no_budget(struct place *p)
{
    return guard(p, FLAGS_LEFT) && no_operation(p);
}

/* ---- What the engine is told ---- */

static bool record_flags(struct place *p)
{
    struct soft_insn *record = &p->t->insn[p->block->insns + p->line->record];
    uint8_t saved = 0;
    if (!uses_host(p) || p->s->flags == FLAGS_GUEST)
        return false;
    change(p, &record->saved, &saved, 1);
    return true;
}

static bool record_late(struct place *p)
{
    struct soft_insn *record = &p->t->insn[p->block->insns + p->line->record];
    uint16_t host = (uint16_t)(p->line->at - p->block->code);
    if (!uses_host(p) || !p->line->memory.write || p->line->record + 1u != p->block->count)
        return false;
    change(p, &record->host, &host, 2);
    return true;
}

static bool site_size(struct place *p)
{
    struct soft_site *site = site_here(p);
    uint8_t size = site ? (uint8_t)(site->size / 2) : 0;
    if (site)
        change(p, &site->size, &size, 1);
    return site;
}

static bool site_direction(struct place *p)
{
    struct soft_site *site = site_here(p);
    uint8_t write = site ? !site->write : 0;
    if (site)
        change(p, &site->write, &write, 1);
    return site;
}

static bool site_stack(struct place *p)
{
    struct soft_site *site = site_here(p);
    uint8_t stack = site ? !site->stack : 0;
    /* constant addresses never are the stack's */
    if (site && p->s->scratch[p->line[1].target == p->t->leave_slow[1]].entry == ENTRY_HASHED)
        change(p, &site->stack, &stack, 1);
    return p->changes;
}

static bool site_other(struct place *p)
{
    struct soft_site *site = site_here(p);
    return site && p->line->immediate && site[-1].insn != site->insn &&
           set_last(p, (uint32_t)p->line->immediate - 1);
}

/* Not from the beginning of the look-up. */
static bool site_retry(struct place *p)
{
    struct soft_site *site = site_here(p);
    unsigned line = site ? line_of(p->r, site->retry) : NONE;
    while (line != NONE && p->r->line[line].mnemonic != ZYDIS_MNEMONIC_XOR)
        line++;
    if (line == NONE)
        return false;
    change(p, &site->retry, &p->r->line[line].at, 4);
    return true;
}

static bool info_other(struct place *p)
{
    return field(p, ZYDIS_MNEMONIC_MOV, FIELD(info), true) &&
           set_last(p, (uint32_t)p->line->immediate + 1000);
}

static bool link_flags(struct place *p)
{
    struct soft_link *link = link_here(p);
    uint8_t no = 0;
    if (link == NULL || !link->saved || p->s->flags == FLAGS_GUEST)
        return false;
    change(p, &link->saved, &no, 1);
    return true;
}

static bool link_target(struct place *p)
{
    struct soft_link *link = link_here(p);
    uint64_t target = link ? link->target ^ 0x5000 : 0;
    if (link)
        change(p, &link->target, &target, 8);
    return link;
}

static struct soft_link *step_here(const struct place *p)
{
    return field(p, ZYDIS_MNEMONIC_MOV, FIELD(info), true) &&
                   (p->line[1].target == p->t->leave_step[0] ||
                    p->line[1].target == p->t->leave_step[1])
               ? &p->t->link[p->line->immediate]
               : NULL;
}

static bool step_target(struct place *p)
{
    struct soft_link *link = step_here(p);
    uint64_t target = link ? link->target + 16 : 0;
    if (link)
        change(p, &link->target, &target, 8);
    return link;
}

static bool step_insn(struct place *p)
{
    struct soft_link *link = step_here(p);
    uint32_t step = link ? link->step + 1 : 0;
    if (link)
        change(p, &link->step, &step, 4);
    return link;
}

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct damage rows[] = {
    ROW(flags_not_saved),
    ROW(overflow_not_saved),
    ROW(flags_not_restored),
    ROW(overflow_not_restored),
    ROW(rax_lost),
    ROW(rcx_lost),
    ROW(register_not_stored),
    ROW(flags_of_the_host),
    ROW(wrong_count),
    ROW(no_budget),
    ROW(record_flags),
    ROW(record_late),
    ROW(site_size),
    ROW(site_direction),
    ROW(site_stack),
    ROW(site_other),
    ROW(site_retry),
    ROW(info_other),
    ROW(link_flags),
    ROW(link_target),
    ROW(step_target),
    ROW(step_insn),
};
const struct damage_list damage_state = { rows, ARRAY_SIZE(rows) };
