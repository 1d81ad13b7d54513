/* SPDX-License-Identifier: MIT */
/*
 * ram.h - guest memory as the machine process sees it: chunks of memory objects (memfd), each at
 * its guest-physical place. Never one base plus an address.
 *
 * Layout: RAM at 0 - 640 KiB and 768 KiB - 3 GiB, the rest from 4 GiB up. 640 - 768 KiB is where a
 * VGA adapter would be; 3 - 4 GiB is left to PCI and the interrupt controllers.
 *
 * Overcommit policy: memory is given lazily, page by page, as the guest touches it. A size above
 * the host's memory plus swap is refused at start; below that the host's own overcommit rules
 * apply.
 *
 * Only dma.h and the creation here may touch `host`.
 */
#ifndef ORIGAMI_MACHINE_RAM_H
#define ORIGAMI_MACHINE_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support/problem.h"

#define RAM_PAGE       4096u
#define RAM_CHUNK_MAX  32
#define RAM_MINIMUM    (1ull << 20)
#define RAM_MAXIMUM    (512ull << 30)
#define RAM_VGA        0xa0000ull /* hole of 128 KiB */
#define RAM_VGA_END    0xc0000ull
#define RAM_LOW_LIMIT  0xc0000000ull
#define RAM_HIGH_START 0x100000000ull

struct ram_chunk {
    uint64_t gpa, size; /* page multiples */
    uint8_t *host;      /* where this process has it mapped */
    int fd;             /* memory object, or -1 (tests) */
    uint64_t fd_offset; /* of gpa in it */
};

struct ram {
    struct ram_chunk chunk[RAM_CHUNK_MAX]; /* sorted by gpa, no overlap */
    unsigned count;
    int object[2]; /* the descriptors owned: below and above 4 GiB; -1 = none */
    uint64_t size; /* as asked for */
    /* One byte of flags per guest page, shared with the engine; NULL = nobody wants to know. */
    uint8_t *page_flags;
    uint64_t page_flags_count;
    struct dma_log *log; /* see dma.h; NULL = none */
    /* Called after a page was written that holds translated guest code (DMA_PAGE_CODE), any thread
     * under the device lock; NULL = nobody translates. */
    void (*code_written)(void *context, uint64_t page);
    void *code_context;
};

/* Empty: what ram_destroy() accepts at any time. */
void ram_init(struct ram *ram);
/* Makes `size` bytes (a page multiple) of guest memory. */
int MUST_CHECK ram_create(struct ram *ram, uint64_t size, struct problem *problem);
/* Adds a chunk that the caller owns; in ascending order. For tests and tools. */
int MUST_CHECK ram_add(struct ram *ram, const struct ram_chunk *chunk);
void ram_destroy(struct ram *ram);

/* All zeros again, and the pages given back to the host. */
int MUST_CHECK ram_clear(struct ram *ram, struct problem *problem);

/* First address past the RAM that is contiguous from 1 MiB up; at most 3 GiB. */
uint64_t ram_low_end(const struct ram *ram);
/* Bytes of the page flags that cover all RAM (one byte a page, holes included). */
uint64_t ram_page_count(const struct ram *ram);

/*
 * Is [start, end) completely RAM in one chunk?
 */
bool ram_covers(const struct ram *ram, uint64_t start, uint64_t size);

/* A 64-bit hash of the contents. Untouched and all-zero pages count alike and cost nothing. */
uint64_t ram_hash(const struct ram *ram);

#endif
