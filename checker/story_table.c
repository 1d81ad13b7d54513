/* SPDX-License-Identifier: MIT */
/* A witness as a table: one row a cell, the states side by side. */
#include "messages.h"
#include "story.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void story_value(const struct isa_cell *cell, uint64_t value, char *text, size_t size)
{
    const char *name = cell != NULL ? description_value_name(cell, value) : NULL;

    if (name != NULL)
        (void)snprintf(text, size, "%s", name);
    else
        (void)snprintf(text, size, value < 10 ? "%llu" : "0x%llx", (unsigned long long)value);
}

void story_cell_name(const struct witness *witness, char *text, size_t size)
{
    if (witness->cell == NULL)
        (void)snprintf(text, size, "%s", _("whether the machine halts"));
    else if (witness->windowed)
        (void)snprintf(text, size, _("%s at address %u"), witness->cell->name, witness->element);
    else if (witness->cell->is_array)
        (void)snprintf(text, size, "%s[%u]", witness->cell->name, witness->element);
    else
        (void)snprintf(text, size, "%s", witness->cell->name);
}

static const char *const titles[][2] = {
    [RELATION_SINGLE] = { N_("the state"), "" },
    [RELATION_RELOCATED] = { N_("here"), N_("moved") },
    [RELATION_MODE] = { N_("supervisor mode"), N_("user mode") },
    [RELATION_RESOURCES] = { N_("first"), N_("second") },
    [RELATION_FOLDED] = { N_("bare machine"), N_("under a monitor") },
};

/* Appends to a text that may be too short for all of it. */
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
                                                         const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

static void describe_input(const struct witness *witness, struct story_table *table)
{
    const struct isa_instruction *instruction = witness->instruction;
    char value[STORY_VALUE_SIZE];

    for (unsigned i = 0; i < instruction->operand_count; i++) {
        story_value(NULL, witness->input.operands[i], value, sizeof(value));
        append(table->input, sizeof(table->input), "%s%s = %s", i == 0 ? "" : ", ",
               instruction->operands[i].name, value);
    }
    for (unsigned i = 0; i < instruction->choice_count; i++) {
        story_value(NULL, witness->input.choices[i], value, sizeof(value));
        append(table->input, sizeof(table->input), _("%schoice %u = %s"),
               table->input[0] == '\0' ? "" : ", ", i, value);
    }
    if (property_rows[witness->property].relation == RELATION_RELOCATED)
        append(table->input, sizeof(table->input), _("%smoved by %llu"),
               table->input[0] == '\0' ? "" : ", ", (unsigned long long)witness->shift);
}

/* The states in the order of columns; NULL where the instruction trapped. */
static void choose_states(const struct witness *witness, unsigned states,
                          const struct machine_state *columns[4])
{
    for (unsigned i = 0; i < 2; i++) {
        bool there = i < states;

        columns[2 * i] = there ? &witness->before[i] : NULL;
        columns[2 * i + 1] =
            there && witness->outcome[i].kind == OUTCOME_NORMAL ? &witness->after[i] : NULL;
    }
}

static void add_outcomes(const struct witness *witness, struct story_table *table)
{
    struct story_row *row = &table->rows[table->count++];

    (void)snprintf(row->name, sizeof(row->name), "%s", _("what happens"));
    for (unsigned i = 0; i < table->states; i++) {
        const struct outcome *outcome = &witness->outcome[i];
        char *text = row->value[2 * i + 1];

        if (outcome->kind == OUTCOME_NORMAL)
            (void)snprintf(text, STORY_VALUE_SIZE, "%s",
                           witness->after[i].halted ? _("halts") : _("runs"));
        else
            (void)snprintf(text, STORY_VALUE_SIZE,
                           outcome->kind == OUTCOME_TRAP ? _("trap %llu") : _("memory trap %llu"),
                           (unsigned long long)outcome->code);
    }
    row->differs = witness->has_difference && witness->cell == NULL;
}

static bool holds(const struct isa_cell *cell, uint32_t element, const struct machine_state *state)
{
    return state != NULL && (cell->role != ROLE_MEMORY || element < state->memory_size);
}

static void add_cell(const struct witness *witness, const struct isa_cell *cell, uint32_t element,
                     const struct machine_state *const columns[4], struct story_table *table)
{
    bool always = cell->role == ROLE_MODE || cell->role == ROLE_PC || cell->role == ROLE_RELOCATION;
    bool differs = witness->has_difference && !witness->windowed && witness->cell == cell &&
                   witness->element == element;
    struct story_row *row = &table->rows[table->count];
    bool zero = true;

    for (unsigned i = 0; i < 4; i++)
        zero = zero && (!holds(cell, element, columns[i]) ||
                        columns[i]->values[cell->offset + element] == 0);
    if (zero && !always && !differs) {
        table->rest_zero = true;
        return;
    }
    memset(row, 0, sizeof(*row));
    if (cell->is_array)
        (void)snprintf(row->name, sizeof(row->name), "%.80s[%u]", cell->name, element);
    else
        (void)snprintf(row->name, sizeof(row->name), "%.80s", cell->name);
    for (unsigned i = 0; i < 4; i++)
        if (holds(cell, element, columns[i]))
            story_value(cell, columns[i]->values[cell->offset + element], row->value[i],
                        sizeof(row->value[i]));
    row->differs = differs;
    table->count++;
}

/* What a program sees at the address where the states differ. */
static void add_window(const struct isa_description *description, const struct witness *witness,
                       const struct machine_state *const columns[4], struct story_table *table)
{
    struct story_row *row = &table->rows[table->count];

    if (!witness->has_difference || !witness->windowed)
        return;
    memset(row, 0, sizeof(*row));
    story_cell_name(witness, row->name, sizeof(row->name));
    for (unsigned i = 0; i < 4; i++) {
        uint64_t physical = 0;

        if (columns[i] == NULL)
            continue;
        if (evaluate_map(description, columns[i], witness->element,
                         machine_state_mode(columns[i], description), &physical) != 0)
            (void)snprintf(row->value[i], sizeof(row->value[i]), "%s", _("out of reach"));
        else
            story_value(witness->cell, machine_state_memory(columns[i], description)[physical],
                        row->value[i], sizeof(row->value[i]));
    }
    row->differs = true;
    table->count++;
}

int story_table_build(const struct isa_description *description, const struct witness *witness,
                      struct story_table *table)
{
    enum relation relation = property_rows[witness->property].relation;
    const struct machine_state *columns[4];

    memset(table, 0, sizeof(*table));
    table->states = relation == RELATION_SINGLE ? 1 : 2;
    for (unsigned i = 0; i < table->states; i++)
        table->title[i] = _(titles[relation][i]);
    /* One row a value of the state, what happened, and the window. */
    table->rows = calloc(description->value_count + 2, sizeof(*table->rows));
    if (table->rows == NULL)
        return -ENOMEM;
    describe_input(witness, table);
    choose_states(witness, table->states, columns);
    add_outcomes(witness, table);
    for (unsigned i = 0; i < description->cell_count; i++)
        for (uint32_t j = 0; j < description->cells[i].count; j++)
            add_cell(witness, &description->cells[i], j, columns, table);
    add_window(description, witness, columns, table);
    return 0;
}

void story_table_release(struct story_table *table)
{
    free(table->rows);
    memset(table, 0, sizeof(*table));
}
