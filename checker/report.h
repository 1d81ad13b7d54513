/* SPDX-License-Identifier: MIT */
/*
 * Reports: an analysis as text or a page for people and as JSON for programs.
 *
 * Pure output; nothing is decided here.
 */
#ifndef ORIGAMI_CHECKER_REPORT_H
#define ORIGAMI_CHECKER_REPORT_H

#include "analysis.h"

/* Verdict, premises, theorems, the table, and a story per critical instruction. */
void report_text(const struct analysis *analysis, FILE *out);
/* One witness told in sentences, indented. */
void report_witness(const struct isa_description *description, const struct witness *witness,
                    FILE *out);
/* 0 or -ENOMEM. */
int report_json(const struct analysis *analysis, FILE *out);

/* One self-contained page: no script, nothing from the network. 0 or -ENOMEM. */
int report_html(const struct analysis *analysis, FILE *out);

/* What a "yes" was proved for: widths, memory, parameters, resources. */
void report_scope(const struct analysis *analysis, FILE *out);

/* "name = value", with the value's name where it has one. For the other reports too. */
void report_value(const struct isa_cell *cell, uint64_t value, FILE *out);
/* English; reports for people translate it. */
const char *answer_name(enum answer answer);

#endif
