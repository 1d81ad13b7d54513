/* SPDX-License-Identifier: MIT */
/* checksum.h - the Internet checksum (RFC 1071). */
#ifndef ORIGAMI_MACHINE_NET_CHECKSUM_H
#define ORIGAMI_MACHINE_NET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The one's complement sum of `size` bytes, folded to 16 bits, in the bytes' own order. */
uint16_t checksum_sum(const uint8_t *data, size_t size);

/*
 * Finishes the checksum a guest has left to its device (virtio 1.2, 5.1.6.2): over the bytes from
 * `start` to the end, the result `offset` bytes after `start`, where the sum of the pseudo header
 * lies. 0, or -EINVAL: that is not inside the frame; nothing is written.
 */
int checksum_finish(uint8_t *frame, size_t size, size_t start, size_t offset);

#endif
