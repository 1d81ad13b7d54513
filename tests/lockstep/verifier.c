/* SPDX-License-Identifier: MIT */
/*
 * verifier.c - an independent reading of emitted code: every path through a block, from both of its
 * entries and from wherever the engine resumes it.
 */
#include <stdio.h>
#include <string.h>
#include "verifier_internal.h"

#define SHOWN 14 /* lines before the one refused */

static uint64_t blocks_read;
static bool failed;
static const char *reason;
static bool quiet;
static struct reading reading;

uint64_t verifier_blocks(void)
{
    return blocks_read;
}

bool verifier_failed(void)
{
    return failed;
}

const char *verifier_reason(void)
{
    return reason;
}

void verifier_quiet(void)
{
    quiet = true;
}

static void show(const struct reading *r, const struct line *line)
{
    ZydisDisassembledInstruction text;
    if (ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64,
                                           (uint64_t)(uintptr_t)r->t->code + line->at,
                                           r->t->write_view + line->at, 15, &text)))
        printf("  %#6x  %s\n", line->at - r->block->code, text.text);
}

const struct reading *verifier_reading(void)
{
    return &reading;
}

/* With the lines that lead there. */
static bool report(const struct reading *r, const struct line *line)
{
    const struct line *first = r->line;
    failed = true;
    reason = r->why;
    if (quiet)
        return false;
    printf("verifier: %s: block at guest %#llx\n", r->why, (unsigned long long)r->block->rip);
    if (line - first > SHOWN)
        first = line - SHOWN;
    for (; first <= line && first < &r->line[r->count]; first++)
        show(r, first);
    return false;
}

/* ---- What is known where paths meet ---- */

static struct value value_meet(const struct value *a, const struct value *b)
{
    if (memcmp(a, b, sizeof(*a)) == 0)
        return *a;
    /* From one entry or another; the stack's is the one that may be empty. */
    if (a->kind == VALUE_HOST && b->kind == VALUE_HOST && a->id == b->id && a->size == b->size &&
        a->write == b->write && a->number == b->number)
        return a->entry == ENTRY_STACK ? *a : *b;
    /* Without a name: nothing more can come of it. */
    return (struct value){ .kind = is_plain(a) && is_plain(b) && a->kind != VALUE_UNSTORED &&
                                           b->kind != VALUE_UNSTORED
                                       ? VALUE_WORD
                                       : VALUE_UNKNOWN };
}

static struct state meet(const struct state *a, const struct state *b)
{
    struct state m = *a;
    for (unsigned i = 0; i < 2; i++)
        m.scratch[i] = value_meet(&a->scratch[i], &b->scratch[i]);
    if (a->flags != b->flags || a->flags_id != b->flags_id || a->flags_number != b->flags_number) {
        m.flags = FLAGS_OTHER;
        m.flags_id = 0;
        m.flags_number = 0;
    }
    m.saved = a->saved & b->saved;
    m.rax = a->rax == b->rax ? a->rax : LENT_LOST;
    m.rcx = a->rcx == b->rcx ? a->rcx : LENT_LOST;
    m.rcx_kept = a->rcx_kept & b->rcx_kept;
    m.budget = a->budget == b->budget ? a->budget : BUDGET_UNKNOWN;
    m.dirty = a->dirty | b->dirty;
    m.flagged = a->flagged | b->flagged;
    m.record = a->record == b->record ? a->record : NONE;
    m.exit_canonical = a->exit_canonical & b->exit_canonical;
    m.info_known = a->info_known && b->info_known && a->info == b->info;
    m.info = m.info_known ? a->info : 0;
    m.popped = a->popped == b->popped ? a->popped : ~0u;
    if (a->page_check != b->page_check || a->page_number != b->page_number ||
        a->page_slot != b->page_slot)
        m.page_check = m.page_number = m.page_slot = 0;
    m.page_pending = a->page_pending == b->page_pending ? a->page_pending : 0;
    if (a->lent_id != b->lent_id || a->lent_write != b->lent_write) {
        m.rcx = m.rcx == LENT_NOT ? LENT_NOT : LENT_LOST;
        m.lent_id = m.lent_write = 0;
    }
    m.stack_half = a->stack_half == b->stack_half ? a->stack_half : 0xff;
    return m;
}

