/* SPDX-License-Identifier: MIT */
/*
 * control_gather.c - gathers, scatters and masked memory operands against the host's CPU: random
 * indices and masks, partial faults, and disabled elements that lie in a page which is not there.
 */
#include "control_harness.h"
#include "control_native.h"
#include "interpreter/extendedstate.h"
#include "interpreter/masked.h"
#include <sys/mman.h>

#define ROUNDS 500

static uint8_t *state_of(struct machine *m)
{
    return hosted_extended_state(m->vcpu.stubs);
}

static void assert_vectors_equal(struct machine *m, const uint8_t *expected)
{
    const uint8_t *got = state_of(m);
    assert_memory_equal(got + 160, expected + 160, 256);
    for (unsigned i = 2; i < 8; i++) {
        const struct xstate_component *c = &m->vm.model.xstate[i];
        if (m->vm.model.xcr0_allowed >> i & 1)
            assert_memory_equal(got + c->offset, expected + c->offset, c->size);
    }
}

/* Index registers 2, 10 and 18 get numbers that stay near the base, whichever width is read. */
static void indices_fill(struct machine *m, uint64_t *seed)
{
    static const unsigned registers[] = { 2, 10, 18 };
    struct extended_image image;
    extended_image_get(&m->vcpu, &image, m->vm.model.xcr0_allowed);
    for (unsigned r = 0; r < ARRAY_SIZE(registers); r++) {
        int32_t words[16];
        for (unsigned i = 0; i < 16; i++)
            words[i] = (int32_t)(random_next(seed) % 512) * (int32_t)(random_next(seed) & 1);
        for (unsigned i = 1; i < 16; i += 2)
            words[i] = 0; /* the upper halves of 64-bit indices */
        extended_vector_set(&m->vcpu, &image, registers[r], 64, words);
    }
    extended_image_put(&m->vcpu, &image, m->vm.model.xcr0_allowed);
}

#define GATHERS(X)                                                                                 \
    X(AVX2, "\xc4\xe2\x71\x90\x44\x97\x08", "vpgatherdd %%xmm1, 8(%%rdi,%%xmm2,4), %%xmm0")        \
    X(AVX2, "\xc4\xe2\x75\x90\x44\x97\x08", "vpgatherdd %%ymm1, 8(%%rdi,%%ymm2,4), %%ymm0")        \
    X(AVX2, "\xc4\xe2\xf5\x90\x04\xd7", "vpgatherdq %%ymm1, (%%rdi,%%xmm2,8), %%ymm0")             \
    X(AVX2, "\xc4\xe2\x75\x91\x04\x17", "vpgatherqd %%xmm1, (%%rdi,%%ymm2,1), %%xmm0")             \
    X(AVX2, "\xc4\xe2\x71\x91\x04\x17", "vpgatherqd %%xmm1, (%%rdi,%%xmm2,1), %%xmm0")             \
    X(AVX2, "\xc4\xe2\xf5\x91\x44\x57\xf8", "vpgatherqq %%ymm1, -8(%%rdi,%%ymm2,2), %%ymm0")       \
    X(AVX2, "\xc4\x22\x35\x92\x04\x97", "vgatherdps %%ymm9, (%%rdi,%%ymm10,4), %%ymm8")            \
    X(AVX2, "\xc4\xe2\xf1\x93\x04\x57", "vgatherqpd %%xmm1, (%%rdi,%%xmm2,2), %%xmm0")             \
    X(AVX512VL, "\x62\xf2\x7d\x49\x90\x44\x97\x10",                                                \
      "vpgatherdd 0x40(%%rdi,%%zmm2,4), %%zmm0%{%%k1%}")                                           \
    X(AVX512VL, "\x62\xe2\xfd\x41\x90\x04\xd7", "vpgatherdq (%%rdi,%%ymm18,8), %%zmm16%{%%k1%}")   \
    X(AVX512VL, "\x62\xf2\x7d\x49\x91\x04\x17", "vpgatherqd (%%rdi,%%zmm2,1), %%ymm0%{%%k1%}")     \
    X(AVX512VL, "\x62\xf2\xfd\x09\x93\x04\x57", "vgatherqpd (%%rdi,%%xmm2,2), %%xmm0%{%%k1%}")     \
    X(AVX512VL, "\x62\xf2\x7d\x49\xa0\x44\x97\x10",                                                \
      "vpscatterdd %%zmm0, 0x40(%%rdi,%%zmm2,4)%{%%k1%}")                                          \
    X(AVX512VL, "\x62\xe2\x7d\x41\xa1\x04\x17", "vpscatterqd %%ymm16, (%%rdi,%%zmm18,1)%{%%k1%}")  \
    X(AVX512VL, "\x62\xf2\xfd\x49\xa2\x04\xd7", "vscatterdpd %%zmm0, (%%rdi,%%ymm2,8)%{%%k1%}")    \
    X(AVX512VL, "\x62\xf2\xfd\x09\xa1\x04\x57", "vpscatterqq %%xmm0, (%%rdi,%%xmm2,2)%{%%k1%}")

