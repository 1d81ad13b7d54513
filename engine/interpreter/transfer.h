/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - what the control-transfer interpreters share: frames on stacks that are not yet the
 * current one, code segments about to be entered, the legacy TSS.
 *
 * The rule of all of them: decode and check into locals, write memory (atomically: probed first),
 * then commit registers with steps that cannot fail. A fault therefore leaves the registers as they
 * were. The one exception is the hardware's own: a task switch that faults after its commit point
 * faults in the new task (SDM Vol. 3, 7.3).
 */
#ifndef ORIGAMI_ENGINE_INTERPRETER_TRANSFER_H
#define ORIGAMI_ENGINE_INTERPRETER_TRANSFER_H

#include "interpreter.h"

/* Every RFLAGS bit that exists. */
#define FLAGS_DEFINED                                                                              \
    (FLAG_ARITHMETIC | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM |     \
     FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID)

/* Descriptor types: low four bits of the access byte (SDM Vol. 3, 3.4.5.1 and 3.5). */
#define TYPE_CODE       8u /* with S */
#define TYPE_CONFORMING 4u /* code */
#define TYPE_EXPAND     4u /* data: expand down */
#define TYPE_READABLE   2u /* code */
#define TYPE_WRITABLE   2u /* data */
enum system_type {
    SYSTEM_TSS16 = 1,
    SYSTEM_LDT = 2,
    SYSTEM_TSS16_BUSY = 3,
    SYSTEM_CALL_GATE16 = 4,
    SYSTEM_TASK_GATE = 5,
    SYSTEM_INTERRUPT_GATE16 = 6,
    SYSTEM_TRAP_GATE16 = 7,
    SYSTEM_TSS = 9,
    SYSTEM_TSS_BUSY = 11,
    SYSTEM_CALL_GATE = 12,
    SYSTEM_INTERRUPT_GATE = 14,
    SYSTEM_TRAP_GATE = 15
};

#define DESCRIPTOR_ACCESSED (1ull << 40)
#define DESCRIPTOR_BUSY     (1ull << 41)

static inline unsigned descriptor_type(uint64_t raw)
{
    return (unsigned)(raw >> 40) & RIGHTS_TYPE;
}
static inline unsigned descriptor_dpl(uint64_t raw)
{
    return (unsigned)(raw >> 45) & 3;
}
static inline bool descriptor_present(uint64_t raw)
{
    return raw >> 47 & 1;
}
static inline bool descriptor_system(uint64_t raw) /* S clear: system segment or gate */
{
    return !(raw >> 44 & 1);
}
static inline bool descriptor_code(uint64_t raw)
{
    return (raw >> 40 & (RIGHTS_S | TYPE_CODE)) == (RIGHTS_S | TYPE_CODE);
}
static inline bool descriptor_conforming(uint64_t raw) /* only for code */
{
    return descriptor_type(raw) & TYPE_CONFORMING;
}
static inline bool descriptor_writable_data(uint64_t raw)
{
    return (raw >> 40 & (RIGHTS_S | TYPE_CODE | TYPE_WRITABLE)) == (RIGHTS_S | TYPE_WRITABLE);
}
static inline bool descriptor_long(uint64_t raw)
{
    return raw >> 53 & 1;
}
static inline bool descriptor_big(uint64_t raw)
{
    return raw >> 54 & 1;
}
uint32_t descriptor_limit(uint64_t raw); /* in bytes */

static inline bool selector_null(uint16_t selector)
{
    return (selector & 0xfffcu) == 0;
}
static inline bool selector_local(uint16_t selector)
{
    return selector & 4;
}

static inline bool vcpu_protected(const struct vcpu *vcpu)
{
    return vcpu->r.cr0 & CR0_PE;
}
static inline bool vcpu_virtual8086(const struct vcpu *vcpu)
{
    return vcpu->r.rflags & FLAG_VM;
}
/* Real mode or virtual-8086 mode: selectors are paragraphs. */
static inline bool vcpu_paragraphs(const struct vcpu *vcpu)
{
    return !vcpu_protected(vcpu) || vcpu_virtual8086(vcpu);
}
static inline unsigned vcpu_iopl(const struct vcpu *vcpu)
{
    return (unsigned)(vcpu->r.rflags & FLAG_IOPL) >> 12;
}

/* A selector fault: the error code is the selector without RPL, with the EXT bit. */
static inline int fault_selector(struct vcpu *vcpu, unsigned vector, uint16_t selector,
                                 unsigned external)
{
    return fault_raise_error(vcpu, vector, (selector & 0xfffcu) | external);
}

/* ---- operand.c ---- */
/* Sets rSP on a stack with the given address size in bytes: 16-bit stacks keep the upper part. */
void stack_pointer_set(struct vcpu *vcpu, unsigned address_size, uint64_t value);
/* RFLAGS bits that POPF and IRET with this operand size may change at the current CPL and IOPL. */
uint64_t flags_writable(const struct vcpu *vcpu, unsigned size);
/* Replaces the bits of `mask` and clears RF unless `mask` has it. */
void flags_merge(struct vcpu *vcpu, uint64_t value, uint64_t mask);
/* A far pointer in memory, offset of insn->operand_size bytes first. */
int operand_far_pointer(struct vcpu *vcpu, const struct instruction *insn, uint16_t *selector,
                        uint64_t *offset) MUST_CHECK;

