/* SPDX-License-Identifier: MIT */
/*
 * blockio.h - reads, writes, flushes and holes of an image, without waiting for them.
 *
 * Three ways, one interface: io_uring where the host lets us, else a few threads, or (deterministic
 * runs) at once. Whatever is begun ends exactly once, with a result. Interrupted and partial
 * transfers are continued, never reported as done; what can't be done is an error, never a wait.
 *
 * All functions but block_start() and block_stop() are called under one lock of the caller (the
 * device lock); `wake` is called from another thread, without it, when there may be something to
 * reap.
 */
#ifndef ORIGAMI_MACHINE_BLOCKIO_H
#define ORIGAMI_MACHINE_BLOCKIO_H

#include <sys/types.h>
#include <sys/uio.h>
#include "image.h"

enum block_operation { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO };

struct block_request {
    enum block_operation operation;
    bool stable;             /* WRITE: on the medium before it is reported (no cache agreed on) */
    bool unmap;              /* ZERO: holes are welcome */
    uint64_t offset, length; /* bytes, inside the image */
    const struct iovec *vector; /* READ, WRITE: `length` bytes; unchanged until reaped */
    unsigned count;
    int result;                 /* after block_reap(): 0 or -errno */
    struct block_request *next; /* blockio's */
};

/* The system calls behind it, as a table, so that tests can make any of them fail at any call. */
struct block_calls {
    ssize_t (*preadv)(int fd, const struct iovec *vector, int count, off_t offset);
    ssize_t (*pwritev2)(int fd, const struct iovec *vector, int count, off_t offset, int flags);
    int (*fdatasync)(int fd);
    int (*fallocate)(int fd, int mode, off_t offset, off_t length);
    off_t (*size)(int fd); /* of a regular file */
};
extern const struct block_calls block_host_calls;

/* Carries out one request on this thread: 0 or -errno. */
int MUST_CHECK block_transfer(const struct block_calls *calls, struct image *image,
                              const struct block_request *request);
/* The same from the `done`th byte on, for what another way has left over. */
int MUST_CHECK block_transfer_rest(const struct block_calls *calls, struct image *image,
                                   const struct block_request *request, uint64_t done);
/* Is the image still all there? A write past the end of a file that was cut would bring it back
 * full of zeros. -EIO, once and for all. */
int MUST_CHECK block_check_size(const struct block_calls *calls, struct image *image);

struct block_io;

/* What a way of doing it provides. */
struct block_way {
    const char *name;
    int (*start)(struct block_io *io, struct problem *problem);
    void (*stop)(struct block_io *io);
    void (*submit)(struct block_io *io, struct block_request *request);
    void (*kick)(struct block_io *io);
    struct block_request *(*reap)(struct block_io *io);
    void (*destroy)(struct block_io *io);
};

#define BLOCK_IN_FLIGHT 256u /* requests under way at once, at most: the caller sees to it */

enum block_choice { BLOCK_BEST, BLOCK_THREADS, BLOCK_AT_ONCE };

/* `image` and `calls` stay the caller's and must last. */
int MUST_CHECK block_create(struct block_io **io, struct image *image,
                            const struct block_calls *calls, enum block_choice choice,
                            void (*wake)(void *context), void *context, struct problem *problem);
void block_destroy(struct block_io *io);
/* "io_uring", "threads" or "synchronous" */
const char *block_name(const struct block_io *io);

/* Starts and ends the threads behind it. Until then requests wait. */
int MUST_CHECK block_start(struct block_io *io, struct problem *problem);
void block_stop(struct block_io *io);

/* Begins a request; block_kick() after the last of a batch. */
void block_submit(struct block_io *io, struct block_request *request);
void block_kick(struct block_io *io);
/* A request that has ended, or NULL. */
struct block_request *block_reap(struct block_io *io);
/* How many have been submitted and not reaped. */
unsigned block_in_flight(const struct block_io *io);

#endif
