/* SPDX-License-Identifier: MIT */
/*
 * Reset of the machine: through the keyboard controller (command FEh at port 64h) by default,
 * through port CF9h with the word `cf9`, port 92h with `fast`. A mark in the CMOS RAM, which a
 * reset leaves alone, tells the second boot, and that one passes.
 */
#include "guest.h"

void image_main(void);

#define MARK_AT 0x6e
#define MARK    0xa5

static u8 cmos_swap(u8 value)
{
    u8 old;

    outb(0x70, MARK_AT);
    old = inb(0x71);
    outb(0x71, value);
    return old;
}

void image_main(void)
{
    if (cmos_swap(MARK) == MARK) {
        cmos_swap(0);
        print("ok reset\n1 checks, 0 failed\n");
        guest_exit(0);
    }
    if (command_line_has("cf9")) {
        print("reset through port cf9\n");
        outb(0xcf9, 0x02);
        outb(0xcf9, 0x06);
    } else if (command_line_has("fast")) {
        print("reset through port 92\n");
        outb(0x92, (u8)(inb(0x92) | 1));
    } else {
        print("reset through the i8042\n");
        outb(0x64, 0xfe);
    }
    for (volatile u32 i = 0; i < 100000000; i++)
        ;
    print("FAIL still running\n");
    guest_exit(1);
}
