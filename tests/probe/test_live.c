/* SPDX-License-Identifier: MIT */
/*
 * The probe on the CPU at hand. Asserted is only what every x86-64 Linux must show; rows that could
 * not be probed here (an emulator, a filter) are passed over, but not silently.
 */
#include "run_command.h"
#include "probe.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <cjson/cJSON.h>

enum { NOBODY = 65534 };

static struct probe_context live;

static int set_up(void **state)
{
    struct probe_options options = { 0 };

    (void)state;
    if (probe_open(&live, &options) != 0 || probe_read_environment(&live) != 0)
        return -1;
    return probe_run(&live);
}

static int tear_down(void **state)
{
    (void)state;
    probe_close(&live);
    return 0;
}

/* NULL with a word about it where the row was not probed. */
static const struct probe_result *result_of(const char *id, const struct probe_finding **finding)
{
    const struct probe_row *row = probe_find_row(id);
    size_t count, index = (size_t)(row - probe_rows(&count));

    *finding = &live.findings[index];
    if (live.results[index].outcome != OUTCOME_NOT_RUN)
        return &live.results[index];
    print_message("%s: %s\n", id, live.findings[index].observed);
    return NULL;
}

static void test_must_trap(void **state)
{
    static const struct {
        const char *id;
        uint64_t vector, error;
    } traps[] = {
        { "ud2", 6, 0 },
        { "cli", 13, 0 },
        { "sti", 13, 0 },
        { "in", 13, 0 },
        { "out", 13, 0 },
        { "hlt", 13, 0 },
        { "lgdt", 13, 0 },
        { "lidt", 13, 0 },
        { "lldt", 13, 0 },
        { "ltr", 13, 0 },
        { "lmsw", 13, 0 },
        { "clts", 13, 0 },
        { "mov_to_cr0", 13, 0 },
        { "mov_from_cr3", 13, 0 },
        { "mov_from_cr4", 13, 0 },
        { "rdmsr", 13, 0 },
        { "wrmsr", 13, 0 },
        { "invlpg", 13, 0 },
        { "invd", 13, 0 },
        { "wbinvd", 13, 0 },
        { "swapgs", 13, 0 },
        { "sysret", 13, 0 },
        { "clac", 6, 0 },
        { "int3", 3, 0 },
        { "rdtsc_closed", 13, 0 },
        { "mov_to_ds_kernel", 13, 0x18 },
        { "mov_to_ss_kernel", 13, 0x18 },
        { "ret_far_kernel", 13, 0x10 },
        { "iret_kernel", 13, 0x10 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
        const struct probe_finding *finding;
        const struct probe_result *result = result_of(traps[i].id, &finding);

        if (result == NULL)
            continue;
        assert_int_equal(result->outcome, OUTCOME_TRAPPED);
        assert_int_equal(result->vector, traps[i].vector);
        assert_int_equal(result->error, traps[i].error);
        assert_true(result->at_instruction);
    }
}

static void test_must_be_critical(void **state)
{
    static const char *const ids[] = { "pushf",       "popf_if",    "popf_iopl", "iret_if",
                                       "iret_iopl",   "lar",        "lsl",       "verr",
                                       "verw",        "popf_32",    "iret_32",   "push_cs_32",
                                       "mov_from_cs", "mov_from_ss" };

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct probe_finding *finding;

        if (result_of(ids[i], &finding) != NULL)
            assert_int_equal(finding->verdict, VERDICT_CRITICAL);
    }
}

/* The control: without UMIP in CPUID nothing is emulated, and native is told as native. */
static void test_umip_agrees(void **state)
{
    struct probe_summary summary = probe_summarize(&live);

    (void)state;
    if (!live.environment.features[FEATURE_UMIP])
        assert_int_equal(summary.umip, UMIP_OFF);
    assert_int_equal(summary.verdicts[VERDICT_INNOCUOUS] > 0, 1);
}

static cJSON *probe_json(prepare_function *prepare, int *status)
{
    char *argv[] = { "probe", "--json", NULL };
    char *output;
    cJSON *root;

    *status = run_command(argv, prepare, &output);
    assert_non_null(output);
    root = cJSON_Parse(output);
    free(output);
    assert_non_null(root);
    return root;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));

    assert_non_null(text);
    return text;
}

static const cJSON *find_probe(const cJSON *root, const char *id)
{
    const cJSON *probe;

    cJSON_ArrayForEach(probe,
                       cJSON_GetObjectItem(root, "probes")) if (strcmp(text_of(probe, "id"), id) ==
                                                                0) return probe;
    fail();
    return NULL;
}

static void check_complete(const cJSON *root, int status)
{
    const cJSON *summary = cJSON_GetObjectItem(root, "summary");
    bool consistent = cJSON_IsTrue(cJSON_GetObjectItem(summary, "consistent_with_model"));
    size_t count;

    (void)probe_rows(&count);
    assert_int_equal(status, consistent ? 0 : 1);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(root, "probes")), (int)count);
}

static void test_json(void **state)
{
    int status;
    cJSON *root = probe_json(NULL, &status);
    const cJSON *trap = cJSON_GetObjectItem(find_probe(root, "hlt"), "trap");

    (void)state;
    check_complete(root, status);
    assert_string_equal(text_of(find_probe(root, "hlt"), "bytes"), "f4");
    assert_string_equal(text_of(trap, "name"), "#GP");
    assert_string_equal(text_of(trap, "error_code"), "0x0");
    assert_string_equal(text_of(find_probe(root, "popf_if"), "verdict"), "critical-proved");
    cJSON_Delete(root);
}

