/* SPDX-License-Identifier: MIT */
/*
 * x87.c - FNSTENV, FLDENV, FNSAVE, FRSTOR: the x87 environment in memory (SDM Vol. 1, 8.1.10).
 *
 * Run natively they would show the stub's own instruction pointer; and the four layouts (16- or
 * 32-bit, real or protected) follow the guest's mode, not the host's.
 */
#include "extendedstate.h"
#include "transfer.h"

#define ST_BYTES 80 /* eight registers of ten bytes after the environment */

/* The environment, whatever its layout. */
struct environment {
    uint16_t fcw, fsw, ftw; /* the full tag word, two bits a register */
    uint16_t fop, fcs, fds;
    uint64_t fip, fdp; /* real-mode layouts: linear */
};

enum tag { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned top_of_stack(uint16_t fsw)
{
    return fsw >> FSW_TOP_SHIFT & 7;
}

/* What the full tag word says of an 80-bit value (SDM Vol. 1, 8.1.7). */
static unsigned tag_of(const uint8_t *st)
{
    uint64_t fraction;
    uint16_t exponent;
    memcpy(&fraction, st, 8);
    memcpy(&exponent, st + 8, 2);
    exponent &= 0x7fff;
    if (exponent == 0)
        return fraction == 0 ? TAG_ZERO : TAG_SPECIAL;
    if (exponent == 0x7fff || !(fraction >> 63))
        return TAG_SPECIAL;
    return TAG_VALID;
}

/* The image has one bit a physical register, and the values in stack order. */
static uint16_t tags_expand(const struct extended_image *image)
{
    unsigned top = top_of_stack(image_get16(image, IMAGE_FSW));
    uint16_t full = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned tag = TAG_EMPTY;
        if (image->byte[IMAGE_FTW] >> i & 1)
            tag = tag_of(image->byte + IMAGE_ST + ((i - top) & 7) * 16);
        full |= (uint16_t)(tag << (i * 2));
    }
    return full;
}

static uint8_t tags_reduce(uint16_t full)
{
    uint8_t valid = 0;
    for (unsigned i = 0; i < 8; i++) {
        if ((full >> (i * 2) & 3) != TAG_EMPTY)
            valid |= (uint8_t)(1u << i);
    }
    return valid;
}

/* ---- Layouts ---- */

static bool short_layout(const struct instruction *insn)
{
    return insn->operand_size == 2;
}

static unsigned environment_size(const struct instruction *insn)
{
    return short_layout(insn) ? 14 : 28;
}

static void environment_encode(const struct vcpu *vcpu, const struct instruction *insn,
                               const struct environment *e, uint8_t *out)
{
    uint16_t word[7] = { e->fcw, e->fsw, e->ftw };
    uint32_t upper[7];

    memset(upper, 0xff, sizeof(upper)); /* unused upper halves read as ones */
    if (vcpu_paragraphs(vcpu)) {
        uint32_t ip = (uint32_t)e->fip, dp = (uint32_t)e->fdp;
        word[3] = (uint16_t)ip;
        word[4] = (uint16_t)((ip >> 4 & 0xf000) | e->fop);
        word[5] = (uint16_t)dp;
        word[6] = (uint16_t)(dp >> 4 & 0xf000);
        upper[4] = ip >> 20 & 0xfff;
        upper[6] = dp >> 20 & 0xfff;
    } else {
        word[3] = (uint16_t)e->fip;
        word[4] = e->fcs;
        word[5] = (uint16_t)e->fdp;
        word[6] = e->fds;
        upper[3] = (uint32_t)e->fip >> 16;
        upper[4] = e->fop;
        upper[5] = (uint32_t)e->fdp >> 16;
    }
    for (unsigned i = 0; i < 7; i++) {
        uint32_t wide = word[i] | upper[i] << 16;
        if (short_layout(insn))
            memcpy(out + i * 2, &word[i], 2);
        else
            memcpy(out + i * 4, &wide, 4);
    }
}

