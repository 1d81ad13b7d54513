/* SPDX-License-Identifier: MIT */
/*
 * kvmstate.c - registers between include/origami/state.h and KVM's structures. What KVM keeps for
 * itself (TSC offset, interrupt controllers) is not translated.
 */
#include "kvm.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

/* Descriptor bits in segment_register.rights that state.h has no name for. */
#define RIGHTS_AVL 0x1000u

static struct kvm_segment *segment_of(struct kvm_sregs *sregs, unsigned i)
{
    struct kvm_segment *const order[8] = { &sregs->es, &sregs->cs, &sregs->ss,  &sregs->ds,
                                           &sregs->fs, &sregs->gs, &sregs->ldt, &sregs->tr };

    return order[i];
}

static void segment_to_kvm(struct kvm_segment *to, const struct segment_register *from)
{
    *to = (struct kvm_segment){ .base = from->base,
                                .limit = from->limit,
                                .selector = from->selector,
                                .type = from->rights & RIGHTS_TYPE,
                                .s = !!(from->rights & RIGHTS_S),
                                .dpl = (from->rights & RIGHTS_DPL) >> RIGHTS_DPL_SHIFT & 3,
                                .present = !!(from->rights & RIGHTS_P) && !from->unusable,
                                .avl = !!(from->rights & RIGHTS_AVL),
                                .l = !!(from->rights & RIGHTS_L),
                                .db = !!(from->rights & RIGHTS_DB),
                                .g = !!(from->rights & RIGHTS_G),
                                .unusable = from->unusable };
}

static void segment_from_kvm(struct segment_register *to, const struct kvm_segment *from)
{
    unsigned rights = from->type | (unsigned)from->dpl << RIGHTS_DPL_SHIFT;

    rights |= (from->s ? RIGHTS_S : 0) | (from->present ? RIGHTS_P : 0) |
              (from->avl ? RIGHTS_AVL : 0) | (from->l ? RIGHTS_L : 0) | (from->db ? RIGHTS_DB : 0) |
              (from->g ? RIGHTS_G : 0);
    *to = (struct segment_register){ .base = from->base,
                                     .limit = from->limit,
                                     .selector = from->selector,
                                     .rights = (uint16_t)rights,
                                     .unusable = from->unusable };
}

/* ---- General registers: ours in the order of the encoding, KVM's by name ---- */

static void general_to_kvm(struct kvm_regs *to, const struct vcpu_registers *from)
{
    const uint64_t *r = from->gpr;

    *to = (struct kvm_regs){ .rax = r[0],
                             .rcx = r[1],
                             .rdx = r[2],
                             .rbx = r[3],
                             .rsp = r[4],
                             .rbp = r[5],
                             .rsi = r[6],
                             .rdi = r[7],
                             .r8 = r[8],
                             .r9 = r[9],
                             .r10 = r[10],
                             .r11 = r[11],
                             .r12 = r[12],
                             .r13 = r[13],
                             .r14 = r[14],
                             .r15 = r[15],
                             .rip = from->rip,
                             .rflags = from->rflags };
}

static void general_from_kvm(struct vcpu_registers *to, const struct kvm_regs *from)
{
    const uint64_t r[16] = { from->rax, from->rcx, from->rdx, from->rbx, from->rsp, from->rbp,
                             from->rsi, from->rdi, from->r8,  from->r9,  from->r10, from->r11,
                             from->r12, from->r13, from->r14, from->r15 };

    memcpy(to->gpr, r, sizeof(r));
    to->rip = from->rip;
    to->rflags = from->rflags;
}

/* ---- MSRs ---- */

#define MSR(index, member)                                                                         \
    {                                                                                              \
        index, offsetof(struct vcpu_registers, member)                                             \
    }
#define RANGE(index, member, i)                                                                    \
    {                                                                                              \
        (index) + (i), offsetof(struct vcpu_registers, member) + 8 * (i)                           \
    }

