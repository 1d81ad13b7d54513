/* SPDX-License-Identifier: MIT */
/*
 * portio.c - IN, OUT, INS, OUTS, and who may use which port (SDM Vol. 1, chapter 18).
 *
 * Ports of the interrupt controllers and timers are answered inside the engine; all others belong
 * to the machine.
 */
#include "debugregister.h"
#include "transfer.h"

#define TSS_IO_BASE 102u /* offset of the bitmap's own offset in a 32- and 64-bit TSS */
#define STRING_RUN  64u  /* elements of a repeated string instruction carried out at once */

int port_permission(struct vcpu *vcpu, uint16_t port, unsigned size)
{
    const struct segment_register *tr = &vcpu->r.segment[SEGMENT_TR];
    unsigned type = tr->rights & RIGHTS_TYPE;
    uint16_t base, bits;

    if (!vcpu_protected(vcpu))
        return 0;
    if (!vcpu_virtual8086(vcpu) && vcpu->r.cpl <= vcpu_iopl(vcpu))
        return 0;
    if (tr->unusable || (type != SYSTEM_TSS && type != SYSTEM_TSS_BUSY) ||
        tr->limit < TSS_IO_BASE + 1)
        return fault_gp(vcpu);
    int result = access_settle(
        vcpu, linear_read(vcpu, tr->base + TSS_IO_BASE, &base, 2, ACCESS_READ | ACCESS_SYSTEM));
    if (result)
        return result;
    /* Two bytes are read whatever the port, so the byte after the last one must be inside too. */
    uint32_t offset = base + port / 8u;
    if (offset + 1 > tr->limit)
        return fault_gp(vcpu);
    result = access_settle(
        vcpu, linear_read(vcpu, tr->base + offset, &bits, 2, ACCESS_READ | ACCESS_SYSTEM));
    if (result)
        return result;
    unsigned denied = (unsigned)bits >> (port & 7) & ((1u << size) - 1);
    return denied ? fault_gp(vcpu) : 0;
}

/* Carries out one access. 0 or -ECANCELED; either way it has happened. */
static int port_access(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t *value)
{
    int result = 0;

    if (write)
        *value &= (uint32_t)bits_mask(size);
    else
        *value = ~0u; /* what a port nobody answers reads as */
    if (controllers_port(vcpu, port, size, write, value)) {
        vcpu->statistics.port_internal++;
    } else {
        vcpu->statistics.port_exits++;
        result = vcpu->vm->machine->port(vcpu, port, size, write, value);
    }
    *value &= (uint32_t)bits_mask(size);
    debug_match_port(vcpu, port, size);
    return result == -ECANCELED ? -ECANCELED : 0;
}

static unsigned port_size(const struct instruction *insn)
{
    if (!(insn->opcode & 1))
        return 1;
    return insn->operand_size == 2 ? 2 : 4;
}

static uint16_t port_number(const struct vcpu *vcpu, const struct instruction *insn)
{
    return insn->opcode & 8 ? (uint16_t)vcpu->r.gpr[REGISTER_RDX] : (uint8_t)insn->immediate;
}

int interpret_in(struct vcpu *vcpu, const struct instruction *insn)
{
    uint16_t port = port_number(vcpu, insn);
    unsigned size = port_size(insn);
    uint32_t value = 0;

    int result = port_permission(vcpu, port, size);
    if (result)
        return result;
    result = port_access(vcpu, port, size, false, &value);
    register_write(vcpu, insn, REGISTER_RAX, size, value);
    return result;
}

int interpret_out(struct vcpu *vcpu, const struct instruction *insn)
{
    uint16_t port = port_number(vcpu, insn);
    unsigned size = port_size(insn);
    uint32_t value = (uint32_t)vcpu->r.gpr[REGISTER_RAX];

    int result = port_permission(vcpu, port, size);
    if (result)
        return result;
    return port_access(vcpu, port, size, true, &value);
}

/* ---- String forms ---- */

