/* SPDX-License-Identifier: MIT */
/*
 * translate.c - from a run of guest instructions to a block of host code.
 */
#include "emit.h"
#include "../step/stub.h"
#include "../interpreter/interpreter.h"
#include "../support.h"

#define S0 REGISTER_R11
#define T0 REGISTER_R10

struct builder {
    struct vcpu *vcpu;
    struct translator *t;
    struct cursor c;
    uint64_t rip; /* of the block */
    uint32_t mode;
    unsigned view;
    bool wide; /* 64-bit code */
    unsigned count;
    struct instruction insn[SOFT_INSNS];
    /* Slow paths, emitted after the block. */
    struct slow {
        uint32_t site; /* the rel32 of the jump to it */
        uint32_t retry;
        uint8_t insn, write, size, stack;
        uint8_t alignment; /* the operand must have these address bits clear */
        uint8_t s, t;
    } slow[SOFT_INSNS + 2];
    unsigned slow_count;
};

/* ---- What can be translated ---- */

static uint64_t insn_rip(const struct builder *b, unsigned index)
{
    uint64_t rip = b->rip;
    for (unsigned i = 0; i < index; i++)
        rip += b->insn[i].length;
    return b->wide ? rip : (uint32_t)rip;
}

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

/* Bit 0: names guest R10, bit 1: R11, as a general register operand (a vector register of that
 * number costs a needless load and store, no more). */
static unsigned names_scratch(const struct instruction *insn)
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
        if (insn->has_memory && (insn->row->flags & ROW_MASKED) &&
            (insn->encoding != ENCODING_EVEX || insn->evex_mask))
            return false;
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

/* Nothing to do, whatever its operand; but 0F 0D with a register is #UD on AMD's processors. */
static bool hint(const struct builder *b, const struct instruction *insn)
{
    return insn->row->interpreter == INTERPRET_prefetch &&
           (insn->opcode != 0x0d || insn->has_memory || b->vcpu->vm->model.vendor_intel);
}

