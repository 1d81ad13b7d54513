/* SPDX-License-Identifier: MIT */
/*
 * Description: an instruction set as typed trees.
 *
 * The parser makes it; the evaluator and the solver's encoding read it and share nothing else.
 * All memory belongs to the description's arena and lives until description_release().
 * Values are unsigned bit vectors of 1 to 64 bits; a truth value is one bit.
 *
 * A machine state is one array of uint64_t: every cell has an offset into it, arrays take `count`
 * places, memory comes last. See docs/checker/language.md for what the constructs mean.
 */
#ifndef ORIGAMI_CHECKER_DESCRIPTION_H
#define ORIGAMI_CHECKER_DESCRIPTION_H

#include "diagnostics.h"

enum {
    ISA_MAX_CELLS = 256,
    ISA_MAX_MEMORY = 65536, /* cells, to run programs */
    ISA_MAX_ANALYSED = 64,  /* memory cells, to analyse */
    ISA_MAX_ELEMENTS = 64,  /* elements of a register file */
    ISA_MAX_OPERANDS = 8,   /* of one instruction */
    ISA_MAX_CHOICES = 16,   /* `choose` sites of one instruction */
    ISA_MAX_DOMAIN = 256,   /* listed values of one operand */
    ISA_MAX_SLOTS = 1024,   /* local values of one body */
    ISA_MAX_INSTRUCTIONS = 1024,
    ISA_MAX_FIELDS = 32, /* of one encoding */
    ISA_MAX_WORDS = 8,   /* memory cells of one encoding */
};

enum isa_role {
    ROLE_USER,       /* what programs compute with: registers, condition codes */
    ROLE_MODE,       /* M of the paper */
    ROLE_PC,         /* P */
    ROLE_RELOCATION, /* R, however many cells it takes */
    ROLE_RESOURCE,   /* what the allocator hands out: interrupt mask, I/O, tables */
    ROLE_CLOCK,      /* time, which the paper's equivalence leaves out */
    ROLE_MEMORY,     /* E */
};

struct isa_value_name {
    const char *name;
    uint64_t value;
};

struct isa_cell {
    const char *name;
    enum isa_role role;
    unsigned width;
    bool is_array;
    bool counted;  /* a resource that this analysis counts */
    bool optional; /* a resource that counts only when asked for */
    uint32_t count;
    uint32_t offset; /* into a state's values */
    const struct isa_value_name *names;
    unsigned name_count;
    struct source_position at;
};

enum expression_kind {
    EXPRESSION_CONSTANT,
    EXPRESSION_CELL,        /* cell */
    EXPRESSION_ELEMENT,     /* cell[a]; out of range reads 0 */
    EXPRESSION_OPERAND,     /* index */
    EXPRESSION_LOCAL,       /* index */
    EXPRESSION_CHOICE,      /* index: the site */
    EXPRESSION_MEMORY_SIZE, /* of the machine at hand: a virtual one has less */
    EXPRESSION_NOT,
    EXPRESSION_NEGATE,
    EXPRESSION_ADD,
    EXPRESSION_SUBTRACT,
    EXPRESSION_MULTIPLY,
    EXPRESSION_DIVIDE,    /* by zero: all ones */
    EXPRESSION_REMAINDER, /* by zero: the dividend */
    EXPRESSION_AND,
    EXPRESSION_OR,
    EXPRESSION_XOR,
    EXPRESSION_SHIFT_LEFT,
    EXPRESSION_SHIFT_RIGHT,
    EXPRESSION_SHIFT_ARITHMETIC,
    EXPRESSION_EQUAL,
    EXPRESSION_NOT_EQUAL,
    EXPRESSION_LESS,
    EXPRESSION_LESS_EQUAL,
    EXPRESSION_LESS_SIGNED,
    EXPRESSION_LESS_EQUAL_SIGNED,
    EXPRESSION_CONDITIONAL, /* a ? b : c */
    EXPRESSION_SLICE,       /* a[high:low] */
    EXPRESSION_CONCATENATE, /* a above b */
    EXPRESSION_ZERO_EXTEND,
    EXPRESSION_SIGN_EXTEND,
};

struct isa_expression {
    enum expression_kind kind;
    unsigned width; /* 0 only while parsing: a constant whose width the context gives */
    unsigned high, low;
    uint16_t depth;  /* of the tree, bounded by the parser */
    uint32_t weight; /* nodes when written out, bounded by the parser */
    uint32_t index;
    uint64_t value;
    const struct isa_expression *a, *b, *c;
    struct source_position at;
};

