/* SPDX-License-Identifier: MIT */
/* Encoding's internals: what its three files share. Nobody else includes this. */
#ifndef ORIGAMI_CHECKER_ENCODE_INTERNAL_H
#define ORIGAMI_CHECKER_ENCODE_INTERNAL_H

#include "encode.h"

/* One body being executed. `path` is where it has neither stopped nor yielded. */
struct execution {
    struct encoder *encoder;
    struct symbolic_state *state;
    Z3_ast slots[ISA_MAX_SLOTS];
    Z3_ast path, trap, fault, result;
};

/* --- terms (encode_term.c) --- */
Z3_ast encode_choose(struct encoder *encoder, Z3_ast condition, Z3_ast a, Z3_ast b);
/* Bit to truth value and back; our expressions keep truth in one bit. */
Z3_ast encode_is_set(struct encoder *encoder, Z3_ast bit);
Z3_ast encode_as_bit(struct encoder *encoder, Z3_ast truth);
/* The part of a state that is memory. */
Z3_ast *encode_memory(const struct encoder *encoder, const struct symbolic_state *state);

/* --- expressions (encode_expression.c) --- */
Z3_ast encode_expression(struct execution *run, const struct isa_expression *e);

#endif
