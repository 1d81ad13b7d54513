/* SPDX-License-Identifier: MIT */
/*
 * run.c - running translated code: finding blocks, answering their exits, and forgetting them in
 * time.
 */
#include "translator.h"
#include "../interpreter/interpreter.h"
#include "../step/stub.h"
#include "../support.h"

_Static_assert(SOFT_TLB >= 4 && SOFT_JUMPS >= 2, "never() needs a slot that is not a neighbour");

/* A value for a table slot that no address with this slot's index bits can match: minus an address
 * of another slot. Of the TLB's not the next one, where an access that crosses a page would end. */
static uint64_t never(unsigned index, unsigned shift, unsigned entries)
{
    return 0 - ((uint64_t)((index + entries / 2) & (entries - 1)) << shift);
}

static void jumps_clear(struct soft_tables *tables)
{
    for (unsigned i = 0; i < SOFT_JUMPS; i++)
        tables->jump[i] = never(i, 0, SOFT_JUMPS);
}

static void tables_clear(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    for (unsigned view = 0; view < SOFT_VIEWS; view++) {
        struct soft_tables *tables = &t->context->tables[view];
        for (unsigned i = 0; i < SOFT_TLB; i++)
            tables->read[i] = tables->write[i] = never(i, 12, SOFT_TLB);
        jumps_clear(tables);
    }
    vcpu->statistics.table_clears++;
}

static bool host_has_bmi2(void)
{
    uint32_t eax = 7, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ebx >> 8 & 1;
}

int translator_init(struct translator *t, struct vcpu *vcpu)
{
    struct soft_context *context = t->context;
    if (!host_has_bmi2() || vcpu->vm->memory.page_flags == NULL)
        return -EOPNOTSUPP;
    context->registers = vcpu->r.gpr;
    context->mask_index = (uint64_t)(SOFT_TLB - 1) << 12;
    context->mask_page = ~4095ull;
    context->mask_sign = 1ull << 63;
    context->mask_jump = SOFT_JUMPS - 1;
    context->mask_high = 0xffff800000000000ull;
    vcpu->translator = t;
    emit_common(t);
    tables_clear(vcpu);
    vcpu->vm->memory.code_written = translator_page_written;
    vcpu->vm->memory.code_context = vcpu;
    return 0;
}

/* ---- Blocks ---- */

static unsigned block_hash(uint64_t rip, uint64_t frame, uint32_t mode)
{
    uint64_t h = (rip ^ frame << 7 ^ mode) * 0x9e3779b97f4a7c15ull;
    return (unsigned)(h >> 40) & (SOFT_HASH - 1);
}

static unsigned page_hash(uint64_t frame)
{
    return (unsigned)((frame >> 12) * 0x9e3779b1u) & (SOFT_HASH - 1);
}

/* Dropped blocks leave the chain here, so that code which is rewritten over and over does not make
 * it long. */
static struct soft_block *block_find(struct translator *t, uint64_t rip, uint64_t frame,
                                     uint32_t mode)
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

static void block_add(struct vcpu *vcpu, struct soft_block *block)
{
    struct translator *t = vcpu->translator;
    struct guest_memory *memory = &vcpu->vm->memory;
    uint32_t number = (uint32_t)(block - t->block);
    uint32_t *slot = &t->hash[block_hash(block->rip, block->frame, block->mode)];
    block->next = *slot;
    *slot = number;
    slot = &t->page_hash[page_hash(block->frame)];
    block->page_next = *slot;
    *slot = number;
    if (memory_has_code(memory, block->frame))
        return;
    __atomic_fetch_or(&memory->page_flags[block->frame >> 12], (uint8_t)PAGE_CODE,
                      __ATOMIC_SEQ_CST);
    tlb_protect_frame(vcpu, block->frame);
    uint64_t host = (uint64_t)(uintptr_t)memory_host(memory, block->frame, 4096, false);
    for (unsigned view = 0; view < SOFT_VIEWS; view++) {
        struct soft_tables *tables = &t->context->tables[view];
        for (unsigned i = 0; i < SOFT_TLB; i++) {
            if (tables->host[i] == host)
                tables->write[i] = never(i, 12, SOFT_TLB);
        }
    }
}

