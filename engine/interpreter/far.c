/* SPDX-License-Identifier: MIT */
/*
 * far.c - far JMP, CALL and RET: code segments, call gates with and without a stack switch, task
 * gates and TSSs (SDM Vol. 2, JMP, CALL, RET; Vol. 3, 5.8). IRET is in iret.c.
 */
#include "transfer.h"

/* The target as the instruction names it. */
struct far_target {
    uint16_t selector;
    uint64_t offset;
    uint8_t size; /* of a pushed item: 2, 4, 8 */
    bool call;
};

static int far_target_get(struct vcpu *vcpu, const struct instruction *insn, bool call,
                          struct far_target *target)
{
    target->call = call;
    target->size = insn->operand_size;
    if (insn->has_modrm) {
        if (insn->mod == 3)
            return fault_ud(vcpu);
        return operand_far_pointer(vcpu, insn, &target->selector, &target->offset);
    }
    target->selector = insn->immediate2;
    target->offset = insn->immediate & bits_mask(insn->operand_size);
    return 0;
}

/* ---- Real and virtual-8086 mode ---- */

static int far_paragraph(struct vcpu *vcpu, const struct far_target *target)
{
    struct stack_frame frame;
    int result;

    if (target->offset > vcpu->r.segment[SEGMENT_CS].limit)
        return fault_gp(vcpu);
    if (target->call) {
        frame_init_current(vcpu, &frame, target->size);
        frame_add(&frame, vcpu->r.segment[SEGMENT_CS].selector);
        frame_add(&frame, vcpu->next_rip);
        result = frame_push(vcpu, &frame);
        if (result)
            return result;
        stack_pointer_set(vcpu, frame.address_size, frame.pointer);
    }
    segment_set_paragraph(vcpu, SEGMENT_CS, target->selector);
    vcpu_mode_changed(vcpu);
    vcpu->next_rip = target->offset;
    return 0;
}

/* ---- Code segments ---- */

static void far_commit_code(struct vcpu *vcpu, uint16_t selector, const struct descriptor *code,
                            unsigned cpl, uint64_t offset)
{
    segment_from_descriptor(&vcpu->r.segment[SEGMENT_CS], (uint16_t)((selector & 0xfffcu) | cpl),
                            code->raw);
    cpl_set(vcpu, cpl);
    vcpu->next_rip = offset;
}

/* One push; *pointer is rSP so far. */
static int far_push(struct vcpu *vcpu, uint64_t *pointer, unsigned size, uint64_t value)
{
    uint64_t offset = (*pointer - size) & bits_mask(vcpu->stack_size), linear;
    int result = segment_linear(vcpu, SEGMENT_SS, offset, size, ACCESS_WRITE, &linear);

    if (!result)
        result = access_settle(vcpu, linear_write(vcpu, linear, &value, size, ACCESS_WRITE));
    if (result)
        return result;
    access_watch(vcpu, linear, size, true);
    *pointer = offset;
    return 0;
}

/* CS and RIP, push by push: a fault leaves what was pushed in memory, but rSP as it was. The stack
 * is already used in the mode of the code that is entered. */
static int far_push_return(struct vcpu *vcpu, const struct descriptor *code, unsigned size)
{
    const struct segment_register *ss = &vcpu->r.segment[SEGMENT_SS];
    uint64_t pointer = vcpu->r.gpr[REGISTER_RSP];
    bool long_code = vcpu->long_code;
    uint8_t stack_size = vcpu->stack_size, width;
    int result;

    vcpu->long_code = vcpu->long_mode && descriptor_long(code->raw);
    vcpu->stack_size = vcpu->long_code ? 8 : (ss->rights & RIGHTS_DB) && !ss->unusable ? 4 : 2;
    result = far_push(vcpu, &pointer, size, vcpu->r.segment[SEGMENT_CS].selector);
    if (!result)
        result = far_push(vcpu, &pointer, size, vcpu->next_rip);
    width = vcpu->stack_size;
    vcpu->long_code = long_code;
    vcpu->stack_size = stack_size;
    if (!result)
        stack_pointer_set(vcpu, width, pointer);
    return result;
}

