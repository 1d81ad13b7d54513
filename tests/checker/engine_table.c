/* SPDX-License-Identifier: MIT */
/* Engine's table: see engine_table.h. */
#include "engine_table.h"
#include "instruction.h"

const char *const engine_class_names[] = {
    [ENGINE_INNOCUOUS] = "innocuous",
    [ENGINE_PRIVILEGED] = "privileged",
    [ENGINE_CRITICAL] = "critical",
    [ENGINE_PARTIAL] = "partially trapping",
};

unsigned engine_row(const uint8_t *bytes, size_t count, unsigned code_size)
{
    uint8_t padded[INSTRUCTION_MAX_LENGTH] = { 0 };
    struct instruction decoded;

    for (size_t i = 0; i < count && i < sizeof(padded); i++)
        padded[i] = bytes[i];
    if (instruction_decode(padded, sizeof(padded), code_size, &decoded) != DECODE_OK)
        return 0;
    return (unsigned)(decoded.row - instruction_rows);
}

unsigned engine_row_count(void)
{
    return instruction_row_count;
}

enum engine_class engine_row_class(unsigned row)
{
    switch ((enum instruction_class)instruction_rows[row].class) {
    case CLASS_PRIVILEGED:
        return ENGINE_PRIVILEGED;
    case CLASS_CRITICAL:
        return ENGINE_CRITICAL;
    case CLASS_PARTIAL:
        return ENGINE_PARTIAL;
    default:
        return ENGINE_INNOCUOUS;
    }
}

const char *engine_row_mnemonic(unsigned row)
{
    return instruction_rows[row].mnemonic;
}
