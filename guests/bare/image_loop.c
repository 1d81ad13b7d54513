/* SPDX-License-Identifier: MIT */
/* An endless loop with interrupts off: the machine must still obey its user (Ctrl-A x, signals). */
#include "guest.h"

void image_main(void);

void image_main(void)
{
    print("looping for ever\n");
    for (;;)
        __asm__ volatile("cli");
}
