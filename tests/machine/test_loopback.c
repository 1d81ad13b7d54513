/* SPDX-License-Identifier: MIT */
/*
 * test_loopback.c - packets a guest makes by hand against the host's loopback: every destination
 * that means "this host", TCP and UDP, IPv4 and IPv6, must reach none of the sockets that wait
 * there. With host-loopback=on some of the same packets do arrive, which shows that they are
 * well-formed.
 */
#include "net/checksum.h"
#include "net/config.h"
#include "net/link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 60

enum { TCP = 6, UDP = 17 };

static int listener[2][2]; /* by [is UDP][is IPv6]; all on the same port */
static uint16_t port;
static struct problem problem;

static void ignore(void *context, const uint8_t *frame, size_t size)
{
    (void)context;
    (void)frame;
    (void)size;
}

static int bind_one(bool udp, bool v6)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6,
                                .sin6_addr = in6addr_loopback,
                                .sin6_port = htons(port) };
    struct sockaddr_in four = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons(port) };
    int fd = socket(v6 ? AF_INET6 : AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof(four);

    if (fd < 0 || bind(fd, v6 ? (struct sockaddr *)&six : (struct sockaddr *)&four,
                       v6 ? sizeof(six) : sizeof(four)) != 0)
        return -1;
    if (!udp)
        assert_int_equal(listen(fd, 8), 0);
    if (!port) {
        getsockname(fd, (struct sockaddr *)&four, &size);
        port = ntohs(four.sin_port);
    }
    return fd;
}

/* How many connections and datagrams have come. */
static unsigned arrived(void)
{
    unsigned count = 0;
    char byte;

    for (unsigned v6 = 0; v6 < 2; v6++) {
        int fd;
        while (listener[0][v6] >= 0 && (fd = accept(listener[0][v6], NULL, NULL)) >= 0) {
            close(fd);
            count++;
        }
        while (listener[1][v6] >= 0 && recv(listener[1][v6], &byte, 1, 0) >= 0)
            count++;
    }
    return count;
}

