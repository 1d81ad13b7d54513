/* SPDX-License-Identifier: MIT */
/*
 * transfer_far.c - far JMP, CALL, RET, call gates, IRET and hardware tasks. Expected values are the
 * SDM's (Vol. 2; Vol. 3, chapters 5 and 7).
 */
#include "transfer_harness.h"

#define TARGET 0x41000u

/* JMP/CALL m16:32 at [0x60000], in any mode with a flat DS. */
static int far_indirect(struct machine *m, bool call, uint16_t selector, uint32_t offset)
{
    bool wide = m->vcpu.code_size == 64;

    put(m, 0x60000, 4, offset);
    put(m, 0x60004, 2, selector);
    if (call)
        return wide ? RUN(m, "\xff\x1c\x25\x00\x00\x06\x00") : RUN(m, "\xff\x1d\x00\x00\x06\x00");
    return wide ? RUN(m, "\xff\x2c\x25\x00\x00\x06\x00") : RUN(m, "\xff\x2d\x00\x00\x06\x00");
}

static void push_list(struct machine *m, unsigned size, const uint64_t *values, unsigned count)
{
    uint64_t *rsp = &m->vcpu.r.gpr[REGISTER_RSP];

    for (unsigned i = 0; i < count; i++) {
        *rsp -= size;
        put(m, *rsp, size, values[i]);
    }
}
#define PUSH_LIST(m, size, ...)                                                                    \
    push_list(m, size, (const uint64_t[]){ __VA_ARGS__ },                                          \
              sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)

/* ---- JMP, CALL, RET ---- */

static void jump_checks(void **state)
{
    static const struct {
        uint16_t selector;
        unsigned cpl;
        int vector; /* 0: succeeds */
        unsigned error;
    } cases[] = {
        { CODE0_32, 0, 0, 0 },
        { CODE0_32 | 3, 0, EXCEPTION_GP, CODE0_32 },
        { CODE0_32, 3, EXCEPTION_GP, CODE0_32 },
        { CODE3_32, 0, EXCEPTION_GP, CODE3_32 },
        { CODE3_32 | 3, 3, 0, 0 },
        { CODE3_32, 3, 0, 0 },
        { CONFORMING, 0, 0, 0 },
        { CONFORMING | 3, 3, 0, 0 },
        { DATA0, 0, EXCEPTION_GP, DATA0 },
        { 0, 0, EXCEPTION_GP, 0 },
        { 3, 0, EXCEPTION_GP, 0 },
        { 0x100, 0, EXCEPTION_GP, 0x100 },
        { 0xc, 0, EXCEPTION_GP, 0xc },
        { ABSENT_CODE, 0, EXCEPTION_NP, ABSENT_CODE },
        { LDT_SELECTOR, 0, EXCEPTION_GP, LDT_SELECTOR },
        { TSS_SELECTOR, 0, EXCEPTION_GP, TSS_SELECTOR }, /* busy */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct machine *m = machine_new(MODE_PROTECTED32, cases[i].cpl);
        int result = far_indirect(m, false, cases[i].selector, TARGET);

        if (cases[i].vector) {
            assert_fault(m, result, (unsigned)cases[i].vector, cases[i].error);
            assert_int_equal(m->vcpu.r.rip, CODE);
        } else {
            assert_int_equal(result, 0);
            assert_int_equal(m->vcpu.r.rip, TARGET);
            assert_selector(m, SEGMENT_CS, (cases[i].selector & ~3u) | cases[i].cpl);
            assert_int_equal(m->vcpu.r.cpl, cases[i].cpl);
        }
        machine_free(m);
    }
}

