/* SPDX-License-Identifier: MIT */
/*
 * kvm.c - the KVM back end: guest memory as KVM's slots, interrupt controllers and timers in the
 * kernel, exits translated one to one.
 *
 * Nothing wakes a thread in KVM_RUN but a signal. Ours is blocked except while the kernel runs the
 * guest (KVM_SET_SIGNAL_MASK, 4.21), so that none is lost between a look at `pause` and the call,
 * and no handler is needed: it is collected afterwards.
 */
#include "kvm.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define KICK      SIGRTMIN
#define IDENTITY  0xfffbc000ull /* a page for the kernel's own use, and three behind it */
#define CPUID_MAX 256

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static int fail(struct problem *problem, const char *what)
{
    int error = errno;

    return problem_set(problem, STATUS_HOST, error, "KVM: %s: %s", what, strerror(error));
}

/* ---- Creation ---- */

static int map_memory(struct backend *backend, struct problem *problem)
{
    for (unsigned i = 0; i < backend->ram->count; i++) {
        const struct ram_chunk *chunk = &backend->ram->chunk[i];
        struct kvm_userspace_memory_region slot = { .slot = i,
                                                    .guest_phys_addr = chunk->gpa,
                                                    .memory_size = chunk->size,
                                                    .userspace_addr = (uintptr_t)chunk->host };
        if (ioctl(backend->vm, KVM_SET_USER_MEMORY_REGION, &slot) != 0)
            return fail(problem, "guest memory");
    }
    return 0;
}

static int make_vm(struct backend *backend, int system, struct problem *problem)
{
    const uint64_t identity = IDENTITY;
    const struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

    backend->vm = ioctl(system, KVM_CREATE_VM, 0);
    if (backend->vm < 0)
        return fail(problem, "a new machine");
    if (ioctl(backend->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) != 0 ||
        ioctl(backend->vm, KVM_SET_TSS_ADDR, IDENTITY + 0x1000) != 0)
        return fail(problem, "its private pages");
    if (ioctl(backend->vm, KVM_CREATE_IRQCHIP, 0) != 0 ||
        ioctl(backend->vm, KVM_CREATE_PIT2, &pit) != 0)
        return fail(problem, "interrupt controllers");
    return map_memory(backend, problem);
}

/* What the kernel can offer, with this CPU's number (0) where CPUID names one. */
static int set_cpuid(struct backend *backend, int system, struct problem *problem)
{
    struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    int result = 0;

    if (!cpuid)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    cpuid->nent = CPUID_MAX;
    if (ioctl(system, KVM_GET_SUPPORTED_CPUID, cpuid) != 0)
        result = fail(problem, "CPUID");
    for (unsigned i = 0; i < cpuid->nent && result == 0; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        if (entry->function == 1) {
            entry->ebx &= 0x00ffffffu;
            entry->ecx |= 1u << 31; /* a hypervisor is present */
        } else if (entry->function == 0xb || entry->function == 0x1f) {
            entry->edx = 0;
        }
    }
    if (result == 0 && ioctl(backend->vcpu, KVM_SET_CPUID2, cpuid) != 0)
        result = fail(problem, "CPUID");
    free(cpuid);
    return result;
}

static int make_vcpu(struct backend *backend, int system, struct problem *problem)
{
    int size = ioctl(system, KVM_GET_VCPU_MMAP_SIZE, 0);

    backend->vcpu = ioctl(backend->vm, KVM_CREATE_VCPU, 0);
    if (size < (int)sizeof(struct kvm_run) || backend->vcpu < 0)
        return fail(problem, "a virtual CPU");
    void *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, backend->vcpu, 0);
    if (run == MAP_FAILED)
        return fail(problem, "the virtual CPU's memory");
    backend->run = run;
    backend->run_size = (size_t)size;
    return set_cpuid(backend, system, problem);
}

