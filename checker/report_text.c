/* SPDX-License-Identifier: MIT */
/* Reports for people: the verdict first, then why. */
#include "report.h"

#include <string.h>

const char *answer_name(enum answer answer)
{
    static const char *const names[] = {
        [ANSWER_NO] = "no", [ANSWER_YES] = "yes", [ANSWER_UNDECIDED] = "undecided"
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

static void print_list(const char *title, const struct isa_description *description,
                       enum isa_role role, bool counted, FILE *out)
{
    bool first = true;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (counted ? !cell->counted : cell->role != role)
            continue;
        fprintf(out, "%s%s", first ? title : ", ", cell->name);
        if (cell->count > 1)
            fprintf(out, "[%u]", cell->count);
        fprintf(out, " (%u bit%s)", cell->width, cell->width == 1 ? "" : "s");
        first = false;
    }
    if (!first)
        fputc('\n', out);
}

void report_scope(const struct analysis *analysis, FILE *out)
{
    const struct isa_description *description = analysis->description;

    fprintf(out, "Decided %s, for all states, operands and choices, with:\n",
            analysis->options.enumerate ? "by enumeration" : "with Z3");
    if (description->pair_declared) {
        fprintf(out, "  modes:       %s over ",
                description_mode_name(description, description->supervisor));
        fprintf(out, "%s\n", description_mode_name(description, description->user));
    }
    print_list("  memory:      ", description, ROLE_MEMORY, false, out);
    if (description->has_map)
        fprintf(out, "  addresses:   %u bits; the monitor keeps %u memory cell%s\n",
                description->map_address_width, description->monitor_cells,
                description->monitor_cells == 1 ? "" : "s");
    print_list("  relocation:  ", description, ROLE_RELOCATION, false, out);
    print_list("  registers:   ", description, ROLE_USER, false, out);
    print_list("  resources:   ", description, ROLE_RESOURCE, true, out);
    for (unsigned i = 0; i < description->parameter_count; i++)
        fprintf(out, "  parameter:   %s = %llu%s\n", description->parameters[i].name,
                (unsigned long long)description->parameters[i].value,
                description->parameters[i].overridden ? " (set)" : "");
    if (description->invariant_count != 0)
        fprintf(out, "  assuming:    %u invariant%s of the description\n",
                description->invariant_count, description->invariant_count == 1 ? "" : "s");
    if (description->scope != NULL)
        fprintf(out, "  scope:       %s\n", description->scope);
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
            fputs(first ? "" : ", ", out);
            print_cell(cell, j, value, out);
            first = false;
        }
    }
    fputs("; all else 0\n", out);
}

static void print_input(const struct witness *witness, FILE *out)
{
    const struct isa_instruction *instruction = witness->instruction;

    for (unsigned i = 0; i < instruction->operand_count; i++)
        fprintf(out, "%s%s = %llu", i == 0 ? "    with " : ", ", instruction->operands[i].name,
                (unsigned long long)witness->input.operands[i]);
    if (instruction->operand_count != 0)
        fputc('\n', out);
    for (unsigned i = 0; i < instruction->choice_count; i++)
        fprintf(out, "    the processor chooses %llu\n",
                (unsigned long long)witness->input.choices[i]);
}

static const char *outcome_name(enum outcome_kind kind)
{
    static const char *const names[] = {
        [OUTCOME_NORMAL] = "runs", [OUTCOME_TRAP] = "traps", [OUTCOME_FAULT] = "memory-traps"
    };
    return names[kind];
}

static void print_difference(const struct witness *witness, FILE *out)
{
    const char *place = witness->windowed ? " (seen through the map)" : "";

    fputs("    difference: ", out);
    if (witness->cell == NULL) {
        fprintf(out, "the machine %s, then it %s\n", witness->seen[0] != 0 ? "halts" : "goes on",
                witness->seen[1] != 0 ? "halts" : "goes on");
        return;
    }
    print_cell(witness->cell, witness->element, witness->seen[0], out);
    fputs(property_rows[witness->property].relation == RELATION_SINGLE ? " becomes " : " against ",
          out);
    report_value(witness->cell, witness->seen[1], out);
    fprintf(out, "%s\n", place);
}

