/* SPDX-License-Identifier: MIT */
/*
 * x87_environment.c - FNSTENV, FLDENV, FNSAVE, FRSTOR: against the host's CPU in 64-bit mode,
 * against the manual's figures (SDM Vol. 1, 8-9 to 8-12) for the layouts it cannot run here.
 */
#include "control_harness.h"
#include "control_native.h"
#include "interpreter/extendedstate.h"

#define AREA   DATA
#define ROUNDS 2000

static uint8_t *state_of(struct machine *m)
{
    return hosted_extended_state(m->vcpu.stubs);
}

static void assert_x87_equal(struct machine *m, const uint8_t *expected)
{
    assert_memory_equal(state_of(m), expected, 5);
    assert_memory_equal(state_of(m) + 32, expected + 32, 128);
}

/* The registers that no instruction has used yet have null pointers on both sides. */
static void begin(struct machine *m, uint64_t *seed, uint8_t *before)
{
    random_extended_state(m, seed);
    if (random_next(seed) & 1) { /* zeros, denormals, infinities, not-a-numbers in some registers */
        static const uint8_t values[4][10] = {
            { 0 },
            { 1 },
            { [7] = 0x80, [8] = 0xff, [9] = 0x7f },
            { [7] = 0x80, [8] = 0xff, [9] = 0x3f },
        };
        for (unsigned i = 0; i < 8; i++)
            memcpy(state_of(m) + 32 + i * 16, values[random_next(seed) & 3], 10);
    }
    memcpy(before, state_of(m), XSAVE_AREA_SIZE);
    m->vcpu.r.fip = m->vcpu.r.fdp = 0;
    m->vcpu.r.fop = m->vcpu.r.fcs = m->vcpu.r.fds = 0;
    GPR(m, RDI) = AREA;
}

#define COMPARE_STORE(m, bytes, native)                                                            \
    do {                                                                                           \
        static _Alignas(64) uint8_t before[XSAVE_AREA_SIZE], out[XSAVE_AREA_SIZE], expected[256];  \
        begin(m, &seed, before);                                                                   \
        random_fill(&seed, expected, sizeof(expected));                                            \
        memcpy((m)->ram + AREA, expected, sizeof(expected));                                       \
        NATIVE(before, out, expected, 0, native);                                                  \
        assert_int_equal(RUN(m, bytes), 0);                                                        \
        assert_memory_equal((m)->ram + AREA, expected, sizeof(expected));                          \
        assert_x87_equal(m, out);                                                                  \
    } while (0)

static void test_store_against_host(void **state)
{
    (void)state;
    uint64_t seed = 11;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    if (!m->vm.model.xcr0_allowed)
        skip();
    for (unsigned i = 0; i < ROUNDS; i++) {
        COMPARE_STORE(m, "\xd9\x37", "fnstenv (%%rdi)");
        COMPARE_STORE(m, "\x66\xd9\x37", ".byte 0x66\n\tfnstenv (%%rdi)");
        COMPARE_STORE(m, "\xdd\x37", "fnsave (%%rdi)");
        COMPARE_STORE(m, "\x66\xdd\x37", ".byte 0x66\n\tfnsave (%%rdi)");
    }
    machine_free(m);
}

#define COMPARE_LOAD(m, bytes, native)                                                             \
    do {                                                                                           \
        static _Alignas(64) uint8_t before[XSAVE_AREA_SIZE], out[XSAVE_AREA_SIZE];                 \
        begin(m, &seed, before);                                                                   \
        random_fill(&seed, (m)->ram + AREA, 128);                                                  \
        NATIVE(before, out, (m)->ram + AREA, 0, native);                                           \
        assert_int_equal(RUN(m, bytes), 0);                                                        \
        assert_x87_equal(m, out);                                                                  \
    } while (0)

/* Random images: unmasked pending exceptions, any top of stack, any tags. */
static void test_load_against_host(void **state)
{
    (void)state;
    uint64_t seed = 13;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    if (!m->vm.model.xcr0_allowed)
        skip();
    for (unsigned i = 0; i < ROUNDS; i++) {
        COMPARE_LOAD(m, "\xd9\x27", "fldenv (%%rdi)");
        COMPARE_LOAD(m, "\x66\xd9\x27", ".byte 0x66\n\tfldenv (%%rdi)");
        COMPARE_LOAD(m, "\xdd\x27", "frstor (%%rdi)");
        COMPARE_LOAD(m, "\x66\xdd\x27", ".byte 0x66\n\tfrstor (%%rdi)");
    }
    machine_free(m);
}

static void pointers(struct machine *m)
{
    m->vcpu.r.fip = 0x12345678;
    m->vcpu.r.fdp = 0x9abcdef0;
    m->vcpu.r.fcs = 0x10;
    m->vcpu.r.fds = 0x23;
    m->vcpu.r.fop = 0x5d9;
    GPR(m, RDI) = AREA;
    memset(m->ram + AREA, 0, 128);
}

static uint32_t word(const struct machine *m, unsigned offset)
{
    uint32_t value;
    memcpy(&value, m->ram + AREA + offset, 4);
    return value;
}