static void kvm_destroy(struct backend *backend)
{
    if (!backend)
        return;
    if (backend->threaded)
        timer_delete(backend->timer);
    if (backend->run)
        munmap(backend->run, backend->run_size);
    if (backend->vcpu >= 0)
        close(backend->vcpu);
    if (backend->vm >= 0)
        close(backend->vm);
    free(backend);
}

static int kvm_create(struct backend **result, const struct backend_config *config,
                      struct problem *problem)
{
    char reason[KVM_REASON];
    struct backend *backend = calloc(1, sizeof(*backend));

    *result = NULL;
    if (!backend)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    backend->ram = config->ram;
    backend->vm = backend->vcpu = -1;
    backend->clock = config->clock;
    backend->deadline = backend->reported = ~0ull;
    int system = kvm_open(reason);
    int error = system < 0 ? problem_set(problem, STATUS_HOST, -system, "--accel kvm: %s", reason)
                           : make_vm(backend, system, problem);
    if (error == 0)
        error = make_vcpu(backend, system, problem);
    if (system >= 0)
        close(system);
    if (error) {
        kvm_destroy(backend);
        return error;
    }
    *result = backend;
    return 0;
}

/* ---- Waking the vCPU's thread ---- */

static void arm_timer(struct backend *backend)
{
    uint64_t when = __atomic_load_n(&backend->deadline, __ATOMIC_SEQ_CST);
    uint64_t now = host_clock_ns(&backend->clock, host_clock_tsc());
    struct itimerspec timer = { 0 };

    if (when != ~0ull) {
        uint64_t left = when > now ? when - now : 1;
        timer.it_value.tv_sec = (time_t)(left / 1000000000u);
        timer.it_value.tv_nsec = (long)(left % 1000000000u);
    }
    timer_settime(backend->timer, 0, &timer, NULL);
}

/* The first run: from now on the signal reaches this thread, and only inside KVM_RUN. */
static int enter_thread(struct backend *backend, struct problem *problem)
{
    union {
        struct kvm_signal_mask mask;
        uint8_t room[sizeof(struct kvm_signal_mask) + sizeof(uint64_t)];
    } inside = { 0 };
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK };
    sigset_t kick, now;

    sigemptyset(&kick);
    sigaddset(&kick, KICK);
    pthread_sigmask(SIG_BLOCK, &kick, &now);
    sigdelset(&now, KICK);
    inside.mask.len = sizeof(uint64_t); /* the kernel's signal set */
    memcpy(inside.room + sizeof(inside.mask), &now, sizeof(uint64_t));
    if (ioctl(backend->vcpu, KVM_SET_SIGNAL_MASK, &inside.mask) != 0)
        return fail(problem, "the signal mask");
    event.sigev_notify_thread_id = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &backend->timer) != 0)
        return fail(problem, "a timer");
    backend->thread = pthread_self();
    __atomic_store_n(&backend->threaded, 1, __ATOMIC_SEQ_CST);
    arm_timer(backend);
    return 0;
}

static void collect_signals(void)
{
    const struct timespec at_once = { 0 };
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, KICK);
    while (sigtimedwait(&kick, NULL, &at_once) > 0)
        continue;
}

static void kvm_set_deadline(struct backend *backend, uint64_t when)
{
    if (when == __atomic_load_n(&backend->deadline, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&backend->deadline, when, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&backend->threaded, __ATOMIC_SEQ_CST))
        arm_timer(backend);
}

static void kvm_pause(struct backend *backend)
{
    __atomic_store_n(&backend->pause, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&backend->threaded, __ATOMIC_SEQ_CST))
        pthread_kill(backend->thread, KICK);
}

/* ---- Exits ---- */

static uint8_t *port_data(struct backend *backend)
{
    struct kvm_run *run = backend->run;

    return (uint8_t *)run + run->io.data_offset + (size_t)backend->access_done * run->io.size;
}

