/* SPDX-License-Identifier: MIT */
/*
 * verifier.c - an independent reading of emitted code. What it accepts:
 *
 *   - memory: GS-relative inside the context block (written only at its mailbox fields), or
 * [scratch] right after the whole look-up sequence has left a checked address of that size and
 * direction there;
 *   - jumps: to an instruction of the same block, to another block's entry, to the common exit or
 * to a dispatch; none into a look-up sequence; no indirect jump, call or return;
 *   - nothing that uses the stack, a segment register, a system register, or enters the host's
 * kernel.
 */
#include <stdio.h>
#include <string.h>
#include <Zydis/Zydis.h>
#include "support.h"
#include "verifier.h"

#define LINES  4096u
#define RANGES 256u

struct line {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    uint32_t at; /* in the code area */
};

struct reading {
    const struct translator *t;
    const struct soft_block *block;
    ZydisDecoder decoder;
    unsigned count;
    struct line line[LINES];
    bool is_start[65536];
    uint32_t label[LINES];
    unsigned label_count;
    /* From a look-up's first instruction to the last use of its result: to be entered at the top
     * only. */
    struct {
        uint32_t begin, end, inside;
    } range[RANGES];
    unsigned range_count;
    /* The address checked last. */
    ZydisRegister checked;
    unsigned checked_size;
    bool checked_write;
};

static uint64_t blocks_read;
static bool failed;
static struct reading reading;

uint64_t verifier_blocks(void)
{
    return blocks_read;
}

bool verifier_failed(void)
{
    return failed;
}

static bool refuse(const struct reading *r, const struct line *line, const char *why)
{
    ZydisDisassembledInstruction text;
    const uint8_t *code = r->t->write_view + line->at;
    failed = true;
    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64,
                                            (uint64_t)(uintptr_t)r->t->code + line->at, code, 15,
                                            &text)))
        text.text[0] = 0;
    printf("verifier: %s: block at guest %#llx, host offset %#x: %s\n", why,
           (unsigned long long)r->block->rip, line->at - r->block->code, text.text);
    return false;
}

/* ---- Operands ---- */

static bool is_context(const ZydisDecodedOperand *o, size_t offset)
{
    return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.segment == ZYDIS_REGISTER_GS &&
           o->mem.base == ZYDIS_REGISTER_NONE && o->mem.index == ZYDIS_REGISTER_NONE &&
           (uint64_t)o->mem.disp.value == offset && o->size == 64;
}

static bool is_table(const ZydisDecodedOperand *o, ZydisRegister index, size_t offset)
{
    return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.segment == ZYDIS_REGISTER_GS &&
           o->mem.base == ZYDIS_REGISTER_NONE && o->mem.index == index && o->mem.scale == 8 &&
           (uint64_t)o->mem.disp.value == offset && o->size == 64;
}

static bool is_register(const ZydisDecodedOperand *o, ZydisRegister name)
{
    return o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg.value == name;
}

/* lea name, [base + index + displacement] */
static bool is_sum(const struct line *line, ZydisRegister name, ZydisRegister base,
                   ZydisRegister index)
{
    const ZydisDecodedOperand *o = line->operand;
    return line->insn.mnemonic == ZYDIS_MNEMONIC_LEA && is_register(&o[0], name) &&
           o[1].mem.base == base && o[1].mem.index == index &&
           (index == ZYDIS_REGISTER_NONE || o[1].mem.scale == 1);
}

