/* SPDX-License-Identifier: MIT */
/* compare.c - see compare.h. */
#include "compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const ZydisMachineMode machine_modes[3] = { ZYDIS_MACHINE_MODE_LONG_64,
                                                   ZYDIS_MACHINE_MODE_LEGACY_32,
                                                   ZYDIS_MACHINE_MODE_LEGACY_16 };
static const ZydisStackWidth stack_widths[3] = { ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32,
                                                 ZYDIS_STACK_WIDTH_16 };

void comparison_init(struct comparison *comparison)
{
    /* Extensions that are NOPs on a CPU without them, as they are to the guest. */
    static const ZydisDecoderMode off[] = { ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
                                            ZYDIS_DECODER_MODE_CLDEMOTE };

    for (unsigned i = 0; i < 3; i++) {
        ZydisDecoder *decoder = &comparison->decoders[i];

        ZydisDecoderInit(decoder, machine_modes[i], stack_widths[i]);
        for (unsigned j = 0; j < sizeof(off) / sizeof(off[0]); j++)
            ZydisDecoderEnableMode(decoder, off[j], ZYAN_FALSE);
        ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_TRUE);
    }
}

/* Zydis's registers in our numbering. */
static unsigned register_number(ZydisRegister reg)
{
    if (reg == ZYDIS_REGISTER_NONE)
        return REGISTER_NONE;
    if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
        return REGISTER_RIP;
    return (unsigned)ZydisRegisterGetId(reg);
}

static unsigned segment_number(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_NONE ? SEGMENT_NONE : (unsigned)(reg - ZYDIS_REGISTER_ES);
}

/* The memory operand that a specimen's row describes. */
static const ZydisDecodedOperand *memory_operand(const struct specimen *specimen)
{
    const ZydisDecodedOperand *found = NULL;

    for (unsigned i = 0; i < specimen->theirs.operand_count; i++) {
        const ZydisDecodedOperand *operand = &specimen->operands[i];

        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        if (operand->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
            return operand;
        if (!found)
            found = operand;
    }
    return found;
}

/* The rSI operand of a string instruction: the one that may have a segment override. */
static const ZydisDecodedOperand *string_source(const struct specimen *specimen)
{
    for (unsigned i = 0; i < specimen->theirs.operand_count; i++) {
        const ZydisDecodedOperand *operand = &specimen->operands[i];

        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
            register_number(operand->mem.base) == REGISTER_RSI)
            return operand;
    }
    return memory_operand(specimen);
}

static bool same_mnemonic(const struct specimen *specimen)
{
    static const char *const aliases[][2] = {
        { "cbw", "cwde" },        { "cbw", "cdqe" },
        { "cwd", "cdq" },         { "cwd", "cqo" },
        { "movs", "movsw" },      { "movs", "movsd" },
        { "movs", "movsq" },      { "cmps", "cmpsw" },
        { "cmps", "cmpsd" },      { "cmps", "cmpsq" },
        { "stos", "stosw" },      { "stos", "stosd" },
        { "stos", "stosq" },      { "lods", "lodsw" },
        { "lods", "lodsd" },      { "lods", "lodsq" },
        { "scas", "scasw" },      { "scas", "scasd" },
        { "scas", "scasq" },      { "ins", "insw" },
        { "ins", "insd" },        { "outs", "outsw" },
        { "outs", "outsd" },      { "retf", "ret" },
        { "pusha", "pushad" },    { "popa", "popad" },
        { "pushf", "pushfd" },    { "pushf", "pushfq" },
        { "popf", "popfd" },      { "popf", "popfq" },
        { "iret", "iretd" },      { "iret", "iretq" },
        { "jcxz", "jecxz" },      { "jcxz", "jrcxz" },
        { "loopnz", "loopne" },   { "loopz", "loope" },
        { "xsave", "xsave64" },   { "xsaveopt", "xsaveopt64" },
        { "xsavec", "xsavec64" }, { "xrstor", "xrstor64" },
        { "fxsave", "fxsave64" }, { "fxrstor", "fxrstor64" },
    };
    const char *ours = specimen->ours.row->mnemonic;
    const char *theirs = ZydisMnemonicGetString(specimen->theirs.mnemonic);

    if (!strcmp(ours, theirs))
        return true;
    for (unsigned i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (!strcmp(ours, aliases[i][0]) && !strcmp(theirs, aliases[i][1]))
            return true;
    }
    return false;
}

