/* SPDX-License-Identifier: MIT */
/*
 * verifier_context.c - instructions with an operand in the context block: which fields emitted code
 * may read and write, how, and what is known then. A new use needs a row in context_forms, a new
 * field one in `fields` as well.
 */
#include <string.h>
#include "verifier_internal.h"

/* ---- Places ---- */

enum place {
    PLACE_NOWHERE,
    PLACE_SAVED_FLAGS,
    PLACE_RCX,
    PLACE_HOME,
    PLACE_LEFT,
    PLACE_LEFT_HIGH,
    PLACE_EXIT_RIP,
    PLACE_INFO,
    PLACE_BASE, /* of FS or GS */
    PLACE_TAG,  /* of an entry of the inline TLB, the stack's included */
    PLACE_ENTRY_HOST,
    PLACE_PAGE,
    PLACE_JUMP_RIP
};

struct spot {
    uint8_t place, entry; /* enum entry_kind */
    bool write;
    unsigned number; /* of the entry, the page's slot or the guest's register */
};

#define FIELD(name) offsetof(struct soft_context, name)
#define TABLE(name) offsetof(struct soft_tables, name)

static const struct field {
    size_t offset;
    uint8_t place, number;
} fields[] = {
    { FIELD(saved_flags), PLACE_SAVED_FLAGS, 0 },
    { FIELD(rcx), PLACE_RCX, 0 },
    { FIELD(r10), PLACE_HOME, R_R10 },
    { FIELD(r11), PLACE_HOME, R_R11 },
    { FIELD(left), PLACE_LEFT, 0 },
    { FIELD(left) + 4, PLACE_LEFT_HIGH, 0 },
    { FIELD(exit_rip), PLACE_EXIT_RIP, 0 },
    { FIELD(info), PLACE_INFO, 0 },
    { FIELD(fs_base), PLACE_BASE, 0 },
    { FIELD(gs_base), PLACE_BASE, 0 },
};

static bool entry_spot(struct spot *spot, uint64_t offset)
{
    uint64_t member = offset % sizeof(struct soft_entry);
    spot->number = (unsigned)(offset / sizeof(struct soft_entry));
    spot->write = member == offsetof(struct soft_entry, write);
    spot->place = member == offsetof(struct soft_entry, host) ? PLACE_ENTRY_HOST : PLACE_TAG;
    return spot->number < SOFT_TLB && member <= offsetof(struct soft_entry, host) &&
           member % 8 == 0;
}

/* Offset `at` into the tables of the block's own view. */
static bool table_spot(struct spot *spot, uint64_t at)
{
    for (unsigned i = 0; i < 2; i++) {
        spot->entry = ENTRY_STACK;
        spot->write = i;
        spot->place = at == TABLE(stack[i].page) ? PLACE_TAG : PLACE_ENTRY_HOST;
        if (at == TABLE(stack[i].page) || at == TABLE(stack[i].host))
            return true;
    }
    spot->entry = ENTRY_CONSTANT;
    if (at >= TABLE(entry) && at < TABLE(entry) + sizeof(((struct soft_tables *)0)->entry))
        return entry_spot(spot, at - TABLE(entry));
    spot->place = PLACE_PAGE;
    spot->number = (unsigned)((at - TABLE(page)) / 4);
    return at >= TABLE(page) && spot->number < SOFT_PAGES && (at - TABLE(page)) % 4 == 0;
}

/* At a computed index: the scratch register says which table it is for. */
static bool indexed_spot(const struct value *index, struct spot *spot, uint64_t at)
{
    spot->entry = ENTRY_HASHED;
    if (index->kind == VALUE_INDEX)
        return at - TABLE(entry) < sizeof(struct soft_entry) && entry_spot(spot, at - TABLE(entry));
    spot->place = PLACE_JUMP_RIP;
    return index->kind == VALUE_JUMP_INDEX && at == TABLE(jump[0].rip);
}

