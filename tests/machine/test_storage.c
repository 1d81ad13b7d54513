/* SPDX-License-Identifier: MIT */
/*
 * test_storage.c - what goes wrong below a disk: every system call failing at the n-th time, for
 * every n, in every way a file system fails; images cut short or removed while in use. Whatever
 * happens, a request ends once, with success only if all of it was done.
 */
#include "storage/blockio.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define BYTES  (256u << 10)
#define PIECES 5

/* ---- System calls with a fault in them. One test at a time, so one of these. ---- */

enum fault { NO_FAULT, INTERRUPTED, IO_ERROR, DISK_FULL, SHORT, NOTHING, UNSUPPORTED };

static struct {
    enum fault fault;
    unsigned at;    /* which call fails, counted from 1 over all of them; 0 = none */
    bool from_then; /* and all after it */
    unsigned calls; /* so far; atomic: threads call too */
} plan;

static bool fails(void)
{
    unsigned call = __atomic_add_fetch(&plan.calls, 1, __ATOMIC_SEQ_CST);

    return plan.at && (plan.from_then ? call >= plan.at : call == plan.at);
}

/* -1 and errno, a short count, or 0; `whole`: what is asked for. */
static ssize_t failure(ssize_t whole)
{
    static const int errors[] = {
        [INTERRUPTED] = EINTR, [IO_ERROR] = EIO, [DISK_FULL] = ENOSPC, [UNSUPPORTED] = EOPNOTSUPP
    };
    if (plan.fault == SHORT)
        return whole > 1 ? whole / 2 + 1 : whole;
    if (plan.fault == NOTHING)
        return 0;
    errno = errors[plan.fault];
    return -1;
}

static ssize_t size_of(const struct iovec *vector, int count)
{
    ssize_t size = 0;
    for (int i = 0; i < count; i++)
        size += (ssize_t)vector[i].iov_len;
    return size;
}

/* The first `size` bytes of a vector. */
static ssize_t part(int fd, const struct iovec *vector, int count, off_t offset, ssize_t size,
                    bool out)
{
    ssize_t done = 0;
    for (int i = 0; i < count && done < size; i++) {
        size_t piece =
            vector[i].iov_len < (size_t)(size - done) ? vector[i].iov_len : (size_t)(size - done);
        ssize_t moved = out ? pwrite(fd, vector[i].iov_base, piece, offset + done)
                            : pread(fd, vector[i].iov_base, piece, offset + done);
        assert_int_equal(moved, piece);
        done += moved;
    }
    return done;
}

static ssize_t faulty_preadv(int fd, const struct iovec *vector, int count, off_t offset)
{
    if (!fails())
        return preadv(fd, vector, count, offset);
    ssize_t result = failure(size_of(vector, count));
    return result > 0 ? part(fd, vector, count, offset, result, false) : result;
}
static ssize_t faulty_pwritev2(int fd, const struct iovec *vector, int count, off_t offset,
                               int flags)
{
    if (!fails())
        return pwritev2(fd, vector, count, offset, flags);
    ssize_t result = failure(size_of(vector, count));
    return result > 0 ? part(fd, vector, count, offset, result, true) : result;
}
static int faulty_fdatasync(int fd)
{
    return fails() && plan.fault != SHORT && plan.fault != NOTHING ? (int)failure(0)
                                                                   : fdatasync(fd);
}
static int faulty_fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fails() && plan.fault != SHORT && plan.fault != NOTHING
               ? (int)failure(0)
               : fallocate(fd, mode, offset, length);
}
static off_t file_size(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_size : -1;
}

static const struct block_calls faulty = { faulty_preadv, faulty_pwritev2, faulty_fdatasync,
                                           faulty_fallocate, file_size };

/* ---- An image ---- */

static char name[64];
static struct image image;

static int open_image(void **state)
{
    struct problem problem;

    (void)state;
    strcpy(name, "/tmp/origami-storage-XXXXXX");
    int fd = mkstemp(name);
    for (unsigned i = 0; i < BYTES; i += 4096) {
        uint8_t page[4096];
        memset(page, (int)(i / 4096 + 1), sizeof(page));
        if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page))
            return -1;
    }
    close(fd);
    memset(&plan, 0, sizeof(plan));
    return image_open(&image, name, false, &problem);
}
static int close_image(void **state)
{
    (void)state;
    image_close(&image);
    unlink(name);
    return 0;
}

/* A request over all the image but its first sector, in pieces of odd sizes. */
static uint8_t data[BYTES];
static struct iovec vector[PIECES];

static struct block_request request_of(enum block_operation operation)
{
    static const unsigned ends[PIECES + 1] = { 0, 1, 4097, 70000, 70001, BYTES - 512 };

