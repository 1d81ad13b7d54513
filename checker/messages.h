/* SPDX-License-Identifier: MIT */
/*
 * Messages: what the user reads, in the user's language (gettext, domain "origami").
 *
 * _() translates where the text is used, N_() marks a text in a table for translation later. Before
 * messages_init(), in a locale without a catalog and in one that is not UTF-8 (descriptions are)
 * everything is English. JSON, the names in descriptions and exit statuses are never translated.
 */
#ifndef ORIGAMI_CHECKER_MESSAGES_H
#define ORIGAMI_CHECKER_MESSAGES_H

#include <libintl.h>

#define _(text)  gettext(text)
#define N_(text) text

/* Takes the locale of the environment and finds the catalogs. For main, once. */
void messages_init(void);

#endif
