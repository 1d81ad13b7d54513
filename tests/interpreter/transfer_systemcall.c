/* SPDX-License-Identifier: MIT */
/*
 * transfer_systemcall.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT by either vendor's rules (SDM Vol. 2;
 * APM Vol. 3).
 */
#include "transfer_harness.h"

#define TARGET 0x41000u

static void syscall_sysret(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->star = (uint64_t)0x1b << 48 | (uint64_t)CODE0_64 << 32;
    r->lstar = 0xffffffff81000000ull;
    r->fmask = FLAG_IF | FLAG_TF | FLAG_DF;
    r->rflags |= FLAG_IF | FLAG_ZF;
    assert_int_equal(RUN(m, "\x0f\x05"), 0);
    assert_int_equal(r->rip, 0xffffffff81000000ull);
    assert_int_equal(r->gpr[REGISTER_RCX], CODE + 2);
    assert_int_equal(r->gpr[REGISTER_R11], FLAG_ONE | FLAG_IF | FLAG_ZF);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_ZF);
    assert_int_equal(r->cpl, 0);
    assert_selector(m, SEGMENT_SS, DATA0);
    assert_int_equal(RUN(m, "\x48\x0f\x07"), 0);
    assert_int_equal(r->rip, CODE + 2);
    assert_int_equal(r->cpl, 3);
    assert_selector(m, SEGMENT_CS, 0x2b);
    assert_selector(m, SEGMENT_SS, 0x23);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_IF | FLAG_ZF);
    assert_true(m->vcpu.attention & ATTENTION_INTERRUPT);
    assert_fault(m, RUN(m, "\x48\x0f\x07"), EXCEPTION_GP, 0); /* CPL 3 */
    r->efer &= ~(uint64_t)EFER_SCE;
    assert_fault(m, RUN(m, "\x0f\x05"), EXCEPTION_UD, 0);
    machine_free(m);
}

static void sysret_to_compatibility(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->star = (uint64_t)0x1b << 48;
    r->gpr[REGISTER_RCX] = 0x123456789aull;
    r->gpr[REGISTER_R11] = ~0ull;
    assert_int_equal(RUN(m, "\x0f\x07"), 0);
    assert_int_equal(m->vcpu.code_size, 32);
    assert_selector(m, SEGMENT_CS, 0x1b);
    assert_int_equal(r->rip, 0x3456789a);
    assert_int_equal(r->rflags, 0x3c7fd7);
    machine_free(m);
}

static void vendors_differ(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->star = (uint64_t)0x1b << 48 | (uint64_t)CODE0_64 << 32;
    r->gpr[REGISTER_RCX] = 0x800000000000ull;
    r->gpr[REGISTER_R11] = FLAG_ONE;
    assert_fault(m, RUN(m, "\x48\x0f\x07"), EXCEPTION_GP, 0);
    assert_int_equal(r->cpl, 0);
    m->vm.model.vendor_intel = false;
    segment_set_null(&r->segment[SEGMENT_SS], 0, 0);
    assert_int_equal(RUN(m, "\x48\x0f\x07"), 0);
    assert_int_equal(r->cpl, 3);
    assert_int_equal(r->rip, 0x800000000000ull);
    assert_true(r->segment[SEGMENT_SS].unusable); /* attributes are left alone */
    r->sysenter_cs = CODE0_64;
    assert_fault(m, RUN(m, "\x0f\x34"), EXCEPTION_UD, 0);
    machine_free(m);
    m = machine_new(MODE_COMPATIBILITY, 3);
    assert_fault(m, RUN(m, "\x0f\x05"), EXCEPTION_UD, 0);
    m->vm.model.vendor_intel = false;
    m->vcpu.r.star = (uint64_t)CODE0_64 << 32;
    m->vcpu.r.cstar = 0xffffffff82000000ull;
    assert_int_equal(RUN(m, "\x0f\x05"), 0);
    assert_int_equal(m->vcpu.r.rip, 0xffffffff82000000ull);
    machine_free(m);
}

static void syscall_legacy(void **state)
{
    struct machine *m = machine_new(MODE_PROTECTED32, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    r->efer |= EFER_SCE;
    r->rflags |= FLAG_IF;
    r->star = (uint64_t)CODE3_32 << 48 | (uint64_t)CODE0_32 << 32 | TARGET;
    assert_fault(m, RUN(m, "\x0f\x05"), EXCEPTION_UD, 0);
    m->vm.model.vendor_intel = false;
    assert_int_equal(RUN(m, "\x0f\x05"), 0);
    assert_int_equal(r->rip, TARGET);
    assert_int_equal(r->gpr[REGISTER_RCX], CODE + 2);
    assert_int_equal(r->rflags, FLAG_ONE);
    assert_int_equal(r->cpl, 0);
    assert_int_equal(RUN(m, "\x0f\x07"), 0);
    assert_int_equal(r->rip, CODE + 2);
    assert_int_equal(r->cpl, 3);
    assert_int_equal(r->rflags, FLAG_ONE | FLAG_IF);
    machine_free(m);
}

static void sysenter_sysexit(void **state)
{
    struct machine *m = machine_new(MODE_COMPATIBILITY, 3);
    struct vcpu_registers *r = &m->vcpu.r;

    (void)state;
    assert_fault(m, RUN(m, "\x0f\x34"), EXCEPTION_GP, 0); /* SYSENTER_CS is null */
    r->sysenter_cs = CODE0_64;
    r->sysenter_esp = 0xffffc90000000000ull;
    r->sysenter_eip = 0xffffffff81000000ull;
    r->rflags |= FLAG_IF;
    assert_int_equal(RUN(m, "\x0f\x34"), 0);
    assert_int_equal(r->rip, 0xffffffff81000000ull);
    assert_int_equal(r->gpr[REGISTER_RSP], 0xffffc90000000000ull);
    assert_int_equal(r->rflags, FLAG_ONE);
    assert_int_equal(m->vcpu.code_size, 64);
    r->gpr[REGISTER_RDX] = TARGET;
    r->gpr[REGISTER_RCX] = STACK3;
    assert_int_equal(RUN(m, "\x0f\x35"), 0);
    assert_int_equal(m->vcpu.code_size, 32);
    assert_int_equal(r->cpl, 3);
    assert_int_equal(r->rip, TARGET);
    assert_selector(m, SEGMENT_CS, (CODE0_64 + 16) | 3);
    assert_fault(m, RUN(m, "\x0f\x35"), EXCEPTION_GP, 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syscall_sysret),   cmocka_unit_test(sysret_to_compatibility),
        cmocka_unit_test(vendors_differ),   cmocka_unit_test(syscall_legacy),
        cmocka_unit_test(sysenter_sysexit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
