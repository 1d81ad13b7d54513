/* SPDX-License-Identifier: MIT */
/*
 * Plan: what the analysis found, as the monitor needs it - one row per instruction.
 *
 * The analysis runs at the small widths of the description, programs at larger ones, so a plan is
 * made from one description and used with another: rows go by name. The plan is all that the
 * monitor knows of an instruction besides the body it interprets.
 */
#ifndef ORIGAMI_CHECKER_MONITOR_PLAN_H
#define ORIGAMI_CHECKER_MONITOR_PLAN_H

#include "analysis.h"

enum monitor_kind {
    MONITOR_CLASSIC,  /* Theorem 1: trap and emulate */
    MONITOR_HYBRID,   /* Theorem 3: interprets all virtual-supervisor code */
    MONITOR_PATCHING, /* neither: critical instructions become traps in an executed copy */
    MONITOR_KIND_COUNT,
};

extern const char *const monitor_kind_names[MONITOR_KIND_COUNT];

struct plan_row {
    bool privileged; /* D has an interpreter for it */
    bool innocuous;  /* and not privileged: efficiency demands that it runs directly */
    bool asks;       /* it may try to change relocation or a counted resource */
    bool replaced;   /* by a patching monitor: critical, or does not commute with the VM map */
};

struct monitor_plan {
    enum monitor_kind kind;
    enum answer theorem[THEOREM_COUNT];
    struct plan_row *rows; /* one per instruction of the description that runs, in its order */
    unsigned count;
    bool trap_asks; /* the same of the trap rule */
};

/* Chooses the kind that the theorems allow: classic where Theorem 1 holds (and trap-or-commute,
 * which decides for the very map this monitor uses), hybrid where Theorem 3 does without a
 * condition, else patching. What the solver left undecided counts against the instruction.
 * `running` may be the analysed description itself. 0, -ENOMEM, or -ENOENT with *missing: an
 * instruction that was not analysed. The analysis must be applicable (its verdict not
 * VERDICT_NOT_APPLICABLE). */
int plan_make(const struct analysis *analysis, const struct isa_description *running,
              struct monitor_plan *plan, const char **missing);
void plan_release(struct monitor_plan *plan);

#endif
