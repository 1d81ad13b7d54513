/* SPDX-License-Identifier: MIT */
/*
 * arena.h - the small guest that random programs run in: page tables with every kind of page next
 * to each other, an IDT whose handlers halt, and a timer.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_ARENA_H
#define ORIGAMI_TEST_LOCKSTEP_ARENA_H

#include "pair.h"

/* Guest-physical pages. */
#define ARENA_RAM     0x60000u
#define PML4          0x1000u
#define PDPT_LOW      0x2000u
#define PD_LOW        0x3000u
#define PD_FOURTH     0x4000u /* linear 3-4 GiB */
#define PT_LOW        0x5000u /* linear 0-2 MiB */
#define PT_DATA       0x6000u
#define PT_CODE       0x7000u
#define PT_TOP        0x8000u /* the last 2 MiB below 4 GiB */
#define PDPT_KERNEL   0x9000u
#define PD_KERNEL     0xa000u
#define TABLES_END    0xb000u
#define IDT           0xb000u
#define GDT           0xc000u
#define TSS           0xd000u
#define HANDLERS_PAGE 0xe000u
#define KERNEL_STACK  0x10000u /* grows down from here */
#define FRAMES        0x20000u /* data and code pages */
#define FRAME(n)      (FRAMES + (n)*0x1000u)
#define FRAME_COUNT   32u

/* Linear addresses. */
#define KERNEL       0xffff800000000000ull
#define HANDLERS     (KERNEL + HANDLERS_PAGE)
#define LOW_ADDRESS  0x3000u
#define DATA_ADDRESS 0x10000000u
#define CODE_ADDRESS 0x20000000u
#define CODE_ALIAS   0x20010000u /* the same code pages, executable too */
#define CODE_PAGES   3u
#define TOP_ADDRESS  0xfffff000u

/* Pages from DATA_ADDRESS on. */
enum data_page {
    PAGE_PLAIN_0,
    PAGE_PLAIN_1,
    PAGE_PLAIN_2,
    PAGE_READ_ONLY,
    PAGE_PLAIN_3,
    PAGE_ABSENT,
    PAGE_OTHER_RING,
    PAGE_PLAIN_4,
    PAGE_DEVICE,
    PAGE_PLAIN_5,
    PAGE_KEY,
    PAGE_CODE_0,
    PAGE_CODE_1,
    PAGE_CODE_2,
    PAGE_DATA_ALIAS,
    PAGE_FRESH,
    PAGE_COUNT
};
#define DEVICE_ADDRESS 0xd0000000u

enum program_mode { MODE_USER_64, MODE_KERNEL_64, MODE_USER_32, MODE_KERNEL_32, PROGRAM_MODES };

#define TIMER_VECTOR 0x40u

/* Fills what never changes: descriptors, handlers. */
void arena_prepare(struct pair *pair);
/* Page tables, data and code as they are at the start of a program. `seed` fills the data pages. */
void arena_reset(struct pair *pair, enum program_mode mode, uint64_t seed);
/* Writes to both machines as a device would, so that translations of the page are dropped. */
void arena_write(struct pair *pair, uint64_t gpa, const void *data, size_t size);
/* Registers of a program about to start, everything but gpr, rip and rflags. */
void arena_registers(struct pair *pair, enum program_mode mode, uint64_t options);
#define ARENA_SMAP   1u
#define ARENA_TS     2u
#define ARENA_WP_OFF 4u
#define ARENA_PKE    8u
#define ARENA_AVX    16u /* XCR0 has AVX and AVX-512 */
/* A one-shot timer interrupt after `count` nanoseconds (instructions). */
void arena_timer(struct pair *pair, uint32_t count);

/* Both machines have halted in a handler: which vector, and the frame the CPU pushed. */
struct arena_frame {
    unsigned vector;
    uint64_t rip, rflags, rsp;
};
bool arena_frame(const struct pair *pair, struct arena_frame *frame);
/* Back to the program, at frame->rip. */
void arena_return(struct pair *pair, enum program_mode mode, const struct arena_frame *frame);

uint64_t random_value(uint64_t *state);
static inline uint64_t random_under(uint64_t *state, uint64_t bound)
{
    return random_value(state) % bound;
}

#endif
