/* SPDX-License-Identifier: MIT */
/*
 * extendedstate.c - see extendedstate.h.
 */
#include "extendedstate.h"
#include "transfer.h"

#define NATIVE_COMPONENTS                                                                          \
    ((uint64_t)(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512)) /* the ones the host knows about */

/* x87 and SSE are there even on a host without XSAVE. */
static uint64_t mask_native(const struct vcpu *vcpu, uint64_t mask)
{
    return mask & NATIVE_COMPONENTS & (vcpu->vm->model.xcr0_allowed | XCR0_X87 | XCR0_SSE);
}

unsigned extended_component_bytes(const struct cpu_model *model, unsigned component,
                                  bool all_registers)
{
    unsigned size = model->xstate[component].size;
    if (all_registers)
        return size;
    if (component == 7)
        return 0;
    return component == 2 || component == 6 ? size / 2 : size;
}

void extended_image_reset(const struct cpu_model *model, struct extended_image *image,
                          uint64_t mask, bool all_registers)
{
    if (mask & XCR0_X87) {
        memset(image->byte, 0, IMAGE_MXCSR);
        memset(image->byte + IMAGE_ST, 0, IMAGE_XMM - IMAGE_ST);
        image_set16(image, IMAGE_FCW, FCW_INITIAL);
    }
    if (mask & XCR0_SSE)
        memset(image->byte + IMAGE_XMM, 0, all_registers ? 256 : 128);
    for (unsigned i = 2; i < XSTATE_MAX; i++) {
        if (mask >> i & 1)
            memset(image->byte + model->xstate[i].offset, 0,
                   extended_component_bytes(model, i, all_registers));
    }
}

void extended_image_get(struct vcpu *vcpu, struct extended_image *image, uint64_t mask)
{
    mask = mask_native(vcpu, mask);
    memset(image->byte, 0, sizeof(image->byte));
    image_set32(image, IMAGE_MXCSR, MXCSR_INITIAL);
    extended_state_save(vcpu, image->byte, mask);
    extended_image_reset(&vcpu->vm->model, image, mask & ~image_get64(image, IMAGE_HEADER), true);
    memset(image->byte + IMAGE_FOP, 0, IMAGE_MXCSR - IMAGE_FOP);
    memset(image->byte + IMAGE_HEADER, 0, IMAGE_EXTENDED - IMAGE_HEADER);
    image_set64(image, IMAGE_HEADER, mask);
}

void extended_image_put(struct vcpu *vcpu, struct extended_image *image, uint64_t mask)
{
    mask = mask_native(vcpu, mask);
    memset(image->byte + IMAGE_FOP, 0, IMAGE_MXCSR - IMAGE_FOP);
    memset(image->byte + IMAGE_HEADER, 0, IMAGE_EXTENDED - IMAGE_HEADER);
    image_set64(image, IMAGE_HEADER, mask);
    extended_state_load(vcpu, image->byte, mask);
}

static bool bytes_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

static bool x87_in_use(const struct vcpu *vcpu, const struct extended_image *image)
{
    const struct vcpu_registers *r = &vcpu->r;
    return image_get16(image, IMAGE_FCW) != FCW_INITIAL || image_get16(image, IMAGE_FSW) != 0 ||
           image->byte[IMAGE_FTW] != 0 || r->fip || r->fdp || r->fop ||
           !bytes_zero(image->byte + IMAGE_ST, IMAGE_XMM - IMAGE_ST);
}

uint64_t extended_image_in_use(const struct vcpu *vcpu, const struct extended_image *image,
                               uint64_t mask)
{
    uint64_t used = 0;
    if ((mask & XCR0_X87) && x87_in_use(vcpu, image))
        used |= XCR0_X87;
    if ((mask & XCR0_SSE) && !bytes_zero(image->byte + IMAGE_XMM, IMAGE_LEGACY_END - IMAGE_XMM))
        used |= XCR0_SSE;
    for (unsigned i = 2; i <= 7; i++) {
        const struct xstate_component *c = &vcpu->vm->model.xstate[i];
        if ((mask >> i & 1) && c->size && !bytes_zero(image->byte + c->offset, c->size))
            used |= 1ull << i;
    }
    if ((mask & XCR0_PKRU) && vcpu->r.pkru)
        used |= XCR0_PKRU;
    return used;
}

