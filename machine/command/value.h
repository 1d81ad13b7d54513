/* SPDX-License-Identifier: MIT */
/*
 * value.h - one value of the table of options, from text (command line) or from JSON (file).
 */
#ifndef ORIGAMI_MACHINE_VALUE_H
#define ORIGAMI_MACHINE_VALUE_H

#include <cjson/cJSON.h>
#include "optiontable.h"

#define VALUE_PATH 128

/* Where a value stands, for messages, and what it is stored in. */
struct setting {
    struct options *options;
    struct problem *problem;
    const char *file;      /* of --config; NULL: the command line */
    const char *directory; /* of that file, with its last slash; "" = the working directory */
    char path[VALUE_PATH]; /* "--disk", "disks[1].serial" */
};

/* "PATH: message", status 2; returns -EINVAL. */
int setting_fail(struct setting *setting, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Stores one occurrence of `field`, which lies in `base` (struct options, or an object): a list
 * gets one element more. `text` NULL: a flag without a value.
 */
int MUST_CHECK value_from_text(struct setting *setting, const struct option_field *field,
                               void *base, const char *text);
/* Stores a whole field of the file: a list is an array. */
int MUST_CHECK value_from_json(struct setting *setting, const struct option_field *field,
                               void *base, const cJSON *item);
/* Stores the members of a JSON object into `base`, by the table `fields`. */
int MUST_CHECK value_from_object(struct setting *setting, const struct option_field *fields,
                                 void *base, const cJSON *object);

#endif
