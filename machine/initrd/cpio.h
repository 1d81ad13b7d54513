/* SPDX-License-Identifier: MIT */
/*
 * cpio.h - the structure of an archive of the formats 070701 ("newc") and 070702, byte by byte.
 */
#ifndef ORIGAMI_MACHINE_CPIO_H
#define ORIGAMI_MACHINE_CPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPIO_HEADER  110u
#define CPIO_TRAILER "TRAILER!!!"

enum cpio_state {
    CPIO_READING, /* in an archive */
    CPIO_WHOLE,   /* behind its trailer, and zeros */
    CPIO_NOT,     /* does not begin like one */
    CPIO_OLD,     /* of a format that Linux does not unpack */
    CPIO_DAMAGED, /* an entry that is none */
};

struct cpio {
    enum cpio_state state;
    unsigned header_size; /* bytes of the header seen */
    bool first;
    uint8_t header[CPIO_HEADER];
    char name[sizeof(CPIO_TRAILER)]; /* its beginning */
    uint32_t name_size, name_seen;
    uint64_t skip; /* bytes to pass over: rest of the name, padding, contents */
};

void cpio_start(struct cpio *cpio);
/* Takes at most `size` bytes; returns how many. Fewer: the state says why. */
size_t cpio_take(struct cpio *cpio, const uint8_t *data, size_t size);

#endif
