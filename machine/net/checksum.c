/* SPDX-License-Identifier: MIT */
/* checksum.c - sums of 64-bit words, folded at the end: one's complement does not mind the width.
 */
#include "checksum.h"
#include <errno.h>
#include <string.h>

uint16_t checksum_sum(const uint8_t *data, size_t size)
{
    unsigned __int128 sum = 0;
    uint64_t word;

    for (; size >= sizeof(word); size -= sizeof(word), data += sizeof(word)) {
        memcpy(&word, data, sizeof(word));
        sum += word;
    }
    word = 0;
    memcpy(&word, data, size);
    sum += word;
    uint64_t folded =
        (uint64_t)(sum & UINT32_MAX) + (uint64_t)(sum >> 32 & UINT32_MAX) + (uint64_t)(sum >> 64);
    while (folded >> 16)
        folded = (folded & 0xffff) + (folded >> 16);
    return (uint16_t)folded;
}

int checksum_finish(uint8_t *frame, size_t size, size_t start, size_t offset)
{
    if (start > size || offset > size - start || size - start - offset < 2)
        return -EINVAL;
    uint16_t sum = (uint16_t)~checksum_sum(frame + start, size - start);
    /* UDP: 0 would mean "no checksum" (RFC 768); the other zero is as good to everybody. */
    if (!sum)
        sum = 0xffff;
    memcpy(frame + start + offset, &sum, sizeof(sum));
    return 0;
}
