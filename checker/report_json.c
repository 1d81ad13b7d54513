/* SPDX-License-Identifier: MIT */
/* Reports for programs. Values are strings: JSON's numbers lose bits above 2^53. */
#include "report.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

static void add_value(cJSON *object, const char *name, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    (void)cJSON_AddStringToObject(object, name, text);
}

static void append_value(cJSON *array, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    (void)cJSON_AddItemToArray(array, cJSON_CreateString(text));
}

static void add_state(cJSON *object, const char *name, const struct isa_description *description,
                      const struct machine_state *state)
{
    cJSON *json = cJSON_AddObjectToObject(object, name);

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        uint32_t count = cell->role == ROLE_MEMORY ? state->memory_size : cell->count;
        cJSON *array;

        if (!cell->is_array) {
            add_value(json, cell->name, state->values[cell->offset]);
            continue;
        }
        array = cJSON_AddArrayToObject(json, cell->name);
        for (uint32_t j = 0; j < count; j++)
            append_value(array, state->values[cell->offset + j]);
    }
    (void)cJSON_AddBoolToObject(json, "halted", state->halted);
}

static void add_difference(cJSON *json, const struct witness *witness)
{
    cJSON *difference;

    if (!witness->has_difference)
        return;
    difference = cJSON_AddObjectToObject(json, "difference");
    (void)cJSON_AddStringToObject(difference, "cell",
                                  witness->cell != NULL ? witness->cell->name : "halted");
    if (witness->cell != NULL && witness->cell->is_array)
        (void)cJSON_AddNumberToObject(difference, "element", witness->element);
    (void)cJSON_AddBoolToObject(difference, "virtual", witness->windowed);
    add_value(difference, "first", witness->seen[0]);
    add_value(difference, "second", witness->seen[1]);
}

static void add_witness(cJSON *array, const struct isa_description *description,
                        const struct witness *witness)
{
    static const char *const outcomes[] = {
        [OUTCOME_NORMAL] = "runs", [OUTCOME_TRAP] = "traps", [OUTCOME_FAULT] = "memory-traps"
    };
    static const char *const before[] = { "before", "second_before" };
    static const char *const after[] = { "after", "second_after" };
    static const char *const outcome[] = { "outcome", "second_outcome" };
    enum relation relation = property_rows[witness->property].relation;
    cJSON *json = cJSON_CreateObject(), *list;

    if (!cJSON_AddItemToArray(array, json))
        return;
    (void)cJSON_AddStringToObject(json, "property", property_rows[witness->property].name);
    list = cJSON_AddObjectToObject(json, "operands");
    for (unsigned i = 0; i < witness->instruction->operand_count; i++)
        add_value(list, witness->instruction->operands[i].name, witness->input.operands[i]);
    list = cJSON_AddArrayToObject(json, "choices");
    for (unsigned i = 0; i < witness->instruction->choice_count; i++)
        append_value(list, witness->input.choices[i]);
    if (relation == RELATION_RELOCATED)
        add_value(json, "shift", witness->shift);
    for (int i = 0; i < (relation == RELATION_SINGLE ? 1 : 2); i++) {
        add_state(json, before[i], description, &witness->before[i]);
        (void)cJSON_AddStringToObject(json, outcome[i], outcomes[witness->outcome[i].kind]);
        if (witness->outcome[i].kind == OUTCOME_NORMAL)
            add_state(json, after[i], description, &witness->after[i]);
    }
    add_difference(json, witness);
}

static void add_instruction(cJSON *array, const struct isa_description *description,
                            const struct instruction_report *report)
{
    cJSON *json = cJSON_CreateObject(), *part;

    if (!cJSON_AddItemToArray(array, json))
        return;
    (void)cJSON_AddStringToObject(json, "name", report->instruction->name);
    if (report->instruction->summary != NULL)
        (void)cJSON_AddStringToObject(json, "summary", report->instruction->summary);
    part = cJSON_AddObjectToObject(json, "classes");
    for (int i = 0; i < CLASS_COUNT; i++)
        (void)cJSON_AddStringToObject(part, class_names[i], answer_name(report->is[i]));
    part = cJSON_AddArrayToObject(json, "witnesses");
    for (int i = 0; i < PROPERTY_COUNT; i++)
        if (report->found.witness[i] != NULL)
            add_witness(part, description, report->found.witness[i]);
    (void)cJSON_AddNumberToObject(json, "seconds", report->seconds);
}

