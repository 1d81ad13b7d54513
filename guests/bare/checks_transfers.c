/* SPDX-License-Identifier: MIT */
/*
 * Far JMP, CALL and RET, call gates, SYSCALL/SYSRET, SYSENTER/SYSEXIT, SWAPGS and the FSGSBASE
 * instructions (SDM Vol 2; Vol 3 5.8). Far pointers are read from memory, so that one encoding
 * serves 32- and 64-bit code: FF /5 is JMP m16:32, FF /3 CALL m16:32.
 */
#include "guest.h"

#define STAR  0xc0000081u
#define LSTAR 0xc0000082u
#define CSTAR 0xc0000083u
#define FMASK 0xc0000084u

static struct {
    u32 offset;
    u16 selector;
} __attribute__((packed)) far_pointer;

#if LONG_MODE
#define FAR_JMP  ".byte 0xff,0x28" /* jmp far [rax] */
#define FAR_CALL ".byte 0xff,0x18"
#else
#define FAR_JMP  ".byte 0xff,0x28"
#define FAR_CALL ".byte 0xff,0x18"
#endif

static const void *landing(enum mode mode)
{
    if (mode == K64 || mode == U64)
        return CODE64("mov ebx, 0x77\n mov edx, cs");
    return CODE32("mov ebx, 0x77\n mov edx, cs");
}

/* GDT slots: not-present code, conforming DPL 0, conforming DPL 3, L and D */
enum {
    CODE_NP = 0x60,
    CONF0 = 0x68,
    GATE = 0x70,
    GATE_DPL0 = 0x80,
    GATE_NP = 0x90,
    GATE_DATA = 0xa0,
    L_AND_D = 0xb0,
    CONF3 = 0xb8
};

static void make(void)
{
    ulong target = (ulong)landing(KERNEL);
    u8 gate = 0x8c; /* 32-bit, in long mode the 64-bit call gate */

    gdt_set(CODE_NP, (struct descriptor){ 0, 0xfffff, 0x7b, 0xc });
    gdt_set(CONF0, (struct descriptor){ 0, 0xfffff, 0x9f, LONG_MODE ? 0xa : 0xc });
    gdt_set(L_AND_D, (struct descriptor){ 0, 0xfffff, 0xfb, 0xe });
    gdt_set(CONF3, (struct descriptor){ 0, 0xfffff, 0xff, LONG_MODE ? 0xa : 0xc });
    gdt_gate(GATE, target, KCS, gate | 0x60);
    gdt_gate(GATE_DPL0, target, KCS, gate);
    gdt_gate(GATE_NP, target, KCS, (gate | 0x60) & 0x7f);
    gdt_gate(GATE_DATA, target, KDS, gate | 0x60);
}

CHECKS(far_transfers)
{
    static const struct {
        const char *name;
        u32 selector;
        int user;
        u32 vector, error;
    } rows[] = {
        { "null", 0, 1, GP, 0 },
        { "data", UDS, 1, GP, UDS & ~3u },
        { "outside_gdt", GDT_BYTES | 3, 1, GP, GDT_BYTES },
        { "kernel_code_at_cpl3", KCS, 1, GP, KCS },
        { "user_code_at_cpl0", UCS32, 0, GP, UCS32 & ~3u },
        { "not_present", CODE_NP | 3, 1, NP, CODE_NP },
        { "rpl_above_cpl", KCS | 3, 0, GP, KCS },
        { "tss_busy", TSS_SEL, 0, GP, TSS_SEL },
        { "same_level", LONG_MODE ? UCS64 : UCS32, 1, DONE, 0 },
        { "same_level_cpl0", KCS, 0, DONE, 0 },
        { "conforming_dpl0_from_cpl3", CONF0, 1, DONE, 0 },
        { "conforming_dpl3_from_cpl0", CONF3, 0, GP, CONF3 },
#if LONG_MODE
        { "l_and_d", L_AND_D | 3, 1, GP, L_AND_D },
#endif
    };

    make();
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const void *code[] = { CODE(FAR_JMP), CODE(FAR_CALL) };
        for (u32 k = 0; k < 2; k++) {
            far_pointer.selector = (u16)rows[i].selector;
            far_pointer.offset =
                (u32)(rows[i].user ? USER_PTR(landing(USER)) : (ulong)landing(KERNEL));
            in.ax = rows[i].user ? USER_PTR(&far_pointer) : (ulong)&far_pointer;
            run(rows[i].user ? USER : KERNEL, code[k]);
            check_fault(join(k ? "far_call." : "far_jmp.", rows[i].name, ""), rows[i].vector,
                        rows[i].error);
        }
    }
    /* a conforming segment runs at the caller's level */
    far_pointer.selector = CONF0;
    far_pointer.offset = (u32)USER_PTR(landing(USER));
    in.ax = USER_PTR(&far_pointer);
    run(USER, CODE(FAR_JMP));
    check_value("far_jmp.conforming_keeps_cpl", out.f.dx, CONF0 | 3);
