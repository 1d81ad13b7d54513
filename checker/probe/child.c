/* SPDX-License-Identifier: MIT */
/*
 * One child process per row: it gives up what could make the instruction harmful, runs the row's
 * code once, and if that executed, times it and steps over it. The parent reads the shared page.
 */
#include "child.h"
#include "code.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHILD_SECONDS = 5,
    MEASURE_RUNS = 100,
    MEASURE_BATCH = 8,
    LAST_PORT = 65536,
    CPU_TRIES = 50
};
enum { ARCH_SET_CPUID_CALL = 0x1012, RFLAGS_IOPL = 0x3000, STEP_FLAG = 0x100 };

static void prepare_child(struct probe_shared *shared)
{
    struct rlimit none = { 0, 0 };

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)alarm(CHILD_SECONDS);
    if (probe_catch_signals(shared) != 0)
        _exit(1);
}

static unsigned read_iopl(void)
{
    uint64_t flags;

    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    return (unsigned)(flags & RFLAGS_IOPL) >> 12;
}

/* The system call that a need depends on; says in *result why the row can't run. */
static bool refuse(struct probe_result *result, enum probe_refusal refusal, int error)
{
    result->outcome = OUTCOME_NOT_RUN;
    result->refusal = refusal;
    result->refusal_errno = error;
    return false;
}

/* Gives up a permission; a kernel without the call never granted it. */
static bool give_up(long status)
{
    return status == 0 || errno == ENOSYS;
}

/*
 * QEMU's emulator, seen in 7.2, does the stack accesses of far transfers with the kernel's rights.
 * With SMAP that is a page fault which Linux takes for its own bug: an oops, or a panic where the
 * guest is set up so.
 */
static bool far_stack_harms(const struct probe_environment *environment)
{
    return environment->features[FEATURE_SMAP] &&
           strcmp(environment->hypervisor_vendor, "TCGTCGTCGTCG") == 0;
}

static bool meet_needs(const struct probe_context *context, const struct probe_row *row)
{
    struct probe_result *result = &context->shared->result;

    if ((row->needs & NEED_HYPERCALLS) && !context->options.hypercalls)
        return refuse(result, REFUSAL_HYPERCALL, 0);
    if ((row->needs & NEED_FAR_STACK) && far_stack_harms(&context->environment))
        return refuse(result, REFUSAL_EMULATOR, 0);
    if ((row->needs & NEED_LOW) && context->low_code == NULL)
        return refuse(result, REFUSAL_LOW, 0);
    /* In case a call below is answered with SIGSYS. */
    if (row->needs & (NEED_IOPL_0 | NEED_NO_PORTS))
        (void)refuse(result, (row->needs & NEED_NO_PORTS) ? REFUSAL_PORTS : REFUSAL_IOPL, EPERM);
    if (row->needs & (NEED_TSD | NEED_CPUID_FAULT))
        (void)refuse(result, REFUSAL_CALL, EPERM);
    /* Linux since 5.5 does not show iopl(3) in IOPL, so ask for 0 in any case. */
    if (row->needs & NEED_IOPL_0) {
        (void)syscall(SYS_iopl, 0);
        if (read_iopl() != 0)
            return refuse(result, REFUSAL_IOPL, 0);
    }
    if (row->needs & NEED_NO_PORTS) {
        if (!give_up(syscall(SYS_iopl, 0)) || !give_up(syscall(SYS_ioperm, 0, LAST_PORT, 0)))
            return refuse(result, REFUSAL_PORTS, errno);
    }
    if ((row->needs & NEED_TSD) && prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0)
        return refuse(result, REFUSAL_CALL, errno);
    if ((row->needs & NEED_CPUID_FAULT) && syscall(SYS_arch_prctl, ARCH_SET_CPUID_CALL, 0) != 0)
        return refuse(result, REFUSAL_CALL, errno);
    result->refusal = REFUSAL_NONE;
    result->refusal_errno = 0;
    return true;
}

/* Where a row's code is in memory. */
static uint64_t address_of(const struct probe_context *context, const uint8_t *code)
{
    const uint8_t *base = context->low_code != NULL ? context->low_code : __start_origami_probe;

    return (uint64_t)(uintptr_t)(base + (code - __start_origami_probe));
}

