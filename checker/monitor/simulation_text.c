/* SPDX-License-Identifier: MIT */
/* Simulation for people: did they agree, and who ran what. */
#include "messages.h"
#include "program.h"
#include "report.h"
#include "simulation.h"
#include "story.h"

const char *const compare_end_names[] = {
    [END_HALTED] = N_("halted"),         [END_TRAP_STORM] = N_("trap storm"),
    [END_STEP_LIMIT] = N_("step limit"), [END_DEAD] = N_("stuck"),
    [END_DIFFERENT] = N_("different"),   [END_MONITOR_CELLS] = N_("monitor cells"),
};

void simulation_efficiency(const struct tower *tower, uint64_t *direct, uint64_t *indirect)
{
    *direct = 0;
    *indirect = tower->innocuous_indirect;
    for (unsigned i = 0; i < tower->description->instruction_count; i++)
        if (tower->plan->rows[i].innocuous)
            *direct += tower->direct_by[i];
}

/* Memory only where it is not what it was. */
static void print_state(const struct isa_description *description,
                        const struct machine_state *state, const struct machine_state *was,
                        FILE *out)
{
    bool first = true;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        bool always =
            cell->role == ROLE_MODE || cell->role == ROLE_RELOCATION || cell->role == ROLE_PC;
        uint32_t count = cell->role == ROLE_MEMORY ? state->memory_size : cell->count;

        for (uint32_t j = 0; j < count; j++) {
            uint64_t value = state->values[cell->offset + j];

            if (cell->role == ROLE_MEMORY ? value == was->values[cell->offset + j]
                                          : value == 0 && !always)
                continue;
            fprintf(out, "%s%s", first ? "" : ", ", cell->name);
            if (cell->is_array)
                fprintf(out, "[%u]", j);
            fputs(" = ", out);
            report_value(cell, value, out);
            first = false;
        }
    }
    fprintf(out, "%s\n", state->halted ? _("; halted") : "");
}

static void print_last_step(const struct simulation *simulation, FILE *out)
{
    const struct comparison *comparison = simulation->comparison;
    const struct step_record *record = &comparison->record;
    char text[160];

    if (record->instruction != NULL)
        program_print(record->instruction, &record->input, text, sizeof(text));
    else
        (void)snprintf(text, sizeof(text), "%s", _("no instruction"));
    fprintf(out, _("step %llu, at %llu: %s%s"), (unsigned long long)comparison->steps,
            (unsigned long long)comparison->pc, text,
            record->outcome.kind == OUTCOME_TRAP    ? _(", which traps")
            : record->outcome.kind == OUTCOME_FAULT ? _(", which memory-traps")
                                                    : "");
    if (record->outcome.kind != OUTCOME_NORMAL)
        fprintf(out, _(" (code %llu)"), (unsigned long long)record->outcome.code);
    fputc('\n', out);
}

static void print_seen(const struct comparison *comparison, FILE *out)
{
    char name[128], seen[2][STORY_VALUE_SIZE];

    if (comparison->cell == NULL)
        (void)snprintf(name, sizeof(name), "%s", _("halted or stuck"));
    else if (comparison->cell->is_array)
        (void)snprintf(name, sizeof(name), "%s[%u]", comparison->cell->name, comparison->element);
    else
        (void)snprintf(name, sizeof(name), "%s", comparison->cell->name);
    for (int i = 0; i < 2; i++)
        story_value(comparison->cell, comparison->seen[i], seen[i], sizeof(seen[i]));
    fprintf(out, _("  difference:    %s is %s bare, %s under the monitor\n"), name, seen[0],
            seen[1]);
}

static void print_difference(const struct simulation *simulation, FILE *out)
{
    const struct comparison *comparison = simulation->comparison;
    const struct isa_description *description = simulation->tower->description;

    fputs(_("DIFFERENT from the bare machine, "), out);
    fputs(simulation->at_end ? _("compared at the end; the last was ") : _("after "), out);
    print_last_step(simulation, out);
    print_seen(comparison, out);
    fputs(_("  before, both:  "), out);
    print_state(description, &comparison->before, &comparison->before, out);
    fputs(_("  after, bare:   "), out);
    print_state(description, &comparison->bare, &comparison->before, out);
    fputs(_("  after, virtual: "), out);
    print_state(description, &comparison->virtual, &comparison->before, out);
    fputs(_("  (cells that are 0 and memory that did not change are left out)\n"), out);
}

