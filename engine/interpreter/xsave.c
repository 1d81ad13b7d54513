/* SPDX-License-Identifier: MIT */
/*
 * xsave.c - the XSAVE family (SDM Vol. 1, chapter 13).
 *
 * Terms as in the manual: RFBM is what is asked for, EDX:EAX AND XCR0; XINUSE is what differs from
 * the initial configuration. XINUSE is decided by value here, so that the same run gives the same
 * images on every host. The "modified" optimization of XSAVEOPT is not used: it may only be relied
 * upon when the same area is restored last, and the engine's own staging area never is.
 */
#include "extendedstate.h"

#define XCOMP_COMPACT (1ull << 63)

static uint64_t requested(const struct vcpu *vcpu)
{
    uint64_t mask = (uint32_t)vcpu->r.gpr[REGISTER_RAX] | vcpu->r.gpr[REGISTER_RDX] << 32;
    return mask & vcpu->r.xcr0;
}

static bool wide_form(const struct instruction *insn)
{
    return (insn->rex & REX_W) != 0;
}

/* ---- XCR0 ---- */

static uint64_t in_use_now(struct vcpu *vcpu)
{
    struct extended_image image;
    extended_image_get(vcpu, &image, vcpu->r.xcr0);
    return extended_image_in_use(vcpu, &image, vcpu->r.xcr0);
}

int interpret_xgetbv(struct vcpu *vcpu, const struct instruction *insn)
{
    uint32_t index = (uint32_t)vcpu->r.gpr[REGISTER_RCX];
    (void)insn;
    if (!(vcpu->r.cr4 & CR4_OSXSAVE))
        return fault_ud(vcpu);
    if (index > 1)
        return fault_gp(vcpu);
    uint64_t value = index == 0 ? vcpu->r.xcr0 : in_use_now(vcpu);
    vcpu->r.gpr[REGISTER_RAX] = (uint32_t)value;
    vcpu->r.gpr[REGISTER_RDX] = value >> 32;
    return 0;
}

static bool xcr0_legal(const struct vcpu *vcpu, uint64_t value)
{
    if ((value & ~vcpu->vm->model.xcr0_allowed) || !(value & XCR0_X87))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    if (value & XCR0_AVX512)
        return (value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX);
    return true;
}

int interpret_xsetbv(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value = (uint32_t)vcpu->r.gpr[REGISTER_RAX] | vcpu->r.gpr[REGISTER_RDX] << 32;
    (void)insn;
    if (!(vcpu->r.cr4 & CR4_OSXSAVE))
        return fault_ud(vcpu);
    if (vcpu->r.cpl != 0 || (uint32_t)vcpu->r.gpr[REGISTER_RCX] != 0 || !xcr0_legal(vcpu, value))
        return fault_gp(vcpu);
    vcpu->r.xcr0 = value;
    vcpu_mode_changed(vcpu);
    return 0;
}

/* ---- Saving ---- */

/* Fills the staging image for RFBM and says what of it is in use. */
static uint64_t image_prepare(struct vcpu *vcpu, struct extended_image *image, uint64_t rfbm,
                              bool wide)
{
    const struct xstate_component *pkru = &vcpu->vm->model.xstate[9];

    extended_image_get(vcpu, image, rfbm | XCR0_SSE); /* SSE for MXCSR */
    uint64_t in_use = extended_image_in_use(vcpu, image, rfbm);
    if (rfbm & XCR0_X87)
        extended_pointers_store(vcpu, image, wide);
    image_set32(image, IMAGE_MXCSR_MASK, vcpu->vm->model.mxcsr_mask);
    if (rfbm & XCR0_PKRU)
        image_set64(image, pkru->offset, vcpu->r.pkru);
    return in_use;
}

/* The legacy region's pieces. XMM8-15 are not touched outside 64-bit mode. */
static void pieces_legacy(const struct vcpu *vcpu, struct piece_list *list, uint64_t saved,
                          bool mxcsr)
{
    if (saved & XCR0_X87)
        piece_add(list, 0, 0, IMAGE_MXCSR);
    if (mxcsr)
        piece_add(list, IMAGE_MXCSR, IMAGE_MXCSR, 8);
    if (saved & XCR0_X87)
        piece_add(list, IMAGE_ST, IMAGE_ST, IMAGE_XMM - IMAGE_ST);
    if (saved & XCR0_SSE)
        piece_add(list, IMAGE_XMM, IMAGE_XMM, vcpu->long_code ? 256 : 128);
}

static void pieces_standard(const struct vcpu *vcpu, struct piece_list *list, uint64_t saved)
{
    const struct cpu_model *model = &vcpu->vm->model;
    for (unsigned i = 2; i < XSTATE_MAX; i++) {
        const struct xstate_component *c = &model->xstate[i];
        if (saved >> i & 1)
            piece_add(list, c->offset, c->offset,
                      extended_component_bytes(model, i, vcpu->long_code));
    }
}

