/* SPDX-License-Identifier: MIT */
/*
 * main.c - the engine process's conversation with the machine, and its run loop.
 */
#include "engine_process.h"
#include "system.h"
#include "../interpreter/interpreter.h"
#include "../state.h"
#include "../support.h"

static long futex(uint32_t *word, int operation, uint32_t value,
                  const struct kernel_timespec *timeout)
{
    return system4(SYSTEM_futex, (uintptr_t)word, operation, value, (uintptr_t)timeout);
}

static uint64_t host_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Host nanoseconds for statistics: also in runs whose guest clock counts instructions. */
static uint64_t host_nanoseconds(const struct engine_process *process)
{
    const struct wire_setup *setup = &process->setup;
    uint64_t ticks = host_tsc() - setup->clock_host_base;
    return (uint64_t)(((unsigned __int128)ticks * setup->clock_multiplier) >>
                      (setup->clock_shift & 63));
}

/* Gives the machine the move and waits for ours. */
static void hand_over(struct engine_process *process)
{
    struct wire_vcpu *channel = process->channel;
    uint64_t start = host_nanoseconds(process);
    __atomic_store_n(&channel->turn, WIRE_TURN_MACHINE, __ATOMIC_SEQ_CST);
    futex(&channel->turn, FUTEX_WAKE_OPERATION, 1, NULL);
    while (__atomic_load_n(&channel->turn, __ATOMIC_SEQ_CST) != WIRE_TURN_ENGINE)
        futex(&channel->turn, FUTEX_WAIT_OPERATION, WIRE_TURN_MACHINE, NULL);
    process->vcpu.statistics.nanoseconds_machine += host_nanoseconds(process) - start;
}

static void quit(void)
{
    for (;;)
        system1(SYSTEM_exit_group, 0);
}

static void state_command(struct engine_process *process, const struct wire_reply *reply)
{
    struct wire_vcpu *channel = process->channel;
    size_t size = 0;
    int status;
    if (reply->command == WIRE_COMMAND_GET_STATE) {
        status = state_get(&process->vcpu, reply->part, channel->state, WIRE_STATE_SIZE, &size);
        channel->reply.state_size = (uint32_t)size;
    } else {
        status = reply->state_size > WIRE_STATE_SIZE
                     ? -EINVAL
                     : state_set(&process->vcpu, reply->part, reply->version, channel->state,
                                 reply->state_size);
    }
    channel->exit.reason = WIRE_EXIT_STATE;
    channel->exit.status = status;
}

/* Interrupt lines, messages and the deadline that the machine posted. -EAGAIN: it wants to talk. */
static int take_requests(struct engine_process *process)
{
    struct wire *wire = process->wire;
    struct vm *vm = &process->vm;
    bool look = vm->clock.mode == CLOCK_INSTRUCTIONS;
    process_code_written(process); /* before the interrupts that announce it */
    uint64_t deadline = __atomic_load_n(&wire->deadline, __ATOMIC_SEQ_CST);
    if (deadline != process->deadline_seen) {
        process->deadline_seen = deadline;
        vm->machine_deadline = deadline;
        look = true;
    }
    for (unsigned word = 0; word < 4; word++) {
        uint64_t pulses = __atomic_exchange_n(&wire->pulses[word], 0, __ATOMIC_SEQ_CST);
        uint64_t lines = __atomic_load_n(&wire->lines[word], __ATOMIC_SEQ_CST);
        uint64_t changed = pulses | (lines ^ process->lines[word]);
        for (; changed; changed &= changed - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(changed);
            if (pulses >> bit & 1) {
                controllers_irq_line(vm, word * 64 + bit, true);
                controllers_irq_line(vm, word * 64 + bit, false);
            }
            controllers_irq_line(vm, word * 64 + bit, lines >> bit & 1);
        }
        process->lines[word] = lines;
    }
    uint32_t head = __atomic_load_n(&wire->msi_head, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < WIRE_MSI_RING && wire->msi_tail != head; i++) {
        struct wire_msi msi = wire->msi[wire->msi_tail % WIRE_MSI_RING];
        controllers_msi(vm, (uint16_t)msi.requester, msi.address, msi.data);
        __atomic_store_n(&wire->msi_tail, wire->msi_tail + 1, __ATOMIC_SEQ_CST);
    }
    /* Deadline or stop may be nearer now. Where instructions are counted every tier has to look at
     * the same boundary, the next one. */
    process->vcpu.boundary_check = process->vcpu.instructions;
    if (look)
        vcpu_raise(&process->vcpu, ATTENTION_DEBUG);
    return __atomic_load_n(&process->channel->pause, __ATOMIC_SEQ_CST) ? -EAGAIN : 0;
}

int process_converse(struct engine_process *process, uint32_t reason)
{
    struct wire_vcpu *channel = process->channel;
    channel->exit.reason = reason;
    channel->exit.virtual_ns = clock_now(&process->vcpu);
    channel->exit.instructions = process->vcpu.instructions;
    if (reason == WIRE_EXIT_READY)
        channel->exit.value = process->vcpu.translator ? WIRE_TIER_SOFT : WIRE_TIER_STEP;
    for (;;) {
        hand_over(process);
        struct wire_reply reply = channel->reply;
        switch (reply.command) {
        case WIRE_COMMAND_CONTINUE:
            if (process->vm.clock.mode == CLOCK_INSTRUCTIONS)
                process->vm.machine_stop = reply.stop;
            if (take_requests(process) == -EAGAIN)
                vcpu_raise(&process->vcpu, ATTENTION_KICK);
            return 0;
        case WIRE_COMMAND_STOP:
            take_requests(process);
            return -ECANCELED;
        case WIRE_COMMAND_GET_STATE:
        case WIRE_COMMAND_SET_STATE:
            state_command(process, &reply);
            break;
        default:
            quit();
        }
    }
}

