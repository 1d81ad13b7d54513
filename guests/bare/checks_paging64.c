/* SPDX-License-Identifier: MIT */
/*
 * 4-level paging: accessed and dirty flags, error codes, reserved bits, NX, WP, SMEP, SMAP, PKU,
 * large pages, PCID and invalidation (SDM Vol 3 4.5 to 4.10). The product of all permissions is
 * in image_permissions.c.
 */
#include "page.h"

#define AD (PTE_A | PTE_D)

static const char *const level_name[LEVELS] = { "pt", "pd", "pdpt", "pml4" };

static u32 ad(enum level level)
{
    return (u32)(*page_entry(level) & AD);
}

CHECKS(paging_accessed_dirty)
{
    page_default();
    check_value("ad.clean", ad(PT) | ad(PD) | ad(PDPT) | ad(PML4), 0);
    page_access(U64, READ, PAGE_VA);
    check_done("ad.read");
    for (enum level l = PT; l < LEVELS; l++)
        check_value(join("ad.read.", level_name[l], ""), ad(l), PTE_A);
    page_access(U64, WRITE, PAGE_VA);
    check_value("ad.write_after_read.pt", ad(PT), AD);
    check_value("ad.write_leaves_pd", ad(PD), PTE_A);
    page_default();
    page_access(U64, WRITE, PAGE_VA + 8);
    check_value("ad.first_write.pt", ad(PT), AD);
    page_default();
    page_access(U64, FETCH, PAGE_VA);
    check_value("ad.fetch.pt", ad(PT), PTE_A);
    check_value("ad.fetch.ran", out.f.ip, PAGE_VA + 2);
    page_default();
    *page_entry(PT) &= ~PTE_W;
    page_access(U64, WRITE, PAGE_VA);
    check_fault_at("ad.failed_write", PF, ERR_P | ERR_W | ERR_U, 0);
    check_value("ad.failed_write.no_dirty", ad(PT) & PTE_D, 0);
    page_default();
    *page_entry(PT) &= ~PTE_U;
    page_access(U64, READ, PAGE_VA);
    check_fault_at("ad.failed_read", PF, ERR_P | ERR_U, 0);
    check_value("ad.failed_read.leaf_untouched", ad(PT), 0);
    page_default();
    *page_entry(PT) &= ~PTE_P;
    page_access(U64, WRITE, PAGE_VA);
    check_value("ad.not_present.untouched", *page_entry(PT), (ulong)page_frame | PTE_W | PTE_U);
    page_default();
    *page_entry(PT) &= ~PTE_W;
    write_cr0(read_cr0() & ~CR0_WP);
    page_access(K64, WRITE, PAGE_VA);
    check_done("wp_clear.supervisor_write");
    check_value("wp_clear.sets_dirty", ad(PT), AD);
    write_cr0(read_cr0() | CR0_WP);
    /* a read-modify-write counts as a write, CMPXCHG too even when it does not store */
    page_default();
    in.bx = PAGE_VA + 16;
    in.ax = 99;
    run(U64, CODE("lock cmpxchg [rbx], ecx"));
    check_value("ad.failed_cmpxchg_is_a_write", ad(PT), AD);
    page_default();
    *page_entry(PT) &= ~PTE_W;
    in.bx = PAGE_VA + 16;
    run(U64, CODE("add dword ptr [rbx], 0"));
    check_fault_at("rmw.error_has_w", PF, ERR_P | ERR_W | ERR_U, 0);
}

CHECKS(paging_not_present)
{
    for (enum level l = PT; l < LEVELS; l++) {
        for (enum access a = READ; a <= FETCH; a++) {
            static const char *const name[] = { ".read", ".write", ".fetch" };
            u32 error = a == WRITE ? ERR_W : a == FETCH ? ERR_I : 0;
            page_default();
            *page_entry(l) &= ~PTE_P;
            *page_entry(l) |= 1ull << 51; /* not looked at when P = 0 */
            page_flush();
            page_access(U64, a, PAGE_VA);
            check_fault(join("np.", level_name[l], name[a]), PF, error | ERR_U);
            page_access(K64, a, PAGE_VA + 5);
            check_fault(join("np.cpl0.", level_name[l], name[a]), PF, error);
            if (out.cr2 != PAGE_VA + 5)
                check_value(join("np.cr2.", level_name[l], name[a]), out.cr2, PAGE_VA + 5);
        }
    }
}

