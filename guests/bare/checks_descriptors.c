/* SPDX-License-Identifier: MIT */
/*
 * Segment registers, the descriptor-table registers and LAR, LSL, VERR, VERW, in the image's
 * native kernel and user modes (SDM Vol 3 5; Vol 2 MOV, POP, LAR, LSL, VERR, SGDT, LTR, LLDT).
 */
#include "guest.h"

#if LONG_MODE
#define A "rax"
#else
#define A "eax"
#endif

enum { /* descriptors made for these checks */
       NP_DATA = 0x60,
       SYSTEM = 0x68,
       CODE_XO = 0x70,
       CODE_CONF = 0x78,
       DATA_RO = 0x80,
       KDATA_NP3 = 0x88,
       UDATA_RO = 0x93,
       CALLGATE = 0x98,
       LIMITED = 0xb0,
       UCODE_NP = 0xb8,
       LONG_AND_BIG = 0xc0,
       OUTSIDE = GDT_BYTES,
};

static const struct {
    u32 selector;
    struct descriptor d;
} made[] = {
    { NP_DATA, { 0, 0xfffff, 0x73, 0xc } },   /* user data, not present */
    { SYSTEM, { 0, 0xfff, 0x82, 0 } },        /* an LDT descriptor */
    { CODE_XO, { 0, 0xfffff, 0x99, 0xc } },   /* execute only */
    { CODE_CONF, { 0, 0xfffff, 0x9f, 0xc } }, /* conforming, readable, DPL 0 */
    { DATA_RO, { 0, 0xfffff, 0x91, 0xc } },   /* read only, DPL 0 */
    { KDATA_NP3, { 0, 0xfffff, 0x13, 0xc } }, /* kernel data, not present */
    { UDATA_RO, { 0, 0xfffff, 0xf1, 0xc } },  /* read only, DPL 3 */
    { LIMITED, { 0, 0x123, 0xf3, 0x4 } },     /* user data, byte limit */
    { UCODE_NP, { 0, 0xfffff, 0x7b, 0xc } },  /* user code, not present */
};

static void make(void)
{
    for (u32 i = 0; i < sizeof(made) / sizeof(*made); i++)
        gdt_set(made[i].selector & ~7u, made[i].d);
}

/* Loading DS (and as often ES, FS, GS): selector, at CPL 3?, vector, error. */
CHECKS(segment_load_data)
{
    static const struct {
        const char *name;
        u32 selector;
        int user;
        u32 vector, error;
    } rows[] = {
        { "null", 0, 1, DONE, 0 },
        { "null_rpl3", 3, 1, DONE, 0 },
        { "udata", UDS, 1, DONE, 0 },
        { "udata_ro", UDATA_RO, 1, DONE, 0 },
        { "kdata_at_cpl3", KDS, 1, GP, KDS },
        { "kdata_rpl3_at_cpl0", KDS | 3, 0, GP, KDS },
        { "not_present", NP_DATA | 3, 1, NP, NP_DATA },
        { "not_present_at_cpl0", KDATA_NP3, 0, NP, KDATA_NP3 },
        { "system_type", SYSTEM, 0, GP, SYSTEM },
        { "execute_only", CODE_XO, 0, GP, CODE_XO },
        { "conforming_code_at_cpl3", CODE_CONF | 3, 1, DONE, 0 },
        { "outside_gdt", OUTSIDE, 0, GP, OUTSIDE },
        { "ldt_is_null", 0x0c, 0, GP, 0x0c },
        { "udata_at_cpl0", UDS & ~3u, 0, DONE, 0 },
    };

    make();
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        in.ax = rows[i].selector;
        run(rows[i].user ? USER : KERNEL, CODE("mov ds, eax"));
        check_fault(join("mov_ds.", rows[i].name, ""), rows[i].vector, rows[i].error);
        in.ax = rows[i].selector;
        run(rows[i].user ? USER : KERNEL, CODE("push " A "\n pop fs"));
        check_fault(join("pop_fs.", rows[i].name, ""), rows[i].vector, rows[i].error);
    }
    __asm__ volatile("mov %w0, %%fs" ::"r"(0));
    in.ax = UDS;
    run(USER, CODE("mov gs, eax\n mov ebx, gs\n push gs\n pop " CODE_CX));
    check_value("mov_from_gs", out.f.bx, UDS);
    check_value("push_gs", out.f.cx, UDS);
    __asm__ volatile("mov %w0, %%gs" ::"r"(0));
    run(KERNEL, CODE(".byte 0x8e,0xc8"));
    check_fault_at("mov_cs.ud", UD, 0, 0);
    run(KERNEL, CODE(".byte 0x8e,0xf0"));
    check_fault_at("mov_segment6.ud", UD, 0, 0);
    run(KERNEL, CODE(".byte 0x8c,0xf8"));
    check_fault_at("mov_from_segment7.ud", UD, 0, 0);
    check_value("accessed_bit.set", gdt[UDATA_RO / 8] >> 40 & 1, 1);
    gdt_set(LIMITED, (struct descriptor){ 0, 0x123, 0xf2, 0x4 });
    in.ax = LIMITED | 3;
    run(USER, CODE("mov es, eax"));
    check_value("accessed_bit.set_by_load", gdt[LIMITED / 8] >> 40 & 0xff, 0xf3);
}

