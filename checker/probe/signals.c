/* SPDX-License-Identifier: MIT */
/*
 * The child's signal handlers: a trap of the instruction under test is recorded and ends the
 * process; a single step is compared with where the instruction lies.
 *
 * Why stepping tells emulated from native: with TF set, the CPU raises #DB after every instruction
 * it completes. An instruction that the kernel emulates on its #GP is never completed: the kernel
 * moves RIP past it and returns with TF still set, and the next #DB comes one instruction late.
 */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ALTERNATE_STACK_SIZE = 64 * 1024, STEP_LIMIT = 200, RFLAGS_TF = 0x100 };

/* The one mutable global: a handler has no other way to its data. Set once, in the child. */
static struct probe_shared *handler_shared;

static void handle_step(struct probe_shared *shared, ucontext_t *context)
{
    uint64_t rip = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    bool known = shared->step_previous == shared->instruction;

    if (known)
        shared->result.step = rip == shared->next ? STEP_NATIVE : STEP_SKIPPED;
    shared->step_previous = rip;
    shared->step_count++;
    if (known || shared->step_count > STEP_LIMIT)
        context->uc_mcontext.gregs[REG_EFL] &= ~RFLAGS_TF;
}

static void record_trap(struct probe_shared *shared, int number, const ucontext_t *context)
{
    struct probe_result *result = &shared->result;
    uint64_t rip = (uint64_t)context->uc_mcontext.gregs[REG_RIP];

    result->outcome = OUTCOME_TRAPPED;
    result->signal = number;
    result->vector = (uint64_t)context->uc_mcontext.gregs[REG_TRAPNO];
    result->error = (uint64_t)context->uc_mcontext.gregs[REG_ERR];
    result->at_instruction = rip == shared->instruction ||
                             ((number == SIGTRAP || number == SIGSYS) && rip == shared->next);
}

static void handle_signal(int number, siginfo_t *information, void *pointer)
{
    struct probe_shared *shared = handler_shared;

    (void)information;
    if (shared->stage == STAGE_STEP && number == SIGTRAP) {
        handle_step(shared, pointer);
        return;
    }
    if (shared->stage == STAGE_RUN)
        record_trap(shared, number, pointer);
    else if (shared->stage == STAGE_SETUP)
        shared->result.signal = number;
    /* Not _exit: what a sanitizer does on the way may need the very instruction that traps. */
    (void)syscall(SYS_exit_group, 0);
}

int probe_catch_signals(struct probe_shared *shared)
{
    static const int caught[] = { SIGSEGV, SIGILL, SIGBUS, SIGTRAP, SIGFPE, SIGSYS };
    struct sigaction action = { .sa_sigaction = handle_signal,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    struct sigaction plain = { .sa_handler = SIG_DFL };
    stack_t stack = { .ss_size = ALTERNATE_STACK_SIZE };
    sigset_t none;

    handler_shared = shared;
    stack.ss_sp =
        mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return -errno;
    if (sigaltstack(&stack, NULL) != 0)
        return -errno;
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        if (sigaction(caught[i], &action, NULL) != 0)
            return -errno;
    /* The alarm must end us, whatever we inherited. */
    sigemptyset(&none);
    if (sigaction(SIGALRM, &plain, NULL) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return -errno;
    return 0;
}
