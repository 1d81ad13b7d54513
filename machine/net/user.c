/* SPDX-License-Identifier: MIT */
/*
 * user.c - a network of its own for the guest, made by libslirp: DHCP, DNS, and its connections
 * carried by ordinary sockets of this process.
 *
 *     10.0.2.0/24, fec0::/64   10.0.2.2 gateway   10.0.2.3 DNS   10.0.2.15 the guest
 *
 * The MTU is large, because these packets meet no wire; but several fit into TCP's window of 64 KiB
 * (libslirp scales none), or the guest would delay its acknowledgements.
 */
#include "guard.h"
#include "link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define USER_MTU    16384u
#define USER_TIMERS 4u

#define NETWORK    0x0a000200u /* 10.0.2.0 */
#define MASK       0xffffff00u
#define GATEWAY    (NETWORK | 2)
#define NAMESERVER (NETWORK | 3)
#define GUEST      (NETWORK | 15)

struct user_timer {
    struct net_link *link;
    int64_t when; /* ms of our clock; -1 = not set */
    SlirpTimerId id;
    void *context;
    bool used;
};

struct net_link {
    Slirp *slirp;
    struct net_receiver receiver;
    struct user_timer timer[USER_TIMERS];
    bool host_loopback;
    /* During one poll_fill and poll_done */
    struct pollfd *fds;
    const struct pollfd *result;
    unsigned count;
};

/* ---- What libslirp asks of us ---- */

