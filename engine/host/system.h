/* SPDX-License-Identifier: MIT */
/*
 * system.h - the engine process's own system call stubs and the few kernel structures it uses.
 * Every call made after the final filter must be in the allow list of machine/backend (final).
 */
#ifndef ORIGAMI_ENGINE_SYSTEM_H
#define ORIGAMI_ENGINE_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

enum {
    SYSTEM_mmap = 9,
    SYSTEM_mprotect = 10,
    SYSTEM_munmap = 11,
    SYSTEM_close = 3,
    SYSTEM_rt_sigaction = 13,
    SYSTEM_rt_sigprocmask = 14,
    SYSTEM_rt_sigreturn = 15,
    SYSTEM_getpid = 39,
    SYSTEM_ftruncate = 77,
    SYSTEM_getppid = 110,
    SYSTEM_sigaltstack = 131,
    SYSTEM_prctl = 157,
    SYSTEM_dup2 = 33,
    SYSTEM_arch_prctl = 158,
    SYSTEM_futex = 202,
    SYSTEM_exit_group = 231,
    SYSTEM_seccomp = 317,
    SYSTEM_memfd_create = 319
};

static inline long system6(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                           uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define system1(n, a)       system6(n, (uint64_t)(a), 0, 0, 0, 0, 0)
#define system2(n, a, b)    system6(n, (uint64_t)(a), (uint64_t)(b), 0, 0, 0, 0)
#define system3(n, a, b, c) system6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0, 0)
#define system4(n, a, b, c, d)                                                                     \
    system6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0, 0)

#define PROTECT_READ      1
#define PROTECT_WRITE     2
#define PROTECT_EXECUTE   4
#define MAP_SHARED_OBJECT 0x01
#define MAP_PRIVATE_COPY  0x02
#define MAP_AT            0x10 /* MAP_FIXED */
#define MAP_NO_FILE       0x20 /* MAP_ANONYMOUS */
#define MAP_NO_RESERVE    0x4000
#define MAP_AT_FREE       0x100000 /* MAP_FIXED_NOREPLACE */

static inline long system_map(uint64_t address, uint64_t size, int protection, int flags, int fd,
                              uint64_t offset)
{
    return system6(SYSTEM_mmap, address, size, (uint64_t)protection, (uint64_t)flags,
                   (uint64_t)(int64_t)fd, offset);
}
/* System calls return -errno in [-4095, -1]. */
static inline int system_failed(long result)
{
    return (unsigned long)result > (unsigned long)-4096L;
}

#define FUTEX_WAIT_OPERATION 0
#define FUTEX_WAKE_OPERATION 1

struct kernel_timespec {
    int64_t seconds, nanoseconds;
};

struct kernel_sigaction {
    void (*handler)(int, void *, void *);
    uint64_t flags;
    void (*restorer)(void);
    uint64_t mask;
};
#define SIGACTION_SIGINFO  4u
#define SIGACTION_RESTORER 0x04000000u
#define SIGACTION_ONSTACK  0x08000000u

#define SIGNAL_STACK_AUTODISARM INT32_MIN /* SS_AUTODISARM, bit 31; Linux 4.7 */
struct kernel_sigaltstack {
    uint64_t base;
    int32_t flags, padding;
    uint64_t size;
};

/* ucontext as far as sigcontext's general registers (arch/x86/include/uapi/asm/sigcontext.h). */
struct kernel_ucontext {
    uint64_t flags;
    uint64_t link;
    struct kernel_sigaltstack stack;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip,
        flags_register;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, oldmask, cr2;
};

#endif
