/* SPDX-License-Identifier: MIT */
/*
 * verifier_internal.h - shared by the files of the verifier.
 *
 * A block is decoded (verifier_line.c), and followed from each of its entries along every path
 * (verifier.c) with what is known at each instruction (struct state): what R10 and R11 hold, where
 * the guest's flags are, and so on. An instruction is one of the forms the translator itself uses
 * (tables in verifier_context.c and verifier_forms.c), or one of the guest's (verifier_guest.c); a
 * jump stays in the block or satisfies what its target takes for granted (verifier_exits.c). All
 * else is refused. That nothing jumps into the middle of a sequence follows: what is not known on
 * every path is not known.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_VERIFIER_INTERNAL_H
#define ORIGAMI_TEST_LOCKSTEP_VERIFIER_INTERNAL_H

#include <Zydis/Zydis.h>
#include "support.h"
#include "verifier.h"

#define LINES 8192u
#define NONE  0xffffu /* no record, register or line */

enum { R_RAX = 0, R_RCX = 1, R_RSP = 4, R_R10 = 10, R_R11 = 11 };
static inline bool is_scratch(unsigned reg)
{
    return reg == R_R10 || reg == R_R11;
}

/* ---- Instructions ---- */

enum operand_kind {
    OPERAND_NONE,
    OPERAND_REGISTER,
    OPERAND_IMMEDIATE,
    OPERAND_MEMORY,
    OPERAND_OTHER
};

enum jump_kind {
    JUMP_NOT,
    JUMP_ALWAYS,
    JUMP_IF,       /* on flags */
    JUMP_IF_COUNT, /* JRCXZ */
    JUMP_INDIRECT
};

/* What matters of one host instruction. */
struct line {
    uint32_t at; /* in the code area */
    uint8_t length, jump;
    uint16_t mnemonic;
    uint32_t target; /* of a direct jump; in the code area */
    struct {
        uint8_t kind, reg, width; /* reg: a general one's number; width in bytes */
        bool low;                 /* not AH, CH, DH or BH */
    } operand[2];                 /* the first two, those not implied */
    uint64_t immediate;
    struct {
        bool present, address_only, gs, read, write;
        uint16_t base, index; /* NONE, or a general register */
        int64_t displacement;
        uint32_t size;
    } memory;
    uint32_t reads, writes; /* general registers, implied ones and those of addresses included */
    uint16_t record;        /* of the guest's instruction it belongs to; NONE: prologue or tail */
    uint16_t record_first;  /* records without code end at the same place: the first of them */
    bool record_start;
    bool flags_needed, flags_written; /* arithmetic ones; needed: read, or not all replaced */
    bool faults;                      /* can raise an exception by its operands' values */
    const char *refused;              /* why it has no business here */
};

/* ---- What is known at a point ---- */

/* What a scratch register holds. `id` names an unknown value, or the one this was made from. */
enum value_kind {
    VALUE_UNKNOWN,      /* perhaps a host address */
    VALUE_WORD,         /* the guest's own or made from that */
    VALUE_CONSTANT,     /* `number` */
    VALUE_RAX,          /* the guest's RAX while RAX holds flags */
    VALUE_HOME,         /* the guest's register of that number, for its instruction to use */
    VALUE_UNSTORED,     /* the same, changed, and not yet in the context block */
    VALUE_SHIFTED,      /* the hash of `id` in the inline TLB, half done */
    VALUE_INDEX,        /* and done */
    VALUE_TAGGED,       /* `id` without the tag of an entry */
    VALUE_MISSED,       /* that was not in the entry's page, or not `size` bytes of it */
    VALUE_OFFSET,       /* that was */
    VALUE_HOST,         /* the host address of `size` bytes */
    VALUE_AGAIN,        /* the address that missed */
    VALUE_JUMP_SHIFTED, /* the place of `id` in the jump table, step by step */
    VALUE_JUMP_MIXED,
    VALUE_JUMP_MASKED,
    VALUE_JUMP_INDEX,
    VALUE_JUMP_FOUND, /* `id` was in the table there */
    VALUE_LEFT,       /* instructions left */
    VALUE_LEFT_LESS,  /* `number` fewer */
    VALUE_SUM_HIGH,   /* of `of` + `number`, on the way to know whether that is canonical */
    VALUE_SUM_ONE
};

enum entry_kind { ENTRY_HASHED, ENTRY_CONSTANT, ENTRY_STACK };

struct value {
    uint8_t kind;
    uint8_t entry; /* enum entry_kind, from TAGGED on */
    uint8_t write; /* the look-up allows writes */
    uint8_t canonical;
    uint32_t size;
    uint32_t id; /* 0: without a name */
    uint32_t of; /* a word that is value `of` + `number`; 0: not known to be one */
    uint64_t number;
};

enum flags_kind {
    FLAGS_OTHER,
    FLAGS_GUEST,    /* in the host's flags are the guest's */
    FLAGS_OVERFLOW, /* the guest's OF */
    FLAGS_LEFT,     /* SF: no instructions left */
    FLAGS_TAGGED,   /* value `id` compared with `number` */
    FLAGS_SUM,      /* above: `id` + `number` is not canonical */
    FLAGS_PAGE,     /* not equal: the target's page is not page `number` */
    FLAGS_JUMP      /* not equal: `id` is not in the jump table */
};

/* RAX and RCX hold what is the guest's, or, within a sequence of the translator: */
enum lent_kind {
    LENT_NOT,
    LENT_LAHF, /* RAX: the guest's flags on their way to saved_flags */
    LENT_PACKED,
    LENT_SAVED, /* and back */
    LENT_OVERFLOW,
    LENT_LEFT, /* RCX: 0 if instructions are left */
    LENT_TAG,  /* of the entry that `lent_id` was found in */
    LENT_HOST,
    LENT_LOST
};

