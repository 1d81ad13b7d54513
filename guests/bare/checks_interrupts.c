/* SPDX-License-Identifier: MIT */
/*
 * Delivery of interrupts and exceptions: gates and their DPL, error codes, stacks, nesting to
 * double fault, and IRET (SDM Vol 3 6.12 to 6.15, Vol 2 INT n, IRET).
 */
#include "guest.h"

#define GATE_INT          0x8e
#define GATE_TRAP         0x8f
#define IDT_ERROR(vector) ((u32)(vector) << 3 | 2)

static ulong stub(u32 vector)
{
    return (ulong)trap_stubs + vector * 16;
}

CHECKS(int_gates)
{
    run(USER, CODE("int 0x42"));
    check_fault_at("int.cpl3.dpl0", GP, IDT_ERROR(0x42), 0);
    run(KERNEL, CODE("int 0x42"));
    check_fault_at("int.cpl0.dpl0", 0x42, 0, 2);
    idt_set(0x42, stub(0x42), KCS, GATE_INT | 0x60, 0);
    in.flags = FL_IF;
    run(USER, CODE("int 0x42"));
    check_fault_at("int.cpl3.dpl3", 0x42, 0, 2);
    check_value("int.pushes_if", out.f.flags & FL_IF, FL_IF);
    check_value("int.cs_pushed", out.f.cs, LONG_MODE ? UCS64 : UCS32);
    check_value("int.ss_pushed", out.f.ss, UDS);
    check_value("int.rsp0_stack", out.frame_sp, (ulong)rsp0_stack + 8192);
    idt_set(0x42, stub(0x42), KCS, 0x0e | 0x60, 0);
    run(USER, CODE("int 0x42"));
    check_fault_at("int.gate_not_present", NP, IDT_ERROR(0x42), 0);
    idt_set(0x42, stub(0x42), KCS, 0x85 | 0x60, 0); /* task gate: selector is no TSS */
    run(USER, CODE("int 0x42"));
    check_fault_at("int.task_gate", GP, LONG_MODE ? IDT_ERROR(0x42) : KCS, 0);
    idt_set(0x42, stub(0x42), KCS, 0x8c | 0x60, 0); /* a call gate does not belong here */
    run(USER, CODE("int 0x42"));
    check_fault_at("int.bad_gate_type", GP, IDT_ERROR(0x42), 0);
    idt_set(0x42, stub(0x42), 0, GATE_INT | 0x60, 0);
    run(USER, CODE("int 0x42"));
    check_fault_at("int.null_cs", GP, 0, 0);
    idt_set(0x42, stub(0x42), KDS, GATE_INT | 0x60, 0);
    run(USER, CODE("int 0x42"));
    check_fault_at("int.cs_is_data", GP, KDS, 0);
    idt_set(0x42, stub(0x42), GDT_BYTES, GATE_INT | 0x60, 0);
    run(USER, CODE("int 0x42"));
    check_fault_at("int.cs_outside_gdt", GP, GDT_BYTES, 0);
    gdt_set(0x60, (struct descriptor){ 0, 0xfffff, 0x1b, LONG_MODE ? 0xa : 0xc });
    idt_set(0x42, stub(0x42), 0x60, GATE_INT | 0x60, 0);
    run(USER, CODE("int 0x42"));
    check_fault_at("int.cs_not_present", NP, 0x60, 0);
    if (LONG_MODE) {
        idt_set(0x42, stub(0x42), KCS32, GATE_INT | 0x60, 0);
        run(USER, CODE("int 0x42"));
        check_fault_at("int.cs_not_64bit", GP, KCS32, 0);
        idt_set(0x42, 0x8000000000000ul & ~0ul, KCS, GATE_INT | 0x60, 0);
        run(KERNEL, CODE("int 0x42"));
        check_fault("int.target_noncanonical", GP, 0);
    }
    idt_set(0x42, stub(0x42), UCS32, GATE_INT | 0x60, 0); /* DPL 3 code at CPL 0 */
    run(KERNEL, CODE("int 0x42"));
    check_fault("int.cs_dpl_above_cpl", GP, UCS32 & ~3u);
    lidt_limit(0x42 * (LONG_MODE ? 16 : 8) - 1);
    idt_set(DONE, 0, 0, 0, 0);
    run(USER, CODE("int 0x42"));
    check_fault_at("int.beyond_idt_limit", GP, IDT_ERROR(0x42), 0);
}

