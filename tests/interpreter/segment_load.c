/* SPDX-License-Identifier: MIT */
/*
 * segment_load.c - loading segment and table registers, and the instructions that look at
 * descriptors.
 */
#include "transfer_harness.h"

/* MOV DS, AX and MOV SS, AX. */
static int load_ds(struct machine *m, uint16_t selector)
{
    m->vcpu.r.gpr[REGISTER_RAX] = selector;
    return RUN(m, "\x8e\xd8");
}

static int load_ss(struct machine *m, uint16_t selector)
{
    m->vcpu.r.gpr[REGISTER_RAX] = selector;
    return RUN(m, "\x8e\xd0");
}

static void data_segments(void **state)
{
    static const struct {
        uint16_t selector;
        unsigned cpl, vector, error;
    } cases[] = {
        { DATA0, 0, 0, 0 },
        { DATA3, 0, 0, 0 },
        { DATA3 | 3, 3, 0, 0 },
        { DATA0 | 3, 0, EXCEPTION_GP, DATA0 },
        { DATA0, 3, EXCEPTION_GP, DATA0 },
        { READ_ONLY, 0, 0, 0 },
        { EXPAND_DOWN, 0, 0, 0 },
        { CODE0_32, 0, 0, 0 },
        { EXECUTE_ONLY, 0, EXCEPTION_GP, EXECUTE_ONLY },
        { CONFORMING | 3, 3, 0, 0 }, /* readable conforming code: no privilege check */
        { ABSENT_DATA, 0, EXCEPTION_NP, ABSENT_DATA },
        { TSS_SELECTOR, 0, EXCEPTION_GP, TSS_SELECTOR },
        { 0, 3, 0, 0 },
        { 3, 3, 0, 0 },
        { 0xfff8, 0, EXCEPTION_GP, 0xfff8 },
        { 4, 0, EXCEPTION_GP, 4 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct machine *m = machine_new(MODE_PROTECTED32, cases[i].cpl);
        int result = load_ds(m, cases[i].selector);

        if (cases[i].vector) {
            assert_fault(m, result, cases[i].vector, cases[i].error);
        } else {
            assert_int_equal(result, 0);
            assert_selector(m, SEGMENT_DS, cases[i].selector);
            assert_int_equal(m->vcpu.r.segment[SEGMENT_DS].unusable, cases[i].selector < 4);
        }
        machine_free(m);
    }
}

static void stack_segment(void **state)
{
    static const struct {
        enum machine_mode mode;
        unsigned cpl;
        uint16_t selector;
        unsigned vector, error;
    } cases[] = {
        { MODE_PROTECTED32, 0, DATA0, 0, 0 },
        { MODE_PROTECTED32, 0, DATA0_16, 0, 0 },
        { MODE_PROTECTED32, 0, 0, EXCEPTION_GP, 0 },
        { MODE_PROTECTED32, 0, DATA0 | 1, EXCEPTION_GP, DATA0 },
        { MODE_PROTECTED32, 0, DATA3, EXCEPTION_GP, DATA3 },
        { MODE_PROTECTED32, 3, DATA0 | 3, EXCEPTION_GP, DATA0 },
        { MODE_PROTECTED32, 0, READ_ONLY, EXCEPTION_GP, READ_ONLY },
        { MODE_PROTECTED32, 0, CODE0_32, EXCEPTION_GP, CODE0_32 },
        { MODE_PROTECTED32, 0, ABSENT_DATA, EXCEPTION_SS, ABSENT_DATA },
        { MODE_LONG64, 0, 0, 0, 0 }, /* null is legal in 64-bit code below CPL 3, RPL = CPL */
        { MODE_LONG64, 0, 1, EXCEPTION_GP, 0 },
        { MODE_LONG64, 3, 3, EXCEPTION_GP, 0 },
        { MODE_COMPATIBILITY, 0, 0, EXCEPTION_GP, 0 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct machine *m = machine_new(cases[i].mode, cases[i].cpl);
        int result = load_ss(m, cases[i].selector);

        if (cases[i].vector) {
            assert_fault(m, result, cases[i].vector, cases[i].error);
            assert_int_equal(m->vcpu.r.interrupt_shadow, 0);
        } else {
            assert_int_equal(result, 0);
            assert_int_equal(m->vcpu.r.interrupt_shadow, SHADOW_MOV_SS);
            assert_true(m->vcpu.attention & ATTENTION_DEBUG);
        }
        machine_free(m);
    }
}

static void stack_size_follows(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);

    (void)state;
    m->vcpu.r.gpr[REGISTER_RSP] = 0x12340000;
    assert_int_equal(load_ss(m, DATA0_16), 0);
    assert_int_equal(m->vcpu.stack_size, 2);
    assert_int_equal(RUN(m, "\x54"), 0); /* PUSH ESP wraps within 64 KiB */
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], 0x1234fffc);
    assert_int_equal(get(m, 0x20000 + 0xfffc, 4), 0x12340000);
    machine_free(m);
}

