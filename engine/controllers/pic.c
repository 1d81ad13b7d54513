/* SPDX-License-Identifier: MIT */
/*
 * pic.c - the 8259A pair (Intel 8259A datasheet 231468: ICW and OCW formats, priorities, EOI
 * commands).
 */
#include "internal.h"

#define CASCADE 2u

#define ICW1_INIT       0x10
#define ICW1_NEED_ICW4  0x01
#define ICW1_SINGLE     0x02
#define ICW4_AUTO_EOI   0x02
#define ICW4_FULLY_SFNM 0x10 /* special fully nested mode */
#define OCW3            0x08
#define OCW3_POLL       0x04
#define ELCR_MASTER     0xf8 /* IRQ 0-2 are edges always (timer, keyboard, cascade) */
#define ELCR_SLAVE      0xde /* so are IRQ 8 and 13 */

void pic_reset(struct pic *pic)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t line = pic->chip[i].line; /* what drives the inputs is not reset with the chip */
        /* Masked, where the chip's state would be undefined: nothing comes in before somebody has
         * set it up, as firmware does. */
        pic->chip[i] = (struct pic_chip){ .line = line, .imr = 0xff, .lowest = 7 };
    }
}

/* ---- Priority ---- */

/* The bit of `set` that comes first, counting from the input above the lowest one: how many steps
 * from there, 8 if none. */
static unsigned first_priority(const struct pic_chip *chip, unsigned set)
{
    for (unsigned steps = 0; steps < 8; steps++) {
        if (set >> ((chip->lowest + 1 + steps) & 7) & 1)
            return steps;
    }
    return 8;
}

/* The input the chip would interrupt for, or -1. */
static int chip_request(const struct pic_chip *chip, bool master)
{
    if (chip->init_step)
        return -1;
    unsigned service = chip->isr;
    if (chip->special_mask)
        service &= ~(unsigned)chip->imr;
    if (master && chip->icw4 & ICW4_FULLY_SFNM)
        service &= ~(1u << CASCADE); /* the slave may interrupt itself */
    unsigned request = first_priority(chip, chip->irr & ~(unsigned)chip->imr);
    if (request >= first_priority(chip, service))
        return -1; /* also when both are 8: none */
    return (int)((chip->lowest + 1 + request) & 7);
}

/* The slave's INT is the master's input 2. */
static void update_cascade(struct pic *pic)
{
    bool slave = chip_request(&pic->chip[1], false) >= 0;
    struct pic_chip *master = &pic->chip[0];
    if (master->icw1 & ICW1_SINGLE)
        slave = false;
    master->irr = (uint8_t)((master->irr & ~(1u << CASCADE)) | (unsigned)slave << CASCADE);
}

void pic_set_line(struct pic *pic, unsigned irq, bool level)
{
    if (irq >= 16 || irq == CASCADE)
        return;
    struct pic_chip *chip = &pic->chip[irq / 8];
    unsigned bit = 1u << (irq & 7);
    bool rose = level && !(chip->line & bit);

    chip->line = (uint8_t)(level ? chip->line | bit : chip->line & ~bit);
    if (chip->elcr & bit)
        chip->irr = (uint8_t)(level ? chip->irr | bit : chip->irr & ~bit);
    else if (rose)
        chip->irr |= (uint8_t)bit;
    update_cascade(pic);
}

bool pic_output(const struct pic *pic)
{
    return chip_request(&pic->chip[0], true) >= 0;
}

/* ---- Acknowledge ---- */

static void chip_acknowledge(struct pic_chip *chip, unsigned input)
{
    unsigned bit = 1u << (input & 7);
    if (!(chip->icw4 & ICW4_AUTO_EOI))
        chip->isr |= (uint8_t)bit;
    else if (chip->rotate_auto)
        chip->lowest = (uint8_t)(input & 7);
    if (!(chip->elcr & bit))
        chip->irr &= (uint8_t)~bit;
}

uint8_t pic_acknowledge(struct pic *pic)
{
    struct pic_chip *master = &pic->chip[0], *slave = &pic->chip[1];
    int input = chip_request(master, true);
    if (input < 0)
        return (uint8_t)(master->vector_base | 7); /* spurious: no in-service bit */

    chip_acknowledge(master, (unsigned)input);
    uint8_t vector = (uint8_t)(master->vector_base | input);
    if (input == CASCADE && !(master->icw1 & ICW1_SINGLE)) {
        int second = chip_request(slave, false);
        if (second >= 0)
            chip_acknowledge(slave, (unsigned)second);
        vector = (uint8_t)(slave->vector_base | (second < 0 ? 7 : second));
    }
    update_cascade(pic);
    return vector;
}

