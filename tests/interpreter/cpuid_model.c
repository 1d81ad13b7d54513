/* SPDX-License-Identifier: MIT */
/* cpuid_model.c - the CPUID policy: allow-list, consistency, and the fields that follow the vCPU.
 */
#include "control_harness.h"

struct answer {
    uint32_t eax, ebx, ecx, edx;
};

static struct answer cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf)
{
    GPR(m, RAX) = leaf | 0xffull << 32;
    GPR(m, RCX) = subleaf;
    assert_int_equal(RUN(m, "\x0f\xa2"), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(m->vcpu.r.gpr[i] >> 32, 0);
    return (struct answer){ (uint32_t)GPR(m, RAX), (uint32_t)GPR(m, RBX), (uint32_t)GPR(m, RCX),
                            (uint32_t)GPR(m, RDX) };
}

static bool shown(struct machine *m, uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    struct answer a = cpuid(m, leaf, subleaf);
    const uint32_t values[4] = { a.eax, a.ebx, a.ecx, a.edx };
    return values[reg] >> bit & 1;
}

enum { EAX, EBX, ECX, EDX };

static const struct {
    const char *name;
    uint32_t leaf, subleaf;
    unsigned reg, bit, id;
} features[] = {
#define FEATURE(name, leaf, subleaf, reg, bit) { #name, leaf, subleaf, reg, bit, FEATURE_##name },
#include "instruction/features.def"
#undef FEATURE
};

static void test_gates_equal_cpuid(void **state)
{
    (void)state;
    for (enum cpu_vendor vendor = VENDOR_HOST; vendor <= VENDOR_AMD; vendor++) {
        struct machine *m = machine_new(MODE_LONG64, 3, vendor);
        for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
            bool gate = cpu_model_has(&m->vm.model, features[i].id);
            if (gate !=
                shown(m, features[i].leaf, features[i].subleaf, features[i].reg, features[i].bit))
                fail_msg("%s", features[i].name);
        }
        machine_free(m);
    }
}

static const struct {
    const char *name;
    uint32_t leaf, subleaf;
    unsigned reg, bit;
} refused[] = {
    { "VMX", 1, 0, ECX, 5 },
    { "MONITOR", 1, 0, ECX, 3 },
    { "PDCM", 1, 0, ECX, 15 },
    { "VME", 1, 0, EDX, 1 },
    { "DS", 1, 0, EDX, 21 },
    { "ACPI", 1, 0, EDX, 22 },
    { "HLE", 7, 0, EBX, 4 },
    { "RTM", 7, 0, EBX, 11 },
    { "MPX", 7, 0, EBX, 14 },
    { "PT", 7, 0, EBX, 25 },
    { "SGX", 7, 0, EBX, 2 },
    { "WAITPKG", 7, 0, ECX, 5 },
    { "CET_SS", 7, 0, ECX, 7 },
    { "LA57", 7, 0, ECX, 16 },
    { "CLDEMOTE", 7, 0, ECX, 25 },
    { "ENQCMD", 7, 0, ECX, 29 },
    { "PKS", 7, 0, ECX, 31 },
    { "UINTR", 7, 0, EDX, 5 },
    { "PCONFIG", 7, 0, EDX, 18 },
    { "CET_IBT", 7, 0, EDX, 20 },
    { "AMX_BF16", 7, 0, EDX, 22 },
    { "AVX512_FP16", 7, 0, EDX, 23 },
    { "AMX_TILE", 7, 0, EDX, 24 },
    { "LASS", 7, 1, EAX, 6 },
    { "FRED", 7, 1, EAX, 17 },
    { "LAM", 7, 1, EAX, 26 },
    { "XSAVES", 0xd, 1, EAX, 3 },
    { "XFD", 0xd, 1, EAX, 4 },
    { "SVM", 0x80000001, 0, ECX, 2 },
    { "XOP", 0x80000001, 0, ECX, 11 },
    { "IBS", 0x80000001, 0, ECX, 10 },
    { "FFXSR", 0x80000001, 0, EDX, 25 },
    { "3DNOW", 0x80000001, 0, EDX, 31 },
    { "CLZERO", 0x80000008, 0, EBX, 0 },
    { "RDPRU", 0x80000008, 0, EBX, 4 },
    { "PMU", 0xa, 0, EAX, 0 },
};