static int64_t now_ns(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static ssize_t send_packet(const void *data, size_t size, void *context)
{
    struct net_link *link = context;

    link->receiver.receive(link->receiver.context, data, size);
    return (ssize_t)size;
}

static void guest_error(const char *message, void *context)
{
    (void)message; /* a guest's bad packets are its own business */
    (void)context;
}

static void *timer_new(SlirpTimerId id, void *timer_context, void *context)
{
    struct net_link *link = context;

    for (unsigned i = 0; i < USER_TIMERS; i++) {
        if (link->timer[i].used)
            continue;
        link->timer[i] = (struct user_timer){
            .link = link, .when = -1, .id = id, .context = timer_context, .used = true
        };
        return &link->timer[i];
    }
    return NULL;
}

static void timer_free(void *timer, void *context)
{
    (void)context;
    if (timer)
        ((struct user_timer *)timer)->used = false;
}

static void timer_mod(void *timer, int64_t when, void *context)
{
    (void)context;
    if (timer)
        ((struct user_timer *)timer)->when = when;
}

/* Descriptors are asked for anew before each poll, and its own thread needs no waking. */
static void ignore_descriptor(int fd, void *context)
{
    (void)fd;
    (void)context;
}

static void ignore_notice(void *context)
{
    (void)context;
}

static const SlirpCb callbacks = { .send_packet = send_packet,
                                   .guest_error = guest_error,
                                   .clock_get_ns = now_ns,
                                   .timer_new_opaque = timer_new,
                                   .timer_free = timer_free,
                                   .timer_mod = timer_mod,
                                   .register_poll_fd = ignore_descriptor,
                                   .unregister_poll_fd = ignore_descriptor,
                                   .notify = ignore_notice };

/* ---- Open and close ---- */

static int add_forward(struct net_link *link, const struct net_forward *forward,
                       struct problem *problem)
{
    const struct in_addr host = { htonl(forward->host_address) }, guest = { htonl(GUEST) };

    if (slirp_add_hostfwd(link->slirp, forward->udp, host, forward->host_port, guest,
                          forward->guest_port) == 0)
        return 0;
    return problem_set(problem, STATUS_HOST, errno, "--net: forward %s:%s:%u:%u: %s",
                       forward->udp ? "udp" : "tcp", inet_ntoa(host), forward->host_port,
                       forward->guest_port, strerror(errno));
}

static void user_close(struct net_link *link)
{
    if (!link)
        return;
    if (link->slirp)
        slirp_cleanup(link->slirp);
    free(link);
}

/* libslirp's messages are about what guests and peers do; they must not reach the user's terminal.
 */
static void drop_message(const char *domain, GLogLevelFlags level, const char *message,
                         void *context)
{
    (void)domain;
    (void)level;
    (void)message;
    (void)context;
}

static int user_open(struct net_link **result, const struct net_config *config,
                     const struct net_receiver *receiver, struct problem *problem)
{
    SlirpConfig slirp = { .version = 4,
                          .in_enabled = true,
                          .vnetwork.s_addr = htonl(NETWORK),
                          .vnetmask.s_addr = htonl(MASK),
                          .vhost.s_addr = htonl(GATEWAY),
                          .in6_enabled = true,
                          .vprefix_len = 64,
                          .vdhcp_start.s_addr = htonl(GUEST),
                          .vnameserver.s_addr = htonl(NAMESERVER),
                          .if_mtu = USER_MTU,
                          .if_mru = USER_MTU,
                          .disable_host_loopback = !config->host_loopback };
    struct net_link *link = calloc(1, sizeof(*link));
    int error = 0;

    *result = link;
    if (!link)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    inet_pton(AF_INET6, "fec0::", &slirp.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &slirp.vhost6);
    inet_pton(AF_INET6, "fec0::3", &slirp.vnameserver6);
    link->receiver = *receiver;
    link->host_loopback = config->host_loopback;
    g_log_set_handler("Slirp",
                      G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_MESSAGE |
                          G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG,
                      drop_message, NULL);
    link->slirp = slirp_new(&slirp, &callbacks, link);
    if (!link->slirp)
        error = problem_set(problem, STATUS_HOST, EIO, "--net user: libslirp does not start");
    for (unsigned i = 0; i < config->forward_count && error == 0; i++)
        error = add_forward(link, &config->forward[i], problem);
    if (error) {
        user_close(link);
        *result = NULL;
    }
    return error;
}

/* ---- Packets ---- */

static void user_send(struct net_link *link, const uint8_t *frame, size_t size)
{
    if (link->host_loopback || guard_allows(frame, size))
        slirp_input(link->slirp, frame, (int)size);
}

static int add_poll(int fd, int events, void *context)
{
    struct net_link *link = context;
    short wanted = 0;

    if (link->count == LINK_POLL_MAX)
        return -1; /* its turn comes when others are done */
    wanted |= events & SLIRP_POLL_IN ? POLLIN : 0;
    wanted |= events & SLIRP_POLL_OUT ? POLLOUT : 0;
    wanted |= events & SLIRP_POLL_PRI ? POLLPRI : 0;
    link->fds[link->count] = (struct pollfd){ .fd = fd, .events = wanted };
    return (int)link->count++;
}

static int get_events(int index, void *context)
{
    const struct net_link *link = context;
    int events = 0;

    if (index < 0 || (unsigned)index >= link->count)
        return 0;
    short seen = link->result[index].revents;
    events |= seen & POLLIN ? SLIRP_POLL_IN : 0;
    events |= seen & POLLOUT ? SLIRP_POLL_OUT : 0;
    events |= seen & POLLPRI ? SLIRP_POLL_PRI : 0;
    events |= seen & POLLERR ? SLIRP_POLL_ERR : 0;
    events |= seen & POLLHUP ? SLIRP_POLL_HUP : 0;
    return events;
}

static unsigned user_poll_fill(struct net_link *link, struct pollfd *fds, int *timeout)
{
    uint32_t wait = *timeout < 0 ? UINT32_MAX : (uint32_t)*timeout;

    link->fds = fds;
    link->count = 0;
    slirp_pollfds_fill(link->slirp, &wait, add_poll, link);
    for (unsigned i = 0; i < USER_TIMERS; i++) {
        const struct user_timer *timer = &link->timer[i];
        if (!timer->used || timer->when < 0)
            continue;
        int64_t left = timer->when - now_ns(NULL) / 1000000;
        if (left < (int64_t)wait)
            wait = left > 0 ? (uint32_t)left : 0;
    }
    *timeout = wait > INT32_MAX ? -1 : (int)wait;
    return link->count;
}

static void user_poll_done(struct net_link *link, const struct pollfd *fds, unsigned count)
{
    link->result = fds;
    link->count = count;
    slirp_pollfds_poll(link->slirp, 0, get_events, link);
    for (unsigned i = 0; i < USER_TIMERS; i++) {
        struct user_timer *timer = &link->timer[i];
        if (!timer->used || timer->when < 0 || timer->when > now_ns(NULL) / 1000000)
            continue;
        timer->when = -1;
        slirp_handle_timer(link->slirp, timer->id, timer->context);
    }
}

const struct net_link_operations link_user = { .mtu = USER_MTU,
                                               .checksums_good = true,
                                               .open = user_open,
                                               .close = user_close,
                                               .send = user_send,
                                               .poll_fill = user_poll_fill,
                                               .poll_done = user_poll_done };
