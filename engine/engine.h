/* SPDX-License-Identifier: MIT */
/*
 * engine.h - the virtual machine (struct vm) and the virtual CPU (struct vcpu).
 *
 * The engine is the control program of Popek and Goldberg: dispatcher, allocator and interpreters.
 * It knows guest memory, virtual CPUs, interrupt controllers and timers; it knows nothing of the
 * machine's devices, which it reaches only through struct machine_operations. The sources build
 * twice: freestanding (the engine process: no libc, general registers only, so the guest's vector
 * state stays live in the CPU) and hosted (a library for tests, sanitizers and fuzzers).
 *
 * Errors: functions that can fail return 0 or -errno. -EFAULT means exactly one thing in the
 * engine: a guest exception was raised in vcpu->fault and the current instruction must be
 * abandoned; pass it up. No mutable globals: everything hangs off struct vm or struct vcpu.
 */
#ifndef ORIGAMI_ENGINE_H
#define ORIGAMI_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <origami/state.h>
#include "allocator/memory.h"
#include "allocator/tlb.h"
#include "clock.h"
#include "controllers/controllers.h"
#include "cpumodel.h"
#include "instruction/instruction.h"

#define MUST_CHECK __attribute__((warn_unused_result))
#define VCPU_MAX   64

struct vm;
struct vcpu;

/* ---- RFLAGS, CR0, CR4, EFER: architectural bits (SDM Vol. 3, 2.3, 2.5, 2.2.1) ---- */
#define FLAG_CF         (1u << 0)
#define FLAG_ONE        (1u << 1) /* always set */
#define FLAG_PF         (1u << 2)
#define FLAG_AF         (1u << 4)
#define FLAG_ZF         (1u << 6)
#define FLAG_SF         (1u << 7)
#define FLAG_TF         (1u << 8)
#define FLAG_IF         (1u << 9)
#define FLAG_DF         (1u << 10)
#define FLAG_OF         (1u << 11)
#define FLAG_IOPL       (3u << 12)
#define FLAG_NT         (1u << 14)
#define FLAG_RF         (1u << 16)
#define FLAG_VM         (1u << 17)
#define FLAG_AC         (1u << 18)
#define FLAG_VIF        (1u << 19)
#define FLAG_VIP        (1u << 20)
#define FLAG_ID         (1u << 21)
#define FLAG_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)
#define CR4_PKE        (1u << 22)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

#define XCR0_X87       (1u << 0)
#define XCR0_SSE       (1u << 1)
#define XCR0_AVX       (1u << 2)
#define XCR0_OPMASK    (1u << 5)
#define XCR0_ZMM_HI256 (1u << 6)
#define XCR0_HI16_ZMM  (1u << 7)
#define XCR0_PKRU      (1u << 9)
#define XCR0_AVX512    (XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)

/* ---- Exceptions (SDM Vol. 3, table 6-1) ---- */
enum exception {
    EXCEPTION_DE = 0,
    EXCEPTION_DB = 1,
    EXCEPTION_NMI = 2,
    EXCEPTION_BP = 3,
    EXCEPTION_OF = 4,
    EXCEPTION_BR = 5,
    EXCEPTION_UD = 6,
    EXCEPTION_NM = 7,
    EXCEPTION_DF = 8,
    EXCEPTION_TS = 10,
    EXCEPTION_NP = 11,
    EXCEPTION_SS = 12,
    EXCEPTION_GP = 13,
    EXCEPTION_PF = 14,
    EXCEPTION_MF = 16,
    EXCEPTION_AC = 17,
    EXCEPTION_MC = 18,
    EXCEPTION_XM = 19
};

/* A raised but not yet delivered guest exception. */
struct fault {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t address; /* #PF: the linear address for CR2; #DB: bits to set in DR6 */
};

