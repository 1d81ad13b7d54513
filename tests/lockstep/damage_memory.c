/* SPDX-License-Identifier: MIT */
/*
 * damage_memory.c - what could go wrong with memory: look-ups, the stack's entry, the context
 * block.
 */
#include <string.h>
#include "damage.h"

/* ---- Look-ups ---- */

static bool larger_limit(struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_CMP) &&
           p->s->scratch[p->line->operand[0].reg == R_R11].kind == VALUE_TAGGED &&
           !p->line->memory.present && set_last(p, (uint32_t)p->line->immediate + 1);
}

static bool limit_in_32_bits(struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_CMP) && !p->line->memory.present &&
           is_scratch(p->line->operand[0].reg) && p->line->operand[0].kind == OPERAND_REGISTER &&
           p->line->record != NONE &&
           p->s->scratch[p->line->operand[0].reg == R_R11].kind == VALUE_TAGGED &&
           set_byte(p, 0, p->code[0] & ~8u);
}

static bool no_guard(struct place *p)
{
    return guard(p, FLAGS_TAGGED) && p->line->record != NONE && no_operation(p);
}

static bool other_condition(struct place *p)
{
    return guard(p, FLAGS_TAGGED) && set_byte(p, 1, p->code[1] ^ (p->s->flags_id & 1 ? 1 : 4));
}

static bool into_look_up(struct place *p)
{
    const struct line *at = p->line;
    if (!guard(p, FLAGS_TAGGED) || p->line->record == NONE)
        return false;
    at -= p->s->flags_id & 1 ? 1 : 2; /* the compare, or before */
    return lead_to(p, at->at);
}

static bool past_look_up(struct place *p)
{
    return guard(p, FLAGS_TAGGED) && p->line->record != NONE &&
           lead_to(p, p->line[1].at + p->line[1].length);
}

static bool other_view(struct place *p)
{
    bool last = (p->block->mode & MODE_VIEW) == SOFT_VIEWS - 1;
    uint64_t one = sizeof(struct soft_tables);
    return p->line->memory.gs && p->line->jump == JUMP_NOT && displacement(p) >= p->r->tables &&
           set_displacement(p, last ? displacement(p) - one : displacement(p) + one);
}

static bool write_after_read(struct place *p)
{
    uint64_t at = displacement(p) - TABLE(p, entry);
    if (!takes_tag(p) || !in_entries(p) || at % sizeof(struct soft_entry) != 8)
        return false;
    return set_displacement(p, displacement(p) - 8);
}

/* The site says the same, so that only the access gives it away. */
static bool write_after_read_everywhere(struct place *p)
{
    const struct state *s = p->s;
    if (!uses_host(p) || !p->line->memory.write || p->line->record == NONE ||
        s->scratch[p->line->memory.base == R_R11].entry != ENTRY_CONSTANT)
        return false;
    /* xor s, [tag]; cmp; ja; add; ... */
    for (const struct line *l = p->line; l > p->r->line && l->record == p->line->record; l--) {
        uint32_t tag = (uint32_t)l->memory.displacement - 8;
        if (l->mnemonic != ZYDIS_MNEMONIC_XOR || !l->memory.gs)
            continue;
        const struct line *tail = &p->r->line[line_of(p->r, l[2].target)];
        uint8_t *code = p->code - p->line->at;
        uint8_t no = 0;
        change(p, code + l->at + l->length - 4, &tag, 4);
        change(p, code + tail->at + tail->length - 4, &tag, 4);
        change(p, &p->t->site[tail[1].immediate].write, &no, 1);
        return true;
    }
    return false;
}

static bool other_stack_page(struct place *p)
{
    uint64_t at = displacement(p) - TABLE(p, stack);
    return takes_tag(p) && at < sizeof(struct soft_stack) * 2 &&
           set_displacement(p, TABLE(p, stack) + (at ^ sizeof(struct soft_stack)));
}

static bool other_stack_host(struct place *p)
{
    uint64_t at = displacement(p) - TABLE(p, stack);
    return adds_host(p) && at < sizeof(struct soft_stack) * 2 &&
           set_displacement(p, TABLE(p, stack) + (at ^ sizeof(struct soft_stack)));
}

static bool other_entry(struct place *p)
{
    return (takes_tag(p) || adds_host(p)) && in_entries(p) && p->line->memory.base == NONE &&
           set_displacement(p, TABLE(p, entry) + ((displacement(p) - TABLE(p, entry)) ^
                                                  sizeof(struct soft_entry)));
}

