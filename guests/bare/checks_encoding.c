/* SPDX-License-Identifier: MIT */
/*
 * Encodings that must be refused: LOCK where it is not allowed, more than 15 bytes, undefined
 * opcodes, instructions behind a CPUID or CR4 gate; alignment checks (SDM Vol 2 2.1, LOCK;
 * Vol 3 6.15 #UD, #AC).
 */
#include "guest.h"

static u32 words[16] __attribute__((aligned(64)));

/* name, bytes; ax points to user memory; all #UD at offset 0 in every user mode */
#define UNDEFINED(X)                                                                               \
    X(lock_nop, ".byte 0xf0,0x90")                                                                 \
    X(lock_add_register, ".byte 0xf0,0x01,0xc0")                                                   \
    X(lock_mov_memory, ".byte 0xf0,0x89,0x00")                                                     \
    X(lock_add_from_memory, ".byte 0xf0,0x03,0x00")                                                \
    X(lock_cmp_memory, ".byte 0xf0,0x39,0x00")                                                     \
    X(lock_test_memory, ".byte 0xf0,0x85,0x00")                                                    \
    X(lock_bt_memory, ".byte 0xf0,0x0f,0xa3,0x00")                                                 \
    X(lock_cmp_immediate, ".byte 0xf0,0x83,0x38,0x00")                                             \
    X(lock_push, ".byte 0xf0,0x50")                                                                \
    X(lock_hlt, ".byte 0xf0,0xf4")                                                                 \
    X(lock_sgdt, ".byte 0xf0,0x0f,0x01,0x00")                                                      \
    X(lock_movsb, ".byte 0xf0,0xa4")                                                               \
    X(group4_ff7, ".byte 0xff,0xf8")                                                               \
    X(group4_fe2, ".byte 0xfe,0xd0")                                                               \
    X(group8_0, ".byte 0x0f,0xba,0xc0,0x00")                                                       \
    X(group9_cmpxchg8b_register, ".byte 0x0f,0xc7,0xc8")                                           \
    X(lea_register, ".byte 0x8d,0xc0")                                                             \
    X(far_jmp_register, ".byte 0xff,0xe8")                                                         \
    X(far_call_register, ".byte 0xff,0xd8")                                                        \
    X(mov_c6_1, ".byte 0xc6,0xc8,0x00")                                                            \
    X(pop_8f_1, ".byte 0x8f,0xc8,0x00")                                                            \
    X(lgdt_register, ".byte 0x0f,0x01,0xd7")                                                       \
    X(sysret_f0, ".byte 0xf0,0x0f,0x07")                                                           \
    X(undefined_0f04, ".byte 0x0f,0x04")                                                           \
    X(undefined_0f0a, ".byte 0x0f,0x0a")                                                           \
    X(undefined_0f24, ".byte 0x0f,0x24,0xc0")                                                      \
    X(undefined_0f36, ".byte 0x0f,0x36")                                                           \
    X(undefined_0fa6, ".byte 0x0f,0xa6,0xff")                                                      \
    X(movntps_register, ".byte 0x0f,0x2b,0xc0")                                                    \
    X(clac_cpl3, ".byte 0x0f,0x01,0xca")                                                           \
    X(stac_cpl3, ".byte 0x0f,0x01,0xcb")                                                           \
    X(xgetbv_without_osxsave, ".byte 0x0f,0x01,0xd0")                                              \
    X(xsave_without_osxsave, ".byte 0x0f,0xae,0x20")                                               \
    X(vaddps_without_osxsave, ".byte 0xc5,0xf8,0x58,0xc0")                                         \
    X(rdpkru_without_pke, ".byte 0x0f,0x01,0xee")                                                  \
    X(wrpkru_without_pke, ".byte 0x0f,0x01,0xef")                                                  \
    X(monitor_cpl3, ".byte 0x0f,0x01,0xc8")                                                        \
    X(mwait_cpl3, ".byte 0x0f,0x01,0xc9")

#define EMIT(bits, name, text)                                                                     \
    __asm__(".pushsection .snippets,\"ax\",@progbits\n.balign 16\n.code" #bits                     \
            "\nundefined_" #name "_" #bits ":\n" text "\nint $0xf0\n" HOST_CODE "\n.popsection");  \
    extern const char undefined_##name##_##bits[];
#if LONG_MODE
#define X(name, text) EMIT(64, name, text)
UNDEFINED(X)
#undef X
#define CODE_64(name) undefined_##name##_64
#else
#define CODE_64(name) NULL
#endif
#define X(name, text) EMIT(32, name, text)
UNDEFINED(X)
#undef X

static const struct {
    const char *name;
    const char *code64, *code32;
} rows[] = {
#define X(name, text) { #name, CODE_64(name), undefined_##name##_32 },
    UNDEFINED(X)
#undef X
};

CHECKS(undefined)
{
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (enum mode mode = LONG_MODE ? U64 : U32; mode <= U32; mode = (enum mode)(mode + 2)) {
            in.ax = in.si = in.di = USER_PTR(words);
            in.cx = 1;
            run(mode, mode == U64 ? rows[i].code64 : rows[i].code32);
            check_fault_at(join("ud.", rows[i].name, mode == U64 ? ".u64" : ".u32"), UD, 0, 0);
            if (mode == U32)
                break;
        }
    }
}

