/* SPDX-License-Identifier: MIT */
/* device_harness.h - a board with all devices, and what surrounds it. */
#ifndef ORIGAMI_TESTS_DEVICE_HARNESS_H
#define ORIGAMI_TESTS_DEVICE_HARNESS_H

#include "devices/board.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COM    0x3f8
#define SECOND 1000000000ull

/* The board's surroundings: a console with little room, and the interrupt lines. */
struct world {
    struct board board;
    uint64_t lines;
    char output[256], input[64];
    size_t written, room, read, available;
};
extern struct world world;

int set_up(void **state);
int tear_down(void **state);
#define DEVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

uint8_t in(unsigned port);
void out(unsigned port, unsigned value);
/* Registers of the clock. */
uint8_t cmos(unsigned index);
void set_cmos(unsigned index, unsigned value);
/* Input on the console. */
void type(const char *text);
bool line(unsigned gsi);
/* Lets time pass up to `when`, running timers as the run loop does. */
void pass_to(uint64_t when);

#endif
