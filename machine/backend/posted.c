/* SPDX-License-Identifier: MIT */
/*
 * posted.c - what machine and engine tell each other without waiting: interrupt lines and messages,
 * the deadline, a pause; doorbells; pages of translated code that devices have written. The
 * machine's own copies of what it shares are private; the protocols are in include/origami/wire.h.
 */
#include "engineprivate.h"
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

long engine_futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void kick(struct backend *backend)
{
    uint32_t *word = &backend->wire->vcpu[0].kick;

    if (__atomic_load_n(&backend->in_exit, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    engine_futex(word, FUTEX_WAKE, 1, NULL);
}

/* ---- Interrupts, deadline, pause ---- */

void engine_irq_line(struct backend *backend, unsigned gsi, bool level)
{
    unsigned word = gsi / 64 % 4;
    uint64_t bit = 1ull << gsi % 64;

    if (!!(backend->lines[word] & bit) == level)
        return;
    backend->lines[word] ^= bit;
    __atomic_store_n(&backend->wire->lines[word], backend->lines[word], __ATOMIC_SEQ_CST);
    /* A fall is remembered: low and high again before the engine looks is a new edge. */
    if (!level)
        __atomic_fetch_or(&backend->wire->pulses[word], bit, __ATOMIC_SEQ_CST);
    kick(backend);
}

/* Is the same message in the ring, not yet taken? Edges that nobody has seen yet are one. */
static bool message_waits(const struct backend *backend, uint32_t tail, uint32_t requester,
                          uint64_t address, uint32_t data)
{
    if (backend->msi_head - tail > WIRE_MSI_RING)
        return false;
    for (; tail != backend->msi_head; tail++) {
        const volatile struct wire_msi *msi = &backend->wire->msi[tail % WIRE_MSI_RING];
        if (msi->address == address && msi->data == data && msi->requester == requester)
            return true;
    }
    return false;
}

void engine_msi(struct backend *backend, uint32_t requester, uint64_t address, uint32_t data)
{
    struct wire *wire = backend->wire;

    /* What was written for the guest to find comes before the look at what it has taken. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t tail = __atomic_load_n(&wire->msi_tail, __ATOMIC_SEQ_CST);
    if (message_waits(backend, tail, requester, address, data))
        return;

    /* A full ring, or a tail that no honest engine writes: the message is lost, nothing else. */
    if (backend->msi_head - tail >= WIRE_MSI_RING)
        return;
    wire->msi[backend->msi_head % WIRE_MSI_RING] =
        (struct wire_msi){ .address = address, .data = data, .requester = requester };
    backend->msi_head++;
    __atomic_store_n(&wire->msi_head, backend->msi_head, __ATOMIC_SEQ_CST);
    kick(backend);
}

void engine_set_deadline(struct backend *backend, uint64_t when)
{
    if (when == backend->deadline)
        return;
    backend->deadline = when;
    __atomic_store_n(&backend->wire->deadline, when, __ATOMIC_SEQ_CST);
    kick(backend);
}

void engine_pause(struct backend *backend)
{
    __atomic_store_n(&backend->wire->vcpu[0].pause, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&backend->wire->vcpu[0].kick, 1, __ATOMIC_SEQ_CST);
    engine_futex(&backend->wire->vcpu[0].kick, FUTEX_WAKE, 1, NULL);
}

/* ---- Doorbells, and DMA into translated code ---- */

void engine_set_doorbell(struct backend *backend, unsigned slot, uint64_t gpa)
{
    if (slot < WIRE_DOORBELLS)
        __atomic_store_n(&backend->wire->doorbell[slot], gpa, __ATOMIC_SEQ_CST);
}

static bool take_bells(struct backend *backend, uint64_t rung[BACKEND_DOORBELLS])
{
    uint64_t any = 0;

    for (unsigned i = 0; i < WIRE_DOORBELLS; i++) {
        rung[i] = 0;
        if (__atomic_load_n(&backend->wire->rung[i], __ATOMIC_RELAXED))
            rung[i] = __atomic_exchange_n(&backend->wire->rung[i], 0, __ATOMIC_SEQ_CST);
        any |= rung[i];
    }
    return any != 0;
}

bool engine_wait_doorbells(struct backend *backend, uint64_t rung[BACKEND_DOORBELLS])
{
    uint32_t *bell = &backend->wire->bell;
    const struct timespec timeout = { .tv_nsec = ENGINE_SLICE_NS };

    while (!__atomic_load_n(&backend->bell_stopped, __ATOMIC_SEQ_CST)) {
        uint32_t awake = WIRE_BELL_AWAKE;
        __atomic_store_n(bell, WIRE_BELL_AWAKE, __ATOMIC_SEQ_CST);
        if (take_bells(backend, rung))
            return true;
        if (!__atomic_load_n(&backend->bell_stopped, __ATOMIC_SEQ_CST) &&
            __atomic_compare_exchange_n(bell, &awake, WIRE_BELL_ASLEEP, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            engine_futex(bell, FUTEX_WAIT, WIRE_BELL_ASLEEP, &timeout);
    }
    return false;
}

void engine_stop_doorbells(struct backend *backend)
{
    __atomic_store_n(&backend->bell_stopped, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&backend->wire->bell, WIRE_BELL_RUNG, __ATOMIC_SEQ_CST);
    engine_futex(&backend->wire->bell, FUTEX_WAKE, 1, NULL);
}

void engine_code_written(void *context, uint64_t page)
{
    struct backend *backend = context;
    struct wire_vcpu *channel = &backend->wire->vcpu[0];
    uint32_t tail = __atomic_load_n(&channel->code_tail, __ATOMIC_SEQ_CST);

    if (backend->code_head - tail >= WIRE_CODE_RING) {
        __atomic_store_n(&channel->code_lost, 1, __ATOMIC_SEQ_CST);
    } else {
        channel->code[backend->code_head % WIRE_CODE_RING] = page;
        backend->code_head++;
        __atomic_store_n(&channel->code_head, backend->code_head, __ATOMIC_SEQ_CST);
    }
    kick(backend);
}
