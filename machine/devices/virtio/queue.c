/* SPDX-License-Identifier: MIT */
/*
 * queue.c - split virtqueues (virtio 1.2, 2.7), with indirect descriptors (2.7.5.3) and both kinds
 * of notification suppression (2.7.7, 2.7.10).
 *
 * The rings are the driver's memory: each field is copied once, into the chain or a local, and
 * checked there. Indices count up modulo 2^16; their distance bounds the work.
 */
#include "virtio.h"
#include "../../memory/dma.h"
#include "../board.h"
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define DESCRIPTOR_NEXT     1u
#define DESCRIPTOR_WRITE    2u
#define DESCRIPTOR_INDIRECT 4u
#define NO_INTERRUPT        1u

struct descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags, next;
};
_Static_assert(sizeof(struct descriptor) == 16, "2.7.5");

static struct virtio_queue *queue_of(struct device *device, unsigned queue)
{
    return &virtio_state_of(device)->queue[queue];
}

static struct ram *ram_of(struct device *device)
{
    return device->board->host.ram;
}

/* Ring fields the other side changes meanwhile: one move each, never torn. */
static int load16(struct device *device, uint64_t gpa, uint16_t *value)
{
    return dma_load16(ram_of(device), pci_requester(device), gpa, value);
}

static int store16(struct device *device, uint64_t gpa, uint16_t value)
{
    return dma_store16(ram_of(device), pci_requester(device), gpa, value);
}

static uint64_t used_event(const struct virtio_queue *q)
{
    return q->available + 4 + 2ull * q->size;
}

static uint64_t available_event(const struct virtio_queue *q)
{
    return q->used + 4 + 8ull * q->size;
}

int virtq_enable(struct device *device, unsigned queue)
{
    struct virtio_queue *q = queue_of(device, queue);
    struct ram *ram = ram_of(device);

    /* Sizes and alignment: 2.7, table of parts. */
    if (!q->size || q->size > device->class->virtio->queue_size || q->size & (q->size - 1) ||
        q->descriptors % 16 || q->available % 2 || q->used % 4)
        return -EINVAL;
    if (!ram || !dma_covers(ram, q->descriptors, 16ull * q->size) ||
        !dma_covers(ram, q->available, 6 + 2ull * q->size) ||
        !dma_covers(ram, q->used, 6 + 8ull * q->size))
        return -EFAULT;
    q->next_available = q->next_used = q->signalled = q->taken = 0;
    q->told = 0;
    q->enabled = 1;
    return 0;
}

/* ---- Taking chains ---- */

static unsigned waiting(struct device *device, struct virtio_queue *q, bool *broken)
{
    uint16_t index;

    *broken = load16(device, q->available + 2, &index) != 0;
    if (*broken)
        return 0;
    uint16_t count = (uint16_t)(index - q->next_available);
    *broken = count > q->size;
    return *broken ? 0 : count;
}

unsigned virtq_waiting(struct device *device, unsigned queue)
{
    struct virtio_queue *q = queue_of(device, queue);
    bool broken;

    if (!virtio_running(device) || !q->enabled)
        return 0;
    return waiting(device, q, &broken);
}

static int add_segment(struct device *device, struct virtq_chain *chain,
                       const struct descriptor *descriptor)
{
    bool write = descriptor->flags & DESCRIPTOR_WRITE;
    uint64_t *size = write ? &chain->writable_size : &chain->readable_size;

    if (!write && chain->writable)
        return -EPROTO; /* readable ones come first (2.7.4.2) */
    if (!descriptor->size)
        return 0;
    if (chain->readable + chain->writable == VIRTQ_SEGMENTS ||
        chain->readable_size + chain->writable_size + descriptor->size > 1ull << 32)
        return -EPROTO; /* 2.7.5.1: no more than 2^32 bytes in total */
    if (!dma_covers(ram_of(device), descriptor->address, descriptor->size))
        return -EPROTO;
    chain->segment[chain->readable + chain->writable] =
        (struct virtq_segment){ descriptor->address, descriptor->size };
    *size += descriptor->size;
    if (write)
        chain->writable++;
    else
        chain->readable++;
    return 0;
}

/* Walks `count` descriptors' table at `table` from `index`, at most as many as it has: a loop ends
 * there. */
