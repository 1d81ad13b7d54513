/* SPDX-License-Identifier: MIT */
/*
 * options.h - what `origami run` was asked for, from the command line and from a file (config.h),
 * checked. All strings belong to the structure.
 *
 * A new option is a field here and a row in optiontable.c: command line, file, --help follow.
 */
#ifndef ORIGAMI_MACHINE_OPTIONS_H
#define ORIGAMI_MACHINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "../net/config.h"
#include "../support/problem.h"

#define OPTIONS_MODULES 32
#define OPTIONS_DISKS   16

struct options_module {
    const char *file;
    const char *arguments; /* "" = none */
};

struct options_disk {
    const char *file;
    const char *serial; /* "" = none */
    bool read_only;
};

enum options_accelerator { ACCELERATOR_AUTO, ACCELERATOR_ORIGAMI, ACCELERATOR_KVM };

struct options_string; /* options.c */

struct options {
    struct options_string *strings; /* what the pointers below point into */
    bool help, version;
    const char *config;
    const char *kernel, *initrd, *cmdline, *statistics, *engine;
    struct options_module module[OPTIONS_MODULES];
    unsigned module_count;
    uint64_t memory; /* bytes */
    uint32_t cpus;
    uint32_t accelerator; /* enum options_accelerator */
    uint32_t tier;        /* enum wire_tier */
    struct options_disk disk[OPTIONS_DISKS];
    unsigned disk_count;
    struct net_config net;
    uint64_t balloon_size; /* bytes */
    bool console, rng, balloon;
    const char *record, *replay; /* the log's file; each makes `instructions` true */
    bool debug_exit, instructions, no_reboot;
};

/*
 * argv[0] is the subcommand's name. What the command line says replaces what the file of --config
 * says, option by option and lists as a whole; contradictions are judged after that. Free with
 * options_free() whatever the result.
 */
int MUST_CHECK options_parse(struct options *options, int argc, char **argv,
                             struct problem *problem);
void options_free(struct options *options);

/* A copy of `text` that lives as long as the options; NULL: no memory. */
const char *options_keep(struct options *options, const char *text);

/* "512M", "64G", "1048576K"; a bare number counts MiB. -EINVAL, -ERANGE. */
int MUST_CHECK options_size(const char *text, uint64_t *bytes);

#endif
