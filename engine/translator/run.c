/* SPDX-License-Identifier: MIT */
/*
 * run.c - running translated code, and answering its exits.
 */
#include "translator.h"
#include "../dispatcher/dispatcher.h"
#include "../interpreter/interpreter.h"
#include "../step/stub.h"
#include "../support.h"

static bool host_has_lahf(void)
{
    uint32_t eax = 0x80000001, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx & 1;
}

/* ---- Blocks ---- */

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
    vcpu->r.rip = block->rip + (index ? t->insn[block->insns + index].guest : 0);
}

/* ---- In and out ---- */

#define HOST_FLAGS (uint64_t)(FLAG_ARITHMETIC | FLAG_DF)

static uint64_t flags_pack(uint64_t rflags)
{
    return (rflags & 0xd5) << 8 | (rflags >> 11 & 1);
}

static uint64_t flags_unpack(uint64_t packed)
{
    return (packed >> 8 & 0xd5) | (packed & 1) << 11;
}

static void load_state(struct vcpu *vcpu)
{
    struct soft_context *context = vcpu->translator->context;
    const struct vcpu_registers *r = &vcpu->r;
    context->flags = r->rflags & FLAG_DF;
    context->saved_flags = flags_pack(r->rflags);
    context->r10 = r->gpr[REGISTER_R10];
    context->r11 = r->gpr[REGISTER_R11];
    context->fs_base = r->segment[SEGMENT_FS].base;
    context->gs_base = r->segment[SEGMENT_GS].base;
}

static void store_state(struct vcpu *vcpu, bool saved)
{
    const struct soft_context *context = vcpu->translator->context;
    struct vcpu_registers *r = &vcpu->r;
    uint64_t arithmetic =
        saved ? flags_unpack(context->saved_flags) : context->flags & FLAG_ARITHMETIC;
    r->rflags = (r->rflags & ~HOST_FLAGS) | arithmetic | (context->flags & FLAG_DF);
    r->gpr[REGISTER_R10] = context->r10;
    r->gpr[REGISTER_R11] = context->r11;
}

static void enter(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    void (*code)(void) = (void (*)(void))(uintptr_t)(t->code + t->enter);
    if (t->written)
        stub_serialize();
    t->written = false;
    host_vector_enter(vcpu->stubs);
    code();
    host_vector_leave(vcpu->stubs);
}

/* RDGSBASE, which CPUID may show although the kernel does not allow it: the signal handler then
 * leads out. */
static bool host_has_fsgsbase(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    t->context->resume = (uint64_t)(uintptr_t)(t->code + t->probe);
    t->written = true;
    enter(vcpu);
    return (t->context->reason & ~(uint64_t)SOFT_EXIT_SAVED) != SOFT_EXIT_FAULT;
}

int translator_init(struct translator *t, struct vcpu *vcpu)
{
    if (!host_has_lahf() || vcpu->vm->memory.page_flags == NULL)
        return -EOPNOTSUPP;
    t->context = t->contexts;
    t->context->registers = vcpu->r.gpr;
    vcpu->translator = t;
    emit_common(t);
    t->spaces = host_has_fsgsbase(vcpu) ? SOFT_SPACES : 1;
    tables_init(vcpu);
    vcpu->vm->memory.code_written = translator_page_written;
    vcpu->vm->memory.code_context = vcpu;
    return 0;
}

/* ---- Exits ---- */

/* A masked operand whose elements may all be masked off is not accessed: it may be looked up only
 * if that leaves no trace. */
static int translate_operand(struct vcpu *vcpu, uint64_t address, const struct soft_site *site,
                             struct translation *page)
{
    const struct tlb *tlb = &vcpu->tlb;
    unsigned access = site->write ? ACCESS_WRITE : ACCESS_READ;
    const struct tlb_entry *entry = &tlb->entry[tlb_index(address >> 12)];
    if (site->masked && (!tlb_matches(tlb, entry, address >> 12) ||
                         !tlb_permits(tlb, entry, access_view(vcpu, access))))
        return -EFAULT;
    return linear_translate(vcpu, address, access, page);
}

