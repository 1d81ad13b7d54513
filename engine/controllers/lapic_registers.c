/* SPDX-License-Identifier: MIT */
/*
 * lapic_registers.c - the LAPIC's registers as memory (xAPIC) and as MSRs (x2APIC), and
 * IA32_APIC_BASE.
 *
 * Both views share one table, indexed by offset / 16 = MSR - 0x800 (SDM Vol. 3, "Local APIC
 * Register Address Map", "x2APIC Register Address Space").
 */
#include "internal.h"

/* Version 0x14 (integrated), LVT entries - 1 in bits 23:16; no EOI-broadcast suppression. */
#define LAPIC_VERSION ((LVT_COUNT - 1) << 16 | 0x14u)

#define SVR_ENABLED   (1u << 8)
#define READ_ONLY_LVT (1u << 12 | 1u << 14) /* delivery status, remote IRR */
#define ICR_LOW_VALID 0x000cdfffu           /* less reserved bits 31:20, 17:16, 13 */
#define ICR_BUSY      (1u << 12)

enum register_index {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR_LOW = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_TIMER_INITIAL = 0x38,
    REG_TIMER_CURRENT = 0x39,
    REG_TIMER_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,
    REG_COUNT = 0x40
};

/* Access: readable and writable in xAPIC mode, readable and writable in x2APIC mode. */
#define XR 1u
#define XW 2u
#define MR 4u
#define MW 8u

struct register_row {
    uint8_t access;
    uint32_t writable; /* other bits: #GP in x2APIC mode, ignored in xAPIC mode */
};

static const struct register_row register_table[REG_COUNT] = {
    [REG_ID] = { XR | XW | MR, 0 }, /* Model-specific whether it can be changed: here it can't */
    [REG_VERSION] = { XR | MR, 0 },
    [REG_TPR] = { XR | XW | MR | MW, 0xff },
    [REG_APR] = { XR, 0 },
    [REG_PPR] = { XR | MR, 0 },
    [REG_EOI] = { XW | MW, 0 },
    [REG_RRD] = { XR, 0 },
    [REG_LDR] = { XR | XW | MR, 0xff000000u },
    [REG_DFR] = { XR | XW, 0xf0000000u },
    [REG_SVR] = { XR | XW | MR | MW, 0x3ff },
    [REG_ISR... REG_ISR + 7] = { XR | MR, 0 },
    [REG_TMR... REG_TMR + 7] = { XR | MR, 0 },
    [REG_IRR... REG_IRR + 7] = { XR | MR, 0 },
    [REG_ESR] = { XR | XW | MR | MW, 0 },
    [REG_ICR_LOW] = { XR | XW | MR | MW, ICR_LOW_VALID },
    [REG_ICR_HIGH] = { XR | XW, 0xff000000u },
    [REG_LVT + LVT_TIMER] = { XR | XW | MR | MW, 0x000700ffu },
    [REG_LVT + LVT_THERMAL] = { XR | XW | MR | MW, 0x000107ffu },
    [REG_LVT + LVT_PERFORMANCE] = { XR | XW | MR | MW, 0x000107ffu },
    [REG_LVT + LVT_LINT0] = { XR | XW | MR | MW, 0x0001a7ffu },
    [REG_LVT + LVT_LINT1] = { XR | XW | MR | MW, 0x0001a7ffu },
    [REG_LVT + LVT_ERROR] = { XR | XW | MR | MW, 0x000100ffu },
    [REG_TIMER_INITIAL] = { XR | XW | MR | MW, 0xffffffffu },
    [REG_TIMER_CURRENT] = { XR | MR, 0 },
    [REG_TIMER_DIVIDE] = { XR | XW | MR | MW, 0xb },
    [REG_SELF_IPI] = { MW, 0xff },
};

/* ---- Reading ---- */

static uint32_t read_logical_id(const struct vcpu *vcpu)
{
    if (lapic_x2apic(vcpu))
        return (vcpu->id >> 4) << 16 | 1u << (vcpu->id & 15);
    return lapic_of(vcpu)->ldr;
}

