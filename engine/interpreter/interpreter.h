/* SPDX-License-Identifier: MIT */
/*
 * interpreter.h - the contract of the interpreters v_i, and the helpers they share.
 *
 * An interpreter carries out one decoded instruction completely or not at all:
 *   return 0        done: the dispatcher sets RIP to vcpu->next_rip (preset to the following
 * instruction; branches overwrite it), counts it, and looks at shadows, TF and debug registers
 *   return -EFAULT  vcpu->fault is set, nothing else has changed (but what hardware itself changes)
 *   return -EAGAIN  progress was made and saved (repeated string I/O): RIP stays, interrupts may
 * come in return -ECANCELED as 0, but the machine wants the vCPU to stop at this boundary The
 * dispatcher has already checked: LOCK legality, feature gates, CR0/CR4/XCR0 gates of row->state.
 * Checks of mode, CPL and IOPL are the interpreter's.
 */
#ifndef ORIGAMI_ENGINE_INTERPRETER_H
#define ORIGAMI_ENGINE_INTERPRETER_H

#include "../allocator/access.h"
#include "../engine.h"
#include "../instruction/instruction.h"
#include "../support.h"

typedef int interpreter_function(struct vcpu *vcpu, const struct instruction *insn);

#define INTERPRETER(name) interpreter_function interpret_##name;
#include "interpreters.def"
#undef INTERPRETER

extern interpreter_function *const interpreter_table[INTERPRETER_COUNT];

/* ---- Registers and operands (interpreter/operand.c) ---- */

/* General register by number and size in bytes. Byte size: without REX, 4..7 are AH, CH, DH, BH.
 * Writes of 4 bytes zero the upper half; writes of 1 and 2 keep the rest. */
uint64_t register_read(const struct vcpu *vcpu, const struct instruction *insn, unsigned number,
                       unsigned size);
void register_write(struct vcpu *vcpu, const struct instruction *insn, unsigned number,
                    unsigned size, uint64_t value);

/* Effective offset of the memory operand (base + index * scale + displacement, wrapped to the
 * address size; RIP-relative from the end of the instruction; BIT_STRING displaced by the
 * register). */
uint64_t operand_offset(const struct vcpu *vcpu, const struct instruction *insn);
/* Segment checks and linear address of a memory operand of `size` bytes. */
int operand_linear(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                   unsigned access, uint64_t *linear) MUST_CHECK;
/* The r/m operand, register or memory, zero-extended. size 1, 2, 4, 8. */
int operand_read_rm(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                    uint64_t *value) MUST_CHECK;
int operand_write_rm(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                     uint64_t value) MUST_CHECK;

/* ---- Explicit accesses ---- */
/*
 * -ECANCELED says that an access was carried out and the machine wants a stop at the next boundary.
 * Where more follows, or a fault may, that wish is kept as ATTENTION_STOP, and the operation goes
 * on.
 */
static inline int access_settle(struct vcpu *vcpu, int result)
{
    if (result != -ECANCELED)
        return result;
    vcpu_raise(vcpu, ATTENTION_STOP);
    return 0;
}
/* Notes data breakpoints that an access has hit, as a pending debug trap (interpreter/operand.c).
 */
void access_watch(struct vcpu *vcpu, uint64_t linear, unsigned size, bool write);

/* ---- Stack (interpreter/operand.c): size 2, 4 or 8; wraps by the stack's address size ---- */
int stack_push(struct vcpu *vcpu, unsigned size,
               uint64_t value) MUST_CHECK; /* rSP moves on success */
int stack_pop(struct vcpu *vcpu, unsigned size, uint64_t *value) MUST_CHECK;
int stack_read(struct vcpu *vcpu, unsigned displacement, unsigned size,
               uint64_t *value) MUST_CHECK;          /* at rSP + displacement; rSP stays */
void stack_adjust(struct vcpu *vcpu, int64_t delta); /* adds to rSP by the stack's address size */

/* ---- Flags and branches ---- */
bool condition_met(uint64_t rflags, unsigned condition); /* condition code 0..15 as in Jcc */
/* Checks a near branch target (canonical, or within CS.limit) and sets vcpu->next_rip; #GP(0). */
int branch_near(struct vcpu *vcpu, uint64_t target) MUST_CHECK;
/* Replaces RFLAGS and recomputes what hangs on it (attention for IF, TF; the TLB's view of AC). */
void flags_set(struct vcpu *vcpu, uint64_t rflags);

