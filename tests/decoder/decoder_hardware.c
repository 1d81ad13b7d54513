/* SPDX-License-Identifier: MIT */
/*
 * decoder_hardware.c - the table against the CPU this test runs on.
 *
 *   decoder-hardware [--count N] [--seed S] [--verbose N]
 *
 * 1. Validity and length of N random encodings in 64-, 32- and 16-bit code (hardware.h).
 * 2. The memory columns of every native row that the CPU can run, in every form that the
 * enumeration reaches: the operand has exactly the stated size (it may end at the end of a page,
 * and not one byte later), direction (a read-only page), alignment (#GP when misaligned) and fault
 * suppression (an all-zero mask does not fault).
 *
 * Rows whose feature the CPU lacks are left out. Known differences are in the table below; they
 * hold for AMD or for Intel CPUs, or are the consequence of running at CPL 3 under Linux.
 */
#include <cpuid.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate.h"
#include "hardware.h"
#include "instruction.h"

enum { BATCH = 1 << 15 };

struct subject {
    uint8_t bytes[16];
    int status;
    unsigned code_size;
    struct instruction in;
};

static struct hardware_question questions[4 * BATCH];
static struct subject subjects[BATCH];
static bool features[FEATURE_COUNT];
static uint64_t examples = 10, unlisted;

static void read_features(void)
{
    enum { EAX, EBX, ECX, EDX };
    unsigned regs[4];

    features[FEATURE_BASE] = true;
#define FEATURE(name, leaf, subleaf, reg, bit)                                                     \
    features[FEATURE_##name] =                                                                     \
        __get_cpuid_count(leaf, subleaf, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX]) &&        \
        (regs[reg] >> (bit)&1);
#include "features.def"
#undef FEATURE
}

static bool supported(const struct instruction *in)
{
    return features[in->row->feature] && (in->encoding != ENCODING_EVEX ||
                                          in->vector_length == 64 || features[in->row->feature_vl]);
}

static void print_bytes(const uint8_t *bytes, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        printf(" %02x", bytes[i]);
    putchar('\n');
}

/* ---- part 1: validity and length ---- */

/* The first byte that is no legacy or REX prefix. */
static unsigned prefix_count(const struct subject *subject)
{
    unsigned i = 0;

    while (i < 15 && (strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", subject->bytes[i]) ||
                      (subject->code_size == 64 && (subject->bytes[i] & 0xf0) == 0x40)))
        i++;
    return i;
}

static bool behind(const struct subject *subject, const char *bytes, size_t size)
{
    unsigned at = prefix_count(subject);

    return at + size <= 15 && !memcmp(subject->bytes + at, bytes, size);
}

/* Where extensions live that the guest is not given, but that some CPUs run at CPL 3. */
static bool not_given(const struct subject *subject)
{
    static const struct {
        uint8_t lead[3]; /* 0F map bytes, or C4 or 62 and the map number */
        uint8_t first, last;
    } places[] = {
        { { 0xc6 }, 0xf8, 0xf8 },       /* XABORT, by its ModRM byte */
        { { 0xc7 }, 0xf8, 0xf8 },       /* XBEGIN */
        { { 0x8f }, 0x00, 0xff },       /* XOP, TBM, LWP */
        { { 0x0f }, 0x0e, 0x0f },       /* 3DNow! */
        { { 0x0f }, 0xa6, 0xa7 },       /* PadLock */
        { { 0x0f }, 0xae, 0xae },       /* WAITPKG, CET, PTWRITE */
        { { 0x0f }, 0xc7, 0xc7 },       /* XSAVES, XRSTORS, SENDUIPI */
        { { 0x0f, 0x38 }, 0xd8, 0xdf }, /* Key Locker */
        { { 0x0f, 0x38 }, 0xf5, 0xff }, /* CET, ENQCMD, Key Locker, RAO-INT */
        { { 0x0f, 0x3a }, 0xf0, 0xf0 }, /* HRESET */
        { { 0xc4, 2 }, 0x48, 0x6f },    /* AMX, AVX-VNNI-INT8 */
        { { 0xc4, 2 }, 0x72, 0x72 },    /* AVX-NE-CONVERT */
        { { 0xc4, 2 }, 0xb0, 0xb5 },    /* AVX-NE-CONVERT, AVX-IFMA */
        { { 0xc4, 2 }, 0xcb, 0xda },    /* SHA512, SM3, SM4, AVX-VNNI-INT16 */
        { { 0xc4, 2 }, 0xe0, 0xef },    /* CMPccXADD */
        { { 0xc4, 3 }, 0x48, 0x7f },    /* FMA4 */
        { { 0xc4, 3 }, 0xde, 0xde },    /* SM3 */
        { { 0x62, 4 }, 0x00, 0xff },    /* APX */
        { { 0x62, 5 }, 0x00, 0xff },    /* AVX512-FP16 */
        { { 0x62, 6 }, 0x00, 0xff },
    };
    const uint8_t *bytes = subject->bytes + prefix_count(subject);

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const uint8_t *lead = places[i].lead;
        uint8_t opcode = bytes[1];

        if (bytes[0] != lead[0])
            continue;
        if (lead[0] == 0x0f && lead[1]) {
            if (bytes[1] != lead[1])
                continue;
            opcode = bytes[2];
        } else if (lead[1]) {
            if ((bytes[1] & (lead[0] == 0x62 ? 7 : 31)) != lead[1])
                continue;
            opcode = bytes[lead[0] == 0x62 ? 4 : 3];
        }
        if (opcode >= places[i].first && opcode <= places[i].last)
            return true;
    }
    return false;
}

