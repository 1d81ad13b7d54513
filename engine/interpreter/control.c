/* SPDX-License-Identifier: MIT */
/*
 * control.c - control registers, interrupt flag, caches, address translation, protection keys,
 * hypercalls.
 *
 * Writes are checked completely before anything changes (SDM Vol. 3, 2.5; Vol. 2, MOV to control
 * registers). A load of the PAE page-directory pointers can fail last, so the old registers are
 * kept and put back.
 */
#include "transfer.h"

#define CR0_DEFINED                                                                                \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
     CR0_PG)
#define CR3_NO_FLUSH (1ull << 63)

static bool privileged(const struct vcpu *vcpu)
{
    return vcpu->r.cpl == 0;
}

/* ---- Interrupt flag (SDM Vol. 2, CLI, STI). CR4.VME and CR4.PVI are not given, so IOPL alone
 * decides. ---- */

int interpret_cli(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (vcpu->r.cpl > vcpu_iopl(vcpu))
        return fault_gp(vcpu);
    flags_set(vcpu, vcpu->r.rflags & ~(uint64_t)FLAG_IF);
    return 0;
}

int interpret_sti(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (vcpu->r.cpl > vcpu_iopl(vcpu))
        return fault_gp(vcpu);
    if (vcpu->r.rflags & FLAG_IF)
        return 0;
    flags_set(vcpu, vcpu->r.rflags | FLAG_IF);
    vcpu->r.interrupt_shadow = SHADOW_STI;
    vcpu_raise(vcpu, ATTENTION_DEBUG);
    return 0;
}

int interpret_hlt(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (!privileged(vcpu))
        return fault_gp(vcpu);
    vcpu->r.activity = ACTIVITY_HALTED;
    vcpu->statistics.halts++;
    vcpu_raise(vcpu, ATTENTION_INTERRUPT); /* the boundary looks at the activity */
    return 0;
}

/* ---- CR0 ---- */

static bool pae_paging(const struct vcpu *vcpu)
{
    return (vcpu->r.cr0 & CR0_PG) && (vcpu->r.cr4 & CR4_PAE) && !(vcpu->r.efer & EFER_LMA);
}

static bool cr0_legal(const struct vcpu *vcpu, uint64_t value)
{
    bool turns_on = (value & CR0_PG) && !(vcpu->r.cr0 & CR0_PG);
    bool turns_off = !(value & CR0_PG) && (vcpu->r.cr0 & CR0_PG);

    if (value >> 32)
        return false; /* reserved; reserved bits below 32 are ignored instead */
    if ((value & CR0_PG) && !(value & CR0_PE))
        return false;
    if ((value & CR0_NW) && !(value & CR0_CD))
        return false;
    if (turns_on && (vcpu->r.efer & EFER_LME)) { /* entering IA-32e mode (SDM Vol. 3, 9.8.5) */
        if (!(vcpu->r.cr4 & CR4_PAE) || (vcpu->r.segment[SEGMENT_CS].rights & RIGHTS_L))
            return false;
    }
    if (turns_off && (vcpu->long_code || (vcpu->r.cr4 & CR4_PCIDE)))
        return false;
    return true;
}

int control_write_cr0(struct vcpu *vcpu, uint64_t value)
{
    struct vcpu_registers *r = &vcpu->r;
    uint64_t old_cr0 = r->cr0;

    if (!cr0_legal(vcpu, value))
        return fault_gp(vcpu);
    r->cr0 = (value & CR0_DEFINED) | CR0_ET;
    uint64_t changed = r->cr0 ^ old_cr0;
    if (changed & CR0_PG) {
        if ((r->cr0 & CR0_PG) && (r->efer & EFER_LME))
            r->efer |= EFER_LMA;
        else
            r->efer &= ~(uint64_t)EFER_LMA;
    }
    if (pae_paging(vcpu) && (changed & (CR0_PG | CR0_CD | CR0_NW))) {
        int result = paging_load_pdptes(vcpu);
        if (result) { /* EFER has not changed: this is not long mode */
            r->cr0 = old_cr0;
            return result;
        }
    }
    if (changed & CR0_PG)
        tlb_flush_all(vcpu);
    vcpu_mode_changed(vcpu);
    return 0;
}

int interpret_clts(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (!privileged(vcpu))
        return fault_gp(vcpu);
    vcpu->r.cr0 &= ~(uint64_t)CR0_TS;
    vcpu_mode_changed(vcpu);
    return 0;
}

