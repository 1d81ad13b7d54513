/* SPDX-License-Identifier: MIT */
/*
 * Agreement: the classes that the checker proves of isa/x86-64.isa (and of isa/ia-32.isa, for what
 * 64-bit mode does not have) are those of the engine's instruction table.
 *
 * An instruction of a description stands for one or more encodings; each is decoded by the engine
 * and its row compared. And every row of the table that is not innocuous must have been met, or
 * stand below with the reason why no description has it. Usage: test_agreement ISA_DIRECTORY.
 *
 * Asked with IOPL and CR4.UMIP free, as the table's "partially trapping" is meant, and with the
 * features switched on that would be undefined in every ring without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "commands.h"
#include "engine_table.h"

enum { MAX_    { "MOV.load", 64, { 0x48, 0x8b, 0x03 }, 3 },
    { "MOV.store", 64, { 0x48, 0x89, 0x03 }, 3 },
    { "MOV.indirect", 64, { 0x8b, 0x00 }, 2 },
    { "MOV.immediate", 64, { 0xb8 }, 1 },
    { "ADD", 64, { 0x01, 0xd8 }, 2 },
    { "DEC", 64, { 0xff, 0xc8 }, 2 },
    { "JMP.near", 64, { 0xe9 }, 1 },
    { "JMP.near", 64, { 0xeb }, 1 },
    { "JNZ", 64, { 0x75 }, 1 },
    { "CALL.near", 64, { 0xe8 }, 1 },
    { "RET.near", 64, { 0xc3 }, 1 },
    { "PUSH", 64, { 0x50 }, 1 },
    { "POP", 64, { 0x58 }, 1 },
    { "MOV.fs", 64, { 0x64, 0x8b, 0x03 }, 3 },
    { "RDFSBASE", 64, { 0xf3, 0x0f, 0xae, 0xc0 }, 4 },
    { "RDFSBASE", 64, { 0xf3, 0x0f, 0xae, 0xc8 }, 4 },
    { "WRFSBASE", 64, { 0xf3, 0x0f, 0xae, 0xd0 }, 4 },
    { "WRFSBASE", 64, { 0xf3, 0x0f, 0xae, 0xd8 }, 4 },
    { "RDRAND", 64, { 0x0f, 0xc7, 0xf0 }, 3 },
    { "RDRAND", 64, { 0x0f, 0xc7, 0xf8 }, 3 },
    { "RDTSC", 64, { 0x0f, 0x31 }, 2 },
    { "RDPMC", 64, { 0x0f, 0x33 }, 2 },
    { "RDTSCP", 64, { 0x0f, 0x01, 0xf9 }, 3 },
    { "RDPID", 64, { 0xf3, 0x0f, 0xc7, 0xf8 }, 4 },
    { "XGETBV", 64, { 0x0f, 0x01, 0xd0 }, 3 },
    { "CPUID", 64, { 0x0f, 0xa2 }, 2 },
    { "RDPKRU", 64, { 0x0f, 0x01, 0xee }, 3 },
    { "WRPKRU", 64, { 0x0f, 0x01, 0xef }, 3 },
    { "XSAVE", 64, { 0x0f, 0xae, 0x20 }, 3 },
    { "XSAVE", 64, { 0x0f, 0xae, 0x30 }, 3 },
    { "XSAVE", 64, { 0x0f, 0xc7, 0x20 }, 3 },
    { "XRSTOR", 64, { 0x0f, 0xae, 0x28 }, 3 },
    { "SGDT", 64, { 0x0f, 0x01, 0x00 }, 3 },
    { "SIDT", 64, { 0x0f, 0x01, 0x08 }, 3 },
    { "SLDT", 64, { 0x0f, 0x00, 0xc0 }, 3 },
    { "STR", 64, { 0x0f, 0x00, 0xc8 }, 3 },
    { "SMSW", 64, { 0x0f, 0x01, 0xe0 }, 3 },
    { "PUSHF", 64, { 0x9c }, 1 },
    { "POPF", 64, { 0x9d }, 1 },
    { "LAR", 64, { 0x0f, 0x02, 0xc0 }, 3 },
    { "LSL", 64, { 0x0f, 0x03, 0xc0 }, 3 },
    { "VERR", 64, { 0x0f, 0x00, 0xe0 }, 3 },
    { "VERW", 64, { 0x0f, 0x00, 0xe8 }, 3 },
    { "MOV.from.CS", 64, { 0x8c, 0xc8 }, 2 },
    { "MOV.from.SS", 64, { 0x8c, 0xd0 }, 2 },
    { "MOV.from.DS", 64, { 0x8c, 0xd8 }, 2 },
    { "MOV.from.DS", 64, { 0x8c, 0xc0 }, 2 },
    { "MOV.from.FS", 64, { 0x8c, 0xe0 }, 2 },
    { "MOV.from.FS", 64, { 0x8c, 0xe8 }, 2 },
    { "MOV.to.SS", 64, { 0x8e, 0xd0 }, 2 },
    { "MOV.to.DS", 64, { 0x8e, 0xd8 }, 2 },
    { "MOV.to.DS", 64, { 0x8e, 0xc0 }, 2 },
    { "MOV.to.FS", 64, { 0x8e, 0xe0 }, 2 },
    { "MOV.to.FS", 64, { 0x8e, 0xe8 }, 2 },
    { "PUSH.FS", 64, { 0x0f, 0xa0 }, 2 },
    { "PUSH.FS", 64, { 0x0f, 0xa8 }, 2 },
    { "POP.FS", 64, { 0x0f, 0xa1 }, 2 },
    { "POP.FS", 64, { 0x0f, 0xa9 }, 2 },
    { "LFS", 64, { 0x0f, 0xb4, 0x00 }, 3 },
    { "LFS", 64, { 0x0f, 0xb5, 0x00 }, 3 },
    { "LSS", 64, { 0x0f, 0xb2, 0x00 }, 3 },
    { "CALL.far", 64, { 0xff, 0x18 }, 2 },
    { "JMP.far", 64, { 0xff, 0x28 }, 2 },
    { "RET.far", 64, { 0xcb }, 1 },
    { "RET.far", 64, { 0xca }, 1 },
    { "IRET", 64, { 0xcf }, 1 },
    { "INT", 64, { 0xcd, 0x80 }, 2 },
    { "INT", 64, { 0xcc }, 1 },
    { "INT", 64, { 0xf1 }, 1 },
    { "SYSCALL", 64, { 0x0f, 0x05 }, 2 },
    { "SYSENTER", 64, { 0x0f, 0x34 }, 2 },
    { "CLI", 64, { 0xfa }, 1 },
    { "STI", 64, { 0xfb }, 1 },
    { "IN", 64, { 0xe4 }, 1 },
    { "IN", 64, { 0xe5 }, 1 },
    { "IN", 64, { 0xec }, 1 },
    { "IN", 64, { 0xed }, 1 },
    { "OUT", 64, { 0xe6 }, 1 },
    { "OUT", 64, { 0xe7 }, 1 },
    { "OUT", 64, { 0xee }, 1 },
    { "OUT", 64, { 0xef }, 1 },
    { "INS", 64, { 0x6c }, 1 },
    { "INS", 64, { 0x6d }, 1 },
    { "OUTS", 64, { 0x6e }, 1 },
    { "OUTS", 64, { 0x6f }, 1 },
    { "HLT", 64, { 0xf4 }, 1 },
    { "LGDT", 64, { 0x0f, 0x01, 0x10 }, 3 },
    { "LIDT", 64, { 0x0f, 0x01, 0x18 }, 3 },
    { "LLDT", 64, { 0x0f, 0x00, 0xd0 }, 3 },
    { "LTR", 64, { 0x0f, 0x00, 0xd8 }, 3 },
    { "LMSW", 64, { 0x0f, 0x01, 0xf0 }, 3 },
    { "CLTS", 64, { 0x0f, 0x06 }, 2 },
    { "MOV.fromDR", 64, { 0x0f, 0x21, 0xc0 }, 3 },
    { "MOV.toDR", 64, { 0x0f, 0x23, 0xc0 }, 3 },
    { "RDMSR", 64, { 0x0f, 0x32 }, 2 },
    { "WRMSR", 64, { 0x0f, 0x30 }, 2 },
    { "INVLPG", 64, { 0x0f, 0x01, 0x38 }, 3 },
    { "INVD", 64, { 0x0f, 0x08 }, 2 },
    { "WBINVD", 64, { 0x0f, 0x09 }, 2 },
    { "WBINVD", 64, { 0xf3, 0x0f, 0x09 }, 3 },
    { "MOV.fromCR.CR0", 64, { 0x0f, 0x20, 0xc0 }, 3 },
    { "MOV.fromCR.CR3", 64, { 0x0f, 0x20, 0xd8 }, 3 },
    { "MOV.fromCR.CR3", 64, { 0x0f, 0x20, 0xd0 }, 3 },
    { "MOV.fromCR.CR4", 64, { 0x0f, 0x20, 0xe0 }, 3 },
    { "MOV.fromCR.CR8", 64, { 0x44, 0x0f, 0x20, 0xc0 }, 4 },
    { "MOV.toCR.CR0", 64, { 0x0f, 0x22, 0xc0 }, 3 },
    { "MOV.toCR.CR3", 64, { 0x0f, 0x22, 0xd8 }, 3 },
    { "MOV.toCR.CR3", 64, { 0x0f, 0x22, 0xd0 }, 3 },
    { "MOV.toCR.CR4", 64, { 0x0f, 0x22, 0xe0 }, 3 },
    { "MOV.toCR.CR8", 64, { 0x44, 0x0f, 0x22, 0xc0 }, 4 },
    { "INVPCID", 64, { 0x66, 0x0f, 0x38, 0x82, 0x00 }, 5 },
    { "SWAPGS", 64, { 0x0f, 0x01, 0xf8 }, 3 },
    { "SYSRET", 64, { 0x0f, 0x07 }, 2 },
    { "SYSRET", 64, { 0x0f, 0x35 }, 2 },
    { "XSETBV", 64, { 0x0f, 0x01, 0xd1 }, 3 },
    { "STAC", 64, { 0x0f, 0x01, 0xcb }, 3 },
    { "STAC", 64, { 0x0f, 0x01, 0xca }, 3 },
    { "MONITOR", 64, { 0x0f, 0x01, 0xc8 }, 3 },
    { "MONITOR", 64, { 0x0f, 0x01, 0xc9 }, 3 },
    /* What 64-bit mode does not have. */
    { "ARPL", 32, { 0x63, 0xc0 }, 2 },
    { "PUSH.segment.CS", 32, { 0x0e }, 1 },
    { "PUSH.segment.SS", 32, { 0x16 }, 1 },
    { "PUSH.segment.DS", 32, { 0x1e }, 1 },
    { "PUSH.segment.DS", 32, { 0x06 }, 1 },
    { "POP.segment.SS", 32, { 0x17 }, 1 },
    { "POP.segment.DS", 32, { 0x1f }, 1 },
    { "POP.segment.DS", 32, { 0x07 }, 1 },
    { "LDS", 32, { 0xc5, 0x00 }, 2 },
    { "LDS", 32, { 0xc4, 0x00 }, 2 },
    { "CALL.far", 32, { 0x9a }, 1 },
    { "JMP.far", 32, { 0xea }, 1 },
    { "INT", 32, { 0xce }, 1 },
 = 4096 };

