/* SPDX-License-Identifier: MIT */
/*
 * event_delivery.c - delivery of interrupts and exceptions in every mode, with its faults, and
 * nesting to double and triple fault. Expected values are the SDM's (Vol. 3, chapter 6).
 */
#include "transfer_harness.h"

#define HANDLER 0x41230u

static int deliver(struct machine *m, unsigned vector, enum event_kind kind)
{
    return event_deliver_once(&m->vcpu, vector, kind, false, 0);
}

/* ---- Long mode ---- */

static void long_user_to_kernel(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    set_gate64(m, 14, CODE0_64, 0xffff800000041230ull, 0x8e, 0);
    r->rflags |= FLAG_IF | FLAG_TF | FLAG_NT | FLAG_CF;
    r->gpr[REGISTER_RSP] = STACK3 + 3;
    assert_int_equal(event_deliver_once(&m->vcpu, 14, EVENT_EXCEPTION, true, 6), 0);
    assert_int_equal(r->rip, 0xffff800000041230ull);
    assert_int_equal(r->cpl, 0);
    assert_selector(m, SEGMENT_CS, CODE0_64);
    assert_selector(m, SEGMENT_SS, 0);
    assert_true(r->segment[SEGMENT_SS].unusable);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_CF);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK0 - 48);
    assert_int_equal(get(m, STACK0 - 8, 8), DATA3 | 3);
    assert_int_equal(get(m, STACK0 - 16, 8), STACK3 + 3);
    /* A fault pushes RF. */
    assert_int_equal(get(m, STACK0 - 24, 8),
                     FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_CF | FLAG_RF);
    assert_int_equal(get(m, STACK0 - 32, 8), CODE3_64 | 3);
    assert_int_equal(get(m, STACK0 - 40, 8), CODE);
    assert_int_equal(get(m, STACK0 - 48, 8), 6);
    machine_free(m);
}

static void long_same_level_aligns(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    set_gate64(m, 32, CODE0_64, HANDLER, 0x8f, 0);
    r->rflags |= FLAG_IF;
    r->gpr[REGISTER_RSP] = STACK0 - 5;
    assert_int_equal(deliver(m, 32, EVENT_INTERRUPT), 0);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK0 - 16 - 40);
    assert_selector(m, SEGMENT_SS, DATA0);
    assert_int_equal(get(m, STACK0 - 16 - 16, 8), STACK0 - 5);
    /* An interrupt does not push RF; a trap gate leaves IF. */
    assert_int_equal(get(m, STACK0 - 16 - 24, 8), FLAG_ONE | FLAG_IF);
    assert_true(r->rflags & FLAG_IF);
    machine_free(m);
}

static void long_interrupt_stack_table(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    for (unsigned i = 1; i < 8; i++) {
        set_gate64(m, 2, CODE0_64, HANDLER, 0x8e, i);
        assert_int_equal(deliver(m, 2, EVENT_NMI), 0);
        assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], STACK_I + i * 0x800 - 40);
        assert_int_equal(m->vcpu.r.nmi_blocked, 1);
    }
    machine_free(m);
}

static void long_software_interrupt(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 3);

    (void)state;
    set_gate64(m, 0x80, CODE0_64, HANDLER, 0xee, 0);
    set_gate64(m, 0x81, CODE0_64, HANDLER, 0x8e, 0);
    set_gate64(m, 3, CODE0_64, HANDLER, 0x8e, 0);
    set_gate64(m, 1, CODE0_64, HANDLER, 0x8e, 0);
    assert_fault(m, RUN(m, "\xcd\x81"), EXCEPTION_GP, 0x81 * 8 + 2);
    assert_fault(m, RUN(m, "\xcc"), EXCEPTION_GP, 3 * 8 + 2);
    assert_int_equal(m->vcpu.r.rip, CODE);
    assert_int_equal(RUN(m, "\xcd\x80"), 0);
    assert_int_equal(m->vcpu.r.rip, HANDLER);
    assert_int_equal(get(m, STACK0 - 40, 8), CODE + 2);
    machine_free(m);
    m = machine_new(MODE_LONG64, 3); /* INT1 is not checked against the gate's DPL */
    set_gate64(m, 1, CODE0_64, HANDLER, 0x8e, 0);
    assert_int_equal(RUN(m, "\xf1"), 0);
    assert_int_equal(get(m, STACK0 - 40, 8), CODE + 1);
    machine_free(m);
}

