/* SPDX-License-Identifier: MIT */
/*
 * Control registers, debug registers, MSRs and time at CPL 0: reserved bits, unknown registers,
 * combinations that must not be (SDM Vol 3 2.5, 10.8.5, 17.2; Vol 2 MOV CR, MOV DR, WRMSR).
 */
#include "guest.h"

#if LONG_MODE
#define A "rax"
#define B "rbx"
#else
#define A "eax"
#define B "ebx"
#endif

#define WRITES(X)                                                                                  \
    X(cr0_pg_without_pe, "mov cr0, " A, CR0_PG, GP)                                                \
    X(cr0_nw_without_cd, "mov cr0, " A, CR0_PG | CR0_PE | CR0_NW, GP)                              \
    X(cr0_cd, "mov cr0, " A, CR0_PG | CR0_PE | CR0_NE | CR0_WP | CR0_CD, DONE)                     \
    X(cr1, ".byte 0x0f,0x22,0xc8", 0, UD)                                                          \
    X(cr5, ".byte 0x0f,0x22,0xe8", 0, UD)                                                          \
    X(cr7, ".byte 0x0f,0x22,0xf8", 0, UD)                                                          \
    X(cr4_reserved_bit15, "mov cr4, " A, 1ul << 15 | CR4_BASE, GP)                                 \
    X(cr4_reserved_bit31, "mov cr4, " A, 1ul << 31 | CR4_BASE, GP)                                 \
    X(cr4_reserved_bit29, "mov cr4, " A, 1ul << 29 | CR4_BASE, GP)                                 \
    X(dr4_as_dr6, "mov " B ", dr6\n.byte 0x0f,0x21,0xe0", 0, DONE)                                 \
    X(dr5_as_dr7, ".byte 0x0f,0x21,0xe8", 0, DONE)                                                 \
    X(rdmsr_unknown, "mov ecx, 0x12345678\n rdmsr", 0, GP)                                         \
    X(wrmsr_unknown, "mov ecx, 0x12345678\n wrmsr", 0, GP)                                         \
    X(rdmsr_hole, "mov ecx, 0xc0001fff\n rdmsr", 0, GP)                                            \
    X(efer_reserved, "mov ecx, 0xc0000080\n mov eax, 0x200\n xor edx, edx\n wrmsr", 0, GP)         \
    X(efer_reserved_high, "mov ecx, 0xc0000080\n rdmsr\n mov edx, 1\n wrmsr", 0, GP)               \
    X(pat_reserved, "mov ecx, 0x277\n mov eax, 0x02020202\n xor edx, edx\n wrmsr", 0, GP)          \
    X(apic_base_reserved, "mov ecx, 0x1b\n rdmsr\n or edx, 0x80000000\n wrmsr", 0, GP)             \
    X(wbinvd, "wbinvd", 0, DONE)                                                                   \
    X(clts, "clts", 0, DONE)

#if LONG_MODE
#define CR4_BASE CR4_PAE
#define WRITES_LONG(X)                                                                             \
    X(cr0_pg_off_in_64, "mov cr0, rax", CR0_PE, GP)                                                \
    X(cr0_high_bits, "bts rax, 32\n mov cr0, rax", CR0_PG | CR0_PE, GP)                            \
    X(cr4_pae_off_in_long, "mov cr4, rax", 0, GP)                                                  \
    X(cr4_high_bits, "bts rax, 32\n mov cr4, rax", CR4_PAE, GP)                                    \
    X(cr3_reserved_bit63, "mov rax, cr3\n bts rax, 63\n mov cr3, rax", 0, GP)                      \
    X(cr3_reserved_bit59, "mov rax, cr3\n bts rax, 59\n mov cr3, rax", 0, GP)                      \
    X(cr8_reserved, "mov cr8, rax", 0x10, GP)                                                      \
    X(cr8_high, "mov cr8, rax", 1ul << 32, GP)                                                     \
    X(dr6_high, "mov dr6, rax", 1ul << 32, GP)                                                     \
    X(dr7_high, "mov dr7, rax", 1ul << 32, GP)                                                     \
    X(dr0_any_address, "mov dr0, rax", 0x123456789abcdef0ul, DONE)                                 \
    X(efer_lme_off_while_paging, "mov ecx, 0xc0000080\n rdmsr\n btr eax, 8\n wrmsr", 0, GP)        \
    X(fs_base_noncanonical, "mov ecx, 0xc0000100\n mov edx, 0x800000\n wrmsr", 0, GP)              \
    X(gs_base_noncanonical, "mov ecx, 0xc0000101\n mov edx, 0x800000\n wrmsr", 0, GP)              \
    X(kernel_gs_noncanonical, "mov ecx, 0xc0000102\n mov edx, 0x800000\n wrmsr", 0, GP)            \
    X(lstar_noncanonical, "mov ecx, 0xc0000082\n mov edx, 0x800000\n wrmsr", 0, GP)                \
    X(cstar_noncanonical, "mov ecx, 0xc0000083\n mov edx, 0x800000\n wrmsr", 0, GP)
