/* SPDX-License-Identifier: MIT */
/* The command as it is built elsewhere than on x86-64 Linux: it starts, and says that it can't. */
#include "run_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cjson/cJSON.h>

static void test_says_not_applicable(void **state)
{
    char *argv[] = { "probe", NULL };
    char *output;

    (void)state;
    assert_int_equal(run_command(argv, NULL, &output), 2);
    assert_string_equal(output, "");
    free(output);
}

static void test_json_says_not_applicable(void **state)
{
    char *argv[] = { "probe", "--json", NULL };
    char *output;
    cJSON *root;

    (void)state;
    assert_int_equal(run_command(argv, NULL, &output), 2);
    root = cJSON_Parse(output);
    assert_non_null(root);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(root, "applicable")));
    assert_true(cJSON_IsString(cJSON_GetObjectItem(root, "reason")));
    cJSON_Delete(root);
    free(output);
}

static void test_help(void **state)
{
    char *argv[] = { "probe", "--help", NULL };
    char *output;

    (void)state;
    assert_int_equal(run_command(argv, NULL, &output), 0);
    assert_non_null(strstr(output, "Example:"));
    free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_not_applicable),
        cmocka_unit_test(test_json_says_not_applicable),
        cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