/* Where component i starts in a compacted area that holds `layout`. */
static uint32_t compact_offset(const struct cpu_model *model, uint64_t layout, unsigned i)
{
    uint32_t offset = cpu_model_xsavec_size(model, layout & ((1ull << i) - 1));
    return model->xstate[i].aligned ? (offset + 63) & ~63u : offset;
}

/* XSAVE and XSAVEOPT differ in what they leave out: XSAVEOPT, components in their initial state. */
static int save_standard(struct vcpu *vcpu, const struct instruction *insn, bool optimized)
{
    const struct cpu_model *model = &vcpu->vm->model;
    struct extended_image image;
    struct piece_list list = { .count = 0 };
    uint64_t rfbm = requested(vcpu), linear, header;

    int result = extended_gate_xsave(vcpu);
    if (result == 0)
        result =
            extended_area(vcpu, insn, cpu_model_xsave_size(model, rfbm), 64, ACCESS_WRITE, &linear);
    if (result == 0)
        result = linear_probe(vcpu, linear + IMAGE_HEADER, 8, ACCESS_WRITE);
    if (result == 0)
        result = extended_read(vcpu, linear + IMAGE_HEADER, &header, 8);
    if (result)
        return result;

    uint64_t in_use = image_prepare(vcpu, &image, rfbm, wide_form(insn));
    uint64_t saved = optimized ? in_use : rfbm;
    image_set64(&image, IMAGE_HEADER, (header & ~rfbm) | in_use);
    pieces_legacy(vcpu, &list, saved, (rfbm & (XCR0_SSE | XCR0_AVX)) != 0);
    pieces_standard(vcpu, &list, saved);
    piece_add(&list, IMAGE_HEADER, IMAGE_HEADER, 8);
    return piece_write(vcpu, &list, &image, linear);
}

int interpret_xsave(struct vcpu *vcpu, const struct instruction *insn)
{
    return save_standard(vcpu, insn, false);
}

int interpret_xsaveopt(struct vcpu *vcpu, const struct instruction *insn)
{
    return save_standard(vcpu, insn, true);
}

int interpret_xsavec(struct vcpu *vcpu, const struct instruction *insn)
{
    const struct cpu_model *model = &vcpu->vm->model;
    struct extended_image image;
    struct piece_list list = { .count = 0 };
    uint64_t rfbm = requested(vcpu), linear;

    int result = extended_gate_xsave(vcpu);
    if (result == 0)
        result = extended_area(vcpu, insn, cpu_model_xsavec_size(model, rfbm), 64, ACCESS_WRITE,
                               &linear);
    if (result)
        return result;

    uint64_t saved = image_prepare(vcpu, &image, rfbm, wide_form(insn));
    /* Here MXCSR belongs to SSE, and a changed one makes SSE worth saving (SDM Vol. 1, 13.10). */
    if ((rfbm & XCR0_SSE) && image_get32(&image, IMAGE_MXCSR) != MXCSR_INITIAL)
        saved |= XCR0_SSE;
    image_set64(&image, IMAGE_HEADER, saved);
    image_set64(&image, IMAGE_XCOMP_BV, rfbm | XCOMP_COMPACT);
    pieces_legacy(vcpu, &list, saved, (saved & XCR0_SSE) != 0);
    for (unsigned i = 2; i < XSTATE_MAX; i++) {
        if (saved >> i & 1)
            piece_add(&list, model->xstate[i].offset, compact_offset(model, rfbm, i),
                      extended_component_bytes(model, i, vcpu->long_code));
    }
    piece_add(&list, IMAGE_HEADER, IMAGE_HEADER, 16);
    return piece_write(vcpu, &list, &image, linear);
}

/* ---- Restoring ---- */

struct restore {
    uint64_t rfbm, state, layout; /* RFBM, XSTATE_BV, XCOMP_BV without its top bit */
    bool compact;
    uint64_t linear;
};

static bool header_legal(const struct vcpu *vcpu, const struct extended_image *from,
                         struct restore *restore)
{
    uint64_t xcomp = image_get64(from, IMAGE_XCOMP_BV);

    restore->state = image_get64(from, IMAGE_HEADER);
    restore->compact = (xcomp & XCOMP_COMPACT) != 0;
    restore->layout = xcomp & ~XCOMP_COMPACT;
    if (image_get64(from, IMAGE_HEADER + 16))
        return false;
    if (!restore->compact)
        return xcomp == 0 && !(restore->state & ~vcpu->r.xcr0);
    for (unsigned i = IMAGE_HEADER + 24; i < IMAGE_EXTENDED; i += 8) {
        if (image_get64(from, i))
            return false;
    }
    return cpu_model_has(&vcpu->vm->model, FEATURE_XSAVEC) && !(restore->layout & ~vcpu->r.xcr0) &&
           !(restore->state & ~restore->layout);
}

