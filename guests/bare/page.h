/* SPDX-License-Identifier: MIT */
/*
 * One test address with a chain of paging structures of its own, so that a check can set every
 * entry on the way (4-level paging; PAE and 32-bit paging have theirs in checks_paging32.c).
 */
#ifndef PAGE_H
#define PAGE_H

#include "guest.h"

#define PAGE_VA 0x8000000000ul /* PML4 entry 1, all other indexes 0 */

enum level { PT, PD, PDPT, PML4, LEVELS };
enum access { READ, WRITE, FETCH };

extern u64 page_table[LEVELS - 1][512]; /* PT, PD, PDPT of PAGE_VA */
extern u8 page_frame[8192];             /* what PAGE_VA maps by default; holds `int 0xf0` */

u64 *page_entry(enum level level);
void page_default(void); /* every entry P | W | U, clean; flushes */
void page_access(enum mode mode, enum access access, ulong va);
void page_flush(void);

#endif
