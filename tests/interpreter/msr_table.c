/* SPDX-License-Identifier: MIT */
/* msr_table.c - which MSRs exist, what they keep and what they refuse, for both vendors. */
#include "control_harness.h"

#define EFER_MSR      0xc0000080u
#define EFER_NX_SCE   (EFER_NXE | EFER_SCE)
#define NON_CANONICAL 0x0000800000000000ull

static int wrmsr(struct machine *m, uint32_t number, uint64_t value)
{
    GPR(m, RCX) = number | 0xabcdull << 32; /* only ECX counts */
    GPR(m, RAX) = (uint32_t)value | 0x77ull << 32;
    GPR(m, RDX) = value >> 32;
    return RUN(m, "\x0f\x30");
}

static int rdmsr(struct machine *m, uint32_t number, uint64_t *value)
{
    GPR(m, RCX) = number;
    GPR(m, RAX) = GPR(m, RDX) = ~0ull;
    int result = RUN(m, "\x0f\x32");
    if (result == 0)
        assert_true(GPR(m, RAX) >> 32 == 0 && GPR(m, RDX) >> 32 == 0);
    *value = GPR(m, RDX) << 32 | (uint32_t)GPR(m, RAX);
    return result;
}

static uint64_t value_of(struct machine *m, uint32_t number)
{
    uint64_t value;
    assert_int_equal(rdmsr(m, number, &value), 0);
    return value;
}

static void test_efer(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    uint64_t efer = m->vcpu.r.efer;
    assert_int_equal(value_of(m, EFER_MSR), efer);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(m->vm.model.efer_allowed >> bit & 1))
            assert_gp(m, wrmsr(m, EFER_MSR, efer | 1ull << bit));
    }
    assert_gp(m, wrmsr(m, EFER_MSR, efer & ~(uint64_t)EFER_LME)); /* paging is on */
    assert_int_equal(wrmsr(m, EFER_MSR, EFER_LME | EFER_NX_SCE), 0);
    assert_int_equal(m->vcpu.r.efer, EFER_LME | EFER_LMA | EFER_NX_SCE); /* LMA cannot be written */
    machine_free(m);
}

static void test_addresses(void **state)
{
    (void)state;
    static const uint32_t canonical[] = { 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                          0xc0000102 };
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_INTEL);
    for (unsigned i = 0; i < ARRAY_SIZE(canonical); i++) {
        assert_int_equal(wrmsr(m, canonical[i], 0xffff888000001000ull + i), 0);
        assert_gp(m, wrmsr(m, canonical[i], NON_CANONICAL));
        assert_int_equal(value_of(m, canonical[i]), 0xffff888000001000ull + i);
    }
    assert_int_equal(m->vcpu.r.segment[SEGMENT_FS].base, 0xffff888000001002ull);
    assert_int_equal(m->vcpu.r.segment[SEGMENT_GS].base, 0xffff888000001003ull);
    assert_gp(m, wrmsr(m, 0x176, NON_CANONICAL));
    machine_free(m);
    m = machine_new(MODE_LONG64, 0, VENDOR_AMD); /* SYSENTER is 32-bit there */
    assert_int_equal(wrmsr(m, 0x176, NON_CANONICAL | 0x1234), 0);
    assert_int_equal(value_of(m, 0x176), 0x1234);
    machine_free(m);
}

static void test_memory_types(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    assert_int_equal(value_of(m, 0x277), 0x0007040600070406ull);
    assert_int_equal(wrmsr(m, 0x277, 0x0407050600070106ull), 0); /* what Linux writes */
    assert_gp(m, wrmsr(m, 0x277, 2));
    assert_gp(m, wrmsr(m, 0x277, 3ull << 56));
    assert_gp(m, wrmsr(m, 0x277, 8));
    assert_int_equal(value_of(m, 0xfe) & 0xff, 8);
    assert_gp(m, wrmsr(m, 0xfe, 0));
    assert_int_equal(wrmsr(m, 0x2ff, 0xc06), 0);
    assert_gp(m, wrmsr(m, 0x2ff, 7));
    assert_gp(m, wrmsr(m, 0x2ff, 0x1000));
    assert_int_equal(wrmsr(m, 0x26f, 0x0606060606060606ull), 0);
    assert_gp(m, wrmsr(m, 0x26f, 0x0706060606060606ull));
    assert_int_equal(wrmsr(m, 0x200, 0x80000000 | 6), 0);
    assert_gp(m, wrmsr(m, 0x200, 0x100));
    assert_int_equal(wrmsr(m, 0x20f, 0xfff00800), 0);
    assert_int_equal(value_of(m, 0x20f), 0xfff00800);
    assert_gp(m, wrmsr(m, 0x201, 1));
    assert_gp(m, wrmsr(m, 0x201, 1ull << m->vm.model.physical_bits));
    assert_gp(m, wrmsr(m, 0x210, 0));
    machine_free(m);
}

