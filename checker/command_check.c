/* SPDX-License-Identifier: MIT */
/* origami check: is that instruction set virtualizable? */
#include "commands.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: origami check [OPTION]... FILE\n"
    "Decide whether the instruction set described in FILE is virtualizable (Popek and\n"
    "Goldberg 1974), with a proof or a witness for every instruction.\n"
    "\n"
    "  -m, --mode=MODE       classic (Theorem 1, default), hybrid (Theorem 3) or\n"
    "                        recursive (Theorem 2) decides the verdict\n"
    "  -r, --resources=LIST  which resource cells count: all, none, or names with commas\n"
    "  -s, --set=NAME=VALUE  set a parameter of the description\n"
    "  -j, --json            print everything as JSON\n"
    "  -e, --enumerate       try every state instead of asking the solver (small widths)\n"
    "  -t, --timeout=SECONDS for one question to the solver (default 20)\n"
    "  -h, --help            show this help and exit\n"
    "\n"
    "FILE may be - for standard input.\n"
    "\n"
    "Exit status: 0 virtualizable, 1 not, 2 the theorems do not apply, 3 undecided,\n"
    "64 wrong usage, 65 error in FILE, 66 FILE can't be read, 70 internal error.\n"
    "\n"
    "Examples:\n"
    "  origami check isa/mc68000.isa\n"
    "  origami check --mode=hybrid --resources=all isa/mc68000.isa\n"
    "  origami check --enumerate docs/checker/tiny.isa\n";

static const struct option options[] = {
    { "mode", required_argument, NULL, 'm' }, { "resources", required_argument, NULL, 'r' },
    { "set", required_argument, NULL, 's' },  { "json", no_argument, NULL, 'j' },
    { "enumerate", no_argument, NULL, 'e' },  { "timeout", required_argument, NULL, 't' },
    { "help", no_argument, NULL, 'h' },       { NULL, 0, NULL, 0 },
};

struct check_options {
    struct description_options description;
    struct analysis_options analysis;
    bool json, help;
};

static int set_mode(struct check_options *check, const char *text)
{
    static const char *const names[] = {
        [MODE_CLASSIC] = "classic", [MODE_HYBRID] = "hybrid", [MODE_RECURSIVE] = "recursive"
    };

    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            check->analysis.mode = (enum analysis_mode)i;
            return 0;
        }
    }
    return command_usage("check", "the mode is classic, hybrid or recursive");
}

static int set_timeout(struct check_options *check, const char *text)
{
    char *end = NULL;
    unsigned long seconds = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || seconds == 0 || seconds > 86400)
        return command_usage("check", "the timeout is a number of seconds, 1 to 86400");
    check->analysis.timeout = (unsigned)seconds * 1000;
    return 0;
}

static int set_option(struct check_options *check, int option)
{
    switch (option) {
    case 'm':
        return set_mode(check, optarg);
    case 'r':
        check->description.resources = optarg;
        return 0;
    case 's':
        return command_add_override(&check->description, optarg);
    case 'j':
        check->json = true;
        return 0;
    case 'e':
        check->analysis.enumerate = true;
        return 0;
    case 't':
        return set_timeout(check, optarg);
    case 'h':
        check->help = true;
        return 0;
    default:
        return command_usage("check", NULL);
    }
}

static int report(const struct check_options *check, const struct analysis *analysis, int error)
{
    static const int statuses[] = {
        [VERDICT_VIRTUALIZABLE] = EXIT_VIRTUALIZABLE,
        [VERDICT_NOT_VIRTUALIZABLE] = EXIT_NOT_VIRTUALIZABLE,
        [VERDICT_NOT_APPLICABLE] = EXIT_NOT_APPLICABLE,
        [VERDICT_UNDECIDED] = EXIT_UNDECIDED,
    };

    if (error == -E2BIG) {
        fprintf(stderr, "origami check: %s\n", analysis->error);
        return EXIT_BAD_DESCRIPTION;
    }
    if (error != 0) {
        fprintf(stderr, "origami check: internal error: %s\n",
                analysis->error[0] != '\0' ? analysis->error : "out of memory");
        return EXIT_INTERNAL;
    }
    if (!check->json)
        report_text(analysis, stdout);
    else if (report_json(analysis, stdout) != 0)
        return EXIT_INTERNAL;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("origami check: the report could not be written\n", stderr);
        return EXIT_INTERNAL;
    }
    return statuses[analysis->verdict];
}

int command_check(int argc, char **argv)
{
    struct check_options check = { 0 };
    struct isa_description *description;
    struct analysis analysis;
    int option, status = 0;

    while (status == 0 && (option = getopt_long(argc, argv, "m:r:s:jet:h", options, NULL)) != -1)
        status = set_option(&check, option);
    if (status != 0)
        return status;
    if (check.help) {
        fputs(help, stdout);
        return 0;
    }
    if (optind + 1 != argc)
        return command_usage("check", optind == argc ? "which file?" : "one file at a time");
    status = command_open(argv[optind], &check.description, &description);
    if (status != 0)
        return status;
    status = report(&check, &analysis, analysis_run(description, &check.analysis, &analysis));
    analysis_release(&analysis);
    description_release(description);
    return status;
}
