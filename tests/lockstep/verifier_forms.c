/* SPDX-License-Identifier: MIT */
/*
 * verifier_forms.c - what the translator itself computes in R10 and R11, and with RAX while that is
 * lent. A new form needs a row in `forms`, and a handler that says what comes of it.
 */
#include <string.h>
#include "verifier_internal.h"

/* ---- Values ---- */

/* A name for what `line` makes. What still bears it comes from an earlier time here. */
static uint32_t name_for(const struct reading *r, const struct line *line, struct state *s)
{
    uint32_t id = (uint32_t)(line - r->line) + 1;
    for (unsigned i = 0; i < 2; i++) {
        struct value *v = &s->scratch[i];
        if (v->id == id || v->of == id)
            *v = (struct value){ .kind = is_plain(v) ? VALUE_WORD : VALUE_UNKNOWN };
    }
    if (s->flags != FLAGS_GUEST && s->flags_id == id)
        s->flags = FLAGS_OTHER;
    return id;
}

bool put(struct reading *r, struct state *s, unsigned reg, struct value v)
{
    struct value *old = scratch_value(s, reg);
    if (old->kind == VALUE_UNSTORED)
        return refuse(r, "a register of the guest's is lost");
    *old = v;
    return true;
}

bool put_new(const struct use *u, unsigned kind, uint64_t number)
{
    struct value v = { .kind = (uint8_t)kind,
                       .id = name_for(u->r, u->line, u->s),
                       .number = number };
    return put(u->r, u->s, u->reg, v);
}

/* A step of a sequence: the value must be of kind `from`, and becomes `to`. */
static bool advance(struct reading *r, struct value *v, unsigned from, unsigned to, bool good)
{
    if (v->kind != from || v->id == 0 || !good)
        return refuse(r, "a step that leads nowhere");
    v->kind = (uint8_t)to;
    return true;
}

/* ---- Forms ---- */

static struct value *source(struct use *u)
{
    return scratch_value(u->s, u->line->operand[1].reg);
}

static bool copy(struct use *u)
{
    struct value v = *source(u);
    if (held(&v))
        v.kind = VALUE_WORD;
    return put(u->r, u->s, u->reg, v);
}

static bool take(struct use *u)
{
    bool rax = u->line->operand[1].reg == R_RAX;
    return put_new(u, rax ? VALUE_RAX : VALUE_WORD, 0);
}

static bool set_constant(struct use *u)
{
    uint64_t value = u->line->immediate;
    if (u->line->operand[0].width == 4)
        value = (uint32_t)value;
    return put_new(u, VALUE_CONSTANT, value);
}

static bool load_word(struct use *u)
{
    return put_new(u, VALUE_WORD, 0);
}

static bool store_word(struct use *u)
{
    return is_plain(source(u)) || refuse(u->r, "a host address is given to the guest");
}

static bool plain_address(struct use *u)
{
    uint16_t reg[] = { u->line->memory.base, u->line->memory.index };
    for (unsigned i = 0; i < 2; i++) {
        if (is_scratch(reg[i]) && !is_plain(scratch_value(u->s, reg[i])))
            return refuse(u->r, "an address made of something else than the guest's");
    }
    return true;
}

static bool make_address(struct use *u)
{
    unsigned base = u->line->memory.base;
    bool simple =
        is_scratch(base) && u->line->memory.index == NONE && u->line->operand[0].width == 8;
    uint64_t displacement = (uint64_t)u->line->memory.displacement;
    struct value *from = simple ? scratch_value(u->s, base) : NULL;
    if (from && from->kind == VALUE_LEFT)
        return put_new(u, VALUE_LEFT_LESS, 0 - displacement);
    if (!plain_address(u))
        return false;
    uint32_t of = from && base != u->reg ? from->id : 0;
    if (!put_new(u, VALUE_WORD, displacement))
        return false;
    u->v->of = u->v->id != of ? of : 0;
    return true;
}

/* LEA of the guest's, its address already computed. */
static bool give_address(struct use *u)
{
    if (u->line->record == NONE || u->line->memory.index != NONE || u->line->memory.displacement)
        return refuse(u->r, "a register of the guest's is overwritten");
    guest_writes(u->line, u->s);
    return plain_address(u);
}

static bool give_rax_back(struct use *u)
{
    if (u->reg != R_RAX || source(u)->kind != VALUE_RAX)
        return refuse(u->r, "a register of the guest's is overwritten");
    u->s->rax = LENT_NOT;
    return true;
}

static bool shift_right(struct use *u)
{
    uint64_t by = u->line->immediate;
    clobber_flags(u->s);
    return advance(u->r, u->v, u->v->kind, by == 7 ? VALUE_SHIFTED : VALUE_JUMP_SHIFTED,
                   is_plain(u->v) && !held(u->v) && (by == 7 || by == SOFT_JUMP_SHIFT));
}

static bool mask(struct use *u)
{
    clobber_flags(u->s);
    if (u->v->kind == VALUE_JUMP_MIXED)
        return advance(u->r, u->v, VALUE_JUMP_MIXED, VALUE_JUMP_MASKED,
                       u->line->immediate == SOFT_JUMPS - 1);
    return advance(u->r, u->v, VALUE_SHIFTED, VALUE_INDEX,
                   u->line->immediate == (SOFT_TLB - 1) * sizeof(struct soft_entry));
}

static bool mix(struct use *u)
{
    clobber_flags(u->s);
    return advance(u->r, u->v, VALUE_JUMP_SHIFTED, VALUE_JUMP_MIXED,
                   is_plain(source(u)) && source(u)->id == u->v->id);
}

