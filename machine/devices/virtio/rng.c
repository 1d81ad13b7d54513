/* SPDX-License-Identifier: MIT */
/*
 * rng.c - random numbers (virtio 1.2, 5.4): one queue of buffers to fill, from the host's
 * generator; in deterministic runs from one of our own, whose state is saved with the rest.
 */
#include "../board.h"
#include "virtio.h"
#include <sys/random.h>

#define QUEUE_SIZE 64
#define PIECE      256u  /* getrandom(2) gives so many bytes without interruption */
#define CHAIN_MAX  4096u /* bytes for one buffer: work under the device lock has an end */

struct rng {
    struct virtio_state virtio;
    uint64_t seed; /* deterministic runs */
};

/* SplitMix64: any seed will do. */
static uint64_t next(uint64_t *seed)
{
    uint64_t value = *seed += 0x9e3779b97f4a7c15ull;

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

/* Bytes made; 0 if the host has none. */
static size_t make(struct device *device, uint64_t *words, size_t size)
{
    struct rng *rng = device->state;

    if (!device_config(device)->deterministic) {
        ssize_t got = getrandom(words, size, GRND_NONBLOCK);
        return got > 0 ? (size_t)got : 0;
    }
    for (size_t i = 0; i < PIECE / sizeof(*words); i++)
        words[i] = next(&rng->seed);
    return size;
}

static uint32_t fill(struct device *device, const struct virtq_chain *chain)
{
    uint64_t words[PIECE / sizeof(uint64_t)];
    uint32_t done = 0;

    while (done < chain->writable_size && done < CHAIN_MAX) {
        uint64_t left = chain->writable_size - done;
        size_t size = make(device, words, left < PIECE ? (size_t)left : PIECE);
        if (!size || virtq_write(device, chain, done, words, size) != size)
            break;
        done += (uint32_t)size;
    }
    return done;
}

static void rng_notify(struct device *device, unsigned queue)
{
    struct virtq_chain chain;

    do {
        while (virtq_pop(device, queue, &chain) > 0)
            virtq_push(device, queue, chain.head, fill(device, &chain));
    } while (virtq_more(device, queue));
    virtq_signal(device, queue);
}

static unsigned rng_queues(const struct device *device)
{
    (void)device;
    return 1;
}

static uint64_t rng_features(const struct device *device)
{
    (void)device;
    return 0;
}

static void rng_init(struct device *device)
{
    ((struct rng *)device->state)->seed = device_config(device)->seed;
}

static bool rng_present(const struct board_config *config)
{
    return config->rng;
}

static const struct virtio_class rng_virtio = {
    .type = 4,
    .first_slot = 2,
    .class_code = 0xff0000,
    .queue_size = QUEUE_SIZE,
    .queues = rng_queues,
    .features = rng_features,
    .notify = rng_notify,
};

DEVICE_CLASS(virtio_rng) = {
    .name = "virtio-rng",
    .version = 1,
    .state_size = sizeof(struct rng),
    .pci = &virtio_pci,
    .virtio = &rng_virtio,
    .timer = virtio_again,
    .present = rng_present,
    .init = rng_init,
};
