/* SPDX-License-Identifier: MIT */
/* origami diff: what separates two descriptions - theorems, instructions, classes, and why. */
#include "columns.h"
#include "commands.h"
#include "messages.h"
#include "report.h"
#include "story.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char *const help[] = {
    N_("Usage: origami diff [OPTION]... FIRST SECOND\n"
       "Compare two descriptions: verdicts, instructions that only one of them has, and\n"
       "instructions whose class differs, with the state that tells why.\n"
       "\n"),
    N_("  -r, --resources=LIST  which resource cells count, in both: all, none, or names\n"
       "  -s, --set=NAME=VALUE  set a parameter in both descriptions\n"
       "  -1, --first=NAME=VALUE, -2, --second=NAME=VALUE\n"
       "                        set a parameter in one, to compare a description with itself\n"
       "  -t, --timeout=SECONDS for one question to the solver (default 20)\n"
       "  -h, --help            show this help and exit\n"
       "\n"),
    N_("Instructions belong together when they have the same name.\n"
       "\n"
       "Exit status: 0 same theorems and classes, 1 a difference, 2 the theorems do not\n"
       "apply to one of them, 3 something is undecided and nothing differs, 64 wrong usage,\n"
       "65 error in a file, 66 a file can't be read, 70 internal error.\n"
       "\n"),
    N_("Examples:\n"
       "  origami diff mc68000 mc68010\n"
       "  origami diff x86-64 x86-64 --second umip=1\n"),
    NULL,
};