static int walk(struct device *device, struct virtq_chain *chain, uint64_t table, unsigned count,
                unsigned index, bool indirect)
{
    for (unsigned steps = 0; steps < count; steps++) {
        struct descriptor descriptor;
        int result;
        if (index >= count || dma_read(ram_of(device), pci_requester(device), table + 16ull * index,
                                       &descriptor, sizeof(descriptor)) != 0)
            return -EPROTO;
        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            /* Not inside another, not with NEXT, only if agreed on; and no table larger than the
             * chains we take (2.7.5.3.1). WRITE is ignored there (2.7.5.3.2). */
            unsigned entries = descriptor.size / 16;
            if (indirect || descriptor.flags & DESCRIPTOR_NEXT ||
                !virtio_has(device, VIRTIO_F_INDIRECT_DESC) || descriptor.size % 16 ||
                entries > VIRTQ_SEGMENTS ||
                !dma_covers(ram_of(device), descriptor.address, descriptor.size))
                return -EPROTO;
            return walk(device, chain, descriptor.address, entries, 0, true);
        }
        result = add_segment(device, chain, &descriptor);
        if (result)
            return result;
        if (!(descriptor.flags & DESCRIPTOR_NEXT))
            return 0;
        index = descriptor.next;
    }
    return -EPROTO;
}

/* Others want the device lock, too: what is left is for the timer. */
static bool has_budget(struct device *device)
{
    if (!device->budget)
        device_set_timer(device, device_now(device));
    return device->budget;
}

int virtq_pop(struct device *device, unsigned queue, struct virtq_chain *chain)
{
    struct virtio_queue *q = queue_of(device, queue);
    bool broken;
    uint16_t head;

    if (!virtio_running(device) || !q->enabled)
        return 0;
    unsigned count = waiting(device, q, &broken);
    if ((!broken && !count) || !has_budget(device))
        return 0;
    device->budget--;
    /* More out than the queue has descriptors: some are in there twice. */
    broken |= q->taken >= q->size;
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the index before what it promises (2.7.13.3.1) */
    chain->readable = chain->writable = 0;
    chain->readable_size = chain->writable_size = 0;
    if (broken ||
        load16(device, q->available + 4 + 2ull * (q->next_available & (q->size - 1u)), &head) !=
            0 ||
        walk(device, chain, q->descriptors, q->size, head, false) != 0) {
        virtio_fail(device);
        return -EPROTO;
    }
    chain->head = head;
    q->next_available++;
    q->taken++;
    return 1;
}

void virtq_unpop(struct device *device, unsigned queue)
{
    struct virtio_queue *q = queue_of(device, queue);

    q->next_available--;
    q->taken--;
    device->budget++;
}

bool virtq_more(struct device *device, unsigned queue)
{
    struct virtio_queue *q = queue_of(device, queue);
    bool broken;

    if (!virtio_running(device) || !q->enabled)
        return false;
    if (virtio_has(device, VIRTIO_F_EVENT_IDX)) {
        if (store16(device, available_event(q), q->next_available) != 0) {
            virtio_fail(device);
            return false;
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    unsigned count = waiting(device, q, &broken);
    if (broken)
        virtio_fail(device);
    return count != 0 && has_budget(device);
}

/* ---- Giving them back ---- */

void virtq_push(struct device *device, unsigned queue, uint16_t head, uint32_t written)
{
    const struct virtq_used used = { head, written };

    virtq_push_all(device, queue, &used, 1);
}

void virtq_push_all(struct device *device, unsigned queue, const struct virtq_used *used,
                    unsigned count)
{
    struct virtio_queue *q = queue_of(device, queue);

    q->taken -= count < q->taken ? (uint16_t)count : q->taken;
    if (virtio_state_of(device)->resetting) {
        virtio_finish_reset(device);
        return;
    }
    if (!virtio_running(device) || !q->enabled)
        return;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (q->next_used + i) & (q->size - 1u);
        if (dma_write(ram_of(device), pci_requester(device), q->used + 4 + 8ull * at, &used[i],
                      sizeof(used[i])) != 0) {
            virtio_fail(device);
            return;
        }
    }
    q->next_used = (uint16_t)(q->next_used + count);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* the element before the index (2.7.8.2) */
    if (store16(device, q->used + 2, q->next_used) != 0)
        virtio_fail(device);
}

/* Does the driver want to know (2.7.7.2, 2.7.10)? */
static bool wants_interrupt(struct device *device, struct virtio_queue *q)
{
    uint16_t flags, event;

    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* our index before its wish */
    if (!virtio_has(device, VIRTIO_F_EVENT_IDX))
        return load16(device, q->available, &flags) == 0 && !(flags & NO_INTERRUPT);
    if (load16(device, used_event(q), &event) != 0)
        return false;
    uint16_t old = q->signalled;
    bool told = q->told;
    q->signalled = q->next_used;
    q->told = 1;
    return !told || (uint16_t)(q->next_used - event - 1) < (uint16_t)(q->next_used - old);
}

void virtq_signal(struct device *device, unsigned queue)
{
    struct virtio_queue *q = queue_of(device, queue);

    if (!virtio_running(device) || !q->enabled || (q->told && q->signalled == q->next_used))
        return;
    if (!q->told && q->next_used == 0)
        return; /* nothing was pushed yet */
    if (wants_interrupt(device, q))
        virtio_interrupt(device, q->vector, VIRTIO_INTERRUPT_QUEUE);
    q->signalled = q->next_used;
    q->told = 1;
}

/* ---- The memory of a chain ---- */

/* The part of [offset, ...) that lies in one segment of the readable or writable part. */
static const struct virtq_segment *find(const struct virtq_chain *chain, bool write,
                                        uint64_t *offset)
{
    unsigned first = write ? chain->readable : 0;
    unsigned end = write ? chain->readable + chain->writable : chain->readable;

    for (unsigned i = first; i < end; i++) {
        if (*offset < chain->segment[i].size)
            return &chain->segment[i];
        *offset -= chain->segment[i].size;
    }
    return NULL;
}

static size_t copy(struct device *device, const struct virtq_chain *chain, bool write,
                   uint64_t offset, uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        uint64_t at = offset + done;
        const struct virtq_segment *segment = find(chain, write, &at);
        if (!segment)
            break;
        uint64_t piece = segment->size - at;
        if (piece > size - done)
            piece = size - done;
        int result = write ? pci_dma_write(device, segment->gpa + at, data + done, piece)
                           : pci_dma_read(device, segment->gpa + at, data + done, piece);
        if (result)
            break;
        done += piece;
    }
    return done;
}

