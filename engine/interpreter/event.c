/* SPDX-License-Identifier: MIT */
/*
 * event.c - delivery of interrupts and exceptions: through 64-bit gates and the real-mode vector
 * table, and what happens when delivering faults (SDM Vol. 3, chapter 6; table 6-5 for double
 * faults). Gates of legacy protected mode are in gate.c.
 */
#include "transfer.h"

#define DR6_ACTIVE_LOW                                                                             \
    0xffff0ff0ull                /* bits that read as one; BLD and RTM report by clearing theirs */
#define DR6_CAUSES 0x0000f00full /* B0-B3, BD, BS, BT */
#define DR6_BREAKS 0x0000000full
#define DR6_BD     (1u << 13)
#define DR6_BLD    (1u << 11)
#define DR7_GD     (1u << 13)

void event_enter(struct vcpu *vcpu, uint64_t rip, bool interrupt_gate)
{
    uint64_t cleared = FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM;

    if (interrupt_gate)
        cleared |= FLAG_IF;
    vcpu->r.rip = rip;
    vcpu->next_rip = rip;
    flags_set(vcpu, vcpu->r.rflags & ~cleared);
}

/* ---- Real mode (SDM Vol. 3, 20.1.4) ---- */

static int event_deliver_real(struct vcpu *vcpu, const struct event *event)
{
    struct vcpu_registers *r = &vcpu->r;
    struct stack_frame frame;
    uint16_t entry[2] = { 0, 0 };
    int result;

    /* No error codes in real mode, neither pushed nor raised. */
    if (event->vector * 4u + 3u > r->idtr.limit)
        return fault_raise(vcpu, EXCEPTION_GP);
    result = system_read(vcpu, r->idtr.base + event->vector * 4u, entry, sizeof(entry), 0);
    if (result)
        return result;
    if (entry[0] > r->segment[SEGMENT_CS].limit)
        return fault_raise(vcpu, EXCEPTION_GP);
    frame_init_current(vcpu, &frame, 2);
    frame_add(&frame, event->flags & 0xffff);
    frame_add(&frame, r->segment[SEGMENT_CS].selector);
    frame_add(&frame, event->return_rip & 0xffff);
    result = frame_push(vcpu, &frame);
    if (result)
        return result;
    stack_pointer_set(vcpu, frame.address_size, frame.pointer);
    segment_set_paragraph(vcpu, SEGMENT_CS, entry[1]);
    r->rip = entry[0];
    vcpu->next_rip = entry[0];
    flags_set(vcpu, r->rflags & ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF));
    vcpu_mode_changed(vcpu);
    return 0;
}

/* ---- Long mode (SDM Vol. 3, 6.14) ---- */

struct gate64 {
    uint16_t selector;
    uint64_t offset;
    unsigned stack; /* IST index, 0: none */
    bool interrupt;
};

static int gate64_read(struct vcpu *vcpu, const struct event *event, struct gate64 *gate)
{
    uint64_t raw[2] = { 0, 0 };
    unsigned type;
    int result;

    if (event->vector * 16u + 15u > vcpu->r.idtr.limit)
        return fault_raise_error(vcpu, EXCEPTION_GP, event_gate_error(event));
    result = system_read(vcpu, vcpu->r.idtr.base + event->vector * 16u, raw, sizeof(raw),
                         event_gate_error(event));
    if (result)
        return result;
    type = descriptor_type(raw[0]);
    if (!descriptor_system(raw[0]) || (type != SYSTEM_INTERRUPT_GATE && type != SYSTEM_TRAP_GATE))
        return fault_raise_error(vcpu, EXCEPTION_GP, event_gate_error(event));
    if (event_software(event) && descriptor_dpl(raw[0]) < vcpu->r.cpl)
        return fault_raise_error(vcpu, EXCEPTION_GP, event_gate_error(event));
    if (!descriptor_present(raw[0]))
        return fault_raise_error(vcpu, EXCEPTION_NP, event_gate_error(event));
    gate->selector = (uint16_t)(raw[0] >> 16);
    gate->offset = (raw[0] & 0xffff) | (raw[0] >> 32 & 0xffff0000) | raw[1] << 32;
    gate->stack = (unsigned)(raw[0] >> 32) & 7;
    gate->interrupt = type == SYSTEM_INTERRUPT_GATE;
    return 0;
}

