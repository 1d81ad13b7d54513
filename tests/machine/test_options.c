/* SPDX-License-Identifier: MIT */
/* test_options.c - the command line of `origami run`. */
#include "command/options.h"
#include "terminal/escape.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define ARGUMENTS 32

static struct options options;
static struct problem problem;

/* Parses a command line given as one string, words separated by single spaces. */
static int parse(const char *text)
{
    static char copy[512];
    char *argv[ARGUMENTS] = { (char *)(uintptr_t) "run" };
    int argc = 1;

    strncpy(copy, text, sizeof(copy) - 1);
    for (char *word = strtok(copy, " "); word && argc < ARGUMENTS - 1; word = strtok(NULL, " "))
        argv[argc++] = word;
    problem = (struct problem){ 0 };
    return options_parse(&options, argc, argv, &problem);
}

static void good(void **state)
{
    (void)state;
    assert_int_equal(parse("--kernel k"), 0);
    assert_int_equal(options.memory, 512ull << 20);
    assert_int_equal(options.cpus, 1);
    assert_null(options.cmdline);
    options_free(&options);
    assert_int_equal(parse("--kernel=k --initrd i --memory 64G --cpus 1 --tier step --clock "
                           "instructions --debug-exit --no-reboot --stats s.json"),
                     0);
    assert_string_equal(options.initrd, "i");
    assert_int_equal(options.memory, 64ull << 30);
    assert_true(options.instructions && options.debug_exit && options.no_reboot);
    options_free(&options);
    assert_int_equal(parse("--kernel k --module a,b,c --module d"), 0);
    assert_int_equal(options.module_count, 2);
    assert_string_equal(options.module[0].file, "a");
    assert_string_equal(options.module[0].arguments, "b,c");
    assert_string_equal(options.module[1].arguments, "");
    options_free(&options);
    assert_int_equal(
        parse("--kernel k --module a,,b,c,,d --debug-exit=on --no-reboot=off --append x"), 0);
    assert_string_equal(options.module[0].file, "a,b");
    assert_string_equal(options.module[0].arguments, "c,,d");
    assert_string_equal(options.cmdline, "x");
    assert_true(options.debug_exit && !options.no_reboot);
    options_free(&options);
    assert_int_equal(parse("--kernel k --disk a,ro,serial=b=c --disk d,ro=off"), 0);
    assert_int_equal(options.disk_count, 2);
    assert_string_equal(options.disk[0].serial, "b=c");
    assert_true(options.disk[0].read_only && !options.disk[1].read_only);
    options_free(&options);
    assert_int_equal(parse("--kernel k --record a --net user"), 0);
    assert_string_equal(options.record, "a");
    assert_true(options.instructions);
    options_free(&options);
    assert_int_equal(parse("--kernel k --replay a --clock instructions"), 0);
    assert_true(options.replay && options.instructions);
    options_free(&options);
    assert_int_equal(parse("--help --nonsense"), 0);
    assert_true(options.help);
    options_free(&options);
    assert_int_equal(parse("--version"), 0);
    assert_true(options.version);
    options_free(&options);
}

static void bad(void **state)
{
    static const char *const lines[] = {
        "",
        "--memory 1G",
        "kernel",
        "--kernel k extra",
        "--nonsense",
        "-x",
        "--kernel",
        "--kernel k --kernel k",
        "--kernel k --memory 1G --memory 1G",
        "--kernel k --memory",
        "--kernel k --memory x",
        "--kernel k --memory -1",
        "--kernel k --memory 1Q",
        "--kernel k --memory 512K",
        "--kernel k --memory 1025K",
        "--kernel k --memory 99999999999T",
        "--kernel k --memory 18446744073709551616",
        "--kernel k --cpus 0",
        "--kernel k --cpus 2",
        "--kernel k --cpus x",
        "--kernel k --tier direct",
        "--kernel k --tier warp",
        "--kernel k --clock sundial",
        "--kernel k --debug-exit=yes",
        "--kernel k --debug-exit --debug-exit",
        "--kernel k --append a --cmdline b",
        "--kernel k --module ,a",
        "--kernel k --config a --config b",
        "--kernel k --balloon-size 8M",
        "--kernel k --balloon --balloon-size 512M",
        "--kernel k --disk f,rw",
        "--kernel k --disk f,ro=maybe",
        "--kernel k --disk f,ro,ro",
        "--kernel k --disk f,serial",
        "--kernel k --disk ,ro",
        "--kernel k --c x",
        "--kernel k --record",
        "--kernel k --record a --record b",
        "--kernel k --record a --replay a",
        "--kernel k --record a --clock real",
        "--kernel k --clock real --replay a",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_not_equal(parse(lines[i]), 0);
        assert_int_equal(problem.status, STATUS_USAGE);
        assert_true(problem.text[0]);
        options_free(&options);
    }
}

static void too_many_modules(void **state)
{
    char *argv[2 * 40 + 3] = { (char *)(uintptr_t) "run" };

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        argv[1 + 2 * i] = (char *)(uintptr_t) "--module";
        argv[2 + 2 * i] = (char *)(uintptr_t) "m";
    }
    assert_int_not_equal(options_parse(&options, 81, argv, &problem), 0);
    options_free(&options);
}

static void sizes(void **state)
{
    uint64_t bytes;

    (void)state;
    assert_int_equal(options_size("1", &bytes), 0);
    assert_int_equal(bytes, 1 << 20);
    assert_int_equal(options_size("4k", &bytes), 0);
    assert_int_equal(bytes, 4096);
    assert_int_equal(options_size("2T", &bytes), 0);
    assert_int_equal(bytes, 2ull << 40);
    assert_int_not_equal(options_size("", &bytes), 0);
    assert_int_not_equal(options_size(" 1", &bytes), 0);
    assert_int_not_equal(options_size("1MB", &bytes), 0);
    assert_int_not_equal(options_size("16777216T", &bytes), 0);
}

static void escape_keys(void **state)
{
    struct escape escape = { 0 };

    (void)state;
    assert_int_equal(escape_next(&escape, 'x'), ESCAPE_BYTE);
    assert_int_equal(escape_next(&escape, 1), ESCAPE_NONE);
    assert_int_equal(escape_next(&escape, 1), ESCAPE_BYTE);
    assert_int_equal(escape_next(&escape, 'h'), ESCAPE_BYTE);
    assert_int_equal(escape_next(&escape, 1), ESCAPE_NONE);
    assert_int_equal(escape_next(&escape, 'h'), ESCAPE_HELP);
    assert_int_equal(escape_next(&escape, 1), ESCAPE_NONE);
    assert_int_equal(escape_next(&escape, 'q'), ESCAPE_NONE);
    assert_int_equal(escape_next(&escape, 1), ESCAPE_NONE);
    assert_int_equal(escape_next(&escape, 'x'), ESCAPE_LEAVE);
}

static void problems_are_one_line(void **state)
{
    (void)state;
    problem_set(&problem, STATUS_INPUT, 5, "%s: %s", "a\nb\x1b[2J", "text");
    assert_string_equal(problem.text, "a?b?[2J: text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
        cmocka_unit_test(too_many_modules),
        cmocka_unit_test(sizes),
        cmocka_unit_test(escape_keys),
        cmocka_unit_test(problems_are_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