#if LONG_MODE
    far_pointer.selector = UCS32;
    far_pointer.offset = (u32)USER_PTR(landing(U32));
    in.ax = USER_PTR(&far_pointer);
    run(U64, CODE(FAR_JMP));
    check_value("far_jmp.to_compat", out.f.dx, UCS32);
    far_pointer.selector = UCS64;
    far_pointer.offset = (u32)USER_PTR(landing(U64));
    in.ax = USER_PTR(&far_pointer);
    run(U32, CODE32(FAR_JMP));
    check_value("far_jmp.to_64bit", out.f.dx, UCS64);
#endif
    /* far returns: CS below, then RIP */
    in.ax = KCS;
    in.bx = USER_PTR(landing(USER));
    run(USER, CODE("push " CODE_AX "\n push " CODE_BX "\n" FAR_RET));
    check_fault("far_ret.to_inner", GP, KCS);
    in.ax = LONG_MODE ? UCS64 : UCS32;
    in.bx = USER_PTR(landing(USER));
    run(USER, CODE("push " CODE_AX "\n push " CODE_BX "\n" FAR_RET));
    check_value("far_ret.same_level", out.f.bx, 0x77);
    in.ax = LONG_MODE ? UCS64 : UCS32;
    in.bx = USER_PTR(landing(USER));
    in.cx = UDS;
    in.dx = USER_PTR(user_stack) + 4096;
    run(KERNEL, CODE("push " CODE_CX "\n push " CODE_DX "\n push " CODE_AX "\n push " CODE_BX
                     "\n" FAR_RET));
    check_value("far_ret.to_outer", out.f.cs, LONG_MODE ? UCS64 : UCS32);
    check_value("far_ret.to_outer.sp", out.f.sp, USER_PTR(user_stack) + 4096);
    in.ax = 0;
    run(USER, CODE("push " CODE_AX "\n push " CODE_AX "\n" FAR_RET));
    check_fault("far_ret.null", GP, 0);
}

CHECKS(call_gates)
{
    static const struct {
        const char *name;
        u32 selector;
        u32 vector, error;
    } rows[] = {
        { "to_cpl0", GATE | 3, DONE, 0 },
        { "dpl0", GATE_DPL0 | 3, GP, GATE_DPL0 },
        { "not_present", GATE_NP | 3, NP, GATE_NP },
        { "to_data", GATE_DATA | 3, GP, KDS },
    };

    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        make();
        far_pointer.selector = (u16)rows[i].selector;
        in.ax = USER_PTR(&far_pointer);
        run(USER, CODE(FAR_CALL));
        check_fault(join("call_gate.", rows[i].name, ""), rows[i].vector, rows[i].error);
        if (rows[i].vector != DONE)
            continue;
        check_value("call_gate.cs", out.f.dx, KCS);
        check_value("call_gate.target", out.f.bx, 0x77);
        check_value("call_gate.stack", out.f.sp, (ulong)rsp0_stack + 8192 - 4 * sizeof(ulong));
        check_value("call_gate.saved_ss", ((ulong *)out.f.sp)[3], UDS);
        check_value("call_gate.saved_cs", ((ulong *)out.f.sp)[1], LONG_MODE ? UCS64 : UCS32);
        check_value("call_gate.new_ss", out.f.ss, LONG_MODE ? 0 : KDS);
    }
    make();
    far_pointer.selector = GATE | 3;
    in.ax = USER_PTR(&far_pointer);
    run(USER, CODE(FAR_JMP)); /* JMP must not change the level */
    check_fault("call_gate.jmp", GP, KCS);
}

