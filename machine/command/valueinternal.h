/* SPDX-License-Identifier: MIT */
/* valueinternal.h - what value.c (text) and valuejson.c (JSON) share. */
#ifndef ORIGAMI_MACHINE_VALUEINTERNAL_H
#define ORIGAMI_MACHINE_VALUEINTERNAL_H

#include "value.h"

int setting_no_memory(struct setting *setting);
/* Appends ".name", or "[index]" if index is not negative, to the path. Undo by cutting it. */
void setting_enter(struct setting *setting, const char *name, long index);

/* Where the next occurrence goes: the field itself, or one more element of a list. */
int MUST_CHECK value_append(struct setting *setting, const struct option_field *field, void *base,
                            void **element);
/* A scalar from text; NULL = a flag without a value. */
int MUST_CHECK value_scalar(struct setting *setting, const struct option_field *field, void *at,
                            const char *text);
/* NUMBER or SIZE within its limits; `text` is for the message. */
int MUST_CHECK value_store_number(struct setting *setting, const struct option_field *field,
                                  void *at, uint64_t value, const char *text);
/* An object whose parts `seen` (a bit each) were given: complete and possible? */
int MUST_CHECK value_check_object(struct setting *setting, const struct option_field *field,
                                  void *object, uint64_t seen);

#endif
