/* SPDX-License-Identifier: MIT */
/*
 * lookup.c - from the address of a memory operand to the host's, in emitted code:
 *
 *     lea  s, [operand]
 *     mov  t, s            only LOOKUP_HASHED: the entry of its page
 *     shr  t, 7
 *     and  t, (SOFT_TLB - 1) * 32
 *     xor  s, [entry.read or entry.write]
 *     cmp  s, 4096 - size  what is left is the offset in the page, or it was another page
 *     ja   tail
 *     add  s, [entry.host]
 *
 * An operand that crosses pages, is not in memory, or must not be used so goes to the tail, which
 * undoes the XOR and leaves.
 */
#include "block.h"
#include "../support.h"

_Static_assert(sizeof(struct soft_entry) == 32, "the look-up shifts by 12 - 5");

static unsigned scale_log(unsigned scale)
{
    return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
}

static bool through_base(const struct instruction *insn)
{
    return insn->segment == SEGMENT_FS || insn->segment == SEGMENT_GS;
}

/* An operand whose address does not depend on a register. */
static bool constant_offset(const struct builder *b, unsigned index, uint64_t *value)
{
    const struct instruction *insn = &b->insn[index];
    if (insn->base == REGISTER_RIP)
        *value = b->insn_rip[index] + insn->length + (uint64_t)insn->displacement;
    else if (insn->base == REGISTER_NONE && insn->index == REGISTER_NONE)
        *value = (uint64_t)insn->displacement;
    else
        return false;
    if (insn->address_size != 8)
        *value = (uint32_t)*value;
    return true;
}

void emit_offset(struct builder *b, unsigned index, unsigned s, unsigned t)
{
    struct cursor *c = &b->c;
    const struct instruction *insn = &b->insn[index];
    unsigned base = insn->base, other = NO_INDEX;
    uint64_t value;
    if (constant_offset(b, index, &value)) {
        emit_constant(c, s, value);
        return;
    }
    if (base != REGISTER_NONE && scratch(base)) {
        emit_load(c, s, home(base));
        base = s;
    }
    if (insn->index != REGISTER_NONE) {
        other = insn->index;
        if (scratch(other)) {
            emit_load(c, t, home(other));
            other = t;
        }
    }
    emit_lea(c, insn->address_size == 8, s, base, other, scale_log(insn->scale ? insn->scale : 1),
             (int32_t)insn->displacement);
}

void emit_canonical(struct builder *b, unsigned index, unsigned reg, int32_t displacement,
                    unsigned t)
{
    struct cursor *c = &b->c;
    struct soft_site *site = &b->t->site[b->t->site_count];
    *site = (struct soft_site){ .retry = c->at, .insn = (uint8_t)index };
    emit_lea(c, true, t, reg, NO_INDEX, 0, displacement);
    emit_shift(c, SHIFT_ARITHMETIC, t, 47);
    emit_immediate(c, WIDE, GROUP1_ADD, t, 1);
    emit_immediate(c, WIDE, GROUP1_CMP, t, 1);
    tail_new(b, TAIL_UNDO, emit_jcc(c, CONDITION_A))->number = b->t->site_count++;
}

/* AMD's processors look at the offset before the base of FS or GS is added. */
static bool offset_checked(const struct builder *b, const struct instruction *insn)
{
    return b->wide && insn->has_memory && !b->vcpu->vm->model.vendor_intel && through_base(insn) &&
           insn->address_size == 8 && (insn->base != REGISTER_NONE || insn->index != REGISTER_NONE);
}

/* The linear address into s, unless it is constant. */
static enum lookup_how emit_address(struct builder *b, const struct lookup *l, uint64_t *constant)
{
    struct cursor *c = &b->c;
    const struct instruction *insn = &b->insn[l->insn];
    int32_t below = l->where == WHERE_STACK_BELOW ? (b->wide ? -8 : -4) : 0;
    if (l->where == WHERE_FRAME) {
        emit_lea(c, b->wide, l->s, REGISTER_RBP, NO_INDEX, 0, 0);
        return LOOKUP_HASHED;
    }
    if (l->where != WHERE_OPERAND) {
        emit_lea(c, b->wide, l->s, REGISTER_RSP, NO_INDEX, 0, below);
        return LOOKUP_STACK;
    }
    if (!through_base(insn)) {
        if (constant_offset(b, l->insn, constant))
            return LOOKUP_CONSTANT;
        emit_offset(b, l->insn, l->s, l->t);
        return insn->base == REGISTER_RSP && insn->index == REGISTER_NONE ? LOOKUP_STACK
                                                                          : LOOKUP_HASHED;
    }
    if (offset_checked(b, insn)) {
        emit_offset(b, l->insn, l->s, l->t);
        emit_canonical(b, l->insn, l->s, 0, l->t);
        emit_canonical(b, l->insn, l->s, l->size - 1, l->t);
    }
    emit_offset(b, l->insn, l->s, l->t);
    emit_gs(c, WIDE, 0x03, l->s, REGISTER_NONE,
            insn->segment == SEGMENT_FS ? CONTEXT(fs_base) : CONTEXT(gs_base));
    return LOOKUP_HASHED;
}

