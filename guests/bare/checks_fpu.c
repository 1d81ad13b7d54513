/* SPDX-License-Identifier: MIT */
/*
 * x87, SSE, AVX and XSAVE: the CR0 and CR4 gates, unmasked exceptions, XCR0 and the XSAVE header
 * (SDM Vol 3 2.5, 6.15 #NM, #MF, #XM; Vol 1 13). x87 and SSE state is touched only in snippets.
 */
#include "guest.h"

#define CR0_BITS (CR0_MP | CR0_EM | CR0_TS)

static u8 area[4096] __attribute__((aligned(64)));

CHECKS(fpu_gates)
{
    static const struct {
        const char *name;
        ulong cr0;
        u32 x87, wait, sse;
    } rows[] = {
        { "none", 0, DONE, DONE, DONE },
        { "mp", CR0_MP, DONE, DONE, DONE },
        { "ts", CR0_TS, NM, DONE, NM },
        { "ts_mp", CR0_TS | CR0_MP, NM, NM, NM },
        { "em", CR0_EM, NM, DONE, UD },
        { "em_mp", CR0_EM | CR0_MP, NM, DONE, UD },
        { "em_ts", CR0_EM | CR0_TS, NM, DONE, UD },
        { "em_ts_mp", CR0_EM | CR0_TS | CR0_MP, NM, NM, UD },
    };
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        write_cr0((read_cr0() & ~CR0_BITS) | rows[i].cr0);
        run(USER, CODE("fnop"));
        check_fault(join("cr0.", rows[i].name, ".x87"), rows[i].x87, 0);
        run(USER, CODE("fwait"));
        check_fault(join("cr0.", rows[i].name, ".fwait"), rows[i].wait, 0);
        run(USER, CODE("movaps xmm0, xmm1"));
        check_fault(join("cr0.", rows[i].name, ".sse"), rows[i].sse, 0);
    }
    write_cr0((read_cr0() & ~CR0_BITS) | CR0_MP);
    write_cr4(read_cr4() & ~CR4_OSFXSR);
    run(USER, CODE("movaps xmm0, xmm1"));
    check_fault_at("osfxsr_clear.sse", UD, 0, 0);
    run(USER, CODE("pxor mm0, mm1\n emms"));
    check_done("osfxsr_clear.mmx");
}

CHECKS(fpu_exceptions)
{
    static u16 control = 0x037f & ~4; /* zero divide unmasked */
    static u32 mxcsr = 0x1f80 & ~0x200u, reserved_mxcsr = 0x10000;

    in.bx = USER_PTR(&control);
    run(USER, CODE("fninit\n fldcw [" CODE_BX "]\n fld1\n fldz\n fdivp st(1), st\n nop\n fwait"));
    check_fault_at("mf.at_next_waiting", MF, 0, 11);
    in.bx = USER_PTR(&control);
    run(USER, CODE("fninit\n fldcw [" CODE_BX "]\n fld1\n fldz\n fdivp st(1), st\n fnclex"));
    check_done("mf.fnclex_does_not_wait");
    run(USER, CODE("fninit\n fld1\n fldz\n fdivp st(1), st\n fwait\n fnstsw ax\n fninit"));
    check_value("mf.masked_sets_status", out.f.ax & 4, 4);
    in.bx = USER_PTR(&mxcsr);
    run(USER, CODE("ldmxcsr [" CODE_BX "]\n xorps xmm1, xmm1\n pcmpeqd xmm0, xmm0\n"
                   "psrld xmm0, 25\n pslld xmm0, 23\n divss xmm0, xmm1"));
    check_fault("xm.divide_by_zero", XM, 0);
    write_cr4(read_cr4() & ~CR4_OSXMMEXCPT);
    in.bx = USER_PTR(&mxcsr);
    run(USER, CODE("ldmxcsr [" CODE_BX "]\n divss xmm0, xmm1"));
    check_fault("xm.osxmmexcpt_clear", UD, 0);
    in.bx = USER_PTR(&reserved_mxcsr);
    run(USER, CODE("ldmxcsr [" CODE_BX "]"));
    check_fault_at("ldmxcsr.reserved", GP, 0, 0);
    mxcsr = 0x1f80;
    in.bx = USER_PTR(&mxcsr);
    run(USER, CODE("ldmxcsr [" CODE_BX "]"));
    check_done("ldmxcsr.default");
    mxcsr = 0x1f80 & ~0x200u;
    in.bx = USER_PTR(area) + 8;
    run(USER, CODE("fxsave [" CODE_BX "]"));
    check_fault_at("fxsave.unaligned", GP, 0, 0);
    in.bx = USER_PTR(area);
    run(USER, CODE("fninit\n fxsave [" CODE_BX "]"));
    check_value("fxsave.control_word", (u64)(area[0] | area[1] << 8), 0x37f);
    *(u32 *)(area + 24) = 0x10000;
    in.bx = USER_PTR(area);
    run(USER, CODE("fxrstor [" CODE_BX "]"));
    check_fault_at("fxrstor.reserved_mxcsr", GP, 0, 0);
    *(u32 *)(area + 24) = 0x1f80;
    in.bx = USER_PTR(area);
    run(USER, CODE("fxrstor [" CODE_BX "]"));
    check_done("fxrstor");
}

