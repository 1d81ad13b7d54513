/* SPDX-License-Identifier: MIT */
/*
 * columns.h - the vocabulary of instructions/ *.def (private to table.c).
 *
 * A row reads like the manual's opcode table:
 *
 *   ROW(opcode, encoding, "mnemonic", immediate, memory, flags, gate, how, attributes)
 *
 *   encoding    what the bytes must be, besides the opcode; tokens joined by |
 *   immediate   kind of the immediate operand
 *   memory      how memory is used when there is a memory operand: READ, WRITE or UPDATE (size),
 * ... flags       RFLAGS read, written, undefined gate        state and CPUID feature how P&G
 * class, and the interpreter if it is not run natively attributes  ROW_* and RULE_* without their
 * prefix
 *
 * ALT is the next candidate for the same opcode; candidates are tried in the order written. An
 * opcode column may be a range, "0x50 ... 0x53", where the low bits name a register.
 */
#ifndef ORIGAMI_ENGINE_INSTRUCTION_COLUMNS_H
#define ORIGAMI_ENGINE_INSTRUCTION_COLUMNS_H

#include "table.h"

/* ---- encoding: a 64-bit constant, the mask of the key above, its value below ---- */
#define KEY_FIELD(mask, value) (((uint64_t)(mask) << 32) | (uint64_t)(value))
#define ANY                    0ull /* no condition, no ModRM */
#define MODRM                  ((uint64_t)KEY_HAS_MODRM)
#define DIGIT(n)               (MODRM | KEY_FIELD(7u, (n)))            /* the manual's /n */
#define MEM                    (MODRM | KEY_FIELD(KEY_MOD3, 0))        /* mod != 3 */
#define REG                    (MODRM | KEY_FIELD(KEY_MOD3, KEY_MOD3)) /* mod == 3 */
#define RM(n)                  KEY_FIELD(7u << KEY_RM_SHIFT, (n) << KEY_RM_SHIFT)
#define EXACT(b)               (REG | DIGIT(((b) >> 3) & 7u) | RM((b)&7u)) /* the whole ModRM byte */
#define PP(n)                  KEY_FIELD(3u << KEY_PP_SHIFT, (unsigned)(n) << KEY_PP_SHIFT)
#define NP                     PP(PP_NONE) /* no 66h, F2h, F3h */
#define P66                    PP(PP_66)
#define PF3                    PP(PP_F3)
#define PF2                    PP(PP_F2)
#define NFX                    KEY_FIELD(2u << KEY_PP_SHIFT, 0) /* neither F2h nor F3h; 66h is an operand size */
#define ONLY64                 KEY_FIELD(KEY_MODE64, KEY_MODE64)
#define NOT64                  KEY_FIELD(KEY_MODE64, 0)
#define W0                     KEY_FIELD(KEY_W, 0)
#define W1                     KEY_FIELD(KEY_W, KEY_W)
#define L0                     KEY_FIELD(3u << KEY_L_SHIFT, 0)
#define L1                     KEY_FIELD(3u << KEY_L_SHIFT, 1u << KEY_L_SHIFT)
#define L2                     KEY_FIELD(3u << KEY_L_SHIFT, 2u << KEY_L_SHIFT)
#define REX_B0                 KEY_FIELD(KEY_REX_B, 0)
#define REX_R0                 KEY_FIELD(KEY_REX_R, 0)
#define REX_R1                 KEY_FIELD(KEY_REX_R, KEY_REX_R)

/* ---- immediate ---- */
#define NONE IMMEDIATE_NONE
#define IB   IMMEDIATE_8
#define IBS  IMMEDIATE_8_SIGNED
#define IW   IMMEDIATE_16
#define IZ   IMMEDIATE_Z
#define IV   IMMEDIATE_V
#define IS4  IMMEDIATE_REGISTER
#define FAR  IMMEDIATE_FAR

