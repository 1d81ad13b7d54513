/* SPDX-License-Identifier: MIT */
/* Analysis: see analysis.h. Three-valued throughout: an undecided question stays visible. */
#include "analysis.h"
#include "messages.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    DEFAULT_TIMEOUT = 20000,
    MAX_ADDRESS_WIDTH = 8,
    MAX_THREADS = 4,
};

const char *const class_names[CLASS_COUNT] = {
    [CLASS_PRIVILEGED] = N_("privileged"),
    [CLASS_SENSITIVE] = N_("sensitive"),
    [CLASS_CONTROL] = N_("control sensitive"),
    [CLASS_LOCATION] = N_("location sensitive"),
    [CLASS_MODE] = N_("mode sensitive"),
    [CLASS_RESOURCE] = N_("resource sensitive"),
    [CLASS_USER_SENSITIVE] = N_("user sensitive"),
    [CLASS_SUPERVISOR_SENSITIVE] = N_("supervisor sensitive"),
    [CLASS_INNOCUOUS] = N_("innocuous"),
    [CLASS_CRITICAL] = N_("critical"),
    [CLASS_HYBRID_CRITICAL] = N_("hybrid critical"),
    [CLASS_PARTIAL] = N_("partially trapping"),
    [CLASS_COMMUTES] = N_("traps or commutes"),
    [CLASS_COMMUTES_USER] = N_("traps or commutes in user mode"),
};

const char *const theorem_names[THEOREM_COUNT] = {
    [THEOREM_VIRTUALIZABLE] = N_("Theorem 1 (virtualizable)"),
    [THEOREM_RECURSIVE] = N_("Theorem 2 (recursively virtualizable)"),
    [THEOREM_HYBRID] = N_("Theorem 3 (hybrid monitor)"),
    [THEOREM_TRAP_OR_COMMUTE] = N_("trap-or-commute"),
};

const char *const verdict_names[] = {
    [VERDICT_VIRTUALIZABLE] = N_("VIRTUALIZABLE"),
    [VERDICT_NOT_VIRTUALIZABLE] = N_("NOT VIRTUALIZABLE"),
    [VERDICT_NOT_APPLICABLE] = N_("NOT APPLICABLE"),
    [VERDICT_UNDECIDED] = N_("UNDECIDED"),
};

static enum answer answer_or(enum answer a, enum answer b)
{
    if (a == ANSWER_YES || b == ANSWER_YES)
        return ANSWER_YES;
    return a == ANSWER_UNDECIDED || b == ANSWER_UNDECIDED ? ANSWER_UNDECIDED : ANSWER_NO;
}

static enum answer answer_not(enum answer a)
{
    if (a == ANSWER_UNDECIDED)
        return a;
    return a == ANSWER_YES ? ANSWER_NO : ANSWER_YES;
}

static enum answer answer_and(enum answer a, enum answer b)
{
    return answer_not(answer_or(answer_not(a), answer_not(b)));
}

void analysis_classify(struct instruction_report *report)
{
    const enum answer *found = report->found.answer;
    enum answer *is = report->is;
    enum answer wrong;

    /* With no pair free of memory traps, "for every pair" would hold of nothing. */
    is[CLASS_PRIVILEGED] =
        answer_and(answer_not(found[PROPERTY_UNPRIVILEGED]), found[PROPERTY_COMPARABLE]);
    is[CLASS_CONTROL] = answer_or(found[PROPERTY_CONTROL_USER], found[PROPERTY_CONTROL_SUPERVISOR]);
    is[CLASS_LOCATION] =
        answer_or(found[PROPERTY_LOCATION_USER], found[PROPERTY_LOCATION_SUPERVISOR]);
    is[CLASS_MODE] = found[PROPERTY_MODE];
    is[CLASS_RESOURCE] =
        answer_or(found[PROPERTY_RESOURCE_USER], found[PROPERTY_RESOURCE_SUPERVISOR]);
    is[CLASS_SENSITIVE] = answer_or(answer_or(is[CLASS_CONTROL], is[CLASS_LOCATION]),
                                    answer_or(is[CLASS_MODE], is[CLASS_RESOURCE]));
    is[CLASS_USER_SENSITIVE] =
        answer_or(found[PROPERTY_CONTROL_USER],
                  answer_or(found[PROPERTY_LOCATION_USER], found[PROPERTY_RESOURCE_USER]));
    is[CLASS_SUPERVISOR_SENSITIVE] = answer_or(
        found[PROPERTY_CONTROL_SUPERVISOR],
        answer_or(found[PROPERTY_LOCATION_SUPERVISOR], found[PROPERTY_RESOURCE_SUPERVISOR]));
    is[CLASS_INNOCUOUS] = answer_not(is[CLASS_SENSITIVE]);
    is[CLASS_CRITICAL] = answer_and(is[CLASS_SENSITIVE], answer_not(is[CLASS_PRIVILEGED]));
    is[CLASS_HYBRID_CRITICAL] =
        answer_and(is[CLASS_USER_SENSITIVE], answer_not(is[CLASS_PRIVILEGED]));
    is[CLASS_PARTIAL] = answer_and(found[PROPERTY_TRAPS_IN_USER], found[PROPERTY_RUNS_IN_USER]);
    /* A privileged instruction may trap: the monitor has an interpreter for it. */
    wrong = answer_and(found[PROPERTY_FALSE_TRAP], answer_not(is[CLASS_PRIVILEGED]));
    wrong = answer_or(wrong, answer_or(found[PROPERTY_FALSE_FAULT], found[PROPERTY_DIFFERS]));
    is[CLASS_COMMUTES] = answer_not(wrong);
    is[CLASS_COMMUTES_USER] =
        answer_not(answer_and(found[PROPERTY_STRAYS_IN_USER], answer_not(is[CLASS_PRIVILEGED])));
}

