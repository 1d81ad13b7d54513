/* SPDX-License-Identifier: MIT */
/*
 * verifier_guest.c - whose an instruction is; the guest's own, and memory of the guest's.
 */
#include "verifier_internal.h"

void guest_writes(const struct line *line, struct state *s)
{
    for (unsigned i = 0; i < 2 && (line->writes & RAX); i++) {
        if (s->scratch[i].kind == VALUE_RAX)
            s->scratch[i].kind = VALUE_WORD;
    }
    if (line->writes & RCX)
        s->rcx_kept = 0;
    s->dirty = 1;
}

/* lahf; seto al; mov [saved_flags], eax: LAHF alone may be the guest's. */
static bool saves_flags(const struct reading *r, const struct line *line)
{
    const struct line *next = line + 1;
    return line->mnemonic == ZYDIS_MNEMONIC_LAHF && line + 2 < &r->line[r->count] &&
           next[0].mnemonic == ZYDIS_MNEMONIC_SETO && next[0].operand[0].kind == OPERAND_REGISTER &&
           next[0].operand[0].reg == R_RAX && next[1].memory.gs &&
           (uint64_t)next[1].memory.displacement == offsetof(struct soft_context, saved_flags) &&
           next[1].memory.write;
}

/* Does it use what is the translator's own? */
static bool is_translators(const struct reading *r, const struct line *line, struct state *s)
{
    for (unsigned i = 0; i < 2; i++) {
        if (shape_of(line, i) == 'S' && !held(scratch_value(s, line->operand[i].reg)))
            return true;
        if (shape_of(line, i) == 'A' &&
            (is_scratch(line->operand[0].reg) || is_scratch(line->memory.base) ||
             is_scratch(line->memory.index)))
            return true;
    }
    return lent_touched(line, s) || saves_flags(r, line);
}

/* ---- The guest's instructions ---- */

/* Is an exception at `line` one that the engine can give the guest? `likely`: by the guest's doing.
 */
static bool fault_ready(struct reading *r, const struct line *line, const struct state *s,
                        bool likely)
{
    if (line->record == NONE || s->record != line->record)
        return refuse(r, "an access to memory outside the guest's instructions");
    if (s->rax != LENT_NOT || s->rcx != LENT_NOT)
        return refuse(r, "a fault would lose RAX or RCX");
    if (likely && s->dirty)
        return refuse(r, "a fault in the middle of an instruction");
    if (r->record[line->record].saved ? !s->saved : s->flags != FLAGS_GUEST)
        return refuse(r, "the record does not say where the guest's flags are");
    return true;
}

static bool use_host(struct reading *r, const struct line *line, struct state *s)
{
    const struct value *v;
    if (!is_scratch(line->memory.base) || line->memory.index != NONE || line->memory.displacement)
        return refuse(r, "memory at an address that was not looked up");
    v = scratch_value(s, line->memory.base);
    if (v->kind != VALUE_HOST)
        return refuse(r, "memory at an address that was not looked up");
    if (line->memory.size == 0 || line->memory.size > v->size)
        return refuse(r, "more memory than was looked up");
    if (line->memory.write && !v->write)
        return refuse(r, "a write where a read was looked up");
    /* The stack's entry may be empty; others do not fault by the guest's doing. */
    return fault_ready(r, line, s, v->entry == ENTRY_STACK || line->faults);
}

static bool apply_guest(struct reading *r, const struct line *line, struct state *s)
{
    if (line->record == NONE || s->record != line->record)
        return refuse(r, "an instruction that is not the guest's");
    if (s->rax != LENT_NOT || s->rcx != LENT_NOT)
        return refuse(r, "RAX or RCX is not the guest's");
    if (line->flags_needed && s->flags != FLAGS_GUEST)
        return refuse(r, "the guest's flags are not in the host's");
    if (line->faults && !line->memory.present && !fault_ready(r, line, s, true))
        return false;
    if (line->flags_written) {
        if (s->flagged)
            return refuse(r, "the guest's flags change twice");
        s->flagged = 1;
        s->saved = 0;
        set_flags(s, FLAGS_GUEST, 0, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct value *v = &s->scratch[i];
        if (!((line->reads | line->writes) >> (R_R10 + i) & 1) ||
            (line->memory.base == R_R10 + i && !held(v)))
            continue;
        if (!held(v))
            return refuse(r, "a register that is not the guest's");
        v->kind = line->writes >> (R_R10 + i) & 1 ? VALUE_UNSTORED : v->kind;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (s->scratch[i].kind == VALUE_JUMP_FOUND && (line->writes & 1u << R_RSP))
            s->popped = (uint32_t)line->memory.displacement;
        if (s->scratch[i].kind == VALUE_HOME)
            s->scratch[i].kind = VALUE_WORD;
    }
    guest_writes(line, s);
    return true;
}

bool apply_line(struct reading *r, const struct line *line, struct state *s)
{
    struct use u = { .r = r, .line = line, .s = s };
    unsigned at = line->operand[0].kind == OPERAND_REGISTER ? 0 : 1;
    bool host = line->memory.present && !line->memory.address_only && !line->memory.gs;
    u.reg = line->operand[at].kind == OPERAND_REGISTER ? line->operand[at].reg : NONE;
    u.v = is_scratch(u.reg) ? scratch_value(s, u.reg) : NULL;
    if (line->memory.gs)
        return apply_context_form(&u);
    if (s->stack_half)
        return refuse(r, "half of the stack's entry is left");
    if (host && !use_host(r, line, s))
        return false;
    if (line->mnemonic == ZYDIS_MNEMONIC_NOP && !line->memory.present)
        return true;
    bool good = is_translators(r, line, s) ? apply_form(&u) : apply_guest(r, line, s);
    if (host && line->memory.write)
        s->dirty = 1;
    return good;
}
