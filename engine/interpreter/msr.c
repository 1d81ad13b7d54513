/* SPDX-License-Identifier: MIT */
/*
 * msr.c - model-specific registers as a table: number, owner, rule, and where the value lives.
 *
 * A register that is not in the table does not exist: #GP(0), as on hardware (SDM Vol. 4; AMD APM
 * Vol. 2, appendix A). The interrupt controllers' and the paravirtual interface's own come first;
 * they are asked before the table. Besides the architectural ones the table holds what a stock
 * Linux reads without expecting a fault, with the value a CPU without the feature behind it would
 * show.
 */
#include "transfer.h"

#define MSR_GP (-1) /* a rule's refusal, before it becomes a fault */

struct msr;
typedef int msr_reader(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t *value);
typedef int msr_writer(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value);

enum msr_owner { BOTH, INTEL, AMD };

struct msr {
    uint32_t first, last;
    uint8_t owner;     /* enum msr_owner */
    uint8_t feature;   /* exists only with this feature, or FEATURE_BASE */
    uint16_t offset;   /* of the field in struct vcpu_registers; ranges continue in 8-byte steps */
    msr_reader *read;  /* NULL: write-only */
    msr_writer *write; /* NULL: read-only */
    uint64_t value;    /* the constant, or the bits that may be set */
};

static uint64_t *msr_field(struct vcpu *vcpu, const struct msr *msr, uint32_t number)
{
    return (uint64_t *)(void *)((uint8_t *)&vcpu->r + msr->offset) + (number - msr->first);
}

/* ---- Rules ---- */

static int read_field(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t *value)
{
    *value = *msr_field(vcpu, msr, number);
    return 0;
}

static int read_constant(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t *value)
{
    (void)vcpu;
    (void)number;
    *value = msr->value;
    return 0;
}

/* Writes are accepted and change nothing. */
static int write_ignored(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value)
{
    (void)vcpu;
    (void)msr;
    (void)number;
    (void)value;
    return 0;
}

static int write_masked(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value)
{
    if (value & ~msr->value)
        return MSR_GP;
    *msr_field(vcpu, msr, number) = value;
    return 0;
}

static int write_canonical(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                           uint64_t value)
{
    if (!address_canonical(value))
        return MSR_GP;
    *msr_field(vcpu, msr, number) = value;
    return 0;
}

/* AMD has no 64-bit SYSENTER: the upper halves are not there (APM Vol. 2, 6.1.2). */
static int write_sysenter(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value)
{
    if (!vcpu->vm->model.vendor_intel)
        value = (uint32_t)value;
    return write_canonical(vcpu, msr, number, value);
}

/* The time-stamp counter. A write moves TSC_ADJUST by the same amount (SDM Vol. 3, 17.17.3). */
static int read_tsc(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t *value)
{
    (void)msr;
    (void)number;
    *value = clock_tsc(vcpu);
    return 0;
}

static int write_tsc(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value)
{
    (void)msr;
    (void)number;
    vcpu->r.tsc_adjust += value - clock_tsc(vcpu);
    controllers_tsc_changed(vcpu);
    return 0;
}

static int write_tsc_adjust(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                            uint64_t value)
{
    (void)msr;
    (void)number;
    vcpu->r.tsc_adjust = value;
    controllers_tsc_changed(vcpu);
    return 0;
}

static int write_efer(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value)
{
    struct vcpu_registers *r = &vcpu->r;
    (void)msr;
    (void)number;
    if (value & ~vcpu->vm->model.efer_allowed)
        return MSR_GP;
    if (((value ^ r->efer) & EFER_LME) && (r->cr0 & CR0_PG))
        return MSR_GP;
    /* LMA follows LME and PG and cannot be written. */
    value = (value & ~(uint64_t)EFER_LMA) | (r->efer & EFER_LMA);
    r->efer = value;
    vcpu_mode_changed(vcpu); /* a change of NXE drops every TLB entry */
    return 0;
}

static int read_segment_base(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                             uint64_t *value)
{
    *value = vcpu->r.segment[number == msr->first ? SEGMENT_FS : SEGMENT_GS].base;
    return 0;
}

static int write_segment_base(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                              uint64_t value)
{
    if (!address_canonical(value))
        return MSR_GP;
    vcpu->r.segment[number == msr->first ? SEGMENT_FS : SEGMENT_GS].base = value;
    return 0;
}

/* TSC_AUX exists with RDTSCP or RDPID, both of which are always given; the upper half is reserved.
 */

/* Eight memory types, one a byte. PAT: 0, 1, 4, 5, 6, 7; MTRR: not 7 (SDM Vol. 3, tables 11-2,
 * 11-10). */
