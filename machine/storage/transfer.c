/* SPDX-License-Identifier: MIT */
/* transfer.c - one request, carried out to its end on this thread, through a table of system calls.
 */
#include "blockio.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VECTOR_MAX  64      /* pieces handed to the kernel at once */
#define ZEROS       65536u  /* bytes written at once where the host can't zero a range */
#define INTERRUPTED 1000000 /* a call that is interrupted this often in a row has failed */

static off_t file_size(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? status.st_size : -1;
}

const struct block_calls block_host_calls = {
    .preadv = preadv,
    .pwritev2 = pwritev2,
    .fdatasync = fdatasync,
    .fallocate = fallocate,
    .size = file_size,
};

int block_check_size(const struct block_calls *calls, struct image *image)
{
    if (image->device)
        return 0;
    if (!__atomic_load_n(&image->shrunk, __ATOMIC_RELAXED)) {
        off_t size = calls->size(image->fd);
        if (size >= 0 && (uint64_t)size >= image->size)
            return 0;
        __atomic_store_n(&image->shrunk, 1, __ATOMIC_RELAXED);
    }
    return -EIO;
}

/* The pieces of the request from byte `done` on, as many as fit. */
static int rest_of(const struct block_request *request, uint64_t done, struct iovec *vector)
{
    int count = 0;

    for (unsigned i = 0; i < request->count && count < VECTOR_MAX; i++) {
        const struct iovec *piece = &request->vector[i];
        if (done >= piece->iov_len) {
            done -= piece->iov_len;
            continue;
        }
        vector[count++] =
            (struct iovec){ (uint8_t *)piece->iov_base + done, piece->iov_len - (size_t)done };
        done = 0;
    }
    return count;
}

static int move(const struct block_calls *calls, struct image *image,
                const struct block_request *request, uint64_t done)
{
    bool write = request->operation == BLOCK_WRITE;
    unsigned interrupted = 0;

    while (done < request->length) {
        struct iovec vector[VECTOR_MAX];
        int count = rest_of(request, done, vector);
        off_t offset = (off_t)(request->offset + done);
        ssize_t moved = write ? calls->pwritev2(image->fd, vector, count, offset,
                                                request->stable ? RWF_DSYNC : 0)
                              : calls->preadv(image->fd, vector, count, offset);
        if (moved < 0 && (errno == EINTR || errno == EAGAIN) && ++interrupted < INTERRUPTED)
            continue;
        if (moved < 0)
            return errno ? -errno : -EIO;
        if (moved ==
            0) { /* the end of the file: it was cut under us; or a device that takes none */
            if (!write && !image->device)
                __atomic_store_n(&image->shrunk, 1, __ATOMIC_RELAXED);
            return -EIO;
        }
        if ((uint64_t)moved > request->length - done)
            return -EIO;
        interrupted = 0;
        done += (uint64_t)moved;
    }
    return 0;
}

static int flush(const struct block_calls *calls, struct image *image)
{
    int result;

    if (__atomic_load_n(&image->flush_failed, __ATOMIC_RELAXED))
        return -EIO; /* the kernel forgets an error once it has told it; we do not */
    if (image->read_only)
        return 0;
    for (unsigned i = 0; i < INTERRUPTED; i++) {
        result = calls->fdatasync(image->fd) == 0 ? 0 : -errno;
        if (result != -EINTR)
            break;
    }
    if (result)
        __atomic_store_n(&image->flush_failed, 1, __ATOMIC_RELAXED);
    return result;
}

static int punch(const struct block_calls *calls, struct image *image, int mode, uint64_t offset,
                 uint64_t length)
{
    for (unsigned i = 0; i < INTERRUPTED; i++) {
        if (calls->fallocate(image->fd, mode, (off_t)offset, (off_t)length) == 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
    return -EINTR;
}

static bool unsupported(int result)
{
    return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV || result == -EINVAL ||
           result == -EPERM;
}

static int write_zeros(const struct block_calls *calls, struct image *image,
                       const struct block_request *request)
{
    static const uint8_t zeros[ZEROS];

    for (uint64_t done = 0, piece; done < request->length; done += piece) {
        piece = request->length - done < ZEROS ? request->length - done : ZEROS;
        const struct iovec vector = { (void *)(uintptr_t)zeros, (size_t)piece };
        const struct block_request part = { .operation = BLOCK_WRITE,
                                            .stable = request->stable,
                                            .offset = request->offset + done,
                                            .length = piece,
                                            .vector = &vector,
                                            .count = 1 };
        int result = move(calls, image, &part, 0);
        if (result)
            return result;
    }
    return 0;
}

static int zero(const struct block_calls *calls, struct image *image,
                const struct block_request *request)
{
    int result = -EOPNOTSUPP;

    if (request->unmap || request->operation == BLOCK_DISCARD)
        result = punch(calls, image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, request->offset,
                       request->length);
    if (request->operation == BLOCK_DISCARD)
        return unsupported(result) ? 0 : result; /* only a hint */
    if (unsupported(result))
        result = punch(calls, image, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, request->offset,
                       request->length);
    if (unsupported(result))
        result = write_zeros(calls, image, request);
    return result;
}

int block_transfer_rest(const struct block_calls *calls, struct image *image,
                        const struct block_request *request, uint64_t done)
{
    int result = request->operation == BLOCK_FLUSH ? 0 : block_check_size(calls, image);

    if (result)
        return result;
    switch (request->operation) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return move(calls, image, request, done);
    case BLOCK_FLUSH:
        return flush(calls, image);
    default:
        result = zero(calls, image, request);
        return result == 0 && request->stable ? flush(calls, image) : result;
    }
}

int block_transfer(const struct block_calls *calls, struct image *image,
                   const struct block_request *request)
{
    return block_transfer_rest(calls, image, request, 0);
}