static void jump_between_long_and_compatibility(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    assert_int_equal(far_indirect(m, false, CODE0_32, TARGET), 0);
    assert_int_equal(m->vcpu.code_size, 32);
    assert_int_equal(m->vcpu.stack_size, 4);
    assert_int_equal(RUN(m, "\xea\x00\x20\x04\x00\x08\x00"), 0);
    assert_int_equal(m->vcpu.code_size, 64);
    assert_int_equal(m->vcpu.r.rip, 0x42000);
    /* L and D together are refused; so is every task. */
    set_descriptor(m, FREE, make_segment(0, 0xfffff, 0x9b, 0xe));
    assert_fault(m, far_indirect(m, false, FREE, TARGET), EXCEPTION_GP, FREE);
    assert_fault(m, far_indirect(m, false, TASK_GATE_SELECTOR, 0), EXCEPTION_GP,
                 TASK_GATE_SELECTOR);
    /* The limit of a compatibility segment counts, that of a 64-bit one doesn't. */
    set_descriptor(m, FREE, make_segment(0, 0xfff, 0x9b, 4));
    assert_fault(m, far_indirect(m, false, FREE, 0x1000), EXCEPTION_GP, 0);
    machine_free(m);
}

static void call_and_return(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    uint64_t rsp = m->vcpu.r.gpr[REGISTER_RSP];

    (void)state;
    assert_int_equal(RUN(m, "\x9a\x00\x10\x04\x00\x30\x00"), 0);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], rsp - 8);
    assert_int_equal(get(m, rsp - 4, 4), CODE0_32);
    assert_int_equal(get(m, rsp - 8, 4), CODE + 7);
    assert_int_equal(RUN(m, "\xca\x04\x00"), 0);
    assert_int_equal(m->vcpu.r.rip, CODE + 7);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], rsp + 4);
    machine_free(m);
}

static void return_to_outer_level(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    PUSH_LIST(m, 4, DATA3 | 3, STACK3, 0xaaaa, CODE3_32 | 3, TARGET);
    assert_int_equal(RUN(m, "\xca\x04\x00"), 0);
    assert_int_equal(r->cpl, 3);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK3 + 4);
    assert_selector(m, SEGMENT_SS, DATA3 | 3);
    assert_true(r->segment[SEGMENT_DS].unusable); /* ring 0 data is out of reach now */
    assert_selector(m, SEGMENT_DS, 0);
    machine_free(m);
    m = machine_new(MODE_PROTECTED32, 3); /* never inwards */
    PUSH_LIST(m, 4, CODE0_32, TARGET);
    assert_fault(m, RUN(m, "\xcb"), EXCEPTION_GP, CODE0_32);
    machine_free(m);
    m = machine_new(MODE_LONG64, 0); /* SS null: legal to 64-bit code below ring 3 only */
    PUSH_LIST(m, 4, 0, STACK3, CODE3_64 | 3, TARGET);
    assert_fault(m, RUN(m, "\xcb"), EXCEPTION_GP, 0);
    machine_free(m);
}

/* ---- Call gates ---- */

static void gate_inner_with_parameters(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_32 << 16 | (uint64_t)(0x4ec00 | 2) << 32);
    PUSH_LIST(m, 4, 0x1111, 0x2222);
    assert_int_equal(far_indirect(m, true, GATE | 3, 0xdeadbeef), 0);
    assert_int_equal(r->cpl, 0);
    assert_int_equal(r->rip, 0x41000);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK0 - 24);
    assert_int_equal(get(m, STACK0 - 4, 4), DATA3 | 3);
    assert_int_equal(get(m, STACK0 - 8, 4), STACK3 - 8);
    assert_int_equal(get(m, STACK0 - 12, 4), 0x1111);
    assert_int_equal(get(m, STACK0 - 16, 4), 0x2222);
    assert_int_equal(get(m, STACK0 - 20, 4), CODE3_32 | 3);
    assert_int_equal(get(m, STACK0 - 24, 4), CODE + 6);
    assert_int_equal(RUN(m, "\xca\x08\x00"), 0); /* and back, both stacks released */
    assert_int_equal(r->gpr[REGISTER_RSP], STACK3);
    assert_int_equal(r->cpl, 3);
    machine_free(m);
}