/* The target's RIP is known, and the branch does not fault. */
static bool target_ready(const struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    return !b->wide || address_canonical(insn_rip(b, index) + insn->length + insn->immediate);
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

/* ---- Memory ---- */

static uint32_t table_offset(unsigned view, bool write)
{
    return CONTEXT(tables) + view * (uint32_t)sizeof(struct soft_tables) +
           (uint32_t)(write ? offsetof(struct soft_tables, write)
                            : offsetof(struct soft_tables, read));
}

static uint32_t host_offset(unsigned view)
{
    return CONTEXT(tables) + view * (uint32_t)sizeof(struct soft_tables) +
           (uint32_t)offsetof(struct soft_tables, host);
}

static uint32_t home(unsigned reg)
{
    return reg == REGISTER_R10 ? CONTEXT(r10) : CONTEXT(r11);
}

static bool scratch(unsigned reg)
{
    return reg == REGISTER_R10 || reg == REGISTER_R11;
}

static unsigned scale_log(unsigned scale)
{
    return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
}

/* The offset of a memory operand into `s` (linear address for memory, bare offset for LEA). */
static void emit_address(struct builder *b, unsigned index, unsigned s, unsigned t, bool linear)
{
    struct cursor *c = &b->c;
    const struct instruction *insn = &b->insn[index];
    bool wide = insn->address_size == 8;
    unsigned base = insn->base, other = NO_INDEX;
    int32_t displacement = (int32_t)insn->displacement;
    if (base == REGISTER_RIP) {
        uint64_t value = insn_rip(b, index) + insn->length + (uint64_t)insn->displacement;
        emit_constant(c, s, wide ? value : (uint32_t)value);
    } else {
        if (scratch(base)) {
            emit_load(c, s, home(base));
            base = s;
        }
        if (insn->index != REGISTER_NONE) {
            other = insn->index;
            if (scratch(other)) {
                emit_load(c, t, home(other));
                other = t;
            }
        }
        emit_lea(c, wide, s, base, other, scale_log(insn->scale ? insn->scale : 1), displacement);
    }
    if (linear && (insn->segment == SEGMENT_FS || insn->segment == SEGMENT_GS)) {
        emit_load(c, t, insn->segment == SEGMENT_FS ? CONTEXT(fs_base) : CONTEXT(gs_base));
        emit_lea(c, true, s, s, t, 0, 0);
    }
}

/* rSP + displacement into `s`. */
static void emit_stack_address(struct builder *b, unsigned s, int32_t displacement)
{
    emit_lea(&b->c, b->wide, s, REGISTER_RSP, NO_INDEX, 0, displacement);
}

/* Leaves instruction `index` to the Step tier if `reg` + displacement is not canonical. */
static void emit_canonical(struct builder *b, unsigned index, unsigned reg, int32_t displacement)
{
    struct cursor *c = &b->c;
    emit_store(c, REGISTER_RCX, CONTEXT(rcx));
    emit_lea(c, true, REGISTER_RCX, reg, NO_INDEX, 0, displacement);
    emit_pext(c, REGISTER_RCX, REGISTER_RCX, CONTEXT(mask_high));
    uint32_t low = c->at + 1;
    emit_jrcxz(c, 0);
    emit_lea(c, true, REGISTER_RCX, REGISTER_RCX, NO_INDEX, 0, -0x1ffff);
    uint32_t high = c->at + 1;
    emit_jrcxz(c, 0);
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
    emit_store_immediate(c, CONTEXT(chain_site), c->at);
    emit_store_immediate(c, CONTEXT(info), index);
    emit_store_immediate(c, CONTEXT(reason), SOFT_EXIT_UNDO);
    emit_jump(c, b->t->exit);
    if (!c->full) {
        c->base[low] = (uint8_t)(c->at - (low + 1));
        c->base[high] = (uint8_t)(c->at - (high + 1));
    }
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
}

/* A branch to a non-canonical address faults before it changes anything: T0 is looked at first. */
static void emit_canonical_target(struct builder *b, unsigned index)
{
    if (b->wide)
        emit_canonical(b, index, T0, 0);
}

/* AMD's processors look at the offset before the base of FS or GS is added. */
static bool offset_checked(const struct builder *b, const struct instruction *insn)
{
    return b->wide && insn->has_memory && !b->vcpu->vm->model.vendor_intel &&
           (insn->segment == SEGMENT_FS || insn->segment == SEGMENT_GS) &&
           insn->address_size == 8 && (insn->base != REGISTER_NONE || insn->index != REGISTER_NONE);
}

/* Where the operand lies: `stack` chooses rSP-relative forms. */
enum { STACK_NO, STACK_TOP, STACK_BELOW, STACK_RBP };

static void emit_where(struct builder *b, const struct slow *at)
{
    int32_t word = b->wide ? 8 : 4;
    if (at->stack == STACK_NO)
        emit_address(b, at->insn, at->s, at->t, true);
    else if (at->stack == STACK_RBP)
        emit_lea(&b->c, b->wide, at->s, REGISTER_RBP, NO_INDEX, 0, 0);
    else
        emit_stack_address(b, at->s, at->stack == STACK_BELOW ? -word : 0);
}

/* Leaves the host address of the operand in `s`; `t` is clobbered. No flag changes. */
static void emit_lookup(struct builder *b, struct slow at)
{
    struct cursor *c = &b->c;
    at.retry = c->at;
    if (at.stack == STACK_NO && offset_checked(b, &b->insn[at.insn])) {
        emit_address(b, at.insn, at.s, at.t, false);
        emit_canonical(b, at.insn, at.s, 0);
        emit_canonical(b, at.insn, at.s, at.size - 1);
    }
    emit_where(b, &at);
    emit_pext(c, at.t, at.s, CONTEXT(mask_index));
    emit_store(c, REGISTER_RCX, CONTEXT(rcx));
    emit_table(c, 0x8b, REGISTER_RCX, at.t, table_offset(b->view, at.write));
    emit_lea(c, true, at.s, at.s, REGISTER_RCX, 0, 0);
    emit_lea(c, true, REGISTER_RCX, at.s, NO_INDEX, 0, at.size - 1);
    emit_pext(c, REGISTER_RCX, REGISTER_RCX, CONTEXT(mask_page));
    emit_jrcxz(c, 5);
    emit8(c, 0xe9);
    at.site = c->at;
    emit32(c, 0);
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
    emit_table(c, 0x8b, at.t, at.t, host_offset(b->view));
    emit_lea(c, true, at.s, at.s, at.t, 0, 0);
    b->slow[b->slow_count++] = at;
}

static void emit_slow_paths(struct builder *b)
{
    struct cursor *c = &b->c;
    for (unsigned i = 0; i < b->slow_count && !c->full; i++) {
        const struct slow *at = &b->slow[i];
        uint32_t distance = c->at - (at->site + 4);
        memcpy(c->base + at->site, &distance, 4);
        emit_load(c, REGISTER_RCX, CONTEXT(rcx));
        emit_where(b, at);
        emit_store(c, at->s, CONTEXT(slow_address));
        emit_store_immediate(c, CONTEXT(info),
                             at->insn | (uint32_t)at->size << 8 | (uint32_t)at->write << 16 |
                                 (uint32_t)at->alignment << 24);
        /* lea t, [rip + retry] */
        emit8(c, 0x48u | (at->t >= 8 ? 4u : 0));
        emit8(c, 0x8d);
        emit8(c, ((at->t & 7u) << 3) | 5u);
        emit32(c, at->retry - (c->at + 4));
        emit_store(c, at->t, CONTEXT(resume));
        emit_store_immediate(c, CONTEXT(reason), SOFT_EXIT_SLOW);
        emit_jump(c, b->t->exit);
    }
}

/* ---- Native instructions ---- */

static void emit_code(struct builder *b, const struct instruction *insn, unsigned s)
{
    uint8_t code[STUB_SLOT];
    int length = stub_encode_with(insn, code, (uint8_t)s);
    for (int i = 0; i < length; i++)
        emit8(&b->c, code[i]);
}

static void emit_homes(struct builder *b, unsigned used, bool load)
{
    if (used & 1)
        emit_context(&b->c, load ? 0x8b : 0x89, REGISTER_R10, CONTEXT(r10));
    if (used & 2)
        emit_context(&b->c, load ? 0x8b : 0x89, REGISTER_R11, CONTEXT(r11));
}

static uint8_t alignment_of(const struct instruction *insn)
{
    if (insn->row->flags & ROW_ALIGNED)
        return (uint8_t)(insn->memory_size - 1u);
    return insn->row->flags & ROW_EXPLICIT_16 ? 15 : 0;
}

static void emit_native(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    unsigned used = names_scratch(insn);
    unsigned s = used & 2 ? REGISTER_R10 : REGISTER_R11;
    unsigned t = s == REGISTER_R10 ? REGISTER_R11 : REGISTER_R10;
    if (insn->has_memory && insn->row->memory == MEMORY_ADDRESS_ONLY) {
        if (insn->opcode != 0x8d)
            return; /* a no-operation with an address */
        emit_address(b, index, s, t, false);
        emit_homes(b, used, true);
        emit_code(b, insn, s);
        emit_homes(b, used, false);
        return;
    }
    if (insn->has_memory) {
        bool write = insn->row->direction & DIRECTION_WRITE;
        emit_lookup(b, (struct slow){ .insn = (uint8_t)index,
                                      .write = write,
                                      .size = insn->memory_size,
                                      .s = (uint8_t)s,
                                      .t = (uint8_t)t,
                                      .alignment = alignment_of(insn) });
    }
    emit_homes(b, used, true);
    emit_code(b, insn, s);
    emit_homes(b, used, false);
}

/* mov [s], reg or mov reg, [s] of the stack's word */
static void emit_word(struct builder *b, unsigned opcode, unsigned reg, unsigned s)
{
    unsigned rex = (b->wide ? 8u : 0) | (reg >= 8 ? 4u : 0) | (s >= 8 ? 1u : 0);
    emit8(&b->c, 0x40u | rex);
    emit8(&b->c, opcode);
    emit8(&b->c, ((reg & 7u) << 3) | (s & 7u));
}

static void emit_rsp(struct builder *b, int32_t delta)
{
    emit_lea(&b->c, b->wide, REGISTER_RSP, REGISTER_RSP, NO_INDEX, 0, delta);
}

static struct slow stack_operand(const struct builder *b, unsigned index, bool push)
{
    return (struct slow){ .insn = (uint8_t)index,
                          .write = push,
                          .size = b->wide ? 8 : 4,
                          .stack = push ? STACK_BELOW : STACK_TOP,
                          .s = S0,
                          .t = T0 };
}

static void emit_push_value(struct builder *b, unsigned index, uint64_t value)
{
    emit_lookup(b, stack_operand(b, index, true));
    emit_constant(&b->c, T0, value);
    emit_word(b, 0x89, T0, S0);
    emit_rsp(b, b->wide ? -8 : -4);
}

static void emit_push_pop(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    unsigned reg = (insn->opcode & 7u) | (insn->rex & REX_B ? 8u : 0);
    int32_t word = b->wide ? 8 : 4;
    if (insn->opcode == 0x68 || insn->opcode == 0x6a) {
        emit_push_value(b, index, insn->immediate);
        return;
    }
    if (insn->row->memory == MEMORY_PUSH) {
        emit_lookup(b, stack_operand(b, index, true));
        if (scratch(reg))
            emit_load(&b->c, T0, home(reg));
        emit_word(b, 0x89, scratch(reg) ? T0 : reg, S0);
        emit_rsp(b, -word);
        return;
    }
    emit_lookup(b, stack_operand(b, index, false));
    emit_word(b, 0x8b, scratch(reg) ? T0 : reg, S0);
    if (scratch(reg))
        emit_store(&b->c, T0, home(reg));
    emit_rsp(b, word);
}

/* ---- Ends of blocks ---- */

static void emit_exit_step(struct builder *b, uint64_t rip)
{
    emit_constant(&b->c, T0, rip);
    emit_store(&b->c, T0, CONTEXT(exit_rip));
    emit_store_immediate(&b->c, CONTEXT(reason), SOFT_EXIT_STEP);
    emit_jump(&b->c, b->t->exit);
}

/* A jump to a known address: within the page it is chained when it first happens. */
static void emit_goto(struct builder *b, uint64_t target)
{
    struct cursor *c = &b->c;
    if (!b->wide)
        target = (uint32_t)target;
    if (target >> 12 != b->rip >> 12) {
        emit_constant(c, T0, target);
        emit_jump(c, b->t->dispatch[b->view]);
        return;
    }
    uint32_t site = c->at + 1;
    emit8(c, 0xe9); /* falls through until patched */
    emit32(c, 0);
    emit_constant(c, T0, target);
    emit_store(c, T0, CONTEXT(exit_rip));
    emit_store_immediate(c, CONTEXT(chain_site), site);
    emit_store_immediate(c, CONTEXT(reason), SOFT_EXIT_CHAIN);
    emit_jump(c, b->t->exit);
}

static void emit_jcc(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    uint64_t next = insn_rip(b, index) + insn->length;
    struct cursor *c = &b->c;
    emit8(c, 0x0f);
    emit8(c, 0x80u | (insn->opcode & 15u));
    uint32_t site = c->at;
    emit32(c, 0);
    emit_goto(b, next);
    uint32_t distance = c->at - (site + 4);
    if (!c->full)
        memcpy(c->base + site, &distance, 4);
    emit_goto(b, next + insn->immediate);
}

/* The target of an indirect jump or call into T0. */
static void emit_target(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    if (!insn->has_memory) {
        if (scratch(insn->rm))
            emit_load(&b->c, T0, home(insn->rm));
        else
            emit_lea(&b->c, b->wide, T0, insn->rm, NO_INDEX, 0, 0);
        return;
    }
    emit_lookup(b,
                (struct slow){ .insn = (uint8_t)index, .size = b->wide ? 8 : 4, .s = S0, .t = T0 });
    emit_word(b, 0x8b, T0, S0);
}

static void emit_branch(struct builder *b, unsigned index)
{
    const struct instruction *insn = &b->insn[index];
    uint64_t next = insn_rip(b, index) + insn->length;
    switch (insn->row->interpreter) {
    case INTERPRET_jcc:
        emit_jcc(b, index);
        return;
    case INTERPRET_call_relative:
        emit_push_value(b, index, b->wide ? next : (uint32_t)next);
        emit_goto(b, next + insn->immediate);
        return;
    case INTERPRET_jmp_relative:
        emit_goto(b, next + insn->immediate);
        return;
    case INTERPRET_ret_near:
        emit_lookup(b, stack_operand(b, index, false));
        emit_word(b, 0x8b, T0, S0);
        emit_canonical_target(b, index);
        emit_rsp(b, (b->wide ? 8 : 4) +
                        (insn->opcode == 0xc2 ? (int32_t)(insn->immediate & 0xffff) : 0));
        break;
    case INTERPRET_jmp_indirect:
        emit_target(b, index);
        emit_canonical_target(b, index);
        break;
    default: /* call_indirect: the target waits in the context while the return address is pushed */
        emit_target(b, index);
        emit_canonical_target(b, index);
        emit_store(&b->c, T0, CONTEXT(exit_rip));
        emit_push_value(b, index, b->wide ? next : (uint32_t)next);
        emit_load(&b->c, T0, CONTEXT(exit_rip));
        break;
    }
    emit_jump(&b->c, b->t->dispatch[b->view]);
}

/* ---- The block ---- */

/* Counts the block's instructions before it runs; leaves if the budget is used up. */
static void emit_prologue(struct builder *b, unsigned count)
{
    struct cursor *c = &b->c;
    emit_load(c, T0, CONTEXT(left));
    emit_lea(c, true, T0, T0, NO_INDEX, 0, -(int32_t)count);
    emit_store(c, T0, CONTEXT(left));
    emit_store(c, REGISTER_RCX, CONTEXT(rcx));
    emit_pext(c, REGISTER_RCX, T0, CONTEXT(mask_sign));
    uint32_t patch = c->at + 1;
    emit_jrcxz(c, 0);
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
    emit_lea(c, true, T0, T0, NO_INDEX, 0, (int32_t)count);
    emit_store(c, T0, CONTEXT(left));
    emit_constant(c, T0, b->rip);
    emit_store(c, T0, CONTEXT(exit_rip));
    emit_store_immediate(c, CONTEXT(reason), SOFT_EXIT_BUDGET);
    emit_jump(c, b->t->exit);
    if (!c->full)
        c->base[patch] = (uint8_t)(c->at - (patch + 1));
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
}

enum block_end { END_STEP, END_BRANCH, END_PAGE };

/* Decodes up to the end of the block; how it ends in *end. */
static unsigned decode_block(struct builder *b, const uint8_t *page, enum block_end *end)
{
    unsigned offset = (unsigned)(b->rip & 4095), count = 0;
    *end = END_PAGE;
    while (count < SOFT_INSNS) {
        struct instruction *insn = &b->insn[count];
        unsigned available = 4096 - offset;
        *end = END_STEP;
        if (available > INSTRUCTION_MAX_LENGTH)
            available = INSTRUCTION_MAX_LENGTH;
        if (available == 0) {
            *end = END_PAGE;
            break;
        }
        if (instruction_decode(page + offset, available, b->wide ? 64 : 32, insn) ||
            !feature_given(b->vcpu, insn))
            break;
        if (insn->encoding != ENCODING_LEGACY && !state_ready(b->mode, insn))
            break;
        if (branch_ready(b, count)) {
            *end = END_BRANCH;
            return count + 1;
        }
        if (!hint(b, insn) && !native_ready(b, insn))
            break;
        offset += insn->length;
        count++;
        *end = END_PAGE;
        if (offset - (unsigned)(b->rip & 4095) > 240)
            break;
    }
    return count;
}

static void emit_body(struct builder *b, unsigned count, enum block_end end,
                      struct soft_insn *records, uint32_t start)
{
    for (unsigned i = 0; i < count; i++) {
        const struct instruction *insn = &b->insn[i];
        records[i].host = (uint16_t)(b->c.at - start);
        records[i].guest = (uint8_t)(insn_rip(b, i) - b->rip);
        if (end == END_BRANCH && i + 1 == count)
            emit_branch(b, i);
        else if (insn->row->memory == MEMORY_PUSH || insn->row->memory == MEMORY_POP)
            emit_push_pop(b, i);
        else if (insn->row->interpreter == INTERPRETER_NONE)
            emit_native(b, i);
    }
}

struct soft_block *translate_block(struct vcpu *vcpu, uint64_t rip, uint64_t frame,
                                   const uint8_t *host_page, uint32_t mode)
{
    struct translator *t = vcpu->translator;
    struct builder builder = { .vcpu = vcpu,
                               .t = t,
                               .rip = rip,
                               .mode = mode,
                               .view = mode & MODE_VIEW,
                               .wide = mode & MODE_WIDE };
    struct builder *b = &builder;
    enum block_end end;
    unsigned count = decode_block(b, host_page, &end);
    if (count == 0)
        return NULL;
    if (t->block_count + 1 >= SOFT_BLOCKS || t->insn_count + SOFT_INSNS > ARRAY_SIZE(t->insn) ||
        t->used + 32768 > SOFT_CODE_SIZE)
        translator_flush(vcpu);
    b->c = (struct cursor){ .base = t->write_view, .at = t->used, .limit = SOFT_CODE_SIZE };
    uint32_t start = t->used;
    emit_prologue(b, count);
    emit_body(b, count, end, &t->insn[t->insn_count], start);
    uint64_t next = insn_rip(b, count);
    if (end == END_STEP)
        emit_exit_step(b, next);
    else if (end == END_PAGE)
        emit_goto(b, next);
    emit_slow_paths(b);
    if (b->c.full)
        return NULL;
    struct soft_block *block = &t->block[++t->block_count];
    *block = (struct soft_block){ .rip = rip,
                                  .frame = frame,
                                  .mode = mode,
                                  .code = start,
                                  .code_size = b->c.at - start,
                                  .valid = 1,
                                  .insns = t->insn_count,
                                  .count = (uint16_t)count };
    t->insn_count += count;
    t->used = (b->c.at + 15u) & ~15u;
    vcpu->statistics.translated += count;
    vcpu->statistics.translated_blocks++;
    return block;
}