enum statement_kind {
    STATEMENT_LET,            /* slot = a */
    STATEMENT_ASSIGN,         /* cell[index?][high:low] = a; index out of range: nothing */
    STATEMENT_LOAD,           /* slot = memory at the virtual address a, as mode b or current */
    STATEMENT_STORE,          /* memory at the virtual address a, as mode b or current, = c */
    STATEMENT_PHYSICAL_READ,  /* slot = memory cell a, memory trap beyond the end */
    STATEMENT_PHYSICAL_WRITE, /* memory cell a = c, memory trap beyond the end */
    STATEMENT_IF,             /* a, body, otherwise */
    STATEMENT_TRAP,           /* code a */
    STATEMENT_FAULT,          /* memory trap, code a; NULL: the trap rule's memory code */
    STATEMENT_HALT,
    STATEMENT_YIELD, /* a is the result of the map */
};

struct isa_statement {
    enum statement_kind kind;
    uint32_t slot;
    uint32_t cell;
    unsigned high, low;
    const struct isa_expression *a, *b, *c, *index;
    const struct isa_statement *body, *otherwise, *next;
    struct source_position at;
};

/* A body, and the local values it needs. Its parameters, if any, are the first slots. */
struct isa_block {
    const struct isa_statement *first;
    uint32_t slots;
};

struct isa_operand {
    const char *name;
    unsigned width;
    const uint64_t *domain; /* NULL: all values */
    uint32_t domain_count;
};

struct isa_field {
    int operand; /* -1: fixed bits, -2: ignored bits */
    unsigned width;
    uint64_t value;
};

struct isa_instruction {
    const char *name;
    const char *summary; /* may be NULL */
    unsigned operand_count;
    struct isa_operand operands[ISA_MAX_OPERANDS];
    unsigned choice_count;
    unsigned choice_width[ISA_MAX_CHOICES];
    unsigned words; /* 0: no encoding; such an instruction is classified but never decoded */
    unsigned field_count;
    const struct isa_field *fields; /* most significant first, over all words */
    struct isa_block body;
    bool reads_memory;
    struct source_position at;
};

struct isa_parameter {
    const char *name;
    uint64_t value;
    bool overridden;
};

struct isa_override {
    const char *name;
    uint64_t value;
};

struct isa_description {
    struct arena_chunk *arena;
    size_t arena_used;

    const char *name;
    const char *title;
    const char *scope;
    const char *sources[16];
    unsigned source_count;

    struct isa_cell cells[ISA_MAX_CELLS];
    unsigned cell_count;
    int mode_cell, pc_cell, memory_cell; /* -1: not declared */
    uint32_t value_count;                /* of a state, memory included */
    bool pair_declared;
    uint64_t supervisor, user; /* values of the mode cell: the pair under analysis */
    uint32_t monitor_cells;    /* k: memory that the monitor keeps for itself */

    struct isa_parameter parameters[32];
    unsigned parameter_count;
    const struct isa_expression *invariants[32];
    unsigned invariant_count;

    bool has_map;
    bool map_uses_mode;
    unsigned map_address_width;  /* of the virtual address, slot 0 (the mode is slot 1) */
    unsigned map_physical_width; /* of what it yields */
    struct isa_block map;

    bool has_relocate;
    unsigned shift_width;                        /* of the shift, slot 0 */
    const struct isa_expression *relocate_guard; /* may be NULL */
    struct isa_block relocate;

    bool has_trap;
    unsigned trap_width; /* of the code, slot 0 */
    uint64_t illegal_code, memory_code;
    struct isa_block trap;

    struct isa_instruction *instructions[ISA_MAX_INSTRUCTIONS];
    unsigned instruction_count;
};

/* Reads a description from text. The overrides replace parameters' values; a name that is not a
 * parameter is an error at line 1. 0, -EINVAL (diagnostics filled) or -ENOMEM. On success the
 * caller owns *result. The text may be freed afterwards. */
int description_parse(const char *text, size_t length, const struct isa_override *overrides,
                      unsigned override_count, struct diagnostics *diagnostics,
                      struct isa_description **result);
void description_release(struct isa_description *description);

/* Chooses which resource cells count: "all", "none", or names separated by commas; NULL: all but
 * the optional ones. 0, or -ENOENT with *unknown pointing at the offending name. */
int description_choose_resources(struct isa_description *description, const char *list,
                                 const char **unknown);

const struct isa_instruction *
description_find_instruction(const struct isa_description *description, const char *name);
/* The cell that owns place `value` of a state, and its element. */
const struct isa_cell *description_cell_at(const struct isa_description *description,
                                           uint32_t value, uint32_t *element);
/* The name of a cell's value, or NULL. */
const char *description_value_name(const struct isa_cell *cell, uint64_t value);
const char *role_name(enum isa_role role);

/* The mode names of the pair under analysis; never NULL. */
const char *description_mode_name(const struct isa_description *description, uint64_t mode);

/* Zeroed memory that lives as long as the description; NULL when too much was asked for. */
void *description_allocate(struct isa_description *description, size_t size);
char *description_copy_text(struct isa_description *description, const char *text, size_t length);

#endif
