/* SPDX-License-Identifier: MIT */
/* initrd.c - the loop of Linux's unpack_to_rootfs(), without unpacking. */
#include "initrd.h"
#include "cpio.h"
#include "inflate.h"
#include <errno.h>

#define START_SIZE 0x43au /* as far as the magic numbers of file systems lie */

/* What a stream holds: archives, or the beginning of something else. */
struct contents {
    struct sink sink;
    struct cpio cpio;
    uint64_t inflated, limit;
    uint8_t start[START_SIZE];
    size_t start_size;
    bool other; /* something that is no archive follows a whole one */
};

/* Images of file systems that Linux mounts as a RAM disk (init/do_mounts_rd.c). */
static bool is_file_system(struct bytes bytes)
{
    static const struct {
        const char *magic;
        unsigned size, offset;
    } known[] = {
        { "hsqs", 4, 0 },
        { "-rom1fs-", 8, 0 },
        { "\x45\x3d\xcd\x28", 4, 0 }, /* cramfs */
        { "\x53\xef", 2, 0x438 },     /* ext2, ext3, ext4 */
        { "\x7f\x13", 2, 0x410 },     /* minix */
        { "\x8f\x13", 2, 0x410 },
        { "\x68\x24", 2, 0x410 },
        { "\x78\x24", 2, 0x410 },
    };

    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (bytes_has(bytes, known[i].offset, known[i].size) &&
            !memcmp(bytes.data + known[i].offset, known[i].magic, known[i].size))
            return true;
    }
    return false;
}

/* ---- Inside a compressed stream ---- */

static int contents_take(struct sink *sink, const uint8_t *data, size_t size)
{
    struct contents *contents = (struct contents *)(void *)sink;
    size_t room = sizeof(contents->start) - contents->start_size;

    if (contents->limit - contents->inflated < size)
        return -EFBIG;
    contents->inflated += size;
    if (room > size)
        room = size;
    memcpy(contents->start + contents->start_size, data, room);
    contents->start_size += room;
    for (size_t at = 0; at < size && !contents->other;) {
        at += cpio_take(&contents->cpio, data + at, size - at);
        if (contents->cpio.state != CPIO_WHOLE || at == size)
            break;
        if (data[at] == '0')
            cpio_start(&contents->cpio);
        else
            contents->other = true;
    }
    return 0;
}

static const char *judge_cpio(const struct cpio *cpio)
{
    switch (cpio->state) {
    case CPIO_READING:
        return "the cpio archive is truncated";
    case CPIO_DAMAGED:
        return "the cpio archive is damaged";
    case CPIO_OLD:
        return "a cpio archive of the old format: Linux wants \"newc\" (cpio -H newc)";
    default:
        return NULL;
    }
}

static int fail(const char *path, int error, struct problem *problem, const char *what)
{
    return problem_set(problem, STATUS_INPUT, error, "%s: %s", path, what);
}

static int fail_stream(const char *path, const char *name, int error, struct problem *problem)
{
    if (error == ENOMEM)
        return problem_set(problem, STATUS_HOST, error, "%s: not enough memory to inflate it",
                           path);
    if (error == EFBIG)
        return problem_set(problem, STATUS_INPUT, error,
                           "%s: inflates to more than the guest's memory (see --memory)", path);
    return problem_set(problem, STATUS_INPUT, error, "%s: the %s stream is %s", path, name,
                       error == ENODATA ? "truncated" : "damaged");
}

/* One compressed stream; *taken: its length. */
static int check_stream(const char *path, const struct inflater *inflater, struct bytes in,
                        uint64_t limit, size_t *taken, struct problem *problem)
{
    struct contents contents = { .sink.take = contents_take, .limit = limit };

    cpio_start(&contents.cpio);
    int result = inflater->inflate(in, &contents.sink, taken);
    if (result)
        return fail_stream(path, inflater->name, -result, problem);
    const struct bytes start = { contents.start, contents.start_size };
    if (contents.cpio.state == CPIO_NOT && !is_file_system(start))
        return problem_set(problem, STATUS_INPUT, ENOEXEC, "%s: no cpio archive in the %s stream",
                           path, inflater->name);
    const char *wrong = judge_cpio(&contents.cpio);
    return wrong ? fail(path, EBADMSG, problem, wrong) : 0;
}

/* ---- The file ---- */

/* A boot configuration at the end is no part of it (Documentation/admin-guide/bootconfig.rst):
 * text, its size, its checksum, and this. */
static struct bytes without_bootconfig(struct bytes bytes)
{
    static const char magic[] = "#BOOTCONFIG\n";
    const size_t length = sizeof(magic) - 1, tail = length + 8;

    if (bytes.size >= tail && !memcmp(bytes.data + bytes.size - length, magic, length)) {
        uint32_t size = bytes_u32(bytes, bytes.size - tail);
        if (size <= bytes.size - tail)
            bytes.size -= tail + size;
    }
    return bytes;
}

static int check_first(const char *path, struct bytes bytes, struct problem *problem)
{
    if (is_file_system(bytes))
        return 0;
    if (bytes_u32(bytes, 0) == 0x184d2204)
        return fail(path, ENOEXEC, problem,
                    "LZ4 in frames: Linux unpacks the legacy format only (lz4 -l)");
    return fail(path, ENOEXEC, problem,
                "no initial RAM disk (cpio, compressed or file system image)");
}

int initrd_check(const char *path, struct bytes bytes, uint64_t limit, struct problem *problem)
{
    bool archives = false;

    bytes = without_bootconfig(bytes);
    for (size_t at = 0, taken; at < bytes.size; at += taken) {
        const struct bytes rest = { bytes.data + at, bytes.size - at };
        taken = 1;
        if (!rest.data[0])
            continue;
        const struct inflater *inflater = inflater_find(rest);
        if (rest.data[0] == '0' && at % 4 == 0) {
            struct cpio cpio;
            cpio_start(&cpio);
            taken = cpio_take(&cpio, rest.data, rest.size);
            const char *wrong = judge_cpio(&cpio);
            if (wrong)
                return fail(path, EBADMSG, problem, wrong);
            archives |= cpio.state == CPIO_WHOLE;
            if (cpio.state == CPIO_WHOLE)
                continue;
        } else if (inflater && !inflater->inflate) {
            return 0;
        } else if (inflater) {
            int result = check_stream(path, inflater, rest, limit, &taken, problem);
            if (result)
                return result;
            archives = true;
            continue;
        }
        /* Behind a whole archive Linux says a word and goes on. */
        return archives ? 0 : check_first(path, bytes, problem);
    }
    return archives ? 0 : check_first(path, bytes, problem);
}