/* Each bad table entry and the fault it gives; EXT is set for an exception. */
static void long_gate_faults(void **state)
{
    static const struct {
        uint16_t selector;
        unsigned access;
        uint64_t offset;
        unsigned vector, error;
    } cases[] = {
        { CODE0_64, 0x0e, HANDLER, EXCEPTION_NP, 32 * 8 + 3 },   /* not present */
        { CODE0_64, 0x8c, HANDLER, EXCEPTION_GP, 32 * 8 + 3 },   /* call gate */
        { CODE0_64, 0x85, HANDLER, EXCEPTION_GP, 32 * 8 + 3 },   /* task gate */
        { CODE0_64, 0x9e, HANDLER, EXCEPTION_GP, 32 * 8 + 3 },   /* not a system descriptor */
        { 0, 0x8e, HANDLER, EXCEPTION_GP, 1 },                   /* null selector */
        { 0x200, 0x8e, HANDLER, EXCEPTION_GP, 0x201 },           /* outside the table */
        { DATA0, 0x8e, HANDLER, EXCEPTION_GP, DATA0 + 1 },       /* data */
        { CODE0_32, 0x8e, HANDLER, EXCEPTION_GP, CODE0_32 + 1 }, /* not 64-bit */
        { CODE3_64, 0x8e, HANDLER, EXCEPTION_GP, CODE3_64 + 1 }, /* outer level */
        { ABSENT_CODE, 0x8e, HANDLER, EXCEPTION_NP, ABSENT_CODE + 1 },
        { LDT_SELECTOR | 4, 0x8e, HANDLER, EXCEPTION_GP, (LDT_SELECTOR | 4) + 1 }, /* no LDT */
        { CODE0_64, 0x8e, 0x800000000000ull, EXCEPTION_GP, 1 }, /* non-canonical handler */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct machine *m = machine_new(MODE_LONG64, 0);
        struct vcpu_registers before = m->vcpu.r;

        set_gate64(m, 32, cases[i].selector, cases[i].offset, cases[i].access, 0);
        assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), cases[i].vector, cases[i].error);
        assert_memory_equal(&before, &m->vcpu.r, sizeof(before));
        machine_free(m);
    }
}

static void long_stack_faults(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 3);
    struct vcpu_registers before;

    (void)state;
    set_gate64(m, 32, CODE0_64, HANDLER, 0x8e, 0);
    put(m, TSS + 4, 8, 0x900000000000ull); /* RSP0 not canonical */
    before = m->vcpu.r;
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_SS, 1);
    m->vcpu.r.segment[SEGMENT_TR].limit = 10; /* RSP0 outside the TSS */
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_TS, TSS_SELECTOR + 1);
    m->vcpu.r.segment[SEGMENT_TR].limit = before.segment[SEGMENT_TR].limit;
    put(m, TSS + 4, 8, UNMAPPED + 0x800); /* a page that is not there: supervisor write */
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_PF, 2);
    assert_int_equal(m->vcpu.fault.address, UNMAPPED + 0x800 - 8);
    put(m, TSS + 4, 8, UNMAPPED + 0x1010); /* the frame crosses into it: the third push faults */
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_PF, 2);
    assert_int_equal(m->vcpu.fault.address, UNMAPPED + 0x1010 - 24);
    assert_memory_equal(&before, &m->vcpu.r, sizeof(before));
    assert_int_equal(get(m, UNMAPPED + 0x1000, 8), 0); /* nothing was written */
    machine_free(m);
}

