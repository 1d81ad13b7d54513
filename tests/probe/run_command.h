/* SPDX-License-Identifier: MIT */
/* Runs `probe` in a process of its own, as a shell would. */
#ifndef ORIGAMI_TEST_PROBE_RUN_COMMAND_H
#define ORIGAMI_TEST_PROBE_RUN_COMMAND_H

#include <stddef.h>

/* Called in the process before the command. */
typedef void prepare_function(void);

/* argv ends with NULL. Returns the exit status, or -1 if it did not exit; *output is standard
 * output as text, the caller's to free. */
int run_command(char **argv, prepare_function *prepare, char **output);

#endif