/* Puts the answer to the last exit where KVM looks for it. */
static void answer(struct backend *backend, uint64_t value)
{
    struct kvm_run *run = backend->run;

    if (!backend->access_pending)
        return;
    backend->access_pending = false;
    if (run->exit_reason == KVM_EXIT_MMIO) {
        if (!run->mmio.is_write)
            memcpy(run->mmio.data, &value, run->mmio.len);
        return;
    }
    if (run->io.direction == KVM_EXIT_IO_IN)
        memcpy(port_data(backend), &value, run->io.size);
    backend->access_done++;
}

/* One element of a port access; false when a string instruction's are all done. */
static bool next_port(struct backend *backend, struct backend_run *result)
{
    const struct kvm_run *run = backend->run;

    if (run->exit_reason != KVM_EXIT_IO || backend->access_done >= run->io.count)
        return false;
    *result = (struct backend_run){ .exit = BACKEND_PORT,
                                    .address = run->io.port,
                                    .size = run->io.size,
                                    .write = run->io.direction == KVM_EXIT_IO_OUT,
                                    .stop = result->stop };
    if (result->write)
        memcpy(&result->value, port_data(backend), run->io.size);
    backend->access_pending = true;
    return true;
}

static void take_memory(struct backend *backend, struct backend_run *result)
{
    const struct kvm_run *run = backend->run;

    *result = (struct backend_run){ .exit = BACKEND_MMIO,
                                    .address = run->mmio.phys_addr,
                                    .size = run->mmio.len,
                                    .write = run->mmio.is_write };
    if (result->write)
        memcpy(&result->value, run->mmio.data, run->mmio.len);
    backend->access_pending = true;
}

/* KVM_RUN came back for a signal. False: for nothing that concerns our caller. */
static bool interrupted(struct backend *backend, struct backend_run *run)
{
    collect_signals();
    if (run->stop) {
        *run = (struct backend_run){ .exit = BACKEND_STOPPED };
        return true;
    }
    if (__atomic_exchange_n(&backend->pause, 0, __ATOMIC_SEQ_CST)) {
        *run = (struct backend_run){ .exit = BACKEND_PAUSED };
        return true;
    }
    uint64_t when = __atomic_load_n(&backend->deadline, __ATOMIC_SEQ_CST);
    if (when == ~0ull || when == backend->reported)
        return false;
    if (host_clock_ns(&backend->clock, host_clock_tsc()) < when) {
        arm_timer(backend); /* the two clocks differ a little */
        return false;
    }
    backend->reported = when;
    *run = (struct backend_run){ .exit = BACKEND_DEADLINE };
    return true;
}