/* ---- Why vcpu_run returned (always at an instruction boundary, state precise) ---- */
enum vcpu_exit {
    EXIT_BUDGET,   /* the budget is used up */
    EXIT_KICK,     /* the machine asked for attention (command pending) */
    EXIT_DEADLINE, /* the machine's own timer deadline has come */
    EXIT_HALTED,   /* HLT with nothing pending: wait until vm_next_deadline() or an interrupt */
    EXIT_SHUTDOWN, /* triple fault */
    EXIT_STOPPED,  /* the machine process ended the run (power-off, reset, debug-exit) */
    EXIT_INTERNAL  /* the engine cannot go on; vcpu->internal_error says why */
};

/* ---- What the engine asks of the machine; the only way to the devices. ----
 * Called synchronously from the vCPU's thread in the middle of an instruction. Data is
 * little-endian. Both return 0, or -ECANCELED when the machine wants the vCPU to stop at the next
 * boundary (the access itself has been carried out). Reads of nothing give all ones. */
struct machine_operations {
    int (*port)(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t *value);
    int (*mmio)(struct vcpu *vcpu, uint64_t gpa, unsigned size /* 1..8 */, bool write,
                uint64_t *value);
    /* Takes what the machine posted since the last call (interrupt lines, MSIs, its deadline);
     * called at an instruction boundary after a kick. Returns 0, -ECANCELED (stop), or -EAGAIN
     * (EXIT_KICK). */
    int (*sync)(struct vcpu *vcpu);
};

/* ---- Statistics: what the paper promises, counted ---- */
struct vcpu_statistics {
    uint64_t direct;              /* run by translated code, engine not entered (later tiers) */
    uint64_t native[CLASS_COUNT]; /* run natively by stub, by class */
    uint64_t interpreted[INTERPRETER_COUNT]; /* by interpreter */
    uint64_t interpreted_class[CLASS_COUNT]; /* the same, by class */
    uint64_t native_bounced;                 /* of native: operand through a bounce buffer */
    uint64_t exceptions[32];
    uint64_t interrupts, nmis, halts;
    uint64_t port_exits, mmio_exits, port_internal, mmio_internal;
    uint64_t tlb_misses, tlb_flushes, decodes, decode_hits, stubs_built, stubs_refused;
    uint64_t translated, translated_blocks, cache_flushes, pages_invalidated; /* Soft tier */
    uint64_t inline_misses, jump_misses, soft_steps, soft_faults, table_clears;
    uint64_t nanoseconds_run, nanoseconds_halted, nanoseconds_machine;
};

struct stub_cache; /* step/stub.h */
struct translator; /* translator/translator.h */

/* The page instructions are being fetched from: a translation kept while the TLB's generation
 * lasts. */
struct fetch_page {
    uint64_t page; /* linear >> 12 */
    uint64_t generation;
    const uint8_t *host; /* NULL: MMIO */
};

struct vcpu {
    struct vcpu_registers r;
    struct vm *vm;
    unsigned id; /* also the APIC id */

    /* Derived from r by vcpu_mode_changed(): never saved. */
    uint8_t code_size;  /* 16, 32, 64 */
    uint8_t stack_size; /* bytes of rSP in use: 2, 4, 8 */
    bool long_mode;     /* EFER.LMA */
    bool long_code;     /* LMA and CS.L: 64-bit code */
    bool flat;          /* reserved for translators */
    uint64_t rip_mask;  /* 0xffff, 0xffffffff or all ones */

    /* The instruction being carried out. */
    uint64_t next_rip;  /* where RIP goes when it completes; branches overwrite it */
    struct fault fault; /* valid after -EFAULT */
    bool nmi_pending, smi_pending, init_pending;
    uint32_t debug_pending; /* DR6 bits of debug traps to deliver at the next boundary */

    /* Set asynchronously (by another thread or the machine): something to look at before the next
     * step. */
    uint32_t attention; /* ATTENTION_*; use vcpu_raise() */

    uint8_t data_breakpoints; /* DR7 enables at least one data breakpoint */