static void test_protected_layouts(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_PROTECTED32, 0, VENDOR_HOST);
    m->vm.model.x87_selectors_zero = false;
    pointers(m);
    assert_int_equal(RUN(m, "\xd9\x37"), 0);
    assert_int_equal(word(m, 0), 0xffff037f);
    assert_int_equal(word(m, 4), 0xffff0000);
    assert_int_equal(word(m, 8), 0xffffffff); /* all empty */
    assert_int_equal(word(m, 12), 0x12345678);
    assert_int_equal(word(m, 16), 0x05d90010);
    assert_int_equal(word(m, 20), 0x9abcdef0);
    assert_int_equal(word(m, 24), 0xffff0023);
    assert_int_equal(RUN(m, "\x66\xd9\x37"), 0);
    assert_int_equal(word(m, 4) >> 16, 0x5678);
    assert_int_equal(word(m, 8), 0xdef00010);
    assert_int_equal(word(m, 12) & 0xffff, 0x23);
    /* and back */
    pointers(m);
    assert_int_equal(RUN(m, "\xd9\x37"), 0);
    m->vcpu.r.fip = m->vcpu.r.fdp = m->vcpu.r.fop = m->vcpu.r.fcs = 0;
    assert_int_equal(RUN(m, "\xd9\x27"), 0);
    assert_int_equal(m->vcpu.r.fip, 0x12345678);
    assert_int_equal(m->vcpu.r.fdp, 0x9abcdef0);
    assert_int_equal(m->vcpu.r.fop, 0x5d9);
    assert_int_equal(m->vcpu.r.fcs, 0x10);
    m->vm.model.x87_selectors_zero = true;
    assert_int_equal(RUN(m, "\xd9\x37"), 0);
    assert_int_equal(word(m, 16), 0x05d90000);
    machine_free(m);
}

static void test_real_layouts(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_REAL, 0, VENDOR_HOST);
    m->vcpu.r.segment[SEGMENT_DS].base = DATA;
    pointers(m);
    GPR(m, RBX) = 0;
    m->vcpu.r.fip = 0x5678;
    m->vcpu.r.fcs = 0x1000; /* linear 15678H */
    m->vcpu.r.fdp = 0xdef0;
    m->vcpu.r.fds = 0x2000;
    assert_int_equal(RUN(m, "\xd9\x37"), 0); /* FNSTENV [BX], 16-bit */
    assert_int_equal(word(m, 4) >> 16, 0x5678);
    assert_int_equal(word(m, 8) & 0xffff, 0x15d9);
    assert_int_equal(word(m, 8) >> 16, 0xdef0);
    assert_int_equal(word(m, 12) & 0xffff, 0x2000);
    assert_int_equal(RUN(m, "\x66\xd9\x37"), 0); /* 32-bit */
    assert_int_equal(word(m, 12), 0xffff5678);
    assert_int_equal(word(m, 16), 0x000015d9);
    assert_int_equal(word(m, 20), 0xffffdef0);
    assert_int_equal(word(m, 24), 0x00002000);
    assert_int_equal(RUN(m, "\x66\xd9\x27"), 0);
    assert_int_equal(m->vcpu.r.fip, 0x15678);
    assert_int_equal(m->vcpu.r.fdp, 0x2def0);
    machine_free(m);
}

static void test_side_effects(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    pointers(m);
    memcpy(state_of(m), "\x40\x03\x81\x80\xff", 5); /* unmasked, IE pending */
    memcpy(state_of(m) + 512, "\x01", 1);
    assert_int_equal(RUN(m, "\xd9\x37"), 0);
    assert_int_equal(word(m, 0), 0xffff0340); /* as it was ... */
    assert_int_equal(word(m, 4), 0xffff8081);
    assert_memory_equal(state_of(m), "\x7f\x03\x01\x00",
                        4); /* ... masked, nothing pending, after */
    assert_int_equal(RUN(m, "\xdd\x37"), 0);
    assert_int_equal(m->vcpu.r.fip, 0);
    assert_int_equal(m->vcpu.r.fop, 0);
    m->vcpu.r.cr0 |= CR0_TS;
    assert_fault(m, RUN(m, "\xd9\x37"), EXCEPTION_NM, 0);
    m->vcpu.r.cr0 = (m->vcpu.r.cr0 & ~(uint64_t)CR0_TS) | CR0_EM;
    assert_fault(m, RUN(m, "\xdd\x27"), EXCEPTION_NM, 0);
    m->vcpu.r.cr0 &= ~(uint64_t)CR0_EM;
    GPR(m, RDI) = HOLE - 100; /* FNSAVE's last bytes do not fit: nothing is stored, nothing reset */
    memcpy(state_of(m) + 2, "\x00\x38", 2);
    memset(m->ram + HOLE - 108, 0xcc, 108);
    assert_fault(m, RUN(m, "\xdd\x37"), EXCEPTION_PF, 2);
    assert_int_equal(m->ram[HOLE - 100], 0xcc);
    assert_int_equal(state_of(m)[3], 0x38);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_against_host), cmocka_unit_test(test_load_against_host),
        cmocka_unit_test(test_protected_layouts),  cmocka_unit_test(test_real_layouts),
        cmocka_unit_test(test_side_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