struct encoding_row {
    const char *name; /* in the description */
    unsigned code_size;
    uint8_t bytes[5];
    unsigned count;
};

/* clang-format off */
static const struct encoding_row encodings[] = {
ROWS};
/* clang-format on */

static const struct {
    const char *mnemonic, *reason;
} absent[] = {
    { "vmcall", "undefined without VT-x; the engine gives its guest's kernel a service by it" },
    { "vmmcall", "undefined without AMD-V; the same" },
};

static const char *directory;
static bool met[MAX_ROWS];

static enum engine_class class_of(const struct instruction_report *report)
{
    if (report->is[CLASS_PRIVILEGED] == ANSWER_YES)
        return ENGINE_PRIVILEGED;
    if (report->is[CLASS_PARTIAL] == ANSWER_YES)
        return ENGINE_PARTIAL;
    return report->is[CLASS_CRITICAL] == ANSWER_YES ? ENGINE_CRITICAL : ENGINE_INNOCUOUS;
}

static unsigned compare(const struct instruction_report *report, unsigned code_size,
                        unsigned *disagreements)
{
    enum engine_class proved = class_of(report);
    unsigned found = 0;

    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        const struct encoding_row *row = &encodings[i];
        unsigned number;

        if (row->code_size != code_size || strcmp(row->name, report->instruction->name) != 0)
            continue;
        number = engine_row(row->bytes, row->count, code_size);
        assert_int_not_equal(number, 0);
        found++;
        met[number] = true;
        if (engine_row_class(number) == proved)
            continue;
        print_message("%s: %s by the analysis, %s in the table (%s, opcode %02x %02x)\n", row->name,
                      engine_class_names[proved], engine_class_names[engine_row_class(number)],
                      engine_row_mnemonic(number), row->bytes[0], row->bytes[1]);
        ++*disagreements;
    }
    return found;
}