/* SDM Vol. 4, table 2-2; KVM's from Documentation/virt/kvm/x86/msr.rst */
static const struct {
    uint32_t index;
    size_t offset;
} msrs[] = {
    MSR(0xc0000081, star),
    MSR(0xc0000082, lstar),
    MSR(0xc0000083, cstar),
    MSR(0xc0000084, fmask),
    MSR(0xc0000102, kernel_gs_base),
    MSR(0xc0000103, tsc_aux),
    MSR(0x3b, tsc_adjust),
    MSR(0x174, sysenter_cs),
    MSR(0x175, sysenter_esp),
    MSR(0x176, sysenter_eip),
    MSR(0x277, pat),
    MSR(0x1a0, misc_enable),
    MSR(0x48, spec_ctrl),
    MSR(0x2ff, mtrr_def_type),
    MSR(0x250, mtrr_fixed[0]),
    MSR(0x258, mtrr_fixed[1]),
    MSR(0x259, mtrr_fixed[2]),
    MSR(0x268, mtrr_fixed[3]),
    MSR(0x269, mtrr_fixed[4]),
    MSR(0x26a, mtrr_fixed[5]),
    MSR(0x26b, mtrr_fixed[6]),
    MSR(0x26c, mtrr_fixed[7]),
    MSR(0x26d, mtrr_fixed[8]),
    MSR(0x26e, mtrr_fixed[9]),
    MSR(0x26f, mtrr_fixed[10]),
    MSR(0x200, mtrr_base[0]),
    MSR(0x201, mtrr_mask[0]),
    MSR(0x202, mtrr_base[1]),
    MSR(0x203, mtrr_mask[1]),
    MSR(0x204, mtrr_base[2]),
    MSR(0x205, mtrr_mask[2]),
    MSR(0x206, mtrr_base[3]),
    MSR(0x207, mtrr_mask[3]),
    MSR(0x208, mtrr_base[4]),
    MSR(0x209, mtrr_mask[4]),
    MSR(0x20a, mtrr_base[5]),
    MSR(0x20b, mtrr_mask[5]),
    MSR(0x20c, mtrr_base[6]),
    MSR(0x20d, mtrr_mask[6]),
    MSR(0x20e, mtrr_base[7]),
    MSR(0x20f, mtrr_mask[7]),
    MSR(0x17a, mcg_status),
    MSR(0x17b, mcg_ctl),
    MSR(0x4b564d00, kvm_wall_clock),
    MSR(0x4b564d01, kvm_system_time),
    MSR(0x4b564d02, kvm_async_pf),
    MSR(0x4b564d03, kvm_steal_time),
    MSR(0x4b564d04, kvm_pv_eoi),
    MSR(0x8b, bios_sign_id),
    MSR(0x1d9, debugctl),
};

union one_msr {
    struct kvm_msrs header;
    uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

static int msr_access(int vcpu, unsigned long request, uint32_t index, uint64_t *value)
{
    union one_msr one = { .header = { .nmsrs = 1 } };
    struct kvm_msr_entry entry = { .index = index, .data = *value };

    memcpy(one.room + sizeof(one.header), &entry, sizeof(entry));
    int done = ioctl(vcpu, request, &one.header);
    if (done < 0)
        return -errno;
    memcpy(&entry, one.room + sizeof(one.header), sizeof(entry));
    *value = entry.data;
    return done == 1 ? 0 : -ENOENT;
}

/* Those that this CPU or kernel has not read as 0. */
static void get_msrs(struct backend *backend, struct vcpu_registers *registers)
{
    for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
        uint64_t value = 0;
        if (msr_access(backend->vcpu, KVM_GET_MSRS, msrs[i].index, &value) != 0)
            value = 0;
        memcpy((uint8_t *)registers + msrs[i].offset, &value, sizeof(value));
    }
}

/* Writes what differs: one that is not there must be 0, one that may not be written stay as it is.
 */
static int set_msrs(struct backend *backend, const struct vcpu_registers *registers)
{
    for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
        uint64_t value, old = 0;
        memcpy(&value, (const uint8_t *)registers + msrs[i].offset, sizeof(value));
        if (msr_access(backend->vcpu, KVM_GET_MSRS, msrs[i].index, &old) != 0)
            old = 0;
        if (value == old)
            continue;
        int result = msr_access(backend->vcpu, KVM_SET_MSRS, msrs[i].index, &value);
        if (result)
            return result;
    }
    return 0;
}

/* ---- The whole ---- */

static uint32_t activity_from_kvm(uint32_t state)
{
    if (state == KVM_MP_STATE_HALTED)
        return ACTIVITY_HALTED;
    return state == KVM_MP_STATE_RUNNABLE ? ACTIVITY_RUNNING : ACTIVITY_WAIT_INIT;
}

