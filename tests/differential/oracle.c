/* SPDX-License-Identifier: MIT */
/*
 * oracle.c - one instruction on the bare CPU: its state is loaded by a signal return, TF traps after it, and
 * the signal frame is the result.
 *
 * It runs in a child process under a filter that leaves only sigreturn, futex and exit, so that nothing an
 * instruction does can reach the host. The child's own stack and code lie far above 4 GiB.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include "vector.h"

#define SIGNAL_STACK_SIZE (256u << 10)
#define FLAG_TF (1u << 8)

struct shared {
    struct batch batch;
    struct output output[BATCH];
    uint32_t request, done; /* futexes; counts of batches */
    uint32_t running;       /* index of the input being run */
};

struct oracle {
    struct shared *shared;
    pid_t child;
    uint64_t mask;
};

/* The child's working state. Handlers find it through this pointer; it is set once before any runs. */
static struct child {
    struct shared *shared;
    uint64_t mask;
    uint32_t index;
    uint32_t extended_size;
    uint8_t *code, *data;
    bool started;
} child;

static void futex_wait(uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void harvest(struct output *out, const ucontext_t *uc)
{
    static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15 };
    const greg_t *gregs = uc->uc_mcontext.gregs;
    for (unsigned i = 0; i < 16; i++)
        out->gpr[i] = (uint64_t)gregs[order[i]];
    out->rip = (uint64_t)gregs[REG_RIP];
    out->rflags = (uint64_t)gregs[REG_EFL];
    out->vector = (uint8_t)gregs[REG_TRAPNO];
    out->error = (uint32_t)gregs[REG_ERR];
    out->address = (uint64_t)gregs[REG_CR2];
    out->faulted = out->vector != 1;
    memcpy(out->data, child.data, DATA_SIZE);
    memcpy(out->extended, uc->uc_mcontext.fpregs, child.extended_size);
}

static void prepare(const struct input *in, ucontext_t *uc)
{
    static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15 };
    greg_t *gregs = uc->uc_mcontext.gregs;
    uint8_t *area = (uint8_t *)uc->uc_mcontext.fpregs;
    const uint8_t *image = child.shared->batch.extended[in->extended];
    for (unsigned i = 0; i < 16; i++)
        gregs[order[i]] = (greg_t)in->gpr[i];
    gregs[REG_RIP] = CODE_ADDRESS + CODE_OFFSET;
    gregs[REG_EFL] = (greg_t)(in->rflags | FLAG_TF);
    uint64_t selectors = in->bits == 64 ? 0x33 : 0x23;
    gregs[REG_CSGSFS] = (greg_t)(((uint64_t)gregs[REG_CSGSFS] & 0x0000ffffffff0000ull) | selectors |
                                 0x002b000000000000ull);
    /* Keep the kernel's own words at 464..511 of the legacy area, and components it added (PKRU). */
    uint64_t present;
    memcpy(area, image, 464);
    memcpy(&present, area + 512, 8);
    present |= child.mask;
    memcpy(area + 512, &present, 8);
    memcpy(area + 576, image + 576, child.extended_size - 576);
    memcpy(child.code + CODE_OFFSET, in->code, 16);
    memcpy(child.data, child.shared->batch.data[in->data], DATA_SIZE);
}

static void batch_wait(struct shared *shared)
{
    uint32_t done = __atomic_add_fetch(&shared->done, 1, __ATOMIC_SEQ_CST);
    futex_wake(&shared->done);
    uint32_t request;
    while ((request = __atomic_load_n(&shared->request, __ATOMIC_SEQ_CST)) != done)
        futex_wait(&shared->request, request);
}

/* TF also traps between the elements of a repeated string instruction. */
static bool repeats(const struct input *in, const ucontext_t *uc)
{
    const greg_t *gregs = uc->uc_mcontext.gregs;
    return in->repeat && gregs[REG_TRAPNO] == 1 && gregs[REG_RIP] == CODE_ADDRESS + CODE_OFFSET;
}

void oracle_signal(int number, siginfo_t *information, void *context);

/* Every test begins and ends here. AC and DF may be set on entry: see the assembly below. */
void oracle_signal(int number, siginfo_t *information, void *context)
{
    struct shared *shared = child.shared;
    (void)number;
    (void)information;
    if (child.started && repeats(&shared->batch.input[child.index], context))
        return;
    if (child.started) {
        harvest(&shared->output[child.index], context);
        child.index++;
    }
    if (!child.started || child.index >= shared->batch.count) {
        if (child.started)
            batch_wait(shared);
        child.index = 0;
        child.started = true;
    }
    __atomic_store_n(&shared->running, child.index, __ATOMIC_SEQ_CST);
    prepare(&shared->batch.input[child.index], context);
}

