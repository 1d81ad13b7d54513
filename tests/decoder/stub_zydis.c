/* SPDX-License-Identifier: MIT */
/*
 * stub_zydis.c - what the native form of a guest instruction can reach.
 *
 *   stub-zydis [--count N] [--seed S]
 *
 * Of N random encodings in 64-, 32- and 16-bit code, each that the table calls native is encoded as
 * the tiers would run it, and Zydis is asked what the CPU would then do: every memory operand,
 * implicit ones included, must be plainly [scratch], as large as the engine has checked, and
 * written only if the row says so; no other operand may be the scratch register; no branch,
 * privilege, segment or control register; and the code must fit its slot.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "generate.h"
#include "step/stub.h"

#define JUMP_BYTES 5 /* what follows in the slot */

struct check {
    ZydisDecoder decoder;
    uint64_t natives, operands, failures;
    const struct instruction *insn;
    const uint8_t *code;
    int length;
};

static void fail(struct check *check, const char *what)
{
    if (check->failures++ >= 20)
        return;
    printf("%s: %s, %u-bit:", what, check->insn->row->mnemonic, check->insn->code_size);
    for (unsigned i = 0; i < check->insn->length; i++)
        printf(" %02x", check->insn->bytes[i]);
    printf(" as");
    for (int i = 0; i < check->length; i++)
        printf(" %02x", check->code[i]);
    printf("\n");
}

/* The general register behind a name, AH and the like included; 0x3f if it is none. */
static unsigned general(ZydisRegister reg)
{
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        if (reg < ZYDIS_REGISTER_AH)
            return (unsigned)(reg - ZYDIS_REGISTER_AL);
        if (reg < ZYDIS_REGISTER_SPL) /* AH to BH: parts of registers 0 to 3 */
            return (unsigned)(reg - ZYDIS_REGISTER_AH);
        return (unsigned)(reg - ZYDIS_REGISTER_SPL) + 4;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        return (unsigned)ZydisRegisterGetId(reg);
    default:
        return REGISTER_NONE;
    }
}

static unsigned checked_bytes(const struct instruction *insn)
{
    switch (insn->row->memory) {
    case MEMORY_STRING:
        return insn->opcode & 1 ? insn->operand_size : 1;
    case MEMORY_PUSH:
    case MEMORY_POP:
        return insn->operand_size;
    default:
        return insn->memory_size;
    }
}

static void check_memory(struct check *check, const ZydisDecodedOperand *operand, unsigned scratch)
{
    const struct instruction *insn = check->insn;
    bool string = insn->row->memory == MEMORY_STRING;
    unsigned base = general(operand->mem.base);

    if (insn->row->memory == MEMORY_ADDRESS_ONLY)
        return; /* LEA, multi-byte NOP: nothing is accessed */
    check->operands++;
    if (ZydisRegisterGetClass(operand->mem.base) != ZYDIS_REGCLASS_GPR64 ||
        operand->mem.index != ZYDIS_REGISTER_NONE || operand->mem.disp.value ||
        operand->mem.segment == ZYDIS_REGISTER_FS || operand->mem.segment == ZYDIS_REGISTER_GS ||
        (string ? base != REGISTER_RSI && base != REGISTER_RDI : base != scratch))
        fail(check, "not the operand that was checked");
    if (operand->size != checked_bytes(insn) * 8)
        fail(check, "of another size than was checked");
    if (!string && operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
        !(insn->row->direction & DIRECTION_WRITE))
        fail(check, "writes what was checked for reading");
}

static void check_register(struct check *check, ZydisRegister reg, unsigned scratch)
{
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_SEGMENT:
    case ZYDIS_REGCLASS_CONTROL:
    case ZYDIS_REGCLASS_DEBUG:
    case ZYDIS_REGCLASS_IP:
        fail(check, "uses a register that is the host's");
        break;
    default:
        if (check->insn->row->memory != MEMORY_STRING && scratch != REGISTER_NONE &&
            general(reg) == scratch)
            fail(check, "names the scratch register");
        break;
    }
}

static void check_code(struct check *check, const uint8_t *code, int length, unsigned scratch)
{
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecodedInstruction host;

    check->code = code;
    check->length = length;
    if (length > (int)STUB_SLOT - JUMP_BYTES)
        fail(check, "does not fit");
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&check->decoder, code, (size_t)length, &host, operand)) ||
        host.length != length) {
        fail(check, "no such instruction");
        return;
    }
    if (host.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE ||
        host.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
        fail(check, "branches or is privileged");
    for (unsigned i = 0; i < host.operand_count; i++) {
        if (operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            check_memory(check, &operand[i], scratch);
        else if (operand[i].type == ZYDIS_OPERAND_TYPE_REGISTER)
            check_register(check, operand[i].reg.value, scratch);
    }
}

/* The Soft tier's forms: R11 or R10 points to the operand, whichever the instruction does not name.
 */
static void check_soft(struct check *check, uint8_t *code)
{
    const struct instruction *insn = check->insn;
    bool vector = insn->encoding != ENCODING_LEGACY;

    if (insn->row->memory > MEMORY_ADDRESS_ONLY || insn->code_size == 16)
        return;
    for (unsigned reg = REGISTER_R10; reg <= REGISTER_R11; reg++) {
        if (insn->has_memory && (insn->reg == reg || (vector && insn->vvvv == reg)))
            continue;
        int length = stub_encode_with(insn, code, (uint8_t)reg);
        if (length > 0)
            check_code(check, code, length, insn->has_memory ? reg : REGISTER_NONE);
    }
}

static void check_one(struct check *check, const struct instruction *insn)
{
    uint8_t code[2 * STUB_SLOT], scratch;
    bool accesses = insn->has_memory && insn->row->memory != MEMORY_ADDRESS_ONLY;

    check->natives++;
    check->insn = insn;
    check->length = 0;
    if (insn->row->memory == MEMORY_NONE && insn->has_modrm && insn->mod != 3)
        fail(check, "a memory operand that the row does not know");
    if (accesses && (checked_bytes(insn) == 0 || checked_bytes(insn) > 64))
        fail(check, "an operand larger than a bounce buffer");
    int length = stub_encode(insn, code, &scratch);
    if (length <= 0) {
        fail(check, "no native form");
        return;
    }
    check_code(check, code, length, scratch);
    check_soft(check, code);
}

int main(int argc, char **argv)
{
    static const unsigned code_sizes[3] = { 64, 32, 16 };
    struct check check = { .natives = 0 };
    struct generator generator;
    uint64_t count = 2000000, seed = 1;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--count"))
            count = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 0);
    }
    ZydisDecoderInit(&check.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    generator_init(&generator, seed);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t bytes[INSTRUCTION_MAX_LENGTH];
        struct instruction insn;

        generate_encoding(&generator, code_sizes[i % 3], bytes);
        if (instruction_decode(bytes, sizeof(bytes), code_sizes[i % 3], &insn) == DECODE_OK &&
            insn.row->interpreter == INTERPRETER_NONE)
            check_one(&check, &insn);
    }
    printf("%" PRIu64 " native instructions, %" PRIu64 " memory operands, %" PRIu64 " failures\n",
           check.natives, check.operands, check.failures);
    return check.failures || !check.operands;
}
