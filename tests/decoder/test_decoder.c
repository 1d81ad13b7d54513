/* SPDX-License-Identifier: MIT */
/*
 * test_decoder.c - the decoder's boundary cases, one by one, and the invariants of the table.
 *
 * Each case is given as bytes; a guard page after them proves that no byte past `available` is
 * read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "generate.h"
#include "instruction.h"
#include "table.h"

static uint8_t *guarded_end; /* the first byte of an inaccessible page */

/* Decodes `size` bytes that end right before the guard page. */
static int decode(unsigned code_size, const void *bytes, size_t size, struct instruction *out)
{
    memcpy(guarded_end - size, bytes, size);
    return instruction_decode(guarded_end - size, size, code_size, out);
}

/* Expects the bytes to be one whole instruction; returns it. */
static struct instruction expect(unsigned code_size, const char *bytes, size_t size,
                                 const char *mnemonic)
{
    struct instruction in;
    int status = decode(code_size, bytes, size, &in);

    if (status || in.length != size || strcmp(in.row->mnemonic, mnemonic))
        fail_msg("%u-bit, %s: status %d, %s, %u of %zu bytes", code_size, mnemonic, status,
                 status ? "" : in.row->mnemonic, status ? 0u : in.length, size);
    return in;
}

static void expect_status(unsigned code_size, const char *bytes, size_t size, int expected)
{
    struct instruction in;
    int status = decode(code_size, bytes, size, &in);

    if (status != expected)
        fail_msg("%u-bit, %02x %02x %02x ...: status %d, not %d", code_size, bytes[0] & 0xff,
                 size > 1 ? bytes[1] & 0xff : 0, size > 2 ? bytes[2] & 0xff : 0, status, expected);
}

/* For string literals. */
#define EXPECT(mode, bytes, name) expect(mode, bytes, sizeof(bytes) - 1, name)
#define UNDEFINED(mode, bytes)    expect_status(mode, bytes, sizeof(bytes) - 1, DECODE_UNDEFINED)
#define TRUNCATED(mode, bytes)    expect_status(mode, bytes, sizeof(bytes) - 1, DECODE_TRUNCATED)
#define TOO_LONG(mode, bytes)     expect_status(mode, bytes, sizeof(bytes) - 1, DECODE_TOO_LONG)

#define PREFIXES_12 "\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e"

static void test_length_limit(void **state)
{
    (void)state;
    EXPECT(64, PREFIXES_12 "\x2e\x2e\x90", "nop");
    TOO_LONG(64, PREFIXES_12 "\x2e\x2e\x2e\x90");
    TOO_LONG(64, PREFIXES_12 "\x2e\x2e\x2e");
    EXPECT(32, PREFIXES_12 "\x2e\xb0\x01", "mov");
    TOO_LONG(32, PREFIXES_12 "\xb8\x01\x02\x03\x04");
    TOO_LONG(32, PREFIXES_12 "\xb8\x01\x02"); /* known before the bytes are there */
    EXPECT(64, "\x2e\x2e\x2e\x2e\x2e\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08", "mov");
    TRUNCATED(64, PREFIXES_12 "\x2e\x2e");
}

