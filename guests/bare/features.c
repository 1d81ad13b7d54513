/* SPDX-License-Identifier: MIT */
/* What CPUID reports; a check of an absent feature is skipped. */
#include "guest.h"

void cpuid(u32 leaf, u32 sub, u32 r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}

static const struct {
    u32 leaf, sub;
    char reg;
    u8 bit;
} features[] = {
#define X(name, leaf, sub, reg, bit) { leaf, sub, reg, bit },
    FEATURES(X)
#undef X
};

int has(enum feature f)
{
    u32 r[4];
    cpuid(features[f].leaf & 0x80000000u, 0, r);
    if (r[0] < features[f].leaf)
        return 0;
    cpuid(features[f].leaf, features[f].sub, r);
    return (int)(r[features[f].reg - 'a'] >> features[f].bit & 1);
}

int vendor_is_amd(void)
{
    u32 r[4];
    cpuid(0, 0, r);
    return r[1] == 0x68747541u; /* "Auth" */
}

u32 physical_bits(void)
{
    u32 r[4];
    cpuid(0x80000000u, 0, r);
    if (r[0] < 0x80000008u)
        return 36;
    cpuid(0x80000008u, 0, r);
    return r[0] & 0xff;
}

void xsetbv(u32 index, u64 v)
{
    __asm__ volatile("xsetbv" ::"c"(index), "a"((u32)v), "d"((u32)(v >> 32)));
}

u64 xgetbv(u32 index)
{
    u32 lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
    return (u64)hi << 32 | lo;
}