static int far_code(struct vcpu *vcpu, const struct far_target *target, struct descriptor *code)
{
    unsigned dpl = descriptor_dpl(code->raw), cpl = vcpu->r.cpl;
    uint64_t pointer = vcpu->r.gpr[REGISTER_RSP];
    uint16_t selector = target->selector;
    int result;

    if (!descriptor_code(code->raw) ||
        (vcpu->long_mode && descriptor_long(code->raw) && descriptor_big(code->raw)))
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    if (descriptor_conforming(code->raw) ? dpl > cpl : (selector & 3u) > cpl || dpl != cpl)
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    if (!descriptor_present(code->raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, 0);
    result = descriptor_mark_accessed(vcpu, code);
    if (!result && target->call)
        result = far_push_return(vcpu, code, target->size);
    if (!result) /* after the pushes, which stay in memory */
        result = code_check_offset(vcpu, code->raw, target->offset, 0);
    if (result) {
        vcpu->r.gpr[REGISTER_RSP] = pointer;
        return result;
    }
    far_commit_code(vcpu, selector, code, cpl, target->offset);
    return 0;
}

/* ---- Call gates (SDM Vol. 3, 5.8.3 and 5.8.4) ---- */

struct call_gate {
    uint16_t selector;
    uint64_t offset;
    unsigned count; /* parameters to copy */
    unsigned size;  /* of each push: 2, 4, 8 */
};

static void call_gate_parse(const struct vcpu *vcpu, const struct descriptor *raw,
                            struct call_gate *gate)
{
    bool wide = descriptor_type(raw->raw) == SYSTEM_CALL_GATE;

    gate->selector = (uint16_t)(raw->raw >> 16);
    gate->offset = raw->raw & 0xffff;
    if (wide)
        gate->offset |= raw->raw >> 32 & 0xffff0000;
    gate->count = (unsigned)(raw->raw >> 32) & 31;
    gate->size = wide ? 4 : 2;
    if (vcpu->long_mode) {
        gate->offset |= raw->upper << 32;
        gate->count = 0;
        gate->size = 8;
    }
}

static int call_gate_code(struct vcpu *vcpu, const struct call_gate *gate, bool call,
                          struct descriptor *code)
{
    unsigned cpl = vcpu->r.cpl, dpl;
    int result;

    if (selector_null(gate->selector))
        return fault_gp(vcpu);
    result = descriptor_read(vcpu, gate->selector, EXCEPTION_GP, 0, false, code);
    if (result)
        return result;
    dpl = descriptor_dpl(code->raw);
    if (!descriptor_code(code->raw) || dpl > cpl)
        return fault_selector(vcpu, EXCEPTION_GP, gate->selector, 0);
    if (!call && !descriptor_conforming(code->raw) && dpl != cpl)
        return fault_selector(vcpu, EXCEPTION_GP, gate->selector, 0);
    if (vcpu->long_mode && (!descriptor_long(code->raw) || descriptor_big(code->raw)))
        return fault_selector(vcpu, EXCEPTION_GP, gate->selector, 0);
    if (!descriptor_present(code->raw))
        return fault_selector(vcpu, EXCEPTION_NP, gate->selector, 0);
    result = code_check_offset(vcpu, code->raw, gate->offset, 0);
    if (result)
        return result;
    return descriptor_mark_accessed(vcpu, code);
}

/* Chooses the inner stack and fills the frame up to the parameters. */
static int call_gate_frame(struct vcpu *vcpu, const struct call_gate *gate, unsigned cpl,
                           struct stack_frame *frame)
{
    struct vcpu_registers *r = &vcpu->r;
    uint64_t value;
    int result;

    if (vcpu->long_mode) {
        result = tss_read_pointer(vcpu, 4 + cpl * 8, 0, &frame->pointer);
        segment_set_null(&frame->segment, (uint16_t)cpl, cpl);
        frame->address_size = 8;
        frame->size = 8;
        frame->access = ACCESS_SUPERVISOR;
        frame->error = 0;
        frame->count = 0;
    } else {
        result = frame_init_inner(vcpu, frame, cpl, gate->size, 0);
    }
    if (result)
        return result;
    frame_add(frame, r->segment[SEGMENT_SS].selector);
    frame_add(frame, r->gpr[REGISTER_RSP]);
    /* The last parameter pushed lies lowest: copy from the deepest. */
    for (unsigned i = gate->count; i-- > 0;) {
        result = stack_read(vcpu, i * gate->size, gate->size, &value);
        if (result)
            return result;
        frame_add(frame, value);
    }
    return 0;
}

static int call_gate_inner(struct vcpu *vcpu, const struct call_gate *gate,
                           const struct descriptor *code)
{
    unsigned cpl = descriptor_dpl(code->raw);
    struct stack_frame frame;
    int result = call_gate_frame(vcpu, gate, cpl, &frame);

    if (result)
        return result;
    frame_add(&frame, vcpu->r.segment[SEGMENT_CS].selector);
    frame_add(&frame, vcpu->next_rip);
    result = frame_push(vcpu, &frame);
    if (result)
        return result;
    vcpu->r.segment[SEGMENT_SS] = frame.segment;
    vcpu->r.gpr[REGISTER_RSP] = frame.pointer;
    far_commit_code(vcpu, gate->selector, code, cpl, gate->offset);
    return 0;
}

static int far_call_gate(struct vcpu *vcpu, const struct far_target *target,
                         const struct descriptor *raw)
{
    struct descriptor code;
    struct call_gate gate;
    int result;

    if (vcpu->long_mode && (raw->upper >> 40 & 0x1f) != 0) /* the type field of the second half */
        return fault_selector(vcpu, EXCEPTION_GP, target->selector, 0);
    if (!descriptor_present(raw->raw))
        return fault_selector(vcpu, EXCEPTION_NP, target->selector, 0);
    call_gate_parse(vcpu, raw, &gate);
    result = call_gate_code(vcpu, &gate, target->call, &code);
    if (result)
        return result;
    if (target->call && !descriptor_conforming(code.raw) && descriptor_dpl(code.raw) < vcpu->r.cpl)
        return call_gate_inner(vcpu, &gate, &code);
    if (target->call) {
        result = far_push_return(vcpu, &code, gate.size);
        if (result)
            return result;
    }
    far_commit_code(vcpu, gate.selector, &code, vcpu->r.cpl, gate.offset);
    return 0;
}

/* ---- Tasks ---- */

static int far_task(struct vcpu *vcpu, const struct far_target *target, uint16_t selector,
                    const struct descriptor *tss)
{
    if (!descriptor_present(tss->raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, 0);
    return task_switch(vcpu, selector, tss, target->call ? TASK_CALL : TASK_JMP, false, 0);
}

static bool tss_available(const struct descriptor *tss)
{
    unsigned type = descriptor_type(tss->raw);

    return descriptor_system(tss->raw) && (type == SYSTEM_TSS || type == SYSTEM_TSS16);
}

static int far_task_gate(struct vcpu *vcpu, const struct far_target *target,
                         const struct descriptor *gate)
{
    uint16_t selector = (uint16_t)(gate->raw >> 16);
    struct descriptor tss;
    int result;

    if (!descriptor_present(gate->raw))
        return fault_selector(vcpu, EXCEPTION_NP, target->selector, 0);
    if (selector_local(selector))
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    result = descriptor_read(vcpu, selector, EXCEPTION_GP, 0, false, &tss);
    if (result)
        return result;
    if (!tss_available(&tss))
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    return far_task(vcpu, target, selector, &tss);
}

/* ---- Dispatch on the descriptor ---- */

static int far_system(struct vcpu *vcpu, const struct far_target *target,
                      struct descriptor *descriptor)
{
    unsigned type = descriptor_type(descriptor->raw), dpl = descriptor_dpl(descriptor->raw);
    bool allowed = vcpu->long_mode ? type == SYSTEM_CALL_GATE
                                   : type == SYSTEM_CALL_GATE || type == SYSTEM_CALL_GATE16 ||
                                         type == SYSTEM_TASK_GATE || tss_available(descriptor);
    int result;

    if (!allowed || dpl < vcpu->r.cpl || (target->selector & 3u) > dpl)
        return fault_selector(vcpu, EXCEPTION_GP, target->selector, 0);
    if (type == SYSTEM_TASK_GATE)
        return far_task_gate(vcpu, target, descriptor);
    if (tss_available(descriptor)) {
        if (selector_local(target->selector))
            return fault_selector(vcpu, EXCEPTION_GP, target->selector, 0);
        return far_task(vcpu, target, target->selector, descriptor);
    }
    if (vcpu->long_mode) {
        result = descriptor_read(vcpu, target->selector, EXCEPTION_GP, 0, true, descriptor);
        if (result)
            return result;
        /* Read again, so checked again: another processor may have written in between. */
        if (!descriptor_system(descriptor->raw) ||
            descriptor_type(descriptor->raw) != SYSTEM_CALL_GATE)
            return fault_selector(vcpu, EXCEPTION_GP, target->selector, 0);
    }
    return far_call_gate(vcpu, target, descriptor);
}

static int far_transfer(struct vcpu *vcpu, const struct instruction *insn, bool call)
{
    struct descriptor descriptor;
    struct far_target target;
    int result = far_target_get(vcpu, insn, call, &target);

    if (result)
        return result;
    if (vcpu_paragraphs(vcpu))
        return far_paragraph(vcpu, &target);
    if (selector_null(target.selector))
        return fault_gp(vcpu);
    result = descriptor_read(vcpu, target.selector, EXCEPTION_GP, 0, false, &descriptor);
    if (result)
        return result;
    if (descriptor_system(descriptor.raw))
        return far_system(vcpu, &target, &descriptor);
    return far_code(vcpu, &target, &descriptor);
}

int interpret_jmp_far(struct vcpu *vcpu, const struct instruction *insn)
{
    return far_transfer(vcpu, insn, false);
}

int interpret_call_far(struct vcpu *vcpu, const struct instruction *insn)
{
    return far_transfer(vcpu, insn, true);
}

/* ---- RET far ---- */

static int ret_far_paragraph(struct vcpu *vcpu, const struct instruction *insn, uint64_t offset,
                             uint16_t selector)
{
    if (offset > vcpu->r.segment[SEGMENT_CS].limit)
        return fault_gp(vcpu);
    stack_adjust(vcpu, (int64_t)(2u * insn->operand_size + (insn->immediate & 0xffff)));
    segment_set_paragraph(vcpu, SEGMENT_CS, selector);
    vcpu_mode_changed(vcpu);
    vcpu->next_rip = offset;
    return 0;
}

/* To a less privileged level: the stack comes from the frame. */
static int ret_far_outer(struct vcpu *vcpu, const struct instruction *insn, uint64_t offset,
                         uint16_t selector, const struct descriptor *code)
{
    unsigned size = insn->operand_size, cpl = selector & 3u;
    unsigned parameters = insn->immediate & 0xffff;
    struct segment_register stack;
    struct descriptor descriptor;
    uint64_t pointer, value;
    int result;

    result = stack_read(vcpu, 2 * size + parameters, size, &pointer);
    if (!result)
        result = stack_read(vcpu, 3 * size + parameters, size, &value);
    if (result)
        return result;
    if (selector_null((uint16_t)value)) {
        /* A null SS is legal in 64-bit code below CPL 3. */
        if (!vcpu->long_mode || !descriptor_long(code->raw) || cpl == 3)
            return fault_gp(vcpu);
        segment_set_null(&stack, (uint16_t)value, cpl);
    } else {
        result = segment_check_stack(vcpu, (uint16_t)value, cpl, EXCEPTION_GP, 0, &descriptor);
        if (result)
            return result;
        segment_from_descriptor(&stack, (uint16_t)value, descriptor.raw);
    }
    result = code_check_offset(vcpu, code->raw, offset, 0);
    if (result)
        return result;
    vcpu->r.segment[SEGMENT_SS] = stack;
    far_commit_code(vcpu, selector, code, cpl, offset);
    stack_pointer_set(vcpu, vcpu->stack_size, pointer + parameters);
    segments_drop(vcpu, cpl);
    return 0;
}

int interpret_ret_far(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->operand_size;
    struct descriptor code;
    uint64_t offset, value;
    uint16_t selector;
    int result;

    /* CS comes first, then RIP, then SS if another level seems to be meant. */
    result = stack_read(vcpu, size, size, &value);
    if (!result)
        result = stack_read(vcpu, 0, size, &offset);
    if (result)
        return result;
    selector = (uint16_t)value;
    if (!vcpu_paragraphs(vcpu) && (selector & 3u) != vcpu->r.cpl)
        result = stack_read(vcpu, 3 * size + (insn->immediate & 0xffff), size, &value);
    if (result)
        return result;
    if (vcpu_paragraphs(vcpu))
        return ret_far_paragraph(vcpu, insn, offset, selector);
    result = code_check_return(vcpu, selector, &code);
    if (result)
        return result;
    if ((selector & 3u) > vcpu->r.cpl)
        return ret_far_outer(vcpu, insn, offset, selector, &code);
    result = code_check_offset(vcpu, code.raw, offset, 0);
    if (result)
        return result;
    stack_adjust(vcpu, (int64_t)(2u * size + (insn->immediate & 0xffff)));
    far_commit_code(vcpu, selector, &code, vcpu->r.cpl, offset);
    return 0;
}
