/* SPDX-License-Identifier: MIT */
/*
 * balloon.c - memory the guest does not need (virtio 1.2, 5.5). Pages it puts into the balloon, or
 * reports as free (5.5.6.7), are given back to the host; they read as zeros when they are used
 * again.
 *
 * The queue of reports comes right after the first two: queues of features that are not offered do
 * not count, as drivers have it.
 */
#include "../../memory/dma.h"
#include "../board.h"
#include "virtio.h"
#include <errno.h>
#include <string.h>

#define BALLOON_F_DEFLATE_ON_OOM (1ull << 2)
#define BALLOON_F_REPORTING      (1ull << 5)

#define QUEUE_SIZE 128
#define PAGE       4096ull /* a balloon page, whatever the guest's are (5.5.6) */
#define PIECE      256u    /* page numbers read at once */
#define CHAIN_MAX  65536u  /* page numbers of one chain that are looked at */

enum { INFLATE = 0, DEFLATE = 1, REPORT = 2 };

/* struct virtio_balloon_config (5.5.4) */
struct balloon_config {
    uint32_t wanted, actual; /* pages */
};

struct balloon {
    struct virtio_state virtio;
    struct balloon_config config;
};

static void discard(struct device *device, uint64_t gpa, uint64_t size)
{
    /* Not RAM, or a host that can't: the page simply stays as it is. */
    if (size && dma_discard(device->board->host.ram, pci_requester(device), gpa, size) != 0)
        return;
}

/* Page numbers, neighbours taken together. */
static void inflate(struct device *device, const struct virtq_chain *chain)
{
    uint32_t numbers[PIECE];
    uint64_t start = 0, size = 0;

    for (uint64_t at = 0; at < chain->readable_size && at < 4ull * CHAIN_MAX;
         at += sizeof(numbers)) {
        size_t count = virtq_read(device, chain, at, numbers, sizeof(numbers)) / sizeof(numbers[0]);
        for (size_t i = 0; i < count; i++) {
            uint64_t gpa = numbers[i] * PAGE;
            if (size && gpa == start + size) {
                size += PAGE;
            } else if (size && gpa + PAGE == start) {
                start = gpa;
                size += PAGE;
            } else {
                discard(device, start, size);
                start = gpa;
                size = PAGE;
            }
        }
    }
    discard(device, start, size);
}

/* Whole pages inside the buffers of a report. */
static void take_report(struct device *device, const struct virtq_chain *chain)
{
    for (unsigned i = 0; i < chain->writable; i++) {
        const struct virtq_segment *segment = &chain->segment[chain->readable + i];
        uint64_t start = (segment->gpa + PAGE - 1) & ~(PAGE - 1);
        uint64_t end = (segment->gpa + segment->size) & ~(PAGE - 1);
        if (start < end)
            discard(device, start, end - start);
    }
}

static void balloon_notify(struct device *device, unsigned queue)
{
    struct virtq_chain chain;

    do {
        while (virtq_pop(device, queue, &chain) > 0) {
            if (queue == INFLATE)
                inflate(device, &chain);
            else if (queue == REPORT)
                take_report(device, &chain);
            virtq_push(device, queue, chain.head, 0);
        }
    } while (virtq_more(device, queue));
    virtq_signal(device, queue);
}

static void balloon_get_config(const struct device *device, uint8_t *data)
{
    memcpy(data, &((const struct balloon *)device->state)->config, sizeof(struct balloon_config));
}

/* The driver writes how many pages there are; of no other meaning here. */
static void balloon_config_write(struct device *device, unsigned offset, unsigned size,
                                 uint32_t value)
{
    if (offset == offsetof(struct balloon_config, actual) && size == 4)
        ((struct balloon *)device->state)->config.actual = value;
}

static void balloon_reset(struct device *device)
{
    uint64_t pages = device_config(device)->balloon_size / PAGE;

    ((struct balloon *)device->state)->config =
        (struct balloon_config){ .wanted = pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages };
}

static unsigned balloon_queues(const struct device *device)
{
    (void)device;
    return 3;
}

static uint64_t balloon_features(const struct device *device)
{
    (void)device;
    return BALLOON_F_DEFLATE_ON_OOM | BALLOON_F_REPORTING;
}

static bool balloon_present(const struct board_config *config)
{
    return config->balloon;
}

static const struct virtio_class balloon_virtio = {
    .type = 5,
    .first_slot = 7,
    .class_code = 0xff0000,
    .queue_size = QUEUE_SIZE,
    .config_size = sizeof(struct balloon_config),
    .queues = balloon_queues,
    .features = balloon_features,
    .config = balloon_get_config,
    .config_write = balloon_config_write,
    .reset = balloon_reset,
    .notify = balloon_notify,
};

DEVICE_CLASS(virtio_balloon) = {
    .name = "virtio-balloon",
    .version = 1,
    .state_size = sizeof(struct balloon),
    .pci = &virtio_pci,
    .virtio = &balloon_virtio,
    .timer = virtio_again,
    .present = balloon_present,
};
