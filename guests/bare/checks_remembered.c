/* SPDX-License-Identifier: MIT */
/*
 * What a processor may not take from memory: a translation that has been dropped, code that was
 * decoded for another mode, an extension that has been switched off since. A monitor that keeps
 * such things between instructions must look again at exactly the moments of these checks.
 *
 * Each routine is reached by an indirect call, twice before the change and once after it.
 */
#include "guest.h"

/* Two pages, and two of the same low address bits 4 MiB on: far apart, but alike for any table that
 * is indexed by address bits 12 to 21. */
#define DISTANCE 0x400000ul
static u8 pages[2 * 4096] __attribute__((aligned(4096)));

static u64 at(ulong address)
{
    u64 value;

    __builtin_memcpy(&value, (const void *)address, 8);
    return value;
}

static void put(ulong address, u64 value)
{
    __builtin_memcpy((void *)address, &value, 8);
}

/* ax = what the snippet found; the far page is used first, then everything is flushed. */
CHECKS(remembered_page_end)
{
    ulong near = (ulong)pages, far = near + DISTANCE;

    put(near + 0xffc, 0x1122334455667788ull);
    put(far - 4, 0);
    in.bx = near;
    in.cx = far;
    run(KERNEL, CODE("mov eax, [" CODE_CX " + 0x40]\n invlpg [" CODE_BX "]\n"
                     "mov eax, [" CODE_BX " + 0xffe]"));
    check_value("page_end.read", (u32)out.f.ax, 0x33445566);
    put(near + 0xffc, 0);
    put(far - 4, 0x0f0f0f0f0f0f0f0full);
    in.bx = near;
    in.cx = far;
    in.dx = 0x99aabbcc;
    run(KERNEL, CODE("mov [" CODE_CX " + 0x40], eax\n invlpg [" CODE_BX "]\n"
                     "mov [" CODE_BX " + 0xffe], edx"));
    check_value("page_end.write", at(near + 0xffc), 0x99aabbcc0000ull);
    check_value("page_end.far_page", at(far - 4), 0x0f0f0f0f0f0f0f0full);
}

#if LONG_MODE
/* 40 is REX in 64-bit code, INC EAX elsewhere: the sum tells who decoded it. */
__asm__(".pushsection .snippets,\"ax\",@progbits\n.balign 64\n"
        "remembered_increment: .byte 0x40,0xff,0xc0,0xc3\n.popsection");
extern const char remembered_increment[];

CHECKS(remembered_mode)
{
    static const enum mode modes[] = { K64, K32, K64, U64, U32, U64 };

    for (u32 i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        int wide = modes[i] == K64 || modes[i] == U64, user = modes[i] == U64 || modes[i] == U32;

        for (u32 j = 0; j < 2; j++) {
            in.bx = (ulong)remembered_increment + (user ? ALIAS : 0);
            run(modes[i], wide ? CODE64("call rbx") : CODE32("call ebx"));
            check_value(join("decoded_for_mode.", mode_name[modes[i]], ""), (u32)out.f.ax,
                        wide ? 1 : 2);
        }
    }
}
#endif

/* 16-bit addressing in 32-bit code: the sum wraps at 64 KiB. */
CHECKS(remembered_address_size)
{
    in.bx = 0x12348000;
    in.si = 0x00018500;
    run(K32, CODE32(".byte 0x67,0x8d,0x40,0x01\n")); /* lea eax, [bx+si+1] */
    check_value("address_16.lea", (u32)out.f.ax, 0x501);
    in.bx = 0x504;
    in.ax = 0xc0ffee11;
    run(K32, CODE32("mov [ebx], eax"));
    in.bx = 0x12348004;
    in.si = 0x00018500;
    run(K32, CODE32(".byte 0x67,0x8b,0x00\n")); /* mov eax, [bx+si] */
    check_done("address_16.load");
    check_value("address_16.load", (u32)out.f.ax, 0xc0ffee11);
}

__asm__(".pushsection .snippets,\"ax\",@progbits\n.balign 64\n"
        "remembered_avx: vxorps %ymm0, %ymm0, %ymm0\nret\n"
        "remembered_sse: xorps %xmm0, %xmm0\nret\n.popsection");
extern const char remembered_avx[], remembered_sse[];

static void call(const char *routine)
{
    in.bx = USER_PTR(routine);
    run(USER, CODE("call " CODE_BX));
}

CHECKS(remembered_extension)
{
    call(remembered_sse);
    call(remembered_sse);
    check_done("switched_off.sse_before");
    write_cr0(read_cr0() | CR0_TS);
    call(remembered_sse);
    check_fault("switched_off.sse_by_ts", NM, 0);
    write_cr0(read_cr0() & ~CR0_TS);
    write_cr4(read_cr4() & ~CR4_OSFXSR);
    call(remembered_sse);
    check_fault("switched_off.sse_by_osfxsr", UD, 0);
    if (!has(HAS_XSAVE) || !has(HAS_AVX)) {
        check_skip("switched_off.avx", "no AVX");
        return;
    }
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXSAVE);
    xsetbv(0, 7);
    call(remembered_avx);
    call(remembered_avx);
    check_done("switched_off.avx_before");
    xsetbv(0, 3);
    call(remembered_avx);
    check_fault("switched_off.avx_by_xcr0", UD, 0);
    xsetbv(0, 1);
}
