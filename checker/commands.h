/* SPDX-License-Identifier: MIT */
/*
 * Commands of origami-checker. To add one: write command_NAME.c with one function of this type,
 * and give it a row in main.c's table; nothing else changes.
 */
#ifndef ORIGAMI_CHECKER_COMMANDS_H
#define ORIGAMI_CHECKER_COMMANDS_H

#include "analysis.h"

enum exit_status {
    EXIT_VIRTUALIZABLE = 0,
    EXIT_NOT_VIRTUALIZABLE = 1,
    EXIT_NOT_APPLICABLE = 2,
    EXIT_UNDECIDED = 3,
    EXIT_USAGE = 64,
    EXIT_BAD_DESCRIPTION = 65,
    EXIT_NO_FILE = 66,
    EXIT_INTERNAL = 70,
};

/* argv[0] is the command's name. Returns an exit status. */
typedef int command_function(int argc, char **argv);

int command_check(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_format(int argc, char **argv);
int command_list(int argc, char **argv);
int command_simulate(int argc, char **argv);

enum { COMMAND_MAX_OVERRIDES = 32 };

/* The options that every command on a description takes: --set P=V and --resources LIST. */
struct description_options {
    struct isa_override overrides[COMMAND_MAX_OVERRIDES];
    unsigned override_count;
    const char *resources;
};

/* "P=V": splits the text in place. 0 or EXIT_USAGE, said on stderr. */
int command_add_override(struct description_options *options, char *text);
/* "SECONDS" for one question; 0 or EXIT_USAGE, said on stderr in the command's name. */
int command_set_timeout(const char *name, struct analysis_options *options, const char *text);
/* Reads and parses a file; "-" is standard input, a name without a slash that is no file is looked
 * up in the library. EXIT_... with the reason on stderr, 0 when *description is the caller's. */
int command_open(const char *path, const struct description_options *options,
                 struct isa_description **description);
/* The same, and the text is the caller's too. */
int command_open_with_text(const char *path, const struct description_options *options,
                           struct isa_description **description, char **text);
/* The whole file as text, NUL-terminated; 0 or EXIT_NO_FILE, EXIT_INTERNAL. */
int command_read_file(const char *path, char **text, size_t *length);

/* Prints translated parts, NULL behind the last. EXIT_VIRTUALIZABLE or EXIT_INTERNAL. */
int command_help(const char *const *parts);
/* What analysis_run's error means for the user: said on stderr, an exit status. */
int command_analysis_error(const char *name, const struct analysis *analysis, int error);
/* EXIT_INTERNAL, said on stderr. */
int command_out_of_memory(void);
/* `status`, or EXIT_INTERNAL when standard output could not take everything. */
int command_flush(const char *name, int status);
/* Prints `name`'s entry of the option table that getopt_long refused. Always EXIT_USAGE. */
int command_usage(const char *name, const char *hint);

#endif