static void long_table_faults(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 3);

    (void)state;
    m->vcpu.r.idtr.limit = 32 * 16 + 14;
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_GP, 32 * 8 + 3);
    /* Table reads are system accesses: no user bit though CPL is 3. */
    m->vcpu.r.idtr.limit = 0xfff;
    m->vcpu.r.idtr.base = UNMAPPED;
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_PF, 0);
    assert_int_equal(m->vcpu.fault.address, UNMAPPED + 32 * 16);
    m->vcpu.r.idtr.base = IDT;
    set_gate64(m, 32, CODE0_64, HANDLER, 0x8e, 0);
    m->vcpu.r.gdtr.base = UNMAPPED;
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_PF, 0);
    machine_free(m);
}

static void long_from_compatibility(void **state)
{
    struct machine *m = machine_new(MODE_COMPATIBILITY, 3);

    (void)state;
    assert_int_equal(m->vcpu.code_size, 32);
    set_gate64(m, 0x80, CODE0_64, HANDLER, 0xee, 0);
    assert_int_equal(RUN(m, "\xcd\x80"), 0);
    assert_int_equal(m->vcpu.code_size, 64);
    assert_int_equal(get(m, STACK0 - 8, 8), DATA3 | 3);
    assert_int_equal(get(m, STACK0 - 32, 8), CODE3_32 | 3);
    machine_free(m);
}

/* ---- Nesting ---- */

static void nest_to_double_fault(void **state)
{
    struct fault fault = {
        .vector = EXCEPTION_PF, .has_error = true, .error = 4, .address = 0x1234
    };
    struct machine *m = machine_new(MODE_LONG64, 3);

    (void)state;
    set_gate64(m, EXCEPTION_PF, CODE0_64, HANDLER, 0x0e, 0); /* #NP while delivering #PF */
    set_gate64(m, EXCEPTION_DF, CODE0_64, HANDLER + 8, 0x8e, 1);
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), 0);
    assert_int_equal(m->vcpu.r.rip, HANDLER + 8);
    assert_int_equal(m->vcpu.r.cr2, 0x1234);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], STACK_I + 0x800 - 48);
    assert_int_equal(get(m, STACK_I + 0x800 - 48, 8), 0);
    assert_int_equal(get(m, STACK_I + 0x800 - 24, 8), FLAG_ONE); /* an abort: RF not set */
    machine_free(m);
}

static void nest_page_fault_overwrites_cr2(void **state)
{
    struct fault fault = {
        .vector = EXCEPTION_PF, .has_error = true, .error = 4, .address = 0x1234
    };
    struct machine *m = machine_new(MODE_LONG64, 3);

    (void)state;
    set_gate64(m, EXCEPTION_PF, CODE0_64, HANDLER, 0x8e, 0);
    set_gate64(m, EXCEPTION_DF, CODE0_64, HANDLER, 0x8e, 1);
    put(m, TSS + 4, 8, UNMAPPED + 0x100);
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), 0);
    assert_int_equal(m->vcpu.r.cr2, UNMAPPED + 0xf8);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], STACK_I + 0x800 - 48);
    machine_free(m);
}

static void nest_serially(void **state)
{
    struct fault fault = { .vector = EXCEPTION_UD };
    struct machine *m = machine_new(MODE_LONG64, 3);

    (void)state;
    set_gate64(m, EXCEPTION_UD, CODE0_64, HANDLER, 0x0e, 0);
    set_gate64(m, EXCEPTION_NP, CODE0_64, HANDLER + 16, 0x8e, 0);
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), 0);
    assert_int_equal(m->vcpu.r.rip, HANDLER + 16);
    assert_int_equal(get(m, STACK0 - 48, 8), EXCEPTION_UD * 8 + 3);
    machine_free(m);
}

