/* SPDX-License-Identifier: MIT */
/*
 * pit.c - the 8254 (Intel 8254 datasheet 231164: "Mode Definitions", "Read-Back Command").
 *
 * A channel's count and output are functions of the time since its counting element was loaded.
 * Loading happens at the clock pulse after the write, so `start` is one tick later than "now".
 */
#include "internal.h"

#define NANOSECONDS 1000000000ull
#define NO_EDGE     (~0ull)
#define TICK_LIMIT  (1ull << 54) /* 478 years, and still fits 64 bits as nanoseconds */
#define FLOOR_TICKS (TIMER_FLOOR_NS * (uint64_t)PIT_HZ / NANOSECONDS + 1)

static uint64_t tick_at(uint64_t ns)
{
    uint64_t tick = ns / NANOSECONDS * PIT_HZ + ns % NANOSECONDS * PIT_HZ / NANOSECONDS;
    return tick < TICK_LIMIT ? tick : TICK_LIMIT;
}

/* The first nanosecond of a tick: tick_at(ns_at(t)) == t. */
static uint64_t ns_at(uint64_t tick)
{
    return tick / PIT_HZ * NANOSECONDS + (tick % PIT_HZ * NANOSECONDS + PIT_HZ - 1) / PIT_HZ;
}

void pit_reset(struct pit *pit)
{
    *pit = (struct pit){ .output = 1 };
    for (unsigned i = 0; i < 3; i++) {
        /* Undefined after power-on; idle with the output high, as mode 3 before its first count. */
        pit->channel[i].mode = 3;
        pit->channel[i].access = 3;
        pit->channel[i].gate = i != 2;
    }
}

/* ---- A channel as a function of time ---- */

static bool channel_periodic(const struct pit_channel *channel)
{
    return channel->mode == 2 || channel->mode == 3;
}

static uint64_t channel_elapsed(const struct pit_channel *channel, uint64_t tick)
{
    if (!channel->counting)
        return channel->elapsed;
    return tick > channel->start ? tick - channel->start : 0;
}

/* Periodic modes take up a new count when the current period ends. */
static void channel_sync(struct pit_channel *channel, uint64_t tick)
{
    if (!channel_periodic(channel) || !channel->counting || !channel->next)
        return;
    if (channel_elapsed(channel, tick) < channel->count)
        return;
    channel->start += channel->count;
    channel->count = channel->next;
    channel->next = 0;
}

static bool channel_output(const struct pit_channel *channel, uint64_t tick)
{
    uint64_t elapsed = channel_elapsed(channel, tick), count = channel->count;

    if (count == 0)
        return channel->mode != 0; /* a control word alone: mode 0 starts low, the others high */
    switch (channel->mode) {
    case 0:
        return elapsed >= count;
    case 1:
        return !channel->counting || elapsed >= count;
    case 2:
        return !channel->counting || elapsed % count != count - 1;
    case 3:
        return !channel->counting || elapsed % count < (count + 1) / 2;
    default: /* 4, 5: one tick low when the count is through */
        return !channel->counting || elapsed != count;
    }
}

static uint32_t channel_count(const struct pit_channel *channel, uint64_t tick)
{
    uint64_t elapsed = channel_elapsed(channel, tick), count = channel->count;
    uint64_t range = channel->bcd ? 10000 : 65536;

    if (count == 0)
        return 0;
    if (channel->mode == 2)
        return (uint32_t)(count - elapsed % count);
    if (channel->mode == 3) {
        /* Counts down by two through each half; an odd count spends one tick more in the high half.
         */
        uint64_t half = (count + 1) / 2, phase = elapsed % count;
        uint64_t down = 2 * (phase < half ? phase : phase - half), even = count & ~1ull;
        return (uint32_t)(even > down ? even - down : 0);
    }
    return (uint32_t)((count + range - elapsed % range) % range);
}

/* The first tick after `tick` at which the output goes from low to high. */
static uint64_t channel_next_rise(const struct pit_channel *channel, uint64_t tick)
{
    uint64_t count = channel->count, start = channel->start;
    if (!channel->counting || count == 0)
        return NO_EDGE;
    if (channel_periodic(channel))
        return start + (tick > start ? (tick - start) / count + 1 : 1) * count;
    uint64_t rise = start + count + (channel->mode >= 4);
    return rise > tick ? rise : NO_EDGE;
}

