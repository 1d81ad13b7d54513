/* SPDX-License-Identifier: MIT */
/*
 * link.h - what is at the other end of a guest's network cable: a network in this process (user.c)
 * or a tap device of the host's (tap.c). Ethernet frames without check sequence.
 *
 * Everything but open and close is called from one thread, the network device's own, without any
 * lock held. None of it waits.
 */
#ifndef ORIGAMI_MACHINE_NET_LINK_H
#define ORIGAMI_MACHINE_NET_LINK_H

#include <poll.h>
#include <stddef.h>
#include "../support/problem.h"
#include "config.h"

#define LINK_HEADER    14u    /* addresses and type */
#define LINK_MTU_MAX   65520u /* of any link */
#define LINK_FRAME_MAX (LINK_MTU_MAX + LINK_HEADER)
#define LINK_POLL_MAX  2048u /* descriptors a link may want to be polled */

struct net_link; /* each kind's own */

/* Takes a frame for the guest; what finds no room is dropped, as on a wire. */
struct net_receiver {
    void *context;
    void (*receive)(void *context, const uint8_t *frame, size_t size);
};

struct net_link_operations {
    unsigned mtu; /* largest payload of a frame; at most LINK_MTU_MAX */
    /* Frames for the guest carry correct checksums, made in this process. */
    bool checksums_good;
    int (*open)(struct net_link **link, const struct net_config *config,
                const struct net_receiver *receiver, struct problem *problem);
    void (*close)(struct net_link *link);
    /* A frame from the guest, LINK_HEADER to mtu + LINK_HEADER bytes. Its contents may be anything.
     */
    void (*send)(struct net_link *link, const uint8_t *frame, size_t size);
    /* Before poll(): fills at most LINK_POLL_MAX descriptors, lowers *timeout (ms, -1 = for ever).
     * Returns how many. */
    unsigned (*poll_fill)(struct net_link *link, struct pollfd *fds, int *timeout);
    /* After it, with what it said. Calls receive(). */
    void (*poll_done)(struct net_link *link, const struct pollfd *fds, unsigned count);
};

extern const struct net_link_operations link_user, link_tap;

#endif
