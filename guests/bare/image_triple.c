/* SPDX-License-Identifier: MIT */
/* A triple fault: #UD, no gate for it, none for #DF. The machine must reset (SDM Vol 3 6.15). */
#include "guest.h"

void image_main(void);

void image_main(void)
{
    print("triple fault\n");
    lidt_limit(0);
    __asm__ volatile("ud2");
    print("FAIL still running\n");
    guest_exit(1);
}