CHECKS(xsave)
{
    static u64 reads;
    u64 full = has(HAS_AVX) ? 7 : 3;

    if (!has(HAS_XSAVE)) {
        check_skip("xsave", "no XSAVE");
        return;
    }
    run(KERNEL, CODE("xor ecx, ecx\n xgetbv"));
    check_fault("xgetbv.osxsave_clear", UD, 0);
    run(KERNEL, CODE("xor ecx, ecx\n xsetbv"));
    check_fault("xsetbv.osxsave_clear", UD, 0);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    run(USER, CODE("mov eax, 1\n cpuid"));
    check_value("cpuid.osxsave_follows_cr4", out.f.cx >> 27 & 1, 1);
    run(USER, CODE("xor ecx, ecx\n xgetbv"));
    check_done("xgetbv.cpl3");
    run(USER, CODE("mov ecx, 77\n xgetbv"));
    check_fault("xgetbv.bad_index", GP, 0);
    static const struct {
        const char *name;
        u32 index, low, high, vector;
    } rows[] = {
        { "x87_clear", 0, 2, 0, GP },       { "zero", 0, 0, 0, GP },
        { "avx_without_sse", 0, 5, 0, GP }, { "high_reserved", 0, 1, 0x80000000u, GP },
        { "bad_index", 1, 1, 0, GP },       { "x87_only", 0, 1, 0, DONE },
        { "x87_sse", 0, 3, 0, DONE },       { "half_avx512", 0, 0x27, 0, GP },
        { "half_mpx", 0, 0x0b, 0, GP },
    };
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        in.cx = rows[i].index;
        in.ax = rows[i].low;
        in.dx = rows[i].high;
        run(KERNEL, CODE("xsetbv"));
        check_fault(join("xsetbv.", rows[i].name, ""), rows[i].vector, 0);
    }
    run(USER, CODE("xor ecx, ecx\n xsetbv"));
    check_fault("xsetbv.cpl3", GP, 0);
    if (has(HAS_AVX)) {
        xsetbv(0, 3);
        run(USER, CODE("vaddps xmm0, xmm0, xmm0"));
        check_fault_at("avx.xcr0_clear", UD, 0, 0);
        xsetbv(0, 7);
        run(USER, CODE("vxorps ymm0, ymm0, ymm0"));
        check_done("avx.enabled");
        run(USER, CODE(".byte 0x66,0xc5,0xf8,0x58,0xc0"));
        check_fault_at("vex.with_66_prefix", UD, 0, 0);
        run(USER, CODE(".byte 0xf0,0xc5,0xf8,0x58,0xc0"));
        check_fault_at("vex.with_lock", UD, 0, 0);
        write_cr0(read_cr0() | CR0_TS);
        run(USER, CODE("vxorps ymm0, ymm0, ymm0"));
        check_fault_at("avx.ts", NM, 0, 0);
        write_cr0(read_cr0() & ~CR0_TS);
    }
    xsetbv(0, full);
    check_value("xgetbv.reads_back", xgetbv(0), full);
    in.bx = USER_PTR(area) + 16;
    in.ax = 3;
    run(USER, CODE("xsave [" CODE_BX "]"));
    check_fault_at("xsave.unaligned", GP, 0, 0);
    __builtin_memset(area, 0, sizeof(area));
    in.bx = USER_PTR(area);
    in.ax = 3;
    run(USER, CODE("fld1\n xsave [" CODE_BX "]\n fninit"));
    check_done("xsave");
    reads = *(u64 *)(area + 512);
    check_value("xsave.xstate_bv", reads & ~3ull, 0);
    check_value("xsave.x87_in_use", reads & 1, 1);
    in.bx = USER_PTR(area);
    in.ax = 3;
    run(USER, CODE("xrstor [" CODE_BX "]"));
    check_done("xrstor");
    static const struct {
        const char *name;
        u32 byte;
        u8 value;
    } bad[] = {
        { "xstate_bv_outside_xcr0", 512 + 7, 0x40 },
        { "xcomp_bv_nonzero", 520, 1 },
        { "header_reserved", 528, 1 },
        { "mxcsr_reserved", 26, 1 },
    };
    for (u32 i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        u8 old = area[bad[i].byte];
        area[bad[i].byte] = bad[i].value;
        in.bx = USER_PTR(area);
        in.ax = 3;
        run(USER, CODE("xrstor [" CODE_BX "]"));
        check_fault(join("xrstor.", bad[i].name, ""), GP, 0);
        area[bad[i].byte] = old;
    }
    in.bx = 0x1000;
    in.ax = 3;
    run(USER, CODE("xsave [" CODE_BX "]"));
    check_fault_at("xsave.page_fault", PF, ERR_P | ERR_W | ERR_U, 0);
    write_cr0(read_cr0() | CR0_TS);
    in.bx = USER_PTR(area);
    run(USER, CODE("xsave [" CODE_BX "]"));
    check_fault_at("xsave.ts", NM, 0, 0);
    write_cr0(read_cr0() & ~CR0_TS);
    xsetbv(0, 1);
}