static void reserved(const char *name, enum level level, u64 bits)
{
    page_default();
    *page_entry(level) |= bits;
    page_flush();
    page_access(U64, READ, PAGE_VA);
    check_fault(join("rsvd.", name, ".read"), PF, ERR_P | ERR_U | ERR_RSVD);
    page_access(K64, WRITE, PAGE_VA);
    check_fault(join("rsvd.", name, ".write"), PF, ERR_P | ERR_W | ERR_RSVD);
}

CHECKS(paging_reserved_bits)
{
    u64 top = physical_bits() < 52 ? 1ull << 51 : 0;

    if (top) {
        reserved("pt_bit51", PT, top);
        reserved("pd_bit51", PD, top);
        reserved("pdpt_bit51", PDPT, top);
        reserved("pml4_bit51", PML4, top);
        reserved("pt_first_bit", PT, 1ull << physical_bits());
    } else {
        check_skip("rsvd.bit51", "52 physical address bits");
    }
    reserved("pml4_ps", PML4, PTE_PS);
    page_default();
    *page_entry(PD) = 0x2000 | PTE_PS | PTE_P | PTE_U; /* 2 MiB page: bits 20:13 reserved */
    page_flush();
    page_access(U64, READ, PAGE_VA);
    check_fault("rsvd.2m_low_bits", PF, ERR_P | ERR_U | ERR_RSVD);
    page_default();
    *page_entry(PDPT) = (has(HAS_GB1) ? 0x200000 : 0) | PTE_PS | PTE_P | PTE_U;
    page_flush();
    page_access(U64, READ, PAGE_VA);
    check_fault("rsvd.1g", PF, ERR_P | ERR_U | ERR_RSVD);
    wrmsr(0xc0000080u, rdmsr(0xc0000080u) & ~0x800ull); /* NXE off: bit 63 is reserved */
    for (enum level l = PT; l < LEVELS; l++)
        reserved(join("nx_without_nxe.", level_name[l], ""), l, PTE_NX);
    page_default();
    wrmsr(0xc0000080u, rdmsr(0xc0000080u) | 0x800);
}

CHECKS(paging_large)
{
    page_default();
    *page_entry(PD) = PTE_PS | PTE_P | PTE_W | PTE_U; /* 0 .. 2 MiB */
    page_flush();
    in.bx = PAGE_VA + (ulong)page_frame;
    run(U64, CODE("mov ax, [rbx]"));
    check_value("large.2m.reads", out.f.ax & 0xffff, 0xf0cd);
    check_value("large.2m.accessed", ad(PD), PTE_A);
    page_access(U64, WRITE, PAGE_VA + (ulong)page_frame);
    check_value("large.2m.dirty", ad(PD), AD);
    *page_entry(PD) = PTE_PS | PTE_P | PTE_U | 1u << 12; /* bit 12 is PAT, not reserved */
    page_flush();
    page_access(U64, READ, PAGE_VA);
    check_done("large.2m.pat");
    page_access(U64, WRITE, PAGE_VA);
    check_fault("large.2m.read_only", PF, ERR_P | ERR_W | ERR_U);
    if (!has(HAS_GB1)) {
        check_skip("large.1g", "no 1 GiB pages");
        return;
    }
    page_default();
    *page_entry(PDPT) = PTE_PS | PTE_P | PTE_W | PTE_U;
    page_flush();
    in.bx = PAGE_VA + (ulong)page_frame;
    run(U64, CODE("mov ax, [rbx]"));
    check_value("large.1g.reads", out.f.ax & 0xffff, 0xf0cd);
    check_value("large.1g.accessed", ad(PDPT), PTE_A);
    page_access(U64, WRITE, PAGE_VA + (ulong)page_frame);
    check_value("large.1g.dirty", ad(PDPT), AD);
    *page_entry(PDPT) |= PTE_NX;
    page_flush();
    page_access(U64, FETCH, PAGE_VA + (ulong)page_frame);
    check_fault("large.1g.nx", PF, ERR_P | ERR_U | ERR_I);
}