static void accessed_bit(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    set_descriptor(m, FREE, make_segment(0x12345678, 0xfffff, 0x92, 0xc));
    assert_int_equal(load_ds(m, FREE), 0);
    assert_int_equal(get(m, GDT + FREE + 5, 1), 0x93);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_DS].base, 0x12345678);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_DS].rights, 0xc093);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_DS].limit, 0xffffffff);
    /* A read-only table: the write is a supervisor write fault; CS keeps out of it. */
    set_descriptor(m, FREE, make_segment(0, 0xfffff, 0x92, 0xc));
    set_page(m, GDT, GDT | 5);
    assert_fault(m, load_ds(m, FREE), EXCEPTION_PF, 3);
    assert_int_equal(m->vcpu.fault.address, GDT + FREE + 5);
    assert_int_equal(load_ds(m, DATA0), 0); /* already accessed: not written */
    machine_free(m);
}

static void local_table(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);

    (void)state;
    put(m, LDT + 8, 8, make_segment(0x1000, 0xff, 0x93, 0));
    m->vcpu.r.gpr[REGISTER_RAX] = LDT_SELECTOR;
    assert_int_equal(RUN(m, "\x0f\x00\xd0"), 0);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_LDTR].base, LDT);
    assert_int_equal(load_ds(m, 0xc), 0);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_DS].base, 0x1000);
    assert_fault(m, load_ds(m, 0x104), EXCEPTION_GP, 0x104);
    m->vcpu.r.gpr[REGISTER_RAX] = DATA0;
    assert_fault(m, RUN(m, "\x0f\x00\xd0"), EXCEPTION_GP, DATA0);
    m->vcpu.r.gpr[REGISTER_RAX] = 0;
    assert_int_equal(RUN(m, "\x0f\x00\xd0"), 0);
    assert_fault(m, load_ds(m, 0xc), EXCEPTION_GP, 0xc);
    machine_free(m);
}

static void task_register(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    m->vcpu.r.gpr[REGISTER_RAX] = TSS_SELECTOR;
    assert_fault(m, RUN(m, "\x0f\x00\xd8"), EXCEPTION_GP, TSS_SELECTOR); /* busy */
    set_descriptor(m, TSS_SELECTOR, make_segment(TSS, 0x67, 0x89, 0));
    set_descriptor(m, TSS_SELECTOR + 8, 0xffff8000);
    assert_int_equal(RUN(m, "\x0f\x00\xd8"), 0);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_TR].base, 0xffff800000000000ull + TSS);
    assert_int_equal(get(m, GDT + TSS_SELECTOR + 5, 1), 0x8b);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_TR].rights & RIGHTS_TYPE, SYSTEM_TSS_BUSY);
    set_descriptor(m, TSS_SELECTOR, make_segment(TSS, 0x67, 0x89, 0));
    set_descriptor(m, TSS_SELECTOR + 8, 0x8000); /* base not canonical */
    assert_fault(m, RUN(m, "\x0f\x00\xd8"), EXCEPTION_GP, TSS_SELECTOR);
    m->vcpu.r.gpr[REGISTER_RAX] = 0;
    assert_fault(m, RUN(m, "\x0f\x00\xd8"), EXCEPTION_GP, 0);
    machine_free(m);
    m = machine_new(MODE_LONG64, 3);
    assert_fault(m, RUN(m, "\x0f\x00\xd8"), EXCEPTION_GP, 0);
    machine_free(m);
    m = machine_new(MODE_REAL, 0);
    assert_fault(m, RUN(m, "\x0f\x00\xd8"), EXCEPTION_UD, 0);
    machine_free(m);
}

