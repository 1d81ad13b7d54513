/* SPDX-License-Identifier: MIT */
/*
 * differences.c - every class of difference between the decoder and Zydis 4.0, with its reason.
 *
 * Where it says "hardware", the encoding was run on a CPU (hardware.h, decoder-hardware).
 */
#include <stddef.h>
#include <string.h>

#include "compare.h"

struct difference {
    const char *reason;
    bool (*covers)(const struct specimen *specimen, const char *field);
};

static bool is(const char *a, const char *b)
{
    return !strcmp(a, b);
}

static const char *isa_set(const struct specimen *specimen)
{
    return specimen->valid ? ZydisISASetGetString(specimen->theirs.meta.isa_set) : "";
}

static const char *mnemonic(const struct specimen *specimen)
{
    return specimen->status == DECODE_OK ? specimen->ours.row->mnemonic : "";
}

/* Zydis accepts, we do not, and the instruction set begins with one of these. */
static bool only_zydis(const struct specimen *specimen, const char *const *sets)
{
    if (specimen->status == DECODE_OK || !specimen->valid)
        return false;
    for (; *sets; sets++) {
        if (!strncmp(isa_set(specimen), *sets, strlen(*sets)))
            return true;
    }
    return false;
}

static bool virtualization(const struct specimen *specimen, const char *field)
{
    static const char *const sets[] = { "VTX",         "VMFUNC", "SVM", "SNP",     "TDX",
                                        "AMD_INVLPGB", "SGX",    "SMX", "PCONFIG", NULL };

    (void)field;
    return only_zydis(specimen, sets);
}

static bool system_extension(const struct specimen *specimen, const char *field)
{
    static const char *const sets[] = { "WAITPKG", "ENQCMD",    "UINTR",  "RDPRU",  "CET",
                                        "XSAVES",  "PT",        "HRESET", "CLZERO", "MONITORX",
                                        "MCOMMIT", "SERIALIZE", NULL };

    (void)field;
    return only_zydis(specimen, sets);
}

static bool transactional(const struct specimen *specimen, const char *field)
{
    static const char *const sets[] = { "RTM", "TSX_LDTRK", NULL };

    (void)field;
    return only_zydis(specimen, sets);
}

static bool key_locker(const struct specimen *specimen, const char *field)
{
    static const char *const sets[] = { "KEYLOCKER", "PADLOCK", NULL };

    (void)field;
    return only_zydis(specimen, sets);
}

static bool amd_obsolete(const struct specimen *specimen, const char *field)
{
    static const char *const sets[] = { "XOP", "FMA4", "TBM", "LWP", "AMD3DNOW", NULL };

    (void)field;
    return only_zydis(specimen, sets);
}

static bool vector_extension(const struct specimen *specimen, const char *field)
{
    static const char *const sets[] = { "AMX_",          "AVX512_FP16",   "AVX512ER", "AVX512PF",
                                        "AVX512_4FMAPS", "AVX512_4VNNIW", "KNC",      NULL };

    (void)field;
    return only_zydis(specimen, sets);
}

static bool resume(const struct specimen *specimen, const char *field)
{
    (void)field;
    return specimen->valid && specimen->status != DECODE_OK &&
           specimen->theirs.mnemonic == ZYDIS_MNEMONIC_RSM;
}

static bool prefetch_hint(const struct specimen *specimen, const char *field)
{
    return is(field, "mnemonic") && is(mnemonic(specimen), "prefetch") &&
           specimen->theirs.mnemonic == ZYDIS_MNEMONIC_PREFETCHWT1;
}

static bool wbnoinvd(const struct specimen *specimen, const char *field)
{
    return is(field, "mnemonic") && is(mnemonic(specimen), "wbnoinvd");
}

static bool pause_extended(const struct specimen *specimen, const char *field)
{
    return is(field, "mnemonic") && is(mnemonic(specimen), "xchg") &&
           specimen->ours.opcode == 0x90 && specimen->theirs.mnemonic == ZYDIS_MNEMONIC_PAUSE;
}

static bool no_base(const struct specimen *specimen, const char *field)
{
    const struct instruction *ours = &specimen->ours;

    return is(field, "base") && ours->address_size == 4 && ours->code_size == 64 &&
           ours->mod == 0 && (ours->modrm & 7) == 4 && (ours->sib & 7) == 5 &&
           ours->base == REGISTER_NONE;
}

static bool cache_line(const struct specimen *specimen, const char *field)
{
    return is(field, "memory size") && specimen->ours.row->interpreter == INTERPRET_cache_line;
}

