/* SPDX-License-Identifier: MIT */
/*
 * Formatter: one layout for descriptions. Works on tokens, keeps comments and single blank lines,
 * and is idempotent: formatting twice changes nothing.
 */
#ifndef ORIGAMI_CHECKER_FORMAT_H
#define ORIGAMI_CHECKER_FORMAT_H

#include "diagnostics.h"

/* 0, -EINVAL (diagnostics filled), -ENOMEM, or -EIO when `out` refuses. */
int format_description(const char *text, size_t length, struct diagnostics *diagnostics, FILE *out);

#endif