static void environment_decode(const struct vcpu *vcpu, const struct instruction *insn,
                               const uint8_t *in, struct environment *e)
{
    bool wide = !short_layout(insn);
    uint32_t field[7] = { 0 };

    for (unsigned i = 0; i < 7; i++)
        memcpy(&field[i], in + i * (wide ? 4 : 2), wide ? 4 : 2);
    e->fcw = (uint16_t)field[0];
    e->fsw = (uint16_t)field[1];
    e->ftw = (uint16_t)field[2];
    if (vcpu_paragraphs(vcpu)) {
        e->fip = (field[3] & 0xffff) | (field[4] & 0x0ffff000) << 4;
        e->fop = field[4] & 0x7ff;
        e->fdp = (field[5] & 0xffff) | (field[6] & 0x0ffff000) << 4;
        e->fcs = e->fds = 0;
    } else {
        e->fip = field[3];
        e->fcs = (uint16_t)field[4];
        e->fop = wide ? field[4] >> 16 & 0x7ff : 0;
        e->fdp = field[5];
        e->fds = (uint16_t)field[6];
    }
}

/* ---- Between environment and registers ---- */

static void environment_get(const struct vcpu *vcpu, const struct extended_image *image,
                            struct environment *e)
{
    const struct vcpu_registers *r = &vcpu->r;
    bool zero = vcpu->vm->model.x87_selectors_zero;

    e->fcw = image_get16(image, IMAGE_FCW);
    e->fsw = image_get16(image, IMAGE_FSW);
    e->ftw = tags_expand(image);
    e->fop = r->fop & 0x7ff;
    e->fip = r->fip;
    e->fdp = r->fdp;
    e->fcs = zero ? 0 : r->fcs;
    e->fds = zero ? 0 : r->fds;
    if (vcpu_paragraphs(vcpu)) {
        e->fip += (uint64_t)r->fcs << 4;
        e->fdp += (uint64_t)r->fds << 4;
    }
}

/* ES and B follow from the flags and the new masks: an unmasked one is reported by the next waiting
 * instruction (SDM Vol. 2, FLDENV). */
static void environment_set(struct vcpu *vcpu, struct extended_image *image,
                            const struct environment *e)
{
    struct vcpu_registers *r = &vcpu->r;
    uint16_t fsw = e->fsw & (uint16_t) ~(FSW_SUMMARY | FSW_BUSY);

    if (fsw & ~e->fcw & FSW_EXCEPTIONS)
        fsw |= FSW_SUMMARY | FSW_BUSY;
    image_set16(image, IMAGE_FCW, e->fcw);
    image_set16(image, IMAGE_FSW, fsw);
    image->byte[IMAGE_FTW] = tags_reduce(e->ftw);
    r->fip = e->fip;
    r->fdp = e->fdp;
    r->fop = e->fop;
    r->fcs = e->fcs;
    r->fds = e->fds;
}

static int gate_x87(struct vcpu *vcpu)
{
    return vcpu->r.cr0 & (CR0_EM | CR0_TS) ? fault_raise(vcpu, EXCEPTION_NM) : 0;
}

/* Gives the stack another top. The physical registers stay, so their places in stack order move. */
static void registers_turn(struct extended_image *image, unsigned new_top)
{
    unsigned old_top = top_of_stack(image_get16(image, IMAGE_FSW));
    uint8_t old[IMAGE_XMM - IMAGE_ST];

    memcpy(old, image->byte + IMAGE_ST, sizeof(old));
    for (unsigned i = 0; i < 8; i++)
        memcpy(image->byte + IMAGE_ST + i * 16, old + ((i + new_top - old_top) & 7) * 16, 16);
}

/* The memory operand: its first field is checked as an access of its own, alignment included; then
 * its last byte, which says whether the rest fits (AMD's order, and where the fault address
 * points). */
static int environment_area(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                            unsigned access, uint64_t *linear)
{
    uint64_t offset = operand_offset(vcpu, insn), last;
    unsigned field = short_layout(insn) ? 2 : 4;

    int result = segment_linear(vcpu, insn->segment, offset, field, access, linear);
    if (result == 0)
        result = linear_probe(vcpu, *linear, field, access);
    offset = (offset + size - 1) & bits_mask(insn->address_size);
    if (result == 0)
        result = segment_linear(vcpu, insn->segment, offset, 1, access, &last);
    if (result == 0)
        result = linear_probe(vcpu, last, 1, access);
    return result;
}

