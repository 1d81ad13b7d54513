/* SPDX-License-Identifier: MIT */
/*
 * HTML: the parts of the report's page.
 *
 * Everything that comes from a description passes html_text(): a description may have been written
 * by an enemy of whoever reads the report. The page is also well-formed XML.
 */
#ifndef ORIGAMI_CHECKER_HTML_H
#define ORIGAMI_CHECKER_HTML_H

#include "analysis.h"
#include "story.h"

/* Text or attribute value, escaped; bytes that are not UTF-8 and control characters become U+FFFD.
 */
void html_text(const char *text, FILE *out);

/* A story's parts as elements; headings are h4. 0 or -ENOMEM. */
int html_story(const struct story *story, FILE *out);

/* The picture of the sets, twice: wide, and tall for narrow screens (the style shows one). Names
 * link to #i-INDEX where has_story(report). 0 or -ENOMEM. */
int html_picture(const struct analysis *analysis,
                 bool (*has_story)(const struct instruction_report *report), FILE *out);

extern const char html_style[];

#endif
