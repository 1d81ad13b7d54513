/* SPDX-License-Identifier: MIT */
/*
 * A witness that does not replay is an internal error, never a verdict.
 *
 * The linker puts this file's witness_holds() before the evaluator's (--wrap), so that the check
 * of what the solver proposes can be made to fail: always, never, or for one property.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <getopt.h>

#include "commands.h"

bool __real_witness_holds(const struct isa_description *description, struct witness *witness);
bool __wrap_witness_holds(const struct isa_description *description, struct witness *witness);

static int refused; /* the property whose witnesses do not hold; -1: none, PROPERTY_COUNT: all */
static char *path;

bool __wrap_witness_holds(const struct isa_description *description, struct witness *witness)
{
    if (refused == PROPERTY_COUNT || (int)witness->property == refused)
        return false;
    return __real_witness_holds(description, witness);
}

static int check(char *option)
{
    char *arguments[] = { (char[]){ "check" }, path, option, NULL };

    optind = 0; /* getopt starts anew */
    return command_check(option != NULL ? 3 : 2, arguments);
}

static void test_everything_holds(void **unused)
{
    (void)unused;
    refused = -1;
    assert_int_equal(check(NULL), EXIT_NOT_VIRTUALIZABLE);
}

static void test_nothing_holds(void **unused)
{
    (void)unused;
    refused = PROPERTY_COUNT;
    assert_int_equal(check(NULL), EXIT_INTERNAL);
    assert_int_equal(check((char[]){ "--json" }), EXIT_INTERNAL);
}

/* The error says which instruction and which property. */
static void test_one_property(void **unused)
{
    struct description_options none = { 0 };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    struct analysis analysis;

    (void)unused;
    refused = PROPERTY_MODE;
    assert_int_equal(command_open(path, &none, &description), 0);
    assert_int_equal(analysis_run(description, &how, &analysis), -EPROTO);
    print_message("%s\n", analysis.error);
    assert_non_null(strstr(analysis.error, "MOVE from SR"));
    assert_non_null(strstr(analysis.error, "mode sensitive"));
    analysis_release(&analysis);
    description_release(description);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_holds),
        cmocka_unit_test(test_nothing_holds),
        cmocka_unit_test(test_one_property),
    };

    if (argc < 2)
        return 64;
    path = argv[1]; /* mc68000.isa */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