static bool is_load(const struct line *line, ZydisRegister name)
{
    return line->insn.mnemonic == ZYDIS_MNEMONIC_MOV && is_register(&line->operand[0], name) &&
           line->operand[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

static size_t table(const struct reading *r, size_t member)
{
    return offsetof(struct soft_context, tables) +
           (r->block->mode & MODE_VIEW) * sizeof(struct soft_tables) + member;
}

/* ---- Jumps ---- */

static bool is_jump(const ZydisDecodedInstruction *insn)
{
    return insn->meta.category == ZYDIS_CATEGORY_COND_BR ||
           insn->meta.category == ZYDIS_CATEGORY_UNCOND_BR;
}

static bool is_entry(const struct translator *t, uint32_t at)
{
    for (uint32_t low = 1, high = t->block_count; low <= high;) {
        uint32_t middle = low + (high - low) / 2;
        if (t->block[middle].code == at)
            return true;
        if (t->block[middle].code < at)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return false;
}

static bool read_jump(struct reading *r, const struct line *line)
{
    const ZydisDecodedOperand *o = &line->operand[0];
    r->checked = ZYDIS_REGISTER_NONE;
    if (o->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return refuse(r, line, "an indirect jump");
    uint32_t to = (uint32_t)(line->at + line->insn.length + (uint64_t)o->imm.value.s);
    if (to - r->block->code < r->block->code_size) {
        if (r->label_count < LINES)
            r->label[r->label_count++] = to;
        return true;
    }
    return to == r->t->exit || to == r->t->dispatch[r->block->mode & MODE_VIEW] ||
           is_entry(r->t, to) || refuse(r, line, "a jump to nowhere");
}

/* ---- The look-up sequence ---- */

/* pext t, s, [mask_index]; mov [rcx], rcx; mov rcx, [table + t * 8]; lea s, [s + rcx];
 * lea rcx, [s + size - 1]; pext rcx, rcx, [mask_page]; jrcxz over; jmp slow; over: mov rcx, [rcx];
 * mov t, [host + t * 8]; lea s, [s + t] */
static bool read_lookup(struct reading *r, unsigned *i)
{
    const struct line *l = &r->line[*i];
    if (*i + 11 > r->count || l[0].insn.mnemonic != ZYDIS_MNEMONIC_PEXT ||
        !is_context(&l[0].operand[2], offsetof(struct soft_context, mask_index)))
        return true;
    ZydisRegister t = l[0].operand[0].reg.value, s = l[0].operand[1].reg.value;
    const ZydisRegister rcx = ZYDIS_REGISTER_RCX;
    bool write = is_table(&l[2].operand[1], t, table(r, offsetof(struct soft_tables, write)));
    bool good = (s == ZYDIS_REGISTER_R10 && t == ZYDIS_REGISTER_R11) ||
                (s == ZYDIS_REGISTER_R11 && t == ZYDIS_REGISTER_R10);
    good = good && l[1].insn.mnemonic == ZYDIS_MNEMONIC_MOV && is_register(&l[1].operand[1], rcx) &&
           is_context(&l[1].operand[0], offsetof(struct soft_context, rcx));
    good = good && is_load(&l[2], rcx) &&
           (write || is_table(&l[2].operand[1], t, table(r, offsetof(struct soft_tables, read))));
    good = good && is_sum(&l[3], s, s, rcx) && l[3].operand[1].mem.disp.value == 0;
    good = good && is_sum(&l[4], rcx, s, ZYDIS_REGISTER_NONE);
    good = good && l[5].insn.mnemonic == ZYDIS_MNEMONIC_PEXT &&
           is_register(&l[5].operand[0], rcx) && is_register(&l[5].operand[1], rcx) &&
           is_context(&l[5].operand[2], offsetof(struct soft_context, mask_page));
    good = good && l[6].insn.mnemonic == ZYDIS_MNEMONIC_JRCXZ &&
           l[6].at + l[6].insn.length + (uint64_t)l[6].operand[0].imm.value.s == l[8].at;
    good = good && l[7].insn.mnemonic == ZYDIS_MNEMONIC_JMP;
    good = good && is_load(&l[8], rcx) &&
           is_context(&l[8].operand[1], offsetof(struct soft_context, rcx));
    good = good && is_load(&l[9], t) &&
           is_table(&l[9].operand[1], t, table(r, offsetof(struct soft_tables, host)));
    good = good && is_sum(&l[10], s, s, t) && l[10].operand[1].mem.disp.value == 0;
    int64_t last = l[4].operand[1].mem.disp.value;
    if (!good || last < 0 || last > 63)
        return refuse(r, l, "an incomplete look-up");
    if (r->range_count == RANGES)
        return refuse(r, l, "too many look-ups to follow");
    if (!read_jump(r, &l[7])) /* to the slow path */
        return false;
    r->checked = s;
    r->checked_size = (unsigned)last + 1;
    r->checked_write = write;
    r->range[r->range_count].begin = l[0].at;
    r->range[r->range_count].inside = l[8].at;
    r->range[r->range_count++].end = l[10].at;
    *i += 11;
    return true;
}

/* ---- One instruction ---- */

static bool may_write_context(uint64_t offset)
{
    static const size_t mailbox[] = {
        offsetof(struct soft_context, resume),       offsetof(struct soft_context, rcx),
        offsetof(struct soft_context, r10),          offsetof(struct soft_context, r11),
        offsetof(struct soft_context, left),         offsetof(struct soft_context, reason),
        offsetof(struct soft_context, exit_rip),     offsetof(struct soft_context, chain_site),
        offsetof(struct soft_context, slow_address), offsetof(struct soft_context, info),
    };
    for (unsigned i = 0; i < ARRAY_SIZE(mailbox); i++) {
        if (offset == mailbox[i])
            return true;
    }
    return false;
}

static bool read_memory(struct reading *r, const struct line *line, const ZydisDecodedOperand *o)
{
    bool write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    uint64_t at = (uint64_t)o->mem.disp.value, size = o->size / 8;
    if (o->mem.type == ZYDIS_MEMOP_TYPE_AGEN) {
        if (o->mem.base == ZYDIS_REGISTER_RIP && r->label_count < LINES)
            r->label[r->label_count++] = (uint32_t)(line->at + line->insn.length + at);
        return true;
    }
    if (o->mem.segment == ZYDIS_REGISTER_FS)
        return refuse(r, line, "memory through FS");
    if (o->mem.segment == ZYDIS_REGISTER_GS) {
        if (o->mem.base != ZYDIS_REGISTER_NONE || o->mem.index != ZYDIS_REGISTER_NONE)
            return refuse(r, line, "a computed place in the context block");
        if (size != 8 || at > offsetof(struct soft_context, tables) - 8)
            return refuse(r, line, "outside the context block");
        return !write || may_write_context(at) || refuse(r, line, "a write to protected context");
    }
    if (r->checked == ZYDIS_REGISTER_NONE || o->mem.base != r->checked ||
        o->mem.index != ZYDIS_REGISTER_NONE || at != 0)
        return refuse(r, line, "memory at an address that was not looked up");
    if (size == 0 || size > r->checked_size)
        return refuse(r, line, "more memory than was looked up");
    if (write && !r->checked_write)
        return refuse(r, line, "a write where a read was looked up");
    r->range[r->range_count - 1].end = line->at;
    return true;
}

static bool is_forbidden(const ZydisDecodedInstruction *insn)
{
    switch (insn->meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_RDWRFSGS:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
    case ZYDIS_CATEGORY_VTX:
    case ZYDIS_CATEGORY_SGX:
    case ZYDIS_CATEGORY_CET:
    case ZYDIS_CATEGORY_PKU:
    case ZYDIS_CATEGORY_SMAP:
    case ZYDIS_CATEGORY_X87_ALU:
    case ZYDIS_CATEGORY_GATHER:
    case ZYDIS_CATEGORY_SCATTER:
    case ZYDIS_CATEGORY_RDRAND:
    case ZYDIS_CATEGORY_RDSEED:
        return true;
    default:
        break;
    }
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_XGETBV:
    case ZYDIS_MNEMONIC_RDPID:
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_XABORT:
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_LEAVE:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_XLAT:
        return true;
    default:
        return false;
    }
}

static bool is_system_register(const ZydisDecodedOperand *o)
{
    if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    switch (ZydisRegisterGetClass(o->reg.value)) {
    case ZYDIS_REGCLASS_SEGMENT:
    case ZYDIS_REGCLASS_CONTROL:
    case ZYDIS_REGCLASS_DEBUG:
    case ZYDIS_REGCLASS_TABLE:
    case ZYDIS_REGCLASS_TEST:
    case ZYDIS_REGCLASS_BOUND:
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
        return true;
    default:
        return false;
    }
}

static bool read_line(struct reading *r, const struct line *line)
{
    if (is_forbidden(&line->insn))
        return refuse(r, line, "an instruction that has no business here");
    if (is_jump(&line->insn))
        return read_jump(r, line);
    bool lost = false;
    for (unsigned i = 0; i < line->insn.operand_count; i++) {
        const ZydisDecodedOperand *o = &line->operand[i];
        if (is_system_register(o))
            return refuse(r, line, "a register that is not the guest's");
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && !read_memory(r, line, o))
            return false;
        lost |= o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
                (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
                r->checked ==
                    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, o->reg.value);
    }
    if (lost)
        r->checked = ZYDIS_REGISTER_NONE;
    return true;
}

/* ---- One block ---- */

static bool read_labels(const struct reading *r)
{
    for (unsigned i = 0; i < r->label_count; i++) {
        uint32_t to = r->label[i];
        struct line at = { .at = to };
        if (to - r->block->code >= r->block->code_size || !r->is_start[to - r->block->code])
            return refuse(r, &at, "a jump between instructions");
        for (unsigned n = 0; n < r->range_count; n++) {
            if (to > r->range[n].begin && to <= r->range[n].end && to != r->range[n].inside)
                return refuse(r, &at, "a jump into a look-up");
        }
    }
    return true;
}

static bool read_block(struct reading *r)
{
    uint32_t end = r->block->code + r->block->code_size;
    for (uint32_t at = r->block->code; at < end; r->count++) {
        struct line *line = &r->line[r->count];
        line->at = at;
        if (r->count + 1 == LINES ||
            !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&r->decoder, r->t->write_view + at, end - at,
                                                 &line->insn, line->operand)))
            return refuse(r, line, "not an instruction");
        r->is_start[at - r->block->code] = true;
        at += line->insn.length;
    }
    if (r->count == 0 || r->line[r->count - 1].insn.mnemonic != ZYDIS_MNEMONIC_JMP)
        return refuse(r, &r->line[r->count ? r->count - 1 : 0], "a block that falls off its end");
    for (unsigned i = 0; i < r->count;) {
        unsigned before = i;
        if (!read_lookup(r, &i) || (i == before && !read_line(r, &r->line[i++])))
            return false;
    }
    return read_labels(r);
}

bool verifier_block(const struct translator *t, const struct soft_block *block)
{
    struct reading *r = &reading;
    if (r->decoder.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 || r->decoder.stack_width == 0)
        ZydisDecoderInit(&r->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    r->t = t;
    r->block = block;
    r->count = r->label_count = r->range_count = 0;
    r->checked = ZYDIS_REGISTER_NONE;
    memset(r->is_start, 0, block->code_size);
    blocks_read++;
    return read_block(r);
}

bool verifier_all(const struct translator *t)
{
    for (uint32_t i = 1; i <= t->block_count; i++) {
        if (!verifier_block(t, &t->block[i]))
            return false;
    }
    return true;
}
