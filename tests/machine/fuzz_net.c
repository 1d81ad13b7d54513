/* SPDX-License-Identifier: MIT */
/*
 * fuzz_net.c - the network card's registers and queues against an arbitrary driver, and a link that
 * sends back what it gets. The input is a list of 8-byte steps.
 */
#include "driver.h"
#include "net/config.h"
#include "net/link.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct net_receiver receiver;

static int echo_open(struct net_link **link, const struct net_config *config,
                     const struct net_receiver *to, struct problem *problem)
{
    (void)config;
    (void)problem;
    receiver = *to;
    *link = (struct net_link *)(void *)&receiver;
    return 0;
}
static void echo_close(struct net_link *link)
{
    (void)link;
}
static void echo_send(struct net_link *link, const uint8_t *frame, size_t size)
{
    (void)link;
    if (size < LINK_HEADER || size > 9000 + LINK_HEADER)
        abort(); /* what a link is promised */
    receiver.receive(receiver.context, frame, size);
}
static unsigned echo_fill(struct net_link *link, struct pollfd *fds, int *timeout)
{
    (void)link;
    (void)fds;
    (void)timeout;
    return 0;
}
static void echo_done(struct net_link *link, const struct pollfd *fds, unsigned count)
{
    (void)link;
    (void)fds;
    (void)count;
}
static const struct net_link_operations link_echo = { .mtu = 9000,
                                                      .open = echo_open,
                                                      .close = echo_close,
                                                      .send = echo_send,
                                                      .poll_fill = echo_fill,
                                                      .poll_done = echo_done };

/* Mostly where there is memory; sometimes next to its end, or anywhere. */
static uint64_t address_of(uint16_t value)
{
    static const uint64_t bases[] = { DRIVER_BUFFERS, DRIVER_LOW_END - 64,   DRIVER_MID,
                                      DRIVER_RINGS,   DRIVER_HIGH_END - 128, DRIVER_MID_END - 256,
                                      ~0ull - 4096,   DRIVER_LOW_END };

    return bases[value & 7] + (value >> 3);
}

static void step(struct driver *driver, const uint8_t *at)
{
    static const uint8_t frame[9000 + LINK_HEADER];
    uint16_t a, b, c;

    memcpy(&a, at + 2, 2);
    memcpy(&b, at + 4, 2);
    memcpy(&c, at + 6, 2);
    unsigned queue = at[1] & 1;
    switch (at[0] & 15) {
    case 0:
    case 1:
    case 2:
        driver_descriptor(driver, queue, a & (SIZE - 1), address_of(b), c, at[1] >> 1 & 7,
                          (uint16_t)(at[1] >> 4));
        break;
    case 3:
    case 4:
        driver_offer(driver, queue, a & (c & 64 ? 0xffff : SIZE - 1));
        break;
    case 5:
    case 6:
        driver_notify(driver, queue);
        break;
    case 7:
        driver_write(driver, driver->bar + COMMON_STATUS, 1, 0);
        break;
    case 8: /* from a bus that works: the driver would wait for it */
        board_reset(&driver->board, 0);
        driver_find(driver, 1, 0);
        driver_start(driver, (uint64_t)c | (uint64_t)(a & 3) << 28, 2, SIZE);
        break;
    case 9:
        driver_write(driver, driver->bar + a % 0x5000, 1u << (at[1] & 3), (uint64_t)c << 16 | b);
        break;
    case 10:
        driver_read(driver, driver->bar + a % 0x5000, 1u << (at[1] & 3));
        break;
    case 11:
        driver_config_write(driver, driver->slot, a & 0xfc, 4, (uint32_t)c << 16 | b);
        break;
    case 12:
        driver->queue[queue].available = (uint16_t)(driver->queue[queue].available + a);
        break;
    case 13:
        *(uint16_t *)driver_memory(driver, DRIVER_RINGS + (a & 0x7ffe), 2) = b;
        break;
    default:
        receiver.receive(receiver.context, frame, a % sizeof(frame));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct driver driver;
    static const struct net_config net = { .mode = NET_USER, .link = &link_echo };
    static const struct board_config config = { .memory = 2 << 20, .net = &net };
    struct problem problem;

    if (driver_create(&driver, &config, &problem) != 0)
        abort();
    board_stop(&driver.board);
    if (!driver_find(&driver, 1, 0))
        abort();
    driver_start(&driver, ~0ull, 2, SIZE);
    for (; size >= 8; size -= 8, data += 8)
        step(&driver, data);
    driver_destroy(&driver);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 10000;
    uint64_t random = 0xda3e39cb94b95bdbull;
    uint8_t data[64 * 8];

    for (long i = 0; i < count; i++) {
        for (unsigned at = 0; at < sizeof(data); at += 8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            memcpy(data + at, &random, 8);
        }
        LLVMFuzzerTestOneInput(data, sizeof(data));
    }
    printf("%ld inputs\n", count);
    return 0;
}
#endif