/* The handler's code segment: 64-bit, at the current or a more privileged level. */
static int gate64_code(struct vcpu *vcpu, const struct event *event, const struct gate64 *gate,
                       struct descriptor *code)
{
    int result;

    if (selector_null(gate->selector))
        return fault_raise_error(vcpu, EXCEPTION_GP, event->external);
    result = descriptor_read(vcpu, gate->selector, EXCEPTION_GP, event->external, false, code);
    if (result)
        return result;
    if (!descriptor_code(code->raw) || descriptor_dpl(code->raw) > vcpu->r.cpl ||
        !descriptor_long(code->raw) || descriptor_big(code->raw))
        return fault_selector(vcpu, EXCEPTION_GP, gate->selector, event->external);
    if (!descriptor_present(code->raw))
        return fault_selector(vcpu, EXCEPTION_NP, gate->selector, event->external);
    return descriptor_mark_accessed(vcpu, code);
}

/* Which stack the handler gets; always aligned to 16 bytes (SDM Vol. 3, 6.14.2). */
static int gate64_stack(struct vcpu *vcpu, const struct event *event, const struct gate64 *gate,
                        unsigned cpl, struct stack_frame *frame)
{
    int result = 0;

    frame->pointer = vcpu->r.gpr[REGISTER_RSP];
    if (gate->stack)
        result = tss_read_pointer(vcpu, 28 + gate->stack * 8, event->external, &frame->pointer);
    else if (cpl < vcpu->r.cpl)
        result = tss_read_pointer(vcpu, 4 + cpl * 8, event->external, &frame->pointer);
    if (result)
        return result;
    frame->pointer &= ~15ull;
    frame->segment = vcpu->r.segment[SEGMENT_SS];
    frame->address_size = 8;
    frame->size = 8;
    frame->access = cpl == 3 ? ACCESS_USER : ACCESS_SUPERVISOR;
    frame->error = event->external;
    frame->count = 0;
    return 0;
}

static int event_deliver_long(struct vcpu *vcpu, const struct event *event)
{
    struct vcpu_registers *r = &vcpu->r;
    struct descriptor code;
    struct stack_frame frame;
    struct gate64 gate;
    unsigned cpl = r->cpl;
    int result;

    result = gate64_read(vcpu, event, &gate);
    if (result)
        return result;
    result = gate64_code(vcpu, event, &gate, &code);
    if (result)
        return result;
    if (!descriptor_conforming(code.raw))
        cpl = descriptor_dpl(code.raw);
    result = gate64_stack(vcpu, event, &gate, cpl, &frame);
    if (result)
        return result;
    if (!address_canonical(gate.offset))
        return fault_raise_error(vcpu, EXCEPTION_GP, event->external);
    frame_add(&frame, r->segment[SEGMENT_SS].selector);
    frame_add(&frame, r->gpr[REGISTER_RSP]);
    frame_add(&frame, event->flags);
    frame_add(&frame, r->segment[SEGMENT_CS].selector);
    frame_add(&frame, event->return_rip);
    if (event->has_error)
        frame_add(&frame, event->error);
    result = frame_push(vcpu, &frame);
    if (result)
        return result;
    if (cpl < r->cpl)
        segment_set_null(&r->segment[SEGMENT_SS], (uint16_t)cpl, cpl);
    segment_from_descriptor(&r->segment[SEGMENT_CS], (uint16_t)((gate.selector & 0xfffcu) | cpl),
                            code.raw);
    r->gpr[REGISTER_RSP] = frame.pointer;
    cpl_set(vcpu, cpl);
    event_enter(vcpu, gate.offset, gate.interrupt);
    return 0;
}

/* ---- One event ---- */

static int event_deliver_raw(struct vcpu *vcpu, const struct event *event)
{
    int result;

    if (!vcpu_protected(vcpu))
        result = event_deliver_real(vcpu, event);
    else if (vcpu->long_mode)
        result = event_deliver_long(vcpu, event);
    else
        result = event_deliver_legacy(vcpu, event);
    if (result)
        return result;
    vcpu->r.interrupt_shadow = 0;
    if (event->kind == EVENT_NMI)
        vcpu->r.nmi_blocked = 1;
    return 0;
}

