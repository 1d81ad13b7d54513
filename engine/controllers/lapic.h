/* SPDX-License-Identifier: MIT */
/*
 * lapic.h - the local APIC of one virtual CPU (SDM Vol. 3, chapter "APIC"), in xAPIC and x2APIC
 * mode.
 *
 * Which mode it is in is vcpu->r.apic_base (EN, EXTD). Everything here is plain data: saved and
 * loaded as it is. The request register may be written by other vCPUs and is only changed by atomic
 * operations; all else belongs to the vCPU's own thread.
 */
#ifndef ORIGAMI_ENGINE_CONTROLLERS_LAPIC_H
#define ORIGAMI_ENGINE_CONTROLLERS_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;

#define APIC_BASE_ADDRESS 0xfee00000ull
#define APIC_BASE_BSP     (1ull << 8)
#define APIC_BASE_EXTD    (1ull << 10)
#define APIC_BASE_EN      (1ull << 11)

/* The timer counts at CPUID 0x15's crystal: 1 GHz, so an undivided count is a nanosecond. */
#define LAPIC_TIMER_HZ 1000000000ull

/* Local vector table, in register order (offsets 0x320, 0x330 ... 0x370). */
enum lapic_lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERFORMANCE,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT
};

#define LVT_MASKED         (1u << 16)
#define LVT_LEVEL          (1u << 15)
#define LVT_MODE(lvt)      (((lvt) >> 8) & 7u)
#define LVT_TIMER_MODE(t)  (((t) >> 17) & 3u)
#define TIMER_ONE_SHOT     0u
#define TIMER_PERIODIC     1u
#define TIMER_TSC_DEADLINE 2u

/* Delivery modes of LVT, ICR, redirection entries and MSI data (bits 10:8). */
enum delivery_mode {
    DELIVER_FIXED,
    DELIVER_LOWEST,
    DELIVER_SMI,
    DELIVER_RESERVED,
    DELIVER_NMI,
    DELIVER_INIT,
    DELIVER_STARTUP,
    DELIVER_EXTINT
};

struct lapic {
    uint32_t id; /* the initial and x2APIC id; the xAPIC register shows it in bits 31:24 */
    uint32_t tpr;
    uint32_t ldr, dfr; /* xAPIC only; x2APIC derives its logical id */
    uint32_t svr;
    uint32_t esr;         /* what a read shows */
    uint32_t esr_pending; /* gathered since the last write */
    uint32_t lvt[LVT_COUNT];
    uint64_t icr; /* bits 63:32: destination as the mode has it */
    uint32_t irr[8], isr[8], tmr[8];
    uint32_t timer_divide; /* the register: bits 3, 1, 0 */
    uint32_t timer_initial;
    uint64_t timer_start;    /* virtual ns at which the count was at timer_initial */
    uint64_t timer_expiry;   /* virtual ns of the next expiry in counting modes, or CLOCK_NEVER */
    uint64_t tsc_deadline;   /* IA32_TSC_DEADLINE; 0 = disarmed */
    uint64_t clock_seen;     /* the latest time this vCPU was shown (clock.c) */
    uint8_t lint_level[2];   /* input pins */
    uint8_t pv_eoi_active;   /* the guest may end the one interrupt in service by its PV EOI byte */
    uint8_t startup_pending; /* a SIPI was accepted: start at startup_vector << 12 */
    uint8_t startup_vector;
    uint8_t reserved[3];
};

/* What travels to LAPICs: from ICR, IOAPIC and MSI alike. */
struct interrupt_message {
    uint32_t destination;
    uint8_t vector;
    uint8_t mode;  /* enum delivery_mode */
    bool logical;  /* destination mode */
    bool level;    /* trigger mode */
    bool x2apic;   /* 32-bit destination (sent by an x2APIC); else 8 bits */
    bool redirect; /* MSI redirection hint: one of the logical destinations */
};

/* Power-on (also sets vcpu->r.apic_base) or INIT state (SDM Vol. 3, "Local APIC State After ...").
 * The dispatcher calls it from vcpu_reset(). */
void lapic_reset(struct vcpu *vcpu, bool init);

bool lapic_enabled(const struct vcpu *vcpu); /* IA32_APIC_BASE.EN */
bool lapic_x2apic(const struct vcpu *vcpu);  /* x2APIC mode */

/* The highest vector that passes the processor priority, or -1. */
int lapic_pending(struct vcpu *vcpu);
/* Moves that vector from IRR to ISR; -1 if there is none. */
int lapic_acknowledge(struct vcpu *vcpu);
void lapic_eoi(struct vcpu *vcpu);
uint32_t lapic_ppr(const struct lapic *lapic);

/* One message at its destination: false if this LAPIC does not take it. */
bool lapic_accept(struct vcpu *vcpu, unsigned mode, unsigned vector, bool level);
/* Delivers a local interrupt by its LVT entry; `index` is enum lapic_lvt. */
void lapic_local_interrupt(struct vcpu *vcpu, unsigned index);
/* The LINT0 or LINT1 pin. */
void lapic_lint(struct vcpu *vcpu, unsigned pin, bool level);
/* Does the 8259 pair's INTR reach this CPU (LAPIC off, or LINT0 as ExtINT)? */
bool lapic_takes_extint(const struct vcpu *vcpu);
/* Logs ESR bits and raises the error interrupt. */
void lapic_error(struct vcpu *vcpu, uint32_t bits);
#define ESR_SEND_ILLEGAL_VECTOR    (1u << 5)
#define ESR_RECEIVE_ILLEGAL_VECTOR (1u << 6)
#define ESR_ILLEGAL_REGISTER       (1u << 7)

/* ---- Messages (message.c) ---- */
/* Returns how many LAPICs took it. */
unsigned message_send(struct vm *vm, const struct interrupt_message *message);
/* Is this message for that vCPU? */
bool message_matches(const struct vcpu *vcpu, const struct interrupt_message *message);
/* Carries out a write to the ICR. */
void message_send_icr(struct vcpu *vcpu, uint64_t icr);

/* ---- Registers (lapic_registers.c) ---- */
void lapic_mmio_read(struct vcpu *vcpu, uint32_t offset, unsigned size, uint64_t *value);
void lapic_mmio_write(struct vcpu *vcpu, uint32_t offset, unsigned size, uint64_t value);
/* x2APIC MSRs 0x800-0x8ff: 0, or -EFAULT with #GP raised. */
int lapic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
int lapic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);
/* IA32_APIC_BASE: 0, or -EFAULT with #GP raised. */
int lapic_base_write(struct vcpu *vcpu, uint64_t value);

/* ---- Timer (lapic_timer.c) ---- */
void lapic_timer_write_lvt(struct vcpu *vcpu, uint32_t value);
void lapic_timer_write_initial(struct vcpu *vcpu, uint32_t value);
void lapic_timer_write_divide(struct vcpu *vcpu, uint32_t value);
uint32_t lapic_timer_current(struct vcpu *vcpu);
uint64_t lapic_timer_read_deadline(struct vcpu *vcpu);
void lapic_timer_write_deadline(struct vcpu *vcpu, uint64_t value);
uint64_t lapic_timer_next(const struct vcpu *vcpu); /* virtual ns, or CLOCK_NEVER */
void lapic_timer_advance(struct vcpu *vcpu, uint64_t now);

#endif
