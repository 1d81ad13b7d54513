/* SPDX-License-Identifier: MIT */
/*
 * instruction.h - the one instruction table and the decoder built on it.
 *
 * instructions.def is an allow-list: an encoding without a row is #UD, whatever the host CPU could
 * do with it. Each row carries the encoding, the Popek-Goldberg class, how the instruction is
 * carried out (natively by a stub, or by an interpreter), its memory operand, flags, feature gate
 * and exception class. Everything else (decoder, stubs, dispatch of interpreters, statistics) is
 * derived from it.
 *
 * Sources: Intel SDM Vol. 2 (opcode maps, appendix A; chapter 2 for prefixes, VEX, EVEX and
 * exception classes); AMD APM Vol. 3 appendix A. Where the two differ the row says which is
 * followed.
 */
#ifndef ORIGAMI_ENGINE_INSTRUCTION_H
#define ORIGAMI_ENGINE_INSTRUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTRUCTION_MAX_LENGTH 15

/* Popek-Goldberg class; THEORY: critical = sensitive and not privileged. */
enum instruction_class {
    CLASS_INNOCUOUS,
    CLASS_TRANSFER,   /* innocuous, but changes RIP: near branches, calls, returns */
    CLASS_PRIVILEGED, /* traps at CPL 3 in every state */
    CLASS_CRITICAL,   /* sensitive, does not trap at CPL 3 */
    CLASS_PARTIAL,    /* traps at CPL 3 in some states only (IOPL, CR4.TSD, CR4.UMIP ...) */
    CLASS_COUNT
};

/* How a memory operand is addressed. */
enum memory_kind {
    MEMORY_NONE,
    MEMORY_MODRM,        /* ModRM r/m; direction and size below */
    MEMORY_ADDRESS_ONLY, /* LEA, and hints: the address is computed, nothing is accessed */
    MEMORY_BIT_STRING,   /* BTx m, r: the register's high bits displace the address */
    MEMORY_PUSH,         /* implicit stack write of operand size */
    MEMORY_POP,          /* implicit stack read of operand size */
    MEMORY_STRING,       /* MOVS, CMPS, STOS, LODS, SCAS: rSI and/or rDI; see string_operands */
    MEMORY_MOFFS,        /* MOV AL/rAX, moffs: absolute displacement */
    MEMORY_VSIB,         /* gather and scatter */
    MEMORY_RDI,          /* MASKMOVQ, MASKMOVDQU: implicit [seg:rDI] */
    MEMORY_XLAT          /* XLAT: [seg:rBX + AL] */
};

enum memory_direction { DIRECTION_NONE, DIRECTION_READ, DIRECTION_WRITE, DIRECTION_READ_WRITE };

/* Vector and floating point state an instruction touches: gates on CR0, CR4 and XCR0. */
enum state_class {
    STATE_GENERAL,    /* general registers only */
    STATE_X87,        /* CR0.EM, CR0.TS -> #NM; pending #MF */
    STATE_X87_NOWAIT, /* as X87 without the pending-exception check: FNINIT, FNSTSW ... */
    STATE_MMX,        /* CR0.EM -> #UD, CR0.TS -> #NM, pending #MF */
    STATE_SSE,        /* CR0.EM or !CR4.OSFXSR -> #UD, CR0.TS -> #NM */
    STATE_SSE_MMX,    /* SSE instruction that also touches MMX registers: both sets of checks */
    STATE_AVX,        /* !CR4.OSXSAVE or XCR0[2:1] != 3 -> #UD, CR0.TS -> #NM */
    STATE_AVX512,     /* XCR0[7:5] too */
    STATE_OPMASK,     /* VEX-encoded mask instructions: as AVX512 */
    STATE_FWAIT       /* CR0.MP and CR0.TS -> #NM; pending #MF */
};

/* Size of the memory operand in bytes, or one of these when it depends on the encoding. */
enum memory_size {
    SIZE_OPERAND = 0x80, /* operand size: 2, 4 or 8 */
    SIZE_VECTOR,         /* vector length: 16, 32 or 64 (EVEX.b broadcast: element size) */
    SIZE_HALF_VECTOR,
    SIZE_QUARTER_VECTOR,
    SIZE_EIGHTH_VECTOR,
    SIZE_OPERAND_NATURAL, /* 4, or 8 with REX.W; never 2 */
    SIZE_VARIES,          /* FNSAVE, XSAVE ...: the interpreter knows */
    /* Sizes of operands that only interpreters touch. */
    SIZE_FAR_POINTER,      /* operand size and a selector: 4, 6 or 10 */
    SIZE_BOUNDS,           /* BOUND: two of operand size */
    SIZE_PORT,             /* INS, OUTS: 2 or 4 */
    SIZE_DESCRIPTOR_TABLE, /* SGDT ...: 6, or 10 in 64-bit mode */
    SIZE_PAIR              /* CMPXCHG8B, CMPXCHG16B: 8, or 16 with REX.W (native) */
};

