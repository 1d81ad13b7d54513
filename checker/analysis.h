/* SPDX-License-Identifier: MIT */
/*
 * Analysis: from witnesses to classes, from classes to theorems, from theorems to a verdict.
 *
 * Everything a report prints is here; reports decide nothing.
 */
#ifndef ORIGAMI_CHECKER_ANALYSIS_H
#define ORIGAMI_CHECKER_ANALYSIS_H

#include "premises.h"
#include "search.h"

/* The classes of one instruction. Each is an enum answer. */
enum instruction_class {
    CLASS_PRIVILEGED,
    CLASS_SENSITIVE,
    CLASS_CONTROL,
    CLASS_LOCATION,
    CLASS_MODE,
    CLASS_RESOURCE,
    CLASS_USER_SENSITIVE,
    CLASS_SUPERVISOR_SENSITIVE,
    CLASS_INNOCUOUS,
    CLASS_CRITICAL,        /* sensitive and not privileged */
    CLASS_HYBRID_CRITICAL, /* user sensitive and not privileged */
    CLASS_PARTIAL,         /* traps in user mode in some states and not in others */
    CLASS_COMMUTES,        /* trap-or-commute under the standard VM map */
    CLASS_COMMUTES_USER,   /* the same of the states in user mode: all that a hybrid monitor runs */
    CLASS_COUNT,
};

/* Names here are English; reports for people translate them. */
extern const char *const class_names[CLASS_COUNT];

struct instruction_report {
    const struct isa_instruction *instruction;
    struct search_result found;
    enum answer is[CLASS_COUNT];
    double seconds;
};

enum theorem {
    THEOREM_VIRTUALIZABLE,   /* 1: sensitive within privileged */
    THEOREM_RECURSIVE,       /* 2 */
    THEOREM_HYBRID,          /* 3: user sensitive within privileged */
    THEOREM_TRAP_OR_COMMUTE, /* ours: the standard VM map, instruction by instruction */
    THEOREM_COUNT,
};

extern const char *const theorem_names[THEOREM_COUNT];

enum verdict {
    VERDICT_VIRTUALIZABLE,
    VERDICT_NOT_VIRTUALIZABLE,
    VERDICT_NOT_APPLICABLE,
    VERDICT_UNDECIDED,
};

extern const char *const verdict_names[];

enum analysis_mode {
    MODE_CLASSIC,   /* Theorem 1 */
    MODE_HYBRID,    /* Theorem 3 */
    MODE_RECURSIVE, /* Theorem 2 */
};

struct analysis_options {
    enum analysis_mode mode;
    bool enumerate;   /* try every state instead of asking the solver */
    unsigned timeout; /* of one question, milliseconds; 0: the default */
    /* NULL, or the one instruction to analyse: the theorems are then about it alone. */
    const struct isa_instruction *only;
};

struct analysis {
    const struct isa_description *description;
    struct analysis_options options;
    bool premise[PREMISE_COUNT];
    enum answer theorem[THEOREM_COUNT];
    enum verdict verdict;
    struct instruction_report *reports; /* one per instruction; NULL when not applicable */
    unsigned report_count;
    double seconds;
    char error[320]; /* after a negative return: what went wrong, with which instruction */
};

/* 0, -ENOMEM, -EIO (solver), -EPROTO (a witness did not replay), -E2BIG (too large to analyse or
 * to enumerate). Release in every case. */
int analysis_run(const struct isa_description *description, const struct analysis_options *options,
                 struct analysis *analysis);
void analysis_release(struct analysis *analysis);

/* The classes and the theorems, from answers already found: for those who search by themselves. */
void analysis_classify(struct instruction_report *report);

/* The witness that best tells why an instruction is critical, or NULL. */
const struct witness *analysis_main_witness(const struct instruction_report *report);

/* The classes may allow Theorem 3's monitor where user code still traps, or behaves, by what only
 * the host has. The first such instruction, from index *next on, with the state that shows it; NULL
 * without one, or where Theorem 3 fails anyway. */
const struct instruction_report *analysis_hybrid_condition(const struct analysis *analysis,
                                                           unsigned *next);

#endif
