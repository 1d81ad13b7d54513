/* SPDX-License-Identifier: MIT */
/*
 * vector.h - a differential test vector: the state before one instruction, and what came out of it
 * on the bare CPU and in the Step tier.
 *
 * Both sides see the same user address space below 4 GiB: two pages of code, a data window of two
 * pages, nothing else near them; and the same descriptor tables as far as CPL 3 can tell.
 */
#ifndef ORIGAMI_TEST_VECTOR_H
#define ORIGAMI_TEST_VECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include "instruction/instruction.h"

#define CODE_ADDRESS                                                                               \
    0x20000000u /* user, read-write-execute on the bare CPU, so in the guest too                   \
                 */
#define CODE_SIZE    8192u
#define CODE_OFFSET  0x800u /* where an instruction lies unless its place matters */
#define CODE_FILLER  0xccu  /* the rest: some operands lie there */
#define DATA_ADDRESS 0x10000000u
#define DATA_SIZE    8192u
#define IMAGE_OFFSET 0x1000u /* in the pool's last window: a valid XSAVE image */
#define FRAME_OFFSET 0x600u  /* in every window: frames that far returns accept */

#define EXTENDED_SIZE 2688u /* at most: standard XSAVE format up to PKRU */
#define EXTENDED_POOL 32u   /* different extended states in a batch */
#define DATA_POOL     4u    /* different memory contents in a batch */
#define BATCH         256u

/* Selectors of 64-bit Linux, and of the local descriptor table that both sides install. */
enum {
    SELECTOR_CODE_32 = 0x23,
    SELECTOR_DATA = 0x2b,
    SELECTOR_CODE_64 = 0x33,
    SELECTOR_LOCAL_CODE_16 = 0x07, /* base CODE_ADDRESS, all of the code */
    SELECTOR_LOCAL_DATA = 0x0f,    /* base DATA_ADDRESS, ends LOCAL_SHORT bytes before the window */
    SELECTOR_LOCAL_STACK_16 = 0x17, /* base DATA_ADDRESS, 16-bit */
    SELECTOR_LOCAL_DOWN = 0x1f,     /* expand-down: the window's second page */
    SELECTOR_LOCAL_READ_ONLY = 0x27 /* as LOCAL_DATA */
};
#define LOCAL_SHORT       32u
#define LOCAL_DESCRIPTORS 5u

struct local_descriptor {
    uint32_t base, limit; /* limit in bytes */
    bool code, down, read_only;
};
extern const struct local_descriptor local_descriptors[LOCAL_DESCRIPTORS];

/* Bytes of the standard XSAVE format that both sides may exchange: everything before PKRU. */
uint32_t extended_size(void);

/* Segment registers in the order of enum segment_name. */
struct selectors {
    uint16_t es, cs, ss, ds, fs, gs;
};

struct input {
    uint8_t code[16];
    uint16_t offset; /* of the code in its window */
    uint8_t length;
    uint8_t bits;     /* 64, 32 or 16 */
    uint8_t extended; /* index into the batch's pool */
    uint8_t data;     /* index into the batch's pool */
    bool repeat;      /* may stop between elements: run until RIP leaves it */
    bool shadow;      /* loads SS: the next instruction, a NOP, runs before TF traps */
    struct selectors selectors;
    uint64_t fs_base, gs_base;
    uint64_t gpr[16];
    uint64_t rflags;
};

/* RIP of the instruction, relative to the base of CS. */
static inline uint64_t input_rip(const struct input *input)
{
    return (input->bits == 16 ? 0 : CODE_ADDRESS) + (uint64_t)input->offset;
}

struct output {
    uint64_t gpr[16];
    uint64_t rip, rflags;
    struct selectors selectors;
    uint64_t fs_base, gs_base;
    bool faulted;
    uint8_t vector;
    uint32_t error;
    uint64_t address; /* #PF */
    uint8_t data[DATA_SIZE];
    _Alignas(64) uint8_t extended[EXTENDED_SIZE];
};

struct batch {
    uint32_t count;
    uint32_t extended_size;
    struct input input[BATCH];
    _Alignas(64) uint8_t extended[EXTENDED_POOL][EXTENDED_SIZE];
    _Alignas(64) uint8_t data[DATA_POOL][DATA_SIZE];
};

/* ---- The bare CPU (oracle.c): a child process that runs vectors one at a time ---- */
struct oracle;
struct oracle *
oracle_start(uint64_t extended_mask); /* NULL: not possible on this host (said on stderr) */
/* Batches go in turns through two places, so that one runs while the other is made or looked at.
 * oracle_batch() is the place to fill; oracle_submit() hands it to the child; oracle_wait() waits
 * for the oldest one submitted. 0, or -1 if the child died or hangs (said on stderr; *died = the
 * input). */
struct batch *oracle_batch(struct oracle *oracle);
void oracle_submit(struct oracle *oracle);
int oracle_wait(struct oracle *oracle, const struct batch **batch, const struct output **outputs,
                uint32_t *died);
bool oracle_has_local_descriptors(const struct oracle *oracle);
bool oracle_has_segment_bases(const struct oracle *oracle);
void oracle_stop(struct oracle *oracle);

/* ---- The Step tier (guest.c) ---- */
struct guest;
struct guest *guest_create(uint64_t *extended_mask);
void guest_run(struct guest *guest, const struct batch *batch, uint32_t index, struct output *out);
void guest_destroy(struct guest *guest);
const struct cpu_model *guest_model(const struct guest *guest);

/* ---- Instructions (code.c) ---- */
struct generator {
    uint64_t random;
    const struct cpu_model *model;
    uint32_t extended_size;
    bool segment_bases;     /* FS and GS may be used */
    bool local_descriptors; /* 16-bit code may be used */
    struct code_templates *templates;
    bool only_evex; /* while templates are looked for */
};
uint64_t random_next(uint64_t *state);
static inline uint64_t random_below(struct generator *g, uint64_t bound)
{
    return random_next(&g->random) % bound;
}
/* Opcodes of every row that can be reached, found by decoding at random. */
struct code_templates *code_templates_make(struct generator *generator);
void code_generate(struct generator *generator, struct input *input, struct instruction *insn);
/* Outcomes that depend on the host or the moment, or reach the host's kernel: not for this oracle.
 */
bool code_excluded(const struct generator *generator, const struct instruction *insn);
unsigned code_row(const struct instruction *insn); /* number of the table row */
/* Prints every row that `counts` (by row number) says was never run. */
void code_coverage(const struct generator *generator, const uint64_t *counts);

/* ---- States (generate.c) ---- */
void generate_batch(struct generator *generator, struct batch *batch, uint32_t count);

/* ---- Verdict (compare.c): NULL if equal, else what differs first ---- */
const char *compare(const struct batch *batch, uint32_t index, const struct instruction *insn,
                    const struct output *bare, const struct output *step);
void report(const struct batch *batch, uint32_t index, const struct instruction *insn,
            const struct output *bare, const struct output *step, const char *what);

/* ---- Differences with a reason (explained.c) ---- */
struct difference {
    const struct input *input;
    const struct instruction *insn;
    const struct output *bare, *step;
    const char *what; /* as compare() says */
};
bool explained(const struct difference *difference);
void explained_show(void); /* prints the reasons met and how often */

#endif