CHECKS(sysenter)
{
    if (!has(HAS_SEP)) {
        check_skip("sysenter", "no SEP");
        return;
    }
    if (LONG_MODE && vendor_is_amd()) {
        check_skip("sysenter", "AMD: #UD in long mode");
        wrmsr(0x174, KCS);
        run(U64, CODE("sysenter"));
        check_fault_at("sysenter.amd_long_mode", UD, 0, 0);
        return;
    }
    wrmsr(0x174, 0);
    run(U32, CODE32("sysenter"));
    check_fault_at("sysenter.null_cs", GP, 0, 0);
    wrmsr(0x174, KCS);
    wrmsr(0x175, (ulong)kernel_stack + 4096);
    wrmsr(0x176, (ulong)CODE(CODE_PUSHF "\n pop " CODE_BX));
    in.flags = FL_IF | FL_CF;
    run(U32, CODE32("sysenter"));
    check_value("sysenter.cs", out.f.cs, KCS);
    check_value("sysenter.ss", out.f.ss, KDS);
    check_value("sysenter.clears_if", out.f.bx & (FL_IF | FL_VM), 0);
    check_value("sysenter.sp", out.f.sp, (ulong)kernel_stack + 4096);
    in.dx = USER_PTR(CODE32("mov ebx, cs\n mov esi, ss"));
    in.cx = USER_PTR(user_stack) + 4096;
    run(KERNEL, CODE(".byte 0x0f,0x35"));
    check_value("sysexit.cs", out.f.bx, UCS32);
    check_value("sysexit.ss", out.f.si, UDS);
    check_value("sysexit.sp", out.f.sp, USER_PTR(user_stack) + 4096);
    wrmsr(0x174, 0);
    run(KERNEL, CODE(".byte 0x0f,0x35"));
    check_fault_at("sysexit.null_cs", GP, 0, 0);
#if LONG_MODE
    wrmsr(0x174, KCS);
    in.dx = 0x800000000000ul;
    run(K64, CODE(".byte 0x48,0x0f,0x35"));
    check_fault_at("sysexit64.rip_noncanonical", GP, 0, 0);
    in.cx = 0x800000000000ul;
    run(K64, CODE(".byte 0x48,0x0f,0x35"));
    check_fault_at("sysexit64.rsp_noncanonical", GP, 0, 0);
    in.dx = USER_PTR(CODE64("mov ebx, cs\n mov esi, ss"));
    in.cx = USER_PTR(user_stack) + 4096;
    run(K64, CODE(".byte 0x48,0x0f,0x35"));
    check_value("sysexit64.cs", out.f.bx, UCS64);
    check_value("sysexit64.ss", out.f.si, UDS64);
#endif
}