static bool spot_of(const struct reading *r, const struct line *line, struct state *s,
                    struct spot *spot)
{
    uint64_t at = (uint64_t)line->memory.displacement;
    memset(spot, 0, sizeof(*spot));
    if (line->memory.index != NONE)
        return false;
    if (line->memory.base != NONE)
        return is_scratch(line->memory.base) &&
               indexed_spot(scratch_value(s, line->memory.base), spot, at - r->tables);
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (at == fields[i].offset) {
            spot->place = fields[i].place;
            spot->number = fields[i].number;
            return true;
        }
    }
    return at - r->tables < sizeof(struct soft_tables) && table_spot(spot, at - r->tables);
}

/* ---- What is done there ---- */

static bool load_flags(struct use *u)
{
    bool kept = u->s->scratch[0].kind == VALUE_RAX || u->s->scratch[1].kind == VALUE_RAX;
    if (u->reg != R_RAX || u->s->rax != LENT_NOT || !kept || !u->s->saved)
        return refuse(u->r, "saved_flags is read where it does not hold the guest's flags");
    u->s->rax = LENT_SAVED;
    return true;
}

static bool store_flags(struct use *u)
{
    if (u->reg != R_RAX || u->s->rax != LENT_PACKED || u->s->flags != FLAGS_GUEST)
        return refuse(u->r, "something else than the guest's flags goes to saved_flags");
    u->s->saved = 1;
    return true;
}

static bool keep_rcx(struct use *u)
{
    if (u->reg != R_RCX || u->s->rcx != LENT_NOT)
        return refuse(u->r, "something else than RCX is kept");
    u->s->rcx_kept = 1;
    return true;
}

static bool give_rcx_back(struct use *u)
{
    if (u->reg != R_RCX || !u->s->rcx_kept)
        return refuse(u->r, "something else than RCX is given back");
    u->s->rcx = LENT_NOT;
    return true;
}

static bool load_left_high(struct use *u)
{
    if (u->reg != R_RCX || !u->s->rcx_kept || u->s->budget != BUDGET_TAKEN)
        return refuse(u->r, "RCX is lost");
    u->s->rcx = LENT_LEFT;
    return true;
}

static bool load_home(struct use *u)
{
    return u->v && put_new(u, u->reg == u->spot->number ? VALUE_HOME : VALUE_WORD, 0);
}

/* From the other scratch register too: POP. */
static bool store_home(struct use *u)
{
    struct value *own = scratch_value(u->s, u->spot->number);
    if (u->v == NULL || !is_plain(u->v) || u->line->record == NONE ||
        (held(u->v) && u->reg != u->spot->number))
        return refuse(u->r, "something else than the guest's goes to its R10 or R11");
    if (held(own))
        own->kind = VALUE_WORD;
    u->s->dirty = 1;
    return true;
}

static bool count(struct use *u)
{
    if (u->s->budget != BUDGET_UNTOUCHED || u->line->immediate != u->r->block->count)
        return refuse(u->r, "a wrong count of instructions");
    u->s->budget = BUDGET_TAKEN;
    set_flags(u->s, FLAGS_LEFT, 0, 0);
    return true;
}

static bool load_left(struct use *u)
{
    return u->v && u->s->budget == BUDGET_UNTOUCHED && put_new(u, VALUE_LEFT, 0);
}

static bool store_left(struct use *u)
{
    if (u->v == NULL || u->v->kind != VALUE_LEFT_LESS || u->v->number != u->r->block->count ||
        u->s->budget != BUDGET_UNTOUCHED)
        return refuse(u->r, "a wrong count of instructions");
    u->s->budget = BUDGET_TAKEN;
    return true;
}

static bool load_exit_rip(struct use *u)
{
    if (u->v == NULL || !put_new(u, VALUE_WORD, 0))
        return false;
    u->v->canonical = u->s->exit_canonical;
    return true;
}

static bool store_exit_rip(struct use *u)
{
    if (u->v == NULL || !is_plain(u->v))
        return refuse(u->r, "something else than the guest's goes to exit_rip");
    u->s->exit_canonical = u->v->canonical;
    if (u->v->kind == VALUE_HOME)
        u->v->kind = VALUE_WORD; /* nothing of the guest's works with it any more */
    return true;
}

static bool store_info(struct use *u)
{
    u->s->info_known = 1;
    u->s->info = (uint32_t)u->line->immediate;
    return true;
}

static bool add_base(struct use *u)
{
    if (u->v == NULL || !is_plain(u->v))
        return false;
    clobber_flags(u->s);
    return put_new(u, VALUE_WORD, 0);
}