/* ---- Commands ---- */

static void write_icw1(struct pic_chip *chip, uint8_t value)
{
    /* The edge detectors start anew: a line that is high must fall and rise again. */
    *chip = (struct pic_chip){
        .line = chip->line,
        .elcr = chip->elcr,
        .irr = chip->line & chip->elcr,
        .icw1 = value,
        .vector_base = chip->vector_base,
        .icw3 = chip->icw3,
        .lowest = 7,
        .init_step = 2,
    };
}

static void write_icw(struct pic_chip *chip, uint8_t value)
{
    switch (chip->init_step) {
    case 2:
        chip->vector_base = value & 0xf8;
        chip->init_step = chip->icw1 & ICW1_SINGLE ? (chip->icw1 & ICW1_NEED_ICW4 ? 4 : 0) : 3;
        break;
    case 3:
        chip->icw3 = value; /* kept, but the wiring is what it is */
        chip->init_step = chip->icw1 & ICW1_NEED_ICW4 ? 4 : 0;
        break;
    default:
        chip->icw4 = value;
        chip->init_step = 0;
        break;
    }
}

static void write_ocw2(struct pic_chip *chip, uint8_t value)
{
    unsigned level = value & 7;
    bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;

    if (!eoi && !specific) {
        chip->rotate_auto = rotate;
        return;
    }
    if (eoi && !specific) {
        /* In special mask mode a masked level is not ended by a non-specific EOI. */
        unsigned service = chip->isr;
        if (chip->special_mask)
            service &= ~(unsigned)chip->imr;
        unsigned steps = first_priority(chip, service);
        if (steps == 8)
            return;
        level = (chip->lowest + 1 + steps) & 7;
    }
    if (eoi)
        chip->isr &= (uint8_t) ~(1u << level);
    if (rotate)
        chip->lowest = (uint8_t)level;
}

static void write_ocw3(struct pic_chip *chip, uint8_t value)
{
    if (value & OCW3_POLL)
        chip->poll = true;
    else if (value & 2)
        chip->read_isr = value & 1;
    if (value & 0x40)
        chip->special_mask = value >> 5 & 1;
}

static void chip_write(struct pic_chip *chip, unsigned a0, uint8_t value)
{
    if (a0 && chip->init_step)
        write_icw(chip, value);
    else if (a0)
        chip->imr = value;
    else if (value & ICW1_INIT)
        write_icw1(chip, value);
    else if (value & OCW3)
        write_ocw3(chip, value);
    else
        write_ocw2(chip, value);
}

static uint8_t chip_read(struct pic_chip *chip, unsigned a0, bool master)
{
    if (chip->poll) {
        chip->poll = false;
        int input = chip_request(chip, master);
        if (input < 0)
            return 0;
        chip_acknowledge(chip, (unsigned)input);
        return (uint8_t)(0x80 | input);
    }
    if (a0)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

static void write_elcr(struct pic_chip *chip, uint8_t value)
{
    /* Edges stay latched where edges stay; a level that becomes an edge input is none. */
    unsigned latched = chip->irr & ~(unsigned)chip->elcr & ~(unsigned)value;
    chip->elcr = value;
    chip->irr = (uint8_t)(latched | (chip->line & value));
}

/* ---- Ports ---- */

bool pic_port(uint16_t port)
{
    return (port & 0xff7e) == 0x20 || (port & 0xfffe) == 0x4d0;
}

uint8_t pic_read(struct pic *pic, uint16_t port)
{
    if (port >= 0x4d0)
        return pic->chip[port & 1].elcr;
    unsigned number = port >> 7 & 1;
    uint8_t value = chip_read(&pic->chip[number], port & 1, number == 0);
    update_cascade(pic);
    return value;
}

void pic_write(struct pic *pic, uint16_t port, uint8_t value)
{
    if (port == 0x4d0)
        write_elcr(&pic->chip[0], value & ELCR_MASTER);
    else if (port == 0x4d1)
        write_elcr(&pic->chip[1], value & ELCR_SLAVE);
    else
        chip_write(&pic->chip[port >> 7 & 1], port & 1, value);
    update_cascade(pic);
}
