/* SPDX-License-Identifier: MIT */
/*
 * hardware.c - see hardware.h.
 *
 * The signal handler drives the loop: it notes the answer to one question and edits the signal
 * frame so that returning from it asks the next. While it runs, FS base is 0 (an instruction may
 * not reach the C library's thread area), hence neither it nor anything it calls may use
 * thread-local storage.
 */
#include "hardware.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_BASE   0x10000000ul
#define CODE_END    (CODE_BASE + 0x8000ul) /* the first unmapped byte */
#define CODE_LENGTH 0x1000ul
#define TRAP_FLAG   0x100
#define CS_64       0x33
#define CS_32       0x23
#define CS_16       7 /* the first entry of the LDT */

static struct {
    struct hardware_question *questions;
    size_t count, next;
    uint8_t *code;    /* writable alias of the page that ends at CODE_END */
    ucontext_t start; /* the context that began the loop, to return to */
    int started;
    uint64_t fs_base;
    uint8_t clean_state[4096];
    uint64_t state_size;
} loop;

static void set_fs_base(uint64_t base)
{
    __asm__ volatile("syscall"
                     :
                     : "a"(SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(base)
                     : "rcx", "r11", "memory");
}

static void copy(void *to, const void *from, size_t size)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

/* All vector and x87 registers zero, all floating-point exceptions masked. Layout: SDM Vol.
 * 1, 13.4. */
static void clean_vectors(void)
{
    enum { REGISTERS = 32, REGISTERS_END = 416, XSTATE_BV = 512 };
    struct _libc_fpstate *state = (struct _libc_fpstate *)(void *)loop.clean_state;

    for (unsigned i = REGISTERS; i < REGISTERS_END; i++)
        loop.clean_state[i] = 0;
    state->cwd = 0x37f;
    state->swd = 0;
    state->ftw = 0;
    state->mxcsr = 0x1f80;
    if (loop.state_size >
        XSTATE_BV) /* x87 and SSE as above, everything else in its initial state */
        loop.clean_state[XSTATE_BV] = 3;
}

/* Edits the frame so that it runs the next question, or goes back to hardware_ask at the end. */
static void arrange_next(ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    struct hardware_question *question;

    if (loop.next == loop.count) {
        for (unsigned i = 0; i < NGREG; i++)
            regs[i] = loop.start.uc_mcontext.gregs[i];
        set_fs_base(loop.fs_base);
        return;
    }
    question = &loop.questions[loop.next];
    copy(loop.code + CODE_LENGTH - question->size, question->bytes, question->size);
    copy(context->uc_mcontext.fpregs, loop.clean_state, loop.state_size);
    for (unsigned i = REG_R8; i <= REG_RSP; i++)
        regs[i] = question->code_size == 64 ? 0x4000000000000000 : 0x60000000;
    if (question->address)
        regs[REG_RAX] = (greg_t)question->address;
    else
        regs[REG_RAX] = question->code_size == 64 ? -1ll : 0xffffffffll; /* no such system call */
    regs[REG_EFL] = 0x202 | TRAP_FLAG;
    regs[REG_RIP] = (greg_t)(CODE_END - question->size);
    regs[REG_CSGSFS] &= ~0xffffll;
    if (question->code_size == 64) {
        regs[REG_CSGSFS] |= CS_64;
    } else if (question->code_size == 32) {
        regs[REG_CSGSFS] |= CS_32;
    } else {
        regs[REG_CSGSFS] |= CS_16;
        regs[REG_RIP] -= (greg_t)CODE_BASE;
    }
}

static void on_signal(int signal, siginfo_t *info, void *argument)
{
    ucontext_t *context = argument;
    struct hardware_question *question;

    if (!loop.started) { /* raised by hardware_ask */
        loop.started = 1;
        copy(&loop.start.uc_mcontext.gregs, &context->uc_mcontext.gregs, sizeof(gregset_t));
        loop.state_size = sizeof(loop.clean_state);
        if (context->uc_mcontext.fpregs->__glibc_reserved1[12] == 0x46505853) /* FP_XSTATE_MAGIC1 */
            loop.state_size = context->uc_mcontext.fpregs->__glibc_reserved1[13];
        copy(loop.clean_state, context->uc_mcontext.fpregs, loop.state_size);
        clean_vectors();
        set_fs_base(0);
        arrange_next(context);
        return;
    }
    question = &loop.questions[loop.next++];
    question->verdict = VERDICT_VALID;
    question->trap = (uint8_t)context->uc_mcontext.gregs[REG_TRAPNO];
    question->fault = (uint64_t)context->uc_mcontext.gregs[REG_CR2];
    if (signal == SIGILL)
        question->verdict = VERDICT_UNDEFINED;
    else if (signal == SIGSEGV && (uint64_t)info->si_addr == CODE_END &&
             (context->uc_mcontext.gregs[REG_ERR] & 16))
        question->verdict = VERDICT_LONGER;
    set_fs_base(0);
    arrange_next(context);
}

static int map_code(void)
{
    int fd = memfd_create("code", MFD_CLOEXEC);
    void *code, *data;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, CODE_LENGTH))
        return -errno;
    loop.code = mmap(NULL, CODE_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    code = mmap((void *)(CODE_END - CODE_LENGTH), CODE_LENGTH, PROT_READ | PROT_EXEC,
                MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
    close(fd);
    if (loop.code == MAP_FAILED || code == MAP_FAILED)
        return -ENOMEM;
    data = mmap((void *)HARDWARE_DATA, HARDWARE_DATA_END - HARDWARE_DATA, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (data == MAP_FAILED)
        return -ENOMEM;
    return mprotect((void *)HARDWARE_READ_ONLY, 0x1000, PROT_READ) ? -errno : 0;
}

static int make_16_bit_segment(void)
{
    struct user_desc segment = {
        .entry_number = 0,
        .base_addr = CODE_BASE,
        .limit = 0xffff,
        .contents = MODIFY_LDT_CONTENTS_CODE,
    };

    return syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)) ? -errno : 0;
}

int hardware_prepare(bool *with_16_bit)
{
    int status = map_code();

    *with_16_bit = !status && !make_16_bit_segment();
    return status;
}

int hardware_ask(struct hardware_question *questions, size_t count)
{
    static const int signals[] = { SIGILL, SIGSEGV, SIGTRAP, SIGBUS, SIGFPE, SIGUSR1 };
    static uint8_t signal_stack[65536];
    stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    if (!count)
        return 0;
    sigaltstack(&stack, NULL);
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    syscall(SYS_arch_prctl, ARCH_GET_FS, &loop.fs_base);
    loop.questions = questions;
    loop.count = count;
    loop.next = 0;
    loop.started = 0;
    raise(SIGUSR1);
    return 0;
}