/* #PF while an external interrupt is delivered is just a #PF; #GP after #PF is #DF. */
static void nest_classes(void **state)
{
    static const struct {
        unsigned first;
        bool doubles; /* with #NP as the second */
    } cases[] = {
        { EXCEPTION_DE, true },  { EXCEPTION_DB, false }, { EXCEPTION_BP, false },
        { EXCEPTION_UD, false }, { EXCEPTION_NM, false }, { EXCEPTION_TS, true },
        { EXCEPTION_SS, true },  { EXCEPTION_GP, true },  { EXCEPTION_PF, true },
        { EXCEPTION_MF, false }, { EXCEPTION_AC, false }, { EXCEPTION_XM, false },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault fault = { .vector = (uint8_t)cases[i].first };
        struct machine *m = machine_new(MODE_LONG64, 0);

        set_gate64(m, cases[i].first, CODE0_64, HANDLER, 0x0e, 0);
        set_gate64(m, EXCEPTION_DF, CODE0_64, HANDLER + 8, 0x8e, 0);
        set_gate64(m, EXCEPTION_NP, CODE0_64, HANDLER + 16, 0x8e, 0);
        assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), 0);
        assert_int_equal(m->vcpu.r.rip, cases[i].doubles ? HANDLER + 8 : HANDLER + 16);
        machine_free(m);
    }
}

static void nest_to_shutdown(void **state)
{
    struct fault fault = { .vector = EXCEPTION_GP, .has_error = true };
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    m->vcpu.r.idtr.limit = 0;
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), -ESHUTDOWN);
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_INTERRUPT), -ESHUTDOWN);
    machine_free(m);
    m = machine_new(MODE_REAL, 0);
    m->vcpu.r.idtr.limit = 0;
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), -ESHUTDOWN);
    machine_free(m);
}

static void debug_registers(void **state)
{
    struct fault fault = { .vector = EXCEPTION_DB, .address = 1u << 14 | 2 };
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    set_gate64(m, EXCEPTION_DB, CODE0_64, HANDLER, 0x8e, 0);
    m->vcpu.r.dr[6] |= 1;
    m->vcpu.r.dr[7] |= 1u << 13;
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_TRAP), 0);
    assert_int_equal(m->vcpu.r.dr[6], 0xffff4ff2);
    assert_int_equal(m->vcpu.r.dr[7], 0x400);
    assert_int_equal(get(m, m->vcpu.r.gpr[REGISTER_RSP] + 16, 8), FLAG_ONE); /* a trap: RF clear */
    fault.address = 1u << 13; /* general detect: a fault */
    assert_int_equal(event_deliver(&m->vcpu, &fault, EVENT_EXCEPTION), 0);
    assert_int_equal(m->vcpu.r.dr[6], 0xffff6ff0);
    assert_int_equal(get(m, m->vcpu.r.gpr[REGISTER_RSP] + 16, 8), FLAG_ONE | FLAG_RF);
    machine_free(m);
}

/* ---- Legacy protected mode ---- */

static void legacy_inner_level(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    set_gate32(m, 14, CODE0_32, HANDLER, 0x8e);
    assert_int_equal(event_deliver_once(&m->vcpu, 14, EVENT_EXCEPTION, true, 7), 0);
    assert_int_equal(r->cpl, 0);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK0 - 24);
    assert_selector(m, SEGMENT_SS, DATA0);
    assert_int_equal(get(m, STACK0 - 4, 4), DATA3 | 3);
    assert_int_equal(get(m, STACK0 - 8, 4), STACK3);
    assert_int_equal(get(m, STACK0 - 16, 4), CODE3_32 | 3);
    assert_int_equal(get(m, STACK0 - 20, 4), CODE);
    assert_int_equal(get(m, STACK0 - 24, 4), 7);
    machine_free(m);
}