/* May the page be written too, without a trace in the page tables? */
static bool writable(const struct vcpu *vcpu, uint64_t address)
{
    const struct tlb *tlb = &vcpu->tlb;
    const struct tlb_entry *entry = &tlb->entry[tlb_index(address >> 12)];
    return tlb_matches(tlb, entry, address >> 12) &&
           tlb_permits(tlb, entry, access_view(vcpu, ACCESS_WRITE));
}

/* An inline TLB miss. True: resume; false: this instruction is for the Step tier. */
static bool slow_access(struct vcpu *vcpu, const struct soft_site *site)
{
    struct translator *t = vcpu->translator;
    uint64_t address = t->context->slow_address;
    uint32_t before = t->invalidations;
    struct translation page;
    vcpu->statistics.inline_misses++;
    if ((address & 4095) + site->size > 4096 || (address & site->alignment))
        return false; /* misaligned: faults without a trace in the page tables */
    if (translate_operand(vcpu, address, site, &page) || page.host == NULL)
        return false;
    if (t->invalidations != before)
        return false; /* perhaps this very block: carry the write out, then look again */
    tables_enter(vcpu, translator_mode(vcpu)); /* the walk may have dropped something */
    tables_fill_entry(vcpu, t->view, address & ~4095ull, (uint64_t)(uintptr_t)page.host & ~4095ull,
                      site->write || writable(vcpu, address));
    return true;
}

static void patch(struct translator *t, uint32_t at, uint32_t value)
{
    __atomic_store_n((uint32_t *)(void *)(t->write_view + at), value, __ATOMIC_RELAXED);
}

/* The jump at `link` leads straight to `block` from now on. Within the page only if it still is the
 * same frame: the guest may not have flushed its TLB yet. What holds blocks of one frame together
 * is that they are dropped together. */
static void chain(struct vcpu *vcpu, const struct soft_link *link, const struct soft_block *block)
{
    struct translator *t = vcpu->translator;
    uint32_t entry = block->code + (link->saved ? block->entry_saved : block->entry_host);
    if (link->check) {
        uint64_t linear = block->rip & ~4095ull;
        uint32_t number = page_number(vcpu, linear, block->frame);
        if (number == 0)
            return;
        tables_fill_page(vcpu, block->mode & MODE_VIEW, linear, number);
        patch(t, link->check, number);
    } else if (block_of_code(t, link->site)->frame != block->frame) {
        return;
    }
    patch(t, link->site, entry - (link->site + 4));
    t->written = true;
}

/* A near return or indirect jump whose target is not in the table. False: it faults. */
static bool computed(struct vcpu *vcpu, const struct soft_link *link)
{
    struct translator *t = vcpu->translator;
    uint64_t target = t->context->exit_rip, *rsp = &vcpu->r.gpr[REGISTER_RSP];
    if (vcpu->long_code && !address_canonical(target)) {
        const struct soft_block *block = block_of_code(t, link->site);
        back_out(vcpu, block, block->count - 1u);
        return false;
    }
    if (link->pop)
        *rsp = vcpu->long_code ? *rsp + link->pop : (uint32_t)(*rsp + link->pop);
    vcpu->r.rip = target;
    return true;
}

/* ---- What comes next ---- */

enum next {
    NEXT_CODE,  /* translated code at context->resume */
    NEXT_LOOK,  /* r.rip is a new place to look up */
    NEXT_KNOWN, /* an instruction for an interpreter: *insn */
    NEXT_STEP,  /* an instruction for the Step tier */
    NEXT_BUDGET /* the instructions that were allowed are used up */
};

static enum next known(struct vcpu *vcpu, uint32_t step, const struct instruction **insn)
{
    *insn = &vcpu->translator->step[step];
    return step ? NEXT_KNOWN : NEXT_STEP;
}

