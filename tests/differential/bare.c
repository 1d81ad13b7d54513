/* SPDX-License-Identifier: MIT */
/*
 * bare.c - one instruction on the bare CPU: its state is loaded by a signal return, TF traps after
 * it, and the signal frame is the result.
 *
 * It runs in a child process under a filter that leaves only sigreturn, futex and exit, so that
 * nothing an instruction does can reach the host. The child's own stack and code lie far above 4
 * GiB.
 */
#include <asm/ldt.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "oracle.h"

#define SIGNAL_STACK_SIZE (256u << 10)
#define FLAG_TF           (1u << 8)
#define HWCAP2_BASES      2ul /* RDFSBASE and its kin work in user mode */

/* What the handler's entry saves and its exit loads: registers that no signal frame holds. */
struct bare_segments {
    uint64_t fs_base, gs_base;
    uint16_t ds, es, fs, gs;
};
extern struct bare_segments bare_segments;
extern uint64_t bare_fs_base;
extern uint8_t bare_has_bases;
struct bare_segments bare_segments;
uint64_t bare_fs_base; /* the C library's, while the handler runs */
uint8_t bare_has_bases;

/* The child's working state. The handler finds it through this; it is set once before any runs. */
static struct child {
    struct oracle_shared *shared;
    const struct batch *batch;
    struct output *output;
    uint64_t mask;
    uint32_t index, finished;
    uint32_t extended_size;
    uint8_t *code, *data;
    bool started;
} child;

static const int register_order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                        REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                        REG_R12, REG_R13, REG_R14, REG_R15 };

static void harvest(struct output *out, const ucontext_t *uc)
{
    const greg_t *gregs = uc->uc_mcontext.gregs;
    out->selectors = (struct selectors){
        .cs = (uint16_t)gregs[REG_CSGSFS],
        .ss = (uint16_t)((uint64_t)gregs[REG_CSGSFS] >> 48),
        .ds = bare_segments.ds,
        .es = bare_segments.es,
        .fs = bare_segments.fs,
        .gs = bare_segments.gs,
    };
    for (unsigned i = 0; i < 16; i++)
        out->gpr[i] = (uint64_t)gregs[register_order[i]];
    out->rip = (uint64_t)gregs[REG_RIP];
    out->rflags = (uint64_t)gregs[REG_EFL];
    out->vector = (uint8_t)gregs[REG_TRAPNO];
    out->error = (uint32_t)gregs[REG_ERR];
    out->address = (uint64_t)gregs[REG_CR2];
    out->faulted = out->vector != 1;
    out->fs_base = bare_segments.fs_base;
    out->gs_base = bare_segments.gs_base;
    memcpy(out->data, child.data, DATA_SIZE);
    memcpy(out->extended, uc->uc_mcontext.fpregs, child.extended_size);
}

static void prepare(const struct input *in, ucontext_t *uc)
{
    greg_t *gregs = uc->uc_mcontext.gregs;
    uint8_t *area = (uint8_t *)uc->uc_mcontext.fpregs;
    const uint8_t *image = child.batch->extended[in->extended];
    uint32_t room = CODE_SIZE - in->offset;
    uint64_t present;
    for (unsigned i = 0; i < 16; i++)
        gregs[register_order[i]] = (greg_t)in->gpr[i];
    gregs[REG_RIP] = (greg_t)input_rip(in);
    gregs[REG_EFL] = (greg_t)(in->rflags | FLAG_TF);
    gregs[REG_CSGSFS] = (greg_t)(((uint64_t)gregs[REG_CSGSFS] & 0x0000ffffffff0000ull) |
                                 in->selectors.cs | (uint64_t)in->selectors.ss << 48);
    bare_segments = (struct bare_segments){ .fs_base = in->fs_base,
                                            .gs_base = in->gs_base,
                                            .ds = in->selectors.ds,
                                            .es = in->selectors.es,
                                            .fs = in->selectors.fs,
                                            .gs = in->selectors.gs };
    /* Keep the kernel's own words at 464..511 of the legacy area, and components it added (PKRU).
     */
    memcpy(area, image, 464);
    memcpy(&present, area + 512, 8);
    present |= child.mask;
    memcpy(area + 512, &present, 8);
    memcpy(area + 576, image + 576, child.extended_size - 576);
    memcpy(child.code + in->offset, in->code, room < 16 ? room : 16);
    memcpy(child.data, child.batch->data[in->data], DATA_SIZE);
}

/* Puts the filler back where an instruction lay. */
static void clean(const struct input *in)
{
    uint32_t room = CODE_SIZE - in->offset;
    memset(child.code + in->offset, CODE_FILLER, room < 16 ? room : 16);
}

static void futex(uint32_t *word, int operation, uint32_t value)
{
    register uint64_t timeout __asm__("r10") = 0;
    uint64_t result = SYS_futex;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(word), "S"(operation), "d"(value), "r"(timeout)
                     : "rcx", "r11", "memory");
}

