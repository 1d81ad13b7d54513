/* SPDX-License-Identifier: MIT */
/*
 * files.h - input files, read whole into private memory: nobody can change or truncate them under
 * us, pipes work, and the files are closed before the guest runs.
 */
#ifndef ORIGAMI_MACHINE_FILES_H
#define ORIGAMI_MACHINE_FILES_H

#include "../loaders/bytes.h"
#include "../support/problem.h"

/* Reads at most `limit` bytes; larger or empty files are refused. Free bytes->data with
 * files_free(). */
int MUST_CHECK files_read(const char *path, size_t limit, struct bytes *bytes,
                          struct problem *problem);
void files_free(struct bytes *bytes);

#endif
