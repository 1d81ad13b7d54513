/* SPDX-License-Identifier: MIT */
/* guard.h - where a guest's packets may not go. */
#ifndef ORIGAMI_MACHINE_NET_GUARD_H
#define ORIGAMI_MACHINE_NET_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * May a frame of the guest's reach the user network? False for destinations that a socket of this
 * process would take for the host itself, by whatever spelling: the network's own rule covers its
 * gateway's address only.
 */
bool guard_allows(const uint8_t *frame, size_t size);

#endif
