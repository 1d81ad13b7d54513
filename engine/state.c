/* SPDX-License-Identifier: MIT */
/*
 * state.c - the table of state parts, and how each is read and replaced.
 */
#include "state.h"
#include "interpreter/debugregister.h"
#include "interpreter/extendedstate.h"
#include "interpreter/interpreter.h"
#include "support.h"

struct part {
    uint32_t version;
    size_t size;
    void *(*locate)(struct vcpu *vcpu); /* where the part lives as plain data; NULL: special */
    void (*changed)(struct vcpu *vcpu); /* after a set */
    bool read_only;
};

static void *locate_registers(struct vcpu *vcpu)
{
    return &vcpu->r;
}
static void *locate_lapic(struct vcpu *vcpu)
{
    return &vcpu->vm->controllers.lapic[vcpu->id];
}
static void *locate_ioapic(struct vcpu *vcpu)
{
    return &vcpu->vm->controllers.ioapic;
}
static void *locate_pic(struct vcpu *vcpu)
{
    return &vcpu->vm->controllers.pic;
}
static void *locate_pit(struct vcpu *vcpu)
{
    return &vcpu->vm->controllers.pit;
}
static void *locate_clock(struct vcpu *vcpu)
{
    return &vcpu->vm->clock;
}
static void *locate_statistics(struct vcpu *vcpu)
{
    return &vcpu->statistics;
}

/* Bits that no state the engine itself produces could have are dropped: a saved file is not
 * trusted. */
static void registers_changed(struct vcpu *vcpu)
{
    struct vcpu_registers *r = &vcpu->r;
    r->rflags = (r->rflags & 0x3f7fd7u) | FLAG_ONE;
    r->cpl &= 3;
    r->cr4 &= vcpu->vm->model.cr4_allowed;
    r->xcr0 = (r->xcr0 & vcpu->vm->model.xcr0_allowed) | XCR0_X87;
    if (r->activity > ACTIVITY_SHUTDOWN)
        r->activity = ACTIVITY_SHUTDOWN;
    debug_changed(vcpu);
    tlb_flush_all(vcpu);
    vcpu_mode_changed(vcpu);
    vcpu_raise(vcpu, ATTENTION_INTERRUPT | ATTENTION_DEBUG);
    vcpu->boundary_check = 0;
}

static void controllers_changed(struct vcpu *vcpu)
{
    controllers_state_loaded(vcpu->vm);
    vcpu_raise(vcpu, ATTENTION_INTERRUPT);
    vcpu->boundary_check = 0;
}

static const struct part parts[STATE_PART_COUNT] = {
    [STATE_REGISTERS] = { 1, sizeof(struct vcpu_registers), locate_registers, registers_changed,
                          false },
    [STATE_EXTENDED] = { 1, XSAVE_AREA_SIZE, NULL, NULL, false },
    [STATE_LAPIC] = { 1, sizeof(struct lapic), locate_lapic, controllers_changed, false },
    [STATE_IOAPIC] = { 1, sizeof(struct ioapic), locate_ioapic, controllers_changed, false },
    [STATE_PIC] = { 1, sizeof(struct pic), locate_pic, controllers_changed, false },
    [STATE_PIT] = { 1, sizeof(struct pit), locate_pit, controllers_changed, false },
    [STATE_CLOCK] = { 1, sizeof(struct clock), locate_clock, controllers_changed, false },
    [STATE_STATISTICS] = { 1, sizeof(struct vcpu_statistics), locate_statistics, NULL, true },
};

static uint64_t extended_mask(const struct vcpu *vcpu)
{
    return vcpu->vm->model.xcr0_allowed & ~(uint64_t)XCR0_PKRU;
}

int state_get(struct vcpu *vcpu, uint32_t part, void *data, size_t capacity, size_t *size)
{
    struct extended_image image;
    *size = 0;
    if (part >= STATE_PART_COUNT)
        return -ENOENT;
    if (parts[part].size > capacity)
        return -ENOSPC;
    *size = parts[part].size;
    if (parts[part].locate) {
        memcpy(data, parts[part].locate(vcpu), parts[part].size);
        return 0;
    }
    /* The same registers always give the same bytes: which components the CPU takes for initial
     * depends on what the host did meanwhile. */
    extended_image_get(vcpu, &image, extended_mask(vcpu));
    memcpy(data, image.byte, sizeof(image.byte));
    return 0;
}

int state_set(struct vcpu *vcpu, uint32_t part, uint32_t version, const void *data, size_t size)
{
    _Alignas(64) uint8_t image[XSAVE_AREA_SIZE];
    if (part >= STATE_PART_COUNT || parts[part].read_only)
        return -ENOENT;
    if (version != parts[part].version || size != parts[part].size)
        return -EINVAL;
    if (parts[part].locate) {
        memcpy(parts[part].locate(vcpu), data, size);
    } else {
        memcpy(image, data, sizeof(image));
        extended_state_load(vcpu, image, extended_mask(vcpu));
    }
    if (parts[part].changed)
        parts[part].changed(vcpu);
    return 0;
}
