/* SPDX-License-Identifier: MIT */
/*
 * native.c - one innocuous instruction, carried out by its stub.
 *
 * The memory operand's address goes through segmentation and paging here; the stub gets a pointer
 * to the very bytes in guest memory. Where there is no such pointer (MMIO, two pages that are not
 * neighbours on the host) or not all of the operand may be touched (masked vector forms), the stub
 * works on a bounce buffer instead, which keeps the address modulo 64.
 */
#include "stub.h"
#include "../interpreter/extendedstate.h"
#include "../interpreter/interpreter.h"
#include "../interpreter/masked.h"
#include "../support.h"

/* Register `number` gets `value` while the stub runs. On return the guest's own value is back,
 * unless the instruction wrote it itself, which the choice of scratch register excludes. */
static int run_with(struct vcpu *vcpu, struct stub_entry *entry, unsigned number, uint64_t value)
{
    uint64_t saved = vcpu->r.gpr[number];
    vcpu->r.gpr[number] = value;
    int status = stub_run(vcpu, entry);
    vcpu->r.gpr[number] = saved;
    return status;
}

/* BTx m, r adds to the address itself what the register says beyond one operand. */
static uint64_t bit_string_displacement(const struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->operand_size;
    int64_t bits = (int64_t)(vcpu->r.gpr[insn->reg & 15] << (64 - size * 8)) >> (64 - size * 8);
    return (uint64_t)((bits >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * (int64_t)size);
}

static uint64_t stub_pointer(const struct vcpu *vcpu, const struct instruction *insn,
                             const uint8_t *host)
{
    uint64_t pointer = (uint64_t)(uintptr_t)host;
    if (insn->row->memory == MEMORY_BIT_STRING)
        pointer -= bit_string_displacement(vcpu, insn);
    return pointer;
}

static uint8_t *bounce_at(struct stub_cache *cache, unsigned which, uint64_t linear)
{
    return cache->bounce[which] + (linear & 63);
}

static bool is_x87(const struct instruction *insn)
{
    return insn->row->state == STATE_X87 || insn->row->state == STATE_X87_NOWAIT;
}

static bool crosses_page(uint64_t linear, unsigned size)
{
    return (linear & 4095) + size > 4096;
}

/* Masked forms: only enabled elements are read, written, or may fault. */
static int run_masked(struct vcpu *vcpu, struct stub_entry *entry, uint64_t linear)
{
    const struct instruction *insn = &entry->insn;
    uint8_t *bounce = bounce_at(vcpu->stubs, 0, linear);
    int status;
    memset(bounce, 0, 64);
    if (entry->access & ACCESS_WRITE) { /* before the stub changes anything: MXCSR flags, say */
        status = masked_operand_probe(vcpu, insn);
        if (status)
            return status;
    }
    if (entry->access & ACCESS_READ) {
        status = masked_operand_read(vcpu, insn, bounce);
        if (status)
            return status;
    }
    status = run_with(vcpu, entry, entry->scratch, (uint64_t)(uintptr_t)bounce);
    if (status == 0 && (entry->access & ACCESS_WRITE))
        status = masked_operand_write(vcpu, insn, bounce);
    return status;
}

/* Stores of enabled elements whose whole operand is checked all the same: MASKMOVQ, VEXTRACTI64X2
 * ... */
static bool writes_in_part(const struct instruction *insn, unsigned access)
{
    return insn->row->memory == MEMORY_RDI ||
           (insn->encoding == ENCODING_EVEX && insn->evex_mask && (access & ACCESS_WRITE));
}

static int run_bounced(struct vcpu *vcpu, struct stub_entry *entry, uint64_t linear, unsigned size)
{
    uint8_t *bounce = bounce_at(vcpu->stubs, 0, linear);
    int status = 0;
    vcpu->statistics.native_bounced++;
    if (entry->access & ACCESS_WRITE)
        status = linear_probe(vcpu, linear, size, entry->access);
    if (status)
        return status;
    if (writes_in_part(&entry->insn, entry->access))
        return run_masked(vcpu, entry, linear);
    /* An x87 store writes nothing when it raises an unmasked exception. */
    if ((entry->access & ACCESS_READ) || (is_x87(&entry->insn) && crosses_page(linear, size))) {
        status = access_settle(vcpu, linear_read(vcpu, linear, bounce, size, entry->access));
        if (status)
            return status;
    }
    status = run_with(vcpu, entry, entry->scratch, stub_pointer(vcpu, &entry->insn, bounce));
    if (status == 0 && (entry->access & ACCESS_WRITE))
        status = access_settle(vcpu, linear_write(vcpu, linear, bounce, size, entry->access));
    return status;
}

/* What may be locked must stay one access: two pages that are neighbours on the host too, as those
 * of a memory slot are when their frames follow one another, need no bounce buffer. */
static uint8_t *neighbours(struct vcpu *vcpu, const struct stub_entry *entry, uint64_t linear,
                           unsigned size)
{
    struct translation first, second;
    uint64_t next = (linear | 4095) + 1;
    if (!(entry->insn.row->flags & ROW_LOCKABLE) || (!vcpu->long_code && next > 0xffffffffu) ||
        linear_probe(vcpu, linear, size, entry->access) ||
        linear_translate(vcpu, linear, entry->access, &first) ||
        linear_translate(vcpu, next, entry->access, &second))
        return NULL; /* a fault is found again by run_bounced() */
    return first.host && second.host == first.host + (next - linear) ? first.host : NULL;
}

/* The stub on `size` bytes at `linear`, whose segment and alignment checks are done. */
static int run_at(struct vcpu *vcpu, struct stub_entry *entry, uint64_t linear, unsigned size)
{
    struct translation page;
    int status = 0;
    if (crosses_page(linear, size))
        page.host = neighbours(vcpu, entry, linear, size);
    else
        status = linear_translate(vcpu, linear, entry->access, &page);
    if (status)
        return status;
    if (page.host == NULL)
        status = run_bounced(vcpu, entry, linear, size);
    else
        status = run_with(vcpu, entry, entry->scratch, stub_pointer(vcpu, &entry->insn, page.host));
    if (vcpu->data_breakpoints && status == 0)
        access_watch(vcpu, linear, size, entry->access & ACCESS_WRITE);
    return status;
}

/* May masked-off elements not fault? MASKMOVQ and MASKMOVDQU check their whole operand: the manuals
 * allow it, AMD's processors do it. */
static bool suppresses_faults(const struct instruction *insn)
{
    if (!(insn->row->flags & ROW_MASKED) || insn->row->memory == MEMORY_RDI)
        return false;
    return insn->encoding != ENCODING_EVEX || insn->evex_mask != 0;
}

/* Where the operand lies when nothing is wrong with it: alignment is looked at before the rest. */
static uint64_t linear_unchecked(const struct vcpu *vcpu, const struct instruction *insn,
                                 uint64_t offset)
{
    const struct segment_register *segment = &vcpu->r.segment[insn->segment];
    if (!vcpu->long_code)
        return (uint32_t)(segment->base + offset);
    return insn->segment == SEGMENT_FS || insn->segment == SEGMENT_GS ? segment->base + offset
                                                                      : offset;
}

/* Alignment of a masked operand counts when at least one element is enabled. */
static int masked_alignment(struct vcpu *vcpu, const struct instruction *insn, uint64_t linear)
{
    if (!(insn->row->flags & ROW_ALIGNED) || !(linear & (insn->memory_size - 1u)))
        return 0;
    return masked_operand_bytes(vcpu, insn) ? fault_gp(vcpu) : 0;
}

/* Element-wise, unless the whole operand is plainly there. */
static int run_suppressing(struct vcpu *vcpu, struct stub_entry *entry, uint64_t offset)
{
    const struct instruction *insn = &entry->insn;
    unsigned size = insn->memory_size, access = entry->access | ACCESS_NO_ALIGN_CHECK;
    uint64_t linear = linear_unchecked(vcpu, insn, offset);
    struct translation page;
    int status = masked_alignment(vcpu, insn, linear);
    if (status)
        return status;
    if (segment_linear(vcpu, insn->segment, offset, size, access, &linear) ||
        crosses_page(linear, size) || vcpu->data_breakpoints || vcpu->r.rflags & FLAG_AC ||
        linear_translate(vcpu, linear, access, &page) || page.host == NULL)
        return run_masked(vcpu, entry, linear);
    return run_with(vcpu, entry, entry->scratch, (uint64_t)(uintptr_t)page.host);
}

/* An 80-bit operand, and MASKMOVDQU's, is accessed as eight bytes and then the rest. One that a
 * check has refused as a whole: whose fault is it? */
static int run_faulting(struct vcpu *vcpu, const struct instruction *insn, uint64_t offset,
                        unsigned access)
{
    struct fault fault = vcpu->fault;
    uint64_t linear;
    int status = segment_linear(vcpu, insn->segment, offset, 8, access, &linear);
    if (status == 0)
        status = linear_probe(vcpu, linear, 8, access);
    if (status)
        return status;
    vcpu->fault = fault;
    return -EFAULT;
}

static int run_memory(struct vcpu *vcpu, struct stub_entry *entry, uint64_t offset)
{
    const struct instruction *insn = &entry->insn;
    unsigned size = insn->memory_size, access = entry->access;
    uint64_t linear;
    int status;
    if (insn->row->memory == MEMORY_RDI)
        access |= ACCESS_NO_ALIGN_CHECK; /* 16 bytes ask for 8 only */
    if (suppresses_faults(insn))
        return run_suppressing(vcpu, entry, offset);
    if (insn->row->flags & (ROW_ALIGNED | ROW_EXPLICIT_16)) {
        unsigned alignment = insn->row->flags & ROW_ALIGNED ? size : 16;
        if (linear_unchecked(vcpu, insn, offset) & (alignment - 1u))
            return fault_gp(vcpu);
    }
    status = segment_linear(vcpu, insn->segment, offset, size, access, &linear);
    if (status == 0 && insn->row->memory == MEMORY_RDI)
        status = alignment_check(vcpu, linear, 8);
    if (status && (size == 10 || insn->row->memory == MEMORY_RDI))
        return run_faulting(vcpu, insn, offset, entry->access);
    return status ? status : run_at(vcpu, entry, linear, size);
}

/* PUSH and POP of a register or constant: a plain move at the stack, then rSP moves. */
static int run_stack(struct vcpu *vcpu, struct stub_entry *entry)
{
    unsigned size = entry->insn.operand_size;
    bool push = entry->insn.row->memory == MEMORY_PUSH;
    uint64_t offset = (vcpu->r.gpr[REGISTER_RSP] - (push ? size : 0)) & bits_mask(vcpu->stack_size);
    uint64_t linear;
    int status = segment_linear(vcpu, SEGMENT_SS, offset, size, entry->access, &linear);
    if (status)
        return status;
    status = run_at(vcpu, entry, linear, size);
    if (status == 0)
        stack_adjust(vcpu, push ? -(int64_t)size : (int64_t)size);
    return status;
}

/* The x87 pointers the guest sees are those of its own instruction (SDM Vol. 1, 8.1.8). */
static void x87_note_operation(struct vcpu *vcpu, const struct instruction *insn, uint64_t offset)
{
    struct vcpu_registers *r = &vcpu->r;
    if (insn->opcode == 0xdb && insn->modrm == 0xe3) { /* FNINIT */
        r->fip = r->fdp = 0;
        r->fop = r->fcs = r->fds = 0;
        return;
    }
    if (!(insn->row->flags & ROW_X87_OPERATION))
        return;
    r->fip = r->rip;
    r->fcs = r->segment[SEGMENT_CS].selector;
    r->fop = (uint16_t)((insn->opcode & 7u) << 8 | insn->modrm);
    if (insn->has_memory) {
        r->fdp = offset;
        r->fds = r->segment[insn->segment].selector;
    }
}

static bool waits_for_x87(const struct instruction *insn)
{
    /* CVTPI2PS and CVTPI2PD do not touch MMX registers when the operand is in memory. */
    return insn->row->state == STATE_X87 || insn->row->state == STATE_MMX ||
           (insn->row->state == STATE_SSE_MMX && insn->opcode != 0x2a);
}

int step_native(struct vcpu *vcpu, struct stub_entry *entry)
{
    const struct instruction *insn = &entry->insn;
    uint64_t offset = 0;
    int status;
    if (insn->row->memory == MEMORY_STRING)
        return step_string(vcpu, entry);
    if (insn->row->memory == MEMORY_PUSH || insn->row->memory == MEMORY_POP)
        return run_stack(vcpu, entry);
    if (!insn->has_memory) {
        status = stub_run(vcpu, entry);
    } else if (insn->row->memory == MEMORY_ADDRESS_ONLY) {
        return run_with(vcpu, entry, entry->scratch, operand_offset(vcpu, insn));
    } else {
        offset = operand_offset(vcpu, insn);
        status = run_memory(vcpu, entry, offset);
        if (status == -EFAULT && waits_for_x87(insn) && extended_x87_pending(vcpu))
            return fault_raise(vcpu, EXCEPTION_MF); /* seen before the operand is */
    }
    if (status == 0 && is_x87(insn))
        x87_note_operation(vcpu, insn, offset);
    return status;
}