CHECKS(paging_across)
{
    /* PAGE_VA + 1000h is not mapped: CR2 is the first byte that failed */
    page_default();
    in.bx = PAGE_VA + 0xffc;
    run(U64, CODE("mov rax, [rbx]"));
    check_fault_at("across.read", PF, ERR_U, 0);
    check_value("across.read.cr2", out.cr2, PAGE_VA + 0x1000);
    in.bx = PAGE_VA + 0xffd;
    in.ax = ~0ul;
    *(u32 *)(page_frame + 0xffc) = 0x12345678;
    run(U64, CODE("mov [rbx], rax"));
    check_fault_at("across.write", PF, ERR_W | ERR_U, 0);
    check_value("across.write.cr2", out.cr2, PAGE_VA + 0x1000);
    check_value("across.write.nothing_written", *(u32 *)(page_frame + 0xffc), 0x12345678);
    *(page_frame + 0xfff) = 0x48; /* REX at the end of the page: the rest faults on fetch */
    page_access(U64, FETCH, PAGE_VA + 0xfff);
    check_fault("across.fetch", PF, ERR_U | ERR_I);
    check_value("across.fetch.cr2", out.cr2, PAGE_VA + 0x1000);
    check_value("across.fetch.rip", out.f.ip, PAGE_VA + 0xfff);
    page_table[PT][1] = (ulong)page_frame + 4096 + 0ul + (PTE_P | PTE_W | PTE_U);
    *(u32 *)(page_frame + 0x1000) = 0x9abcdef0;
    page_flush();
    in.bx = PAGE_VA + 0xffc;
    *(u32 *)(page_frame + 0xffc) = 0x12345678;
    run(U64, CODE("mov rax, [rbx]"));
    check_value("across.both_mapped", out.f.ax, 0x9abcdef012345678ull);
    page_table[PT][1] = 0;
    page_flush();
    /* string copies stop at the fault with the registers of the finished iterations */
    in.si = USER_PTR(page_frame);
    in.di = PAGE_VA + 0xff8;
    in.cx = 16;
    run(U64, CODE("rep movsb"));
    check_fault_at("across.rep_movsb", PF, ERR_W | ERR_U, 0);
    check_value("across.rep_movsb.rcx", out.f.cx, 8);
    check_value("across.rep_movsb.rdi", out.f.di, PAGE_VA + 0x1000);
    in.sp = PAGE_VA + 0x1008;
    run(U64, CODE("push rax\n"));
    check_fault_at("across.push", PF, ERR_W | ERR_U, 0);
    check_value("across.push.rsp_unchanged", out.f.sp, PAGE_VA + 0x1008);
    page_default();
}