static void gate_long(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_64 << 16 | (uint64_t)0x4ec05 << 32);
    set_descriptor(m, GATE + 8, 0xffff8000);
    assert_int_equal(far_indirect(m, true, GATE | 3, 0), 0);
    assert_int_equal(r->rip, 0xffff800000041000ull);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK0 - 32); /* the count is ignored */
    assert_int_equal(get(m, STACK0 - 8, 8), DATA3 | 3);
    assert_int_equal(get(m, STACK0 - 16, 8), STACK3);
    assert_selector(m, SEGMENT_SS, 0);
    machine_free(m);
    m = machine_new(MODE_LONG64, 3);
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_64 << 16 | (uint64_t)0x48c00 << 32);
    assert_fault(m, far_indirect(m, true, GATE | 3, 0), EXCEPTION_GP, GATE); /* DPL */
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_64 << 16 | (uint64_t)0x46c00 << 32);
    assert_fault(m, far_indirect(m, true, GATE | 3, 0), EXCEPTION_NP, GATE);
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_32 << 16 | (uint64_t)0x4ec00 << 32);
    set_descriptor(m, GATE + 8, 0);
    assert_fault(m, far_indirect(m, true, GATE | 3, 0), EXCEPTION_GP, CODE0_32); /* not 64-bit */
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_64 << 16 | (uint64_t)0x4ec00 << 32);
    assert_fault(m, far_indirect(m, false, GATE | 3, 0), EXCEPTION_GP, CODE0_64); /* JMP inwards */
    set_descriptor(m, GATE + 8, 0x1f00ull << 32);
    assert_fault(m, far_indirect(m, true, GATE | 3, 0), EXCEPTION_GP, GATE); /* second type */
    machine_free(m);
}

static void gate_same_level(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    uint64_t rsp = m->vcpu.r.gpr[REGISTER_RSP];

    (void)state;
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_32 << 16 | (uint64_t)0x48c05 << 32);
    assert_int_equal(far_indirect(m, true, GATE, 0), 0);
    assert_int_equal(m->vcpu.r.rip, TARGET);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], rsp - 8); /* no parameters */
    assert_int_equal(far_indirect(m, false, GATE, 0), 0);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], rsp - 8);
    set_descriptor(m, GATE, 0x1000 | (uint64_t)CODE0_32 << 16 | (uint64_t)0x48405 << 32);
    assert_fault(m, far_indirect(m, true, GATE | 1, 0), EXCEPTION_GP, GATE); /* RPL over DPL */
    assert_int_equal(far_indirect(m, true, GATE, 0), 0);                     /* 16-bit gate */
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], rsp - 12);
    assert_int_equal(m->vcpu.r.rip, 0x1000);
    machine_free(m);
}

/* ---- IRET ---- */

static void iret_long(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->nmi_blocked = 1;
    PUSH_LIST(m, 8, DATA3 | 3, STACK3, 0x246 | FLAG_RF | FLAG_IOPL, CODE3_64 | 3, TARGET);
    assert_int_equal(RUN(m, "\x48\xcf"), 0);
    assert_int_equal(r->cpl, 3);
    assert_int_equal(r->rip, TARGET);
    assert_int_equal(r->rflags, 0x246 | FLAG_RF | FLAG_IOPL);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK3);
    assert_int_equal(r->nmi_blocked, 0);
    assert_true(m->vcpu.attention & ATTENTION_INTERRUPT);
    assert_selector(m, SEGMENT_DS, 0); /* ring 0 data is out of reach */
    assert_true(r->segment[SEGMENT_DS].unusable);
    /* Ring 3 changes neither IOPL nor, below it, IF. */
    r->rflags = FLAG_ONE | FLAG_IF;
    PUSH_LIST(m, 8, DATA3 | 3, STACK3, FLAG_ONE | FLAG_IOPL | FLAG_CF, CODE3_32 | 3, TARGET);
    assert_int_equal(RUN(m, "\x48\xcf"), 0);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_IF | FLAG_CF);
    assert_int_equal(m->vcpu.code_size, 32);
    machine_free(m);
}

