/* SPDX-License-Identifier: MIT */
/*
 * fuzz_virtio.c - one virtio device's registers and queues against arbitrary drivers. FUZZ_TYPE is
 * the device's type (virtio 1.2, 5). The input is a list of 16-byte steps: operation, three bytes,
 * 32 bits, 64 bits. The first step's operation decides whether the device is brought up the regular
 * way before.
 */
#include "disk_fixture.h"
#include "devices/pci/pci.h"
#include <stdlib.h>
#include <string.h>

#ifndef FUZZ_TYPE
#define FUZZ_TYPE 2
#endif
#define QUEUES 3u
#define QUEUE  16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
    uint8_t operation, a, b, c;
    uint32_t value;
    uint64_t wide;
};

/* An address that is more often interesting than not. */
static uint64_t address_of(const struct step *step)
{
    static const uint64_t bases[] = { DRIVER_RINGS,   DRIVER_BUFFERS, DRIVER_LOW_END,  DRIVER_MID,
                                      DRIVER_MID_END, DRIVER_HIGH,    DRIVER_HIGH_END, 0,
                                      0xfee00000,     PCI_ECAM,       PCI_WINDOW_32,   0 };
    uint64_t base = bases[step->c % 12];

    return step->c >= 240 ? step->wide : base + (uint64_t)(int64_t)(int16_t)step->wide;
}

static void descriptor(struct driver *d, const struct step *step)
{
    uint16_t next = step->b & 128 ? (uint16_t)(step->wide >> 48) : (uint16_t)((step->b >> 3) + 1);

    driver_descriptor(d, step->a % QUEUES, (uint16_t)(step->a / QUEUES) % QUEUE, address_of(step),
                      step->b & 64 ? step->value : step->value % 5000, step->b & 7, next);
}

static void memory_write(struct driver *d, const struct step *step)
{
    uint64_t at = step->wide % (DRIVER_MID_END - DRIVER_MID - 8) + DRIVER_MID;

    if (step->a & 1)
        at = DRIVER_BUFFERS + step->wide % 4096;
    memcpy(driver_memory(d, at, 4), &step->value, 4);
}

static void carry_out(struct driver *d, const struct step *step)
{
    unsigned size = 1u << (step->a & 3);

    switch (step->operation % 12) {
    case 0:
        driver_read(d, d->bar + step->wide % 0x8010, size);
        break;
    case 1:
        driver_write(d, d->bar + step->wide % 0x8010, size, step->value | step->wide << 32);
        break;
    case 2: /* the common configuration, more often */
        driver_write(d, d->bar + step->c % 0x40, size,
                     step->b & 1 ? address_of(step) : step->value);
        break;
    case 3:
        driver_config_write(d, d->slot, (unsigned)(step->wide & 0xff & ~3ull), 4, step->value);
        break;
    case 4:
        driver_config_read(d, d->slot, (unsigned)(step->wide & 0xfff & ~3ull), 4);
        break;
    case 5:
    case 6:
        descriptor(d, step);
        break;
    case 7:
        driver_offer(d, step->a % QUEUES, step->b & 128 ? (uint16_t)step->value : step->b % QUEUE);
        break;
    case 8:
        board_doorbell(&d->board, d->slot, step->wide);
        break;
    case 9:
        memory_write(d, step);
        break;
    case 10:
        d->room = step->value % 1000;
        d->input = step->b & 1 ? "some input, not very long" : NULL;
        board_set_time(&d->board, d->board.now + step->value);
        board_run_timers(&d->board);
        board_console(&d->board);
        break;
    default:
        driver_setup_queue(d, step->a % QUEUES, (uint16_t)(1u << (step->b & 15)),
                           DRIVER_RINGS + (step->value & 0xffff), address_of(step),
                           DRIVER_RINGS + (step->wide & 0xffff));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct disk_fixture fixture;
    static uint8_t saved[65536];
    static bool made;
    struct driver *d = &fixture.driver;

    /* One machine for all runs: what a run leaves in memory and image is the next one's luck, and a
     * reset must take care of the rest. */
    if (!made)
        disk_fixture_create(&fixture, 1, true, false);
    made = true;
    board_reset(&d->board, 0);
    memset(d->queue, 0, sizeof(d->queue));
    memset(driver_memory(d, DRIVER_RINGS, 0xc000), 0, 0xc000);
    if (!driver_find(d, FUZZ_TYPE, 0))
        abort();
    for (unsigned i = 0; i < QUEUES; i++)
        d->queue[i] = (struct driver_queue){ .size = QUEUE, .rings = DRIVER_RINGS + 0x4000ull * i };
    if (size >= 16 && data[0] & 128)
        driver_start(d, data[1] & 1 ? ~0ull : data[2] * 0x0101010101010101ull, QUEUES, QUEUE);
    d->written = 0;
    for (; size >= sizeof(struct step); size -= sizeof(struct step), data += sizeof(struct step)) {
        struct step step;
        memcpy(&step, data, sizeof(step));
        carry_out(d, &step);
    }
    /* Whatever state that led to can be saved and loaded again. */
    long length = board_save(&d->board, saved, sizeof(saved));
    if (length < 0 || board_load(&d->board, saved, (size_t)length) != 0)
        abort();
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    uint64_t random = 0x2545f4914f6cdd1dull;
    uint8_t data[24 * 16];

    for (long i = 0; i < count; i++) {
        for (unsigned at = 0; at < sizeof(data); at += 8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            memcpy(data + at, &random, 8);
        }
        LLVMFuzzerTestOneInput(data, sizeof(data));
    }
    return 0;
}
#endif
