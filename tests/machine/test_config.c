/* SPDX-License-Identifier: MIT */
/* test_config.c - the file of --config: what it may say, every way it can be wrong, who wins. */
#include "command/config.h"
#include "command/optiontable.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct options options;
static struct problem problem;

static int parse(const char *text)
{
    memset(&options, 0, sizeof(options));
    problem = (struct problem){ 0 };
    return config_parse(&options, "dir/vm.json", text, strlen(text), &problem);
}

static void every_field(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"kernel\": \"k\", \"initrd\": \"/i\", \"cmdline\": \"a b\",\n"
              "\"modules\": [{\"file\": \"m\", \"arguments\": \"x,y\"}, {\"file\": \"/n,o\"}],\n"
              "\"memory\": \"1G\", \"cpus\": 1, \"tier\": \"step\", \"clock\": \"instructions\",\n"
              "\"debug-exit\": true, \"no-reboot\": true, \"stats\": \"s\","
              "\"disks\": [{\"file\": \"d\", \"ro\": true}, {\"file\": \"e\", \"serial\": \"S1\"}],"
              "\"console\": true, \"rng\": true, \"balloon\": true, \"balloon-size\": \"8M\"}\n"),
        0);
    assert_string_equal(options.kernel, "dir/k");
    assert_string_equal(options.initrd, "/i");
    assert_string_equal(options.cmdline, "a b");
    assert_int_equal(options.module_count, 2);
    assert_string_equal(options.module[0].file, "dir/m");
    assert_string_equal(options.module[0].arguments, "x,y");
    assert_string_equal(options.module[1].file, "/n,o");
    assert_string_equal(options.module[1].arguments, "");
    assert_int_equal(options.memory, 1 << 30);
    assert_int_equal(options.cpus, 1);
    assert_int_equal(options.tier, 0);
    assert_true(options.instructions && options.debug_exit && options.no_reboot);
    assert_string_equal(options.statistics, "dir/s");
    assert_int_equal(options.disk_count, 2);
    assert_string_equal(options.disk[0].file, "dir/d");
    assert_string_equal(options.disk[0].serial, "");
    assert_true(options.disk[0].read_only && !options.disk[1].read_only);
    assert_string_equal(options.disk[1].serial, "S1");
    assert_true(options.console && options.rng && options.balloon);
    assert_int_equal(options.balloon_size, 8 << 20);
    options_free(&options);
    assert_int_equal(parse("{\"memory\": 256, \"debug-exit\": false}"), 0);
    assert_int_equal(options.memory, 256 << 20);
    assert_false(options.debug_exit);
    options_free(&options);
    assert_int_equal(parse(" {} \r\n\t"), 0);
    options_free(&options);
}