static void test_truncation(void **state)
{
    static const struct {
        unsigned code_size;
        const char *bytes;
        size_t size;
    } cases[] = {
#define CASE(mode, bytes) { mode, bytes, sizeof(bytes) - 1 }
        CASE(64, "\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08"),
        CASE(64, "\x66\xf2\x4c\x0f\x38\xf1\x84\x91\x01\x02\x03\x04"),
        CASE(64, "\x0f\x3a\x0f\x05\x01\x02\x03\x04\x05"),
        CASE(64, "\xc5\xf8\x58\x44\x24\x10"),
        CASE(64, "\xc4\xe3\x7d\x18\x84\x24\x01\x02\x03\x04\x05"),
        CASE(64, "\x62\xf1\x7c\x48\x58\x84\x24\x01\x02\x03\x04"),
        CASE(64, "\xa1\x01\x02\x03\x04\x05\x06\x07\x08"),
        CASE(32, "\x9a\x01\x02\x03\x04\x05\x06"),
        CASE(16, "\xea\x01\x02\x03\x04"),
        CASE(32, "\xc8\x01\x02\x03"),
        CASE(32, "\xc5\x06"),
        CASE(32, "\x62\x46\x11"),
        CASE(16, "\x81\x86\x01\x02\x03\x04"),
        CASE(64, "\x66\x0f\x78\xc1\x02\x03"),
        CASE(64, "\xf0\x0f\xc7\x08"),
#undef CASE
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct instruction in;

        for (size_t size = 0; size < cases[i].size; size++)
            expect_status(cases[i].code_size, cases[i].bytes, size, DECODE_TRUNCATED);
        assert_int_equal(decode(cases[i].code_size, cases[i].bytes, cases[i].size, &in), DECODE_OK);
        assert_int_equal(in.length, cases[i].size);
    }
    /* What no further byte can make valid is known at once. */
    UNDEFINED(64, "\x06");
    UNDEFINED(64, "\x0f\x04");
    UNDEFINED(64, "\xf0\x90");
    UNDEFINED(64, "\x66\xc5");
    UNDEFINED(64, "\xc4\xe4");
    UNDEFINED(64, "\xfe\xd0");
}

/* A valid instruction stays what it is with more bytes after it, and is truncated with fewer. */
static void test_truncation_random(void **state)
{
    static const unsigned modes[3] = { 64, 32, 16 };
    struct generator generator;
    uint8_t bytes[15];

    (void)state;
    generator_init(&generator, 11);
    for (unsigned i = 0; i < 300000; i++) {
        unsigned mode = modes[i % 3];
        struct instruction whole, part;
        int status;

        generate_encoding(&generator, mode, bytes);
        status = instruction_decode(bytes, sizeof(bytes), mode, &whole);
        for (unsigned size = 0; size < sizeof(bytes); size++) {
            int shorter = decode(mode, bytes, size, &part);

            if (status == DECODE_OK && size < whole.length)
                assert_int_equal(shorter, DECODE_TRUNCATED);
            else if (shorter != DECODE_TRUNCATED)
                assert_int_equal(shorter, status);
            if (status == DECODE_OK && size >= whole.length)
                assert_memory_equal(&whole, &part, sizeof(whole));
        }
    }
}

static void test_prefixes(void **state)
{
    struct instruction in;

    (void)state;
    in = EXPECT(64, "\xf3\xf2\x0f\x58\xc1", "addsd"); /* the last of F2h and F3h */
    assert_int_equal(in.rep, 0xf2);
    EXPECT(64, "\xf2\xf3\x0f\x58\xc1", "addss");
    EXPECT(64, "\x66\xf3\x0f\x58\xc1", "addss"); /* 66h does not select when F3h does */
    EXPECT(64, "\xf3\x66\x0f\x58\xc1", "addss");
    in = EXPECT(64, "\x66\xf3\x0f\xb8\xc1", "popcnt"); /* but it still sizes */
    assert_int_equal(in.operand_size, 2);
    in = EXPECT(64, "\x66\xf2\x0f\x38\xf1\xc1", "crc32");
    assert_int_equal(in.operand_size, 2);
    EXPECT(64, "\xf3\x0f\xbc\xc1", "tzcnt");
    EXPECT(64, "\xf2\x0f\xbc\xc1", "bsf");
    in = EXPECT(64, "\x48\x66\x89\xc8", "mov"); /* REX counts only right before the opcode */
    assert_int_equal(in.operand_size, 2);
    assert_false(in.has_rex);
    in = EXPECT(64, "\x66\x48\x89\xc8", "mov");
    assert_int_equal(in.operand_size, 8);
    in = EXPECT(64, "\x41\x48\x89\xc8", "mov");
    assert_int_equal(in.rex, REX_W);
    EXPECT(32, "\x48", "dec");
    in = EXPECT(64, "\x64\x3e\x8b\x00", "mov"); /* a null prefix does not cancel FS */
    assert_int_equal(in.segment, SEGMENT_FS);
    in = EXPECT(64, "\x2e\x8b\x00", "mov");
    assert_int_equal(in.segment, SEGMENT_DS);
    in = EXPECT(32, "\x64\x2e\x8b\x00", "mov");
    assert_int_equal(in.segment, SEGMENT_CS);
    in = EXPECT(32, "\x8b\x45\x00", "mov");
    assert_int_equal(in.segment, SEGMENT_SS);
    EXPECT(64, "\xf3\x90", "pause");
    in = EXPECT(64, "\xf3\x41\x90", "xchg");
    assert_int_equal(in.rex, REX_B);
    EXPECT(64, "\x48\x90", "nop");
}

