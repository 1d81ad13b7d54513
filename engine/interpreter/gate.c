/* SPDX-License-Identifier: MIT */
/*
 * gate.c - event delivery in legacy protected mode: 16- and 32-bit interrupt and trap gates, task
 * gates, entry from virtual-8086 mode (SDM Vol. 3, 6.12 and 20.3; Vol. 2, INT n).
 */
#include "transfer.h"

struct legacy_gate {
    uint16_t selector;
    uint32_t offset;
    unsigned type; /* enum system_type */
};

static bool gate_type_valid(unsigned type)
{
    return type == SYSTEM_TASK_GATE || type == SYSTEM_INTERRUPT_GATE16 ||
           type == SYSTEM_TRAP_GATE16 || type == SYSTEM_INTERRUPT_GATE || type == SYSTEM_TRAP_GATE;
}

static int gate_read(struct vcpu *vcpu, const struct event *event, struct legacy_gate *gate)
{
    uint64_t raw = 0;
    int result;

    if (event->vector * 8u + 7u > vcpu->r.idtr.limit)
        return fault_raise_error(vcpu, EXCEPTION_GP, event_gate_error(event));
    result = system_read(vcpu, vcpu->r.idtr.base + event->vector * 8u, &raw, 8, 0);
    if (result)
        return result;
    gate->type = descriptor_type(raw);
    if (!descriptor_system(raw) || !gate_type_valid(gate->type))
        return fault_raise_error(vcpu, EXCEPTION_GP, event_gate_error(event));
    if (event_software(event) && descriptor_dpl(raw) < vcpu->r.cpl)
        return fault_raise_error(vcpu, EXCEPTION_GP, event_gate_error(event));
    if (!descriptor_present(raw))
        return fault_raise_error(vcpu, EXCEPTION_NP, event_gate_error(event));
    gate->selector = (uint16_t)(raw >> 16);
    gate->offset = (uint32_t)(raw & 0xffff);
    if (gate->type & 8) /* 32-bit gate */
        gate->offset |= (uint32_t)(raw >> 32 & 0xffff0000);
    return 0;
}

