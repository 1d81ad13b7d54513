/* SPDX-License-Identifier: MIT */
/*
 * pit.h - the 8254 interval timer (Intel 8254 datasheet 231164) and port 0x61.
 *
 * Nothing ticks: counts and outputs are computed from the virtual time when somebody looks. Times
 * are in ticks of 1.193182 MHz since power-on.
 */
#ifndef ORIGAMI_ENGINE_CONTROLLERS_PIT_H
#define ORIGAMI_ENGINE_CONTROLLERS_PIT_H

#include <stdbool.h>
#include <stdint.h>

#define PIT_HZ 1193182u

struct pit_channel {
    uint64_t start;   /* tick at which the counting element was loaded with `count` */
    uint64_t elapsed; /* ticks counted when the gate stopped it */
    uint32_t count;   /* N: 1..65536 (1..10000 in BCD), 0 = never loaded */
    uint32_t next;    /* a new N that waits for the end of the period (modes 2, 3); 0 = none */
    uint8_t mode;     /* 0-5 */
    uint8_t bcd;
    uint8_t access; /* 1 low byte, 2 high byte, 3 both */
    uint8_t gate;
    uint8_t counting;   /* triggered and not held by the gate */
    uint8_t armed;      /* modes 1, 5: a count was written, a trigger starts it */
    uint8_t write_high; /* the next write is the high byte */
    uint8_t write_low;  /* the low byte that waits for it */
    uint8_t read_high;  /* the next read is the high byte */
    uint8_t latched;    /* bytes of latched_count still to be read */
    uint16_t latched_count;
    uint8_t status_latched;
    uint8_t status;
    uint8_t reserved[6];
};

struct pit {
    struct pit_channel channel[3];
    uint64_t seen; /* tick up to which channel 0's edges have been delivered */
    uint64_t
        not_before;  /* tick before which no further interrupt: keeps short periods from flooding */
    uint8_t output;  /* level last driven on IRQ 0 */
    uint8_t speaker; /* port 0x61, bits 3:0 */
    uint8_t reserved[6];
};

void pit_reset(struct pit *pit);
/* Ports 0x40-0x43 and 0x61. `now` is virtual ns. A write may change IRQ 0: call pit_advance()
 * after. */
bool pit_port(uint16_t port);
uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now);
void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now);

/* Virtual ns of channel 0's next rising edge, or CLOCK_NEVER. */
uint64_t pit_next(const struct pit *pit);
/* Brings channel 0 up to `now`: true if its output rose since (several times count once); *level is
 * where it stands. */
bool pit_advance(struct pit *pit, uint64_t now, bool *level);

#endif