/* ---- Loading and gating ---- */

static void channel_start(struct pit_channel *channel, uint64_t tick)
{
    if (channel->next)
        channel->count = channel->next;
    channel->next = 0;
    channel->start = tick + 1;
    channel->elapsed = 0;
    channel->counting = channel->count != 0;
}

static uint32_t count_decode(const struct pit_channel *channel, unsigned value)
{
    uint32_t count = value & 0xffff;
    if (channel->bcd) {
        count = (value >> 12 & 15) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
                (value & 15);
        count = count <= 10000 ? count : 10000; /* digits above 9 */
    }
    if (count == 0)
        count = channel->bcd ? 10000 : 65536;
    if (count == 1 && channel_periodic(channel))
        count = 2; /* "a count of 1 is illegal in mode 2" */
    return count;
}

static uint16_t count_encode(const struct pit_channel *channel, uint32_t count)
{
    if (!channel->bcd)
        return (uint16_t)count;
    count %= 10000;
    return (uint16_t)(count / 1000 << 12 | count / 100 % 10 << 8 | count / 10 % 10 << 4 |
                      count % 10);
}

static void channel_load(struct pit_channel *channel, unsigned value, uint64_t tick)
{
    channel->next = count_decode(channel, value);
    switch (channel->mode) {
    case 1:
    case 5: /* waits for the gate to rise */
        channel->armed = true;
        if (!channel->count)
            channel->count = channel->next;
        break;
    case 2:
    case 3:
        if (channel->count == 0 && channel->gate)
            channel_start(channel, tick);
        else if (channel->count == 0)
            channel->count = channel->next;
        else /* the period under way is the one that ends with the old count */
            channel->start += channel_elapsed(channel, tick) / channel->count * channel->count;
        break;
    default:
        channel_start(channel, tick);
        channel->counting = channel->gate;
        break;
    }
}

static void channel_gate(struct pit_channel *channel, bool gate, uint64_t tick)
{
    if (gate == channel->gate)
        return;
    channel->gate = gate;
    switch (channel->mode) {
    case 1:
    case 5:
        if (gate && channel->armed)
            channel_start(channel, tick);
        break;
    case 2:
    case 3:
        if (gate)
            channel_start(channel, tick);
        channel->counting = gate && channel->count;
        break;
    default: /* the gate holds the count and lets it go on */
        if (gate && channel->count) {
            channel->start = tick - channel->elapsed;
            channel->counting = true;
        } else if (!gate) {
            channel->elapsed = channel_elapsed(channel, tick);
            channel->counting = false;
        }
        break;
    }
}

/* ---- Registers ---- */

static void latch_count(struct pit_channel *channel, uint64_t tick)
{
    if (channel->latched)
        return; /* the first latch holds until it is read */
    channel->latched_count = count_encode(channel, channel_count(channel, tick));
    channel->latched = channel->access == 3 ? 2 : 1;
    channel->read_high = false;
}

static void latch_status(struct pit_channel *channel, uint64_t tick)
{
    if (channel->status_latched)
        return;
    bool null_count =
        channel->count == 0 || channel->next || (channel->counting && tick < channel->start);
    channel->status = (uint8_t)(channel_output(channel, tick) << 7 | null_count << 6 |
                                channel->access << 4 | channel->mode << 1 | channel->bcd);
    channel->status_latched = true;
}

static void write_control(struct pit *pit, uint8_t value, uint64_t tick)
{
    unsigned select = value >> 6, access = value >> 4 & 3;

    if (select == 3) { /* read-back: bits 5, 4 low = latch count, status; bits 3:1 channels */
        for (unsigned i = 0; i < 3; i++) {
            if (!(value >> (i + 1) & 1))
                continue;
            if (!(value & 0x20))
                latch_count(&pit->channel[i], tick);
            if (!(value & 0x10))
                latch_status(&pit->channel[i], tick);
        }
        return;
    }
    struct pit_channel *channel = &pit->channel[select];
    if (access == 0) {
        latch_count(channel, tick);
        return;
    }
    unsigned mode = value >> 1 & 7;
    *channel = (struct pit_channel){
        .mode = (uint8_t)(mode > 5 ? mode - 4 : mode),
        .bcd = value & 1,
        .access = (uint8_t)access,
        .gate = channel->gate,
    };
}

