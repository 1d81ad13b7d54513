/* SPDX-License-Identifier: MIT */
/*
 * IF, IOPL and the other system flags under CLI, STI, PUSHF, POPF and IRET. These are the critical
 * instructions of x86: at CPL 3 they keep flags silently instead of trapping (SDM Vol 2, POPF
 * table 4-16; Vol 1 19.5.1 for IOPL).
 */
#include "guest.h"

#define KEPT (FL_IF | FL_IOPL)

#if LONG_MODE
#define POPF_CODE CODE64("push rax\n popfq\n pushfq\n pop rbx")
#else
#define POPF_CODE CODE32("push eax\n popfd\n pushfd\n pop ebx")
#endif
#define POPF_CODE32 CODE32("push eax\n popfd\n pushfd\n pop ebx")
#define POPFW_CODE  CODE("push ax\n popfw\n pushfw\n pop bx")

/* name, flags before, value popped, expected IF and IOPL afterwards */
static const struct {
    const char *name;
    int user;
    u32 before, popped, after;
} popf_rows[] = {
    { "popf.cpl0.sets_iopl", 0, 0, FL_IOPL, FL_IOPL },
    { "popf.cpl0.clears_iopl", 0, FL_IOPL, 0, 0 },
    { "popf.cpl3.iopl0.keeps_if_clear", 1, 0, FL_IF, 0 },
    { "popf.cpl3.iopl0.keeps_if_set", 1, FL_IF, 0, FL_IF },
    { "popf.cpl3.iopl0.keeps_iopl", 1, 0, FL_IOPL, 0 },
    { "popf.cpl3.iopl3.sets_if", 1, FL_IOPL, FL_IF | FL_IOPL, FL_IF | FL_IOPL },
    { "popf.cpl3.iopl3.clears_if", 1, FL_IOPL | FL_IF, FL_IOPL, FL_IOPL },
    { "popf.cpl3.iopl3.keeps_iopl", 1, FL_IOPL, 0, FL_IOPL },
    { "popf.cpl3.iopl2.keeps_if", 1, 2 << 12, FL_IF, 2 << 12 },
};

CHECKS(flags_popf)
{
    for (u32 i = 0; i < sizeof(popf_rows) / sizeof(*popf_rows); i++) {
        for (int narrow = 0; narrow < 2 + LONG_MODE; narrow++) {
            static const char *const suffix[] = { "", ".word", ".compat" };
            enum mode user = narrow == 2 ? U32 : USER, kernel = narrow == 2 ? K32 : KERNEL;
            in.flags = popf_rows[i].before;
            in.ax = popf_rows[i].popped;
            run(popf_rows[i].user ? user : kernel, narrow == 0   ? POPF_CODE
                                                   : narrow == 1 ? POPFW_CODE
                                                                 : POPF_CODE32);
            check_value(join(popf_rows[i].name, suffix[narrow], ""), out.f.flags & KEPT,
                        popf_rows[i].after);
        }
    }
    /* RF is not taken from the image, VM is left alone, and PUSHF stores both as zero. */
    in.ax = FL_RF | FL_VM | FL_AC | FL_ID | FL_NT | FL_DF;
    run(USER, POPF_CODE);
    check_value("popf.cpl3.others", out.f.flags & (FL_RF | FL_VM | FL_AC | FL_ID | FL_NT | FL_DF),
                FL_AC | FL_ID | FL_NT | FL_DF);
    check_value("pushf.stores_no_rf_vm", out.f.bx & (FL_RF | FL_VM), 0);
    in.flags = FL_IF | FL_IOPL;
    run(USER, POPF_CODE);
    in.flags = FL_IF | 1 << 12;
    run(USER, CODE(CODE_PUSHF "\n pop " CODE_BX));
    check_value("pushf.cpl3.shows_if_iopl", out.f.bx & KEPT, FL_IF | 1 << 12);
}

CHECKS(flags_cli_sti)
{
    run(KERNEL, CODE("sti\n cli"));
    check_done("cli.cpl0");
    run(KERNEL, CODE("sti\n nop"));
    check_value("sti.cpl0.sets_if", out.f.flags & FL_IF, FL_IF);
    for (u32 iopl = 0; iopl < 4; iopl++) {
        static const char *const digit[] = { "0", "1", "2", "3" };
        in.flags = iopl << 12;
        run(USER, CODE("sti\n nop"));
        if (iopl < 3) {
            check_fault_at(join("sti.cpl3.iopl", digit[iopl], ""), GP, 0, 0);
        } else {
            check_value("sti.cpl3.iopl3", out.f.flags & FL_IF, FL_IF);
        }
        in.flags = iopl << 12 | FL_IF;
        run(USER, CODE("cli\n nop"));
        if (iopl < 3)
            check_fault_at(join("cli.cpl3.iopl", digit[iopl], ""), GP, 0, 0);
        else
            check_value("cli.cpl3.iopl3", out.f.flags & FL_IF, 0);
    }
    in.flags = FL_IOPL;
    run(USER, CODE("hlt"));
    check_fault_at("hlt.cpl3.iopl3", GP, 0, 0);
    in.flags = FL_IOPL;
    run(USER, CODE("in al, 0x80"));
    check_done("in.cpl3.iopl3");
}

/* IRET to the same level at CPL 3 may change neither IF nor IOPL unless allowed (SDM IRET). */
CHECKS(flags_iret)
{
#if LONG_MODE
#define IRET_SAME                                                                                  \
    CODE64("mov rcx, rsp\n push 0x23\n push rcx\n push rax\n push 0x2b\n"                          \
           "lea rdx, [rip + 2f]\n push rdx\n iretq\n 2: pushfq\n pop rbx")
#else
#define IRET_SAME                                                                                  \
    CODE32("push eax\n push 0x1b\n call 3f\n 3: add dword ptr [esp], 5\n iretd\n"                  \
           "pushfd\n pop ebx")
#endif
    static const struct {
        const char *name;
        u32 before, image, after;
    } rows[] = {
        { "iret.cpl3.iopl0.keeps_if", 0, FL_IF, 0 },
        { "iret.cpl3.iopl0.keeps_if_set", FL_IF, 0, FL_IF },
        { "iret.cpl3.iopl0.keeps_iopl", 0, FL_IOPL, 0 },
        { "iret.cpl3.iopl3.sets_if", FL_IOPL, FL_IF, FL_IOPL | FL_IF },
        { "iret.cpl3.iopl3.keeps_iopl", FL_IOPL, 0, FL_IOPL },
    };
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        in.flags = rows[i].before;
        in.ax = rows[i].image;
        run(USER, IRET_SAME);
        check_value(rows[i].name, out.f.flags & KEPT, rows[i].after);
    }
    in.ax = FL_NT | FL_AC | FL_ID | FL_DF;
    run(USER, IRET_SAME);
    check_value("iret.cpl3.others", out.f.flags & (FL_NT | FL_AC | FL_ID | FL_DF),
                FL_NT | FL_AC | FL_ID | FL_DF);
    if (LONG_MODE) { /* IRET with NT set is a task return: #GP(0) in IA-32e mode */
        in.flags = FL_NT;
        in.ax = 2;
        run(USER, CODE(IRET_NATIVE));
        check_fault_at("iret.nt", GP, 0, 0);
    } else { /* 32-bit: back to the task in the TSS's link field; that is the null selector */
        in.flags = FL_NT;
        run(KERNEL, CODE(IRET_NATIVE));
        check_fault_at("iret.nt_null_link", TS, 0, 0);
    }
}