static void print_end(const struct simulation *simulation, FILE *out)
{
    const struct comparison *comparison = simulation->comparison;

    if (comparison->end == END_DIFFERENT) {
        print_difference(simulation, out);
        return;
    }
    if (comparison->end == END_MONITOR_CELLS) {
        fprintf(out,
                _("NO MONITOR: a trap of the hardware writes cell %u; the description lets the "
                  "monitor keep cells 0 to %u\n"),
                simulation->tower->trouble_cell, simulation->tower->description->monitor_cells - 1);
        return;
    }
    if (simulation->tower->depth > 0)
        fprintf(out, _("EQUAL to the bare machine, compared through the VM map %s\n"),
                simulation->at_end ? _("at the end") : _("after every step"));
    fprintf(out, _("  ended:        %s after %llu steps, %llu of them traps; "),
            _(compare_end_names[comparison->end]), (unsigned long long)comparison->steps,
            (unsigned long long)comparison->traps);
    print_last_step(simulation, out);
    fputs(_("  final state:  "), out);
    print_state(simulation->tower->description, &comparison->bare, &comparison->initial, out);
    fputs(_("                (cells that are 0 and memory that did not change are left out)\n"),
          out);
}

static const char *reason(const struct simulation *simulation)
{
    if (simulation->forced)
        return _("as asked");
    switch (simulation->tower->plan->kind) {
    case MONITOR_CLASSIC:
        return _("Theorem 1: what is sensitive is privileged, so it traps and is emulated");
    case MONITOR_HYBRID:
        return _("Theorem 3: the guest's supervisor code is interpreted, user code runs");
    default:
        return _("critical instructions are replaced by traps when first reached");
    }
}

static void print_instructions(const struct tower *tower, FILE *out)
{
    fputs(_("\n  instruction                   directly    emulated\n"), out);
    for (unsigned i = 0; i < tower->plan->count; i++) {
        const struct plan_row *row = &tower->plan->rows[i];
        uint64_t emulated = 0;

        for (unsigned n = 1; n <= tower->depth; n++)
            emulated += tower->levels[n].counters.by_instruction[i];
        if (emulated != 0 || tower->direct_by[i] != 0)
            fprintf(out, "  %-28s %9llu   %9llu  %s\n", tower->description->instructions[i]->name,
                    (unsigned long long)tower->direct_by[i], (unsigned long long)emulated,
                    row->innocuous    ? _("innocuous")
                    : row->privileged ? _("privileged")
                                      : _("critical"));
    }
}

static void print_counters(const struct simulation *simulation, FILE *out)
{
    const struct tower *tower = simulation->tower;
    uint64_t direct, indirect;

    simulation_efficiency(tower, &direct, &indirect);
    fprintf(out, _("\n  efficiency:   %llu of %llu innocuous instructions ran directly"),
            (unsigned long long)direct, (unsigned long long)(direct + indirect));
    fputs(indirect == 0 && direct > 0 ? _(": no monitor was involved in them\n")
          : indirect > 0 && tower->plan->kind == MONITOR_HYBRID
              ? _("; the others were supervisor code\n")
              : "\n",
          out);
    print_instructions(tower, out);
    fputs(_("\n  monitor     traps  emulated  reflected  interpreted  allocator  for the one "
            "above\n"),
          out);
    for (unsigned n = 1; n <= tower->depth; n++) {
        const struct monitor_counters *c = &tower->levels[n].counters;

        fprintf(out, "  %7u  %8llu  %8llu  %9llu  %11llu  %9llu  %17llu\n", n,
                (unsigned long long)c->traps, (unsigned long long)c->emulated,
                (unsigned long long)c->reflected, (unsigned long long)c->interpreted,
                (unsigned long long)c->allocator, (unsigned long long)c->nested);
    }
    if (tower->patches != NULL)
        fprintf(out,
                _("\n  executed copy: %llu instructions scanned, %llu replaced by a trap, %llu "
                  "hits, %llu made again as the program had changed\n"),
                (unsigned long long)tower->patch.scanned, (unsigned long long)tower->patch.replaced,
                (unsigned long long)tower->patch.hits,
                (unsigned long long)tower->patch.invalidated);
}

void simulation_text(const struct simulation *simulation, FILE *out)
{
    const struct tower *tower = simulation->tower;
    const struct isa_description *description = tower->description;

    fprintf(out, "%s: %s\n", description->title != NULL ? description->title : description->name,
            simulation->program);
    if (tower->depth == 0) {
        fprintf(out, _("  machine:      bare, %u cells of memory\n"), tower->levels[0].memory_size);
        print_end(simulation, out);
        return;
    }
    fprintf(out, _("  monitor:      %s; %s\n"), monitor_kind_names[tower->plan->kind],
            reason(simulation));
    fprintf(out,
            ngettext("  machines:     %u of %u cells; %u monitor keeps %u, the guest has %u\n",
                     "  machines:     %u of %u cells; each of %u monitors keeps %u, the guest has "
                     "%u\n",
                     tower->depth),
            1 + tower->depth, tower->levels[0].memory_size, tower->depth, tower->monitor_cells,
            tower->levels[tower->depth].memory_size);
    print_end(simulation, out);
    if (simulation->comparison->end != END_MONITOR_CELLS)
        print_counters(simulation, out);
}
