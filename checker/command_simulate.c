/* SPDX-License-Identifier: MIT */
/* origami simulate: the paper's theorems as a program - the monitor built from a description. */
#include "commands.h"
#include "messages.h"
#include "monitor/program.h"
#include "monitor/simulation.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = N_(
    "Usage: origami simulate [OPTION]... FILE PROGRAM\n"
    "Run PROGRAM on the machine described in FILE: bare, or under the virtual machine\n"
    "monitor that is built from the description, and compare the two.\n"
    "\n"
    "  -u, --under=N         under N monitors, each run by the one below (0 to 8;\n"
    "                        default 0: bare)\n"
    "  -m, --monitor=KIND    classic (Theorem 1), hybrid (Theorem 3) or patching, instead\n"
    "                        of the one that the theorems allow\n"
    "  -c, --compare=WHEN    step (default) or end\n"
    "  -n, --steps=N         stop after N steps (default 10000)\n"
    "  -S, --seed=N          decides what is left unpredictable (default 1)\n"
    "  -r, --resources=LIST  which resource cells count: all, none, or names with commas\n"
    "  -s, --set=NAME=VALUE  set a parameter, for the analysis and for the run\n"
    "  -j, --json            print everything as JSON\n"
    "  -h, --help            show this help and exit\n"
    "\n"
    "PROGRAM may be - for standard input. docs/checker/simulate.md has its grammar.\n"
    "\n"
    "Exit status: 0 ran (and nothing differed), 1 a difference, 2 the theorems do not\n"
    "apply, 64 wrong usage, 65 error in FILE or PROGRAM, 66 a file can't be read,\n"
    "70 internal error.\n"
    "\n"
    "Examples:\n"
    "  origami simulate isa/third-generation.isa isa/programs/third-generation.prog --under 2\n"
    "  origami simulate isa/mc68000.isa isa/programs/mc68000.prog --under 1 --monitor classic\n");

static const struct option options[] = {
    { "under", required_argument, NULL, 'u' },   { "monitor", required_argument, NULL, 'm' },
    { "compare", required_argument, NULL, 'c' }, { "steps", required_argument, NULL, 'n' },
    { "seed", required_argument, NULL, 'S' },    { "resources", required_argument, NULL, 'r' },
    { "set", required_argument, NULL, 's' },     { "json", no_argument, NULL, 'j' },
    { "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
};

struct simulate_options {
    struct description_options description;
    struct compare_options compare;
    unsigned depth;
    int kind; /* -1: what the theorems allow */
    bool json, help;
    const char *file, *program;
};

static int read_count(const char *text, uint64_t maximum, const char *what, uint64_t *value)
{
    char *end = NULL;

    errno = 0;
    *value = strtoull(text, &end, 0);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || *value > maximum)
        return command_usage("simulate", what);
    return 0;
}

static int set_kind(struct simulate_options *simulate, const char *text)
{
    for (int i = 0; i < MONITOR_KIND_COUNT; i++) {
        if (strcmp(text, monitor_kind_names[i]) == 0) {
            simulate->kind = i;
            return 0;
        }
    }
    return command_usage("simulate", _("the monitor is classic, hybrid or patching"));
}

static int set_option(struct simulate_options *simulate, int option)
{
    uint64_t number = 0;
    int status;

    switch (option) {
    case 'u':
        status =
            read_count(optarg, TOWER_MAX_DEPTH, _("--under wants a number from 0 to 8"), &number);
        simulate->depth = (unsigned)number;
        return status;
    case 'm':
        return set_kind(simulate, optarg);
    case 'c':
        simulate->compare.at_end = strcmp(optarg, "end") == 0;
        return simulate->compare.at_end || strcmp(optarg, "step") == 0
                   ? 0
                   : command_usage("simulate", _("compare at every step, or at the end"));
    case 'n':
        return read_count(optarg, 1000000000, _("--steps wants a number up to 1000000000"),
                          &simulate->compare.step_limit);
    case 'S':
        return read_count(optarg, UINT64_MAX, _("--seed wants a number"), &simulate->compare.seed);
    case 'r':
        simulate->description.resources = optarg;
        return 0;
    case 's':
        return command_add_override(&simulate->description, optarg);
    case 'j':
        simulate->json = true;
        return 0;
    case 'h':
        simulate->help = true;
        return 0;
    default:
        return command_usage("simulate", NULL);
    }
}