/* The handler sees IF cleared by an interrupt gate and kept by a trap gate. */
static ulong seen_flags;

static int see_flags(struct frame *f)
{
    (void)f;
    __asm__ volatile("pushf\n pop %0" : "=r"(seen_flags));
    return 0;
}

CHECKS(int_gate_flags)
{
    trap_hook = see_flags;
    in.flags = FL_IOPL | FL_NT | FL_IF;
    idt_set(0x42, stub(0x42), KCS, GATE_INT | 0x60, 0);
    run(USER, CODE("int 0x42"));
    check_value("interrupt_gate.clears_if_nt", seen_flags & (FL_IF | FL_NT | FL_TF), 0);
    in.flags = FL_IF | FL_NT;
    idt_set(0x42, stub(0x42), KCS, GATE_TRAP | 0x60, 0);
    run(USER, CODE("int 0x42"));
    check_value("trap_gate.keeps_if", seen_flags & (FL_IF | FL_NT), FL_IF);
    trap_hook = NULL;
}

CHECKS(exceptions)
{
    run(USER, CODE("int3"));
    check_fault_at("int3.cpl3", BP, 0, 1);
    run(USER, CODE(".byte 0xcd,3"));
    check_fault_at("int_3.cpl3", BP, 0, 2);
    idt_set(BP, stub(BP), KCS, GATE_INT, 0);
    run(USER, CODE("int3"));
    check_fault_at("int3.cpl3.dpl0", GP, IDT_ERROR(BP), 0);
    run(USER, CODE(".byte 0xf1"));
    check_fault_at("int1.cpl3.dpl0", DB, 0, 1); /* INT1 ignores the gate's DPL */
    in.cx = 0;
    run(USER, CODE("xor edx, edx\n mov eax, 1\n div ecx"));
    check_fault_at("de.div_by_zero", DE, 0, 7);
    run(USER, CODE("mov eax, 0x80000000\n cdq\n or ecx, -1\n idiv ecx"));
    check_fault_at("de.idiv_overflow", DE, 0, 9);
    run(U32, CODE32("aam 0"));
    check_fault_at("de.aam_zero", DE, 0, 0);
    run(U32, CODE32("mov al, 0x7f\n add al, 1\n into"));
    check_fault_at("into.taken", OF, 0, 5);
    run(U32, CODE32("xor eax, eax\n into"));
    check_done("into.not_taken");
    static u32 bounds[2] = { 5, 10 };
    in.bx = USER_PTR(bounds);
    run(U32, CODE32("mov eax, 11\n bound eax, [ebx]"));
    check_fault_at("bound.above", BR, 0, 5);
    in.bx = USER_PTR(bounds);
    run(U32, CODE32("mov eax, 10\n bound eax, [ebx]"));
    check_done("bound.upper_edge");
    in.bx = USER_PTR(bounds);
    run(U32, CODE32("mov eax, 4\n bound eax, [ebx]"));
    check_fault_at("bound.below", BR, 0, 5);
    if (LONG_MODE) {
        static const u8 invalid[] = { 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
                                      0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea };
        static u8 code[16] __attribute__((aligned(16)));
        u32 good = 0;
        for (u32 i = 0; i < sizeof(invalid); i++) {
            code[0] = invalid[i];
            run(U64, code);
            good += out.f.vector == UD && out.at == 0;
        }
        check_value("invalid_in_64bit", good, sizeof(invalid));
    }
}

