/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - a bounded byte buffer and its little-endian fields. Reading past the end gives zeros,
 * so a truncated file can only look like a wrong one, never lead outside the buffer.
 */
#ifndef ORIGAMI_MACHINE_BYTES_H
#define ORIGAMI_MACHINE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline bool bytes_has(struct bytes bytes, uint64_t offset, uint64_t size)
{
    return offset <= bytes.size && size <= bytes.size - offset;
}

static inline uint64_t bytes_field(struct bytes bytes, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (!bytes_has(bytes, offset, size))
        return 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes.data[offset + i] << (8 * i);
    return value;
}

static inline uint8_t bytes_u8(struct bytes bytes, uint64_t offset)
{
    return (uint8_t)bytes_field(bytes, offset, 1);
}
static inline uint16_t bytes_u16(struct bytes bytes, uint64_t offset)
{
    return (uint16_t)bytes_field(bytes, offset, 2);
}
static inline uint32_t bytes_u32(struct bytes bytes, uint64_t offset)
{
    return (uint32_t)bytes_field(bytes, offset, 4);
}
static inline uint64_t bytes_u64(struct bytes bytes, uint64_t offset)
{
    return bytes_field(bytes, offset, 8);
}

/* Little-endian store of `size` bytes; the caller owns enough room. */
static inline void bytes_put(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

#endif