static void iret_long_same_level_pops_stack(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    PUSH_LIST(m, 8, 0, 0x1234567890, FLAG_ONE, CODE0_64, TARGET);
    assert_int_equal(RUN(m, "\x48\xcf"), 0);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], 0x1234567890);
    assert_true(m->vcpu.r.segment[SEGMENT_SS].unusable);
    machine_free(m);
}

static void iret_faults(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers before;

    (void)state;
    PUSH_LIST(m, 8, DATA3 | 3, STACK3, FLAG_ONE, CODE3_64 | 3, 0x800000000000ull);
    before = m->vcpu.r;
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_GP, 0);
    put(m, before.gpr[REGISTER_RSP], 8, TARGET);
    put(m, before.gpr[REGISTER_RSP] + 32, 8, 3); /* null SS to ring 3 */
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_GP, 0);
    put(m, before.gpr[REGISTER_RSP] + 32, 8, DATA0 | 3);
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_GP, DATA0);
    put(m, before.gpr[REGISTER_RSP] + 8, 8, CODE3_64);
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_GP, CODE3_64);
    put(m, before.gpr[REGISTER_RSP] + 8, 8, 2);
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_GP, 0);
    assert_memory_equal(&before, &m->vcpu.r, sizeof(before));
    m->vcpu.r.rflags |= FLAG_NT; /* no nested tasks in long mode */
    m->vcpu.r.nmi_blocked = 1;
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_GP, 0);
    assert_int_equal(m->vcpu.r.nmi_blocked, 0); /* unblocked all the same */
    m->vcpu.r.gpr[REGISTER_RSP] = 0x7fffffffffd0ull;
    m->vcpu.r.rflags = FLAG_ONE;
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_PF, 0);
    m->vcpu.r.gpr[REGISTER_RSP] = 0x7ffffffffff8ull; /* RFLAGS is read first */
    assert_fault(m, RUN(m, "\x48\xcf"), EXCEPTION_SS, 0);
    machine_free(m);
}

static void iret_virtual8086(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    PUSH_LIST(m, 4, 6, 5, 4, 3, 0x700, 0x8000, FLAG_ONE | FLAG_VM | FLAG_IF, 0x7c0, 0x10);
    assert_int_equal(RUN(m, "\xcf"), 0);
    assert_int_equal(r->cpl, 3);
    assert_true(r->rflags & FLAG_VM);
    assert_int_equal(m->vcpu.code_size, 16);
    assert_int_equal(m->vcpu.stack_size, 2);
    assert_int_equal(r->segment[SEGMENT_CS].base, 0x7c00);
    assert_int_equal(r->segment[SEGMENT_SS].base, 0x7000);
    assert_selector(m, SEGMENT_ES, 3);
    assert_selector(m, SEGMENT_GS, 6);
    assert_int_equal(r->gpr[REGISTER_RSP], 0x8000);
    /* IOPL 0: the sensitive instructions trap. */
    assert_fault(m, RUN(m, "\xcf"), EXCEPTION_GP, 0);
    assert_fault(m, RUN(m, "\x9c"), EXCEPTION_GP, 0);
    assert_fault(m, RUN(m, "\x9d"), EXCEPTION_GP, 0);
    assert_fault(m, RUN(m, "\xcd\x21"), EXCEPTION_GP, 0);
    r->rflags |= FLAG_IOPL;
    assert_int_equal(RUN(m, "\x9c"), 0);
    assert_int_equal(get(m, 0x7000 + 0x7ffe, 2), FLAG_ONE | FLAG_IOPL | FLAG_IF);
    machine_free(m);
}

