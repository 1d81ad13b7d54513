/* SPDX-License-Identifier: MIT */
/*
 * Paging of flat 32-bit protected mode: off, 32-bit (2-level, 4 MiB pages) and PAE (SDM Vol 3 4.3,
 * 4.4). The code, the stacks and the tables themselves stay mapped one to one in every mode.
 */
#include "guest.h"

extern u32 boot_pd[];

static u32 table[1024] __attribute__((aligned(4096))); /* 32-bit: for TEST_VA */
static u8 frame[8192] __attribute__((aligned(4096)));  /* mapped at TEST_VA */
static u64 pdpt[4] __attribute__((aligned(32)));       /* PAE */
static u64 pae_pd[4][512] __attribute__((aligned(4096)));
static u64 pae_pt[512] __attribute__((aligned(4096)));

#define PDE      boot_pd[TEST_VA >> 22]
#define PWU      7u
#define AD_FLAGS (PTE_A | PTE_D)

enum access { READ, WRITE, FETCH };

static void page_access(enum mode mode, enum access access, ulong va)
{
    in.bx = va;
    in.ax = 0xcd;
    run(mode, access == READ    ? CODE("mov al, [ebx]")
              : access == WRITE ? CODE("mov [ebx], al")
                                : CODE("jmp ebx"));
}

static void two_level(u32 pde_flags, u32 pte_flags)
{
    frame[0] = 0xcd;
    frame[1] = 0xf0;
    table[0] = (u32)frame | pte_flags;
    table[1] = 0;
    PDE = (u32)table | pde_flags;
    write_cr3(read_cr3());
}

CHECKS(paging_off)
{
    write_cr0(read_cr0() & ~CR0_PG);
    run(K32, CODE("mov eax, cr0"));
    check_done("unpaged.cpl0");
    in.bx = (ulong)frame;
    in.cs = UCS32, in.ss = in.ds = in.es = UDS; /* without paging the user sees everything */
    in.sp = (ulong)user_stack + 4096;
    in.ax = 0x55;
    run(K32, CODE("mov [ebx], al"));
    check_done("unpaged.cpl3");
    check_value("unpaged.write", frame[0], 0x55);
    in.cs = UCS32, in.ss = in.ds = in.es = UDS;
    in.sp = (ulong)user_stack + 4096;
    run(K32, CODE("cli"));
    check_fault_at("unpaged.cpl3.cli", GP, 0, 0);
    write_cr0(read_cr0() | CR0_PG);
}

