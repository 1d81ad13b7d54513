/* SPDX-License-Identifier: MIT */
/* files.c - reading input files and a first look at an initial RAM disk. */
#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_CAPACITY (1u << 20)

static int fail(const char *path, int error, struct problem *problem)
{
    return problem_set(problem, STATUS_INPUT, error, "%s: %s", path, strerror(error));
}

/* One more byte of room than a regular file has, so that its end is seen without growing. */
static size_t first_capacity(const struct stat *info, size_t limit)
{
    size_t capacity = FIRST_CAPACITY;

    if (S_ISREG(info->st_mode) && info->st_size > 0 && (uint64_t)info->st_size <= limit)
        capacity = (size_t)info->st_size + 1;
    return capacity;
}

static int read_all(int fd, const char *path, size_t limit, size_t capacity, struct bytes *bytes,
                    struct problem *problem)
{
    uint8_t *data = malloc(capacity);
    size_t size = 0;

    bytes->data = data;
    while (data) {
        if (size == capacity) {
            capacity *= 2;
            data = realloc(data, capacity);
            if (!data)
                break;
            bytes->data = data;
        }
        ssize_t got = read(fd, data + size, capacity - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(path, errno, problem);
        if (got == 0)
            break;
        size += (size_t)got;
        if (size > limit)
            return problem_set(problem, STATUS_INPUT, EFBIG,
                               "%s: larger than the guest's memory (see --memory)", path);
    }
    if (!data)
        return problem_set(problem, STATUS_HOST, ENOMEM, "%s: not enough memory to read it", path);
    bytes->size = size;
    if (!size)
        return problem_set(problem, STATUS_INPUT, ENODATA, "%s: the file is empty", path);
    return 0;
}

int files_read(const char *path, size_t limit, struct bytes *bytes, struct problem *problem)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result;

    *bytes = (struct bytes){ 0 };
    if (fd < 0)
        return fail(path, errno, problem);
    if (fstat(fd, &info) != 0)
        result = fail(path, errno, problem);
    else if (S_ISDIR(info.st_mode))
        result = fail(path, EISDIR, problem);
    else
        result = read_all(fd, path, limit, first_capacity(&info, limit), bytes, problem);
    close(fd);
    if (result)
        files_free(bytes);
    return result;
}

void files_free(struct bytes *bytes)
{
    free((void *)(uintptr_t)bytes->data);
    *bytes = (struct bytes){ 0 };
}

/* ---- Initial RAM disks ---- */

#define CPIO_HEADER 110u

static unsigned hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 0;
}

/* Header fields are eight hex digits. */
static uint64_t cpio_field(struct bytes bytes, uint64_t at)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value = value << 4 | hex_digit(bytes_u8(bytes, at + i));
    return value;
}

/* Walks a newc archive; true if it is whole, or is followed by something else (another archive). */
static bool cpio_whole(struct bytes bytes)
{
    uint64_t at = 0;

    while (bytes_has(bytes, at, CPIO_HEADER) && !memcmp(bytes.data + at, "07070", 5)) {
        uint64_t name_size = cpio_field(bytes, at + 94);
        uint64_t name = at + CPIO_HEADER;
        if (bytes_has(bytes, name, 11) && name_size == 11 &&
            !memcmp(bytes.data + name, "TRAILER!!!", 11))
            return true;
        uint64_t data = (name + name_size + 3) & ~3ull;
        at = (data + cpio_field(bytes, at + 54) + 3) & ~3ull;
    }
    return false;
}

int files_check_initrd(const char *path, struct bytes bytes, struct problem *problem)
{
    static const struct {
        const char *magic;
        unsigned size, offset;
    } known[] = {
        { "\x1f\x8b", 2, 0 },
        { "\x1f\x9e", 2, 0 },
        { "BZh", 3, 0 },
        { "\x5d\x00", 2, 0 },
        { "\xfd"
          "7zXZ",
          5, 0 },
        { "\x89LZO", 4, 0 },
        { "\x02\x21\x4c\x18", 4, 0 },
        { "\x04\x22\x4d\x18", 4, 0 },
        { "\x28\xb5\x2f\xfd", 4, 0 },
        { "hsqs", 4, 0 },
        { "-rom1fs-", 8, 0 },
        { "\x45\x3d\xcd\x28", 4, 0 },
        { "\x53\xef", 2, 0x438 },
    };

    if (bytes_has(bytes, 0, 6) && !memcmp(bytes.data, "07070", 5)) {
        if (cpio_whole(bytes))
            return 0;
        return problem_set(problem, STATUS_INPUT, ENODATA,
                           "%s: the cpio archive is truncated or damaged", path);
    }
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (bytes_has(bytes, known[i].offset, known[i].size) &&
            !memcmp(bytes.data + known[i].offset, known[i].magic, known[i].size))
            return 0;
    }
    return problem_set(problem, STATUS_INPUT, ENOEXEC,
                       "%s: no initial RAM disk (cpio, compressed or file system image)", path);
}