/* Feature gates: the guest's CPUID must show the feature, else #UD. Listed in features.def as
 * FEATURE(NAME, leaf, subleaf, register, bit). FEATURE_BASE is always present. */
enum instruction_feature {
    FEATURE_BASE,
#define FEATURE(name, leaf, subleaf, reg, bit) FEATURE_##name,
#include "features.def"
#undef FEATURE
    FEATURE_COUNT
};

/* Interpreters, one per instruction that is not run natively; see interpreter/interpreters.def. */
enum interpreter_id {
    INTERPRETER_NONE, /* runs natively by stub */
#define INTERPRETER(name) INTERPRET_##name,
#include "../interpreter/interpreters.def"
#undef INTERPRETER
    INTERPRETER_COUNT
};

/* Row flags. */
#define ROW_LOCKABLE       (1u << 0)  /* LOCK is legal with a memory destination */
#define ROW_ALIGNED        (1u << 1)  /* memory operand aligned to its size, else #GP(0) */
#define ROW_MASKED         (1u << 2)  /* elements that are masked off must not fault; see below */
#define ROW_BROADCAST      (1u << 3)  /* EVEX.b on a memory operand broadcasts one element */
#define ROW_BYTE_REGISTERS (1u << 4)  /* reg or r/m names a byte register (AH..BH matter) */
#define ROW_STACK_64       (1u << 5)  /* operand size defaults to 64 in 64-bit mode */
#define ROW_FORCE_64       (1u << 6)  /* it is always 64 there, 66h is ignored (near branches) */
#define ROW_X87_OPERATION  (1u << 7)  /* updates FOP, FIP, FDP (x87 non-control instruction) */
#define ROW_REP_STRING     (1u << 8)  /* REP prefixes mean repetition */
#define ROW_WRITES_RSP     (1u << 9)  /* names RSP implicitly beyond push and pop */
#define ROW_EXPLICIT_16    (1u << 10) /* alignment 16 although size is larger or smaller */
#define ROW_SHIFT_COUNT    (1u << 11) /* flags depend on a run-time count (shifts, REP SCAS) */
#define ROW_MANDATORY_66                                                                           \
    (1u << 12)                   /* 66h or its absence is part of the opcode, not an operand size */
#define ROW_ELSE_NEXT (1u << 13) /* see below */
/*
 * ROW_MASKED with EVEX matters when evex_mask is not 0. Rows that may be masked but are not
 * ROW_MASKED (the manual's "NF" exception classes) read their whole operand. Compress and expand
 * touch as many consecutive elements as the mask has ones.
 *
 * ROW_ELSE_NEXT: without the row's feature the encoding is not #UD. F3h is ignored and the next row
 * (row + 1) applies: TZCNT is BSF, LZCNT is BSR, WBNOINVD is WBINVD.
 */

/* The memory operands of a string instruction; with both, DIRECTION_READ_WRITE is a copy from the
 * source to the destination and DIRECTION_READ a comparison. */
#define STRING_SOURCE      (1u << 0) /* [segment:rSI] */
#define STRING_DESTINATION (1u << 1) /* [ES:rDI], which no prefix overrides */

/* One row of the table, shared by every instruction decoded from it. */
struct instruction_row {
    const char *mnemonic;     /* lower case, Intel syntax */
    uint8_t class;            /* enum instruction_class */
    uint8_t memory;           /* enum memory_kind, when ModRM.mod != 3 for MODRM kinds */
    uint8_t direction;        /* enum memory_direction */
    uint8_t size;             /* bytes, or enum memory_size */
    uint8_t element;          /* EVEX broadcast / mask element size in bytes, else 0 */
    uint8_t state;            /* enum state_class */
    uint8_t feature;          /* enum instruction_feature */
    uint8_t feature_vl;       /* second gate when EVEX.L'L < 512 (FEATURE_AVX512VL), else BASE */
    uint16_t interpreter;     /* enum interpreter_id */
    uint16_t flags;           /* ROW_* */
    uint32_t flags_read;      /* RFLAGS bits read */
    uint32_t flags_written;   /* RFLAGS bits changed or left undefined */
    uint32_t flags_undefined; /* subset of flags_written that the manual leaves undefined */
    uint8_t string_operands;  /* STRING_* of a MEMORY_STRING row */
};

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };
enum {
    REGISTER_RAX,
    REGISTER_RCX,
    REGISTER_RDX,
    REGISTER_RBX,
    REGISTER_RSP,
    REGISTER_RBP,
    REGISTER_RSI,
    REGISTER_RDI,
    REGISTER_R8,
    REGISTER_R9,
    REGISTER_R10,
    REGISTER_R11,
    REGISTER_R12,
    REGISTER_R13,
    REGISTER_R14,
    REGISTER_R15,
    REGISTER_COUNT,
    REGISTER_RIP = 0x20,
    REGISTER_NONE = 0x3f
};
enum segment_name {
    SEGMENT_ES,
    SEGMENT_CS,
    SEGMENT_SS,
    SEGMENT_DS,
    SEGMENT_FS,
    SEGMENT_GS,
    SEGMENT_LDTR,
    SEGMENT_TR,
    SEGMENT_COUNT,
    SEGMENT_NONE = 0xff
};

