/* SPDX-License-Identifier: MIT */
/*
 * device.h - what a device is. One device a file; a file registers its class with DEVICE_CLASS(),
 * so that adding a device edits no other source file.
 *
 * All state of a device is one plain structure without pointers, so that it can be saved and loaded
 * as it is, with a version. A device is called under the machine's device lock, one call at a time.
 * It reaches the world only through the functions below: interrupts, timer, console, requests to
 * the machine.
 */
#ifndef ORIGAMI_MACHINE_DEVICE_H
#define ORIGAMI_MACHINE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support/problem.h"

struct board;
struct device;
struct board_config;

#define DEVICE_NEVER  (~0ull) /* no timer */
#define DEVICE_RANGES 4
#define DEVICE_BUDGET 1024u /* requests in one go */

enum device_space { SPACE_PORT, SPACE_MMIO };

struct device_range {
    uint64_t base;
    uint64_t length; /* 0 = end of the list */
    uint8_t width;   /* largest access in bytes; larger ones come as several, inside the range */
    enum device_space space;
};

struct device_class {
    const char *name; /* at most 15 characters; names the state when saved */
    uint32_t version; /* of the state's layout */
    uint32_t state_size;
    struct device_range range[DEVICE_RANGES];
    /* What makes it a PCI function (pci/pci.h) and a virtio device (virtio/virtio.h), or NULL. The
     * state of a PCI function starts with struct pci_state. */
    const struct pci_class *pci;
    const struct virtio_class *virtio;
    /* Is it part of this machine? NULL = always. */
    bool (*present)(const struct board_config *config);
    /* How many of them are there? NULL = one, if present. */
    unsigned (*count)(const struct board_config *config);
    /* Power-on; the state is all zeros. */
    void (*init)(struct device *device);
    /* What the device needs of the host (files, rings) goes to device->runtime. 0, or -errno with a
     * problem; close() undoes it, whatever open() has returned. */
    int (*open)(struct device *device, struct problem *problem);
    void (*close)(struct device *device);
    /* The process is confined: threads may start now. stop() ends them; called without the device
     * lock. */
    int (*start)(struct device *device, struct problem *problem);
    void (*stop)(struct device *device);
    /* Waits until nothing the device has begun is under way (no DMA, no I/O); called without the
     * device lock while nobody gives it more to do. False: it takes too long. */
    bool (*drain)(struct device *device);
    /* The machine's reset line. */
    void (*reset)(struct device *device);
    /* One access; `address` is the port or guest-physical address. Little-endian values. */
    uint64_t (*read)(struct device *device, uint64_t address, unsigned size);
    void (*write)(struct device *device, uint64_t address, unsigned size, uint64_t value);
    /* The time asked for with device_set_timer() has come. */
    void (*timer)(struct device *device);
    /* The console has input, or room for output again. */
    void (*console)(struct device *device);
    /* Is this saved state possible? NULL = any is. 0 or -EINVAL. */
    int (*check)(const void *state);
    /* State was loaded: set lines and timer to match. */
    void (*resume)(struct device *device);
};

/* Puts a pointer to the class in a section of its own; board.c walks it. */
#define DEVICE_CLASS(identifier)                                                                   \
    extern const struct device_class identifier;                                                   \
    __attribute__((used, section("origami_devices"))) static const struct device_class             \
        *const identifier##_registered = &identifier;                                              \
    const struct device_class identifier

struct device {
    const struct device_class *class;
    struct board *board;
    unsigned index;    /* among those of its class */
    unsigned slot;     /* PCI device number; its requester id is slot << 3 */
    uint64_t deadline; /* virtual ns, or DEVICE_NEVER */
    unsigned budget;   /* work it may still do before others get the device lock (virtio.h) */
    struct device_range range[DEVICE_RANGES]; /* the class's, which init() may change */
    void *state;
    void *runtime; /* what is not saved: made by open(), freed by close() */
};

/* ---- What a device may ask for ---- */
/* Virtual ns since power-on at this access. Never goes backwards. */
uint64_t device_now(const struct device *device);
/* Wall clock, ns since 1970, at virtual time 0. */
uint64_t device_wall_base(const struct device *device);
const struct board_config *device_config(const struct device *device);
void device_irq(struct device *device, unsigned gsi, bool level);
void device_msi(struct device *device, uint16_t requester, uint64_t address, uint32_t data);
/* One timer a device: calls timer() at `when`; DEVICE_NEVER cancels. */
void device_set_timer(struct device *device, uint64_t when);

/* A device's own thread takes the device lock around everything it does with the device; the time
 * is brought up to date first, what became due is seen to afterwards. */
void device_enter(struct device *device);
void device_leave(struct device *device);

/* Console: false or -1 means no room or nothing there. Room means room for DEVICE_CONSOLE_ROOM
 * bytes. */
#define DEVICE_CONSOLE_ROOM 64
bool device_console_put(struct device *device, uint8_t byte);
bool device_console_room(struct device *device);
int device_console_get(struct device *device);
/* Input goes to this device alone from now on, or (false) to whoever asks. */
void device_console_claim(struct device *device, bool claim);

enum board_request {
    REQUEST_NONE,
    REQUEST_POWER_OFF,
    REQUEST_RESET,
    REQUEST_DEBUG_EXIT /* with the value written */
};
/* Asks the machine to end or restart the run at the next instruction boundary. The first one
 * counts. */
void device_request(struct device *device, enum board_request request, uint32_t value);

#endif
