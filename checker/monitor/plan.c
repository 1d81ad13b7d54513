/* SPDX-License-Identifier: MIT */
/* Plan: from classes to treatments. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const monitor_kind_names[MONITOR_KIND_COUNT] = {
    [MONITOR_CLASSIC] = "classic", [MONITOR_HYBRID] = "hybrid", [MONITOR_PATCHING] = "patching"
};

static const struct instruction_report *find_report(const struct analysis *analysis,
                                                    const char *name)
{
    for (unsigned i = 0; i < analysis->report_count; i++)
        if (strcmp(analysis->reports[i].instruction->name, name) == 0)
            return &analysis->reports[i];
    return NULL;
}

/* Does a body hold an assignment that the allocator has to know about, on any path? */
static bool asks_allocator(const struct isa_description *description,
                           const struct isa_statement *statement)
{
    for (; statement != NULL; statement = statement->next) {
        if (statement->kind == STATEMENT_ASSIGN &&
            (description->cells[statement->cell].role == ROLE_RELOCATION ||
             description->cells[statement->cell].counted))
            return true;
        if (statement->kind == STATEMENT_IF && (asks_allocator(description, statement->body) ||
                                                asks_allocator(description, statement->otherwise)))
            return true;
    }
    return false;
}

static enum monitor_kind choose_kind(const struct analysis *analysis)
{
    if (analysis->theorem[THEOREM_VIRTUALIZABLE] == ANSWER_YES &&
        analysis->theorem[THEOREM_TRAP_OR_COMMUTE] == ANSWER_YES)
        return MONITOR_CLASSIC;
    if (analysis->theorem[THEOREM_HYBRID] == ANSWER_YES)
        return MONITOR_HYBRID;
    return MONITOR_PATCHING;
}

int plan_make(const struct analysis *analysis, const struct isa_description *running,
              struct monitor_plan *plan, const char **missing)
{
    memset(plan, 0, sizeof(*plan));
    plan->rows = calloc(running->instruction_count + 1, sizeof(*plan->rows));
    if (plan->rows == NULL)
        return -ENOMEM;
    plan->count = running->instruction_count;
    plan->kind = choose_kind(analysis);
    plan->trap_asks = asks_allocator(running, running->trap.first);
    memcpy(plan->theorem, analysis->theorem, sizeof(plan->theorem));
    for (unsigned i = 0; i < plan->count; i++) {
        const char *name = running->instructions[i]->name;
        const struct instruction_report *report = find_report(analysis, name);

        if (report == NULL) {
            *missing = name;
            plan_release(plan);
            return -ENOENT;
        }
        plan->rows[i].privileged = report->is[CLASS_PRIVILEGED] == ANSWER_YES;
        plan->rows[i].innocuous =
            !plan->rows[i].privileged && report->is[CLASS_INNOCUOUS] == ANSWER_YES;
        plan->rows[i].asks = asks_allocator(running, running->instructions[i]->body.first);
        plan->rows[i].replaced =
            report->is[CLASS_CRITICAL] != ANSWER_NO || report->is[CLASS_COMMUTES] != ANSWER_YES;
    }
    return 0;
}

void plan_release(struct monitor_plan *plan)
{
    free(plan->rows);
    plan->rows = NULL;
    plan->count = 0;
}