static void test_lock(void **state)
{
    (void)state;
    EXPECT(64, "\xf0\x01\x00", "add");
    UNDEFINED(64, "\xf0\x01\xc0"); /* register destination */
    UNDEFINED(64, "\xf0\x03\x00"); /* register destination, memory source */
    UNDEFINED(64, "\xf0\x39\x00"); /* CMP writes nothing */
    UNDEFINED(64, "\xf0\x80\x38\x00");
    UNDEFINED(64, "\xf0\x89\x00");
    UNDEFINED(64, "\xf0\x90");
    EXPECT(64, "\xf0\x87\x00", "xchg");
    EXPECT(64, "\xf0\x0f\xab\x00", "bts");
    UNDEFINED(64, "\xf0\x0f\xa3\x00"); /* BT */
    EXPECT(64, "\xf0\x48\x0f\xc7\x08", "cmpxchg16b");
    EXPECT(64, "\xf0\xf7\x18", "neg");
    UNDEFINED(64, "\xf0\xf7\x20");     /* MUL */
    UNDEFINED(64, "\xf0\x0f\x20\xc0"); /* MOV from CR0: AMD's CR8, not given */
}

static void test_addressing(void **state)
{
    struct instruction in;

    (void)state;
    in = EXPECT(64, "\x8b\x05\x10\x00\x00\x00", "mov");
    assert_int_equal(in.base, REGISTER_RIP);
    assert_int_equal(in.displacement, 16);
    in = EXPECT(32, "\x8b\x05\x10\x00\x00\x80", "mov");
    assert_int_equal(in.base, REGISTER_NONE);
    assert_int_equal(in.displacement, (int32_t)0x80000010);
    in = EXPECT(64, "\x8b\x04\x25\x10\x00\x00\x00", "mov"); /* SIB without base and index */
    assert_int_equal(in.base, REGISTER_NONE);
    assert_int_equal(in.index, REGISTER_NONE);
    in = EXPECT(64, "\x41\x8b\x04\x25\x10\x00\x00\x00", "mov"); /* REX.B does not make it R13 */
    assert_int_equal(in.base, REGISTER_NONE);
    in = EXPECT(64, "\x42\x8b\x04\x24", "mov"); /* REX.X makes the index R12 */
    assert_int_equal(in.base, REGISTER_RSP);
    assert_int_equal(in.index, REGISTER_R12);
    assert_int_equal(in.segment, SEGMENT_SS);
    in = EXPECT(64, "\x41\x8b\x45\xfe", "mov"); /* R13 is not a stack register */
    assert_int_equal(in.base, REGISTER_R13);
    assert_int_equal(in.segment, SEGMENT_DS);
    assert_int_equal(in.displacement, -2);
    in = EXPECT(64, "\x67\x8b\x00", "mov");
    assert_int_equal(in.address_size, 4);
    in = EXPECT(32, "\x67\x8b\x42\x10", "mov"); /* [BP+SI+16] */
    assert_int_equal(in.address_size, 2);
    assert_int_equal(in.base, REGISTER_RBP);
    assert_int_equal(in.index, REGISTER_RSI);
    assert_int_equal(in.segment, SEGMENT_SS);
    in = EXPECT(16, "\x8b\x06\x34\x12", "mov"); /* [disp16] */
    assert_int_equal(in.base, REGISTER_NONE);
    assert_int_equal(in.displacement, 0x1234);
    in = EXPECT(16, "\x67\x8b\x04\x88", "mov");
    assert_int_equal(in.address_size, 4);
    assert_int_equal(in.scale, 4);
    in = EXPECT(64, "\x64\x48\xa1\x08\x07\x06\x05\x04\x03\x02\x01", "mov");
    assert_int_equal(in.displacement, 0x0102030405060708);
    assert_int_equal(in.segment, SEGMENT_FS);
    assert_int_equal(in.memory_size, 8);
    in = EXPECT(64, "\x67\xa0\x04\x03\x02\x81", "mov");
    assert_int_equal(in.displacement, 0x81020304);
    assert_int_equal(in.memory_size, 1);
}

