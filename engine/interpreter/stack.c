/* SPDX-License-Identifier: MIT */
/*
 * stack.c - stack instructions that do not fit the native mould: those that name rSP itself, move
 * several values, or touch flags and segment registers.
 */
#include "transfer.h"

int interpret_push_rm(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value;
    int result = operand_read_rm(vcpu, insn, insn->operand_size, &value);

    return result ? result : stack_push(vcpu, insn->operand_size, value);
}

/* An rSP-based address is computed after rSP has moved (SDM Vol. 2, POP). */
int interpret_pop_rm(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t pointer = vcpu->r.gpr[REGISTER_RSP], value;
    int result = stack_pop(vcpu, insn->operand_size, &value);

    if (result)
        return result;
    result = operand_write_rm(vcpu, insn, insn->operand_size, value);
    if (result == -EFAULT)
        vcpu->r.gpr[REGISTER_RSP] = pointer;
    return result;
}

int interpret_push_rsp(struct vcpu *vcpu, const struct instruction *insn)
{
    return stack_push(vcpu, insn->operand_size, vcpu->r.gpr[REGISTER_RSP]);
}

int interpret_pop_rsp(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value;
    int result = stack_pop(vcpu, insn->operand_size, &value);

    if (result)
        return result;
    register_write(vcpu, insn, REGISTER_RSP, insn->operand_size, value);
    return 0;
}

/* Several pushes in one instruction: memory is written push by push, as the processor does it, so
 * the pushes before a fault are seen there; the registers change only when all is done. */
struct pushes {
    uint64_t pointer; /* rSP so far */
    unsigned size;
};

static int pushes_add(struct vcpu *vcpu, struct pushes *pushes, uint64_t value)
{
    uint64_t pointer = (pushes->pointer - pushes->size) & bits_mask(vcpu->stack_size), linear;
    int result = segment_linear(vcpu, SEGMENT_SS, pointer, pushes->size, ACCESS_WRITE, &linear);

    if (!result)
        result =
            access_settle(vcpu, linear_write(vcpu, linear, &value, pushes->size, ACCESS_WRITE));
    if (result)
        return result;
    access_watch(vcpu, linear, pushes->size, true);
    pushes->pointer = pointer;
    return 0;
}

int interpret_pusha(struct vcpu *vcpu, const struct instruction *insn)
{
    struct pushes pushes = { vcpu->r.gpr[REGISTER_RSP], insn->operand_size };

    for (unsigned i = REGISTER_RAX; i <= REGISTER_RDI; i++) {
        int result = pushes_add(vcpu, &pushes, vcpu->r.gpr[i]);

        if (result)
            return result;
    }
    stack_pointer_set(vcpu, vcpu->stack_size, pushes.pointer);
    return 0;
}

int interpret_popa(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->operand_size;
    uint64_t value[8];

    for (unsigned i = 0; i < 8; i++) {
        int result = stack_read(vcpu, i * size, size, &value[i]);

        if (result)
            return result;
    }
    stack_adjust(vcpu, 8 * (int64_t)size);
    for (unsigned i = 0; i < 8; i++) {
        unsigned number = REGISTER_RDI - i;

        if (number != REGISTER_RSP)
            register_write(vcpu, insn, number, size, value[i]);
    }
    return 0;
}

/* ---- PUSHF, POPF (virtual-8086 rules: SDM Vol. 3, 20.2.7 and table 20-2) ---- */

/* In virtual-8086 mode below IOPL 3 only the 16-bit forms work, and only with CR4.VME, on VIF. */
static bool flags_use_vif(const struct vcpu *vcpu)
{
    return vcpu_virtual8086(vcpu) && vcpu_iopl(vcpu) < 3;
}

static bool flags_trap(const struct vcpu *vcpu, const struct instruction *insn)
{
    return flags_use_vif(vcpu) && !((vcpu->r.cr4 & CR4_VME) && insn->operand_size == 2);
}