static bool types_legal(uint64_t value, uint32_t legal)
{
    for (unsigned i = 0; i < 64; i += 8) {
        unsigned type = (unsigned)(value >> i) & 0xff;
        if (type > 7 || !(legal >> type & 1))
            return false;
    }
    return true;
}
#define TYPES_MTRR 0x73u
#define TYPES_PAT  0xf3u

static int write_types(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value)
{
    if (!types_legal(value, (uint32_t)msr->value))
        return MSR_GP;
    *msr_field(vcpu, msr, number) = value;
    return 0;
}

#define MTRR_VARIABLE_FIRST 0x200u
#define MTRR_COUNT          8u
#define MTRR_CAPABILITIES   (MTRR_COUNT | 1u << 8 /* fixed */ | 1u << 10 /* write combining */)

static uint64_t *mtrr_variable(struct vcpu *vcpu, uint32_t number)
{
    uint32_t i = (number - MTRR_VARIABLE_FIRST) / 2;
    return number & 1 ? &vcpu->r.mtrr_mask[i] : &vcpu->r.mtrr_base[i];
}

static int read_mtrr_variable(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                              uint64_t *value)
{
    (void)msr;
    *value = *mtrr_variable(vcpu, number);
    return 0;
}

static int write_mtrr_variable(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                               uint64_t value)
{
    uint64_t reserved = ~0ull << vcpu->vm->model.physical_bits;
    (void)msr;
    if (number & 1)
        reserved |= 0x7ff;
    else if (!types_legal(value & 0xff, TYPES_MTRR))
        return MSR_GP;
    else
        reserved |= 0xf00;
    if (value & reserved)
        return MSR_GP;
    *mtrr_variable(vcpu, number) = value;
    return 0;
}

static int write_mtrr_default(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                              uint64_t value)
{
    (void)msr;
    (void)number;
    if ((value & ~0xcffull) || !types_legal(value & 0xff, TYPES_MTRR))
        return MSR_GP;
    vcpu->r.mtrr_def_type = value;
    return 0;
}

/* The loaded microcode revision: a value no kernel's list of bad revisions knows (as KVM). */
static int read_microcode(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                          uint64_t *value)
{
    (void)msr;
    (void)number;
    *value = vcpu->vm->model.vendor_intel ? 0xffffffffull << 32 : 0x01000065;
    return 0;
}

/* Branch trace storage and precise event sampling are unavailable: read-only ones. */
#define MISC_ENABLE_UNAVAILABLE (1u << 11 | 1u << 12)

static int read_misc_enable(struct vcpu *vcpu, const struct msr *msr, uint32_t number,
                            uint64_t *value)
{
    *value = *msr_field(vcpu, msr, number) | MISC_ENABLE_UNAVAILABLE;
    return 0;
}

static int write_command(struct vcpu *vcpu, const struct msr *msr, uint32_t number, uint64_t value)
{
    (void)vcpu;
    (void)number;
    return value & ~msr->value ? MSR_GP : 0;
}

/*
 * ARCH_CAPABILITIES: this CPU needs none of the mitigations (SDM Vol. 4, table 2-2). What that
 * means for the host is SECURITY.md's subject.
 */
#define ARCH_CAPABILITIES                                                                          \
    (1ull << 0 /* RDCL_NO */ | 1ull << 1 /* IBRS_ALL */ | 1ull << 3 /* SKIP_L1DFL_VMENTRY */ |     \
     1ull << 4 /* SSB_NO */ | 1ull << 5 /* MDS_NO */ | 1ull << 6 /* PSCHANGE_MC_NO */ |            \
     1ull << 8 /* TAA_NO */ | 1ull << 13 /* SBDR_SSDP_NO */ | 1ull << 14 /* FBSDP_NO */ |          \
     1ull << 15 /* PSDP_NO */ | 1ull << 20 /* BHI_NO */ | 1ull << 24 /* PBRSB_NO */ |              \
     1ull << 26 /* GDS_NO */ | 1ull << 27 /* RFDS_NO */ | 1ull << 62 /* ITS_NO */)

#define FIELD(name) (uint16_t) offsetof(struct vcpu_registers, name)

