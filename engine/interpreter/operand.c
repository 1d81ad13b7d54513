/* SPDX-License-Identifier: MIT */
/*
 * operand.c - registers, memory operands, the stack, flags, and the state derived from the mode.
 *
 * The helpers every interpreter stands on. Those that reach memory return 0 or -EFAULT; a wish of
 * the machine to stop (-ECANCELED) is turned into ATTENTION_STOP here, so that no caller abandons
 * an instruction half-way because of it.
 */
#include "debugregister.h"
#include "transfer.h"

/* ---- General registers (SDM Vol. 1, 3.4.1.1) ---- */

static bool register_is_high_byte(const struct instruction *insn, unsigned number, unsigned size)
{
    return size == 1 && number >= 4 && number <= 7 && !insn->has_rex &&
           insn->encoding == ENCODING_LEGACY;
}

uint64_t register_read(const struct vcpu *vcpu, const struct instruction *insn, unsigned number,
                       unsigned size)
{
    if (register_is_high_byte(insn, number, size))
        return vcpu->r.gpr[number - 4] >> 8 & 0xff;
    return vcpu->r.gpr[number & 15] & bits_mask(size);
}

void register_write(struct vcpu *vcpu, const struct instruction *insn, unsigned number,
                    unsigned size, uint64_t value)
{
    uint64_t *reg = &vcpu->r.gpr[number & 15];
    uint64_t mask = bits_mask(size);

    if (register_is_high_byte(insn, number, size)) {
        reg = &vcpu->r.gpr[number - 4];
        *reg = (*reg & ~0xff00ull) | (value & 0xff) << 8;
    } else if (size >= 4) {
        *reg = value & mask; /* 32-bit results are zero-extended */
    } else {
        *reg = (*reg & ~mask) | (value & mask);
    }
}

/* ---- Memory operands ---- */

void access_watch(struct vcpu *vcpu, uint64_t linear, unsigned size, bool write)
{
    uint32_t match;

    if (!vcpu->data_breakpoints)
        return;
    match = debug_match_data(vcpu, linear, size, write);
    if (match == 0)
        return;
    vcpu->debug_pending |= match;
    vcpu_raise(vcpu, ATTENTION_DEBUG);
}

/* The explicit accesses of an interpreter, once their linear address is known. */
static int explicit_read(struct vcpu *vcpu, uint64_t linear, void *data, unsigned size)
{
    int result = access_settle(vcpu, linear_read(vcpu, linear, data, size, ACCESS_READ));

    if (!result)
        access_watch(vcpu, linear, size, false);
    return result;
}

static int explicit_write(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned size)
{
    int result = access_settle(vcpu, linear_write(vcpu, linear, data, size, ACCESS_WRITE));

    if (!result)
        access_watch(vcpu, linear, size, true);
    return result;
}

/* BTx m, r: the bit offset is signed and selects a whole operand before the bit in it. */
static uint64_t bit_string_displacement(const struct vcpu *vcpu, const struct instruction *insn)
{
    unsigned size = insn->operand_size;
    unsigned unused = 64 - size * 8;
    int64_t bit = (int64_t)(vcpu->r.gpr[insn->reg & 15] << unused) >> unused;

    return (uint64_t)((bit & ~(int64_t)(size * 8 - 1)) >> 3);
}

uint64_t operand_offset(const struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t offset = (uint64_t)insn->displacement;

    if (insn->row->memory == MEMORY_XLAT) {
        offset = vcpu->r.gpr[REGISTER_RBX] + (vcpu->r.gpr[REGISTER_RAX] & 0xff);
        return offset & bits_mask(insn->address_size);
    }
    if (insn->base == REGISTER_RIP)
        offset += vcpu->r.rip + insn->length;
    else if (insn->base < REGISTER_COUNT)
        offset += vcpu->r.gpr[insn->base];
    if (insn->index < REGISTER_COUNT && insn->row->memory != MEMORY_VSIB)
        offset += vcpu->r.gpr[insn->index] * insn->scale;
    if (insn->row->memory == MEMORY_BIT_STRING)
        offset += bit_string_displacement(vcpu, insn);
    return offset & bits_mask(insn->address_size);
}

