/* SPDX-License-Identifier: MIT */
/* blockway.h - what the ways of doing block I/O share. Included by the storage folder only. */
#ifndef ORIGAMI_MACHINE_BLOCKWAY_H
#define ORIGAMI_MACHINE_BLOCKWAY_H

#include "blockio.h"

struct block_list {
    struct block_request *first, *last;
};

struct block_io {
    const struct block_way *way;
    const struct block_calls *calls;
    struct image *image;
    void (*wake)(void *context);
    void *context;
    unsigned in_flight;
    struct block_list done; /* ended, not reaped; the way's lock protects it, if it has one */
    void *own;              /* the way's */
};

void block_list_add(struct block_list *list, struct block_request *request);
struct block_request *block_list_take(struct block_list *list);

/* -ENOSYS, -EPERM ...: this host does not let us. */
int block_uring_create(struct block_io *io);
int block_threads_create(struct block_io *io);
extern const struct block_way block_way_at_once;

#endif
