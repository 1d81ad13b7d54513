/* SPDX-License-Identifier: MIT */
/* start.S - where the kernel enters the engine process, the change of stack, and signal return. */
    .text
    .globl _start
    .hidden _start
    .type _start, @function
_start:
    xor %ebp, %ebp
    and $-16, %rsp
    call engine_start
    ud2

/* void engine_switch(uint64_t stack, uint64_t function, uint64_t argument): does not return. */
    .globl engine_switch
    .hidden engine_switch
    .type engine_switch, @function
engine_switch:
    mov %rdi, %rsp
    mov %rdx, %rdi
    xor %ebp, %ebp
    call *%rsi
    ud2

    .globl engine_sigreturn
    .hidden engine_sigreturn
    .type engine_sigreturn, @function
engine_sigreturn:
    mov $15, %eax
    syscall
    ud2

    .section .note.GNU-stack, "", @progbits
