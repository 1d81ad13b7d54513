/* SPDX-License-Identifier: MIT */
/*
 * fuzz_devices.c - all devices against arbitrary accesses at arbitrary times. The input is a list
 * of 8-byte steps: operation, size, port (16 bits), value or time (32 bits).
 */
#include "devices/board.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool put(void *context, uint8_t byte)
{
    (void)context;
    return byte & 1;
}
static bool room(void *context)
{
    (void)context;
    return true;
}
static int get(void *context)
{
    unsigned *left = context;
    return *left ? (int)(--*left & 0xff) : -1;
}

static void step(struct board *board, const uint8_t *at)
{
    unsigned size = 1u << (at[1] & 3);
    uint16_t port = (uint16_t)(at[2] | at[3] << 8);
    uint32_t value;

    memcpy(&value, at + 4, 4);
    switch (at[0] & 3) {
    case 0:
        board_read(board, at[1] & 4 ? SPACE_MMIO : SPACE_PORT, port, size);
        break;
    case 1:
        board_write(board, at[1] & 4 ? SPACE_MMIO : SPACE_PORT, port, size, value);
        break;
    case 2:
        board_set_time(board, board->now + ((uint64_t)value << (at[1] & 31)));
        board_run_timers(board);
        break;
    default:
        board_console(board);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t saved[8192];
    struct board board;
    struct problem problem;
    unsigned input = 100;
    const struct board_config config = { .memory = 1 << 30,
                                         .debug_exit = true,
                                         .wall_base = 1700000000ull * 1000000000u };
    const struct board_host host = {
        .context = &input, .console_put = put, .console_room = room, .console_get = get
    };

    if (board_init(&board, &config, &host, &problem) != 0)
        return 0;
    for (; size >= 8; size -= 8, data += 8)
        step(&board, data);
    /* Whatever state that led to can be saved and loaded again. */
    long length = board_save(&board, saved, sizeof(saved));
    if (length < 0 || board_load(&board, saved, (size_t)length) != 0)
        abort();
    board_destroy(&board);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    static const uint16_t ports[] = {
        0x60,  0x64,  0x70,  0x71,  0x92,  0xf4,  0x3f8, 0x3f9, 0x3fa,
        0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x600, 0x602, 0x604, 0x608, 0xcf9
    };
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    uint64_t random = 0xda3e39cb94b95bdbull;
    uint8_t data[64 * 8];

    for (long i = 0; i < count; i++) {
        for (unsigned at = 0; at < sizeof(data); at += 8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            memcpy(data + at, &random, 8);
            uint16_t port = ports[(random >> 16) % (sizeof(ports) / sizeof(ports[0]))];
            memcpy(data + at + 2, &port, 2);
        }
        LLVMFuzzerTestOneInput(data, sizeof(data));
    }
    return 0;
}
#endif
