/* SPDX-License-Identifier: MIT */
/*
 * Library: the descriptions that come with the program, found by name.
 *
 * A description of the same name in an earlier folder (see places.h) hides a later one.
 */
#ifndef ORIGAMI_CHECKER_LIBRARY_H
#define ORIGAMI_CHECKER_LIBRARY_H

#include <stddef.h>

struct library_entry {
    char *name; /* without folder and .isa */
    char *path;
};

struct library {
    struct library_entry *entries; /* by name */
    unsigned count;
};

/* 0 (perhaps empty) or -ENOMEM. Release in every case. */
int library_read(struct library *library);
void library_release(struct library *library);

/* The path of a description called `name`, with or without .isa: 0, -ENOENT or -ENOMEM. */
int library_find(const char *name, char *path, size_t size);

#endif