/* ---- x87 pointers (SDM Vol. 1, 8.1.8; AMD shows them only while an exception is pending) ---- */

void extended_pointers_store(const struct vcpu *vcpu, struct extended_image *image, bool wide)
{
    const struct vcpu_registers *r = &vcpu->r;
    const struct cpu_model *model = &vcpu->vm->model;

    memset(image->byte + IMAGE_FOP, 0, IMAGE_MXCSR - IMAGE_FOP);
    if (!model->x87_pointers_always && !(image_get16(image, IMAGE_FSW) & FSW_SUMMARY))
        return;
    image_set16(image, IMAGE_FOP, r->fop & 0x7ff);
    if (wide) {
        image_set64(image, IMAGE_FIP, r->fip);
        image_set64(image, IMAGE_FDP, r->fdp);
        return;
    }
    image_set32(image, IMAGE_FIP, (uint32_t)r->fip);
    image_set32(image, IMAGE_FDP, (uint32_t)r->fdp);
    if (!model->x87_selectors_zero) {
        image_set16(image, IMAGE_FCS, r->fcs);
        image_set16(image, IMAGE_FDS, r->fds);
    }
}

void extended_pointers_load(struct vcpu *vcpu, const struct extended_image *image, bool wide)
{
    struct vcpu_registers *r = &vcpu->r;

    if (!vcpu->vm->model.x87_pointers_restored && !(image_get16(image, IMAGE_FSW) & FSW_SUMMARY))
        return;
    r->fop = image_get16(image, IMAGE_FOP) & 0x7ff;
    r->fip = wide ? image_get64(image, IMAGE_FIP) : image_get32(image, IMAGE_FIP);
    r->fdp = wide ? image_get64(image, IMAGE_FDP) : image_get32(image, IMAGE_FDP);
    r->fcs = wide ? 0 : image_get16(image, IMAGE_FCS);
    r->fds = wide ? 0 : image_get16(image, IMAGE_FDS);
}

bool extended_x87_pending(struct vcpu *vcpu)
{
    struct extended_image image;
    extended_image_get(vcpu, &image, XCR0_X87);
    return image_get16(&image, IMAGE_FSW) & FSW_SUMMARY;
}

/* ---- Registers inside an image ---- */

uint64_t extended_vector_mask(const struct vcpu *vcpu)
{
    return vcpu->r.xcr0 & (XCR0_AVX | XCR0_AVX512) ? (vcpu->r.xcr0 & NATIVE_COMPONENTS) | XCR0_SSE
                                                   : XCR0_X87 | XCR0_SSE;
}

/* Where the 16-byte quarter `part` of a register lies, or NULL if the guest does not have it. */
static uint8_t *vector_part(const struct cpu_model *model, const struct extended_image *image,
                            unsigned number, unsigned part)
{
    uint8_t *base = (uint8_t *)(uintptr_t)image->byte;
    const struct xstate_component *x = model->xstate;

    if (number >= 16)
        return x[7].size ? base + x[7].offset + (number - 16) * 64 + part * 16 : NULL;
    if (part == 0)
        return base + IMAGE_XMM + number * 16;
    if (part == 1)
        return x[2].size ? base + x[2].offset + number * 16 : NULL;
    return x[6].size ? base + x[6].offset + number * 32 + (part - 2) * 16 : NULL;
}

void extended_vector_get(const struct vcpu *vcpu, const struct extended_image *image,
                         unsigned number, unsigned size, void *out)
{
    uint8_t *to = out;
    for (unsigned part = 0; part * 16 < size; part++) {
        const uint8_t *from = vector_part(&vcpu->vm->model, image, number & 31, part);
        if (from)
            memcpy(to + part * 16, from, 16);
        else
            memset(to + part * 16, 0, 16);
    }
}