/* Why the CPU may differ from the decoder on this encoding, or NULL. */
static const char *excuse(const struct subject *subject, const struct hardware_question *answer)
{
    const uint8_t *opcode = subject->bytes + prefix_count(subject);

    if (subject->status == DECODE_OK) {
        switch (subject->in.row->interpreter) {
        case INTERPRET_clac:
        case INTERPRET_stac:
        case INTERPRET_hypercall:
        case INTERPRET_monitor:
        case INTERPRET_mwait:
        case INTERPRET_undefined:
        case INTERPRET_sysenter:
        case INTERPRET_syscall:
        case INTERPRET_sysret:
            return "#UD at CPL 3, or a system call that goes on to the next instruction";
        case INTERPRET_int_n:
            return "INT 80h is a system call";
        case INTERPRET_sldt:
        case INTERPRET_str:
        case INTERPRET_smsw:
        case INTERPRET_sgdt:
        case INTERPRET_sidt:
            return "UMIP: Linux emulates these, and goes on to the next instruction";
        case INTERPRET_prefetch:
            if (subject->in.map == 1 && subject->in.opcode == 0x0d && subject->in.mod == 3)
                return "0F 0D with a register: NOP on Intel, #UD on AMD";
            break;
        default:
            break;
        }
        if (subject->code_size == 64 && subject->in.operand_override &&
            subject->in.row->class == CLASS_TRANSFER && subject->in.immediate_size == 4)
            return "near branch with 66h in 64-bit mode: rel32 on Intel, rel16 on AMD";
        if (subject->code_size != 64 && subject->in.encoding == ENCODING_VEX &&
            subject->in.map == 3 && (subject->in.opcode == 0x16 || subject->in.opcode == 0x22))
            return "VPEXTRD, VPINSRD with VEX.W outside 64-bit mode: W is ignored on Intel, #UD on "
                   "AMD";
        return NULL;
    }
    if (subject->status == DECODE_TOO_LONG)
        return "more than 15 bytes: #GP, which looks like a privileged instruction here";
    if (prefix_count(subject) >= (*opcode == 0x8f ? 2 : 4) && answer->trap == 13)
        return "undefined and more than 15 bytes: the CPU says #GP, the decoder #UD";
    if (behind(subject, "\x0f\x01", 2) && opcode[2] >= 0xc0)
        return "0F 01 with a register: system extensions that the guest is not given";
    if (prefix_count(subject) <= 10 && not_given(subject))
        return "an extension that the guest is not given (XSAVES, WAITPKG, AMX, XOP ...)";
    if ((behind(subject, "\x0f\x20", 2) || behind(subject, "\x0f\x22", 2)))
        return "LOCK MOV CR0 is MOV CR8 on AMD";
    if (behind(subject, "\xc4", 1) && (opcode[1] & 0x1f) == 3 && (opcode[3] == 0 || opcode[3] == 1))
        return "VPERMQ, VPERMPD with VEX.W = 0: #UD on Intel, W is ignored on AMD";
    return NULL;
}

static struct {
    const char *reason;
    uint64_t count;
} excuses[64];

static void count_excuse(const char *reason)
{
    unsigned i = 0;

    while (excuses[i].reason && strcmp(excuses[i].reason, reason))
        i++;
    excuses[i].reason = reason;
    excuses[i].count++;
}

