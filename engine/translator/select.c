/* SPDX-License-Identifier: MIT */
/*
 * select.c - which instructions are translated. What is not left to the Step tier here must be
 * carried out by native.c or jumps.c exactly as it would there.
 */
#include "block.h"
#include "../support.h"

static bool state_ready(uint32_t mode, const struct instruction *insn)
{
    switch (insn->row->state) {
    case STATE_GENERAL:
        return true;
    case STATE_SSE:
        return mode & MODE_SSE;
    case STATE_AVX:
        return mode & MODE_AVX;
    case STATE_AVX512:
    case STATE_OPMASK:
        return mode & MODE_AVX512;
    default:
        return false; /* x87 and MMX: the Step tier keeps their pointers */
    }
}

static bool feature_given(const struct vcpu *vcpu, const struct instruction *insn)
{
    if (!cpu_model_has(&vcpu->vm->model, insn->row->feature))
        return false;
    return insn->encoding != ENCODING_EVEX || insn->vector_length == 64 ||
           cpu_model_has(&vcpu->vm->model, insn->row->feature_vl);
}

/* A vector register of that number costs a needless load and store, no more. */
unsigned names_scratch(const struct instruction *insn)
{
    unsigned used = 0;
    uint8_t numbers[3] = { REGISTER_NONE, REGISTER_NONE, REGISTER_NONE };
    if (insn->has_modrm) {
        numbers[0] = insn->reg;
        if (!insn->has_memory)
            numbers[1] = insn->rm;
        if (insn->encoding != ENCODING_LEGACY)
            numbers[2] = insn->vvvv;
    } else if (insn->rex & REX_B) {
        numbers[0] = (uint8_t)((insn->opcode & 7u) | 8u);
    }
    for (unsigned i = 0; i < 3; i++) {
        used |= numbers[i] == REGISTER_R10 ? 1u : 0;
        used |= numbers[i] == REGISTER_R11 ? 2u : 0;
    }
    return used;
}

/* In 32-bit code only flat data segments are translated: FS, GS and CS have limits and types of
 * their own. Sums that wrap at 64 KiB are left to the Step tier. */
static bool segment_ready(const struct builder *b, const struct instruction *insn)
{
    return b->wide || !insn->has_memory ||
           (insn->address_size != 2 && insn->segment != SEGMENT_FS && insn->segment != SEGMENT_GS &&
            insn->segment != SEGMENT_CS);
}

static bool native_ready(const struct builder *b, const struct instruction *insn)
{
    uint8_t code[STUB_SLOT];
    if (insn->row->interpreter != INTERPRETER_NONE || !state_ready(b->mode, insn) ||
        !segment_ready(b, insn))
        return false;
    switch (insn->row->memory) {
    case MEMORY_NONE:
        break;
    case MEMORY_MODRM:
        if (insn->has_memory && (insn->memory_size == 0 || insn->memory_size > 64))
            return false;
        break;
    case MEMORY_ADDRESS_ONLY:
        break;
    case MEMORY_BIT_STRING:
        if (insn->has_memory)
            return false;
        break;
    case MEMORY_PUSH:
    case MEMORY_POP:
        return insn->operand_size == (b->wide ? 8 : 4);
    default:
        return false;
    }
    if (insn->has_memory && names_scratch(insn) == 3)
        return false; /* no scratch register would be left */
    return stub_encode_with(insn, code, S0) > 0;
}

/* 0F 0D with a register is #UD on AMD's processors. */
bool hint(const struct builder *b, const struct instruction *insn)
{
    return insn->row->interpreter == INTERPRET_prefetch &&
           (insn->opcode != 0x0d || insn->has_memory || b->vcpu->vm->model.vendor_intel);
}

/* LEAVE, PUSH and POP of RSP, and PUSH of a memory operand. */
static bool stack_ready(const struct builder *b, const struct instruction *insn)
{
    if (insn->operand_size != (b->wide ? 8 : 4))
        return false;
    return insn->row->interpreter == INTERPRET_leave ||
           insn->row->interpreter == INTERPRET_push_rsp ||
           insn->row->interpreter == INTERPRET_pop_rsp ||
           (insn->row->interpreter == INTERPRET_push_rm && insn->has_memory &&
            segment_ready(b, insn));
}