/* text, status, the whole message after "dir/vm.json: " */
static const struct {
    const char *text;
    int status;
    const char *message;
} wrong[] = {
    { "", STATUS_INPUT, "line 1: not JSON" },
    { "{", STATUS_INPUT, "line 1: not JSON" },
    { "\n\n{\"cpus\" 1}", STATUS_INPUT, "line 3: not JSON" },
    { "{}\n{}", STATUS_INPUT, "line 2: not JSON" },
    { "{} x", STATUS_INPUT, "line 1: not JSON" },
    { "{\"cmdline\": \"a\nb\"}", STATUS_INPUT,
      "line 1: a string is not closed, or holds a control character" },
    { "{\"kernel\": \"k\\u0000x\"}", STATUS_INPUT, "line 1: a string holds a NUL character" },
    { "[[[[[[[[[]]]]]]]]]", STATUS_INPUT, "line 1: nested more than 8 levels deep" },
    { "[]", STATUS_USAGE, "must be an object, not an array" },
    { "\"k\"", STATUS_USAGE, "must be an object, not a string" },
    { "null", STATUS_USAGE, "must be an object, not null" },
    { "{\"colour\": 1}", STATUS_USAGE, "colour: unknown field" },
    { "{\"Kernel\": \"k\"}", STATUS_USAGE, "Kernel: unknown field" },
    { "{\"module\": []}", STATUS_USAGE, "module: unknown field" },
    { "{\"append\": \"a\"}", STATUS_USAGE, "append: unknown field" },
    { "{\"\": 1}", STATUS_USAGE, "unknown field" },
    { "{\"config\": \"a\"}", STATUS_USAGE, "config: for the command line only" },
    { "{\"engine\": \"a\"}", STATUS_USAGE, "engine: for the command line only" },
    { "{\"help\": true}", STATUS_USAGE, "help: for the command line only" },
    { "{\"cpus\": 1, \"kernel\": \"k\", \"cpus\": 1}", STATUS_USAGE, "cpus: given twice" },
    { "{\"kernel\": 1}", STATUS_USAGE, "kernel: must be a string, not a number" },
    { "{\"kernel\": null}", STATUS_USAGE, "kernel: must be a string, not null" },
    { "{\"kernel\": \"\"}", STATUS_USAGE, "kernel: empty file name" },
    { "{\"kernel\": [\"k\"]}", STATUS_USAGE, "kernel: must be a string, not an array" },
    { "{\"cmdline\": {}}", STATUS_USAGE, "cmdline: must be a string, not an object" },
    { "{\"debug-exit\": 1}", STATUS_USAGE, "debug-exit: must be true or false, not a number" },
    { "{\"debug-exit\": \"on\"}", STATUS_USAGE, "debug-exit: must be true or false, not a string" },
    { "{\"memory\": true}", STATUS_USAGE,
      "memory: must be a size such as \"512M\" or a number of MiB, not true or false" },
    { "{\"memory\": -1}", STATUS_USAGE, "memory: must be a whole number, not -1" },
    { "{\"memory\": 1.5}", STATUS_USAGE, "memory: must be a whole number, not 1.5" },
    { "{\"memory\": 1e300}", STATUS_USAGE, "memory: must be a whole number, not 1e+300" },
    { "{\"memory\": 0}", STATUS_USAGE,
      "memory: a size such as 512M or 4G, at least 1M, in multiples of 4K, not 0" },
    { "{\"memory\": \"1025K\"}", STATUS_USAGE,
      "memory: a size such as 512M or 4G, at least 1M, in multiples of 4K, not 1025K" },
    { "{\"memory\": \"99999999999T\"}", STATUS_USAGE, "memory: too large: 99999999999T" },
    { "{\"cpus\": \"1\"}", STATUS_USAGE, "cpus: must be a number, not a string" },
    { "{\"cpus\": 0}", STATUS_USAGE,
      "cpus: only 1 so far (several CPUs are not there yet), not 0" },
    { "{\"cpus\": 4294967297}", STATUS_USAGE,
      "cpus: only 1 so far (several CPUs are not there yet), not 4294967297" },
    { "{\"tier\": \"warp\"}", STATUS_USAGE, "tier: step or soft, not warp" },
    { "{\"clock\": 0}", STATUS_USAGE, "clock: must be a string, not a number" },
    { "{\"disks\": [{\"file\": \"a\"}, {\"file\": \"b\", \"serial\": 7}]}", STATUS_USAGE,
      "disks[1].serial: must be a string, not a number" },
    { "{\"disks\": [{\"file\": \"a\", \"serial\": \"a/b\"}]}", STATUS_USAGE,
      "disks[0]: a serial number is of printable ASCII without spaces and slashes" },
    { "{\"disks\": [{\"file\": \"a\", \"serial\": \"123456789012345678901\"}]}", STATUS_USAGE,
      "disks[0]: a serial number has at most 20 characters" },
    { "{\"disks\": [{\"ro\": true}]}", STATUS_USAGE, "disks[0]: no file given" },
    { "{\"net\": \"user\"}", STATUS_USAGE, "net: must be an object, not a string" },
    { "{\"net\": {}}", STATUS_USAGE, "net: no mode given" },
    { "{\"net\": {\"mode\": \"lan\"}}", STATUS_USAGE, "net.mode: none, user or tap, not lan" },
    { "{\"net\": {\"mode\": \"user\", \"forward\": \"tcp:1:1\"}}", STATUS_USAGE,
      "net.forward: must be an array, not a string" },
    { "{\"net\": {\"mode\": \"user\", \"forward\": [\"tcp:1:1\", \"tcp:1\"]}}", STATUS_USAGE,
      "net.forward[1]: ports are numbers from 1 to 65535, the host's first, then the guest's: "
      "tcp:1" },
    { "{\"net\": {\"mode\": \"tap\"}}", STATUS_USAGE, "net: tap needs name=DEVICE" },
    { "{\"net\": {\"mode\": \"user\", \"mac\": \"x\"}}", STATUS_USAGE,
      "net.mac: a MAC address is six bytes such as 52:54:00:12:34:56: x" },
    { "{\"modules\": {}}", STATUS_USAGE, "modules: must be an array, not an object" },
    { "{\"modules\": [\"m\"]}", STATUS_USAGE, "modules[0]: must be an object, not a string" },
    { "{\"modules\": [{\"file\": \"m\"}, {}]}", STATUS_USAGE, "modules[1]: no file given" },
    { "{\"modules\": [{\"file\": \"m\"}, {\"file\": 3}]}", STATUS_USAGE,
      "modules[1].file: must be a string, not a number" },
    { "{\"modules\": [{\"file\": \"m\", \"size\": 3}]}", STATUS_USAGE,
      "modules[0].size: unknown field" },
    { "{\"modules\": [{\"file\": \"m\", \"file\": \"n\"}]}", STATUS_USAGE,
      "modules[0].file: given twice" },
};

static void every_error(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char whole[256];
        assert_int_not_equal(parse(wrong[i].text), 0);
        snprintf(whole, sizeof(whole), "dir/vm.json: %s", wrong[i].message);
        assert_string_equal(problem.text, whole);
        assert_int_equal(problem.status, wrong[i].status);
        options_free(&options);
    }
}

