/* SPDX-License-Identifier: MIT */
/*
 * paravirtual.c - the part of KVM's paravirtual interface that stock kernels use for time and EOI
 * (Linux, Documentation/virt/kvm/x86/msr.rst): kvmclock, the wall clock, PV EOI.
 *
 * The guest chooses the addresses. What is not RAM is left alone.
 */
#include "internal.h"

#define MSR_KVM_WALL_CLOCK      0x4b564d00u
#define MSR_KVM_SYSTEM_TIME     0x4b564d01u
#define MSR_KVM_PV_EOI          0x4b564d04u
#define MSR_KVM_WALL_CLOCK_OLD  0x11u
#define MSR_KVM_SYSTEM_TIME_OLD 0x12u

#define KVM_ENABLED        1ull
#define KVM_ADDRESS(value) ((value) & ~3ull)
#define PVCLOCK_TSC_STABLE 1u
#define NANOSECONDS        1000000000ull

/* Linux arch/x86/include/asm/pvclock-abi.h */
struct pvclock_time_info {
    uint32_t version; /* odd while the rest changes */
    uint32_t padding;
    uint64_t tsc_timestamp;
    uint64_t system_time;
    uint32_t tsc_to_system_mul; /* ns = ((tsc - tsc_timestamp) << shift) * mul >> 32 */
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t padding2[2];
};
struct pvclock_wall_clock {
    uint32_t version;
    uint32_t seconds;
    uint32_t nanoseconds;
};
_Static_assert(sizeof(struct pvclock_time_info) == 32, "the guest's layout");
_Static_assert(sizeof(struct pvclock_wall_clock) == 12, "the guest's layout");

/* Writes a structure that begins with a version, by its protocol. */
static void write_versioned(struct vcpu *vcpu, uint64_t gpa, void *structure, size_t size)
{
    uint8_t *host = memory_host(&vcpu->vm->memory, gpa, size, true);
    uint32_t version;
    if (!host)
        return;
    memcpy(&version, host, sizeof(version));
    version = (version | 1) + 2; /* odd, and not one the guest may be reading under */
    memcpy(host, &version, sizeof(version));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    memcpy(host + sizeof(version), (uint8_t *)structure + sizeof(version), size - sizeof(version));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    version++;
    memcpy(host, &version, sizeof(version));
}

/* ---- Clocks ---- */

static void write_wall_clock(struct vcpu *vcpu)
{
    /* The wall clock at virtual time 0: the guest adds the system time. */
    uint64_t base = vcpu->vm->clock.wall_base;
    struct pvclock_wall_clock wall = {
        .seconds = (uint32_t)(base / NANOSECONDS),
        .nanoseconds = (uint32_t)(base % NANOSECONDS),
    };
    write_versioned(vcpu, KVM_ADDRESS(vcpu->r.kvm_wall_clock), &wall, sizeof(wall));
}

static void write_system_time(struct vcpu *vcpu)
{
    if (!(vcpu->r.kvm_system_time & KVM_ENABLED))
        return;
    uint64_t now = clock_now(vcpu);
    struct pvclock_time_info info = {
        .tsc_timestamp = now + vcpu->r.tsc_offset + vcpu->r.tsc_adjust,
        .system_time = now,
        /* One tick of a 1 GHz TSC is a nanosecond: (delta << 1) * 2^31 >> 32. */
        .tsc_to_system_mul = 0x80000000u,
        .tsc_shift = 1,
        .flags = PVCLOCK_TSC_STABLE,
    };
    write_versioned(vcpu, KVM_ADDRESS(vcpu->r.kvm_system_time), &info, sizeof(info));
}

void controllers_tsc_changed(struct vcpu *vcpu)
{
    write_system_time(vcpu);
    timer_changed(vcpu);
}

/* ---- PV EOI ---- */
/*
 * A guest that finds bit 0 of its byte set clears it instead of writing the EOI register. That is
 * only offered when nothing else waits or is in service and no IOAPIC waits for the EOI, so that
 * nobody misses the moment; as soon as somebody does, the offer is withdrawn.
 */

static uint8_t *eoi_byte(struct vcpu *vcpu, bool write)
{
    if (!(vcpu->r.kvm_pv_eoi & KVM_ENABLED))
        return NULL;
    return memory_host(&vcpu->vm->memory, KVM_ADDRESS(vcpu->r.kvm_pv_eoi), 4, write);
}

void paravirtual_eoi_offer(struct vcpu *vcpu, unsigned vector)
{
    struct lapic *lapic = lapic_of(vcpu);
    uint8_t *byte = eoi_byte(vcpu, true);

    if (!byte || vector_test(lapic->tmr, vector) || vector_highest(lapic->irr) >= 0)
        return;
    for (unsigned word = 0; word < 8; word++) {
        if (lapic->isr[word] != (word == vector / 32 ? 1u << (vector % 32) : 0))
            return;
    }
    __atomic_fetch_or(byte, 1, __ATOMIC_SEQ_CST);
    lapic->pv_eoi_active = true;
}

bool paravirtual_eoi_used(struct vcpu *vcpu)
{
    struct lapic *lapic = lapic_of(vcpu);
    if (!lapic->pv_eoi_active)
        return false;
    uint8_t *byte = eoi_byte(vcpu, false);
    if (byte && __atomic_load_n(byte, __ATOMIC_SEQ_CST) & 1)
        return false;
    lapic->pv_eoi_active = false;
    return byte != NULL; /* if the memory went away, the guest must write the register */
}

void paravirtual_eoi_withdraw(struct vcpu *vcpu)
{
    struct lapic *lapic = lapic_of(vcpu);
    uint8_t *byte = lapic->pv_eoi_active ? eoi_byte(vcpu, true) : NULL;
    if (byte)
        __atomic_fetch_and(byte, 0xfe, __ATOMIC_SEQ_CST);
    lapic->pv_eoi_active = false;
}

static int write_pv_eoi(struct vcpu *vcpu, uint64_t value)
{
    uint64_t gpa = KVM_ADDRESS(value);
    if (value & 2)
        return fault_gp(vcpu);
    if (value & KVM_ENABLED && !memory_host(&vcpu->vm->memory, gpa, 4, true))
        return fault_gp(vcpu);
    lapic_pending(vcpu); /* settles what was done by the old byte */
    paravirtual_eoi_withdraw(vcpu);
    vcpu->r.kvm_pv_eoi = value;
    return 0;
}

/* ---- MSRs ---- */

int paravirtual_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_OLD:
        *value = vcpu->r.kvm_wall_clock;
        return 0;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_OLD:
        *value = vcpu->r.kvm_system_time;
        return 0;
    case MSR_KVM_PV_EOI:
        *value = vcpu->r.kvm_pv_eoi;
        return 0;
    default:
        break;
    }
    /* The rest of KVM's range (async page faults, steal time ...) is not offered in CPUID. */
    return msr >= 0x4b564d00u && msr <= 0x4b564dffu ? fault_gp(vcpu) : -ENOENT;
}

int paravirtual_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_OLD:
        vcpu->r.kvm_wall_clock = value;
        write_wall_clock(vcpu);
        return 0;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_OLD:
        vcpu->r.kvm_system_time = value;
        write_system_time(vcpu);
        return 0;
    case MSR_KVM_PV_EOI:
        return write_pv_eoi(vcpu, value);
    default:
        break;
    }
    return msr >= 0x4b564d00u && msr <= 0x4b564dffu ? fault_gp(vcpu) : -ENOENT;
}