static uint32_t read_register(struct vcpu *vcpu, unsigned index)
{
    const struct lapic *lapic = lapic_of(vcpu);
    switch (index) {
    case REG_ID:
        return lapic_x2apic(vcpu) ? vcpu->id : vcpu->id << 24;
    case REG_VERSION:
        return LAPIC_VERSION;
    case REG_TPR:
        return lapic->tpr;
    case REG_PPR:
        lapic_pending(vcpu); /* settles a paravirtual EOI */
        return lapic_ppr(lapic);
    case REG_LDR:
        return read_logical_id(vcpu);
    case REG_DFR:
        return lapic->dfr;
    case REG_SVR:
        return lapic->svr;
    case REG_ISR ... REG_ISR + 7:
        lapic_pending(vcpu);
        return lapic->isr[index - REG_ISR];
    case REG_TMR ... REG_TMR + 7:
        return lapic->tmr[index - REG_TMR];
    case REG_IRR ... REG_IRR + 7:
        return lapic->irr[index - REG_IRR];
    case REG_ESR:
        return lapic->esr;
    case REG_ICR_LOW:
        return (uint32_t)lapic->icr;
    case REG_ICR_HIGH:
        return (uint32_t)(lapic->icr >> 32);
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        return lapic->lvt[index - REG_LVT];
    case REG_TIMER_INITIAL:
        return lapic->timer_initial;
    case REG_TIMER_CURRENT:
        return lapic_timer_current(vcpu);
    case REG_TIMER_DIVIDE:
        return lapic->timer_divide;
    default: /* APR, RRD: not in CPUs of this age */
        return 0;
    }
}

/* ---- Writing ---- */

static void write_svr(struct vcpu *vcpu, uint32_t value)
{
    struct lapic *lapic = lapic_of(vcpu);
    lapic->svr = value;
    if (value & SVR_ENABLED)
        return;
    /* Software disable sets all mask bits (SDM Vol. 3, "Local APIC State After It Has Been Software
     * Disabled"). */
    for (unsigned i = 0; i < LVT_COUNT; i++)
        lapic->lvt[i] |= LVT_MASKED;
}

static void write_lvt(struct vcpu *vcpu, unsigned index, uint32_t value)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (!(lapic->svr & SVR_ENABLED))
        value |= LVT_MASKED;
    if (index == LVT_TIMER) {
        lapic_timer_write_lvt(vcpu, value);
        return;
    }
    if (value & LVT_LEVEL) /* remote IRR is the LAPIC's own; meaningless for edges */
        value |= lapic->lvt[index] & READ_ONLY_LVT;
    lapic->lvt[index] = value;
    vcpu_raise(vcpu, ATTENTION_INTERRUPT); /* LINT0 may now let the 8259 through */
}

/* `value` holds writable bits only. */
static void write_register(struct vcpu *vcpu, unsigned index, uint32_t value)
{
    struct lapic *lapic = lapic_of(vcpu);
    switch (index) {
    case REG_TPR:
        lapic->tpr = value;
        vcpu_raise(vcpu, ATTENTION_INTERRUPT);
        break;
    case REG_EOI:
        lapic_eoi(vcpu);
        break;
    case REG_LDR:
        lapic->ldr = value;
        break;
    case REG_DFR:
        lapic->dfr = value | 0x0fffffffu;
        break;
    case REG_SVR:
        write_svr(vcpu, value);
        break;
    case REG_ESR: /* a write shows what was gathered and starts anew (SDM Vol. 3, "Error Handling")
                   */
        lapic->esr = lapic->esr_pending;
        lapic->esr_pending = 0;
        break;
    case REG_ICR_LOW: /* xAPIC: the low half sends */
        lapic->icr = (lapic->icr & 0xffffffff00000000ull) | (value & ~ICR_BUSY);
        message_send_icr(vcpu, lapic->icr);
        break;
    case REG_ICR_HIGH:
        lapic->icr = (uint64_t)value << 32 | (uint32_t)lapic->icr;
        break;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        write_lvt(vcpu, index - REG_LVT, value);
        break;
    case REG_TIMER_INITIAL:
        lapic_timer_write_initial(vcpu, value);
        break;
    case REG_TIMER_DIVIDE:
        lapic_timer_write_divide(vcpu, value);
        break;
    case REG_SELF_IPI:
        if (value < 16)
            lapic_error(vcpu, ESR_SEND_ILLEGAL_VECTOR);
        else
            lapic_accept(vcpu, DELIVER_FIXED, value, false);
        break;
    default:
        break;
    }
}

/* ---- xAPIC: memory ---- */
/*
 * Registers are 32 bits wide at multiples of 16; anything but an aligned 32-bit access is undefined
 * (SDM Vol. 3, "Local APIC Register Address Map"). Here, reads inside the 32 bits give their part,
 * and other writes are ignored.
 */

