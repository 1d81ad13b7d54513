/* SPDX-License-Identifier: MIT */
/*
 * legacy.c - instructions without a 64-bit encoding, and others that do not fit the native mould.
 *
 * The manual leaves some flags of the decimal adjustments undefined. They are given here as a
 * current AMD CPU (Zen 5) gives them in a 32-bit code segment, measured over all values of AX, CF
 * and AF.
 */
#include "extendedstate.h"
#include "transfer.h"

/* ---- Flags of results ---- */

static uint64_t flags_result(uint32_t value, unsigned bits)
{
    uint32_t mask = (1u << bits) - 1;
    uint64_t flags = 0;
    if (!(value & mask))
        flags |= FLAG_ZF;
    if (value >> (bits - 1) & 1)
        flags |= FLAG_SF;
    uint32_t parity = (value & 0xff) ^ (value >> 4 & 0xf);
    if (0x9669u >> (parity & 15) & 1) /* bit n is set where n has an even number of ones */
        flags |= FLAG_PF;
    return flags;
}

static uint64_t flags_overflow(uint32_t left, uint32_t right, uint32_t result, unsigned bits,
                               bool add)
{
    uint32_t same = add ? ~(left ^ right) : left ^ right;
    return (same & (left ^ result)) >> (bits - 1) & 1 ? FLAG_OF : 0;
}

static void flags_arithmetic(struct vcpu *vcpu, uint64_t flags)
{
    vcpu->r.rflags = (vcpu->r.rflags & ~(uint64_t)FLAG_ARITHMETIC) | flags;
}

static void set_al(struct vcpu *vcpu, uint32_t al)
{
    vcpu->r.gpr[REGISTER_RAX] = (vcpu->r.gpr[REGISTER_RAX] & ~0xffull) | (al & 0xff);
}

static void set_ax(struct vcpu *vcpu, uint32_t ax)
{
    vcpu->r.gpr[REGISTER_RAX] = (vcpu->r.gpr[REGISTER_RAX] & ~0xffffull) | (ax & 0xffff);
}

/* ---- Decimal adjustments (SDM Vol. 2). Undefined flags: those of the 16- or 8-bit addition
 * behind. ---- */

static int ascii_adjust(struct vcpu *vcpu, bool add)
{
    uint32_t ax = (uint32_t)vcpu->r.gpr[REGISTER_RAX] & 0xffff;
    bool adjust = (ax & 15) > 9 || (vcpu->r.rflags & FLAG_AF);
    uint32_t delta = adjust ? 0x106 : 0;
    uint32_t result = (add ? ax + delta : ax - delta) & 0xffff;

    flags_arithmetic(vcpu, flags_result(result, 16) | flags_overflow(ax, delta, result, 16, add) |
                               (adjust ? FLAG_AF | FLAG_CF : 0));
    set_ax(vcpu, result & 0xff0f);
    return 0;
}

int interpret_aaa(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return ascii_adjust(vcpu, true);
}

int interpret_aas(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return ascii_adjust(vcpu, false);
}

static int decimal_adjust(struct vcpu *vcpu, bool add)
{
    uint32_t al = (uint32_t)vcpu->r.gpr[REGISTER_RAX] & 0xff;
    bool low = (al & 15) > 9 || (vcpu->r.rflags & FLAG_AF);
    bool high = al > 0x99 || (vcpu->r.rflags & FLAG_CF);
    uint32_t delta = (low ? 6u : 0) + (high ? 0x60u : 0);
    uint32_t result = (add ? al + delta : al - delta) & 0xff;
    bool carry = high || (!add && low && al < 6);

    flags_arithmetic(vcpu, flags_result(result, 8) | flags_overflow(al, delta, result, 8, add) |
                               (low ? FLAG_AF : 0) | (carry ? FLAG_CF : 0));
    set_al(vcpu, result);
    return 0;
}

int interpret_daa(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return decimal_adjust(vcpu, true);
}

int interpret_das(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return decimal_adjust(vcpu, false);
}

int interpret_aam(struct vcpu *vcpu, const struct instruction *insn)
{
    uint32_t base = (uint8_t)insn->immediate;
    uint32_t al = (uint32_t)vcpu->r.gpr[REGISTER_RAX] & 0xff;

    if (base == 0)
        return fault_raise(vcpu, EXCEPTION_DE);
    set_ax(vcpu, al / base << 8 | al % base);
    flags_arithmetic(vcpu, flags_result(al % base, 8));
    return 0;
}

int interpret_aad(struct vcpu *vcpu, const struct instruction *insn)
{
    uint32_t ax = (uint32_t)vcpu->r.gpr[REGISTER_RAX] & 0xffff;
    uint32_t al = ax & 0xff, addend = (ax >> 8) * (uint8_t)insn->immediate & 0xff;
    uint32_t result = (al + addend) & 0xff;
    uint64_t flags = flags_result(result, 8) | flags_overflow(al, addend, result, 8, true);

    if (al + addend > 0xff)
        flags |= FLAG_CF;
    if ((al ^ addend ^ result) & 0x10)
        flags |= FLAG_AF;
    set_ax(vcpu, result);
    flags_arithmetic(vcpu, flags);
    return 0;
}