static void test_immediates(void **state)
{
    struct instruction in;

    (void)state;
    in = EXPECT(64, "\x48\x81\xc0\x00\x00\x00\x80", "add");
    assert_int_equal(in.immediate, 0xffffffff80000000);
    in = EXPECT(64, "\x83\xc0\xff", "add");
    assert_int_equal(in.immediate, UINT64_MAX);
    in = EXPECT(64, "\x48\xb8\x08\x07\x06\x05\x04\x03\x02\x81", "mov");
    assert_int_equal(in.immediate, 0x8102030405060708);
    in = EXPECT(64, "\x66\xb8\x34\x12", "mov");
    assert_int_equal(in.immediate_size, 2);
    in = EXPECT(64, "\x68\x00\x00\x00\x80", "push");
    assert_int_equal(in.operand_size, 8);
    assert_int_equal(in.immediate, 0xffffffff80000000);
    in = EXPECT(64, "\xc8\x34\x12\x05", "enter");
    assert_int_equal(in.immediate, 0x1234);
    assert_int_equal(in.immediate2, 5);
    in = EXPECT(32, "\x9a\x78\x56\x34\x12\xcd\xab", "call");
    assert_int_equal(in.immediate, 0x12345678);
    assert_int_equal(in.immediate2, 0xabcd);
    in = EXPECT(16, "\xea\x34\x12\xcd\xab", "jmp");
    assert_int_equal(in.immediate, 0x1234);
    assert_int_equal(in.immediate2, 0xabcd);
    UNDEFINED(64, "\xea");
    in = EXPECT(64, "\xe8\xfb\xff\xff\xff", "call");
    assert_int_equal(in.immediate, (uint64_t)-5);
    in = EXPECT(64, "\x66\xe8\xfb\xff\xff\xff", "call"); /* Intel: 66h is ignored in 64-bit mode */
    assert_int_equal(in.operand_size, 8);
    in = EXPECT(32, "\x66\xe8\xfb\xff", "call");
    assert_int_equal(in.operand_size, 2);
    EXPECT(16, "\x0f\x85\x00\x01", "jnz");
    in = EXPECT(64, "\x66\x0f\x78\xc1\x02\x03", "extrq");
    assert_int_equal(in.immediate, 2);
    assert_int_equal(in.immediate2, 3);
}

