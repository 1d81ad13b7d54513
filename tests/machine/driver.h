/* SPDX-License-Identifier: MIT */
/*
 * driver.h - a guest of our own for virtio devices: a board with memory between unmapped pages, and
 * a driver that goes the way a real one goes (configuration space, capabilities, features, queues),
 * but can be told to do each step wrong.
 */
#ifndef ORIGAMI_TESTS_DRIVER_H
#define ORIGAMI_TESTS_DRIVER_H

#include <pthread.h>
#include "devices/board.h"
#include "devices/virtio/virtio.h"
#include "memory/ram.h"

/* RAM: [0, 640 KiB), [768 KiB, 2 MiB), and 64 KiB at 4 GiB; everything else is a hole. */
#define DRIVER_LOW_END  0xa0000ull
#define DRIVER_MID      0xc0000ull
#define DRIVER_MID_END  0x200000ull
#define DRIVER_HIGH     0x100000000ull
#define DRIVER_HIGH_END 0x100010000ull
/* Queue n has its rings at DRIVER_RINGS + n * 0x4000; tests put buffers at DRIVER_BUFFERS. */
#define DRIVER_RINGS   0x100000ull
#define DRIVER_BUFFERS 0x10000ull

#define DRIVER_MESSAGES 64
#define DRIVER_OUTPUT   65536

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u

struct driver_queue {
    uint16_t size, available, used; /* the next to fill, the next to look at */
    uint64_t rings;
};

struct driver {
    struct board board;
    struct ram ram;
    void *area; /* of all the memory and its guards */
    size_t area_size;
    pthread_mutex_t lock;
    uint8_t flags[0x101000]; /* page flags */
    unsigned slot;
    uint64_t bar;
    uint64_t features; /* agreed on */
    struct driver_queue queue[VIRTIO_QUEUES];
    unsigned messages; /* MSIs sent in all */
    struct {
        uint64_t address;
        uint32_t data;
        uint16_t requester;
    } message[DRIVER_MESSAGES]; /* the last ones, modulo */
    uint64_t lines;
    char output[DRIVER_OUTPUT];
    unsigned written, room; /* console */
    const char *input;
    uint64_t doorbell[BOARD_PCI_SLOTS];
    bool code_written; /* the callback for pages of code came */
    uint64_t code_page;
};

/* 0, or what board_init() says. */
int driver_create(struct driver *driver, const struct board_config *config,
                  struct problem *problem);
void driver_destroy(struct driver *driver);

/* Bytes of guest memory; a test that names none stops there. */
void *driver_memory(struct driver *driver, uint64_t gpa, size_t size);
void driver_put64(struct driver *driver, uint64_t gpa, uint64_t value);

/* ---- PCI ---- */
uint32_t driver_config_read(struct driver *driver, unsigned slot, unsigned offset, unsigned size);
void driver_config_write(struct driver *driver, unsigned slot, unsigned offset, unsigned size,
                         uint32_t value);
uint64_t driver_read(struct driver *driver, uint64_t gpa, unsigned size);
void driver_write(struct driver *driver, uint64_t gpa, unsigned size, uint64_t value);

/* ---- One virtio device, of `type`; the `number`th of them ---- */
/* Finds it, enables memory and bus mastering; false: there is none. */
bool driver_find(struct driver *driver, unsigned type, unsigned number);
/* Reset, features (those of `wanted` that are offered, and VERSION_1), MSI-X with vector n + 1 for
 * queue n, `queues` queues of `size`, DRIVER_OK. Returns the status that reads back. */
uint8_t driver_start(struct driver *driver, uint64_t wanted, unsigned queues, uint16_t size);
/* The steps of it. */
void driver_reset(struct driver *driver);
uint64_t driver_offered(struct driver *driver);
uint8_t driver_negotiate(struct driver *driver, uint64_t features);
void driver_setup_queue(struct driver *driver, unsigned queue, uint16_t size, uint64_t descriptors,
                        uint64_t available, uint64_t used);
void driver_enable_msix(struct driver *driver, unsigned vectors);
uint8_t driver_status(struct driver *driver);

/* Fields of the common configuration (4.1.4.3) by offset. */
#define COMMON_DEVICE_FEATURE_SELECT 0x00
#define COMMON_DEVICE_FEATURE        0x04
#define COMMON_DRIVER_FEATURE_SELECT 0x08
#define COMMON_DRIVER_FEATURE        0x0c
#define COMMON_CONFIG_VECTOR         0x10
#define COMMON_QUEUES                0x12
#define COMMON_STATUS                0x14
#define COMMON_GENERATION            0x15
#define COMMON_QUEUE_SELECT          0x16
#define COMMON_QUEUE_SIZE            0x18
#define COMMON_QUEUE_VECTOR          0x1a
#define COMMON_QUEUE_ENABLE          0x1c
#define COMMON_QUEUE_NOTIFY          0x1e
#define COMMON_QUEUE_DESCRIPTORS     0x20
#define COMMON_QUEUE_AVAILABLE       0x28
#define COMMON_QUEUE_USED            0x30
#define BAR_INTERRUPT                0x1000
#define BAR_CONFIG                   0x2000
#define BAR_NOTIFY                   0x3000
#define BAR_TABLE                    0x4000

/* ---- Queues ---- */
void driver_descriptor(struct driver *driver, unsigned queue, uint16_t index, uint64_t address,
                       uint32_t size, uint16_t flags, uint16_t next);
/* Makes the chain that starts at `head` available; driver_notify() tells the device. */
void driver_offer(struct driver *driver, unsigned queue, uint16_t head);
void driver_notify(struct driver *driver, unsigned queue);
/* The next used element; false: none (after `seconds` for a device with threads). */
bool driver_used(struct driver *driver, unsigned queue, unsigned seconds, uint32_t *head,
                 uint32_t *written);

/* A disk request with one data buffer: header at DRIVER_BUFFERS, status after it, data at
 * DRIVER_BUFFERS + 0x1000. Returns the status byte, or -1 when there was no answer. */
int driver_disk(struct driver *driver, uint32_t type, uint64_t sector, uint32_t size);
#define DRIVER_DATA (DRIVER_BUFFERS + 0x1000)

#endif