/* D6: AL = CF ? FFH : 0. In neither manual's opcode list, on every CPU. */
int interpret_salc(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    set_al(vcpu, vcpu->r.rflags & FLAG_CF ? 0xff : 0);
    return 0;
}

/* ---- Others ---- */

/* One bound of BOUND: each is an access of its own. */
static int bound_read(struct vcpu *vcpu, const struct instruction *insn, unsigned which,
                      int64_t *value)
{
    unsigned size = insn->operand_size, unused = 64 - size * 8;
    uint64_t offset = (operand_offset(vcpu, insn) + which * size) & bits_mask(insn->address_size);
    uint64_t raw = 0, linear;

    int result = segment_linear(vcpu, insn->segment, offset, size, ACCESS_READ, &linear);
    if (result == 0)
        result = access_settle(vcpu, linear_read(vcpu, linear, &raw, size, ACCESS_READ));
    if (result)
        return result;
    access_watch(vcpu, linear, size, false);
    *value = (int64_t)(raw << unused) >> unused;
    return 0;
}

/* Lower and upper bound lie side by side in memory; both comparisons are signed. */
int interpret_bound(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned unused = 64 - insn->operand_size * 8u;
    int64_t lower, upper;

    int result = bound_read(vcpu, insn, 0, &lower);
    if (result == 0)
        result = bound_read(vcpu, insn, 1, &upper);
    if (result)
        return result;
    int64_t index = (int64_t)(vcpu->r.gpr[insn->reg & 15] << unused) >> unused;
    return index < lower || index > upper ? fault_raise(vcpu, EXCEPTION_BR) : 0;
}

int interpret_xlat(struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned segment = insn->segment_override == SEGMENT_NONE ? SEGMENT_DS : insn->segment_override;
    uint64_t offset = (vcpu->r.gpr[REGISTER_RBX] + (vcpu->r.gpr[REGISTER_RAX] & 0xff)) &
                      bits_mask(insn->address_size);
    uint8_t value;

    uint64_t linear;

    int result = segment_linear(vcpu, segment, offset, 1, ACCESS_READ, &linear);
    if (result == 0)
        result = access_settle(vcpu, linear_read(vcpu, linear, &value, 1, ACCESS_READ));
    if (result)
        return result;
    access_watch(vcpu, linear, 1, false);
    set_al(vcpu, value);
    return 0;
}

/* 64 bytes from the memory operand to ES:reg, which must be aligned to 64 (SDM Vol. 2, MOVDIR64B).
 */
int interpret_movdir64b(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t to_offset = vcpu->r.gpr[insn->reg & 15] & bits_mask(insn->address_size);
    uint64_t from, to;
    uint8_t data[64];

    int result = segment_linear(vcpu, SEGMENT_ES, to_offset, sizeof(data), ACCESS_WRITE, &to);
    if (result)
        return result;
    if (to & 63)
        return fault_gp(vcpu);
    result = operand_linear(vcpu, insn, sizeof(data), ACCESS_READ, &from);
    if (result == 0)
        result = access_settle(vcpu, linear_read(vcpu, from, data, sizeof(data), ACCESS_READ));
    if (result == 0)
        result = access_settle(vcpu, linear_write(vcpu, to, data, sizeof(data), ACCESS_WRITE));
    if (result)
        return result;
    access_watch(vcpu, from, sizeof(data), false);
    access_watch(vcpu, to, sizeof(data), true);
    return 0;
}

/* PREFETCHx and hint no-operations: the address is not even formed, so nothing can fault. The
 * register form of 0F 0D is a no-operation on Intel's processors and undefined on AMD's. */
int interpret_prefetch(struct vcpu *vcpu, const struct instruction *insn)
{
    if (insn->opcode == 0x0d && !insn->has_memory && !vcpu->vm->model.vendor_intel)
        return fault_ud(vcpu);
    return 0;
}

/* CLFLUSH, CLFLUSHOPT, CLWB: permission as for a byte load (execute-only code segments allowed);
 * the host keeps its caches coherent. */
int interpret_cache_line(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t linear;
    int result = operand_linear(vcpu, insn, 1, ACCESS_READ, &linear);
    if (result)
        return result;
    return linear_probe(vcpu, linear, 1, ACCESS_READ);
}

/* VZEROUPPER and VZEROALL outside 64-bit mode leave registers 8 and up alone, which the host's own
 * form would clear. */
int interpret_vzero(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t components = extended_vector_mask(vcpu);
    unsigned kept = insn->vector_length == 16 ? 16 : 0;
    struct extended_image image;

    extended_image_get(vcpu, &image, components);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t low[16] = { 0 };
        extended_vector_get(vcpu, &image, i, kept, low);
        extended_vector_set(vcpu, &image, i, sizeof(low), low);
    }
    extended_image_put(vcpu, &image, components);
    return 0;
}