static bool scale(struct use *u)
{
    clobber_flags(u->s);
    return advance(u->r, u->v, VALUE_JUMP_MASKED, VALUE_JUMP_INDEX, u->line->immediate == 4);
}

static bool shift_high(struct use *u)
{
    clobber_flags(u->s);
    return advance(u->r, u->v, VALUE_WORD, VALUE_SUM_HIGH, u->v->of && u->line->immediate == 47);
}

static bool add_one(struct use *u)
{
    clobber_flags(u->s);
    return advance(u->r, u->v, VALUE_SUM_HIGH, VALUE_SUM_ONE, u->line->immediate == 1);
}

static bool compare(struct use *u)
{
    if (u->v->kind == VALUE_TAGGED)
        set_flags(u->s, FLAGS_TAGGED, u->v->id, u->line->immediate);
    else if (u->v->kind == VALUE_SUM_ONE && u->line->immediate == 1)
        set_flags(u->s, FLAGS_SUM, u->v->of, u->v->number);
    else
        return refuse(u->r, "a compare that leads nowhere");
    return true;
}

/* lahf; seto al; mov [saved_flags], eax: with the guest's flags in the host's all along. */
static bool flags_to_ah(struct use *u)
{
    bool kept = u->s->scratch[0].kind == VALUE_RAX || u->s->scratch[1].kind == VALUE_RAX;
    if (u->s->flags != FLAGS_GUEST || !kept)
        return refuse(u->r, "something else than the guest's flags is saved, or RAX is lost");
    u->s->rax = LENT_LAHF;
    return true;
}

static bool overflow_to_al(struct use *u)
{
    if (u->s->rax != LENT_LAHF || u->s->flags != FLAGS_GUEST || !u->line->operand[0].low)
        return refuse(u->r, "something else than the guest's flags is saved");
    u->s->rax = LENT_PACKED;
    return true;
}

/* mov eax, [saved_flags]; add al, 127; sahf */
static bool overflow_from_al(struct use *u)
{
    if (u->s->rax != LENT_SAVED || u->line->immediate != 127 || !u->line->operand[0].low)
        return refuse(u->r, "something else than the guest's flags is restored");
    u->s->rax = LENT_OVERFLOW;
    set_flags(u->s, FLAGS_OVERFLOW, 0, 0);
    return true;
}

static bool flags_from_ah(struct use *u)
{
    if (u->s->rax != LENT_OVERFLOW || u->s->flags != FLAGS_OVERFLOW)
        return refuse(u->r, "something else than the guest's flags is restored");
    set_flags(u->s, FLAGS_GUEST, 0, 0);
    return true;
}

/* `lent`: RAX or RCX, of which the handler sees to it that the guest's is not lost. */
static const struct form {
    uint16_t mnemonic;
    const char *shape;
    uint8_t width; /* of the first operand; 0: any */
    uint8_t lent;
    bool (*apply)(struct use *u);
} forms[] = {
    { ZYDIS_MNEMONIC_MOV, "SS", 8, 0, copy },
    { ZYDIS_MNEMONIC_MOV, "SG", 8, 0, take },
    { ZYDIS_MNEMONIC_MOV, "SI", 0, 0, set_constant },
    { ZYDIS_MNEMONIC_MOV, "SH", 0, 0, load_word },
    { ZYDIS_MNEMONIC_MOV, "HS", 0, 0, store_word },
    { ZYDIS_MNEMONIC_LEA, "SA", 0, 0, make_address },
    { ZYDIS_MNEMONIC_LEA, "GA", 0, 0, give_address },
    { ZYDIS_MNEMONIC_SHR, "SI", 8, 0, shift_right },
    { ZYDIS_MNEMONIC_AND, "SI", 4, 0, mask },
    { ZYDIS_MNEMONIC_XOR, "SS", 4, 0, mix },
    { ZYDIS_MNEMONIC_SHL, "SI", 8, 0, scale },
    { ZYDIS_MNEMONIC_SAR, "SI", 8, 0, shift_high },
    { ZYDIS_MNEMONIC_ADD, "SI", 8, 0, add_one },
    { ZYDIS_MNEMONIC_CMP, "SI", 8, 0, compare },
    { ZYDIS_MNEMONIC_LAHF, "", 0, RAX, flags_to_ah },
    { ZYDIS_MNEMONIC_SETO, "G", 1, RAX, overflow_to_al },
    { ZYDIS_MNEMONIC_ADD, "GI", 1, RAX, overflow_from_al },
    { ZYDIS_MNEMONIC_SAHF, "", 0, RAX, flags_from_ah },
    { ZYDIS_MNEMONIC_MOV, "GS", 8, RAX, give_rax_back },
};

char shape_of(const struct line *line, unsigned i)
{
    switch (line->operand[i].kind) {
    case OPERAND_REGISTER:
        return is_scratch(line->operand[i].reg) ? 'S' : 'G';
    case OPERAND_IMMEDIATE:
        return 'I';
    case OPERAND_MEMORY:
        return line->memory.address_only ? 'A' : 'H';
    case OPERAND_NONE:
        return 0;
    default:
        return '?';
    }
}

bool apply_form(struct use *u)
{
    const struct line *line = u->line;
    char shape[3] = { shape_of(line, 0), shape_of(line, 1), 0 };
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        const struct form *form = &forms[i];
        if (form->mnemonic != line->mnemonic || strcmp(form->shape, shape) != 0 ||
            (form->width && form->width != line->operand[0].width))
            continue;
        if (lent_touched(line, u->s) & ~(uint32_t)form->lent)
            return refuse(u->r, "RAX or RCX is used while it is not the guest's");
        return form->apply(u) ||
               refuse(u->r, u->r->why ? u->r->why : "not a form of the translator's");
    }
    return refuse(u->r, "not a form of the translator's");
}