static void test_groups(void **state)
{
    struct instruction in;

    (void)state;
    in = EXPECT(64, "\x0f\x20\x05", "mov"); /* MOV CR: mod is ignored, no displacement follows */
    assert_int_equal(in.mod, 3);
    assert_int_equal(in.rm, REGISTER_RBP);
    assert_false(in.has_memory);
    in = EXPECT(64, "\x44\x0f\x20\xc0", "mov"); /* CR8 */
    assert_int_equal(in.reg, 8);
    UNDEFINED(64, "\x0f\x20\xc8");     /* CR1 */
    UNDEFINED(64, "\x44\x0f\x20\xd8"); /* CR11 */
    UNDEFINED(64, "\x44\x0f\x21\xc0"); /* DR8 */
    UNDEFINED(64, "\x8e\xc8");         /* MOV to CS */
    UNDEFINED(64, "\x8c\xf0");         /* segment register 6 */
    UNDEFINED(64, "\x8d\xc0");         /* LEA of a register */
    UNDEFINED(64, "\x8f\xc8");         /* XOP space */
    UNDEFINED(64, "\xff\xd8");         /* far call of a register */
    UNDEFINED(64, "\xff\xf8");
    EXPECT(64, "\xc0\xf0\x01", "shl"); /* the alias at /6 */
    EXPECT(64, "\xf6\xc8\x01", "test");
    EXPECT(32, "\x82\xc0\x01", "add");
    UNDEFINED(64, "\x82");
    UNDEFINED(64, "\xd6");
    EXPECT(32, "\xd6", "salc");
    EXPECT(32, "\x63\xc0", "arpl");
    EXPECT(64, "\x48\x63\xc0", "movsxd");
    EXPECT(64, "\x0f\x01\xf8", "swapgs");
    UNDEFINED(32, "\x0f\x01\xf8");
    in = EXPECT(64, "\x0f\x01\x10", "lgdt");
    assert_int_equal(in.memory_size, 10);
    in = EXPECT(32, "\x0f\x01\x10", "lgdt");
    assert_int_equal(in.memory_size, 6);
    in = EXPECT(32, "\xc5\x06", "lds"); /* VEX only where mod would be 3 */
    assert_int_equal(in.memory_size, 6);
    EXPECT(32, "\x62\x06", "bound");
    EXPECT(32, "\xc5\xf8\x58\xc1", "vaddps");
    in = EXPECT(64, "\x54", "push");
    assert_int_equal(in.row->interpreter, INTERPRET_push_rsp);
    in = EXPECT(64, "\x41\x54", "push"); /* R12 */
    assert_int_equal(in.row->interpreter, INTERPRETER_NONE);
    EXPECT(64, "\xdf\xc0", "ffreep");
    UNDEFINED(64, "\xd9\xd1");
}

static void test_vex(void **state)
{
    struct instruction in;

    (void)state;
    in = EXPECT(64, "\xc5\xf4\x58\xc2", "vaddps");
    assert_int_equal(in.vvvv, 1);
    assert_int_equal(in.vector_length, 32);
    UNDEFINED(64, "\x66\xc5\xf4\x58\xc2");
    UNDEFINED(64, "\xf2\xc5\xf4\x58\xc2");
    UNDEFINED(64, "\xf3\xc5\xf4\x58\xc2");
    UNDEFINED(64, "\xf0\xc5\xf4\x58\xc2");
    UNDEFINED(64, "\x48\xc5\xf4\x58\xc2");
    EXPECT(64, "\x48\x2e\xc5\xf4\x58\xc2", "vaddps"); /* that REX was no REX */
    EXPECT(64, "\x67\x64\xc5\xf4\x58\x02", "vaddps");
    UNDEFINED(64, "\xc5\xf4\x5b\xc2");     /* VCVTDQ2PS: vvvv must be 1111 */
    UNDEFINED(64, "\xc5\xfc\x6e\xc0");     /* VMOVD: L must be 0 */
    UNDEFINED(64, "\xc4\xe4\x7d\x18\xc0"); /* map 4 */
    UNDEFINED(64, "\xc4\xe2\xfd\x18\x00"); /* VBROADCASTSS: W must be 0 */
    EXPECT(64, "\xc5\xf8\x77", "vzeroupper");
    EXPECT(64, "\xc5\xfc\x77", "vzeroall");
    UNDEFINED(64, "\xc5\xf0\x77"); /* vvvv */
    in = EXPECT(64, "\xc4\xe2\xf0\xf2\xc2", "andn");
    assert_int_equal(in.operand_size, 8);
    in = EXPECT(32, "\xc4\xe2\xf0\xf2\xc2", "andn"); /* W is ignored there */
    assert_int_equal(in.operand_size, 4);
    assert_int_equal(in.vex_w, 0);
    in = EXPECT(32, "\xc4\xe1\xf9\x6e\xc0", "vmovd");
    EXPECT(64, "\xc4\xe1\xf9\x6e\xc0", "vmovq");
    in = EXPECT(32, "\xc4\xe1\x38\x58\xc0", "vaddps"); /* the top bit of vvvv is ignored */
    assert_int_equal(in.vvvv, 0);
    UNDEFINED(32, "\xc4\xe1\x38\x5b\xc0"); /* but not where vvvv is unused */
    in = EXPECT(32, "\xc4\xe3\x79\x4a\xc1\xf0", "vblendvps");
    assert_int_equal(in.immediate, 0x70);
    in = EXPECT(64, "\xc4\xc1\x74\x41\xc2", "kandw"); /* B does not extend a mask register */
    assert_int_equal(in.rm, 2);
    UNDEFINED(64, "\xc4\x61\x74\x41\xc2");
    UNDEFINED(64, "\xc5\xb4\x41\xc2"); /* vvvv names k9 */
    /* Gather: destination, index and mask differ; rm is 4. */
    in = EXPECT(64, "\xc4\xe2\x69\x92\x04\x08", "vgatherdps");
    assert_int_equal(in.index, 1);
    assert_int_equal(in.memory_size, 4);
    UNDEFINED(64, "\xc4\xe2\x79\x92\x04\x08");
    UNDEFINED(64, "\xc4\xe2\x71\x92\x04\x08");
    UNDEFINED(64, "\xc4\xe2\x69\x92\x04\x00");
    UNDEFINED(64, "\xc4\xe2\x69\x92\x00");
    UNDEFINED(64, "\xc4\xe2\x69\x92\xc4");
    in = EXPECT(64, "\xc4\xe2\x69\x92\x04\x20", "vgatherdps"); /* index 4 is a register here */
    assert_int_equal(in.index, 4);
}