/* Reads the extended components that will be loaded into their standard places. */
static int read_components(struct vcpu *vcpu, const struct restore *restore,
                           struct extended_image *to)
{
    const struct cpu_model *model = &vcpu->vm->model;
    for (unsigned i = 2; i < XSTATE_MAX; i++) {
        const struct xstate_component *c = &model->xstate[i];
        if (!((restore->rfbm & restore->state) >> i & 1))
            continue;
        uint64_t offset = restore->compact ? compact_offset(model, restore->layout, i) : c->offset;
        unsigned size = extended_component_bytes(model, i, vcpu->long_code);
        if (size == 0)
            continue;
        int result = extended_read(vcpu, restore->linear + offset, to->byte + c->offset, size);
        if (result)
            return result;
    }
    return 0;
}

/* MXCSR: with SSE or AVX from any standard image; with SSE, as part of it, from a compacted one. */
static bool mxcsr_choose(const struct vcpu *vcpu, const struct restore *restore,
                         const struct extended_image *from, struct extended_image *to)
{
    if (restore->compact) {
        if (!(restore->rfbm & XCR0_SSE))
            return true;
        if (!(restore->state & XCR0_SSE)) {
            image_set32(to, IMAGE_MXCSR, MXCSR_INITIAL);
            return true;
        }
    } else if (!(restore->rfbm & (XCR0_SSE | XCR0_AVX))) {
        return true;
    }
    uint32_t mxcsr = image_get32(from, IMAGE_MXCSR);
    image_set32(to, IMAGE_MXCSR, mxcsr);
    return !(mxcsr & ~vcpu->vm->model.mxcsr_mask);
}

static void restore_legacy(const struct vcpu *vcpu, const struct restore *restore,
                           const struct extended_image *from, struct extended_image *to)
{
    uint64_t loaded = restore->rfbm & restore->state;
    if (loaded & XCR0_X87) {
        memcpy(to->byte, from->byte, IMAGE_MXCSR);
        memcpy(to->byte + IMAGE_ST, from->byte + IMAGE_ST, IMAGE_XMM - IMAGE_ST);
    }
    if (loaded & XCR0_SSE)
        memcpy(to->byte + IMAGE_XMM, from->byte + IMAGE_XMM, vcpu->long_code ? 256 : 128);
}

static void restore_commit(struct vcpu *vcpu, const struct restore *restore,
                           const struct extended_image *from, struct extended_image *to, bool wide)
{
    const struct cpu_model *model = &vcpu->vm->model;
    uint64_t rfbm = restore->rfbm;

    if (rfbm & XCR0_PKRU) {
        vcpu->r.pkru = restore->state & XCR0_PKRU ? image_get32(to, model->xstate[9].offset) : 0;
        tlb_mode_changed(vcpu);
    }
    if (rfbm & restore->state & XCR0_X87) {
        extended_pointers_load(vcpu, from, wide);
    } else if (rfbm & XCR0_X87) {
        vcpu->r.fip = vcpu->r.fdp = 0;
        vcpu->r.fop = vcpu->r.fcs = vcpu->r.fds = 0;
    }
    extended_image_put(vcpu, to, rfbm);
}

static uint32_t restore_size(const struct cpu_model *model, const struct restore *restore)
{
    if (restore->compact)
        return cpu_model_xsavec_size(model, restore->layout);
    return cpu_model_xsave_size(model, restore->rfbm);
}

int interpret_xrstor(struct vcpu *vcpu, const struct instruction *insn)
{
    const struct cpu_model *model = &vcpu->vm->model;
    struct extended_image from, to;
    struct restore restore = { .rfbm = requested(vcpu) };

    int result = extended_gate_xsave(vcpu);
    if (result == 0)
        result = extended_area(vcpu, insn, IMAGE_HEADER + 1, 64, ACCESS_READ, &restore.linear);
    if (result == 0)
        result = extended_read(vcpu, restore.linear, from.byte, IMAGE_EXTENDED);
    if (result)
        return result;
    if (!header_legal(vcpu, &from, &restore))
        return fault_gp(vcpu);
    result =
        extended_area(vcpu, insn, restore_size(model, &restore), 64, ACCESS_READ, &restore.linear);
    if (result)
        return result;

    extended_image_get(vcpu, &to, restore.rfbm | XCR0_SSE);
    /* XMM8-15 and their upper parts keep their values when restored outside 64-bit mode. */
    extended_image_reset(model, &to, restore.rfbm & ~restore.state, vcpu->long_code);
    if (!mxcsr_choose(vcpu, &restore, &from, &to))
        return fault_gp(vcpu);
    result = read_components(vcpu, &restore, &to);
    if (result)
        return result;
    restore_legacy(vcpu, &restore, &from, &to);
    restore_commit(vcpu, &restore, &from, &to, wide_form(insn));
    return 0;
}
