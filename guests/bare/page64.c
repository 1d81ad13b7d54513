/* SPDX-License-Identifier: MIT */
/* The paging structures of page.h, 4-level. */
#include "page.h"

extern u64 boot_pml4[];

u64 page_table[LEVELS - 1][512] __attribute__((aligned(4096)));
u8 page_frame[8192] __attribute__((aligned(4096)));

u64 *page_entry(enum level level)
{
    return level == PML4 ? &boot_pml4[PAGE_VA >> 39] : &page_table[level][0];
}

void page_flush(void)
{
    invlpg(PAGE_VA);
    write_cr3(read_cr3());
}

void page_default(void)
{
    u64 flags = PTE_P | PTE_W | PTE_U;

    for (u32 i = 0; i < 512; i++)
        page_table[PT][i] = 0;
    page_frame[0] = 0xcd; /* int 0xf0, the target of a fetch */
    page_frame[1] = 0xf0;
    *page_entry(PML4) = (ulong)page_table[PDPT] | flags;
    *page_entry(PDPT) = (ulong)page_table[PD] | flags;
    *page_entry(PD) = (ulong)page_table[PT] | flags;
    *page_entry(PT) = (ulong)page_frame | flags;
    page_flush();
}

void page_access(enum mode mode, enum access access, ulong va)
{
    in.bx = va;
    in.ax = 0xcd; /* a write leaves the page as it was */
    run(mode, access == READ    ? CODE("mov al, [rbx]")
              : access == WRITE ? CODE("mov [rbx], al")
                                : CODE("jmp rbx"));
}
