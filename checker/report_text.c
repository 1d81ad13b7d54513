/* SPDX-License-Identifier: MIT */
/* Reports for people: the verdict first, then why. */
#include "report.h"
#include "columns.h"
#include "messages.h"
#include "story.h"

#include <string.h>

const char *answer_name(enum answer answer)
{
    static const char *const names[] = {
        [ANSWER_NO] = N_("no"), [ANSWER_YES] = N_("yes"), [ANSWER_UNDECIDED] = N_("undecided")
    };
    return names[answer];
}

void report_value(const struct isa_cell *cell, uint64_t value, FILE *out)
{
    const char *name = cell != NULL ? description_value_name(cell, value) : NULL;

    if (name != NULL)
        fputs(name, out);
    else if (value < 10)
        fprintf(out, "%llu", (unsigned long long)value);
    else
        fprintf(out, "0x%llx", (unsigned long long)value);
}

enum { LABEL_COLUMNS = 13, TITLE_COLUMNS = 12, THEOREM_COLUMNS = 38, CRITICAL_COLUMNS = 9 };

static void print_label(const char *label, FILE *out)
{
    fputs("  ", out);
    columns_pad(label, LABEL_COLUMNS, out);
}

static void print_list(const char *label, const struct isa_description *description,
                       enum isa_role role, bool counted, FILE *out)
{
    bool first = true;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (counted ? !cell->counted : cell->role != role)
            continue;
        if (first)
            print_label(label, out);
        fprintf(out, "%s%s", first ? "" : _(", "), cell->name);
        if (cell->count > 1)
            fprintf(out, "[%u]", cell->count);
        fprintf(out, ngettext(" (%u bit)", " (%u bits)", cell->width), cell->width);
        first = false;
    }
    if (!first)
        fputc('\n', out);
}

static void print_map(const struct isa_description *description, FILE *out)
{
    print_label(_("addresses:"), out);
    fprintf(out, ngettext("%u bit; ", "%u bits; ", description->map_address_width),
            description->map_address_width);
    fprintf(out,
            ngettext("the monitor keeps %u memory cell\n", "the monitor keeps %u memory cells\n",
                     description->monitor_cells),
            description->monitor_cells);
}

static void print_assumptions(const struct isa_description *description, FILE *out)
{
    for (unsigned i = 0; i < description->parameter_count; i++) {
        print_label(_("parameter:"), out);
        fprintf(out, "%s = %llu%s\n", description->parameters[i].name,
                (unsigned long long)description->parameters[i].value,
                description->parameters[i].overridden ? _(" (set)") : "");
    }
    if (description->invariant_count != 0) {
        print_label(_("assuming:"), out);
        fprintf(out,
                ngettext("%u invariant of the description\n", "%u invariants of the description\n",
                         description->invariant_count),
                description->invariant_count);
    }
    if (description->scope != NULL) {
        print_label(_("scope:"), out);
        fprintf(out, "%s\n", description->scope);
    }
}

void report_scope(const struct analysis *analysis, FILE *out)
{
    const struct isa_description *description = analysis->description;

    fputs(analysis->options.enumerate
              ? _("Decided by enumeration, for all states, operands and choices, with:\n")
              : _("Decided with Z3, for all states, operands and choices, with:\n"),
          out);
    if (description->pair_declared) {
        print_label(_("modes:"), out);
        fprintf(out, _("%s over %s\n"), description_mode_name(description, description->supervisor),
                description_mode_name(description, description->user));
    }
    print_list(_("memory:"), description, ROLE_MEMORY, false, out);
    if (description->has_map)
        print_map(description, out);
    print_list(_("relocation:"), description, ROLE_RELOCATION, false, out);
    print_list(_("registers:"), description, ROLE_USER, false, out);
    print_list(_("resources:"), description, ROLE_RESOURCE, true, out);
    print_assumptions(description, out);
}

static void print_cell(const struct isa_cell *cell, uint32_t element, uint64_t value, FILE *out)
{
    fputs(cell->name, out);
    if (cell->is_array)
        fprintf(out, "[%u]", element);
    fputs(" = ", out);
    report_value(cell, value, out);
}