/* The description with the program's settings; the command line's win. */
static int open_running(const struct simulate_options *simulate, const struct program *program,
                        struct isa_description **running)
{
    struct description_options merged = simulate->description;

    for (unsigned i = 0; i < program->setting_count; i++) {
        bool known = false;

        for (unsigned j = 0; j < merged.override_count; j++)
            known = known || strcmp(merged.overrides[j].name, program->settings[i].name) == 0;
        if (!known && merged.override_count < COMMAND_MAX_OVERRIDES)
            merged.overrides[merged.override_count++] = program->settings[i];
    }
    return command_open(simulate->file, &merged, running);
}

/* The classes, at the widths that the description chose for being analysed. */
static int make_plan(const struct simulate_options *simulate, const struct isa_description *running,
                     struct monitor_plan *plan)
{
    static const struct analysis_options classic = { .mode = MODE_CLASSIC };
    struct isa_description *analysed;
    struct analysis analysis;
    const char *missing = NULL;
    int status = command_open(simulate->file, &simulate->description, &analysed);
    int error;

    if (status != 0)
        return status;
    error = analysis_run(analysed, &classic, &analysis);
    if (error == 0 && analysis.verdict == VERDICT_NOT_APPLICABLE) {
        fprintf(stderr,
                _("origami simulate: %s: there is no monitor to build, as the machine has no %s\n"),
                simulate->file,
                !analysis.premise[PREMISE_MODES]        ? _("pair of modes")
                : !analysis.premise[PREMISE_RELOCATION] ? _("relocation")
                : !analysis.premise[PREMISE_TRAPS]      ? _("trap rule")
                                                        : _("instruction that reads memory"));
        status = EXIT_NOT_APPLICABLE;
    } else if (error == 0) {
        error = plan_make(&analysis, running, plan, &missing);
    }
    if (error == -ENOENT)
        fprintf(stderr,
                _("origami simulate: '%s' exists only with the program's settings; use --set to "
                  "have it analysed\n"),
                missing);
    else if (error != 0)
        fprintf(stderr, "origami simulate: %s\n",
                analysis.error[0] != '\0' ? analysis.error : _("out of memory"));
    analysis_release(&analysis);
    description_release(analysed);
    return error == -ENOENT || error == -E2BIG ? EXIT_BAD_DESCRIPTION
           : error != 0                        ? EXIT_INTERNAL
                                               : status;
}

static int report(const struct simulate_options *simulate, const struct tower *tower,
                  const struct comparison *comparison)
{
    const struct simulation simulation = { .program = simulate->program,
                                           .tower = tower,
                                           .comparison = comparison,
                                           .forced = simulate->kind >= 0,
                                           .at_end = simulate->compare.at_end };

    if (!simulate->json)
        simulation_text(&simulation, stdout);
    else if (simulation_json(&simulation, stdout) != 0)
        return command_out_of_memory();
    return command_flush("simulate",
                         comparison->end == END_DIFFERENT || comparison->end == END_MONITOR_CELLS);
}

/* A monitor is proved right for the states that the description allows, and for no others. */
static int refuse_start(const struct simulate_options *simulate, const struct tower *tower,
                        const struct machine_state *initial)
{
    const struct isa_description *description = tower->description;
    const struct isa_expression *broken = evaluate_broken(description, initial);

    if (tower->depth == 0 || evaluate_valid(description, initial))
        return 0;
    if (broken != NULL)
        fprintf(stderr,
                _("origami simulate: %s: the start state breaks the invariant in line %u of %s; "
                  "set its cells with: cell NAME = VALUE\n"),
                simulate->program, broken->at.line, simulate->file);
    else
        fprintf(stderr,
                _("origami simulate: %s: the program starts in another mode than %s and %s, the "
                  "pair that the description analyses\n"),
                simulate->program, description_mode_name(description, description->supervisor),
                description_mode_name(description, description->user));
    return EXIT_BAD_DESCRIPTION;
}