/* Tells the parent that `finished` batches are done, and waits for the next. */
static void batch_next(void)
{
    struct oracle_shared *shared = child.shared;
    uint32_t request;
    __atomic_store_n(&shared->done, child.finished, __ATOMIC_SEQ_CST);
    futex(&shared->done, FUTEX_WAKE, 1);
    while ((request = __atomic_load_n(&shared->request, __ATOMIC_SEQ_CST)) == child.finished)
        futex(&shared->request, FUTEX_WAIT, request);
    child.batch = &shared->batch[child.finished % PLACES];
    child.output = shared->output[child.finished % PLACES];
    child.index = 0;
}

/* TF also traps between the elements of a repeated string instruction. */
static bool repeats(const struct input *in, const ucontext_t *uc)
{
    const greg_t *gregs = uc->uc_mcontext.gregs;
    return in->repeat && gregs[REG_TRAPNO] == 1 && (uint64_t)gregs[REG_RIP] == input_rip(in);
}

void bare_signal(int number, siginfo_t *information, void *context);

/* Every test ends and begins here. */
void bare_signal(int number, siginfo_t *information, void *context)
{
    const struct input *in;
    (void)number;
    (void)information;
    if (child.started) {
        in = &child.batch->input[child.index];
        if (repeats(in, context))
            return;
        harvest(&child.output[child.index], context);
        clean(in);
        if (++child.index >= child.batch->count) {
            child.finished++;
            batch_next();
        }
    }
    child.started = true;
    in = &child.batch->input[child.index];
    __atomic_store_n(&child.shared->running, child.index, __ATOMIC_RELAXED);
    prepare(in, context);
}

/* Linux keeps AC, NT and ID of the interrupted code for the handler, which wants none of them; and
 * DS, ES, FS and GS are as the test left them. */
__asm__(".text\n"
        ".globl bare_entry\n"
        "bare_entry:\n"
        "    pushfq\n"
        "    andq $~0x244000, (%rsp)\n"
        "    popfq\n"
        "    movw %ds, bare_segments+16(%rip)\n"
        "    movw %es, bare_segments+18(%rip)\n"
        "    movw %fs, bare_segments+20(%rip)\n"
        "    movw %gs, bare_segments+22(%rip)\n"
        "    cmpb $0, bare_has_bases(%rip)\n"
        "    je 1f\n"
        "    rdfsbase %rax\n"
        "    movq %rax, bare_segments(%rip)\n"
        "    rdgsbase %rax\n"
        "    movq %rax, bare_segments+8(%rip)\n"
        "    movq bare_fs_base(%rip), %rax\n"
        "    wrfsbase %rax\n"
        "1:  subq $8, %rsp\n"
        "    call bare_signal\n"
        "    addq $8, %rsp\n"
        "    movw bare_segments+16(%rip), %ds\n"
        "    movw bare_segments+18(%rip), %es\n"
        "    cmpb $0, bare_has_bases(%rip)\n"
        "    je 2f\n"
        "    movw bare_segments+20(%rip), %fs\n"
        "    movw bare_segments+22(%rip), %gs\n"
        "    movq bare_segments(%rip), %rax\n"
        "    wrfsbase %rax\n"
        "    movq bare_segments+8(%rip), %rax\n"
        "    wrgsbase %rax\n"
        "2:  ret\n");
void bare_entry(int number, siginfo_t *information, void *context);
_Static_assert(offsetof(struct bare_segments, ds) == 16 && offsetof(struct bare_segments, gs) == 22,
               "as the assembly has it");

/* ---- Setting up ---- */

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

static bool local_descriptors_install(void)
{
    for (unsigned i = 0; i < LOCAL_DESCRIPTORS; i++) {
        const struct local_descriptor *d = &local_descriptors[i];
        struct user_desc entry = { .entry_number = i,
                                   .base_addr = d->base,
                                   .limit = d->limit,
                                   .contents = d->code   ? 2
                                               : d->down ? 1
                                                         : 0,
                                   .read_exec_only = d->read_only };
        if (syscall(SYS_modify_ldt, 1, &entry, sizeof(entry)))
            return false;
    }
    return true;
}

static bool signals_install(void)
{
    static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    stack_t stack = { .ss_size = SIGNAL_STACK_SIZE };
    struct sigaction action;
    stack.ss_sp =
        mmap(NULL, SIGNAL_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
        return false;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = bare_entry;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < 5; i++) {
        if (sigaction(signals[i], &action, NULL))
            return false;
    }
    return true;
}

void bare_main(struct oracle_shared *shared, uint64_t extended_mask)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    child =
        (struct child){ .shared = shared, .mask = extended_mask, .extended_size = extended_size() };
    if (!signals_install() ||
        !map_at(CODE_ADDRESS, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, &child.code) ||
        !map_at(DATA_ADDRESS, DATA_SIZE, PROT_READ | PROT_WRITE, &child.data))
        _exit(3);
    memset(child.code, CODE_FILLER, CODE_SIZE);
    shared->local_descriptors = local_descriptors_install();
    shared->segment_bases = (getauxval(AT_HWCAP2) & HWCAP2_BASES) != 0;
    bare_has_bases = shared->segment_bases;
    if (shared->segment_bases)
        __asm__ volatile("rdfsbase %0" : "=r"(bare_fs_base));
    if (filter_install())
        _exit(4);
    batch_next();
    __asm__ volatile("int3"); /* the first frame */
    _exit(5);
}