static unsigned mmio_access(struct vcpu *vcpu, uint32_t offset)
{
    unsigned index = offset >> 4;
    unsigned access = index < REG_COUNT ? register_table[index].access & (XR | XW) : 0;
    if (!access)
        lapic_error(vcpu, ESR_ILLEGAL_REGISTER);
    return access;
}

void lapic_mmio_read(struct vcpu *vcpu, uint32_t offset, unsigned size, uint64_t *value)
{
    *value = 0;
    if (mmio_access(vcpu, offset) & XR && (offset & 15) < 4)
        *value = read_register(vcpu, offset >> 4) >> (offset & 3) * 8 & bits_mask(size);
}

void lapic_mmio_write(struct vcpu *vcpu, uint32_t offset, unsigned size, uint64_t value)
{
    if (size < 4 || offset & 15 || !(mmio_access(vcpu, offset) & XW))
        return;
    unsigned index = offset >> 4;
    write_register(vcpu, index, (uint32_t)value & register_table[index].writable);
}

/* ---- x2APIC: MSRs ---- */

int lapic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    unsigned index = msr - 0x800;
    if (!lapic_x2apic(vcpu) || index >= REG_COUNT || !(register_table[index].access & MR))
        return fault_gp(vcpu);
    *value = read_register(vcpu, index);
    if (index == REG_ICR_LOW)
        *value = lapic_of(vcpu)->icr;
    return 0;
}

static int msr_write_icr(struct vcpu *vcpu, uint64_t value)
{
    if ((uint32_t)value & ~ICR_LOW_VALID)
        return fault_gp(vcpu);
    value &= ~(uint64_t)ICR_BUSY;
    lapic_of(vcpu)->icr = value;
    message_send_icr(vcpu, value);
    return 0;
}

int lapic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    unsigned index = msr - 0x800;
    if (!lapic_x2apic(vcpu) || index >= REG_COUNT || !(register_table[index].access & MW))
        return fault_gp(vcpu);
    if (index == REG_ICR_LOW)
        return msr_write_icr(vcpu, value);

    uint64_t writable = register_table[index].writable;
    uint64_t allowed = writable;
    if (index >= REG_LVT && index < REG_LVT + LVT_COUNT)
        allowed |= READ_ONLY_LVT; /* read-only, not reserved */
    if (value & ~allowed)
        return fault_gp(vcpu);
    write_register(vcpu, index, (uint32_t)(value & writable));
    return 0;
}

/* ---- IA32_APIC_BASE ---- */

static bool model_has_x2apic(const struct cpu_model *model)
{
    for (unsigned i = 0; i < model->leaf_count && i < CPUID_LEAF_MAX; i++) {
        if (model->leaf[i].leaf == 1)
            return model->leaf[i].ecx & 1u << 21;
    }
    return false;
}

int lapic_base_write(struct vcpu *vcpu, uint64_t value)
{
    const uint64_t enables = APIC_BASE_EN | APIC_BASE_EXTD;
    const struct cpu_model *model = &vcpu->vm->model;
    unsigned bits = model->physical_bits < 36 ? 36 : model->physical_bits;
    uint64_t allowed = (bits >= 52 ? 1ull << 52 : 1ull << bits) - PAGE_SIZE_4K;
    uint64_t old = vcpu->r.apic_base;

    allowed |= APIC_BASE_BSP | APIC_BASE_EN;
    if (model_has_x2apic(model))
        allowed |= APIC_BASE_EXTD;
    if (value & ~allowed)
        return fault_gp(vcpu);
    /* SDM Vol. 3, "x2APIC State Transitions": EXTD needs EN; x2APIC is entered from xAPIC only and
     * left only for disabled. */
    if ((value & enables) == APIC_BASE_EXTD)
        return fault_gp(vcpu);
    if ((old & enables) == enables && (value & enables) == APIC_BASE_EN)
        return fault_gp(vcpu);
    if (!(old & APIC_BASE_EN) && (value & enables) == enables)
        return fault_gp(vcpu);

    if (old & APIC_BASE_EN && !(value & APIC_BASE_EN))
        lapic_reset(vcpu, true); /* off loses its state */
    if (value & ~old & APIC_BASE_EXTD)
        lapic_of(vcpu)->icr &= 0xffffffffu; /* the upper half has another meaning now */
    vcpu->r.apic_base = value;
    vcpu_raise(vcpu, ATTENTION_INTERRUPT);
    return 0;
}
