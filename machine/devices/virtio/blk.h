/* SPDX-License-Identifier: MIT */
/* blk.h - what others may know of the disks. */
#ifndef ORIGAMI_MACHINE_BLK_H
#define ORIGAMI_MACHINE_BLK_H

#include "../board.h"

/* How the host does the disks' I/O: "io_uring", "threads", "synchronous"; NULL = there are none. */
const char *blk_way(const struct board *board);

#endif