/* What to do at r.rip; `link` is the jump that led there, or NULL. */
static enum next look_up(struct vcpu *vcpu, uint32_t mode, const struct soft_link *link,
                         const struct instruction **insn)
{
    struct translator *t = vcpu->translator;
    uint64_t rip = vcpu->r.rip;
    const struct soft_jump *jump = &t->context->tables[mode & MODE_VIEW].jump[soft_jump_index(rip)];
    if (link == NULL && jump->rip == rip) {
        t->context->resume = jump->code;
        return NEXT_CODE;
    }
    uint32_t before = t->invalidations;
    vcpu->statistics.jump_misses++;
    const struct soft_block *block = block_at(vcpu, rip, mode);
    if (block == NULL)
        return NEXT_STEP;
    /* A flush of the cache may have moved everything: the link is then no more. */
    if (link && t->invalidations == before)
        chain(vcpu, link, block);
    else if (link == NULL)
        tables_fill_jump(vcpu, block);
    if (block->count == 0)
        return known(vcpu, block->step, insn);
    t->context->resume = (uint64_t)(uintptr_t)(t->code + block->code + block->entry_saved);
    return NEXT_CODE;
}

/* Runs from context->resume until an exit that has to be answered here. */
static void run_code(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    struct soft_context *context = t->context;
    load_state(vcpu);
    for (;;) {
        enter(vcpu);
        if (context->reason != (SOFT_EXIT_SLOW | SOFT_EXIT_SAVED))
            return;
        const struct soft_site *site = &t->site[context->info];
        if (!slow_access(vcpu, site))
            return;
        context->resume = (uint64_t)(uintptr_t)(t->code + site->retry);
    }
}

/* The instruction that raised an exception is carried out again, by Step. */
static enum next faulted(struct vcpu *vcpu)
{
    struct translator *t = vcpu->translator;
    uint32_t at = (uint32_t)(t->context->fault_ip - (uint64_t)(uintptr_t)t->code);
    const struct soft_block *block = block_of_code(t, at);
    unsigned index = insn_of_code(t, block, at);
    vcpu->statistics.soft_faults++;
    store_state(vcpu, t->insn[block->insns + index].saved);
    back_out(vcpu, block, index);
    return NEXT_STEP;
}

/* Runs translated code. *link: the jump that leads to r.rip, if it may be patched. */
static enum next run(struct vcpu *vcpu, const struct soft_link **link,
                     const struct instruction **insn)
{
    struct translator *t = vcpu->translator;
    struct soft_context *context = t->context;
    run_code(vcpu);
    uint32_t reason = (uint32_t)context->reason & ~SOFT_EXIT_SAVED;
    uint64_t info = context->info;
    if (reason == SOFT_EXIT_FAULT)
        return faulted(vcpu);
    store_state(vcpu, context->reason & SOFT_EXIT_SAVED);
    switch (reason) {
    case SOFT_EXIT_SLOW:
    case SOFT_EXIT_UNDO:
        back_out(vcpu, block_of_code(t, t->site[info].retry), t->site[info].insn);
        return NEXT_STEP;
    case SOFT_EXIT_STEP:
        vcpu->r.rip = t->link[info].target;
        vcpu->statistics.soft_steps++;
        return known(vcpu, t->link[info].step, insn);
    case SOFT_EXIT_AGAIN:
        back_out(vcpu, &t->block[info], 0);
        tables_forget_jump(vcpu, &t->block[info]);
        return NEXT_LOOK;
    case SOFT_EXIT_BUDGET:
        back_out(vcpu, &t->block[info], 0);
        return NEXT_BUDGET;
    case SOFT_EXIT_LOOKUP:
        return computed(vcpu, &t->link[info]) ? NEXT_LOOK : NEXT_STEP;
    default:
        *link = &t->link[info];
        vcpu->r.rip = (*link)->target;
        return NEXT_LOOK;
    }
}

/* ---- The loop ---- */

/* How many instructions may run before somebody looks at the timers. A run that counts
 * instructions stops exactly there; otherwise a block more or less does not matter. */
static uint64_t run_limit(const struct vcpu *vcpu, uint64_t end)
{
    uint64_t limit = end - vcpu->instructions, check = SOFT_RUN;
    if (vcpu->boundary_check > vcpu->instructions)
        check = vcpu->boundary_check - vcpu->instructions;
    if (check > SOFT_RUN)
        check = SOFT_RUN;
    if (check < SOFT_INSNS && vcpu->vm->clock.mode != CLOCK_INSTRUCTIONS)
        check = SOFT_INSNS;
    return limit < check ? limit : check;
}

