/* SPDX-License-Identifier: MIT */
/*
 * Tower: a machine, the monitor on it, the virtual machine that it makes, the monitor on that...
 *
 *     machine depth    the guest program runs here
 *     monitor depth    CP = <dispatcher, allocator, interpreters>
 *     ...
 *     machine 1        what monitor 1 makes of the hardware
 *     monitor 1
 *     machine 0        the hardware: the only real state, the only place that runs directly
 *
 * Machine n exists only as the standard VM map f says: its memory cell i is cell i + k of machine
 * n - 1; its mode, relocation, counted resources and whether it halted are numbers in monitor n's
 * own cells (in the low k cells of machine n - 1, above the trap cells); all its other cells are
 * the cells of machine n - 1. So everything lies in the hardware's memory and registers in the
 * end, a monitor reaches its hardware only through the machine below it, and nothing here is
 * written for a particular instruction set (Theorems 1 and 2).
 *
 * A monitor's code is C, not instructions of the machine. When the machine below traps, the
 * trap rule changes that machine as its description says; then D runs, and gets the cells as they
 * were at the trapping instruction - on real hardware it would read them from where the rule saved
 * them. What D changes below - mode, relocation - counts as an operation of that machine's own
 * monitor, which must grant it.
 */
#ifndef ORIGAMI_CHECKER_MONITOR_TOWER_H
#define ORIGAMI_CHECKER_MONITOR_TOWER_H

#include "evaluator.h"
#include "plan.h"

enum { TOWER_MAX_DEPTH = 8 };

/* What one monitor did. */
struct monitor_counters {
    uint64_t traps;           /* how often D was entered */
    uint64_t emulated;        /* instructions run by an interpreter after a trap */
    uint64_t reflected;       /* traps given to the guest's own trap rule or monitor */
    uint64_t interpreted;     /* instructions run by software without a trap */
    uint64_t allocator;       /* calls of A: attempts to change relocation or a counted resource */
    uint64_t nested;          /* privileged operations of the monitor above, granted */
    uint64_t *by_instruction; /* emulated, by instruction */
};

/* The executed copy, as a cache of what was found at an address. */
struct patch_entry {
    bool valid;
    bool replaced;             /* the copy holds a trap code instead */
    struct step_record record; /* what the program has there */
};

struct patch_counters {
    uint64_t scanned;     /* instructions looked at */
    uint64_t replaced;    /* of these, replaced by a trap */
    uint64_t hits;        /* executions from the cache */
    uint64_t invalidated; /* entries whose program text had changed */
};

struct tower_level {
    struct monitor_counters counters;
    struct machine_state before, after; /* scratch: machine n as a whole, when D needs it */
    uint32_t memory_size;               /* of machine n */
    bool interpreting;                  /* monitor n may not let its guest run on machine n - 1 */
    uint64_t *own; /* machine n's counted resources while its monitor's guest runs, by place */
};

/* Where a monitor keeps a number of its guest's machine: bits of its own cells, packed. */
struct kept_place {
    uint32_t bit;   /* counted from the lowest of its first cell above the trap cells */
    unsigned width; /* 0: not kept, but shared with the machine below */
};

enum tower_trouble {
    TROUBLE_NONE,
    TROUBLE_DEAD,  /* the guest's trap rule memory-traps: the bare machine is stuck as well */
    TROUBLE_CELLS, /* a trap of a machine wrote outside the cells that its monitor keeps */
};

