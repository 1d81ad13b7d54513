/* SPDX-License-Identifier: MIT */
/* The rows as data, and the names of everything. */
#include "code.h"
#include "judge.h"

#include <string.h>

/* clang-format off */
#define DECLARE(id) \
    extern const uint8_t probe_code_##id[] __attribute__((visibility("hidden"))); \
    extern const uint8_t probe_insn_##id[] __attribute__((visibility("hidden"))); \
    extern const uint8_t probe_next_##id[] __attribute__((visibility("hidden"))); \
    extern const uint8_t probe_end_##id[] __attribute__((visibility("hidden")));
#define ROW(id, group, mnemonic, operation, model, expect, feature, needs, judge, \
            before, instruction, after) DECLARE(id)
#include "instructions_64.h"
#include "instructions_system.h"
#include "instructions_32.h"
#undef ROW

#define RUNS { true, false, 0, PROBE_ANY_ERROR }
#define TRAPS(vector, error) { false, false, 1U << VECTOR_##vector, error }
#define TRAPS_OR_ABSENT(vector, error) { false, true, 1U << VECTOR_##vector, error }
#define EITHER(vector, error) { true, false, 1U << VECTOR_##vector, error }
/* #GP: KVM on AMD tries to patch VMCALL into VMMCALL, and the code is not writable. */
#define ANSWERED { true, false, 1U << VECTOR_UD | 1U << VECTOR_GP, PROBE_ANY_ERROR }

static const struct probe_row rows[] = {
#define ROW(id, group, mnemonic, operation, model, expect, feature, needs, judge, \
            before, instruction, after) \
    { #id, mnemonic, operation, GROUP_##group, MODEL_##model, expect, FEATURE_##feature, needs, \
      judge, probe_code_##id, probe_insn_##id, probe_next_##id, probe_end_##id },
#include "instructions_64.h"
#include "instructions_system.h"
#undef ROW
#define ROW(id, group, mnemonic, operation, model, expect, feature, needs, judge, \
            before, instruction, after) \
    { #id, mnemonic, operation, GROUP_##group, MODEL_##model, expect, FEATURE_##feature, \
      (needs) | NEED_COMPAT | NEED_LOW | NEED_FAR_STACK, \
      judge, probe_code_##id, probe_insn_##id, probe_next_##id, probe_end_##id },
#include "instructions_32.h"
#undef ROW
};
/* clang-format on */

static const char *const group_names[GROUP_COUNT] = {
    [GROUP_CONTROL] = "Controls of the probe itself",
    [GROUP_FLAGS] = "Flags and return from interrupt",
    [GROUP_SELECTOR] = "Segment selectors",
    [GROUP_DESCRIPTOR] = "Descriptor readers",
    [GROUP_TABLE] = "Table registers and machine status (UMIP)",
    [GROUP_FAR] = "Far transfers",
    [GROUP_VECTOR] = "Vectors and system calls",
    [GROUP_PORT] = "Interrupt flag, ports, halt",
    [GROUP_SYSTEM] = "System registers",
    [GROUP_CACHE] = "Caches and translations",
    [GROUP_MODE] = "Changes of mode",
    [GROUP_HARDWARE] = "Hardware assistance",
    [GROUP_READER] = "Readers of clocks and resources",
    [GROUP_COMPATIBILITY] = "32-bit code segment",
};

struct name {
    const char *text, *key;
};

static const struct name model_names[MODEL_COUNT] = {
    [MODEL_INNOCUOUS] = { "innocuous", "innocuous" },
    [MODEL_PRIVILEGED] = { "privileged", "privileged" },
    [MODEL_CRITICAL] = { "critical", "critical" },
    [MODEL_UMIP] = { "critical unless UMIP", "critical-unless-umip" },
    [MODEL_PARTIAL] = { "partially trapping", "partially-trapping" },
    [MODEL_READER] = { "resource reader", "resource-reader" },
    [MODEL_VECTORS] = { "enters the kernel", "enters-kernel" },
};

static const struct name verdict_names[VERDICT_COUNT] = {
    [VERDICT_INNOCUOUS] = { "innocuous: consistent", "innocuous" },
    [VERDICT_TRAPPED] = { "consistent with privileged", "consistent-with-privileged" },
    [VERDICT_CRITICAL] = { "critical: proved", "critical-proved" },
    [VERDICT_UNPRIVILEGED] = { "unprivileged: proved", "unprivileged-proved" },
    [VERDICT_EMULATED] = { "emulated by the kernel", "emulated" },
    [VERDICT_CHECKED] = { "trapped by a check", "trapped-by-check" },
    [VERDICT_READS] = { "reads a resource: proved", "reads-resource" },
    [VERDICT_CLOSED] = { "closed by a control bit", "closed-by-control-bit" },
    [VERDICT_VECTORED] = { "entered the kernel", "entered-kernel" },
    [VERDICT_UNAVAILABLE] = { "not available", "not-available" },
    [VERDICT_NOT_PROBED] = { "not probed", "not-probed" },
    [VERDICT_UNDECIDED] = { "undecided", "undecided" },
    [VERDICT_CONTRADICTS] = { "CONTRADICTS THE MODEL", "contradicts-model" },
};

const struct probe_row *probe_rows(size_t *count)
{
    *count = sizeof(rows) / sizeof(rows[0]);
    return rows;
}

const struct probe_row *probe_find_row(const char *id)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].id, id) == 0)
            return &rows[i];
    return NULL;
}

const char *probe_group_name(enum probe_group group)
{
    return group_names[group];
}

const char *probe_model_name(enum probe_model model)
{
    return model_names[model].text;
}

const char *probe_model_key(enum probe_model model)
{
    return model_names[model].key;
}

const char *probe_verdict_name(enum probe_verdict verdict)
{
    return verdict_names[verdict].text;
}

const char *probe_verdict_key(enum probe_verdict verdict)
{
    return verdict_names[verdict].key;
}

const char *probe_vector_name(uint64_t vector)
{
    static const char *const names[] = {
        [VECTOR_DE] = "#DE", [VECTOR_DB] = "#DB", [VECTOR_BP] = "#BP", [VECTOR_UD] = "#UD",
        [VECTOR_NP] = "#NP", [VECTOR_SS] = "#SS", [VECTOR_GP] = "#GP", [VECTOR_PF] = "#PF",
    };

    return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : NULL;
}