static void too_many_elements(void **state)
{
    char text[2048] = "{\"modules\": [";

    (void)state;
    for (unsigned i = 0; i < OPTIONS_MODULES + 1; i++)
        strcat(text, i ? ",{\"file\": \"m\"}" : "{\"file\": \"m\"}");
    strcat(text, "]}");
    assert_int_not_equal(parse(text), 0);
    assert_string_equal(problem.text, "dir/vm.json: modules[32]: more than 32 of them");
    options_free(&options);
}

/* ---- Files, and the command line over them ---- */

static char path[] = "/tmp/test-config-XXXXXX";

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int run(const char *more)
{
    static char copy[256];
    char *argv[16] = { (char *)(uintptr_t) "run", (char *)(uintptr_t) "--config", path };
    int argc = 3;

    strncpy(copy, more, sizeof(copy) - 1);
    for (char *word = strtok(copy, " "); word && argc < 15; word = strtok(NULL, " "))
        argv[argc++] = word;
    problem = (struct problem){ 0 };
    return options_parse(&options, argc, argv, &problem);
}

static void command_line_wins(void **state)
{
    static const char text[] = "{\"kernel\": \"k\", \"memory\": \"1G\", \"debug-exit\": true,"
                               "\"clock\": \"instructions\","
                               "\"modules\": [{\"file\": \"a\"}, {\"file\": \"b\"}]}";

    (void)state;
    write_file(text, sizeof(text) - 1);
    assert_int_equal(run(""), 0);
    assert_string_equal(options.kernel, "/tmp/k");
    assert_int_equal(options.memory, 1 << 30);
    assert_int_equal(options.module_count, 2);
    assert_true(options.debug_exit && options.instructions && !options.no_reboot);
    options_free(&options);
    /* Each replaces the field of its name, lists as a whole; others stay. */
    assert_int_equal(run("--memory 2G --module c --debug-exit=off --kernel other"), 0);
    assert_string_equal(options.kernel, "other");
    assert_int_equal(options.memory, 2ull << 30);
    assert_int_equal(options.module_count, 1);
    assert_string_equal(options.module[0].file, "c");
    assert_true(!options.debug_exit && options.instructions);
    options_free(&options);
    assert_int_equal(run("--clock real --append x"), 0);
    assert_true(!options.instructions);
    assert_string_equal(options.cmdline, "x");
    options_free(&options);
}

static void bad_files(void **state)
{
    static const char overridden[] = "{\"kernel\": \"k\", \"memory\": \"much\"}";
    char *large = calloc(1, CONFIG_SIZE_MAX + 1);

    (void)state;
    assert_non_null(large);
    memset(large, ' ', CONFIG_SIZE_MAX + 1);
    write_file(large, CONFIG_SIZE_MAX + 1);
    assert_int_not_equal(run(""), 0);
    assert_non_null(strstr(problem.text, "larger than 1 MiB"));
    assert_int_equal(problem.status, STATUS_INPUT);
    options_free(&options);
    free(large);
    write_file("{}\0{}", 5);
    assert_int_not_equal(run("--kernel k"), 0);
    assert_non_null(strstr(problem.text, "line 1: a NUL character"));
    options_free(&options);
    write_file("", 0);
    assert_int_not_equal(run(""), 0);
    assert_non_null(strstr(problem.text, "the file is empty"));
    options_free(&options);
    /* Nothing in the file is excused because the command line has the last word. */
    write_file(overridden, sizeof(overridden) - 1);
    assert_int_not_equal(run("--memory 1G"), 0);
    assert_non_null(strstr(problem.text, "memory: a size such as"));
    options_free(&options);
    write_file("{}", 2);
    assert_int_not_equal(run(""), 0);
    assert_non_null(strstr(problem.text, "--kernel FILE is needed"));
    options_free(&options);
    unlink(path);
    assert_int_not_equal(run(""), 0);
    assert_non_null(strstr(problem.text, "No such file"));
    options_free(&options);
}

/* The documentation names every field of the table, and every part of an object. */
static void documented(void **state)
{
    static char text[65536];
    const char *source = getenv("ORIGAMI_SOURCE");
    char name[512];

    (void)state;
    assert_non_null(source);
    snprintf(name, sizeof(name), "%s/docs/config.md", source);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    for (const struct option_field *field = option_table; field->name; field++) {
        if (field->alias || field->command_line_only)
            continue;
        snprintf(name, sizeof(name), "| `%s` |", option_file_name(field));
        if (!strstr(text, name))
            fail_msg("docs/config.md has no row %s", name);
        for (const struct option_field *part = field->part; part && part->name; part++) {
            snprintf(name, sizeof(name), "| `%s.%s` |", option_file_name(field),
                     option_file_name(part));
            if (!strstr(text, name))
                fail_msg("docs/config.md has no row %s", name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field),       cmocka_unit_test(every_error),
        cmocka_unit_test(too_many_elements), cmocka_unit_test(command_line_wins),
        cmocka_unit_test(bad_files),         cmocka_unit_test(documented),
    };
    int fd = mkstemp(path);

    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
