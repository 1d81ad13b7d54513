/* SPDX-License-Identifier: MIT */
/*
 * Encoding: bodies as bit-vector terms of Z3.
 *
 * Symbolic states have the layout of machine_state. Memory is one term per cell, chosen by
 * comparing addresses: at the sizes we analyse that is faster than the theory of arrays.
 * A context lives for one instruction; all terms die with it.
 *
 * Z3's errors never end the process: terms become NULL and encoder_ok() tells.
 */
#ifndef ORIGAMI_CHECKER_ENCODE_H
#define ORIGAMI_CHECKER_ENCODE_H

#include "description.h"

#include <z3.h>

struct encoder {
    const struct isa_description *description;
    const struct isa_instruction *instruction;
    Z3_context context;
    Z3_ast yes, no;
    Z3_ast operands[ISA_MAX_OPERANDS];
    Z3_ast choices[ISA_MAX_CHOICES];
    /* What the pair's equal windows show at an address: one variable for both states, so that
     * whatever is computed from it is one term. Sound only where `share` says so: the windows of
     * `share_first` and `share_second` are required to be equal. */
    const struct symbolic_state *share_first, *share_second;
    unsigned shared_count;
    struct shared_load {
        Z3_ast address, value;
    } shared[64];
    Z3_ast shared_meaning;
    void *blocks; /* arrays to free with the encoder */
    bool out_of_memory;
};

struct symbolic_state {
    Z3_ast *values;
    Z3_ast halted;
    uint32_t memory_size;
};

struct symbolic_outcome {
    Z3_ast trap, fault, normal;
    struct symbolic_state after; /* means something where `normal` holds */
};

/* 0, -ENOMEM or -EIO (Z3 does not start). */
int encoder_init(struct encoder *encoder, const struct isa_description *description,
                 const struct isa_instruction *instruction);
void encoder_release(struct encoder *encoder);
bool encoder_ok(const struct encoder *encoder);

Z3_ast encode_number(struct encoder *encoder, uint64_t value, unsigned width);
Z3_ast encode_variable(struct encoder *encoder, const char *prefix, uint32_t index, unsigned width);
Z3_ast encode_and(struct encoder *encoder, Z3_ast a, Z3_ast b);
Z3_ast encode_or(struct encoder *encoder, Z3_ast a, Z3_ast b);
Z3_ast encode_not(struct encoder *encoder, Z3_ast a);
Z3_ast encode_equal(struct encoder *encoder, Z3_ast a, Z3_ast b);

/* A state of fresh variables; prefix names them. Mode included. */
struct symbolic_state encode_state(struct encoder *encoder, const char *prefix,
                                   uint32_t memory_size);
struct symbolic_state encode_copy(struct encoder *encoder, const struct symbolic_state *state);

struct symbolic_outcome encode_run(struct encoder *encoder, const struct symbolic_state *before);
/* The trap rule, for this code; `fault` where the rule itself reaches beyond memory. */
struct symbolic_outcome encode_trap(struct encoder *encoder, const struct symbolic_state *before,
                                    Z3_ast code);
/* Shifts the relocation cells in place; the result says where the guard allows it. */
Z3_ast encode_relocate(struct encoder *encoder, struct symbolic_state *state, Z3_ast shift);
/* Where is `address` mapped, and what does it show? */
Z3_ast encode_view(struct encoder *encoder, const struct symbolic_state *state, uint64_t address,
                   Z3_ast *contents);
/* The invariants. */
Z3_ast encode_valid(struct encoder *encoder, const struct symbolic_state *state);
/* The operands lie in their domains. */
Z3_ast encode_domains(struct encoder *encoder);

#endif