static void legacy_software_interrupt(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 3);

    (void)state;
    set_gate32(m, 0x80, CODE0_32, HANDLER, 0x8e);
    assert_fault(m, RUN(m, "\xcd\x80"), EXCEPTION_GP, 0x80 * 8 + 2);
    set_gate32(m, 0x80, CODE0_32, HANDLER, 0xee);
    assert_int_equal(RUN(m, "\xcd\x80"), 0);
    assert_int_equal(m->vcpu.r.rip, HANDLER);
    assert_int_equal(get(m, STACK0 - 20, 4), CODE + 2);
    machine_free(m);
    m = machine_new(MODE_PROTECTED32, 0); /* INTO: only with OF */
    set_gate32(m, EXCEPTION_OF, CODE0_32, HANDLER, 0x8e);
    assert_int_equal(RUN(m, "\xce"), 0);
    assert_int_equal(m->vcpu.r.rip, CODE + 1);
    m->vcpu.r.rflags |= FLAG_OF;
    assert_int_equal(RUN(m, "\xce"), 0);
    assert_int_equal(m->vcpu.r.rip, HANDLER);
    machine_free(m);
}

static void legacy_gate16(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);

    (void)state;
    set_gate32(m, 32, CODE0_32, 0x55551234, 0x86);
    assert_int_equal(deliver(m, 32, EVENT_INTERRUPT), 0);
    assert_int_equal(m->vcpu.r.rip, 0x1234);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], STACK0 - 0x800 - 6);
    assert_int_equal(get(m, STACK0 - 0x806, 2), CODE & 0xffff);
    machine_free(m);
}

static void legacy_from_virtual8086(void **state)
{
    struct machine *m = machine_new(MODE_VIRTUAL8086, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    set_gate32(m, 32, CODE0_32, HANDLER, 0x8e);
    segment_set_virtual8086(&r->segment[SEGMENT_GS], 0x1111);
    segment_set_virtual8086(&r->segment[SEGMENT_FS], 0x2222);
    assert_int_equal(deliver(m, 32, EVENT_INTERRUPT), 0);
    assert_int_equal(r->gpr[REGISTER_RSP], STACK0 - 36);
    assert_int_equal(get(m, STACK0 - 4, 4), 0x1111);
    assert_int_equal(get(m, STACK0 - 8, 4), 0x2222);
    assert_int_equal(get(m, STACK0 - 28, 4), FLAG_ONE | FLAG_VM | FLAG_IOPL);
    assert_int_equal(get(m, STACK0 - 36, 4), 0x7c00);
    assert_true(r->segment[SEGMENT_DS].unusable && r->segment[SEGMENT_GS].unusable);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_IOPL);
    assert_int_equal(m->vcpu.code_size, 32);
    machine_free(m);
    m = machine_new(MODE_VIRTUAL8086, 3); /* only ring 0 may be entered */
    set_gate32(m, 32, CODE1_32, HANDLER, 0x8e);
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_GP, CODE1_32 + 1);
    set_gate32(m, 32, CONFORMING, HANDLER, 0x8e);
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_GP, CONFORMING + 1);
    machine_free(m);
}

/* SS0 of the TSS: every check is #TS but "not present" and "no room". */
static void legacy_stack_faults(void **state)
{
    static const struct {
        uint16_t selector;
        uint32_t pointer;
        unsigned vector, error;
    } cases[] = {
        { 0, STACK0, EXCEPTION_TS, 1 },
        { 0x300, STACK0, EXCEPTION_TS, 0x301 },
        { DATA0 | 1, STACK0, EXCEPTION_TS, DATA0 + 1 },
        { DATA3, STACK0, EXCEPTION_TS, DATA3 + 1 },
        { READ_ONLY, STACK0, EXCEPTION_TS, READ_ONLY + 1 },
        { CODE0_32, STACK0, EXCEPTION_TS, CODE0_32 + 1 },
        { ABSENT_DATA, STACK0, EXCEPTION_SS, ABSENT_DATA + 1 },
        { EXPAND_DOWN, 0x20, EXCEPTION_SS, EXPAND_DOWN + 1 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct machine *m = machine_new(MODE_PROTECTED32, 3);
        struct vcpu_registers before = m->vcpu.r;

        set_gate32(m, 32, CODE0_32, HANDLER, 0x8e);
        put(m, TSS + 4, 4, cases[i].pointer);
        put(m, TSS + 8, 2, cases[i].selector);
        assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), cases[i].vector, cases[i].error);
        assert_memory_equal(&before, &m->vcpu.r, sizeof(before));
        machine_free(m);
    }
}