void extended_vector_set(const struct vcpu *vcpu, struct extended_image *image, unsigned number,
                         unsigned size, const void *in)
{
    const uint8_t *from = in;
    for (unsigned part = 0; part < 4; part++) {
        uint8_t *to = vector_part(&vcpu->vm->model, image, number & 31, part);
        if (!to)
            continue;
        if (part * 16 < size)
            memcpy(to, from + part * 16, 16);
        else
            memset(to, 0, 16);
    }
}

uint64_t extended_opmask_get(const struct vcpu *vcpu, const struct extended_image *image,
                             unsigned number)
{
    const struct xstate_component *c = &vcpu->vm->model.xstate[5];
    return c->size ? image_get64(image, c->offset + (number & 7) * 8) : ~0ull;
}

void extended_opmask_set(const struct vcpu *vcpu, struct extended_image *image, unsigned number,
                         uint64_t value)
{
    const struct xstate_component *c = &vcpu->vm->model.xstate[5];
    if (c->size)
        image_set64(image, c->offset + (number & 7) * 8, value);
}

/* ---- Gates and memory ---- */

int extended_gate_fxsave(struct vcpu *vcpu)
{
    return vcpu->r.cr0 & (CR0_EM | CR0_TS) ? fault_raise(vcpu, EXCEPTION_NM) : 0;
}

int extended_gate_xsave(struct vcpu *vcpu)
{
    if (!(vcpu->r.cr4 & CR4_OSXSAVE))
        return fault_ud(vcpu);
    return vcpu->r.cr0 & CR0_TS ? fault_raise(vcpu, EXCEPTION_NM) : 0;
}

/* Where the operand lies when nothing is wrong with it: alignment is looked at before the rest. */
static uint64_t extended_address(const struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t base = vcpu->r.segment[insn->segment].base;

    if (vcpu->long_code && insn->segment != SEGMENT_FS && insn->segment != SEGMENT_GS)
        base = 0;
    return base + operand_offset(vcpu, insn);
}

int extended_area(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                  unsigned alignment, unsigned access, uint64_t *linear)
{
    uint64_t offset = operand_offset(vcpu, insn), last;

    if (extended_address(vcpu, insn) & (alignment - 1))
        return fault_gp(vcpu);
    int result = segment_linear(vcpu, insn->segment, offset, 1, access, linear);
    if (result == 0)
        result = linear_probe(vcpu, *linear, 1, access);
    offset = (offset + size - 1) & bits_mask(insn->address_size);
    if (result == 0)
        result = segment_linear(vcpu, insn->segment, offset, 1, access, &last);
    return result ? result : linear_probe(vcpu, last, 1, access);
}

void piece_add(struct piece_list *list, unsigned from, unsigned to, unsigned size)
{
    if (size && list->count < PIECE_MAX)
        list->piece[list->count++] =
            (struct piece){ .from = (uint16_t)from, .to = (uint16_t)to, .size = (uint16_t)size };
}

int extended_read(struct vcpu *vcpu, uint64_t linear, void *to, unsigned size)
{
    int result = access_settle(vcpu, linear_read(vcpu, linear, to, size, ACCESS_READ));
    if (result == 0)
        access_watch(vcpu, linear, size, false);
    return result;
}

int piece_write(struct vcpu *vcpu, const struct piece_list *list,
                const struct extended_image *image, uint64_t linear)
{
    int result = 0;
    for (unsigned i = 0; i < list->count && result == 0; i++)
        result = linear_probe(vcpu, linear + list->piece[i].to, list->piece[i].size, ACCESS_WRITE);
    for (unsigned i = 0; i < list->count && result == 0; i++) {
        const struct piece *p = &list->piece[i];
        const uint8_t *from = image->byte + p->from;
        result =
            access_settle(vcpu, linear_write(vcpu, linear + p->to, from, p->size, ACCESS_WRITE));
        if (result == 0)
            access_watch(vcpu, linear + p->to, p->size, true);
    }
    return result;
}
