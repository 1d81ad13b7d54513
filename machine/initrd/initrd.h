/* SPDX-License-Identifier: MIT */
/*
 * initrd.h - is this an initial RAM disk that Linux can unpack, to its end? A guest would find out
 * too, but says so only in the middle of its boot, or not at all.
 *
 * Linux (init/initramfs.c, Documentation/driver-api/early-userspace/buffer-format.rst) takes cpio
 * archives one after another, each plain or compressed, zeros between them; or one image of a file
 * system, plain or compressed. What is compressed is inflated piece by piece, and checked, and
 * forgotten. LZO is believed (CAVEATS.md); so is whatever follows a whole archive and is none:
 * Linux only complains.
 */
#ifndef ORIGAMI_MACHINE_INITRD_H
#define ORIGAMI_MACHINE_INITRD_H

#include "../loaders/bytes.h"
#include "../support/problem.h"

/* `limit`: the guest's memory; archives that inflate to more can't be unpacked. Status 4 with a
 * line that begins with `path`, or 0. */
int MUST_CHECK initrd_check(const char *path, struct bytes bytes, uint64_t limit,
                            struct problem *problem);

#endif
