/* SPDX-License-Identifier: MIT */
/*
 * dispatcher.c - the dispatcher D: one instruction at a time (the Step tier), each to its stub or
 * its interpreter, and every exception to the guest.
 */
#include "dispatcher.h"
#include "../interpreter/interpreter.h"
#include "../support.h"
#include "../translator/translator.h"

/* CR0, CR4 and XCR0 must have switched on the state an instruction uses (SDM Vol. 2, 2.4 and the
 * exception classes; Vol. 3, table 13-1). */
static int gate(struct vcpu *vcpu, const struct instruction *insn)
{
    const struct vcpu_registers *r = &vcpu->r;
    uint64_t cr0 = r->cr0;
    uint64_t need = XCR0_SSE | XCR0_AVX;
    switch (insn->row->state) {
    case STATE_X87:
    case STATE_X87_NOWAIT:
        return cr0 & (CR0_EM | CR0_TS) ? fault_raise(vcpu, EXCEPTION_NM) : 0;
    case STATE_FWAIT:
        return (cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS) ? fault_raise(vcpu, EXCEPTION_NM) : 0;
    case STATE_MMX:
        if (cr0 & CR0_EM)
            return fault_ud(vcpu);
        break;
    case STATE_SSE:
    case STATE_SSE_MMX:
        if ((cr0 & CR0_EM) || !(r->cr4 & CR4_OSFXSR))
            return fault_ud(vcpu);
        break;
    case STATE_AVX512:
    case STATE_OPMASK:
        need |= XCR0_AVX512;
        __attribute__((fallthrough));
    case STATE_AVX:
        if (!(r->cr4 & CR4_OSXSAVE) || (r->xcr0 & need) != need)
            return fault_ud(vcpu);
        break;
    default:
        return 0;
    }
    return cr0 & CR0_TS ? fault_raise(vcpu, EXCEPTION_NM) : 0;
}

static int gates(struct vcpu *vcpu, const struct instruction *insn)
{
    if (insn->encoding != ENCODING_LEGACY &&
        (!(vcpu->r.cr0 & CR0_PE) || (vcpu->r.rflags & FLAG_VM)))
        return fault_ud(vcpu);
    return insn->row->state == STATE_GENERAL ? 0 : gate(vcpu, insn);
}

static int carry_out(struct vcpu *vcpu, struct stub_entry *entry)
{
    const struct instruction *insn = &entry->insn;
    int status;
    if (entry->kind == STUB_UNDEFINED)
        return fault_ud(vcpu);
    if (entry->kind == STUB_TOO_LONG)
        return fault_gp(vcpu);
    if (insn->row->state != STATE_GENERAL || insn->encoding != ENCODING_LEGACY) {
        status = gates(vcpu, insn);
        if (status)
            return status;
    }
    vcpu->next_rip = (vcpu->r.rip + insn->length) & vcpu->rip_mask;
    if (entry->kind == STUB_NATIVE) {
        vcpu->statistics.native[insn->row->class]++;
        return step_native(vcpu, entry);
    }
    vcpu->statistics.interpreted[insn->row->interpreter]++;
    vcpu->statistics.interpreted_class[insn->row->class]++;
    return interpreter_table[insn->row->interpreter](vcpu, insn);
}

/* These load RFLAGS through a gate or mask: TF counts as they leave it. */
static bool clears_trap_flag(const struct stub_entry *entry)
{
    switch (entry->insn.row->interpreter) {
    case INTERPRET_syscall:
    case INTERPRET_sysenter:
    case INTERPRET_int_n:
    case INTERPRET_int3:
    case INTERPRET_int1:
    case INTERPRET_into:
        return true;
    default:
        return false;
    }
}

int dispatch_fault(struct vcpu *vcpu)
{
    struct fault fault = vcpu->fault;
    vcpu->statistics.exceptions[fault.vector & 31]++;
    vcpu->debug_pending = 0;
    if (event_deliver(vcpu, &fault, EVENT_EXCEPTION)) {
        vcpu->r.activity = ACTIVITY_SHUTDOWN;
        return EXIT_SHUTDOWN;
    }
    return BOUNDARY_GO;
}