static void test_refused(void **state)
{
    (void)state;
    for (enum cpu_vendor vendor = VENDOR_HOST; vendor <= VENDOR_AMD; vendor++) {
        struct machine *m = machine_new(MODE_LONG64, 0, vendor);
        for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
            if (shown(m, refused[i].leaf, refused[i].subleaf, refused[i].reg, refused[i].bit))
                fail_msg("%s", refused[i].name);
        }
        machine_free(m);
    }
}

static void test_always_given(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    assert_true(shown(m, 1, 0, ECX, 17) && shown(m, 1, 0, ECX, 21)); /* PCID, x2APIC */
    assert_true(shown(m, 1, 0, ECX, 24) && shown(m, 1, 0, ECX, 31)); /* TSC deadline, hypervisor */
    assert_true(shown(m, 7, 0, EBX, 0) && shown(m, 7, 0, EBX, 7) && shown(m, 7, 0, EBX, 10));
    assert_true(shown(m, 7, 0, EBX, 20) && shown(m, 7, 0, ECX, 2) && shown(m, 7, 0, ECX, 3));
    assert_true(shown(m, 7, 0, EDX, 29)); /* ARCH_CAPABILITIES */
    assert_true(shown(m, 0x80000001, 0, EDX, 20) && shown(m, 0x80000001, 0, EDX, 26));
    assert_true(shown(m, 0x80000007, 0, EDX, 8));
    machine_free(m);
}

static void test_follows_state(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    m->vcpu.id = 5;
    m->vcpu.r.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    assert_false(shown(m, 1, 0, ECX, 27));
    m->vcpu.r.cr4 |= CR4_OSXSAVE | CR4_PKE;
    assert_true(shown(m, 1, 0, ECX, 27));
    assert_true(shown(m, 7, 0, ECX, 4));
    assert_true(shown(m, 1, 0, EDX, 9));
    m->vcpu.r.apic_base = 0xfee00000;
    assert_false(shown(m, 1, 0, EDX, 9));
    assert_int_equal(cpuid(m, 1, 0).ebx >> 24, 5);
    assert_int_equal(cpuid(m, 0xb, 0).edx, 5);
    assert_int_equal(cpuid(m, 0xb, 7).edx, 5); /* past the last level too */
    assert_int_equal(cpuid(m, 0xb, 7).ecx, 7);
    assert_int_equal(cpuid(m, 0xb, 7).ebx, 0);
    m->vcpu.id = 0;
    machine_free(m);
}

static void test_xsave_sizes(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    const struct cpu_model *model = &m->vm.model;
    if (!model->xcr0_allowed)
        skip();
    m->vcpu.r.xcr0 = 3;
    assert_int_equal(cpuid(m, 0xd, 0).ebx, 576);
    assert_int_equal(cpuid(m, 0xd, 1).ebx, 576);
    m->vcpu.r.xcr0 = model->xcr0_allowed;
    struct answer zero = cpuid(m, 0xd, 0);
    assert_int_equal(zero.eax, model->xcr0_allowed);
    assert_int_equal(zero.ebx, zero.ecx);
    uint32_t standard = 576, compact = 576;
    for (uint32_t i = 2; i < 63; i++) {
        struct answer a = cpuid(m, 0xd, i);
        if (!(model->xcr0_allowed >> i & 1)) {
            assert_int_equal(a.eax | a.ebx | a.ecx, 0);
            continue;
        }
        assert_true(a.ebx >= standard); /* components do not overlap */
        standard = a.ebx + a.eax;
        compact = (a.ecx & 2 ? (compact + 63) & ~63u : compact) + a.eax;
    }
    assert_int_equal(zero.ecx, standard);
    assert_int_equal(cpuid(m, 0xd, 1).ebx, compact);
    assert_true(standard <= XSAVE_AREA_SIZE);
    machine_free(m);
}

