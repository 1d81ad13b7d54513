/* SPDX-License-Identifier: MIT */
/*
 * Rows for instructions that user mode may at least try: flags, selectors, descriptors, table
 * registers, far transfers, vectors, readers. Included several times with different ROW macros.
 *
 * ROW(id, group, mnemonic, operation, model, expectation, feature, needs, judge,
 *     before, instruction, after)
 *
 * The last three are AT&T assembly, run in this order as a function: RDI is 64 bytes and more of
 * writable memory filled with 0xa5 (bytes 0-31 are not the row's), RAX holds 0xa5 in every byte,
 * RBX RCX RDX are 0; RAX RBX RCX RDX and RFLAGS afterwards are the result. Only `instruction` is
 * under test: a trap elsewhere is not evidence. Selectors are Linux's: 0x10 kernel code, 0x18
 * kernel data, 0x2b user data, 0x7b per-CPU.
 *
 * Manuals: Intel SDM volume 2 (instruction pages, "Protected Mode Exceptions"); AMD APM volume 3.
 */
/* clang-format off */

/* The probe's own controls: if these fail, nothing else is believed. */
ROW(nop, CONTROL, "NOP", "executes", INNOCUOUS, RUNS, NONE, NEED_STEP, judge_nop,
    "", "nop", "nop")
ROW(ud2, CONTROL, "UD2", "raises #UD", VECTORS, TRAPS(UD, 0), NONE, 0, NULL,
    "", "ud2", "")

/* Sensitive flags: PUSHF reads them, POPF and IRET keep them without a word when CPL > IOPL. */
ROW(pushf, FLAGS, "PUSHFQ", "reads IF, IOPL", CRITICAL, RUNS, NONE, 0, judge_pushf,
    "", "pushfq", "popq %rax")
ROW(popf_if, FLAGS, "POPFQ", "IF := 0", CRITICAL, RUNS, NONE, NEED_IOPL_0, judge_if_kept,
    "pushfq\n pushfq\n andq $~0x200, (%rsp)", "popfq", "pushfq\n popq %rax\n popfq")
ROW(popf_iopl, FLAGS, "POPFQ", "IOPL := 3", CRITICAL, RUNS, NONE, NEED_IOPL_0, judge_iopl_kept,
    "pushfq\n pushfq\n orq $0x3000, (%rsp)", "popfq", "pushfq\n popq %rax\n popfq")
ROW(iret_if, FLAGS, "IRETQ", "IF := 0", CRITICAL, RUNS, NONE, NEED_IOPL_0 | NEED_FAR_STACK,
    judge_if_kept,
    "movq %rsp, %rdx\n movl %ss, %ecx\n pushq %rcx\n pushq %rdx\n pushfq\n andq $~0x200, (%rsp)\n"
    "movl %cs, %ecx\n pushq %rcx\n leaq 1f(%rip), %rcx\n pushq %rcx",
    "iretq", "1: pushfq\n popq %rax")
ROW(iret_iopl, FLAGS, "IRETQ", "IOPL := 3", CRITICAL, RUNS, NONE, NEED_IOPL_0 | NEED_FAR_STACK,
    judge_iopl_kept,
    "movq %rsp, %rdx\n movl %ss, %ecx\n pushq %rcx\n pushq %rdx\n pushfq\n orq $0x3000, (%rsp)\n"
    "movl %cs, %ecx\n pushq %rcx\n leaq 1f(%rip), %rcx\n pushq %rcx",
    "iretq", "1: pushfq\n popq %rax")
ROW(iret_kernel, FLAGS, "IRETQ", "to kernel CS", PARTIAL, TRAPS(GP, 0x10), NONE, NEED_FAR_STACK, NULL,
    "movq %rsp, %rdx\n movl %ss, %ecx\n pushq %rcx\n pushq %rdx\n pushfq\n"
    "pushq $0x10\n leaq 1f(%rip), %rcx\n pushq %rcx",
    "iretq", "1: ")

