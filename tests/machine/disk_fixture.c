/* SPDX-License-Identifier: MIT */
/* disk_fixture.c - see disk_fixture.h. */
#include "disk_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void make_image(struct disk_fixture *fixture, unsigned number)
{
    static const char pattern[] = "/tmp/origami-disk-XXXXXX";
    uint8_t sector[512];

    strcpy(fixture->name[number], pattern);
    fixture->file[number] = mkstemp(fixture->name[number]);
    for (unsigned i = 0; i < DISK_BYTES / sizeof(sector); i++) {
        memset(sector, (int)(i & 0xff), sizeof(sector));
        if (write(fixture->file[number], sector, sizeof(sector)) != (ssize_t)sizeof(sector))
            abort();
    }
}

void disk_fixture_create(struct disk_fixture *fixture, unsigned disks, bool deterministic,
                         bool read_only)
{
    struct problem problem = { 0 };

    memset(fixture, 0, sizeof(*fixture));
    for (unsigned i = 0; i < disks; i++) {
        make_image(fixture, i);
        fixture->disk[i] = (struct board_disk){ .file = fixture->name[i],
                                                .serial = "serial-0123456789-too-long",
                                                .read_only = read_only };
    }
    fixture->config = (struct board_config){ .memory = 2 << 20,
                                             .deterministic = deterministic,
                                             .seed = 1,
                                             .disk = fixture->disk,
                                             .disk_count = disks,
                                             .console = true,
                                             .rng = true,
                                             .balloon = true,
                                             .balloon_size = 1 << 20 };
    if (driver_create(&fixture->driver, &fixture->config, &problem) != 0) {
        fprintf(stderr, "%s\n", problem.text);
        abort();
    }
}

void disk_fixture_destroy(struct disk_fixture *fixture)
{
    driver_destroy(&fixture->driver);
    for (unsigned i = 0; i < 2; i++) {
        if (fixture->disk[i].file) {
            close(fixture->file[i]);
            unlink(fixture->name[i]);
        }
    }
}
