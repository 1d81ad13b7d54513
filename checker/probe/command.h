/* SPDX-License-Identifier: MIT */
/* `origami probe`: the command, for main's table. Built on every architecture. */
#ifndef ORIGAMI_PROBE_COMMAND_H
#define ORIGAMI_PROBE_COMMAND_H

/* argv[0] is the command's name. Returns an exit status: see --help. */
int command_probe(int argc, char **argv);

#endif