/* After a completed instruction (or one element of a repeated one). */
static void retire(struct vcpu *vcpu, const struct stub_entry *entry, uint64_t trap_flag)
{
    if (trap_flag && clears_trap_flag(entry))
        trap_flag = vcpu->r.rflags & FLAG_TF;
    if (trap_flag) {
        vcpu->debug_pending |= 1u << 14; /* DR6.BS */
        vcpu_raise(vcpu, ATTENTION_DEBUG);
    }
}

/* What becomes of an instruction's status but its traps. BOUNDARY_GO or an exit. */
static int conclude(struct vcpu *vcpu, int status, uint64_t resume_flag)
{
    switch (status) {
    case 0:
        vcpu->r.rip = vcpu->next_rip;
        return BOUNDARY_GO;
    case -EAGAIN:
        vcpu->r.rflags |= resume_flag;
        return BOUNDARY_GO;
    case -ECANCELED:
        vcpu->r.rip = vcpu->next_rip;
        vcpu_raise(vcpu, ATTENTION_STOP);
        return BOUNDARY_GO;
    case -EFAULT:
        vcpu->r.rflags |= resume_flag;
        return dispatch_fault(vcpu);
    case -ESHUTDOWN:
        vcpu->r.activity = ACTIVITY_SHUTDOWN;
        return EXIT_SHUTDOWN;
    default:
        if (vcpu->internal_error == NULL)
            vcpu->internal_error = "unexpected status of an instruction";
        return EXIT_INTERNAL;
    }
}

/* One instruction. BOUNDARY_GO or an exit. */
static int step(struct vcpu *vcpu)
{
    struct stub_entry *entry;
    uint64_t trap_flag = vcpu->r.rflags & FLAG_TF;
    uint64_t resume_flag = vcpu->r.rflags & FLAG_RF;
    int status = fetch(vcpu, &entry);
    vcpu->instructions++;
    if (status == 0) {
        /* RF holds for one instruction; IRET and the like may set it again. */
        vcpu->r.rflags &= ~(uint64_t)FLAG_RF;
        status = carry_out(vcpu, entry);
    }
    int result = conclude(vcpu, status, resume_flag);
    if (status == 0 || status == -EAGAIN || status == -ECANCELED)
        retire(vcpu, entry, trap_flag);
    return result;
}

int dispatch_known(struct vcpu *vcpu, const struct instruction *insn)
{
    vcpu->instructions++;
    vcpu->next_rip = (vcpu->r.rip + insn->length) & vcpu->rip_mask;
    vcpu->statistics.interpreted[insn->row->interpreter]++;
    vcpu->statistics.interpreted_class[insn->row->class]++;
    return conclude(vcpu, interpreter_table[insn->row->interpreter](vcpu, insn), 0);
}

enum vcpu_exit vcpu_run(struct vcpu *vcpu, uint64_t budget)
{
    uint64_t end = vcpu->instructions + budget;
    int result;
    if (end < budget)
        end = ~0ull;
    if (vcpu->r.activity == ACTIVITY_SHUTDOWN)
        return EXIT_SHUTDOWN;
    vcpu_raise(vcpu, ATTENTION_INTERRUPT | ATTENTION_DEBUG);
    while (vcpu->instructions < end) {
        if (__atomic_load_n(&vcpu->attention, __ATOMIC_RELAXED) |
                __atomic_load_n(vcpu->kick, __ATOMIC_RELAXED) ||
            vcpu->instructions >= vcpu->boundary_check) {
            result = boundary(vcpu);
            if (result != BOUNDARY_GO)
                return (enum vcpu_exit)result;
        }
        /* Attention left over by boundary() is for after the very next instruction. */
        result = TRANSLATOR_STEP;
        if (vcpu->translator && !__atomic_load_n(&vcpu->attention, __ATOMIC_RELAXED) &&
            translator_possible(vcpu))
            result = translator_run(vcpu, end);
        if (result == TRANSLATOR_STEP)
            result = step(vcpu);
        if (result != BOUNDARY_GO)
            return (enum vcpu_exit)result;
    }
    return EXIT_BUDGET;
}
