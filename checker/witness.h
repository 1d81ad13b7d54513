/* SPDX-License-Identifier: MIT */
/*
 * Witness: a concrete proof that an instruction has a property, checked by the evaluator alone.
 *
 * Every question the checker asks of an instruction is "is there a witness?": one state or a pair
 * of states, operands, choices and a shift, which together show the property. The solver and the
 * enumeration only propose; witness_holds() decides, from the paper's definition and with the
 * evaluator. What a property means is defined here and in docs/checker/language.md.
 */
#ifndef ORIGAMI_CHECKER_WITNESS_H
#define ORIGAMI_CHECKER_WITNESS_H

#include "evaluator.h"

enum property {
    PROPERTY_CONTROL_USER,        /* runs in user mode and changes mode, relocation or resource */
    PROPERTY_CONTROL_SUPERVISOR,  /* the same in supervisor mode */
    PROPERTY_LOCATION_USER,       /* result depends on where memory lies */
    PROPERTY_LOCATION_SUPERVISOR, /* the same in supervisor mode */
    PROPERTY_MODE,                /* result depends on the mode */
    PROPERTY_RESOURCE_USER,       /* result depends on a counted resource */
    PROPERTY_RESOURCE_SUPERVISOR, /* the same in supervisor mode */
    PROPERTY_UNPRIVILEGED,        /* not: traps in user mode and does not in supervisor mode */
    PROPERTY_COMPARABLE,          /* some pair has no memory trap, so privilege says something */
    PROPERTY_TRAPS_IN_USER,       /* some state in user mode traps */
    PROPERTY_RUNS_IN_USER,        /* some state in user mode does not */
    PROPERTY_DIFFERS,             /* run under the VM map f, does not trap and does not commute */
    PROPERTY_FALSE_TRAP,          /* traps under f where the bare machine does not */
    PROPERTY_FALSE_FAULT,         /* memory-traps under f where the bare machine does not */
    PROPERTY_STRAYS_IN_USER,      /* one of these three, from a guest's user mode */
    PROPERTY_COUNT,
};

/* How the two states of a witness belong together. */
enum relation {
    RELATION_SINGLE,    /* one state */
    RELATION_RELOCATED, /* the second is the first, moved by the shift; outside memory arbitrary */
    RELATION_MODE,      /* first supervisor, second user; the rest equal */
    RELATION_RESOURCES, /* equal but for counted resources */
    RELATION_FOLDED,    /* the second is f(first): the standard VM map */
};

struct property_row {
    const char *name;
    enum relation relation;
    int mode; /* of both states (folded: the first): 0 supervisor, 1 user, -1 either or given by
                 the relation */
};

extern const struct property_row property_rows[PROPERTY_COUNT];

struct witness {
    enum property property;
    const struct isa_instruction *instruction;
    struct instruction_input input;
    uint64_t shift;
    struct machine_state before[2], after[2];
    struct outcome outcome[2];
    /* The first difference, filled by witness_judge where the property is about one. */
    bool has_difference;
    const struct isa_cell *cell; /* NULL: whether the machine halted */
    uint32_t element;            /* of the cell; for memory the virtual address when windowed */
    bool windowed;               /* memory seen through the map */
    uint64_t seen[2];
};

/* Does the property compare windows instead of memory? Only mode sensitivity under a map that looks
 * at the mode; the pairs of "privileged" differ in the mode and in nothing else. */
bool property_equal_windows(const struct isa_description *description, enum property property);

/* 0 or -ENOMEM. */
int witness_init(struct witness *witness, const struct isa_description *description,
                 const struct isa_instruction *instruction, enum property property);
void witness_release(struct witness *witness);

/* Are the `before` states valid, and related as the property wants? */
bool witness_related(const struct isa_description *description, const struct witness *witness);
/* Runs the instruction on the `before` states. */
void witness_run(const struct isa_description *description, struct witness *witness, int which);
/* Given related states and both runs: is this the property? */
bool witness_judge(const struct isa_description *description, struct witness *witness);
/* All three. */
bool witness_holds(const struct isa_description *description, struct witness *witness);

/* Makes whatever can be 0 be 0, and counted resources equal in both states, as long as the witness
 * holds: what remains is the reason. A solver's witness has any values that will do. False: the
 * witness does not hold any more (it never should). */
bool witness_simplify(const struct isa_description *description, struct witness *witness);
/* The counted resources in which the `before` states differ, by number; NULL after the last. */
const struct isa_cell *witness_resource(const struct isa_description *description,
                                        const struct witness *witness, unsigned number);

/* Does every address map alike in both states and show the same contents? */
bool witness_same_window(const struct isa_description *description,
                         const struct machine_state *first, const struct machine_state *second,
                         uint32_t *address, uint64_t seen[2]);

#endif