/* clang-format off */
static const struct msr msrs[] = {
    /* first       last        owner  feature   field                   read                write                value */
    { 0x00000010, 0x00000010, BOTH,  0, 0,                      read_tsc,           write_tsc,           0 },
    { 0xc0000080, 0xc0000080, BOTH,  0, FIELD(efer),            read_field,         write_efer,          0 },
    { 0xc0000081, 0xc0000081, BOTH,  0, FIELD(star),            read_field,         write_masked,        ~0ull },
    { 0xc0000082, 0xc0000082, BOTH,  0, FIELD(lstar),           read_field,         write_canonical,     0 },
    { 0xc0000083, 0xc0000083, BOTH,  0, FIELD(cstar),           read_field,         write_canonical,     0 },
    { 0xc0000084, 0xc0000084, BOTH,  0, FIELD(fmask),           read_field,         write_masked,        0xffffffff },
    { 0xc0000100, 0xc0000101, BOTH,  0, 0 /* FS, GS base */,    read_segment_base,  write_segment_base,  0 },
    { 0xc0000102, 0xc0000102, BOTH,  0, FIELD(kernel_gs_base),  read_field,         write_canonical,     0 },
    { 0xc0000103, 0xc0000103, BOTH,  0, FIELD(tsc_aux),         read_field,         write_masked,        0xffffffff },
    { 0x0000003b, 0x0000003b, BOTH,  0, FIELD(tsc_adjust),      read_field,         write_tsc_adjust,    0 },
    { 0x00000048, 0x00000048, BOTH,  0, FIELD(spec_ctrl),       read_field,         write_masked,        1 /* IBRS */ },
    { 0x00000049, 0x00000049, BOTH,  0, 0 /* PRED_CMD */,       NULL,               write_command,       1 /* IBPB */ },
    { 0x0000010a, 0x0000010a, BOTH,  0, 0,                      read_constant,      NULL,                ARCH_CAPABILITIES },
    { 0x00000174, 0x00000174, BOTH,  FEATURE_SEP, FIELD(sysenter_cs),  read_field,  write_masked,        ~0ull },
    { 0x00000175, 0x00000175, BOTH,  FEATURE_SEP, FIELD(sysenter_esp), read_field,  write_sysenter,      0 },
    { 0x00000176, 0x00000176, BOTH,  FEATURE_SEP, FIELD(sysenter_eip), read_field,  write_sysenter,      0 },
    /* machine check: no banks */
    { 0x00000000, 0x00000001, BOTH,  0, 0 /* P5 MC */,          read_constant,      write_ignored,       0 },
    { 0x00000179, 0x00000179, BOTH,  0, 0 /* MCG_CAP */,        read_constant,      NULL,                0 },
    { 0x0000017a, 0x0000017a, BOTH,  0, FIELD(mcg_status),      read_field,         write_masked,        7 },
    /* memory types */
    { 0x000000fe, 0x000000fe, BOTH,  0, 0,                      read_constant,      NULL,                MTRR_CAPABILITIES },
    { 0x00000200, 0x0000020f, BOTH,  0, 0,                      read_mtrr_variable, write_mtrr_variable, 0 },
    { 0x00000250, 0x00000250, BOTH,  0, FIELD(mtrr_fixed[0]),   read_field,         write_types,         TYPES_MTRR },
    { 0x00000258, 0x00000259, BOTH,  0, FIELD(mtrr_fixed[1]),   read_field,         write_types,         TYPES_MTRR },
    { 0x00000268, 0x0000026f, BOTH,  0, FIELD(mtrr_fixed[3]),   read_field,         write_types,         TYPES_MTRR },
    { 0x00000277, 0x00000277, BOTH,  0, FIELD(pat),             read_field,         write_types,         TYPES_PAT },
    { 0x000002ff, 0x000002ff, BOTH,  0, FIELD(mtrr_def_type),   read_field,         write_mtrr_default,  0 },
    /* identity and debugging */
    { 0x0000008b, 0x0000008b, BOTH,  0, 0,                      read_microcode,     write_ignored,       0 },
    { 0x000001d9, 0x000001d9, BOTH,  0, FIELD(debugctl),        read_field,         write_masked,        3 /* LBR, BTF */ },
    { 0x000001db, 0x000001de, BOTH,  0, 0 /* last branch */,    read_constant,      NULL,                0 },
    /* Intel */
    { 0x00000017, 0x00000017, INTEL, 0, 0 /* PLATFORM_ID */,    read_constant,      NULL,                0 },
    { 0x0000002a, 0x0000002a, INTEL, 0, 0 /* EBL_CR_POWERON */, read_constant,      write_ignored,       0 },
    { 0x0000003a, 0x0000003a, INTEL, 0, 0 /* FEATURE_CONTROL */, read_constant,     NULL,                1 /* locked, VMX off */ },
    { 0x000000ce, 0x000000ce, INTEL, 0, 0 /* PLATFORM_INFO */,  read_constant,      NULL,                0 },
    { 0x000001a0, 0x000001a0, INTEL, 0, FIELD(misc_enable),     read_misc_enable,   write_masked,        0x0000000400c51889ull },
    { 0x00000198, 0x00000198, INTEL, 0, 0 /* PERF_STATUS */,    read_constant,      NULL,                1000 | 4ull << 40 },
    /* AMD: what Linux reads without a safety net (arch/x86/kernel/cpu/amd.c, mtrr, pci/amd_bus.c) */
    { 0xc0010010, 0xc0010010, AMD,   0, 0 /* SYSCFG */,         read_constant,      write_ignored,       0 },
    { 0xc0010015, 0xc0010015, AMD,   0, 0 /* HWCR */,           read_constant,      write_ignored,       1u << 24 /* TSC at P0 */ },
    { 0xc0010016, 0xc0010019, AMD,   0, 0 /* IORR */,           read_constant,      write_ignored,       0 },
    { 0xc001001a, 0xc001001a, AMD,   0, 0 /* TOP_MEM */,        read_constant,      write_ignored,       0 },
    { 0xc001001d, 0xc001001d, AMD,   0, 0 /* TOP_MEM2 */,       read_constant,      write_ignored,       0 },
    { 0xc001001f, 0xc001001f, AMD,   0, 0 /* NB_CFG */,         read_constant,      write_ignored,       0 },
    { 0xc0010020, 0xc0010020, AMD,   0, 0 /* PATCH_LOADER */,   NULL,               write_ignored,       0 },
    { 0xc0010055, 0xc0010055, AMD,   0, 0 /* INT_PENDING */,    read_constant,      NULL,                0 },
    { 0xc0010058, 0xc0010058, AMD,   0, 0 /* MMIO_CONF_BASE */, read_constant,      write_ignored,       0 },
    { 0xc0011020, 0xc0011022, AMD,   0, 0 /* LS, IC, DC_CFG */, read_constant,      write_ignored,       0 },
    { 0xc0011029, 0xc0011029, AMD,   0, 0 /* DE_CFG */,         read_constant,      write_ignored,       2 /* LFENCE serializes */ },
    { 0xc001102a, 0xc001102a, AMD,   0, 0 /* BU_CFG2 */,        read_constant,      write_ignored,       0 },
};
/* clang-format on */

