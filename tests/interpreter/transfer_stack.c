/* SPDX-License-Identifier: MIT */
/*
 * transfer_stack.c - operands, near branches and stack instructions.
 */
#include "transfer_harness.h"

/* ---- Operands ---- */

static uint64_t offset_of(struct machine *m, const char *bytes, size_t size)
{
    struct instruction insn;

    assert_int_equal(instruction_decode((const uint8_t *)bytes, size, m->vcpu.code_size, &insn),
                     DECODE_OK);
    return operand_offset(&m->vcpu, &insn);
}
#define OFFSET(m, bytes) offset_of(m, bytes, sizeof(bytes) - 1)

static void offsets(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->gpr[REGISTER_RAX] = 0xffffffff00000010ull;
    r->gpr[REGISTER_RCX] = 0x100;
    assert_int_equal(OFFSET(m, "\xff\x74\x88\xf0"), 0xffffffff00000400ull); /* [RAX+RCX*4-16] */
    assert_int_equal(OFFSET(m, "\x67\xff\x74\x88\xf0"), 0x400); /* 32-bit addressing wraps */
    assert_int_equal(OFFSET(m, "\xff\x35\x10\x00\x00\x00"), CODE + 6 + 0x10);
    /* RIP-relative counts from the end, immediate included. */
    assert_int_equal(OFFSET(m, "\x83\x3d\x10\x00\x00\x00\x05"), CODE + 7 + 0x10);
    r->gpr[REGISTER_RDX] = (uint64_t)-1;
    assert_int_equal(OFFSET(m, "\x48\x0f\xa3\x11"), 0x100 - 8); /* BT [RCX], RDX */
    assert_int_equal(OFFSET(m, "\x0f\xa3\x11"), 0x100 - 4);
    assert_int_equal(OFFSET(m, "\x66\x0f\xa3\x11"), 0x100 - 2);
    r->gpr[REGISTER_RDX] = 0x7fffffff;
    assert_int_equal(OFFSET(m, "\x0f\xa3\x11"), 0x100 + 0x0ffffffc);
    machine_free(m);
    m = machine_new(MODE_REAL, 0);
    m->vcpu.r.gpr[REGISTER_RBX] = 0xfff0;
    m->vcpu.r.gpr[REGISTER_RSI] = 0x20;
    assert_int_equal(OFFSET(m, "\xff\x70\x01"), 0x11); /* [BX+SI+1] */
    machine_free(m);
}

static void byte_registers(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct instruction insn = { .encoding = ENCODING_LEGACY };
    uint64_t *gpr = m->vcpu.r.gpr;

    (void)state;
    gpr[REGISTER_RBX] = 0x1122334455667788ull;
    assert_int_equal(register_read(&m->vcpu, &insn, 7, 1), 0x77); /* BH */
    register_write(&m->vcpu, &insn, 7, 1, 0xaa);
    assert_int_equal(gpr[REGISTER_RBX], 0x112233445566aa88ull);
    insn.has_rex = true;
    gpr[REGISTER_RDI] = 0x99;
    assert_int_equal(register_read(&m->vcpu, &insn, 7, 1), 0x99); /* DIL */
    register_write(&m->vcpu, &insn, 3, 2, 0xbbbb);
    assert_int_equal(gpr[REGISTER_RBX], 0x112233445566bbbbull);
    register_write(&m->vcpu, &insn, 3, 4, 0xcccccccc);
    assert_int_equal(gpr[REGISTER_RBX], 0xcccccccc);
    machine_free(m);
}

static void conditions(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 32; flags++) {
        bool cf = flags & 1, zf = flags & 2, sf = flags & 4, of = flags & 8, pf = flags & 16;
        uint64_t rflags = (cf ? FLAG_CF : 0) | (zf ? FLAG_ZF : 0) | (sf ? FLAG_SF : 0) |
                          (of ? FLAG_OF : 0) | (pf ? FLAG_PF : 0);
        const bool met[8] = { of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of };

        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(condition_met(rflags, i), met[i / 2] != (i & 1));
    }
}

/* ---- Branches ---- */

static void near_branches(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;
    uint64_t rsp = r->gpr[REGISTER_RSP];

    (void)state;
    assert_int_equal(RUN(m, "\xe8\x00\x01\x00\x00"), 0);
    assert_int_equal(r->rip, CODE + 5 + 0x100);
    assert_int_equal(get(m, rsp - 8, 8), CODE + 5);
    assert_int_equal(RUN(m, "\xc2\x08\x00"), 0);
    assert_int_equal(r->rip, CODE + 5);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp + 8);
    assert_int_equal(RUN(m, "\x74\x10"), 0); /* not taken */
    assert_int_equal(r->rip, CODE + 7);
    assert_int_equal(RUN(m, "\x75\xf7"), 0); /* taken, backwards */
    assert_int_equal(r->rip, CODE);
    r->gpr[REGISTER_RAX] = 0x800000000000ull;
    assert_fault(m, RUN(m, "\xff\xe0"), EXCEPTION_GP, 0);
    r->gpr[REGISTER_RSP] = rsp;
    assert_fault(m, RUN(m, "\xff\xd0"), EXCEPTION_GP, 0);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp); /* CALL pushed nothing */
    r->gpr[REGISTER_RSP] = 0x800000000000ull;
    assert_fault(m, RUN(m, "\xc3"), EXCEPTION_SS, 0);
    machine_free(m);
}