static void judge(const struct subject *subject, const struct hardware_question *whole,
                  const struct hardware_question *shorter)
{
    const char *problem = NULL, *reason;

    if (subject->status == DECODE_OK) {
        if (!supported(&subject->in))
            return;
        if (whole->verdict == VERDICT_UNDEFINED)
            problem = "the CPU says #UD";
        else if (whole->verdict == VERDICT_LONGER)
            problem = "longer on the CPU";
        else if (subject->in.length > 1 && shorter->verdict != VERDICT_LONGER)
            problem = "shorter on the CPU";
    } else if (whole->verdict == VERDICT_VALID) {
        problem = "valid on the CPU";
    }
    if (!problem)
        return;
    reason = excuse(subject, whole);
    if (reason) {
        count_excuse(reason);
        return;
    }
    if (unlisted++ < examples) {
        printf("%u-bit, %s, %s:", subject->code_size, problem,
               subject->status ? "not for us" : subject->in.row->mnemonic);
        print_bytes(subject->bytes, 15);
    }
}

static int check_validity(uint64_t count, uint64_t seed, bool with_16_bit)
{
    static const unsigned code_sizes[3] = { 64, 32, 16 };
    struct generator generator;

    generator_init(&generator, seed);
    while (count) {
        size_t batch = count < BATCH ? (size_t)count : BATCH;
        int status;

        for (size_t i = 0; i < batch; i++) {
            struct subject *subject = &subjects[i];
            struct hardware_question question = { 0 };

            subject->code_size = code_sizes[i % (with_16_bit ? 3 : 2)];
            generate_encoding(&generator, subject->code_size, subject->bytes);
            subject->status =
                instruction_decode(subject->bytes, 15, subject->code_size, &subject->in);
            memcpy(question.bytes, subject->bytes, 15);
            question.code_size = (uint8_t)subject->code_size;
            question.size = subject->status ? 15 : subject->in.length;
            questions[2 * i] = question;
            if (question.size > 1)
                question.size--;
            questions[2 * i + 1] = question;
        }
        status = hardware_ask(questions, 2 * batch);
        if (status)
            return status;
        for (size_t i = 0; i < batch; i++)
            judge(&subjects[i], &questions[2 * i], &questions[2 * i + 1]);
        count -= batch;
    }
    return 0;
}

/* ---- part 2: memory columns ---- */

/* One form of a row: its encoding with the operand at [RAX], and what is expected of it. */
struct form {
    struct instruction in;
    bool masked; /* encoded with a mask that is all zero */
};

static struct form forms[BATCH];
static size_t form_count;

static void add_form(const uint8_t *bytes, bool masked)
{
    struct form *form = &forms[form_count];

    if (form_count == BATCH || instruction_decode(bytes, 15, 64, &form->in))
        return;
    if (form->in.row->interpreter != INTERPRETER_NONE || form->in.row->memory != MEMORY_MODRM ||
        !form->in.has_memory || form->in.base != REGISTER_RAX || !supported(&form->in))
        return;
    form->masked = masked;
    form_count++;
}

/* Every opcode of every map, with every extension, mandatory prefix, W and L, at [RAX]. */
static void enumerate_legacy(unsigned map, unsigned opcode, unsigned reg)
{
    static const uint8_t prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };

    for (unsigned prefix = 0; prefix < 4; prefix++) {
        for (unsigned rex = 0x40; rex <= 0x48; rex += 8) {
            uint8_t bytes[16] = { 0 };
            unsigned at = 0;

            if (prefix)
                bytes[at++] = prefixes[prefix];
            bytes[at++] = (uint8_t)rex;
            if (map)
                bytes[at++] = 0x0f;
            if (map >= 2)
                bytes[at++] = map == 2 ? 0x38 : 0x3a;
            bytes[at++] = (uint8_t)opcode;
            bytes[at] = (uint8_t)(reg << 3);
            add_form(bytes, false);
        }
    }
}

static void enumerate_vector(unsigned map, unsigned opcode, unsigned reg)
{
    for (unsigned bits = 0; bits < 256; bits++) {
        unsigned pp = bits & 3, w = bits >> 2 & 1, length = bits >> 3 & 3;
        unsigned broadcast = bits >> 5 & 1, mask = bits >> 6 & 1,
                 vvvv = bits >> 7 & 1 ? 0x28 : 0x78;
        uint8_t evex[16] = { 0x62,
                             (uint8_t)(0xf0 | map),
                             (uint8_t)(w << 7 | vvvv | 4 | pp),
                             (uint8_t)(length << 5 | broadcast << 4 | 8 | mask),
                             (uint8_t)opcode,
                             (uint8_t)(reg << 3) };
        uint8_t vex[16] = { 0xc4, (uint8_t)(0xe0 | map),
                            (uint8_t)(w << 7 | vvvv | (length & 1) << 2 | pp), (uint8_t)opcode,
                            (uint8_t)(reg << 3) };

        add_form(evex, mask);
        if (length < 2 && !broadcast && !mask)
            add_form(vex, false);
    }
}

