/* SPDX-License-Identifier: MIT */
/*
 * verifier_line.c - a block's bytes as instructions, with what the verifier needs to know of each.
 */
#include <string.h>
#include "verifier_internal.h"

#define ARITHMETIC                                                                                 \
    (ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF | ZYDIS_CPUFLAG_ZF |                   \
     ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF)

/* Computation, and nothing else: what is in no row may not be there. */
static const uint8_t allowed[ZYDIS_CATEGORY_MAX_VALUE + 1] = {
    [ZYDIS_CATEGORY_ADOX_ADCX] = 1,   [ZYDIS_CATEGORY_AES] = 1,
    [ZYDIS_CATEGORY_AVX] = 1,         [ZYDIS_CATEGORY_AVX2] = 1,
    [ZYDIS_CATEGORY_AVX512] = 1,      [ZYDIS_CATEGORY_AVX512_BITALG] = 1,
    [ZYDIS_CATEGORY_AVX512_VBMI] = 1, [ZYDIS_CATEGORY_AVX512_VP2INTERSECT] = 1,
    [ZYDIS_CATEGORY_BINARY] = 1,      [ZYDIS_CATEGORY_BITBYTE] = 1,
    [ZYDIS_CATEGORY_BLEND] = 1,       [ZYDIS_CATEGORY_BMI1] = 1,
    [ZYDIS_CATEGORY_BMI2] = 1,        [ZYDIS_CATEGORY_BROADCAST] = 1,
    [ZYDIS_CATEGORY_CMOV] = 1,        [ZYDIS_CATEGORY_COMPRESS] = 1,
    [ZYDIS_CATEGORY_CONFLICT] = 1,    [ZYDIS_CATEGORY_CONVERT] = 1,
    [ZYDIS_CATEGORY_DATAXFER] = 1,    [ZYDIS_CATEGORY_EXPAND] = 1,
    [ZYDIS_CATEGORY_FLAGOP] = 1,      [ZYDIS_CATEGORY_FP16] = 1,
    [ZYDIS_CATEGORY_GFNI] = 1,        [ZYDIS_CATEGORY_IFMA] = 1,
    [ZYDIS_CATEGORY_KMASK] = 1,       [ZYDIS_CATEGORY_LOGICAL] = 1,
    [ZYDIS_CATEGORY_LOGICAL_FP] = 1,  [ZYDIS_CATEGORY_LZCNT] = 1,
    [ZYDIS_CATEGORY_NOP] = 1,         [ZYDIS_CATEGORY_PCLMULQDQ] = 1,
    [ZYDIS_CATEGORY_ROTATE] = 1,      [ZYDIS_CATEGORY_SEMAPHORE] = 1,
    [ZYDIS_CATEGORY_SETCC] = 1,       [ZYDIS_CATEGORY_SHA] = 1,
    [ZYDIS_CATEGORY_SHIFT] = 1,       [ZYDIS_CATEGORY_SSE] = 1,
    [ZYDIS_CATEGORY_STTNI] = 1,       [ZYDIS_CATEGORY_VAES] = 1,
    [ZYDIS_CATEGORY_VBMI2] = 1,       [ZYDIS_CATEGORY_VEX] = 1,
    [ZYDIS_CATEGORY_VFMA] = 1,        [ZYDIS_CATEGORY_VPCLMULQDQ] = 1,
    [ZYDIS_CATEGORY_WIDENOP] = 1,
};

/* The same by name: what is harmless, or not, unlike others of its category. */
static bool is_allowed(const ZydisDecodedInstruction *insn)
{
    if (insn->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
        return false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_PAUSE:
        return true;
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
        return false;
    default:
        return allowed[insn->meta.category];
    }
}

/* ---- Operands ---- */

static unsigned general(ZydisRegister reg)
{
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    return ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64
               ? (unsigned)ZydisRegisterGetId(whole) & 15u
               : NONE;
}

static uint32_t bit(unsigned reg)
{
    return reg == NONE ? 0 : 1u << reg;
}

