/* SPDX-License-Identifier: MIT */
/*
 * reset.c - the chipset's ways to reset: the reset control register 0xcf9 (Intel ICH9
 * datasheet 13.7.5) and the fast reset bit of port 0x92. A20 is always on.
 */
#include "../firmware/acpi.h"
#include "device.h"

#define PORT_92      0x92u
#define FAST_RESET   0x01u
#define A20          0x02u
#define RESET_CPU    0x04u /* the reset happens when this bit rises */
#define RESET_STICKY 0x0au

struct reset {
    uint8_t control; /* 0xcf9 */
    uint8_t port_92;
};

static uint64_t reset_read(struct device *device, uint64_t address, unsigned size)
{
    const struct reset *reset = device->state;

    (void)size;
    return address == PORT_92 ? reset->port_92 : reset->control;
}

static void reset_write(struct device *device, uint64_t address, unsigned size, uint64_t value)
{
    struct reset *reset = device->state;

    (void)size;
    if (address == PORT_92) {
        if (value & ~reset->port_92 & FAST_RESET)
            device_request(device, REQUEST_RESET, 0);
        reset->port_92 = (uint8_t)(value & ~FAST_RESET) | A20;
        return;
    }
    if (value & RESET_CPU)
        device_request(device, REQUEST_RESET, 0);
    reset->control = (uint8_t)value & RESET_STICKY;
}

static void reset_reset(struct device *device)
{
    *(struct reset *)device->state = (struct reset){ .port_92 = A20 };
}

DEVICE_CLASS(reset) = {
    .name = "reset",
    .version = 1,
    .state_size = sizeof(struct reset),
    .range = { { .base = PORT_92, .length = 1, .width = 1, .space = SPACE_PORT },
               { .base = ACPI_RESET_PORT, .length = 1, .width = 1, .space = SPACE_PORT } },
    .reset = reset_reset,
    .read = reset_read,
    .write = reset_write,
};
