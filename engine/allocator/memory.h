/* SPDX-License-Identifier: MIT */
/*
 * memory.h - guest-physical memory: a map from guest-physical chunks to (fd, offset), never one
 * base.
 *
 * Slots come and go (hot plug, snapshots with an overlay); a host address is only valid until the
 * map's generation changes. Everything that is not RAM is MMIO: the interrupt controllers inside
 * the engine first, then the machine.
 */
#ifndef ORIGAMI_ENGINE_MEMORY_H
#define ORIGAMI_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support.h"

struct vm;
struct vcpu;

#define PAGE_SIZE_4K     4096u
#define MEMORY_SLOT_MAX  32
#define MEMORY_READ_ONLY 1u /* writes go to MMIO (ROM) */

struct memory_slot {
    uint64_t gpa;       /* page aligned */
    uint64_t size;      /* page multiple, > 0 */
    uint8_t *host;      /* where this process has mapped it, page aligned */
    int32_t fd;         /* descriptor number of the backing object in this process, or -1 */
    uint32_t flags;     /* MEMORY_* */
    uint64_t fd_offset; /* offset of gpa in the object */
};

/* One byte of flags per guest page, shared with the machine process: writers use atomic OR/AND.
 * Writes through a TLB entry are noted when the entry is filled: whoever clears PAGE_DIRTY then
 * makes every vCPU flush its TLB. */
#define PAGE_DIRTY 1u /* written since the log was last read */
#define PAGE_CODE  2u /* translations exist (later tiers) */

struct guest_memory {
    struct memory_slot slot[MEMORY_SLOT_MAX]; /* sorted by gpa, no overlap */
    unsigned slot_count;
    uint64_t generation; /* changes with every slot change */
    uint8_t *page_flags; /* indexed by guest frame number; NULL = no log kept */
    uint64_t page_flags_count;
    /* Told before a page with PAGE_CODE is written; clears the flag. */
    void (*code_written)(void *context, uint64_t gpa);
    void *code_context;
    unsigned recent; /* slot found last: a hint, may be stale */
};

/* Adds a slot. -EINVAL (alignment of gpa, size or host, size 0, wrap), -EEXIST (overlap), -ENOSPC
 * (too many). */
int memory_add_slot(struct guest_memory *memory, const struct memory_slot *slot);
/* Removes the slot that starts at gpa. -ENOENT. The caller flushes every TLB. */
int memory_remove_slot(struct guest_memory *memory, uint64_t gpa);

/* Host address of [gpa, gpa + size) if it lies in one RAM slot, else NULL. With `write`, NULL for
 * read-only slots and the pages are marked dirty. */
uint8_t *memory_host(struct guest_memory *memory, uint64_t gpa, uint64_t size, bool write);

/* The slot that holds gpa, or NULL. */
const struct memory_slot *memory_slot_at(struct guest_memory *memory, uint64_t gpa);
/* Notes that [gpa, gpa + size) has been written. */
/* Does the page hold code that has been translated? */
bool memory_has_code(const struct guest_memory *memory, uint64_t gpa);
void memory_mark_dirty(struct guest_memory *memory, uint64_t gpa, uint64_t size);
/* Is the page of gpa known as written (true when no log is kept)? */
bool memory_is_dirty(const struct guest_memory *memory, uint64_t gpa);

/* Copies, 1, 2, 4 and 8 bytes by one move each: what the guest reads and writes at once must not
 * tear under another vCPU. */
static inline void memory_copy(void *to, const void *from, size_t size)
{
    switch (size) {
    case 1:
        __builtin_memcpy(to, from, 1);
        break;
    case 2:
        __builtin_memcpy(to, from, 2);
        break;
    case 4:
        __builtin_memcpy(to, from, 4);
        break;
    case 8:
        __builtin_memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, size);
    }
}

/*
 * Reads or writes guest-physical memory of any size, crossing slots and pages; what is not RAM goes
 * to the interrupt controllers or the machine in naturally aligned pieces of at most 8 bytes.
 * `vcpu` is who asks (for MMIO). Returns 0 or -ECANCELED (see struct machine_operations).
 */
int memory_physical_read(struct vcpu *vcpu, uint64_t gpa, void *data, size_t size);
int memory_physical_write(struct vcpu *vcpu, uint64_t gpa, const void *data, size_t size);

#endif