CHECKS(stacks)
{
    run(KERNEL, CODE("int 0x42"));
#if LONG_MODE
    in.sp = (ulong)kernel_stack + 8192 - 61;
    run(K64, CODE("int 0x42"));
    check_value("stack.aligned_to_16", out.frame_sp, ((ulong)kernel_stack + 8192 - 61) & ~15ul);
    check_value("stack.old_rsp_pushed", out.f.sp, (ulong)kernel_stack + 8192 - 61);
    idt_set(0x42, stub(0x42), KCS, GATE_INT, 2);
    run(K64, CODE("int 0x42"));
    check_value("ist.cpl0", out.frame_sp, (ulong)ist_stack[1] + 8192);
    idt_set(0x42, stub(0x42), KCS, GATE_INT | 0x60, 3);
    run(U64, CODE("int 0x42"));
    check_value("ist.cpl3", out.frame_sp, (ulong)ist_stack[2] + 8192);
    run(U32, CODE32("int 0x42"));
    check_value("ist.compat", out.frame_sp, (ulong)ist_stack[2] + 8192);
    check_value("int.compat.cs", out.f.cs, UCS32);
    run(K64, CODE("int 0x42\n"));
    check_value("ss.same_level", out.f.ss, KDS);
    /* a non-canonical new stack: #SS during delivery, itself on an IST stack */
    idt_set(SS, stub(SS), KCS, GATE_INT, 1);
    idt_set(0x42, stub(0x42), KCS, GATE_INT | 0x60, 0);
    tss_set_sp0(0x800000000000ul);
    run(U64, CODE("int 0x42"));
    check_fault_at("rsp0.noncanonical", SS, 0, 0);
    tss_set_sp0((ulong)rsp0_stack + 8192);
    idt_set(SS, stub(SS), KCS, GATE_INT, 1);
    in.sp = 0x800000000010ul;
    run(K64, CODE("push rax"));
    check_fault_at("push.noncanonical_stack", SS, 0, 0);
    in.sp = 0x800000000010ul;
    run(U64, CODE("mov rax, [rsp]"));
    check_fault_at("read.noncanonical_stack", SS, 0, 0);
    in.bp = 0x800000000010ul;
    run(U64, CODE("mov rax, [rbp]"));
    check_fault_at("read.noncanonical_rbp", SS, 0, 0);
    in.bp = 0x800000000010ul;
    run(U64, CODE("mov rax, ds:[rbp]"));
    check_fault_at("read.rbp_with_ds_is_ss", SS, 0, 0);
    in.ax = 0x800000000000ul;
    run(U64, CODE("mov rax, [rax]"));
    check_fault_at("read.noncanonical", GP, 0, 0);
    in.ax = 0xffff7fffffffffffull;
    run(K64, CODE("mov [rax], rbx"));
    check_fault_at("write.noncanonical", GP, 0, 0);
    in.ax = 0x7fffffffffffull;
    run(K64, CODE("mov rax, [rax]"));
    check_true("read.across_canonical_edge", out.f.vector == GP || out.f.vector == PF);
    in.ax = 0x800000000000ul;
    run(U64, CODE("jmp rax"));
    check_fault_at("jmp.noncanonical", GP, 0, 0);
    in.ax = 0x800000000000ul;
    run(U64, CODE("call rax"));
    check_fault_at("call.noncanonical", GP, 0, 0);
    in.ax = 0x800000000000ul;
    run(U64, CODE("push rax\n ret"));
    check_fault_at("ret.noncanonical", GP, 0, 1);
#else
    check_value("stack.same_level", out.frame_sp, (ulong)kernel_stack + 8192 - 64);
    /* segment limits of flat 32-bit code: a short data segment */
    gdt_set(0x60, (struct descriptor){ 0, 0xfff, 0xf3, 0x4 });
    in.ds = in.es = 0x63;
    in.ax = 0xffc;
    run(U32, CODE32("mov ebx, [eax]"));
    check_true("limit.inside", out.f.vector == PF);
    in.ds = in.es = 0x63;
    in.ax = 0xffd;
    run(U32, CODE32("mov ebx, [eax]"));
    check_fault_at("limit.last_byte_outside", GP, 0, 0);
    in.ds = in.es = 0x63;
    in.ax = 0x1000;
    run(U32, CODE32("mov [eax], bl"));
    check_fault_at("limit.outside", GP, 0, 0);
    in.ss = 0x63;
    in.sp = 0x2000;
    run(U32, CODE32("push eax"));
    check_fault_at("limit.stack", SS, 0, 0);
    gdt_set(0x60, (struct descriptor){ 0, 0x8ffff, 0xf7, 0xc }); /* expand down: above 0x8ffff000 */
    in.ds = in.es = 0x63;
    in.ax = USER_PTR(idt);
    run(U32, CODE32("mov ebx, [eax]"));
    check_fault_at("limit.expand_down", GP, 0, 0);
    gdt_set(0x60, (struct descriptor){ 0, 0xfffff, 0xf1, 0xc });
    in.ds = in.es = 0x63;
    in.ax = USER_PTR(idt);
    run(U32, CODE32("mov [eax], ebx"));
    check_fault_at("write.read_only_segment", GP, 0, 0);
    in.ax = USER_PTR(idt);
    run(U32, CODE32("mov cs:[eax], ebx"));
    check_fault_at("write.code_segment", GP, 0, 0);
    run(U32, CODE32("xor eax, eax\n mov fs, eax\n mov eax, fs:[eax]"));
    check_fault("read.null_segment", GP, 0);
    gdt_set(0x60, (struct descriptor){ 0x1000, 0xfffff, 0xf3, 0xc });
    in.ds = in.es = 0x63;
    in.ax = USER_PTR(gdt) - 0x1000 + 8;
    run(U32, CODE32("mov ebx, [eax]"));
    check_value("segment.base_added", out.f.bx, (u32)gdt[1]);
#endif
}

