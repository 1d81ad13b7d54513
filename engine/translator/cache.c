/* SPDX-License-Identifier: MIT */
/*
 * cache.c - blocks and the pages they lie in: found, and forgotten in time.
 */
#include "../allocator/access.h"
#include "../support.h"
#include "translator.h"

static unsigned hash(uint64_t value)
{
    return (unsigned)(value * 0x9e3779b97f4a7c15ull >> 40) & (SOFT_HASH - 1);
}

static unsigned block_hash(uint64_t rip, uint64_t frame, uint32_t mode)
{
    return hash(rip ^ frame << 7 ^ mode);
}

static unsigned frame_hash(uint64_t frame)
{
    return hash(frame >> 12);
}

/* Dropped blocks leave the chain here, so that code which is rewritten over and over does not make
 * it long. */
struct soft_block *block_find(struct translator *t, uint64_t rip, uint64_t frame, uint32_t mode)
{
    uint32_t *link = &t->hash[block_hash(rip, frame, mode)];
    while (*link) {
        struct soft_block *block = &t->block[*link];
        if (!block->valid)
            *link = block->next;
        else if (block->rip == rip && block->frame == frame && block->mode == mode)
            return block;
        else
            link = &block->next;
    }
    return NULL;
}

/* Writes to the frame are to be noticed from now on. */
void code_protect(struct vcpu *vcpu, uint64_t frame)
{
    struct guest_memory *memory = &vcpu->vm->memory;
    if (memory_has_code(memory, frame))
        return;
    __atomic_fetch_or(&memory->page_flags[frame >> 12], (uint8_t)PAGE_CODE, __ATOMIC_SEQ_CST);
    tlb_protect_frame(vcpu, frame);
    tables_protect(vcpu, (uint64_t)(uintptr_t)memory_host(memory, frame, 4096, false));
}

static void unprotect(struct vcpu *vcpu, uint64_t frame)
{
    __atomic_fetch_and(&vcpu->vm->memory.page_flags[frame >> 12], (uint8_t)~PAGE_CODE,
                       __ATOMIC_SEQ_CST);
}

void block_add(struct vcpu *vcpu, struct soft_block *block)
{
    struct translator *t = vcpu->translator;
    uint32_t number = (uint32_t)(block - t->block);
    uint32_t *slot = &t->hash[block_hash(block->rip, block->frame, block->mode)];
    block->next = *slot;
    *slot = number;
    slot = &t->page_hash[frame_hash(block->frame)];
    block->page_next = *slot;
    *slot = number;
    code_protect(vcpu, block->frame);
    if (block->second_number)
        code_protect(vcpu, block->second);
}

/* The block that a place in the code area belongs to. */
struct soft_block *block_of_code(struct translator *t, uint32_t at)
{
    uint32_t low = 1, high = t->block_count;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (t->block[middle].code <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return &t->block[low];
}

/* The number under which jumps know that `linear` is `frame`: given once, and never again after the
 * blocks of the frame have been dropped. 0: there are too many. */
uint32_t page_number(struct vcpu *vcpu, uint64_t linear, uint64_t frame)
{
    struct translator *t = vcpu->translator;
    uint32_t *head = &t->number_hash[frame_hash(frame)];
    for (uint32_t i = *head; i; i = t->page[i].next) {
        if (t->page[i].frame == frame && t->page[i].linear == linear)
            return t->page[i].number;
    }
    if (t->page_count + 1 >= ARRAY_SIZE(t->page) || t->last_page == UINT32_MAX)
        return 0;
    struct soft_page *page = &t->page[++t->page_count];
    *page = (struct soft_page){
        .linear = linear, .frame = frame, .number = ++t->last_page, .next = *head
    };
    *head = t->page_count;
    return page->number;
}

static void forget_numbers(struct vcpu *vcpu, uint64_t frame)
{
    struct translator *t = vcpu->translator;
    uint32_t *link = &t->number_hash[frame_hash(frame)];
    while (*link) {
        struct soft_page *page = &t->page[*link];
        if (page->frame == frame) {
            tables_forget_page(vcpu, page);
            *link = page->next;
        } else {
            link = &page->next;
        }
    }
}

void translator_page_written(void *context, uint64_t gpa)
{
    struct vcpu *vcpu = context;
    struct translator *t = vcpu->translator;
    uint64_t frame = gpa & ~4095ull;
    uint32_t *link = &t->page_hash[frame_hash(frame)];
    while (*link) {
        struct soft_block *block = &t->block[*link];
        if (block->frame == frame) {
            block->valid = 0;
            *link = block->page_next;
        } else {
            link = &block->page_next;
        }
    }
    forget_numbers(vcpu, frame);
    t->invalidations++;
    vcpu->statistics.pages_invalidated++;
    tables_blocks_dropped(vcpu);
    unprotect(vcpu, frame);
}

void translator_flush(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    for (uint32_t i = 1; i <= t->block_count; i++) {
        unprotect(vcpu, t->block[i].frame);
        if (t->block[i].second_number)
            unprotect(vcpu, t->block[i].second);
    }
    memset(t->hash, 0, sizeof(t->hash));
    memset(t->page_hash, 0, sizeof(t->page_hash));
    memset(t->number_hash, 0, sizeof(t->number_hash));
    t->block_count = t->insn_count = t->site_count = t->link_count = 0;
    t->page_count = t->step_count = 0;
    t->last_page = 0; /* no jump is left that knows a number */
    t->used = t->common;
    t->invalidations++;
    vcpu->statistics.cache_flushes++;
    tables_clear(vcpu);
}