/* xor s, [tag of the entry] */
static void emit_tag(struct builder *b, unsigned how, unsigned s, unsigned t, bool write,
                     uint64_t constant)
{
    uint32_t tag = write ? (uint32_t)offsetof(struct soft_entry, write)
                         : (uint32_t)offsetof(struct soft_entry, read);
    unsigned index = soft_tlb_index(constant);
    if (how == LOOKUP_STACK)
        emit_gs(&b->c, WIDE, 0x33, s, REGISTER_NONE, TABLES(b, stack[write].page));
    else if (how == LOOKUP_CONSTANT)
        emit_gs(&b->c, WIDE, 0x33, s, REGISTER_NONE, TABLES(b, entry) + index * 32 + tag);
    else
        emit_gs(&b->c, WIDE, 0x33, s, t, TABLES(b, entry) + tag);
}

/* The offset of the entry for the address in s. */
static void emit_hash(struct cursor *c, unsigned s, unsigned t)
{
    emit_move(c, t, s);
    emit_shift(c, SHIFT_RIGHT, t, 12 - 5);
    emit_immediate(c, WORD, GROUP1_AND, t, (SOFT_TLB - 1) * 32);
}

void emit_lookup(struct builder *b, struct lookup l)
{
    struct cursor *c = &b->c;
    const uint32_t host = (uint32_t)offsetof(struct soft_entry, host);
    uint64_t constant = 0;
    flags_save(b, l.s);
    struct soft_site *site = &b->t->site[b->t->site_count];
    *site = (struct soft_site){ .retry = c->at,
                                .insn = l.insn,
                                .size = l.size,
                                .write = l.write,
                                .alignment = l.alignment,
                                .masked = l.masked };
    uint32_t number = b->t->site_count++;
    enum lookup_how how = emit_address(b, &l, &constant);
    site->stack = how == LOOKUP_STACK;
    if (how == LOOKUP_CONSTANT)
        emit_constant(c, l.s, constant);
    if (how == LOOKUP_HASHED)
        emit_hash(c, l.s, l.t);
    emit_tag(b, how, l.s, l.t, l.write, constant);
    emit_immediate(c, WIDE, GROUP1_CMP, l.s, 4096u - l.size);
    struct tail *tail = tail_new(b, TAIL_SLOW, emit_jcc(c, CONDITION_A));
    tail->s = l.s;
    tail->t = l.t;
    tail->how = (uint8_t)how;
    tail->write = l.write;
    tail->number = number;
    tail->address = constant;
    if (how == LOOKUP_HASHED)
        emit_gs(c, WIDE, 0x03, l.s, l.t, TABLES(b, entry) + host);
    else
        emit_gs(c, WIDE, 0x03, l.s, REGISTER_NONE,
                how == LOOKUP_STACK ? TABLES(b, stack[l.write].host)
                                    : TABLES(b, entry) + soft_tlb_index(constant) * 32 + host);
    tail->back = c->at;
    tail->size = l.size;
    b->in_host = false;
}

/* The stack has moved to another page: look it up like any other, and remember that page. Returns
 * the jump to be taken when that fails too. */
static uint32_t emit_stack_moved(struct builder *b, const struct tail *tail)
{
    struct cursor *c = &b->c;
    const uint32_t tag = tail->write ? (uint32_t)offsetof(struct soft_entry, write)
                                     : (uint32_t)offsetof(struct soft_entry, read);
    const uint32_t host = (uint32_t)offsetof(struct soft_entry, host);
    emit_hash(c, tail->s, tail->t);
    emit_tag(b, LOOKUP_HASHED, tail->s, tail->t, tail->write, 0);
    emit_immediate(c, WIDE, GROUP1_CMP, tail->s, 4096u - tail->size);
    uint32_t missed = emit_jcc(c, CONDITION_A);
    emit_gs(c, WIDE, 0x03, tail->s, tail->t, TABLES(b, entry) + host);
    emit_store(c, REGISTER_RCX, CONTEXT(rcx));
    emit_gs(c, WIDE, 0x8b, REGISTER_RCX, tail->t, TABLES(b, entry) + tag);
    emit_store(c, REGISTER_RCX, TABLES(b, stack[tail->write].page));
    emit_gs(c, WIDE, 0x8b, REGISTER_RCX, tail->t, TABLES(b, entry) + host);
    emit_store(c, REGISTER_RCX, TABLES(b, stack[tail->write].host));
    emit_load(c, REGISTER_RCX, CONTEXT(rcx));
    emit_jump(c, tail->back);
    return missed;
}

/* The tail of a look-up: the address again, and out. */
void emit_slow_tail(struct builder *b, const struct tail *tail)
{
    emit_tag(b, tail->how, tail->s, tail->t, tail->write, tail->address);
    if (tail->how == LOOKUP_STACK) {
        uint32_t missed = emit_stack_moved(b, tail);
        emit_patch(&b->c, missed, b->c.at);
        emit_tag(b, LOOKUP_HASHED, tail->s, tail->t, tail->write, 0);
    }
    emit_store_immediate(&b->c, CONTEXT(info), tail->number);
    emit_jump(&b->c, b->t->leave_slow[tail->s == REGISTER_R11]);
}
