/* SPDX-License-Identifier: MIT */
/*
 * From outcome to verdict. A trap is only *consistent with* privileged: the definition asks for
 * every state, and one was tried. An execution proves that the instruction is not privileged; what
 * it revealed or ignored then proves it critical.
 */
#include "../messages.h"
#include "judge.h"

#include <signal.h>
#include <string.h>

static void describe_trap(const struct probe_result *result, struct probe_finding *finding)
{
    const char *name = probe_vector_name(result->vector);

    if (name != NULL)
        probe_observe(finding, "%s", name);
    else
        probe_observe(finding, "vector %llu", (unsigned long long)result->vector);
    if (result->vector >= VECTOR_NP && result->vector <= VECTOR_PF)
        probe_observe(finding, "(0x%llx)", (unsigned long long)result->error);
    if (!result->at_instruction)
        probe_observe(finding, " elsewhere");
}

static enum probe_verdict verdict_of_trap(const struct probe_row *row)
{
    switch (row->model) {
    case MODEL_PRIVILEGED:
    case MODEL_UMIP:
        return VERDICT_TRAPPED;
    case MODEL_READER:
        return VERDICT_CLOSED;
    case MODEL_VECTORS:
        return VERDICT_VECTORED;
    case MODEL_PARTIAL:
    case MODEL_CRITICAL: /* far transfers to the kernel */
        return VERDICT_CHECKED;
    case MODEL_INNOCUOUS:
    case MODEL_COUNT:
        break;
    }
    return VERDICT_CONTRADICTS;
}

/* #UD where the model has another trap or none: nobody turned the feature on. */
static void judge_undefined(const struct probe_environment *environment,
                            const struct probe_row *row, struct probe_finding *finding)
{
    finding->verdict = VERDICT_UNAVAILABLE;
    if (row->feature == FEATURE_NONE || !environment->cpuid_known)
        return;
    probe_observe(finding,
                  environment->features[row->feature] ? N_(": %s is there but off")
                                                      : N_(": %s is absent"),
                  probe_feature_name(row->feature));
}

static void judge_trap(const struct probe_environment *environment, const struct probe_row *row,
                       const struct probe_result *result, struct probe_finding *finding)
{
    bool expected = (row->expect.vectors & (1U << (result->vector & 31))) != 0;
    bool absent = row->feature != FEATURE_NONE && environment->cpuid_known &&
                  !environment->features[row->feature];
    bool may_be_absent = row->feature != FEATURE_NONE || row->expect.may_be_absent;

    if (result->signal == SIGSYS) {
        probe_observe(finding, "the kernel's system-call filter refused");
        finding->verdict = row->model == MODEL_VECTORS ? VERDICT_VECTORED : VERDICT_UNDECIDED;
        return;
    }
    describe_trap(result, finding);
    if (result->vector == VECTOR_UD && (absent || (!expected && may_be_absent))) {
        judge_undefined(environment, row, finding);
        return;
    }
    if (absent)
        probe_observe(finding, ": though CPUID shows no %s", probe_feature_name(row->feature));
    if (!result->at_instruction)
        finding->verdict = VERDICT_UNDECIDED;
    else if (!expected ||
             (row->expect.error != PROBE_ANY_ERROR && result->error != (uint64_t)row->expect.error))
        finding->verdict = VERDICT_CONTRADICTS;
    else if (row->needs & NEED_HYPERCALLS)
        finding->verdict = VERDICT_UNAVAILABLE;
    else
        finding->verdict = verdict_of_trap(row);
}

static void judge_refusal(const struct probe_result *result, struct probe_finding *finding)
{
    finding->verdict = VERDICT_NOT_PROBED;
    switch (result->refusal) {
    case REFUSAL_NONE:
        probe_observe(finding, "stopped before the instruction, signal %d", result->signal);
        break;
    case REFUSAL_IOPL:
        probe_observe(finding, "refused: IOPL is not 0");
        break;
    case REFUSAL_PORTS:
        probe_observe(finding, "refused: can't give up port permission (%s)",
                      strerror(result->refusal_errno));
        break;
    case REFUSAL_LOW:
        probe_observe(finding, "no executable memory below 4 GiB");
        break;
    case REFUSAL_HYPERCALL:
        probe_observe(finding, "off: see --hypercalls");
        break;
    case REFUSAL_EMULATOR:
        probe_observe(finding, "refused: QEMU's emulator makes the kernel fault");
        break;
    case REFUSAL_CALL:
        probe_observe(finding, "the kernel refused to set this up: %s",
                      strerror(result->refusal_errno));
        break;
    }
}

static void judge_execution(const struct probe_environment *environment,
                            const struct probe_row *row, const struct probe_result *result,
                            struct probe_finding *finding)
{
    probe_observe(finding, "executed");
    if (!row->expect.may_execute)
        finding->verdict = VERDICT_CONTRADICTS;
    else if (row->judge != NULL)
        row->judge(environment, result, finding);
    else
        finding->verdict = VERDICT_INNOCUOUS;
}

void probe_judge_row(const struct probe_environment *environment, const struct probe_row *row,
                     const struct probe_result *result, struct probe_finding *finding)
{
    finding->observed[0] = '\0';
    switch (result->outcome) {
    case OUTCOME_NOT_RUN:
        judge_refusal(result, finding);
        break;
    case OUTCOME_EXECUTED:
        judge_execution(environment, row, result, finding);
        break;
    case OUTCOME_TRAPPED:
        judge_trap(environment, row, result, finding);
        break;
    case OUTCOME_TIMEOUT:
        finding->verdict = VERDICT_UNDECIDED;
        probe_observe(finding, "did not end in time");
        break;
    case OUTCOME_KILLED:
        finding->verdict = result->signal == SIGSYS && row->model == MODEL_VECTORS
                               ? VERDICT_VECTORED
                               : VERDICT_UNDECIDED;
        probe_observe(finding, "the kernel ended the process, signal %d", result->signal);
        break;
    }
}

struct probe_summary probe_summarize(const struct probe_context *context)
{
    struct probe_summary summary = { .consistent = true };
    size_t count;
    const struct probe_row *rows = probe_rows(&count);
    bool native = false, trapped = false;

    summary.rows = (unsigned)count;
    for (size_t i = 0; i < count; i++) {
        enum probe_verdict verdict = context->findings[i].verdict;

        summary.verdicts[verdict]++;
        if (rows[i].model != MODEL_UMIP)
            continue;
        native = native || verdict == VERDICT_CRITICAL;
        summary.umip_emulated = summary.umip_emulated || verdict == VERDICT_EMULATED;
        trapped = trapped || verdict == VERDICT_TRAPPED || verdict == VERDICT_EMULATED;
    }
    summary.consistent = summary.verdicts[VERDICT_CONTRADICTS] == 0;
    if (native != trapped)
        summary.umip = trapped ? UMIP_ON : UMIP_OFF;
    return summary;
}
