/* SPDX-License-Identifier: MIT */
/*
 * The machine code of every row, assembled from the tables into a section of its own.
 *
 * A row becomes  probe_code_ID: before  probe_insn_ID: instruction  probe_next_ID: after; ret
 * probe_end_ID:  so that a trap's address can be compared with the instruction's, and the
 * instruction's bytes shown. Nothing in it refers to an absolute address: child.c copies the
 * section below 4 GiB, because a far jump with a 32-bit pointer and 32-bit code need that. (AMD
 * ignores REX.W on far JMP and CALL, so the 64-bit pointer is no way out.)
 */
#include "code.h"

/* clang-format off */
#define CODE_START(id) \
    "probe_code_" #id ":\n"
#define CODE_LABELS(id) \
    ".globl probe_code_" #id ", probe_insn_" #id ", probe_next_" #id ", probe_end_" #id "\n" \
    ".hidden probe_code_" #id ", probe_insn_" #id ", probe_next_" #id ", probe_end_" #id "\n"
#define CODE_BODY(id, before, instruction, after) \
    before "\nprobe_insn_" #id ":\n" instruction "\nprobe_next_" #id ":\n" after "\n"

#define ROW(id, group, mnemonic, operation, model, expect, feature, needs, judge, \
            before, instruction, after) \
    __asm__(".pushsection origami_probe, \"ax\", @progbits\n" CODE_LABELS(id) CODE_START(id) \
            CODE_BODY(id, before, instruction, after) \
            "ret\nprobe_end_" #id ":\n.popsection\n");
#include "instructions_64.h"
#include "instructions_system.h"
#undef ROW

#define ROW(id, group, mnemonic, operation, model, expect, feature, needs, judge, \
            before, instruction, after) \
    __asm__(".pushsection origami_probe, \"ax\", @progbits\n.code32\n" \
            CODE_LABELS(id) CODE_START(id) CODE_BODY(id, before, instruction, after) \
            "ljmpl *8(%edi)\nprobe_end_" #id ":\n.code64\n.popsection\n");
#include "instructions_32.h"
#undef ROW

/*
 * RSP is kept in the scratch memory: the upper halves of registers are undefined after 32-bit
 * code, although CPUs keep them. DS and ES are null in a 64-bit Linux process.
 */
__asm__(".pushsection origami_probe, \"ax\", @progbits\n"
        ".globl probe_gate_32, probe_gate_back\n"
        ".hidden probe_gate_32, probe_gate_back\n"
        "probe_gate_32:\n"
        "    movq %rsp, (%rdi)\n"
        "    movl %ss, %ecx\n"
        "    movl %ecx, %ds\n"
        "    movl %ecx, %es\n"
        "    leaq 4032(%rdi), %rsp\n"
        "    pushq $0x23\n"
        "    pushq %rsi\n"
        "    movl $0, %ecx\n"
        "    lretq\n"
        "probe_gate_back:\n"
        "    movl %edi, %edi\n"
        "    movq (%rdi), %rsp\n"
        "    ret\n"
        ".popsection\n");

/* struct probe_registers: rax 0, rbx 8, rcx 16, rdx 24, rsi 32, rdi 40, rflags 48. */
_Static_assert(offsetof(struct probe_registers, rdi) == 40, "layout used below");
_Static_assert(offsetof(struct probe_registers, rflags) == 48, "layout used below");

__asm__(".text\n"
        ".globl probe_enter\n"
        ".hidden probe_enter\n"
        ".type probe_enter, @function\n"
        "probe_enter:\n"
        "    pushq %rbx\n"
        "    pushq %rbp\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    pushq %rdi\n"
        "    movq %rdi, %r10\n"
        "    movq %rsi, %r11\n"
        "    movq 0(%r10), %rax\n"
        "    movq 8(%r10), %rbx\n"
        "    movq 16(%r10), %rcx\n"
        "    movq 32(%r10), %rsi\n"
        "    movq 40(%r10), %rdi\n"
        "    pushfq\n"
        "    orq %rdx, (%rsp)\n"
        "    movq 24(%r10), %rdx\n"
        "    popfq\n"
        "    call *%r11\n"
        "    pushfq\n"
        "    movq 8(%rsp), %r11\n"
        "    movq %rax, 0(%r11)\n"
        "    movq %rbx, 8(%r11)\n"
        "    movq %rcx, 16(%r11)\n"
        "    movq %rdx, 24(%r11)\n"
        "    movq %rsi, 32(%r11)\n"
        "    movq %rdi, 40(%r11)\n"
        "    popq %rax\n"
        "    movq %rax, 48(%r11)\n"
        "    cld\n"
        "    popq %rdi\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    ret\n"
        ".size probe_enter, . - probe_enter\n");
/* clang-format on */
