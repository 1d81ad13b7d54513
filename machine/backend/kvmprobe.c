/* SPDX-License-Identifier: MIT */
/* kvmprobe.c - a guest that counts down in 64-bit mode, and a watch beside it. */
#include "kvmprobe.h"
#include "hostclock.h"
#include "kvm.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_ROUNDS   100000u
#define PROBE_SECONDS  1
#define ROUND_NS_LIMIT 20 /* two instructions; a CPU takes one or two, an emulator some hundred */

/* What the guest's memory holds, one page each. */
#define PROBE_PML4 0x0000
#define PROBE_PDPT 0x1000
#define PROBE_PD   0x2000
#define PROBE_CODE 0x3000
#define PROBE_SIZE 0x4000

static const struct {
    int number;
    const char *name;
} needed[] = {
    { KVM_CAP_USER_MEMORY, "memory slots" },
    { KVM_CAP_IRQCHIP, "interrupt controllers in the kernel" },
    { KVM_CAP_PIT2, "an 8254 in the kernel" },
    { KVM_CAP_SIGNAL_MSI, "message signalled interrupts" },
    { KVM_CAP_IMMEDIATE_EXIT, "exits on request" },
    { KVM_CAP_EXT_CPUID, "CPUID" },
    { KVM_CAP_XSAVE, "XSAVE state" },
    { KVM_CAP_XCRS, "XCR0" },
    { KVM_CAP_DEBUGREGS, "debug registers" },
};

int kvm_open(char *reason)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        int error = errno;
        snprintf(reason, KVM_REASON, "/dev/kvm: %s", strerror(error));
        return -error;
    }
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        snprintf(reason, KVM_REASON, "/dev/kvm is no KVM that is known here (version %d)", version);
        close(fd);
        return -ENOTSUP;
    }
    for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].number) > 0)
            continue;
        snprintf(reason, KVM_REASON, "this kernel's KVM lacks %s", needed[i].name);
        close(fd);
        return -ENOTSUP;
    }
    return fd;
}

/* ---- The guest, in a child process ---- */

static int make_vm(int system, uint8_t **memory)
{
    static const uint8_t code[] = { 0xb9,
                                    PROBE_ROUNDS & 0xff,
                                    PROBE_ROUNDS >> 8 & 0xff,
                                    PROBE_ROUNDS >> 16 & 0xff,
                                    0, /* mov ecx, ROUNDS */
                                    0xff,
                                    0xc9, /* dec ecx */
                                    0x75,
                                    0xfc,          /* jnz -4 */
                                    0xf4 };        /* hlt */
    static const uint64_t table = 3, large = 0x83; /* P | W; and PS */
    int vm = ioctl(system, KVM_CREATE_VM, 0);

    *memory = mmap(NULL, PROBE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (vm < 0 || *memory == MAP_FAILED)
        return -1;
    const uint64_t pml4 = PROBE_PDPT | table, pdpt = PROBE_PD | table;
    memcpy(*memory + PROBE_PML4, &pml4, 8);
    memcpy(*memory + PROBE_PDPT, &pdpt, 8);
    memcpy(*memory + PROBE_PD, &large, 8);
    memcpy(*memory + PROBE_CODE, code, sizeof(code));
    struct kvm_userspace_memory_region slot = { .memory_size = PROBE_SIZE,
                                                .userspace_addr = (uintptr_t)*memory };
    return ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot)
               ? -1
               : vm;
}

/* Flat 64-bit code at ring 0, as firmware for a 64-bit kernel would leave it. */
static int enter_long_mode(int vcpu)
{
    struct kvm_regs regs = { .rip = PROBE_CODE, .rflags = 2 };
    struct kvm_sregs sregs;

    if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
        return -1;
    sregs.cs = (struct kvm_segment){
        .limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
    };
    sregs.ds = (struct kvm_segment){
        .limit = ~0u, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
    };
    sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
    sregs.cr0 = 0x80000011; /* PG, ET, PE */
    sregs.cr3 = PROBE_PML4;
    sregs.cr4 = 0x20;   /* PAE */
    sregs.efer = 0x500; /* LMA, LME */
    return ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs) ? -1 : 0;
}

struct probe_report {
    uint64_t ns; /* of the whole countdown */
    uint32_t exit;
    int32_t error;
};

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void __attribute__((noreturn)) count_down(int system, int report)
{
    struct probe_report result = { .error = EIO };
    uint8_t *memory;

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    int size = ioctl(system, KVM_GET_VCPU_MMAP_SIZE, 0);
    int vm = make_vm(system, &memory);
    int vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
    struct kvm_run *run = vcpu < 0 || size <= 0 ? MAP_FAILED
                                                : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
                                                       MAP_SHARED, vcpu, 0);
    if (run != MAP_FAILED && enter_long_mode(vcpu) == 0) {
        uint64_t start = monotonic_ns();
        if (ioctl(vcpu, KVM_RUN, 0) == 0)
            result =
                (struct probe_report){ .ns = monotonic_ns() - start, .exit = run->exit_reason };
        else
            result.error = errno;
    }
    _exit(write(report, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
}

/* Its report, unless it takes longer than it may. 0, -ETIMEDOUT, -EIO. */
static int watch(int system, struct probe_report *report)
{
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return -errno;
    pid_t child = fork();
    if (child == 0)
        count_down(system, pipes[1]);
    close(pipes[1]);
    struct pollfd wait = { .fd = pipes[0], .events = POLLIN };
    int result = child < 0 ? -EIO : 0;
    if (result == 0 && poll(&wait, 1, PROBE_SECONDS * 1000) <= 0)
        result = -ETIMEDOUT;
    if (result == 0 && read(pipes[0], report, sizeof(*report)) != (ssize_t)sizeof(*report))
        result = -EIO;
    close(pipes[0]);
    if (child > 0) {
        kill(child, SIGKILL);
        /* One that is stuck in the kernel is not waited for: it is its parent's, or init's, later.
         */
        for (unsigned i = 0; i < 100 && waitpid(child, NULL, WNOHANG) == 0; i++)
            poll(NULL, 0, 10);
    }
    return result;
}

bool kvm_worth_using(char *reason, size_t size)
{
    struct probe_report report = { 0 };
    char why[KVM_REASON];
    int system = kvm_open(why);

    if (system < 0) {
        snprintf(reason, size, "%s", why);
        return false;
    }
    int result = watch(system, &report);
    close(system);
    if (result == -ETIMEDOUT)
        snprintf(reason, size, "/dev/kvm did not run a guest of %u instructions within %d s",
                 2 * PROBE_ROUNDS, PROBE_SECONDS);
    else if (result || report.error)
        snprintf(reason, size, "/dev/kvm cannot run a guest: %s",
                 strerror(result ? -result : report.error));
    else if (report.exit != KVM_EXIT_HLT)
        snprintf(reason, size, "/dev/kvm cannot run 64-bit guest code (exit %u)", report.exit);
    else if (report.ns > (uint64_t)ROUND_NS_LIMIT * PROBE_ROUNDS)
        snprintf(reason, size, "/dev/kvm emulates guest code: %llu ns a round of two instructions",
                 (unsigned long long)(report.ns / PROBE_ROUNDS));
    else
        return true;
    return false;
}
