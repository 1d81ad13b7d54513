/* SPDX-License-Identifier: MIT */
/*
 * xsave_family.c - XSAVE, XSAVEOPT, XSAVEC, XRSTOR, FXSAVE, FXRSTOR, XGETBV, XSETBV: against the
 * host's CPU where it can run the same thing, against the manual elsewhere.
 */
#include "control_harness.h"
#include "state.h"
#include "control_native.h"
#include "interpreter/extendedstate.h"

#define AREA   (DATA + 0x40u)
#define ROUNDS 2000

static uint8_t *state_of(struct machine *m)
{
    return hosted_extended_state(m->vcpu.stubs);
}

static struct machine *fresh(enum machine_mode mode)
{
    struct machine *m = machine_new(mode, 0, VENDOR_HOST);
    m->vcpu.r.cr4 |= CR4_PKE;
    return m;
}

static bool host_has(const struct machine *m, unsigned feature)
{
    return cpu_model_has(&m->vm.model, feature);
}

static uint64_t native_mask(const struct machine *m)
{
    return m->vm.model.xcr0_allowed & NATIVE_COMPONENTS;
}

/* XSAVE-like: `bytes` under the interpreter, `native` beside it, on memory with the same old
 * content. */
#define COMPARE_SAVE(m, bytes, native, mask)                                                       \
    do {                                                                                           \
        static _Alignas(64) uint8_t expected[4096], out[XSAVE_AREA_SIZE];                          \
        uint64_t rfbm = (mask);                                                                    \
        random_fill(&seed, expected, sizeof(expected));                                            \
        memset(expected + 0x40 + 512, 0, 64);                                                      \
        expected[0x40 + 512] = (uint8_t)random_next(&seed);                                        \
        memcpy((m)->ram + DATA, expected, sizeof(expected));                                       \
        NATIVE(state_of(m), out, expected + 0x40, rfbm, native);                                   \
        GPR(m, RAX) = (uint32_t)rfbm;                                                              \
        GPR(m, RDX) = rfbm >> 32;                                                                  \
        GPR(m, RDI) = AREA;                                                                        \
        assert_int_equal(RUN(m, bytes), 0);                                                        \
        assert_memory_equal((m)->ram + DATA, expected, sizeof(expected));                          \
    } while (0)

static void test_save_against_host(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15ull;
    struct machine *m = fresh(MODE_LONG64);
    uint64_t all = native_mask(m);
    if (!all)
        skip();
    m->vcpu.r.xcr0 = all; /* as the host, so that any mask means the same */
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_extended_state(m, &seed);
        /* Components that XCR0 does not have must be ignored in the mask. */
        uint64_t mask = random_next(&seed) & (all | 1ull << 62);
        COMPARE_SAVE(m, "\x48\x0f\xae\x27", "xsave64 (%%rdi)", mask);
        COMPARE_SAVE(m, "\x0f\xae\x27", "xsave (%%rdi)", mask);
        if (host_has(m, FEATURE_XSAVEC))
            COMPARE_SAVE(m, "\x48\x0f\xc7\x27", "xsavec64 (%%rdi)", mask);
        if (host_has(m, FEATURE_XSAVEOPT))
            COMPARE_SAVE(m, "\x48\x0f\xae\x37", "xsaveopt64 (%%rdi)", mask);
        COMPARE_SAVE(m, "\x0f\xae\x07", "fxsave (%%rdi)", 0);
        COMPARE_SAVE(m, "\x48\x0f\xae\x07", "fxsave64 (%%rdi)", 0);
    }
    machine_free(m);
}

/* Everything but the pointers, which are the engine's, and the header. */
static void assert_state_equal(struct machine *m, const uint8_t *expected)
{
    const uint8_t *got = state_of(m);
    assert_memory_equal(got, expected, 6);
    assert_memory_equal(got + 24, expected + 24, 4);
    assert_memory_equal(got + 32, expected + 32, 384);
    for (unsigned i = 2; i < 8; i++) {
        const struct xstate_component *c = &m->vm.model.xstate[i];
        if (m->vm.model.xcr0_allowed >> i & 1)
            assert_memory_equal(got + c->offset, expected + c->offset, c->size);
    }
}

