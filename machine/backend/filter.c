/* SPDX-License-Identifier: MIT */
/*
 * filter.c - the allow lists, one table, a reason for each system call.
 *
 * The engine dies at the first call that is not listed (KILL_PROCESS): after READY it has no reason
 * to make any other. In the machine process such a call fails with EPERM: the C library may try
 * calls that differ between versions, and works without them.
 */
#include "filter.h"
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who may make a call. An engine started at a guest's reboot inherits the machine's filter, so the
 * machine's set with R includes what an engine needs to start. */
#define E 1u   /* engine, until READY */
#define F 2u   /* engine, while guest code runs */
#define M 4u   /* machine, always */
#define R 8u   /* machine that may start an engine again */
#define S 16u  /* machine that writes a statistics file */
#define K 32u  /* machine that runs the guest through KVM */
#define B 64u  /* the same, and may reboot: another machine is made */
#define D 128u /* machine with disk images */
#define N 256u /* machine with a network of its own (--net user) */

static const struct rule {
    int number;
    unsigned who;
    const char *reason;
} rules[] = {
    { SCMP_SYS(futex), E | F | M | R, "hand-off between the processes, HLT, thread locks" },
    { SCMP_SYS(exit_group), E | F | M | R, "the end" },
    { SCMP_SYS(rt_sigreturn), E | F | M | R, "return from the handler of an instruction's fault" },
    { SCMP_SYS(restart_syscall), E | F | M | R,
      "the kernel resumes a timed futex wait after SIGCONT" },
    { SCMP_SYS(mmap), E | M | R, "guest memory, code area; heap and thread stacks" },
    { SCMP_SYS(munmap), E | M | R, "old stack and vDSO; heap" },
    { SCMP_SYS(mprotect), E | M | R, "protection of the moved image; heap, stack guards" },
    { SCMP_SYS(mremap), E | M | R, "moving the image; growing large heap blocks" },
    { SCMP_SYS(madvise), E | M | R, "huge pages for guest memory; giving heap back" },
    { SCMP_SYS(close), E | M | R, "nothing of the host stays open in the engine" },
    { SCMP_SYS(rt_sigaction), E | M | R, "fault handlers" },
    { SCMP_SYS(rt_sigprocmask), E | M | R, "signals wait for signalfd; unblocked in a new engine" },
    { SCMP_SYS(sigaltstack), E | M | R, "the fault handlers' own stack (sanitizers too)" },
    { SCMP_SYS(prctl), E | M | R, "die with the parent, no new privileges, thread names" },
    { SCMP_SYS(arch_prctl), E | R, "FS and GS base where FSGSBASE is missing" },
    { SCMP_SYS(seccomp), E | R, "the next filter" },
    { SCMP_SYS(getpid), E | M | R, "checks" },
    { SCMP_SYS(getppid), E | R, "has the parent died already?" },
    { SCMP_SYS(pkey_alloc), E | R, "protection keys (direct tier)" },
    { SCMP_SYS(pkey_mprotect), E | R, "protection keys (direct tier)" },

    { SCMP_SYS(read), M, "terminal input, signalfd, eventfd" },
    { SCMP_SYS(write), M, "terminal output, eventfd, statistics" },
    { SCMP_SYS(writev), M, "messages of the C library" },
    { SCMP_SYS(poll), M, "the main loop" },
    { SCMP_SYS(ppoll), M, "the main loop" },
    { SCMP_SYS(ioctl), M, "terminal modes" },
    { SCMP_SYS(clock_gettime), M, "where the vDSO has none" },
    { SCMP_SYS(clock_nanosleep), M, "short waits" },
    { SCMP_SYS(nanosleep), M, "short waits" },
    { SCMP_SYS(brk), M, "heap" },
    { SCMP_SYS(gettid), M, "thread library" },
    { SCMP_SYS(tgkill), M, "abort()" },
    { SCMP_SYS(sched_yield), M, "thread library" },
    { SCMP_SYS(sched_getaffinity), M, "how many CPUs are ours; stack bounds (sanitizers)" },
    { SCMP_SYS(clone), M, "threads; new engines" },
    { SCMP_SYS(clone3), M, "threads; new engines" },
    { SCMP_SYS(set_robust_list), M, "thread library" },
    { SCMP_SYS(rseq), M, "thread library" },
    { SCMP_SYS(exit), M, "end of a thread" },
    { SCMP_SYS(wait4), M, "collecting the engine" },
    { SCMP_SYS(waitid), M, "collecting the engine" },
    { SCMP_SYS(kill), M, "ending the engine; stopping ourselves on SIGTSTP" },
    { SCMP_SYS(fstat), M, "C library streams" },
    { SCMP_SYS(newfstatat), M, "C library streams" },
    { SCMP_SYS(lseek), M, "where guest memory has data" },
    { SCMP_SYS(fallocate), M, "clearing guest memory" },
    { SCMP_SYS(getrandom), M, "seeds; heap" },

    { SCMP_SYS(fsync), S, "the statistics file is whole before it is put in place" },
    { SCMP_SYS(linkat), S, "giving the statistics file a name" },
    { SCMP_SYS(rename), S, "putting the statistics file in place" },
    { SCMP_SYS(unlink), S, "removing it when it could not be written" },

    { SCMP_SYS(io_uring_enter), D,
      "reads and writes of images, on rings restricted to their file" },
    { SCMP_SYS(preadv), D, "the same where io_uring is refused, and what it leaves over" },
    { SCMP_SYS(pwritev2), D, "the same" },
    { SCMP_SYS(fdatasync), D, "the guest's flushes" },

    { SCMP_SYS(connect), N, "the guest's connections" },
    { SCMP_SYS(accept), N, "connections to forwarded ports" },
    { SCMP_SYS(sendto), N, "the guest's data" },
    { SCMP_SYS(recvfrom), N, "data for the guest" },
    { SCMP_SYS(recvmsg), N, "errors of the guest's datagrams" },
    { SCMP_SYS(shutdown), N, "the guest closes one direction" },
    { SCMP_SYS(getsockname), N, "which port a connection has" },
    { SCMP_SYS(getpeername), N, "who connects to a forwarded port" },
    { SCMP_SYS(setsockopt), N, "no delay, urgent data in line, time to live" },
    { SCMP_SYS(getsockopt), N, "did a connection succeed?" },
    { SCMP_SYS(fcntl), N, "sockets that do not wait" },
    { SCMP_SYS(openat), N, "/etc/resolv.conf, when it has changed" },

    { SCMP_SYS(rt_sigtimedwait), K, "the signal that ended KVM_RUN" },
    { SCMP_SYS(timer_create), K, "the devices' next deadline" },
    { SCMP_SYS(timer_settime), K, "the devices' next deadline" },
    { SCMP_SYS(timer_delete), K, "the devices' next deadline" },
    { SCMP_SYS(openat), B, "/dev/kvm" },

    { SCMP_SYS(pread64), R, "the new engine's filters come out of a memory object" },
    { SCMP_SYS(memfd_create), R, "the new engine's wire and code area" },
    { SCMP_SYS(ftruncate), R, "their size" },
    { SCMP_SYS(fcntl), R, "sealing the wire; placing the engine's descriptors" },
    { SCMP_SYS(pipe2), R, "did execve work?" },
    { SCMP_SYS(dup), R, "placing descriptors" },
    { SCMP_SYS(dup2), R, "placing descriptors" },
    { SCMP_SYS(dup3), R, "placing descriptors" },
    { SCMP_SYS(close_range), R, "nothing else stays open" },
    { SCMP_SYS(setsid), R, "the terminal's signals are not for the engine" },
    { SCMP_SYS(prlimit64), R, "no core dumps of the guest" },
    { SCMP_SYS(execveat), R, "the engine, by its descriptor" },
};