CHECKS(length_limit)
{
    run(USER, CODE(".rept 14\n.byte 0x66\n.endr\n nop"));
    check_done("length.15_bytes");
    run(USER, CODE(".rept 15\n.byte 0x66\n.endr\n nop"));
    check_fault_at("length.16_bytes", GP, 0, 0);
    run(USER, CODE(".rept 15\n.byte 0xf0\n.endr\n nop"));
    check_fault_at("length.lock_16_bytes", GP, 0, 0);
    if (LONG_MODE) {
        run(U32, CODE32(".rept 15\n.byte 0x66\n.endr\n nop"));
        check_fault_at("length.16_bytes.compat", GP, 0, 0);
    }
}

CHECKS(alignment)
{
    static const struct {
        const char *name;
        ulong cr0;
        u32 flags;
        int user;
        u32 offset;
        u32 vector;
    } ac[] = {
        { "cpl3_am_ac", CR0_AM, FL_AC, 1, 1, AC }, { "aligned", CR0_AM, FL_AC, 1, 4, DONE },
        { "ac_clear", CR0_AM, 0, 1, 1, DONE },     { "am_clear", 0, FL_AC, 1, 1, DONE },
        { "cpl0", CR0_AM, FL_AC, 0, 1, DONE },
    };
    for (u32 i = 0; i < sizeof(ac) / sizeof(*ac); i++) {
        write_cr0((read_cr0() & ~CR0_AM) | ac[i].cr0);
        in.bx = (ac[i].user ? USER_PTR(words) : (ulong)words) + ac[i].offset;
        in.flags = ac[i].flags;
        run(ac[i].user ? USER : KERNEL, CODE("mov eax, [" CODE_BX "]"));
        check_fault(join("ac.", ac[i].name, ""), ac[i].vector, 0);
    }
    write_cr0(read_cr0() | CR0_AM);
    in.bx = USER_PTR(words) + 1;
    in.flags = FL_AC;
    run(USER, CODE("mov al, [" CODE_BX "]"));
    check_done("ac.byte");
    in.bx = USER_PTR(words) + 1;
    in.flags = FL_AC;
    run(USER, CODE("mov ax, [" CODE_BX "]"));
    check_fault_at("ac.word", AC, 0, 0);
    in.flags = FL_AC;
    in.sp = USER_PTR(user_stack) + 4096 + 2;
    run(USER, CODE("push " CODE_AX));
    check_fault_at("ac.push", AC, 0, 0);
    if (LONG_MODE) {
        in.bx = USER_PTR(words) + 1;
        in.flags = FL_AC;
        run(U32, CODE32("mov eax, [ebx]"));
        check_fault_at("ac.compat", AC, 0, 0);
    }
    /* SSE alignment is #GP whatever AC says */
    in.bx = USER_PTR(words) + 4;
    run(USER, CODE("movaps xmm0, [" CODE_BX "]"));
    check_fault_at("movaps.unaligned", GP, 0, 0);
    in.bx = USER_PTR(words) + 4;
    run(USER, CODE("movups xmm0, [" CODE_BX "]"));
    check_done("movups.unaligned");
    if (LONG_MODE) {
        in.bx = USER_PTR(words) + 8;
        run(USER, CODE("lock cmpxchg8b [" CODE_BX "]"));
        check_done("cmpxchg8b.aligned");
#if LONG_MODE
        in.bx = USER_PTR(words) + 8;
        run(U64, CODE("lock cmpxchg16b [rbx]"));
        check_fault_at("cmpxchg16b.unaligned", GP, 0, 0);
#endif
    }
}

