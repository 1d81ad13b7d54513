/* SPDX-License-Identifier: MIT */
/*
 * uring.c - block I/O through io_uring: one system call a batch, and none to collect it.
 *
 * The ring is made before the process is confined, knows one file, and is restricted to the four
 * operations used here (io_uring_register(2), IORING_REGISTER_RESTRICTIONS): it is no way around
 * the system call filter. What completes while it is being submitted, as most of what the page
 * cache has does, is reaped by the submitter; for the rest an eventfd wakes a thread. The kernel
 * cancels what a thread has begun when that thread ends: such requests, and partial transfers, are
 * carried out to their end on the thread that reaps them.
 */
#include "blockway.h"
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

struct uring {
    struct io_uring ring;
    int event;
    uint32_t stopping; /* atomic */
    bool running;
    unsigned prepared; /* entries not handed to the kernel yet */
    pthread_t thread;
};

static void *watch(void *argument)
{
    struct block_io *io = argument;
    struct uring *uring = io->own;
    uint64_t count;

    while (!__atomic_load_n(&uring->stopping, __ATOMIC_SEQ_CST)) {
        if (read(uring->event, &count, sizeof(count)) > 0)
            io->wake(io->context);
    }
    return NULL;
}

static int start(struct block_io *io, struct problem *problem)
{
    struct uring *uring = io->own;
    int error = pthread_create(&uring->thread, NULL, watch, io);

    if (error)
        return problem_set(problem, STATUS_HOST, error, "cannot start a thread: %s",
                           strerror(error));
    uring->running = true;
    return 0;
}

