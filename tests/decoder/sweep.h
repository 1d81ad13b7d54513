/* SPDX-License-Identifier: MIT */
/* sweep.h - hands the executable segments of an ELF file to a callback. */
#ifndef ORIGAMI_TESTS_DECODER_SWEEP_H
#define ORIGAMI_TESTS_DECODER_SWEEP_H

#include <stddef.h>
#include <stdint.h>

typedef void sweep_function(void *context, const uint8_t *bytes, size_t size);

/* Returns 0, or -errno when the file cannot be read or is no 64-bit ELF file. */
int sweep_file(const char *path, sweep_function *function, void *context);

#endif