static bool wider_mask(struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_AND) &&
           p->s->scratch[p->line->operand[0].reg == R_R11].kind == VALUE_SHIFTED &&
           set_last(p, (uint32_t)p->line->immediate * 2 + 32);
}

static bool other_shift(struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_SHR) && p->line[1].mnemonic == ZYDIS_MNEMONIC_AND &&
           p->line->operand[0].reg == p->line[1].operand[0].reg && p->line->immediate == 7 &&
           is_scratch(p->line->operand[0].reg) && p->line[1].immediate == (SOFT_TLB - 1) * 32 &&
           set_byte(p, p->line->length - 1u, 6);
}

/* [r10] for [r11] and the other way round */
static bool other_base(struct place *p)
{
    return uses_host(p) && p->line->memory.base == R_R11 &&
           p->line->mnemonic == ZYDIS_MNEMONIC_MOV && p->line->length == 3 &&
           set_byte(p, 2, p->code[2] ^ 1);
}

/* mov r11d, imm for mov r10d, imm before mov [r11], r10 */
static bool address_overwritten(struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_MOV) && p->code[0] == 0x41 && p->code[1] == 0xba &&
           p->s->scratch[1].kind == VALUE_HOST && set_byte(p, 1, 0xbb);
}

static bool host_leaks(struct place *p)
{
    return uses_host(p) && is(p, ZYDIS_MNEMONIC_MOV) && p->line->length == 3 &&
           p->line->memory.write && p->line->operand[1].reg == R_R10 &&
           p->line->memory.base == R_R11 && set_byte(p, 2, p->code[2] | 1 << 3);
}

/* ---- The stack's entry ---- */

static bool half_an_entry(struct place *p)
{
    return field(p, ZYDIS_MNEMONIC_MOV, TABLE(p, stack[0].host), true) && no_operation(p);
}

static bool page_of_nothing(struct place *p)
{
    /* the other direction's tag */
    return is(p, ZYDIS_MNEMONIC_MOV) && p->line->memory.gs && in_entries(p) &&
           p->line->operand[0].reg == R_RCX &&
           (displacement(p) - TABLE(p, entry)) % sizeof(struct soft_entry) < 16 &&
           set_displacement(p, displacement(p) ^ 8);
}

/* ---- The context block ---- */

static bool store_elsewhere(struct place *p)
{
    static const uint16_t fields[] = { FIELD(registers), FIELD(host_rsp), FIELD(fs_base),
                                       FIELD(reason) };
    if (!p->line->memory.gs || !p->line->memory.write || displacement(p) >= FIELD(tables))
        return false;
    return set_displacement(p, fields[p->line->at & 3]);
}

static bool load_elsewhere(struct place *p)
{
    return p->line->memory.gs && p->line->memory.read && !p->line->memory.write &&
           p->line->jump == JUMP_NOT && displacement(p) < FIELD(tables) &&
           set_displacement(p, FIELD(host_rsp));
}

static bool beyond_the_tables(struct place *p)
{
    return p->line->memory.gs && p->line->jump == JUMP_NOT &&
           set_displacement(p, sizeof(struct soft_context) + 64);
}

static bool through_fs(struct place *p)
{
    return p->line->memory.gs && p->code[0] == 0x65 && set_byte(p, 0, 0x64);
}

static bool without_gs(struct place *p)
{
    return p->line->memory.gs && p->code[0] == 0x65 && set_byte(p, 0, 0x3e);
}

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct damage rows[] = {
    ROW(larger_limit),        ROW(limit_in_32_bits), ROW(no_guard),
    ROW(other_condition),     ROW(into_look_up),     ROW(past_look_up),
    ROW(other_view),          ROW(write_after_read), ROW(write_after_read_everywhere),
    ROW(other_stack_page),    ROW(other_stack_host), ROW(other_entry),
    ROW(wider_mask),          ROW(other_shift),      ROW(other_base),
    ROW(address_overwritten), ROW(host_leaks),       ROW(half_an_entry),
    ROW(page_of_nothing),     ROW(store_elsewhere),  ROW(load_elsewhere),
    ROW(beyond_the_tables),   ROW(through_fs),       ROW(without_gs),
};
const struct damage_list damage_memory = { rows, ARRAY_SIZE(rows) };