static void test_restore_against_host(void **state)
{
    (void)state;
    uint64_t seed = 0xd1b54a32d192ed03ull;
    static _Alignas(64) uint8_t out[XSAVE_AREA_SIZE], before[XSAVE_AREA_SIZE];
    struct machine *m = fresh(MODE_LONG64);
    uint64_t all = native_mask(m);
    if (!all)
        skip();
    m->vcpu.r.xcr0 = all;
    for (unsigned i = 0; i < ROUNDS; i++) {
        /* An image of the right form from a random state, some of its components marked initial. */
        random_extended_state(m, &seed);
        bool compact = host_has(m, FEATURE_XSAVEC) && (i & 1);
        uint64_t layout = (random_next(&seed) & all) | (i & 2 ? all : 0);
        memset(m->ram + DATA, 0, 4096);
        GPR(m, RAX) = layout;
        GPR(m, RDX) = 0;
        GPR(m, RDI) = AREA;
        assert_int_equal(compact ? RUN(m, "\x48\x0f\xc7\x27") : RUN(m, "\x48\x0f\xae\x27"), 0);
        uint64_t present;
        memcpy(&present, m->ram + AREA + 512, 8);
        present &= random_next(&seed);
        memcpy(m->ram + AREA + 512, &present, 8);
        if (!compact && !(layout & 6)) /* MXCSR was not saved, but may be loaded */
            memcpy(m->ram + AREA + 24, "\x80\x1f\0\0", 4);

        random_extended_state(m, &seed);
        memcpy(before, state_of(m), sizeof(before));
        uint64_t mask = random_next(&seed);
        NATIVE(before, out, m->ram + AREA, mask, "xrstor64 (%%rdi)");
        GPR(m, RAX) = (uint32_t)mask;
        GPR(m, RDX) = mask >> 32;
        assert_int_equal(RUN(m, "\x48\x0f\xae\x2f"), 0);
        assert_state_equal(m, out);
    }
    machine_free(m);
}

static void test_fxrstor_against_host(void **state)
{
    (void)state;
    uint64_t seed = 0x2545f4914f6cdd1dull;
    static _Alignas(64) uint8_t out[XSAVE_AREA_SIZE], before[XSAVE_AREA_SIZE];
    struct machine *m = fresh(MODE_LONG64);
    if (!native_mask(m))
        skip();
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_fill(&seed, m->ram + AREA, 512);
        uint32_t mxcsr = (uint32_t)random_next(&seed) & m->vm.model.mxcsr_mask;
        memcpy(m->ram + AREA + 24, &mxcsr, 4);
        random_extended_state(m, &seed);
        memcpy(before, state_of(m), sizeof(before));
        NATIVE(before, out, m->ram + AREA, 0, "fxrstor64 (%%rdi)");
        GPR(m, RDI) = AREA;
        assert_int_equal(RUN(m, "\x48\x0f\xae\x0f"), 0);
        assert_state_equal(m, out);
    }
    machine_free(m);
}

static int xrstor(struct machine *m, uint64_t mask)
{
    GPR(m, RAX) = (uint32_t)mask;
    GPR(m, RDX) = mask >> 32;
    GPR(m, RDI) = AREA;
    return RUN(m, "\x48\x0f\xae\x2f");
}

static void header(struct machine *m, uint64_t present, uint64_t layout, uint64_t more)
{
    memset(m->ram + AREA, 0, XSAVE_AREA_SIZE);
    memcpy(m->ram + AREA + 24, "\x80\x1f\0\0", 4);
    memcpy(m->ram + AREA + 512, &present, 8);
    memcpy(m->ram + AREA + 520, &layout, 8);
    memcpy(m->ram + AREA + 528, &more, 8);
}

