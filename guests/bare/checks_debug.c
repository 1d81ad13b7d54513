/* SPDX-License-Identifier: MIT */
/*
 * Debug exceptions: TF single-step, DR0-DR3, DR6, RF, and the interrupt shadows of MOV SS and STI
 * (SDM Vol 3 17.3, 6.8.3). A hook counts #DB and goes on, so that whole sequences are seen.
 */
#include "guest.h"

#if LONG_MODE
#define CX "rcx"
#else
#define CX "ecx"
#endif
#define DR6_B(n)                (1u << (n))
#define DR6_BS                  (1u << 14)
#define DR7_L(n)                (1ul << (2 * (n)))
#define DR7_RW(n, type, length) ((ulong)((type) | (length) << 2) << (16 + 4 * (n)))

static u32 db_count, db_stop_after;
static ulong db_ip[16], db_dr6[16], db_flags[16];

static int count_db(struct frame *f)
{
    if (f->vector != DB)
        return 0;
    if (db_count < 16) {
        db_ip[db_count] = f->ip;
        db_flags[db_count] = f->flags;
        db_dr6[db_count] = read_dr6();
    }
    write_dr6(0xffff0ff0u);
    db_count++;
    if (db_count >= db_stop_after) /* enough: leave TF off */
        f->flags &= ~(ulong)FL_TF;
    f->flags |= FL_RF;
    return 1;
}

static void step(enum mode mode, const void *code, u32 stop_after)
{
    db_count = 0;
    db_stop_after = stop_after;
    trap_hook = count_db;
    run(mode, code);
    trap_hook = NULL;
}

CHECKS(debug_single_step)
{
    const void *code;

    in.flags = FL_TF;
    run(USER, CODE("nop\n nop"));
    check_fault_at("tf.after_first", DB, 0, 1);
    check_value("tf.dr6_bs", out.dr6 & (DR6_BS | 15), DR6_BS);
    check_value("tf.pushed", out.f.flags & FL_TF, FL_TF);
    write_dr6(0xffff0ff0u);
    in.flags = FL_TF;
    run(USER, CODE("nop\n nop"));
    check_value("tf.rf_clear_in_trap", out.f.flags & FL_RF, 0);
    write_dr6(0xffff0ff0u);

    code = CODE("nop\n nop\n nop\n nop");
    in.flags = FL_TF;
    step(USER, code, 4);
    check_value("tf.counts", db_count, 4);
    check_value("tf.fourth_ip", db_ip[3], USER_PTR(code) + 4);
    /* set by POPF: the trap comes after the instruction that follows POPF */
    code = CODE(CODE_PUSHF "\n or dword ptr [" CODE_SP "], 0x100\n" CODE_POPF "\n nop\n nop");
    step(USER, code, 1);
    check_value("tf.popf_then_one", db_ip[0] - USER_PTR(code), LONG_MODE ? 10 : 10);
    /* MOV SS and POP SS hold a trap back for one instruction */
    code = CODE("mov eax, ss\n mov ss, eax\n nop\n nop");
    in.flags = FL_TF;
    step(USER, code, 3);
    check_value("tf.mov_ss_shadow", db_ip[1] - USER_PTR(code), 5);
    /* REP: one trap an iteration */
    static u8 bytes[16];
    in.flags = FL_TF;
    in.di = USER_PTR(bytes);
    in.cx = 5;
    code = CODE("rep stosb\n nop");
    step(USER, code, 6);
    check_value("tf.rep_first_ip", db_ip[0] - USER_PTR(code), 0);
    check_value("tf.rep_last_ip", db_ip[4] - USER_PTR(code), 2);
    in.flags = FL_TF;
    step(KERNEL, CODE("nop\n nop"), 2);
    check_value("tf.cpl0", db_count, 2);
    /* INT n clears TF on the way in; its own step trap does not happen in the handler */
    in.flags = FL_TF;
    step(USER, CODE("int 0xf0"), 3);
    check_value("tf.int_n_no_trap", db_count, 0);
    check_value("tf.int_n_pushed", out.f.flags & FL_TF, FL_TF);
    if (LONG_MODE) {
        in.flags = FL_TF;
        step(U32, CODE32("nop\n nop"), 2);
        check_value("tf.compat", db_count, 2);
    }
    /* a faulting instruction faults; no step trap for it */
    in.flags = FL_TF;
    run(USER, CODE("hlt"));
    check_fault_at("tf.fault_wins", GP, 0, 0);
#if LONG_MODE
    /* SYSCALL with TF not in FMASK: the trap is taken after SYSCALL, in the kernel */
    code = CODE64("nop\n nop\n nop");
    wrmsr(0xc0000081u, (u64)UCS32 << 48 | (u64)KCS << 32);
    wrmsr(0xc0000082u, (ulong)code);
    wrmsr(0xc0000084u, 0);
    in.flags = FL_TF;
    step(U64, CODE64("syscall"), 2);
    check_value("tf.over_syscall_unmasked", db_ip[0], (ulong)code);
    wrmsr(0xc0000084u, FL_TF);
    in.flags = FL_TF;
    step(U64, CODE64("syscall"), 2);
    check_value("tf.over_syscall_masked", db_count, 0);
#endif
}

