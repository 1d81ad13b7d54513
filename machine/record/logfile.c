/* SPDX-License-Identifier: MIT */
/* logfile.c - records in files. */
#include "logfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE (4u * LOG_RECORD_MAX)

/* ---- Writing ---- */

struct log_writer {
    int fd, error;
    char *path;
    struct log_state state;
    size_t used;
    uint8_t buffer[BUFFER_SIZE];
};

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

/* May what is there be replaced? Yes if nothing is, or a log. */
static int may_replace(int fd)
{
    struct stat info;
    char magic[8];

    if (fstat(fd, &info) != 0)
        return -errno;
    if (!S_ISREG(info.st_mode))
        return -EEXIST;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (info.st_size == 0)
        return 0;
    if (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
        memcmp(magic, LOG_MAGIC, sizeof(magic)) != 0)
        return -EEXIST;
    return ftruncate(fd, 0) == 0 ? 0 : -errno;
}

static int fail_write(const char *path, int error, struct problem *problem)
{
    return problem_set(problem, STATUS_HOST, error, "--record %s: %s", path, strerror(error));
}

int log_create(struct log_writer **result, const char *path,
               const struct log_parameters *parameters, struct problem *problem)
{
    struct log_writer *writer = malloc(sizeof(*writer));
    struct log_header header;

    *result = NULL;
    if (!writer)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    writer->error = 0;
    writer->used = 0;
    writer->path = strdup(path);
    writer->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    int error = writer->fd < 0 ? -errno : writer->path ? may_replace(writer->fd) : -ENOMEM;
    if (error == -EEXIST) {
        problem_set(problem, STATUS_HOST, EEXIST,
                    "--record %s: exists and is no recording: not replaced", path);
    } else if (error == 0) {
        log_header_make(&header, parameters, &writer->state);
        error = write_all(writer->fd, (const uint8_t *)&header, sizeof(header));
    }
    if (error) {
        if (error != -EEXIST)
            fail_write(path, -error, problem);
        log_close(writer);
        return error;
    }
    *result = writer;
    return 0;
}

void log_put(struct log_writer *writer, const struct log_record *record)
{
    if (BUFFER_SIZE - writer->used < LOG_RECORD_MAX && !writer->error) {
        writer->error = write_all(writer->fd, writer->buffer, writer->used);
        writer->used = 0;
    }
    if (!writer->error)
        writer->used += log_encode(&writer->state, record, writer->buffer + writer->used);
}

int log_flush(struct log_writer *writer, struct problem *problem)
{
    if (!writer->error && writer->used)
        writer->error = write_all(writer->fd, writer->buffer, writer->used);
    writer->used = 0;
    return writer->error ? fail_write(writer->path, -writer->error, problem) : 0;
}

void log_close(struct log_writer *writer)
{
    struct problem unheard;

    if (!writer)
        return;
    if (writer->fd >= 0 && log_flush(writer, &unheard) != 0)
        writer->used = 0; /* the caller who wanted to know has flushed */
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer->path);
    free(writer);
}

/* ---- Reading ---- */

struct log_reader {
    int fd;
    bool have, damaged;
    struct log_record record; /* if `have`; its bytes lie in the buffer */
    size_t record_size;
    struct log_state state;
    uint64_t at; /* of the first byte in the buffer, in the file */
    size_t start, used;
    uint8_t buffer[BUFFER_SIZE];
};

/* More of the file into the buffer. False at its end. */
static bool fill(struct log_reader *reader)
{
    memmove(reader->buffer, reader->buffer + reader->start, reader->used - reader->start);
    reader->at += reader->start;
    reader->used -= reader->start;
    reader->start = 0;
    for (;;) {
        ssize_t got = read(reader->fd, reader->buffer + reader->used, BUFFER_SIZE - reader->used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        reader->used += (size_t)got;
        return true;
    }
}

const struct log_record *log_peek(struct log_reader *reader)
{
    while (!reader->have && !reader->damaged) {
        long got = log_decode(&reader->state, reader->buffer + reader->start,
                              reader->used - reader->start, &reader->record);
        reader->damaged = got < 0;
        reader->have = got > 0;
        reader->record_size = (size_t)got;
        if (got == 0 && !fill(reader))
            return NULL;
    }
    return reader->have ? &reader->record : NULL;
}

void log_next(struct log_reader *reader)
{
    if (!reader->have)
        return;
    reader->start += reader->record_size;
    reader->have = false;
}

/* Every record once. BOOT is the first one and END the last. */
static int scan(struct log_reader *reader, const char *path, struct problem *problem)
{
    const struct log_record *record;
    bool first = true, ended = false, orderly = true;

    for (; (record = log_peek(reader)) && orderly; log_next(reader)) {
        orderly = !ended && (!first || record->kind == LOG_BOOT);
        first = false;
        ended = record->kind == LOG_END;
    }
    if (reader->damaged || !orderly || (ended && reader->used != reader->start))
        return problem_set(problem, STATUS_INPUT, EBADMSG,
                           "%s: the recording is damaged at byte %llu", path,
                           (unsigned long long)(reader->at + reader->start));
    return 0;
}

static int rewind_to(struct log_reader *reader, const struct log_state *state)
{
    if (lseek(reader->fd, sizeof(struct log_header), SEEK_SET) < 0)
        return -errno;
    reader->have = reader->damaged = false;
    reader->state = *state;
    reader->at = sizeof(struct log_header);
    reader->start = reader->used = 0;
    return 0;
}

static int open_and_check(struct log_reader *reader, const char *path,
                          struct log_parameters *parameters, struct problem *problem)
{
    struct stat info;
    struct log_state state;
    int error = 0;

    reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (reader->fd < 0 || fstat(reader->fd, &info) != 0)
        error = errno;
    else if (S_ISDIR(info.st_mode))
        error = EISDIR;
    if (error)
        return problem_set(problem, STATUS_INPUT, error, "%s: %s", path, strerror(error));
    if (!S_ISREG(info.st_mode))
        return problem_set(problem, STATUS_INPUT, EINVAL, "%s: a recording is a regular file",
                           path);
    if (info.st_size == 0)
        return problem_set(problem, STATUS_INPUT, ENODATA, "%s: the file is empty", path);
    while (reader->used < sizeof(struct log_header) && fill(reader))
        continue;
    error = log_header_check(reader->buffer, reader->used, path, parameters, &state, problem);
    if (error)
        return error;
    error = rewind_to(reader, &state);
    if (error == 0)
        error = scan(reader, path, problem);
    if (error)
        return error;
    error = rewind_to(reader, &state);
    return error ? problem_set(problem, STATUS_INPUT, -error, "%s: %s", path, strerror(-error)) : 0;
}

int log_open(struct log_reader **result, const char *path, struct log_parameters *parameters,
             struct problem *problem)
{
    struct log_reader *reader = calloc(1, sizeof(*reader));

    *result = NULL;
    if (!reader)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    int error = open_and_check(reader, path, parameters, problem);
    if (error) {
        log_forget(reader);
        return error;
    }
    *result = reader;
    return 0;
}

void log_forget(struct log_reader *reader)
{
    if (!reader)
        return;
    if (reader->fd >= 0)
        close(reader->fd);
    free(reader);
}
