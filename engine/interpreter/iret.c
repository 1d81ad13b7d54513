/* SPDX-License-Identifier: MIT */
/*
 * iret.c - IRET in all its forms, and the software interrupts INT n, INT3, INT1 and INTO
 * (SDM Vol. 2, IRET/IRETD/IRETQ and INT n; virtual-8086 rules in Vol. 3, 20.3).
 */
#include "transfer.h"

/* What lies on the stack. */
struct iret_frame {
    uint64_t rip;
    uint16_t selector;
    uint64_t flags;
};

/* RFLAGS comes first, then CS, then SS if there is or seems to be one, then RIP. */
static int iret_read(struct vcpu *vcpu, unsigned size, struct iret_frame *frame)
{
    uint64_t selector = 0, ignored;
    int result = stack_read(vcpu, 2 * size, size, &frame->flags);

    if (!result)
        result = stack_read(vcpu, size, size, &selector);
    frame->selector = (uint16_t)selector;
    if (!result && !vcpu_paragraphs(vcpu) && (vcpu->long_code || (selector & 3u) != vcpu->r.cpl))
        result = stack_read(vcpu, 4 * size, size, &ignored);
    if (!result)
        result = stack_read(vcpu, 0, size, &frame->rip);
    return result;
}

/* ---- Real and virtual-8086 mode ---- */

/* CR4.VME: a 16-bit IRET below IOPL 3 works on VIF (SDM Vol. 3, table 20-2). */
static int iret_vme(struct vcpu *vcpu, const struct iret_frame *frame)
{
    bool interrupts = frame->flags & FLAG_IF;
    uint64_t flags;

    if (frame->rip > vcpu->r.segment[SEGMENT_CS].limit || (frame->flags & FLAG_TF) ||
        (interrupts && (vcpu->r.rflags & FLAG_VIP)))
        return fault_gp(vcpu);
    flags = vcpu->r.rflags & ~(uint64_t)FLAG_VIF;
    stack_adjust(vcpu, 6);
    segment_set_paragraph(vcpu, SEGMENT_CS, frame->selector);
    vcpu->next_rip = frame->rip;
    flags_set(vcpu, interrupts ? flags | FLAG_VIF : flags);
    flags_merge(vcpu, frame->flags, FLAG_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT);
    return 0;
}

static int iret_paragraph(struct vcpu *vcpu, unsigned size)
{
    bool virtual8086 = vcpu_virtual8086(vcpu);
    struct iret_frame frame;
    uint64_t mask;
    int result;

    if (virtual8086 && vcpu_iopl(vcpu) < 3 && !(vcpu->r.cr4 & CR4_VME && size == 2))
        return fault_gp(vcpu);
    result = iret_read(vcpu, size, &frame);
    if (result)
        return result;
    if (virtual8086 && vcpu_iopl(vcpu) < 3)
        return iret_vme(vcpu, &frame);
    if (frame.rip > vcpu->r.segment[SEGMENT_CS].limit)
        return fault_gp(vcpu);
    mask = flags_writable(vcpu, size);
    if (size > 2)
        mask |= FLAG_RF;
    stack_adjust(vcpu, (int64_t)(3u * size));
    segment_set_paragraph(vcpu, SEGMENT_CS, frame.selector);
    vcpu_mode_changed(vcpu);
    vcpu->next_rip = frame.rip;
    flags_merge(vcpu, frame.flags, mask);
    return 0;
}

/* ---- Protected mode to virtual-8086 mode: IRETD at CPL 0 with VM set in the image ---- */

static int iret_to_virtual8086(struct vcpu *vcpu, const struct iret_frame *frame)
{
    static const uint8_t names[] = { SEGMENT_SS, SEGMENT_ES, SEGMENT_DS, SEGMENT_FS, SEGMENT_GS };
    struct vcpu_registers *r = &vcpu->r;
    uint64_t pointer = 0, selector[ARRAY_SIZE(names)] = { 0 };
    int result = stack_read(vcpu, 12, 4, &pointer);

    for (unsigned i = 0; i < ARRAY_SIZE(names) && !result; i++)
        result = stack_read(vcpu, 16 + 4 * i, 4, &selector[i]);
    if (result)
        return result;
    if (frame->rip > 0xffff)
        return fault_gp(vcpu);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        segment_set_virtual8086(&r->segment[names[i]], (uint16_t)selector[i]);
    segment_set_virtual8086(&r->segment[SEGMENT_CS], frame->selector);
    r->gpr[REGISTER_RSP] = pointer;
    r->cpl = 3;
    flags_set(vcpu, frame->flags);
    vcpu_mode_changed(vcpu);
    vcpu->next_rip = frame->rip;
    return 0;
}

