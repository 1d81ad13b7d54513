/* SPDX-License-Identifier: MIT */
/* The rows as data, and the names of everything. */
#include "../messages.h"
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
    [GROUP_CONTROL] = N_("Controls of the probe itself"),
    [GROUP_FLAGS] = N_("Flags and return from interrupt"),
    [GROUP_SELECTOR] = N_("Segment selectors"),
    [GROUP_DESCRIPTOR] = N_("Descriptor readers"),
    [GROUP_TABLE] = N_("Table registers and machine status (UMIP)"),
    [GROUP_FAR] = N_("Far transfers"),
    [GROUP_VECTOR] = N_("Vectors and system calls"),
    [GROUP_PORT] = N_("Interrupt flag, ports, halt"),
    [GROUP_SYSTEM] = N_("System registers"),
    [GROUP_CACHE] = N_("Caches and translations"),
    [GROUP_MODE] = N_("Changes of mode"),
    [GROUP_HARDWARE] = N_("Hardware assistance"),
    [GROUP_READER] = N_("Readers of clocks and resources"),
    [GROUP_COMPATIBILITY] = N_("32-bit code segment"),
};

struct name {
    const char *text, *key;
};

static const struct name model_names[MODEL_COUNT] = {
    [MODEL_INNOCUOUS] = { N_("innocuous"), "innocuous" },
    [MODEL_PRIVILEGED] = { N_("privileged"), "privileged" },
    [MODEL_CRITICAL] = { N_("critical"), "critical" },
    [MODEL_UMIP] = { N_("critical unless UMIP"), "critical-unless-umip" },
    [MODEL_PARTIAL] = { N_("partially trapping"), "partially-trapping" },
    [MODEL_READER] = { N_("resource reader"), "resource-reader" },
    [MODEL_VECTORS] = { N_("enters the kernel"), "enters-kernel" },
};

static const struct name verdict_names[VERDICT_COUNT] = {
    [VERDICT_INNOCUOUS] = { N_("innocuous: consistent"), "innocuous" },
    [VERDICT_TRAPPED] = { N_("consistent with privileged"), "consistent-with-privileged" },
    [VERDICT_CRITICAL] = { N_("critical: proved"), "critical-proved" },
    [VERDICT_UNPRIVILEGED] = { N_("unprivileged: proved"), "unprivileged-proved" },
    [VERDICT_EMULATED] = { N_("emulated by the kernel"), "emulated" },
    [VERDICT_CHECKED] = { N_("trapped by a check"), "trapped-by-check" },
    [VERDICT_READS] = { N_("reads a resource: proved"), "reads-resource" },
    [VERDICT_CLOSED] = { N_("closed by a control bit"), "closed-by-control-bit" },
    [VERDICT_VECTORED] = { N_("entered the kernel"), "entered-kernel" },
    [VERDICT_UNAVAILABLE] = { N_("not available"), "not-available" },
    [VERDICT_NOT_PROBED] = { N_("not probed"), "not-probed" },
    [VERDICT_UNDECIDED] = { N_("undecided"), "undecided" },
    [VERDICT_CONTRADICTS] = { N_("CONTRADICTS THE MODEL"), "contradicts-model" },
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
