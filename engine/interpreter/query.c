/* SPDX-License-Identifier: MIT */
/*
 * query.c - instructions that look at descriptors and table registers: SGDT, SIDT, SLDT, STR
 * (critical in Popek and Goldberg's sense unless CR4.UMIP is set), LAR, LSL, VERR, VERW, ARPL.
 */
#include "transfer.h"

static bool umip_forbids(const struct vcpu *vcpu)
{
    return (vcpu->r.cr4 & CR4_UMIP) && vcpu->r.cpl != 0;
}

/* ---- Table registers ---- */

static int table_store(struct vcpu *vcpu, const struct instruction *insn,
                       const struct table_register *table)
{
    unsigned size = insn->code_size == 64 ? 10 : 6;
    uint8_t bytes[10];
    uint64_t linear;
    int result;

    if (insn->mod == 3)
        return fault_ud(vcpu);
    if (umip_forbids(vcpu))
        return fault_gp(vcpu);
    /* Four bytes of base whatever the operand size: what processors do, not what SDM Vol. 2 says.
     */
    memcpy(bytes, &table->limit, 2);
    memcpy(bytes + 2, &table->base, 8);
    result = operand_linear(vcpu, insn, size, ACCESS_WRITE | ACCESS_NO_ALIGN_CHECK, &linear);
    if (result)
        return result;
    return access_settle(vcpu, linear_write(vcpu, linear, bytes, size, ACCESS_WRITE));
}

int interpret_sgdt(struct vcpu *vcpu, const struct instruction *insn)
{
    return table_store(vcpu, insn, &vcpu->r.gdtr);
}

int interpret_sidt(struct vcpu *vcpu, const struct instruction *insn)
{
    return table_store(vcpu, insn, &vcpu->r.idtr);
}

static int selector_store(struct vcpu *vcpu, const struct instruction *insn, unsigned segment)
{
    if (vcpu_paragraphs(vcpu))
        return fault_ud(vcpu);
    if (umip_forbids(vcpu))
        return fault_gp(vcpu);
    return operand_write_rm(vcpu, insn, insn->mod == 3 ? insn->operand_size : 2,
                            vcpu->r.segment[segment].selector);
}

int interpret_sldt(struct vcpu *vcpu, const struct instruction *insn)
{
    return selector_store(vcpu, insn, SEGMENT_LDTR);
}

int interpret_str(struct vcpu *vcpu, const struct instruction *insn)
{
    return selector_store(vcpu, insn, SEGMENT_TR);
}

/* ---- Descriptors ---- */

static void zero_flag_set(struct vcpu *vcpu, bool zero)
{
    vcpu->r.rflags = (vcpu->r.rflags & ~(uint64_t)FLAG_ZF) | (zero ? FLAG_ZF : 0);
}

/*
 * Reads the selector operand and its descriptor. *found is false for a selector that names nothing:
 * these instructions answer with ZF = 0 instead of a fault. Page faults are still raised.
 */
static int query_read(struct vcpu *vcpu, const struct instruction *insn, uint16_t *selector,
                      uint64_t *raw, bool *found)
{
    struct descriptor descriptor;
    uint64_t value, linear;
    int result;

    *found = false;
    if (vcpu_paragraphs(vcpu))
        return fault_ud(vcpu);
    result = operand_read_rm(vcpu, insn, 2, &value);
    if (result)
        return result;
    *selector = (uint16_t)value;
    if (selector_null(*selector) || !descriptor_locate(vcpu, *selector, 8, &linear))
        return 0;
    result = descriptor_read(vcpu, *selector, EXCEPTION_GP, 0, false, &descriptor);
    if (result)
        return result;
    *raw = descriptor.raw;
    *found = true;
    return 0;
}

/* May CPL and RPL see this segment? Conforming code is visible to all. */
static bool query_privileged(const struct vcpu *vcpu, uint16_t selector, uint64_t raw)
{
    unsigned dpl = descriptor_dpl(raw);

    if (descriptor_code(raw) && descriptor_conforming(raw))
        return true;
    return vcpu->r.cpl <= dpl && (selector & 3u) <= dpl;
}

/* Bit n: system type n is valid (SDM Vol. 2, tables 3-53 LAR and 3-63 LSL). */
#define LAR_TYPES_LEGACY 0x1a3eu /* 1-5, 9, B, C */
#define LAR_TYPES_LONG   0x1a04u /* 2, 9, B, C */
#define LSL_TYPES_LEGACY 0x0a0eu /* 1-3, 9, B */
#define LSL_TYPES_LONG   0x0a04u /* 2, 9, B */

/* Bits 19:16 (of the limit) are undefined in the manuals; processors leave them in. */
#define LAR_MASK 0x00ffff00u

static bool query_type(const struct vcpu *vcpu, uint64_t raw, unsigned legacy, unsigned wide)
{
    if (!descriptor_system(raw))
        return true;
    return (vcpu->long_mode ? wide : legacy) >> descriptor_type(raw) & 1;
}

static int query_value(struct vcpu *vcpu, const struct instruction *insn, bool limit)
{
    unsigned legacy = limit ? LSL_TYPES_LEGACY : LAR_TYPES_LEGACY;
    unsigned wide = limit ? LSL_TYPES_LONG : LAR_TYPES_LONG;
    uint16_t selector = 0;
    uint64_t raw = 0;
    bool found;
    int result = query_read(vcpu, insn, &selector, &raw, &found);

    if (result)
        return result;
    found = found && query_type(vcpu, raw, legacy, wide) && query_privileged(vcpu, selector, raw);
    zero_flag_set(vcpu, found);
    if (found)
        register_write(vcpu, insn, insn->reg, insn->operand_size,
                       limit ? descriptor_limit(raw) : raw >> 32 & LAR_MASK);
    return 0;
}

int interpret_lar(struct vcpu *vcpu, const struct instruction *insn)
{
    return query_value(vcpu, insn, false);
}

int interpret_lsl(struct vcpu *vcpu, const struct instruction *insn)
{
    return query_value(vcpu, insn, true);
}

int interpret_verr(struct vcpu *vcpu, const struct instruction *insn)
{
    uint16_t selector = 0;
    uint64_t raw = 0;
    bool found;
    int result = query_read(vcpu, insn, &selector, &raw, &found);

    if (result)
        return result;
    found = found && !descriptor_system(raw) && query_privileged(vcpu, selector, raw) &&
            (descriptor_type(raw) & (TYPE_CODE | TYPE_READABLE)) != TYPE_CODE;
    zero_flag_set(vcpu, found);
    return 0;
}

int interpret_verw(struct vcpu *vcpu, const struct instruction *insn)
{
    uint16_t selector = 0;
    uint64_t raw = 0;
    bool found;
    int result = query_read(vcpu, insn, &selector, &raw, &found);

    if (result)
        return result;
    found = found && descriptor_writable_data(raw) && query_privileged(vcpu, selector, raw);
    zero_flag_set(vcpu, found);
    return 0;
}

int interpret_arpl(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t destination, source;
    bool raised;
    int result;

    if (insn->code_size == 64 || vcpu_paragraphs(vcpu))
        return fault_ud(vcpu);
    result = operand_read_rm(vcpu, insn, 2, &destination);
    if (result)
        return result;
    source = register_read(vcpu, insn, insn->reg, 2);
    raised = (destination & 3) < (source & 3);
    if (raised) {
        result = operand_write_rm(vcpu, insn, 2, (destination & ~3ull) | (source & 3));
        if (result)
            return result;
    }
    zero_flag_set(vcpu, raised);
    return 0;
}
