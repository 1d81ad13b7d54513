/* SPDX-License-Identifier: MIT */
/*
 * reference.h - paging said a second time, naively: the rules of SDM Vol. 3, 4.3-4.8, each sentence
 * one condition, no thought of speed and no code shared with the engine. The tests compare the two.
 */
#ifndef ORIGAMI_TEST_ALLOCATOR_REFERENCE_H
#define ORIGAMI_TEST_ALLOCATOR_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

enum reference_kind { REFERENCE_READ, REFERENCE_WRITE, REFERENCE_FETCH };
enum reference_who { REFERENCE_USER, REFERENCE_EXPLICIT, REFERENCE_IMPLICIT };

struct reference_mode {
    int levels; /* 2, 3, 4 */
    bool wp, pse, smep, smap, ac, nxe, pke, pse36, gb_pages;
    int maxphyaddr;
    uint32_t pkru;
    uint64_t cr3;
    uint64_t pdpte[4];
};

/* What the paging structures say about one linear address. */
struct reference_page {
    bool user_mode_address; /* U/S is 1 in every entry */
    bool writable;          /* R/W is 1 in every entry */
    bool execute_disable;   /* XD is 1 in some entry */
    int key;
};

/* Is the access allowed by 4.6.1 and 4.6.2? */
bool reference_allowed(const struct reference_mode *mode, const struct reference_page *page,
                       enum reference_who who, enum reference_kind kind);
/* The error code of 4.7. `translated`: all entries were present and clean; `reserved`: a reserved
 * bit stopped the walk; page only matters if translated. */
uint32_t reference_error(const struct reference_mode *mode, const struct reference_page *page,
                         bool translated, bool reserved, enum reference_who who,
                         enum reference_kind kind);

/* One entry the walk used, and what it ends as. */
struct reference_update {
    uint64_t gpa;
    int size;
    uint64_t or_mask;
};
struct reference_result {
    bool fault;
    uint32_t error;
    uint64_t gpa; /* exact, of the byte */
    int page_bits;
    struct reference_page page;
    bool dirty_before, global;
    int update_count;
    struct reference_update update[4];
};
typedef uint64_t reference_read(void *context, uint64_t gpa, int size);

void reference_walk(const struct reference_mode *mode, reference_read *read, void *context,
                    uint64_t linear, enum reference_who who, enum reference_kind kind,
                    struct reference_result *result);

#endif
