/* SPDX-License-Identifier: MIT */
/*
 * Rows for instructions that user mode must not execute. The layout of a row is told in
 * instructions_64.h.
 *
 * All of these trap at CPL 3 by the architecture, and the probe runs only after it has seen that
 * CPL is 3; the operands are chosen to do least harm even so. CLI, STI, IN and OUT depend on IOPL
 * and the port bitmap, so those rows (and HLT) are refused unless both are void.
 */
/* clang-format off */

/* Trap iff CPL > IOPL (CLI, STI), or also the port bitmap says so (IN, OUT). Port 0x80 is the
 * diagnostic port. Linux since 5.5 skips CLI and STI for a process that called iopl(3). */
ROW(cli, PORT, "CLI", "", PARTIAL, EITHER(GP, 0), NONE, NEED_IOPL_0 | NEED_STEP, judge_skipped,
    "", "cli", "nop")
ROW(sti, PORT, "STI", "", PARTIAL, EITHER(GP, 0), NONE, NEED_IOPL_0 | NEED_STEP, judge_skipped,
    "", "sti", "nop")
ROW(in, PORT, "IN", "port 0x80", PARTIAL, TRAPS(GP, 0), NONE, NEED_IOPL_0 | NEED_NO_PORTS, NULL,
    "", "inb $0x80, %al", "")
ROW(out, PORT, "OUT", "port 0x80", PARTIAL, TRAPS(GP, 0), NONE, NEED_IOPL_0 | NEED_NO_PORTS, NULL,
    "", "outb %al, $0x80", "")
ROW(hlt, PORT, "HLT", "", PRIVILEGED, TRAPS(GP, 0), NONE, NEED_IOPL_0, NULL, "", "hlt", "")

/* Registers that hold the machine's tables, modes and models. */
ROW(lgdt, SYSTEM, "LGDT", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "lgdt 32(%rdi)", "")
ROW(lidt, SYSTEM, "LIDT", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "lidt 32(%rdi)", "")
ROW(lldt, SYSTEM, "LLDT", "null", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "lldt %cx", "")
ROW(ltr, SYSTEM, "LTR", "null", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "ltr %cx", "")
ROW(lmsw, SYSTEM, "LMSW", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "movl $0x33, %eax", "lmsw %ax", "")
ROW(clts, SYSTEM, "CLTS", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "clts", "")
ROW(mov_from_cr0, SYSTEM, "MOV r,CR0", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "", "movq %cr0, %rax", "")
ROW(mov_to_cr0, SYSTEM, "MOV CR0,r", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "movl $0x80050033, %eax", "movq %rax, %cr0", "")
ROW(mov_from_cr2, SYSTEM, "MOV r,CR2", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "", "movq %cr2, %rax", "")
ROW(mov_from_cr3, SYSTEM, "MOV r,CR3", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "", "movq %cr3, %rax", "")
ROW(mov_from_cr4, SYSTEM, "MOV r,CR4", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "", "movq %cr4, %rax", "")
ROW(mov_from_cr8, SYSTEM, "MOV r,CR8", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "", "movq %cr8, %rax", "")
ROW(mov_to_cr8, SYSTEM, "MOV CR8,r", "0", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "", "movq %rcx, %cr8", "")
ROW(mov_from_dr7, SYSTEM, "MOV r,DR7", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "", "movq %db7, %rax", "")
ROW(mov_to_dr7, SYSTEM, "MOV DR7,r", "none armed", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "movl $0x400, %eax", "movq %rax, %db7", "")
ROW(rdmsr, SYSTEM, "RDMSR", "TSC", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "movl $0x10, %ecx", "rdmsr", "")
ROW(wrmsr, SYSTEM, "WRMSR", "TSC_AUX", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "movl $0xc0000103, %ecx\n movl $0, %eax", "wrmsr", "")
ROW(xsetbv, SYSTEM, "XSETBV", "XCR0", PRIVILEGED, TRAPS(GP, 0), XSAVE, 0, NULL,
    "movl $7, %eax", "xsetbv", "")