/* Compares every instruction of a description that has encodings of this code size. */
static void agree(const char *file, const char *const *parameters, const uint64_t *values,
                  unsigned count, unsigned code_size)
{
    struct description_options options = { .override_count = count };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    struct analysis analysis;
    unsigned disagreements = 0, compared = 0;
    char path[512];

    for (unsigned i = 0; i < count; i++) {
        options.overrides[i].name = parameters[i];
        options.overrides[i].value = values[i];
    }
    (void)snprintf(path, sizeof(path), "%s/%s", directory, file);
    assert_int_equal(command_open(path, &options, &description), 0);
    assert_int_equal(analysis_run(description, &how, &analysis), 0);
    for (unsigned i = 0; i < analysis.report_count; i++) {
        unsigned found = compare(&analysis.reports[i], code_size, &disagreements);

        if (found == 0 && code_size == 64)
            print_message("%s has no encoding here\n", analysis.reports[i].instruction->name);
        if (code_size == 64)
            assert_int_not_equal(found, 0);
        compared += found;
    }
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
        if (encodings[i].code_size == code_size)
            compared -= description_find_instruction(description, encodings[i].name) != NULL;
    assert_int_equal(compared, 0);
    assert_int_equal(disagreements, 0);
    analysis_release(&analysis);
    description_release(description);
}