static int run(const struct simulate_options *simulate, struct program *program,
               struct tower *tower)
{
    struct comparison comparison;
    struct machine_state initial;
    int status = 0;

    if (machine_state_init(&initial, tower->description) != 0)
        return command_out_of_memory();
    initial.memory_size = tower->levels[tower->depth].memory_size;
    if (program_assemble(program, tower->description, &initial) != 0) {
        diagnostics_print(program->diagnostics, stderr);
        status = EXIT_BAD_DESCRIPTION;
    } else if ((status = refuse_start(simulate, tower, &initial)) != 0) {
        ; /* said */
    } else if (comparison_init(&comparison, tower->description) != 0) {
        status = command_out_of_memory();
    } else {
        comparison_run(&comparison, tower, &initial, &simulate->compare);
        status = report(simulate, tower, &comparison);
        comparison_release(&comparison);
    }
    machine_state_release(&initial);
    return status;
}

static int build(const struct simulate_options *simulate, struct program *program,
                 const struct isa_description *running)
{
    struct monitor_plan plan = { 0 };
    struct tower tower;
    int status = 0, error;

    if (running->pc_cell < 0 || running->memory_cell < 0 || !running->has_map) {
        fprintf(stderr,
                _("origami simulate: %s: a program needs a program counter, memory and a map\n"),
                simulate->file);
        return EXIT_NOT_APPLICABLE;
    }
    if (simulate->depth > 0)
        status = make_plan(simulate, running, &plan);
    if (status != 0) {
        plan_release(&plan);
        return status;
    }
    if (simulate->kind >= 0)
        plan.kind = (enum monitor_kind)simulate->kind;
    error = tower_init(&tower, running, &plan, simulate->depth);
    if (error == -E2BIG || error == -ERANGE) {
        fprintf(stderr,
                ngettext("origami simulate: %u monitor of %u cells leaves no room for a guest; "
                         "give the machine more memory with --set\n",
                         "origami simulate: %u monitors of %u cells each leave no room for a "
                         "guest; give the machine more memory with --set, or use fewer\n",
                         simulate->depth),
                simulate->depth, tower_monitor_cells(running));
        status = EXIT_USAGE;
    } else if (error != 0) {
        status = command_out_of_memory();
    } else {
        status = run(simulate, program, &tower);
        tower_release(&tower);
    }
    plan_release(&plan);
    return status;
}

static int simulate_files(const struct simulate_options *simulate)
{
    struct diagnostics diagnostics = { .path = simulate->program };
    struct isa_description *running = NULL;
    struct program *program;
    char *text;
    size_t length = 0;
    int status = command_read_file(simulate->program, &text, &length), error;

    if (status != 0)
        return status;
    diagnostics.text = text;
    diagnostics.text_length = length;
    program = calloc(1, sizeof(*program));
    error = program == NULL ? -ENOMEM : program_read(program, text, length, &diagnostics);
    if (error == -EINVAL)
        diagnostics_print(&diagnostics, stderr);
    status = error == -EINVAL ? EXIT_BAD_DESCRIPTION : error != 0 ? command_out_of_memory() : 0;
    if (status == 0)
        status = open_running(simulate, program, &running);
    if (status == 0)
        status = build(simulate, program, running);
    description_release(running);
    if (program != NULL)
        program_release(program);
    free(program);
    free(text);
    return status;
}

int command_simulate(int argc, char **argv)
{
    struct simulate_options simulate = { .kind = -1,
                                         .compare = { .step_limit = 10000, .seed = 1 } };
    int option, status = 0;

    while (status == 0 &&
           (option = getopt_long(argc, argv, "u:m:c:n:S:r:s:jh", options, NULL)) != -1)
        status = set_option(&simulate, option);
    if (status != 0)
        return status;
    if (simulate.help) {
        fputs(_(help), stdout);
        return command_flush("simulate", 0);
    }
    if (optind + 2 != argc)
        return command_usage("simulate", _("it takes a description and a program"));
    simulate.file = argv[optind];
    simulate.program = argv[optind + 1];
    if (strcmp(simulate.file, "-") == 0)
        return command_usage("simulate", _("the description is read twice, so it must be a file"));
    return simulate_files(&simulate);
}
