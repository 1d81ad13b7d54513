/* SPDX-License-Identifier: MIT */
/*
 * debugexit.c - QEMU's isa-debug-exit at ports 0xf4-0xf7: writing v ends the run with exit status
 * (v << 1) | 1, cut to eight bits as exit statuses are. Present with --debug-exit only.
 */
#include "board.h"

static bool debugexit_present(const struct board_config *config)
{
    return config->debug_exit;
}

static uint64_t debugexit_read(struct device *device, uint64_t address, unsigned size)
{
    (void)device;
    (void)address;
    (void)size;
    return 0;
}

static void debugexit_write(struct device *device, uint64_t address, unsigned size, uint64_t value)
{
    (void)address;
    (void)size;
    device_request(device, REQUEST_DEBUG_EXIT, (uint32_t)value);
}

DEVICE_CLASS(debugexit) = {
    .name = "debugexit",
    .version = 1,
    .range = { { .base = 0xf4, .length = 4, .width = 4, .space = SPACE_PORT } },
    .present = debugexit_present,
    .read = debugexit_read,
    .write = debugexit_write,
};
