/* SPDX-License-Identifier: MIT */
/*
 * run_harness.h - the real `origami run` with the fake engine, for the tests of test_run.c and
 * test_console.c. Arguments of those: the origami program, the fake engine.
 */
#ifndef ORIGAMI_TESTS_RUN_HARNESS_H
#define ORIGAMI_TESTS_RUN_HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

extern const char *origami, *engine;
extern char directory[], kernel[64], statistics[64];

#define ANY_STATUS 1000
#define PATIENCE   120 /* seconds; nothing here takes so long */

/* One run, its output and how it ended. */
struct outcome {
    pid_t child;
    int input, output, errors; /* our ends; a terminal has one descriptor for all */
    char text[1 << 20], problem[4096];
    size_t length, problem_length;
    int status;
};
extern struct outcome run;

/* `script` is for the fake engine, `extra` more options, separated by single spaces. */
void start(const char *script, const char *extra);
void start_on_terminal(const char *script, const char *extra, struct termios *before);
/* Reads what there is; false at the end of both. */
bool collect(int timeout);
void wait_for_text(const char *text);
bool ended(void);
/* Waits for the end and checks the status. */
void finish(int status);
/* Exactly one line on standard error that starts as it should and holds `text`. */
void expect_line(const char *text);
/* A whole run that ends with `status` and a line (NULL = none). */
void simple(const char *script, const char *extra, int status, const char *text);

/* Group fixtures: a directory with a kernel; in the end nothing else may be in it. */
int make_files(void **state);
int remove_files(void **state);

#endif