/* CR4.VME: INT n goes to the program's own handler if the TSS says so, on VIF instead of IF. */
static void virtual8086_extensions(void **state)
{
    struct machine *m = machine_new(MODE_VIRTUAL8086, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->cr4 |= CR4_VME;
    r->rflags = FLAG_ONE | FLAG_VM | FLAG_IF | FLAG_VIF;
    put(m, TSS + 0x66, 2, 0x88);       /* redirection bitmap at 0x68 */
    put(m, TSS + 0x68 + 4, 1, 1 << 2); /* all but vector 0x22 */
    put(m, 0x21 * 4, 4, 0x01230045);
    assert_fault(m, RUN(m, "\xcd\x22"), EXCEPTION_GP, 0);
    assert_int_equal(RUN(m, "\xcd\x21"), 0);
    assert_int_equal(r->rip, 0x45);
    assert_selector(m, SEGMENT_CS, 0x123);
    assert_int_equal(get(m, 0x7000 - 2, 2), FLAG_ONE | FLAG_IF | FLAG_IOPL);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_VM | FLAG_IF);
    assert_int_equal(RUN(m, "\xcf"), 0);
    assert_int_equal(r->rip, 0x7c02);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_VM | FLAG_IF | FLAG_VIF);
    r->rflags = (r->rflags & ~(uint64_t)FLAG_VIF) | FLAG_VIP;
    put(m, 0x7000, 2, FLAG_IF); /* enabling with an interrupt pending: #GP */
    assert_fault(m, RUN(m, "\x9d"), EXCEPTION_GP, 0);
    machine_free(m);
}

/* ---- Tasks ---- */

static void task_fill(struct machine *m)
{
    put(m, TSS2 + 0x20, 4, TARGET);
    put(m, TSS2 + 0x24, 4, FLAG_ONE | FLAG_CF);
    for (unsigned i = 0; i < 8; i++)
        put(m, TSS2 + 0x28 + i * 4, 4, 0x1000 + i);
    put(m, TSS2 + 0x38, 4, 0x22000);
    put(m, TSS2 + 0x48, 2, DATA0);
    put(m, TSS2 + 0x4c, 2, CODE0_32);
    put(m, TSS2 + 0x50, 2, DATA0);
    put(m, TSS2 + 0x54, 2, DATA0);
    put(m, TSS2 + 0x60, 2, LDT_SELECTOR);
}

static void task_call_and_return(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    task_fill(m);
    r->gpr[REGISTER_RBX] = 0xb0b0;
    assert_int_equal(far_indirect(m, true, TASK_GATE_SELECTOR, 0), 0);
    assert_int_equal(r->rip, TARGET);
    assert_int_equal(r->gpr[REGISTER_RDI], 0x1007);
    assert_int_equal(r->gpr[REGISTER_RSP], 0x22000);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_CF | FLAG_NT);
    assert_true(r->cr0 & CR0_TS);
    assert_selector(m, SEGMENT_TR, TSS2_SELECTOR);
    assert_selector(m, SEGMENT_LDTR, LDT_SELECTOR);
    assert_true(r->segment[SEGMENT_FS].unusable);
    assert_int_equal(get(m, TSS2, 2), TSS_SELECTOR);
    assert_int_equal(get(m, TSS + 0x20, 4), CODE + 6);
    assert_int_equal(get(m, TSS + 0x34, 4), 0xb0b0);
    assert_int_equal(get(m, GDT + TSS_SELECTOR + 5, 1), 0x8b); /* both busy */
    assert_int_equal(get(m, GDT + TSS2_SELECTOR + 5, 1), 0x8b);
    assert_int_equal(RUN(m, "\xcf"), 0);
    assert_selector(m, SEGMENT_TR, TSS_SELECTOR);
    assert_int_equal(r->rip, CODE + 6);
    assert_int_equal(r->gpr[REGISTER_RBX], 0xb0b0);
    assert_int_equal(get(m, GDT + TSS2_SELECTOR + 5, 1), 0x89);
    assert_int_equal(get(m, TSS2 + 0x24, 4), FLAG_ONE | FLAG_CF); /* NT cleared in the image */
    machine_free(m);
}