static void descriptor_tables(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);

    (void)state;
    m->vcpu.r.gpr[REGISTER_RAX] = 0x60000;
    put(m, 0x60000, 2, 0x1234);
    put(m, 0x60002, 8, 0xffff800012345678ull);
    assert_int_equal(RUN(m, "\x0f\x01\x10"), 0); /* LGDT [RAX] */
    assert_int_equal(m->vcpu.r.gdtr.base, 0xffff800012345678ull);
    assert_int_equal(m->vcpu.r.gdtr.limit, 0x1234);
    put(m, 0x60002, 8, 0x800012345678ull);
    assert_fault(m, RUN(m, "\x0f\x01\x18"), EXCEPTION_GP, 0); /* LIDT */
    m->vcpu.r.gpr[REGISTER_RAX] = 0x60100;
    assert_int_equal(RUN(m, "\x0f\x01\x00"), 0); /* SGDT */
    assert_int_equal(get(m, 0x60100, 2), 0x1234);
    assert_int_equal(get(m, 0x60102, 8), 0xffff800012345678ull);
    machine_free(m);
    m = machine_new(MODE_PROTECTED32, 0);
    put(m, 0x60000, 2, 0x1234);
    put(m, 0x60002, 4, 0xaabbccdd);
    m->vcpu.r.gpr[REGISTER_RAX] = 0x60000;
    assert_int_equal(RUN(m, "\x66\x0f\x01\x10"), 0); /* 16-bit operand: 24 bits of base */
    assert_int_equal(m->vcpu.r.gdtr.base, 0xbbccdd);
    machine_free(m);
}

static void umip(void **state)
{
    static const char *const code[] = { "\x0f\x01\x00", "\x0f\x01\x08", "\x0f\x00\x00",
                                        "\x0f\x00\x08" };
    struct machine *m = machine_new(MODE_LONG64, 3);

    (void)state;
    m->vcpu.r.gpr[REGISTER_RAX] = 0x60000;
    for (unsigned i = 0; i < ARRAY_SIZE(code); i++) {
        m->vcpu.r.cr4 &= ~(uint64_t)CR4_UMIP;
        assert_int_equal(run(m, code[i], 3), 0);
        m->vcpu.r.cr4 |= CR4_UMIP;
        assert_fault(m, run(m, code[i], 3), EXCEPTION_GP, 0);
    }
    machine_free(m);
}

static void queries(void **state)
{
    static const struct {
        uint16_t selector;
        unsigned cpl;
        bool lar, lsl, verr, verw;
    } cases[] = {
        { 0, 0, false, false, false, false },
        { CODE0_32, 0, true, true, true, false },
        { DATA0, 0, true, true, true, true },
        { DATA0, 3, false, false, false, false },
        { DATA0 | 3, 0, false, false, false, false },
        { READ_ONLY, 0, true, true, true, false },
        { EXECUTE_ONLY, 0, true, true, false, false },
        { CONFORMING | 3, 3, true, true, true, false },
        { LDT_SELECTOR, 0, true, true, false, false },
        { TSS_SELECTOR, 0, true, true, false, false },
        { TASK_GATE_SELECTOR, 0, true, false, false, false },
        { ABSENT_DATA, 0, true, true, true, false }, /* presence is not looked at */
        { 0x300, 0, false, false, false, false },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct machine *m = machine_new(MODE_PROTECTED32, cases[i].cpl);
        uint64_t *rflags = &m->vcpu.r.rflags;

        set_descriptor(m, ABSENT_DATA, make_segment(0, 0xfffff, 0x11, 0xc));
        m->vcpu.r.gpr[REGISTER_RCX] = cases[i].selector;
        m->vcpu.r.gpr[REGISTER_RAX] = 0x55;
        assert_int_equal(RUN(m, "\x0f\x02\xc1"), 0);
        assert_int_equal(!!(*rflags & FLAG_ZF), cases[i].lar);
        assert_int_equal(m->vcpu.r.gpr[REGISTER_RAX] == 0x55, !cases[i].lar);
        assert_int_equal(RUN(m, "\x0f\x03\xc1"), 0);
        assert_int_equal(!!(*rflags & FLAG_ZF), cases[i].lsl);
        assert_int_equal(RUN(m, "\x0f\x00\xe1"), 0);
        assert_int_equal(!!(*rflags & FLAG_ZF), cases[i].verr);
        assert_int_equal(RUN(m, "\x0f\x00\xe9"), 0);
        assert_int_equal(!!(*rflags & FLAG_ZF), cases[i].verw);
        machine_free(m);
    }
}

static void query_values(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->gpr[REGISTER_RCX] = DATA3;
    r->gpr[REGISTER_RAX] = ~0ull;
    assert_int_equal(RUN(m, "\x0f\x02\xc1"), 0);
    assert_int_equal(r->gpr[REGISTER_RAX], 0xcff300); /* as the bare CPU answers */
    r->gpr[REGISTER_RAX] = ~0ull;
    assert_int_equal(RUN(m, "\x66\x0f\x02\xc1"), 0);
    assert_int_equal(r->gpr[REGISTER_RAX], 0xfffffffffffff300ull);
    assert_int_equal(RUN(m, "\x48\x0f\x03\xc1"), 0);
    assert_int_equal(r->gpr[REGISTER_RAX], 0xffffffff);
    /* System types that exist in legacy mode only. */
    r->gpr[REGISTER_RCX] = TASK_GATE_SELECTOR;
    assert_int_equal(RUN(m, "\x0f\x02\xc1"), 0);
    assert_false(r->rflags & FLAG_ZF);
    machine_free(m);
}

