/* SPDX-License-Identifier: MIT */
/*
 * Expected verdicts of the library: theorems and critical lists, one row a question.
 *
 * Usage: test_verdicts ISA_DIRECTORY. Add a row for every description.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands.h"

struct verdict_row {
    const char *file;
    const char *parameter; /* NULL: none */
    uint64_t value;
    const char *resources; /* NULL: the description's own */
    enum answer first, third;
    enum answer commute;
    const char *critical; /* names, a comma behind each */
};

/* What IA-32 and x86-64 share. Robin and Irvine's list, one name per encoding: MOV, PUSH and POP
 * are those with a segment register, CALL, JMP and RET the far ones. Ours beyond it: IRET, LDS,
 * LSS. */
#define SYSTEM_REGISTER_READERS "SGDT,SIDT,SLDT,STR,SMSW,"
#define IA32_OTHERS                                                                                \
    "PUSHF,POPF,LAR,LSL,VERR,VERW,MOV.from.CS,MOV.from.SS,MOV.to.SS,MOV.to.DS,"                    \
    "PUSH.segment.CS,PUSH.segment.SS,POP.segment.SS,POP.segment.DS,LDS,LSS,"                       \
    "CALL.far,JMP.far,RET.far,IRET,"
#define IOPL_INSTRUCTIONS "CLI,STI,IN,OUT,INS,OUTS,"
#define X86_64_READERS    "RDTSCP,RDPID,XGETBV,CPUID,RDPKRU,WRPKRU,XSAVE,XRSTOR,"
#define X86_64_OTHERS                                                                              \
    "PUSHF,POPF,LAR,LSL,VERR,VERW,MOV.from.CS,MOV.from.SS,MOV.to.SS,MOV.to.DS,MOV.to.FS,POP.FS,"   \
    "LFS,LSS,CALL.far,JMP.far,RET.far,IRET,INT,SYSCALL,SYSENTER,"

#define RISCV_SUPERVISOR_REGISTERS                                                                 \
    "CSRR.sstatus,CSRR.sie,CSRR.stvec,CSRR.sscratch,CSRR.sepc,CSRR.scause,CSRR.sip,CSRR.satp,"     \
    "CSRRS.sstatus,CSRRS.satp,CSRRW.sstatus,CSRRW.sie,CSRRW.stvec,CSRRW.sscratch,"                 \
    "CSRRW.sepc,CSRRW.scause,CSRRW.sip,CSRRW.satp,"
#define ARMV7_CRITICAL                                                                             \
    "MRS CPSR,MSR CPSR,CPS,MRS SPSR,MSR SPSR,SUBS PC, LR,LDM return,LDM user,RFE,SRS,"
#define AARCH64_EL1_REGISTERS                                                                      \
    "MRS.SPSR_EL1,MRS.ELR_EL1,MRS.VBAR_EL1,MSR.SPSR_EL1,MSR.ELR_EL1,MSR.VBAR_EL1,"
#define AARCH64_EL2_REGISTERS                                                                      \
    "MRS.el2.SPSR_EL2,MRS.el2.ELR_EL2,MRS.el2.VBAR_EL2,MRS.el2.HCR_EL2,MRS.el2.VTTBR_EL2,"         \
    "MRS.el2.SP_EL1,MSR.el2.SPSR_EL2,MSR.el2.ELR_EL2,MSR.el2.VBAR_EL2,MSR.el2.HCR_EL2,"            \
    "MSR.el2.VTTBR_EL2,MSR.el2.SP_EL1,AT.S12E1R,"
/* vBlades' list, and what the calling convention adds to it. */
#define IA64_PUBLISHED "cover,thash,ttag,fc,mov =cpuid[],mov =pmd[],mov =ar.k,mov =ar.cflg,"
#define IA64_LINKAGE   "br.call,br.ret,epc,probe,mov ar.rsc=,"

