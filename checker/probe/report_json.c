/* SPDX-License-Identifier: MIT */
/* The report for programs. 64-bit values are strings: JSON's numbers lose bits above 2^53. */
#include "probe.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

static const char *const outcome_names[] = {
    [OUTCOME_NOT_RUN] = "not-run", [OUTCOME_EXECUTED] = "executed", [OUTCOME_TRAPPED] = "trapped",
    [OUTCOME_TIMEOUT] = "timeout", [OUTCOME_KILLED] = "killed",
};

static const char *const step_names[] = {
    [STEP_NOT_TRIED] = "not-tried",
    [STEP_UNSEEN] = "unseen",
    [STEP_NATIVE] = "stopped-after-it",
    [STEP_SKIPPED] = "stopped-one-late",
};

static void add_hexadecimal(cJSON *object, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
    (void)cJSON_AddStringToObject(object, name, text);
}

static void add_bytes(cJSON *object, const struct probe_row *row)
{
    char text[64] = "";
    size_t used = 0;

    for (const uint8_t *byte = row->instruction; byte < row->after && used + 3 < sizeof(text);
         byte++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%02x", used != 0 ? " " : "",
                                 *byte);
    (void)cJSON_AddStringToObject(object, "bytes", text);
}

static void add_trap(cJSON *object, const struct probe_result *result)
{
    cJSON *trap = cJSON_AddObjectToObject(object, "trap");
    const char *name = probe_vector_name(result->vector);

    (void)cJSON_AddNumberToObject(trap, "signal", result->signal);
    (void)cJSON_AddNumberToObject(trap, "vector", (double)result->vector);
    if (name != NULL)
        (void)cJSON_AddStringToObject(trap, "name", name);
    add_hexadecimal(trap, "error_code", result->error);
    (void)cJSON_AddBoolToObject(trap, "at_instruction", result->at_instruction);
}

static void add_row(cJSON *array, const struct probe_row *row, const struct probe_result *result,
                    const struct probe_finding *finding)
{
    cJSON *object = cJSON_CreateObject();

    if (!cJSON_AddItemToArray(array, object)) {
        cJSON_Delete(object);
        return;
    }
    (void)cJSON_AddStringToObject(object, "id", row->id);
    (void)cJSON_AddStringToObject(object, "mnemonic", row->mnemonic);
    (void)cJSON_AddStringToObject(object, "operation", row->operation);
    (void)cJSON_AddStringToObject(object, "group", probe_group_name(row->group));
    add_bytes(object, row);
    (void)cJSON_AddNumberToObject(object, "code_bits", (row->needs & NEED_COMPAT) ? 32 : 64);
    (void)cJSON_AddStringToObject(object, "model", probe_model_key(row->model));
    (void)cJSON_AddStringToObject(object, "outcome", outcome_names[result->outcome]);
    if (result->outcome == OUTCOME_TRAPPED)
        add_trap(object, result);
    if (result->outcome == OUTCOME_KILLED)
        (void)cJSON_AddNumberToObject(object, "signal", result->signal);
    if (result->outcome == OUTCOME_EXECUTED) {
        add_hexadecimal(object, "rax", result->registers.rax);
        add_hexadecimal(object, "rflags", result->registers.rflags);
    }
    if (finding->cycles != 0)
        (void)cJSON_AddNumberToObject(object, "minimum_cycles", (double)finding->cycles);
    if (row->needs & NEED_STEP) {
        (void)cJSON_AddStringToObject(object, "single_step", step_names[result->step]);
        (void)cJSON_AddBoolToObject(object, "kernel_dummy", finding->evidence_dummy);
        (void)cJSON_AddBoolToObject(object, "slow_as_a_trap", finding->evidence_slow);
    }
    (void)cJSON_AddStringToObject(object, "observed", finding->observed);
    (void)cJSON_AddStringToObject(object, "verdict", probe_verdict_key(finding->verdict));
}

static void add_environment(cJSON *root, const struct probe_context *context)
{
    const struct probe_environment *environment = &context->environment;
    cJSON *object = cJSON_AddObjectToObject(root, "environment");
    cJSON *features;

    (void)cJSON_AddStringToObject(object, "cpu_vendor", environment->vendor);
    (void)cJSON_AddStringToObject(object, "cpu", environment->brand);
    (void)cJSON_AddStringToObject(object, "kernel", environment->kernel);
    (void)cJSON_AddNumberToObject(object, "cpl", environment->cpl);
    (void)cJSON_AddNumberToObject(object, "iopl", environment->iopl);
    (void)cJSON_AddBoolToObject(object, "cpuid_known", environment->cpuid_known);
    (void)cJSON_AddBoolToObject(object, "hypervisor", environment->hypervisor);
    (void)cJSON_AddStringToObject(object, "hypervisor_vendor", environment->hypervisor_vendor);
    (void)cJSON_AddBoolToObject(object, "timing", environment->timing);
    (void)cJSON_AddBoolToObject(object, "single_steps_seen", environment->stepping);
    (void)cJSON_AddBoolToObject(object, "code_below_4_gib", context->low_code != NULL);
    features = cJSON_AddObjectToObject(object, "features");
    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++)
        (void)cJSON_AddBoolToObject(features, probe_feature_name((enum probe_feature)i),
                                    environment->features[i]);
}

static void add_summary(cJSON *root, const struct probe_context *context)
{
    static const char *const umip_names[] = {
        [UMIP_UNKNOWN] = "unknown", [UMIP_OFF] = "off", [UMIP_ON] = "on"
    };
    struct probe_summary summary = probe_summarize(context);
    cJSON *object = cJSON_AddObjectToObject(root, "summary");
    cJSON *verdicts;

    (void)cJSON_AddNumberToObject(object, "rows", summary.rows);
    (void)cJSON_AddBoolToObject(object, "consistent_with_model", summary.consistent);
    (void)cJSON_AddStringToObject(object, "umip", umip_names[summary.umip]);
    (void)cJSON_AddBoolToObject(object, "umip_emulated", summary.umip_emulated);
    (void)cJSON_AddStringToObject(object, "describes",
                                  context->environment.hypervisor
                                      ? "the composite of CPU, hypervisor and kernel"
                                      : "the CPU as this kernel set it up");
    verdicts = cJSON_AddObjectToObject(object, "verdicts");
    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        (void)cJSON_AddNumberToObject(verdicts, probe_verdict_key((enum probe_verdict)i),
                                      summary.verdicts[i]);
}

int probe_print_json(const struct probe_context *context, FILE *out)
{
    cJSON *root = cJSON_CreateObject();
    size_t count;
    const struct probe_row *rows = probe_rows(&count);
    cJSON *array;
    char *text;

    (void)cJSON_AddStringToObject(root, "architecture", "x86-64");
    (void)cJSON_AddBoolToObject(root, "applicable", true);
    add_environment(root, context);
    array = cJSON_AddArrayToObject(root, "probes");
    for (size_t i = 0; i < count; i++)
        add_row(array, &rows[i], &context->results[i], &context->findings[i]);
    add_summary(root, context);
    text = cJSON_Print(root);
    cJSON_Delete(root);
    if (text == NULL)
        return -ENOMEM;
    fputs(text, out);
    fputc('\n', out);
    cJSON_free(text);
    return 0;
}
