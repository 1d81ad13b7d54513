/* SPDX-License-Identifier: MIT */
/*
 * Compare: the same program bare and at the top of a tower, step by step.
 *
 * The bare machine is run by evaluate_step and has as much memory as the virtual one; it shares
 * nothing with the tower. States are compared through the VM map: machine `depth` of the tower
 * against the bare one, every cell but clocks.
 */
#ifndef ORIGAMI_CHECKER_MONITOR_COMPARE_H
#define ORIGAMI_CHECKER_MONITOR_COMPARE_H

#include "tower.h"

enum compare_end {
    END_HALTED,
    END_TRAP_STORM, /* one trap after another, no instruction between them */
    END_STEP_LIMIT,
    END_DEAD, /* the trap rule itself memory-traps */
    END_DIFFERENT,
    END_MONITOR_CELLS, /* the tower's own trouble: a trap rule that writes where programs live */
};

enum { COMPARE_STORM = 64 };

struct compare_options {
    uint64_t step_limit;
    uint64_t seed;
    bool at_end; /* compare once, not after every step */
};

struct comparison {
    enum compare_end end;
    uint64_t steps;
    uint64_t traps; /* of the guest, bare */
    /* The step before the states were compared, on the bare machine. */
    uint64_t pc;
    struct step_record record;
    /* END_DIFFERENT: */
    const struct isa_cell *cell; /* NULL: whether the machine halted, or is stuck */
    uint32_t element;
    uint64_t seen[2]; /* bare, virtual */
    struct machine_state initial;
    struct machine_state before; /* bare, before that step */
    struct machine_state bare;   /* as it ended */
    struct machine_state virtual;
};

/* 0 or -ENOMEM. */
int comparison_init(struct comparison *comparison, const struct isa_description *description);
void comparison_release(struct comparison *comparison);

/* Runs from `initial`, which has the memory size of the tower's top machine. Without a monitor
 * (depth 0) runs the bare machine alone. */
void comparison_run(struct comparison *comparison, struct tower *tower,
                    const struct machine_state *initial, const struct compare_options *options);

#endif
