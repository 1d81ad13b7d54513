/* SPDX-License-Identifier: MIT */
/*
 * native_form.c - native-form [--count N] [--seed N]: every instruction the table calls native has
 * a native form, and it is the same instruction: stub_encode() on random encodings of all three
 * modes, judged by Zydis. The stub is never run.
 */
#include <Zydis/Zydis.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"
#include "step/stub.h"
#include "vector.h"

#define SHOWN 20u

struct form {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

struct counts {
    uint64_t native, unknown, wrong;
};

static bool decode(const uint8_t *code, size_t length, unsigned bits, struct form *out)
{
    ZydisMachineMode mode = bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                            : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                         : ZYDIS_MACHINE_MODE_LEGACY_16;
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, mode,
                     bits == 64   ? ZYDIS_STACK_WIDTH_64
                     : bits == 32 ? ZYDIS_STACK_WIDTH_32
                                  : ZYDIS_STACK_WIDTH_16);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_FALSE);
    return ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, code, length, &out->instruction, out->operand));
}

/* PUSH, POP and MOV with an absolute address become plain moves at the scratch register. */
static bool changes_shape(const struct instruction *insn)
{
    return insn->row->memory == MEMORY_PUSH || insn->row->memory == MEMORY_POP ||
           insn->row->memory == MEMORY_MOFFS;
}

static const char *judge_memory(const struct instruction *insn, const ZydisDecodedOperand *guest,
                                const ZydisDecodedOperand *host, uint8_t scratch)
{
    if (insn->row->memory == MEMORY_STRING || insn->row->memory == MEMORY_RDI)
        return guest->size == host->size ? NULL : "size of the memory operand";
    if (host->mem.base != (ZydisRegister)(ZYDIS_REGISTER_RAX + scratch))
        return "base register";
    if (host->mem.index != ZYDIS_REGISTER_NONE || host->mem.disp.value)
        return "more than a base register";
    return guest->size == host->size || insn->row->memory == MEMORY_ADDRESS_ONLY
               ? NULL
               : "size of the memory operand";
}

/* General registers of 16-bit code's default size are named alike, so numbers and widths must
 * agree. */
static const char *judge_operand(const struct instruction *insn, const ZydisDecodedOperand *guest,
                                 const ZydisDecodedOperand *host, uint8_t scratch)
{
    uint64_t mask = host->size >= 64 ? ~0ull : (1ull << host->size) - 1;
    if (guest->type != host->type)
        return "kind of operand";
    switch (guest->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return guest->reg.value == host->reg.value ? NULL : "register operand";
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return ((guest->imm.value.u ^ host->imm.value.u) & mask) == 0 ? NULL : "immediate";
    case ZYDIS_OPERAND_TYPE_MEMORY:
        return judge_memory(insn, guest, host, scratch);
    default:
        return "kind of operand";
    }
}

static const char *judge(const struct instruction *insn, const struct form *guest,
                         const struct form *host, uint8_t scratch)
{
    if (changes_shape(insn))
        return host->instruction.mnemonic == ZYDIS_MNEMONIC_MOV ? NULL : "mnemonic";
    if (guest->instruction.mnemonic != host->instruction.mnemonic)
        return "mnemonic";
    if (guest->instruction.operand_count_visible != host->instruction.operand_count_visible)
        return "number of operands";
    if ((guest->instruction.attributes ^ host->instruction.attributes) &
        (ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
         ZYDIS_ATTRIB_HAS_REPNE))
        return "LOCK or REP";
    for (unsigned i = 0; i < guest->instruction.operand_count_visible; i++) {
        const char *what = judge_operand(insn, &guest->operand[i], &host->operand[i], scratch);
        if (what)
            return what;
    }
    return NULL;
}

static void show(const char *what, const struct input *in, const uint8_t *code, int length)
{
    printf("%s: (%u-bit)", what, in->bits);
    for (unsigned i = 0; i < in->length; i++)
        printf(" %02x", in->code[i]);
    printf(" became");
    for (int i = 0; i < length; i++)
        printf(" %02x", code[i]);
    printf("\n");
}

static void examine(const struct input *in, const struct instruction *insn, struct counts *counts)
{
    struct form guest, host;
    uint8_t code[STUB_SLOT], scratch;
    const char *what;
    int length = stub_encode(insn, code, &scratch);
    counts->native++;
    if (length < 0 || length > (int)STUB_SLOT - 5) {
        what = "no native form";
        length = 0;
    } else if (!decode(in->code, in->length, in->bits, &guest)) {
        counts->unknown++; /* the decoder's own test lists where Zydis thinks otherwise */
        return;
    } else if (!decode(code, (size_t)length, 64, &host) || host.instruction.length != length) {
        what = "not an instruction";
    } else {
        what = judge(insn, &guest, &host, scratch);
    }
    if (what && counts->wrong++ < SHOWN)
        show(what, in, code, length);
}

int main(int argc, char **argv)
{
    static const struct option names[] = { { "count", required_argument, NULL, 'c' },
                                           { "seed", required_argument, NULL, 's' },
                                           { 0 } };
    const char *long_run = getenv("ORIGAMI_LONG");
    uint64_t count = long_run && *long_run == '1' ? 100000000 : 3000000, seed = 1;
    struct counts counts = { 0 };
    struct cpu_model model;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == '?')
            return 2;
        *(option == 'c' ? &count : &seed) = strtoull(optarg, NULL, 0);
    }
    cpu_model_init(&model, 1);
    memset(model.feature, 0xff, sizeof(model.feature)); /* nothing is run: all of the table */
    struct generator generator = {
        .random = seed, .model = &model, .segment_bases = true, .local_descriptors = true
    };
    generator.templates = code_templates_make(&generator);
    if (generator.templates == NULL)
        return 2;
    for (uint64_t i = 0; i < count; i++) {
        struct input in;
        struct instruction insn;
        code_generate(&generator, &in, &insn);
        if (insn.row->interpreter == INTERPRETER_NONE)
            examine(&in, &insn, &counts);
    }
    printf("seed %llu: %llu native instructions, %llu of them unknown to Zydis, %llu wrong\n",
           (unsigned long long)seed, (unsigned long long)counts.native,
           (unsigned long long)counts.unknown, (unsigned long long)counts.wrong);
    return counts.wrong != 0;
}
