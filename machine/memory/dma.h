/* SPDX-License-Identifier: MIT */
/*
 * dma.h - the only way to guest memory for devices, firmware tables and loaders. Every access names
 * its requester: this is the single place for an IOMMU, the dirty log and code invalidation.
 */
#ifndef ORIGAMI_MACHINE_DMA_H
#define ORIGAMI_MACHINE_DMA_H

#include "ram.h"

/* PCI requester ids are 16 bits; the machine itself (loaders, firmware tables) is no PCI function.
 */
#define DMA_MACHINE 0xffffffffu

/* Bits of a page's flag byte; the same as the engine's. Whoever writes a page sets DIRTY before and
 * after; if CODE is set after the bytes have changed, ram->code_written is called, and only then
 * may the guest be told that the write is complete. An engine sets CODE before it reads the bytes
 * it translates, so that one of the two sees the other. */
#define DMA_PAGE_DIRTY 1u
#define DMA_PAGE_CODE  2u

/*
 * Who must know what devices write, because it is input to the guest: a run that is recorded or
 * replayed. Not asked about DMA_MACHINE. Returns whether the bytes are taken care of, now or later;
 * then they are not written here. `size` is at most DMA_LOG_MAX.
 */
struct dma_log {
    void *context;
    bool (*write)(void *context, uint32_t requester, uint64_t gpa, const void *data, size_t size);
    struct dma_copy *copies; /* what devices hold mapped for writing; dma.c's */
};
#define DMA_LOG_MAX 65536u

/* Copy once, across chunks. 0, or -EFAULT if any byte is not RAM (nothing is copied then). */
int MUST_CHECK dma_read(struct ram *ram, uint32_t requester, uint64_t gpa, void *data, size_t size);
int MUST_CHECK dma_write(struct ram *ram, uint32_t requester, uint64_t gpa, const void *data,
                         size_t size);
int MUST_CHECK dma_fill(struct ram *ram, uint32_t requester, uint64_t gpa, uint8_t value,
                        uint64_t size);

/*
 * A host pointer to [gpa, gpa + size), or NULL if it does not lie in one chunk. The contents may
 * change under the caller: copy, then check. With `write` the pages are marked as written at
 * dma_unmap(). While there is a dma_log a device gets a copy of what it may write, which is written
 * back at dma_unmap().
 */
void *dma_map(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write);
void dma_unmap(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write);
/* The same for who has kept only the pointer. */
void dma_unmap_host(struct ram *ram, uint32_t requester, const void *host, uint64_t size,
                    bool write);

/* Is all of [gpa, gpa + size) RAM? `size` > 0. */
bool MUST_CHECK dma_covers(struct ram *ram, uint64_t gpa, uint64_t size);
/* How many of the `size` bytes at gpa lie in one piece that dma_map() can give; 0 = not RAM. */
uint64_t dma_extent(struct ram *ram, uint64_t gpa, uint64_t size);

/* One aligned 16-bit move each, which nobody sees half done. -EFAULT: not RAM, or odd. */
int MUST_CHECK dma_load16(struct ram *ram, uint32_t requester, uint64_t gpa, uint16_t *value);
int MUST_CHECK dma_store16(struct ram *ram, uint32_t requester, uint64_t gpa, uint16_t value);

/* Gives whole pages back to the host: they read as zeros afterwards. -EFAULT: not RAM, or not page
 * aligned; other errors are the host's. */
int MUST_CHECK dma_discard(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size);

#endif
