/* SPDX-License-Identifier: MIT */
/* origami check: is that instruction set virtualizable? */
#include "commands.h"
#include "messages.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char *const help[] = {
    N_("Usage: origami check [OPTION]... FILE\n"
       "Decide whether the instruction set described in FILE is virtualizable (Popek and\n"
       "Goldberg 1974), with a proof or a witness for every instruction.\n"
       "\n"),
    N_("  -m, --mode=MODE       classic (Theorem 1, default), hybrid (Theorem 3) or\n"
       "                        recursive (Theorem 2) decides the verdict\n"
       "  -r, --resources=LIST  which resource cells count: all, none, or names with commas\n"
       "  -s, --set=NAME=VALUE  set a parameter of the description\n"),
    N_("  -j, --json            print everything as JSON\n"
       "  -H, --html=REPORT     write everything as one HTML file; - is standard output\n"
       "  -e, --enumerate       try every state instead of asking the solver (small widths)\n"
       "  -t, --timeout=SECONDS for one question to the solver (default 20)\n"
       "  -h, --help            show this help and exit\n"
       "\n"),
    N_("FILE is a file, the name of a library description (origami list), or - for\n"
       "standard input.\n"
       "\n"
       "Exit status: 0 virtualizable, 1 not, 2 the theorems do not apply, 3 undecided,\n"
       "64 wrong usage, 65 error in FILE, 66 FILE can't be read, 70 internal error.\n"
       "\n"),
    N_("Examples:\n"
       "  origami check mc68000\n"
       "  origami check --mode=hybrid --resources=all isa/mc68000.isa\n"
       "  origami check --html=x86-64.html x86-64\n"
       "  origami check --set address_bits=1 --enumerate isa/third-generation.isa\n"),
    NULL,
};

static const struct option options[] = {
    { "mode", required_argument, NULL, 'm' },
    { "resources", required_argument, NULL, 'r' },
    { "set", required_argument, NULL, 's' },
    { "json", no_argument, NULL, 'j' },
    { "html", required_argument, NULL, 'H' },
    { "enumerate", no_argument, NULL, 'e' },
    { "timeout", required_argument, NULL, 't' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

struct check_options {
    struct description_options description;
    struct analysis_options analysis;
    const char *html; /* where to, or NULL */
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
    return command_usage("check", _("the mode is classic, hybrid or recursive"));
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
    case 'H':
        check->html = optarg;
        return 0;
    case 'e':
        check->analysis.enumerate = true;
        return 0;
    case 't':
        return command_set_timeout("check", &check->analysis, optarg);
    case 'h':
        check->help = true;
        return 0;
    default:
        return command_usage("check", NULL);
    }
}

/* The whole report exists before the file is touched. */
static int write_html(const char *path, const struct analysis *analysis)
{
    bool standard = strcmp(path, "-") == 0, written;
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length), *file;
    int error = memory != NULL ? report_html(analysis, memory) : -ENOMEM;

    if (memory != NULL && fclose(memory) != 0)
        error = -ENOMEM;
    if (error != 0) {
        free(text);
        return command_out_of_memory();
    }
    file = standard ? stdout : fopen(path, "wb");
    written = file != NULL && fwrite(text, 1, length, file) == length;
    if (file != NULL && !standard)
        written = fclose(file) == 0 && written;
    if (!written)
        fprintf(stderr, _("origami check: %s can't be written: %s\n"), path, strerror(errno));
    else if (!standard)
        printf(_("%s: %s (report: %s)\n"), analysis->description->name,
               _(verdict_names[analysis->verdict]), path);
    free(text);
    return written ? 0 : EXIT_INTERNAL;
}

static int report(const struct check_options *check, const struct analysis *analysis, int error)
{
    static const int statuses[] = {
        [VERDICT_VIRTUALIZABLE] = EXIT_VIRTUALIZABLE,
        [VERDICT_NOT_VIRTUALIZABLE] = EXIT_NOT_VIRTUALIZABLE,
        [VERDICT_NOT_APPLICABLE] = EXIT_NOT_APPLICABLE,
        [VERDICT_UNDECIDED] = EXIT_UNDECIDED,
    };

    if (error != 0)
        return command_analysis_error("check", analysis, error);
    if (check->html != NULL)
        error = write_html(check->html, analysis);
    else if (check->json)
        error = report_json(analysis, stdout) != 0 ? command_out_of_memory() : 0;
    else
        report_text(analysis, stdout);
    return error != 0 ? error : command_flush("check", statuses[analysis->verdict]);
}

int command_check(int argc, char **argv)
{
    struct check_options check = { 0 };
    struct isa_description *description;
    struct analysis analysis;
    int option, status = 0;

    while (status == 0 && (option = getopt_long(argc, argv, "m:r:s:jH:et:h", options, NULL)) != -1)
        status = set_option(&check, option);
    if (status != 0)
        return status;
    if (check.help)
        return command_help(help);
    if (check.json && check.html != NULL)
        return command_usage("check", _("either --json or --html"));
    if (optind + 1 != argc)
        return command_usage("check", optind == argc ? _("which file?") : _("one file at a time"));
    status = command_open(argv[optind], &check.description, &description);
    if (status != 0)
        return status;
    status = report(&check, &analysis, analysis_run(description, &check.analysis, &analysis));
    analysis_release(&analysis);
    description_release(description);
    return status;
}