enum budget_kind { BUDGET_UNTOUCHED, BUDGET_TAKEN, BUDGET_HELD, BUDGET_OVER, BUDGET_UNKNOWN };

/* No padding: compared as bytes. */
struct state {
    struct value scratch[2]; /* R10, R11 */
    uint64_t flags_number;
    uint32_t flags_id;
    uint8_t flags, saved; /* saved: the guest's are in saved_flags */
    uint8_t rax, rcx;     /* enum lent_kind */
    uint8_t rcx_kept;     /* the context block has the guest's RCX */
    uint8_t budget;
    uint8_t dirty;   /* the current guest instruction has begun to have its effect */
    uint8_t flagged; /* has written its flags */
    uint16_t record; /* the current guest instruction; NONE */
    uint8_t exit_canonical;
    uint8_t info_known;
    uint32_t info;
    uint32_t popped; /* by a computed jump, RSP moved */
    /* Past a compare with a page's number: where the number is, and what was compared. */
    uint32_t page_check, page_number, page_slot;
    uint32_t page_pending; /* before the jump: where the number is */
    uint32_t lent_id;      /* what RCX was made from */
    uint8_t lent_write;
    uint8_t stack_half; /* the stack's entry has a new page but the old host address; 1 + write */
    uint16_t reserved;
};
_Static_assert(sizeof(struct value) == 24 && sizeof(struct state) == 2 * 24 + 8 + 12 * 4,
               "padding");

struct reading {
    const struct translator *t;
    const struct soft_block *block;
    const struct soft_insn *record;
    const uint8_t *code; /* as it can be read here */
    uint32_t tables;     /* of the block's view, in the context block */
    unsigned count;
    unsigned lowest; /* no line before it is to be looked at again */
    uint32_t first_link, end_link;
    struct line line[LINES];
    struct state state[LINES]; /* before the line */
    uint8_t reached[LINES], pending[LINES];
    uint16_t line_at[65536]; /* by offset in the block: NONE, or the line that begins there */
    const char *why;
};

/* False, with the reason noted. */
static inline bool refuse(struct reading *r, const char *why)
{
    r->why = why;
    return false;
}

static inline struct value *scratch_value(struct state *s, unsigned reg)
{
    return &s->scratch[reg == R_R11];
}
/* May be seen by the guest. */
static inline bool is_plain(const struct value *v)
{
    return (v->kind >= VALUE_WORD && v->kind <= VALUE_UNSTORED) || v->kind == VALUE_AGAIN;
}

/* The line at an offset in the code area, or NONE. */
static inline unsigned line_of(const struct reading *r, uint32_t at)
{
    return at - r->block->code < r->block->code_size ? r->line_at[at - r->block->code] : NONE;
}

/* The record that is done when control comes to a line that begins one. */
static inline uint16_t record_before(const struct line *line)
{
    return line->record_first ? (uint16_t)(line->record_first - 1u) : NONE;
}

/* ---- Between the files ---- */

/* verifier_line.c: all of the block's code into r->line. */
bool read_lines(struct reading *r);

/* verifier.c: the block read last. */
const struct reading *verifier_reading(void);
/* Control may come to line `to` with `s` known. */
bool flow_to(struct reading *r, unsigned to, const struct state *s);

/* One instruction at work. */
struct use {
    struct reading *r;
    const struct line *line;
    struct state *s;
    unsigned reg;            /* the first general register operand, if there is one */
    struct value *v;         /* what it holds, if it is a scratch register */
    const struct spot *spot; /* verifier_context.c */
};

/* verifier_guest.c: what the line, which is no jump, does to `s`. */
bool apply_line(struct reading *r, const struct line *line, struct state *s);
/* Registers of the guest's change. */
void guest_writes(const struct line *line, struct state *s);

/* verifier_context.c and verifier_forms.c: the same for forms of the translator's. */
bool apply_context_form(struct use *u);
bool apply_form(struct use *u);
/* S R10 or R11, G another general register, I immediate, H memory, A address of LEA, 0 nothing. */
char shape_of(const struct line *line, unsigned operand);
/* A scratch register gets a new value; one not known until now. */
bool put(struct reading *r, struct state *s, unsigned reg, struct value v);
bool put_new(const struct use *u, unsigned kind, uint64_t number);

/* The guest's own, and not yet elsewhere. */
static inline bool held(const struct value *v)
{
    return v->kind == VALUE_HOME || v->kind == VALUE_UNSTORED;
}
static inline void set_flags(struct state *s, unsigned kind, uint32_t id, uint64_t number)
{
    s->flags = (uint8_t)kind;
    s->flags_id = id;
    s->flags_number = number;
}
static inline void clobber_flags(struct state *s)
{
    set_flags(s, FLAGS_OTHER, 0, 0);
}

#define RAX (1u << R_RAX)
#define RCX (1u << R_RCX)
/* Of which the guest's is elsewhere at the moment, touched by `line`. */
static inline uint32_t lent_touched(const struct line *line, const struct state *s)
{
    uint32_t lent = (s->rax != LENT_NOT ? RAX : 0) | (s->rcx != LENT_NOT ? RCX : 0);
    return (line->reads | line->writes) & lent;
}

/* verifier_exits.c: a jump, and where it leads to. */
bool apply_jump(struct reading *r, const struct line *line, unsigned index, const struct state *s);
/* Is it known that the instruction's second page, if it has one, is the one it was? */
bool second_known(struct reading *r, const struct state *s);

#endif
