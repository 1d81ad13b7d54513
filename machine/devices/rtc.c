/* SPDX-License-Identifier: MIT */
/*
 * rtc.c - the real-time clock and CMOS memory at ports 0x70 and 0x71, IRQ 8 (Motorola MC146818A
 * datasheet): time in BCD or binary, 12 or 24 hours, alarm, periodic and update-ended interrupts.
 *
 * Nothing ticks: time is the machine's wall clock (its start plus virtual time) plus an offset that
 * the guest sets, and flags are computed from the time that passed since somebody last looked.
 */
#include "board.h"
#include "calendar.h"
#include <errno.h>
#include <string.h>

#define INDEX_PORT 0x70u
#define IRQ        8u
#define SECOND     1000000000ull
#define UPDATE_NS  244000ull /* update-in-progress shows this long before the second ends */

enum {
    SECONDS,
    SECONDS_ALARM,
    MINUTES,
    MINUTES_ALARM,
    HOURS,
    HOURS_ALARM,
    WEEKDAY,
    DAY,
    MONTH,
    YEAR,
    REGISTER_A,
    REGISTER_B,
    REGISTER_C,
    REGISTER_D,
    CENTURY = 0x32
};

#define A_UPDATE   0x80u
#define A_DIVIDER  0x20u /* 32.768 kHz */
#define B_SET      0x80u /* time stands still while the guest sets it */
#define B_EVENTS   0x70u /* enables of PF, AF, UF: the same bits as in C */
#define B_BINARY   0x04u
#define B_24_HOURS 0x02u
#define C_IRQ      0x80u
#define C_PERIODIC 0x40u
#define C_ALARM    0x20u
#define C_UPDATE   0x10u
#define D_VALID    0x80u

struct rtc {
    uint8_t cmos[128];
    uint8_t index;
    uint8_t reserved[7];
    uint64_t offset; /* added (modulo 2^64) to wall base plus virtual time */
    uint64_t seen;   /* the clock's time up to which the flags are right, ns since 1970 */
};

static uint64_t clock_time(const struct device *device)
{
    const struct rtc *rtc = device->state;

    return device_wall_base(device) + device_now(device) + rtc->offset;
}

/* ---- Time registers ---- */