static struct hardware_question ask_form(const struct form *form, uint64_t address)
{
    struct hardware_question question = { .size = form->in.length,
                                          .code_size = 64,
                                          .address = address };

    memcpy(question.bytes, form->in.bytes, 15);
    return question;
}

static void complain(const struct form *form, const char *problem,
                     const struct hardware_question *answer)
{
    if (unlisted++ < examples) {
        printf("memory of %s, %u bytes: %s (exception %u):", form->in.row->mnemonic,
               form->in.memory_size, problem, answer->trap);
        print_bytes(form->in.bytes, form->in.length);
    }
}

static bool faults(const struct hardware_question *answer)
{
    return answer->trap == 14 && answer->fault >= HARDWARE_DATA &&
           answer->fault <= HARDWARE_DATA_END;
}

/* The operand was: at the end of what it may touch; one byte later; misaligned; in a read-only
 * page. */
static void judge_form(const struct form *form, const struct hardware_question answers[4])
{
    const struct instruction_row *row = form->in.row;
    bool suppressed =
        (row->flags & ROW_MASKED) && (form->masked || form->in.encoding == ENCODING_VEX);
    bool aligned = (row->flags & ROW_ALIGNED) && !suppressed;
    bool writes = row->direction != DIRECTION_READ;

    if (answers[0].verdict != VERDICT_VALID) {
        complain(form, "not valid", &answers[0]);
        return;
    }
    if (faults(&answers[0]))
        complain(form, "touches more than stated", &answers[0]);
    if (aligned && answers[1].trap == 14 && row->feature == FEATURE_SHA)
        count_excuse("SHA: misaligned operands are #GP by the manuals, and taken by AMD's CPUs");
    else if (aligned ? answers[1].trap != 13 : !suppressed && !faults(&answers[1]))
        complain(form, aligned ? "takes a misaligned operand" : "touches less than stated",
                 &answers[1]);
    if (!aligned && answers[2].trap == 13)
        complain(form, "demands alignment", &answers[2]);
    if (!suppressed && faults(&answers[3]) != writes)
        complain(form, writes ? "does not write" : "writes", &answers[3]);
    if (suppressed && (faults(&answers[1]) || faults(&answers[3])))
        complain(form, "faults though masked off", &answers[1]);
}

static int check_memory(void)
{
    int status;

    for (unsigned map = 0; map < 4; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            for (unsigned reg = 0; reg < 8; reg++) {
                form_count = 0;
                enumerate_legacy(map, opcode, reg);
                if (map)
                    enumerate_vector(map, opcode, reg);
                for (size_t i = 0; i < form_count; i++) {
                    struct form *form = &forms[i];
                    uint64_t end = form->in.row->direction == DIRECTION_READ ? HARDWARE_DATA_END
                                                                             : HARDWARE_READ_ONLY;
                    uint64_t last = end - form->in.memory_size;

                    questions[4 * i] = ask_form(form, last);
                    questions[4 * i + 1] = ask_form(form, last + 1);
                    questions[4 * i + 2] = ask_form(form, HARDWARE_DATA + 1);
                    questions[4 * i + 3] = ask_form(form, HARDWARE_READ_ONLY);
                }
                status = hardware_ask(questions, 4 * form_count);
                if (status)
                    return status;
                for (size_t i = 0; i < form_count; i++)
                    judge_form(&forms[i], &questions[4 * i]);
            }
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t count = 300000, seed = 1;
    bool with_16_bit;
    int status;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--count"))
            count = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--verbose"))
            examples = strtoull(argv[i + 1], NULL, 0);
    }
    read_features();
    status = hardware_prepare(&with_16_bit);
    if (!status)
        status = check_validity(count, seed, with_16_bit);
    if (!status)
        status = check_memory();
    if (status) {
        printf("cannot ask the CPU here: %s; skipped\n", strerror(-status));
        return 77; /* meson: skipped */
    }
    printf("%" PRIu64 " random encodings%s and the memory of every native row\n", count,
           with_16_bit ? "" : " (none of 16-bit code: no modify_ldt here)");
    for (unsigned i = 0; excuses[i].reason; i++)
        printf("%10" PRIu64 "  %s\n", excuses[i].count, excuses[i].reason);
    printf("%" PRIu64 " unlisted differences\n", unlisted);
    return unlisted ? 1 : 0;
}