/* Only with this value as the first argument. */
static const struct limited_rule {
    struct rule rule;
    uint64_t first;
} limited_rules[] = {
    { { SCMP_SYS(socket), N, "the guest's connections, over IPv4" }, AF_INET },
    { { SCMP_SYS(socket), N, "the guest's connections, over IPv6" }, AF_INET6 },
};

static int add_rules(scmp_filter_ctx context, unsigned who)
{
    int result = 0;

    for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]) && result == 0; i++) {
        if (rules[i].who & who)
            result = seccomp_rule_add(context, SCMP_ACT_ALLOW, rules[i].number, 0);
        if (result == -EEXIST)
            result = 0; /* for another reason already */
    }
    for (unsigned i = 0; i < sizeof(limited_rules) / sizeof(limited_rules[0]) && result == 0; i++) {
        if (limited_rules[i].rule.who & who)
            result = seccomp_rule_add(context, SCMP_ACT_ALLOW, limited_rules[i].rule.number, 1,
                                      (struct scmp_arg_cmp){ .arg = 0,
                                                             .op = SCMP_CMP_EQ,
                                                             .datum_a = limited_rules[i].first });
    }
    return result;
}

/* libseccomp hands out BPF through a descriptor only. */
static int export_filter(scmp_filter_ctx context, struct wire_filter *filter)
{
    int fd = memfd_create("origami-filter", MFD_CLOEXEC);
    int result = -errno;

    if (fd < 0)
        return result;
    result = seccomp_export_bpf(context, fd);
    if (result == 0) {
        ssize_t size = lseek(fd, 0, SEEK_SET) == 0
                           ? read(fd, filter->instruction, sizeof(filter->instruction))
                           : -1;
        if (size <= 0 || size % (ssize_t)sizeof(filter->instruction[0]) != 0)
            result = -EIO;
        else if (lseek(fd, 0, SEEK_END) != size)
            result = -E2BIG;
        else
            filter->length = (uint32_t)((size_t)size / sizeof(filter->instruction[0]));
    }
    close(fd);
    return result;
}

int filter_build(enum filter_stage stage, struct wire_filter *filter, struct problem *problem)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int result = context ? 0 : -ENOMEM;

    filter->length = 0;
    if (result == 0)
        result = add_rules(context, stage == FILTER_ENGINE_EARLY ? E : F);
    if (result == 0)
        result = export_filter(context, filter);
    seccomp_release(context);
    if (result)
        return problem_set(problem, STATUS_HOST, -result, "cannot build a seccomp filter: %s",
                           strerror(-result));
    return 0;
}

/* The columns of the table that a machine process with these needs may use. */
static unsigned columns_of(unsigned needs)
{
    unsigned who = M;

    if (needs & FILTER_STATISTICS)
        who |= S;
    if (needs & FILTER_DISK)
        who |= D;
    if (needs & FILTER_NET)
        who |= N;
    if (needs & FILTER_KVM)
        who |= needs & FILTER_REBOOT ? K | B : K;
    else if (needs & FILTER_REBOOT)
        who |= R;
    return who;
}

int filter_confine_machine(unsigned needs, struct problem *problem)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = context ? 0 : -ENOMEM;

    if (result == 0)
        result = add_rules(context, columns_of(needs));
    if (result == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        result = -errno;
    if (result == 0)
        result = seccomp_load(context);
    seccomp_release(context);
    if (result)
        return problem_set(problem, STATUS_HOST, -result, "cannot install a seccomp filter: %s",
                           strerror(-result));
    return 0;
}