/* AMD keeps only 32 bits of these two and checks nothing */
#define WRITES_INTEL(X)                                                                            \
    X(sysenter_esp_noncanonical, "mov ecx, 0x175\n mov edx, 0x800000\n wrmsr", 0, GP)              \
    X(sysenter_eip_noncanonical, "mov ecx, 0x176\n mov edx, 0x800000\n wrmsr", 0, GP)
#else
#define CR4_BASE       0
#define WRITES_LONG(X) X(cr0_pe_off_with_pg, "mov cr0, eax", CR0_PG, GP)
#define WRITES_INTEL(X)
#endif

#define EMIT(name, text)                                                                           \
    __asm__(".pushsection .snippets,\"ax\",@progbits\n.balign 16\n.intel_syntax noprefix\n"        \
            "write_" #name ":\n" text "\nint 0xf0\n.att_syntax prefix\n.popsection");              \
    extern const char write_##name[];
#define X(name, text, value, vector) EMIT(name, text)
WRITES(X)
WRITES_LONG(X)
WRITES_INTEL(X)
#undef X

static const struct {
    const char *name;
    const char *code;
    ulong value;
    u32 vector;
    int intel_only;
} writes[] = {
#define X(name, text, value, vector) { #name, write_##name, value, vector, 0 },
    WRITES(X) WRITES_LONG(X)
#undef X
#define X(name, text, value, vector) { #name, write_##name, value, vector, 1 },
        WRITES_INTEL(X)
#undef X
};

CHECKS(system_writes)
{
    for (u32 i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
        const char *name = join("write.", writes[i].name, "");
        ulong cr0 = read_cr0(), cr4 = read_cr4();

        if (check_hazard(name))
            continue;
        if (vendor_is_amd() && writes[i].intel_only) {
            check_skip(name, "AMD does not check it");
            continue;
        }
        in.ax = writes[i].value;
        run(KERNEL, writes[i].code);
        check_fault(name, writes[i].vector, 0);
        if (out.f.vector != DONE && (read_cr0() != cr0 || read_cr4() != cr4))
            check_true(join(name, ".unchanged", ""), 0);
        env_reset();
    }
}

CHECKS(system_cr)
{
    /* LMSW can set PE but not clear it (SDM LMSW). */
    in.ax = CR0_TS | CR0_MP;
    run(KERNEL, CODE("lmsw ax"));
    check_done("lmsw.keeps_pe");
    check_value("lmsw.loads_low_bits", read_cr0() & 15, CR0_PE | CR0_TS | CR0_MP);
    run(KERNEL, CODE("clts"));
    check_value("clts.clears_ts", read_cr0() & CR0_TS, 0);
    in.ax = ~0ul;
    run(KERNEL, CODE("smsw ax\n smsw ebx"));
    check_value("smsw.word_keeps_upper", out.f.ax >> 16, (u64)(~0ul >> 16));
    check_value("smsw.dword", (u32)out.f.bx, (u32)read_cr0());
    run(USER, CODE("smsw ebx"));
    check_value("smsw.cpl3_without_umip", (u32)out.f.bx, (u32)read_cr0());
    write_cr2(0x1234567);
    check_value("cr2.holds_value", read_cr2(), 0x1234567);
    /* The mod field of MOV CR is ignored: always a register (SDM MOV CR). */
    run(KERNEL, CODE(".byte 0x0f,0x20,0x00"));
    check_value("mov_cr.mod_ignored", (u32)out.f.ax, (u32)read_cr0());
#if LONG_MODE
    in.ax = 5;
    run(KERNEL, CODE("mov cr8, rax\n mov rbx, cr8\n xor eax, eax\n mov cr8, rax"));
    check_value("cr8.holds_value", out.f.bx, 5);
    run(U64, CODE("mov rax, cr8"));
    check_fault_at("cr8.cpl3", GP, 0, 0);
    if (has(HAS_PCID)) {
        in.ax = read_cr4() | CR4_PCIDE;
        in.bx = read_cr3() | 1;
        run(K64, CODE("mov cr3, rbx\n mov cr4, rax"));
        check_fault("cr4.pcide_with_cr3_low_bits", GP, 0);
        write_cr3(read_cr3() & ~0xffful);
        write_cr4(read_cr4() | CR4_PCIDE);
        in.ax = read_cr3() | 5ul | 1ul << 63;
        run(K64, CODE("mov cr3, rax\n mov rbx, cr3"));
        check_done("cr3.bit63_with_pcide");
        check_value("cr3.bit63_reads_zero", out.f.bx >> 63, 0);
        check_value("cr3.pcid_reads_back", out.f.bx & 0xfff, 5);
        in.ax = read_cr0() & ~CR0_PG;
        run(K64, CODE("mov cr0, rax"));
        check_fault("cr0.pg_off_with_pcide", GP, 0);
    } else {
        check_skip("cr4.pcide", "no PCID");
    }
#endif
}

CHECKS(system_time)
{
    run(USER, CODE("rdtsc"));
    check_done("rdtsc.cpl3");
    run(USER, CODE("rdtsc\n mov esi, eax\n mov edi, edx\n rdtsc\n sub eax, esi\n sbb edx, edi"));
    check_true("rdtsc.advances", !(out.f.dx >> 31));
    if (has(HAS_RDTSCP)) {
        wrmsr(0xc0000103u, 0x1234);
        run(USER, CODE("rdtscp"));
        check_value("rdtscp.aux", (u32)out.f.cx, 0x1234);
    }
    if (has(HAS_RDPID)) {
        wrmsr(0xc0000103u, 0x4321);
        run(USER, CODE(".byte 0xf3,0x0f,0xc7,0xf8"));
        check_value("rdpid.aux", (u32)out.f.ax, 0x4321);
    } else {
        run(USER, CODE(".byte 0xf3,0x0f,0xc7,0xf8"));
        check_fault_at("rdpid.absent", UD, 0, 0);
    }
    write_cr4(read_cr4() | CR4_TSD);
    run(USER, CODE("rdtsc"));
    check_fault_at("rdtsc.cpl3.tsd", GP, 0, 0);
    if (has(HAS_RDTSCP)) {
        run(USER, CODE("rdtscp"));
        check_fault_at("rdtscp.cpl3.tsd", GP, 0, 0);
    }
    run(KERNEL, CODE("rdtsc"));
    check_done("rdtsc.cpl0.tsd");
    in.cx = 0x3fffff00;
    run(KERNEL, CODE("rdpmc"));
    check_fault_at("rdpmc.bad_counter", GP, 0, 0);
    run(USER, CODE("cpuid"));
    check_done("cpuid.cpl3");
    in.cx = 0x10;
    in.ax = 0x12345678;
    in.dx = 0x100;
    run(KERNEL, CODE("wrmsr\n rdmsr"));
    check_true("tsc.writable", out.f.vector == DONE && out.f.dx == 0x100);
}

CHECKS(system_debug_registers)
{
    ulong mask = 0xffff0ff0u;

    run(KERNEL, CODE("mov " B ", dr6\n .byte 0x0f,0x21,0xe0"));
    check_value("dr4.reads_dr6", out.f.ax, out.f.bx);
    write_cr4(read_cr4() | CR4_DE);
    run(KERNEL, CODE(".byte 0x0f,0x21,0xe0"));
    check_fault_at("dr4.cr4_de", UD, 0, 0);
    run(KERNEL, CODE(".byte 0x0f,0x23,0xe8"));
    check_fault_at("dr5.cr4_de", UD, 0, 0);
    write_dr6(0);
    check_value("dr6.fixed_ones", read_dr6() & mask, mask);
    write_dr6(~0u);
    check_value("dr6.fixed_zero", read_dr6() & 1u << 12, 0);
    write_dr7(0);
    check_value("dr7.fixed_one", read_dr7(), 0x400);
    /* DR7.GD: any access to a debug register at CPL 0 is #DB, and GD is cleared on entry. */
    write_dr6(mask);
    write_dr7(0x400 | 1 << 13);
    run(KERNEL, CODE("mov " A ", dr0"));
    check_fault_at("dr7.gd", DB, 0, 0);
    check_value("dr7.gd.dr6_bd", out.dr6 & 1 << 13, 1 << 13);
    check_value("dr7.gd.cleared", read_dr7() & 1 << 13, 0);
}
