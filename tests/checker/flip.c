/* SPDX-License-Identifier: MIT */
/* Flips: see flip.h. The trees live in the description's arena, so that writing to them is legal.
 */
#include "flip.h"

#include <string.h>

const char *const flip_names[] = {
    [FLIP_NEVER] = "removed",
    [FLIP_ALWAYS] = "made unconditional",
    [FLIP_NEGATE] = "negated",
    [FLIP_ADD] = "added",
};

struct walk {
    const struct isa_description *description;
    struct isa_instruction *instruction;
    struct flip *flips;
    unsigned count;
    bool tainted[ISA_MAX_SLOTS]; /* locals that depend on the mode */
    bool full;
};

static bool reads_mode(const struct walk *walk, const struct isa_expression *e)
{
    if (e == NULL)
        return false;
    if (e->kind == EXPRESSION_CELL && (int)e->index == walk->description->mode_cell)
        return true;
    if (e->kind == EXPRESSION_LOCAL && e->index < ISA_MAX_SLOTS && walk->tainted[e->index])
        return true;
    return reads_mode(walk, e->a) || reads_mode(walk, e->b) || reads_mode(walk, e->c);
}

/* Any cell or operand besides the mode; a local may hide one. */
static bool reads_more(const struct walk *walk, const struct isa_expression *e)
{
    if (e == NULL)
        return false;
    if (e->kind == EXPRESSION_CELL)
        return (int)e->index != walk->description->mode_cell;
    if (e->kind == EXPRESSION_ELEMENT || e->kind == EXPRESSION_OPERAND ||
        e->kind == EXPRESSION_LOCAL || e->kind == EXPRESSION_CHOICE)
        return true;
    return reads_more(walk, e->a) || reads_more(walk, e->b) || reads_more(walk, e->c);
}

static bool has_trap(const struct isa_statement *statement)
{
    for (; statement != NULL; statement = statement->next)
        if (statement->kind == STATEMENT_TRAP)
            return true;
    return false;
}

static void note(struct walk *walk, enum flip_kind kind, const struct isa_statement *test)
{
    struct flip *flip = &walk->flips[walk->count];

    if (walk->count == FLIP_MAX) {
        walk->full = true;
        return;
    }
    memset(flip, 0, sizeof(*flip));
    flip->kind = kind;
    flip->instruction = walk->instruction;
    flip->test = (struct isa_statement *)(uintptr_t)test;
    flip->traps = test == NULL || has_trap(test->body) || has_trap(test->otherwise);
    flip->mixed = test != NULL && reads_more(walk, test->a);
    walk->count++;
}

static void visit(struct walk *walk, const struct isa_statement *statement)
{
    for (; statement != NULL; statement = statement->next) {
        if (statement->kind == STATEMENT_LET && reads_mode(walk, statement->a))
            walk->tainted[statement->slot] = true;
        if (statement->kind != STATEMENT_IF)
            continue;
        if (reads_mode(walk, statement->a)) {
            note(walk, FLIP_NEVER, statement);
            note(walk, FLIP_NEGATE, statement);
            if (!has_trap(statement->body)) /* else there would be nothing but the trap */
                note(walk, FLIP_ALWAYS, statement);
        }
        visit(walk, statement->body);
        visit(walk, statement->otherwise);
    }
}

unsigned flip_list(const struct isa_description *description, struct isa_instruction *instruction,
                   struct flip *flips)
{
    static struct walk walk;
    bool checked = false;

    memset(&walk, 0, sizeof(walk));
    walk.description = description;
    walk.instruction = instruction;
    walk.flips = flips;
    visit(&walk, instruction->body.first);
    for (unsigned i = 0; i < walk.count; i++)
        checked = checked || flips[i].traps;
    if (!checked)
        note(&walk, FLIP_ADD, NULL);
    return walk.full ? 0 : walk.count;
}

static void add_guard(const struct isa_description *description, struct flip *flip)
{
    const struct isa_cell *mode = &description->cells[description->mode_cell];

    flip->cell.kind = EXPRESSION_CELL;
    flip->cell.width = mode->width;
    flip->cell.index = (uint32_t)description->mode_cell;
    flip->constant.kind = EXPRESSION_CONSTANT;
    flip->constant.width = mode->width;
    flip->constant.value = description->user;
    flip->comparison.kind = EXPRESSION_EQUAL;
    flip->comparison.width = 1;
    flip->comparison.a = &flip->cell;
    flip->comparison.b = &flip->constant;
    flip->code.kind = EXPRESSION_CONSTANT;
    flip->code.width = description->trap_width;
    flip->trap.kind = STATEMENT_TRAP;
    flip->trap.a = &flip->code;
    flip->guard.kind = STATEMENT_IF;
    flip->guard.a = &flip->comparison;
    flip->guard.body = &flip->trap;
    flip->guard.next = flip->first;
    flip->instruction->body.first = &flip->guard;
}

void flip_do(const struct isa_description *description, struct flip *flip)
{
    flip->first = flip->instruction->body.first;
    if (flip->kind == FLIP_ADD) {
        add_guard(description, flip);
        return;
    }
    flip->condition = flip->test->a;
    flip->constant.kind = EXPRESSION_CONSTANT;
    flip->constant.width = 1;
    flip->constant.value = flip->kind == FLIP_ALWAYS;
    flip->comparison.kind = EXPRESSION_NOT;
    flip->comparison.width = 1;
    flip->comparison.a = flip->condition;
    flip->test->a = flip->kind == FLIP_NEGATE ? &flip->comparison : &flip->constant;
}

void flip_undo(struct flip *flip)
{
    flip->instruction->body.first = flip->first;
    if (flip->test != NULL)
        flip->test->a = flip->condition;
}
