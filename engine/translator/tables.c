/* SPDX-License-Identifier: MIT */
/*
 * tables.c - what emitted code looks addresses up in: the inline TLB, the pages jumps go to, and
 * the table of computed jumps. All of it is a copy of something else and may be emptied at any time
 * between two entries of translated code.
 */
#include "translator.h"
#include "../support.h"

_Static_assert(SOFT_TLB >= 2 && SOFT_JUMPS >= 2, "never() needs a slot of another index");

/* A value for slot `index` that no address which is looked up there equals. */
static uint64_t never_page(unsigned index)
{
    return (uint64_t)(index ^ SOFT_TLB / 2) << 12;
}

static uint64_t never_rip(unsigned index)
{
    return index ^ SOFT_JUMPS / 2;
}

static struct soft_tables *tables_of(struct vcpu *vcpu, unsigned view)
{
    return &vcpu->translator->context->tables[view];
}

static struct soft_filled *filled_of(struct vcpu *vcpu, unsigned view)
{
    struct translator *t = vcpu->translator;
    return &t->space[t->current].filled[view];
}

/* ---- One space ---- */

static void space_init(struct translator *t, unsigned number)
{
    for (unsigned view = 0; view < SOFT_VIEWS; view++) {
        struct soft_tables *tables = &t->contexts[number].tables[view];
        for (unsigned i = 0; i < SOFT_TLB; i++)
            tables->entry[i].read = tables->entry[i].write = never_page(i);
        for (unsigned i = 0; i < SOFT_JUMPS; i++)
            tables->jump[i].rip = never_rip(i);
    }
    t->space[number].ready = true;
}

static void clear_jumps(struct translator *t, unsigned number, unsigned view)
{
    struct soft_filled *filled = &t->space[number].filled[view];
    struct soft_tables *tables = &t->contexts[number].tables[view];
    for (uint32_t i = 0; i < filled->jumps; i++)
        tables->jump[filled->jump[i]].rip = never_rip(filled->jump[i]);
    filled->jumps = 0;
    filled->all_jumps = false;
    memset(filled->jumps_to, 0, sizeof(filled->jumps_to));
}

static void clear_all_jumps(struct translator *t, unsigned number)
{
    for (unsigned view = 0; view < SOFT_VIEWS; view++)
        clear_jumps(t, number, view);
    t->space[number].stale_jumps = false;
}

static void view_clear_code(struct translator *t, unsigned number, unsigned view)
{
    struct soft_tables *tables = &t->contexts[number].tables[view];
    memset(tables->page, 0, sizeof(tables->page));
    clear_jumps(t, number, view);
    t->space[number].filled[view].local_code = false;
}

static void view_clear(struct translator *t, unsigned number, unsigned view)
{
    struct soft_filled *filled = &t->space[number].filled[view];
    struct soft_tables *tables = &t->contexts[number].tables[view];
    for (uint32_t i = 0; i < filled->entries; i++) {
        struct soft_entry *entry = &tables->entry[filled->entry[i]];
        entry->read = entry->write = never_page(filled->entry[i]);
    }
    filled->entries = 0;
    filled->all = false;
    memset(tables->stack, 0, sizeof(tables->stack));
    view_clear_code(t, number, view);
}

static void space_clear(struct translator *t, unsigned number)
{
    for (unsigned view = 0; view < SOFT_VIEWS && t->space[number].ready; view++)
        view_clear(t, number, view);
    t->space[number].stale_jumps = false;
}

/* Another address space takes this one over: what is global stays, if nobody else used the view. */
static void space_recycle(struct translator *t, unsigned number)
{
    struct soft_filled *filled = &t->space[number].filled[SOFT_KERNEL];
    struct soft_tables *tables = &t->contexts[number].tables[SOFT_KERNEL];
    for (uint32_t i = 0; i < filled->entries; i++) {
        struct soft_entry *entry = &tables->entry[filled->entry[i]];
        if (entry->local)
            entry->read = entry->write = never_page(filled->entry[i]);
    }
    memset(tables->stack, 0, sizeof(tables->stack));
    if (filled->local_code)
        view_clear_code(t, number, SOFT_KERNEL);
    view_clear(t, number, SOFT_USER);
    view_clear(t, number, SOFT_KERNEL_AC);
}