void process_fail(struct engine_process *process, const char *message)
{
    struct wire_exit *exit = &process->channel->exit;
    unsigned i;
    for (i = 0; message[i] && i < sizeof(exit->message) - 1; i++)
        exit->message[i] = message[i];
    exit->message[i] = 0;
    exit->reason = WIRE_EXIT_ERROR;
    exit->instructions = process->vcpu.instructions;
    for (;;) {
        hand_over(process);
        if (process->channel->reply.command == WIRE_COMMAND_QUIT)
            quit();
        exit->reason = WIRE_EXIT_ERROR;
    }
}

static struct engine_process *process_of(struct vcpu *vcpu)
{
    return (struct engine_process *)(void *)((char *)vcpu - offsetof(struct engine_process, vcpu));
}

static int operation_port(struct vcpu *vcpu, uint16_t port, unsigned size, bool write,
                          uint32_t *value)
{
    struct engine_process *process = process_of(vcpu);
    struct wire_exit *exit = &process->channel->exit;
    exit->address = port;
    exit->size = size;
    exit->write = write;
    exit->value = write ? *value : 0;
    int status = process_converse(process, WIRE_EXIT_PORT);
    if (!write)
        *value = (uint32_t)(process->channel->reply.value & bits_mask(size));
    return status;
}

static int operation_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write,
                          uint64_t *value)
{
    struct engine_process *process = process_of(vcpu);
    struct wire_exit *exit = &process->channel->exit;
    if (write && process_doorbell(process, gpa, size))
        return 0;
    exit->address = gpa;
    exit->size = size;
    exit->write = write;
    exit->value = write ? *value : 0;
    int status = process_converse(process, WIRE_EXIT_MMIO);
    if (!write)
        *value = process->channel->reply.value & bits_mask(size);
    return status;
}

static int operation_sync(struct vcpu *vcpu)
{
    return take_requests(process_of(vcpu));
}

const struct machine_operations process_operations = {
    .port = operation_port,
    .mmio = operation_mmio,
    .sync = operation_sync,
};

/* HLT: sleeps until an interrupt may have come or a timer is due. Costs no CPU time. */
static void halt(struct engine_process *process)
{
    struct vcpu *vcpu = &process->vcpu;
    struct vm *vm = &process->vm;
    uint64_t deadline = controllers_next_deadline(vm);
    uint64_t now = clock_now(vcpu);
    struct kernel_timespec timeout;
    if (deadline > vm->machine_deadline)
        deadline = vm->machine_deadline;
    if (deadline > vm->machine_stop)
        deadline = vm->machine_stop;
    vcpu->boundary_check = vcpu->instructions;
    if (deadline <= now)
        return;
    if (vm->clock.mode == CLOCK_INSTRUCTIONS && deadline != CLOCK_NEVER) {
        if (__atomic_load_n(vcpu->kick, __ATOMIC_SEQ_CST) == 0)
            clock_skip(vcpu, deadline);
        return;
    }
    timeout.seconds = (int64_t)((deadline - now) / 1000000000u);
    timeout.nanoseconds = (int64_t)((deadline - now) % 1000000000u);
    uint64_t start = host_nanoseconds(process);
    futex(vcpu->kick, FUTEX_WAIT_OPERATION, 0, deadline == CLOCK_NEVER ? NULL : &timeout);
    vcpu->statistics.nanoseconds_halted += host_nanoseconds(process) - start;
}

/* One turn of the guest; returns the exit reason to report, or NONE. */
static uint32_t run_once(struct engine_process *process)
{
    struct vcpu *vcpu = &process->vcpu;
    uint64_t start = host_nanoseconds(process);
    enum vcpu_exit exit = vcpu_run(vcpu, 100000000);
    vcpu->statistics.nanoseconds_run += host_nanoseconds(process) - start;
    switch (exit) {
    case EXIT_BUDGET:
        return WIRE_EXIT_NONE;
    case EXIT_HALTED:
        halt(process);
        return WIRE_EXIT_NONE;
    case EXIT_KICK:
        return WIRE_EXIT_COMMAND;
    case EXIT_DEADLINE:
        return WIRE_EXIT_DEADLINE;
    case EXIT_SHUTDOWN:
        return WIRE_EXIT_SHUTDOWN;
    case EXIT_STOPPED:
        return WIRE_EXIT_STOPPED;
    default:
        process_fail(process, vcpu->internal_error ? vcpu->internal_error : "unknown exit");
    }
}

void process_run(struct engine_process *process)
{
    uint32_t reason = WIRE_EXIT_READY;
    for (;;) {
        if (reason != WIRE_EXIT_NONE && process_converse(process, reason) == -ECANCELED)
            reason = WIRE_EXIT_STOPPED;
        else
            reason = run_once(process);
    }
}