int interpret_lmsw(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value;
    if (!privileged(vcpu))
        return fault_gp(vcpu);
    int result = operand_read_rm(vcpu, insn, 2, &value);
    if (result)
        return result;
    /* Four bits are loaded, and PE is only ever set. */
    return control_write_cr0(vcpu,
                             (vcpu->r.cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | (value & 0xf));
}

int interpret_smsw(struct vcpu *vcpu, const struct instruction *insn)
{
    if ((vcpu->r.cr4 & CR4_UMIP) && !privileged(vcpu))
        return fault_gp(vcpu);
    /* A register gets the operand size, memory always 16 bits. */
    unsigned size = insn->mod == 3 ? insn->operand_size : 2;
    return operand_write_rm(vcpu, insn, size, vcpu->r.cr0);
}

/* ---- CR3 ---- */

int control_write_cr3(struct vcpu *vcpu, uint64_t value)
{
    struct vcpu_registers *r = &vcpu->r;
    bool pcide = (r->cr4 & CR4_PCIDE) != 0;
    bool keep = pcide && (value & CR3_NO_FLUSH);
    uint64_t old = r->cr3;

    if (pcide)
        value &= ~CR3_NO_FLUSH;
    if (value >> vcpu->vm->model.physical_bits)
        return fault_gp(vcpu);
    r->cr3 = value;
    if (pae_paging(vcpu)) {
        int result = paging_load_pdptes(vcpu);
        if (result) {
            r->cr3 = old;
            return result;
        }
    }
    vcpu_mode_changed(vcpu);
    if (!pcide)
        tlb_flush_nonglobal(vcpu);
    else if (!keep)
        tlb_flush_asid(vcpu, (uint16_t)(value & 0xfff));
    return 0;
}

/* ---- CR4 ---- */

static bool cr4_legal(const struct vcpu *vcpu, uint64_t value)
{
    bool long_mode = (vcpu->r.efer & EFER_LMA) != 0;

    if (value & ~vcpu->vm->model.cr4_allowed)
        return false;
    if (long_mode && !(value & CR4_PAE))
        return false;
    if ((value & CR4_PCIDE) && !(vcpu->r.cr4 & CR4_PCIDE))
        return long_mode && (vcpu->r.cr3 & 0xfff) == 0;
    return true;
}

int control_write_cr4(struct vcpu *vcpu, uint64_t value)
{
    struct vcpu_registers *r = &vcpu->r;
    uint64_t old = r->cr4;

    if (!cr4_legal(vcpu, value))
        return fault_gp(vcpu);
    r->cr4 = value;
    uint64_t changed = value ^ old;
    if (pae_paging(vcpu) && (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP))) {
        int result = paging_load_pdptes(vcpu);
        if (result) {
            r->cr4 = old;
            return result;
        }
    }
    /* What SDM Vol. 3, 4.10.4.1 asks for. SMEP, SMAP and PKE need nothing: the TLB keeps the
     * tables' bits and checks permissions at each use. */
    if ((changed & (CR4_PGE | CR4_PSE | CR4_PAE)) || (old & ~value & CR4_PCIDE))
        tlb_flush_all(vcpu);
    vcpu_mode_changed(vcpu);
    return 0;
}

/* ---- MOV to and from control registers ---- */

int interpret_mov_from_cr(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->code_size == 64 ? 8 : 4;
    uint64_t value;

    switch (insn->reg) {
    case 0:
        value = vcpu->r.cr0;
        break;
    case 2:
        value = vcpu->r.cr2;
        break;
    case 3:
        value = vcpu->r.cr3;
        break;
    case 4:
        value = vcpu->r.cr4;
        break;
    case 8:
        value = controllers_cr8_read(vcpu);
        break;
    default:
        return fault_ud(vcpu);
    }
    if (!privileged(vcpu))
        return fault_gp(vcpu);
    register_write(vcpu, insn, insn->rm, size, value);
    return 0;
}

static int control_write_cr8(struct vcpu *vcpu, uint64_t value)
{
    if (value & ~0xfull)
        return fault_gp(vcpu);
    controllers_cr8_write(vcpu, value);
    return 0;
}

int interpret_mov_to_cr(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned reg = insn->reg;
    if (reg != 0 && reg != 2 && reg != 3 && reg != 4 && reg != 8)
        return fault_ud(vcpu);
    if (!privileged(vcpu))
        return fault_gp(vcpu);

    uint64_t value = register_read(vcpu, insn, insn->rm, insn->code_size == 64 ? 8 : 4);
    switch (reg) {
    case 0:
        return control_write_cr0(vcpu, value);
    case 3:
        return control_write_cr3(vcpu, value);
    case 4:
        return control_write_cr4(vcpu, value);
    case 8:
        return control_write_cr8(vcpu, value);
    default:
        vcpu->r.cr2 = value;
        return 0;
    }
}

/* ---- SMAP's window (SDM Vol. 2, CLAC, STAC): #UD, not #GP, above CPL 0 ---- */

int interpret_clac(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (!privileged(vcpu))
        return fault_ud(vcpu);
    flags_set(vcpu, vcpu->r.rflags & ~(uint64_t)FLAG_AC);
    return 0;
}

