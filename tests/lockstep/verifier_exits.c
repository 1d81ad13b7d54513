/* SPDX-License-Identifier: MIT */
/*
 * verifier_exits.c - jumps: guards within the block, and ways out of it. Where a way out leads, the
 * engine or another block takes something for granted; that must be so.
 */
#include <stddef.h>
#include "verifier_internal.h"

/* ---- What is looked up in the translator's tables ---- */

static const struct soft_link *link_number(const struct reading *r, uint32_t number)
{
    return number >= r->first_link && number < r->end_link ? &r->t->link[number] : NULL;
}

/* The link whose rel32 is this jump's. */
static const struct soft_link *link_of(const struct reading *r, const struct line *line)
{
    for (uint32_t i = r->first_link; i < r->end_link; i++) {
        if (line->length >= 5 && r->t->link[i].site == line->at + line->length - 4)
            return &r->t->link[i];
    }
    return NULL;
}

/* The block that has an entry there. */
static const struct soft_block *entered(const struct translator *t, uint32_t at)
{
    uint32_t low = 1, high = t->block_count;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (t->block[middle].code <= at)
            low = middle;
        else
            high = middle - 1;
    }
    const struct soft_block *block = &t->block[low];
    return low == high &&
                   (at == block->code + block->entry_host || at == block->code + block->entry_saved)
               ? block
               : NULL;
}

static bool is_page(const struct soft_page *page, uint32_t number, uint64_t linear, uint64_t frame)
{
    return page->number == number && page->frame == frame && page->linear == linear;
}

/* Was the number given to that page? */
static bool page_given(const struct translator *t, uint32_t number, uint64_t linear, uint64_t frame)
{
    if (number == 0)
        return false;
    if (number <= t->page_count && is_page(&t->page[number], number, linear, frame))
        return true;
    for (uint32_t i = 1; i <= t->page_count; i++) {
        if (is_page(&t->page[i], number, linear, frame))
            return true;
    }
    return false;
}

static unsigned page_slot(uint64_t rip)
{
    uint64_t page = rip / 4096;
    return (unsigned)((page ^ (page >> 8) ^ (page >> 20)) % SOFT_PAGES);
}

static uint64_t page_of(uint64_t rip)
{
    return rip & ~4095ull;
}

bool second_known(struct reading *r, const struct state *s)
{
    const struct soft_block *block = r->block;
    uint64_t linear = page_of(block->rip) + 4096;
    if (!(block->mode & MODE_WIDE))
        linear = (uint32_t)linear;
    return block->second_number == 0 || s->record != NONE ||
           (s->page_check && s->page_number == block->second_number &&
            s->page_slot == page_slot(linear) &&
            page_given(r->t, s->page_number, linear, block->second)) ||
           refuse(r, "the instruction's second page may be another one by now");
}

/* ---- What is taken for granted ---- */

/* Where the guest's instructions are done: its registers are its own. */
static bool settled(struct reading *r, const struct state *s)
{
    if (s->rax != LENT_NOT || s->rcx != LENT_NOT || s->scratch[0].kind == VALUE_UNSTORED ||
        s->scratch[1].kind == VALUE_UNSTORED)
        return refuse(r, "a register of the guest's is not its own on the way out");
    return true;
}

static bool flags_at(struct reading *r, const struct state *s, bool saved)
{
    return (saved ? s->saved : s->flags == FLAGS_GUEST) ||
           refuse(r, "the guest's flags are not where they are expected");
}

static bool counted(struct reading *r, const struct state *s)
{
    return s->budget == BUDGET_HELD || refuse(r, "out of a block that was not counted");
}