CHECKS(segment_load_ss)
{
    static const struct {
        const char *name;
        u32 selector;
        int user;
        u32 vector, error;
    } rows[] = {
        { "kdata", KDS, 0, DONE, 0 },
        { "udata", UDS, 1, DONE, 0 },
        { "wrong_rpl", KDS | 3, 0, GP, KDS },
        { "wrong_dpl", UDS & ~3u, 0, GP, UDS & ~3u },
        { "kdata_at_cpl3", KDS, 1, GP, KDS },
        { "read_only", DATA_RO, 0, GP, DATA_RO },
        { "code", KCS, 0, GP, KCS },
        { "not_present", KDATA_NP3, 0, SS, KDATA_NP3 },
        { "outside_gdt", OUTSIDE, 0, GP, OUTSIDE },
        { "null_at_cpl3", 0, 1, GP, 0 },
#if LONG_MODE /* in 64-bit mode a null SS is allowed below CPL 3, RPL = CPL (SDM MOV) */
        { "null_at_cpl0", 0, 0, DONE, 0 },
#else
        { "null_at_cpl0", 0, 0, GP, 0 },
#endif
    };

    make();
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        in.ax = rows[i].selector;
        run(rows[i].user ? USER : KERNEL, CODE("mov ss, eax"));
        check_fault(join("mov_ss.", rows[i].name, ""), rows[i].vector, rows[i].error);
    }
}

CHECKS(descriptor_tables)
{
    static u8 buffer[16], *user;
    static const struct {
        const char *name;
        const char *at_user;
        u32 index;
    } stores[] = {
        { "sgdt", "", 0 }, { "sidt", "", 1 }, { "sldt", "", 2 }, { "str", "", 3 }, { "smsw", "", 4 }
    };

    make();
    user = (u8 *)USER_PTR(buffer);
    for (u32 umip = 0; umip < 2; umip++) {
        if (umip && !has(HAS_UMIP)) {
            check_skip("umip", "no UMIP");
            break;
        }
        if (umip)
            write_cr4(read_cr4() | CR4_UMIP);
        for (u32 i = 0; i < 5; i++) {
            const void *code[] = { CODE("sgdt [" A "]"), CODE("sidt [" A "]"), CODE("sldt ecx"),
                                   CODE("str ecx"), CODE("smsw ecx") };
            in.ax = (ulong)user;
            run(USER, code[i]);
            if (umip)
                check_fault_at(join("umip.", stores[i].name, ".cpl3"), GP, 0, 0);
            else
                check_done(join(stores[i].name, ".cpl3", ""));
            in.ax = (ulong)buffer;
            run(KERNEL, code[i]);
            check_done(join(umip ? "umip." : "", stores[i].name, ".cpl0"));
        }
    }
    in.ax = (ulong)buffer;
    run(KERNEL, CODE("sgdt [" A "]"));
    check_value("sgdt.limit", (u64)(buffer[0] | buffer[1] << 8), GDT_BYTES - 1);
    check_value("sgdt.base", *(const u32 *)(buffer + 2), (u32)(ulong)gdt);
    run(KERNEL, CODE("str eax\n sldt ebx"));
    check_value("str.value", (u32)out.f.ax, TSS_SEL);
    check_value("sldt.value", (u32)out.f.bx, 0);

    if (!check_hazard("ltr.null")) {
        in.ax = 0;
        run(KERNEL, CODE("ltr ax"));
        check_fault_at("ltr.null", GP, 0, 0);
    }
    in.ax = TSS_SEL; /* busy */
    run(KERNEL, CODE("ltr ax"));
    check_fault_at("ltr.busy", GP, TSS_SEL, 0);
    check_value("ltr.sets_busy", gdt[TSS_SEL / 8] >> 40 & 0xff, 0x8b);
    in.ax = KDS;
    run(KERNEL, CODE("ltr ax"));
    check_fault_at("ltr.not_a_tss", GP, KDS, 0);
    in.ax = TSS_SEL | 4;
    run(KERNEL, CODE("ltr ax"));
    check_fault_at("ltr.in_ldt", GP, TSS_SEL | 4, 0);
    gdt_set(0xd0, (struct descriptor){ 0, 0x67, 0x09, 0 });
    gdt[0xd8 / 8] = 0;
    in.ax = 0xd0;
    run(KERNEL, CODE("ltr ax"));
    check_fault_at("ltr.not_present", NP, 0xd0, 0);
    in.ax = KDS;
    run(KERNEL, CODE("lldt ax"));
    check_fault_at("lldt.not_an_ldt", GP, KDS, 0);
    in.ax = LDT_SEL | 4;
    run(KERNEL, CODE("lldt ax"));
    check_fault_at("lldt.in_ldt", GP, LDT_SEL | 4, 0);
    gdt_set(0xd0, (struct descriptor){ 0, 0x67, 0x02, 0 });
    in.ax = 0xd0;
    run(KERNEL, CODE("lldt ax"));
    check_fault_at("lldt.not_present", NP, 0xd0, 0);
    in.ax = 0;
    run(KERNEL, CODE("lldt ax\n sldt ebx"));
    check_done("lldt.null");
    if (LONG_MODE && !check_hazard("ltr.base_noncanonical")) {
        gdt_set(0xd0, (struct descriptor){ 0, 0x67, 0x89, 0 });
        gdt[0xd8 / 8] = 0x00800000; /* base 63:32 not canonical */
        in.ax = 0xd0;
        run(KERNEL, CODE("ltr ax"));
        check_fault_at("ltr.base_noncanonical", GP, 0xd0, 0);
    }

    /* a segment from the LDT */
    static u64 table[4];
    table[1] = gdt[UDS / 8];
    ldt_set(table, sizeof(table));
    in.ax = 0x0f;
    run(USER, CODE("mov es, eax"));
    check_done("ldt.load");
    in.ax = 0x27;
    run(USER, CODE("mov es, eax"));
    check_fault_at("ldt.outside", GP, 0x24, 0);
    in.ax = 0x17;
    run(USER, CODE("mov es, eax"));
    check_fault_at("ldt.empty_slot", GP, 0x14, 0);
}

