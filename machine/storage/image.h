/* SPDX-License-Identifier: MIT */
/*
 * image.h - a disk image: a raw file or a block device, checked and locked when the machine is
 * made, open until it ends.
 *
 * The lock is an open-file-description lock on the whole file (fcntl(2), F_OFD_SETLK): shared for
 * read-only images, exclusive for others. It keeps other machines out, not other programs, and goes
 * away with the process however that ends. A block device that is written is also opened
 * exclusively, which the kernel refuses while it is mounted.
 */
#ifndef ORIGAMI_MACHINE_IMAGE_H
#define ORIGAMI_MACHINE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "../support/problem.h"

#define IMAGE_SECTOR 512u

struct image {
    int fd; /* -1 = not open */
    bool read_only;
    bool device;   /* a block device: its size can't shrink under us unnoticed */
    uint64_t size; /* bytes, a multiple of IMAGE_SECTOR, not 0 */
    /* Set for good: a flush has failed, so that what was written before may be lost; or a file has
     * become smaller than its disk. Atomic. */
    uint32_t flush_failed, shrunk;
};

/* 0, or -errno with one line that names the file. */
int MUST_CHECK image_open(struct image *image, const char *file, bool read_only,
                          struct problem *problem);
void image_close(struct image *image);

#endif
