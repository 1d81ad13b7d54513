/* SPDX-License-Identifier: MIT */
/* ring.h - a byte queue of fixed size. No locks. */
#ifndef ORIGAMI_MACHINE_RING_H
#define ORIGAMI_MACHINE_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_SIZE 65536u /* power of two */

struct ring {
    uint32_t head, tail; /* count up; tail - head bytes are queued */
    uint8_t data[RING_SIZE];
};

static inline uint32_t ring_used(const struct ring *ring)
{
    return ring->tail - ring->head;
}
static inline uint32_t ring_room(const struct ring *ring)
{
    return RING_SIZE - ring_used(ring);
}
static inline void ring_put(struct ring *ring, uint8_t byte)
{
    ring->data[ring->tail++ % RING_SIZE] = byte;
}
static inline uint8_t ring_get(struct ring *ring)
{
    return ring->data[ring->head++ % RING_SIZE];
}

/* The longest run of queued bytes that lies in one piece. */
static inline uint32_t ring_piece(const struct ring *ring, const uint8_t **data)
{
    uint32_t offset = ring->head % RING_SIZE;
    uint32_t size = ring_used(ring);

    *data = ring->data + offset;
    return size < RING_SIZE - offset ? size : RING_SIZE - offset;
}

#endif