int kvm_get_registers(struct backend *backend, struct vcpu_registers *registers)
{
    struct kvm_regs general;
    struct kvm_sregs system;
    struct kvm_debugregs debug;
    struct kvm_xcrs xcrs = { 0 };
    struct kvm_vcpu_events events;
    struct kvm_mp_state activity;
    int vcpu = backend->vcpu;

    if (ioctl(vcpu, KVM_GET_REGS, &general) || ioctl(vcpu, KVM_GET_SREGS, &system) ||
        ioctl(vcpu, KVM_GET_DEBUGREGS, &debug) || ioctl(vcpu, KVM_GET_XCRS, &xcrs) ||
        ioctl(vcpu, KVM_GET_VCPU_EVENTS, &events) || ioctl(vcpu, KVM_GET_MP_STATE, &activity))
        return -errno;
    memset(registers, 0, sizeof(*registers));
    general_from_kvm(registers, &general);
    for (unsigned i = 0; i < 8; i++)
        segment_from_kvm(&registers->segment[i], segment_of(&system, i));
    registers->gdtr.base = system.gdt.base;
    registers->gdtr.limit = system.gdt.limit;
    registers->idtr.base = system.idt.base;
    registers->idtr.limit = system.idt.limit;
    registers->cr0 = system.cr0;
    registers->cr2 = system.cr2;
    registers->cr3 = system.cr3;
    registers->cr4 = system.cr4;
    registers->efer = system.efer;
    registers->apic_base = system.apic_base;
    registers->xcr0 = xcrs.nr_xcrs ? xcrs.xcrs[0].value : 1;
    memcpy(registers->dr, debug.db, sizeof(debug.db));
    registers->dr[6] = debug.dr6;
    registers->dr[7] = debug.dr7;
    registers->cpl = system.ss.dpl;
    registers->interrupt_shadow = events.interrupt.shadow & (SHADOW_STI | SHADOW_MOV_SS);
    registers->nmi_blocked = events.nmi.masked;
    registers->activity = activity_from_kvm(activity.mp_state);
    get_msrs(backend, registers);
    return 0;
}

static void system_to_kvm(struct kvm_sregs *to, const struct vcpu_registers *from)
{
    for (unsigned i = 0; i < 8; i++)
        segment_to_kvm(segment_of(to, i), &from->segment[i]);
    to->gdt.base = from->gdtr.base;
    to->gdt.limit = from->gdtr.limit;
    to->idt.base = from->idtr.base;
    to->idt.limit = from->idtr.limit;
    to->cr0 = from->cr0;
    to->cr2 = from->cr2;
    to->cr3 = from->cr3;
    to->cr4 = from->cr4;
    to->efer = from->efer;
    to->apic_base = from->apic_base;
    memset(to->interrupt_bitmap, 0, sizeof(to->interrupt_bitmap));
}

int kvm_set_registers(struct backend *backend, const struct vcpu_registers *registers)
{
    struct kvm_regs general;
    struct kvm_sregs system;
    struct kvm_debugregs debug = { .dr6 = registers->dr[6], .dr7 = registers->dr[7] };
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .value = registers->xcr0 } };
    struct kvm_vcpu_events events;
    struct kvm_mp_state activity = { .mp_state = registers->activity == ACTIVITY_HALTED
                                                     ? KVM_MP_STATE_HALTED
                                                     : KVM_MP_STATE_RUNNABLE };
    int vcpu = backend->vcpu;

    if (ioctl(vcpu, KVM_GET_SREGS, &system) || ioctl(vcpu, KVM_GET_VCPU_EVENTS, &events))
        return -errno;
    general_to_kvm(&general, registers);
    system_to_kvm(&system, registers);
    memcpy(debug.db, registers->dr, sizeof(debug.db));
    events.interrupt.shadow = (uint8_t)registers->interrupt_shadow;
    events.nmi.masked = !!registers->nmi_blocked;
    events.flags = KVM_VCPUEVENT_VALID_SHADOW;
    if (ioctl(vcpu, KVM_SET_SREGS, &system) || ioctl(vcpu, KVM_SET_REGS, &general) ||
        ioctl(vcpu, KVM_SET_DEBUGREGS, &debug) || ioctl(vcpu, KVM_SET_XCRS, &xcrs) ||
        ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events) || ioctl(vcpu, KVM_SET_MP_STATE, &activity))
        return -errno;
    return set_msrs(backend, registers);
}

/* KVM's area has the standard format too, and is larger. */
int kvm_get_extended(struct backend *backend, void *area)
{
    struct kvm_xsave xsave;

    if (ioctl(backend->vcpu, KVM_GET_XSAVE, &xsave) != 0)
        return -errno;
    memcpy(area, &xsave, XSAVE_AREA_SIZE);
    return 0;
}

int kvm_set_extended(struct backend *backend, const void *area)
{
    struct kvm_xsave xsave = { 0 };

    memcpy(&xsave, area, XSAVE_AREA_SIZE);
    return ioctl(backend->vcpu, KVM_SET_XSAVE, &xsave) ? -errno : 0;
}
