/* SPDX-License-Identifier: MIT */
#include "compress.h"
#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

static void need(int good)
{
    if (!good)
        abort();
}

static size_t plain(const uint8_t *data, size_t size, uint8_t *out)
{
    memcpy(out, data, size);
    return size;
}

static size_t gzip(const uint8_t *data, size_t size, uint8_t *out)
{
    z_stream stream = { 0 };

    need(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (uint8_t *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = COMPRESS_MAX;
    need(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&stream);
    return COMPRESS_MAX - stream.avail_out;
}

static size_t bzip2(const uint8_t *data, size_t size, uint8_t *out)
{
    unsigned length = COMPRESS_MAX;

    need(BZ2_bzBuffToBuffCompress((char *)out, &length, (char *)(uintptr_t)data, (unsigned)size, 9,
                                  0, 0) == BZ_OK);
    return length;
}

static size_t xz(const uint8_t *data, size_t size, uint8_t *out)
{
    size_t length = 0;

    need(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, data, size, out, &length,
                                 COMPRESS_MAX) == LZMA_OK);
    return length;
}

static size_t lzma(const uint8_t *data, size_t size, uint8_t *out)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_options_lzma options;

    need(!lzma_lzma_preset(&options, 6) && lzma_alone_encoder(&stream, &options) == LZMA_OK);
    stream.next_in = data;
    stream.avail_in = size;
    stream.next_out = out;
    stream.avail_out = COMPRESS_MAX;
    need(lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END);
    size_t length = COMPRESS_MAX - stream.avail_out;
    lzma_end(&stream);
    return length;
}

static size_t zstd(const uint8_t *data, size_t size, uint8_t *out)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();

    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t length = ZSTD_compress2(context, out, COMPRESS_MAX, data, size);
    need(!ZSTD_isError(length));
    ZSTD_freeCCtx(context);
    return length;
}

static size_t lz4(const uint8_t *data, size_t size, uint8_t *out)
{
    int length =
        LZ4_compress_default((const char *)data, (char *)out + 8, (int)size, (int)COMPRESS_MAX - 8);

    need(length > 0);
    memcpy(out, "\x02\x21\x4c\x18", 4);
    for (unsigned i = 0; i < 4; i++)
        out[4 + i] = (uint8_t)(length >> (8 * i));
    return (size_t)length + 8;
}

const struct compressor compressors[] = {
    { "plain", plain }, { "gzip", gzip }, { "bzip2", bzip2 }, { "xz", xz },
    { "lzma", lzma },   { "zstd", zstd }, { "lz4", lz4 },     { 0 },
};

static size_t entry(uint8_t *out, const char *name, size_t size)
{
    size_t name_size = strlen(name) + 1, at = 110 + name_size;

    sprintf((char *)out, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 1, 0100644,
            0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0);
    memcpy(out + 110, name, name_size);
    for (; at % 4; at++)
        out[at] = 0;
    for (size_t i = 0; i < size; i++)
        out[at++] = (uint8_t)(i * i >> 3);
    for (; at % 4; at++)
        out[at] = 0;
    return at;
}

size_t compress_cpio(uint8_t *out, size_t size)
{
    size_t at = entry(out, "init", size);

    return at + entry(out + at, "TRAILER!!!", 0);
}
