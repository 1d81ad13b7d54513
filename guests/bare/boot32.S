/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 entry of the 32-bit protected-mode images.
 *
 * Contract: entered flat, unpaged (Multiboot 0.6.96 section 3.2); maps 4 GiB one to one for the
 * supervisor with 4 MiB pages of 32-bit paging (Intel SDM Vol 3 4.3) and calls
 * guest_main(magic, info).
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x3

    .section .multiboot, "a"
    .balign 4
    .long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

    .text
    .globl _start
_start:
    cli
    cld
    movl $main_stack_top, %esp
    movl %eax, %edi
    movl $boot_pd, %eax
    movl $0x83, %edx            /* PS | W | P */
    movl $1024, %ecx
1:  movl %edx, (%eax)
    addl $4, %eax
    addl $0x400000, %edx
    loop 1b
    movl %cr4, %eax
    orl $0x10, %eax             /* PSE */
    movl %eax, %cr4
    movl $boot_pd, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010002, %eax       /* PG | WP | MP */
    movl %eax, %cr0
    lgdt boot_gdtr
    ljmp $8, $2f
2:  movl $0x10, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    pushl %ebx
    pushl %edi
    call guest_main
3:  hlt
    jmp 3b

    .data
    .balign 8
boot_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
    .word 23
    .long boot_gdt

    .bss
    .globl boot_pd
    .balign 4096
boot_pd: .skip 4096
    .skip 32768
main_stack_top:
    .section .note.GNU-stack, "", @progbits
