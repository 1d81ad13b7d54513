/* SPDX-License-Identifier: MIT */
/*
 * optiontable.h - the table of options. One row says what an option is called, what its value may
 * be, where it is kept and what --help says; the command line (options.c), the file of --config
 * (config.c) and the help text (help.c) are all derived from it.
 *
 * A value is a scalar or an object: parts separated by commas on the command line
 * (`FILE,ro,serial=S`), an object in the file ({"file": ..., "ro": true, "serial": ...}). Either
 * may be repeated: several times on the command line, an array in the file.
 */
#ifndef ORIGAMI_MACHINE_OPTIONTABLE_H
#define ORIGAMI_MACHINE_OPTIONTABLE_H

#include <stddef.h>
#include "options.h"

enum value_kind {
    VALUE_FLAG,   /* bool */
    VALUE_TEXT,   /* const char * */
    VALUE_FILE,   /* const char *, not empty; in a file relative to its directory */
    VALUE_NUMBER, /* uint32_t */
    VALUE_SIZE,   /* uint64_t bytes; options_size() */
    VALUE_CHOICE, /* uint8_t (or bool) or uint32_t, one of `choice` */
    VALUE_PARSED, /* whatever `parse` makes of a text */
    VALUE_OBJECT  /* a structure of `part` */
};

struct value_choice {
    const char *name; /* NULL = end of the list */
    uint32_t value;
};

#define VALUE_ONE (~(size_t)0) /* count_offset of what is no list */

struct option_field {
    const char *name; /* NULL = end of the table */
    enum value_kind kind;
    size_t offset, size; /* in struct options or in the object; of a list: one element's size */
    const char *wanted;  /* what a wrong value is told: "WANTED, not VALUE" */
    uint64_t minimum, maximum; /* NUMBER, SIZE */
    uint64_t multiple;         /* SIZE; 0 = any */
    const struct value_choice *choice;
    /* VALUE_PARSED: NULL if good, otherwise what is wrong with it */
    const char *(*parse)(void *field, const char *text);
    /* VALUE_OBJECT: is the whole possible? NULL if so */
    const char *(*check)(const void *object);
    const struct option_field
        *part;     /* VALUE_OBJECT; the first one needs no name on the command line */
    bool required; /* part without which its object is nothing */
    bool rest;     /* last part: takes all that is left, commas included */
    /* Lists */
    size_t count_offset; /* of an unsigned count, or VALUE_ONE */
    uint32_t list_max;
    const char *plural; /* name in the file */
    /* Options only */
    bool command_line_only;
    bool alias;           /* of the row before: not in --help, not in the file */
    const char *argument; /* for --help */
    const char *help;     /* lines separated by \n */
};

/* The name a field has in the file. */
static inline const char *option_file_name(const struct option_field *field)
{
    return field->plural ? field->plural : field->name;
}

extern const struct option_field option_table[];

#endif