/* One run from fresh registers and scratch memory. */
static void enter_row(const struct probe_context *context, const struct probe_row *row,
                      struct probe_registers *registers, uint64_t flags)
{
    uint8_t *scratch = context->shared->scratch;
    uint64_t code = address_of(context, row->code);

    *registers = (struct probe_registers){ .rax = 0x0101010101010101U * PROBE_FILL,
                                           .rdi = (uint64_t)(uintptr_t)scratch };
    if (row->needs & NEED_COMPAT) {
        uint32_t back = (uint32_t)address_of(context, probe_gate_back);
        uint16_t selector = PROBE_USER_CODE;

        memcpy(scratch + 8, &back, sizeof(back));
        memcpy(scratch + 12, &selector, sizeof(selector));
        registers->rsi = code;
        code = address_of(context, probe_gate_32);
    }
    probe_enter(registers, (const void *)(uintptr_t)code, flags);
}

static uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* In batches: the TSC of some CPUs moves by 20 and more at a time. */
static void measure_row(const struct probe_context *context, const struct probe_row *row)
{
    struct probe_registers registers;
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < MEASURE_RUNS; i++) {
        uint64_t start = read_tsc();
        uint64_t cycles;

        for (unsigned j = 0; j < MEASURE_BATCH; j++)
            enter_row(context, row, &registers, 0);
        cycles = (read_tsc() - start) / MEASURE_BATCH;
        if (cycles < least)
            least = cycles;
    }
    context->shared->result.cycles = least;
}

/* The run that counts. The CPU's number is read around it, for the rows that reveal it. */
static void run_once(struct probe_context *context, const struct probe_row *row)
{
    struct probe_shared *shared = context->shared;
    struct probe_registers registers;
    unsigned cpu = 0, node = 0, cpu_after = 0, node_after = 0;

    for (unsigned i = 0; i < CPU_TRIES; i++) {
        memset(shared->scratch, PROBE_FILL, sizeof(shared->scratch));
        (void)syscall(SYS_getcpu, &cpu, &node, NULL);
        shared->stage = STAGE_RUN;
        enter_row(context, row, &registers, 0);
        shared->stage = STAGE_SETUP;
        (void)syscall(SYS_getcpu, &cpu_after, &node_after, NULL);
        if (cpu == cpu_after || (row->needs & NEED_HYPERCALLS))
            break;
    }
    shared->result.outcome = OUTCOME_EXECUTED;
    shared->result.registers = registers;
    shared->result.cpu = cpu;
    shared->result.node = node;
    memcpy(shared->result.scratch, shared->scratch, sizeof(shared->result.scratch));
}

static _Noreturn void run_child(struct probe_context *context, const struct probe_row *row)
{
    struct probe_shared *shared = context->shared;
    struct probe_registers registers;

    prepare_child(shared);
    shared->result.pid = (uint32_t)getpid();
    if (!meet_needs(context, row)) {
        shared->stage = STAGE_DONE;
        _exit(0);
    }
    run_once(context, row);
    if (row->needs & NEED_HYPERCALLS)
        _exit(0);
    if (context->environment.timing && !(row->needs & NEED_TSD)) {
        shared->stage = STAGE_MEASURE;
        measure_row(context, row);
    }
    if (row->needs & NEED_STEP) {
        shared->result.step = STEP_UNSEEN;
        shared->stage = STAGE_STEP;
        enter_row(context, row, &registers, STEP_FLAG);
    }
    shared->stage = STAGE_DONE;
    _exit(0);
}