static void legacy_limit_of_handler(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);

    (void)state;
    set_gate32(m, 32, CODE0_16, 0x10000, 0x8e);
    assert_fault(m, deliver(m, 32, EVENT_INTERRUPT), EXCEPTION_GP, 1);
    assert_fault(m, RUN(m, "\xcd\x20"), EXCEPTION_GP, 0); /* a software interrupt: no EXT */
    machine_free(m);
}

/* ---- Real mode ---- */

static void real_mode(void **state)
{
    struct machine *m = machine_new(MODE_REAL, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    put(m, 0x21 * 4, 4, 0x12340056);
    r->rflags |= FLAG_IF | FLAG_TF | FLAG_CF;
    assert_int_equal(RUN(m, "\xcd\x21"), 0);
    assert_int_equal(r->rip, 0x56);
    assert_selector(m, SEGMENT_CS, 0x1234);
    assert_int_equal(r->segment[SEGMENT_CS].base, 0x12340);
    assert_int_equal(r->gpr[REGISTER_RSP], 0x7000 - 6);
    assert_int_equal(get(m, 0x7000 - 2, 2), FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_CF);
    assert_int_equal(get(m, 0x7000 - 6, 2), 0x7c02);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_CF);
    assert_int_equal(RUN(m, "\xcf"), 0); /* and back */
    assert_int_equal(r->rip, 0x7c02);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_CF);
    assert_int_equal(r->gpr[REGISTER_RSP], 0x7000);
    /* An error code is not pushed. */
    assert_int_equal(event_deliver_once(&m->vcpu, 0x21, EVENT_EXCEPTION, true, 5), 0);
    assert_int_equal(r->gpr[REGISTER_RSP], 0x7000 - 6);
    machine_free(m);
}

static void real_stack_wraps(void **state)
{
    struct machine *m = machine_new(MODE_REAL, 0);

    (void)state;
    put(m, 0x21 * 4, 4, 0x12340056);
    m->vcpu.r.gpr[REGISTER_RSP] = 0xabcd0002;
    assert_int_equal(RUN(m, "\xcd\x21"), 0);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], 0xabcdfffc);
    assert_int_equal(get(m, 0, 2), FLAG_ONE);
    assert_int_equal(get(m, 0xfffc, 2), 0x7c02);
    m->vcpu.r.gpr[REGISTER_RSP] = 1; /* the first word would straddle the end */
    assert_fault(m, RUN(m, "\xcd\x21"), EXCEPTION_SS, 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_user_to_kernel),
        cmocka_unit_test(long_same_level_aligns),
        cmocka_unit_test(long_interrupt_stack_table),
        cmocka_unit_test(long_software_interrupt),
        cmocka_unit_test(long_gate_faults),
        cmocka_unit_test(long_stack_faults),
        cmocka_unit_test(long_table_faults),
        cmocka_unit_test(long_from_compatibility),
        cmocka_unit_test(nest_to_double_fault),
        cmocka_unit_test(nest_page_fault_overwrites_cr2),
        cmocka_unit_test(nest_serially),
        cmocka_unit_test(nest_classes),
        cmocka_unit_test(nest_to_shutdown),
        cmocka_unit_test(debug_registers),
        cmocka_unit_test(legacy_inner_level),
        cmocka_unit_test(legacy_software_interrupt),
        cmocka_unit_test(legacy_gate16),
        cmocka_unit_test(legacy_from_virtual8086),
        cmocka_unit_test(legacy_stack_faults),
        cmocka_unit_test(legacy_limit_of_handler),
        cmocka_unit_test(real_mode),
        cmocka_unit_test(real_stack_wraps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