/* For jumps that are or may be patched to lead to the link's target. */
static bool link_ready(struct reading *r, const struct soft_link *link, const struct state *s)
{
    if (!settled(r, s) || !counted(r, s) || !flags_at(r, s, link->saved))
        return false;
    if (link->check == 0)
        return page_of(link->target) == page_of(r->block->rip) ||
               refuse(r, "a link to another page without a look at the page");
    return (link->check == s->page_check && s->page_slot == page_slot(link->target)) ||
           refuse(r, "a link behind a look at another page");
}

static bool enter_block(struct reading *r, const struct soft_link *link,
                        const struct soft_block *block, uint32_t at, const struct state *s)
{
    if (link == NULL)
        return refuse(r, "a jump to a block that is no link");
    if (block->rip != link->target || block->mode != r->block->mode)
        return refuse(r, "a link to a block that is not the target's");
    if (link->check == 0 ? block->frame != r->block->frame
                         : !page_given(r->t, s->page_number, page_of(block->rip), block->frame))
        return refuse(r, "a link to a page that may be another one by now");
    return flags_at(r, s, at == block->code + block->entry_saved);
}

/* ---- The common ways out ---- */

typedef bool leave_check(struct reading *r, const struct state *s, unsigned which);

static bool leave_chain(struct reading *r, const struct state *s, unsigned which)
{
    const struct soft_link *link = link_number(r, s->info);
    if (link == NULL || link->saved != which)
        return refuse(r, "not a link of this block");
    unsigned near = line_of(r, link->site - 1), conditional = line_of(r, link->site - 2);
    if ((near == NONE || link_of(r, &r->line[near]) != link) &&
        (conditional == NONE || link_of(r, &r->line[conditional]) != link))
        return refuse(r, "a link that is no jump of this block");
    return counted(r, s);
}

/* The target is the instruction after the last one. */
static bool leave_step(struct reading *r, const struct state *s, unsigned which)
{
    const struct soft_link *link = link_number(r, s->info);
    unsigned count = r->block->count;
    (void)which;
    if (link == NULL || link->step != r->block->step || link->step > r->t->step_count)
        return refuse(r, "not a link of this block");
    uint64_t distance = link->target - r->block->rip - (count ? r->record[count - 1].guest : 0);
    if (!(r->block->mode & MODE_WIDE))
        distance = (uint32_t)distance;
    if (count ? distance - 1 >= 15 : distance != 0)
        return refuse(r, "a step to somewhere else");
    return counted(r, s);
}

static bool leave_budget(struct reading *r, const struct state *s, unsigned which)
{
    (void)which;
    return (s->budget == BUDGET_OVER && s->info == (uint32_t)(r->block - r->t->block)) ||
           refuse(r, "out of a block that is not to be counted back");
}

static bool leave_again(struct reading *r, const struct state *s, unsigned which)
{
    (void)which;
    return (s->budget == BUDGET_HELD && s->record == NONE &&
            s->info == (uint32_t)(r->block - r->t->block)) ||
           refuse(r, "out in the middle of a block");
}

static const struct soft_site *site_of(struct reading *r, const struct state *s)
{
    const struct soft_site *site = &r->t->site[s->info];
    unsigned line = s->info < r->t->site_count ? line_of(r, site->retry) : NONE;
    if (line == NONE || r->line[line].record != site->insn || s->record != site->insn) {
        r->why = "not a site of this instruction";
        return NULL;
    }
    if (s->dirty || !counted(r, s)) {
        r->why = "out in the middle of an instruction";
        return NULL;
    }
    return site;
}

static bool leave_undo(struct reading *r, const struct state *s, unsigned which)
{
    (void)which;
    return site_of(r, s) != NULL;
}