int operand_linear(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                   unsigned access, uint64_t *linear)
{
    return segment_linear(vcpu, insn->segment, operand_offset(vcpu, insn), size, access, linear);
}

static bool operand_is_register(const struct instruction *insn)
{
    return insn->has_modrm && insn->mod == 3;
}

int operand_read_rm(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                    uint64_t *value)
{
    uint64_t linear;
    int result;

    *value = 0;
    if (operand_is_register(insn)) {
        *value = register_read(vcpu, insn, insn->rm, size);
        return 0;
    }
    result = operand_linear(vcpu, insn, size, ACCESS_READ, &linear);
    if (result)
        return result;
    return explicit_read(vcpu, linear, value, size);
}

int operand_write_rm(struct vcpu *vcpu, const struct instruction *insn, unsigned size,
                     uint64_t value)
{
    uint64_t linear;
    int result;

    if (operand_is_register(insn)) {
        register_write(vcpu, insn, insn->rm, size, value);
        return 0;
    }
    result = operand_linear(vcpu, insn, size, ACCESS_WRITE, &linear);
    if (result)
        return result;
    return explicit_write(vcpu, linear, &value, size);
}

int operand_far_pointer(struct vcpu *vcpu, const struct instruction *insn, uint16_t *selector,
                        uint64_t *offset)
{
    /* m16:64 is Intel's; AMD ignores REX.W here (APM Vol. 3, JMP Far). */
    unsigned size =
        insn->operand_size == 8 && !vcpu->vm->model.vendor_intel ? 4 : insn->operand_size;
    uint64_t at = operand_offset(vcpu, insn), linear;
    int result;

    /* Two accesses: the offset, then the selector. */
    *offset = 0;
    result = segment_linear(vcpu, insn->segment, at, size, ACCESS_READ, &linear);
    if (!result)
        result = explicit_read(vcpu, linear, offset, size);
    at = (at + size) & bits_mask(insn->address_size);
    if (!result)
        result = segment_linear(vcpu, insn->segment, at, 2, ACCESS_READ, &linear);
    return result ? result : explicit_read(vcpu, linear, selector, 2);
}

/* ---- Stack ---- */

void stack_pointer_set(struct vcpu *vcpu, unsigned address_size, uint64_t value)
{
    uint64_t *rsp = &vcpu->r.gpr[REGISTER_RSP];

    if (address_size == 2)
        *rsp = (*rsp & ~0xffffull) | (value & 0xffff);
    else
        *rsp = value & bits_mask(address_size);
}

void stack_adjust(struct vcpu *vcpu, int64_t delta)
{
    stack_pointer_set(vcpu, vcpu->stack_size, vcpu->r.gpr[REGISTER_RSP] + (uint64_t)delta);
}

static int stack_linear(struct vcpu *vcpu, uint64_t pointer, unsigned size, unsigned access,
                        uint64_t *linear)
{
    return segment_linear(vcpu, SEGMENT_SS, pointer & bits_mask(vcpu->stack_size), size, access,
                          linear);
}

int stack_push(struct vcpu *vcpu, unsigned size, uint64_t value)
{
    uint64_t linear;
    int result;

    result = stack_linear(vcpu, vcpu->r.gpr[REGISTER_RSP] - size, size, ACCESS_WRITE, &linear);
    if (result)
        return result;
    result = explicit_write(vcpu, linear, &value, size);
    if (result)
        return result;
    stack_adjust(vcpu, -(int64_t)size);
    return 0;
}

int stack_read(struct vcpu *vcpu, unsigned displacement, unsigned size, uint64_t *value)
{
    uint64_t linear;
    int result;

    *value = 0;
    result =
        stack_linear(vcpu, vcpu->r.gpr[REGISTER_RSP] + displacement, size, ACCESS_READ, &linear);
    if (result)
        return result;
    return explicit_read(vcpu, linear, value, size);
}