/* ---- memory: sizes in bytes, or ---- */
#define Z                       SIZE_OPERAND         /* 2, 4, 8 by operand size */
#define Y                       SIZE_OPERAND_NATURAL /* 4, 8 by W */
#define V                       SIZE_VECTOR
#define V2                      SIZE_HALF_VECTOR
#define V4                      SIZE_QUARTER_VECTOR
#define V8                      SIZE_EIGHTH_VECTOR
#define OTHER                   SIZE_VARIES
#define MEMORY_OPERAND(k, d, s) .memory = (k), .direction = (d), .size = (s)
#define NO_MEMORY               MEMORY_OPERAND(MEMORY_NONE, DIRECTION_NONE, 0)
#define READ(s)                 MEMORY_OPERAND(MEMORY_MODRM, DIRECTION_READ, s)
#define WRITE(s)                MEMORY_OPERAND(MEMORY_MODRM, DIRECTION_WRITE, s)
#define UPDATE(s)               MEMORY_OPERAND(MEMORY_MODRM, DIRECTION_READ_WRITE, s)
#define ADDRESS                 MEMORY_OPERAND(MEMORY_ADDRESS_ONLY, DIRECTION_NONE, 0)
#define BITS_READ               MEMORY_OPERAND(MEMORY_BIT_STRING, DIRECTION_READ, SIZE_OPERAND)
#define BITS_UPDATE             MEMORY_OPERAND(MEMORY_BIT_STRING, DIRECTION_READ_WRITE, SIZE_OPERAND)
#define PUSH                    MEMORY_OPERAND(MEMORY_PUSH, DIRECTION_WRITE, SIZE_OPERAND)
#define POP                     MEMORY_OPERAND(MEMORY_POP, DIRECTION_READ, SIZE_OPERAND)
#define PUSH_MANY               MEMORY_OPERAND(MEMORY_PUSH, DIRECTION_WRITE, SIZE_VARIES)
#define POP_MANY                MEMORY_OPERAND(MEMORY_POP, DIRECTION_READ, SIZE_VARIES)
#define MOFFS(d, s)             MEMORY_OPERAND(MEMORY_MOFFS, DIRECTION_##d, s)
#define XLAT                    MEMORY_OPERAND(MEMORY_XLAT, DIRECTION_READ, 1)
#define RDI(s)                  MEMORY_OPERAND(MEMORY_RDI, DIRECTION_WRITE, s), .element = 1
#define STRING(d, s, o)         MEMORY_OPERAND(MEMORY_STRING, DIRECTION_##d, s), .string_operands = (o)
#define STRING_COPY(s)          STRING(READ_WRITE, s, STRING_SOURCE | STRING_DESTINATION)
#define STRING_COMPARE(s)       STRING(READ, s, STRING_SOURCE | STRING_DESTINATION)
#define STRING_LOAD(s)          STRING(READ, s, STRING_SOURCE)
#define STRING_STORE(s)         STRING(WRITE, s, STRING_DESTINATION)
#define STRING_SCAN(s)          STRING(READ, s, STRING_DESTINATION)
#define GATHER(s)               MEMORY_OPERAND(MEMORY_VSIB, DIRECTION_READ, s), .element = (s)
#define SCATTER(s)              MEMORY_OPERAND(MEMORY_VSIB, DIRECTION_WRITE, s), .element = (s)
/* EVEX: the element that a mask bit or a broadcast stands for, in bytes. */
#define READ_OF(s, e)  READ(s), .element = (e)
#define WRITE_OF(s, e) WRITE(s), .element = (e)

/* ---- flags: FLAGS(read, written or undefined, of these undefined) ---- */
enum {
    C_ = 1 << 0,
    P_ = 1 << 2,
    A_ = 1 << 4,
    Z_ = 1 << 6,
    S_ = 1 << 7,
    T_ = 1 << 8,
    I_ = 1 << 9,
    D_ = 1 << 10,
    O_ = 1 << 11,
    IOPL_ = 3 << 12,
    NT_ = 1 << 14,
    RF_ = 1 << 16,
    VM_ = 1 << 17,
    AC_ = 1 << 18,
    VIF_ = 1 << 19,
    VIP_ = 1 << 20,
    ID_ = 1 << 21,
    OSZAPC = O_ | S_ | Z_ | A_ | P_ | C_,
    OSZAP = O_ | S_ | Z_ | A_ | P_,
    OSZPC = O_ | S_ | Z_ | P_ | C_,
    OSAPC = O_ | S_ | A_ | P_ | C_,
    SZAPC = S_ | Z_ | A_ | P_ | C_,
    SZP = S_ | Z_ | P_,
    OAC = O_ | A_ | C_,
    OSAP = O_ | S_ | A_ | P_,
    ZPC = Z_ | P_ | C_
};
#define FLAGS(r, w, u) .flags_read = (r), .flags_written = (w), .flags_undefined = (u)
#define NO_FLAGS       FLAGS(0, 0, 0)
#define READS(f)       FLAGS(f, 0, 0)
#define ARITHMETIC     FLAGS(0, OSZAPC, 0)
#define WITH_CARRY     FLAGS(C_, OSZAPC, 0)
#define LOGIC          FLAGS(0, OSZAPC, A_)
#define INC_DEC        FLAGS(0, OSZAP, 0)
#define SHIFT          FLAGS(OSZAPC, OSZAPC, O_ | A_) /* count 0 keeps all; O defined for count 1 */
#define ROTATE         FLAGS(O_ | C_, O_ | C_, O_) /* count 0 keeps both; O defined for count 1 */
#define ROTATE_1       FLAGS(C_, O_ | C_, 0)
#define SHIFT_DOUBLE   FLAGS(OSZAPC, OSZAPC, O_ | A_) /* 16-bit counts over 16: all undefined */
#define MULTIPLY       FLAGS(0, OSZAPC, S_ | Z_ | A_ | P_)
#define DIVIDE         FLAGS(0, OSZAPC, OSZAPC)
#define BIT_TEST       FLAGS(0, OSAPC, OSAP)
#define BIT_SCAN       FLAGS(0, OSZAPC, OSAPC)
#define COUNT_ZEROS    FLAGS(0, OSZAPC, O_ | S_ | A_ | P_)
#define COMPARE_REAL   FLAGS(0, OSZAPC, 0)            /* COMISS, FCOMI: Z, P, C; O, S, A cleared */
#define ZERO_CARRY     FLAGS(0, OSZAPC, 0)            /* PTEST: Z and C; the others cleared */
#define STRING_MATCH   FLAGS(0, OSZAPC, 0)            /* PCMPxSTRx: C, Z, S, O; A and P cleared */
#define BIT_LOGIC      FLAGS(0, OSZAPC, A_ | P_)      /* ANDN, BLSx, BZHI */
#define BIT_FIELD      FLAGS(0, OSZAPC, S_ | A_ | P_) /* BEXTR */
#define ONLY_ZERO      FLAGS(0, Z_, 0)
#define ALL_FLAGS      FLAGS(~0u, ~0u, 0)