void translator_page_written(void *context, uint64_t gpa)
{
    struct vcpu *vcpu = context;
    struct translator *t = vcpu->translator;
    uint64_t frame = gpa & ~4095ull;
    uint32_t *link = &t->page_hash[page_hash(frame)];
    while (*link) {
        struct soft_block *block = &t->block[*link];
        if (block->frame == frame) {
            block->valid = 0;
            *link = block->page_next;
        } else {
            link = &block->page_next;
        }
    }
    t->invalidations++;
    vcpu->statistics.pages_invalidated++;
    for (unsigned view = 0; view < SOFT_VIEWS; view++)
        jumps_clear(&t->context->tables[view]);
    __atomic_fetch_and(&vcpu->vm->memory.page_flags[frame >> 12], (uint8_t)~PAGE_CODE,
                       __ATOMIC_SEQ_CST);
}

void translator_flush(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    for (uint32_t i = 1; i <= t->block_count; i++)
        __atomic_fetch_and(&vcpu->vm->memory.page_flags[t->block[i].frame >> 12],
                           (uint8_t)~PAGE_CODE, __ATOMIC_SEQ_CST);
    memset(t->hash, 0, sizeof(t->hash));
    memset(t->page_hash, 0, sizeof(t->page_hash));
    t->block_count = t->insn_count = 0;
    t->used = t->common;
    t->invalidations++;
    vcpu->statistics.cache_flushes++;
    tables_clear(vcpu);
}

/* ---- Mode ---- */

static bool flat(const struct segment_register *segment)
{
    return segment->base == 0 && segment->limit == 0xffffffffu && !segment->unusable;
}

/* Readable, writable, growing upwards: no access through it can fault by its segment. */
static bool flat_data(const struct segment_register *segment)
{
    return flat(segment) && (segment->rights & 0x1e) == 0x12;
}

bool translator_possible(const struct vcpu *vcpu)
{
    const struct vcpu_registers *r = &vcpu->r;
    if (vcpu->code_size == 16 || !(r->cr0 & CR0_PE) || (r->rflags & (FLAG_VM | FLAG_TF | FLAG_RF)))
        return false;
    if ((r->rflags & FLAG_AC) && (r->cr0 & CR0_AM) && r->cpl == 3)
        return false;
    if (vcpu->data_breakpoints || (r->dr[7] & 0xff) || r->interrupt_shadow || vcpu->debug_pending)
        return false;
    if (vcpu->long_code)
        return true;
    return vcpu->stack_size == 4 && flat(&r->segment[SEGMENT_CS]) &&
           flat_data(&r->segment[SEGMENT_DS]) && flat_data(&r->segment[SEGMENT_ES]) &&
           flat_data(&r->segment[SEGMENT_SS]);
}

static uint32_t mode_of(const struct vcpu *vcpu)
{
    const struct vcpu_registers *r = &vcpu->r;
    uint32_t mode = r->cpl == 3 ? SOFT_USER : r->rflags & FLAG_AC ? SOFT_KERNEL_AC : SOFT_KERNEL;
    mode |= vcpu->long_code ? MODE_WIDE : 0;
    if (r->cr0 & CR0_TS)
        return mode;
    if (!(r->cr0 & CR0_EM) && (r->cr4 & CR4_OSFXSR) && (r->cr4 & CR4_OSXMMEXCPT))
        mode |= MODE_SSE;
    if ((r->cr4 & CR4_OSXSAVE) && (r->xcr0 & 6) == 6 && (r->cr4 & CR4_OSXMMEXCPT)) {
        mode |= MODE_AVX;
        if ((r->xcr0 & XCR0_AVX512) == XCR0_AVX512)
            mode |= MODE_AVX512;
    }
    return mode;
}

/* Address translations may have changed since translated code last ran; or the jump table of this
 * view leads to code for another mode. */
static void tables_check(struct vcpu *vcpu, uint32_t mode)
{
    struct translator *t = vcpu->translator;
    const struct vcpu_registers *r = &vcpu->r;
    /* Everything permissions depend on but the view. */
    const struct soft_rights now = { r->cr0, r->cr4, r->efer, r->pkru };
    uint32_t *jump_mode = &t->jump_mode[mode & MODE_VIEW];
    if (*jump_mode != mode)
        jumps_clear(&t->context->tables[mode & MODE_VIEW]);
    *jump_mode = mode;
    if (t->seen_flushes == vcpu->tlb.flushes && t->seen_tag == vcpu->tlb.tag &&
        memcmp(&t->seen_rights, &now, sizeof(now)) == 0)
        return;
    t->seen_flushes = vcpu->tlb.flushes;
    t->seen_tag = vcpu->tlb.tag;
    t->seen_rights = now;
    tables_clear(vcpu);
}