static struct event event_make(const struct vcpu *vcpu, unsigned vector, enum event_kind kind)
{
    struct event event = { .vector = (uint8_t)vector, .kind = kind, .flags = vcpu->r.rflags };
    bool after = event_software(&event) || kind == EVENT_PRIVILEGED_SOFTWARE;

    event.external = event_software(&event) ? 0 : 1; /* SDM Vol. 3, 6.13: INT1 sets EXT */
    event.return_rip = after ? vcpu->next_rip : vcpu->r.rip;
    return event;
}

/* Fault-class exceptions push RF = 1, so that an instruction breakpoint does not hit again on
 * return; traps, aborts, interrupts and instruction breakpoints push RF as it is (SDM Vol.
 * 3, 17.3.1.1). */
static bool event_pushes_resume(unsigned vector, enum event_kind kind, uint64_t debug_bits)
{
    if (kind != EVENT_EXCEPTION)
        return false;
    if (vector == EXCEPTION_DB)
        return debug_bits & DR6_BD;
    return vector != EXCEPTION_DF && vector != EXCEPTION_MC && vector != EXCEPTION_BP &&
           vector != EXCEPTION_OF;
}

int event_deliver_once(struct vcpu *vcpu, unsigned vector, enum event_kind kind, bool has_error,
                       uint32_t error)
{
    struct event event = event_make(vcpu, vector, kind);

    event.has_error = has_error;
    event.error = error;
    if (event_pushes_resume(vector, kind, 0))
        event.flags |= FLAG_RF;
    return event_deliver_raw(vcpu, &event);
}

/* ---- Nesting ---- */

/* What an exception does to CR2 and the debug registers before its handler runs. CR2 is written
 * even when the #PF becomes a double fault (SDM Vol. 3, 6.15, interrupt 14). */
static void fault_take_effect(struct vcpu *vcpu, const struct fault *fault)
{
    struct vcpu_registers *r = &vcpu->r;

    if (fault->vector == EXCEPTION_PF)
        r->cr2 = fault->address;
    if (fault->vector == EXCEPTION_DB) {
        r->dr[6] = (r->dr[6] & ~DR6_BREAKS) | DR6_ACTIVE_LOW | (fault->address & DR6_CAUSES);
        if (fault->address & DR6_BLD)
            r->dr[6] &= ~(uint64_t)DR6_BLD;
        r->dr[7] &= ~(uint64_t)DR7_GD;
    }
}

static bool fault_contributory(unsigned vector)
{
    return vector == EXCEPTION_DE || (vector >= EXCEPTION_TS && vector <= EXCEPTION_GP);
}

/* SDM Vol. 3, table 6-5: does `second`, met while delivering `first`, make a double fault? */
static bool fault_doubles(unsigned first, unsigned second)
{
    if (first == EXCEPTION_PF)
        return second == EXCEPTION_PF || fault_contributory(second);
    return fault_contributory(first) && fault_contributory(second);
}

int event_deliver(struct vcpu *vcpu, const struct fault *fault, enum event_kind kind)
{
    struct fault current = *fault;

    /* Benign events nest serially; each round but the first delivers what the last one raised, so
     * that double and triple faults end it. The bound is for states no hardware can be in. */
    for (unsigned round = 0; round < 8; round++) {
        struct event event;
        int result;

        if (kind == EVENT_EXCEPTION || kind == EVENT_TRAP)
            fault_take_effect(vcpu, &current);
        event = event_make(vcpu, current.vector, kind);
        event.has_error = current.has_error;
        event.error = current.error;
        if (event_pushes_resume(current.vector, kind, current.address))
            event.flags |= FLAG_RF;
        result = event_deliver_raw(vcpu, &event);
        if (result != -EFAULT)
            return result;
        if (kind == EVENT_EXCEPTION && current.vector == EXCEPTION_DF)
            return -ESHUTDOWN;
        if (kind == EVENT_EXCEPTION && fault_doubles(current.vector, vcpu->fault.vector)) {
            if (vcpu->fault.vector == EXCEPTION_PF)
                vcpu->r.cr2 = vcpu->fault.address;
            current = (struct fault){ .vector = EXCEPTION_DF, .has_error = true };
        } else {
            current = vcpu->fault;
        }
        kind = EVENT_EXCEPTION;
    }
    return -ESHUTDOWN;
}
