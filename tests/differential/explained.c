/* SPDX-License-Identifier: MIT */
/*
 * explained.c - differences that are there for a reason: where the manuals leave the outcome open,
 * or where this vendor's processors do otherwise than the manual the engine follows. Each is
 * counted and shown; a difference that none of these rows covers fails the test.
 */
#include <stdio.h>
#include <string.h>
#include "engine.h"
#include "vector.h"

static bool is_named(const struct difference *d, const char *mnemonic)
{
    return strcmp(d->insn->row->mnemonic, mnemonic) == 0;
}

static bool loop_prefix(const struct difference *d)
{
    bool loopne = d->insn->opcode == 0xe0, loope = d->insn->opcode == 0xe1;
    return d->insn->map == 0 && (loopne || loope) && d->insn->rep == (loopne ? 0xf3 : 0xf2);
}

static bool vex_w_bit(const struct difference *d)
{
    return d->insn->bytes[d->insn->opcode_offset - 1] & 0x80;
}

static bool vex_w(const struct difference *d)
{
    return d->insn->code_size != 64 && d->insn->encoding == ENCODING_VEX && vex_w_bit(d) &&
           (is_named(d, "vpinsrd") || is_named(d, "vpextrd")) && d->bare->faulted &&
           d->bare->vector == EXCEPTION_UD;
}

static bool maskmovq(const struct difference *d)
{
    return is_named(d, "maskmovq") && d->bare->faulted &&
           strcmp(d->what, "x87 control, status or tag word") == 0;
}

static bool ud_modrm(const struct difference *d)
{
    return (is_named(d, "ud0") || is_named(d, "ud1")) && d->bare->vector == EXCEPTION_UD &&
           d->step->vector != EXCEPTION_UD;
}

static bool popa(const struct difference *d)
{
    return d->insn->row->interpreter == INTERPRET_popa && d->bare->faulted && d->step->faulted &&
           d->bare->vector == d->step->vector && d->what[0] == 'r' && strlen(d->what) == 3;
}

static bool fxsave_code(const struct difference *d)
{
    return (is_named(d, "fxsave") || is_named(d, "fxrstor")) && d->insn->code_size != 64 &&
           d->insn->segment == SEGMENT_CS && d->bare->vector == EXCEPTION_AC &&
           d->step->vector == EXCEPTION_GP;
}

static bool x87_suppressed(const struct difference *d)
{
    return d->insn->row->state == STATE_X87 && d->insn->memory_size == 10 &&
           d->insn->row->direction == DIRECTION_WRITE && d->insn->code_size != 64 &&
           !d->bare->faulted &&
           (d->step->vector == EXCEPTION_GP || d->step->vector == EXCEPTION_SS);
}

static struct {
    bool (*applies)(const struct difference *difference);
    const char *reason;
    uint64_t count;
} explanations[] = {
    { loop_prefix,
      "LOOPE with F2h, LOOPNE with F3h: the prefix is reserved there; AMD lets it choose the "
      "sense of ZF",
      0 },
    { vex_w, "VPINSRD, VPEXTRD with VEX.W outside 64-bit code: Intel ignores W, AMD raises #UD",
      0 },
    { fxsave_code,
      "FXSAVE to a code segment: AMD looks at the alignment (#AC) before the segment's type", 0 },
    { x87_suppressed,
      "an 80-bit store that an unmasked exception suppresses: AMD does not check its end "
      "against the segment limit",
      0 },
    { popa,
      "POPA that faults has on AMD already loaded the registers before; the engine's changes "
      "nothing",
      0 },
    { ud_modrm, "UD0, UD1 at the end of a page: Intel fetches a ModRM byte, AMD does not", 0 },
    { maskmovq, "MASKMOVQ that faults has on AMD already switched the x87 registers to MMX", 0 },
};

bool explained(const struct difference *difference)
{
    for (unsigned i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
        if (explanations[i].applies(difference)) {
            explanations[i].count++;
            return true;
        }
    }
    return false;
}

void explained_show(void)
{
    for (unsigned i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
        if (explanations[i].count)
            printf("explained: %8llu  %s\n", (unsigned long long)explanations[i].count,
                   explanations[i].reason);
    }
}