/* One linear page may mean another now. */
static void space_drop(struct translator *t, unsigned number, uint64_t page)
{
    uint64_t linear = page << 12;
    unsigned index = soft_tlb_index(linear);
    for (unsigned view = 0; view < SOFT_VIEWS; view++) {
        struct soft_tables *tables = &t->contexts[number].tables[view];
        struct soft_entry *entry = &tables->entry[index];
        if (entry->read == linear || entry->write == linear)
            entry->read = entry->write = never_page(index);
        for (unsigned write = 0; write < 2; write++) {
            if (tables->stack[write].page == linear)
                tables->stack[write] = (struct soft_stack){ 0, 0 };
        }
        if (t->space[number].filled[view].jumps_to[soft_page_index(linear)])
            clear_jumps(t, number, view);
        tables->page[soft_page_index(linear)] = 0;
    }
}

/* Takes out what the TLB has dropped since this space was current. */
static void space_drops(struct vcpu *vcpu, unsigned number)
{
    struct translator *t = vcpu->translator;
    struct soft_space *space = &t->space[number];
    const struct tlb *tlb = &vcpu->tlb;
    if (tlb->drops - space->drops > TLB_DROPS)
        space_clear(t, number);
    for (; tlb->drops - space->drops <= TLB_DROPS && space->drops != tlb->drops; space->drops++) {
        uint64_t page = tlb->dropped[space->drops % TLB_DROPS];
        if (page == TLB_DROPPED_ALL)
            space_clear(t, number);
        else
            space_drop(t, number, page);
    }
    space->drops = tlb->drops;
}

/* ---- All spaces ---- */

void tables_init(struct vcpu *vcpu)
{
    vcpu->translator->context = vcpu->translator->contexts;
    space_init(vcpu->translator, 0);
}

void tables_clear(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    for (unsigned i = 0; i < t->spaces; i++)
        space_clear(t, i);
    vcpu->statistics.table_clears++;
}

/* The others are put in order when they become current. */
void tables_blocks_dropped(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    for (unsigned i = 0; i < t->spaces; i++)
        t->space[i].stale_jumps = true;
    clear_all_jumps(t, t->current);
}

static void space_protect(struct translator *t, unsigned number, uint64_t host_page)
{
    for (unsigned view = 0; view < SOFT_VIEWS; view++) {
        struct soft_filled *filled = &t->space[number].filled[view];
        struct soft_tables *tables = &t->contexts[number].tables[view];
        for (uint32_t i = 0; i < filled->entries; i++) {
            struct soft_entry *entry = &tables->entry[filled->entry[i]];
            if (entry->host == host_page)
                entry->write = never_page(filled->entry[i]);
        }
        if (tables->stack[1].host == host_page)
            tables->stack[1] = (struct soft_stack){ 0, 0 };
    }
}

void tables_protect(struct vcpu *vcpu, uint64_t host_page)
{
    struct translator *t = vcpu->translator;
    for (unsigned i = 0; i < t->spaces; i++) {
        if (t->space[i].ready)
            space_protect(t, i, host_page);
    }
}

void tables_forget_page(struct vcpu *vcpu, const struct soft_page *page)
{
    struct translator *t = vcpu->translator;
    unsigned index = soft_page_index(page->linear);
    for (unsigned i = 0; i < t->spaces; i++) {
        for (unsigned view = 0; view < SOFT_VIEWS; view++) {
            uint32_t *slot = &t->contexts[i].tables[view].page[index];
            if (*slot == page->number)
                *slot = 0;
        }
    }
}

/* ---- Changing between them ---- */

static bool fits(const struct vcpu *vcpu, const struct soft_space *space)
{
    const struct tlb *tlb = &vcpu->tlb;
    return space->tag == tlb->tag && space->global == tlb->global_tag && space->epoch == tlb->epoch;
}

/* The space of the current address space, or the one unused for longest, emptied for it. */
static unsigned space_find(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    unsigned oldest = 0;
    for (unsigned i = 0; i < t->spaces; i++) {
        if (fits(vcpu, &t->space[i]))
            return i;
        if (t->space[i].used < t->space[oldest].used)
            oldest = i;
    }
    struct soft_space *space = &t->space[oldest];
    if (!space->ready)
        space_init(t, oldest);
    if (space->global == vcpu->tlb.global_tag && space->epoch == vcpu->tlb.epoch) {
        space_drops(vcpu, oldest);
        space_recycle(t, oldest);
    } else {
        space_clear(t, oldest);
    }
    vcpu->statistics.table_clears++;
    space->tag = vcpu->tlb.tag;
    space->global = vcpu->tlb.global_tag;
    space->epoch = vcpu->tlb.epoch;
    space->drops = vcpu->tlb.drops;
    return oldest;
}

static void space_select(struct vcpu *vcpu, unsigned number)
{
    struct translator *t = vcpu->translator;
    t->space[number].used = ++t->uses;
    if (number == t->current)
        return;
    memcpy(&t->contexts[number], t->context, offsetof(struct soft_context, tables));
    t->context = &t->contexts[number];
    t->current = number;
    __asm__ volatile("wrgsbase %0" : : "r"(t->context));
}