static void arpl(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->gpr[REGISTER_RAX] = 0xffff0010;
    r->gpr[REGISTER_RCX] = 3;
    assert_int_equal(RUN(m, "\x63\xc8"), 0);
    assert_int_equal(r->gpr[REGISTER_RAX], 0xffff0013);
    assert_true(r->rflags & FLAG_ZF);
    assert_int_equal(RUN(m, "\x63\xc8"), 0);
    assert_false(r->rflags & FLAG_ZF);
    machine_free(m);
}

static void segment_bases(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->kernel_gs_base = 0x1111;
    r->segment[SEGMENT_GS].base = 0x2222;
    assert_int_equal(RUN(m, "\x0f\x01\xf8"), 0);
    assert_int_equal(r->segment[SEGMENT_GS].base, 0x1111);
    assert_int_equal(r->kernel_gs_base, 0x2222);
    assert_fault(m, RUN(m, "\xf3\x48\x0f\xae\xc0"), EXCEPTION_UD, 0); /* CR4.FSGSBASE clear */
    r->cr4 |= CR4_FSGSBASE;
    r->gpr[REGISTER_RAX] = 0xffff800000001234ull;
    assert_int_equal(RUN(m, "\xf3\x48\x0f\xae\xd0"), 0); /* WRFSBASE RAX */
    assert_int_equal(RUN(m, "\xf3\x48\x0f\xae\xc1"), 0); /* RDFSBASE RCX */
    assert_int_equal(r->gpr[REGISTER_RCX], 0xffff800000001234ull);
    assert_int_equal(RUN(m, "\xf3\x0f\xae\xd8"), 0); /* WRGSBASE EAX */
    assert_int_equal(r->segment[SEGMENT_GS].base, 0x1234);
    r->gpr[REGISTER_RAX] = 0x800000000000ull;
    assert_fault(m, RUN(m, "\xf3\x48\x0f\xae\xd8"), EXCEPTION_GP, 0);
    machine_free(m);
    m = machine_new(MODE_LONG64, 3);
    assert_fault(m, RUN(m, "\x0f\x01\xf8"), EXCEPTION_GP, 0);
    machine_free(m);
}

static void stores(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->gpr[REGISTER_RAX] = ~0ull;
    assert_int_equal(RUN(m, "\x66\x8c\xd8"), 0);
    assert_int_equal(r->gpr[REGISTER_RAX], 0xffffffffffff0000ull | DATA3 | 3);
    assert_int_equal(RUN(m, "\x48\x8c\xd8"), 0);
    assert_int_equal(r->gpr[REGISTER_RAX], DATA3 | 3);
    put(m, 0x60000, 8, ~0ull);
    r->gpr[REGISTER_RAX] = 0x60000;
    assert_int_equal(RUN(m, "\x48\x8c\x18"), 0); /* memory: two bytes always */
    assert_int_equal(get(m, 0x60000, 8), 0xffffffffffff0000ull | DATA3 | 3);
    machine_free(m);
}

static void far_pointers(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    put(m, 0x60000, 4, 0x89abcdef);
    put(m, 0x60004, 2, DATA3);
    r->gpr[REGISTER_RAX] = 0x60000;
    assert_int_equal(RUN(m, "\xc4\x08"), 0); /* LES ECX, [EAX] */
    assert_int_equal(r->gpr[REGISTER_RCX], 0x89abcdef);
    assert_selector(m, SEGMENT_ES, DATA3);
    assert_int_equal(RUN(m, "\x0f\xb5\x10"), 0); /* LGS EDX */
    assert_selector(m, SEGMENT_GS, DATA3);
    r->gpr[REGISTER_RCX] = 0;
    assert_fault(m, RUN(m, "\x0f\xb2\x08"), EXCEPTION_GP, DATA3); /* LSS: DPL */
    assert_int_equal(r->gpr[REGISTER_RCX], 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_segments),
        cmocka_unit_test(stack_segment),
        cmocka_unit_test(stack_size_follows),
        cmocka_unit_test(accessed_bit),
        cmocka_unit_test(local_table),
        cmocka_unit_test(task_register),
        cmocka_unit_test(descriptor_tables),
        cmocka_unit_test(umip),
        cmocka_unit_test(queries),
        cmocka_unit_test(query_values),
        cmocka_unit_test(arpl),
        cmocka_unit_test(segment_bases),
        cmocka_unit_test(stores),
        cmocka_unit_test(far_pointers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