static void read_memory(struct line *line, const ZydisDecodedOperand *o)
{
    const ZydisDecodedOperandMem *m = &o->mem;
    if (line->memory.present || m->type == ZYDIS_MEMOP_TYPE_VSIB ||
        m->type == ZYDIS_MEMOP_TYPE_MIB || m->segment == ZYDIS_REGISTER_FS ||
        (m->base != ZYDIS_REGISTER_NONE && general(m->base) == NONE))
        line->refused = "memory of a kind that is not for emitted code";
    line->memory.present = true;
    line->memory.address_only = m->type == ZYDIS_MEMOP_TYPE_AGEN;
    line->memory.gs = m->segment == ZYDIS_REGISTER_GS;
    line->memory.read = o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    line->memory.write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    line->memory.base = (uint16_t)general(m->base);
    line->memory.index = (uint16_t)general(m->index);
    line->memory.displacement = m->disp.value;
    line->memory.size = o->size / 8u;
    line->reads |= bit(line->memory.base) | bit(line->memory.index);
}

static void read_register(struct line *line, const ZydisDecodedOperand *o)
{
    ZydisRegister reg = o->reg.value;
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM:
        line->faults = true;
        return;
    case ZYDIS_REGCLASS_MASK:
    case ZYDIS_REGCLASS_FLAGS:
    case ZYDIS_REGCLASS_IP:
        return;
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
            line->reads |= bit(general(reg));
        if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            line->writes |= bit(general(reg));
        return;
    default:
        if (reg != ZYDIS_REGISTER_MXCSR)
            line->refused = "a register that is not the guest's";
    }
}

static void read_operands(struct line *line, const ZydisDecodedInstruction *insn,
                          const ZydisDecodedOperand *operand)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const ZydisDecodedOperand *o = &operand[i];
        uint8_t kind = OPERAND_OTHER, reg = 0;
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            read_memory(line, o);
            kind = OPERAND_MEMORY;
        } else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
            read_register(line, o);
            if (general(o->reg.value) != NONE) {
                kind = OPERAND_REGISTER;
                reg = (uint8_t)general(o->reg.value);
            }
        } else if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            kind = OPERAND_IMMEDIATE;
            line->immediate = o->imm.is_signed ? (uint64_t)o->imm.value.s : o->imm.value.u;
        }
        if (i < 2 && i < insn->operand_count_visible) {
            line->operand[i].kind = kind;
            line->operand[i].reg = reg;
            line->operand[i].width = (uint8_t)(o->size / 8u);
            line->operand[i].low =
                kind == OPERAND_REGISTER &&
                !(o->reg.value >= ZYDIS_REGISTER_AH && o->reg.value <= ZYDIS_REGISTER_BH);
        }
    }
}

/* ---- Flags ---- */

/* A shift by an immediate that is not 0 replaces all flags; any other count may leave them. */
static bool shifts_surely(const struct line *line)
{
    unsigned mask = line->operand[0].width == 8 ? 63 : 31;
    return line->operand[1].kind == OPERAND_IMMEDIATE && (line->immediate & mask) != 0;
}

/* Undefined flags may stay as they were, except where all processors agree. */
static void read_flags(struct line *line, const ZydisDecodedInstruction *insn)
{
    if (insn->cpu_flags == NULL)
        return;
    uint32_t sure = insn->cpu_flags->modified | insn->cpu_flags->set_0 | insn->cpu_flags->set_1;
    uint32_t undefined = insn->cpu_flags->undefined, agreed = ZYDIS_CPUFLAG_AF;
    bool kept = false;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
        agreed |= ZYDIS_CPUFLAG_OF;
        kept = !shifts_surely(line);
        break;
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
        kept = true;
        break;
    case ZYDIS_MNEMONIC_VPTEST: /* SDM Vol. 2: they clear the others, which Zydis does not say */
    case ZYDIS_MNEMONIC_VTESTPS:
    case ZYDIS_MNEMONIC_VTESTPD:
        sure |= ARITHMETIC;
        break;
    default:
        break;
    }
    line->flags_written = (sure | undefined) & ARITHMETIC;
    sure |= undefined & agreed;
    line->flags_needed = (insn->cpu_flags->tested & ARITHMETIC) ||
                         (line->flags_written && (kept || (sure & ARITHMETIC) != ARITHMETIC));
}

