/* SPDX-License-Identifier: MIT */
/* origami list: the library's descriptions and their verdicts, or one description's instructions.
 */
#include "columns.h"
#include "commands.h"
#include "library.h"
#include "messages.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char *const help[] = {
    N_("Usage: origami list [OPTION]... [FILE]\n"
       "Without FILE: the descriptions of the library with their verdicts, each analysed\n"
       "now. With FILE: its instructions and their classes.\n"
       "\n"),
    N_("  -f, --fast            without the analysis: names and summaries only\n"
       "  -r, --resources=LIST  which resource cells count: all, none, or names with commas\n"
       "  -s, --set=NAME=VALUE  set a parameter of the description\n"
       "  -t, --timeout=SECONDS for one question to the solver (default 20)\n"
       "  -h, --help            show this help and exit\n"
       "\n"),
    N_("--resources and --set need a FILE. The library comes with this program; folders in\n"
       "ORIGAMI_ISA_PATH (colons between) come before it.\n"
       "\n"
       "Exit status: 0 listed, whatever the verdicts; 64 wrong usage, 65 error in a\n"
       "description, 66 a file can't be read (also: no library), 70 internal error.\n"
       "\n"),
    N_("Examples:\n"
       "  origami list\n"
       "  origami list --fast x86-64\n"),
    NULL,
};

static const struct option options[] = {
    { "fast", no_argument, NULL, 'f' },          { "resources", required_argument, NULL, 'r' },
    { "set", required_argument, NULL, 's' },     { "help", no_argument, NULL, 'h' },
    { "timeout", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 },
};

struct list_options {
    struct description_options description;
    struct analysis_options analysis;
    bool fast, help;
};

enum { GAP = 2, VERDICT_COLUMNS = 17, COUNT_COLUMNS = 12 };

static int set_option(struct list_options *list, int option)
{
    switch (option) {
    case 'f':
        list->fast = true;
        return 0;
    case 'r':
        list->description.resources = optarg;
        return 0;
    case 's':
        return command_add_override(&list->description, optarg);
    case 't':
        return command_set_timeout("list", &list->analysis, optarg);
    case 'h':
        list->help = true;
        return 0;
    default:
        return command_usage("list", NULL);
    }
}

static void print_verdict(const struct analysis *analysis)
{
    unsigned critical = 0;
    char count[64] = "";

    for (unsigned i = 0; i < analysis->report_count; i++)
        critical += analysis->reports[i].is[CLASS_CRITICAL] == ANSWER_YES;
    columns_pad(_(verdict_names[analysis->verdict]), VERDICT_COLUMNS + GAP, stdout);
    if (analysis->verdict == VERDICT_NOT_VIRTUALIZABLE)
        (void)snprintf(count, sizeof(count), _("%3u critical"), critical);
    columns_pad(count, COUNT_COLUMNS + GAP, stdout);
}

static int list_entry(const struct list_options *list, const struct library_entry *entry,
                      unsigned width)
{
    struct isa_description *description;
    struct analysis analysis = { 0 };
    int status = command_open(entry->path, &list->description, &description);

    if (status != 0)
        return status;
    columns_pad(entry->name, width + GAP, stdout);
    (void)fflush(stdout);
    if (!list->fast) {
        int error = analysis_run(description, &list->analysis, &analysis);

        if (error != 0)
            status = command_analysis_error("list", &analysis, error);
        else
            print_verdict(&analysis);
        analysis_release(&analysis);
    }
    printf("%s\n", description->title != NULL ? description->title : description->name);
    description_release(description);
    return status;
}

/* All of it, past a bad one too; the worst status counts. */
static int list_library(const struct list_options *list)
{
    struct library library;
    unsigned width = 0;
    int error = library_read(&library), status = 0;

    if (error != 0)
        status = command_out_of_memory();
    for (unsigned i = 0; i < library.count; i++)
        if (columns_of(library.entries[i].name) > width)
            width = columns_of(library.entries[i].name);
    for (unsigned i = 0; i < library.count && error == 0; i++) {
        int one = list_entry(list, &library.entries[i], width);

        status = one > status ? one : status;
    }
    if (error == 0 && library.count == 0) {
        fputs(_("origami list: no library found; name its folder in ORIGAMI_ISA_PATH\n"), stderr);
        status = EXIT_NO_FILE;
    }
    library_release(&library);
    return status;
}

static void print_class(const struct instruction_report *report)
{
    const enum answer *is = report->is;
    const char *word = _("neither");

    if (is[CLASS_CRITICAL] == ANSWER_YES)
        word = _("CRITICAL");
    else if (is[CLASS_PRIVILEGED] == ANSWER_YES)
        word = _("privileged");
    else if (is[CLASS_PRIVILEGED] == ANSWER_UNDECIDED || is[CLASS_SENSITIVE] == ANSWER_UNDECIDED)
        word = _("undecided");
    else if (is[CLASS_INNOCUOUS] == ANSWER_YES)
        word = _("innocuous");
    columns_pad(word, 10 + GAP, stdout);
}

static void print_instructions(const struct isa_description *description,
                               const struct analysis *analysis)
{
    unsigned width = 0;

    for (unsigned i = 0; i < description->instruction_count; i++)
        if (columns_of(description->instructions[i]->name) > width)
            width = columns_of(description->instructions[i]->name);
    for (unsigned i = 0; i < description->instruction_count; i++) {
        const struct isa_instruction *instruction = description->instructions[i];

        columns_pad(instruction->name, width + GAP, stdout);
        if (analysis->reports != NULL)
            print_class(&analysis->reports[i]);
        printf("%s\n", instruction->summary != NULL ? instruction->summary : "");
    }
}

static int list_instructions(const struct list_options *list, const char *path)
{
    struct isa_description *description;
    struct analysis analysis = { 0 };
    int status = command_open(path, &list->description, &description), error;

    if (status != 0)
        return status;
    error = list->fast ? 0 : analysis_run(description, &list->analysis, &analysis);
    if (error != 0) {
        status = command_analysis_error("list", &analysis, error);
    } else {
        printf("%s\n", description->title != NULL ? description->title : description->name);
        print_instructions(description, &analysis);
    }
    analysis_release(&analysis);
    description_release(description);
    return status;
}

int command_list(int argc, char **argv)
{
    struct list_options list = { 0 };
    int option, status = 0;

    while (status == 0 && (option = getopt_long(argc, argv, "fr:s:t:h", options, NULL)) != -1)
        status = set_option(&list, option);
    if (status != 0)
        return status;
    if (list.help)
        return command_help(help);
    if (argc > optind + 1)
        return command_usage("list", _("one file at a time"));
    if (argc > optind)
        status = list_instructions(&list, argv[optind]);
    else if (list.description.override_count != 0 || list.description.resources != NULL)
        return command_usage("list", _("--resources and --set need a file"));
    else
        status = list_library(&list);
    return command_flush("list", status);
}