static void test_out_of_range(void **state)
{
    (void)state;
    struct machine *intel = machine_new(MODE_LONG64, 0, VENDOR_INTEL);
    struct machine *amd = machine_new(MODE_LONG64, 0, VENDOR_AMD);
    struct answer last = cpuid(intel, cpuid(intel, 0, 0).eax, 0);
    static const uint32_t leaves[] = { 0x17, 0x1fffffff, 0x80000009, 0x8fffffff, 0xc0000000 };
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        struct answer a = cpuid(intel, leaves[i], 0);
        assert_memory_equal(&a, &last, sizeof(a));
    }
    struct answer a = cpuid(amd, 0x1fffffff, 0);
    assert_int_equal(a.eax | a.ebx | a.ecx | a.edx, 0);
    a = cpuid(intel, 0x40000005, 0);
    assert_int_equal(a.eax | a.ebx | a.ecx | a.edx, 0);
    a = cpuid(intel, 7, 9);
    assert_int_equal(a.eax | a.ebx | a.ecx | a.edx, 0);
    machine_free(intel);
    machine_free(amd);
}

static void test_identity(void **state)
{
    (void)state;
    struct machine *intel = machine_new(MODE_LONG64, 0, VENDOR_INTEL);
    struct machine *amd = machine_new(MODE_LONG64, 0, VENDOR_AMD);
    struct answer a = cpuid(intel, 0, 0);
    assert_memory_equal(&a.ebx, "Genu", 4);
    assert_memory_equal(&a.edx, "ineI", 4);
    a = cpuid(amd, 0x80000000, 0);
    assert_memory_equal(&a.ecx, "cAMD", 4);
    a = cpuid(intel, 0x40000000, 0);
    assert_memory_equal(&a.ebx, "KVMKVMKVM\0\0", 12);
    assert_int_equal(a.eax, 0x40000001);
    assert_int_equal(cpuid(intel, 0x40000001, 0).eax, 1 | 2 | 8 | 64 | 1u << 24);
    a = cpuid(intel, 0x15, 0);
    assert_int_equal((uint64_t)a.ecx * a.ebx / a.eax, CLOCK_TSC_HZ);
    assert_int_equal((cpuid(amd, 1, 0).edx ^ cpuid(amd, 0x80000001, 0).edx) & 0x0183f3ff, 0);
    assert_true(amd->vm.model.leaf_count < CPUID_LEAF_MAX);
    machine_free(intel);
    machine_free(amd);
}

static void test_topology(void **state)
{
    (void)state;
    static const struct {
        unsigned count, shift;
    } cases[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 17, 5 }, { 64, 6 } };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cpu_model model;
        cpu_model_init_vendor(&model, cases[i].count, VENDOR_AMD);
        assert_int_equal(cpu_model_leaf(&model, 0xb, 1)->eax, cases[i].shift);
        assert_int_equal(cpu_model_leaf(&model, 0xb, 1)->ebx, cases[i].count);
        assert_int_equal(cpu_model_leaf(&model, 0x80000008, 0)->ecx & 0xff, cases[i].count - 1);
        assert_int_equal(cpu_model_leaf(&model, 0x8000001d, 3)->eax >> 14 & 0xfff,
                         cases[i].count - 1);
        assert_int_equal(cpu_model_leaf(&model, 1, 0)->edx >> 28 & 1, cases[i].count > 1);
        cpu_model_init_vendor(&model, cases[i].count, VENDOR_INTEL);
        assert_int_equal(cpu_model_leaf(&model, 4, 3)->eax >> 14 & 0xfff, cases[i].count - 1);
        assert_int_equal(cpu_model_leaf(&model, 4, 0)->eax >> 26, cases[i].count - 1);
        assert_int_equal(cpu_model_leaf(&model, 4, 4)->eax, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates_equal_cpuid), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_always_given),      cmocka_unit_test(test_follows_state),
        cmocka_unit_test(test_xsave_sizes),       cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_identity),          cmocka_unit_test(test_topology),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