static void test_restore_checks(void **state)
{
    (void)state;
    uint64_t seed = 1;
    struct machine *m = fresh(MODE_LONG64);
    if (!native_mask(m))
        skip();
    static uint8_t before[XSAVE_AREA_SIZE];
    random_extended_state(m, &seed);
    memcpy(before, state_of(m), sizeof(before));
    header(m, 1ull << 62, 0, 0); /* a component XCR0 does not have */
    assert_gp(m, xrstor(m, 7));
    header(m, 1ull << 9 | 3, 0, 0);
    m->vcpu.r.xcr0 = 3; /* ... or has not now */
    assert_gp(m, xrstor(m, 3));
    m->vcpu.r.xcr0 = m->vm.model.xcr0_allowed;
    header(m, 3, 1, 0); /* standard form with XCOMP_BV */
    assert_gp(m, xrstor(m, 3));
    header(m, 3, 0, 1); /* reserved bytes */
    assert_gp(m, xrstor(m, 3));
    header(m, 3, 1ull << 63 | 1, 0); /* present but not in the layout */
    assert_gp(m, xrstor(m, 3));
    header(m, 0, 1ull << 63 | 1ull << 40, 0);
    assert_gp(m, xrstor(m, 3));
    header(m, 3, 1ull << 63 | 3, 0);
    m->ram[AREA + 575] = 1;
    assert_gp(m, xrstor(m, 3));
    header(m, 3, 0, 0);
    m->ram[AREA + 27] = 0x80; /* reserved bit of MXCSR */
    assert_gp(m, xrstor(m, 2));
    assert_gp(m, xrstor(m, 4));
    assert_memory_equal(state_of(m), before, sizeof(before)); /* nothing has happened so far */
    assert_int_equal(xrstor(m, 1), 0);                        /* MXCSR is not loaded */
    GPR(m, RDI) = AREA + 16;
    assert_gp(m, RUN(m, "\x48\x0f\xae\x2f"));
    assert_gp(m, RUN(m, "\x48\x0f\xae\x27"));
    GPR(m, RDI) = AREA + 8;
    assert_gp(m, RUN(m, "\x48\x0f\xae\x07"));
    GPR(m, RDI) = HOLE;
    assert_fault(m, RUN(m, "\x48\x0f\xae\x27"), EXCEPTION_PF, 2);
    assert_fault(m, RUN(m, "\x48\x0f\xae\x2f"), EXCEPTION_PF, 0);
    machine_free(m);
}

static void test_gates(void **state)
{
    (void)state;
    struct machine *m = fresh(MODE_LONG64);
    GPR(m, RDI) = AREA;
    m->vcpu.r.cr0 |= CR0_TS;
    assert_fault(m, RUN(m, "\x48\x0f\xae\x27"), EXCEPTION_NM, 0);
    assert_fault(m, RUN(m, "\x0f\xae\x07"), EXCEPTION_NM, 0);
    m->vcpu.r.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    assert_ud(m, RUN(m, "\x48\x0f\xae\x27"));
    assert_ud(m, RUN(m, "\x0f\x01\xd0"));
    assert_ud(m, RUN(m, "\x0f\x01\xd1"));
    machine_free(m);
}

/* A save must leave no trace if its last byte cannot be written. */
static void test_save_is_atomic(void **state)
{
    (void)state;
    uint64_t seed = 3;
    struct machine *m = fresh(MODE_LONG64);
    if (!(native_mask(m) & XCR0_AVX))
        skip();
    random_extended_state(m, &seed);
    memset(m->ram + HOLE - 0x1000, 0xcc, 0x1000);
    GPR(m, RAX) = 7;
    GPR(m, RDX) = 0;
    GPR(m, RDI) = HOLE - 640; /* the AVX component ends beyond the page */
    assert_fault(m, RUN(m, "\x48\x0f\xae\x27"), EXCEPTION_PF, 2);
    assert_int_equal(m->vcpu.fault.address & ~0xfffull, HOLE); /* its last byte, as on AMD */
    for (unsigned i = 0; i < 0x1000; i++)
        assert_int_equal(m->ram[HOLE - 0x1000 + i], 0xcc);
    GPR(m, RAX) = 3; /* without it the area ends before */
    assert_int_equal(RUN(m, "\x48\x0f\xae\x27"), 0);
    machine_free(m);
}

static void test_protection_keys_component(void **state)
{
    (void)state;
    struct machine *m = fresh(MODE_LONG64);
    const struct xstate_component *c = &m->vm.model.xstate[9];
    if (!(m->vm.model.xcr0_allowed & XCR0_PKRU))
        skip();
    uint32_t value;
    m->vcpu.r.pkru = 0x5a5a;
    memset(m->ram + AREA, 0, XSAVE_AREA_SIZE);
    GPR(m, RAX) = XCR0_PKRU;
    GPR(m, RDX) = 0;
    GPR(m, RDI) = AREA;
    assert_int_equal(RUN(m, "\x48\x0f\xae\x27"), 0);
    memcpy(&value, m->ram + AREA + c->offset, 4);
    assert_int_equal(value, 0x5a5a);
    assert_int_equal(m->ram[AREA + 513], 2);
    m->vcpu.r.pkru = 1;
    assert_int_equal(xrstor(m, XCR0_PKRU), 0);
    assert_int_equal(m->vcpu.r.pkru, 0x5a5a);
    m->ram[AREA + 513] = 0; /* not present: initial */
    assert_int_equal(xrstor(m, XCR0_PKRU), 0);
    assert_int_equal(m->vcpu.r.pkru, 0);
    machine_free(m);
}

