/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 entry of the long-mode images.
 *
 * Contract: entered in flat 32-bit protected mode without paging (Multiboot 0.6.96 section 3.2);
 * builds 4-level tables that map the first 4 GiB one to one for the supervisor (2 MiB pages),
 * enters long mode as in Intel SDM Vol 3 10.8.5 and calls guest_main(magic, info).
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x3

    .section .multiboot, "a"
    .balign 4
    .long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

    .text
    .code32
    .globl _start
_start:
    cli
    cld
    movl $main_stack_top, %esp
    movl %eax, %edi             /* first argument: the loader's magic */
    movl %ebx, %esi             /* second: the multiboot information */
    movl $boot_pml4, %eax
    movl $boot_pdpt + 7, (%eax)
    movl $boot_pdpt, %eax
    movl $boot_pd + 3, %edx
    movl $4, %ecx
1:  movl %edx, (%eax)           /* the four page directories */
    addl $8, %eax
    addl $4096, %edx
    loop 1b
    movl $boot_pd, %eax
    movl $0x83, %edx            /* PS | W | P */
    movl $2048, %ecx
2:  movl %edx, (%eax)
    addl $8, %eax
    addl $0x200000, %edx
    loop 2b

    movl %cr4, %eax
    orl $0x20, %eax             /* PAE */
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx      /* EFER: LME, NXE, SCE */
    rdmsr
    orl $0x901, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80010002, %eax       /* PG | WP | MP */
    movl %eax, %cr0
    lgdt boot_gdtr
    ljmp $8, $start64

    .code64
start64:
    movl $0x10, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    movl $main_stack_top, %esp
    movl %edi, %edi
    movl %esi, %esi
    call guest_main
3:  hlt
    jmp 3b

    .data
    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
    .word 23
    .quad boot_gdt

    .bss
    .globl boot_pml4, boot_pdpt, boot_pd
    .balign 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 4 * 4096
    .skip 32768
main_stack_top:
    .section .note.GNU-stack, "", @progbits
