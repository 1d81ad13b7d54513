/* SPDX-License-Identifier: MIT */
/*
 * bootguest.h - a pair of machines with a Linux kernel in memory and the few devices it insists on.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_BOOTGUEST_H
#define ORIGAMI_TEST_LOCKSTEP_BOOTGUEST_H

#include "pair.h"

struct boot_guest {
    struct pair pair;
};

/* `initrd` may be NULL. 0, or -1: a file can't be read or is no bzImage, or no Soft tier. */
int boot_guest_create(struct boot_guest *guest, const char *kernel, const char *initrd,
                      const char *cmdline);
void boot_guest_destroy(struct boot_guest *guest);

#endif