/* ---- Jumps ---- */

static void read_jump(struct line *line, const ZydisDecodedInstruction *insn)
{
    bool direct = line->operand[0].kind == OPERAND_IMMEDIATE;
    line->target = (uint32_t)(line->at + line->length + line->immediate);
    if (insn->meta.category == ZYDIS_CATEGORY_COND_BR)
        line->jump = insn->mnemonic == ZYDIS_MNEMONIC_JRCXZ ? JUMP_IF_COUNT : JUMP_IF;
    else
        line->jump = direct ? JUMP_ALWAYS : JUMP_INDIRECT;
    /* LOOP writes RCX, JECXZ has a prefix; others may mean something else on another host. */
    if (insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || insn->operand_width != 64 ||
        (direct && insn->raw.prefix_count) || (line->writes & bit(R_RCX)) ||
        (!direct && line->jump != JUMP_INDIRECT))
        line->refused = "a jump of a kind that is not for emitted code";
}

/* ---- The block ---- */

static bool read_line(struct line *line, const ZydisDecoder *decoder, const uint8_t *code,
                      uint32_t room)
{
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code, room, &insn, operand)))
        return false;
    line->length = insn.length;
    line->mnemonic = (uint16_t)insn.mnemonic;
    line->memory.base = line->memory.index = NONE;
    read_operands(line, &insn, operand);
    line->faults |= insn.mnemonic == ZYDIS_MNEMONIC_DIV || insn.mnemonic == ZYDIS_MNEMONIC_IDIV;
    read_flags(line, &insn);
    if (insn.meta.category == ZYDIS_CATEGORY_COND_BR ||
        insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
        read_jump(line, &insn);
    else if (!is_allowed(&insn))
        line->refused = "an instruction that has no business here";
    if (line->memory.present && insn.address_width != 64)
        line->refused = "an address that is not of 64 bits";
    return true;
}

/* Which guest instruction each line belongs to. */
static bool place_records(struct reading *r)
{
    const struct soft_block *block = r->block;
    for (unsigned i = 0; i < block->count; i++) {
        const struct soft_insn *record = &r->record[i];
        unsigned line = record->host < block->code_size ? r->line_at[record->host] : NONE;
        if (line == NONE || record->saved > 1 || (i == 0) != (record->guest == 0) ||
            (i && (record->guest <= record[-1].guest || record->host < record[-1].host)) ||
            (block->rip & 4095) + record->guest >= 4096)
            return refuse(r, "a record that makes no sense");
        if (!r->line[line].record_start)
            r->line[line].record_first = (uint16_t)i;
        r->line[line].record_start = true;
        r->line[line].record = (uint16_t)i;
    }
    unsigned current = NONE;
    for (unsigned i = 0; i < r->count; i++) {
        struct line *line = &r->line[i];
        if (line->record_start)
            current = line->record;
        line->record = (uint16_t)current;
        if (current == block->count - 1u &&
            (line->jump == JUMP_ALWAYS || line->jump == JUMP_INDIRECT))
            current = NONE; /* tails follow */
    }
    return true;
}

bool read_lines(struct reading *r)
{
    static ZydisDecoder decoder;
    static bool ready;
    uint32_t size = r->block->code_size;
    if (!ready)
        ready = ZYAN_SUCCESS(
            ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
    memset(r->line_at, 0xff, size * sizeof(r->line_at[0]));
    r->count = 0;
    for (uint32_t at = 0; at < size;) {
        if (r->count == LINES)
            return refuse(r, "too long to read");
        struct line *line = &r->line[r->count];
        memset(line, 0, sizeof(*line));
        line->at = r->block->code + at;
        if (!read_line(line, &decoder, r->code + at, size - at))
            return refuse(r, "not an instruction");
        r->line_at[at] = (uint16_t)r->count++;
        at += line->length;
    }
    return place_records(r);
}