static void write_count(struct pit_channel *channel, uint8_t value, uint64_t tick)
{
    if (channel->access == 1) {
        channel_load(channel, value, tick);
    } else if (channel->access == 2) {
        channel_load(channel, (unsigned)value << 8, tick);
    } else if (!channel->write_high) {
        channel->write_low = value;
        channel->write_high = true;
        if (channel->mode == 0) { /* the first byte stops the count and lowers the output */
            channel->count = 0;
            channel->counting = false;
        }
    } else {
        channel->write_high = false;
        channel_load(channel, (unsigned)value << 8 | channel->write_low, tick);
    }
}

static uint8_t read_count(struct pit_channel *channel, uint64_t tick)
{
    if (channel->status_latched) {
        channel->status_latched = false;
        return channel->status;
    }
    uint16_t count = channel->latched ? channel->latched_count
                                      : count_encode(channel, channel_count(channel, tick));
    bool high = channel->access == 2 || (channel->access == 3 && channel->read_high);
    if (channel->access == 3)
        channel->read_high = !channel->read_high;
    if (channel->latched)
        channel->latched--;
    return (uint8_t)(high ? count >> 8 : count);
}

/* ---- Ports ---- */

bool pit_port(uint16_t port)
{
    return (port & 0xfffc) == 0x40 || port == 0x61;
}

uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now)
{
    uint64_t tick = tick_at(now);
    for (unsigned i = 0; i < 3; i++)
        channel_sync(&pit->channel[i], tick);
    if (port == 0x61) {
        /* Bit 4 turns over with each memory refresh, every 15 us; bit 5 is channel 2's output. */
        unsigned refresh = now / 15085 & 1;
        unsigned out = channel_output(&pit->channel[2], tick);
        return (uint8_t)(pit->speaker | refresh << 4 | out << 5);
    }
    if ((port & 3) == 3)
        return 0xff; /* the control word can't be read */
    return read_count(&pit->channel[port & 3], tick);
}

void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now)
{
    uint64_t tick = tick_at(now);
    for (unsigned i = 0; i < 3; i++)
        channel_sync(&pit->channel[i], tick);
    if (port == 0x61) {
        pit->speaker = value & 0x0f;
        channel_gate(&pit->channel[2], value & 1, tick);
    } else if ((port & 3) == 3) {
        write_control(pit, value, tick);
    } else {
        write_count(&pit->channel[port & 3], value, tick);
    }
}

/* ---- Channel 0 as an interrupt source ---- */

static uint64_t earliest(const struct pit *pit)
{
    return channel_periodic(&pit->channel[0]) ? pit->not_before : 0;
}

uint64_t pit_next(const struct pit *pit)
{
    uint64_t rise = channel_next_rise(&pit->channel[0], pit->seen);
    if (rise < earliest(pit))
        rise = earliest(pit);
    return rise < TICK_LIMIT ? ns_at(rise) : CLOCK_NEVER;
}

bool pit_advance(struct pit *pit, uint64_t now, bool *level)
{
    struct pit_channel *channel = &pit->channel[0];
    uint64_t tick = tick_at(now);
    if (tick < pit->seen)
        tick = pit->seen;
    bool rose = channel_next_rise(channel, pit->seen) <= tick;

    if (rose && tick < earliest(pit)) {
        *level = pit->output;
        return false; /* too soon after the last one: later, together with what comes until then */
    }
    channel_sync(channel, tick);
    pit->seen = tick;
    bool output = channel_output(channel, tick);
    if (rose)
        pit->not_before = channel->count < FLOOR_TICKS ? tick + FLOOR_TICKS : 0;
    *level = output;
    pit->output = output;
    return rose;
}
