/* SPDX-License-Identifier: MIT */
/* disk_fixture.h - a machine with a disk (or two) whose image is a temporary file. */
#ifndef ORIGAMI_TESTS_DISK_FIXTURE_H
#define ORIGAMI_TESTS_DISK_FIXTURE_H

#include "driver.h"

#define DISK_BYTES (1u << 20)

struct disk_fixture {
    struct driver driver;
    char name[2][64];
    int file[2]; /* the tests' own descriptors of the images */
    struct board_disk disk[2];
    struct board_config config;
};

/* Images hold their byte offsets / 512, as bytes. `way`: deterministic = I/O at once. */
void disk_fixture_create(struct disk_fixture *fixture, unsigned disks, bool deterministic,
                         bool read_only);
void disk_fixture_destroy(struct disk_fixture *fixture);

#endif