static void counted_branches(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->gpr[REGISTER_RCX] = 0x100000001ull;
    assert_int_equal(RUN(m, "\x67\xe2\x10"), 0); /* ECX becomes 0: falls through */
    assert_int_equal(r->rip, CODE + 3);
    assert_int_equal(r->gpr[REGISTER_RCX], 0);
    assert_int_equal(RUN(m, "\xe3\x10"), 0);
    assert_int_equal(r->rip, CODE + 5 + 0x10);
    assert_int_equal(RUN(m, "\xe2\x10"), 0); /* RCX wraps to ~0: taken */
    assert_int_equal(r->gpr[REGISTER_RCX], ~0ull);
    assert_int_equal(r->rip, CODE + 5 + 0x10 + 2 + 0x10);
    r->rflags |= FLAG_ZF;
    r->rip = CODE;
    assert_int_equal(RUN(m, "\xe0\x10"), 0); /* LOOPNE */
    assert_int_equal(r->rip, CODE + 2);
    assert_int_equal(RUN(m, "\xe1\x10"), 0); /* LOOPE */
    assert_int_equal(r->rip, CODE + 4 + 0x10);
    machine_free(m);
}

static void branch_16_bit_operand(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);

    (void)state;
    assert_int_equal(RUN(m, "\x66\xe9\x00\x01"), 0);
    assert_int_equal(m->vcpu.r.rip, (CODE + 4 + 0x100) & 0xffff);
    m->vcpu.r.segment[SEGMENT_CS].limit = 0x100;
    assert_fault(m, RUN(m, "\xeb\x7f"), EXCEPTION_GP, 0);
    machine_free(m);
}

/* ---- PUSH, POP ---- */

static void push_pop(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;
    uint64_t rsp = r->gpr[REGISTER_RSP];

    (void)state;
    assert_int_equal(RUN(m, "\x54"), 0);
    assert_int_equal(get(m, rsp - 8, 8), rsp); /* the value before the push */
    put(m, rsp - 8, 8, 0x1234);
    assert_int_equal(RUN(m, "\x8f\x44\x24\x10"), 0); /* POP [RSP+16]: RSP after the pop */
    assert_int_equal(get(m, rsp + 16, 8), 0x1234);
    assert_int_equal(RUN(m, "\xff\x74\x24\x10"), 0); /* PUSH [RSP+16]: RSP before */
    assert_int_equal(get(m, rsp - 8, 8), 0x1234);
    assert_int_equal(RUN(m, "\x5c"), 0);
    assert_int_equal(r->gpr[REGISTER_RSP], 0x1234);
    r->gpr[REGISTER_RSP] = rsp;
    assert_fault(m, RUN(m, "\x8f\x04\x25\x00\x00\x05\x00"), EXCEPTION_PF, 2);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp);
    machine_free(m);
}

static void push_all(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;
    uint64_t rsp = r->gpr[REGISTER_RSP];

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        if (i != REGISTER_RSP)
            r->gpr[i] = 0x11111111 * (i + 1);
    assert_int_equal(RUN(m, "\x60"), 0);
    assert_int_equal(get(m, rsp - 4, 4), 0x11111111);
    assert_int_equal(get(m, rsp - 20, 4), rsp);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp - 32);
    memset(r->gpr, 0, 4 * 8);
    put(m, rsp - 20, 4, 0xdead); /* POPA skips rSP */
    assert_int_equal(RUN(m, "\x61"), 0);
    assert_int_equal(r->gpr[REGISTER_RBX], 0x44444444);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp);
    machine_free(m);
}

static void flags(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;
    uint64_t rsp = r->gpr[REGISTER_RSP];

    (void)state;
    put(m, rsp, 8, ~0ull);
    assert_int_equal(RUN(m, "\x9d"), 0); /* CPL 0: all but RF, VM, VIF, VIP */
    assert_int_equal(r->rflags, 0x247fd7);
    assert_true(m->vcpu.attention & ATTENTION_DEBUG);
    r->rflags |= FLAG_RF;
    assert_int_equal(RUN(m, "\x9c"), 0);
    assert_int_equal(get(m, rsp, 8), 0x247fd7); /* RF is pushed as 0 */
    machine_free(m);
    m = machine_new(MODE_LONG64, 3);
    rsp = m->vcpu.r.gpr[REGISTER_RSP];
    m->vcpu.r.rflags |= FLAG_IF;
    put(m, rsp, 8, FLAG_IOPL | FLAG_CF);
    assert_int_equal(RUN(m, "\x9d"), 0); /* neither IOPL nor IF; no fault */
    assert_int_equal(m->vcpu.r.rflags, FLAG_ONE | FLAG_IF | FLAG_CF);
    machine_free(m);
    m = machine_new(MODE_LONG64, 3); /* 16-bit: AC and ID stay */
    m->vcpu.r.rflags |= FLAG_ID;
    assert_int_equal(RUN(m, "\x66\x9d"), 0);
    assert_int_equal(m->vcpu.r.rflags, FLAG_ONE | FLAG_ID);
    machine_free(m);
}

