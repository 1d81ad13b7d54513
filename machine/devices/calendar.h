/* SPDX-License-Identifier: MIT */
/*
 * calendar.h - seconds since 1970 (UTC) to and from a civil date. The C library's functions may
 * open time zone files, which the machine's system call filter does not allow.
 */
#ifndef ORIGAMI_MACHINE_CALENDAR_H
#define ORIGAMI_MACHINE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

struct calendar {
    unsigned year, month, day; /* 1970.., 1-12, 1-31 */
    unsigned hour, minute, second;
    unsigned weekday; /* 1 = Sunday */
};

struct calendar calendar_from_seconds(uint64_t seconds);
/* False if a field is out of range. The weekday is ignored. */
bool calendar_to_seconds(const struct calendar *calendar, uint64_t *seconds);

#endif
