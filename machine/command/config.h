/* SPDX-License-Identifier: MIT */
/*
 * config.h - the file of `origami run --config`: JSON (RFC 8259), one object, a field for each
 * option (docs/config.md). The file is not trusted: its size and depth are limited, every field is
 * checked, and a message names the field's path.
 */
#ifndef ORIGAMI_MACHINE_CONFIG_H
#define ORIGAMI_MACHINE_CONFIG_H

#include <stddef.h>
#include "options.h"

#define CONFIG_SIZE_MAX  (1u << 20)
#define CONFIG_DEPTH_MAX 8

/* Fills `options` from a file. Status 4: it cannot be read or is no JSON; 2: what it says is wrong.
 */
int MUST_CHECK config_read(struct options *options, const char *path, struct problem *problem);
/* The same from its contents; `path` is for messages and for the files it names. */
int MUST_CHECK config_parse(struct options *options, const char *path, const char *text,
                            size_t size, struct problem *problem);

#endif
