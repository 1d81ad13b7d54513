/* SPDX-License-Identifier: MIT */
/*
 * paging.h - the page walker: a linear address, a mode and a table memory go in; a page, its
 * combined rights and a page-fault error code come out.
 *
 * Pure: it knows neither vCPU nor guest memory, so that a second stage (EPT, NPT) or a test can
 * stand behind its callbacks. It promises that every table a guest can write, however hostile,
 * costs a bounded number of reads and compare-and-swaps.
 */
#ifndef ORIGAMI_ENGINE_PAGING_H
#define ORIGAMI_ENGINE_PAGING_H

#include <stdbool.h>
#include <stdint.h>

/* Page-fault error code (SDM Vol. 3, 4.7). */
#define PAGE_FAULT_P    1u  /* a translation exists, or a reserved bit stopped the walk */
#define PAGE_FAULT_W    2u  /* write */
#define PAGE_FAULT_U    4u  /* user-mode access */
#define PAGE_FAULT_RSVD 8u  /* a reserved bit was set in a present entry */
#define PAGE_FAULT_I    16u /* instruction fetch; only with NXE (PAE, 4-level) or SMEP */
#define PAGE_FAULT_PK   32u /* the protection key forbids it */

struct paging_mode {
    uint8_t levels; /* 2, 3 (PAE) or 4; 0: paging is off */
    bool pse, nxe, wp, smep, smap, pke, ac;
    bool pge, gb_pages;
    bool pse36;            /* 2-level: 4 MiB pages reach above 4 GiB (CPUID.1:EDX.PSE-36) */
    uint8_t physical_bits; /* MAXPHYADDR */
    uint32_t pkru;
    uint64_t root;     /* CR3 */
    uint64_t pdpte[4]; /* PAE: the four entries loaded with CR3 */
};
struct paging_result {
    uint64_t gpa;       /* of the 4 KiB page */
    uint8_t rights;     /* TLB_* */
    uint8_t key;        /* bits 62:59 of the leaf; 4-level only, else 0 */
    uint8_t page_shift; /* 12, 21, 22 or 30 */
};
struct paging_memory {
    /* Reads a table entry (size 4 or 8) at gpa: 0, or -EIO when there is no memory (the walker then
     * sees all ones, as from a bus that nobody drives). */
    int (*read)(void *context, uint64_t gpa, unsigned size, uint64_t *value);
    /* Atomically replaces expected by desired; -EAGAIN when it was not `expected`. Where nothing
     * can be written (ROM, no memory) it drops the write and returns 0. */
    int (*compare_swap)(void *context, uint64_t gpa, unsigned size, uint64_t expected,
                        uint64_t desired);
    void *context;
};

/*
 * Walks `linear` for `access` (ACCESS_*) at privilege `user`. 0 and *result with A (and D for
 * writes) set in the tables; or -EFAULT and the exact page-fault error code in *error (SDM Vol.
 * 3, 4.7). No bit is set in the tables by a walk that faults. `user` decides the privilege; of the
 * privilege flags in `access` only ACCESS_SYSTEM is looked at (implicit access: SMAP holds whatever
 * AC says).
 */
int paging_walk(const struct paging_mode *mode, const struct paging_memory *memory, uint64_t linear,
                unsigned access, bool user, struct paging_result *result, uint32_t *error);

/* Reserved bits of a PAE page-directory-pointer-table entry that is present (SDM Vol. 3, 4.4.1). */
uint64_t paging_pdpte_reserved(unsigned physical_bits);

#endif
