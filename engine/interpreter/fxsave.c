/* SPDX-License-Identifier: MIT */
/*
 * fxsave.c - FXSAVE and FXRSTOR (SDM Vol. 1, 10.5; Vol. 2). AMD's fast form (EFER.FFXSR) is not
 * given.
 *
 * Outside 64-bit mode only XMM0-7 are in the image; the rest of the 512 bytes is neither read nor
 * written.
 */
#include "extendedstate.h"

#define FXSAVE_SIZE 512

static unsigned xmm_bytes(const struct vcpu *vcpu)
{
    return vcpu->long_code ? 16 * 16 : 8 * 16;
}

/* The memory operand, in AMD's order of checks: #AC for four bytes, #GP for sixteen, then the last
 * byte before the first. */
static int fxsave_area(struct vcpu *vcpu, const struct instruction *insn, unsigned access,
                       uint64_t *linear)
{
    uint64_t offset = operand_offset(vcpu, insn), last;

    int result = segment_linear(vcpu, insn->segment, offset, 4, access, linear);
    if (result)
        return result;
    if (*linear & 15)
        return fault_gp(vcpu);
    offset = (offset + FXSAVE_SIZE - 1) & bits_mask(insn->address_size);
    result = segment_linear(vcpu, insn->segment, offset, 1, access, &last);
    return result ? result : linear_probe(vcpu, last, 1, access);
}

int interpret_fxsave(struct vcpu *vcpu, const struct instruction *insn)
{
    struct extended_image image;
    struct piece_list list = { .count = 0 };
    uint64_t linear;

    int result = extended_gate_fxsave(vcpu);
    if (result == 0)
        result = fxsave_area(vcpu, insn, ACCESS_WRITE, &linear);
    if (result)
        return result;
    extended_image_get(vcpu, &image, XCR0_X87 | XCR0_SSE);
    extended_pointers_store(vcpu, &image, (insn->rex & REX_W) != 0);
    image_set32(&image, IMAGE_MXCSR_MASK, vcpu->vm->model.mxcsr_mask);
    piece_add(&list, 0, 0, IMAGE_XMM + xmm_bytes(vcpu));
    return piece_write(vcpu, &list, &image, linear);
}

int interpret_fxrstor(struct vcpu *vcpu, const struct instruction *insn)
{
    struct extended_image image, from;
    uint64_t linear;

    int result = extended_gate_fxsave(vcpu);
    if (result == 0)
        result = fxsave_area(vcpu, insn, ACCESS_READ, &linear);
    if (result == 0)
        result = extended_read(vcpu, linear, from.byte, FXSAVE_SIZE);
    if (result)
        return result;
    if (image_get32(&from, IMAGE_MXCSR) & ~vcpu->vm->model.mxcsr_mask)
        return fault_gp(vcpu);

    extended_image_get(vcpu, &image, XCR0_X87 | XCR0_SSE);
    memcpy(image.byte, from.byte, IMAGE_XMM + xmm_bytes(vcpu));
    extended_image_put(vcpu, &image, XCR0_X87 | XCR0_SSE);
    extended_pointers_load(vcpu, &from, (insn->rex & REX_W) != 0);
    return 0;
}
