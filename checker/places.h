/* SPDX-License-Identifier: MIT */
/*
 * Places: where this program's data files lie, seen from the program itself.
 *
 * Nothing is compiled in, so that a build tree and an installation can be moved. Each function
 * returns 0, or -ENOENT without such a place, or -ENAMETOOLONG.
 */
#ifndef ORIGAMI_CHECKER_PLACES_H
#define ORIGAMI_CHECKER_PLACES_H

#include <stddef.h>

/* The n-th folder of descriptions: those of ORIGAMI_ISA_PATH (colons between), then the build
 * tree's or the installation's. Count up from 0 until -ENOENT. */
int places_descriptions(unsigned index, char *path, size_t size);

/* The folder of the message catalogs. */
int places_catalogs(char *path, size_t size);

#endif