/* From register `which` the engine takes the address; then the site's code runs again. */
static bool leave_slow(struct reading *r, const struct state *s, unsigned which)
{
    const struct soft_site *site = site_of(r, s);
    const struct value *v = &s->scratch[which];
    if (site == NULL)
        return false;
    if (v->kind != VALUE_AGAIN || v->size != site->size || v->write != site->write ||
        v->entry == ENTRY_STACK || (v->entry == ENTRY_HASHED && v->number != site->stack))
        return refuse(r, "a site for another look-up");
    const unsigned index = line_of(r, site->retry);
    const struct line *retry = &r->line[index];
    struct state again = { .saved = 1,
                           .budget = BUDGET_HELD,
                           .record = retry->record_start ? record_before(retry) : site->insn,
                           .exit_canonical = s->exit_canonical,
                           .page_check = s->page_check,
                           .page_number = s->page_number,
                           .page_slot = s->page_slot };
    return flow_to(r, index, &again);
}

/* The engine undoes the instruction if the target in R10 is not canonical. */
static bool leave_lookup(struct reading *r, const struct state *s, unsigned which)
{
    const struct soft_link *link = link_number(r, s->info);
    const struct value *target = &s->scratch[0];
    (void)which;
    if (link == NULL || link->target || !is_plain(target))
        return refuse(r, "not a link of this block");
    if (s->dirty && !target->canonical && (r->block->mode & MODE_WIDE))
        return refuse(r, "out in the middle of an instruction");
    return counted(r, s);
}

static const struct leave {
    size_t where; /* in struct translator: offset of its code */
    uint8_t saved, which;
    leave_check *check;
} leaves[] = {
#define WHERE(name) offsetof(struct translator, name)
    { WHERE(leave_chain[0]), 0, 0, leave_chain },   { WHERE(leave_chain[1]), 1, 1, leave_chain },
    { WHERE(leave_step[0]), 0, 0, leave_step },     { WHERE(leave_step[1]), 1, 1, leave_step },
    { WHERE(leave_budget[0]), 0, 0, leave_budget }, { WHERE(leave_budget[1]), 1, 1, leave_budget },
    { WHERE(leave_slow[0]), 1, 0, leave_slow },     { WHERE(leave_slow[1]), 1, 1, leave_slow },
    { WHERE(leave_again), 1, 0, leave_again },      { WHERE(leave_undo), 1, 0, leave_undo },
    { WHERE(leave_lookup), 1, 0, leave_lookup },
#undef WHERE
};

static bool leave(struct reading *r, uint32_t at, const struct state *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        const struct leave *row = &leaves[i];
        if (*(const uint32_t *)(const void *)((const uint8_t *)r->t + row->where) != at)
            continue;
        if (!settled(r, s) || !flags_at(r, s, row->saved))
            return false;
        if (!s->info_known)
            return refuse(r, "a way out without saying which");
        return row->check(r, s, row->which);
    }
    return refuse(r, "a jump to nowhere");
}

/* ---- Jumps ---- */

static bool go(struct reading *r, const struct line *line, const struct state *s)
{
    const struct soft_link *link = link_of(r, line);
    uint32_t to = line->target;
    if (link && !link_ready(r, link, s))
        return false;
    const struct soft_block *block = entered(r->t, to);
    if (block && (link || block != r->block))
        return enter_block(r, link, block, to, s);
    if (to - r->block->code >= r->block->code_size)
        return leave(r, to, s);
    unsigned index = line_of(r, to);
    if (index == NONE)
        return refuse(r, "a jump between instructions");
    /* Back from a tail; not to another instruction, which its own record would begin. */
    if (r->line[index].record != NONE &&
        (r->line[index].record != s->record || r->line[index].record_start))
        return refuse(r, "a jump into the code of an instruction");
    return flow_to(r, index, s);
}