static void test_time_stamp(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    m->vcpu.instructions = 1000;
    assert_int_equal(value_of(m, 0x10), 1000);
    assert_int_equal(wrmsr(m, 0x10, 5000), 0);
    assert_int_equal(value_of(m, 0x10), 5000);
    assert_int_equal(value_of(m, 0x3b), 4000); /* TSC_ADJUST moved along */
    assert_int_equal(wrmsr(m, 0x3b, (uint64_t)-500), 0);
    assert_int_equal(value_of(m, 0x10), 500);
    assert_int_equal(wrmsr(m, 0xc0000103, 0xffffffff), 0);
    assert_gp(m, wrmsr(m, 0xc0000103, 1ull << 32));
    machine_free(m);
}

/* What the mitigations of a stock kernel look at. */
static void test_speculation(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    uint64_t capabilities = value_of(m, 0x10a), value;
    assert_true(capabilities & 1);      /* RDCL_NO */
    assert_true(capabilities & 2);      /* IBRS_ALL */
    assert_true(capabilities & 1 << 5); /* MDS_NO */
    assert_gp(m, wrmsr(m, 0x10a, 0));
    assert_int_equal(wrmsr(m, 0x48, 1), 0);
    assert_int_equal(value_of(m, 0x48), 1);
    assert_gp(m, wrmsr(m, 0x48, 2)); /* STIBP is not in CPUID */
    assert_int_equal(wrmsr(m, 0x49, 1), 0);
    assert_gp(m, wrmsr(m, 0x49, 2));
    assert_gp(m, rdmsr(m, 0x49, &value)); /* write-only */
    assert_gp(m, rdmsr(m, 0x10b, &value));
    machine_free(m);
}

static void test_vendors(void **state)
{
    (void)state;
    static const uint32_t amd[] = { 0xc0010010, 0xc0010015, 0xc001001a, 0xc001001d,
                                    0xc001001f, 0xc0011020, 0xc0011029 };
    static const uint32_t intel[] = { 0x17, 0x3a, 0xce, 0x1a0 };
    static const uint32_t nobody[] = { 0x480 /* VMX */, 0xda0 /* XSS */,        0x6a0 /* CET */,
                                       0x38f /* PMU */, 0xc0010114 /* VM_CR */, 0x12345678,
                                       0x4b564dff };
    struct machine *a = machine_new(MODE_LONG64, 0, VENDOR_AMD);
    struct machine *i = machine_new(MODE_LONG64, 0, VENDOR_INTEL);
    uint64_t value;
    for (unsigned n = 0; n < ARRAY_SIZE(amd); n++) {
        value_of(a, amd[n]);
        assert_gp(i, rdmsr(i, amd[n], &value));
    }
    for (unsigned n = 0; n < ARRAY_SIZE(intel); n++) {
        value_of(i, intel[n]);
        assert_gp(a, rdmsr(a, intel[n], &value));
    }
    for (unsigned n = 0; n < ARRAY_SIZE(nobody); n++) {
        assert_gp(a, rdmsr(a, nobody[n], &value));
        assert_gp(i, rdmsr(i, nobody[n], &value));
        assert_gp(i, wrmsr(i, nobody[n], 0));
    }
    assert_true(value_of(a, 0xc0010015) & 1u << 24);
    assert_true(value_of(a, 0xc0011029) & 2);
    assert_int_equal(value_of(i, 0x179), 0); /* no machine-check banks */
    assert_gp(i, rdmsr(i, 0x400, &value));
    assert_true(value_of(i, 0x1a0) & 1); /* fast strings: Linux turns ERMS off without it */
    machine_free(a);
    machine_free(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_efer),         cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_memory_types), cmocka_unit_test(test_time_stamp),
        cmocka_unit_test(test_speculation),  cmocka_unit_test(test_vendors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
