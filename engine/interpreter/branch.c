/* SPDX-License-Identifier: MIT */
/*
 * branch.c - near control transfer. In 64-bit mode the operand size is 64 whatever 66h says (Intel;
 * AMD honours the prefix); elsewhere a 16-bit operand size cuts the target to 16 bits.
 */
#include "transfer.h"

static unsigned branch_size(const struct instruction *insn)
{
    return insn->code_size == 64 ? 8 : insn->operand_size;
}

static uint64_t branch_target(const struct vcpu *vcpu, const struct instruction *insn)
{
    return (vcpu->next_rip + insn->immediate) & bits_mask(branch_size(insn));
}

/* First the stack is checked, then the target, then the return address is written: a fault leaves
 * memory alone. */
static int branch_call(struct vcpu *vcpu, const struct instruction *insn, uint64_t target)
{
    uint64_t return_rip = vcpu->next_rip, linear;
    unsigned size = branch_size(insn);
    uint64_t top = (vcpu->r.gpr[REGISTER_RSP] - size) & bits_mask(vcpu->stack_size);
    int result = segment_linear(vcpu, SEGMENT_SS, top, size, ACCESS_WRITE, &linear);

    if (!result)
        result = linear_probe(vcpu, linear, size, ACCESS_WRITE);
    if (!result)
        result = branch_near(vcpu, target);
    if (result)
        return result;
    return stack_push(vcpu, size, return_rip);
}

int interpret_jmp_relative(struct vcpu *vcpu, const struct instruction *insn)
{
    return branch_near(vcpu, branch_target(vcpu, insn));
}

int interpret_jmp_indirect(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t target;
    int result = operand_read_rm(vcpu, insn, branch_size(insn), &target);

    return result ? result : branch_near(vcpu, target);
}

int interpret_call_relative(struct vcpu *vcpu, const struct instruction *insn)
{
    return branch_call(vcpu, insn, branch_target(vcpu, insn));
}

int interpret_call_indirect(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t target;
    int result = operand_read_rm(vcpu, insn, branch_size(insn), &target);

    return result ? result : branch_call(vcpu, insn, target);
}

int interpret_ret_near(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = branch_size(insn);
    uint64_t target;
    int result = stack_read(vcpu, 0, size, &target);

    if (result)
        return result;
    result = branch_near(vcpu, target);
    if (result)
        return result;
    stack_adjust(vcpu, (int64_t)(size + (insn->immediate & 0xffff)));
    return 0;
}

int interpret_jcc(struct vcpu *vcpu, const struct instruction *insn)
{
    if (!condition_met(vcpu->r.rflags, insn->opcode & 15u))
        return 0;
    return branch_near(vcpu, branch_target(vcpu, insn));
}

/* CX, ECX or RCX by the address size. */
int interpret_jcxz(struct vcpu *vcpu, const struct instruction *insn)
{
    if (vcpu->r.gpr[REGISTER_RCX] & bits_mask(insn->address_size))
        return 0;
    return branch_near(vcpu, branch_target(vcpu, insn));
}

int interpret_loop(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->address_size;
    uint64_t count = (vcpu->r.gpr[REGISTER_RCX] - 1) & bits_mask(size);
    bool zero = vcpu->r.rflags & FLAG_ZF;
    bool taken = count != 0;
    int result;

    if (insn->opcode == 0xe0) /* LOOPNE */
        taken = taken && !zero;
    else if (insn->opcode == 0xe1) /* LOOPE */
        taken = taken && zero;
    if (taken) {
        result = branch_near(vcpu, branch_target(vcpu, insn));
        if (result)
            return result;
    }
    register_write(vcpu, insn, REGISTER_RCX, size, count);
    return 0;
}
