/* SPDX-License-Identifier: MIT */
/*
 * Simulation: what one `origami simulate` did, as text for people and JSON for programs.
 */
#ifndef ORIGAMI_CHECKER_MONITOR_SIMULATION_H
#define ORIGAMI_CHECKER_MONITOR_SIMULATION_H

#include "compare.h"

struct simulation {
    const char *program; /* the file's name */
    const struct tower *tower;
    const struct comparison *comparison;
    bool forced; /* the kind of monitor was asked for, not chosen */
    bool at_end;
};

extern const char *const compare_end_names[];

/* Innocuous instructions that ran: directly, and otherwise. */
void simulation_efficiency(const struct tower *tower, uint64_t *direct, uint64_t *indirect);

void simulation_text(const struct simulation *simulation, FILE *out);
/* 0 or -ENOMEM. */
int simulation_json(const struct simulation *simulation, FILE *out);

#endif