/* ---- Finding the next block ---- */

static struct soft_block *block_at(struct vcpu *vcpu, uint64_t rip, uint32_t mode)
{
    struct translator *t = vcpu->translator;
    struct translation page;
    uint64_t start = rip & ~4095ull;
    if (vcpu->long_code && !address_canonical(rip))
        return NULL;
    if (linear_translate(vcpu, start, ACCESS_FETCH, &page) || page.host == NULL)
        return NULL; /* the Step tier reports the fault */
    struct soft_block *block = block_find(t, rip, page.gpa, mode);
    if (block)
        return block;
    if (page.gpa >> 12 >= vcpu->vm->memory.page_flags_count)
        return NULL;
    block = translate_block(vcpu, rip, page.gpa, page.host, mode);
    if (block) {
        block_add(vcpu, block);
        stub_serialize(); /* its code was written through the other view */
    }
    return block;
}

/* Which instruction of which block a host address belongs to. */
static struct soft_block *block_of_code(struct translator *t, uint32_t at)
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

static unsigned insn_of_code(const struct translator *t, const struct soft_block *block,
                             uint32_t at)
{
    const struct soft_insn *records = &t->insn[block->insns];
    unsigned i = 0;
    while (i + 1 < block->count && block->code + records[i + 1].host <= at)
        i++;
    return i;
}

/* Execution stops before instruction `index` of the block: give back the count, set RIP. */
static void back_out(struct vcpu *vcpu, const struct soft_block *block, unsigned index)
{
    struct translator *t = vcpu->translator;
    t->context->left += block->count - index;
    vcpu->r.rip = block->rip + t->insn[block->insns + index].guest;
}

/* ---- Exits ---- */

/* An inline TLB miss. True: resume; false: this instruction is for the Step tier. */
static bool slow_access(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    struct soft_context *context = t->context;
    uint64_t address = context->slow_address;
    unsigned size = (unsigned)(context->info >> 8) & 0xff;
    bool write = context->info >> 16 & 1;
    uint32_t before = t->invalidations;
    struct translation page;
    vcpu->statistics.inline_misses++;
    unsigned alignment = (unsigned)(context->info >> 24) & 0xff;
    if ((address & 4095) + size > 4096 || (address & alignment))
        return false; /* misaligned: faults without a trace in the page tables */
    if (linear_translate(vcpu, address, write ? ACCESS_WRITE : ACCESS_READ, &page) ||
        page.host == NULL)
        return false;
    if (t->invalidations != before)
        return false; /* perhaps this very block: carry the write out, then look again */
    uint32_t mode = mode_of(vcpu);
    tables_check(vcpu, mode);
    unsigned view = mode & MODE_VIEW;
    unsigned index = (unsigned)(address >> 12) & (SOFT_TLB - 1);
    struct soft_tables *tables = &context->tables[view];
    uint64_t tag = 0 - (address & ~4095ull);
    uint64_t host = (uint64_t)(uintptr_t)page.host & ~4095ull;
    /* One host address serves both tables: whoever was there for other pages must go. */
    if (tables->read[index] != tag)
        tables->read[index] = never(index, 12, SOFT_TLB);
    if (tables->write[index] != tag)
        tables->write[index] = never(index, 12, SOFT_TLB);
    tables->host[index] = host;
    if (write)
        tables->write[index] = tag;
    else
        tables->read[index] = tag;
    return true;
}

static void enter(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    struct soft_context *context = t->context;
    struct vcpu_registers *r = &vcpu->r;
    const uint64_t host_flags = FLAG_ARITHMETIC | FLAG_DF;
    void (*code)(void) = (void (*)(void))(uintptr_t)(t->code + t->enter);
    context->flags = (r->rflags & host_flags) | FLAG_IF | FLAG_ONE;
    context->r10 = r->gpr[REGISTER_R10];
    context->r11 = r->gpr[REGISTER_R11];
    context->fs_base = r->segment[SEGMENT_FS].base;
    context->gs_base = r->segment[SEGMENT_GS].base;
    host_vector_enter(vcpu->stubs);
    code();
    host_vector_leave(vcpu->stubs);
    r->rflags = (r->rflags & ~host_flags) | (context->flags & host_flags);
    r->gpr[REGISTER_R10] = context->r10;
    r->gpr[REGISTER_R11] = context->r11;
}

