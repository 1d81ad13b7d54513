/* SPDX-License-Identifier: MIT */
/* generate.c - see generate.h. */
#include "generate.h"

void generator_init(struct generator *generator, uint64_t seed)
{
    generator->state = seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull;
}

/* xorshift64*: fast, and good enough to cover encodings. */
uint32_t generator_next(struct generator *generator)
{
    uint64_t x = generator->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    generator->state = x;
    return (uint32_t)((x * 0x2545f4914f6cdd1dull) >> 32);
}

static uint8_t random_byte(struct generator *generator)
{
    return (uint8_t)generator_next(generator);
}

/* True once in n. */
static int one_in(struct generator *generator, uint32_t n)
{
    return generator_next(generator) % n == 0;
}

/* Legacy prefixes: mostly none or one, sometimes a pile of them up to the length limit. */
static unsigned put_prefixes(struct generator *generator, uint8_t *bytes, unsigned at)
{
    static const uint8_t prefixes[] = { 0x66, 0xf2, 0xf3, 0x66, 0xf2, 0xf3, 0x67, 0xf0,
                                        0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x48, 0x41 };
    static const uint8_t counts[16] = { 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 4, 0 };
    unsigned count = counts[generator_next(generator) & 15];

    if (one_in(generator, 256))
        count = generator_next(generator) % 15;
    while (count--)
        bytes[at++] = prefixes[generator_next(generator) & 15];
    return at;
}

static unsigned put_vex(struct generator *generator, uint8_t *bytes, unsigned at,
                        unsigned code_size)
{
    uint8_t inverted =
        code_size == 64 && one_in(generator, 2) ? random_byte(generator) & 0xe0 : 0xe0;
    uint8_t last = random_byte(generator);

    if (one_in(generator, 2))
        last |= 0x78; /* vvvv unused */
    if (one_in(generator, 4)) {
        bytes[at++] = 0xc5;
        bytes[at++] = (uint8_t)((last & 0x7f) | (code_size == 64 ? inverted & 0x80 : 0x80));
        if (code_size != 64 && !one_in(generator, 8))
            bytes[at - 1] |= 0xc0;
    } else {
        uint8_t map = (uint8_t)(1 + generator_next(generator) % 3);

        if (one_in(generator, 64))
            map = random_byte(generator) & 0x1f;
        bytes[at++] = 0xc4;
        bytes[at++] = inverted | map;
        bytes[at++] = last;
    }
    return at;
}

static unsigned put_evex(struct generator *generator, uint8_t *bytes, unsigned at,
                         unsigned code_size)
{
    uint8_t first =
        (uint8_t)((random_byte(generator) & 0xf0) | (1 + generator_next(generator) % 3));
    uint8_t second = random_byte(generator) | 4;
    uint8_t third = random_byte(generator);

    if (code_size != 64 && !one_in(generator, 16))
        first |= 0xc0;
    if (one_in(generator, 32))
        first = random_byte(generator);
    if (one_in(generator, 64))
        second &= (uint8_t)~4;
    if (one_in(generator, 2)) {
        second |= 0x78;
        third |= 8;
    }
    if (one_in(generator, 2))
        third &= 0x60 | 8;
    if (one_in(generator, 2))
        third &= (uint8_t)~0x10;
    if (one_in(generator, 2))
        third &= (uint8_t)~0x80;
    bytes[at++] = 0x62;
    bytes[at++] = first;
    bytes[at++] = second;
    bytes[at++] = third;
    return at;
}

void generate_encoding(struct generator *generator, unsigned code_size, uint8_t bytes[15])
{
    uint8_t buffer[32]; /* prefixes may pass the limit: that is a case too */
    unsigned at = 0;
    unsigned kind = generator_next(generator) & 15;

    for (unsigned i = 0; i < sizeof(buffer); i++)
        buffer[i] = random_byte(generator);
    if (kind == 0) { /* raw */
    } else if (kind <= 4) {
        if (one_in(generator, 16))
            at = put_prefixes(generator, buffer, at);
        at = put_vex(generator, buffer, at, code_size);
    } else if (kind <= 9) {
        if (one_in(generator, 16))
            at = put_prefixes(generator, buffer, at);
        at = put_evex(generator, buffer, at, code_size);
    } else {
        at = put_prefixes(generator, buffer, at);
        if (code_size == 64 && one_in(generator, 2))
            buffer[at++] = 0x40 | (random_byte(generator) & 15);
        if (kind >= 12)
            buffer[at++] = 0x0f;
        if (kind == 15)
            buffer[at++] = 0x38;
        if (kind == 14)
            buffer[at++] = 0x3a;
    }
    for (unsigned i = 0; i < 15; i++)
        bytes[i] = buffer[i];
}