static void test_evex(void **state)
{
    struct instruction in;

    (void)state;
    in = EXPECT(64, "\x62\xf1\x74\x48\x58\xc2", "vaddps");
    assert_int_equal(in.vector_length, 64);
    in = EXPECT(64, "\x62\xa1\x74\x40\x58\xc2", "vaddps"); /* R', X and V' */
    assert_int_equal(in.reg, 16);
    assert_int_equal(in.rm, 18);
    assert_int_equal(in.vvvv, 17);
    UNDEFINED(64, "\x62\xf9\x74\x48\x58\xc2");             /* reserved bit of P0 */
    UNDEFINED(64, "\x62\xf1\x70\x48\x58\xc2");             /* bit of P1 that must be 1 */
    UNDEFINED(64, "\x62\xf5\x74\x48\x58\xc2");             /* map 5: AVX512-FP16 */
    UNDEFINED(64, "\x62\xf1\x74\x68\x58\xc2");             /* L'L = 3 */
    in = EXPECT(64, "\x62\xf1\x74\x78\x58\xc2", "vaddps"); /* unless it is a rounding mode */
    assert_int_equal(in.vector_length, 64);
    UNDEFINED(64, "\x62\xf1\x74\xc8\x58\xc2"); /* z without a mask */
    EXPECT(64, "\x62\xf1\x74\xc9\x58\xc2", "vaddps");
    UNDEFINED(64, "\x62\xf1\x7c\xc9\x11\x00"); /* z into memory */
    EXPECT(64, "\x62\xf1\x7c\x49\x11\x00", "vmovups");
    in = EXPECT(64, "\x62\xf1\x74\x58\x58\x40\x01", "vaddps"); /* broadcast: disp8 * 4 */
    assert_int_equal(in.displacement, 4);
    assert_int_equal(in.memory_size, 4);
    in = EXPECT(64, "\x62\xf1\x74\x48\x58\x40\xff", "vaddps"); /* disp8 * 64 */
    assert_int_equal(in.displacement, -64);
    in = EXPECT(64, "\x62\xf1\x74\x28\x58\x40\x02", "vaddps");
    assert_int_equal(in.displacement, 64);
    in = EXPECT(64, "\x62\xf1\x76\x08\x58\x40\x02", "vaddss"); /* a scalar: disp8 * 4 */
    assert_int_equal(in.displacement, 8);
    in = EXPECT(64, "\x62\xf2\x7d\x49\x8a\x40\x02", "vcompressps"); /* elements */
    assert_int_equal(in.displacement, 8);
    assert_int_equal(in.memory_size, 64);
    in =
        EXPECT(64, "\x62\xf1\x74\x48\x58\x80\x01\x00\x00\x00", "vaddps"); /* disp32 is not scaled */
    assert_int_equal(in.displacement, 1);
    UNDEFINED(64, "\x62\xf1\x7d\x58\x6f\x00"); /* VMOVDQA32 has no broadcast */
    UNDEFINED(64, "\x62\xf1\x75\x58\xfc\xc2"); /* VPADDB has no rounding */
    UNDEFINED(64, "\x62\xf1\x75\x4f\xf6\xc2"); /* VPSADBW takes no mask */
    UNDEFINED(64, "\x62\x71\x75\x48\x74\xc2"); /* a mask destination above k7 */
    UNDEFINED(64, "\x62\xe1\x7f\x08\x2c\xc0"); /* a general register above R15 */
    EXPECT(64, "\x62\xf2\x7d\x49\x92\x04\x08", "vgatherdps");
    UNDEFINED(64, "\x62\xf2\x7d\x48\x92\x04\x08");                 /* a gather needs a mask */
    UNDEFINED(64, "\x62\xf2\x7d\xc9\x92\x04\x08");                 /* and takes no z */
    UNDEFINED(64, "\x62\xf2\x7d\x49\x92\x0c\x08");                 /* destination is the index */
    in = EXPECT(64, "\x62\xf2\x7d\x41\x92\x04\x08", "vgatherdps"); /* V' extends the index */
    assert_int_equal(in.index, 17);
    UNDEFINED(32, "\x62\xf1\x74\x40\x58\xc2");        /* V' outside 64-bit mode */
    EXPECT(32, "\x62\xe1\x74\x48\x58\xc2", "vaddps"); /* R' is ignored there */
    UNDEFINED(64, "\x66\x62\xf1\x74\x48\x58\xc2");
    UNDEFINED(64, "\x40\x62\xf1\x74\x48\x58\xc2");
}