static void enter_leave(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;
    uint64_t rsp = r->gpr[REGISTER_RSP];

    (void)state;
    r->gpr[REGISTER_RBP] = 0x22000;
    put(m, 0x22000 - 4, 4, 0xaaaa);
    put(m, 0x22000 - 8, 4, 0xbbbb);
    assert_int_equal(RUN(m, "\xc8\x10\x00\x03"), 0);
    assert_int_equal(get(m, rsp - 4, 4), 0x22000);
    assert_int_equal(get(m, rsp - 8, 4), 0xaaaa);
    assert_int_equal(get(m, rsp - 12, 4), 0xbbbb);
    assert_int_equal(get(m, rsp - 16, 4), rsp - 4);
    assert_int_equal(r->gpr[REGISTER_RBP], rsp - 4);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp - 32);
    assert_int_equal(RUN(m, "\xc9"), 0);
    assert_int_equal(r->gpr[REGISTER_RBP], 0x22000);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp);
    r->gpr[REGISTER_RBP] = rsp; /* the display read hits the value just pushed */
    assert_int_equal(RUN(m, "\xc8\x00\x00\x02"), 0);
    assert_int_equal(get(m, rsp - 8, 4), rsp);
    machine_free(m);
    m = machine_new(MODE_LONG64, 0); /* the final rSP must be writable */
    m->vcpu.r.gpr[REGISTER_RSP] = UNMAPPED + 0x1100;
    assert_fault(m, RUN(m, "\xc8\x00\x02\x00"), EXCEPTION_PF, 2);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], UNMAPPED + 0x1100);
    machine_free(m);
}

static void segments_on_the_stack(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);
    struct vcpu_registers *r = &m->vcpu.r;
    uint64_t rsp = r->gpr[REGISTER_RSP];

    (void)state;
    put(m, rsp - 4, 4, 0xffffffff);
    assert_int_equal(RUN(m, "\x1e"), 0);
    assert_int_equal(get(m, rsp - 4, 4), 0xffff0000 | DATA0); /* Intel: two bytes */
    assert_int_equal(RUN(m, "\x07"), 0);
    m->vm.model.vendor_intel = false;
    assert_int_equal(RUN(m, "\x0e"), 0);
    assert_int_equal(get(m, rsp - 4, 4), CODE0_32);
    assert_fault(m, RUN(m, "\x17"), EXCEPTION_GP, CODE0_32); /* POP SS */
    assert_int_equal(r->gpr[REGISTER_RSP], rsp - 4);
    put(m, rsp - 4, 4, DATA0_16);
    assert_int_equal(RUN(m, "\x17"), 0);
    assert_int_equal(r->gpr[REGISTER_RSP], rsp); /* moved by the old stack's size */
    assert_int_equal(r->interrupt_shadow, SHADOW_MOV_SS);
    machine_free(m);
}

static void data_breakpoint(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->dr[1] = r->gpr[REGISTER_RSP] - 16;
    r->dr[7] = 0x400 | 1u << 2 | 0x9u << 20; /* R/W 01, LEN 10 */
    m->vcpu.data_breakpoints = 1;
    assert_int_equal(RUN(m, "\x54"), 0);
    assert_int_equal(m->vcpu.debug_pending, 0);
    assert_int_equal(RUN(m, "\x54"), 0);
    assert_int_equal(m->vcpu.debug_pending, 2);
    assert_true(m->vcpu.attention & ATTENTION_DEBUG);
    machine_free(m);
}

static void device_stack_keeps_the_wish_to_stop(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 0);

    (void)state;
    m->cancel = 1;
    m->vcpu.r.gpr[REGISTER_RSP] = 0x200100; /* beyond RAM: MMIO */
    assert_int_equal(RUN(m, "\x60"), 0);
    assert_true(m->vcpu.attention & ATTENTION_STOP);
    assert_int_equal(m->vcpu.r.gpr[REGISTER_RSP], 0x2000e0);
    assert_true(m->mmio > 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets),
        cmocka_unit_test(byte_registers),
        cmocka_unit_test(conditions),
        cmocka_unit_test(near_branches),
        cmocka_unit_test(counted_branches),
        cmocka_unit_test(branch_16_bit_operand),
        cmocka_unit_test(push_pop),
        cmocka_unit_test(push_all),
        cmocka_unit_test(flags),
        cmocka_unit_test(enter_leave),
        cmocka_unit_test(segments_on_the_stack),
        cmocka_unit_test(data_breakpoint),
        cmocka_unit_test(device_stack_keeps_the_wish_to_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