size_t virtq_read(struct device *device, const struct virtq_chain *chain, uint64_t offset,
                  void *data, size_t size)
{
    return copy(device, chain, false, offset, data, size);
}

size_t virtq_write(struct device *device, const struct virtq_chain *chain, uint64_t offset,
                   const void *data, size_t size)
{
    return copy(device, chain, true, offset, (uint8_t *)(uintptr_t)data, size);
}

/* One piece of guest memory, which may continue the last one on the host as well. */
static int map_piece(struct device *device, uint64_t gpa, uint64_t size, bool write,
                     struct iovec *vector, unsigned *used, unsigned count)
{
    struct ram *ram = ram_of(device);
    struct iovec *last = *used ? &vector[*used - 1] : NULL;
    uint8_t *host = dma_map(ram, pci_requester(device), gpa, size, write);

    if (!host)
        return -EFAULT;
    /* With a log each piece is a copy of its own (dma.h). */
    if (last && !ram->log && (uint8_t *)last->iov_base + last->iov_len == host) {
        last->iov_len += size;
        return 0;
    }
    if (*used == count) {
        dma_unmap_host(ram, pci_requester(device), host, size, write);
        return -E2BIG;
    }
    vector[(*used)++] = (struct iovec){ host, size };
    return 0;
}

int virtq_map(struct device *device, const struct virtq_chain *chain, bool write, uint64_t offset,
              uint64_t size, struct iovec *vector, unsigned count)
{
    const struct virtq_segment *segment = chain->segment + (write ? chain->readable : 0);
    const struct virtq_segment *end =
        chain->segment + chain->readable + (write ? chain->writable : 0);
    unsigned used = 0;
    int result = pci_is_master(device) ? 0 : -EFAULT;

    for (; size && segment < end && result == 0; segment++) {
        uint64_t left = segment->size, gpa = segment->gpa;
        if (offset >= left) {
            offset -= left;
            continue;
        }
        gpa += offset;
        left -= offset;
        offset = 0;
        left = left < size ? left : size;
        size -= left;
        /* A segment may cross from one piece of RAM to the next. */
        for (uint64_t piece; left && result == 0; gpa += piece, left -= piece) {
            piece = dma_extent(ram_of(device), gpa, left);
            result = piece ? map_piece(device, gpa, piece, write, vector, &used, count) : -EFAULT;
        }
    }
    if (result == 0 && size == 0)
        return (int)used;
    virtq_unmap(device, vector, used, write);
    return result ? result : -EFAULT;
}

void virtq_unmap(struct device *device, const struct iovec *vector, unsigned count, bool write)
{
    struct ram *ram = ram_of(device);

    for (unsigned i = 0; i < count && ram; i++)
        dma_unmap_host(ram, pci_requester(device), vector[i].iov_base, vector[i].iov_len, write);
}
