/* SPDX-License-Identifier: MIT */
/*
 * vector.h - a differential test vector: the state before one instruction, and what came out of it on the
 * bare CPU and in the Step tier.
 *
 * Both sides see the same user address space below 4 GiB: one page of code, a data window of two pages, and
 * nothing else near them.
 */
#ifndef ORIGAMI_TEST_VECTOR_H
#define ORIGAMI_TEST_VECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include "instruction/instruction.h"

#define CODE_ADDRESS 0x20000000u /* one page, user, read-execute */
#define CODE_OFFSET  0x800u      /* where the instruction lies in it */
#define CODE_FILLER  0xccu     /* what the rest of the page holds: some operands lie there */
#define DATA_ADDRESS 0x10000000u
#define DATA_SIZE    8192u

#define EXTENDED_SIZE 2688u /* at most: standard XSAVE format up to PKRU */
#define EXTENDED_POOL 64u   /* different extended states in a batch */
#define DATA_POOL     8u    /* different memory contents in a batch */
#define BATCH         4096u

/* Bytes of the standard XSAVE format that both sides may exchange: everything before PKRU. */
static inline uint32_t extended_size(void)
{
    uint32_t eax = 0xd, ebx, ecx = 9, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (eax && ebx)
        return ebx < EXTENDED_SIZE ? ebx : EXTENDED_SIZE;
    eax = 0xd;
    ecx = 0;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ebx < EXTENDED_SIZE ? ebx : EXTENDED_SIZE;
}

struct input {
    uint8_t code[16];
    uint8_t length;
    uint8_t bits;      /* 64 or 32 */
    uint8_t extended;  /* index into the batch's pool */
    uint8_t data;      /* index into the batch's pool */
    uint8_t repeat;    /* a repeated string instruction: run until RIP leaves it */
    uint8_t reserved[3];
    uint64_t gpr[16];
    uint64_t rflags;
};

struct output {
    uint64_t gpr[16];
    uint64_t rip, rflags;
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
struct oracle *oracle_start(uint64_t extended_mask); /* NULL: not possible on this host (said on stderr) */
/* Runs a whole batch; outputs[i] for each input. 0, or -1 if the child died (input index in *died). */
int oracle_run(struct oracle *oracle, const struct batch *batch, struct output *outputs,
               uint32_t *died);
void oracle_stop(struct oracle *oracle);

/* ---- The Step tier (guest.c) ---- */
struct guest;
struct guest *guest_create(uint64_t *extended_mask);
void guest_run(struct guest *guest, const struct batch *batch, uint32_t index, struct output *out);
void guest_destroy(struct guest *guest);
const struct cpu_model *guest_model(const struct guest *guest);

/* ---- Vectors (generate.c) ---- */
struct generator {
    uint64_t random;
    const struct cpu_model *model;
    uint32_t extended_size;
};
uint64_t random_next(uint64_t *state);
void generate_batch(struct generator *generator, struct batch *batch, uint32_t count);

/* ---- Verdict (compare.c): NULL if equal, else what differs first ---- */
const char *compare(const struct batch *batch, uint32_t index, const struct instruction *insn,
                    struct output *bare, struct output *step);
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
uint64_t explained_show(void); /* prints the reasons met, returns how often */

#endif