CHECKS(paging_invalidation)
{
    static u8 other[4096] __attribute__((aligned(4096)));
    u64 flags = PTE_P | PTE_W | PTE_U;

    other[16] = 0x22;
    page_frame[16] = 0x11;
    page_default();
    in.bx = PAGE_VA + 16;
    run(U64, CODE("mov al, [rbx]"));
    check_value("tlb.before", out.f.ax & 0xff, 0x11);
    *page_entry(PT) = (ulong)other | flags;
    invlpg(PAGE_VA + 0x123);
    in.bx = PAGE_VA + 16;
    run(U64, CODE("mov al, [rbx]"));
    check_value("tlb.invlpg", out.f.ax & 0xff, 0x22);
    *page_entry(PT) = (ulong)page_frame | flags;
    write_cr3(read_cr3());
    in.bx = PAGE_VA + 16;
    run(U64, CODE("mov al, [rbx]"));
    check_value("tlb.cr3", out.f.ax & 0xff, 0x11);
    *page_entry(PD) = 0; /* an upper level */
    invlpg(PAGE_VA);
    page_access(U64, READ, PAGE_VA);
    check_fault("tlb.invlpg_upper_level", PF, ERR_U);
    *page_entry(PD) = (ulong)page_table[PT] | flags; /* no flush needed for not-present */
    page_access(U64, READ, PAGE_VA);
    check_done("tlb.not_present_is_not_cached");
    *page_entry(PT) &= ~PTE_W;
    page_flush();
    page_access(U64, WRITE, PAGE_VA);
    *page_entry(PT) |= PTE_W; /* the fault itself dropped the entry, SDM Vol 3 4.10.4.1 */
    page_access(U64, WRITE, PAGE_VA);
    check_done("tlb.fault_drops_entry");
    /* global pages */
    write_cr4(read_cr4() | CR4_PGE);
    *page_entry(PT) = (ulong)page_frame | flags | PTE_G;
    page_flush();
    page_access(U64, READ, PAGE_VA);
    *page_entry(PT) = (ulong)other | flags | PTE_G;
    invlpg(PAGE_VA);
    in.bx = PAGE_VA + 16;
    run(U64, CODE("mov al, [rbx]"));
    check_value("tlb.invlpg_global", out.f.ax & 0xff, 0x22);
    *page_entry(PT) = (ulong)page_frame | flags | PTE_G;
    write_cr4(read_cr4() & ~CR4_PGE);
    in.bx = PAGE_VA + 16;
    run(U64, CODE("mov al, [rbx]"));
    check_value("tlb.pge_toggle", out.f.ax & 0xff, 0x11);
    page_default();
    in.ax = 0x800000000000ul;
    run(K64, CODE("invlpg [rax]"));
    check_done("invlpg.noncanonical_is_nop");

    if (!has(HAS_PCID)) {
        check_skip("pcid", "no PCID");
        return;
    }
    write_cr4(read_cr4() | CR4_PCIDE);
    ulong cr3 = read_cr3() & ~0xffful;
    write_cr3(cr3 | 1);
    page_access(U64, READ, PAGE_VA);
    *page_entry(PT) = (ulong)other | flags;
    write_cr3(cr3 | 2); /* never used before: must walk */
    in.bx = PAGE_VA + 16;
    run(U64, CODE("mov al, [rbx]"));
    check_value("pcid.other_context", out.f.ax & 0xff, 0x22);
    write_cr3(cr3 | 1); /* bit 63 clear: flushes PCID 1 */
    in.bx = PAGE_VA + 16;
    run(U64, CODE("mov al, [rbx]"));
    check_value("pcid.flushed_on_load", out.f.ax & 0xff, 0x22);
    write_cr3(cr3);
}

