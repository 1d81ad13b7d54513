/* SPDX-License-Identifier: MIT */
/* common.c - the common configuration structure of virtio over PCI (virtio 1.2, 4.1.4.3). */
#include "transport.h"
#include <string.h>

struct common {
    uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
    uint16_t config_vector, queues;
    uint8_t status, generation;
    uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify;
    uint32_t descriptors[2], available[2], used[2];
};
_Static_assert(sizeof(struct common) == VIRTIO_COMMON_SIZE, "4.1.4.3");

static uint32_t half(uint64_t features, uint32_t select)
{
    return select > 1 ? 0 : (uint32_t)(features >> 32 * select);
}

static struct virtio_queue *selected(struct device *device)
{
    struct virtio_state *state = virtio_state_of(device);

    return state->queue_select < virtio_queue_count(device) ? &state->queue[state->queue_select]
                                                            : NULL;
}

static void split(uint32_t *to, uint64_t value)
{
    to[0] = (uint32_t)value;
    to[1] = (uint32_t)(value >> 32);
}

static void make_common(struct device *device, struct common *common)
{
    const struct virtio_state *state = virtio_state_of(device);
    const struct virtio_queue *q = selected(device);

    *common = (struct common){
        .device_feature_select = state->device_feature_select,
        .device_feature = half(virtio_offered(device), state->device_feature_select),
        .driver_feature_select = state->driver_feature_select,
        .driver_feature = half(state->driver_features, state->driver_feature_select),
        .config_vector = state->config_vector,
        .queues = (uint16_t)virtio_queue_count(device),
        .status = state->status,
        .generation = state->config_generation,
        .queue_select = state->queue_select,
        .queue_vector = MSIX_NONE,
    };
    if (!q)
        return; /* queue_size 0: there is none */
    common->queue_size = q->size;
    common->queue_vector = q->vector;
    common->queue_enable = q->enabled;
    common->queue_notify = state->queue_select;
    split(common->descriptors, q->descriptors);
    split(common->available, q->available);
    split(common->used, q->used);
}

/* A vector that does not exist reads back as none (4.1.5.1.2.1). */
static uint16_t valid_vector(struct device *device, uint32_t value)
{
    return value < virtio_state_of(device)->msix.count ? (uint16_t)value : MSIX_NONE;
}

static void set_half(uint64_t *address, unsigned high, uint32_t value)
{
    unsigned shift = high ? 32 : 0;

    *address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

/* While a queue is enabled it is as it was when it was checked. */
static void write_queue(struct device *device, unsigned offset, uint32_t value)
{
    struct virtio_queue *q = selected(device);

    if (!q)
        return;
    if (offset == offsetof(struct common, queue_vector)) {
        q->vector = valid_vector(device, value);
        return;
    }
    if (q->enabled)
        return;
    switch (offset) {
    case offsetof(struct common, queue_size):
        q->size = (uint16_t)value;
        break;
    case offsetof(struct common, queue_enable):
        if (value == 1 && virtq_enable(device, virtio_state_of(device)->queue_select) != 0)
            virtio_fail(device);
        break;
    case offsetof(struct common, descriptors):
    case offsetof(struct common, descriptors) + 4:
        set_half(&q->descriptors, offset & 4 ? 1 : 0, value);
        break;
    case offsetof(struct common, available):
    case offsetof(struct common, available) + 4:
        set_half(&q->available, offset & 4 ? 1 : 0, value);
        break;
    case offsetof(struct common, used):
    case offsetof(struct common, used) + 4:
        set_half(&q->used, offset & 4 ? 1 : 0, value);
        break;
    default:
        break;
    }
}

/* Each field at its own width (4.1.3.1); 64-bit ones in halves. Others change nothing. */
void virtio_common_write(struct device *device, unsigned offset, unsigned size, uint32_t value)
{
    static const uint8_t widths[sizeof(struct common)] = {
        [0x00] = 4, [0x08] = 4, [0x0c] = 4, [0x10] = 2, [0x14] = 1,
        [0x16] = 2, [0x18] = 2, [0x1a] = 2, [0x1c] = 2, [0x20] = 4,
        [0x24] = 4, [0x28] = 4, [0x2c] = 4, [0x30] = 4, [0x34] = 4
    };
    struct virtio_state *state = virtio_state_of(device);

    if (offset >= sizeof(struct common) || widths[offset] != size)
        return;
    switch (offset) {
    case offsetof(struct common, device_feature_select):
        state->device_feature_select = value;
        break;
    case offsetof(struct common, driver_feature_select):
        state->driver_feature_select = value;
        break;
    case offsetof(struct common, driver_feature):
        if (state->driver_feature_select < 2 && !(state->status & VIRTIO_STATUS_FEATURES_OK))
            set_half(&state->driver_features, state->driver_feature_select, value);
        break;
    case offsetof(struct common, config_vector):
        state->config_vector = valid_vector(device, value);
        break;
    case offsetof(struct common, status):
        virtio_write_status(device, (uint8_t)value);
        break;
    case offsetof(struct common, queue_select):
        state->queue_select = (uint16_t)value;
        break;
    default:
        write_queue(device, offset, value);
        break;
    }
}

uint64_t virtio_common_read(struct device *device, unsigned offset, unsigned size)
{
    struct common common;
    uint64_t value = 0;

    make_common(device, &common);
    if (offset + size <= sizeof(common))
        memcpy(&value, (const uint8_t *)&common + offset, size);
    return value;
}
