/* SPDX-License-Identifier: MIT */
/* tap.c - a tap device of the host's (kernel: Documentation/networking/tuntap.rst). Needs
 * permission for /dev/net/tun, and an interface that exists or the right to make one. */
#include "link.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TAP_MTU   1500u
#define TAP_BURST 64 /* frames read at once, at most: others have their turn too */

struct net_link {
    int fd;
    struct net_receiver receiver;
    uint8_t frame[LINK_FRAME_MAX];
};

static void tap_close(struct net_link *link)
{
    if (!link)
        return;
    if (link->fd >= 0)
        close(link->fd);
    free(link);
}

static int attach(struct net_link *link, const char *name, struct problem *problem)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };

    link->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (link->fd < 0)
        return problem_set(problem, STATUS_HOST, errno, "--net tap: /dev/net/tun: %s",
                           strerror(errno));
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(link->fd, TUNSETIFF, &request) != 0)
        return problem_set(problem, STATUS_HOST, errno, "--net tap: %s: %s", name, strerror(errno));
    return 0;
}

static int tap_open(struct net_link **result, const struct net_config *config,
                    const struct net_receiver *receiver, struct problem *problem)
{
    struct net_link *link = calloc(1, sizeof(*link));

    *result = NULL;
    if (!link)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    link->fd = -1;
    link->receiver = *receiver;
    int error = attach(link, config->name, problem);
    if (error)
        tap_close(link);
    else
        *result = link;
    return error;
}

/* A frame that finds the device's queue full is lost, as on a wire. */
static void tap_send(struct net_link *link, const uint8_t *frame, size_t size)
{
    ssize_t written;

    do {
        written = write(link->fd, frame, size);
    } while (written < 0 && errno == EINTR);
}

static unsigned tap_poll_fill(struct net_link *link, struct pollfd *fds, int *timeout)
{
    (void)timeout;
    fds[0] = (struct pollfd){ .fd = link->fd, .events = POLLIN };
    return 1;
}

static void tap_poll_done(struct net_link *link, const struct pollfd *fds, unsigned count)
{
    if (!count || !fds[0].revents)
        return;
    for (unsigned i = 0; i < TAP_BURST; i++) {
        ssize_t size = read(link->fd, link->frame, sizeof(link->frame));
        if (size <= 0)
            return;
        link->receiver.receive(link->receiver.context, link->frame, (size_t)size);
    }
}

const struct net_link_operations link_tap = { .mtu = TAP_MTU,
                                              .open = tap_open,
                                              .close = tap_close,
                                              .send = tap_send,
                                              .poll_fill = tap_poll_fill,
                                              .poll_done = tap_poll_done };
