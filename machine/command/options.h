/* SPDX-License-Identifier: MIT */
/*
 * options.h - the command line of `origami run`, parsed and checked. Strings point into argv.
 */
#ifndef ORIGAMI_MACHINE_OPTIONS_H
#define ORIGAMI_MACHINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "../support/problem.h"

#define OPTIONS_MODULES 32

struct options_module {
    char *file;            /* owned: the part before the first comma */
    const char *arguments; /* the rest, "" = none */
};

struct options {
    bool help, version;
    const char *kernel, *initrd, *cmdline, *statistics, *engine;
    struct options_module module[OPTIONS_MODULES];
    unsigned module_count;
    uint64_t memory; /* bytes */
    unsigned cpus;
    uint32_t tier; /* enum wire_tier */
    bool debug_exit, instructions, no_reboot;
};

/* argv[0] is the subcommand's name. Free with options_free() whatever the result. */
int MUST_CHECK options_parse(struct options *options, int argc, char **argv,
                             struct problem *problem);
void options_free(struct options *options);

/* "512M", "64G", "1048576K"; a bare number counts MiB. -EINVAL, -ERANGE. */
int MUST_CHECK options_size(const char *text, uint64_t *bytes);

#endif
