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

#include "agreement_rows.h"
#include "commands.h"
#include "engine_table.h"

enum { MAX_ROWS = 4096 };

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
    unsigned disagreements = 0, compared = 0, expected = 0;
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
        expected += encodings[i].code_size == code_size;
    assert_int_equal(compared, expected); /* no encoding names an instruction that is not there */
    print_message("%s: %u encodings compared\n", file, compared);
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