void tables_enter(struct vcpu *vcpu, uint32_t mode)
{
    struct translator *t = vcpu->translator;
    const struct vcpu_registers *r = &vcpu->r;
    /* Everything permissions depend on but the view. */
    const struct soft_rights now = { r->cr0, r->cr4, r->efer, r->pkru };
    unsigned view = mode & MODE_VIEW;
    if (!fits(vcpu, &t->space[t->current]))
        space_select(vcpu, space_find(vcpu));
    struct soft_space *space = &t->space[t->current];
    if (space->drops != vcpu->tlb.drops)
        space_drops(vcpu, t->current);
    if (space->rights.cr0 != now.cr0 || space->rights.cr4 != now.cr4 ||
        space->rights.efer != now.efer || space->rights.pkru != now.pkru) {
        space_clear(t, t->current);
        space->rights = now;
    }
    if (space->stale_jumps)
        clear_all_jumps(t, t->current);
    if (space->jump_mode[view] != mode)
        clear_jumps(t, t->current, view);
    space->jump_mode[view] = mode;
}

/* ---- Filling ---- */

static bool is_global(const struct vcpu *vcpu, uint64_t linear)
{
    const struct tlb *tlb = &vcpu->tlb;
    const struct tlb_entry *entry = &tlb->entry[tlb_index(linear >> 12)];
    return tlb_matches(tlb, entry, linear >> 12) && entry->tag == tlb->global_tag;
}

/* An index may come twice. When the list is full it becomes the list of all. */
static void note_filled(struct soft_filled *filled, unsigned index)
{
    if (filled->all)
        return;
    if (filled->entries == SOFT_TLB) {
        filled->all = true;
        for (unsigned i = 0; i < SOFT_TLB; i++)
            filled->entry[i] = (uint16_t)i;
        return;
    }
    filled->entry[filled->entries++] = (uint16_t)index;
}

void tables_fill_entry(struct vcpu *vcpu, unsigned view, uint64_t linear, uint64_t host, bool write)
{
    struct soft_filled *filled = filled_of(vcpu, view);
    struct soft_tables *tables = tables_of(vcpu, view);
    unsigned index = soft_tlb_index(linear);
    struct soft_entry *entry = &tables->entry[index];
    if (entry->read == never_page(index) && entry->write == never_page(index))
        note_filled(filled, index);
    /* One host address serves both: whoever was there for another page must go. */
    if (entry->read != linear)
        entry->read = never_page(index);
    if (entry->write != linear)
        entry->write = never_page(index);
    entry->host = host;
    entry->local = !is_global(vcpu, linear);
    if (write)
        entry->write = linear;
    entry->read = linear; /* what may be written may be read */
}

static void note_jump(struct soft_filled *filled, unsigned index)
{
    if (filled->all_jumps)
        return;
    if (filled->jumps == SOFT_JUMPS) {
        filled->all_jumps = true;
        for (unsigned i = 0; i < SOFT_JUMPS; i++)
            filled->jump[i] = (uint16_t)i;
        return;
    }
    filled->jump[filled->jumps++] = (uint16_t)index;
}

void tables_fill_jump(struct vcpu *vcpu, const struct soft_block *block)
{
    struct translator *t = vcpu->translator;
    unsigned view = block->mode & MODE_VIEW, index = soft_jump_index(block->rip);
    struct soft_filled *filled = filled_of(vcpu, view);
    struct soft_jump *jump = &tables_of(vcpu, view)->jump[index];
    /* An index may come twice (tables_forget_jump); the list then may become that of all. */
    if (jump->rip == never_rip(index))
        note_jump(filled, index);
    filled->jumps_to[soft_page_index(block->rip)] = true;
    filled->local_code |= !is_global(vcpu, block->rip);
    jump->rip = block->rip;
    jump->code = (uint64_t)(uintptr_t)(t->code + block->code + block->entry_saved);
}

void tables_fill_page(struct vcpu *vcpu, unsigned view, uint64_t linear, uint32_t number)
{
    tables_of(vcpu, view)->page[soft_page_index(linear)] = number;
    filled_of(vcpu, view)->local_code |= !is_global(vcpu, linear);
}

void tables_forget_jump(struct vcpu *vcpu, const struct soft_block *block)
{
    unsigned index = soft_jump_index(block->rip);
    struct soft_jump *jump = &tables_of(vcpu, block->mode & MODE_VIEW)->jump[index];
    if (jump->rip == block->rip)
        jump->rip = never_rip(index);
}
