/* SPDX-License-Identifier: MIT */
/* inflate.h - the compressions Linux knows: one stream each, piece by piece, into a sink. */
#ifndef ORIGAMI_MACHINE_INFLATE_H
#define ORIGAMI_MACHINE_INFLATE_H

#include "../loaders/bytes.h"
#include "../support/problem.h"

/* Gets every piece. An error ends the inflation and is handed on. */
struct sink {
    int (*take)(struct sink *sink, const uint8_t *data, size_t size);
};

struct inflater {
    const char *name;
    const char *magic;
    unsigned magic_size;
    /*
     * Inflates the stream at the beginning of `in`; *taken: its length. -ENODATA: it is cut short;
     * -EBADMSG: it is damaged; -ENOMEM; or what the sink said. NULL: nobody can look inside.
     */
    int (*inflate)(struct bytes in, struct sink *sink, size_t *taken);
};

/* The one whose magic the bytes begin with, or NULL. */
const struct inflater *inflater_find(struct bytes in);

#endif
