/* SPDX-License-Identifier: MIT */
/*
 * Judgement of made-up outcomes: CPUs and kernels that are not at hand, and behaviour that must
 * make the probe say that the model is contradicted.
 */
#include "probe.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct probe_environment plain = { .cpl = 3, .cpuid_known = true, .stepping = true };

static struct probe_finding judge(const struct probe_environment *environment, const char *id,
                                  const struct probe_result *result, uint64_t cycles)
{
    struct probe_finding finding = { .cycles = cycles };
    const struct probe_row *row = probe_find_row(id);

    assert_non_null(row);
    probe_judge_row(environment, row, result, &finding);
    assert_true(strlen(finding.observed) > 0);
    return finding;
}

static enum probe_verdict verdict_of(const char *id, const struct probe_result *result)
{
    return judge(&plain, id, result, 0).verdict;
}

static struct probe_result trapped(uint64_t vector, uint64_t error)
{
    return (struct probe_result){ .outcome = OUTCOME_TRAPPED,
                                  .signal = SIGSEGV,
                                  .vector = vector,
                                  .error = error,
                                  .at_instruction = true };
}

static struct probe_result executed(uint64_t rax)
{
    return (struct probe_result){ .outcome = OUTCOME_EXECUTED, .registers.rax = rax };
}

static void test_table_is_sound(void **state)
{
    size_t count;
    const struct probe_row *rows = probe_rows(&count);

    (void)state;
    assert_true(count > 100);
    for (size_t i = 0; i < count; i++) {
        assert_true(rows[i].instruction < rows[i].after);
        assert_true(rows[i].after - rows[i].instruction <= 15);
        assert_true(rows[i].code <= rows[i].instruction && rows[i].after < rows[i].end);
        assert_true(rows[i].expect.may_execute || rows[i].expect.vectors != 0);
        assert_ptr_equal(probe_find_row(rows[i].id), &rows[i]);
        if (rows[i].model == MODEL_PRIVILEGED)
            assert_false(rows[i].expect.may_execute);
    }
}

static void test_names_exist(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GROUP_COUNT; i++)
        assert_non_null(probe_group_name((enum probe_group)i));
    for (unsigned i = 0; i < MODEL_COUNT; i++)
        assert_non_null(probe_model_name((enum probe_model)i));
    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        assert_non_null(probe_verdict_name((enum probe_verdict)i));
    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++)
        assert_non_null(probe_feature_name((enum probe_feature)i));
}

