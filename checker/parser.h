/* SPDX-License-Identifier: MIT */
/*
 * Parser internals: what the parsing files share. Nobody else includes this.
 *
 * One pass makes typed trees directly. A fn or macro is kept as the place of its tokens and read
 * again at each use, with its parameters bound; since only names declared earlier are known, a
 * description can't recurse, and every size is bounded.
 *
 * After the first error every function returns NULL or false and the position stands at the end,
 * so that callers unwind without asking at each step.
 */
#ifndef ORIGAMI_CHECKER_PARSER_H
#define ORIGAMI_CHECKER_PARSER_H

#include "description.h"
#include "lexer.h"

enum {
    PARSER_MAX_NESTING = 100,   /* of brackets, blocks and expansions: bounds our stack */
    PARSER_MAX_DEPTH = 256,     /* of one expression tree: bounds the readers' stacks */
    PARSER_MAX_WEIGHT = 20000,  /* nodes of one expression when written out */
    PARSER_MAX_STEPS = 2000000, /* tokens read, expansions included */
    PARSER_MAX_SYMBOLS = 4096,
    PARSER_MAX_PARAMETERS = 8, /* of a fn or macro */
};

/* What may stand in a body. */
enum {
    ALLOW_ASSIGN = 1 << 0,
    ALLOW_MEMORY = 1 << 1,   /* load, store */
    ALLOW_PHYSICAL = 1 << 2, /* E[address] */
    ALLOW_TRAP = 1 << 3,
    ALLOW_FAULT = 1 << 4,
    ALLOW_HALT = 1 << 5,
    ALLOW_CHOICE = 1 << 6,
    ALLOW_YIELD = 1 << 7,
    ALLOW_INSTRUCTION = 0x7f,
};

/* The body that is being read. */
struct body_context {
    unsigned allow;
    uint32_t slots;
    unsigned choices;
    unsigned choice_width[ISA_MAX_CHOICES];
    bool reads_memory;
    bool uses_mode;
    unsigned yield_width;
    const struct isa_statement **tail; /* NULL: no statements here, only an expression */
};

enum symbol_kind { SYMBOL_CONSTANT, SYMBOL_CELL, SYMBOL_EXPRESSION, SYMBOL_FUNCTION, SYMBOL_MACRO };

struct callable {
    unsigned parameter_count;
    struct token parameters[PARSER_MAX_PARAMETERS];
    unsigned widths[PARSER_MAX_PARAMETERS];
    size_t body; /* index of the first token */
};

struct symbol {
    enum symbol_kind kind;
    const char *name;
    uint32_t length;
    uint64_t value; /* constant's value, cell's index */
    unsigned width; /* constant's width, 0: the context decides */
    const struct isa_expression *expression;
    const struct callable *callable;
};

struct parser {
    struct isa_description *description;
    struct diagnostics *diagnostics;
    const struct token *tokens;
    size_t count;
    size_t position;
    unsigned long steps;
    unsigned nesting;
    unsigned expansions;
    unsigned lazy; /* inside ?: arms, where a load would not be conditional */
    bool out_of_memory;
    struct symbol *symbols;
    unsigned symbol_count;
    unsigned global_count; /* symbols below this one are known everywhere */
    unsigned floor;        /* locals below this one are hidden by an expansion */
    bool in_body;
    struct body_context *context;
    const struct isa_override *overrides;
    unsigned override_count;
};

/* --- tokens (parser.c) --- */
const struct token *parser_peek(const struct parser *parser);
const struct token *parser_next(struct parser *parser);
bool parser_accept(struct parser *parser, const char *text);
bool parser_expect(struct parser *parser, const char *text);
const struct token *parser_expect_name(struct parser *parser, const char *what);
bool parser_failed(const struct parser *parser);
__attribute__((format(printf, 3, 4))) void
parser_error(struct parser *parser, struct source_position at, const char *format, ...);
/* "expected WHAT, found ..." */
void parser_error_expected(struct parser *parser, const char *what);
/* How much of a token fits a message. */
int parser_shown_length(const struct token *token);
bool parser_enter(struct parser *parser);
void parser_leave(struct parser *parser);
void *parser_allocate(struct parser *parser, size_t size);
const char *parser_copy(struct parser *parser, const struct token *token);
/* A string's text, copied; NULL with an error. */
const char *parse_string(struct parser *parser, const char *what);