ROW(xsaves, SYSTEM, "XSAVES", "nothing", PRIVILEGED, TRAPS(GP, 0), XSAVES, 0, NULL,
    "movl $0, %eax", "xsaves 64(%rdi)", "")
ROW(clac, SYSTEM, "CLAC", "", PRIVILEGED, TRAPS(UD, 0), SMAP, 0, NULL, "", "clac", "")
ROW(stac, SYSTEM, "STAC", "", PRIVILEGED, TRAPS(UD, 0), SMAP, 0, NULL, "", "stac", "")
ROW(monitor, SYSTEM, "MONITOR", "", PRIVILEGED, TRAPS(UD, 0), MONITOR, 0, NULL,
    "movq %rdi, %rax", "monitor", "")
ROW(mwait, SYSTEM, "MWAIT", "", PRIVILEGED, TRAPS(UD, 0), MONITOR, 0, NULL,
    "movl $0, %eax", "mwait", "")

/* Caches and translations. */
ROW(invlpg, CACHE, "INVLPG", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "invlpg (%rdi)", "")
ROW(invpcid, CACHE, "INVPCID", "one address", PRIVILEGED, TRAPS(GP, 0), INVPCID, 0, NULL,
    "movq $0, 32(%rdi)\n movq %rdi, 40(%rdi)", "invpcid 32(%rdi), %rcx", "")
ROW(invd, CACHE, "INVD", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "invd", "")
ROW(wbinvd, CACHE, "WBINVD", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "wbinvd", "")

/* Returns of the kernel. SYSEXIT does not exist in AMD's long mode: #UD there. */
ROW(swapgs, MODE, "SWAPGS", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL, "", "swapgs", "swapgs")
ROW(sysret, MODE, "SYSRETQ", "", PRIVILEGED, TRAPS(GP, 0), NONE, 0, NULL,
    "leaq 1f(%rip), %rcx\n pushfq\n popq %r11", "sysretq", "1: ")
ROW(sysexit, MODE, "SYSEXIT", "", PRIVILEGED, TRAPS_OR_ABSENT(GP, 0), NONE, 0, NULL,
    "", "sysexitl", "")
ROW(rsm, MODE, "RSM", "outside SMM", PRIVILEGED, TRAPS(UD, 0), NONE, 0, NULL, "", "rsm", "")

/* Hardware assistance: #UD unless the kernel turned it on, then #GP(0). */
ROW(vmxon, HARDWARE, "VMXON", "", PRIVILEGED, TRAPS(GP, 0), VMX, 0, NULL,
    "movq $0, 32(%rdi)", "vmxon 32(%rdi)", "")
ROW(vmxoff, HARDWARE, "VMXOFF", "", PRIVILEGED, TRAPS(GP, 0), VMX, 0, NULL, "", "vmxoff", "")
ROW(vmread, HARDWARE, "VMREAD", "", PRIVILEGED, TRAPS(GP, 0), VMX, 0, NULL,
    "", "vmread %rcx, %rax", "")
ROW(vmrun, HARDWARE, "VMRUN", "", PRIVILEGED, TRAPS(GP, 0), SVM, 0, NULL,
    "movl $0, %eax", ".byte 0x0f, 0x01, 0xd8", "")
ROW(vmload, HARDWARE, "VMLOAD", "", PRIVILEGED, TRAPS(GP, 0), SVM, 0, NULL,
    "movl $0, %eax", ".byte 0x0f, 0x01, 0xda", "")
ROW(clgi, HARDWARE, "CLGI", "", PRIVILEGED, TRAPS(GP, 0), SVM, 0, NULL, "", "clgi", "")
/* Hypercalls reach a hypervisor's own code, so only on demand, with a number that nobody uses. */
ROW(vmcall, HARDWARE, "VMCALL", "unused number", VECTORS, ANSWERED, NONE, NEED_HYPERCALLS,
    judge_hypercall,
    "movl $0x7fffffff, %eax", "vmcall", "")
ROW(vmmcall, HARDWARE, "VMMCALL", "unused number", VECTORS, ANSWERED, NONE, NEED_HYPERCALLS,
    judge_hypercall,
    "movl $0x7fffffff, %eax", "vmmcall", "")
/* clang-format on */