/* Every privileged instruction, were it to execute, contradicts the model. */
static void test_execution_of_privileged_is_contradiction(void **state)
{
    struct probe_result result = executed(0);
    size_t count;
    const struct probe_row *rows = probe_rows(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        if (rows[i].model == MODEL_PRIVILEGED)
            assert_int_equal(verdict_of(rows[i].id, &result), VERDICT_CONTRADICTS);
}

static void test_traps(void **state)
{
    struct probe_result protection = trapped(VECTOR_GP, 0), undefined = trapped(VECTOR_UD, 0);
    struct probe_result odd = trapped(VECTOR_GP, 0x422), elsewhere = protection;

    (void)state;
    elsewhere.at_instruction = false;
    assert_int_equal(verdict_of("hlt", &protection), VERDICT_TRAPPED);
    assert_int_equal(verdict_of("cli", &protection), VERDICT_CHECKED);
    assert_int_equal(verdict_of("rdtsc", &protection), VERDICT_CLOSED);
    assert_int_equal(verdict_of("sgdt", &protection), VERDICT_TRAPPED);
    assert_int_equal(verdict_of("hlt", &undefined), VERDICT_CONTRADICTS);
    assert_int_equal(verdict_of("hlt", &odd), VERDICT_CONTRADICTS);
    assert_int_equal(verdict_of("hlt", &elsewhere), VERDICT_UNDECIDED);
    assert_int_equal(verdict_of("popf_if", &protection), VERDICT_CONTRADICTS);
    assert_int_equal(verdict_of("nop", &protection), VERDICT_CONTRADICTS);
    /* What QEMU 7.2's emulator does. */
    assert_int_equal(verdict_of("int_42", &odd), VERDICT_CONTRADICTS);
    odd.error = 0x212;
    assert_int_equal(verdict_of("int_42", &odd), VERDICT_VECTORED);
}

static void test_absent_features(void **state)
{
    struct probe_result undefined = trapped(VECTOR_UD, 0);
    struct probe_environment rich = plain;

    (void)state;
    assert_int_equal(verdict_of("rdpkru", &undefined), VERDICT_UNAVAILABLE);
    assert_int_equal(verdict_of("clac", &undefined), VERDICT_UNAVAILABLE);
    assert_int_equal(verdict_of("sysexit", &undefined), VERDICT_UNAVAILABLE);
    assert_int_equal(verdict_of("vmmcall", &undefined), VERDICT_UNAVAILABLE);
    rich.features[FEATURE_SMAP] = true;
    rich.features[FEATURE_VMX] = true;
    assert_int_equal(judge(&rich, "clac", &undefined, 0).verdict, VERDICT_TRAPPED);
    assert_int_equal(judge(&rich, "vmxoff", &undefined, 0).verdict, VERDICT_UNAVAILABLE);
}

static void test_flags(void **state)
{
    struct probe_result kept = executed(0x202), cleared = executed(2), raised = executed(0x3202);

    (void)state;
    assert_int_equal(verdict_of("popf_if", &kept), VERDICT_CRITICAL);
    assert_int_equal(verdict_of("popf_if", &cleared), VERDICT_CONTRADICTS);
    assert_int_equal(verdict_of("iret_iopl", &kept), VERDICT_CRITICAL);
    assert_int_equal(verdict_of("iret_iopl", &raised), VERDICT_CONTRADICTS);
    assert_int_equal(verdict_of("pushf", &kept), VERDICT_CRITICAL);
}

static void test_native_tables(void **state)
{
    struct probe_environment blind = plain;
    struct probe_result native = { .outcome = OUTCOME_EXECUTED, .step = STEP_NATIVE };
    struct probe_result emulated = { .outcome = OUTCOME_EXECUTED, .step = STEP_SKIPPED };
    const uint64_t base = 0xfffffe0000001000, dummy = 0xfffffffffffe0000;
    const uint16_t limit = 0x7f;

    (void)state;
    blind.stepping = false;
    memcpy(native.scratch + 32, &limit, sizeof(limit));
    memcpy(native.scratch + 34, &base, sizeof(base));
    memcpy(emulated.scratch + 34, &dummy, sizeof(dummy));
    assert_int_equal(judge(&plain, "sgdt", &native, 70).verdict, VERDICT_CRITICAL);
    /* A hypervisor that intercepts it makes it slow, but it is the CPU's own doing. */
    assert_int_equal(judge(&plain, "sgdt", &native, 2000).verdict, VERDICT_CRITICAL);
    assert_int_equal(judge(&plain, "sgdt", &emulated, 1500).verdict, VERDICT_EMULATED);
    /* Without single steps it takes the dummy and the time together. */
    assert_int_equal(judge(&blind, "sgdt", &emulated, 1500).verdict, VERDICT_EMULATED);
    assert_int_equal(judge(&blind, "sgdt", &emulated, 70).verdict, VERDICT_UNDECIDED);
    assert_int_equal(judge(&blind, "sgdt", &native, 2000).verdict, VERDICT_UNDECIDED);
    assert_int_equal(judge(&blind, "sgdt", &native, 70).verdict, VERDICT_CRITICAL);
    assert_int_equal(judge(&blind, "sgdt", &native, 0).verdict, VERDICT_UNDECIDED);
}

static void test_upper_half(void **state)
{
    struct probe_environment blind = plain;
    struct probe_result native = executed(0x80050033);
    struct probe_result emulated = executed(0xa5a5a5a580050033);

    (void)state;
    blind.stepping = false;
    assert_int_equal(judge(&blind, "smsw", &native, 70).verdict, VERDICT_CRITICAL);
    assert_int_equal(judge(&blind, "smsw", &emulated, 1500).verdict, VERDICT_EMULATED);
}

static void test_other_ends(void **state)
{
    struct probe_result timeout = { .outcome = OUTCOME_TIMEOUT };
    struct probe_result killed = { .outcome = OUTCOME_KILLED, .signal = SIGKILL };
    struct probe_result filtered = { .outcome = OUTCOME_KILLED, .signal = SIGSYS };

    (void)state;
    assert_int_equal(verdict_of("hlt", &timeout), VERDICT_UNDECIDED);
    assert_int_equal(verdict_of("call_far_same", &killed), VERDICT_UNDECIDED);
    assert_int_equal(verdict_of("int_80", &filtered), VERDICT_VECTORED);
    for (enum probe_refusal i = REFUSAL_NONE; i <= REFUSAL_CALL; i++) {
        struct probe_result refused = { .refusal = i };

        assert_int_equal(verdict_of("in", &refused), VERDICT_NOT_PROBED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound),
        cmocka_unit_test(test_names_exist),
        cmocka_unit_test(test_execution_of_privileged_is_contradiction),
        cmocka_unit_test(test_traps),
        cmocka_unit_test(test_absent_features),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_native_tables),
        cmocka_unit_test(test_upper_half),
        cmocka_unit_test(test_other_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