/* Selectors: CS and SS show CPL. PUSH CS, PUSH SS exist in 32-bit code only. */
ROW(mov_from_cs, SELECTOR, "MOV r,CS", "shows CPL", CRITICAL, RUNS, NONE, 0, judge_shows_cpl,
    "", "movl %cs, %eax", "")
ROW(mov_from_ss, SELECTOR, "MOV r,SS", "shows CPL", CRITICAL, RUNS, NONE, 0, judge_shows_cpl,
    "", "movl %ss, %eax", "")
ROW(mov_from_ds, SELECTOR, "MOV r,DS", "own selector", INNOCUOUS, RUNS, NONE, 0, NULL,
    "", "movl %ds, %eax", "")
ROW(push_gs, SELECTOR, "PUSH GS", "own selector", INNOCUOUS, RUNS, NONE, 0, NULL,
    "", "pushq %gs", "popq %rax")
ROW(mov_to_ds_user, SELECTOR, "MOV DS,r", "user data", PARTIAL, RUNS, NONE, 0, judge_unprivileged,
    "movl $0x2b, %ecx", "movl %ecx, %ds", "")
ROW(mov_to_ds_kernel, SELECTOR, "MOV DS,r", "kernel data", PARTIAL, TRAPS(GP, 0x18), NONE, 0, NULL,
    "movl $0x18, %ecx", "movl %ecx, %ds", "")
ROW(mov_to_ss_user, SELECTOR, "MOV SS,r", "own selector", PARTIAL, RUNS, NONE, 0,
    judge_unprivileged,
    "movl %ss, %ecx", "movl %ecx, %ss", "")
ROW(mov_to_ss_kernel, SELECTOR, "MOV SS,r", "kernel data", PARTIAL, TRAPS(GP, 0x18), NONE, 0, NULL,
    "movl $0x18, %ecx", "movl %ecx, %ss", "")
ROW(pop_gs_user, SELECTOR, "POP GS", "user data", PARTIAL, RUNS, NONE, 0, judge_unprivileged,
    "pushq $0x2b", "popq %gs", "")
ROW(pop_gs_kernel, SELECTOR, "POP GS", "kernel data", PARTIAL, TRAPS(GP, 0x18), NONE, 0, NULL,
    "pushq $0x18", "popq %gs", "")
ROW(lss_kernel, SELECTOR, "LSS", "kernel data", PARTIAL, TRAPS(GP, 0x18), NONE, 0, NULL,
    "movl $0, 32(%rdi)\n movw $0x18, 36(%rdi)", "lssl 32(%rdi), %eax", "")

/* Descriptor readers: ZF tells whether CPL may see it. Each first does the user's own: DL, then
 * the kernel's: CL. */
ROW(lar, DESCRIPTOR, "LAR", "kernel code", CRITICAL, RUNS, NONE, 0, judge_zero_flags,
    "movl %cs, %ecx\n larl %ecx, %eax\n setz %dl\n movl $0x10, %ecx",
    "larl %ecx, %eax", "setz %cl")
ROW(lsl, DESCRIPTOR, "LSL", "kernel code", CRITICAL, RUNS, NONE, 0, judge_zero_flags,
    "movl %cs, %ecx\n lsll %ecx, %eax\n setz %dl\n movl $0x10, %ecx",
    "lsll %ecx, %eax", "setz %cl")
ROW(verr, DESCRIPTOR, "VERR", "kernel data", CRITICAL, RUNS, NONE, 0, judge_zero_flags,
    "movl %ss, %ecx\n verr %cx\n setz %dl\n movl $0x18, %ecx",
    "verr %cx", "setz %cl")
ROW(verw, DESCRIPTOR, "VERW", "kernel data", CRITICAL, RUNS, NONE, 0, judge_zero_flags,
    "movl %ss, %ecx\n verw %cx\n setz %dl\n movl $0x18, %ecx",
    "verw %cx", "setz %cl")
