/* SPDX-License-Identifier: MIT */
/*
 * segmentload.c - loading segment registers, descriptor-table registers and segment bases.
 */
#include "transfer.h"

/* MOV to SS and POP SS hold events off for one instruction (SDM Vol. 3, 6.8.3). */
static void shadow_stack_load(struct vcpu *vcpu)
{
    vcpu->r.interrupt_shadow = SHADOW_MOV_SS;
    vcpu_raise(vcpu, ATTENTION_DEBUG);
}

int interpret_mov_from_segment(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned segment = insn->reg & 7u;

    if (segment > SEGMENT_GS)
        return fault_ud(vcpu);
    /* Registers take the operand size, zero-extended; memory always two bytes. */
    return operand_write_rm(vcpu, insn, insn->mod == 3 ? insn->operand_size : 2,
                            vcpu->r.segment[segment].selector);
}

int interpret_mov_to_segment(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned segment = insn->reg & 7u;
    uint64_t selector;
    int result;

    if (segment > SEGMENT_GS || segment == SEGMENT_CS)
        return fault_ud(vcpu);
    result = operand_read_rm(vcpu, insn, 2, &selector);
    if (result)
        return result;
    result = segment_load(vcpu, segment, (uint16_t)selector);
    if (result)
        return result;
    if (segment == SEGMENT_SS)
        shadow_stack_load(vcpu);
    return 0;
}

int interpret_load_far_pointer(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned segment, size = insn->operand_size;
    uint16_t selector;
    uint64_t offset;
    int result;

    if (insn->mod == 3)
        return fault_ud(vcpu);
    if (insn->map == 0)
        segment = insn->opcode == 0xc4 ? SEGMENT_ES : SEGMENT_DS;
    else /* 0F B2 LSS, 0F B4 LFS, 0F B5 LGS */
        segment = insn->opcode & 7u;
    result = operand_far_pointer(vcpu, insn, &selector, &offset);
    if (result)
        return result;
    result = segment_load(vcpu, segment, selector);
    if (result)
        return result;
    if (size == 8 && !vcpu->vm->model.vendor_intel)
        size = 4; /* AMD has no m16:64 form */
    register_write(vcpu, insn, insn->reg, size, offset);
    return 0;
}

/* ---- GDTR and IDTR ---- */

static int table_load(struct vcpu *vcpu, const struct instruction *insn, struct table_register *out)
{
    unsigned size = insn->code_size == 64 ? 10 : 6;
    uint64_t linear, base = 0;
    uint8_t bytes[10] = { 0 };
    uint16_t limit;
    int result;

    if (insn->mod == 3)
        return fault_ud(vcpu);
    if (vcpu->r.cpl != 0)
        return fault_gp(vcpu);
    result = operand_linear(vcpu, insn, size, ACCESS_READ | ACCESS_NO_ALIGN_CHECK, &linear);
    if (result)
        return result;
    result = access_settle(vcpu, linear_read(vcpu, linear, bytes, size, ACCESS_READ));
    if (result)
        return result;
    memcpy(&limit, bytes, 2);
    memcpy(&base, bytes + 2, size - 2);
    if (size == 6 && insn->operand_size == 2)
        base &= 0xffffff; /* the 80286's 24 bits */
    if (!address_canonical(base) && insn->code_size == 64)
        return fault_gp(vcpu);
    *out = (struct table_register){ .base = base, .limit = limit };
    return 0;
}

int interpret_lgdt(struct vcpu *vcpu, const struct instruction *insn)
{
    return table_load(vcpu, insn, &vcpu->r.gdtr);
}

int interpret_lidt(struct vcpu *vcpu, const struct instruction *insn)
{
    return table_load(vcpu, insn, &vcpu->r.idtr);
}

/* ---- LDTR and TR ---- */

/* Reads an LDT or TSS descriptor from the GDT; 16 bytes in long mode. */
static int system_descriptor(struct vcpu *vcpu, uint16_t selector, bool task,
                             struct descriptor *out)
{
    unsigned type;
    bool fits;
    int result;