static const struct verdict_row rows[] = {
    { "third-generation.isa", NULL, 0, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "third-generation.isa", "address_bits", 1, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "pdp-10.isa", "address_bits", 2, NULL, ANSWER_NO, ANSWER_YES, ANSWER_NO,
      "JRST 1,JRSTF,JSR,JSP,PUSHJ," },
    { "pdp-10.isa", "address_bits", 2, "UIO", ANSWER_NO, ANSWER_NO, ANSWER_NO,
      "JRST 1,JRSTF,JSR,JSP,PUSHJ," },
    { "pdp-11-45.isa", "address_bits", 2, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      "RESET,SPL,RTI,MFPI,MTPI," },
    { "mc68000.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_YES, ANSWER_NO, "MOVE from SR," },
    { "mc68000.isa", NULL, 0, "I", ANSWER_NO, ANSWER_NO, ANSWER_NO, "MOVE from SR," },
    { "mc68010.isa", NULL, 0, "all", ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "system-370.isa", NULL, 0, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "system-370.isa", "extract_psw", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO, "EPSW," },
    { "system-370.isa", NULL, 0, "TOD", ANSWER_NO, ANSWER_NO, ANSWER_NO, "STCK," },
    { "vax.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_YES, ANSWER_NO, "MOVPSL,PROBER,REI," },
    { "vax.isa", "inner", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO, "MOVPSL,PROBER,REI," },
    { "vax.isa", "chm_is_call", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      "MOVPSL,PROBER,REI,CHM.K,CHM.E,CHM.S,CHM.U," },
    { "ia-32.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      SYSTEM_REGISTER_READERS IA32_OTHERS "INT," },
    { "ia-32.isa", "ring", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      SYSTEM_REGISTER_READERS IA32_OTHERS "INT," },
    { "ia-32.isa", "int_is_call", 0, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      SYSTEM_REGISTER_READERS IA32_OTHERS },
    { "ia-32.isa", "io_privilege", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      SYSTEM_REGISTER_READERS IA32_OTHERS "INT," IOPL_INSTRUCTIONS },
    { "x86-64.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      X86_64_READERS SYSTEM_REGISTER_READERS X86_64_OTHERS },
    /* Five fewer, exactly. */
    { "x86-64.isa", "umip", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      X86_64_READERS X86_64_OTHERS },
    { "x86-64.isa", "io_privilege", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      X86_64_READERS SYSTEM_REGISTER_READERS X86_64_OTHERS IOPL_INSTRUCTIONS },
    { "x86-64-vmx.isa", NULL, 0, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "x86-64-vmx.isa", "io_exiting", 0, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO, "IN,OUT," },
    { "riscv.isa", NULL, 0, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "riscv.isa", "pair", 1, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "riscv.isa", "pair", 2, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      "SRET," RISCV_SUPERVISOR_REGISTERS },
    { "riscv.isa", "wfi_in_user", 1, NULL, ANSWER_YES, ANSWER_UNDECIDED, ANSWER_NO, "" },
    { "riscv.isa", "counters", 0, NULL, ANSWER_YES, ANSWER_UNDECIDED, ANSWER_NO, "" },
    { "riscv.isa", NULL, 0, "FS", ANSWER_NO, ANSWER_NO, ANSWER_NO,
      "FMV.W.X,CSRRS.fcsr,CSRRW.fcsr," },
    { "riscv.isa", NULL, 0, "cycle", ANSWER_NO, ANSWER_NO, ANSWER_NO, "CSRR.cycle," },
    { "riscv-h.isa", NULL, 0, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "riscv-h.isa", "guest", 1, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "riscv-h.isa", "guest", 2, NULL, ANSWER_NO, ANSWER_YES, ANSWER_NO, "SRET," },
    { "riscv-h.isa", "wfi_exits", 1, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    /* Memory traps are what the classes leave out: kseg0. */
    { "mips32.isa", NULL, 0, NULL, ANSWER_YES, ANSWER_YES, ANSWER_NO, "" },
    { "mips32.isa", "segments", 1, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "mips32.isa", "nailed", 1, NULL, ANSWER_NO, ANSWER_YES, ANSWER_NO, "SW," },
    { "mips32.isa", "hwrena", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      "RDHWR.CPUNum,RDHWR.UserLocal,RDHWR.CC," },
    { "armv7-a.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_YES, ANSWER_NO, ARMV7_CRITICAL },
    { "armv7-a.isa", NULL, 0, "all", ANSWER_NO, ANSWER_NO, ANSWER_NO,
      ARMV7_CRITICAL "MRC.TPIDRURO," },
    { "aarch64.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO,
      "MRS.CurrentEL,ERET," AARCH64_EL1_REGISTERS AARCH64_EL2_REGISTERS },
    { "aarch64.isa", "nv", 1, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "aarch64.isa", "pair", 1, NULL, ANSWER_YES, ANSWER_YES, ANSWER_NO, "" },
    /* RDTICK traps in user mode by TICK.NPT: Theorem 3 has a condition. */
    { "sparc-v9.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_UNDECIDED, ANSWER_NO, "SIR," },
    { "sparc-v9.isa", "sir", 0, NULL, ANSWER_YES, ANSWER_UNDECIDED, ANSWER_NO, "" },
    { "sparc-v9.isa", "sir", 2, NULL, ANSWER_YES, ANSWER_UNDECIDED, ANSWER_NO, "" },
    { "sparc-v9.isa", "npt", 0, NULL, ANSWER_NO, ANSWER_YES, ANSWER_NO, "SIR," },
    { "sun4v.isa", NULL, 0, NULL, ANSWER_YES, ANSWER_YES, ANSWER_YES, "" },
    { "sun4v.isa", "guest", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO, "WRPR.TL,WRPR.GL,DONE," },
    { "ia-64.isa", NULL, 0, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO, IA64_LINKAGE IA64_PUBLISHED },
    { "ia-64.isa", "linkage", 0, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO, IA64_PUBLISHED },
    { "ia-64.isa", "ring", 1, NULL, ANSWER_NO, ANSWER_NO, ANSWER_NO, IA64_LINKAGE IA64_PUBLISHED },
};

static const char *directory;

static void check_row(const struct verdict_row *row)
{
    struct description_options options = { .resources = row->resources };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    char path[512], critical[1024] = "";
    struct analysis analysis;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, row->file);
    if (row->parameter != NULL) {
        options.overrides[0].name = row->parameter;
        options.overrides[0].value = row->value;
        options.override_count = 1;
    }
    assert_int_equal(command_open(path, &options, &description), 0);
    assert_int_equal(analysis_run(description, &how, &analysis), 0);
    for (unsigned i = 0; i < analysis.report_count; i++) {
        size_t used = strlen(critical);

        if (analysis.reports[i].is[CLASS_CRITICAL] == ANSWER_YES)
            (void)snprintf(critical + used, sizeof(critical) - used, "%s,",
                           analysis.reports[i].instruction->name);
    }
    assert_string_equal(critical, row->critical);
    assert_int_equal(analysis.theorem[THEOREM_VIRTUALIZABLE], row->first);
    assert_int_equal(analysis.theorem[THEOREM_HYBRID], row->third);
    assert_int_equal(analysis.theorem[THEOREM_TRAP_OR_COMMUTE], row->commute);
    analysis_release(&analysis);
    description_release(description);
}

static void test_rows(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s %s\n", rows[i].file, rows[i].resources != NULL ? rows[i].resources : "");
        check_row(&rows[i]);
    }
}

/* A machine with one instruction of every class, small enough to try all of it. */
static const char tiny[] =
    "isa \"tiny\"; mode M : 1 { s = 0, u = 1 } analyze s over u; pc P : 1;"
    "relocation l : 2; relocation b : 2; user r : 2; resource Q : 1; memory E[3] : 1; monitor 1;"
    "map a : 1 -> 3 { if (zext(a, 2) >= b) { fault; } yield zext(a, 3) + zext(l, 3); }"
    "relocate x : 1 when l + zext(x, 2) >= l { l = l + zext(x, 2); }"
    "trap code : 1 { E[0] = M; M = s; }"
    "insn MOVE(a : 1, c : 1) { let v = load(c); store(a, v); }"
    "insn SVC { trap; }"
    "insn DROP { M = u; }"
    "insn SETR { if (M == u) { trap; } l = r; }"
    "insn GETR { r = l; }"
    "insn GETM { r = zext(M, 2); }"
    "insn GETQ { r = zext(Q, 2); }"
    "insn SETQ { if (M == s) { Q = 1; } }"
    "insn GATED { if (M == u && Q == 0) { trap; } r = 3; }"
    "insn ODD { if (M == u) { r = choose(2); } else { r = 0; } }"
    "insn PEEK { let v = E[0]; r = zext(v, 2); }";

static void test_enumeration_agrees(void **unused)
{
    struct diagnostics diagnostics = { 0 };
    struct isa_description *description = NULL;

    (void)unused;
    assert_int_equal(description_parse(tiny, strlen(tiny), NULL, 0, &diagnostics, &description), 0);
    for (unsigned i = 0; i < description->instruction_count; i++) {
        struct search_result solved, tried;

        assert_int_equal(
            search_solve(description, description->instructions[i], NULL, 20000, &solved), 0);
        assert_int_equal(search_enumerate(description, description->instructions[i], NULL, &tried),
                         0);
        assert_memory_equal(solved.answer, tried.answer, sizeof(solved.answer));
        search_release(&solved);
        search_release(&tried);
    }
    description_release(description);
}

struct class_row {
    const char *name;
    const char
        *classes; /* P privileged, C control, L location, M mode, R resource, U user, T part */
};

static void test_classes(void **unused)
{
    static const struct class_row expected[] = {
        { "MOVE", "" },   { "SVC", "" },   { "DROP", "C" },  { "SETR", "PC" },
        { "GETR", "LU" }, { "GETM", "M" }, { "GETQ", "RU" }, { "SETQ", "C" },
        { "GATED", "T" }, { "ODD", "M" },  { "PEEK", "LU" },
    };
    static const struct {
        enum instruction_class class;
        char letter;
    } letters[] = { { CLASS_PRIVILEGED, 'P' }, { CLASS_CONTROL, 'C' },
                    { CLASS_LOCATION, 'L' },   { CLASS_MODE, 'M' },
                    { CLASS_RESOURCE, 'R' },   { CLASS_USER_SENSITIVE, 'U' },
                    { CLASS_PARTIAL, 'T' } };
    struct diagnostics diagnostics = { 0 };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    struct analysis analysis;

    (void)unused;
    assert_int_equal(description_parse(tiny, strlen(tiny), NULL, 0, &diagnostics, &description), 0);
    assert_int_equal(analysis_run(description, &how, &analysis), 0);
    for (unsigned i = 0; i < analysis.report_count; i++) {
        char found[16] = "";
        size_t used = 0;

        for (size_t j = 0; j < sizeof(letters) / sizeof(letters[0]); j++)
            if (analysis.reports[i].is[letters[j].class] == ANSWER_YES)
                found[used++] = letters[j].letter;
        print_message("%s: %s\n", expected[i].name, found);
        assert_string_equal(analysis.reports[i].instruction->name, expected[i].name);
        assert_string_equal(found, expected[i].classes);
    }
    analysis_release(&analysis);
    description_release(description);
}

static void test_not_applicable(void **unused)
{
    static const char text[] = "isa \"z80\"; pc P : 2; user A : 4; memory E[4] : 4;"
                               "insn NOP { } insn LD { A = E[0]; }";
    struct diagnostics diagnostics = { 0 };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    struct analysis analysis;

    (void)unused;
    assert_int_equal(description_parse(text, strlen(text), NULL, 0, &diagnostics, &description), 0);
    assert_int_equal(analysis_run(description, &how, &analysis), 0);
    assert_int_equal(analysis.verdict, VERDICT_NOT_APPLICABLE);
    assert_false(analysis.premise[PREMISE_MODES]);
    analysis_release(&analysis);
    description_release(description);
}

/* "Privileged" compares states that differ in the mode and in nothing else, so a map under which
 * the two modes never see the same makes nothing unprivileged. */
static void test_privileged_pairs(void **unused)
{
    static const char text[] =
        "isa \"split\"; mode M : 1 { s = 0, u = 1 } analyze s over u; pc P : 1;"
        "relocation l : 1; memory E[4] : 1; monitor 1;"
        "map a : 1 as m -> 2 { if (a == 1 && m == u) { fault; } yield zext(a, 2) + zext(l, 2); }"
        "relocate x : 1 when l == 0 { l = x; }"
        "trap code : 1 { E[0] = M; M = s; }"
        "insn GET { let v = load(0); } insn SETR { if (M == u) { trap; } l = 1; }";
    struct diagnostics diagnostics = { 0 };
    struct analysis_options how = { .mode = MODE_CLASSIC };

    (void)unused;
    for (int i = 0; i < 2; i++) {
        struct isa_description *description = NULL;
        struct analysis analysis;

        how.enumerate = i == 1;
        assert_int_equal(description_parse(text, strlen(text), NULL, 0, &diagnostics, &description),
                         0);
        assert_int_equal(analysis_run(description, &how, &analysis), 0);
        assert_int_equal(analysis.reports[1].is[CLASS_PRIVILEGED], ANSWER_YES);
        assert_int_equal(analysis.reports[1].is[CLASS_CRITICAL], ANSWER_NO);
        analysis_release(&analysis);
        description_release(description);
    }
}

/* Theorem 3's condition names the instruction and the resource, and nothing besides. */
static void test_condition(void **unused)
{
    static const struct {
        uint64_t npt;
        const char *instruction;
    } cases[] = { { 2, "RDTICK" }, { 0, NULL }, { 1, NULL } };
    struct analysis_options how = { .mode = MODE_HYBRID };
    char path[512];

    (void)unused;
    (void)snprintf(path, sizeof(path), "%s/sparc-v9.isa", directory);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct description_options options = { .overrides = { { "npt", cases[i].npt } },
                                               .override_count = 1 };
        const struct instruction_report *report;
        struct isa_description *description = NULL;
        struct analysis analysis;
        unsigned next = 0;

        assert_int_equal(command_open(path, &options, &description), 0);
        assert_int_equal(analysis_run(description, &how, &analysis), 0);
        report = analysis_hybrid_condition(&analysis, &next);
        if (cases[i].instruction == NULL) {
            assert_null(report);
            assert_int_equal(analysis.verdict, VERDICT_VIRTUALIZABLE);
        } else {
            const struct witness *witness = report->found.witness[PROPERTY_STRAYS_IN_USER];

            assert_int_equal(analysis.verdict, VERDICT_UNDECIDED);
            assert_string_equal(report->instruction->name, cases[i].instruction);
            assert_string_equal(witness_resource(description, witness, 0)->name, "NPT");
            assert_null(witness_resource(description, witness, 1));
            assert_null(analysis_hybrid_condition(&analysis, &next));
        }
        analysis_release(&analysis);
        description_release(description);
    }
}

static void test_z80(void **unused)
{
    struct description_options options = { 0 };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    struct analysis analysis;
    char path[512];

    (void)unused;
    (void)snprintf(path, sizeof(path), "%s/z80.isa", directory);
    assert_int_equal(command_open(path, &options, &description), 0);
    assert_int_equal(analysis_run(description, &how, &analysis), 0);
    assert_int_equal(analysis.verdict, VERDICT_NOT_APPLICABLE);
    assert_false(analysis.premise[PREMISE_MODES]);
    assert_false(analysis.premise[PREMISE_RELOCATION]);
    assert_false(analysis.premise[PREMISE_TRAPS]);
    assert_true(analysis.premise[PREMISE_LOOKUP]);
    analysis_release(&analysis);
    description_release(description);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_enumeration_agrees),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_not_applicable),
        cmocka_unit_test(test_privileged_pairs),
        cmocka_unit_test(test_condition),
        cmocka_unit_test(test_z80),
    };

    if (argc < 2)
        return 64;
    directory = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
