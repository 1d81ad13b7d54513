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

/* Bits of a page's flag byte; the same as the engine's. */
#define DMA_PAGE_DIRTY 1u
#define DMA_PAGE_CODE  2u

/* Copy once, across chunks. 0, or -EFAULT if any byte is not RAM (nothing is copied then). */
int MUST_CHECK dma_read(struct ram *ram, uint32_t requester, uint64_t gpa, void *data, size_t size);
int MUST_CHECK dma_write(struct ram *ram, uint32_t requester, uint64_t gpa, const void *data,
                         size_t size);
int MUST_CHECK dma_fill(struct ram *ram, uint32_t requester, uint64_t gpa, uint8_t value,
                        uint64_t size);

/*
 * A host pointer to [gpa, gpa + size), or NULL if it does not lie in one chunk. The contents may
 * change under the caller: copy, then check. With `write` the pages are marked as written at
 * dma_unmap().
 */
void *dma_map(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write);
void dma_unmap(struct ram *ram, uint32_t requester, uint64_t gpa, uint64_t size, bool write);

#endif
