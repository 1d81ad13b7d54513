/* SPDX-License-Identifier: MIT */
/*
 * console.c - the paravirtual console (virtio 1.2, 5.3): one port, hvc0 in Linux. It shares the
 * user's terminal with the serial port: both write, and input goes to this one from the moment its
 * driver is ready until it is reset.
 */
#include "../board.h"
#include "virtio.h"
#include <errno.h>

#define QUEUE_SIZE 64
#define PIECE      256u
#define TURN       65536u /* bytes taken from the driver in one go; then others get the device lock */

enum { RECEIVE = 0, TRANSMIT = 1 };

struct console {
    struct virtio_state virtio;
    uint32_t sent; /* bytes of the first waiting chain that are out already */
    uint32_t reserved;
};

/* How much of the chain the terminal takes, from byte `sent` on. */
static uint32_t put(struct device *device, const struct virtq_chain *chain, uint32_t sent,
                    uint32_t most)
{
    uint8_t bytes[PIECE];
    uint32_t done = 0;

    while (done < most) {
        size_t size = virtq_read(device, chain, sent + done, bytes,
                                 most - done < PIECE ? most - done : PIECE);
        for (size_t i = 0; i < size; i++, done++) {
            if (!device_console_put(device, bytes[i]))
                return done;
        }
        if (!size)
            break;
    }
    return done;
}

static void transmit(struct device *device)
{
    struct console *console = device->state;
    struct virtq_chain chain;
    uint32_t left = TURN;

    while (left && virtq_pop(device, TRANSMIT, &chain) > 0) {
        uint64_t size = chain.readable_size;
        uint64_t rest = size > console->sent ? size - console->sent : 0;
        uint32_t most = rest < left ? (uint32_t)rest : left;
        uint32_t done = put(device, &chain, console->sent, most);
        left -= done;
        if (done < rest) { /* no room, or enough for now: the chain waits with the rest */
            console->sent += done;
            virtq_unpop(device, TRANSMIT);
            if (done == most)
                device_set_timer(device, device_now(device));
            break;
        }
        console->sent = 0;
        virtq_push(device, TRANSMIT, chain.head, 0);
    }
    virtq_signal(device, TRANSMIT);
}

/* Input waits in the terminal until there is a buffer for it, and buffers until there is input. */
static void receive(struct device *device)
{
    struct virtq_chain chain;

    while (virtq_pop(device, RECEIVE, &chain) > 0) {
        uint8_t bytes[PIECE];
        uint64_t room = chain.writable_size < PIECE ? chain.writable_size : PIECE;
        uint32_t count = 0;
        for (int byte; count < room && (byte = device_console_get(device)) >= 0;)
            bytes[count++] = (uint8_t)byte;
        if (room && !count) {
            virtq_unpop(device, RECEIVE);
            break;
        }
        size_t written = virtq_write(device, &chain, 0, bytes, count);
        virtq_push(device, RECEIVE, chain.head, (uint32_t)written);
    }
    virtq_signal(device, RECEIVE);
}

/* What is left afterwards waits for room, input or the timer; new chains are asked for all the
 * same, as the driver may not know that. */
static void console_notify(struct device *device, unsigned queue)
{
    void (*work)(struct device * device) = queue == TRANSMIT ? transmit : receive;
    unsigned before;

    do {
        work(device);
        before = virtq_waiting(device, queue);
    } while (virtq_more(device, queue) && virtq_waiting(device, queue) != before);
}

static void console_event(struct device *device)
{
    console_notify(device, TRANSMIT);
    console_notify(device, RECEIVE);
}

static void console_ready(struct device *device)
{
    device_console_claim(device, true);
}

static void console_reset(struct device *device)
{
    struct console *console = device->state;

    console->sent = 0;
    device_set_timer(device, DEVICE_NEVER);
    device_console_claim(device, false);
}

static void console_resume(struct device *device)
{
    device_set_timer(device, DEVICE_NEVER);
    device_console_claim(device, virtio_state_of(device)->status & VIRTIO_STATUS_DRIVER_OK);
}

static unsigned console_queues(const struct device *device)
{
    (void)device;
    return 2;
}

static uint64_t console_features(const struct device *device)
{
    (void)device;
    return 0; /* no size, no further ports */
}

static bool console_present(const struct board_config *config)
{
    return config->console;
}

static const struct virtio_class console_virtio = {
    .type = 3,
    .first_slot = 1,
    .class_code = 0x078000, /* communication, other */
    .queue_size = QUEUE_SIZE,
    .queues = console_queues,
    .features = console_features,
    .reset = console_reset,
    .ready = console_ready,
    .notify = console_notify,
    .resume = console_resume,
};

DEVICE_CLASS(virtio_console) = {
    .name = "virtio-console",
    .version = 1,
    .state_size = sizeof(struct console),
    .pci = &virtio_pci,
    .virtio = &console_virtio,
    .present = console_present,
    .console = console_event,
    .timer = console_event,
};