    for (unsigned i = 0; i < PIECES; i++)
        vector[i] = (struct iovec){ data + ends[i], ends[i + 1] - ends[i] };
    return (struct block_request){ .operation = operation,
                                   .offset = 512,
                                   .length = BYTES - 512,
                                   .vector = vector,
                                   .count = PIECES };
}

static void image_holds(uint8_t value)
{
    static uint8_t now[BYTES];

    assert_int_equal(pread(image.fd, now, BYTES, 0), BYTES);
    assert_int_equal(now[511], 1);
    for (unsigned i = 512; i < BYTES; i++) {
        if (now[i] != value)
            fail_msg("byte %u is %02x, not %02x", i, now[i], value);
    }
}

/* ---- The n-th call ---- */

/* What must come of it: success with all done, or this error. */
static void carried_out(enum block_operation operation, enum fault fault, unsigned at, int want)
{
    struct block_request request = request_of(operation);

    memset(data, operation == BLOCK_READ ? 0xee : 0x5a, sizeof(data));
    plan.fault = fault;
    plan.at = at;
    plan.calls = 0;
    image.flush_failed = image.shrunk = 0;
    int result = block_transfer(&faulty, &image, &request);
    bool reached = plan.calls >= at;
    plan.at = 0;
    assert_int_equal(result, reached ? want : 0);
    if (result)
        return;
    switch (operation) {
    case BLOCK_READ:
        for (unsigned i = 0; i < BYTES - 512; i++) {
            if (data[i] != (uint8_t)((i + 512) / 4096 + 1))
                fail_msg("byte %u was not read", i);
        }
        break;
    case BLOCK_WRITE:
        image_holds(0x5a);
        break;
    case BLOCK_ZERO:
        image_holds(0);
        break;
    default:
        break;
    }
}

static void reads_fail_or_are_whole(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 8; n++) {
        carried_out(BLOCK_READ, INTERRUPTED, n, 0);
        carried_out(BLOCK_READ, SHORT, n, 0);
        carried_out(BLOCK_READ, IO_ERROR, n, -EIO);
        carried_out(BLOCK_READ, NOTHING, n, -EIO);
    }
}

static void writes_fail_or_are_whole(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 8; n++) {
        carried_out(BLOCK_WRITE, INTERRUPTED, n, 0);
        carried_out(BLOCK_WRITE, SHORT, n, 0);
        carried_out(BLOCK_WRITE, IO_ERROR, n, -EIO);
        carried_out(BLOCK_WRITE, DISK_FULL, n, -ENOSPC);
        carried_out(BLOCK_WRITE, NOTHING, n, -EIO);
    }
}

static void zeroing_finds_a_way(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 12; n++) {
        carried_out(BLOCK_ZERO, INTERRUPTED, n, 0);
        carried_out(BLOCK_ZERO, UNSUPPORTED, n, 0);
        carried_out(BLOCK_ZERO, IO_ERROR, n, -EIO);
        carried_out(BLOCK_ZERO, DISK_FULL, n, -ENOSPC);
    }
    /* No fallocate at all: written zeros, whose calls may fail in turn. */
    for (unsigned n = 1; n <= 8; n++) {
        struct block_request request = request_of(BLOCK_ZERO);
        plan.fault = UNSUPPORTED;
        plan.from_then = true;
        plan.at = n;
        plan.calls = 0;
        int result = block_transfer(&faulty, &image, &request);
        assert_true(result == 0 || result == -EOPNOTSUPP);
        plan.at = 0;
        plan.from_then = false;
    }
}

/* Every call short, from the n-th on: a byte less each time, but to the end. */
static void short_forever(void **state)
{
    (void)state;
    plan.from_then = true;
    for (unsigned n = 1; n <= 4; n++) {
        carried_out(BLOCK_READ, SHORT, n, 0);
        carried_out(BLOCK_WRITE, SHORT, n, 0);
        /* Put back what the next round reads. */
        for (unsigned i = 0; i < BYTES; i += 4096) {
            uint8_t page[4096];
            memset(page, (int)(i / 4096 + 1), sizeof(page));
            assert_int_equal(pwrite(image.fd, page, sizeof(page), i), sizeof(page));
        }
    }
    plan.from_then = false;
}