/* Registers 8-15 can be neither seen nor changed outside 64-bit mode. */
static void test_outside_64_bit(void **state)
{
    (void)state;
    uint64_t seed = 5;
    struct machine *m = fresh(MODE_COMPATIBILITY);
    uint64_t all = native_mask(m);
    if (!all)
        skip();
    static uint8_t before[XSAVE_AREA_SIZE];
    random_extended_state(m, &seed);
    memcpy(before, state_of(m), sizeof(before));
    memset(m->ram + AREA, 0xcc, XSAVE_AREA_SIZE);
    memset(m->ram + AREA + 512, 0, 64);
    GPR(m, RAX) = all;
    GPR(m, RDX) = 0;
    GPR(m, RDI) = AREA;
    assert_int_equal(RUN(m, "\x0f\xae\x27"), 0);
    assert_memory_equal(m->ram + AREA + 160, before + 160, 128);
    for (unsigned i = 288; i < 512; i++)
        assert_int_equal(m->ram[AREA + i], 0xcc);
    memset(m->ram + AREA, 0, XSAVE_AREA_SIZE); /* all initial */
    memcpy(m->ram + AREA + 24, "\x80\x1f\0\0", 4);
    GPR(m, RAX) = all;
    assert_int_equal(RUN(m, "\x0f\xae\x2f"), 0);
    const uint8_t *after = state_of(m);
    for (unsigned i = 160; i < 288; i++)
        assert_int_equal(after[i], 0);
    assert_memory_equal(after + 288, before + 288, 128);
    if (all & XCR0_AVX)
        assert_memory_equal(after + 576 + 128, before + 576 + 128, 128);
    machine_free(m);
}

static int xsetbv(struct machine *m, uint64_t value)
{
    GPR(m, RCX) = 0;
    GPR(m, RAX) = (uint32_t)value;
    GPR(m, RDX) = value >> 32;
    return RUN(m, "\x0f\x01\xd1");
}

static void test_xcr0(void **state)
{
    (void)state;
    struct machine *m = fresh(MODE_LONG64);
    uint64_t all = m->vm.model.xcr0_allowed;
    if (!all)
        skip();
    assert_gp(m, xsetbv(m, 0));
    assert_gp(m, xsetbv(m, 2));
    assert_gp(m, xsetbv(m, 5)); /* AVX without SSE */
    assert_gp(m, xsetbv(m, all | 1ull << 62));
    assert_gp(m, xsetbv(m, all | 1ull << 17)); /* AMX */
    if (all & XCR0_AVX512) {
        assert_gp(m, xsetbv(m, 7 | XCR0_OPMASK));
        assert_gp(m, xsetbv(m, 3 | XCR0_AVX512));
    }
    assert_int_equal(xsetbv(m, all), 0);
    GPR(m, RCX) = 0;
    assert_int_equal(RUN(m, "\x0f\x01\xd0"), 0);
    assert_int_equal(GPR(m, RAX), all);
    GPR(m, RCX) = 2;
    assert_gp(m, RUN(m, "\x0f\x01\xd0"));
    /* XINUSE by value: a fresh state uses nothing. */
    memset(state_of(m), 0, XSAVE_AREA_SIZE);
    memcpy(state_of(m), "\x7f\x03", 2);
    memcpy(state_of(m) + 24, "\x80\x1f", 2);
    m->vcpu.r.pkru = 0;
    GPR(m, RCX) = 1;
    assert_int_equal(RUN(m, "\x0f\x01\xd0"), 0);
    assert_int_equal(GPR(m, RAX), 0);
    m->vcpu.r.pkru = 4;
    state_of(m)[160] = 1;
    memcpy(state_of(m) + 512, "\x03", 1);
    GPR(m, RCX) = 1;
    assert_int_equal(RUN(m, "\x0f\x01\xd0"), 0);
    assert_int_equal(GPR(m, RAX), all & (XCR0_SSE | XCR0_PKRU));
    machine_free(m);
    m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    assert_gp(m, xsetbv(m, 3));
    machine_free(m);
}