static void test_long_mode(void **unused)
{
    static const char *const parameters[] = { "umip", "io_privilege", "enabled" };
    static const uint64_t values[] = { 2, 1, 1 };

    (void)unused;
    agree("x86-64.isa", parameters, values, 3, 64);
}

static void test_legacy(void **unused)
{
    static const char *const parameters[] = { "io_privilege" };
    static const uint64_t values[] = { 1 };

    (void)unused;
    agree("ia-32.isa", parameters, values, 1, 32);
}

/* After the two above: no row that is more than innocuous was left out. */
static void test_every_row_met(void **unused)
{
    unsigned missing = 0, sensitive = 0;

    (void)unused;
    for (unsigned row = 1; row < engine_row_count(); row++) {
        bool excused = false;

        if (engine_row_class(row) == ENGINE_INNOCUOUS)
            continue;
        sensitive++;
        for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
            excused = excused || strcmp(absent[i].mnemonic, engine_row_mnemonic(row)) == 0;
        if (met[row] || excused)
            continue;
        print_message("%s (row %u), %s, is in no description\n", engine_row_mnemonic(row), row,
                      engine_class_names[engine_row_class(row)]);
        missing++;
    }
    print_message("%u rows of the table are more than innocuous\n", sensitive);
    assert_int_equal(missing, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_mode),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_every_row_met),
    };

    if (argc < 2 || engine_row_count() > MAX_ROWS)
        return 64;
    directory = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