/* Linux keeps RFLAGS.AC of the interrupted code for the handler, which may not be aligned. */
__asm__(".text\n"
        ".globl oracle_entry\n"
        "oracle_entry:\n"
        "    pushfq\n"
        "    andq $~0x40000, (%rsp)\n"
        "    popfq\n"
        "    jmp oracle_signal\n");
void oracle_entry(int number, siginfo_t *information, void *context);


static int filter_install(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    static const int calls[] = { SCMP_SYS(rt_sigreturn), SCMP_SYS(futex), SCMP_SYS(exit_group) };
    int status = filter ? 0 : -1;
    for (unsigned i = 0; status == 0 && i < 3; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    if (status == 0)
        status = seccomp_load(filter);
    return status;
}

static bool map_at(uint64_t address, size_t size, int protection, uint8_t **out)
{
    *out = mmap((void *)(uintptr_t)address, size, protection,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return *out == (uint8_t *)(uintptr_t)address;
}

static void __attribute__((noreturn)) child_main(struct shared *shared, uint64_t mask)
{
    static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    stack_t stack = { .ss_size = SIGNAL_STACK_SIZE };
    struct sigaction action;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    child = (struct child){ .shared = shared, .mask = mask, .extended_size = extended_size() };
    stack.ss_sp = mmap(NULL, SIGNAL_STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) ||
        !map_at(CODE_ADDRESS, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, &child.code) ||
        !map_at(DATA_ADDRESS, DATA_SIZE, PROT_READ | PROT_WRITE, &child.data))
        _exit(3);
    memset(child.code, CODE_FILLER, 4096);
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = oracle_entry;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < 5; i++)
        sigaction(signals[i], &action, NULL);
    /* x87 and vector state must be in use, or the first frame would not carry all components. */
    if (filter_install())
        _exit(4);
    batch_wait(shared);
    /* 32-bit code uses DS and ES as Linux gives them to 32-bit programs. */
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0x2b));
    __asm__ volatile("int3"); /* the first frame */
    _exit(5);
}

struct oracle *oracle_start(uint64_t extended_mask)
{
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    if (oracle == NULL)
        return NULL;
    oracle->mask = extended_mask;
    oracle->shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (oracle->shared == MAP_FAILED) {
        free(oracle);
        return NULL;
    }
    oracle->child = fork();
    if (oracle->child == 0)
        child_main(oracle->shared, extended_mask);
    while (__atomic_load_n(&oracle->shared->done, __ATOMIC_SEQ_CST) == 0) {
        int status;
        if (waitpid(oracle->child, &status, WNOHANG) == oracle->child) {
            fprintf(stderr, "oracle: the child ended at once (status 0x%x)\n", status);
            return NULL;
        }
        usleep(1000);
    }
    return oracle;
}

int oracle_run(struct oracle *oracle, const struct batch *batch, struct output *outputs,
               uint32_t *died)
{
    struct shared *shared = oracle->shared;
    struct timespec second = { .tv_sec = 1 };
    int status;
    memcpy(&shared->batch, batch, sizeof(*batch));
    uint32_t wanted = __atomic_add_fetch(&shared->request, 1, __ATOMIC_SEQ_CST);
    futex_wake(&shared->request);
    for (;;) {
        uint32_t done = __atomic_load_n(&shared->done, __ATOMIC_SEQ_CST);
        if (done == wanted + 1)
            break;
        syscall(SYS_futex, &shared->done, FUTEX_WAIT, done, &second, NULL, 0);
        if (waitpid(oracle->child, &status, WNOHANG) == oracle->child) {
            *died = shared->running;
            fprintf(stderr, "oracle: the child died, wait status 0x%x\n", status);
            return -1;
        }
    }
    memcpy(outputs, shared->output, sizeof(*outputs) * batch->count);
    return 0;
}

void oracle_stop(struct oracle *oracle)
{
    kill(oracle->child, SIGKILL);
    waitpid(oracle->child, NULL, 0);
    munmap(oracle->shared, sizeof(struct shared));
    free(oracle);
}
