/* SPDX-License-Identifier: MIT */
/*
 * memory.c - guest-physical memory: the sorted slot map, and physical accesses with MMIO dispatch.
 *
 * Promises: an access outside every slot never touches host memory; what is not RAM goes to the
 * interrupt controllers or the machine in naturally aligned pieces of at most 8 bytes; each RAM
 * write is in the dirty log when the call returns. Knows nothing of linear addresses.
 */
#include "memory.h"
#include "../engine.h"

/* Index of the first slot that ends above gpa (slot_count if none). */
static unsigned slot_search(const struct guest_memory *memory, uint64_t gpa)
{
    unsigned low = 0;
    unsigned high = memory->slot_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        const struct memory_slot *slot = &memory->slot[middle];
        if (gpa - slot->gpa < slot->size)
            return middle;
        if (gpa < slot->gpa)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const struct memory_slot *memory_slot_at(struct guest_memory *memory, uint64_t gpa)
{
    unsigned recent = __atomic_load_n(&memory->recent, __ATOMIC_RELAXED);
    if (recent < memory->slot_count && gpa - memory->slot[recent].gpa < memory->slot[recent].size)
        return &memory->slot[recent];
    unsigned index = slot_search(memory, gpa);
    if (index == memory->slot_count || gpa < memory->slot[index].gpa)
        return NULL;
    __atomic_store_n(&memory->recent, index, __ATOMIC_RELAXED);
    return &memory->slot[index];
}

int memory_add_slot(struct guest_memory *memory, const struct memory_slot *slot)
{
    uint64_t end = slot->gpa + slot->size;
    uint64_t low_bits = slot->gpa | slot->size | (uintptr_t)slot->host;
    if (slot->size == 0 || end < slot->gpa || !slot->host || low_bits & (PAGE_SIZE_4K - 1))
        return -EINVAL;
    unsigned index = slot_search(memory, slot->gpa);
    if (index < memory->slot_count && memory->slot[index].gpa < end)
        return -EEXIST;
    if (memory->slot_count == MEMORY_SLOT_MAX)
        return -ENOSPC;
    memmove(&memory->slot[index + 1], &memory->slot[index],
            (memory->slot_count - index) * sizeof(memory->slot[0]));
    memory->slot[index] = *slot;
    memory->slot_count++;
    memory->generation++;
    return 0;
}

int memory_remove_slot(struct guest_memory *memory, uint64_t gpa)
{
    unsigned index = slot_search(memory, gpa);
    if (index == memory->slot_count || memory->slot[index].gpa != gpa)
        return -ENOENT;
    memory->slot_count--;
    memmove(&memory->slot[index], &memory->slot[index + 1],
            (memory->slot_count - index) * sizeof(memory->slot[0]));
    memory->generation++;
    return 0;
}

void memory_mark_dirty(struct guest_memory *memory, uint64_t gpa, uint64_t size)
{
    if (!memory->page_flags || size == 0)
        return;
    uint64_t last = (gpa + size - 1) / PAGE_SIZE_4K;
    for (uint64_t page = gpa / PAGE_SIZE_4K; page <= last; page++) {
        if (page >= memory->page_flags_count)
            return;
        uint8_t *flags = &memory->page_flags[page];
        if (memory->code_written && (__atomic_load_n(flags, __ATOMIC_RELAXED) & PAGE_CODE))
            memory->code_written(memory->code_context, page * PAGE_SIZE_4K);
        /* Look first: the line then stays shared among vCPUs that write the same page again. */
        if (!(__atomic_load_n(flags, __ATOMIC_RELAXED) & PAGE_DIRTY))
            __atomic_fetch_or(flags, (uint8_t)PAGE_DIRTY, __ATOMIC_SEQ_CST);
    }
}

bool memory_has_code(const struct guest_memory *memory, uint64_t gpa)
{
    uint64_t page = gpa / PAGE_SIZE_4K;
    return memory->page_flags && page < memory->page_flags_count &&
           (memory->page_flags[page] & PAGE_CODE);
}

bool memory_is_dirty(const struct guest_memory *memory, uint64_t gpa)
{
    uint64_t page = gpa / PAGE_SIZE_4K;
    if (!memory->page_flags || page >= memory->page_flags_count)
        return true;
    return __atomic_load_n(&memory->page_flags[page], __ATOMIC_RELAXED) & PAGE_DIRTY;
}

uint8_t *memory_host(struct guest_memory *memory, uint64_t gpa, uint64_t size, bool write)
{
    const struct memory_slot *slot = memory_slot_at(memory, gpa);
    if (!slot || size > slot->size - (gpa - slot->gpa))
        return NULL;
    if (write) {
        if (slot->flags & MEMORY_READ_ONLY)
            return NULL;
        memory_mark_dirty(memory, gpa, size);
    }
    return slot->host + (gpa - slot->gpa);
}

/* One naturally aligned access of 1, 2, 4 or 8 bytes to what is not RAM: 0 or -ECANCELED. */
static int mmio_access(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    if (controllers_mmio(vcpu, gpa, size, write, value)) {
        vcpu->statistics.mmio_internal++;
        return 0;
    }
    vcpu->statistics.mmio_exits++;
    const struct machine_operations *machine = vcpu->vm->machine;
    if (!machine || !machine->mmio)
        return 0; /* nobody answers: reads keep the all ones they came with */
    return machine->mmio(vcpu, gpa, size, write, value) ? -ECANCELED : 0;
}

/*
 * How much of [gpa, gpa + size) can be done at once: up to the end of the RAM slot, with *host set;
 * or, with *host NULL, one MMIO piece (the largest power of two that is aligned and not beyond the
 * end).
 */
static size_t leading_piece(struct guest_memory *memory, uint64_t gpa, size_t size, bool write,
                            uint8_t **host)
{
    const struct memory_slot *slot = memory_slot_at(memory, gpa);
    if (slot && !(write && slot->flags & MEMORY_READ_ONLY)) {
        uint64_t left = slot->size - (gpa - slot->gpa);
        *host = slot->host + (gpa - slot->gpa);
        return size < left ? size : (size_t)left;
    }
    *host = NULL;
    size_t piece = 8;
    while (piece > size || gpa & (piece - 1))
        piece /= 2;
    return piece;
}

int memory_physical_read(struct vcpu *vcpu, uint64_t gpa, void *data, size_t size)
{
    int status = 0;
    uint8_t *to = data;
    while (size) {
        uint8_t *host;
        size_t piece = leading_piece(&vcpu->vm->memory, gpa, size, false, &host);
        if (host) {
            memory_copy(to, host, piece);
        } else {
            uint64_t value = ~0ull;
            if (mmio_access(vcpu, gpa, (unsigned)piece, false, &value))
                status = -ECANCELED;
            memory_copy(to, &value, piece);
        }
        gpa += piece;
        to += piece;
        size -= piece;
    }
    return status;
}

int memory_physical_write(struct vcpu *vcpu, uint64_t gpa, const void *data, size_t size)
{
    struct guest_memory *memory = &vcpu->vm->memory;
    int status = 0;
    const uint8_t *from = data;
    while (size) {
        uint8_t *host;
        size_t piece = leading_piece(memory, gpa, size, true, &host);
        if (host) {
            memory_copy(host, from, piece);
            memory_mark_dirty(memory, gpa, piece);
        } else {
            uint64_t value = 0;
            memory_copy(&value, from, piece);
            if (mmio_access(vcpu, gpa, (unsigned)piece, true, &value))
                status = -ECANCELED;
        }
        gpa += piece;
        from += piece;
        size -= piece;
    }
    return status;
}