/* A task gate: the handler is a task; its TSS must be available and in the GDT. */
static int gate_task(struct vcpu *vcpu, const struct event *event, uint16_t selector)
{
    struct task_request request = { .selector = selector,
                                    .reason = TASK_GATE,
                                    .external = event->external,
                                    .flags = event->flags,
                                    .has_error = event->has_error,
                                    .error = event->error };
    unsigned type;
    int result;

    if (selector_local(selector))
        return fault_selector(vcpu, EXCEPTION_GP, selector, event->external);
    result = descriptor_read(vcpu, selector, EXCEPTION_GP, event->external, false, &request.tss);
    if (result)
        return result;
    type = descriptor_type(request.tss.raw);
    if (!descriptor_system(request.tss.raw) || (type != SYSTEM_TSS && type != SYSTEM_TSS16))
        return fault_selector(vcpu, EXCEPTION_GP, selector, event->external);
    if (!descriptor_present(request.tss.raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, event->external);
    vcpu->next_rip = event->return_rip;
    return task_switch_perform(vcpu, &request);
}

static int gate_code(struct vcpu *vcpu, const struct event *event, const struct legacy_gate *gate,
                     struct descriptor *code)
{
    int result;

    if (selector_null(gate->selector))
        return fault_raise_error(vcpu, EXCEPTION_GP, event->external);
    result = descriptor_read(vcpu, gate->selector, EXCEPTION_GP, event->external, false, code);
    if (result)
        return result;
    if (!descriptor_code(code->raw) || descriptor_dpl(code->raw) > vcpu->r.cpl)
        return fault_selector(vcpu, EXCEPTION_GP, gate->selector, event->external);
    if (!descriptor_present(code->raw))
        return fault_selector(vcpu, EXCEPTION_NP, gate->selector, event->external);
    /* Out of virtual-8086 mode only ring 0 can be entered. */
    if (vcpu_virtual8086(vcpu) &&
        (descriptor_conforming(code->raw) || descriptor_dpl(code->raw) != 0))
        return fault_selector(vcpu, EXCEPTION_GP, gate->selector, event->external);
    return descriptor_mark_accessed(vcpu, code);
}

static void gate_fill_frame(struct vcpu *vcpu, const struct event *event, bool inner,
                            struct stack_frame *frame)
{
    const struct vcpu_registers *r = &vcpu->r;

    if (vcpu_virtual8086(vcpu)) {
        frame_add(frame, r->segment[SEGMENT_GS].selector);
        frame_add(frame, r->segment[SEGMENT_FS].selector);
        frame_add(frame, r->segment[SEGMENT_DS].selector);
        frame_add(frame, r->segment[SEGMENT_ES].selector);
    }
    if (inner) {
        frame_add(frame, r->segment[SEGMENT_SS].selector);
        frame_add(frame, r->gpr[REGISTER_RSP]);
    }
    frame_add(frame, event->flags);
    frame_add(frame, r->segment[SEGMENT_CS].selector);
    frame_add(frame, event->return_rip);
    if (event->has_error)
        frame_add(frame, event->error);
}

/* Nothing here can fail. */
static void gate_commit(struct vcpu *vcpu, const struct legacy_gate *gate,
                        const struct descriptor *code, const struct stack_frame *frame,
                        unsigned cpl, bool inner)
{
    struct vcpu_registers *r = &vcpu->r;

    if (vcpu_virtual8086(vcpu)) {
        segment_set_null(&r->segment[SEGMENT_GS], 0, 0);
        segment_set_null(&r->segment[SEGMENT_FS], 0, 0);
        segment_set_null(&r->segment[SEGMENT_DS], 0, 0);
        segment_set_null(&r->segment[SEGMENT_ES], 0, 0);
    }
    if (inner) {
        r->segment[SEGMENT_SS] = frame->segment;
        r->gpr[REGISTER_RSP] = frame->pointer;
    } else {
        stack_pointer_set(vcpu, frame->address_size, frame->pointer);
    }
    segment_from_descriptor(&r->segment[SEGMENT_CS], (uint16_t)((gate->selector & 0xfffcu) | cpl),
                            code->raw);
    r->cpl = cpl;
    /* The mode changes once, with VM already as the handler sees it. */
    r->rflags &= ~(uint64_t)FLAG_VM;
    vcpu_mode_changed(vcpu);
    event_enter(vcpu, gate->offset,
                gate->type == SYSTEM_INTERRUPT_GATE || gate->type == SYSTEM_INTERRUPT_GATE16);
}

int event_deliver_legacy(struct vcpu *vcpu, const struct event *event)
{
    struct legacy_gate gate;
    struct descriptor code;
    struct stack_frame frame;
    unsigned cpl = vcpu->r.cpl, size;
    bool inner;
    int result;

    result = gate_read(vcpu, event, &gate);
    if (result)
        return result;
    if (gate.type == SYSTEM_TASK_GATE)
        return gate_task(vcpu, event, gate.selector);
    result = gate_code(vcpu, event, &gate, &code);
    if (result)
        return result;
    size = gate.type & 8 ? 4 : 2;
    if (!descriptor_conforming(code.raw))
        cpl = descriptor_dpl(code.raw);
    inner = cpl < vcpu->r.cpl;
    if (inner) {
        result = frame_init_inner(vcpu, &frame, cpl, size, event->external);
        if (result)
            return result;
    } else {
        frame_init_current(vcpu, &frame, size);
        frame.error = event->external;
    }
    if (gate.offset > descriptor_limit(code.raw))
        return fault_raise_error(vcpu, EXCEPTION_GP, event->external);
    gate_fill_frame(vcpu, event, inner, &frame);
    result = frame_push(vcpu, &frame);
    if (result)
        return result;
    gate_commit(vcpu, &gate, &code, &frame, cpl, inner);
    return 0;
}