CHECKS(paging_two_level)
{
    static const struct {
        const char *name;
        u32 pde, pte;
        enum mode mode;
        enum access access;
        u32 wp;
        int error; /* -1: none */
    } rows[] = {
        { "user_read", 7, 7, U32, READ, 1, -1 },
        { "user_write", 7, 7, U32, WRITE, 1, -1 },
        { "user_fetch", 7, 7, U32, FETCH, 1, -1 },
        { "user_read_supervisor_pte", 7, 3, U32, READ, 1, ERR_P | ERR_U },
        { "user_read_supervisor_pde", 3, 7, U32, READ, 1, ERR_P | ERR_U },
        { "user_write_ro_pte", 7, 5, U32, WRITE, 1, ERR_P | ERR_W | ERR_U },
        { "user_write_ro_pde", 5, 7, U32, WRITE, 1, ERR_P | ERR_W | ERR_U },
        { "user_write_ro_wp0", 7, 5, U32, WRITE, 0, ERR_P | ERR_W | ERR_U },
        { "kernel_write_ro_wp1", 7, 5, K32, WRITE, 1, ERR_P | ERR_W },
        { "kernel_write_ro_wp0", 7, 5, K32, WRITE, 0, -1 },
        { "kernel_read_ro", 3, 1, K32, READ, 1, -1 },
        { "user_np_pde", 6, 7, U32, READ, 1, ERR_U },
        { "user_np_pte_write", 7, 6, U32, WRITE, 1, ERR_U | ERR_W },
        { "kernel_np", 7, 0, K32, READ, 1, 0 },
        { "user_fetch_np", 7, 0, U32, FETCH, 1, ERR_U }, /* no I bit without NX and SMEP */
    };
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        write_cr0((read_cr0() & ~CR0_WP) | (rows[i].wp ? CR0_WP : 0));
        two_level(rows[i].pde, rows[i].pte);
        page_access(rows[i].mode, rows[i].access, TEST_VA);
        if (rows[i].error < 0)
            check_done(join("p32.", rows[i].name, ""));
        else
            check_fault(join("p32.", rows[i].name, ""), PF, (u32)rows[i].error);
    }
    write_cr0(read_cr0() | CR0_WP);
    two_level(PWU, PWU);
    page_access(U32, READ, TEST_VA);
    check_value("p32.read.accessed", table[0] & AD_FLAGS, PTE_A);
    check_value("p32.read.pde_accessed", PDE & AD_FLAGS, PTE_A);
    page_access(U32, WRITE, TEST_VA);
    check_value("p32.write.dirty", table[0] & AD_FLAGS, AD_FLAGS);
    check_value("p32.write.pde_not_dirty", PDE & AD_FLAGS, PTE_A);
    in.bx = TEST_VA + 0xffe;
    run(U32, CODE("mov [ebx], eax"));
    check_fault_at("p32.across", PF, ERR_W | ERR_U, 0);
    check_value("p32.across.cr2", out.cr2, TEST_VA + 0x1000);

    PDE = 0x80 | PWU; /* 4 MiB page of physical 0 */
    write_cr3(read_cr3());
    in.bx = TEST_VA + (ulong)frame;
    run(U32, CODE("mov ax, [ebx]"));
    check_value("p32.4m.reads", out.f.ax & 0xffff, 0xf0cd);
    check_value("p32.4m.accessed", PDE & AD_FLAGS, PTE_A);
    page_access(U32, WRITE, TEST_VA + (ulong)frame);
    check_value("p32.4m.dirty", PDE & AD_FLAGS, AD_FLAGS);
    PDE = 1u << 21 | 0x80 | PWU; /* bit 21 is reserved in a 4 MiB entry */
    write_cr3(read_cr3());
    page_access(U32, READ, TEST_VA);
    check_fault("rsvd.p32.4m", PF, ERR_P | ERR_U | ERR_RSVD);
    PDE = 0;
    write_cr3(read_cr3());
    /* SMEP makes the I bit appear */
    if (has(HAS_SMEP)) {
        two_level(PWU, PWU);
        write_cr4(read_cr4() | CR4_SMEP);
        page_access(K32, FETCH, TEST_VA);
        check_fault("p32.smep", PF, ERR_P | ERR_I);
        write_cr4(read_cr4() & ~CR4_SMEP);
    }
    if (has(HAS_SMAP)) {
        two_level(PWU, PWU);
        write_cr4(read_cr4() | CR4_SMAP);
        page_access(K32, READ, TEST_VA);
        check_fault("p32.smap", PF, ERR_P);
        in.flags = FL_AC;
        page_access(K32, READ, TEST_VA);
        check_done("p32.smap_ac");
        write_cr4(read_cr4() & ~CR4_SMAP);
    }
    PDE = 0;
}

static void pae_build(void)
{
    for (u32 i = 0; i < 4; i++) {
        pdpt[i] = (u32)pae_pd[i] | PTE_P;
        for (u32 k = 0; k < 512; k++)
            pae_pd[i][k] = (u64)i << 30 | (u64)k << 21 | PTE_PS | PTE_W | PTE_P;
    }
    for (u32 k = 0; k < 8; k++) /* the user's alias */
        pae_pd[ALIAS >> 30][(ALIAS >> 21 & 511) + k] =
            (u64)k << 21 | PTE_PS | PTE_U | PTE_W | PTE_P;
    pae_pt[0] = (u32)frame | PWU;
    pae_pt[1] = 0;
    pae_pd[TEST_VA >> 30][TEST_VA >> 21 & 511] = (u32)pae_pt | PWU;
    frame[0] = 0xcd;
    frame[1] = 0xf0;
}