int interpret_pushf(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t flags = vcpu->r.rflags & ~(uint64_t)(FLAG_RF | FLAG_VM);

    if (flags_trap(vcpu, insn))
        return fault_gp(vcpu);
    if (flags_use_vif(vcpu))
        flags = (flags & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
    return stack_push(vcpu, insn->operand_size, flags);
}

int interpret_popf(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value, mask = flags_writable(vcpu, insn->operand_size);
    int result;

    if (flags_trap(vcpu, insn))
        return fault_gp(vcpu);
    result = stack_read(vcpu, 0, insn->operand_size, &value);
    if (result)
        return result;
    if (flags_use_vif(vcpu)) {
        if ((value & FLAG_TF) || ((value & FLAG_IF) && (vcpu->r.rflags & FLAG_VIP)))
            return fault_gp(vcpu);
        value = value & FLAG_IF ? value | FLAG_VIF : value & ~(uint64_t)FLAG_VIF;
        mask |= FLAG_VIF;
    }
    stack_adjust(vcpu, insn->operand_size);
    flags_merge(vcpu, value, mask);
    return 0;
}

/* ---- ENTER, LEAVE ---- */

/* Copies the enclosing frame pointers. A read may hit what this very instruction has pushed. */
static int enter_display(struct vcpu *vcpu, unsigned level, struct pushes *pushes)
{
    uint64_t mask = bits_mask(vcpu->stack_size), rbp = vcpu->r.gpr[REGISTER_RBP];
    unsigned size = pushes->size;

    for (unsigned i = 1; i < level; i++) {
        uint64_t offset = (rbp - (uint64_t)i * size) & mask;
        uint64_t value = 0, linear;
        int result;

        result = segment_linear(vcpu, SEGMENT_SS, offset, size, ACCESS_READ, &linear);
        if (!result)
            result = access_settle(vcpu, linear_read(vcpu, linear, &value, size, ACCESS_READ));
        if (!result)
            result = pushes_add(vcpu, pushes, value);
        if (result)
            return result;
    }
    return 0;
}

int interpret_enter(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->operand_size, level = insn->immediate2 & 31u;
    struct pushes pushes = { vcpu->r.gpr[REGISTER_RSP], size };
    uint64_t top, bottom, linear;
    int result;

    result = pushes_add(vcpu, &pushes, vcpu->r.gpr[REGISTER_RBP]);
    /* The new rBP: above a 16-bit stack pointer it takes what ESP has there. */
    top = (vcpu->r.gpr[REGISTER_RSP] & ~bits_mask(vcpu->stack_size)) | pushes.pointer;
    if (!result)
        result = enter_display(vcpu, level, &pushes);
    if (!result && level > 0)
        result = pushes_add(vcpu, &pushes, top);
    if (result)
        return result;
    /* A write at the final rSP must be possible, though none is made. */
    bottom = (pushes.pointer - (insn->immediate & 0xffff)) & bits_mask(vcpu->stack_size);
    result = segment_linear(vcpu, SEGMENT_SS, bottom, size, ACCESS_WRITE, &linear);
    if (!result)
        result = linear_probe(vcpu, linear, size, ACCESS_WRITE);
    if (result)
        return result;
    register_write(vcpu, insn, REGISTER_RBP, size, top);
    stack_pointer_set(vcpu, vcpu->stack_size, bottom);
    return 0;
}

int interpret_leave(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t offset = vcpu->r.gpr[REGISTER_RBP] & bits_mask(vcpu->stack_size);
    unsigned size = insn->operand_size;
    uint64_t linear, value = 0;
    int result;

    result = segment_linear(vcpu, SEGMENT_SS, offset, size, ACCESS_READ, &linear);
    if (!result)
        result = access_settle(vcpu, linear_read(vcpu, linear, &value, size, ACCESS_READ));
    if (result)
        return result;
    stack_pointer_set(vcpu, vcpu->stack_size, offset + size);
    register_write(vcpu, insn, REGISTER_RBP, size, value);
    return 0;
}

/* ---- PUSH and POP of segment registers ---- */

/* 06 ES, 0E CS, 16 SS, 1E DS; 0F A0 FS, 0F A8 GS; the POP opcodes are one higher. */
static unsigned segment_of_opcode(const struct instruction *insn)
{
    return insn->opcode >> 3 & 7;
}

int interpret_push_segment(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->operand_size;
    uint64_t selector = vcpu->r.segment[segment_of_opcode(insn)].selector;
    uint64_t pointer = vcpu->r.gpr[REGISTER_RSP] - size, linear;
    int result;

    /* Intel writes two bytes of a 32-bit slot and leaves the rest (SDM Vol. 2, PUSH). */
    if (size != 4 || !vcpu->vm->model.vendor_intel)
        return stack_push(vcpu, size, selector);
    result = segment_linear(vcpu, SEGMENT_SS, pointer & bits_mask(vcpu->stack_size), 2,
                            ACCESS_WRITE, &linear);
    if (!result)
        result = access_settle(vcpu, linear_write(vcpu, linear, &selector, 2, ACCESS_WRITE));
    if (result)
        return result;
    stack_adjust(vcpu, -(int64_t)size);
    return 0;
}

int interpret_pop_segment(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->operand_size, segment = segment_of_opcode(insn);
    unsigned address_size = vcpu->stack_size; /* POP SS may change it */
    uint64_t pointer = vcpu->r.gpr[REGISTER_RSP] + size, value;
    int result = stack_read(vcpu, 0, size, &value);

    if (result)
        return result;
    result = segment_load(vcpu, segment, (uint16_t)value);
    if (result)
        return result;
    stack_pointer_set(vcpu, address_size, pointer);
    if (segment == SEGMENT_SS) {
        vcpu->r.interrupt_shadow = SHADOW_MOV_SS;
        vcpu_raise(vcpu, ATTENTION_DEBUG);
    }
    return 0;
}