ROW(lsl_cpu, DESCRIPTOR, "LSL", "CPU number in 0x7b", CRITICAL, RUNS, NONE, 0, judge_lsl_cpu,
    "movl $0x7b, %ecx\n movl $0, %eax", "lsll %ecx, %eax", "setz %cl")

/* Table registers and machine status: native without UMIP, #GP(0) with it, and Linux emulates. */
ROW(sgdt, TABLE, "SGDT", "GDT's address", UMIP, EITHER(GP, 0), NONE, NEED_STEP, judge_sgdt,
    "", "sgdt 32(%rdi)", "nop")
ROW(sidt, TABLE, "SIDT", "IDT's address", UMIP, EITHER(GP, 0), NONE, NEED_STEP, judge_sidt,
    "", "sidt 32(%rdi)", "nop")
ROW(sldt, TABLE, "SLDT r32", "LDT's selector", UMIP, EITHER(GP, 0), NONE, NEED_STEP, judge_sldt,
    "", "sldt %eax", "nop")
ROW(str, TABLE, "STR r32", "task's selector", UMIP, EITHER(GP, 0), NONE, NEED_STEP, judge_str,
    "", "str %eax", "nop")
ROW(smsw, TABLE, "SMSW r32", "CR0", UMIP, EITHER(GP, 0), NONE, NEED_STEP, judge_smsw,
    "", "smsw %eax", "nop")

/* Far transfers: free within a ring, checked between rings. */
ROW(ret_far_same, FAR, "RET far", "same CS", CRITICAL, RUNS, NONE, NEED_FAR_STACK,
    judge_unprivileged,
    "movl %cs, %ecx\n pushq %rcx\n leaq 1f(%rip), %rcx\n pushq %rcx", "lretq", "1: ")
ROW(ret_far_kernel, FAR, "RET far", "kernel CS", CRITICAL, TRAPS(GP, 0x10), NONE, NEED_FAR_STACK,
    NULL,
    "pushq $0x10\n leaq 1f(%rip), %rcx\n pushq %rcx", "lretq", "1: ")
ROW(jmp_far_same, FAR, "JMP far", "same CS", CRITICAL, RUNS, NONE, NEED_LOW, judge_unprivileged,
    "leal 1f(%rip), %eax\n movl %eax, 32(%rdi)\n movw %cs, 36(%rdi)", "ljmpl *32(%rdi)", "1: ")
ROW(jmp_far_kernel, FAR, "JMP far", "kernel CS", CRITICAL, TRAPS(GP, 0x10), NONE, NEED_LOW, NULL,
    "leal 1f(%rip), %eax\n movl %eax, 32(%rdi)\n movw $0x10, 36(%rdi)", "ljmpl *32(%rdi)", "1: ")
/* On a stack below 4 GiB: QEMU 7.2's emulator truncates RSP here and writes with the kernel's
 * rights, which would harm its guest. */
ROW(call_far_same, FAR, "CALL far", "same CS", CRITICAL, RUNS, NONE, NEED_LOW | NEED_FAR_STACK,
    judge_unprivileged,
    "leal 1f(%rip), %eax\n movl %eax, 32(%rdi)\n movw %cs, 36(%rdi)\n"
    "movq %rsp, 48(%rdi)\n leaq 2048(%rdi), %rsp",
    "lcalll *32(%rdi)", "1: movq 48(%rdi), %rsp")
ROW(call_far_kernel, FAR, "CALL far", "kernel CS", CRITICAL, TRAPS(GP, 0x10), NONE,
    NEED_LOW | NEED_FAR_STACK, NULL,
    "leal 1f(%rip), %eax\n movl %eax, 32(%rdi)\n movw $0x10, 36(%rdi)\n"
    "movq %rsp, 48(%rdi)\n leaq 2048(%rdi), %rsp",
    "lcalll *32(%rdi)", "1: movq 48(%rdi), %rsp")

