/* SPDX-License-Identifier: MIT */
/* frames.h - a bounded queue of Ethernet frames, for one thread. */
#ifndef ORIGAMI_MACHINE_NET_FRAMES_H
#define ORIGAMI_MACHINE_NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMES_MAX   512u       /* frames */
#define FRAMES_BYTES (2u << 20) /* of all together; a multiple of no frame's size */

struct frames {
    unsigned first, count;
    size_t next; /* where the next frame is written in `data` */
    struct {
        uint32_t at, size;
    } frame[FRAMES_MAX];
    uint8_t data[FRAMES_BYTES];
};

/* Room for a frame of `size` bytes, or NULL. It counts when frames_add() is called. */
uint8_t *frames_room(struct frames *frames, size_t size);
/* The frame written where frames_room() said has `size` bytes, no more than asked for. */
void frames_add(struct frames *frames, const uint8_t *room, size_t size);
/* The oldest frame, or NULL. */
uint8_t *frames_first(struct frames *frames, size_t *size);
void frames_drop(struct frames *frames);
void frames_clear(struct frames *frames);

#endif