static uint8_t encode(const struct rtc *rtc, unsigned value)
{
    return (uint8_t)(rtc->cmos[REGISTER_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static unsigned decode(const struct rtc *rtc, uint8_t value)
{
    return rtc->cmos[REGISTER_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->cmos[REGISTER_B] & B_24_HOURS)
        return encode(rtc, hour);
    return (uint8_t)(encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct rtc *rtc, uint8_t value)
{
    if (rtc->cmos[REGISTER_B] & B_24_HOURS)
        return decode(rtc, value);
    return decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Copies the running time into the registers. */
static void latch(struct device *device)
{
    struct rtc *rtc = device->state;
    struct calendar now = calendar_from_seconds(clock_time(device) / SECOND);

    if (rtc->cmos[REGISTER_B] & B_SET)
        return;
    rtc->cmos[SECONDS] = encode(rtc, now.second);
    rtc->cmos[MINUTES] = encode(rtc, now.minute);
    rtc->cmos[HOURS] = encode_hour(rtc, now.hour);
    rtc->cmos[WEEKDAY] = encode(rtc, now.weekday);
    rtc->cmos[DAY] = encode(rtc, now.day);
    rtc->cmos[MONTH] = encode(rtc, now.month);
    rtc->cmos[YEAR] = encode(rtc, now.year % 100);
    rtc->cmos[CENTURY] = encode(rtc, now.year / 100);
}

/* Takes the registers as the time from now on. Nonsense leaves the clock as it was. */
static void set_clock(struct device *device)
{
    struct rtc *rtc = device->state;
    struct calendar calendar = {
        .second = decode(rtc, rtc->cmos[SECONDS]),
        .minute = decode(rtc, rtc->cmos[MINUTES]),
        .hour = decode_hour(rtc, rtc->cmos[HOURS]),
        .day = decode(rtc, rtc->cmos[DAY]),
        .month = decode(rtc, rtc->cmos[MONTH]),
        .year = decode(rtc, rtc->cmos[CENTURY]) * 100 + decode(rtc, rtc->cmos[YEAR]),
    };
    uint64_t seconds;

    if (!calendar_to_seconds(&calendar, &seconds) || seconds >= UINT64_MAX / SECOND)
        return;
    rtc->offset = seconds * SECOND - device_wall_base(device) - device_now(device);
    rtc->seen = seconds * SECOND;
}

/* ---- Alarm and periodic interrupt ---- */

/* 0xc0 and above means "any". */
static bool alarm_field(uint8_t value, unsigned decoded, unsigned now)
{
    return value >= 0xc0 || decoded == now;
}

/* The first time after `from` (ns) that matches the alarm registers, DEVICE_NEVER if none can. */
static uint64_t next_alarm(const struct rtc *rtc, uint64_t from)
{
    const uint8_t *cmos = rtc->cmos;
    uint64_t start = from / SECOND + 1;
    uint64_t midnight = start - start % 86400;

    for (unsigned hour = 0; hour < 48; hour++) {
        if (!alarm_field(cmos[HOURS_ALARM], decode_hour(rtc, cmos[HOURS_ALARM]), hour % 24))
            continue;
        for (unsigned minute = 0; minute < 60; minute++) {
            uint64_t at = midnight + hour * 3600 + minute * 60;
            if (at + 59 < start ||
                !alarm_field(cmos[MINUTES_ALARM], decode(rtc, cmos[MINUTES_ALARM]), minute))
                continue;
            for (unsigned second = 0; second < 60; second++) {
                if (at + second >= start &&
                    alarm_field(cmos[SECONDS_ALARM], decode(rtc, cmos[SECONDS_ALARM]), second))
                    return (at + second) * SECOND;
            }
        }
    }
    return DEVICE_NEVER;
}

/* Frequency of the periodic interrupt in Hz (datasheet table 5), 0 = off. */
static unsigned periodic_hz(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[REGISTER_A] & 0x0f;

    if (!rate || (rtc->cmos[REGISTER_A] & 0x70) != A_DIVIDER)
        return 0;
    return 32768u >> (rate < 3 ? rate + 6 : rate - 1);
}

static uint64_t periods(uint64_t time, unsigned hz)
{
    return (uint64_t)((unsigned __int128)time * hz / SECOND);
}

/* The clock's time of the next event whose interrupt is enabled. */
static uint64_t next_event(const struct rtc *rtc, uint64_t time)
{
    uint8_t enabled = rtc->cmos[REGISTER_B];
    uint64_t next = DEVICE_NEVER;
    unsigned hz = periodic_hz(rtc);

    if (enabled & C_PERIODIC && hz)
        next = (uint64_t)(((unsigned __int128)(periods(time, hz) + 1) * SECOND + hz - 1) / hz);
    if (enabled & B_SET)
        return next;
    if (enabled & C_UPDATE && (time / SECOND + 1) * SECOND < next)
        next = (time / SECOND + 1) * SECOND;
    if (enabled & C_ALARM && next_alarm(rtc, time) < next)
        next = next_alarm(rtc, time);
    return next;
}

/* Sets the flags for what happened since last time, drives the line and sets the timer. */
static void rtc_update(struct device *device)
{
    struct rtc *rtc = device->state;
    uint64_t time = clock_time(device);
    uint8_t *flags = &rtc->cmos[REGISTER_C];
    unsigned hz = periodic_hz(rtc);

    if (hz && periods(time, hz) != periods(rtc->seen, hz))
        *flags |= C_PERIODIC;
    if (!(rtc->cmos[REGISTER_B] & B_SET) && time / SECOND != rtc->seen / SECOND) {
        *flags |= C_UPDATE;
        if (next_alarm(rtc, rtc->seen) <= time)
            *flags |= C_ALARM;
    }
    rtc->seen = time;
    bool active = (*flags & rtc->cmos[REGISTER_B] & B_EVENTS) != 0;
    *flags = (uint8_t)((*flags & ~C_IRQ) | (active ? C_IRQ : 0));
    device_irq(device, IRQ, active);
    /* While the interrupt waits to be read off C, nothing new can be seen. */
    uint64_t next = active ? DEVICE_NEVER : next_event(rtc, time);
    device_set_timer(device, next == DEVICE_NEVER ? next : device_now(device) + (next - time));
}

/* ---- Ports ---- */

static uint64_t rtc_read(struct device *device, uint64_t address, unsigned size)
{
    struct rtc *rtc = device->state;
    uint8_t value;

    (void)size;
    if (address == INDEX_PORT)
        return 0xff; /* write-only */
    rtc_update(device);
    latch(device);
    value = rtc->cmos[rtc->index];
    switch (rtc->index) {
    case REGISTER_A:
        if (!(rtc->cmos[REGISTER_B] & B_SET) && SECOND - clock_time(device) % SECOND <= UPDATE_NS)
            value |= A_UPDATE;
        break;
    case REGISTER_C: /* reading acknowledges */
        rtc->cmos[REGISTER_C] = 0;
        rtc_update(device);
        break;
    default:
        break;
    }
    return value;
}

static void write_register(struct device *device, uint8_t value)
{
    struct rtc *rtc = device->state;
    uint8_t index = rtc->index;

    switch (index) {
    case SECONDS:
    case MINUTES:
    case HOURS:
    case WEEKDAY:
    case DAY:
    case MONTH:
    case YEAR:
    case CENTURY:
        rtc->cmos[index] = value;
        if (!(rtc->cmos[REGISTER_B] & B_SET))
            set_clock(device);
        break;
    case REGISTER_A:
        rtc->cmos[index] = value & 0x7f;
        break;
    case REGISTER_B: {
        bool was_set = rtc->cmos[REGISTER_B] & B_SET;
        rtc->cmos[index] = value & B_SET ? value & (uint8_t)~C_UPDATE : value;
        if (was_set && !(value & B_SET))
            set_clock(device);
        break;
    }
    case REGISTER_C:
    case REGISTER_D: /* read-only */
        break;
    default:
        rtc->cmos[index] = value;
        break;
    }
}

static void rtc_write(struct device *device, uint64_t address, unsigned size, uint64_t value)
{
    struct rtc *rtc = device->state;

    (void)size;
    if (address == INDEX_PORT) {
        rtc->index = value & 0x7f; /* bit 7 masks NMI, of which there are none */
        return;
    }
    rtc_update(device);
    latch(device); /* so that one register can be changed among running ones */
    write_register(device, (uint8_t)value);
    rtc_update(device);
}

/* Memory size where BIOSes leave it: KiB below and above 1 MiB, 64 KiB units above 16 MiB. */
static void write_memory_size(struct rtc *rtc, uint64_t memory)
{
    uint64_t low = memory < 0xc0000000ull ? memory : 0xc0000000ull;
    uint64_t above_1m = (low - (1 << 20)) >> 10;
    uint64_t above_16m = low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0;

    if (above_1m > 0xffff)
        above_1m = 0xffff;
    if (above_16m > 0xffff)
        above_16m = 0xffff;
    rtc->cmos[0x15] = 640 & 0xff;
    rtc->cmos[0x16] = 640 >> 8;
    rtc->cmos[0x17] = rtc->cmos[0x30] = (uint8_t)above_1m;
    rtc->cmos[0x18] = rtc->cmos[0x31] = (uint8_t)(above_1m >> 8);
    rtc->cmos[0x34] = (uint8_t)above_16m;
    rtc->cmos[0x35] = (uint8_t)(above_16m >> 8);
}

static void rtc_init(struct device *device)
{
    struct rtc *rtc = device->state;

    rtc->cmos[REGISTER_A] = A_DIVIDER | 6; /* 1024 Hz */
    rtc->cmos[REGISTER_B] = B_24_HOURS;
    rtc->cmos[REGISTER_D] = D_VALID;
    if (device_config(device)->memory >= 1 << 20)
        write_memory_size(rtc, device_config(device)->memory);
    rtc->seen = clock_time(device);
}

/* The battery keeps time and memory; reset clears interrupt enables and flags (datasheet "RESET").
 */
static void rtc_reset(struct device *device)
{
    struct rtc *rtc = device->state;

    rtc->cmos[REGISTER_B] &= (uint8_t) ~(B_EVENTS | 0x08);
    rtc->cmos[REGISTER_C] = 0;
    rtc->index = 0;
    rtc->seen = clock_time(device);
    rtc_update(device);
}

static int rtc_check(const void *state)
{
    const struct rtc *rtc = state;

    return rtc->index < sizeof(rtc->cmos) ? 0 : -EINVAL;
}

DEVICE_CLASS(rtc) = {
    .name = "rtc",
    .version = 1,
    .state_size = sizeof(struct rtc),
    .range = { { .base = INDEX_PORT, .length = 2, .width = 1, .space = SPACE_PORT } },
    .init = rtc_init,
    .reset = rtc_reset,
    .read = rtc_read,
    .write = rtc_write,
    .timer = rtc_update,
    .check = rtc_check,
    .resume = rtc_update,
};