/* Vectors: error code = 8 * vector + 2 where the gate's DPL refuses. */
ROW(int3, VECTOR, "INT3", "breakpoint", VECTORS, TRAPS(BP, 0), NONE, 0, NULL,
    "", "int3", "")
ROW(int_42, VECTOR, "INT 0x42", "a gate of DPL 0", VECTORS, TRAPS(GP, 0x212), NONE, 0, NULL,
    "", "int $0x42", "")
ROW(int_80, VECTOR, "INT 0x80", "a gate of DPL 3", VECTORS, EITHER(GP, 0x402), NONE, 0,
    judge_int_80,
    "movl $20, %eax", "int $0x80", "")
ROW(syscall, VECTOR, "SYSCALL", "getpid", VECTORS, RUNS, NONE, 0, judge_int_80,
    "movl $39, %eax", "syscall", "")

/* Readers of state outside M and R. The rows with TSD or CPUID faulting show the gate closed. */
ROW(cpuid, READER, "CPUID", "leaf 0", READER, EITHER(GP, 0), NONE, NEED_STEP, judge_reads,
    "movl $0, %eax", "cpuid", "nop")
ROW(cpuid_closed, READER, "CPUID", "CPUID faulting on", READER, TRAPS(GP, 0), NONE,
    NEED_CPUID_FAULT, NULL,
    "movl $0, %eax", "cpuid", "")
ROW(rdtsc, READER, "RDTSC", "clock", READER, EITHER(GP, 0), NONE, 0, judge_reads,
    "", "rdtsc", "")
ROW(rdtsc_closed, READER, "RDTSC", "CR4.TSD on", READER, TRAPS(GP, 0), NONE, NEED_TSD, NULL,
    "", "rdtsc", "")
ROW(rdtscp, READER, "RDTSCP", "clock, TSC_AUX", READER, EITHER(GP, 0), RDTSCP, 0, judge_aux_rcx,
    "", "rdtscp", "")
ROW(rdtscp_closed, READER, "RDTSCP", "CR4.TSD on", READER, TRAPS(GP, 0), RDTSCP, NEED_TSD, NULL,
    "", "rdtscp", "")
ROW(rdpmc, READER, "RDPMC", "counter 0", READER, EITHER(GP, 0), NONE, 0, judge_reads,
    "", "rdpmc", "")
ROW(rdpid, READER, "RDPID", "TSC_AUX", READER, RUNS, RDPID, 0, judge_aux_rax,
    "", "rdpid %rax", "")
ROW(rdpru, READER, "RDPRU", "MPERF", READER, RUNS, RDPRU, 0, judge_reads,
    "", ".byte 0x0f, 0x01, 0xfd", "")
ROW(xgetbv, READER, "XGETBV", "XCR0", READER, RUNS, XSAVE, 0, judge_reads,
    "", "xgetbv", "")
ROW(rdfsbase, READER, "RDFSBASE", "own base", INNOCUOUS, RUNS, FSGSBASE, 0, NULL,
    "", "rdfsbase %rax", "")
ROW(rdgsbase, READER, "RDGSBASE", "own base", INNOCUOUS, RUNS, FSGSBASE, 0, NULL,
    "", "rdgsbase %rax", "")
ROW(wrgsbase, READER, "WRGSBASE", "own base", INNOCUOUS, RUNS, FSGSBASE, 0, NULL,
    "rdgsbase %rax", "wrgsbase %rax", "")
ROW(rdpkru, READER, "RDPKRU", "own key rights", INNOCUOUS, RUNS, PKU, 0, NULL,
    "", "rdpkru", "")
ROW(wrpkru, READER, "WRPKRU", "own key rights", INNOCUOUS, RUNS, PKU, 0, NULL,
    "rdpkru", "wrpkru", "")
/* clang-format on */
