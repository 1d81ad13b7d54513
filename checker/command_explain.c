/* SPDX-License-Identifier: MIT */
/* origami explain: why an instruction is in its class, with the states that prove it. */
#include "columns.h"
#include "commands.h"
#include "messages.h"
#include "terminal.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const help[] = {
    N_("Usage: origami explain [OPTION]... FILE INSTRUCTION\n"
       "Tell why an instruction of a description is in its class: the definition, two\n"
       "states that prove it, what a monitor would get wrong, and the ways out.\n"
       "\n"),
    N_("  -r, --resources=LIST  which resource cells count: all, none, or names with commas\n"
       "  -s, --set=NAME=VALUE  set a parameter of the description\n"
       "  -t, --timeout=SECONDS for one question to the solver (default 20)\n"
       "  -h, --help            show this help and exit\n"
       "\n"),
    N_("FILE is a file, the name of a library description (origami list), or - for\n"
       "standard input. INSTRUCTION is written as in the description; quote its spaces.\n"
       "\n"
       "Exit status: 0 the instruction is not critical, 1 it is, 2 the theorems do not\n"
       "apply, 3 undecided, 64 wrong usage (also: no such instruction), 65 error in FILE,\n"
       "66 FILE can't be read, 70 internal error.\n"
       "\n"),
    N_("Examples:\n"
       "  origami explain mc68000 'MOVE from SR'\n"
       "  origami explain --resources=I isa/mc68000.isa 'MOVE from SR'\n"),
    NULL,
};

static const struct option options[] = {
    { "resources", required_argument, NULL, 'r' },
    { "set", required_argument, NULL, 's' },
    { "timeout", required_argument, NULL, 't' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

struct explain_options {
    struct description_options description;
    struct analysis_options analysis;
    bool help;
};

static int set_option(struct explain_options *explain, int option)
{
    switch (option) {
    case 'r':
        explain->description.resources = optarg;
        return 0;
    case 's':
        return command_add_override(&explain->description, optarg);
    case 't':
        return command_set_timeout("explain", &explain->analysis, optarg);
    case 'h':
        explain->help = true;
        return 0;
    default:
        return command_usage("explain", NULL);
    }
}

/* Exactly, or the only one that differs in case at most. */
static const struct isa_instruction *find(const struct isa_description *description,
                                          const char *name)
{
    const struct isa_instruction *found = description_find_instruction(description, name);
    unsigned count = 0;

    for (unsigned i = 0; i < description->instruction_count && found == NULL; i++)
        count += strcasecmp(description->instructions[i]->name, name) == 0;
    for (unsigned i = 0; i < description->instruction_count && found == NULL && count == 1; i++)
        if (strcasecmp(description->instructions[i]->name, name) == 0)
            found = description->instructions[i];
    return found;
}

static int refuse_name(const struct isa_description *description, const char *name)
{
    unsigned count = 0;

    fprintf(stderr, _("origami explain: %s has no instruction '%s'\n"), description->name, name);
    for (unsigned i = 0; i < description->instruction_count; i++)
        if (strcasestr(description->instructions[i]->name, name) != NULL)
            fprintf(stderr, "%s%s", count++ == 0 ? _("Did you mean: ") : ", ",
                    description->instructions[i]->name);
    if (count != 0)
        fputc('\n', stderr);
    else
        fprintf(stderr, _("'origami list %s' shows them all.\n"), description->name);
    return EXIT_USAGE;
}

static int not_applicable(const struct analysis *analysis)
{
    printf(_("The theorems do not apply to %s:\n"), analysis->description->name);
    for (int i = 0; i < PREMISE_COUNT; i++)
        if (!analysis->premise[i])
            printf(_("  premise missing: %s\n"), _(premise_names[i]));
    return EXIT_NOT_APPLICABLE;
}

static int tell(const struct analysis *analysis, const char *source)
{
    const struct isa_description *description = analysis->description;
    const struct instruction_report *report = &analysis->reports[0];
    bool colour = terminal_has_colour(stdout);
    struct story story;
    char line[512];
    int error = story_tell(description, report, source, &story);

    story_classes_line(report, line, sizeof(line));
    printf("%s%s%s - ", colour ? "\033[1m" : "", report->instruction->name,
           colour ? "\033[0m" : "");
    columns_wrap(line, columns_of(report->instruction->name) + 3, 2, TERMINAL_WIDTH, stdout);
    printf("%s\n", description->title != NULL ? description->title : description->name);
    if (error == 0)
        error = terminal_print_story(&story, colour, stdout);
    story_release(&story);
    if (error != 0)
        return command_out_of_memory();
    if (report->is[CLASS_CRITICAL] == ANSWER_UNDECIDED)
        return EXIT_UNDECIDED;
    return report->is[CLASS_CRITICAL] == ANSWER_YES ? EXIT_NOT_VIRTUALIZABLE : EXIT_VIRTUALIZABLE;
}

static int explain_instruction(struct explain_options *explain, const char *path, const char *name)
{
    struct isa_description *description;
    struct analysis analysis = { 0 };
    char *source = NULL;
    int status = command_open_with_text(path, &explain->description, &description, &source);
    int error;

    if (status != 0)
        return status;
    explain->analysis.only = find(description, name);
    if (explain->analysis.only == NULL) {
        status = refuse_name(description, name);
    } else {
        error = analysis_run(description, &explain->analysis, &analysis);
        if (error != 0)
            status = command_analysis_error("explain", &analysis, error);
        else
            status = analysis.reports == NULL ? not_applicable(&analysis) : tell(&analysis, source);
    }
    analysis_release(&analysis);
    description_release(description);
    free(source);
    return command_flush("explain", status);
}

int command_explain(int argc, char **argv)
{
    struct explain_options explain = { 0 };
    int option, status = 0;

    while (status == 0 && (option = getopt_long(argc, argv, "r:s:t:h", options, NULL)) != -1)
        status = set_option(&explain, option);
    if (status != 0)
        return status;
    if (explain.help)
        return command_help(help);
    if (optind + 2 != argc)
        return command_usage("explain", _("name a description and one of its instructions"));
    return explain_instruction(&explain, argv[optind], argv[optind + 1]);
}