/* INS: the destination is checked before the port is read, so that no data is lost to a fault. */
static int string_in(struct vcpu *vcpu, const struct instruction *insn, uint16_t port,
                     unsigned size)
{
    uint64_t offset = vcpu->r.gpr[REGISTER_RDI] & bits_mask(insn->address_size);
    uint64_t linear;
    uint32_t value = 0;

    int result = segment_linear(vcpu, SEGMENT_ES, offset, size, ACCESS_WRITE, &linear);
    if (result == 0)
        result = linear_probe(vcpu, linear, size, ACCESS_WRITE);
    if (result)
        return result;
    result = port_access(vcpu, port, size, false, &value);
    int written = access_settle(vcpu, linear_write(vcpu, linear, &value, size, ACCESS_WRITE));
    if (written == 0)
        access_watch(vcpu, linear, size, true);
    return written ? written : result;
}

static int string_out(struct vcpu *vcpu, const struct instruction *insn, uint16_t port,
                      unsigned size)
{
    uint64_t offset = vcpu->r.gpr[REGISTER_RSI] & bits_mask(insn->address_size);
    unsigned segment = insn->segment_override == SEGMENT_NONE ? SEGMENT_DS : insn->segment_override;
    uint64_t linear;
    uint32_t value = 0;

    int result = segment_linear(vcpu, segment, offset, size, ACCESS_READ, &linear);
    if (result == 0)
        result = access_settle(vcpu, linear_read(vcpu, linear, &value, size, ACCESS_READ));
    if (result)
        return result;
    access_watch(vcpu, linear, size, false);
    return port_access(vcpu, port, size, true, &value);
}

/* rSI, rDI and rCX move by the address size, keeping what is above it (32-bit clears the upper
 * half). */
static void register_step(struct vcpu *vcpu, const struct instruction *insn, unsigned reg,
                          int64_t delta)
{
    unsigned size = insn->address_size;
    uint64_t mask = bits_mask(size);
    uint64_t *value = &vcpu->r.gpr[reg];
    uint64_t next = (*value + (uint64_t)delta) & mask;
    *value = size == 2 ? (*value & ~mask) | next : next;
}

/* One trap flag or breakpoint wants to see each element; otherwise a run at a time. */
static unsigned string_run(const struct vcpu *vcpu)
{
    return (vcpu->r.rflags & FLAG_TF) || debug_breakpoints_armed(vcpu) ? 1 : STRING_RUN;
}

static int string_io(struct vcpu *vcpu, const struct instruction *insn, bool out)
{
    uint16_t port = (uint16_t)vcpu->r.gpr[REGISTER_RDX];
    unsigned size = port_size(insn);
    int64_t step = vcpu->r.rflags & FLAG_DF ? -(int64_t)size : (int64_t)size;
    uint64_t mask = bits_mask(insn->address_size);

    /* The port is checked even when the count is zero. */
    int result = port_permission(vcpu, port, size);
    if (result)
        return result;
    if (insn->rep && !(vcpu->r.gpr[REGISTER_RCX] & mask))
        return 0;
    for (unsigned done = 0; done < string_run(vcpu); done++) {
        result = out ? string_out(vcpu, insn, port, size) : string_in(vcpu, insn, port, size);
        if (result == -EFAULT)
            return result; /* earlier elements stay done */
        register_step(vcpu, insn, out ? REGISTER_RSI : REGISTER_RDI, step);
        if (!insn->rep)
            return result;
        register_step(vcpu, insn, REGISTER_RCX, -1);
        if (!(vcpu->r.gpr[REGISTER_RCX] & mask))
            return result;
        if (result == -ECANCELED) {
            vcpu->next_rip = vcpu->r.rip; /* the rest comes when the vCPU runs again */
            return result;
        }
        if (__atomic_load_n(&vcpu->attention, __ATOMIC_RELAXED))
            break;
    }
    return -EAGAIN;
}

int interpret_ins(struct vcpu *vcpu, const struct instruction *insn)
{
    return string_io(vcpu, insn, false);
}

int interpret_outs(struct vcpu *vcpu, const struct instruction *insn)
{
    return string_io(vcpu, insn, true);
}
