/* SPDX-License-Identifier: MIT */
/*
 * cpuid.c - CPUID: the model's table, and the few fields that follow the vCPU's state.
 *
 * CPUID is the classic critical instruction: it never traps at CPL 3 and shows the machine it runs
 * on.
 */
#include "interpreter.h"

#define BIT(n) (1u << (n))

#define LEAF1_APIC    BIT(9)  /* EDX */
#define LEAF1_XSAVE   BIT(26) /* ECX */
#define LEAF1_OSXSAVE BIT(27) /* ECX */
#define LEAF7_OSPKE   BIT(4)  /* ECX */

/* Fields that depend on who asks and on control registers (SDM Vol. 2A, CPUID, table 3-8). */
static void leaf_personalize(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_leaf *row)
{
    const struct cpu_model *model = &vcpu->vm->model;
    bool apic = (vcpu->r.apic_base & APIC_BASE_EN) != 0;

    switch (row->leaf) {
    case 1:
        row->ebx |= (uint32_t)vcpu->id << 24;
        if ((vcpu->r.cr4 & CR4_OSXSAVE) && (row->ecx & LEAF1_XSAVE))
            row->ecx |= LEAF1_OSXSAVE;
        if (!apic)
            row->edx &= ~LEAF1_APIC;
        break;
    case 7:
        if (subleaf == 0 && (vcpu->r.cr4 & CR4_PKE))
            row->ecx |= LEAF7_OSPKE;
        break;
    case 0xb: /* every subleaf, also the ones past the last, shows the x2APIC id */
        row->ecx = (row->ecx & ~0xffu) | (subleaf & 0xff);
        row->edx = vcpu->id;
        break;
    case 0xd:
        if (subleaf == 0 && row->eax)
            row->ebx = cpu_model_xsave_size(model, vcpu->r.xcr0);
        else if (subleaf == 1 && row->eax)
            row->ebx = cpu_model_xsavec_size(model, vcpu->r.xcr0);
        break;
    case 0x80000001:
        if (!apic && !model->vendor_intel)
            row->edx &= ~LEAF1_APIC;
        break;
    case 0x8000001e:
        row->eax = vcpu->id;
        row->ebx = vcpu->id & 0xff; /* core id; one thread a core */
        break;
    default:
        break;
    }
}

/* Which leaf answers for one that does not exist: Intel's highest basic leaf, AMD zeros. */
static uint32_t leaf_clamp(const struct cpu_model *model, uint32_t leaf)
{
    bool exists;
    if (leaf >= 0x40000000 && leaf <= 0x4fffffff) /* reserved for software: never clamped */
        return leaf;
    if (leaf & 0x80000000u)
        exists = leaf <= model->maximum_extended;
    else
        exists = leaf <= model->maximum_basic;
    return exists || !model->vendor_intel ? leaf : model->maximum_basic;
}

int interpret_cpuid(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    const struct cpu_model *model = &vcpu->vm->model;
    uint32_t leaf = leaf_clamp(model, (uint32_t)vcpu->r.gpr[REGISTER_RAX]);
    uint32_t subleaf = (uint32_t)vcpu->r.gpr[REGISTER_RCX];
    const struct cpuid_leaf *row = cpu_model_leaf(model, leaf, subleaf);
    struct cpuid_leaf out = row ? *row : (struct cpuid_leaf){ .leaf = leaf };

    leaf_personalize(vcpu, subleaf, &out);
    vcpu->r.gpr[REGISTER_RAX] = out.eax;
    vcpu->r.gpr[REGISTER_RBX] = out.ebx;
    vcpu->r.gpr[REGISTER_RCX] = out.ecx;
    vcpu->r.gpr[REGISTER_RDX] = out.edx;
    return 0;
}
