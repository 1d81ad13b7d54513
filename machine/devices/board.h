/* SPDX-License-Identifier: MIT */
/*
 * board.h - the board: all devices of a machine, the port and memory buses they hang on, their
 * timers, and what ties them to the rest of the machine. It takes no locks: the caller lets one
 * thread in at a time.
 */
#ifndef ORIGAMI_MACHINE_BOARD_H
#define ORIGAMI_MACHINE_BOARD_H

#include "../net/config.h"
#include "device.h"

#define BOARD_DEVICES   64
#define BOARD_PCI_SLOTS 32

struct board_disk {
    const char *file;
    const char *serial; /* NULL = none */
    bool read_only;
};

struct board_config {
    uint64_t memory;    /* bytes of RAM */
    uint64_t wall_base; /* ns since 1970 at virtual time 0 */
    bool debug_exit;
    bool deterministic; /* nothing may depend on the host: I/O completes at once, random numbers
                           come from `seed` */
    uint64_t seed;
    const struct net_config *net; /* net/config.h; NULL = none */
    const struct board_disk *disk;
    unsigned disk_count;
    bool console, rng, balloon;
    uint64_t balloon_size; /* bytes the guest is asked to give back from the start */
};

/* The board's surroundings; `context` is handed back. None may call the board. */
struct board_host {
    void *context;
    struct ram *ram; /* guest memory, for DMA */
    void (*irq_line)(void *context, unsigned gsi, bool level);
    void (*msi)(void *context, uint16_t requester, uint64_t address, uint32_t data);
    bool (*console_put)(void *context, uint8_t byte);
    bool (*console_room)(void *context);
    int (*console_get)(void *context);
    /* Writes to the page at `gpa` are doorbells of PCI slot `slot`, which arrive at
     * board_doorbell(); ~0 = no more. NULL: there are none, each write comes as an access. */
    void (*doorbell)(void *context, unsigned slot, uint64_t gpa);
    /* Around what a device's own thread does: see device_enter(). */
    void (*enter)(void *context);
    void (*leave)(void *context);
};

/* Where a base address register shows: rebuilt whenever a guest moves one. */
struct board_window {
    uint64_t base, size;
    struct device *device;
    unsigned bar;
};
#define BOARD_WINDOWS (2 * BOARD_PCI_SLOTS)

struct board {
    struct board_config config;
    struct board_host host;
    uint64_t now;
    uint64_t lines; /* levels, a bit a GSI */
    enum board_request request;
    uint32_t request_value;
    unsigned count;
    struct device device[BOARD_DEVICES];
    struct device *console_owner; /* who gets the input; NULL = whoever asks first */

    /* pci/pci.c */
    struct device *slot[BOARD_PCI_SLOTS];
    uint32_t interrupt[4]; /* which slots hold each of the four PCI interrupt lines */
    unsigned window_count;
    struct board_window window[BOARD_WINDOWS];
};

int MUST_CHECK board_init(struct board *board, const struct board_config *config,
                          const struct board_host *host, struct problem *problem);
void board_destroy(struct board *board);
/* Devices' threads: after the process is confined, and before board_destroy(). */
int MUST_CHECK board_start(struct board *board, struct problem *problem);
void board_stop(struct board *board);
/* Waits until no device has anything under way. Call it without the device lock, with the vCPU
 * stopped. False: somebody did not finish in time. */
bool board_drain(struct board *board);
/* Devices to their state after reset; pending requests and timers are gone. Time starts at 0 again.
 */
void board_reset(struct board *board, uint64_t wall_base);

/* The virtual time from now on. Earlier times are ignored: a device's time never goes backwards. */
void board_set_time(struct board *board, uint64_t now);

/* One access. Reads of nothing give all ones. `size` is 1, 2, 4 or 8. */
uint64_t board_read(struct board *board, enum device_space space, uint64_t address, unsigned size);
void board_write(struct board *board, enum device_space space, uint64_t address, unsigned size,
                 uint64_t value);

/* Queues of `slot`'s device that were notified, a bit each. Anybody may have set them: what makes
 * no sense is ignored. */
void board_doorbell(struct board *board, unsigned slot, uint64_t queues);

/* Calls timer() of every device whose time has come. */
void board_run_timers(struct board *board);
/* When that is due next; DEVICE_NEVER if never. */
uint64_t board_deadline(const struct board *board);
/* Console input arrived or output drained. */
void board_console(struct board *board);

/*
 * The state of all devices as a byte string: for each {name[16], version, size (32-bit), state}.
 * board_save() returns its size (at most `capacity`) or -ENOSPC. board_load() takes all or nothing.
 */
long board_save(const struct board *board, void *data, size_t capacity);
int MUST_CHECK board_load(struct board *board, const void *data, size_t size);

#endif
