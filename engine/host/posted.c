/* SPDX-License-Identifier: MIT */
/*
 * posted.c - what passes between engine and machine without a hand-off: doorbells, and pages of
 * code that devices have written. The protocols are in include/origami/wire.h.
 */
#include "engine_process.h"
#include "system.h"

bool process_doorbell(struct engine_process *process, uint64_t gpa, unsigned size)
{
    struct wire *wire = process->wire;
    uint64_t page = gpa & ~(uint64_t)(PAGE_SIZE_4K - 1);
    uint64_t word = (gpa - page) / 4;

    if (word >= 64 || gpa % 4 || size > 4)
        return false;
    for (unsigned i = 0; i < WIRE_DOORBELLS; i++) {
        if (__atomic_load_n(&wire->doorbell[i], __ATOMIC_RELAXED) != page)
            continue;
        __atomic_fetch_or(&wire->rung[i], 1ull << word, __ATOMIC_SEQ_CST);
        if (__atomic_exchange_n(&wire->bell, WIRE_BELL_RUNG, __ATOMIC_SEQ_CST) == WIRE_BELL_ASLEEP)
            system4(SYSTEM_futex, (uintptr_t)&wire->bell, FUTEX_WAKE_OPERATION, 1, 0);
        return true;
    }
    return false;
}

static void page_written(struct guest_memory *memory, uint64_t page)
{
    uint64_t gpa = page * PAGE_SIZE_4K;

    if (page < memory->page_flags_count && memory->code_written && memory_has_code(memory, gpa))
        memory->code_written(memory->code_context, gpa);
}

void process_code_written(struct engine_process *process)
{
    struct wire_vcpu *channel = process->channel;
    struct guest_memory *memory = &process->vm.memory;
    uint32_t head = __atomic_load_n(&channel->code_head, __ATOMIC_SEQ_CST);

    for (unsigned i = 0; i < WIRE_CODE_RING && channel->code_tail != head; i++) {
        page_written(memory, channel->code[channel->code_tail % WIRE_CODE_RING]);
        __atomic_store_n(&channel->code_tail, channel->code_tail + 1, __ATOMIC_SEQ_CST);
    }
    if (!__atomic_load_n(&channel->code_lost, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&channel->code_lost, 0, __ATOMIC_SEQ_CST);
    for (uint64_t page = 0; page < memory->page_flags_count; page++)
        page_written(memory, page);
}