/* ---- The instructions ---- */

static int store(struct vcpu *vcpu, const struct instruction *insn, struct extended_image *image,
                 bool registers)
{
    uint8_t bytes[28 + ST_BYTES];
    unsigned size = environment_size(insn);
    struct environment environment;
    uint64_t linear;

    int result = gate_x87(vcpu);
    if (result)
        return result;
    extended_image_get(vcpu, image, XCR0_X87);
    environment_get(vcpu, image, &environment);
    environment_encode(vcpu, insn, &environment, bytes);
    for (unsigned i = 0; registers && i < 8; i++, size += 10)
        memcpy(bytes + size, image->byte + IMAGE_ST + i * 16, 10);
    result = environment_area(vcpu, insn, size, ACCESS_WRITE, &linear);
    if (result)
        return result;
    result = access_settle(vcpu, linear_write(vcpu, linear, bytes, size, ACCESS_WRITE));
    if (result == 0)
        access_watch(vcpu, linear, size, true);
    return result;
}

int interpret_fnstenv(struct vcpu *vcpu, const struct instruction *insn)
{
    struct extended_image image;
    int result = store(vcpu, insn, &image, false);
    if (result)
        return result;
    /* Masks every exception, so that a handler may use the x87; nothing is pending then. */
    image_set16(&image, IMAGE_FCW, image_get16(&image, IMAGE_FCW) | FCW_MASKS);
    image_set16(&image, IMAGE_FSW,
                image_get16(&image, IMAGE_FSW) & (uint16_t) ~(FSW_SUMMARY | FSW_BUSY));
    extended_image_put(vcpu, &image, XCR0_X87);
    return 0;
}

int interpret_fnsave(struct vcpu *vcpu, const struct instruction *insn)
{
    struct extended_image image;
    int result = store(vcpu, insn, &image, true);
    if (result)
        return result;
    /* As FNINIT: the register values themselves stay. */
    registers_turn(&image, 0);
    memset(image.byte, 0, IMAGE_MXCSR);
    image_set16(&image, IMAGE_FCW, FCW_INITIAL);
    extended_image_put(vcpu, &image, XCR0_X87);
    vcpu->r.fip = vcpu->r.fdp = 0;
    vcpu->r.fop = vcpu->r.fcs = vcpu->r.fds = 0;
    return 0;
}

static int load(struct vcpu *vcpu, const struct instruction *insn, bool registers)
{
    uint8_t bytes[28 + ST_BYTES];
    unsigned size = environment_size(insn), total = size + (registers ? ST_BYTES : 0);
    struct environment environment;
    struct extended_image image;
    uint64_t linear;

    int result = gate_x87(vcpu);
    if (result == 0 && extended_x87_pending(vcpu))
        return fault_raise(vcpu, EXCEPTION_MF);
    if (result == 0)
        result = environment_area(vcpu, insn, total, ACCESS_READ, &linear);
    if (result == 0)
        result = extended_read(vcpu, linear, bytes, total);
    if (result)
        return result;

    extended_image_get(vcpu, &image, XCR0_X87);
    environment_decode(vcpu, insn, bytes, &environment);
    if (registers) { /* FRSTOR: in stack order */
        for (unsigned i = 0; i < 8; i++)
            memcpy(image.byte + IMAGE_ST + i * 16, bytes + size + i * 10, 10);
    } else {
        registers_turn(&image, top_of_stack(environment.fsw));
    }
    environment_set(vcpu, &image, &environment);
    extended_image_put(vcpu, &image, XCR0_X87);
    return 0;
}

int interpret_fldenv(struct vcpu *vcpu, const struct instruction *insn)
{
    return load(vcpu, insn, false);
}

int interpret_frstor(struct vcpu *vcpu, const struct instruction *insn)
{
    return load(vcpu, insn, true);
}