CHECKS(debug_breakpoints)
{
    static u32 data[8] __attribute__((aligned(32)));
    const void *code = CODE("nop\n nop\n nop\n nop");
    static const struct {
        const char *name;
        u32 type, length, offset;
        int write, hit;
    } rows[] = {
        { "write_byte_hit", 1, 0, 0, 1, 1 },
        { "write_byte_read", 1, 0, 0, 0, 0 },
        { "rw_byte_read", 3, 0, 0, 0, 1 },
        { "rw_byte_write", 3, 0, 0, 1, 1 },
        { "rw_dword_inside", 3, 3, 3, 0, 1 },
        { "rw_dword_after", 3, 3, 4, 0, 0 },
        { "rw_word_inside", 3, 1, 1, 0, 1 },
        { "rw_word_after", 3, 1, 2, 0, 0 },
#if LONG_MODE
        { "rw_qword_inside", 3, 2, 7, 0, 1 },
        { "rw_qword_after", 3, 2, 8, 0, 0 },
#endif
    };

    /* instruction breakpoint: a fault, before the instruction, with RF clear */
    write_dr1(USER_PTR(code) + 2);
    write_dr7(0x400 | DR7_L(1));
    run(USER, code);
    check_fault_at("dr.exec", DB, 0, 2);
    check_value("dr.exec.dr6", out.dr6 & (15 | DR6_BS), DR6_B(1));
    /* the one fault that does not push RF = 1 (SDM Vol 3 17.3.1.1) */
    check_value("dr.exec.pushes_rf_clear", out.f.flags & FL_RF, 0);
    write_dr6(0xffff0ff0u);
    step(USER, code, 1); /* RF set by the hook: once only */
    check_value("dr.exec.once_with_rf", db_count, 1);
    check_value("dr.exec.continues", out.f.vector, DONE);
    write_dr1(USER_PTR(code));
    in.flags = FL_RF;
    run(USER, code);
    check_done("dr.exec.rf_suppresses");
    check_value("dr.exec.rf_cleared_after", out.f.flags & FL_RF, 0);
    write_dr7(0x400);
    run(USER, code);
    check_done("dr.exec.disabled");

    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        write_dr6(0xffff0ff0u);
        write_dr2(USER_PTR(data));
        write_dr7(0x400 | DR7_L(2) | DR7_RW(2, rows[i].type, rows[i].length));
        in.bx = USER_PTR(data) + rows[i].offset;
        run(USER, rows[i].write ? CODE("mov byte ptr [" CODE_BX "], 7\n nop")
                                : CODE("mov al, [" CODE_BX "]\n nop\n nop"));
        if (rows[i].hit)
            check_fault_at(join("dr.data.", rows[i].name, ""), DB, 0, rows[i].write ? 3 : 2);
        else
            check_done(join("dr.data.", rows[i].name, ""));
    }
    check_value("dr.data.write_happened", *(u8 *)data, 7); /* data breakpoints are traps */
    /* both a data breakpoint and a single step: both reported */
    write_dr6(0xffff0ff0u);
    write_dr2(USER_PTR(data));
    write_dr7(0x400 | DR7_L(2) | DR7_RW(2, 3, 0));
    in.flags = FL_TF;
    in.bx = USER_PTR(data);
    run(USER, CODE("mov al, [" CODE_BX "]\n nop"));
    check_value("dr.data_and_step", out.dr6 & (15 | DR6_BS), DR6_B(2) | DR6_BS);
    /* a match is also noted for a breakpoint that is not enabled only if... another one fires */
    write_dr6(0xffff0ff0u);
    write_dr7(0x400);
    in.bx = USER_PTR(data);
    run(USER, CODE("mov al, [" CODE_BX "]\n nop"));
    check_done("dr.data.disabled");
    /* data breakpoint on a stack push by the CPU's own accesses: PUSH */
    write_dr3(USER_PTR(user_stack) + 4096 - sizeof(ulong));
    write_dr7(0x400 | DR7_L(3) | DR7_RW(3, 1, 3));
    in.sp = USER_PTR(user_stack) + 4096;
    run(USER, CODE("push " CODE_AX "\n nop"));
    check_fault_at("dr.data.push", DB, 0, 1);
    check_value("dr.data.push.dr6", out.dr6 & 15, DR6_B(3));
    write_dr7(0x400);
    run(USER, CODE("ud2"));
    check_value("fault.pushes_rf", out.f.flags & FL_RF, FL_RF);
    run(USER, CODE("int3"));
    check_value("trap.pushes_rf_clear", out.f.flags & FL_RF, 0);
    /* ICEBP/INT1 leaves BS clear */
    write_dr6(0xffff0ff0u);
    run(KERNEL, CODE(".byte 0xf1"));
    check_fault_at("int1.cpl0", DB, 0, 1);
    write_dr6(0xffff0ff0u);
}
