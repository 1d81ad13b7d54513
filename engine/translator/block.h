/* SPDX-License-Identifier: MIT */
/*
 * block.h - a block being made: shared by the files that emit its parts.
 */
#ifndef ORIGAMI_ENGINE_BLOCK_H
#define ORIGAMI_ENGINE_BLOCK_H

#include "emit.h"
#include "../interpreter/interpreter.h"
#include "../step/stub.h"

/* The translator's scratch registers; guest R10 and R11 are in the context block. */
#define S0 REGISTER_R11
#define T0 REGISTER_R10

/* Where the operand of a look-up lies. */
enum where {
    WHERE_OPERAND,     /* the instruction's ModRM operand */
    WHERE_STACK_TOP,   /* rSP */
    WHERE_STACK_BELOW, /* the word below rSP */
    WHERE_FRAME        /* rBP */
};

struct lookup {
    uint8_t insn; /* of the block */
    uint8_t where;
    uint8_t size, write;
    uint8_t alignment; /* see struct soft_site */
    uint8_t s, t;      /* scratch registers: the address is left in s */
    bool masked;       /* elements may be masked off: their pages must not show it */
};

/* Code after the block's own: reached only by a jump, and seldom. */
struct tail {
    uint32_t from; /* the rel32 of the jump to it */
    uint8_t kind;  /* enum tail_kind */
    uint8_t s, t;  /* TAIL_SLOW */
    uint8_t how;   /* TAIL_SLOW: enum lookup_how; TAIL_LINK: flags are saved */
    bool write;
    uint32_t number;  /* of the site or link */
    uint32_t back;    /* TAIL_SLOW: where the look-up ends */
    uint8_t size;     /* and of what */
    uint64_t address; /* TAIL_SLOW: a constant one; TAIL_PAGE: the target */
};
enum tail_kind {
    TAIL_SLOW,   /* leave for a page that is not in the inline TLB */
    TAIL_LINK,   /* leave to have the jump patched */
    TAIL_PAGE,   /* a conditional jump to another page: check the page first */
    TAIL_LOOKUP, /* leave for an address that is not in the jump table */
    TAIL_AGAIN,  /* leave to look at the second page */
    TAIL_UNDO,   /* leave this instruction to Step */
    TAIL_BUDGET  /* leave before the block */
};
/* How an address is looked up. */
enum lookup_how {
    LOOKUP_HASHED,   /* by its page */
    LOOKUP_CONSTANT, /* the same, but the page is known */
    LOOKUP_STACK     /* the entry RSP-relative operands last used */
};

#define TAILS (SOFT_INSNS * 4 + 8)

struct builder {
    struct vcpu *vcpu;
    struct translator *t;
    struct cursor c;
    uint64_t rip; /* of the block */
    uint32_t mode;
    unsigned view;
    bool wide; /* 64-bit code */
    /* Where the guest's arithmetic flags are at this point; at least one holds. */
    bool in_host, saved;
    uint32_t step; /* a block that ends before an instruction for an interpreter: which, or 0 */
    bool saved_at; /* `saved` when the current instruction's own code ran */
    unsigned count;
    struct instruction insn[SOFT_INSNS];
    uint64_t insn_rip[SOFT_INSNS + 1];
    struct tail tail[TAILS];
    unsigned tail_count;
};

/* ---- flags.c ---- */

/* What an instruction does to the arithmetic flags. */
bool flags_needed(const struct instruction *insn);   /* must find the guest's in the host's */
bool flags_replaced(const struct instruction *insn); /* leaves none as it was */
bool flags_changed(const struct instruction *insn);
/* Emits what is needed to have them in saved_flags, and in the host's flags; `scratch` is used. */
void flags_save(struct builder *b, unsigned scratch);
void flags_restore(struct builder *b, unsigned scratch);

/* ---- select.c: what is translated, and how blocks end ---- */

enum block_end { END_STEP, END_BRANCH, END_PAGE };
/* Decodes a block's instructions; their number, and how the block ends in *end. */
unsigned select_block(struct builder *b, const struct soft_code *code, enum block_end *end);
/* Does it use memory through the inline TLB? */
bool looks_up(const struct builder *b, const struct instruction *insn);
/* Nothing to do, whatever its operand. */
bool hint(const struct builder *b, const struct instruction *insn);
/* Bit 0: names guest R10, bit 1: R11, as a general register operand. */
unsigned names_scratch(const struct instruction *insn);

/* ---- lookup.c: memory operands ---- */

/* Leaves the host address of the operand in `s`; `t` and the host's flags are lost. */
void emit_lookup(struct builder *b, struct lookup lookup);
/* The offset of a memory operand into `s`. */
void emit_offset(struct builder *b, unsigned index, unsigned s, unsigned t);
/* Leaves instruction `index` to Step if `reg` + displacement is not canonical; `t` is lost. */
void emit_canonical(struct builder *b, unsigned index, unsigned reg, int32_t displacement,
                    unsigned t);

/* The tail of a look-up that missed. */
void emit_slow_tail(struct builder *b, const struct tail *tail);

/* ---- jumps.c: ends of blocks ---- */

void emit_branch(struct builder *b, unsigned index);
void emit_goto(struct builder *b, uint64_t target);
void emit_step(struct builder *b, uint64_t rip);
/* Everything put off to the end of the block. */
void emit_tails(struct builder *b);

/* ---- native.c: instructions that are not branches ---- */

void emit_instruction(struct builder *b, unsigned index);
void emit_push_constant(struct builder *b, unsigned index, uint64_t value);

/* ---- Small helpers ---- */

static inline uint32_t home(unsigned reg)
{
    return reg == REGISTER_R10 ? CONTEXT(r10) : CONTEXT(r11);
}
static inline bool scratch(unsigned reg)
{
    return reg == REGISTER_R10 || reg == REGISTER_R11;
}
static inline uint32_t tables_offset(const struct builder *b)
{
    return CONTEXT(tables) + b->view * (uint32_t)sizeof(struct soft_tables);
}
#define TABLES(b, member) (tables_offset(b) + (uint32_t)offsetof(struct soft_tables, member))

static inline struct tail *tail_new(struct builder *b, enum tail_kind kind, uint32_t from)
{
    struct tail *tail = &b->tail[b->tail_count < TAILS - 1 ? b->tail_count++ : TAILS - 1];
    *tail = (struct tail){ .kind = (uint8_t)kind, .from = from };
    return tail;
}

/* mov [s], reg or mov reg, [s] of the stack's word */
static inline void emit_word(struct builder *b, unsigned opcode, unsigned reg, unsigned s)
{
    unsigned rex = (b->wide ? 8u : 0) | (reg >= 8 ? 4u : 0) | (s >= 8 ? 1u : 0);
    emit8(&b->c, 0x40u | rex);
    emit8(&b->c, opcode);
    emit8(&b->c, ((reg & 7u) << 3) | (s & 7u));
}
static inline void emit_rsp(struct builder *b, int32_t delta)
{
    emit_lea(&b->c, b->wide, REGISTER_RSP, REGISTER_RSP, NO_INDEX, 0, delta);
}

#endif
