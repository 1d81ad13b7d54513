/* SPDX-License-Identifier: MIT */
/*
 * ram.c - making, clearing and hashing guest memory.
 */
#include "ram.h"
#include "hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

void ram_init(struct ram *ram)
{
    *ram = (struct ram){ .object = { -1, -1 } };
}

/* A sealed memory object: neither process can shrink it under the other's mapping (SIGBUS). */
static int object_create(const char *name, uint64_t size, struct problem *problem)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return problem_set(problem, STATUS_HOST, error,
                           "cannot make guest memory of %" PRIu64 " MiB: %s", size >> 20,
                           strerror(error));
    }
    return fd;
}

static int refuse_overcommit(uint64_t size, struct problem *problem)
{
    struct sysinfo info;

    if (size > RAM_MAXIMUM)
        return problem_set(problem, STATUS_USAGE, EINVAL,
                           "--memory: %" PRIu64 " MiB is more than the %llu GiB supported",
                           size >> 20, RAM_MAXIMUM >> 30);
    if (sysinfo(&info) != 0)
        return 0; /* the host does not say: its own rules decide */
    uint64_t have = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
    if (size > have)
        return problem_set(problem, STATUS_HOST, ENOMEM,
                           "--memory: %" PRIu64
                           " MiB is more than this host's memory and swap (%" PRIu64 " MiB)",
                           size >> 20, have >> 20);
    return 0;
}

int ram_add(struct ram *ram, const struct ram_chunk *chunk)
{
    if (ram->count == RAM_CHUNK_MAX || !chunk->size || (chunk->gpa | chunk->size) % RAM_PAGE ||
        chunk->gpa + chunk->size < chunk->gpa)
        return -EINVAL;
    if (ram->count) {
        const struct ram_chunk *last = &ram->chunk[ram->count - 1];
        if (chunk->gpa < last->gpa + last->size)
            return -EEXIST;
    }
    ram->chunk[ram->count++] = *chunk;
    ram->size += chunk->size;
    return 0;
}

/* Maps [gpa, end) from object `which`, whose offset 0 is guest-physical `origin`. */
static int chunk_map(struct ram *ram, int fd, uint64_t origin, uint64_t gpa, uint64_t end,
                     struct problem *problem)
{
    struct ram_chunk chunk = { .gpa = gpa, .size = end - gpa, .fd = fd, .fd_offset = gpa - origin };
    void *host = mmap(NULL, chunk.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
                      (off_t)chunk.fd_offset);
    if (host == MAP_FAILED)
        return problem_set(problem, STATUS_HOST, errno,
                           "cannot map guest memory of %" PRIu64 " MiB: %s", chunk.size >> 20,
                           strerror(errno));
    chunk.host = host;
    int result = ram_add(ram, &chunk);
    if (result) {
        munmap(host, chunk.size);
        return problem_set(problem, STATUS_HOST, -result, "guest memory: too many pieces");
    }
    return 0;
}

int ram_create(struct ram *ram, uint64_t size, struct problem *problem)
{
    uint64_t low = size < RAM_LOW_LIMIT ? size : RAM_LOW_LIMIT;
    int result = refuse_overcommit(size, problem);

    if (result)
        return result;
    if (size < RAM_MINIMUM || size % RAM_PAGE)
        return problem_set(problem, STATUS_USAGE, EINVAL,
                           "--memory: at least 1 MiB, in multiples of 4 KiB");
    result = object_create("origami-ram-low", low, problem);
    if (result < 0)
        return result;
    ram->object[0] = result;
    result = chunk_map(ram, ram->object[0], 0, 0, RAM_VGA, problem);
    if (result == 0)
        result = chunk_map(ram, ram->object[0], 0, RAM_VGA_END, low, problem);
    if (result == 0 && size > low) {
        result = object_create("origami-ram-high", size - low, problem);
        if (result < 0)
            return result;
        ram->object[1] = result;
        result = chunk_map(ram, ram->object[1], RAM_HIGH_START, RAM_HIGH_START,
                           RAM_HIGH_START + size - low, problem);
    }
    ram->size = size;
    return result;
}

void ram_destroy(struct ram *ram)
{
    for (unsigned i = 0; i < ram->count; i++) {
        if (ram->chunk[i].fd >= 0)
            munmap(ram->chunk[i].host, ram->chunk[i].size);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (ram->object[i] >= 0)
            close(ram->object[i]);
    }
    ram_init(ram);
}

int ram_clear(struct ram *ram, struct problem *problem)
{
    for (unsigned i = 0; i < ram->count; i++) {
        const struct ram_chunk *chunk = &ram->chunk[i];
        if (chunk->fd < 0)
            memset(chunk->host, 0, chunk->size);
        else if (fallocate(chunk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           (off_t)chunk->fd_offset, (off_t)chunk->size) != 0)
            return problem_set(problem, STATUS_HOST, errno, "cannot clear guest memory: %s",
                               strerror(errno));
    }
    return 0;
}

uint64_t ram_low_end(const struct ram *ram)
{
    for (unsigned i = 0; i < ram->count; i++) {
        const struct ram_chunk *chunk = &ram->chunk[i];
        if (chunk->gpa <= RAM_MINIMUM && chunk->gpa + chunk->size > RAM_MINIMUM)
            return chunk->gpa + chunk->size;
    }
    return RAM_MINIMUM;
}

uint64_t ram_page_count(const struct ram *ram)
{
    if (!ram->count)
        return 0;
    const struct ram_chunk *last = &ram->chunk[ram->count - 1];
    return (last->gpa + last->size) / RAM_PAGE;
}

bool ram_covers(const struct ram *ram, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < ram->count; i++) {
        const struct ram_chunk *chunk = &ram->chunk[i];
        if (start >= chunk->gpa && start - chunk->gpa < chunk->size)
            return size <= chunk->size - (start - chunk->gpa);
    }
    return false;
}

/* Hashes the pages of [offset, end) of a chunk that are not all zero. */
static uint64_t hash_pages(uint64_t hash, const struct ram_chunk *chunk, uint64_t offset,
                           uint64_t end)
{
    for (; offset < end; offset += RAM_PAGE) {
        const uint8_t *page = chunk->host + offset;
        if (page[0] == 0 && memcmp(page, page + 1, RAM_PAGE - 1) == 0)
            continue;
        uint64_t address = chunk->gpa + offset;
        hash = hash_bytes(hash, &address, sizeof(address));
        hash = hash_bytes(hash, page, RAM_PAGE);
    }
    return hash;
}

uint64_t ram_hash(const struct ram *ram)
{
    uint64_t hash = HASH_START;

    for (unsigned i = 0; i < ram->count; i++) {
        const struct ram_chunk *chunk = &ram->chunk[i];
        uint64_t at = 0;
        /* Reading a hole of a memory object would fill it: ask where the data is. */
        while (at < chunk->size) {
            uint64_t end = chunk->size;
            if (chunk->fd >= 0) {
                off_t data = lseek(chunk->fd, (off_t)(chunk->fd_offset + at), SEEK_DATA);
                if (data < 0)
                    break;
                off_t hole = lseek(chunk->fd, data, SEEK_HOLE);
                uint64_t data_at = ((uint64_t)data - chunk->fd_offset) & ~(uint64_t)(RAM_PAGE - 1);
                uint64_t hole_at = hole < 0 ? chunk->size : (uint64_t)hole - chunk->fd_offset;
                at = data_at;
                if (hole_at < end)
                    end = hole_at;
            }
            hash = hash_pages(hash, chunk, at, end);
            at = end;
        }
    }
    return hash;
}