/* A state on one line: everything but zeros, mode and relocation always. */
static void print_state(const struct isa_description *description,
                        const struct machine_state *state, FILE *out)
{
    bool first = true;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        bool always =
            cell->role == ROLE_MODE || cell->role == ROLE_RELOCATION || cell->role == ROLE_PC;
        uint32_t count = cell->role == ROLE_MEMORY ? state->memory_size : cell->count;

        for (uint32_t j = 0; j < count; j++) {
            uint64_t value = state->values[cell->offset + j];

            if (value == 0 && !always)
                continue;
            fputs(first ? "" : _(", "), out);
            print_cell(cell, j, value, out);
            first = false;
        }
    }
    fputs(_("; all else 0\n"), out);
}

static void print_input(const struct witness *witness, FILE *out)
{
    const struct isa_instruction *instruction = witness->instruction;

    for (unsigned i = 0; i < instruction->operand_count; i++)
        fprintf(out, "%s%s = %llu", i == 0 ? _("    with ") : _(", "),
                instruction->operands[i].name, (unsigned long long)witness->input.operands[i]);
    if (instruction->operand_count != 0)
        fputc('\n', out);
    for (unsigned i = 0; i < instruction->choice_count; i++)
        fprintf(out, _("    the processor chooses %llu\n"),
                (unsigned long long)witness->input.choices[i]);
}

static const char *outcome_name(enum outcome_kind kind)
{
    static const char *const names[] = {
        [OUTCOME_NORMAL] = N_("it runs"),
        [OUTCOME_TRAP] = N_("it traps"),
        [OUTCOME_FAULT] = N_("it memory-traps"),
    };
    return _(names[kind]);
}

static void print_difference(const struct witness *witness, FILE *out)
{
    const char *place = witness->windowed ? _(" (seen through the map)") : "";

    fprintf(out, "    %s", _("difference: "));
    if (witness->cell == NULL) {
        fprintf(out, _("the machine %s, then it %s\n"),
                witness->seen[0] != 0 ? _("halts") : _("goes on"),
                witness->seen[1] != 0 ? _("halts") : _("goes on"));
        return;
    }
    print_cell(witness->cell, witness->element, witness->seen[0], out);
    fputs(property_rows[witness->property].relation == RELATION_SINGLE ? _(" becomes ")
                                                                       : _(" against "),
          out);
    report_value(witness->cell, witness->seen[1], out);
    fprintf(out, "%s\n", place);
}

void report_witness(const struct isa_description *description, const struct witness *witness,
                    FILE *out)
{
    static const char *const titles[][2] = {
        [RELATION_SINGLE] = { N_("state:"), NULL },
        [RELATION_RELOCATED] = { N_("here:"), N_("moved:") },
        [RELATION_MODE] = { N_("supervisor:"), N_("user:") },
        [RELATION_RESOURCES] = { N_("first:"), N_("second:") },
        [RELATION_FOLDED] = { N_("bare:"), N_("under f:") },
    };
    enum relation relation = property_rows[witness->property].relation;
    int states = relation == RELATION_SINGLE ? 1 : 2;

    /* The last names are of what an instruction does, the others of what it is. */
    fprintf(out, witness->property >= PROPERTY_TRAPS_IN_USER ? _("  %s %s:\n") : _("  %s is %s:\n"),
            witness->instruction->name, _(property_rows[witness->property].name));
    print_input(witness, out);
    for (int i = 0; i < states; i++) {
        fputs("    ", out);
        columns_pad(_(titles[relation][i]), TITLE_COLUMNS, out);
        print_state(description, &witness->before[i], out);
        fprintf(out, "      %s", outcome_name(witness->outcome[i].kind));
        if (witness->outcome[i].kind == OUTCOME_NORMAL) {
            fputs(": ", out);
            print_state(description, &witness->after[i], out);
        } else {
            fputc('\n', out);
        }
    }
    if (witness->has_difference)
        print_difference(witness, out);
}

static void print_instruction(const struct instruction_report *report, unsigned width, FILE *out)
{
    static const struct {
        enum instruction_class class;
        const char *word;
    } columns[] = {
        { CLASS_PRIVILEGED, N_("privileged") }, { CLASS_CONTROL, N_("control") },
        { CLASS_LOCATION, N_("location") },     { CLASS_MODE, N_("mode") },
        { CLASS_RESOURCE, N_("resource") },     { CLASS_USER_SENSITIVE, N_("user-sensitive") },
        { CLASS_PARTIAL, N_("partial") },       { CLASS_INNOCUOUS, N_("innocuous") },
    };
    bool unknown = false;

    fputs("  ", out);
    columns_pad(report->instruction->name, width + 2, out);
    columns_pad(report->is[CLASS_CRITICAL] == ANSWER_YES ? _("CRITICAL") : "", CRITICAL_COLUMNS,
                out);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (report->is[columns[i].class] == ANSWER_YES)
            fprintf(out, " %s", _(columns[i].word));
        unknown = unknown || report->is[columns[i].class] == ANSWER_UNDECIDED;
    }
    if (report->is[CLASS_COMMUTES] == ANSWER_NO)
        fprintf(out, " %s", _("!commute"));
    fprintf(out, "%s%s\n", unknown ? " " : "", unknown ? _("undecided") : "");
}

