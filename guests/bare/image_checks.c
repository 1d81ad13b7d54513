/* SPDX-License-Identifier: MIT */
/* The main image: every registered group of checks. */
#include "guest.h"

void image_main(void);

void image_main(void)
{
    check_all();
    guest_exit(check_failures() != 0);
}
