/* SPDX-License-Identifier: MIT */
/*
 * Rows that run in the 32-bit code segment (Linux: 0x23), where the instruction or its effect is
 * not the same as in 64-bit code. The layout of a row is told in instructions_64.h; here registers
 * are 32 bits wide and EDI is the memory.
 */
/* clang-format off */
ROW(nop_32, COMPATIBILITY, "NOP", "runs", INNOCUOUS, RUNS, NONE, 0, NULL,
    "", "nop", "")
ROW(push_cs_32, COMPATIBILITY, "PUSH CS", "shows CPL", CRITICAL, RUNS, NONE, 0, judge_shows_cpl,
    "", "pushl %cs", "popl %eax")
ROW(push_ss_32, COMPATIBILITY, "PUSH SS", "shows CPL", CRITICAL, RUNS, NONE, 0, judge_shows_cpl,
    "", "pushl %ss", "popl %eax")
ROW(pop_ss_kernel_32, COMPATIBILITY, "POP SS", "kernel data", PARTIAL, TRAPS(GP, 0x18), NONE, 0,
    NULL,
    "pushl $0x18", "popl %ss", "")
ROW(lds_user_32, COMPATIBILITY, "LDS", "user data", PARTIAL, RUNS, NONE, 0, judge_unprivileged,
    "movl $0, 32(%edi)\n movw $0x2b, 36(%edi)", "ldsl 32(%edi), %eax", "")
ROW(lds_kernel_32, COMPATIBILITY, "LDS", "kernel data", PARTIAL, TRAPS(GP, 0x18), NONE, 0, NULL,
    "movl $0, 32(%edi)\n movw $0x18, 36(%edi)", "ldsl 32(%edi), %eax", "")
ROW(pushf_32, COMPATIBILITY, "PUSHFD", "reads IF, IOPL", CRITICAL, RUNS, NONE, 0, judge_pushf,
    "", "pushfl", "popl %eax")
ROW(popf_32, COMPATIBILITY, "POPFD", "IF := 0", CRITICAL, RUNS, NONE, NEED_IOPL_0, judge_if_kept,
    "pushfl\n pushfl\n andl $~0x200, (%esp)", "popfl", "pushfl\n popl %eax\n popfl")
ROW(iret_32, COMPATIBILITY, "IRETD", "IF := 0", CRITICAL, RUNS, NONE, NEED_IOPL_0, judge_if_kept,
    "pushfl\n andl $~0x200, (%esp)\n pushl %cs\n call 1f\n1: addl $(2f - 1b), (%esp)",
    "iretl", "2: pushfl\n popl %eax")
ROW(sgdt_32, COMPATIBILITY, "SGDT", "GDT's address", UMIP, EITHER(GP, 0), NONE, NEED_STEP,
    judge_sgdt_32,
    "", "sgdtl 32(%edi)", "nop")
ROW(salc_32, COMPATIBILITY, "SALC", "AL from CF", INNOCUOUS, RUNS, NONE, 0, judge_salc,
    "stc", ".byte 0xd6", "")
/* clang-format on */
