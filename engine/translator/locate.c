/* SPDX-License-Identifier: MIT */
/*
 * locate.c - from the guest's mode and RIP to a block.
 */
#include "../allocator/access.h"
#include "../interpreter/interpreter.h"
#include "../support.h"
#include "translator.h"

/* ---- Mode ---- */

static bool flat(const struct segment_register *segment)
{
    return segment->base == 0 && segment->limit == 0xffffffffu && !segment->unusable;
}

/* Readable, writable, growing upwards: no access through it can fault by its segment. */
static bool flat_data(const struct segment_register *segment)
{
    return flat(segment) && (segment->rights & 0x1e) == 0x12;
}

bool translator_possible(const struct vcpu *vcpu)
{
    const struct vcpu_registers *r = &vcpu->r;
    if (vcpu->code_size == 16 || !(r->cr0 & CR0_PE) || (r->rflags & (FLAG_VM | FLAG_TF | FLAG_RF)))
        return false;
    if ((r->rflags & FLAG_AC) && (r->cr0 & CR0_AM) && r->cpl == 3)
        return false;
    if (vcpu->data_breakpoints || (r->dr[7] & 0xff) || r->interrupt_shadow || vcpu->debug_pending)
        return false;
    if (vcpu->long_code)
        return true;
    return vcpu->stack_size == 4 && flat(&r->segment[SEGMENT_CS]) &&
           flat_data(&r->segment[SEGMENT_DS]) && flat_data(&r->segment[SEGMENT_ES]) &&
           flat_data(&r->segment[SEGMENT_SS]);
}

uint32_t translator_mode(const struct vcpu *vcpu)
{
    const struct vcpu_registers *r = &vcpu->r;
    uint32_t mode = r->cpl == 3 ? SOFT_USER : r->rflags & FLAG_AC ? SOFT_KERNEL_AC : SOFT_KERNEL;
    mode |= vcpu->long_code ? MODE_WIDE : 0;
    if (r->cr0 & CR0_TS)
        return mode;
    if (!(r->cr0 & CR0_EM) && (r->cr4 & CR4_OSFXSR) && (r->cr4 & CR4_OSXMMEXCPT))
        mode |= MODE_SSE;
    if ((r->cr4 & CR4_OSXSAVE) && (r->xcr0 & 6) == 6 && (r->cr4 & CR4_OSXMMEXCPT)) {
        mode |= MODE_AVX;
        if ((r->xcr0 & XCR0_AVX512) == XCR0_AVX512)
            mode |= MODE_AVX512;
    }
    return mode;
}

/* ---- Finding the next block ---- */

/* A page of code as it is mapped now; NULL: not in RAM, or the fetch faults. */
static const uint8_t *code_page(struct vcpu *vcpu, uint64_t linear, uint64_t *frame)
{
    struct translation page;
    if (vcpu->long_code ? !address_canonical(linear) : linear >> 32)
        return NULL;
    if (linear_translate(vcpu, linear, ACCESS_FETCH, &page) ||
        page.gpa >> 12 >= vcpu->vm->memory.page_flags_count)
        return NULL;
    *frame = page.gpa;
    return page.host;
}

static uint64_t page_after(const struct vcpu *vcpu, uint64_t rip)
{
    uint64_t next = (rip & ~4095ull) + 4096;
    return vcpu->long_code ? next : (uint32_t)next;
}

/* Does the instruction at `rip` go on in the next page? Nothing is known of that page yet. */
static bool truncated(const struct vcpu *vcpu, uint64_t rip, const uint8_t *host)
{
    unsigned offset = (unsigned)(rip & 4095);
    struct instruction insn;
    return 4096 - offset < INSTRUCTION_MAX_LENGTH &&
           instruction_decode(host + offset, 4096 - offset, vcpu->long_code ? 64 : 32, &insn) ==
               DECODE_TRUNCATED;
}

/* Tells translated code that the second page of `block` is the one it was; false if it is not. */
static bool second_confirm(struct vcpu *vcpu, const struct soft_block *block, uint64_t frame)
{
    uint64_t linear = page_after(vcpu, block->rip);
    uint32_t number = frame == block->second ? page_number(vcpu, linear, frame) : 0;
    if (number != block->second_number)
        return false;
    tables_fill_page(vcpu, block->mode & MODE_VIEW, linear, number);
    return true;
}

/* The block at `rip`, translated if need be; NULL: for Step, faults of the fetch included. */
struct soft_block *block_at(struct vcpu *vcpu, uint64_t rip, uint32_t mode)
{
    struct soft_code code = { .second_host = NULL };
    code.host = code_page(vcpu, rip & ~4095ull, &code.frame);
    if (code.host == NULL)
        return NULL;
    struct soft_block *block = block_find(vcpu->translator, rip, code.frame, mode);
    if (block && block->second_number == 0)
        return block;
    if (block || truncated(vcpu, rip, code.host)) {
        code.second_linear = page_after(vcpu, rip);
        if (code.second_linear == 0)
            return NULL; /* goes on at the other end of the address space */
        code.second_host = code_page(vcpu, code.second_linear, &code.second);
        if (code.second_host == NULL)
            return NULL;
        if (block && !block->valid)
            block = NULL; /* the walk has set a bit in the very page */
    }
    if (block && second_confirm(vcpu, block, code.second))
        return block;
    if (block)
        block->valid = 0;
    block = translate_block(vcpu, rip, &code, mode);
    if (block == NULL)
        return NULL;
    block_add(vcpu, block);
    vcpu->translator->written = true;
    if (block->second_number)
        (void)second_confirm(vcpu, block, code.second);
    return block;
}