static const struct option options[] = {
    { "resources", required_argument, NULL, 'r' },
    { "set", required_argument, NULL, 's' },
    { "first", required_argument, NULL, '1' },
    { "second", required_argument, NULL, '2' },
    { "timeout", required_argument, NULL, 't' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

struct diff_options {
    struct description_options description[2];
    struct analysis_options analysis;
    bool help;
};

struct comparison {
    struct isa_description *description[2];
    struct analysis analysis[2];
    unsigned differences, undecided;
};

enum { NAME_COLUMNS = 38, ANSWER_COLUMNS = 20 };

static int set_both(struct diff_options *diff, const char *text)
{
    for (int i = 0; i < 2; i++) {
        char *copy = strdup(text);
        int status = copy != NULL ? command_add_override(&diff->description[i], copy)
                                  : command_out_of_memory();

        if (status != 0) {
            free(copy);
            return status;
        }
    }
    return 0; /* the names live as long as the process */
}

static int set_option(struct diff_options *diff, int option)
{
    switch (option) {
    case 'r':
        diff->description[0].resources = diff->description[1].resources = optarg;
        return 0;
    case 's':
        return set_both(diff, optarg);
    case '1':
    case '2':
        return command_add_override(&diff->description[option - '1'], optarg);
    case 't':
        return command_set_timeout("diff", &diff->analysis, optarg);
    case 'h':
        diff->help = true;
        return 0;
    default:
        return command_usage("diff", NULL);
    }
}

static const struct instruction_report *find(const struct analysis *analysis, const char *name)
{
    for (unsigned i = 0; i < analysis->report_count; i++)
        if (strcmp(analysis->reports[i].instruction->name, name) == 0)
            return &analysis->reports[i];
    return NULL;
}

/* Which side a line speaks of: the file's own name, or the side where both have the same. */
static const char *side_name(const struct comparison *comparison, int side)
{
    if (strcmp(comparison->description[0]->name, comparison->description[1]->name) != 0)
        return comparison->description[side]->name;
    return side == 0 ? _("first") : _("second");
}

static void print_theorems(struct comparison *comparison)
{
    columns_pad("", NAME_COLUMNS + 4, stdout);
    columns_pad(side_name(comparison, 0), ANSWER_COLUMNS, stdout);
    printf("%s\n", side_name(comparison, 1));
    fputs("  ", stdout);
    columns_pad(_("verdict"), NAME_COLUMNS + 2, stdout);
    columns_pad(_(verdict_names[comparison->analysis[0].verdict]), ANSWER_COLUMNS, stdout);
    printf("%s\n", _(verdict_names[comparison->analysis[1].verdict]));
    for (int i = 0; i < THEOREM_COUNT; i++) {
        enum answer first = comparison->analysis[0].theorem[i];
        enum answer second = comparison->analysis[1].theorem[i];

        comparison->differences += first != second;
        comparison->undecided += first == ANSWER_UNDECIDED || second == ANSWER_UNDECIDED;
        fputs(first != second ? "* " : "  ", stdout);
        columns_pad(_(theorem_names[i]), NAME_COLUMNS + 2, stdout);
        columns_pad(_(answer_name(first)), ANSWER_COLUMNS, stdout);
        printf("%s\n", _(answer_name(second)));
    }
}

/* Instructions that only `side` has. */
static void print_alone(struct comparison *comparison, int side)
{
    const struct analysis *analysis = &comparison->analysis[side];
    bool title = false;

    for (unsigned i = 0; i < analysis->report_count; i++) {
        const struct instruction_report *report = &analysis->reports[i];
        char line[512];

        if (find(&comparison->analysis[1 - side], report->instruction->name) != NULL)
            continue;
        if (!title) {
            putchar('\n');
            printf(_("Only in %s:\n"), side_name(comparison, side));
            title = true;
        }
        comparison->differences++;
        story_classes_line(report, line, sizeof(line));
        printf("  %c %s: %s\n", side == 0 ? '-' : '+', report->instruction->name, line);
    }
}

static void print_side(const struct comparison *comparison, int side,
                       const struct instruction_report *report)
{
    const struct witness *witness = analysis_main_witness(report);
    bool privileged = report->is[CLASS_PRIVILEGED] == ANSWER_YES;
    char line[512], cell[256];

    story_classes_line(report, line, sizeof(line));
    printf("    %s: %s\n", side_name(comparison, side), line);
    if (privileged) {
        printf("      %s\n", _("it traps in user mode, always"));
        return;
    }
    if (witness == NULL)
        return;
    story_difference_line(witness, cell, sizeof(cell));
    printf("      %s: %s\n", _(property_rows[witness->property].name), cell);
}

static bool same_classes(const struct instruction_report *a, const struct instruction_report *b)
{
    return memcmp(a->is, b->is, sizeof(a->is)) == 0;
}

static void print_changed(struct comparison *comparison)
{
    bool title = false;

    for (unsigned i = 0; i < comparison->analysis[0].report_count; i++) {
        const struct instruction_report *first = &comparison->analysis[0].reports[i];
        const struct instruction_report *second =
            find(&comparison->analysis[1], first->instruction->name);

        if (second == NULL || same_classes(first, second))
            continue;
        if (!title)
            printf("\n%s\n", _("Another class:"));
        title = true;
        comparison->differences++;
        printf("  * %s\n", first->instruction->name);
        print_side(comparison, 0, first);
        print_side(comparison, 1, second);
        if (first->is[CLASS_COMMUTES] != second->is[CLASS_COMMUTES])
            printf("      %s: %s, %s\n", _("traps or commutes"),
                   _(answer_name(first->is[CLASS_COMMUTES])),
                   _(answer_name(second->is[CLASS_COMMUTES])));
    }
}

static int report(struct comparison *comparison)
{
    for (int i = 0; i < 2; i++) {
        const struct isa_description *description = comparison->description[i];

        printf("%s: %s\n", side_name(comparison, i),
               description->title != NULL ? description->title : description->name);
        for (int j = 0; j < PREMISE_COUNT; j++)
            if (!comparison->analysis[i].premise[j])
                printf(_("  premise missing: %s\n"), _(premise_names[j]));
    }
    putchar('\n');
    if (comparison->analysis[0].reports == NULL || comparison->analysis[1].reports == NULL) {
        fputs(_("The theorems speak about machines with two modes, relocation, traps and table "
                "look-up.\n"),
              stdout);
        return EXIT_NOT_APPLICABLE;
    }
    print_theorems(comparison);
    print_alone(comparison, 0);
    print_alone(comparison, 1);
    print_changed(comparison);
    if (comparison->differences == 0)
        printf("\n%s\n", _("No difference in theorems, instructions or classes."));
    if (comparison->differences != 0)
        return EXIT_NOT_VIRTUALIZABLE;
    return comparison->undecided != 0 ? EXIT_UNDECIDED : 0;
}

static int compare(struct diff_options *diff, char *const paths[2])
{
    struct comparison comparison = { 0 };
    int status = 0;

    for (int i = 0; i < 2 && status == 0; i++) {
        status = command_open(paths[i], &diff->description[i], &comparison.description[i]);
        if (status == 0) {
            int error =
                analysis_run(comparison.description[i], &diff->analysis, &comparison.analysis[i]);

            if (error != 0)
                status = command_analysis_error("diff", &comparison.analysis[i], error);
        }
    }
    if (status == 0)
        status = report(&comparison);
    for (int i = 0; i < 2; i++) {
        analysis_release(&comparison.analysis[i]);
        description_release(comparison.description[i]);
    }
    return command_flush("diff", status);
}

int command_diff(int argc, char **argv)
{
    struct diff_options diff = { 0 };
    int option, status = 0;

    while (status == 0 && (option = getopt_long(argc, argv, "r:s:1:2:t:h", options, NULL)) != -1)
        status = set_option(&diff, option);
    if (status != 0)
        return status;
    if (diff.help)
        return command_help(help);
    if (optind + 2 != argc)
        return command_usage("diff", _("name two descriptions"));
    return compare(&diff, argv + optind);
}
