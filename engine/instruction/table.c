/* SPDX-License-Identifier: MIT */
/*
 * table.c - instructions.def turned into constant arrays: the rows, the rules and the opcode index.
 *
 * The table is read four times with different meanings of ROW and ALT: to number the rows, to fill
 * instruction_rows, to fill decode_rules and to fill opcode_index. All of it is constant data; the
 * decoder itself follows no pointer in it.
 */
#include "columns.h"

/* A row's number is an enumerator named after its file and line. */
#define JOIN(a, b)      a##_##b
#define NUMBER_OF(a, b) JOIN(a, b)
#define ROW_NUMBER      NUMBER_OF(TABLE_FILE, __LINE__)

/* First reading: number the rows. Number 0 means "no row". */
#define TABLE_MAP(map)
#define TABLE_END
#define ROW(...) ROW_NUMBER,
#define ALT(...) ROW_NUMBER,
enum row_number {
    ROW_NUMBER_NONE,
#include "instructions.def"
    ROW_NUMBER_COUNT
};
#undef ROW
#undef ALT

_Static_assert(ROW_NUMBER_COUNT < INDEX_HAS_MODRM, "row numbers fit the index");

/* Second reading: what the rest of the engine sees. */
#define FLAGS_OF(encoding, attributes_)                                                            \
    (uint16_t)(                                                                                    \
        ((attributes_)&0xffffu) |                                                                  \
        (((encoding)&PP(3)) == PP(PP_66) || ((encoding)&PP(3)) == NP ? ROW_MANDATORY_66 : 0u))
#define ROW(opcode, encoding, name, immediate_, memory_, flags_, gate_, how_, attributes_)         \
    { .mnemonic = (name), memory_, flags_, gate_, how_, .flags = FLAGS_OF(encoding, attributes_) },
#define ALT(opcode, encoding, name, immediate_, memory_, flags_, gate_, how_, attributes_)         \
    { .mnemonic = (name), memory_, flags_, gate_, how_, .flags = FLAGS_OF(encoding, attributes_) },
const struct instruction_row instruction_rows[] = {
    { .mnemonic = "(none)" },
#include "instructions.def"
};
#undef ROW
#undef ALT

const unsigned instruction_row_count = ROW_NUMBER_COUNT;

/* Third reading: how the decoder recognises them. */
#define RULE(encoding, immediate_, attributes_)                                                    \
    { .value = (uint32_t)((encoding)&0x7fffffffu),                                                 \
      .mask = (uint32_t)((encoding) >> 32),                                                        \
      .rules = (uint32_t)((uint64_t)(attributes_) >> ATTRIBUTE_RULE_SHIFT),                        \
      .immediate = (immediate_) },
#define ROW(opcode, encoding, name, immediate_, memory_, flags_, gate_, how_, attributes_)         \
    RULE(encoding, immediate_, attributes_)
#define ALT(opcode, encoding, name, immediate_, memory_, flags_, gate_, how_, attributes_)         \
    RULE(encoding, immediate_, (attributes_) | RULES(RULE_ALTERNATIVE))
const struct decode_rule decode_rules[] = {
    { 0 },
#include "instructions.def"
    { 0 }, /* ends the last row's alternatives */
};
#undef ROW
#undef ALT
#undef TABLE_MAP
#undef TABLE_END

/* Fourth reading: the first row of each opcode. Two ROWs for one opcode are a compile-time error.
 */
#define TABLE_MAP(map) [map] = {
#define TABLE_END                                                                                  \
    }                                                                                              \
    ,
#define INDEX_ENTRY(encoding)                                                                      \
    (uint16_t)((unsigned)ROW_NUMBER | ((encoding)&MODRM ? INDEX_HAS_MODRM : 0u))
#define ROW(opcode, encoding, name, immediate_, memory_, flags_, gate_, how_, attributes_)         \
    [opcode] = INDEX_ENTRY(encoding),
#define ALT(...)
const uint16_t opcode_index[MAP_COUNT][256] = {
#include "instructions.def"
};