const struct witness *analysis_main_witness(const struct instruction_report *report)
{
    static const enum property order[] = {
        PROPERTY_CONTROL_USER,        PROPERTY_RESOURCE_USER,
        PROPERTY_LOCATION_USER,       PROPERTY_MODE,
        PROPERTY_CONTROL_SUPERVISOR,  PROPERTY_RESOURCE_SUPERVISOR,
        PROPERTY_LOCATION_SUPERVISOR,
    };

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (report->found.witness[order[i]] != NULL)
            return report->found.witness[order[i]];
    return NULL;
}

const struct instruction_report *analysis_hybrid_condition(const struct analysis *analysis,
                                                           unsigned *next)
{
    if (analysis->theorem[THEOREM_HYBRID] != ANSWER_UNDECIDED)
        return NULL;
    while (*next < analysis->report_count) {
        const struct instruction_report *report = &analysis->reports[(*next)++];

        if (report->is[CLASS_COMMUTES_USER] == ANSWER_NO)
            return report;
    }
    return NULL;
}

static double now(void)
{
    struct timespec time;

    if (clock_gettime(CLOCK_MONOTONIC, &time) != 0)
        return 0;
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int check_premises(struct analysis *analysis)
{
    unsigned timeout = analysis->options.timeout != 0 ? analysis->options.timeout : DEFAULT_TIMEOUT;
    int error = premises_shown(analysis->description, timeout, analysis->premise);

    if (error != 0)
        (void)snprintf(analysis->error, sizeof(analysis->error), _("the premises: %s"),
                       error == -ENOMEM   ? _("out of memory")
                       : error == -EPROTO ? _("the solver's example does not replay")
                                          : _("the solver failed"));
    return error;
}

static enum answer every(const struct analysis *analysis, enum instruction_class class, bool wanted)
{
    enum answer all = ANSWER_YES;

    for (unsigned i = 0; i < analysis->report_count; i++) {
        enum answer is = analysis->reports[i].is[class];

        all = answer_and(all, wanted ? is : answer_not(is));
    }
    return all;
}

static void decide(struct analysis *analysis)
{
    static const enum theorem asked[] = {
        [MODE_CLASSIC] = THEOREM_VIRTUALIZABLE,
        [MODE_HYBRID] = THEOREM_HYBRID,
        [MODE_RECURSIVE] = THEOREM_RECURSIVE,
    };
    enum answer answer;

    analysis->theorem[THEOREM_VIRTUALIZABLE] = every(analysis, CLASS_CRITICAL, false);
    analysis->theorem[THEOREM_HYBRID] = every(analysis, CLASS_HYBRID_CRITICAL, false);
    /* The classes leave trapping outcomes out. Where user code traps by a resource that the guest
     * does not really have (SPARC's RDTICK by TICK.NPT) the theorem's words hold and its monitor
     * fails: there is no proof either way, but a condition to name. */
    if (analysis->theorem[THEOREM_HYBRID] == ANSWER_YES &&
        every(analysis, CLASS_COMMUTES_USER, true) != ANSWER_YES)
        analysis->theorem[THEOREM_HYBRID] = ANSWER_UNDECIDED;
    analysis->theorem[THEOREM_TRAP_OR_COMMUTE] = every(analysis, CLASS_COMMUTES, true);
    /* The monitor of Theorem 1 that we build reads no clock: it has no timing dependence. */
    analysis->theorem[THEOREM_RECURSIVE] = analysis->theorem[THEOREM_VIRTUALIZABLE];
    answer = analysis->theorem[asked[analysis->options.mode]];
    analysis->verdict = answer == ANSWER_YES  ? VERDICT_VIRTUALIZABLE
                        : answer == ANSWER_NO ? VERDICT_NOT_VIRTUALIZABLE
                                              : VERDICT_UNDECIDED;
}

/* The instructions are independent of each other: each thread takes the next one. */
struct work {
    struct analysis *analysis;
    atomic_uint next;
    pthread_mutex_t lock; /* for `error` and the analysis' text of it */
    int error;
    unsigned failed; /* the instruction with the error: the first of them, whoever comes first */
};

static void note_error(struct work *work, unsigned index, int error)
{
    struct analysis *analysis = work->analysis;
    const struct instruction_report *report = &analysis->reports[index];
    const struct isa_instruction *instruction = report->instruction;

    if (work->error != 0 && work->failed < index)
        return;
    work->error = error;
    work->failed = index;
    if (error == -EPROTO)
        (void)snprintf(analysis->error, sizeof(analysis->error),
                       _("the solver's witness that %.60s is %s does not replay"),
                       instruction->name, _(property_rows[report->found.failed].name));
    else if (error == -E2BIG)
        (void)snprintf(analysis->error, sizeof(analysis->error),
                       _("%.60s has %u bits of state and operands, too many to enumerate"),
                       instruction->name, search_bits(analysis->description, instruction));
    else
        (void)snprintf(analysis->error, sizeof(analysis->error), "%.60s: %s", instruction->name,
                       error == -ENOMEM ? _("out of memory") : _("the solver failed"));
}

static int analyse_instruction(struct analysis *analysis, unsigned index)
{
    struct instruction_report *report = &analysis->reports[index];
    const struct isa_instruction *only = analysis->options.only;
    const struct isa_instruction *instruction =
        only != NULL ? only : analysis->description->instructions[index];
    unsigned timeout = analysis->options.timeout != 0 ? analysis->options.timeout : DEFAULT_TIMEOUT;
    double start = now();
    int error;

    report->instruction = instruction;
    if (analysis->options.enumerate)
        error = search_enumerate(analysis->description, instruction, NULL, &report->found);
    else
        error = search_solve(analysis->description, instruction, NULL, timeout, &report->found);
    report->seconds = now() - start;
    if (error == 0)
        analysis_classify(report);
    return error;
}

static void *analyse_some(void *argument)
{
    struct work *work = argument;
    bool go_on = true;

    while (go_on) {
        unsigned index = atomic_fetch_add(&work->next, 1);
        int error;

        if (index >= work->analysis->report_count)
            break;
        error = analyse_instruction(work->analysis, index);
        (void)pthread_mutex_lock(&work->lock);
        if (error != 0)
            note_error(work, index, error);
        go_on = work->error == 0;
        (void)pthread_mutex_unlock(&work->lock);
    }
    return NULL;
}

static int analyse_all(struct analysis *analysis)
{
    struct work work = { .analysis = analysis, .lock = PTHREAD_MUTEX_INITIALIZER };
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t threads[MAX_THREADS];
    unsigned count = 0;

    /* This thread works too; without others it does everything. */
    while (count + 1 < MAX_THREADS && (long)count + 1 < processors &&
           pthread_create(&threads[count], NULL, analyse_some, &work) == 0)
        count++;
    (void)analyse_some(&work);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_destroy(&work.lock);
    return work.error;
}

static int refuse_large(struct analysis *analysis)
{
    const struct isa_description *description = analysis->description;

    if (description->memory_cell >= 0 &&
        description->cells[description->memory_cell].count > ISA_MAX_ANALYSED) {
        (void)snprintf(analysis->error, sizeof(analysis->error),
                       _("%u memory cells are too many to analyse; at most %d"),
                       description->cells[description->memory_cell].count, ISA_MAX_ANALYSED);
        return -E2BIG;
    }
    if (description->has_map && description->map_address_width > MAX_ADDRESS_WIDTH) {
        (void)snprintf(analysis->error, sizeof(analysis->error),
                       _("addresses of %u bits are too wide to analyse; at most %d"),
                       description->map_address_width, MAX_ADDRESS_WIDTH);
        return -E2BIG;
    }
    return 0;
}

int analysis_run(const struct isa_description *description, const struct analysis_options *options,
                 struct analysis *analysis)
{
    double start = now();
    int error;

    memset(analysis, 0, sizeof(*analysis));
    analysis->description = description;
    analysis->options = *options;
    analysis->verdict = VERDICT_NOT_APPLICABLE;
    if (!premises_declared(description, analysis->premise))
        return 0;
    error = refuse_large(analysis);
    if (error == 0)
        error = check_premises(analysis);
    if (error != 0)
        return error;
    for (int i = 0; i < PREMISE_COUNT; i++)
        if (!analysis->premise[i])
            return 0;
    analysis->reports = calloc(description->instruction_count, sizeof(*analysis->reports));
    if (analysis->reports == NULL)
        return -ENOMEM;
    analysis->report_count = options->only != NULL ? 1 : description->instruction_count;
    error = analyse_all(analysis);
    if (error == 0)
        decide(analysis);
    analysis->seconds = now() - start;
    return error;
}

void analysis_release(struct analysis *analysis)
{
    for (unsigned i = 0; i < analysis->report_count; i++)
        search_release(&analysis->reports[i].found);
    free(analysis->reports);
    analysis->reports = NULL;
    analysis->report_count = 0;
}