/* ---- Return from a nested task ---- */

static int iret_task(struct vcpu *vcpu)
{
    const struct segment_register *tr = &vcpu->r.segment[SEGMENT_TR];
    struct descriptor tss;
    uint16_t selector = 0;
    unsigned type;
    int result;

    if (tr->unusable || tr->limit < 1)
        return fault_selector(vcpu, EXCEPTION_TS, tr->selector, 0);
    result = system_read(vcpu, tr->base, &selector, 2, 0);
    if (result)
        return result;
    if (selector_local(selector))
        return fault_selector(vcpu, EXCEPTION_TS, selector, 0);
    result = descriptor_read(vcpu, selector, EXCEPTION_TS, 0, false, &tss);
    if (result)
        return result;
    type = descriptor_type(tss.raw);
    if (!descriptor_system(tss.raw) || (type != SYSTEM_TSS_BUSY && type != SYSTEM_TSS16_BUSY))
        return fault_selector(vcpu, EXCEPTION_TS, selector, 0);
    if (!descriptor_present(tss.raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, 0);
    return task_switch(vcpu, selector, &tss, TASK_IRET, false, 0);
}

/* ---- Protected and long mode ---- */

/* The stack of the frame: an outer level, or any return in 64-bit mode. */
static int iret_stack(struct vcpu *vcpu, unsigned size, unsigned cpl, const struct descriptor *code,
                      struct segment_register *stack, uint64_t *pointer)
{
    struct descriptor descriptor;
    uint64_t selector;
    int result = stack_read(vcpu, 3 * size, size, pointer);

    if (!result)
        result = stack_read(vcpu, 4 * size, size, &selector);
    if (result)
        return result;
    if (selector_null((uint16_t)selector)) {
        if (!vcpu->long_mode || !descriptor_long(code->raw) || cpl == 3)
            return fault_gp(vcpu);
        segment_set_null(stack, (uint16_t)selector, cpl);
        return 0;
    }
    result = segment_check_stack(vcpu, (uint16_t)selector, cpl, EXCEPTION_GP, 0, &descriptor);
    if (result)
        return result;
    segment_from_descriptor(stack, (uint16_t)selector, descriptor.raw);
    return 0;
}

static void iret_commit(struct vcpu *vcpu, unsigned size, const struct iret_frame *frame,
                        const struct descriptor *code)
{
    /* What may change is decided by the level that executes IRET. */
    uint64_t mask = flags_writable(vcpu, size);
    unsigned cpl = frame->selector & 3u;

    if (size > 2) {
        mask |= FLAG_RF;
        if (vcpu->r.cpl == 0)
            mask |= FLAG_VIF | FLAG_VIP;
    }
    segment_from_descriptor(&vcpu->r.segment[SEGMENT_CS], frame->selector, code->raw);
    cpl_set(vcpu, cpl);
    vcpu->next_rip = frame->rip;
    flags_merge(vcpu, frame->flags, mask);
}

static int iret_protected(struct vcpu *vcpu, unsigned size)
{
    struct segment_register stack;
    struct iret_frame frame;
    struct descriptor code;
    uint64_t pointer = 0;
    unsigned old_cpl = vcpu->r.cpl, cpl;
    bool switches;
    int result;

    result = iret_read(vcpu, size, &frame);
    if (result)
        return result;
    if (size == 4 && (frame.flags & FLAG_VM) && old_cpl == 0 && !vcpu->long_mode)
        return iret_to_virtual8086(vcpu, &frame);
    result = code_check_return(vcpu, frame.selector, &code);
    if (result)
        return result;
    result = code_check_offset(vcpu, code.raw, frame.rip, 0);
    if (result)
        return result;
    cpl = frame.selector & 3u;
    switches = cpl > old_cpl || vcpu->long_code;
    if (switches) {
        result = iret_stack(vcpu, size, cpl, &code, &stack, &pointer);
        if (result)
            return result;
    }
    if (switches)
        vcpu->r.segment[SEGMENT_SS] = stack;
    else
        stack_adjust(vcpu, (int64_t)(3u * size));
    iret_commit(vcpu, size, &frame, &code);
    if (switches)
        stack_pointer_set(vcpu, vcpu->stack_size, pointer);
    if (cpl > old_cpl)
        segments_drop(vcpu, cpl);
    return 0;
}

int interpret_iret(struct vcpu *vcpu, const struct instruction *insn)
{
    /* NMIs are unblocked even when IRET faults (SDM Vol. 2, IRET). */
    if (vcpu->r.nmi_blocked) {
        vcpu->r.nmi_blocked = 0;
        vcpu_raise(vcpu, ATTENTION_INTERRUPT);
    }
    if (vcpu_paragraphs(vcpu))
        return iret_paragraph(vcpu, insn->operand_size);
    if (vcpu->r.rflags & FLAG_NT)
        return vcpu->long_mode ? fault_gp(vcpu) : iret_task(vcpu);
    return iret_protected(vcpu, insn->operand_size);
}

/* ---- Software interrupts ---- */

/* CR4.VME: 1 when the TSS's redirection bitmap sends the vector to the 8086 program's own handler
 * (SDM Vol. 3, 20.3.3.4), 0 when not, or -EFAULT. */
static int redirected(struct vcpu *vcpu, unsigned vector)
{
    const struct segment_register *tr = &vcpu->r.segment[SEGMENT_TR];
    uint16_t map = 0;
    uint8_t byte = 0;
    int result;

    if (!(vcpu->r.cr4 & CR4_VME) || tr->unusable || tr->limit < 0x67)
        return 0;
    result = system_read(vcpu, tr->base + 0x66, &map, 2, 0);
    if (result)
        return result;
    /* The 32 bytes below the I/O permission bitmap. */
    if (map < 32 || map - 32u + vector / 8 > tr->limit)
        return fault_gp(vcpu);
    result = system_read(vcpu, tr->base + map - 32 + vector / 8, &byte, 1, 0);
    if (result)
        return result;
    return !(byte >> (vector & 7) & 1);
}

static int redirect(struct vcpu *vcpu, unsigned vector)
{
    uint64_t flags = vcpu->r.rflags, cleared = FLAG_TF;
    uint16_t entry[2] = { 0, 0 };
    struct stack_frame frame;
    int result;

    result = access_settle(vcpu, linear_read(vcpu, vector * 4, entry, 4, ACCESS_READ));
    if (result)
        return result;
    if (vcpu_iopl(vcpu) < 3) { /* the program sees VIF as IF, and IOPL 3 */
        flags = (flags & ~(uint64_t)FLAG_IF) | (flags & FLAG_VIF ? FLAG_IF : 0) | FLAG_IOPL;
        cleared |= FLAG_VIF;
    } else {
        cleared |= FLAG_IF;
    }
    frame_init_current(vcpu, &frame, 2);
    frame_add(&frame, flags);
    frame_add(&frame, vcpu->r.segment[SEGMENT_CS].selector);
    frame_add(&frame, vcpu->next_rip);
    result = frame_push(vcpu, &frame);
    if (result)
        return result;
    stack_pointer_set(vcpu, frame.address_size, frame.pointer);
    segment_set_paragraph(vcpu, SEGMENT_CS, entry[1]);
    vcpu->next_rip = entry[0];
    flags_set(vcpu, vcpu->r.rflags & ~cleared);
    return 0;
}

int interpret_int_n(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned vector = insn->immediate & 0xff;

    if (vcpu_protected(vcpu) && vcpu_virtual8086(vcpu)) {
        int result = redirected(vcpu, vector);

        if (result < 0)
            return result;
        if (result)
            return redirect(vcpu, vector);
        if (vcpu_iopl(vcpu) < 3)
            return fault_gp(vcpu);
    }
    return event_deliver_once(vcpu, vector, EVENT_SOFTWARE, false, 0);
}

int interpret_int3(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return event_deliver_once(vcpu, EXCEPTION_BP, EVENT_SOFTWARE_EXCEPTION, false, 0);
}

int interpret_int1(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return event_deliver_once(vcpu, EXCEPTION_DB, EVENT_PRIVILEGED_SOFTWARE, false, 0);
}

int interpret_into(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (vcpu->code_size == 64)
        return fault_ud(vcpu);
    if (!(vcpu->r.rflags & FLAG_OF))
        return 0;
    return event_deliver_once(vcpu, EXCEPTION_OF, EVENT_SOFTWARE_EXCEPTION, false, 0);
}