static void jump_fill(struct translator *t, const struct soft_block *block)
{
    struct soft_tables *tables = &t->context->tables[block->mode & MODE_VIEW];
    unsigned index = (unsigned)block->rip & (SOFT_JUMPS - 1);
    tables->jump[index] = 0 - block->rip;
    tables->code[index] = (uint64_t)(uintptr_t)(t->code + block->code);
}

/* Only within a frame: what holds blocks of one frame together is that they are dropped together.
 * The same page may mean another frame by now if the guest has not yet flushed its TLB. */
static void chain(struct translator *t, uint32_t site, const struct soft_block *block)
{
    if (block_of_code(t, site)->frame != block->frame)
        return;
    uint32_t distance = block->code - (site + 4);
    __atomic_store_n((uint32_t *)(void *)(t->write_view + site), distance, __ATOMIC_RELAXED);
    stub_serialize();
}

/* Runs from `block` until an exit. True: r.rip is a new place to look up; false: step there. */
static bool run_from(struct vcpu *vcpu, struct soft_block *block)
{
    struct translator *t = vcpu->translator;
    struct soft_context *context = t->context;
    context->resume = (uint64_t)(uintptr_t)(t->code + block->code);
    for (;;) {
        enter(vcpu);
        switch (context->reason) {
        case SOFT_EXIT_SLOW: {
            uint32_t at = (uint32_t)(context->resume - (uint64_t)(uintptr_t)t->code);
            block = block_of_code(t, at);
            if (slow_access(vcpu))
                continue;
            back_out(vcpu, block, context->info & 0xff);
            return false;
        }
        case SOFT_EXIT_UNDO:
            block = block_of_code(t, (uint32_t)context->chain_site);
            back_out(vcpu, block, context->info & 0xff);
            return false;
        case SOFT_EXIT_FAULT: {
            uint32_t at = (uint32_t)(context->fault_ip - (uint64_t)(uintptr_t)t->code);
            vcpu->statistics.soft_faults++;
            block = block_of_code(t, at);
            back_out(vcpu, block, insn_of_code(t, block, at));
            return false;
        }
        case SOFT_EXIT_STEP:
            vcpu->r.rip = context->exit_rip;
            vcpu->statistics.soft_steps++;
            return false;
        default:
            vcpu->r.rip = context->exit_rip;
            return true;
        }
    }
}

int translator_run(struct vcpu *vcpu, uint64_t end)
{
    struct translator *t = vcpu->translator;
    struct soft_context *context = t->context;
    uint64_t limit = end - vcpu->instructions;
    uint32_t mode = mode_of(vcpu);
    if (limit > SOFT_RUN)
        limit = SOFT_RUN;
    if (vcpu->boundary_check > vcpu->instructions &&
        limit > vcpu->boundary_check - vcpu->instructions)
        limit = vcpu->boundary_check - vcpu->instructions;
    tables_check(vcpu, mode);
    struct soft_block *block = block_at(vcpu, vcpu->r.rip, mode);
    if (block == NULL || block->count > limit)
        return 1;
    jump_fill(t, block);
    context->left = limit;
    bool step;
    for (;;) {
        uint32_t before = t->invalidations;
        step = !run_from(vcpu, block);
        if (step || context->reason == SOFT_EXIT_BUDGET)
            break;
        uint64_t reason = context->reason, site = context->chain_site;
        vcpu->statistics.jump_misses++;
        block = block_at(vcpu, vcpu->r.rip, mode);
        step = block == NULL;
        if (step)
            break;
        /* A flush of the cache may have moved everything: the site is then no more. */
        if (t->invalidations != before)
            continue;
        if (reason == SOFT_EXIT_CHAIN)
            chain(t, (uint32_t)site, block);
        else
            jump_fill(t, block);
    }
    uint64_t done = limit - context->left;
    vcpu->instructions += done;
    vcpu->statistics.direct += done;
    /* With nothing left, events come before the next instruction. */
    return step && context->left ? 1 : 0;
}