/* XSAVEOPT and XSAVEC leave components in their initial state out. */
static void test_init_optimization(void **state)
{
    (void)state;
    struct machine *m = fresh(MODE_LONG64);
    if (!(native_mask(m) & XCR0_AVX))
        skip();
    memset(state_of(m), 0, XSAVE_AREA_SIZE);
    memcpy(state_of(m), "\x7f\x03", 2);
    memcpy(state_of(m) + 24, "\xa0\x1f", 2);
    memset(m->ram + AREA, 0xcc, 1024);
    GPR(m, RAX) = 7;
    GPR(m, RDX) = 0;
    GPR(m, RDI) = AREA;
    assert_int_equal(RUN(m, "\x48\x0f\xae\x37"), 0); /* XSAVEOPT */
    assert_int_equal(m->ram[AREA + 512], 0xc8);      /* bits 0-2 cleared, the others kept */
    assert_int_equal(m->ram[AREA], 0xcc);
    assert_int_equal(m->ram[AREA + 24], 0xa0); /* MXCSR always */
    assert_int_equal(m->ram[AREA + 160], 0xcc);
    assert_int_equal(m->ram[AREA + 576], 0xcc);
    assert_int_equal(RUN(m, "\x48\x0f\xc7\x27"), 0); /* XSAVEC: MXCSR makes SSE worth saving */
    assert_int_equal(m->ram[AREA + 512], 2);
    assert_int_equal(m->ram[AREA + 520], 7);
    assert_int_equal(m->ram[AREA + 527], 0x80);
    assert_int_equal(m->ram[AREA + 160], 0);
    assert_int_equal(m->ram[AREA + 576], 0xcc);
    machine_free(m);
}

/* The pointers shown are the guest's; AMD shows them only while an exception is pending. */
static void test_pointers(void **state)
{
    (void)state;
    for (unsigned intel = 0; intel < 2; intel++) {
        struct machine *m = machine_new(MODE_LONG64, 0, intel ? VENDOR_INTEL : VENDOR_AMD);
        uint64_t fip = 0;
        m->vcpu.r.fip = 0xffffffff81234567ull;
        m->vcpu.r.fdp = 0xffff888000001000ull;
        m->vcpu.r.fop = 0x1d9;
        GPR(m, RDI) = AREA;
        assert_int_equal(RUN(m, "\x48\x0f\xae\x07"), 0);
        memcpy(&fip, m->ram + AREA + 8, 8);
        assert_int_equal(fip, intel ? 0xffffffff81234567ull : 0);
        memcpy(state_of(m) + 2, "\x81\x80", 2); /* ES with IE */
        memcpy(state_of(m), "\x7e\x03", 2);
        memcpy(state_of(m) + 512, "\x01", 1);
        assert_int_equal(RUN(m, "\x48\x0f\xae\x07"), 0);
        memcpy(&fip, m->ram + AREA + 8, 8);
        assert_int_equal(fip, 0xffffffff81234567ull);
        assert_int_equal(m->ram[AREA + 6], 0xd9);
        m->vcpu.r.fip = m->vcpu.r.fdp = m->vcpu.r.fop = 0;
        assert_int_equal(RUN(m, "\x0f\xae\x0f"), 0); /* FXRSTOR, 32-bit form: half the pointer */
        assert_int_equal(m->vcpu.r.fip, 0x81234567);
        assert_int_equal(m->vcpu.r.fcs, 0xffff);
        machine_free(m);
    }
}

/* What a machine's state says does not depend on which components the CPU takes for initial. */
static void state_is_canonical(void **state)
{
    static uint8_t first[XSAVE_AREA_SIZE], again[XSAVE_AREA_SIZE];
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    uint64_t all = m->vm.model.xcr0_allowed & ~(uint64_t)XCR0_PKRU, none = 0;
    uint8_t *area = hosted_extended_state(m->vcpu.stubs);
    size_t size;

    (void)state;
    memcpy(area + 512, &none, 8);
    assert_int_equal(state_get(&m->vcpu, STATE_EXTENDED, first, sizeof(first), &size), 0);
    assert_int_equal(size, sizeof(first));
    memcpy(area + 512, &all, 8);
    assert_int_equal(state_get(&m->vcpu, STATE_EXTENDED, again, sizeof(again), &size), 0);
    assert_memory_equal(first, again, sizeof(first));
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_is_canonical),
        cmocka_unit_test(test_save_against_host),
        cmocka_unit_test(test_restore_against_host),
        cmocka_unit_test(test_fxrstor_against_host),
        cmocka_unit_test(test_restore_checks),
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_save_is_atomic),
        cmocka_unit_test(test_protection_keys_component),
        cmocka_unit_test(test_outside_64_bit),
        cmocka_unit_test(test_xcr0),
        cmocka_unit_test(test_init_optimization),
        cmocka_unit_test(test_pointers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