/* --- names --- */
const struct symbol *parser_find(const struct parser *parser, const struct token *name);
/* Adds a name and returns its entry to fill, or NULL with an error (duplicate global, too many). */
struct symbol *parser_declare(struct parser *parser, const struct token *name,
                              enum symbol_kind kind);

/* --- expressions (parse_expression.c; their nodes: expression.c) --- */
const struct isa_expression *parse_expression(struct parser *parser);
/* Gives a constant without a width this one; an error when it does not fit or differs. */
const struct isa_expression *
expression_adopt(struct parser *parser, const struct isa_expression *expression, unsigned width);
const struct isa_expression *parse_condition(struct parser *parser);
bool parse_constant(struct parser *parser, uint64_t minimum, uint64_t maximum, const char *what,
                    uint64_t *value);
bool parse_width(struct parser *parser, unsigned *width);
struct isa_expression *expression_new(struct parser *parser, enum expression_kind kind,
                                      unsigned width, struct source_position at);
const struct isa_expression *expression_constant(struct parser *parser, uint64_t value,
                                                 unsigned width, struct source_position at);
bool expression_is_constant(const struct isa_expression *expression);
/* A node with its operands; a constant where they are. */
const struct isa_expression *expression_node(struct parser *parser, enum expression_kind kind,
                                             unsigned width, const struct isa_expression *a,
                                             const struct isa_expression *b,
                                             const struct isa_expression *c,
                                             struct source_position at);
const struct isa_expression *expression_binary(struct parser *parser, enum expression_kind kind,
                                               const struct isa_expression *a,
                                               const struct isa_expression *b,
                                               struct source_position at);
const struct isa_expression *expression_slice(struct parser *parser,
                                              const struct isa_expression *value, uint64_t high,
                                              uint64_t low, struct source_position at);
uint64_t width_mask(unsigned width);

/* --- statements (parse_statement.c) --- */
/* A new statement at the context's tail; NULL when there is no memory. */
struct isa_statement *statement_append(struct parser *parser, enum statement_kind kind,
                                       struct source_position at);
/* May this stand in the body at hand? An error if not. */
bool statement_allowed(struct parser *parser, unsigned what, const char *name,
                       struct source_position at);
/* Reads "{ statements }" to the context's tail. */
bool parse_block(struct parser *parser);
/* Starts and ends a body: "{ statements }" with its own locals. */
bool parse_body(struct parser *parser, struct body_context *context, struct isa_block *block);
/* A value that later changes can't touch: a fresh local when there is a body to put it in. */
const struct isa_expression *statement_hoist(struct parser *parser,
                                             const struct isa_expression *expression);
/* "load(...)" or "E[...]" inside an expression, hoisted before the statement at hand. */
const struct isa_expression *parse_load(struct parser *parser, struct source_position at);
const struct isa_expression *parse_physical_read(struct parser *parser, struct source_position at);
/* The "[address]" of either, after the name. */
const struct isa_expression *parse_physical_address(struct parser *parser);
/* "cell = value;" after the name, and "{a, b} = value;" after the brace (parse_assignment.c). */
bool parse_assignment(struct parser *parser, const struct token *name);
bool parse_spread(struct parser *parser);
/* Binds a callable's parameters to "(arguments)" and moves to its body; parser_return undoes it. */
struct expansion {
    size_t position;
    unsigned symbol_count, floor, lazy;
    bool outermost;
};
bool parser_call(struct parser *parser, const struct symbol *symbol, bool by_value,
                 struct expansion *saved);
void parser_return(struct parser *parser, const struct expansion *saved);
bool parse_parameters(struct parser *parser, struct callable *callable); /* parse_call.c */

/* --- declarations (parse_declaration.c, parse_cell.c, parse_instruction.c) --- */
bool parse_cell(struct parser *parser, enum isa_role role);
/* Gives every cell its place in a state, when all are known. */
void parser_assign_offsets(struct isa_description *description);
bool parse_instruction(struct parser *parser);
bool parse_callable(struct parser *parser, bool macro);

#endif
