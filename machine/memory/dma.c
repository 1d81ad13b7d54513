/* SPDX-License-Identifier: MIT */
/*
 * dma.c - checked access to guest memory. `requester` is not looked at yet: there is no IOMMU,
 * every requester may reach all RAM.
 */
#include "dma.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static struct ram_chunk *chunk_at(struct ram *ram, uint64_t gpa)
{
    for (unsigned i = 0; i < ram->count; i++) {
        if (gpa >= ram->chunk[i].gpa && gpa - ram->chunk[i].gpa < ram->chunk[i].size)
            return &ram->chunk[i];
    }
    return NULL;
}

/* Is every byte of [gpa, gpa + size) RAM? Chunks may touch, so one access may cross them. */
static bool all_ram(struct ram *ram, uint64_t gpa, uint64_t size)
{
    if (gpa + size < gpa)
        return false;
    while (size) {
        const struct ram_chunk *chunk = chunk_at(ram, gpa);
        if (!chunk)
            return false;
        uint64_t piece = chunk->size - (gpa - chunk->gpa);
        if (piece > size)
            piece = size;
        gpa += piece;
        size -= piece;
    }
    return true;
}

/* `after`: the bytes have changed, so what was translated from them must go. */
static void mark_written(struct ram *ram, uint64_t gpa, uint64_t size, bool after)
{
    if (!ram->page_flags || !size)
        return;
    /* The bytes before the look at the flags: whoever clears DIRTY, or sets CODE, later than that
     * look finds the new bytes. So a page that is known as written and holds no code needs no more.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint64_t page = gpa / RAM_PAGE; page <= (gpa + size - 1) / RAM_PAGE; page++) {
        if (page >= ram->page_flags_count)
            break;
        if (__atomic_load_n(&ram->page_flags[page], __ATOMIC_RELAXED) == DMA_PAGE_DIRTY)
            continue;
        uint8_t old =
            __atomic_fetch_or(&ram->page_flags[page], (uint8_t)DMA_PAGE_DIRTY, __ATOMIC_SEQ_CST);
        if (after && old & DMA_PAGE_CODE && ram->code_written)
            ram->code_written(ram->code_context, page);
    }
}

enum direction { FROM_GUEST, TO_GUEST, FILL };

static int transfer(struct ram *ram, enum direction direction, uint64_t gpa, uint8_t *data,
                    uint64_t size)
{
    if (!all_ram(ram, gpa, size))
        return -EFAULT;
    if (direction != FROM_GUEST)
        mark_written(ram, gpa, size, false);
    for (uint64_t done = 0; done < size;) {
        const struct ram_chunk *chunk = chunk_at(ram, gpa + done);
        if (!chunk)
            return -EFAULT;
        uint64_t offset = gpa + done - chunk->gpa;
        uint64_t piece = chunk->size - offset;
        if (piece > size - done)
            piece = size - done;
        if (direction == FROM_GUEST)
            memcpy(data + done, chunk->host + offset, piece);
        else if (direction == TO_GUEST)
            memcpy(chunk->host + offset, data + done, piece);
        else
            memset(chunk->host + offset, *data, piece);
        done += piece;
    }
    /* Again: somebody may have read and cleared the log while the bytes were under way. */
    if (direction != FROM_GUEST)
        mark_written(ram, gpa, size, true);
    return 0;
}

/* True if the log took the bytes. `fill`: `data` is one byte, repeated. */
static bool logged(struct ram *ram, uint32_t requester, uint64_t gpa, const void *data,
                   uint64_t size, bool fill)
{
    const uint8_t *from = data;
    uint8_t same[RAM_PAGE];
    bool taken = true;

    if (!ram->log || requester == DMA_MACHINE || !size || !all_ram(ram, gpa, size))
        return false;
    if (fill)
        memset(same, *from, sizeof(same));
    for (uint64_t done = 0, piece; done < size && taken; done += piece) {
        piece = fill ? sizeof(same) : DMA_LOG_MAX;
        if (piece > size - done)
            piece = size - done;
        taken = ram->log->write(ram->log->context, requester, gpa + done, fill ? same : from + done,
                                piece);
    }
    return taken;
}

/* A piece of memory that a device fills while it must not change under the guest yet. */
struct dma_copy {
    struct dma_copy *next;
    uint64_t gpa, size;
    uint8_t bytes[];
};

static void *copy_make(struct ram *ram, uint64_t gpa, const uint8_t *from, uint64_t size)
{
    struct dma_copy *copy = malloc(sizeof(*copy) + size);

    if (!copy)
        return NULL;
    memcpy(copy->bytes, from, size);
    copy->gpa = gpa;
    copy->size = size;
    copy->next = ram->log->copies;
    ram->log->copies = copy;
    return copy->bytes;
}

static void copy_write_back(struct ram *ram, uint32_t requester, struct dma_copy **link,
                            uint64_t size)
{
    struct dma_copy *copy = *link;

    *link = copy->next;
    if (size > copy->size)
        size = copy->size;
    /* It was RAM when it was mapped. */
    if (!logged(ram, requester, copy->gpa, copy->bytes, size, false) &&
        transfer(ram, TO_GUEST, copy->gpa, copy->bytes, size) != 0)
        mark_written(ram, copy->gpa, size, true);
    free(copy);
}