/* ---- Descriptors and segments (interpreter/segment.c) ---- */
struct descriptor {
    uint64_t raw;    /* the 8 bytes */
    uint64_t upper;  /* system descriptors in long mode: the second 8 bytes */
    uint64_t linear; /* where it was read */
};
/* Reads the descriptor of `selector` from GDT or LDT as a system access. #GP(selector) outside the
 * limit; `vector` says which exception a selector error raises (#GP, #TS, #NP...). `external` is
 * OR'd into the error code (EXT bit). */
int descriptor_read(struct vcpu *vcpu, uint16_t selector, unsigned vector, unsigned external,
                    bool wide, struct descriptor *out) MUST_CHECK;
/* Loads a data or stack segment register as MOV Sreg does, with all checks (SDM Vol. 2, MOV). CPL
 * is the current one. Handles real mode. */
int segment_load(struct vcpu *vcpu, unsigned segment, uint16_t selector) MUST_CHECK;
/* Fills a segment register from a descriptor without checks. */
void segment_from_descriptor(struct segment_register *out, uint16_t selector, uint64_t raw);
/* Sets CPL and everything derived. */
void cpl_set(struct vcpu *vcpu, unsigned cpl);

/* ---- Events (interpreter/event.c) ---- */
enum event_kind {
    EVENT_EXCEPTION, /* hardware exception; saved RIP as vcpu->r.rip */
    EVENT_INTERRUPT, /* external; EXT set in error codes of nested faults */
    EVENT_NMI,
    EVENT_SOFTWARE,            /* INT n: DPL checked, saved RIP is vcpu->next_rip */
    EVENT_SOFTWARE_EXCEPTION,  /* INT3, INTO: as SOFTWARE */
    EVENT_PRIVILEGED_SOFTWARE, /* INT1: no DPL check */
    EVENT_TRAP                 /* debug trap: as EXCEPTION, but RF is not set in the saved image */
};
/* Delivers one event through the IDT (or the real-mode IVT) without contributory handling. On
 * success RIP, CS, SS, RSP, RFLAGS and CPL are the handler's. -EFAULT: a fault was raised while
 * delivering, state as before. */
int event_deliver_once(struct vcpu *vcpu, unsigned vector, enum event_kind kind, bool has_error,
                       uint32_t error) MUST_CHECK;
/* The same with nesting: contributory faults become #DF, then shutdown (SDM Vol. 3, table 6-5).
 * Sets CR2 for #PF and DR6 for #DB from `fault`. 0, or -ESHUTDOWN on triple fault. */
int event_deliver(struct vcpu *vcpu, const struct fault *fault, enum event_kind kind) MUST_CHECK;
/* Sets RFLAGS.RF as the saved image needs it; kept with event delivery: faults push RF = 1. */

/* 32-bit hardware task switch (far.c, event.c use it). */
enum task_switch { TASK_JMP, TASK_CALL, TASK_IRET, TASK_GATE };
int task_switch(struct vcpu *vcpu, uint16_t selector, const struct descriptor *tss,
                enum task_switch reason, bool has_error, uint32_t error) MUST_CHECK;

/* ---- Control registers (interpreter/control.c) ---- */
int control_write_cr0(struct vcpu *vcpu, uint64_t value) MUST_CHECK;
int control_write_cr3(struct vcpu *vcpu, uint64_t value) MUST_CHECK;
int control_write_cr4(struct vcpu *vcpu, uint64_t value) MUST_CHECK;
/* 0; -EFAULT: #GP(0) raised. */
int msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value) MUST_CHECK;
int msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value) MUST_CHECK;

/* May the current CPL use ports [port, port + size)? CPL <= IOPL, else the TSS bitmap. #GP(0). */
int port_permission(struct vcpu *vcpu, uint16_t port, unsigned size) MUST_CHECK;

/* ---- Extended state: where the guest's vector registers are ---- */
/* The freestanding engine keeps them live in the CPU; the hosted library swaps them around each
 * stub, so both reach them only through these (host/). Standard XSAVE format, XSAVE_AREA_SIZE
 * bytes, 64-byte aligned; `mask` selects components (XCR0 bits without PKRU). */
void extended_state_save(struct vcpu *vcpu, void *area, uint64_t mask);
void extended_state_load(struct vcpu *vcpu, const void *area, uint64_t mask);

#endif