static bool string_repeat(const struct specimen *specimen, const char *field)
{
    return is(field, "flags read") && specimen->ours.row->memory == MEMORY_STRING;
}

static bool moves_undefine(const struct specimen *specimen, const char *field)
{
    unsigned interpreter = specimen->ours.row->interpreter;

    return is(field, "flags written") &&
           (interpreter == INTERPRET_mov_from_cr || interpreter == INTERPRET_mov_to_cr ||
            interpreter == INTERPRET_mov_from_dr || interpreter == INTERPRET_mov_to_dr);
}

static bool vector_test(const struct specimen *specimen, const char *field)
{
    const char *name = mnemonic(specimen);

    return is(field, "flags written") &&
           (is(name, "vptest") || is(name, "vtestps") || is(name, "vtestpd"));
}

static bool hypercall(const struct specimen *specimen, const char *field)
{
    return !strncmp(field, "flags", 5) && specimen->ours.row->interpreter == INTERPRET_hypercall;
}

static bool subtract_borrow(const struct specimen *specimen, const char *field)
{
    return is(field, "flags undefined") && is(mnemonic(specimen), "sbb");
}

static bool shift_by_one(const struct specimen *specimen, const char *field)
{
    return is(field, "flags undefined") && specimen->ours.map == 0 &&
           (specimen->ours.opcode == 0xd0 || specimen->ours.opcode == 0xd1);
}

static bool bit_field(const struct specimen *specimen, const char *field)
{
    return is(field, "flags undefined") && is(mnemonic(specimen), "bextr");
}

static bool ignored_rounding(const struct specimen *specimen, const char *field)
{
    const char *name = mnemonic(specimen);

    return is(field, "validity") && specimen->code_size != 64 && specimen->ours.evex_b &&
           (is(name, "vcvtsi2sd") || is(name, "vcvtusi2sd"));
}

static const struct difference differences[] = {
    { "VCVT(U)SI2SD with EVEX.W and b outside 64-bit mode: hardware ignores both, Zydis refuses",
      ignored_rounding },
    { "virtualization and enclaves (VMX, SVM, SNP, SGX, SMX, TDX): not given to the guest",
      virtualization },
    { "system extensions not given (WAITPKG, ENQCMD, UINTR, CET, XSAVES, PT, CLZERO ...)",
      system_extension },
    { "TSX: not given", transactional },
    { "Key Locker and VIA PadLock: not given", key_locker },
    { "AMD's XOP, FMA4, TBM, LWP, 3DNow!: not given", amd_obsolete },
    { "AMX, AVX512-FP16, -ER, -PF, -4FMAPS, -4VNNIW, Knights Corner: not given", vector_extension },
    { "RSM: #UD outside system management mode, which the guest does not have", resume },
    { "0F 0D /2 is AMD's reserved PREFETCH form to us, PREFETCHWT1 to Zydis: a hint for both",
      prefetch_hint },
    { "WBNOINVD: WBINVD to Zydis outside 64-bit mode or with 66h; one interpreter serves both",
      wbnoinvd },
    { "F3 90 with REX.B is XCHG R8 on hardware, PAUSE for Zydis", pause_extended },
    { "SIB without base, REX.B and 67h: Zydis reports a base, hardware has none", no_base },
    { "CLFLUSH, CLFLUSHOPT, CLWB: the row says 1 byte (checked as a byte read), Zydis a cache line",
      cache_line },
    { "REP CMPS, SCAS: Zydis counts the end condition as reading ZF", string_repeat },
    { "MOV CR, DR: the manual leaves the status flags undefined, Zydis does not list them",
      moves_undefine },
    { "VPTEST, VTESTPx clear O, S, A and P; Zydis lists Z and C only", vector_test },
    { "VMCALL here is the paravirtual interface, which changes no flag", hypercall },
    { "SBB defines A; Zydis lists it as undefined", subtract_borrow },
    { "shift or rotate by one defines O; Zydis lists it as undefined for every count",
      shift_by_one },
    { "BEXTR clears C and O; Zydis lists them as undefined", bit_field },
};

int difference_class(const struct specimen *specimen, const char *field)
{
    for (unsigned i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
        if (differences[i].covers(specimen, field))
            return (int)i;
    }
    return -1;
}

const char *difference_reason(unsigned index)
{
    if (index >= sizeof(differences) / sizeof(differences[0]))
        return NULL;
    return differences[index].reason;
}
