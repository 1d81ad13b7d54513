/* SPDX-License-Identifier: MIT */
/* HLT with interrupts off: nothing wakes it, and it must not burn host time. */
#include "guest.h"

void image_main(void);

void image_main(void)
{
    print("halting for ever\n");
    for (;;)
        __asm__ volatile("cli\n hlt");
}