CHECKS(paging_supervisor)
{
    page_default();
    *page_entry(PT) |= PTE_NX;
    page_flush();
    page_access(U64, FETCH, PAGE_VA);
    check_fault("nx.user", PF, ERR_P | ERR_U | ERR_I);
    page_access(K64, FETCH, PAGE_VA);
    check_fault("nx.supervisor", PF, ERR_P | ERR_I);
    page_default();
    if (has(HAS_SMEP)) {
        page_access(K64, FETCH, PAGE_VA);
        check_done("smep.off");
        write_cr4(read_cr4() | CR4_SMEP);
        page_access(K64, FETCH, PAGE_VA);
        check_fault("smep.on", PF, ERR_P | ERR_I);
        page_access(U64, FETCH, PAGE_VA);
        check_done("smep.user");
        *page_entry(PDPT) &= ~PTE_U; /* one U = 0 makes it a supervisor page */
        page_flush();
        page_access(K64, FETCH, PAGE_VA);
        check_done("smep.supervisor_page_by_upper_level");
        page_default();
    } else {
        check_skip("smep", "no SMEP");
    }
    if (!has(HAS_SMAP)) {
        check_skip("smap", "no SMAP");
        return;
    }
    write_cr4(read_cr4() | CR4_SMAP);
    page_access(K64, READ, PAGE_VA);
    check_fault_at("smap.read", PF, ERR_P, 0);
    page_access(K64, WRITE, PAGE_VA);
    check_fault_at("smap.write", PF, ERR_P | ERR_W, 0);
    in.flags = FL_AC;
    page_access(K64, READ, PAGE_VA);
    check_done("smap.read_with_ac");
    in.flags = FL_AC;
    page_access(U64, READ, PAGE_VA);
    check_done("smap.user");
    in.bx = PAGE_VA;
    run(K64, CODE("stac\n mov al, [rbx]\n clac\n mov al, [rbx]"));
    check_fault_at("smap.stac_clac", PF, ERR_P, 8);
    /* implicit supervisor accesses ignore AC: a descriptor in a user page, at CPL 0 and 3 */
    static u64 table[2] __attribute__((aligned(16)));
    table[1] = gdt[UDS / 8];
    ldt_set((const u64 *)USER_PTR(table), sizeof(table));
    in.flags = FL_AC;
    in.ax = 0x0c;
    run(K64, CODE("mov fs, eax"));
    check_fault_at("smap.implicit_cpl0_with_ac", PF, ERR_P, 0);
    in.flags = FL_AC;
    in.ax = 0x0f;
    run(U64, CODE("mov fs, eax"));
    check_fault_at("smap.implicit_cpl3", PF, ERR_P, 0);
    write_cr4(read_cr4() & ~CR4_SMAP);
    in.ax = 0x0f;
    run(U64, CODE("mov fs, eax"));
    check_done("smap.off.implicit");
    /* the GDT is a supervisor page: CPL 3 reaches it only implicitly, without the U bit */
    ldt_set((const u64 *)PAGE_VA, 16);
    gdt[LDT_SEL / 8] = 0x0000820000000000ull | 15;
    gdt[LDT_SEL / 8] |= (PAGE_VA & 0xffffff) << 16;
    gdt[LDT_SEL / 8 + 1] = PAGE_VA >> 32;
    __asm__ volatile("lldt %w0" ::"r"(LDT_SEL));
    *page_entry(PT) = 0;
    page_flush();
    in.ax = 0x0f;
    run(U64, CODE("mov fs, eax"));
    check_fault_at("implicit.not_present_has_no_u", PF, 0, 0);
    check_value("implicit.cr2", out.cr2, PAGE_VA + 8);
    page_default();
}

CHECKS(paging_keys)
{
    if (!has(HAS_PKU)) {
        check_skip("pku", "no PKU");
        return;
    }
    write_cr4(read_cr4() | CR4_PKE);
    static const struct {
        const char *name;
        enum mode mode;
        enum access access;
        u32 pkru, vector, error;
    } rows[] = {
        { "ad.read", U64, READ, 1, PF, ERR_P | ERR_U | ERR_PK },
        { "ad.write", U64, WRITE, 1, PF, ERR_P | ERR_W | ERR_U | ERR_PK },
        { "ad.fetch", U64, FETCH, 1, DONE, 0 },
        { "ad.supervisor_read", K64, READ, 1, PF, ERR_P | ERR_PK },
        { "wd.read", U64, READ, 2, DONE, 0 },
        { "wd.write", U64, WRITE, 2, PF, ERR_P | ERR_W | ERR_U | ERR_PK },
        { "wd.supervisor_write", K64, WRITE, 2, PF, ERR_P | ERR_W | ERR_PK },
        { "other_key", U64, WRITE, 3 << 2, DONE, 0 },
    };
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        page_default();
        *page_entry(PT) |= 5ull << 59; /* key 5 */
        page_flush();
        __asm__ volatile(".byte 0x0f,0x01,0xef" ::"a"(i == 7 ? 3u << 12 : rows[i].pkru << 10),
                         "c"(0), "d"(0));
        page_access(rows[i].mode, rows[i].access, PAGE_VA);
        check_fault(join("pku.", rows[i].name, ""), rows[i].vector, rows[i].error);
    }
    page_default();
    *page_entry(PT) |= 5ull << 59;
    *page_entry(PT) &= ~PTE_W;
    page_flush();
    __asm__ volatile(".byte 0x0f,0x01,0xef" ::"a"(2u << 10), "c"(0), "d"(0));
    page_access(U64, WRITE, PAGE_VA);
    check_true("pku.with_read_only_page", out.f.vector == PF && (out.f.error & 7) == 7);
    __asm__ volatile(".byte 0x0f,0x01,0xef" ::"a"(0), "c"(0), "d"(0));
    page_default();
}