static int wait_for(pid_t child, int *status)
{
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int probe_run_row(struct probe_context *context, const struct probe_row *row,
                  struct probe_result *result)
{
    struct probe_shared *shared = context->shared;
    pid_t child;
    int status, error;

    memset(&shared->result, 0, sizeof(shared->result));
    shared->stage = STAGE_SETUP;
    shared->instruction = address_of(context, row->instruction);
    shared->next = address_of(context, row->after);
    shared->step_previous = 0;
    shared->step_count = 0;
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        run_child(context, row);
    error = wait_for(child, &status);
    if (error != 0)
        return error;
    *result = shared->result;
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
    /* A filter may kill a child for a call that a need makes: that is a refusal. */
    if (WTERMSIG(status) == SIGSYS && result->refusal != REFUSAL_NONE)
        return 0;
    if (result->outcome != OUTCOME_NOT_RUN)
        return 0; /* ended after the run that counts */
    result->outcome = WTERMSIG(status) == SIGALRM ? OUTCOME_TIMEOUT : OUTCOME_KILLED;
    result->signal = WTERMSIG(status);
    return 0;
}

int probe_call_guarded(struct probe_context *context, void (*function)(void *), void *copy,
                       size_t size)
{
    struct probe_shared *shared = context->shared;
    pid_t child;
    int status, error;

    if (size > sizeof(shared->copy))
        return -EINVAL;
    memcpy(shared->copy, copy, size);
    shared->stage = STAGE_SETUP;
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        prepare_child(shared);
        function(shared->copy);
        shared->stage = STAGE_DONE;
        _exit(0);
    }
    error = wait_for(child, &status);
    if (error != 0)
        return error;
    memcpy(copy, shared->copy, size);
    return 0;
}

/* Both the code and the memory it works on below 4 GiB, or neither. */
static void copy_code_low(struct probe_context *context)
{
    size_t size = (size_t)(__stop_origami_probe - __start_origami_probe);
    void *code;

    if ((uintptr_t)context->shared + sizeof(*context->shared) > UINT32_MAX)
        return;
    code = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (code == MAP_FAILED)
        return;
    memcpy(code, __start_origami_probe, size);
    if (mprotect(code, size, PROT_READ | PROT_EXEC) == 0)
        context->low_code = code;
    else
        (void)munmap(code, size);
}

int probe_open(struct probe_context *context, const struct probe_options *options)
{
    size_t count;

    memset(context, 0, sizeof(*context));
    context->options = *options;
    (void)probe_rows(&count);
    context->shared = mmap(NULL, sizeof(*context->shared), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (context->shared == MAP_FAILED)
        context->shared = mmap(NULL, sizeof(*context->shared), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (context->shared == MAP_FAILED) {
        context->shared = NULL;
        return -errno;
    }
    context->results = calloc(count, sizeof(*context->results));
    context->findings = calloc(count, sizeof(*context->findings));
    if (context->results == NULL || context->findings == NULL)
        return -ENOMEM;
    copy_code_low(context);
    return 0;
}

void probe_close(struct probe_context *context)
{
    if (context->low_code != NULL)
        (void)munmap(context->low_code, (size_t)(__stop_origami_probe - __start_origami_probe));
    if (context->shared != NULL)
        (void)munmap(context->shared, sizeof(*context->shared));
    free(context->results);
    free(context->findings);
    memset(context, 0, sizeof(*context));
}

/* Net of what it costs to call a row that does nothing. */
static uint64_t net_cycles(const struct probe_environment *environment, const struct probe_row *row,
                           const struct probe_result *result)
{
    uint64_t base =
        (row->needs & NEED_COMPAT) ? environment->base_cycles_32 : environment->base_cycles;

    if (result->cycles == 0 || base == 0)
        return 0;
    return result->cycles > base ? result->cycles - base : 1;
}

int probe_run(struct probe_context *context)
{
    struct probe_environment *environment = &context->environment;
    struct probe_result result;
    size_t count;
    const struct probe_row *rows = probe_rows(&count);
    int error = probe_run_row(context, probe_find_row("rdtsc"), &result);

    if (error != 0)
        return error;
    environment->timing = result.outcome == OUTCOME_EXECUTED;
    error = probe_run_row(context, probe_find_row("nop"), &result);
    if (error != 0)
        return error;
    environment->base_cycles = result.cycles;
    environment->stepping = result.step == STEP_NATIVE;
    error = probe_run_row(context, probe_find_row("nop_32"), &result);
    if (error != 0)
        return error;
    environment->base_cycles_32 = result.cycles;
    for (size_t i = 0; i < count; i++) {
        error = probe_run_row(context, &rows[i], &context->results[i]);
        if (error != 0)
            return error;
        context->findings[i].cycles = net_cycles(environment, &rows[i], &context->results[i]);
        probe_judge_row(environment, &rows[i], &context->results[i], &context->findings[i]);
    }
    return 0;
}
