/* SPDX-License-Identifier: MIT */
/*
 * state.h - the state of a virtual machine as plain, versioned data.
 *
 * Every back end (the engine process, KVM) gives and takes the same parts, each with an id, a
 * version and a size; a saved machine is a list of them. A part whose version or size is not known
 * is refused, never guessed. All fields are little-endian, naturally aligned, and hold no pointers.
 * Sources for the meaning of fields: Intel SDM Vol. 3, chapters 2, 3, 4, 9 and Vol. 4 (MSRs).
 */
#ifndef ORIGAMI_STATE_H
#define ORIGAMI_STATE_H

#include <stdint.h>

/* Parts: STATE_PART(name, version, description). Sizes are those of the structures named. */
#define STATE_PARTS(STATE_PART)                                                                    \
    STATE_PART(REGISTERS, 1, "struct vcpu_registers of one vCPU")                                  \
    STATE_PART(EXTENDED, 1,                                                                        \
               "x87, SSE, AVX, AVX-512: standard XSAVE format, XSAVE_AREA_SIZE bytes")             \
    STATE_PART(LAPIC, 1, "struct lapic of one vCPU")                                               \
    STATE_PART(IOAPIC, 1, "struct ioapic")                                                         \
    STATE_PART(PIC, 1, "struct pic: both 8259s")                                                   \
    STATE_PART(PIT, 1, "struct pit: the 8254 and port 0x61")                                       \
    STATE_PART(CLOCK, 1, "struct clock, with the current virtual time in `offset`")                \
    STATE_PART(STATISTICS, 1, "struct vcpu_statistics of one vCPU; read only")

enum state_part {
#define STATE_PART(name, version, text) STATE_##name,
    STATE_PARTS(STATE_PART)
#undef STATE_PART
        STATE_PART_COUNT
};

/* ---- Segment registers ---- */
/* rights: the descriptor's bits 40-55: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15. */
#define RIGHTS_TYPE      0x000fu
#define RIGHTS_S         0x0010u
#define RIGHTS_DPL       0x0060u
#define RIGHTS_P         0x0080u
#define RIGHTS_L         0x2000u
#define RIGHTS_DB        0x4000u
#define RIGHTS_G         0x8000u
#define RIGHTS_DPL_SHIFT 5

struct segment_register {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied: the last valid offset */
    uint16_t selector;
    uint16_t rights;
    uint8_t unusable; /* loaded with a null selector (base, limit and rights are then don't-care) */
    uint8_t reserved[7];
};

struct table_register {
    uint64_t base;
    uint16_t limit;
    uint16_t reserved[3];
};

/* ---- Architectural state of one virtual CPU: plain data, saved and loaded as it is ---- */
#define XSAVE_AREA_SIZE 2816 /* x87, SSE, AVX, AVX-512, PKRU in the standard format, rounded up */

struct vcpu_registers {
    uint64_t gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 */
    uint64_t rip;
    uint64_t rflags; /* whole architectural value, FLAG_ONE set; DF, TF, IF, IOPL ... included */
    struct segment_register segment[8]; /* ES CS SS DS FS GS LDTR TR */
    struct table_register gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8 /* unused: TPR lives in the LAPIC */, xcr0, efer;
    uint64_t pdpte[4]; /* PAE paging: loaded with CR3 */
    uint64_t dr[8];    /* 4 and 5 unused */
    uint32_t pkru;
    uint32_t cpl; /* 0..3 = SS.DPL; in real mode 0, in virtual-8086 mode 3 */
    /* x87 pointers are virtual: the CPU's own would show the stub's address */
    uint64_t fip, fdp;
    uint16_t fop, fcs, fds;
    uint16_t reserved0;
    uint64_t interrupt_shadow; /* 0, or SHADOW_*: events held off for one instruction */
    uint64_t nmi_blocked;      /* until IRET */
    uint64_t activity;         /* enum activity */
    /* MSRs */
    uint64_t star, lstar, cstar, fmask, kernel_gs_base, tsc_aux, tsc_adjust, tsc_offset;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, apic_base, mtrr_def_type, spec_ctrl;
    uint64_t mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t mcg_status, mcg_ctl;
    uint64_t kvm_wall_clock, kvm_system_time, kvm_pv_eoi, kvm_async_pf, kvm_steal_time;
    uint64_t bios_sign_id, debugctl;
    uint64_t reserved1[16];
};
#define SHADOW_STI    1u /* maskable interrupts held off */
#define SHADOW_MOV_SS 2u /* interrupts, NMI and debug traps held off */

enum activity { ACTIVITY_RUNNING, ACTIVITY_HALTED, ACTIVITY_WAIT_INIT, ACTIVITY_SHUTDOWN };

#endif