#if LONG_MODE
CHECKS(syscall)
{
    wrmsr(STAR, (u64)UCS32 << 48 | (u64)KCS << 32);
    wrmsr(LSTAR, (ulong)CODE("mov rbx, rsp\n mov esi, cs\n mov edi, ss\n pushfq\n pop rdx"));
    wrmsr(CSTAR, (ulong)CODE("mov ebp, 0x66"));
    wrmsr(FMASK, FL_IF | FL_CF | FL_TF | FL_DF);
    in.sp = USER_PTR(user_stack) + 4096;
    in.flags = FL_IF | FL_CF | FL_DF | FL_ZF;
    run(U64, CODE("mov rax, rcx\n syscall"));
    check_done("syscall.reaches_lstar");
    /* SYSCALL leaves the stack pointer alone: the handler above runs on the user's */
    check_value("syscall.keeps_rsp", out.f.bx, USER_PTR(user_stack) + 4096);
    check_value("syscall.cs", out.f.si, KCS);
    check_value("syscall.ss", out.f.di, KDS);
    check_value("syscall.fmask", out.f.dx & (FL_IF | FL_CF | FL_DF | FL_ZF), FL_ZF);
    check_value("syscall.r11", out.f.r11 & (FL_IF | FL_CF | FL_DF | FL_ZF),
                FL_IF | FL_CF | FL_DF | FL_ZF);
    run(U64, CODE("lea rax, [rip + 2f]\n syscall\n 2: nop"));
    check_value("syscall.rcx", out.f.cx, out.f.ax);
    if (vendor_is_amd()) {
        run(U32, CODE32("syscall"));
        check_value("syscall.compat_amd_cstar", out.f.bp, 0x66);
    } else {
        run(U32, CODE32("syscall"));
        check_fault_at("syscall.compat_intel", UD, 0, 0);
    }
    wrmsr(0xc0000080u, rdmsr(0xc0000080u) & ~1ull);
    run(U64, CODE("syscall"));
    check_fault_at("syscall.sce_clear", UD, 0, 0);
    run(K64, CODE("sysretq"));
    check_fault_at("sysret.sce_clear", UD, 0, 0);
    wrmsr(0xc0000080u, rdmsr(0xc0000080u) | 1);

    in.cx = USER_PTR(CODE64("mov ebx, cs\n mov esi, ss\n pushfq\n pop rdx"));
    in.r11 = FL_IF | FL_CF | FL_RF | FL_VM | FL_NT | FL_IOPL;
    in.sp = USER_PTR(user_stack) + 4096;
    run(K64, CODE("sysretq"));
    check_value("sysret64.cs", out.f.bx, UCS64);
    check_value("sysret64.ss", out.f.si, UDS);
    check_value("sysret64.flags", out.f.dx & (FL_IF | FL_CF | FL_RF | FL_VM | FL_NT | FL_IOPL),
                FL_IF | FL_CF | FL_NT | FL_IOPL);
    in.cx = USER_PTR(CODE32("mov ebx, cs\n mov esi, ss"));
    in.r11 = 2;
    in.sp = USER_PTR(user_stack) + 4096;
    run(K64, CODE(".byte 0x0f,0x07"));
    check_value("sysret32.cs", out.f.bx, UCS32);
    check_value("sysret32.ss", out.f.si, UDS);
    in.cx = 0x800000000000ul;
    in.r11 = 2;
    run(K64, CODE("sysretq"));
    if (vendor_is_amd()) /* AMD faults at the target, at CPL 3; APM Vol 3 SYSRET */
        check_fault("sysret64.noncanonical", GP, 0);
    else
        check_fault_at("sysret64.noncanonical", GP, 0, 0);
}

CHECKS(segment_bases)
{
    wrmsr(0xc0000101u, 0x1111);
    wrmsr(0xc0000102u, 0x2222);
    run(K64, CODE("swapgs"));
    check_value("swapgs.gs_base", rdmsr(0xc0000101u), 0x2222);
    check_value("swapgs.kernel_gs_base", rdmsr(0xc0000102u), 0x1111);
    run(K32, CODE32(".byte 0x0f,0x01,0xf8"));
    check_fault_at("swapgs.compat", UD, 0, 0);
    if (!has(HAS_FSGSBASE)) {
        check_skip("fsgsbase", "no FSGSBASE");
        return;
    }
    const void *code[] = { CODE("rdfsbase rax"), CODE("rdgsbase rax"), CODE("wrfsbase rax"),
                           CODE("wrgsbase rax") };
    static const char *const name[] = { "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase" };
    for (u32 i = 0; i < 4; i++) {
        run(U64, code[i]);
        check_fault_at(join(name[i], ".gate", ""), UD, 0, 0);
    }
    write_cr4(read_cr4() | CR4_FSGSBASE);
    in.ax = 0x123456789abcul;
    run(U64, CODE("wrfsbase rax\n rdfsbase rbx"));
    check_value("fsbase.round_trip", out.f.bx, 0x123456789abcul);
    in.ax = 0xffffffff12345678ul;
    run(U64, CODE("wrgsbase eax\n rdgsbase rbx"));
    check_value("gsbase.32bit_zero_extends", out.f.bx, 0x12345678);
    in.ax = 0x800000000000ul;
    run(U64, CODE("wrfsbase rax"));
    check_fault_at("wrfsbase.noncanonical", GP, 0, 0);
    in.ax = 0x800000000000ul;
    run(U64, CODE("wrgsbase rax"));
    check_fault_at("wrgsbase.noncanonical", GP, 0, 0);
    run(U32, CODE32(".byte 0xf3,0x0f,0xae,0xc0"));
    check_fault_at("rdfsbase.compat", UD, 0, 0);
    static u64 word = 0x5566;
    in.ax = USER_PTR(&word) - 8;
    run(U64, CODE("wrfsbase rax\n mov rbx, fs:[8]"));
    check_value("fsbase.used", out.f.bx, 0x5566);
    in.ax = UDS;
    run(U64, CODE("mov fs, eax\n rdfsbase rbx"));
    check_value("mov_fs.loads_base", out.f.bx, 0);
}
#endif