/* Is the spot in the entry of address `v`? */
static bool entry_of(const struct use *u, const struct value *v)
{
    if (v->id == 0)
        return false;
    if (u->spot->entry == ENTRY_CONSTANT)
        return (v->number >> 12) % SOFT_TLB == u->spot->number;
    return u->spot->entry == ENTRY_STACK || scratch_value(u->s, u->line->memory.base)->id == v->id;
}

/* Forth, and after a miss back. */
static bool take_tag(struct use *u)
{
    struct value *v = u->v;
    bool forth =
        v && is_plain(v) && (u->spot->entry != ENTRY_CONSTANT || v->kind == VALUE_CONSTANT);
    bool back =
        v && v->kind == VALUE_MISSED && v->entry == u->spot->entry && v->write == u->spot->write;
    if (!(forth || back) || held(v) || !entry_of(u, v))
        return refuse(u->r, "a look-up in an entry that is not the address's");
    clobber_flags(u->s);
    if (u->spot->entry == ENTRY_STACK)
        v->number = 1; /* the stack's entry was looked into first */
    else if (v->kind != VALUE_CONSTANT && v->kind != VALUE_AGAIN && !back)
        v->number = 0;
    v->kind = back ? VALUE_AGAIN : VALUE_TAGGED;
    v->entry = u->spot->entry;
    v->write = u->spot->write;
    return true;
}

static bool add_host(struct use *u)
{
    struct value *v = u->v;
    if (v == NULL || v->kind != VALUE_OFFSET || v->entry != u->spot->entry || !entry_of(u, v) ||
        (v->entry == ENTRY_STACK && v->write != u->spot->write))
        return refuse(u->r, "a host address without a look-up, or from another entry");
    clobber_flags(u->s);
    v->kind = VALUE_HOST;
    return true;
}

/* mov rcx, [tag of the entry]; mov [stack.page], rcx; and the same with the host address: for the
 * page that was just found in the entry. In between the stack's entry must not be used. */
static bool load_entry(struct use *u)
{
    bool tag = u->spot->place == PLACE_TAG;
    for (unsigned i = 0; i < 2; i++) {
        const struct value *v = &u->s->scratch[i];
        if (u->reg != R_RCX || !u->s->rcx_kept || v->kind != VALUE_HOST ||
            v->entry != ENTRY_HASHED || u->spot->entry != ENTRY_HASHED || !entry_of(u, v) ||
            (tag && u->spot->write != v->write))
            continue;
        u->s->rcx = tag ? LENT_TAG : LENT_HOST;
        u->s->lent_id = v->id;
        u->s->lent_write = v->write;
        return true;
    }
    return refuse(u->r, "an entry is read in which nothing was found, or RCX is lost");
}

static bool store_stack(struct use *u)
{
    bool tag = u->spot->place == PLACE_TAG;
    uint8_t half = (uint8_t)(1 + u->spot->write);
    if (u->reg != R_RCX || u->spot->entry != ENTRY_STACK || u->spot->write != u->s->lent_write ||
        u->s->rcx != (tag ? LENT_TAG : LENT_HOST) || u->s->stack_half != (tag ? 0 : half))
        return refuse(u->r, "something else than the page just found goes to the stack's entry");
    u->s->stack_half = tag ? half : 0;
    return true;
}

static bool compare_page(struct use *u)
{
    set_flags(u->s, FLAGS_PAGE, u->spot->number, (uint32_t)u->line->immediate);
    u->s->page_pending = u->line->at + u->line->length - 4;
    return true;
}

static bool compare_jump(struct use *u)
{
    if (u->v == NULL || !is_plain(u->v) || u->v->id == 0 ||
        scratch_value(u->s, u->line->memory.base)->id != u->v->id)
        return refuse(u->r, "a look-up in an entry that is not the address's");
    set_flags(u->s, FLAGS_JUMP, u->v->id, 0);
    return true;
}