/* The mode has perhaps changed: makes the tables fit it. */
static uint32_t mode_enter(struct vcpu *vcpu)
{
    uint32_t mode = translator_mode(vcpu);
    vcpu->translator->view = mode & MODE_VIEW;
    tables_enter(vcpu, mode);
    return mode;
}

/* Counts what has run; `left` are still allowed. */
static void settle(struct vcpu *vcpu, uint64_t *limit)
{
    uint64_t done = *limit - vcpu->translator->context->left;
    vcpu->instructions += done;
    vcpu->statistics.direct += done;
    *limit -= done;
}

/* STI with nothing to be let in: if the next instruction runs as well, its shadow makes no
 * difference, and the boundary need not be looked at. */
static bool quiet_sti(struct vcpu *vcpu, const struct instruction *insn, uint64_t left)
{
    struct vcpu_registers *r = &vcpu->r;
    if (insn->row->interpreter != INTERPRET_sti || r->cpl != 0 || left < 2 || vcpu->nmi_pending)
        return false;
    r->rflags |= FLAG_IF;
    if (controllers_pending(vcpu)) {
        r->rflags &= ~(uint64_t)FLAG_IF;
        return false;
    }
    return true;
}

static int interpret(struct vcpu *vcpu, const struct instruction *insn, uint64_t *limit)
{
    uint64_t left = (*limit)--;
    vcpu->translator->context->left = *limit;
    if (!quiet_sti(vcpu, insn, left))
        return dispatch_known(vcpu, insn);
    vcpu->instructions++;
    vcpu->r.rip = (vcpu->r.rip + insn->length) & vcpu->rip_mask;
    vcpu->translator->shadowed = vcpu->instructions;
    vcpu->statistics.interpreted[INTERPRET_sti]++;
    vcpu->statistics.interpreted_class[insn->row->class]++;
    return BOUNDARY_GO;
}

/* Is there something to look at before the next instruction? A timer that an instruction has set
 * may be nearer than the end of what was allowed. */
static bool wanted(const struct vcpu *vcpu)
{
    return (__atomic_load_n(&vcpu->attention, __ATOMIC_RELAXED) |
            __atomic_load_n(vcpu->kick, __ATOMIC_RELAXED)) != 0 ||
           vcpu->instructions >= vcpu->boundary_check;
}

static int run_all(struct vcpu *vcpu, uint64_t end)
{
    struct translator *t = vcpu->translator;
    const struct soft_link *link = NULL;
    const struct instruction *insn;
    uint32_t mode = mode_enter(vcpu);
    uint64_t limit = run_limit(vcpu, end), begin = vcpu->instructions;
    t->context->left = limit;
    for (;;) {
        enum next next = look_up(vcpu, mode, link, &insn);
        link = NULL;
        if (next == NEXT_CODE)
            next = run(vcpu, &link, &insn);
        if (next == NEXT_LOOK)
            continue;
        settle(vcpu, &limit);
        /* With nothing left, events come before the next instruction. */
        if (limit == 0)
            return BOUNDARY_GO;
        if (next == NEXT_BUDGET)
            return vcpu->instructions == begin ? TRANSLATOR_STEP : BOUNDARY_GO;
        if (next == NEXT_STEP)
            return TRANSLATOR_STEP;
        int result = interpret(vcpu, insn, &limit);
        if (result != BOUNDARY_GO || wanted(vcpu) || limit == 0 || !translator_possible(vcpu))
            return result;
        mode = mode_enter(vcpu);
    }
}

int translator_run(struct vcpu *vcpu, uint64_t end)
{
    struct translator *t = vcpu->translator;
    t->shadowed = ~0ull;
    int result = run_all(vcpu, end);
    if (result == BOUNDARY_GO && vcpu->instructions == t->shadowed) {
        /* Left right behind an STI, before anything came that lets its shadow end. */
        vcpu->r.interrupt_shadow = SHADOW_STI;
        vcpu_raise(vcpu, ATTENTION_DEBUG);
    }
    return result;
}
