/* SPDX-License-Identifier: MIT */
/*
 * Program: a machine's first state, written as text by the names of its description.
 *
 * Lines of labels, instructions with their operands, words, and values for cells; the grammar is
 * in docs/checker/simulate.md. A program is read in two steps, since its `set` lines decide the
 * description that its instructions are encoded with.
 */
#ifndef ORIGAMI_CHECKER_MONITOR_PROGRAM_H
#define ORIGAMI_CHECKER_MONITOR_PROGRAM_H

#include "evaluator.h"
#include "lexer.h"

enum {
    PROGRAM_MAX_SETTINGS = 32,
    PROGRAM_MAX_LABELS = 1024,
};

struct program_label {
    const struct token *name;
    uint64_t address;
};

struct program {
    struct diagnostics *diagnostics;
    struct token_list list;
    struct isa_override settings[PROGRAM_MAX_SETTINGS]; /* the names are the program's */
    unsigned setting_count;
    struct program_label labels[PROGRAM_MAX_LABELS];
    unsigned label_count;
};

/* The text, which must outlive the program, as tokens and settings. 0, -EINVAL (diagnostics) or
 * -ENOMEM. Release in every case. */
int program_read(struct program *program, const char *text, size_t length,
                 struct diagnostics *diagnostics);

/* Builds the state: memory, cells, program counter; everything else is zero, and the mode the more
 * privileged of the pair. state->memory_size says how much memory there is. 0 or -EINVAL. */
int program_assemble(struct program *program, const struct isa_description *description,
                     struct machine_state *state);
void program_release(struct program *program);

/* "NAME operand, operand" as it would be written in a program; at most `size` bytes with the NUL.
 */
void program_print(const struct isa_instruction *instruction, const struct instruction_input *input,
                   char *text, size_t size);

#endif
