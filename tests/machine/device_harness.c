/* SPDX-License-Identifier: MIT */
/* device_harness.c - see the header. */
#include "device_harness.h"

struct world world;

static void set_line(void *context, unsigned gsi, bool level)
{
    struct world *w = context;
    w->lines = level ? w->lines | 1ull << gsi : w->lines & ~(1ull << gsi);
}
static bool put(void *context, uint8_t byte)
{
    struct world *w = context;
    if (w->written >= w->room)
        return false;
    w->output[w->written++] = (char)byte;
    return true;
}
static bool room(void *context)
{
    struct world *w = context;
    return w->written < w->room;
}
static int get(void *context)
{
    struct world *w = context;
    return w->read < w->available ? (uint8_t)w->input[w->read++] : -1;
}

int set_up(void **state)
{
    struct problem problem;
    const struct board_config config = { .memory = 512 << 20,
                                         .debug_exit = true,
                                         .wall_base = 1700000000ull * SECOND };
    const struct board_host host = { .context = &world,
                                     .irq_line = set_line,
                                     .console_put = put,
                                     .console_room = room,
                                     .console_get = get };

    (void)state;
    memset(&world, 0, sizeof(world));
    world.room = sizeof(world.output) - 1;
    return board_init(&world.board, &config, &host, &problem);
}
int tear_down(void **state)
{
    (void)state;
    board_destroy(&world.board);
    return 0;
}

uint8_t in(unsigned port)
{
    return (uint8_t)board_read(&world.board, SPACE_PORT, port, 1);
}
void out(unsigned port, unsigned value)
{
    board_write(&world.board, SPACE_PORT, port, 1, value);
}
void type(const char *text)
{
    size_t length = strlen(text);
    memcpy(world.input + world.available, text, length);
    world.available += length;
    board_console(&world.board);
}
bool line(unsigned gsi)
{
    return world.lines >> gsi & 1;
}
void pass_to(uint64_t when)
{
    while (board_deadline(&world.board) <= when) {
        board_set_time(&world.board, board_deadline(&world.board));
        board_run_timers(&world.board);
    }
    board_set_time(&world.board, when);
}

uint8_t cmos(unsigned index)
{
    out(0x70, index);
    return in(0x71);
}
void set_cmos(unsigned index, unsigned value)
{
    out(0x70, index);
    out(0x71, value);
}
