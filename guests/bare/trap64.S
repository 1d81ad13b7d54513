/* SPDX-License-Identifier: MIT */
/*
 * Trap entry and snippet entry, 64-bit.
 *
 * Contract: trap_stubs holds 256 entries of 16 bytes. Each ends in trap(struct frame *): zero
 * means resume the interrupted code, non-zero means return from the run_enter() in progress.
 * The frame on the stack has the layout of struct frame in guest.h.
 */
    .text
    .globl trap_stubs
    .balign 16
trap_stubs:
    .set n, 0
    .rept 256
    .balign 16
    .if !(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
    push $0                     /* vectors without an error code, SDM Vol 3 table 6-1 */
    .endif
    push $n
    jmp trap_common
    .set n, n + 1
    .endr

trap_common:
    push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %rbp
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %ds, %eax
    push %rax
    mov %es, %eax
    push %rax
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    cld
    call trap
    mov %rbx, %rsp
    test %eax, %eax
    jnz finish
load_frame:
    pop %rax
    mov %eax, %es
    pop %rax
    mov %eax, %ds
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rbp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rbx
    pop %rax
    add $16, %rsp
    .globl frame_iret
frame_iret:
    iretq

    .globl run_enter
run_enter:                      /* void run_enter(struct frame *) */
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, harness_sp
    mov %rdi, %rsp
    jmp load_frame

finish:
    mov $0x10, %eax
    mov %eax, %ss
    mov %eax, %ds
    mov %eax, %es
    mov harness_sp, %rsp
    push $2
    popf
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .bss
    .balign 8
harness_sp: .skip 8
    .section .note.GNU-stack, "", @progbits