/* ---- segment.c ---- */
/* System read of a table or TSS at a linear address; #GP(external) when not canonical. */
int system_read(struct vcpu *vcpu, uint64_t linear, void *data, size_t size,
                unsigned external) MUST_CHECK;
/* Atomically sets and clears bits of the access byte of a descriptor in memory and in *descriptor.
 */
int descriptor_update(struct vcpu *vcpu, struct descriptor *descriptor, uint64_t set,
                      uint64_t clear) MUST_CHECK;
/* Sets the accessed bit if it is clear. */
int descriptor_mark_accessed(struct vcpu *vcpu, struct descriptor *descriptor) MUST_CHECK;
/* Does the selector lie within its table? *linear is the descriptor's address. No fault. */
bool descriptor_locate(const struct vcpu *vcpu, uint16_t selector, unsigned size, uint64_t *linear);
/* Makes a register unusable, as a null selector does; keeps SS.DPL = `dpl`. */
void segment_set_null(struct segment_register *out, uint16_t selector, unsigned dpl);
/* Real mode and virtual-8086 mode loads. */
void segment_set_paragraph(struct vcpu *vcpu, unsigned segment, uint16_t selector);
void segment_set_virtual8086(struct segment_register *out, uint16_t selector);
/* The flat segments of SYSCALL, SYSENTER and their returns. `rights` as in segment_register. */
void segment_set_flat(struct segment_register *out, uint16_t selector, uint16_t rights);
/* A return to an outer level: data segments the new CPL may not use become null. */
void segments_drop(struct vcpu *vcpu, unsigned cpl);
/* Checks an SS for privilege `cpl`: selector errors raise `vector`, not present #SS. Marks
 * accessed. */
int segment_check_stack(struct vcpu *vcpu, uint16_t selector, unsigned cpl, unsigned vector,
                        unsigned external, struct descriptor *out) MUST_CHECK;
/* Is `offset` a valid RIP in the code segment? #GP(external) if not. */
int code_check_offset(struct vcpu *vcpu, uint64_t raw, uint64_t offset,
                      unsigned external) MUST_CHECK;
/* A code segment reached by RETF and IRET: selector carries the new CPL. Marks accessed. */
int code_check_return(struct vcpu *vcpu, uint16_t selector, struct descriptor *out) MUST_CHECK;

/* ---- frame.c ---- */
#define FRAME_MAX 36 /* the longest: SS, ESP, 31 parameters, CS, EIP of a call gate */

struct stack_frame {
    struct segment_register segment; /* the stack's SS, current or not */
    uint64_t pointer;                /* rSP before; frame_push() leaves the one after */
    uint8_t address_size;            /* 2, 4, 8 */
    uint8_t size;                    /* of each item: 2, 4, 8 */
    uint32_t access;                 /* 0: current CPL; ACCESS_USER or ACCESS_SUPERVISOR */
    uint32_t error;                  /* error code of #SS when it does not fit */
    unsigned count;
    uint64_t value[FRAME_MAX]; /* in the order of the pushes */
};
void frame_init_current(const struct vcpu *vcpu, struct stack_frame *frame, unsigned size);
void frame_add(struct stack_frame *frame, uint64_t value);
/* Checks and writes all items or none. Registers do not change. */
int frame_push(struct vcpu *vcpu, struct stack_frame *frame) MUST_CHECK;
/* Fills the frame's stack from SSn:ESPn of the legacy TSS, with all #TS checks. */
int frame_init_inner(struct vcpu *vcpu, struct stack_frame *frame, unsigned cpl, unsigned size,
                     unsigned external) MUST_CHECK;
/* The 64-bit stack pointer at `offset` of the long-mode TSS: RSPn or ISTn. */
int tss_read_pointer(struct vcpu *vcpu, unsigned offset, unsigned external,
                     uint64_t *pointer) MUST_CHECK;

/* ---- event.c, gate.c ---- */
struct event {
    uint8_t vector;
    enum event_kind kind;
    bool has_error;
    uint32_t error;
    unsigned external; /* EXT bit for the error codes of faults met on the way */
    uint64_t return_rip;
    uint64_t flags; /* the RFLAGS image to save */
};
static inline bool event_software(const struct event *event)
{
    return event->kind == EVENT_SOFTWARE || event->kind == EVENT_SOFTWARE_EXCEPTION;
}
/* Error code that names an IDT entry. */
static inline uint32_t event_gate_error(const struct event *event)
{
    return event->vector * 8u + 2u + event->external;
}
int event_deliver_legacy(struct vcpu *vcpu, const struct event *event) MUST_CHECK;
/* Flags of a handler: TF, NT, RF and VM off, IF by the gate; then RIP. Shared tail. */
void event_enter(struct vcpu *vcpu, uint64_t rip, bool interrupt_gate);

/* ---- task.c ---- */
struct task_request {
    uint16_t selector;
    struct descriptor tss;
    enum task_switch reason;
    unsigned external;
    uint64_t flags; /* RFLAGS to save in the old TSS */
    bool has_error;
    uint32_t error;
};
/* Saves vcpu->next_rip as the old task's EIP; sets r.rip and next_rip to the new one's. */
int task_switch_perform(struct vcpu *vcpu, const struct task_request *request) MUST_CHECK;

#endif
