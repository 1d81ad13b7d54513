/* SPDX-License-Identifier: MIT */
/* calendar.c - the Gregorian calendar, counted in years that start on 1 March. */
#include "calendar.h"

#define DAY 86400u
/* Days from 0000-03-01 to 1970-01-01. */
#define EPOCH 719468u

/* Days from 1 March to the first of the month that is `month` (0 = March) months later. */
static unsigned days_before(unsigned month)
{
    return (153 * month + 2) / 5;
}

struct calendar calendar_from_seconds(uint64_t seconds)
{
    uint64_t day = seconds / DAY + EPOCH;
    unsigned rest = (unsigned)(seconds % DAY);
    /* 146097 days are 400 years. */
    uint64_t era = day / 146097;
    unsigned in_era = (unsigned)(day % 146097);
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * in_year + 2) / 153;
    struct calendar calendar = {
        .day = in_year - days_before(month) + 1,
        .month = month < 10 ? month + 3 : month - 9,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (unsigned)((seconds / DAY + 4) % 7) + 1, /* 1970-01-01 was a Thursday */
    };

    calendar.year = (unsigned)(era * 400) + year + (calendar.month <= 2);
    return calendar;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

bool calendar_to_seconds(const struct calendar *calendar, uint64_t *seconds)
{
    if (calendar->year < 1970 || calendar->year > 9999 || calendar->month < 1 ||
        calendar->month > 12 || calendar->day < 1 ||
        calendar->day > days_in_month(calendar->year, calendar->month) || calendar->hour > 23 ||
        calendar->minute > 59 || calendar->second > 59)
        return false;
    unsigned year = calendar->year - (calendar->month <= 2);
    unsigned month = calendar->month > 2 ? calendar->month - 3 : calendar->month + 9;
    uint64_t day = 365ull * year + year / 4 - year / 100 + year / 400 + days_before(month) +
                   calendar->day - 1 - EPOCH;
    *seconds = day * DAY + calendar->hour * 3600 + calendar->minute * 60 + calendar->second;
    return true;
}