int dma_read(struct ram *ram, uint32_t requester, uint64_t gpa, void *data, size_t size)
{
    (void)requester;
    return transfer(ram, FROM_GUEST, gpa, data, size);
}

int dma_write(struct ram *ram, uint32_t requester, uint64_t gpa, const void *data, size_t size)
{
    if (logged(ram, requester, gpa, data, size, false))
        return 0;
    return transfer(ram, TO_GUEST, gpa, (uint8_t *)(uintptr_t)data, size);
}

int dma_fill(struct ram *ram, uint32_t requester, uint64_t gpa, uint8_t value, uint64_t size)
{
    if (logged(ram, requester, gpa, &value, size, true))
        return 0;
    return transfer(ram, FILL, gpa, &value, size);
}

void *dma_map(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write)
{
    struct ram_chunk *chunk = chunk_at(ram, gpa);

    if (!chunk || size > chunk->size - (gpa - chunk->gpa))
        return NULL;
    if (write && ram->log && requester != DMA_MACHINE)
        return copy_make(ram, gpa, chunk->host + (gpa - chunk->gpa), size);
    if (write)
        mark_written(ram, gpa, size, false);
    return chunk->host + (gpa - chunk->gpa);
}

void dma_unmap(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write)
{
    if (!write)
        return;
    struct dma_copy **copy = ram->log ? &ram->log->copies : NULL;
    for (; copy && *copy; copy = &(*copy)->next) {
        if ((*copy)->gpa == gpa && requester != DMA_MACHINE) {
            copy_write_back(ram, requester, copy, size);
            return;
        }
    }
    mark_written(ram, gpa, size, true);
}

void dma_unmap_host(struct ram *ram, uint32_t requester, const void *host, uint64_t size,
                    bool write)
{
    const uint8_t *at = host;

    for (struct dma_copy **copy = ram->log ? &ram->log->copies : NULL; copy && *copy;
         copy = &(*copy)->next) {
        if ((*copy)->bytes == at) {
            copy_write_back(ram, requester, copy, size);
            return;
        }
    }
    for (unsigned i = 0; i < ram->count; i++) {
        const struct ram_chunk *chunk = &ram->chunk[i];
        if (at >= chunk->host && (uint64_t)(at - chunk->host) < chunk->size)
            dma_unmap(ram, requester, chunk->gpa + (uint64_t)(at - chunk->host), size, write);
    }
}

bool dma_covers(struct ram *ram, uint64_t gpa, uint64_t size)
{
    return all_ram(ram, gpa, size);
}

uint64_t dma_extent(struct ram *ram, uint64_t gpa, uint64_t size)
{
    const struct ram_chunk *chunk = chunk_at(ram, gpa);

    if (!chunk)
        return 0;
    uint64_t left = chunk->size - (gpa - chunk->gpa);
    return size < left ? size : left;
}

int dma_load16(struct ram *ram, uint32_t requester, uint64_t gpa, uint16_t *value)
{
    const struct ram_chunk *chunk = chunk_at(ram, gpa);

    (void)requester;
    if (!chunk || gpa & 1)
        return -EFAULT;
    const uint16_t *host = (const uint16_t *)(const void *)(chunk->host + (gpa - chunk->gpa));
    *value = __atomic_load_n(host, __ATOMIC_ACQUIRE);
    return 0;
}

int dma_store16(struct ram *ram, uint32_t requester, uint64_t gpa, uint16_t value)
{
    const struct ram_chunk *chunk = chunk_at(ram, gpa);

    if (!chunk || gpa & 1)
        return -EFAULT;
    if (logged(ram, requester, gpa, &value, sizeof(value), false))
        return 0;
    mark_written(ram, gpa, sizeof(value), false);
    uint16_t *host = (uint16_t *)(void *)(chunk->host + (gpa - chunk->gpa));
    __atomic_store_n(host, value, __ATOMIC_RELEASE);
    mark_written(ram, gpa, sizeof(value), true);
    return 0;
}

int dma_discard(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size)
{
    const uint8_t zero = 0;

    if (!size || (gpa | size) % RAM_PAGE || !all_ram(ram, gpa, size))
        return -EFAULT;
    if (logged(ram, requester, gpa, &zero, size, true))
        return 0;
    mark_written(ram, gpa, size, false);
    for (uint64_t done = 0, piece; done < size; done += piece) {
        const struct ram_chunk *chunk = chunk_at(ram, gpa + done);
        if (!chunk)
            return -EFAULT;
        uint64_t offset = gpa + done - chunk->gpa;
        piece = dma_extent(ram, gpa + done, size - done);
        if (chunk->fd < 0)
            memset(chunk->host + offset, 0, piece);
        else if (fallocate(chunk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           (off_t)(chunk->fd_offset + offset), (off_t)piece) != 0)
            return -errno;
    }
    mark_written(ram, gpa, size, true);
    return 0;
}