/* The allow-list: what hosts may have and guests must not get. */
static void test_not_given(void **state)
{
    (void)state;
    UNDEFINED(64, "\xc7\xf8");             /* XBEGIN */
    UNDEFINED(64, "\xc6\xf8");             /* XABORT */
    UNDEFINED(64, "\x0f\x01\xd5");         /* XEND */
    UNDEFINED(64, "\x0f\x01\xd6");         /* XTEST */
    UNDEFINED(64, "\xf3\x0f\xae\xf0");     /* UMONITOR */
    UNDEFINED(64, "\xf2\x0f\xae\xf0");     /* UMWAIT */
    UNDEFINED(64, "\x66\x0f\xae\xf0");     /* TPAUSE */
    UNDEFINED(64, "\xf2\x0f\x38\xf8\x00"); /* ENQCMD */
    UNDEFINED(64, "\xf3\x0f\x38\xf8\x00"); /* ENQCMDS */
    UNDEFINED(64, "\xf3\x0f\xc7\xf0");     /* SENDUIPI */
    UNDEFINED(64, "\xf3\x0f\x01\xee");     /* CLUI */
    UNDEFINED(64, "\x0f\x01\xfd");         /* RDPRU */
    UNDEFINED(64, "\x0f\x01\xfc");         /* CLZERO */
    UNDEFINED(64, "\x0f\x01\xfa");         /* MONITORX */
    UNDEFINED(64, "\x0f\xc7\x18");         /* XRSTORS */
    UNDEFINED(64, "\x0f\xc7\x28");         /* XSAVES */
    UNDEFINED(64, "\x0f\xc7\x30");         /* VMPTRLD */
    UNDEFINED(64, "\x0f\x01\xd8");         /* VMRUN */
    UNDEFINED(64, "\x0f\x01\xc2");         /* VMLAUNCH */
    UNDEFINED(64, "\x0f\x01\xcf");         /* ENCLS */
    UNDEFINED(64, "\x0f\x37");             /* GETSEC */
    UNDEFINED(64, "\x0f\xaa");             /* RSM */
    UNDEFINED(64, "\x0f\x0f");             /* 3DNow! */
    UNDEFINED(64, "\x8f\xe8");             /* XOP */
    UNDEFINED(64, "\xc4\xe3\x79\x69");     /* FMA4 */
    UNDEFINED(64, "\xf3\x0f\xae\xe0");     /* PTWRITE */
    UNDEFINED(64, "\xf3\x0f\xae\xe8");     /* INCSSP */
    UNDEFINED(64, "\x0f\x38\xf6\x00");     /* WRSS */
    UNDEFINED(64, "\xc4\xe2\x78\x49\x00"); /* LDTILECFG */
    UNDEFINED(64, "\xf3\x0f\x38\xdc\xc0"); /* LOADIWKEY */
    UNDEFINED(64, "\x0f\x01\xe8");         /* SERIALIZE */
    EXPECT(64, "\xf3\x0f\x1e\xfa", "nop"); /* ENDBR64 and RDSSP stay NOPs */
    EXPECT(64, "\xf3\x48\x0f\x1e\xc8", "nop");
    EXPECT(64, "\xf3\x0f\x1a\xc0", "nop"); /* BNDCL */
    EXPECT(64, "\x0f\x1c\x00", "nop");     /* CLDEMOTE */
}