static void test_gather_against_host(void **state)
{
    (void)state;
    static _Alignas(64) uint8_t before[XSAVE_AREA_SIZE], out[XSAVE_AREA_SIZE], memory[0x3000];
    uint64_t seed = 17;
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    for (unsigned round = 0; round < ROUNDS; round++) {
#define X(feature, bytes, native)                                                                  \
    if (cpu_model_has(&m->vm.model, FEATURE_##feature)) {                                          \
        random_extended_state(m, &seed);                                                           \
        indices_fill(m, &seed);                                                                    \
        memcpy(before, state_of(m), sizeof(before));                                               \
        random_fill(&seed, memory, sizeof(memory));                                                \
        memcpy(m->ram + DATA, memory, sizeof(memory));                                             \
        GPR(m, RDI) = DATA + 0x40;                                                                 \
        NATIVE(before, out, memory + 0x40, 0, native);                                             \
        assert_int_equal(RUN(m, bytes), 0);                                                        \
        assert_vectors_equal(m, out);                                                              \
        assert_memory_equal(m->ram + DATA, memory, sizeof(memory));                                \
    }
        GATHERS(X)
#undef X
    }
    machine_free(m);
}

/* A fault in the middle: what is done stays done, and the instruction continues from there. */
static void test_gather_restarts(void **state)
{
    (void)state;
    uint64_t seed = 19;
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    if (!cpu_model_has(&m->vm.model, FEATURE_AVX2))
        skip();
    struct extended_image image;
    const uint32_t indices[4] = { 0, 4, HOLE - DATA, 8 };
    uint32_t value[4], mask[4] = { ~0u, 1, ~0u, ~0u }; /* the second is off */
    random_extended_state(m, &seed);
    extended_image_get(&m->vcpu, &image, m->vm.model.xcr0_allowed);
    extended_vector_set(&m->vcpu, &image, 2, 16, indices);
    extended_vector_set(&m->vcpu, &image, 1, 16, mask);
    extended_vector_get(&m->vcpu, &image, 0, 16, value);
    uint32_t kept = value[1];
    extended_image_put(&m->vcpu, &image, m->vm.model.xcr0_allowed);
    memcpy(m->ram + DATA, "abcdefghijkl", 12);
    GPR(m, RDI) = DATA;
    assert_fault(m, RUN(m, "\xc4\xe2\x71\x90\x04\x17"), EXCEPTION_PF, 4);
    assert_int_equal(m->vcpu.fault.address, HOLE);
    extended_image_get(&m->vcpu, &image, m->vm.model.xcr0_allowed);
    extended_vector_get(&m->vcpu, &image, 0, 16, value);
    extended_vector_get(&m->vcpu, &image, 1, 16, mask);
    assert_memory_equal(value, "abcd", 4);
    assert_int_equal(mask[0], 0);
    assert_int_equal(mask[2], ~0u);
    set_page(m, HOLE, HOLE | 7);
    memcpy(m->ram + HOLE, "WXYZ", 4);
    memcpy(m->ram + DATA, "....", 4); /* not read again */
    assert_int_equal(RUN(m, "\xc4\xe2\x71\x90\x04\x17"), 0);
    extended_image_get(&m->vcpu, &image, m->vm.model.xcr0_allowed);
    extended_vector_get(&m->vcpu, &image, 0, 16, value);
    extended_vector_get(&m->vcpu, &image, 1, 16, mask);
    assert_memory_equal(value, "abcd", 4);
    assert_int_equal(value[1], kept);
    assert_memory_equal(value + 2, "WXYZijkl", 8);
    assert_int_equal(mask[0] | mask[1] | mask[2] | mask[3], 0);
    machine_free(m);
}

static void test_gather_register_rules(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    GPR(m, RDI) = DATA;
    assert_ud(m, RUN(m, "\xc4\xe2\x79\x90\x04\x17"));     /* mask = destination */
    assert_ud(m, RUN(m, "\xc4\xe2\x69\x90\x04\x17"));     /* mask = index */
    assert_ud(m, RUN(m, "\xc4\xe2\x71\x90\x14\x17"));     /* destination = index */
    assert_ud(m, RUN(m, "\x62\xf2\x7d\x48\x90\x04\x97")); /* k0 */
    assert_ud(m, RUN(m, "\x62\xf2\x7d\x49\x90\x14\x97")); /* EVEX destination = index */
    machine_free(m);
}

#define MASKED_FORMS(X)                                                                            \
    X(AVX, 0, "\xc4\xe2\x75\x2c\x07", "vmaskmovps (%%rdi), %%ymm1, %%ymm0")                        \
    X(AVX, 1, "\xc4\xe2\x71\x2f\x07", "vmaskmovpd %%xmm0, %%xmm1, (%%rdi)")                        \
    X(AVX2, 0, "\xc4\xe2\x71\x8c\x07", "vpmaskmovd (%%rdi), %%xmm1, %%xmm0")                       \
    X(AVX2, 1, "\xc4\xe2\xf5\x8e\x07", "vpmaskmovq %%ymm0, %%ymm1, (%%rdi)")                       \
    X(SSE2, 1, "\x66\x0f\xf7\xc1", "maskmovdqu %%xmm1, %%xmm0")                                    \
    X(AVX512BW, 0, "\x62\xf1\x7f\xc9\x6f\x07", "vmovdqu8 (%%rdi), %%zmm0%{%%k1%}%{z%}")            \
    X(AVX512BW, 1, "\x62\xf1\x7f\x49\x7f\x07", "vmovdqu8 %%zmm0, (%%rdi)%{%%k1%}")                 \
    X(AVX512VL, 1, "\x62\xf1\xff\x29\x7f\x07", "vmovdqu16 %%ymm0, (%%rdi)%{%%k1%}")                \
    X(AVX512F, 0, "\x62\xf1\x7c\x49\x10\x07", "vmovups (%%rdi), %%zmm0%{%%k1%}")                   \
    X(AVX512F, 1, "\x62\xf1\xff\x09\x11\x07", "vmovsd %%xmm0, (%%rdi)%{%%k1%}")                    \
    X(AVX512F, 0, "\x62\xf1\x75\x59\xfe\x07", "vpaddd (%%rdi)%{1to16%}, %%zmm1, %%zmm0%{%%k1%}")   \
    X(AVX512F, 0, "\x62\xf2\x7d\xc9\x89\x07", "vpexpandd (%%rdi), %%zmm0%{%%k1%}%{z%}")            \
    X(AVX512F, 1, "\x62\xf2\x7d\x49\x8b\x07", "vpcompressd %%zmm0, (%%rdi)%{%%k1%}")               \
    X(AVX512F, 1, "\x62\xf2\x7e\x49\x32\x07", "vpmovqb %%zmm0, (%%rdi)%{%%k1%}")                   \
    X(AVX512BW, 0, "\x62\xf2\x7d\xc9\x30\x07", "vpmovzxbw (%%rdi), %%zmm0%{%%k1%}%{z%}")           \
    X(AVX512F, 0, "\x62\xf2\x7d\xc9\x5a\x07", "vbroadcasti32x4 (%%rdi), %%zmm0%{%%k1%}%{z%}")      \
    X(AVX512DQ, 0, "\x62\xf2\x7d\xc9\x59\x07", "vbroadcasti32x2 (%%rdi), %%zmm0%{%%k1%}%{z%}")     \
    X(AVX512F, 0, "\x62\xf1\x7c\xc9\x5a\x07", "vcvtps2pd (%%rdi), %%zmm0%{%%k1%}%{z%}")            \
    X(AVX512_VBMI2, 1, "\x62\xf2\x7d\x49\x63\x07", "vpcompressb %%zmm0, (%%rdi)%{%%k1%}")

/* Thins a mask out towards the end, so that often nothing beyond the page is enabled. */
static void masks_fill(struct machine *m, uint64_t *seed)
{
    struct extended_image image;
    uint8_t vector[64];
    unsigned length = (unsigned)(random_next(seed) % 65);
    uint64_t enabled = random_next(seed) & (length == 64 ? ~0ull : (1ull << length) - 1);
    extended_image_get(&m->vcpu, &image, m->vm.model.xcr0_allowed);
    for (unsigned i = 0; i < 64; i++)
        vector[i] = enabled >> i & 1 ? 0x80 : 0x7f;
    extended_vector_set(&m->vcpu, &image, 1, 64, vector);
    extended_opmask_set(&m->vcpu, &image, 1, enabled);
    extended_image_put(&m->vcpu, &image, m->vm.model.xcr0_allowed);
}

/*
 * The operand straddles into a page that is not there, on the host and in the guest. Where the
 * enabled bytes all lie before it, the host must not fault (the test would die) and both must
 * agree; else the guest must fault and leave memory alone.
 */
static void test_masked_against_host(void **state)
{
    (void)state;
    static _Alignas(64) uint8_t before[XSAVE_AREA_SIZE], out[XSAVE_AREA_SIZE];
    uint64_t seed = 23;
    unsigned agreed = 0, faulted = 0;
    uint8_t bounce[64];
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    assert_int_equal(mprotect(page + 4096, 4096, PROT_NONE), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
#define X(feature, store, code, native)                                                            \
    if (cpu_model_has(&m->vm.model, FEATURE_##feature)) {                                          \
        unsigned room = (unsigned)(random_next(&seed) % 68);                                       \
        struct instruction insn;                                                                   \
        random_extended_state(m, &seed);                                                           \
        masks_fill(m, &seed);                                                                      \
        memcpy(before, state_of(m), sizeof(before));                                               \
        random_fill(&seed, page, 4096);                                                            \
        memcpy(m->ram + HOLE - 4096, page, 4096);                                                  \
        memcpy(m->ram + CODE, code, sizeof(code));                                                 \
        GPR(m, RDI) = HOLE - room;                                                                 \
        assert_int_equal(instruction_decode(m->ram + CODE, 15, 64, &insn), DECODE_OK);             \
        uint64_t bytes = masked_operand_bytes(&m->vcpu, &insn);                                    \
        if (insn.opcode == 0xf7 && !m->vm.model.vendor_intel)                                      \
            bytes = 0xffff; /* AMD's MASKMOVDQU checks all of it */                                \
        if (room >= 64 || !(bytes >> room)) {                                                      \
            NATIVE(before, out, page + 4096 - room, 0, native);                                    \
            m->vcpu.r.rip = CODE;                                                                  \
            m->vcpu.r.cr4 |= CR4_OSXMMEXCPT;                                                       \
            assert_int_equal(vcpu_run(&m->vcpu, 1), EXIT_BUDGET);                                  \
            assert_int_equal(m->vcpu.r.rip, CODE + sizeof(code) - 1);                              \
            assert_vectors_equal(m, out);                                                          \
            agreed++;                                                                              \
        } else {                                                                                   \
            assert_int_equal((store) ? masked_operand_write(&m->vcpu, &insn, bounce)               \
                                     : masked_operand_read(&m->vcpu, &insn, bounce),               \
                             -EFAULT);                                                             \
            assert_int_equal(m->vcpu.fault.vector, EXCEPTION_PF);                                  \
            faulted++;                                                                             \
        }                                                                                          \
        assert_memory_equal(m->ram + HOLE - 4096, page, 4096);                                     \
    }
        MASKED_FORMS(X)
#undef X
    }
    assert_true(agreed > ROUNDS && faulted > ROUNDS / 2);
    munmap(page, 8192);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_against_host),
        cmocka_unit_test(test_gather_restarts),
        cmocka_unit_test(test_gather_register_rules),
        cmocka_unit_test(test_masked_against_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