CHECKS(gates)
{
    if (has(HAS_SMAP)) {
        in.flags = 0;
        run(KERNEL, CODE("stac\n nop"));
        check_value("stac.cpl0", out.f.flags & FL_AC, FL_AC);
        in.flags = FL_AC;
        run(KERNEL, CODE("clac\n nop"));
        check_value("clac.cpl0", out.f.flags & FL_AC, 0);
    } else {
        run(KERNEL, CODE(".byte 0x0f,0x01,0xca"));
        check_fault_at("clac.absent", UD, 0, 0);
    }
    if (has(HAS_PKU)) {
        write_cr4(read_cr4() | CR4_PKE);
        in.ax = 0x5a5a5a5a;
        run(USER, CODE("xor ecx, ecx\n xor edx, edx\n .byte 0x0f,0x01,0xef\n"
                       "xor eax, eax\n .byte 0x0f,0x01,0xee\n mov ebx, eax\n xor eax, eax\n"
                       "xor edx, edx\n .byte 0x0f,0x01,0xef"));
        check_done("pkru.cpl3");
        check_value("pkru.round_trip", (u32)out.f.bx, 0x5a5a5a5a);
        in.cx = 1;
        run(USER, CODE(".byte 0x0f,0x01,0xee"));
        check_fault_at("rdpkru.ecx_nonzero", GP, 0, 0);
        in.dx = 1;
        run(USER, CODE(".byte 0x0f,0x01,0xef"));
        check_fault_at("wrpkru.edx_nonzero", GP, 0, 0);
        run(USER, CODE("mov eax, 7\n cpuid\n and ecx, 0x10"));
        check_value("pku.ospke_shown", (u32)out.f.cx, 0x10);
    } else {
        check_skip("pkru", "no PKU");
    }
    if (!has(HAS_MONITOR)) {
        run(KERNEL, CODE(".byte 0x0f,0x01,0xc8"));
        check_fault_at("monitor.absent", UD, 0, 0);
        run(KERNEL, CODE(".byte 0x0f,0x01,0xc9"));
        check_fault_at("mwait.absent", UD, 0, 0);
    } else {
        in.ax = (ulong)words;
        run(KERNEL, CODE(".byte 0x0f,0x01,0xc8"));
        check_done("monitor.cpl0");
        in.ax = (ulong)words;
        in.cx = 1;
        run(KERNEL, CODE(".byte 0x0f,0x01,0xc8"));
        check_fault("monitor.ecx_nonzero", GP, 0);
    }
    if (has(HAS_INVPCID)) {
        static struct {
            u64 pcid, address;
        } d;
#if LONG_MODE
#define INVPCID "invpcid rax, [rbx]"
#else
#define INVPCID "invpcid eax, [ebx]"
#endif
        for (u32 type = 0; type < 5; type++) {
            static const char *const digit[] = { "0", "1", "2", "3", "4" };
            d.pcid = d.address = 0;
            in.ax = type;
            in.bx = (ulong)&d;
            run(KERNEL, CODE(INVPCID));
            check_fault(join("invpcid.type", digit[type], ""), type < 4 ? (u32)DONE : (u32)GP, 0);
        }
        d.pcid = 0x1000;
        in.ax = 1;
        in.bx = (ulong)&d;
        run(KERNEL, CODE(INVPCID));
        check_fault("invpcid.reserved_bits", GP, 0);
#if LONG_MODE
        d.pcid = 0;
        d.address = 0x800000000000ull;
        in.ax = 0;
        in.bx = (ulong)&d;
        run(KERNEL, CODE(INVPCID));
        check_fault("invpcid.noncanonical", GP, 0);
#endif
        d.pcid = 1; /* CR4.PCIDE is clear: only PCID 0 */
        d.address = 0;
        in.ax = 1;
        in.bx = (ulong)&d;
        run(KERNEL, CODE(INVPCID));
        check_fault("invpcid.pcid_without_pcide", GP, 0);
    } else {
        in.bx = (ulong)words;
        run(KERNEL, CODE(".byte 0x66,0x0f,0x38,0x82,0x03"));
        check_fault_at("invpcid.absent", UD, 0, 0);
    }
    run(KERNEL, CODE("mov ecx, 0\n .byte 0x0f,0x01,0xc1"));
    if (on_kvm_leaves())
        check_true("vmcall.hypercall", out.f.vector == DONE || out.f.vector == UD);
    else
        check_fault("vmcall.absent", UD, 0);
    run(KERNEL, CODE(".byte 0xf3,0x0f,0xc7,0x30"));
    check_fault_at("vmxon.cpl0", UD, 0, 0);
    run(KERNEL, CODE(".byte 0x0f,0x01,0xd8"));
    check_fault_at("vmrun.cpl0", UD, 0, 0);
    run(KERNEL, CODE(".byte 0x0f,0x01,0xdc"));
    check_fault_at("stgi.cpl0", UD, 0, 0);
    run(KERNEL, CODE(".byte 0x0f,0xaa"));
    check_fault_at("rsm.cpl0", UD, 0, 0);
}
