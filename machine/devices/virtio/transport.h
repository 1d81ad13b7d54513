/* SPDX-License-Identifier: MIT */
/* transport.h - between transport.c and common.c; devices need virtio.h only. */
#ifndef ORIGAMI_MACHINE_VIRTIO_TRANSPORT_H
#define ORIGAMI_MACHINE_VIRTIO_TRANSPORT_H

#include "virtio.h"

#define VIRTIO_COMMON_SIZE 0x38u /* bytes of the common configuration */

unsigned virtio_queue_count(const struct device *device);
/* Features of device and transport together. */
uint64_t virtio_offered(const struct device *device);
/* A driver's write to the status (2.1): may reset the device, or start it. */
void virtio_write_status(struct device *device, uint8_t value);

/* Accesses of 1 to 8 bytes for reading, 1, 2 or 4 for writing, to any offset. */
uint64_t virtio_common_read(struct device *device, unsigned offset, unsigned size);
void virtio_common_write(struct device *device, unsigned offset, unsigned size, uint32_t value);

#endif