void report_witness(const struct isa_description *description, const struct witness *witness,
                    FILE *out)
{
    static const char *const titles[][2] = {
        [RELATION_SINGLE] = { "state:      ", "" },
        [RELATION_RELOCATED] = { "here:       ", "moved:      " },
        [RELATION_MODE] = { "supervisor: ", "user:       " },
        [RELATION_RESOURCES] = { "first:      ", "second:     " },
        [RELATION_FOLDED] = { "bare:       ", "under f:    " },
    };
    enum relation relation = property_rows[witness->property].relation;
    int states = relation == RELATION_SINGLE ? 1 : 2;

    fprintf(out, "  %s is %s:\n", witness->instruction->name,
            property_rows[witness->property].name);
    print_input(witness, out);
    for (int i = 0; i < states; i++) {
        fprintf(out, "    %s", titles[relation][i]);
        print_state(description, &witness->before[i], out);
        fprintf(out, "      it %s", outcome_name(witness->outcome[i].kind));
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

static void print_instruction(const struct instruction_report *report, int width, FILE *out)
{
    static const struct {
        enum instruction_class class;
        const char *word;
    } columns[] = {
        { CLASS_PRIVILEGED, "privileged" }, { CLASS_CONTROL, "control" },
        { CLASS_LOCATION, "location" },     { CLASS_MODE, "mode" },
        { CLASS_RESOURCE, "resource" },     { CLASS_USER_SENSITIVE, "user-sensitive" },
        { CLASS_PARTIAL, "partial" },       { CLASS_INNOCUOUS, "innocuous" },
    };
    bool unknown = false;

    fprintf(out, "  %-*s  %s", width, report->instruction->name,
            report->is[CLASS_CRITICAL] == ANSWER_YES ? "CRITICAL " : "         ");
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (report->is[columns[i].class] == ANSWER_YES)
            fprintf(out, " %s", columns[i].word);
        unknown = unknown || report->is[columns[i].class] == ANSWER_UNDECIDED;
    }
    if (report->is[CLASS_COMMUTES] == ANSWER_NO)
        fputs(" !commute", out);
    fputs(unknown ? " undecided\n" : "\n", out);
}

static void print_table(const struct analysis *analysis, FILE *out)
{
    int width = 8;

    for (unsigned i = 0; i < analysis->report_count; i++) {
        int length = (int)strlen(analysis->reports[i].instruction->name);

        if (length > width)
            width = length;
    }
    fputs("\nInstructions:\n", out);
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
        fputs(title ? "\n" : "\nWitnesses, each replayed by the evaluator:\n", out);
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
        fprintf(out, "%s%s", count == 0 ? "Critical instructions: " : ", ",
                analysis->reports[i].instruction->name);
        count++;
    }
    if (count != 0)
        fprintf(out, " (%u)\n", count);
}

void report_text(const struct analysis *analysis, FILE *out)
{
    const struct isa_description *description = analysis->description;

    fprintf(out, "%s: %s\n", verdict_names[analysis->verdict],
            description->title != NULL ? description->title : description->name);
    for (int i = 0; i < PREMISE_COUNT; i++)
        if (!analysis->premise[i])
            fprintf(out, "  premise missing: %s\n", premise_names[i]);
    if (analysis->reports == NULL) {
        fputs("The theorems speak about machines with two modes, relocation, traps and table "
              "look-up.\n",
              out);
        return;
    }
    for (int i = 0; i < THEOREM_COUNT; i++)
        fprintf(out, "  %-38s %s\n", theorem_names[i], answer_name(analysis->theorem[i]));
    print_critical(analysis, out);
    fputc('\n', out);
    report_scope(analysis, out);
    print_table(analysis, out);
    print_stories(analysis, out);
    fprintf(out, "\n%u instructions in %.2f s\n", analysis->report_count, analysis->seconds);
}
