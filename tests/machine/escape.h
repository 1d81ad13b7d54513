/* SPDX-License-Identifier: MIT */
/*
 * escape.h - a driver that tries to get out: one row an attempt. Each runs on a machine of its own
 * whose memory lies between unmapped pages, against an image of which every byte is known. After
 * it: nothing outside guest memory was touched (or the program would be gone), the image is as it
 * was, messages went nowhere but to the interrupt controllers, and after a reset the disk works. An
 * attempt is right but for one thing, so that only the check for that thing can stop it.
 */
#ifndef ORIGAMI_TESTS_ESCAPE_H
#define ORIGAMI_TESTS_ESCAPE_H

#include "disk_fixture.h"

enum escape_outcome {
    BROKEN,  /* the device needs a reset */
    REFUSED, /* the request got an error status, the device goes on */
    WORKS,   /* allowed after all, and done right */
    SILENT   /* nothing happened, the device goes on */
};

#define ESCAPE_QUEUE 16u /* size of the disk's queue here */

struct escape {
    const char *name;
    void (*run)(struct driver *driver);
    enum escape_outcome outcome;
};

/* main() of a program with these attempts. */
int escape_run(const struct escape *attempts, size_t count);

/* The header of a request at DRIVER_BUFFERS; its status byte is 16 bytes further. */
void escape_header(struct driver *d, uint32_t type, uint64_t sector);
/* A read of `size` bytes from sector 0 to `address`. */
void escape_read_to(struct driver *d, uint64_t address, uint32_t size);

#endif
