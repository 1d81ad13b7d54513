/* SPDX-License-Identifier: MIT */
/*
 * frame.c - frames of several values pushed at once, on the current stack or on the one a TSS
 * names.
 *
 * A frame is written whole or not at all. The common case, a frame that does not wrap, is one
 * write, which the allocator checks on both pages first; only when that faults are the items looked
 * at one by one in the order of the pushes, so that the fault is the one hardware reports.
 */
#include "transfer.h"

void frame_init_current(const struct vcpu *vcpu, struct stack_frame *frame, unsigned size)
{
    frame->segment = vcpu->r.segment[SEGMENT_SS];
    frame->pointer = vcpu->r.gpr[REGISTER_RSP];
    frame->address_size = vcpu->stack_size;
    frame->size = (uint8_t)size;
    frame->access = 0;
    frame->error = 0;
    frame->count = 0;
}

void frame_add(struct stack_frame *frame, uint64_t value)
{
    if (frame->count < FRAME_MAX)
        frame->value[frame->count++] = value;
}

/* Offset of item i (0 is pushed first) within the stack segment. */
static uint64_t frame_offset(const struct stack_frame *frame, unsigned item)
{
    return (frame->pointer - (uint64_t)(item + 1) * frame->size) & bits_mask(frame->address_size);
}

static uint64_t frame_linear(const struct stack_frame *frame, uint64_t offset)
{
    if (frame->address_size == 8)
        return offset;
    return (frame->segment.base + offset) & 0xffffffff;
}

/* Limit or canonical check of one item. */
static bool frame_item_fits(const struct stack_frame *frame, uint64_t offset)
{
    const struct segment_register *ss = &frame->segment;
    uint64_t last = offset + frame->size - 1;
    uint64_t top = ss->rights & RIGHTS_DB ? 0xffffffff : 0xffff;

    if (frame->address_size == 8)
        return address_canonical(offset) && address_canonical(last);
    if (ss->unusable)
        return false;
    if ((ss->rights & (RIGHTS_S | TYPE_CODE | TYPE_EXPAND)) == (RIGHTS_S | TYPE_EXPAND))
        return offset > ss->limit && last <= top;
    return last <= ss->limit;
}

static int frame_probe(struct vcpu *vcpu, const struct stack_frame *frame)
{
    int result = 0;

    for (unsigned i = 0; i < frame->count && !result; i++)
        result = linear_probe(vcpu, frame_linear(frame, frame_offset(frame, i)), frame->size,
                              ACCESS_WRITE | frame->access);
    return result;
}

static int frame_write_whole(struct vcpu *vcpu, const struct stack_frame *frame)
{
    unsigned size = frame->size, total = size * frame->count;
    uint8_t bytes[FRAME_MAX * 8];
    int result;

    for (unsigned i = 0; i < frame->count; i++)
        memcpy(bytes + total - (i + 1) * size, &frame->value[i], size);
    result = access_settle(
        vcpu, linear_write(vcpu, frame_linear(frame, frame_offset(frame, frame->count - 1)), bytes,
                           total, ACCESS_WRITE | frame->access));
    if (result) {
        struct fault fault = vcpu->fault;

        if (!frame_probe(vcpu, frame))
            vcpu->fault = fault; /* mapped meanwhile by another processor: report what was seen */
        return -EFAULT;
    }
    return 0;
}

static int frame_write_items(struct vcpu *vcpu, const struct stack_frame *frame)
{
    int result = frame_probe(vcpu, frame);

    for (unsigned i = 0; i < frame->count && !result; i++)
        result = access_settle(vcpu, linear_write(vcpu, frame_linear(frame, frame_offset(frame, i)),
                                                  &frame->value[i], frame->size,
                                                  ACCESS_WRITE | frame->access));
    return result;
}

int frame_push(struct vcpu *vcpu, struct stack_frame *frame)
{
    uint64_t mask = bits_mask(frame->address_size);
    uint64_t top = frame->pointer & mask;
    uint64_t total = (uint64_t)frame->size * frame->count;
    int result;

    if (frame->count == 0)
        return 0;
    for (unsigned i = 0; i < frame->count; i++) {
        if (!frame_item_fits(frame, frame_offset(frame, i)))
            return fault_raise_error(vcpu, EXCEPTION_SS, frame->error);
    }
    result =
        top == 0 || top >= total ? frame_write_whole(vcpu, frame) : frame_write_items(vcpu, frame);
    if (result)
        return result;
    for (unsigned i = 0; i < frame->count && frame->access == 0; i++)
        access_watch(vcpu, frame_linear(frame, frame_offset(frame, i)), frame->size, true);
    frame->pointer = (frame->pointer & ~mask) | ((top - total) & mask);
    return 0;
}

/* ---- Stacks of the TSS ---- */

int frame_init_inner(struct vcpu *vcpu, struct stack_frame *frame, unsigned cpl, unsigned size,
                     unsigned external)
{
    const struct segment_register *tr = &vcpu->r.segment[SEGMENT_TR];
    bool wide = (tr->rights & RIGHTS_TYPE) >= SYSTEM_TSS; /* 32-bit TSS (SDM Vol. 3, 7.2.1) */
    unsigned offset = wide ? 4 + cpl * 8 : 2 + cpl * 4;
    unsigned bytes = wide ? 6 : 4;
    uint8_t data[6] = { 0 };
    struct descriptor descriptor;
    uint16_t selector;
    int result;

    if (tr->unusable || offset + bytes - 1 > tr->limit)
        return fault_selector(vcpu, EXCEPTION_TS, tr->selector, external);
    result = system_read(vcpu, tr->base + offset, data, bytes, external);
    if (result)
        return result;
    frame->pointer = 0;
    memcpy(&frame->pointer, data, bytes - 2);
    memcpy(&selector, data + bytes - 2, 2);
    result = segment_check_stack(vcpu, selector, cpl, EXCEPTION_TS, external, &descriptor);
    if (result)
        return result;
    segment_from_descriptor(&frame->segment, selector, descriptor.raw);
    frame->address_size = descriptor_big(descriptor.raw) ? 4 : 2;
    frame->size = (uint8_t)size;
    frame->access = ACCESS_SUPERVISOR; /* inner levels are 0 to 2 */
    frame->error = (selector & 0xfffcu) | external;
    frame->count = 0;
    return 0;
}

int tss_read_pointer(struct vcpu *vcpu, unsigned offset, unsigned external, uint64_t *pointer)
{
    const struct segment_register *tr = &vcpu->r.segment[SEGMENT_TR];
    int result;

    if (tr->unusable || offset + 7 > tr->limit)
        return fault_selector(vcpu, EXCEPTION_TS, tr->selector, external);
    result = system_read(vcpu, tr->base + offset, pointer, 8, external);
    if (result)
        return result;
    if (!address_canonical(*pointer))
        return fault_raise_error(vcpu, EXCEPTION_SS, external);
    return 0;
}
