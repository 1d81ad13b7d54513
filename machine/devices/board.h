/* SPDX-License-Identifier: MIT */
/*
 * board.h - the board: all devices of a machine, the port and memory buses they hang on, their
 * timers, and what ties them to the rest of the machine. It takes no locks: the caller lets one
 * thread in at a time.
 */
#ifndef ORIGAMI_MACHINE_BOARD_H
#define ORIGAMI_MACHINE_BOARD_H

#include "device.h"

#define BOARD_DEVICES 32

struct board_config {
    uint64_t memory;    /* bytes of RAM */
    uint64_t wall_base; /* ns since 1970 at virtual time 0 */
    bool debug_exit;
};

/* The board's surroundings; `context` is handed back. None may call the board. */
struct board_host {
    void *context;
    void (*irq_line)(void *context, unsigned gsi, bool level);
    void (*msi)(void *context, uint16_t requester, uint64_t address, uint32_t data);
    bool (*console_put)(void *context, uint8_t byte);
    bool (*console_room)(void *context);
    int (*console_get)(void *context);
};

struct board {
    struct board_config config;
    struct board_host host;
    uint64_t now;
    uint64_t lines; /* levels, a bit a GSI */
    enum board_request request;
    uint32_t request_value;
    unsigned count;
    struct device device[BOARD_DEVICES];
};

int MUST_CHECK board_init(struct board *board, const struct board_config *config,
                          const struct board_host *host, struct problem *problem);
void board_destroy(struct board *board);
/* Devices to their state after reset; pending requests and timers are gone. Time starts at 0 again.
 */
void board_reset(struct board *board, uint64_t wall_base);

/* The virtual time from now on. Earlier times are ignored: a device's time never goes backwards. */
void board_set_time(struct board *board, uint64_t now);

/* One access. Reads of nothing give all ones. `size` is 1, 2, 4 or 8. */
uint64_t board_read(struct board *board, enum device_space space, uint64_t address, unsigned size);
void board_write(struct board *board, enum device_space space, uint64_t address, unsigned size,
                 uint64_t value);

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