static void a_failed_flush_is_not_forgotten(void **state)
{
    struct block_request flush = { .operation = BLOCK_FLUSH };

    (void)state;
    plan.fault = INTERRUPTED;
    plan.at = 1;
    assert_int_equal(block_transfer(&faulty, &image, &flush), 0);
    plan = (typeof(plan)){ .fault = IO_ERROR, .at = 1 };
    assert_int_equal(block_transfer(&faulty, &image, &flush), -EIO);
    plan.at = 0;
    /* The kernel would say yes now; what was written before may still be lost. */
    assert_int_equal(block_transfer(&faulty, &image, &flush), -EIO);
}

/* ---- Images that change under us, through each way of doing I/O ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void wake(void *context)
{
    (void)context;
}

static int ended(struct block_io *io, struct block_request *request)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    struct block_request *got = NULL;

    pthread_mutex_lock(&lock);
    request->result = 1;
    block_submit(io, request);
    block_kick(io);
    for (unsigned i = 0; i < 10000 && !(got = block_reap(io)); i++)
        nanosleep(&moment, NULL);
    assert_ptr_equal(got, request);
    assert_null(block_reap(io));
    assert_int_equal(block_in_flight(io), 0);
    pthread_mutex_unlock(&lock);
    return request->result;
}

static void images_change(void **state)
{
    (void)state;
    for (enum block_choice choice = BLOCK_BEST; choice <= BLOCK_AT_ONCE; choice++) {
        struct problem problem;
        struct block_io *io;
        struct block_request read = request_of(BLOCK_READ);
        assert_int_equal(block_create(&io, &image, &block_host_calls, choice, wake, NULL, &problem),
                         0);
        assert_int_equal(block_start(io, &problem), 0);
        print_message("%s\n", block_name(io));
        assert_int_equal(ended(io, &read), 0);
        struct block_request write = request_of(BLOCK_WRITE);
        memset(data, 0x33, sizeof(data));
        assert_int_equal(ended(io, &write), 0);
        write.stable = true;
        assert_int_equal(ended(io, &write), 0);
        struct block_request flush = { .operation = BLOCK_FLUSH };
        assert_int_equal(ended(io, &flush), 0);
        struct block_request discard = { .operation = BLOCK_DISCARD, .length = 8192 };
        assert_int_equal(ended(io, &discard), 0);
        struct block_request zero = { .operation = BLOCK_ZERO,
                                      .offset = 512,
                                      .length = BYTES - 512 };
        for (unsigned unmap = 0; unmap < 2; unmap++) {
            assert_int_equal(ended(io, &write), 0);
            zero.unmap = unmap;
            assert_int_equal(ended(io, &zero), 0);
            uint8_t bytes[2];
            assert_int_equal(pread(image.fd, bytes, 1, 512), 1);
            assert_int_equal(pread(image.fd, bytes + 1, 1, BYTES - 1), 1);
            assert_int_equal(bytes[0] | bytes[1], 0);
        }
        /* Half of it gone, and nobody looked before: half a read is no read. */
        image.device = true;
        assert_int_equal(ftruncate(image.fd, BYTES / 2), 0);
        assert_int_equal(ended(io, &read), -EIO);
        image.device = false;
        assert_int_equal(ftruncate(image.fd, BYTES), 0);
        /* Removed: goes on. */
        unlink(name);
        assert_int_equal(ended(io, &write), 0);
        /* Cut: an error for all that follows, and the file is not brought back full of zeros. */
        assert_int_equal(ftruncate(image.fd, 8192), 0);
        assert_int_equal(ended(io, &write), -EIO);
        assert_int_equal(ended(io, &read), -EIO);
        assert_int_equal(file_size(image.fd), 8192);
        assert_int_equal(ftruncate(image.fd, BYTES), 0);
        assert_int_equal(ended(io, &read), -EIO);
        block_stop(io);
        block_destroy(io);
        close_image(state);
        open_image(state);
    }
}

/* A file may not grow past a limit: writes beyond fail, and are told. */
static void threads_report_faults(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        struct problem problem;
        struct block_io *io;
        struct block_request write = request_of(BLOCK_WRITE);
        assert_int_equal(block_create(&io, &image, &faulty, BLOCK_BEST, wake, NULL, &problem), 0);
        assert_string_equal(block_name(io), "threads");
        assert_int_equal(block_start(io, &problem), 0);
        plan = (typeof(plan)){ .fault = DISK_FULL, .at = n };
        for (unsigned i = 1; i <= 3; i++)
            assert_int_equal(ended(io, &write), i == n ? -ENOSPC : 0);
        block_stop(io);
        block_destroy(io);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_image, close_image)
        TEST(reads_fail_or_are_whole),
        TEST(writes_fail_or_are_whole),
        TEST(zeroing_finds_a_way),
        TEST(short_forever),
        TEST(a_failed_flush_is_not_forgotten),
        TEST(images_change),
        TEST(threads_report_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