/* The target's RIP is known, and the branch does not fault. */
static bool target_ready(const struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    return !b->wide || address_canonical(b->insn_rip[index] + insn->length + insn->immediate);
}

static bool branch_ready(const struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    if (insn->operand_size == 2)
        return false;
    switch (insn->row->interpreter) {
    case INTERPRET_jcc:
    case INTERPRET_jmp_relative:
    case INTERPRET_call_relative:
        return target_ready(b, index);
    case INTERPRET_ret_near:
    case INTERPRET_jmp_indirect:
    case INTERPRET_call_indirect:
        return segment_ready(b, insn);
    default:
        return false;
    }
}

bool looks_up(const struct builder *b, const struct instruction *insn)
{
    if (hint(b, insn) || insn->row->memory == MEMORY_ADDRESS_ONLY)
        return false;
    switch (insn->row->interpreter) {
    case INTERPRET_jcc:
    case INTERPRET_jmp_relative:
        return false;
    case INTERPRET_leave:
    case INTERPRET_call_relative:
    case INTERPRET_call_indirect:
    case INTERPRET_ret_near:
        return true;
    default:
        return insn->has_memory || insn->row->memory == MEMORY_PUSH ||
               insn->row->memory == MEMORY_POP;
    }
}

/* The instruction at `offset`, which may go on in the next page. */
static int decode(const struct builder *b, const struct soft_code *code, unsigned offset,
                  struct instruction *insn)
{
    const unsigned mode = b->wide ? 64 : 32;
    unsigned available = 4096 - offset;
    uint8_t bytes[2 * INSTRUCTION_MAX_LENGTH];
    if (available >= INSTRUCTION_MAX_LENGTH)
        return instruction_decode(code->host + offset, INSTRUCTION_MAX_LENGTH, mode, insn);
    if (code->second_host == NULL)
        return instruction_decode(code->host + offset, available, mode, insn);
    memcpy(bytes, code->host + offset, available);
    memcpy(bytes + available, code->second_host, INSTRUCTION_MAX_LENGTH);
    return instruction_decode(bytes, INSTRUCTION_MAX_LENGTH, mode, insn);
}

/* Keeps an instruction for its interpreter, so that it need not be fetched again. */
static uint32_t keep_step(struct builder *b, const struct instruction *insn)
{
    struct translator *t = b->t;
    if (insn->row->interpreter == INTERPRETER_NONE || insn->row->state != STATE_GENERAL ||
        insn->encoding != ENCODING_LEGACY || t->step_count + 1 >= ARRAY_SIZE(t->step))
        return 0;
    t->step[++t->step_count] = *insn;
    return t->step_count;
}

unsigned select_block(struct builder *b, const struct soft_code *code, enum block_end *end)
{
    unsigned offset = (unsigned)(b->rip & 4095), count = 0;
    const unsigned most = code->second_host ? 1 : SOFT_INSNS;
    *end = END_PAGE;
    b->insn_rip[0] = b->rip;
    while (count < most) {
        struct instruction *insn = &b->insn[count];
        int status = offset < 4096 ? decode(b, code, offset, insn) : DECODE_TRUNCATED;
        if (status == DECODE_TRUNCATED)
            break; /* the next block begins with it */
        *end = END_STEP;
        if (status || !feature_given(b->vcpu, insn))
            break;
        if (insn->encoding != ENCODING_LEGACY && !state_ready(b->mode, insn))
            break;
        uint64_t next = b->insn_rip[count] + insn->length;
        b->insn_rip[count + 1] = b->wide ? next : (uint32_t)next;
        if (branch_ready(b, count)) {
            *end = END_BRANCH;
            return count + 1;
        }
        if (!hint(b, insn) && !native_ready(b, insn) && !stack_ready(b, insn)) {
            if (code->second_host == NULL)
                b->step = keep_step(b, insn);
            break;
        }
        offset += insn->length;
        count++;
        *end = END_PAGE;
        if (offset - (unsigned)(b->rip & 4095) > 240)
            break;
    }
    return count;
}