static void print_table(const struct analysis *analysis, FILE *out)
{
    unsigned width = 8;

    for (unsigned i = 0; i < analysis->report_count; i++) {
        unsigned length = columns_of(analysis->reports[i].instruction->name);

        if (length > width)
            width = length;
    }
    fputs(_("\nInstructions:\n"), out);
    for (unsigned i = 0; i < analysis->report_count; i++)
        print_instruction(&analysis->reports[i], width, out);
}

static void print_stories(const struct analysis *analysis, FILE *out)
{
    static const enum property folded[] = { PROPERTY_DIFFERS, PROPERTY_FALSE_TRAP,
                                            PROPERTY_FALSE_FAULT };
    bool title = false;

    for (unsigned i = 0; i < analysis->report_count; i++) {
        const struct instruction_report *report = &analysis->reports[i];
        const struct witness *witness = NULL;

        if (report->is[CLASS_CRITICAL] == ANSWER_YES)
            witness = analysis_main_witness(report);
        for (size_t j = 0; j < 3 && witness == NULL && report->is[CLASS_COMMUTES] == ANSWER_NO; j++)
            witness = report->found.witness[folded[j]];
        if (witness == NULL)
            continue;
        fputs(title ? "\n" : _("\nWitnesses, each replayed by the evaluator:\n"), out);
        title = true;
        report_witness(analysis->description, witness, out);
        if (report->is[CLASS_CRITICAL] == ANSWER_YES &&
            report->found.witness[PROPERTY_UNPRIVILEGED] != NULL)
            report_witness(analysis->description, report->found.witness[PROPERTY_UNPRIVILEGED],
                           out);
    }
}

static void print_critical(const struct analysis *analysis, FILE *out)
{
    unsigned count = 0;

    for (unsigned i = 0; i < analysis->report_count; i++) {
        if (analysis->reports[i].is[CLASS_CRITICAL] != ANSWER_YES)
            continue;
        fprintf(out, "%s%s", count == 0 ? _("Critical instructions: ") : _(", "),
                analysis->reports[i].instruction->name);
        count++;
    }
    if (count != 0)
        fprintf(out, " (%u)\n", count);
}

static void print_theorems(const struct analysis *analysis, FILE *out)
{
    const struct instruction_report *report;
    unsigned next = 0;
    char line[512];

    for (int i = 0; i < THEOREM_COUNT; i++) {
        fputs("  ", out);
        columns_pad(_(theorem_names[i]), THEOREM_COLUMNS + 1, out);
        fprintf(out, "%s\n", _(answer_name(analysis->theorem[i])));
    }
    while ((report = analysis_hybrid_condition(analysis, &next)) != NULL) {
        story_condition_line(analysis->description, report, line, sizeof(line));
        fputs("  ", out);
        fprintf(out, _("Theorem 3 holds on a condition: %s.\n"), line);
    }
}

void report_text(const struct analysis *analysis, FILE *out)
{
    const struct isa_description *description = analysis->description;

    fprintf(out, "%s: %s\n", _(verdict_names[analysis->verdict]),
            description->title != NULL ? description->title : description->name);
    for (int i = 0; i < PREMISE_COUNT; i++)
        if (!analysis->premise[i])
            fprintf(out, _("  premise missing: %s\n"), _(premise_names[i]));
    if (analysis->reports == NULL) {
        fputs(_("The theorems speak about machines with two modes, relocation, traps and table "
                "look-up.\n"),
              out);
        return;
    }
    print_theorems(analysis, out);
    print_critical(analysis, out);
    fputc('\n', out);
    report_scope(analysis, out);
    print_table(analysis, out);
    print_stories(analysis, out);
    fprintf(out,
            ngettext("\n%u instruction in %.2f s\n", "\n%u instructions in %.2f s\n",
                     analysis->report_count),
            analysis->report_count, analysis->seconds);
}
