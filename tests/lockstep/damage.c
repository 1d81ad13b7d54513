/* SPDX-License-Identifier: MIT */
/*
 * damage.c - changing a line of a block, and finding one worth changing.
 */
#include <string.h>
#include "damage.h"

/* ---- Changing ---- */

void change(struct place *p, void *at, const void *data, size_t size)
{
    p->change[p->changes].at = at;
    p->change[p->changes].size = size;
    memcpy(p->change[p->changes++].old, at, size);
    memcpy(at, data, size);
}

void damage_undo(struct place *p)
{
    while (p->changes) {
        p->changes--;
        memcpy(p->change[p->changes].at, p->change[p->changes].old, p->change[p->changes].size);
    }
}

bool set_byte(struct place *p, unsigned at, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    change(p, p->code + at, &byte, 1);
    return true;
}

/* The last four bytes of the line: an immediate, a displacement or a distance. */
bool set_last(struct place *p, uint32_t value)
{
    change(p, p->code + p->line->length - 4, &value, 4);
    return true;
}

bool set_displacement(struct place *p, uint64_t value)
{
    uint32_t displacement = (uint32_t)value;
    unsigned at = p->line->length - 4u;
    if (p->line->operand[1].kind == OPERAND_IMMEDIATE) /* behind it */
        at -= p->line->mnemonic == ZYDIS_MNEMONIC_SUB ? 1 : 4;
    change(p, p->code + at, &displacement, 4);
    return true;
}

bool lead_to(struct place *p, uint32_t to)
{
    return set_last(p, to - (p->line->at + p->line->length));
}

bool no_operation(struct place *p)
{
    uint8_t nops[16];
    memset(nops, 0x90, sizeof(nops));
    change(p, p->code, nops, p->line->length);
    return true;
}

/* ---- Finding ---- */

bool is(const struct place *p, unsigned mnemonic)
{
    return p->line->mnemonic == mnemonic;
}

uint64_t displacement(const struct place *p)
{
    return (uint64_t)p->line->memory.displacement;
}

/* mov or the like with a field of the context block */
bool field(const struct place *p, unsigned mnemonic, size_t offset, bool write)
{
    return is(p, mnemonic) && p->line->memory.gs && p->line->memory.base == NONE &&
           displacement(p) == offset && p->line->memory.write == write;
}

bool guard(const struct place *p, unsigned flags)
{
    return p->line->jump == JUMP_IF && p->s->flags == flags;
}

/* The instruction that uses the memory looked up. */
bool uses_host(const struct place *p)
{
    return p->line->memory.present && !p->line->memory.gs && !p->line->memory.address_only;
}

/* xor s, [tag]: forth, not back in the tail */
bool takes_tag(const struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_XOR) && p->line->memory.gs && p->line->record != NONE;
}

bool adds_host(const struct place *p)
{
    return is(p, ZYDIS_MNEMONIC_ADD) && p->line->memory.gs && p->line->record != NONE &&
           displacement(p) >= p->r->tables;
}

bool in_entries(const struct place *p)
{
    return displacement(p) - TABLE(p, entry) < SOFT_TLB * sizeof(struct soft_entry);
}

struct soft_link *link_here(const struct place *p)
{
    for (uint32_t i = p->r->first_link; i < p->r->end_link; i++) {
        if (p->line->jump && p->t->link[i].site == p->line->at + p->line->length - 4)
            return &p->t->link[i];
    }
    return NULL;
}

/* The block a jump was patched to lead to. */
struct soft_block *led_to(const struct place *p)
{
    if (link_here(p) == NULL)
        return NULL;
    for (uint32_t i = 1; i <= p->t->block_count; i++) {
        struct soft_block *to = &p->t->block[i];
        if (p->line->target == to->code + to->entry_host ||
            p->line->target == to->code + to->entry_saved)
            return to;
    }
    return NULL;
}

struct soft_site *site_here(const struct place *p)
{
    return field(p, ZYDIS_MNEMONIC_MOV, FIELD(info), true) &&
                   p->line[1].target - p->t->leave_slow[0] <=
                       p->t->leave_slow[1] - p->t->leave_slow[0]
               ? &p->t->site[p->line->immediate]
               : NULL;
}
