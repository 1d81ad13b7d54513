/* SPDX-License-Identifier: MIT */
/*
 * escape.h - the keys that are for Origami, not for the guest: Ctrl-A followed by
 *   x  leave      h or ?  help      Ctrl-A or a  a Ctrl-A for the guest
 * Anything else after Ctrl-A is dropped with it.
 */
#ifndef ORIGAMI_MACHINE_ESCAPE_H
#define ORIGAMI_MACHINE_ESCAPE_H

#include <stdbool.h>
#include <stdint.h>

#define ESCAPE_KEY 0x01

enum escape_action { ESCAPE_NONE, ESCAPE_BYTE /* goes to the guest */, ESCAPE_LEAVE, ESCAPE_HELP };

struct escape {
    bool pending; /* the last byte was the escape key */
};

static inline enum escape_action escape_next(struct escape *escape, uint8_t byte)
{
    if (!escape->pending) {
        escape->pending = byte == ESCAPE_KEY;
        return escape->pending ? ESCAPE_NONE : ESCAPE_BYTE;
    }
    escape->pending = false;
    switch (byte) {
    case 'x':
    case 'X':
        return ESCAPE_LEAVE;
    case 'h':
    case 'H':
    case '?':
        return ESCAPE_HELP;
    case ESCAPE_KEY:
    case 'a':
        return ESCAPE_BYTE; /* the caller sends ESCAPE_KEY */
    default:
        return ESCAPE_NONE;
    }
}

#endif