static void stop(struct block_io *io)
{
    struct uring *uring = io->own;
    const uint64_t one = 1;

    if (!uring->running)
        return;
    __atomic_store_n(&uring->stopping, 1, __ATOMIC_SEQ_CST);
    if (write(uring->event, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(uring->thread, NULL);
    uring->running = false;
    uring->stopping = 0;
}

static void finish_here(struct block_io *io, struct block_request *request, uint64_t done)
{
    request->result = block_transfer_rest(io->calls, io->image, request, done);
    block_list_add(&io->done, request);
}

static void prepare(struct block_io *io, struct io_uring_sqe *entry, struct block_request *request)
{
    bool hole = request->operation == BLOCK_DISCARD || request->unmap;
    int mode = (hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;

    switch (request->operation) {
    case BLOCK_READ:
        io_uring_prep_readv(entry, 0, request->vector, request->count, request->offset);
        break;
    case BLOCK_WRITE:
        io_uring_prep_writev2(entry, 0, request->vector, request->count, request->offset,
                              request->stable ? RWF_DSYNC : 0);
        break;
    case BLOCK_FLUSH:
        io_uring_prep_fsync(entry, 0, IORING_FSYNC_DATASYNC);
        break;
    default:
        io_uring_prep_fallocate(entry, 0, mode, (off_t)request->offset, (off_t)request->length);
        break;
    }
    io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data(entry, request);
    (void)io;
}

/* What needs more than one call, or is known to fail, is not for the ring. */
static bool suits(struct block_io *io, const struct block_request *request)
{
    switch (request->operation) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return block_check_size(io->calls, io->image) == 0;
    case BLOCK_FLUSH:
        return !io->image->read_only &&
               !__atomic_load_n(&io->image->flush_failed, __ATOMIC_RELAXED);
    default:
        return !request->stable && block_check_size(io->calls, io->image) == 0;
    }
}

static void kick(struct block_io *io)
{
    struct uring *uring = io->own;

    while (uring->prepared) {
        int submitted = io_uring_submit(&uring->ring);
        if (submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY)
            continue; /* a moment's shortage in the kernel */
        if (submitted <= 0)
            break; /* what is left stays prepared; reap() sees to it */
        uring->prepared -=
            (unsigned)submitted < uring->prepared ? (unsigned)submitted : uring->prepared;
    }
}

static void submit(struct block_io *io, struct block_request *request)
{
    struct uring *uring = io->own;
    struct io_uring_sqe *entry = suits(io, request) ? io_uring_get_sqe(&uring->ring) : NULL;

    if (!entry) {
        finish_here(io, request, 0);
        return;
    }
    if (!uring->prepared)
        io_uring_cq_eventfd_toggle(&uring->ring, false); /* we look ourselves, see reap() */
    prepare(io, entry, request);
    uring->prepared++;
}

static void complete(struct block_io *io, struct block_request *request, int result)
{
    bool moves = request->operation == BLOCK_READ || request->operation == BLOCK_WRITE;

    if (result == -ECANCELED || result == -EINTR || result == -EAGAIN) {
        finish_here(io, request, 0);
    } else if (moves && result > 0 && (uint64_t)result < request->length) {
        finish_here(io, request, (uint64_t)result);
    } else if (request->operation == BLOCK_ZERO && result < 0) {
        finish_here(io, request, 0); /* there are other ways */
    } else if (moves && result == 0) {
        finish_here(io, request, 0); /* says why there was nothing */
    } else {
        request->result = result < 0 ? result : 0;
        if (request->operation == BLOCK_DISCARD &&
            (result == -EOPNOTSUPP || result == -EINVAL || result == -ENODEV))
            request->result = 0; /* only a hint */
        if (request->operation == BLOCK_FLUSH && result < 0)
            __atomic_store_n(&io->image->flush_failed, 1, __ATOMIC_RELAXED);
        block_list_add(&io->done, request);
    }
}

static bool take(struct block_io *io)
{
    struct uring *uring = io->own;
    struct io_uring_cqe *entry;

    if (io_uring_peek_cqe(&uring->ring, &entry) != 0 || !entry)
        return false;
    struct block_request *request = io_uring_cqe_get_data(entry);
    int result = entry->res;
    io_uring_cqe_seen(&uring->ring, entry);
    complete(io, request, result);
    return true;
}

static struct block_request *reap(struct block_io *io)
{
    struct uring *uring = io->own;

    if (uring->prepared)
        kick(io);
    if (!io->done.first && !take(io)) {
        /* Nothing now: let the eventfd tell of what comes, then look once more. */
        io_uring_cq_eventfd_toggle(&uring->ring, true);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        take(io);
    }
    return block_list_take(&io->done);
}

static void destroy(struct block_io *io)
{
    struct uring *uring = io->own;

    io_uring_queue_exit(&uring->ring);
    close(uring->event);
    free(uring);
}

static const struct block_way way = {
    .name = "io_uring",
    .start = start,
    .stop = stop,
    .submit = submit,
    .kick = kick,
    .reap = reap,
    .destroy = destroy,
};

/* liburing 2.3 declares functions for these two operations and forgets to export them. */
static int register_with(const struct io_uring *ring, unsigned operation, const void *argument,
                         unsigned count)
{
    return syscall(SYS_io_uring_register, ring->ring_fd, operation, argument, count) < 0 ? -errno
                                                                                         : 0;
}

static int restrict_ring(struct io_uring *ring, int fd)
{
    static const uint8_t operations[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                          IORING_OP_FALLOCATE };
    struct io_uring_restriction rules[6] = { 0 };
    unsigned count = 0;

    for (; count < sizeof(operations); count++) {
        rules[count].opcode = IORING_RESTRICTION_SQE_OP;
        rules[count].sqe_op = operations[count];
    }
    rules[count].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    rules[count++].sqe_flags = IOSQE_FIXED_FILE;
    rules[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[count++].sqe_flags = IOSQE_FIXED_FILE;
    int result = io_uring_register_files(ring, &fd, 1);
    if (result == 0)
        result = register_with(ring, IORING_REGISTER_RESTRICTIONS, rules, count);
    return result == 0 ? register_with(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0) : result;
}

int block_uring_create(struct block_io *io)
{
    struct io_uring_params parameters = { .flags = IORING_SETUP_R_DISABLED };
    struct uring *uring = calloc(1, sizeof(*uring));
    int result = -ENOMEM;

    if (!uring)
        return result;
    uring->event = eventfd(0, EFD_CLOEXEC);
    if (uring->event < 0) {
        free(uring);
        return -errno;
    }
    result = io_uring_queue_init_params(BLOCK_IN_FLIGHT, &uring->ring, &parameters);
    if (result) {
        close(uring->event);
        free(uring);
        return result;
    }
    io->own = uring;
    result = io_uring_register_eventfd(&uring->ring, uring->event);
    if (result == 0)
        result = restrict_ring(&uring->ring, io->image->fd);
    if (result) {
        destroy(io);
        io->own = NULL;
        return result;
    }
    io->way = &way;
    return 0;
}