static void work(struct net_link *link)
{
    struct pollfd fds[LINK_POLL_MAX];

    for (unsigned i = 0; i < WAIT_MS / 10; i++) {
        int timeout = 10;
        unsigned count = link_user.poll_fill(link, fds, &timeout);
        poll(fds, count, timeout < 10 && timeout >= 0 ? timeout : 10);
        link_user.poll_done(link, fds, count);
    }
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* A SYN, or a datagram of one byte; the checksum over pseudo header and segment. */
static size_t segment(uint8_t *at, unsigned protocol, const uint8_t *addresses,
                      size_t address_bytes)
{
    static unsigned source = 1024;
    size_t size = protocol == TCP ? 20 : 9;
    uint8_t pseudo[32 + 4 + 32] = { 0 };

    memset(at, 0, size);
    put16(at, ++source);
    put16(at + 2, port);
    if (protocol == TCP) {
        at[7] = 1;
        at[12] = 0x50;
        at[13] = 0x02;
        put16(at + 14, 65535);
    } else {
        put16(at + 4, 9);
        at[8] = 'x';
    }
    memcpy(pseudo, addresses, address_bytes);
    put16(pseudo + address_bytes, protocol);
    put16(pseudo + address_bytes + 2, (unsigned)size);
    memcpy(pseudo + address_bytes + 4, at, size);
    uint16_t sum = (uint16_t)~checksum_sum(pseudo, address_bytes + 4 + size);
    memcpy(at + (protocol == TCP ? 16 : 6), &sum, 2);
    return size;
}

static void send_to(struct net_link *link, unsigned protocol, const char *destination)
{
    static const uint8_t ethernet[14] = {
        0x52, 0x55, 0x0a, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56
    };
    uint8_t frame[128] = { 0 }, *ip = frame + 14;
    size_t size;

    memcpy(frame, ethernet, sizeof(ethernet));
    if (strchr(destination, ':')) {
        put16(frame + 12, 0x86dd);
        ip[0] = 0x60;
        ip[6] = (uint8_t)protocol;
        ip[7] = 64;
        inet_pton(AF_INET6, "fec0::5054:ff:fe12:3456", ip + 8);
        assert_int_equal(inet_pton(AF_INET6, destination, ip + 24), 1);
        size = segment(ip + 40, protocol, ip + 8, 32);
        put16(ip + 4, (unsigned)size);
        size += 40;
    } else {
        put16(frame + 12, 0x0800);
        ip[0] = 0x45;
        ip[8] = 64;
        ip[9] = (uint8_t)protocol;
        inet_pton(AF_INET, "10.0.2.15", ip + 12);
        assert_int_equal(inet_pton(AF_INET, destination, ip + 16), 1);
        size = 20 + segment(ip + 20, protocol, ip + 12, 8);
        put16(ip + 2, (unsigned)size);
        uint16_t sum = (uint16_t)~checksum_sum(ip, 20);
        memcpy(ip + 10, &sum, 2);
    }
    link_user.send(link, frame, 14 + size);
    work(link);
}

static struct net_link *open_link(bool host_loopback)
{
    const struct net_config config = { .mode = NET_USER, .host_loopback = host_loopback };
    const struct net_receiver receiver = { .receive = ignore };
    struct net_link *link;

    assert_int_equal(link_user.open(&link, &config, &receiver, &problem), 0);
    return link;
}

static const char *const destinations[] = {
    "10.0.2.2",
    "10.0.2.3",
    "127.0.0.1",
    "127.255.255.254",
    "127.1.2.3",
    "0.0.0.0",
    "0.0.0.1",
    "255.255.255.255",
    "10.0.2.255",
    "10.0.2.0",
    "fec0::2",
    "fec0::3",
    "fec0::77",
    "::1",
    "::",
    "::127.0.0.1",
    "::2",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "fe80::2",
    "ff02::1",
    "ff01::1",
    "::ffff:10.0.2.2",
};

static void nothing_arrives(void **state)
{
    struct net_link *link = open_link(false);

    (void)state;
    for (unsigned i = 0; i < sizeof(destinations) / sizeof(destinations[0]); i++) {
        send_to(link, TCP, destinations[i]);
        send_to(link, UDP, destinations[i]);
        unsigned count = arrived();
        if (count)
            fail_msg("%s: %u arrived", destinations[i], count);
    }
    link_user.close(link);
}

static void some_arrive_when_allowed(void **state)
{
    struct net_link *link = open_link(true);

    (void)state;
    send_to(link, TCP, "10.0.2.2");
    assert_int_equal(arrived(), 1);
    send_to(link, UDP, "10.0.2.2");
    assert_int_equal(arrived(), 1);
    send_to(link, TCP, "127.0.0.1"); /* what the guard is for: libslirp itself lets it through */
    assert_int_equal(arrived(), 1);
    if (listener[0][1] >= 0) {
        send_to(link, TCP, "fec0::2");
        assert_int_equal(arrived(), 1);
        send_to(link, TCP, "::1");
        assert_int_equal(arrived(), 1);
        send_to(link, UDP, "fec0::2");
        assert_int_equal(arrived(), 1);
    }
    link_user.close(link);
}

/* ---- Forwards ---- */

static unsigned datagrams;

static void count_datagrams(void *context, const uint8_t *frame, size_t size)
{
    (void)context;
    if (size == 14 + 28 + 5 && frame[23] == UDP && frame[36] == 0 && frame[37] == 7 &&
        !memcmp(frame + 42, "hello", 5))
        datagrams++;
}

static void forwarded_datagram(void **state)
{
    /* "Who has 10.0.2.2? Tell 10.0.2.15", so that the network knows the guest's address */
    static const uint8_t arp[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34,
                                     0x56, 8,    6,    0,    1,    8,    0,    6,    4, 0,    1,
                                     0x52, 0x54, 0,    0x12, 0x34, 0x56, 10,   0,    2, 15,   0,
                                     0,    0,    0,    0,    0,    10,   0,    2,    2 };
    struct net_config config = { .mode = NET_USER,
                                 .forward_count = 2,
                                 .forward = { { INADDR_LOOPBACK, 0, 7, true },
                                              { INADDR_LOOPBACK, port, 7, true } } };
    const struct net_receiver receiver = { .receive = count_datagrams };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(to);
    struct net_link *link;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    /* A free port; and one that is taken, which is an error before anything runs. */
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    getsockname(fd, (struct sockaddr *)&to, &size);
    close(fd);
    config.forward[0].host_port = ntohs(to.sin_port);
    assert_int_not_equal(link_user.open(&link, &config, &receiver, &problem), 0);
    assert_non_null(strstr(problem.text, "Address already in use"));
    assert_int_equal(problem.status, STATUS_HOST);
    config.forward_count = 1;
    assert_int_equal(link_user.open(&link, &config, &receiver, &problem), 0);
    link_user.send(link, arp, sizeof(arp));
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
    work(link);
    assert_int_equal(datagrams, 1);
    close(fd);
    link_user.close(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_arrives),
        cmocka_unit_test(some_arrive_when_allowed),
        cmocka_unit_test(forwarded_datagram),
    };

    for (unsigned udp = 0; udp < 2; udp++) {
        for (unsigned v6 = 0; v6 < 2; v6++) {
            listener[udp][v6] = bind_one(udp, v6);
            if (listener[udp][v6] < 0 && !v6)
                return 1;
        }
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