struct tower {
    const struct isa_description *description;
    const struct monitor_plan *plan;
    unsigned depth;
    uint32_t monitor_cells;  /* k of one monitor */
    uint32_t memory_offset;  /* of memory in a state's values */
    struct kept_place *kept; /* per place of a state below memory_offset */
    struct kept_place kept_halted;
    struct tower_level levels[TOWER_MAX_DEPTH + 1];
    struct machine_state hardware, scratch, image;
    uint64_t direct;             /* instructions that ran on the hardware, no monitor involved */
    uint64_t *direct_by;         /* by instruction */
    uint64_t innocuous_indirect; /* innocuous by class, executed, but not directly */
    struct patch_entry *patches; /* per cell of hardware memory; NULL unless patching */
    struct patch_counters patch;
    struct patch_entry *patch_trap; /* the trap under way came from this entry, or NULL */
    uint64_t trap_word;             /* what the copy holds where an instruction was replaced */
    bool trap_word_known;
    uint64_t seed, step; /* of the step under way: they decide what `choose` gives */
    enum tower_trouble trouble;
    uint32_t trouble_cell;
};

/* The k that one monitor needs: the description's, plus what it keeps for its guest. */
uint32_t tower_monitor_cells(const struct isa_description *description);

/* Depth 0 to TOWER_MAX_DEPTH. Everything is zero; load a program next. 0, -ENOMEM, -E2BIG (no
 * memory left for the guest) or -ERANGE (k is not a shift that the description knows). On error
 * nothing is left to release. */
int tower_init(struct tower *tower, const struct isa_description *description,
               const struct monitor_plan *plan, unsigned depth);
void tower_release(struct tower *tower);

/* Makes machine `depth` this state, which has its memory size. The counted resources that the other
 * machines have while their guests run become arbitrary, from the seed, within the description's
 * invariants: the guest must not be able to tell. Counters start at 0. */
void tower_load(struct tower *tower, const struct machine_state *guest, uint64_t seed);

/* One step of the guest: an instruction or a trap, wherever it is run. Choices come from
 * tower_choice(seed, step, site). *record is what ran. Nothing happens when halted or in trouble.
 */
void tower_step(struct tower *tower, uint64_t seed, uint64_t step, struct step_record *record);
uint64_t tower_choice(uint64_t seed, uint64_t step, unsigned site);

/* Machine `level` as the map shows it. */
uint64_t tower_read(const struct tower *tower, unsigned level, uint32_t place);
bool tower_halted(const struct tower *tower, unsigned level);
/* The whole of it; `state` was initialised for the description. */
void tower_view(const struct tower *tower, unsigned level, struct machine_state *state);

/* --- between the files of this folder --- */

/* tower.c: raw writes through the map. */
void tower_write(struct tower *tower, unsigned level, uint32_t place, uint64_t value);
void tower_set_halted(struct tower *tower, unsigned level);
unsigned tower_index(const struct tower *tower, const struct isa_instruction *instruction);
void tower_choose(const struct tower *tower, struct step_record *record);

/* allocator.c. Changes machine `level` from levels[level].before to .after; `asks`: A is asked. */
void allocator_commit(struct tower *tower, unsigned level, bool asks);
/* A privileged operation on machine `level` by the monitor that runs on it. */
void allocator_operate(struct tower *tower, unsigned level, uint32_t place, uint64_t value);
/* Monitor `level` gives the machine below to its guest, or decides to interpret. */
void allocator_resume(struct tower *tower, unsigned level);

/* dispatcher.c. Machine `level` traps: its trap rule runs; then the monitor on it, if any. */
void dispatcher_trap(struct tower *tower, unsigned level, const struct step_record *record);

/* interpreter.c. v_i of monitor `level` on its guest. */
void interpreter_run(struct tower *tower, unsigned level, const struct step_record *record);
/* One instruction of machine `level` in software, fetch included. */
void interpreter_step(struct tower *tower, unsigned level, struct step_record *record);

/* hardware.c. One instruction of the guest on the real machine. */
void hardware_step(struct tower *tower, struct step_record *record);

/* patch.c. What machine `level`, being in this state, finds at its program counter: its memory, or
 * the executed copy of the monitor on it. False: *record->outcome is to be delivered. */
int patch_init(struct tower *tower);
bool patch_fetch(struct tower *tower, unsigned level, const struct machine_state *state,
                 struct step_record *record);

#endif