/* Every row is reached by some encoding; alternatives of one opcode agree about ModRM. */
static void test_table(void **state)
{
    static const unsigned modes[3] = { 64, 32, 16 };
    static bool reached[8192];
    struct generator generator;
    unsigned left = instruction_row_count - 1;

    (void)state;
    assert_true(instruction_row_count < sizeof(reached));
    generator_init(&generator, 3);
    for (unsigned i = 0; i < 40000000 && left; i++) {
        struct instruction in;
        uint8_t bytes[15];

        generate_encoding(&generator, modes[i % 3], bytes);
        if (instruction_decode(bytes, sizeof(bytes), modes[i % 3], &in) == DECODE_OK) {
            unsigned row = (unsigned)(in.row - instruction_rows);

            left -= !reached[row];
            reached[row] = true;
        }
    }
    for (unsigned i = 1; i < instruction_row_count; i++) {
        const struct instruction_row *row = &instruction_rows[i];

        if (!reached[i])
            print_message("row %u, %s, is never reached\n", i, row->mnemonic);
        assert_true(row->mnemonic && row->mnemonic[0]);
        assert_true((row->flags_undefined & ~row->flags_written) == 0);
        assert_true(row->class < CLASS_COUNT && row->feature < FEATURE_COUNT);
        if (row->flags & ROW_LOCKABLE)
            assert_int_equal(row->direction, DIRECTION_READ_WRITE);
        if (row->class != CLASS_INNOCUOUS)
            assert_true(row->interpreter != INTERPRETER_NONE);
        if (row->flags & ROW_BROADCAST)
            assert_true(row->element);
        if (row->memory == MEMORY_VSIB)
            assert_int_equal(row->interpreter, INTERPRET_gather_scatter);
    }
    assert_int_equal(left, 0);
    for (unsigned map = 0; map < MAP_COUNT; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            unsigned row = opcode_index[map][opcode] & ~INDEX_HAS_MODRM;

            if (row)
                assert_false(decode_rules[row].rules & RULE_ALTERNATIVE);
        }
    }
}

static int map_guard(void **state)
{
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    if (pages == MAP_FAILED || mprotect(pages + 4096, 4096, PROT_NONE))
        return -1;
    guarded_end = pages + 4096;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_limit),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_truncation_random),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_addressing),
        cmocka_unit_test(test_immediates),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_vex),
        cmocka_unit_test(test_evex),
        cmocka_unit_test(test_not_given),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, map_guard, NULL);
}
