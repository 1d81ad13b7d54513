/* SPDX-License-Identifier: MIT */
/* Simulation for programs. Values of cells are strings: JSON's numbers lose bits above 2^53. */
#include "program.h"
#include "simulation.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

static void add_count(cJSON *object, const char *name, uint64_t value)
{
    (void)cJSON_AddNumberToObject(object, name, (double)value);
}

static cJSON *value_of(uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return cJSON_CreateString(text);
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
            (void)cJSON_AddItemToObject(json, cell->name, value_of(state->values[cell->offset]));
            continue;
        }
        array = cJSON_AddArrayToObject(json, cell->name);
        for (uint32_t j = 0; j < count; j++)
            (void)cJSON_AddItemToArray(array, value_of(state->values[cell->offset + j]));
    }
    (void)cJSON_AddBoolToObject(json, "halted", state->halted);
}

static void add_difference(cJSON *json, const struct simulation *simulation)
{
    const struct comparison *comparison = simulation->comparison;
    const struct isa_description *description = simulation->tower->description;
    cJSON *difference = cJSON_AddObjectToObject(json, "difference");

    (void)cJSON_AddStringToObject(difference, "cell",
                                  comparison->cell != NULL ? comparison->cell->name : "halted");
    if (comparison->cell != NULL && comparison->cell->is_array)
        add_count(difference, "element", comparison->element);
    (void)cJSON_AddItemToObject(difference, "bare", value_of(comparison->seen[0]));
    (void)cJSON_AddItemToObject(difference, "virtual", value_of(comparison->seen[1]));
    add_state(json, "before", description, &comparison->before);
    add_state(json, "virtual_state", description, &comparison->virtual);
}

static void add_last_step(cJSON *json, const struct comparison *comparison)
{
    static const char *const outcomes[] = {
        [OUTCOME_NORMAL] = "runs", [OUTCOME_TRAP] = "traps", [OUTCOME_FAULT] = "memory-traps"
    };
    cJSON *last = cJSON_AddObjectToObject(json, "last_step");
    char text[160];

    (void)cJSON_AddItemToObject(last, "pc", value_of(comparison->pc));
    if (comparison->record.instruction != NULL) {
        program_print(comparison->record.instruction, &comparison->record.input, text,
                      sizeof(text));
        (void)cJSON_AddStringToObject(last, "instruction", text);
    }
    (void)cJSON_AddStringToObject(last, "outcome", outcomes[comparison->record.outcome.kind]);
}

static void add_monitors(cJSON *json, const struct tower *tower)
{
    cJSON *array = cJSON_AddArrayToObject(json, "monitors");

    for (unsigned n = 1; n <= tower->depth; n++) {
        const struct monitor_counters *counters = &tower->levels[n].counters;
        cJSON *monitor = cJSON_CreateObject(), *interpreters;

        if (!cJSON_AddItemToArray(array, monitor))
            return;
        add_count(monitor, "traps", counters->traps);
        add_count(monitor, "emulated", counters->emulated);
        add_count(monitor, "reflected", counters->reflected);
        add_count(monitor, "interpreted", counters->interpreted);
        add_count(monitor, "allocator", counters->allocator);
        add_count(monitor, "nested", counters->nested);
        interpreters = cJSON_AddObjectToObject(monitor, "interpreters");
        for (unsigned i = 0; i < tower->description->instruction_count; i++)
            if (counters->by_instruction[i] != 0)
                add_count(interpreters, tower->description->instructions[i]->name,
                          counters->by_instruction[i]);
    }
}

static void add_counters(cJSON *json, const struct tower *tower)
{
    uint64_t direct, indirect;
    cJSON *object;

    simulation_efficiency(tower, &direct, &indirect);
    add_count(json, "direct", tower->direct);
    add_count(json, "innocuous_direct", direct);
    add_count(json, "innocuous_indirect", indirect);
    object = cJSON_AddObjectToObject(json, "directly");
    for (unsigned i = 0; i < tower->description->instruction_count; i++)
        if (tower->direct_by[i] != 0)
            add_count(object, tower->description->instructions[i]->name, tower->direct_by[i]);
    add_monitors(json, tower);
    if (tower->patches == NULL)
        return;
    object = cJSON_AddObjectToObject(json, "executed_copy");
    add_count(object, "scanned", tower->patch.scanned);
    add_count(object, "replaced", tower->patch.replaced);
    add_count(object, "hits", tower->patch.hits);
    add_count(object, "invalidated", tower->patch.invalidated);
}

int simulation_json(const struct simulation *simulation, FILE *out)
{
    const struct tower *tower = simulation->tower;
    const struct comparison *comparison = simulation->comparison;
    cJSON *json = cJSON_CreateObject();
    char *text;

    (void)cJSON_AddStringToObject(json, "description", tower->description->name);
    (void)cJSON_AddStringToObject(json, "program", simulation->program);
    add_count(json, "depth", tower->depth);
    (void)cJSON_AddStringToObject(json, "end", compare_end_names[comparison->end]);
    if (tower->depth > 0) {
        (void)cJSON_AddStringToObject(json, "monitor", monitor_kind_names[tower->plan->kind]);
        (void)cJSON_AddBoolToObject(json, "equal",
                                    comparison->end != END_DIFFERENT &&
                                        comparison->end != END_MONITOR_CELLS);
        add_count(json, "monitor_cells", tower->monitor_cells);
    }
    add_count(json, "memory", tower->levels[tower->depth].memory_size);
    add_count(json, "steps", comparison->steps);
    add_count(json, "traps", comparison->traps);
    add_last_step(json, comparison);
    add_state(json, "state", tower->description, &comparison->bare);
    if (comparison->end == END_DIFFERENT)
        add_difference(json, simulation);
    if (tower->depth > 0)
        add_counters(json, tower);
    text = cJSON_Print(json);
    cJSON_Delete(json);
    if (text == NULL)
        return -ENOMEM;
    fprintf(out, "%s\n", text);
    free(text);
    return 0;
}
