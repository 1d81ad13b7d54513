/* SPDX-License-Identifier: MIT */
/* frames.c - frames lie one behind the other in a ring of bytes, each in one piece. */
#include "frames.h"

uint8_t *frames_room(struct frames *frames, size_t size)
{
    size_t start = frames->next;

    if (frames->count == FRAMES_MAX || size > FRAMES_BYTES)
        return NULL;
    if (!frames->count) {
        frames->next = 0;
        return frames->data;
    }
    size_t oldest = frames->frame[frames->first].at;
    if (start > oldest) { /* free: behind start, and before oldest */
        if (FRAMES_BYTES - start >= size)
            return frames->data + start;
        return size <= oldest ? frames->data : NULL;
    }
    return oldest - start >= size ? frames->data + start : NULL;
}

void frames_add(struct frames *frames, const uint8_t *room, size_t size)
{
    unsigned at = (frames->first + frames->count) % FRAMES_MAX;

    frames->frame[at].at = (uint32_t)(room - frames->data);
    frames->frame[at].size = (uint32_t)size;
    frames->next = frames->frame[at].at + size;
    frames->count++;
}

uint8_t *frames_first(struct frames *frames, size_t *size)
{
    if (!frames->count)
        return NULL;
    *size = frames->frame[frames->first].size;
    return frames->data + frames->frame[frames->first].at;
}

void frames_drop(struct frames *frames)
{
    frames->first = (frames->first + 1) % FRAMES_MAX;
    frames->count--;
}

void frames_clear(struct frames *frames)
{
    frames->first = frames->count = 0;
    frames->next = 0;
}