    struct tlb tlb;
    struct fetch_page fetch;
    struct stub_cache *stubs;
    struct translator *translator; /* NULL: Step tier only */
    uint32_t *kick;          /* the wire's word (or the embedder's): nonzero = ATTENTION_KICK */
    uint64_t instructions;   /* retired since power-on: the clock of deterministic runs */
    uint64_t boundary_check; /* instruction count at which timers are looked at again */
    struct vcpu_statistics statistics;
    uint32_t own_kick;          /* where kick points until someone else lends a word */
    const char *internal_error; /* constant text after EXIT_INTERNAL */
    void *host;                 /* the embedder's (process glue, test harness) */
};

#define ATTENTION_INTERRUPT 1u /* a controller may have something for INTR, NMI, INIT, SIPI */
#define ATTENTION_KICK      2u /* the machine wrote to the wire: lines, MSIs, commands */
#define ATTENTION_DEBUG     4u /* TF, debug_pending or interrupt shadow: the slow boundary path */
#define ATTENTION_STOP      8u /* leave vcpu_run with EXIT_STOPPED */

struct vm {
    struct guest_memory memory;
    struct clock clock;
    struct controllers controllers;
    struct cpu_model model;
    const struct machine_operations *machine;
    unsigned vcpu_count;
    struct vcpu *vcpus[VCPU_MAX];
    bool deterministic;        /* instruction clock, seeded RDRAND */
    uint64_t random_state[2];  /* for RDRAND and RDSEED in deterministic runs */
    uint64_t machine_deadline; /* virtual ns at which the machine wants EXIT_DEADLINE; ~0 = never */
    uint64_t machine_stop;     /* the same for EXIT_KICK; instruction clock only */
};

/* ---- Creation ---- */
/* Everything zero but what the caller then sets; memory slots are added with memory_add_slot(). */
void vm_init(struct vm *vm, const struct cpu_model *model,
             const struct machine_operations *machine);
/* Attaches vcpu number id; `stubs` is its private executable area, made with stub_cache_init(). */
void vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned id, struct stub_cache *stubs);
/* Power-on or INIT state (SDM Vol. 3, table 9-1). */
void vcpu_reset(struct vcpu *vcpu, bool init);

/* ---- Running ---- */
/*
 * Runs at most `budget` guest instructions (repeated string instructions count once per page run).
 * Returns why it stopped. State is precise: at an instruction boundary, events delivered or
 * pending.
 */
enum vcpu_exit vcpu_run(struct vcpu *vcpu, uint64_t budget);

/* Must be called after any change of CR0, CR3, CR4, EFER, CPL, CS, SS or RFLAGS.AC/VM by anything
 * but the helpers in interpreter/: recomputes the derived fields and the TLB's view. */
void vcpu_mode_changed(struct vcpu *vcpu);

static inline void vcpu_raise(struct vcpu *vcpu, uint32_t attention)
{
    __atomic_fetch_or(&vcpu->attention, attention, __ATOMIC_SEQ_CST);
}

/* ---- Raising faults: always `return fault_...(...)` ---- */
static inline int fault_raise(struct vcpu *vcpu, unsigned vector)
{
    vcpu->fault = (struct fault){ .vector = (uint8_t)vector };
    return -14; /* -EFAULT */
}
static inline int fault_raise_error(struct vcpu *vcpu, unsigned vector, uint32_t error)
{
    vcpu->fault = (struct fault){ .vector = (uint8_t)vector, .has_error = true, .error = error };
    return -14;
}
static inline int fault_gp(struct vcpu *vcpu)
{
    return fault_raise_error(vcpu, EXCEPTION_GP, 0);
}
static inline int fault_ud(struct vcpu *vcpu)
{
    return fault_raise(vcpu, EXCEPTION_UD);
}

/* 48-bit canonical addresses (LA57 is not given to the guest). */
static inline bool address_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

#endif