static void pae_on(void)
{
    pae_build();
    write_cr0(read_cr0() & ~CR0_PG);
    write_cr4(read_cr4() | CR4_PAE);
    write_cr3((ulong)pdpt);
    if (has(HAS_NX))
        wrmsr(0xc0000080u, rdmsr(0xc0000080u) | 0x800);
    write_cr0(read_cr0() | CR0_PG);
}

CHECKS(paging_pae)
{
    u64 *pde = &pae_pd[TEST_VA >> 30][TEST_VA >> 21 & 511];

    pae_on();
    page_access(U32, READ, TEST_VA);
    check_done("pae.read");
    check_value("pae.read.accessed", pae_pt[0] & AD_FLAGS, PTE_A);
    check_value("pae.pdpte_untouched", pdpt[TEST_VA >> 30] & AD_FLAGS, 0);
    page_access(U32, WRITE, TEST_VA);
    check_value("pae.write.dirty", pae_pt[0] & AD_FLAGS, AD_FLAGS);
    page_access(U32, FETCH, TEST_VA);
    check_done("pae.fetch");
    if (has(HAS_NX)) {
        pae_pt[0] |= PTE_NX;
        invlpg(TEST_VA);
        page_access(U32, FETCH, TEST_VA);
        check_fault("pae.nx", PF, ERR_P | ERR_U | ERR_I);
        page_access(U32, READ, TEST_VA);
        check_done("pae.nx.read");
        pae_pt[0] &= ~PTE_NX;
    }
    pae_pt[0] |= 1ull << 62; /* bits 62:52 are reserved in PAE entries... */
    invlpg(TEST_VA);
    page_access(U32, READ, TEST_VA);
    check_fault("rsvd.pae.pte_bit62", PF, ERR_P | ERR_U | ERR_RSVD);
    pae_pt[0] &= ~(1ull << 62);
    *pde = 0x2000 | PTE_PS | PWU;
    invlpg(TEST_VA);
    page_access(U32, READ, TEST_VA);
    check_fault("rsvd.pae.2m_low_bits", PF, ERR_P | ERR_U | ERR_RSVD);
    *pde = PTE_PS | PWU;
    invlpg(TEST_VA);
    in.bx = TEST_VA + (ulong)frame;
    run(U32, CODE("mov ax, [ebx]"));
    check_value("pae.2m.reads", out.f.ax & 0xffff, 0xf0cd);
    check_value("pae.2m.accessed", *pde & AD_FLAGS, PTE_A);
    *pde = PTE_PS | 5;
    invlpg(TEST_VA);
    page_access(U32, WRITE, TEST_VA);
    check_fault("pae.2m.read_only", PF, ERR_P | ERR_W | ERR_U);
    *pde = (u32)pae_pt | PWU;
    invlpg(TEST_VA);
    /* PDPTEs are read when CR3 is loaded: reserved bits are #GP there, not a page fault */
    pdpt[3] |= PTE_W;
    in.ax = (ulong)pdpt;
    run(K32, CODE("mov cr3, eax"));
    check_fault_at("pae.pdpte_reserved", GP, 0, 0);
    pdpt[3] &= ~PTE_W;
    in.ax = (ulong)pdpt;
    run(K32, CODE("mov cr3, eax"));
    check_done("pae.cr3");
    if (!check_hazard("pae.pdpte_cached")) {
        u64 old = pdpt[3];
        pdpt[3] = 0;
        invlpg(0xc0000000ul);
        in.bx = 0xc0000000ul;
        run(K32, CODE("mov eax, [ebx]"));
        check_done("pae.pdpte_cached");
        pdpt[3] = old;
    }
    pdpt[3] = 0;
    write_cr3((ulong)pdpt);
    in.bx = 0xc0000010ul;
    run(K32, CODE("mov eax, [ebx]"));
    check_fault("pae.pdpte_not_present", PF, 0);
    check_value("pae.pdpte_not_present.cr2", out.cr2, 0xc0000010ul);
    write_cr0(read_cr0() & ~CR0_PG);
    write_cr4(read_cr4() & ~CR4_PAE);
    write_cr3((ulong)boot_pd);
    write_cr0(read_cr0() | CR0_PG);
}