static const struct msr *msr_find(const struct vcpu *vcpu, uint32_t number)
{
    const struct cpu_model *model = &vcpu->vm->model;
    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        const struct msr *msr = &msrs[i];
        if (number < msr->first || number > msr->last)
            continue;
        if (msr->owner != BOTH && (msr->owner == INTEL) != model->vendor_intel)
            return NULL;
        return cpu_model_has(model, msr->feature) ? msr : NULL;
    }
    return NULL;
}

int msr_read(struct vcpu *vcpu, uint32_t number, uint64_t *value)
{
    int result = controllers_msr_read(vcpu, number, value);
    if (result == -ENOENT)
        result = paravirtual_msr_read(vcpu, number, value);
    if (result != -ENOENT)
        return result;
    const struct msr *msr = msr_find(vcpu, number);
    if (!msr || !msr->read || msr->read(vcpu, msr, number, value))
        return fault_gp(vcpu);
    return 0;
}

int msr_write(struct vcpu *vcpu, uint32_t number, uint64_t value)
{
    int result = controllers_msr_write(vcpu, number, value);
    if (result == -ENOENT)
        result = paravirtual_msr_write(vcpu, number, value);
    if (result != -ENOENT)
        return result;
    const struct msr *msr = msr_find(vcpu, number);
    if (!msr || !msr->write || msr->write(vcpu, msr, number, value))
        return fault_gp(vcpu);
    return 0;
}

int interpret_rdmsr(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value = 0;
    (void)insn;
    if (vcpu->r.cpl != 0)
        return fault_gp(vcpu);
    int result = msr_read(vcpu, (uint32_t)vcpu->r.gpr[REGISTER_RCX], &value);
    if (result)
        return result;
    vcpu->r.gpr[REGISTER_RAX] = (uint32_t)value;
    vcpu->r.gpr[REGISTER_RDX] = value >> 32;
    return 0;
}

int interpret_wrmsr(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (vcpu->r.cpl != 0)
        return fault_gp(vcpu);
    uint64_t value = (uint32_t)vcpu->r.gpr[REGISTER_RAX] | vcpu->r.gpr[REGISTER_RDX] << 32;
    return msr_write(vcpu, (uint32_t)vcpu->r.gpr[REGISTER_RCX], value);
}