int interpret_stac(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (!privileged(vcpu))
        return fault_ud(vcpu);
    flags_set(vcpu, vcpu->r.rflags | FLAG_AC);
    return 0;
}

/* ---- Address translation ---- */

int interpret_invlpg(struct vcpu *vcpu, const struct instruction *insn)
{
    if (!privileged(vcpu))
        return fault_gp(vcpu);
    /* Only an address: no limit, no access; a non-canonical one is a no-operation (SDM Vol. 2,
     * INVLPG). */
    uint64_t linear = operand_offset(vcpu, insn);
    if (vcpu->long_code) {
        if (insn->segment == SEGMENT_FS || insn->segment == SEGMENT_GS)
            linear += vcpu->r.segment[insn->segment].base;
        if (!address_canonical(linear))
            return 0;
    } else {
        linear = (linear + vcpu->r.segment[insn->segment & 7].base) & 0xffffffff;
    }
    tlb_flush_page(vcpu, linear);
    return 0;
}

enum invpcid_type { INVPCID_ADDRESS, INVPCID_SINGLE, INVPCID_ALL, INVPCID_ALL_NONGLOBAL };

int interpret_invpcid(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t descriptor[2], linear;

    if (!privileged(vcpu))
        return fault_gp(vcpu);
    int result = operand_linear(vcpu, insn, sizeof(descriptor), ACCESS_READ, &linear);
    if (result)
        return result;
    result =
        access_settle(vcpu, linear_read(vcpu, linear, descriptor, sizeof(descriptor), ACCESS_READ));
    if (result)
        return result;

    uint64_t type = register_read(vcpu, insn, insn->reg, insn->code_size == 64 ? 8 : 4);
    uint16_t asid = (uint16_t)(descriptor[0] & 0xfff);
    if (type > INVPCID_ALL_NONGLOBAL || descriptor[0] >> 12)
        return fault_gp(vcpu);
    if (type <= INVPCID_SINGLE && asid && !(vcpu->r.cr4 & CR4_PCIDE))
        return fault_gp(vcpu);
    if (type == INVPCID_ADDRESS && !address_canonical(descriptor[1]))
        return fault_gp(vcpu);

    if (type == INVPCID_ADDRESS)
        tlb_flush_page_asid(vcpu, descriptor[1], asid);
    else if (type == INVPCID_SINGLE)
        tlb_flush_asid(vcpu, asid);
    else if (type == INVPCID_ALL)
        tlb_flush_all(vcpu);
    else
        tlb_flush_nonglobal(vcpu);
    return 0;
}

/* ---- Caches: the host's are coherent, so there is nothing to do ---- */

int interpret_invd(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return privileged(vcpu) ? 0 : fault_gp(vcpu);
}

int interpret_wbinvd(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return privileged(vcpu) ? 0 : fault_gp(vcpu);
}

/* MONITOR and MWAIT are not in the guest's CPUID; the gate has refused them already. */
int interpret_monitor(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return fault_ud(vcpu);
}

int interpret_mwait(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return fault_ud(vcpu);
}

/* ---- Protection keys (SDM Vol. 2, RDPKRU, WRPKRU). PKRU never reaches the host. ---- */

int interpret_rdpkru(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (!(vcpu->r.cr4 & CR4_PKE))
        return fault_ud(vcpu);
    if ((uint32_t)vcpu->r.gpr[REGISTER_RCX])
        return fault_gp(vcpu);
    vcpu->r.gpr[REGISTER_RAX] = vcpu->r.pkru;
    vcpu->r.gpr[REGISTER_RDX] = 0;
    return 0;
}

int interpret_wrpkru(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (!(vcpu->r.cr4 & CR4_PKE))
        return fault_ud(vcpu);
    if ((uint32_t)vcpu->r.gpr[REGISTER_RCX] || (uint32_t)vcpu->r.gpr[REGISTER_RDX])
        return fault_gp(vcpu);
    vcpu->r.pkru = (uint32_t)vcpu->r.gpr[REGISTER_RAX];
    tlb_mode_changed(vcpu);
    return 0;
}

/* ---- KVM's paravirtual calls (Linux Documentation/virt/kvm/x86/hypercalls.rst) ---- */

#define HYPERCALL_EPERM  (-1)
#define HYPERCALL_ENOSYS (-1000)

int interpret_hypercall(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    /* No call is offered in the KVM feature leaf, so every number is unknown. */
    int64_t result = privileged(vcpu) ? HYPERCALL_ENOSYS : HYPERCALL_EPERM;
    uint64_t mask = vcpu->long_code ? ~0ull : 0xffffffffull;
    vcpu->r.gpr[REGISTER_RAX] = (uint64_t)result & mask;
    return 0;
}

/* UD0, UD1, UD2: undefined by definition, so that software may rely on it. */
int interpret_undefined(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return fault_ud(vcpu);
}