CHECKS(nesting)
{
    u8 access = GATE_INT;

    /* #GP whose gate is not present: contributory after contributory is a double fault */
    idt_set(GP, stub(GP), KCS, 0x0e, 0);
    run(USER, CODE("hlt"));
    check_fault("df.gp_then_np", DF, 0);
    idt_default(GP, 0);
    /* #UD (benign) whose gate is not present: just #NP with EXT set */
    idt_set(UD, stub(UD), KCS, 0x0e, 0);
    run(USER, CODE("ud2"));
    check_fault("np.from_ud_has_ext", NP, IDT_ERROR(UD) | 1);
    run(USER, CODE("int 6"));
    check_true("int6.dpl", out.f.vector == GP || out.f.vector == NP);
    idt_default(UD, 0);
    idt_set(DE, stub(DE), KCS, 0x0e, 0);
    run(USER, CODE("xor ecx, ecx\n xor edx, edx\n div ecx"));
    check_fault("df.de_then_np", DF, 0);
    idt_default(DE, 0);
    /* a page fault whose gate is not present: contributory after #PF is a double fault too */
    idt_set(PF, stub(PF), KCS, 0x0e, 0);
    run(USER, CODE("mov eax, [0x1000]"));
    check_fault("df.pf_then_np", DF, 0);
    idt_default(PF, 0);
    /* #DB through a missing gate */
    idt_set(DB, stub(DB), KCS, 0x0e, 0);
    in.flags = FL_TF;
    run(USER, CODE("nop\n nop"));
    check_fault("np.from_db_has_ext", NP, IDT_ERROR(DB) | 1);
    idt_default(DB, 0);
#if LONG_MODE
    /* the stack of the handler is not mapped: #PF during #GP is handled serially */
    idt_set(PF, stub(PF), KCS, access, 1);
    tss_set_sp0(0x7ffffff00000ul);
    run(U64, CODE("hlt"));
    check_fault("pf.while_delivering_gp", PF, ERR_W);
    check_value("pf.while_delivering_gp.cr2", out.cr2, 0x7ffffff00000ul - 8);
    run(U64, CODE("mov eax, [0x1000]"));
    check_true("pf.uses_ist", out.f.vector == PF && out.frame_sp == (ulong)ist_stack[0] + 8192);
    idt_set(PF, stub(PF), KCS, access, 0);
    run(U64, CODE("mov eax, [0x1000]"));
    check_fault("df.pf_then_pf", DF, 0);
    check_value("df.cr2", out.cr2, 0x7ffffff00000ul - 8);
    check_value("df.ist", out.frame_sp, (ulong)ist_stack[0] + 8192);
#else
    (void)access;
#endif
}

