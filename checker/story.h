/* SPDX-License-Identifier: MIT */
/*
 * Story: why an instruction is in its class, told to somebody who has not read the paper.
 *
 * A story is a list of parts in the order of reading, translated already. It decides nothing (see
 * analysis.h) and says nothing about looks: the terminal and the HTML report each have their own
 * way of showing a part.
 */
#ifndef ORIGAMI_CHECKER_STORY_H
#define ORIGAMI_CHECKER_STORY_H

#include "analysis.h"

enum story_kind {
    STORY_HEADING,
    STORY_PARAGRAPH,
    STORY_ITEM,    /* term: what it is; text: what there is to say about it */
    STORY_SOURCE,  /* lines of the description, verbatim */
    STORY_WITNESS, /* a table of states, see story_table */
};

struct story_part {
    enum story_kind kind;
    char *term; /* STORY_ITEM */
    char *text;
    const struct witness *witness; /* STORY_WITNESS; the report's */
};

struct story {
    const struct isa_description *description;
    const struct instruction_report *report;
    struct story_part *parts;
    unsigned count;
    bool failed; /* out of memory: some part is missing */
};

/* `source` is the description's text, or NULL when it is not at hand. 0 or -ENOMEM; release in
 * every case. */
int story_tell(const struct isa_description *description, const struct instruction_report *report,
               const char *source, struct story *story);
void story_release(struct story *story);

/* For those who add parts: story_monitor.c tells about monitors and ways out. */
void story_add(struct story *story, enum story_kind kind, const char *term, const char *text);
__attribute__((format(printf, 2, 3))) void story_say(struct story *story, const char *format, ...);
__attribute__((format(printf, 3, 4))) void story_item(struct story *story, const char *term,
                                                      const char *format, ...);
/* Headings and parts on what a monitor makes of the instruction. */
void story_tell_monitor(struct story *story);

/* One line: "critical: mode sensitive, not privileged". */
void story_classes_line(const struct instruction_report *report, char *text, size_t size);
/* One line on what a witness shows: "D[0] = 0x10 against 0". */
void story_difference_line(const struct witness *witness, char *text, size_t size);
/* On what Theorem 3 depends (analysis_hybrid_condition()). */
void story_condition_line(const struct isa_description *description,
                          const struct instruction_report *report, char *text, size_t size);

/* The cell of a witness's difference: "D[0]", "E at address 3", "whether the machine halts". */
void story_cell_name(const struct witness *witness, char *text, size_t size);
void story_value(const struct isa_cell *cell, uint64_t value, char *text, size_t size);

/* A witness as a table: before and after for each of its states. */
enum { STORY_NAME_SIZE = 96, STORY_VALUE_SIZE = 48 };

struct story_row {
    char name[STORY_NAME_SIZE];
    char value[4][STORY_VALUE_SIZE]; /* before, after, second before, second after */
    bool differs;                    /* the first difference */
};

struct story_table {
    unsigned states;      /* 1 or 2 */
    const char *title[2]; /* of each state */
    struct story_row *rows;
    unsigned count;
    char input[256]; /* operands, choices, shift; may be empty */
    bool rest_zero;  /* cells were left out because they are 0 everywhere */
};

/* 0 or -ENOMEM. */
int story_table_build(const struct isa_description *description, const struct witness *witness,
                      struct story_table *table);
void story_table_release(struct story_table *table);

#endif
