/* SPDX-License-Identifier: MIT */
/*
 * pic.h - the two 8259A interrupt controllers of a PC (Intel 8259A datasheet 231468) and the ELCR.
 *
 * The second chip hangs on input 2 of the first. Inputs are logic levels; an edge is latched until
 * it is taken, even if the line falls before (as other virtual machines do, kinder than the chip).
 */
#ifndef ORIGAMI_ENGINE_CONTROLLERS_PIC_H
#define ORIGAMI_ENGINE_CONTROLLERS_PIC_H

#include <stdbool.h>
#include <stdint.h>

struct pic_chip {
    uint8_t irr, isr, imr;
    uint8_t line; /* input levels */
    uint8_t elcr; /* inputs that are level triggered */
    uint8_t icw1, icw3, icw4;
    uint8_t vector_base; /* ICW2, bits 7:3 */
    uint8_t lowest;      /* the input of lowest priority: 7 unless rotated */
    uint8_t init_step;   /* 0 = operating, else the ICW awaited (2, 3, 4) */
    uint8_t read_isr;    /* OCW3 RIS */
    uint8_t poll;        /* OCW3 P: the next read is an acknowledge */
    uint8_t special_mask;
    uint8_t rotate_auto; /* rotate in automatic EOI mode */
    uint8_t reserved;
};

struct pic {
    struct pic_chip chip[2]; /* 0: master at 0x20, 1: slave at 0xa0 */
};

void pic_reset(struct pic *pic);
void pic_set_line(struct pic *pic, unsigned irq, bool level); /* irq 0-15; 2 is ignored (cascade) */
bool pic_output(const struct pic *pic);                       /* the level of INTR */
uint8_t pic_acknowledge(struct pic *pic); /* INTA: the vector; IRQ 7 or 15 if spurious */

/* Ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1. */
bool pic_port(uint16_t port);
uint8_t pic_read(struct pic *pic, uint16_t port);
void pic_write(struct pic *pic, uint16_t port, uint8_t value);

#endif