CHECKS(lar_lsl_verr_verw)
{
    static const struct {
        const char *name;
        u32 selector;
        int user;
        int lar, lsl, verr, verw;
    } rows[] = {
        { "null", 0, 1, 0, 0, 0, 0 },
        { "udata", UDS, 1, 1, 1, 1, 1 },
        { "udata_ro", UDATA_RO, 1, 1, 1, 1, 0 },
        { "kdata_at_cpl3", KDS, 1, 0, 0, 0, 0 },
        { "kdata_at_cpl0", KDS, 0, 1, 1, 1, 1 },
        { "kdata_rpl3", KDS | 3, 0, 0, 0, 0, 0 },
        { "ucode", UCS32, 1, 1, 1, 1, 0 },
        { "execute_only", CODE_XO, 0, 1, 1, 0, 0 },
        { "conforming_at_cpl3", CODE_CONF | 3, 1, 1, 1, 1, 0 },
        { "ldt_descriptor", SYSTEM, 0, 1, 1, 0, 0 },
        { "tss", TSS_SEL, 0, 1, 1, 0, 0 },
        { "tss_at_cpl3", TSS_SEL, 1, 0, 0, 0, 0 },
        { "callgate", CALLGATE, 0, 1, 0, 0, 0 },
        { "outside_gdt", OUTSIDE, 0, 0, 0, 0, 0 },
        { "not_present_lar", NP_DATA | 3, 1, 1, 1, 1, 1 },
    };

    make();
    gdt_gate(CALLGATE, 0x1000, KCS, 0x8c);
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        enum mode mode = rows[i].user ? USER : KERNEL;
        const void *code[] = { CODE("lar ebx, eax"), CODE("lsl ebx, eax"), CODE("verr ax"),
                               CODE("verw ax") };
        const char *what[] = { "lar.", "lsl.", "verr.", "verw." };
        int want[] = { rows[i].lar, rows[i].lsl, rows[i].verr, rows[i].verw };
        for (u32 k = 0; k < 4; k++) {
            in.ax = rows[i].selector;
            in.flags = want[k] ? 0 : FL_ZF;
            run(mode, code[k]);
            check_value(join(what[k], rows[i].name, ""), out.f.flags & FL_ZF, want[k] ? FL_ZF : 0);
        }
    }
    in.ax = UDS;
    run(USER, CODE("lar ebx, eax"));
    check_value("lar.value", out.f.bx & ~0xf0000ul, 0x00c0f300); /* bits 19:16 undefined */
    in.ax = LIMITED | 3;
    run(USER, CODE("lsl ebx, eax"));
    check_value("lsl.byte_limit", (u32)out.f.bx, 0x123);
    in.ax = UDS;
    run(USER, CODE("lsl ebx, eax"));
    check_value("lsl.page_limit", (u32)out.f.bx, 0xffffffffu);
    in.bx = 0x5a5a;
    run(USER, CODE("lsl ebx, eax"));
    check_value("lsl.failed_keeps_register", out.f.bx, 0x5a5a);
}