    if (selector_local(selector))
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    result = descriptor_read(vcpu, selector, EXCEPTION_GP, 0, vcpu->long_mode, out);
    if (result)
        return result;
    type = descriptor_type(out->raw);
    if (task)
        fits = type == SYSTEM_TSS || (type == SYSTEM_TSS16 && !vcpu->long_mode);
    else
        fits = type == SYSTEM_LDT;
    if (!descriptor_system(out->raw) || !fits)
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    /* Long mode: the type field of the second half must be zero, the base canonical. */
    if (vcpu->long_mode && (out->upper >> 40 & 0x1f) != 0)
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    if (!descriptor_present(out->raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, 0);
    return 0;
}

static int system_segment(struct vcpu *vcpu, uint16_t selector, const struct descriptor *descriptor,
                          struct segment_register *out)
{
    segment_from_descriptor(out, selector, descriptor->raw);
    if (vcpu->long_mode) {
        out->base |= descriptor->upper << 32;
        if (!address_canonical(out->base))
            return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    }
    return 0;
}

static int system_load_source(struct vcpu *vcpu, const struct instruction *insn, uint16_t *selector)
{
    uint64_t value;
    int result;

    if (vcpu_paragraphs(vcpu))
        return fault_ud(vcpu);
    if (vcpu->r.cpl != 0)
        return fault_gp(vcpu);
    result = operand_read_rm(vcpu, insn, 2, &value);
    if (result)
        return result;
    *selector = (uint16_t)value;
    return 0;
}

int interpret_lldt(struct vcpu *vcpu, const struct instruction *insn)
{
    struct descriptor descriptor;
    struct segment_register ldtr;
    uint16_t selector;
    int result = system_load_source(vcpu, insn, &selector);

    if (result)
        return result;
    if (selector_null(selector)) {
        segment_set_null(&vcpu->r.segment[SEGMENT_LDTR], selector, 0);
        return 0;
    }
    result = system_descriptor(vcpu, selector, false, &descriptor);
    if (!result)
        result = system_segment(vcpu, selector, &descriptor, &ldtr);
    if (result)
        return result;
    vcpu->r.segment[SEGMENT_LDTR] = ldtr;
    return 0;
}

int interpret_ltr(struct vcpu *vcpu, const struct instruction *insn)
{
    struct descriptor descriptor;
    struct segment_register tr;
    uint16_t selector;
    int result = system_load_source(vcpu, insn, &selector);

    if (result)
        return result;
    if (selector_null(selector))
        return fault_gp(vcpu);
    result = system_descriptor(vcpu, selector, true, &descriptor);
    if (!result)
        result = system_segment(vcpu, selector, &descriptor, &tr);
    if (!result)
        result = descriptor_update(vcpu, &descriptor, DESCRIPTOR_BUSY, 0);
    if (result)
        return result;
    tr.rights |= 2; /* busy */
    vcpu->r.segment[SEGMENT_TR] = tr;
    return 0;
}

/* ---- Segment bases ---- */

int interpret_swapgs(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t base = vcpu->r.segment[SEGMENT_GS].base;

    if (insn->code_size != 64)
        return fault_ud(vcpu);
    if (vcpu->r.cpl != 0)
        return fault_gp(vcpu);
    vcpu->r.segment[SEGMENT_GS].base = vcpu->r.kernel_gs_base;
    vcpu->r.kernel_gs_base = base;
    return 0;
}

static int base_read(struct vcpu *vcpu, const struct instruction *insn, unsigned segment)
{
    if (insn->code_size != 64 || !(vcpu->r.cr4 & CR4_FSGSBASE))
        return fault_ud(vcpu);
    register_write(vcpu, insn, insn->rm, insn->operand_size == 8 ? 8 : 4,
                   vcpu->r.segment[segment].base);
    return 0;
}

static int base_write(struct vcpu *vcpu, const struct instruction *insn, unsigned segment)
{
    uint64_t base;

    if (insn->code_size != 64 || !(vcpu->r.cr4 & CR4_FSGSBASE))
        return fault_ud(vcpu);
    base = register_read(vcpu, insn, insn->rm, insn->operand_size == 8 ? 8 : 4);
    if (!address_canonical(base))
        return fault_gp(vcpu);
    vcpu->r.segment[segment].base = base;
    return 0;
}

int interpret_rdfsbase(struct vcpu *vcpu, const struct instruction *insn)
{
    return base_read(vcpu, insn, SEGMENT_FS);
}

int interpret_rdgsbase(struct vcpu *vcpu, const struct instruction *insn)
{
    return base_read(vcpu, insn, SEGMENT_GS);
}

int interpret_wrfsbase(struct vcpu *vcpu, const struct instruction *insn)
{
    return base_write(vcpu, insn, SEGMENT_FS);
}

int interpret_wrgsbase(struct vcpu *vcpu, const struct instruction *insn)
{
    return base_write(vcpu, insn, SEGMENT_GS);
}
