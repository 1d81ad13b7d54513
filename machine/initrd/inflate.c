/* SPDX-License-Identifier: MIT */
/*
 * inflate.c - each library in the shape of struct inflater. Formats and magic numbers as in Linux,
 * lib/decompress.c.
 */
#include "inflate.h"
#include <bzlib.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define PIECE       (256u << 10)
#define INPUT_MAX   (1u << 30) /* libraries count in 32 bits */
#define XZ_MEMORY   (256u << 20)
#define ZSTD_WINDOW 27 /* log2: what Linux allows */
#define LZ4_MAGIC   0x184c2102u
#define LZ4_CHUNK   (8u << 20) /* inflated */

/* What is left of the input, in a size that every library can count. */
static unsigned window(struct bytes in, size_t at)
{
    size_t left = in.size - at;

    return left < INPUT_MAX ? (unsigned)left : INPUT_MAX;
}

static uint8_t *inside(struct bytes in, size_t at)
{
    return (uint8_t *)(uintptr_t)in.data + at;
}

static int gzip(struct bytes in, struct sink *sink, size_t *taken)
{
    uint8_t *piece = malloc(PIECE);
    z_stream stream = { 0 };
    int status = Z_OK, result = -ENOMEM;

    *taken = 0;
    if (!piece || inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        goto out;
    for (result = 0; status == Z_OK && result == 0;) {
        unsigned given = window(in, *taken);
        stream.next_in = inside(in, *taken);
        stream.avail_in = given;
        stream.next_out = piece;
        stream.avail_out = PIECE;
        status = inflate(&stream, Z_NO_FLUSH);
        *taken += given - stream.avail_in;
        result = sink->take(sink, piece, PIECE - stream.avail_out);
    }
    if (result == 0 && status != Z_STREAM_END)
        result = status == Z_BUF_ERROR ? -ENODATA : status == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
    inflateEnd(&stream);
out:
    free(piece);
    return result;
}

static int bzip2(struct bytes in, struct sink *sink, size_t *taken)
{
    char *piece = malloc(PIECE);
    bz_stream stream = { 0 };
    int status = BZ_OK, result = -ENOMEM;

    *taken = 0;
    if (!piece || BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK)
        goto out;
    for (result = 0; status == BZ_OK && result == 0;) {
        unsigned given = window(in, *taken);
        stream.next_in = (char *)inside(in, *taken);
        stream.avail_in = given;
        stream.next_out = piece;
        stream.avail_out = PIECE;
        status = BZ2_bzDecompress(&stream);
        *taken += given - stream.avail_in;
        result = sink->take(sink, (uint8_t *)piece, PIECE - stream.avail_out);
        if (status == BZ_OK && result == 0 && !given && stream.avail_out == PIECE)
            result = -ENODATA;
    }
    if (result == 0 && status != BZ_STREAM_END)
        result = status == BZ_MEM_ERROR ? -ENOMEM : -EBADMSG;
    BZ2_bzDecompressEnd(&stream);
out:
    free(piece);
    return result;
}

static int lzma_run(lzma_stream *stream, struct bytes in, struct sink *sink, size_t *taken)
{
    uint8_t *piece = malloc(PIECE);
    lzma_ret status = LZMA_OK;
    int result = piece ? 0 : -ENOMEM;

    stream->next_in = in.data;
    stream->avail_in = in.size;
    while (status == LZMA_OK && result == 0) {
        stream->next_out = piece;
        stream->avail_out = PIECE;
        status = lzma_code(stream, LZMA_RUN);
        result = sink->take(sink, piece, PIECE - stream->avail_out);
    }
    *taken = in.size - stream->avail_in;
    if (result == 0 && status == LZMA_BUF_ERROR)
        result = -ENODATA;
    else if (result == 0 && status != LZMA_STREAM_END)
        result = status == LZMA_MEM_ERROR || status == LZMA_MEMLIMIT_ERROR ? -ENOMEM : -EBADMSG;
    lzma_end(stream);
    free(piece);
    return result;
}

static int xz(struct bytes in, struct sink *sink, size_t *taken)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    *taken = 0;
    if (lzma_stream_decoder(&stream, XZ_MEMORY, 0) != LZMA_OK)
        return -ENOMEM;
    return lzma_run(&stream, in, sink, taken);
}

static int lzma(struct bytes in, struct sink *sink, size_t *taken)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    *taken = 0;
    if (lzma_alone_decoder(&stream, XZ_MEMORY) != LZMA_OK)
        return -ENOMEM;
    return lzma_run(&stream, in, sink, taken);
}

static int zstd(struct bytes in, struct sink *sink, size_t *taken)
{
    uint8_t *piece = malloc(PIECE);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer input = { in.data, in.size, 0 };
    int result = -ENOMEM;

    if (piece && context &&
        !ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW)))
        result = 0;
    for (size_t status = 1; result == 0 && status;) {
        ZSTD_outBuffer output = { piece, PIECE, 0 };
        size_t before = input.pos;
        status = ZSTD_decompressStream(context, &output, &input);
        if (ZSTD_isError(status))
            result = -EBADMSG;
        else
            result = sink->take(sink, piece, output.pos);
        if (result == 0 && status && input.pos == before && !output.pos)
            result = -ENODATA;
    }
    *taken = input.pos;
    ZSTD_freeDCtx(context);
    free(piece);
    return result;
}

/* The "legacy" format: chunks, each behind its size, until the file ends or a size is 0. Files may
 * follow one another, magic and all. */
static int lz4(struct bytes in, struct sink *sink, size_t *taken)
{
    char *piece = malloc(LZ4_CHUNK);
    size_t at = 0;
    int result = piece ? 0 : -ENOMEM;

    while (result == 0 && bytes_has(in, at, 4)) {
        uint32_t size = bytes_u32(in, at);
        if (!size)
            break;
        at += 4;
        if (size == LZ4_MAGIC)
            continue;
        if (size > (uint32_t)LZ4_compressBound(LZ4_CHUNK)) {
            result = -EBADMSG;
        } else if (!bytes_has(in, at, size)) {
            result = -ENODATA;
        } else {
            int got =
                LZ4_decompress_safe((const char *)inside(in, at), piece, (int)size, (int)LZ4_CHUNK);
            result = got < 0 ? -EBADMSG : sink->take(sink, (uint8_t *)piece, (size_t)got);
            at += size;
        }
    }
    /* Fewer bytes than a size has: zeros may follow anything. */
    for (size_t rest = at; result == 0 && in.size - at < 4 && rest < in.size; rest++) {
        if (in.data[rest])
            result = -ENODATA;
    }
    *taken = at;
    free(piece);
    return result;
}

static const struct inflater inflaters[] = {
    { "gzip", "\x1f\x8b", 2, gzip },
    { "bzip2", "BZh", 3, bzip2 },
    { "lzma", "\x5d\x00", 2, lzma },
    { "xz",
      "\xfd"
      "7zXZ",
      5, xz },
    { "LZO", "\x89LZO", 4, NULL },
    { "LZ4", "\x02\x21\x4c\x18", 4, lz4 },
    { "zstd", "\x28\xb5\x2f\xfd", 4, zstd },
};

const struct inflater *inflater_find(struct bytes in)
{
    for (unsigned i = 0; i < sizeof(inflaters) / sizeof(inflaters[0]); i++) {
        if (bytes_has(in, 0, inflaters[i].magic_size) &&
            !memcmp(in.data, inflaters[i].magic, inflaters[i].magic_size))
            return &inflaters[i];
    }
    return NULL;
}