/* The first field of the memory operand that differs, or NULL. */
static const char *compare_memory(const struct specimen *specimen)
{
    const struct instruction *ours = &specimen->ours;
    const ZydisDecodedOperand *operand = memory_operand(specimen);

    if (!operand)
        return ours->has_memory ? "memory" : NULL;
    if (operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
        ours->row->memory == MEMORY_MODRM && ours->mod == 3)
        return NULL; /* the stack of CALL r, PUSH r ...: rows tell of the ModRM operand */
    if (!ours->has_memory)
        return "memory";
    if (ours->row->memory == MEMORY_PUSH || ours->row->memory == MEMORY_POP)
        return operand->mem.segment == ZYDIS_REGISTER_SS ? NULL : "segment";
    if (ours->row->memory == MEMORY_STRING && ours->row->string_operands & STRING_SOURCE)
        operand = string_source(specimen);
    if (operand->mem.base == ZYDIS_REGISTER_NONE ? ours->base != REGISTER_NONE
                                                 : ours->base != register_number(operand->mem.base))
        return "base";
    if (ours->row->memory == MEMORY_XLAT)
        return NULL;
    if (ours->index != register_number(operand->mem.index))
        return "index";
    if (ours->index != REGISTER_NONE && ours->scale != operand->mem.scale)
        return "scale";
    if (ours->row->memory != MEMORY_ADDRESS_ONLY &&
        ours->segment != segment_number(operand->mem.segment))
        return "segment";
    if (ours->row->memory == MEMORY_MOFFS || ours->has_modrm) {
        int64_t displacement = operand->mem.disp.has_displacement ? operand->mem.disp.value : 0;

        if ((uint64_t)(ours->displacement ^ displacement) &
            (~0ull >> (64 - 8 * ours->address_size)))
            return "displacement";
    }
    if (ours->row->memory != MEMORY_ADDRESS_ONLY && ours->row->size != SIZE_VARIES &&
        operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN && ours->memory_size != operand->size / 8)
        return "memory size";
    return NULL;
}