static void add_proved_for(cJSON *root, const struct analysis *analysis)
{
    const struct isa_description *description = analysis->description;
    cJSON *scope = cJSON_AddObjectToObject(root, "proved_for"), *part, *entry;

    (void)cJSON_AddStringToObject(scope, "method",
                                  analysis->options.enumerate ? "enumeration" : "Z3");
    part = cJSON_AddArrayToObject(scope, "cells");
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        entry = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(entry, "name", cell->name);
        (void)cJSON_AddStringToObject(entry, "role", role_name(cell->role));
        (void)cJSON_AddNumberToObject(entry, "width", cell->width);
        (void)cJSON_AddNumberToObject(entry, "count", cell->count);
        (void)cJSON_AddBoolToObject(entry, "counted", cell->counted);
        (void)cJSON_AddItemToArray(part, entry);
    }
    part = cJSON_AddObjectToObject(scope, "parameters");
    for (unsigned i = 0; i < description->parameter_count; i++)
        add_value(part, description->parameters[i].name, description->parameters[i].value);
    (void)cJSON_AddNumberToObject(scope, "invariants", description->invariant_count);
    (void)cJSON_AddNumberToObject(scope, "monitor_cells", description->monitor_cells);
    if (description->scope != NULL)
        (void)cJSON_AddStringToObject(scope, "scope", description->scope);
    part = cJSON_AddArrayToObject(root, "sources");
    for (unsigned i = 0; i < description->source_count; i++)
        (void)cJSON_AddItemToArray(part, cJSON_CreateString(description->sources[i]));
}

/* What Theorem 3 depends on, where the classes alone do not decide it. */
static void add_conditions(cJSON *root, const struct analysis *analysis)
{
    const struct instruction_report *report;
    cJSON *array = cJSON_AddArrayToObject(root, "theorem_3_conditions");
    unsigned next = 0;

    while ((report = analysis_hybrid_condition(analysis, &next)) != NULL) {
        const struct witness *witness = report->found.witness[PROPERTY_STRAYS_IN_USER];
        cJSON *json = cJSON_CreateObject(), *names;
        const struct isa_cell *cell;

        if (!cJSON_AddItemToArray(array, json))
            return;
        (void)cJSON_AddStringToObject(json, "instruction", report->instruction->name);
        names = cJSON_AddArrayToObject(json, "resources");
        for (unsigned i = 0; witness != NULL &&
                             (cell = witness_resource(analysis->description, witness, i)) != NULL;
             i++)
            (void)cJSON_AddItemToArray(names, cJSON_CreateString(cell->name));
    }
}

int report_json(const struct analysis *analysis, FILE *out)
{
    const struct isa_description *description = analysis->description;
    cJSON *root = cJSON_CreateObject(), *part;
    char *text;

    (void)cJSON_AddStringToObject(root, "isa", description->name);
    if (description->title != NULL)
        (void)cJSON_AddStringToObject(root, "title", description->title);
    (void)cJSON_AddStringToObject(root, "verdict", verdict_names[analysis->verdict]);
    part = cJSON_AddObjectToObject(root, "premises");
    for (int i = 0; i < PREMISE_COUNT; i++)
        (void)cJSON_AddBoolToObject(part, premise_names[i], analysis->premise[i]);
    if (analysis->reports != NULL) {
        part = cJSON_AddObjectToObject(root, "theorems");
        for (int i = 0; i < THEOREM_COUNT; i++)
            (void)cJSON_AddStringToObject(part, theorem_names[i],
                                          answer_name(analysis->theorem[i]));
        add_conditions(root, analysis);
    }
    add_proved_for(root, analysis);
    part = cJSON_AddArrayToObject(root, "instructions");
    for (unsigned i = 0; i < analysis->report_count; i++)
        add_instruction(part, description, &analysis->reports[i]);
    (void)cJSON_AddNumberToObject(root, "seconds", analysis->seconds);
    text = cJSON_Print(root);
    cJSON_Delete(root);
    if (text == NULL)
        return -ENOMEM;
    fprintf(out, "%s\n", text);
    cJSON_free(text);
    return 0;
}
