/* SPDX-License-Identifier: MIT */
/*
 * debugregister.c - MOV to and from debug registers, and breakpoint matching (SDM Vol. 3, 17.2).
 */
#include "debugregister.h"
#include "interpreter.h"

/* Checks common to both directions. *number is the register, DR4 and DR5 resolved to DR6 and DR7.
 */
static int debug_access(struct vcpu *vcpu, const struct instruction *insn, unsigned *number)
{
    if (insn->reg > 7)
        return fault_ud(vcpu);
    if (vcpu->r.cpl != 0)
        return fault_gp(vcpu);
    *number = insn->reg;
    if (*number == 4 || *number == 5) {
        if (vcpu->r.cr4 & CR4_DE)
            return fault_ud(vcpu);
        *number += 2;
    }
    if (vcpu->r.dr[7] & DR7_GD) {
        (void)fault_raise(vcpu, EXCEPTION_DB);
        vcpu->fault.address = DR6_BD; /* delivery of #DB clears GD */
        return -EFAULT;
    }
    return 0;
}

int interpret_mov_from_dr(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned number;
    int result = debug_access(vcpu, insn, &number);
    if (result)
        return result;
    uint64_t value = vcpu->r.dr[number];
    if (number == 6)
        value = (value & DR6_WRITABLE) | DR6_FIXED;
    else if (number == 7)
        value = (value & DR7_WRITABLE) | DR7_FIXED;
    register_write(vcpu, insn, insn->rm, insn->code_size == 64 ? 8 : 4, value);
    return 0;
}

int interpret_mov_to_dr(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned number;
    int result = debug_access(vcpu, insn, &number);
    if (result)
        return result;
    uint64_t value = register_read(vcpu, insn, insn->rm, insn->code_size == 64 ? 8 : 4);
    if (number >= 6 && value >> 32)
        return fault_gp(vcpu);
    if (number == 6)
        value = (value & DR6_WRITABLE) | DR6_FIXED;
    else if (number == 7)
        value = (value & DR7_WRITABLE) | DR7_FIXED;
    vcpu->r.dr[number] = value;
    if (number != 6)
        debug_changed(vcpu);
    return 0;
}

/* ---- Matching ---- */

enum breakpoint_kind { BREAK_FETCH, BREAK_WRITE, BREAK_PORT, BREAK_READ_WRITE };

static bool breakpoint_enabled(const struct vcpu *vcpu, unsigned i)
{
    return vcpu->r.dr[7] >> (i * 2) &
           3; /* locally or globally: no difference but for task switches */
}

static unsigned breakpoint_kind(const struct vcpu *vcpu, unsigned i)
{
    return vcpu->r.dr[7] >> (16 + i * 4) & 3;
}

static uint64_t breakpoint_length(const struct vcpu *vcpu, unsigned i)
{
    static const uint8_t length[4] = { 1, 2, 8, 4 };
    return length[vcpu->r.dr[7] >> (18 + i * 4) & 3];
}

/* Does [address, address + size) touch breakpoint i? Its own low address bits are ignored. */
static bool breakpoint_covers(const struct vcpu *vcpu, unsigned i, uint64_t address, unsigned size)
{
    uint64_t length = breakpoint_length(vcpu, i);
    uint64_t start = vcpu->r.dr[i] & ~(length - 1);
    return address - start < length || start - address < size;
}

void debug_changed(struct vcpu *vcpu)
{
    vcpu->data_breakpoints = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned kind = breakpoint_kind(vcpu, i);
        if (breakpoint_enabled(vcpu, i) && (kind == BREAK_WRITE || kind == BREAK_READ_WRITE))
            vcpu->data_breakpoints = 1;
    }
    vcpu_raise(vcpu, ATTENTION_DEBUG);
}

bool debug_breakpoints_armed(const struct vcpu *vcpu)
{
    return vcpu->r.dr[7] & 0xff;
}

uint32_t debug_match_fetch(const struct vcpu *vcpu, uint64_t linear)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (breakpoint_enabled(vcpu, i) && breakpoint_kind(vcpu, i) == BREAK_FETCH &&
            vcpu->r.dr[i] == linear)
            bits |= 1u << i;
    }
    return bits;
}

uint32_t debug_match_data(const struct vcpu *vcpu, uint64_t linear, unsigned size, bool write)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned kind = breakpoint_kind(vcpu, i);
        if (breakpoint_enabled(vcpu, i) &&
            (kind == BREAK_READ_WRITE || (kind == BREAK_WRITE && write)) &&
            breakpoint_covers(vcpu, i, linear, size))
            bits |= 1u << i;
    }
    return bits;
}

void debug_match_port(struct vcpu *vcpu, uint16_t port, unsigned size)
{
    if (!debug_breakpoints_armed(vcpu) || !(vcpu->r.cr4 & CR4_DE))
        return;
    for (unsigned i = 0; i < 4; i++) {
        if (breakpoint_enabled(vcpu, i) && breakpoint_kind(vcpu, i) == BREAK_PORT &&
            breakpoint_covers(vcpu, i, port, size)) {
            vcpu->debug_pending |= 1u << i;
            vcpu_raise(vcpu, ATTENTION_DEBUG);
        }
    }
}
