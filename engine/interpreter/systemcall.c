/* SPDX-License-Identifier: MIT */
/*
 * systemcall.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT.
 *
 * Sources: SDM Vol. 2 and AMD APM Vol. 3. Where they differ model.vendor_intel decides:
 *   SYSCALL, SYSRET outside 64-bit mode   Intel #UD; AMD works (CSTAR in compatibility mode)
 *   SYSRET to a non-canonical RCX         Intel #GP(0) at CPL 0; AMD returns and faults at CPL 3
 *   SYSRET and SS                         Intel loads flat attributes; AMD changes selector and DPL
 * only SYSENTER, SYSEXIT in long mode        Intel 64-bit targets; AMD #UD
 */
#include "transfer.h"

/* rights of the flat segments: G, P, S, accessed. */
#define RIGHTS_CODE64 0xa09bu
#define RIGHTS_CODE32 0xc09bu
#define RIGHTS_DATA32 0xc093u
#define RIGHTS_DPL3   0x0060u

/* Loads CS and SS from fixed values and changes the level. Cannot fail. */
static void enter_flat(struct vcpu *vcpu, uint16_t code, uint16_t stack, unsigned cpl, bool wide)
{
    struct vcpu_registers *r = &vcpu->r;
    uint16_t dpl = cpl == 3 ? RIGHTS_DPL3 : 0;

    segment_set_flat(&r->segment[SEGMENT_CS], code,
                     (uint16_t)((wide ? RIGHTS_CODE64 : RIGHTS_CODE32) | dpl));
    segment_set_flat(&r->segment[SEGMENT_SS], stack, (uint16_t)(RIGHTS_DATA32 | dpl));
    cpl_set(vcpu, cpl);
}

/* ---- SYSCALL ---- */

static bool syscall_defined(const struct vcpu *vcpu)
{
    if (!(vcpu->r.efer & EFER_SCE))
        return false;
    if (vcpu->vm->model.vendor_intel)
        return vcpu->long_code;
    return !vcpu_paragraphs(vcpu);
}

int interpret_syscall(struct vcpu *vcpu, const struct instruction *insn)
{
    struct vcpu_registers *r = &vcpu->r;
    uint16_t selector = (uint16_t)(r->star >> 32 & 0xfffc);
    uint64_t flags = r->rflags & ~(uint64_t)FLAG_RF;
    bool from_64 = vcpu->long_code;

    (void)insn;
    if (!syscall_defined(vcpu))
        return fault_ud(vcpu);
    r->gpr[REGISTER_RCX] = vcpu->next_rip;
    enter_flat(vcpu, selector, (uint16_t)(selector + 8), 0, vcpu->long_mode);
    if (vcpu->long_mode) {
        r->gpr[REGISTER_R11] = flags;
        vcpu->next_rip = from_64 ? r->lstar : r->cstar;
        flags_set(vcpu, flags & ~r->fmask);
    } else {
        r->gpr[REGISTER_RCX] &= 0xffffffff;
        vcpu->next_rip = r->star & 0xffffffff;
        flags_set(vcpu, flags & ~(uint64_t)(FLAG_IF | FLAG_VM));
    }
    return 0;
}

/* ---- SYSRET ---- */

/* AMD leaves base, limit and attributes of SS alone. */
static void sysret_stack_amd(struct vcpu *vcpu, const struct segment_register *before)
{
    struct segment_register *ss = &vcpu->r.segment[SEGMENT_SS];
    uint16_t selector = ss->selector;

    *ss = *before;
    ss->selector = selector;
    ss->rights |= RIGHTS_DPL3;
    vcpu_mode_changed(vcpu);
}

int interpret_sysret(struct vcpu *vcpu, const struct instruction *insn)
{
    struct vcpu_registers *r = &vcpu->r;
    struct segment_register before = r->segment[SEGMENT_SS];
    uint16_t star = (uint16_t)(r->star >> 48);
    uint64_t target = r->gpr[REGISTER_RCX];
    bool wide = vcpu->long_code && insn->operand_size == 8;
    bool intel = vcpu->vm->model.vendor_intel;

    if (!(r->efer & EFER_SCE) || (intel && !vcpu->long_code))
        return fault_ud(vcpu);
    if (vcpu_paragraphs(vcpu) || r->cpl != 0)
        return fault_gp(vcpu);
    if (intel && wide && !address_canonical(target))
        return fault_gp(vcpu);
    vcpu->next_rip = wide ? target : target & 0xffffffff;
    if (vcpu->long_mode)
        flags_set(vcpu, r->gpr[REGISTER_R11] & ~(uint64_t)(FLAG_RF | FLAG_VM));
    else
        flags_set(vcpu, r->rflags | FLAG_IF);
    enter_flat(vcpu, (uint16_t)((star + (wide ? 16 : 0)) | 3), (uint16_t)((star + 8) | 3), 3, wide);
    if (!intel)
        sysret_stack_amd(vcpu, &before);
    return 0;
}

/* ---- SYSENTER, SYSEXIT ---- */

int interpret_sysenter(struct vcpu *vcpu, const struct instruction *insn)
{
    struct vcpu_registers *r = &vcpu->r;
    uint16_t selector = (uint16_t)(r->sysenter_cs & 0xfffc);
    uint64_t mask = vcpu->long_mode ? ~0ull : 0xffffffff;

    (void)insn;
    if (vcpu->long_mode && !vcpu->vm->model.vendor_intel)
        return fault_ud(vcpu);
    if (!vcpu_protected(vcpu) || selector == 0)
        return fault_gp(vcpu);
    flags_set(vcpu, r->rflags & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
    enter_flat(vcpu, selector, (uint16_t)(selector + 8), 0, vcpu->long_mode);
    r->gpr[REGISTER_RSP] = r->sysenter_esp & mask;
    vcpu->next_rip = r->sysenter_eip & mask;
    return 0;
}

int interpret_sysexit(struct vcpu *vcpu, const struct instruction *insn)
{
    struct vcpu_registers *r = &vcpu->r;
    uint16_t selector = (uint16_t)(r->sysenter_cs & 0xfffc);
    uint64_t target = r->gpr[REGISTER_RDX], stack = r->gpr[REGISTER_RCX];
    bool wide = vcpu->long_code && insn->operand_size == 8;

    if (!vcpu_protected(vcpu) || r->cpl != 0)
        return fault_gp(vcpu);
    if (vcpu->long_mode && !vcpu->vm->model.vendor_intel)
        return fault_ud(vcpu);
    if (selector == 0)
        return fault_gp(vcpu);
    if (wide && (!address_canonical(target) || !address_canonical(stack)))
        return fault_gp(vcpu);
    selector = (uint16_t)(selector + (wide ? 32 : 16));
    enter_flat(vcpu, selector | 3, (uint16_t)((selector + 8) | 3), 3, wide);
    r->gpr[REGISTER_RSP] = wide ? stack : stack & 0xffffffff;
    vcpu->next_rip = wide ? target : target & 0xffffffff;
    return 0;
}
