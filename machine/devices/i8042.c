/* SPDX-License-Identifier: MIT */
/*
 * i8042.c - the keyboard controller, without a keyboard: the reset pulse (command 0xfe), the
 * self-tests and the command byte and output port, so that guests that insist on one find it in
 * order. Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller".
 */
#include "device.h"

#define DATA_PORT   0x60u
#define STATUS_PORT 0x64u

#define STATUS_FULL     0x01u /* output buffer */
#define STATUS_SYSTEM   0x04u
#define STATUS_COMMAND  0x08u /* the last write went to 0x64 */
#define STATUS_UNLOCKED 0x10u

enum command {
    READ_BYTE = 0x20,
    WRITE_BYTE = 0x60,
    DISABLE_AUX = 0xa7,
    ENABLE_AUX = 0xa8,
    TEST_AUX = 0xa9,
    SELF_TEST = 0xaa,
    TEST_KEYBOARD = 0xab,
    DISABLE_KEYBOARD = 0xad,
    ENABLE_KEYBOARD = 0xae,
    READ_OUTPUT = 0xd0,
    WRITE_OUTPUT = 0xd1,
    PULSE = 0xf0 /* to 0xff */
};

struct i8042 {
    uint8_t status;
    uint8_t data;        /* output buffer */
    uint8_t mode;        /* the command byte */
    uint8_t output_port; /* bit 0 low resets, bit 1 A20 */
    uint8_t pending;     /* command that waits for its data byte */
    uint8_t reserved[3];
};

static void answer(struct i8042 *i8042, uint8_t data)
{
    i8042->data = data;
    i8042->status |= STATUS_FULL;
}

static uint64_t i8042_read(struct device *device, uint64_t address, unsigned size)
{
    struct i8042 *i8042 = device->state;

    (void)size;
    if (address == STATUS_PORT)
        return i8042->status;
    i8042->status &= (uint8_t)~STATUS_FULL;
    return i8042->data;
}

static void write_command(struct device *device, uint8_t command)
{
    struct i8042 *i8042 = device->state;

    i8042->pending = 0;
    i8042->status |= STATUS_COMMAND;
    switch (command) {
    case READ_BYTE:
        answer(i8042, i8042->mode);
        break;
    case WRITE_BYTE:
    case WRITE_OUTPUT:
        i8042->pending = command;
        break;
    case SELF_TEST:
        i8042->status |= STATUS_SYSTEM;
        answer(i8042, 0x55);
        break;
    case TEST_KEYBOARD:
        answer(i8042, 0); /* no fault on the lines */
        break;
    case TEST_AUX:
        answer(i8042, 0xff); /* no second port */
        break;
    case DISABLE_KEYBOARD:
        i8042->mode |= 0x10;
        break;
    case ENABLE_KEYBOARD:
        i8042->mode &= 0xef;
        break;
    case READ_OUTPUT:
        answer(i8042, i8042->output_port);
        break;
    default:
        /* 0xf0-0xff pulse output lines low; line 0 is the CPU's reset. */
        if (command >= PULSE && !(command & 1))
            device_request(device, REQUEST_RESET, 0);
        break;
    }
}

static void i8042_write(struct device *device, uint64_t address, unsigned size, uint64_t value)
{
    struct i8042 *i8042 = device->state;
    uint8_t pending = i8042->pending;

    (void)size;
    if (address == STATUS_PORT) {
        write_command(device, (uint8_t)value);
        return;
    }
    i8042->status &= (uint8_t)~STATUS_COMMAND;
    i8042->pending = 0;
    if (pending == WRITE_BYTE) {
        i8042->mode = (uint8_t)value;
    } else if (pending == WRITE_OUTPUT) {
        i8042->output_port = (uint8_t)value | 2;
        if (!(value & 1))
            device_request(device, REQUEST_RESET, 0);
    }
    /* Anything else is for the keyboard that is not there: no answer. */
}

static void i8042_reset(struct device *device)
{
    *(struct i8042 *)device->state = (struct i8042){ .status = STATUS_SYSTEM | STATUS_UNLOCKED,
                                                     .mode = 0x10,
                                                     .output_port = 0x03 };
}

DEVICE_CLASS(i8042) = {
    .name = "i8042",
    .version = 1,
    .state_size = sizeof(struct i8042),
    .range = { { .base = DATA_PORT, .length = 1, .width = 1, .space = SPACE_PORT },
               { .base = STATUS_PORT, .length = 1, .width = 1, .space = SPACE_PORT } },
    .reset = i8042_reset,
    .read = i8042_read,
    .write = i8042_write,
};
