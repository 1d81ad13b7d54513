/* SPDX-License-Identifier: MIT */
/*
 * Writes a "newc" cpio archive for the Linux kernel (Documentation/driver-api/early-userspace/
 * buffer-format.rst) from a list, without needing root for device nodes: owner 0, times 0, entries
 * in the order of the list, so the result depends on nothing but its input.
 *
 *     mkcpio LIST > ARCHIVE          LIST has one entry a line:
 *     dir   PATH MODE
 *     node  PATH MODE MAJOR MINOR    (character device)
 *     link  PATH TARGET
 *     file  PATH MODE SOURCE
 *
 * The archive comes out as a gzip file of *stored* blocks (RFC 1951 3.2.4): any gunzip reads it,
 * and the guest's kernel copies instead of inflating, which saves it some 45 million instructions.
 *
 * Exit status 0, or 1 with one line on standard error.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (256u << 20) /* a source larger than this is a mistake */

struct entry {
    const char *path;
    unsigned mode;
    unsigned major, minor;
    const char *data;
    size_t bytes;
};

static int pad(FILE *archive, size_t written)
{
    while (written++ % 4)
        if (putc(0, archive) == EOF)
            return -EIO;
    return 0;
}

static int put_entry(FILE *archive, const struct entry *e, unsigned inode)
{
    size_t name = strlen(e->path) + 1;

    if (fprintf(archive, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s", inode,
                e->mode, 0u, 0u, 1u, 0u, (unsigned)e->bytes, 0u, 0u, e->major, e->minor,
                (unsigned)name, 0u, e->path) < 0)
        return -EIO;
    if (putc(0, archive) == EOF || pad(archive, 110 + name))
        return -EIO;
    if (e->bytes && fwrite(e->data, 1, e->bytes, archive) != e->bytes)
        return -EIO;
    return pad(archive, e->bytes);
}

/* Reads a whole file; the caller frees *data. */
static int load(const char *path, char **data, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    size_t room = 1u << 16, n;
    int result = -ENOMEM;

    if (!f)
        return -errno;
    *bytes = 0;
    *data = malloc(room);
    while (*data && (n = fread(*data + *bytes, 1, room - *bytes, f)) > 0) {
        *bytes += n;
        if (*bytes < room)
            continue;
        char *bigger = room < MAX_FILE ? realloc(*data, room * 2) : NULL;
        if (!bigger)
            goto out;
        *data = bigger;
        room *= 2;
    }
    if (*data)
        result = ferror(f) ? -EIO : 0;
out:
    fclose(f);
    if (result) {
        free(*data);
        *data = NULL;
    }
    return result;
}

static int put_line(FILE *archive, char *line, unsigned inode)
{
    char path[256], extra[4096];
    struct entry e = { .path = path };
    char *data = NULL;
    int result;

    if (sscanf(line, "dir %255s %o", path, &e.mode) == 2) {
        e.mode |= 0040000;
    } else if (sscanf(line, "node %255s %o %u %u", path, &e.mode, &e.major, &e.minor) == 4) {
        e.mode |= 0020000;
    } else if (sscanf(line, "link %255s %4095s", path, extra) == 2) {
        e.mode = 0120777;
        e.data = extra;
        e.bytes = strlen(extra);
    } else if (sscanf(line, "file %255s %o %4095s", path, &e.mode, extra) == 3) {
        e.mode |= 0100000;
        result = load(extra, &data, &e.bytes);
        if (result) {
            fprintf(stderr, "mkcpio: %s: %s\n", extra, strerror(-result));
            return result;
        }
        e.data = data;
    } else {
        fprintf(stderr, "mkcpio: bad line: %s", line);
        return -EINVAL;
    }
    result = put_entry(archive, &e, inode);
    free(data);
    return result;
}

static void put_little(uint32_t v, int bytes)
{
    while (bytes--) {
        putchar((int)(v & 0xff));
        v >>= 8;
    }
}

/* RFC 1952 around stored blocks of at most 65535 bytes */
static void put_gzip(const char *data, size_t bytes)
{
    static const unsigned char header[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
    uint32_t crc = ~0u;

    for (size_t i = 0; i < bytes; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    fwrite(header, 1, sizeof(header), stdout);
    for (size_t at = 0; at < bytes; at += 65535) {
        uint32_t n = bytes - at < 65535 ? (uint32_t)(bytes - at) : 65535;

        putchar(bytes - at <= 65535); /* final block? type 00 */
        put_little(n, 2);
        put_little(~n, 2);
        fwrite(data + at, 1, n, stdout);
    }
    put_little(~crc, 4);
    put_little((uint32_t)bytes, 4);
}

int main(int argc, char **argv)
{
    char line[8192], *data = NULL;
    size_t bytes = 0;
    unsigned inode = 1;
    FILE *list, *archive;

    if (argc != 2 || !(list = fopen(argv[1], "r"))) {
        fprintf(stderr, "mkcpio: usage: mkcpio LIST > ARCHIVE\n");
        return 1;
    }
    archive = open_memstream(&data, &bytes);
    if (!archive) {
        fprintf(stderr, "mkcpio: %s\n", strerror(errno));
        return 1;
    }
    while (fgets(line, sizeof(line), list))
        if (put_line(archive, line, inode++))
            return 1;
    fclose(list);
    if (put_entry(archive, &(struct entry){ .path = "TRAILER!!!" }, 0) || fclose(archive)) {
        fprintf(stderr, "mkcpio: out of memory\n");
        return 1;
    }
    put_gzip(data, bytes);
    free(data);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "mkcpio: cannot write: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}
