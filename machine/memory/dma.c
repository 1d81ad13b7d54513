/* SPDX-License-Identifier: MIT */
/*
 * dma.c - checked access to guest memory. `requester` is not looked at yet: there is no IOMMU,
 * every requester may reach all RAM.
 */
#include "dma.h"
#include <errno.h>
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

static void mark_written(struct ram *ram, uint64_t gpa, uint64_t size)
{
    if (!ram->page_flags || !size)
        return;
    for (uint64_t page = gpa / RAM_PAGE; page <= (gpa + size - 1) / RAM_PAGE; page++) {
        if (page < ram->page_flags_count)
            __atomic_fetch_or(&ram->page_flags[page], (uint8_t)DMA_PAGE_DIRTY, __ATOMIC_SEQ_CST);
    }
}

enum direction { FROM_GUEST, TO_GUEST, FILL };

static int transfer(struct ram *ram, enum direction direction, uint64_t gpa, uint8_t *data,
                    uint64_t size)
{
    if (!all_ram(ram, gpa, size))
        return -EFAULT;
    if (direction != FROM_GUEST)
        mark_written(ram, gpa, size);
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
        mark_written(ram, gpa, size);
    return 0;
}

int dma_read(struct ram *ram, uint32_t requester, uint64_t gpa, void *data, size_t size)
{
    (void)requester;
    return transfer(ram, FROM_GUEST, gpa, data, size);
}

int dma_write(struct ram *ram, uint32_t requester, uint64_t gpa, const void *data, size_t size)
{
    (void)requester;
    return transfer(ram, TO_GUEST, gpa, (uint8_t *)(uintptr_t)data, size);
}

int dma_fill(struct ram *ram, uint32_t requester, uint64_t gpa, uint8_t value, uint64_t size)
{
    (void)requester;
    return transfer(ram, FILL, gpa, &value, size);
}

void *dma_map(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write)
{
    struct ram_chunk *chunk = chunk_at(ram, gpa);

    (void)requester;
    if (!chunk || size > chunk->size - (gpa - chunk->gpa))
        return NULL;
    if (write)
        mark_written(ram, gpa, size);
    return chunk->host + (gpa - chunk->gpa);
}

void dma_unmap(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write)
{
    (void)requester;
    if (write)
        mark_written(ram, gpa, size);
}