/* The exits that are neither access nor shutdown. */
static int cannot_go_on(const struct kvm_run *run, struct problem *problem)
{
    if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        return problem_set(problem, STATUS_ENGINE, ECANCELED,
                           "KVM cannot enter the guest (reason 0x%llx)",
                           (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
    if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        return problem_set(problem, STATUS_ENGINE, ECANCELED,
                           "KVM cannot carry out a guest instruction (internal error %u)",
                           run->internal.suberror);
    return problem_set(problem, STATUS_ENGINE, ECANCELED, "KVM: unexpected exit %u",
                       run->exit_reason);
}

/* 1: `run` holds an exit for our caller. */
static int run_once(struct backend *backend, struct backend_run *run, struct problem *problem)
{
    bool leave = run->stop || __atomic_load_n(&backend->pause, __ATOMIC_SEQ_CST);

    /* Then it finishes the last access and comes back at once (5. "immediate_exit"). */
    backend->run->immediate_exit = leave;
    if (ioctl(backend->vcpu, KVM_RUN, 0) != 0) {
        if (errno == EINTR || errno == EAGAIN)
            return interrupted(backend, run);
        return problem_set(problem, STATUS_ENGINE, errno, "KVM cannot run the guest: %s",
                           strerror(errno));
    }
    backend->access_done = 0;
    switch (backend->run->exit_reason) {
    case KVM_EXIT_IO:
        return next_port(backend, run);
    case KVM_EXIT_MMIO:
        take_memory(backend, run);
        return 1;
    case KVM_EXIT_SHUTDOWN:
        *run = (struct backend_run){ .exit = BACKEND_SHUTDOWN };
        return 1;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return interrupted(backend, run);
    default:
        return cannot_go_on(backend->run, problem);
    }
}

static int kvm_run(struct backend *backend, struct backend_run *run, struct problem *problem)
{
    int result = backend->threaded ? 0 : enter_thread(backend, problem);

    answer(backend, run->value);
    if (result == 0 && next_port(backend, run))
        return 0;
    while (result == 0)
        result = run_once(backend, run, problem);
    return result < 0 ? result : 0;
}

/* ---- Interrupts ---- */

static void kvm_irq_line(struct backend *backend, unsigned gsi, bool level)
{
    struct kvm_irq_level line = { .irq = gsi, .level = level };

    /* Fails for lines that the kernel's controllers do not have: nobody listens there. */
    if (ioctl(backend->vm, KVM_IRQ_LINE, &line) != 0)
        return;
}

static void kvm_msi(struct backend *backend, uint32_t requester, uint64_t address, uint32_t data)
{
    struct kvm_msi message = { .address_lo = (uint32_t)address,
                               .address_hi = (uint32_t)(address >> 32),
                               .data = data };

    (void)requester;
    /* Fails where a message reaches no CPU: it is lost, as on a bus. */
    if (ioctl(backend->vm, KVM_SIGNAL_MSI, &message) < 0)
        return;
}

/* ---- State ---- */

static int no_part(enum state_part part, struct problem *problem)
{
    return problem_set(problem, STATUS_ENGINE, ENOTSUP,
                       "the KVM back end does not give or take state part %u", part);
}

static int kvm_get_state(struct backend *backend, enum state_part part, void *data, size_t capacity,
                         size_t *size, struct problem *problem)
{
    *size = part == STATE_REGISTERS ? sizeof(struct vcpu_registers) : XSAVE_AREA_SIZE;
    if (part != STATE_REGISTERS && part != STATE_EXTENDED)
        return no_part(part, problem);
    if (*size > capacity)
        return problem_set(problem, STATUS_HOST, ENOSPC, "state part %u: no room", part);
    int result = part == STATE_REGISTERS ? kvm_get_registers(backend, data)
                                         : kvm_get_extended(backend, data);
    return result ? problem_set(problem, STATUS_HOST, -result, "KVM: reading registers: %s",
                                strerror(-result))
                  : 0;
}

static int kvm_set_state(struct backend *backend, enum state_part part, const void *data,
                         size_t size, struct problem *problem)
{
    size_t wanted = part == STATE_REGISTERS ? sizeof(struct vcpu_registers) : XSAVE_AREA_SIZE;

    if (part != STATE_REGISTERS && part != STATE_EXTENDED)
        return no_part(part, problem);
    if (size != wanted)
        return problem_set(problem, STATUS_ENGINE, EINVAL, "state part %u of %zu bytes", part,
                           size);
    int result = part == STATE_REGISTERS ? kvm_set_registers(backend, data)
                                         : kvm_set_extended(backend, data);
    return result ? problem_set(problem, STATUS_HOST, -result, "KVM: setting registers: %s",
                                strerror(-result))
                  : 0;
}

/* The guest runs in this process: there is no other to watch. */
static pid_t kvm_child(const struct backend *backend)
{
    (void)backend;
    return 0;
}

static void kvm_lost(struct backend *backend, int wait_status)
{
    (void)backend;
    (void)wait_status;
}

const struct backend_operations backend_kvm = {
    .name = "kvm",
    .create = kvm_create,
    .destroy = kvm_destroy,
    .run = kvm_run,
    .get_state = kvm_get_state,
    .set_state = kvm_set_state,
    .irq_line = kvm_irq_line,
    .msi = kvm_msi,
    .set_deadline = kvm_set_deadline,
    .pause = kvm_pause,
    .child = kvm_child,
    .lost = kvm_lost,
};