/* Through the jump table. */
static bool computed(struct reading *r, const struct line *line, const struct state *s)
{
    int64_t code = (int64_t)(r->tables + offsetof(struct soft_tables, jump[0].code));
    unsigned base = line->memory.base;
    const struct value *v = base == R_R10 || base == R_R11 ? &s->scratch[base == R_R11] : NULL;
    if (v == NULL || v->kind != VALUE_JUMP_FOUND || !line->memory.gs ||
        line->memory.index != NONE || line->memory.size != 8 || line->memory.displacement != code)
        return refuse(r, "an indirect jump that was not looked up");
    for (uint32_t i = r->first_link; i < r->end_link; i++) {
        const struct soft_link *link = &r->t->link[i];
        if (link->target == 0 && link->check == 0 && line_of(r, link->site) != NONE &&
            link->pop == s->popped)
            return settled(r, s) && counted(r, s) && flags_at(r, s, true);
    }
    return refuse(r, "RSP moves otherwise than the link says");
}

/* What the flags mean is known from now on: on the way of the jump, and past it. */
static void found(struct state *s, unsigned from, unsigned to)
{
    for (unsigned i = 0; i < 2; i++) {
        struct value *v = &s->scratch[i];
        if (v->kind == from && v->id == s->flags_id && v->id) {
            v->kind = (uint8_t)to;
            if (from == VALUE_TAGGED)
                v->size = s->flags_number < 4096 ? (uint32_t)(4096 - s->flags_number) : 0;
        }
    }
}

static void canonical(struct state *s)
{
    for (unsigned i = 0; i < 2 && s->flags_number == 0; i++) {
        if (s->scratch[i].id == s->flags_id && is_plain(&s->scratch[i]))
            s->scratch[i].canonical = 1;
    }
}

/* False: flags are of no use to such a jump. */
static bool decide(unsigned mnemonic, struct state *taken, struct state *past)
{
    switch (past->flags) {
    case FLAGS_TAGGED:
        found(past, VALUE_TAGGED, VALUE_OFFSET);
        found(taken, VALUE_TAGGED, VALUE_MISSED);
        return mnemonic == ZYDIS_MNEMONIC_JNBE;
    case FLAGS_SUM:
        canonical(past);
        return mnemonic == ZYDIS_MNEMONIC_JNBE;
    case FLAGS_LEFT:
        past->budget = BUDGET_HELD;
        taken->budget = BUDGET_OVER;
        return mnemonic == ZYDIS_MNEMONIC_JS;
    case FLAGS_PAGE:
        past->page_check = past->page_pending;
        past->page_slot = past->flags_id;
        past->page_number = (uint32_t)past->flags_number;
        return mnemonic == ZYDIS_MNEMONIC_JNZ;
    case FLAGS_JUMP:
        found(past, VALUE_JUMP_INDEX, VALUE_JUMP_FOUND);
        return mnemonic == ZYDIS_MNEMONIC_JNZ;
    default:
        return false;
    }
}

static bool on_flags(struct reading *r, const struct line *line, unsigned index,
                     const struct state *s)
{
    struct state taken = *s, past = *s;
    if (s->flags == FLAGS_GUEST) {
        if (line->record == NONE || line->record != r->block->count - 1u)
            return refuse(r, "a jump on the guest's flags that is not the guest's");
    } else if (!decide(line->mnemonic, &taken, &past)) {
        return refuse(r, "a jump on flags that do not tell");
    }
    return go(r, line, &taken) && flow_to(r, index + 1, &past);
}

static bool on_count(struct reading *r, const struct line *line, unsigned index,
                     const struct state *s)
{
    struct state taken = *s, past = *s;
    if (s->rcx != LENT_LEFT || s->budget != BUDGET_TAKEN)
        return refuse(r, "a jump on a count that was not loaded");
    taken.budget = BUDGET_HELD;
    past.budget = BUDGET_OVER;
    return go(r, line, &taken) && flow_to(r, index + 1, &past);
}

bool apply_jump(struct reading *r, const struct line *line, unsigned index, const struct state *s)
{
    switch (line->jump) {
    case JUMP_IF:
        return on_flags(r, line, index, s);
    case JUMP_IF_COUNT:
        return on_count(r, line, index, s);
    case JUMP_INDIRECT:
        return computed(r, line, s);
    default:
        return go(r, line, s);
    }
}
