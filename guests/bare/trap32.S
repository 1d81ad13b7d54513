/* SPDX-License-Identifier: MIT */
/*
 * Trap entry and snippet entry, 32-bit protected mode; the contract is that of trap64.S.
 */
    .text
    .globl trap_stubs
    .balign 16
trap_stubs:
    .set n, 0
    .rept 256
    .balign 16
    .if !(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
    push $0
    .endif
    push $n
    jmp trap_common
    .set n, n + 1
    .endr

trap_common:
    pusha
    push %ds
    push %es
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %esp, %ebx
    and $-16, %esp
    sub $12, %esp
    push %ebx
    cld
    call trap
    mov %ebx, %esp
    test %eax, %eax
    jnz finish
load_frame:
    pop %es
    pop %ds
    popa
    add $8, %esp
    .globl frame_iret
frame_iret:
    iret

    .globl run_enter
run_enter:                      /* void run_enter(struct frame *) */
    push %ebx
    push %ebp
    push %esi
    push %edi
    mov 20(%esp), %eax
    mov %esp, harness_sp
    mov %eax, %esp
    jmp load_frame

finish:
    mov $0x10, %eax
    mov %eax, %ss
    mov %eax, %ds
    mov %eax, %es
    mov harness_sp, %esp
    push $2
    popf
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    ret

    .bss
    .balign 4
harness_sp: .skip 4
    .section .note.GNU-stack, "", @progbits
