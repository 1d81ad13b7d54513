/* SPDX-License-Identifier: MIT */
/*
 * logfile.h - files of records: one that grows, and one that is read.
 *
 * A new log replaces an older log or an empty file, never anything else. What is put is in the file
 * after the next log_flush(), which is done before the engine goes on; there is no other buffer.
 */
#ifndef ORIGAMI_MACHINE_LOGFILE_H
#define ORIGAMI_MACHINE_LOGFILE_H

#include <stdbool.h>
#include "log.h"

struct log_writer;

int MUST_CHECK log_create(struct log_writer **writer, const char *path,
                          const struct log_parameters *parameters, struct problem *problem);
/* Does not fail; what does not fit in memory is reported by the next flush. */
void log_put(struct log_writer *writer, const struct log_record *record);
int MUST_CHECK log_flush(struct log_writer *writer, struct problem *problem);
/* NULL is fine. What was put and not flushed is tried once more. */
void log_close(struct log_writer *writer);

struct log_reader;

/* Reads the whole file once and checks every record, so that damage is seen before a guest runs. A
 * log that ends in the middle of a record is good up to there. */
int MUST_CHECK log_open(struct log_reader **reader, const char *path,
                        struct log_parameters *parameters, struct problem *problem);
/* The next record without taking it, NULL at the end. Holds until log_next(). */
const struct log_record *log_peek(struct log_reader *reader);
void log_next(struct log_reader *reader);
void log_forget(struct log_reader *reader); /* NULL is fine */

#endif