static void test_text(void **state)
{
    char *argv[] = { "probe", NULL };
    char *output;

    (void)state;
    assert_in_range(run_command(argv, NULL, &output), 0, 1);
    assert_non_null(strstr(output, "Verdict"));
    assert_non_null(strstr(output, "All this describes the"));
    free(output);
}

static void test_usage(void **state)
{
    char *option[] = { "probe", "--jsno", NULL }, *argument[] = { "probe", "here", NULL };
    char *help[] = { "probe", "--help", NULL };
    char *output;

    (void)state;
    assert_int_equal(run_command(option, NULL, &output), 64);
    free(output);
    assert_int_equal(run_command(argument, NULL, &output), 64);
    free(output);
    assert_int_equal(run_command(help, NULL, &output), 0);
    assert_non_null(strstr(output, "Example:"));
    free(output);
}

/* A container's filter may keep us from giving up ports: then the row is refused. */
static void assert_port_is_closed(const cJSON *root)
{
    const char *verdict = text_of(find_probe(root, "in"), "verdict");

    assert_true(strcmp(verdict, "trapped-by-check") == 0 || strcmp(verdict, "not-probed") == 0);
}

static void become_nobody(void)
{
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        _exit(98);
}

static void test_unprivileged(void **state)
{
    int status;
    cJSON *root = probe_json(become_nobody, &status);

    (void)state;
    check_complete(root, status);
    assert_port_is_closed(root);
    cJSON_Delete(root);
}

static void filter_calls(uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioperm, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
        _exit(97);
}

static void deny_calls(void)
{
    filter_calls(SECCOMP_RET_ERRNO | EPERM);
}

static void trap_calls(void)
{
    filter_calls(SECCOMP_RET_TRAP);
}

static void kill_calls(void)
{
    filter_calls(SECCOMP_RET_KILL_PROCESS);
}

/* The rows that need the calls are refused, with the reason; all others are there. */
static void test_seccomp(void **state)
{
    static prepare_function *const filters[] = { deny_calls, trap_calls, kill_calls };

    (void)state;
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        int status;
        cJSON *root = probe_json(filters[i], &status);
        const cJSON *closed = find_probe(root, "cpuid_closed"), *port = find_probe(root, "in");

        check_complete(root, status);
        assert_string_equal(text_of(closed, "verdict"), "not-probed");
        assert_non_null(strstr(text_of(closed, "observed"), "Operation not permitted"));
        assert_string_equal(text_of(port, "verdict"), "not-probed");
        assert_string_equal(text_of(find_probe(root, "hlt"), "verdict"),
                            "consistent-with-privileged");
        cJSON_Delete(root);
    }
}

static void grant_ports(void)
{
    /* Where the host refuses, there is nothing to give up. */
    (void)iopl(3);
    (void)ioperm(0x80, 1, 1);
}

/* Permissions that the caller holds are given up in the children, not used. */
static void test_granted_ports(void **state)
{
    int status;
    cJSON *root = probe_json(grant_ports, &status);

    (void)state;
    check_complete(root, status);
    assert_string_equal(text_of(find_probe(root, "cli"), "verdict"), "trapped-by-check");
    assert_port_is_closed(root);
    assert_string_equal(text_of(find_probe(root, "popf_if"), "verdict"), "critical-proved");
    cJSON_Delete(root);
}

static void spoil_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)signal(SIGCHLD, SIG_IGN);
    (void)signal(SIGALRM, SIG_IGN);
    (void)signal(SIGSEGV, SIG_IGN);
}

static void test_inherited_signals(void **state)
{
    int status;
    cJSON *root = probe_json(spoil_signals, &status);

    (void)state;
    check_complete(root, status);
    cJSON_Delete(root);
}

static void close_tsc(void)
{
    (void)prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
}

#if defined(__SANITIZE_ADDRESS__)
#define CLOCK_IS_NEEDED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CLOCK_IS_NEEDED true
#endif
#endif
#ifndef CLOCK_IS_NEEDED
#define CLOCK_IS_NEEDED false
#endif

/* No clock: no cycles, but every verdict, since single steps tell emulation. */
static void test_without_clock(void **state)
{
    int status;
    cJSON *root;

    (void)state;
    if (CLOCK_IS_NEEDED)
        skip(); /* AddressSanitizer executes RDTSC itself */
    root = probe_json(close_tsc, &status);
    check_complete(root, status);
    assert_string_equal(text_of(find_probe(root, "rdtsc"), "verdict"), "closed-by-control-bit");
    assert_null(cJSON_GetObjectItem(find_probe(root, "pushf"), "minimum_cycles"));
    cJSON_Delete(root);
}

static void test_no_child_is_left(void **state)
{
    (void)state;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_must_trap),     cmocka_unit_test(test_must_be_critical),
        cmocka_unit_test(test_umip_agrees),   cmocka_unit_test(test_json),
        cmocka_unit_test(test_text),          cmocka_unit_test(test_usage),
        cmocka_unit_test(test_unprivileged),  cmocka_unit_test(test_seccomp),
        cmocka_unit_test(test_granted_ports), cmocka_unit_test(test_inherited_signals),
        cmocka_unit_test(test_without_clock), cmocka_unit_test(test_no_child_is_left),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
