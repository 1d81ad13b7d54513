/* SPDX-License-Identifier: MIT */
/* compress.h - small initial RAM disks in every format that is checked. */
#ifndef ORIGAMI_TESTS_COMPRESS_H
#define ORIGAMI_TESTS_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#define COMPRESS_MAX 65536u

struct compressor {
    const char *name;
    /* Returns the size of the stream, at most COMPRESS_MAX. */
    size_t (*compress)(const uint8_t *data, size_t size, uint8_t *out);
};
extern const struct compressor compressors[]; /* ends with a NULL name; the first one is "plain" */

/* An archive with one file of `size` bytes; returns its length. */
size_t compress_cpio(uint8_t *out, size_t size);

#endif
