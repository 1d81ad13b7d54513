/* SPDX-License-Identifier: MIT */
/*
 * Evaluator: what an instruction does to one concrete state.
 *
 * It reads the typed trees of description.h and nothing else; it neither knows nor uses the
 * solver's encoding, so that it can contradict it. It also runs programs (evaluate_step).
 *
 * A trap of any kind undoes what the instruction did before it: the trap rule sees the state at
 * the instruction's start, with the program counter at the instruction. A body sees the program
 * counter already moved past the instruction.
 */
#ifndef ORIGAMI_CHECKER_EVALUATOR_H
#define ORIGAMI_CHECKER_EVALUATOR_H

#include "description.h"

struct machine_state {
    uint64_t *values;     /* value_count of the description; memory last */
    uint32_t memory_size; /* cells of memory this machine has; at most what is declared */
    bool halted;
};

enum outcome_kind {
    OUTCOME_NORMAL,
    OUTCOME_TRAP,
    OUTCOME_FAULT, /* memory trap */
};

struct outcome {
    enum outcome_kind kind;
    uint64_t code;
};

/* What decides an instruction besides the state. */
struct instruction_input {
    uint64_t operands[ISA_MAX_OPERANDS];
    uint64_t choices[ISA_MAX_CHOICES];
};

/* Zeroed values, full memory. 0 or -ENOMEM. */
int machine_state_init(struct machine_state *state, const struct isa_description *description);
void machine_state_release(struct machine_state *state);
/* Both initialised for the same description. */
void machine_state_copy(struct machine_state *to, const struct machine_state *from,
                        const struct isa_description *description);

uint64_t machine_state_mode(const struct machine_state *state,
                            const struct isa_description *description);
void machine_state_set_mode(struct machine_state *state, const struct isa_description *description,
                            uint64_t mode);
/* The memory part of the values. */
uint64_t *machine_state_memory(const struct machine_state *state,
                               const struct isa_description *description);

/* Runs one instruction's body on `state`, program counter included. After a trap or fault the
 * state holds rubbish: the caller keeps its own copy. */
struct outcome evaluate_instruction(const struct isa_description *description,
                                    const struct isa_instruction *instruction,
                                    const struct instruction_input *input,
                                    struct machine_state *state);

/* Where the virtual address lies, seen from `mode`: 0, or -EFAULT when it traps. */
int evaluate_map(const struct isa_description *description, const struct machine_state *state,
                 uint64_t address, uint64_t mode, uint64_t *physical);

/* Shifts the relocation cells by x: 0, or -ERANGE when the description's guard forbids it. */
int evaluate_relocate(const struct isa_description *description, struct machine_state *state,
                      uint64_t shift);

/* Delivers a trap by the description's rule. 0, -ENOTSUP without a rule, -EFAULT when the rule
 * itself reaches beyond the memory. */
int evaluate_trap(const struct isa_description *description, struct machine_state *state,
                  uint64_t code);

/* Do the description's invariants hold, and is the mode one of the pair under analysis? */
bool evaluate_valid(const struct isa_description *description, const struct machine_state *state);
/* The first invariant that does not hold, or NULL: then it is the mode, or nothing. */
const struct isa_expression *evaluate_broken(const struct isa_description *description,
                                             const struct machine_state *state);

struct step_record {
    const struct isa_instruction *instruction; /* NULL: fetch failed or encoding unknown */
    struct instruction_input input;
    uint64_t words[ISA_MAX_WORDS];
    unsigned word_count;
    struct outcome outcome; /* before delivery; an unknown encoding is a trap, illegal code */
};

/* Answers one `choose`; NULL stands for "always 0". */
typedef uint64_t choose_function(void *context, unsigned width);

/* Finds the instruction at the program counter without running it. Fills instruction, operands,
 * words; 0, or the outcome to deliver in record->outcome and -EFAULT (fetch) or -ENOEXEC. */
int evaluate_decode(const struct isa_description *description, const struct machine_state *state,
                    struct step_record *record);

/* Fetch, decode, run, deliver the trap if there is one. `scratch` is a second state for the same
 * description (contents do not matter). 0, -ENOTSUP or -EFAULT as evaluate_trap. A halted machine
 * does nothing. */
int evaluate_step(const struct isa_description *description, struct machine_state *state,
                  struct machine_state *scratch, choose_function *choose, void *context,
                  struct step_record *record);

/* The memory words of an instruction with these operands; ignored bits are 0. */
void encode_instruction(const struct isa_description *description,
                        const struct isa_instruction *instruction, const uint64_t *operands,
                        uint64_t *words);

#endif