static void task_gate_for_exception(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 3);
    struct fault fault = { .vector = EXCEPTION_DF, .has_error = true, .error = 0 };

    (void)state;
    task_fill(m);
    set_gate32(m, EXCEPTION_DF, TSS2_SELECTOR, 0, 0x85);
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), 0);
    assert_int_equal(m->vcpu.r.cpl, 0);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], 0x22000 - 4);
    assert_int_equal(get(m, TSS + 0x20, 4), CODE); /* the faulting instruction */
    assert_int_equal(get(m, TSS + 0x4c, 2), CODE3_32 | 3);
    machine_free(m);
}

/* With paging the new task has its own CR3. */
static void task_changes_address_space(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    task_fill(m);
    for (unsigned i = 0; i < 2; i++) { /* two directories of one 4 MiB page each */
        put(m, 0x70000 + i * 0x1000, 4, 0x87);
    }
    r->cr3 = 0x70000;
    r->cr4 = CR4_PSE;
    r->cr0 |= CR0_PG;
    vcpu_mode_changed(&m->vcpu);
    put(m, TSS2 + 0x1c, 4, 0x71000);
    assert_int_equal(far_indirect(m, false, TSS2_SELECTOR, 0), 0);
    assert_int_equal(r->cr3, 0x71000);
    assert_int_equal(get(m, TSS + 0x1c, 4), 0); /* CR3 is not saved */
    assert_int_equal(r->rip, TARGET);
    machine_free(m);
}

static void task_faults(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers before = m->vcpu.r;

    (void)state;
    task_fill(m);
    set_descriptor(m, FREE, make_segment(TSS2, 0x66, 0x89, 0));
    assert_fault(m, far_indirect(m, false, FREE, 0), EXCEPTION_TS, FREE);
    set_descriptor(m, FREE, make_segment(TSS2, 0x67, 0x09, 0));
    assert_fault(m, far_indirect(m, false, FREE, 0), EXCEPTION_NP, FREE);
    assert_memory_equal(&before, &m->vcpu.r, sizeof(before));
    /* After the commit point the new task faults. */
    put(m, TSS2 + 0x4c, 2, DATA0);
    assert_fault(m, far_indirect(m, false, TSS2_SELECTOR, 0), EXCEPTION_TS, DATA0);
    assert_selector(m, SEGMENT_TR, TSS2_SELECTOR);
    assert_int_equal(m->vcpu.r.rip, TARGET);
    assert_int_equal(get(m, GDT + TSS_SELECTOR + 5, 1), 0x89);
    machine_free(m);
}

static void task_16_bit(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);

    (void)state;
    set_descriptor(m, FREE, make_segment(TSS2, 0x2b, 0x81, 0));
    put(m, TSS2 + 0x0e, 2, 0x100);
    put(m, TSS2 + 0x10, 2, FLAG_ONE);
    put(m, TSS2 + 0x1a, 2, 0x5000);
    put(m, TSS2 + 0x24, 2, CODE0_16);
    put(m, TSS2 + 0x26, 2, DATA0_16);
    assert_int_equal(far_indirect(m, false, FREE, 0), 0);
    assert_int_equal(m->vcpu.r.rip, 0x100);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], 0x5000);
    assert_int_equal(m->vcpu.code_size, 16);
    assert_int_equal(m->vcpu.stack_size, 2);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jump_checks),
        cmocka_unit_test(jump_between_long_and_compatibility),
        cmocka_unit_test(call_and_return),
        cmocka_unit_test(return_to_outer_level),
        cmocka_unit_test(gate_inner_with_parameters),
        cmocka_unit_test(gate_long),
        cmocka_unit_test(gate_same_level),
        cmocka_unit_test(iret_long),
        cmocka_unit_test(iret_long_same_level_pops_stack),
        cmocka_unit_test(iret_faults),
        cmocka_unit_test(iret_virtual8086),
        cmocka_unit_test(virtual8086_extensions),
        cmocka_unit_test(task_call_and_return),
        cmocka_unit_test(task_gate_for_exception),
        cmocka_unit_test(task_changes_address_space),
        cmocka_unit_test(task_faults),
        cmocka_unit_test(task_16_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