/* IRET from the kernel to everywhere. The frame is built by run(); vary its fields. */
CHECKS(iret_faults)
{
    static const struct {
        const char *name;
        ulong cs, ss;
        u32 vector, error;
    } rows[] = {
        { "null_cs", 3, UDS, GP, 0 },
        { "cs_is_data", UDS, UDS, GP, UDS & ~3u },
        { "cs_outside", GDT_BYTES | 3, UDS, GP, GDT_BYTES },
        { "cs_rpl_not_dpl", KCS | 3, UDS, GP, KCS },
        { "ss_wrong_rpl", UCS32, KDS, GP, KDS },
        { "ss_not_writable", UCS32, UCS32, GP, UCS32 & ~3u },
        { "ss_null", UCS32, 3, GP, 0 },
        { "cs_not_present", 0x63, UDS, NP, 0x60 },
        { "ss_not_present", UCS32, 0x6b, SS, 0x68 },
    };
    gdt_set(0x60, (struct descriptor){ 0, 0xfffff, 0x7b, 0xc });
    gdt_set(0x68, (struct descriptor){ 0, 0xfffff, 0x73, 0xc });
    for (u32 i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        in.cs = rows[i].cs ? rows[i].cs : 3;
        in.ss = rows[i].ss;
        in.ds = in.es = UDS;
        run(U32, CODE32("nop"));
        check_true(join("iret.", rows[i].name, ""), out.f.vector == rows[i].vector &&
                                                        out.f.error == rows[i].error &&
                                                        out.f.ip == (ulong)frame_iret);
    }
#if LONG_MODE
    in.cs = UCS64 | 4;
    run(U64, CODE("nop"));
    check_true("iret.cs_in_empty_ldt", out.f.vector == GP && out.f.error == ((UCS64 & ~3u) | 4));
    gdt_set(0x60, (struct descriptor){ 0, 0xfffff, 0xfb, 0xe }); /* L and D together */
    in.cs = 0x63;
    run(U64, CODE("nop"));
    check_true("iret.cs_l_and_d", out.f.vector == GP && out.f.error == 0x60);
    run(U32, CODE32("dec eax\n inc eax"));
    check_value("iret.to_compat", out.f.cs, UCS32);
    run(K32, CODE32("dec eax\n mov ebx, cs"));
    check_value("iret.to_compat_cpl0", out.f.bx, KCS32);
    in.flags = FL_VM; /* VM in the image is ignored in long mode */
    run(U64, CODE("nop"));
    check_value("iret.vm_ignored", out.f.flags & FL_VM, 0);
    in.ds = in.es = KDS;
    run(U64, CODE("mov eax, ds"));
    check_value("iret.nulls_kernel_ds", out.f.ax, 0);
#else
    in.ds = in.es = KDS;
    run(U32, CODE32("mov eax, ds"));
    check_value("iret.nulls_kernel_ds", out.f.ax, 0);
#endif
}