/* `lent`: RAX or RCX, of which the handler sees to it that the guest's is not lost. */
static const struct context_form {
    uint16_t mnemonic;
    uint8_t place, width;
    uint8_t to, from; /* operands: enum operand_kind */
    uint8_t lent;
    bool (*apply)(struct use *u);
} context_forms[] = {
#define LOAD  OPERAND_REGISTER, OPERAND_MEMORY
#define STORE OPERAND_MEMORY, OPERAND_REGISTER
#define WITH  OPERAND_MEMORY, OPERAND_IMMEDIATE
    { ZYDIS_MNEMONIC_MOV, PLACE_SAVED_FLAGS, 4, LOAD, RAX, load_flags },
    { ZYDIS_MNEMONIC_MOV, PLACE_SAVED_FLAGS, 4, STORE, RAX, store_flags },
    { ZYDIS_MNEMONIC_MOV, PLACE_RCX, 8, STORE, RCX, keep_rcx },
    { ZYDIS_MNEMONIC_MOV, PLACE_RCX, 8, LOAD, RCX, give_rcx_back },
    { ZYDIS_MNEMONIC_MOV, PLACE_LEFT_HIGH, 4, LOAD, RCX, load_left_high },
    { ZYDIS_MNEMONIC_MOV, PLACE_TAG, 8, LOAD, RCX, load_entry },
    { ZYDIS_MNEMONIC_MOV, PLACE_TAG, 8, STORE, RCX, store_stack },
    { ZYDIS_MNEMONIC_MOV, PLACE_ENTRY_HOST, 8, LOAD, RCX, load_entry },
    { ZYDIS_MNEMONIC_MOV, PLACE_ENTRY_HOST, 8, STORE, RCX, store_stack },
    { ZYDIS_MNEMONIC_MOV, PLACE_HOME, 8, LOAD, 0, load_home },
    { ZYDIS_MNEMONIC_MOV, PLACE_HOME, 8, STORE, 0, store_home },
    { ZYDIS_MNEMONIC_SUB, PLACE_LEFT, 8, WITH, 0, count },
    { ZYDIS_MNEMONIC_MOV, PLACE_LEFT, 8, LOAD, 0, load_left },
    { ZYDIS_MNEMONIC_MOV, PLACE_LEFT, 8, STORE, 0, store_left },
    { ZYDIS_MNEMONIC_MOV, PLACE_EXIT_RIP, 8, LOAD, 0, load_exit_rip },
    { ZYDIS_MNEMONIC_MOV, PLACE_EXIT_RIP, 8, STORE, 0, store_exit_rip },
    { ZYDIS_MNEMONIC_MOV, PLACE_INFO, 4, WITH, 0, store_info },
    { ZYDIS_MNEMONIC_ADD, PLACE_BASE, 8, LOAD, 0, add_base },
    { ZYDIS_MNEMONIC_XOR, PLACE_TAG, 8, LOAD, 0, take_tag },
    { ZYDIS_MNEMONIC_ADD, PLACE_ENTRY_HOST, 8, LOAD, 0, add_host },
    { ZYDIS_MNEMONIC_CMP, PLACE_PAGE, 4, WITH, 0, compare_page },
    { ZYDIS_MNEMONIC_CMP, PLACE_JUMP_RIP, 8, LOAD, 0, compare_jump },
#undef LOAD
#undef STORE
#undef WITH
};

bool apply_context_form(struct use *u)
{
    const struct line *line = u->line;
    struct spot spot;
    u->spot = &spot;
    if (!spot_of(u->r, line, u->s, &spot))
        return refuse(u->r, "a place in the context block that is not for emitted code");
    for (unsigned i = 0; i < ARRAY_SIZE(context_forms); i++) {
        const struct context_form *form = &context_forms[i];
        if (form->mnemonic != line->mnemonic || form->place != spot.place ||
            form->width != line->memory.size || form->to != line->operand[0].kind ||
            form->from != line->operand[1].kind)
            continue;
        if (lent_touched(line, u->s) & ~(uint32_t)form->lent)
            return refuse(u->r, "RAX or RCX is used while it is not the guest's");
        if (u->s->stack_half && form->apply != load_entry && form->apply != store_stack)
            return refuse(u->r, "half of the stack's entry is left");
        return form->apply(u) ||
               refuse(u->r, u->r->why ? u->r->why : "a wrong use of the context block");
    }
    return refuse(u->r, "a wrong use of the context block");
}
