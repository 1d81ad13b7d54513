/* SPDX-License-Identifier: MIT */
/*
 * table.h - the decoder's own half of the instruction table (private to engine/instruction).
 *
 * Each line of instructions/ *.def yields two records with the same number: a struct
 * instruction_row (what the rest of the engine sees) and a struct decode_rule (how the encoding is
 * recognised). opcode_index finds the first candidate of an opcode; further candidates follow it. A
 * candidate matches when the *key* of the bytes equals the rule's value in every bit of the rule's
 * mask, so one comparison settles prefix, ModRM extension, register or memory form, mode, W and L.
 */
#ifndef ORIGAMI_ENGINE_INSTRUCTION_TABLE_H
#define ORIGAMI_ENGINE_INSTRUCTION_TABLE_H

#include "instruction.h"

/*
 * The key, from bit 0 up:
 *
 *   reg:3     ModRM.reg without its extension          pp:2   mandatory prefix: 0 none, 1 66h, 2
 * F3h, mod3:1    ModRM.mod == 3                                  3 F2h; F2h and F3h win over 66h
 *   rm:3      ModRM.rm without its extension           66:1   66h is present (legacy encodings)
 *   64:1      64-bit mode                              W:1    REX.W, VEX.W, EVEX.W
 *   L:2       VEX.L, EVEX.L'L                          b:1    EVEX.b
 *   B:1, R:1  REX.B and REX.R
 */
#define KEY_REG_SHIFT 0
#define KEY_MOD3      (1u << 3)
#define KEY_RM_SHIFT  4
#define KEY_PP_SHIFT  7
#define KEY_66        (1u << 9)
#define KEY_MODE64    (1u << 10)
#define KEY_W         (1u << 11)
#define KEY_L_SHIFT   12
#define KEY_MODRM     0x7fu /* the bits that ModRM gives */
#define KEY_EVEX_B    (1u << 14)
#define KEY_REX_B     (1u << 15)
#define KEY_REX_R     (1u << 16)
/* Not part of the key: a ModRM byte follows the opcode. All rows of one opcode agree on it. */
#define KEY_HAS_MODRM (1u << 31)

enum { PP_NONE, PP_66, PP_F3, PP_F2 };

/* Immediate operands, and the displacements that stand in their place. */
enum immediate_kind {
    IMMEDIATE_NONE,
    IMMEDIATE_8,        /* ib, zero-extended: byte operands, counts, ports, vectors */
    IMMEDIATE_8_SIGNED, /* ib, sign-extended; also rel8 */
    IMMEDIATE_16,       /* iw: RET */
    IMMEDIATE_Z,        /* iw or id by operand size, sign-extended; also rel16, rel32 */
    IMMEDIATE_V,        /* iw, id or io: MOV r, imm */
    IMMEDIATE_FAR,      /* ptr16:16, ptr16:32 */
    IMMEDIATE_ENTER,    /* iw, ib */
    IMMEDIATE_8_8,      /* ib, ib: EXTRQ, INSERTQ */
    IMMEDIATE_REGISTER, /* ib, whose high half names a register (is4) */
    IMMEDIATE_MOFFS     /* not an immediate: an address of address size */
};

/* Rules beside the key: what the row demands of the encoding, or what its operands are. */
#define RULE_VVVV         (1u << 0)  /* VEX/EVEX.vvvv names an operand; else it must be 1111 */
#define RULE_MASKABLE     (1u << 1)  /* EVEX.aaa may be other than 0 */
#define RULE_ZEROABLE     (1u << 2)  /* EVEX.z may be 1 (with aaa != 0 and no memory destination) */
#define RULE_MASK_NEEDED  (1u << 3)  /* EVEX.aaa must not be 0: gather, scatter */
#define RULE_ROUNDING     (1u << 4)  /* EVEX.b in the register form: static rounding, L'L is RC */
#define RULE_SAE          (1u << 5)  /* EVEX.b in the register form: no exceptions */
#define RULE_MASK_REG     (1u << 6)  /* ModRM.reg names an opmask register */
#define RULE_MASK_RM      (1u << 7)  /* ModRM.rm does */
#define RULE_MASK_VVVV    (1u << 8)  /* vvvv does */
#define RULE_GENERAL_REG  (1u << 9)  /* ModRM.reg names a general register (EVEX: R' is reserved) */
#define RULE_GENERAL_RM   (1u << 10) /* ModRM.rm does (EVEX: X is not part of it) */
#define RULE_IGNORE_MOD   (1u << 11) /* MOV CR, DR: rm is a register whatever mod says */
#define RULE_NATURAL      (1u << 12) /* operand size 4, or 8 with W: 66h has no say */
#define RULE_AT_MOST_32   (1u << 13) /* operand size 2 or 4: W has no say (port I/O) */
#define RULE_ELEMENT_DISP (1u << 14) /* EVEX disp8 counts elements: VSIB, compress, expand */
#define RULE_DISTINCT     (1u << 15) /* gather: destination, index (and VEX mask) must differ */
#define RULE_ALTERNATIVE  (1u << 16) /* tried when the row above did not match */

/* In the attributes column, RULE_* stand above ROW_*. */
#define ATTRIBUTE_RULE_SHIFT 16

struct decode_rule {
    uint32_t value, mask; /* of the key */
    uint32_t rules;       /* RULE_* */
    uint8_t immediate;    /* enum immediate_kind */
};

/* The opcode maps, in the order of opcode_index. */
enum opcode_map {
    MAP_ONE_BYTE,
    MAP_0F,
    MAP_0F38,
    MAP_0F3A,
    MAP_VEX_0F,
    MAP_VEX_0F38,
    MAP_VEX_0F3A,
    MAP_EVEX_0F,
    MAP_EVEX_0F38,
    MAP_EVEX_0F3A,
    MAP_COUNT
};

/* An entry is a row number, or 0 for no row; INDEX_HAS_MODRM is set where a ModRM byte follows. */
#define INDEX_HAS_MODRM 0x8000u

extern const uint16_t opcode_index[MAP_COUNT][256];
extern const struct decode_rule decode_rules[]; /* as many as instruction_rows, and a sentinel */

#endif
