/* SPDX-License-Identifier: MIT */
/* files.c - reading input files. */
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