bool flow_to(struct reading *r, unsigned to, const struct state *s)
{
    if (to >= r->count)
        return refuse(r, "a block that falls off its end");
    struct state met = r->reached[to] ? meet(&r->state[to], s) : *s;
    if (r->reached[to] && memcmp(&met, &r->state[to], sizeof(met)) == 0)
        return true;
    r->state[to] = met;
    r->reached[to] = r->pending[to] = 1;
    if (to < r->lowest)
        r->lowest = to;
    return true;
}

/* ---- One line ---- */

/* The guest's next instruction: the one before is done. */
static bool begin_record(struct reading *r, const struct line *line, struct state *s)
{
    if (s->record != record_before(line))
        return refuse(r, "an instruction out of turn");
    if (s->budget != BUDGET_HELD)
        return refuse(r, "an instruction that was not counted");
    if (!second_known(r, s))
        return false;
    for (unsigned i = 0; i < 2; i++) {
        if (s->scratch[i].kind == VALUE_UNSTORED)
            return refuse(r, "a register of the guest's is lost");
        if (s->scratch[i].kind == VALUE_HOME)
            s->scratch[i].kind = VALUE_WORD;
    }
    s->record = line->record;
    s->dirty = s->flagged = 0;
    return true;
}

static bool follow(struct reading *r, unsigned index)
{
    const struct line *line = &r->line[index];
    struct state s = r->state[index];
    if (line->refused)
        return refuse(r, line->refused);
    if (s.flags != FLAGS_GUEST && !s.saved)
        return refuse(r, "the guest's flags are lost");
    if (line->record_start && !begin_record(r, line, &s))
        return false;
    if (line->jump && s.stack_half)
        return refuse(r, "half of the stack's entry is left");
    if (line->jump)
        return apply_jump(r, line, index, &s);
    return apply_line(r, line, &s) && flow_to(r, index + 1, &s);
}

/* ---- One block ---- */

static bool enter_at(struct reading *r, uint32_t offset, bool saved)
{
    struct state s = { .flags = saved ? FLAGS_OTHER : FLAGS_GUEST, .saved = saved, .record = NONE };
    unsigned line = offset < r->block->code_size ? r->line_at[offset] : NONE;
    return line != NONE ? flow_to(r, line, &s) : refuse(r, "an entry between instructions");
}

/* Links are in the order of their sites. */
static uint32_t links_before(const struct translator *t, uint32_t at)
{
    uint32_t low = 0, high = t->link_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->link[middle].site < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool block_sane(const struct reading *r)
{
    const struct translator *t = r->t;
    const struct soft_block *block = r->block;
    return block > t->block && block <= &t->block[t->block_count] && block->code >= t->common &&
           block->code_size > 0 && block->code_size < 65536 &&
           (uint64_t)block->code + block->code_size <= t->used && block->count <= SOFT_INSNS &&
           block->insns + block->count <= t->insn_count && (block->mode & MODE_VIEW) < SOFT_VIEWS &&
           block->entry_host != block->entry_saved;
}

static bool read_block(struct reading *r)
{
    r->why = "a block that makes no sense";
    if (!block_sane(r))
        return report(r, &r->line[r->count]);
    r->why = NULL;
    if (!read_lines(r) || !enter_at(r, r->block->entry_host, false) ||
        !enter_at(r, r->block->entry_saved, true))
        return report(r, &r->line[r->count]);
    while (r->lowest < r->count) {
        unsigned index = r->lowest++;
        if (!r->pending[index])
            continue;
        r->pending[index] = 0;
        if (!follow(r, index))
            return report(r, &r->line[index]);
    }
    return true;
}

bool verifier_block(const struct translator *t, const struct soft_block *block)
{
    struct reading *r = &reading;
    r->t = t;
    r->block = block;
    r->record = &t->insn[block->insns];
    r->code = t->write_view + block->code;
    r->tables = (uint32_t)(offsetof(struct soft_context, tables) +
                           (block->mode & MODE_VIEW) * sizeof(struct soft_tables));
    r->first_link = links_before(t, block->code);
    r->end_link = links_before(t, block->code + block->code_size);
    r->count = 0;
    r->lowest = LINES;
    memset(r->reached, 0, block->code_size < LINES ? block->code_size : LINES);
    memset(r->pending, 0, block->code_size < LINES ? block->code_size : LINES);
    blocks_read++;
    return read_block(r);
}

bool verifier_all(const struct translator *t)
{
    for (uint32_t i = 1; i <= t->block_count; i++) {
        if (!verifier_block(t, &t->block[i]))
            return false;
    }
    return true;
}