enum encoding { ENCODING_LEGACY, ENCODING_VEX, ENCODING_EVEX };
/* Opcode maps: 0 one byte, 1 = 0F, 2 = 0F 38, 3 = 0F 3A; EVEX maps 5 and 6 (AVX512-FP16) are not
 * given. */

/* A decoded instruction. All offsets are bytes from the first byte of the instruction. */
struct instruction {
    const struct instruction_row *row;
    uint8_t bytes[16];    /* the encoding, zero padded */
    uint8_t length;       /* 1..15 */
    uint8_t code_size;    /* 16, 32 or 64: the mode decoded for */
    uint8_t operand_size; /* 2, 4 or 8 (effective; byte instructions still show 2/4/8) */
    uint8_t address_size; /* 2, 4 or 8 */
    uint8_t encoding;     /* enum encoding */
    uint8_t map;          /* opcode map */
    uint8_t opcode;
    uint8_t rex;  /* REX_* bits (VEX and EVEX: the same bits, un-inverted); 0 if none */
    bool has_rex; /* a REX prefix is present (byte registers: SPL.. instead of AH..) */
    bool lock;
    uint8_t rep;              /* 0, 0xf2 or 0xf3: the last of them, as a prefix */
    bool operand_override;    /* 66h present */
    bool address_override;    /* 67h present */
    uint8_t segment_override; /* enum segment_name or SEGMENT_NONE; ES/CS/SS/DS ignored in 64-bit */
    bool has_modrm;
    uint8_t modrm, sib;
    uint8_t mod, reg, rm;  /* reg and rm extended by REX/VEX/EVEX R, R', B (and X for EVEX rm) */
    uint8_t vvvv;          /* VEX/EVEX second source, un-inverted, with V' as bit 4 */
    uint8_t vector_length; /* 16, 32, 64 (bytes); 0 for legacy */
    uint8_t vex_w;         /* 0 outside 64-bit mode where it would only widen a general register */
    uint8_t evex_mask;     /* aaa */
    bool evex_zero, evex_b;
    uint8_t opcode_offset;                          /* of the opcode byte itself */
    uint8_t modrm_offset;                           /* 0 if none */
    uint8_t displacement_offset, displacement_size; /* 0 if none */
    uint8_t immediate_offset, immediate_size;       /* 0 if none; ENTER: 3, far pointer: 4, 6 */
    int64_t displacement; /* sign-extended; EVEX disp8*N already scaled; moffs: the address */
    uint64_t immediate;   /* sign-extended to 64 bits where the instruction does so;
                           * far pointer: the offset; ENTER: the size; a register in
                           * the high half of imm8 (is4): its top bit 0 outside 64-bit mode */
    uint16_t immediate2;  /* far pointer: the selector; ENTER: the level */
    /* Memory operand (ModRM kinds; also filled for MOFFS, RDI and XLAT; push/pop: SS and RSP). */
    bool has_memory; /* the operand is in memory (mod != 3, or an implicit kind) */
    uint8_t segment; /* effective segment: default or override */
    uint8_t base,
        index;     /* REGISTER_*, REGISTER_RIP or REGISTER_NONE; VSIB: index 0..31 is a vector */
    uint8_t scale; /* 1, 2, 4, 8 */
    uint8_t memory_size; /* bytes accessed (VSIB: one element); 0 for ADDRESS_ONLY, SIZE_VARIES */
};

/* Decoding results other than 0. */
enum decode_status {
    DECODE_OK = 0,
    DECODE_UNDEFINED = -1, /* #UD: no row, or the row forbids this form (LOCK, VEX.vvvv, mod ...) */
    DECODE_TOO_LONG = -2,  /* more than 15 bytes: #GP(0) */
    DECODE_TRUNCATED = -3  /* needs more bytes than were given: fetch the next page first */
};

/*
 * Decodes one instruction.
 *   bytes, available  the instruction's first bytes; at most 15 are looked at
 *   code_size         16, 32 or 64 (CS.L / CS.D)
 *   out               filled on DECODE_OK; unspecified otherwise
 * No feature gate is applied here: the caller compares row->feature with the guest's CPUID policy,
 * and refuses VEX and EVEX (`encoding`) in real and virtual-8086 mode.
 * Takes no memory beyond `out`, reads no state, never fails otherwise.
 */
int instruction_decode(const uint8_t *bytes, size_t available, unsigned code_size,
                       struct instruction *out);

/* Rows of the table, for tests and statistics. */
extern const struct instruction_row instruction_rows[];
extern const unsigned instruction_row_count;

#endif