/* ---- gate ---- */
#define GATE(s, f) .state = STATE_##s, .feature = FEATURE_##f
#define GENERAL    GATE(GENERAL, BASE)
#define IF(f)      GATE(GENERAL, f)
#define X87        GATE(X87, FPU)
#define X87_NOWAIT GATE(X87_NOWAIT, FPU)
#define IN_MMX(f)  GATE(MMX, f)
#define IN_SSE(f)  GATE(SSE, f)
#define SSE_MMX(f) GATE(SSE_MMX, f)
#define IN_AVX(f)  GATE(AVX, f)
#define OPMASK(f)  GATE(OPMASK, f)
#define ZMM(f)     GATE(AVX512, f)                                 /* at every length */
#define ZMM_VL(f)  GATE(AVX512, f), .feature_vl = FEATURE_AVX512VL /* 128, 256: and VL */

/* ---- how ---- */
#define NATIVE        .class = CLASS_INNOCUOUS, .interpreter = INTERPRETER_NONE
#define INNOCUOUS(i)  .class = CLASS_INNOCUOUS, .interpreter = INTERPRET_##i
#define TRANSFER(i)   .class = CLASS_TRANSFER, .interpreter = INTERPRET_##i
#define PRIVILEGED(i) .class = CLASS_PRIVILEGED, .interpreter = INTERPRET_##i
#define CRITICAL(i)   .class = CLASS_CRITICAL, .interpreter = INTERPRET_##i
#define PARTIAL(i)    .class = CLASS_PARTIAL, .interpreter = INTERPRET_##i

/* ---- attributes ---- */
#define LOCKABLE   ROW_LOCKABLE
#define ALIGNED    ROW_ALIGNED
#define ALIGNED_16 ROW_EXPLICIT_16
#define MASKED     ROW_MASKED
#define BYTES      ROW_BYTE_REGISTERS
#define STACK      ROW_STACK_64
#define FORCE_64   ROW_FORCE_64
#define FOP        ROW_X87_OPERATION
#define REP        ROW_REP_STRING
#define MOVES_RSP  ROW_WRITES_RSP
#define COUNT      ROW_SHIFT_COUNT
#define ELSE_NEXT  ROW_ELSE_NEXT
#define BROADCAST  ROW_BROADCAST
#define RULES(r)   ((uint64_t)(r) << ATTRIBUTE_RULE_SHIFT)
#define VVVV       RULES(RULE_VVVV)
#define KREG       RULES(RULE_MASK_REG)
#define KRM        RULES(RULE_MASK_RM)
#define KVVVV      RULES(RULE_MASK_VVVV)
#define GREG       RULES(RULE_GENERAL_REG)
#define GRM        RULES(RULE_GENERAL_RM)
#define ANY_MOD    RULES(RULE_IGNORE_MOD)
#define NATURAL    RULES(RULE_NATURAL)
#define PORT       RULES(RULE_AT_MOST_32)
#define DISTINCT   RULES(RULE_DISTINCT)
#define MASK       RULES(RULE_MASKABLE)                 /* {k}: merging only */
#define MASKZ      RULES(RULE_MASKABLE | RULE_ZEROABLE) /* {k}{z} */
#define MASK_MUST  RULES(RULE_MASKABLE | RULE_MASK_NEEDED)
#define ROUNDING   RULES(RULE_ROUNDING) /* {er} */
#define SAE        RULES(RULE_SAE)      /* {sae} */
#define ELEMENTS   RULES(RULE_ELEMENT_DISP)

#endif
