/* SPDX-License-Identifier: MIT */
/*
 * hardware.h - asks the bare CPU whether an encoding is an instruction, and how long it is.
 *
 * One instruction at a time runs at CPL 3 with TF set, general registers that address nothing, and
 * its last byte right before an unmapped page. #UD means invalid, a fetch from that page means
 * longer, and anything else valid. Memory operands fault and system calls get a number that does
 * not exist, so that nothing the instruction does matters.
 */
#ifndef ORIGAMI_TESTS_DECODER_HARDWARE_H
#define ORIGAMI_TESTS_DECODER_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict { VERDICT_VALID, VERDICT_UNDEFINED, VERDICT_LONGER };

struct hardware_question {
    uint8_t bytes[16];
    uint8_t size;      /* how many bytes lie before the unmapped page */
    uint8_t code_size; /* 16, 32, 64 */
    uint8_t verdict;   /* enum verdict: the answer */
    uint8_t trap;      /* vector of the exception that ended it: 1 if it just completed */
    uint64_t address;  /* in: what rAX holds, or 0 for a value that addresses nothing */
    uint64_t fault;    /* out: CR2, when trap is 14 */
};

/* A page that questions may use as data: two pages read-write, then one read-only, then nothing. */
#define HARDWARE_DATA      0x20000000ul
#define HARDWARE_READ_ONLY (HARDWARE_DATA + 0x2000ul)
#define HARDWARE_DATA_END  (HARDWARE_DATA + 0x3000ul)

/* Sets up; *with_16_bit says whether 16-bit questions can be asked (they need modify_ldt). To be
 * called first. Returns 0 or -errno. */
int hardware_prepare(bool *with_16_bit);

/* Returns 0 or -errno. Does not disturb the caller's registers. Not reentrant. */
int hardware_ask(struct hardware_question *questions, size_t count);

#endif