int stack_pop(struct vcpu *vcpu, unsigned size, uint64_t *value)
{
    int result = stack_read(vcpu, 0, size, value);

    if (result)
        return result;
    stack_adjust(vcpu, (int64_t)size);
    return 0;
}

/* ---- Flags and branches ---- */

bool condition_met(uint64_t rflags, unsigned condition)
{
    bool sign_overflow = !(rflags & FLAG_SF) != !(rflags & FLAG_OF);
    bool met = false;

    switch (condition >> 1 & 7) {
    case 0:
        met = rflags & FLAG_OF;
        break;
    case 1:
        met = rflags & FLAG_CF;
        break;
    case 2:
        met = rflags & FLAG_ZF;
        break;
    case 3:
        met = rflags & (FLAG_CF | FLAG_ZF);
        break;
    case 4:
        met = rflags & FLAG_SF;
        break;
    case 5:
        met = rflags & FLAG_PF;
        break;
    case 6:
        met = sign_overflow;
        break;
    case 7:
        met = sign_overflow || (rflags & FLAG_ZF);
        break;
    }
    return met != (condition & 1);
}

int branch_near(struct vcpu *vcpu, uint64_t target)
{
    if (vcpu->long_code ? !address_canonical(target) : target > vcpu->r.segment[SEGMENT_CS].limit)
        return fault_gp(vcpu);
    vcpu->next_rip = target;
    return 0;
}

void flags_set(struct vcpu *vcpu, uint64_t rflags)
{
    uint64_t before = vcpu->r.rflags;
    uint64_t after = (rflags & FLAGS_DEFINED) | FLAG_ONE;
    uint32_t attention = 0;

    vcpu->r.rflags = after;
    if (after & ~before & FLAG_IF)
        attention |= ATTENTION_INTERRUPT;
    if (after & FLAG_TF)
        attention |= ATTENTION_DEBUG;
    if (attention)
        vcpu_raise(vcpu, attention);
    if ((before ^ after) & FLAG_VM)
        vcpu_mode_changed(vcpu);
    else if ((before ^ after) & FLAG_AC)
        tlb_mode_changed(vcpu); /* SMAP looks at AC */
}

uint64_t flags_writable(const struct vcpu *vcpu, unsigned size)
{
    uint64_t mask = FLAG_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;

    if (size > 2)
        mask |= FLAG_AC | FLAG_ID;
    if (vcpu->r.cpl <= vcpu_iopl(vcpu))
        mask |= FLAG_IF;
    if (vcpu->r.cpl == 0)
        mask |= FLAG_IOPL;
    return mask;
}

void flags_merge(struct vcpu *vcpu, uint64_t value, uint64_t mask)
{
    uint64_t kept = vcpu->r.rflags & ~mask & ~(uint64_t)FLAG_RF;

    flags_set(vcpu, kept | (value & mask));
}

/* ---- What hangs on the mode ---- */

void vcpu_mode_changed(struct vcpu *vcpu)
{
    const struct vcpu_registers *r = &vcpu->r;
    uint16_t cs = r->segment[SEGMENT_CS].rights;
    const struct segment_register *ss = &r->segment[SEGMENT_SS];

    vcpu->long_mode = r->efer & EFER_LMA;
    vcpu->long_code = vcpu->long_mode && (cs & RIGHTS_L);
    if (vcpu->long_code) {
        vcpu->code_size = 64;
        vcpu->stack_size = 8;
        vcpu->rip_mask = ~0ull;
    } else {
        vcpu->code_size = cs & RIGHTS_DB ? 32 : 16;
        vcpu->stack_size = (ss->rights & RIGHTS_DB) && !ss->unusable ? 4 : 2;
        vcpu->rip_mask = vcpu->code_size == 32 ? 0xffffffffull : 0xffffull;
    }
    tlb_mode_changed(vcpu);
}

void cpl_set(struct vcpu *vcpu, unsigned cpl)
{
    vcpu->r.cpl = cpl & 3;
    vcpu_mode_changed(vcpu);
}