/* Which way memory is used, from Zydis's operand actions. */
static const char *compare_direction(const struct specimen *specimen)
{
    const ZydisDecodedOperand *operand = memory_operand(specimen);
    const struct instruction_row *row = specimen->ours.row;
    bool reads, writes;

    if (!operand || row->memory != MEMORY_MODRM || !specimen->ours.has_memory ||
        operand->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
        return NULL;
    reads = operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    writes = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    if (reads != (row->direction == DIRECTION_READ || row->direction == DIRECTION_READ_WRITE))
        return "reads memory";
    if (writes != (row->direction == DIRECTION_WRITE || row->direction == DIRECTION_READ_WRITE))
        return "writes memory";
    return NULL;
}

static const char *compare_immediates(const struct specimen *specimen)
{
    const struct instruction *ours = &specimen->ours;
    const ZydisDecodedInstruction *theirs = &specimen->theirs;
    unsigned size = theirs->raw.imm[0].size / 8u + theirs->raw.imm[1].size / 8u;

    if (ours->immediate_size != size)
        return "immediate size";
    if (!size)
        return NULL;
    if (ours->immediate_offset != theirs->raw.imm[0].offset)
        return "immediate offset";
    for (unsigned i = 0; i < theirs->operand_count; i++) {
        const ZydisDecodedOperand *operand = &specimen->operands[i];

        if (operand->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
            continue;
        if (theirs->raw.imm[1].size)
            size = theirs->raw.imm[0].size / 8u;
        if (operand->imm.is_signed && size > 1 && ours->operand_size == 8)
            size = 8; /* sign extension counts */
        if ((ours->immediate ^ operand->imm.value.u) & (~0ull >> (64 - 8 * size)))
            return "immediate";
        break;
    }
    return NULL;
}

static const char *compare_flags(const struct specimen *specimen)
{
    const struct instruction_row *row = specimen->ours.row;
    const ZydisAccessedFlags *flags = specimen->theirs.cpu_flags;
    uint32_t status = 0x8d5 | 0x400;
    uint32_t changed;

    if (!flags || specimen->theirs.fpu_flags == NULL)
        return row->flags_written & status ? "flags" : NULL;
    changed = (uint32_t)(flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & status;
    if ((row->flags_written & status) != changed)
        return "flags written";
    if ((row->flags_undefined & status) != ((uint32_t)flags->undefined & status))
        return "flags undefined";
    if (((uint32_t)flags->tested & ~row->flags_read) & status)
        return "flags read";
    return NULL;
}

/* The first field that differs where both accept, or NULL. */
static const char *compare_fields(const struct specimen *specimen)
{
    const struct instruction *ours = &specimen->ours;
    const ZydisDecodedInstruction *theirs = &specimen->theirs;
    const char *field;

    if (ours->length != theirs->length)
        return "length";
    if (!same_mnemonic(specimen))
        return "mnemonic";
    if (ours->opcode != theirs->opcode)
        return "opcode";
    if (ours->address_size != theirs->address_width / 8)
        return "address size";
    if (ours->has_modrm && (ours->modrm_offset != theirs->raw.modrm.offset))
        return "modrm offset";
    field = compare_immediates(specimen);
    if (!field)
        field = compare_memory(specimen);
    if (!field)
        field = compare_direction(specimen);
    if (!field)
        field = compare_flags(specimen);
    if (!field && ours->row->size == SIZE_OPERAND && theirs->operand_width > 8 &&
        ours->operand_size != theirs->operand_width / 8)
        field = "operand size";
    if (!field && ours->row->size >= SIZE_VECTOR && ours->row->size <= SIZE_EIGHTH_VECTOR &&
        ours->vector_length * 8 != theirs->avx.vector_length)
        field = "vector length";
    return field;
}

static void print_example(const struct specimen *specimen, const char *field)
{
    printf("%2u-bit, %s:", specimen->code_size, field);
    for (unsigned i = 0; i < INSTRUCTION_MAX_LENGTH; i++)
        printf(" %02x", specimen->bytes[i]);
    if (specimen->status == DECODE_OK)
        printf("\n    ours   %s, %u bytes, memory %d: seg %u base %u index %u size %u disp %" PRIx64
               " imm %" PRIx64 "\n",
               specimen->ours.row->mnemonic, specimen->ours.length, specimen->ours.has_memory,
               specimen->ours.segment, specimen->ours.base, specimen->ours.index,
               specimen->ours.memory_size, (uint64_t)specimen->ours.displacement,
               specimen->ours.immediate);
    else
        printf("\n    ours   status %d\n", specimen->status);
    if (specimen->valid)
        printf("    Zydis  %s (%s), %u bytes, width %u\n",
               ZydisMnemonicGetString(specimen->theirs.mnemonic),
               ZydisISASetGetString(specimen->theirs.meta.isa_set), specimen->theirs.length,
               specimen->theirs.operand_width);
    else
        printf("    Zydis  invalid\n");
}

unsigned compare_one(struct comparison *comparison, const uint8_t bytes[15], unsigned code_size)
{
    struct specimen specimen = { .bytes = bytes, .code_size = code_size };
    const ZydisDecoder *decoder = &comparison->decoders[code_size == 64   ? 0
                                                        : code_size == 32 ? 1
                                                                          : 2];
    const char *field = NULL;
    int class;

    specimen.status = instruction_decode(bytes, INSTRUCTION_MAX_LENGTH, code_size, &specimen.ours);
    specimen.valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, INSTRUCTION_MAX_LENGTH,
                                                         &specimen.theirs, specimen.operands));
    comparison->total++;
    if ((specimen.status == DECODE_OK) != specimen.valid) {
        field = "validity";
    } else if (!specimen.valid) {
        comparison->both_invalid++;
        return 1;
    } else {
        comparison->both_valid++;
        field = compare_fields(&specimen);
    }
    if (field) {
        class = difference_class(&specimen, field);
        if (class >= 0) {
            comparison->listed[class]++;
        } else {
            if (comparison->unlisted++ < comparison->examples)
                print_example(&specimen, field);
        }
    }
    if (specimen.status == DECODE_OK)
        return specimen.ours.length;
    return specimen.valid ? specimen.theirs.length : 1;
}

bool comparison_report(const struct comparison *comparison)
{
    printf("%" PRIu64 " encodings: %" PRIu64 " valid and %" PRIu64 " invalid for both\n",
           comparison->total, comparison->both_valid, comparison->both_invalid);
    for (unsigned i = 0; difference_reason(i); i++) {
        if (comparison->listed[i])
            printf("%10" PRIu64 "  %s\n", comparison->listed[i], difference_reason(i));
    }
    printf("%" PRIu64 " unlisted differences\n", comparison->unlisted);
    return comparison->unlisted == 0;
}
