/* SPDX-License-Identifier: MIT */
/*
 * stub.h - running one innocuous instruction natively.
 *
 * A stub is the guest's instruction, its memory operand replaced by a pointer held in a scratch
 * register, followed by a jump to a common exit. The common entry loads the guest's general
 * registers and arithmetic flags; the exit stores them. Vector and x87 state is simply the CPU's
 * own.
 *
 * Stubs live beside the decoded instruction they belong to, in one cache indexed by the host
 * address of the instruction's first byte. An entry is used only if the bytes in guest memory still
 * are the bytes it was made from, so self-modifying code, aliases and DMA need no invalidation in
 * this tier.
 *
 * Memory: the code area is mapped twice, writable (never executable) and executable (never
 * writable); a small data page follows the executable view so that entry and exit can address it by
 * RIP.
 */
#ifndef ORIGAMI_ENGINE_STUB_H
#define ORIGAMI_ENGINE_STUB_H

#include "../engine.h"
#include "../instruction/instruction.h"

#ifdef ORIGAMI_HOSTILE
#define STUB_ENTRIES 4u
#else
#define STUB_ENTRIES 32768u /* power of two */
#endif
#define STUB_SLOT      32u   /* bytes of code per entry */
#define STUB_COMMON    4096u /* entry and exit code, at the start of the area */
#define STUB_CODE_SIZE ((STUB_COMMON + STUB_ENTRIES * STUB_SLOT + 4095u) & ~4095u)
#define STUB_DATA_SIZE 4096u

/* How an entry is carried out. */
enum stub_kind {
    STUB_EMPTY,
    STUB_INTERPRET, /* by interpreter_table[row->interpreter] */
    STUB_NATIVE,    /* by its stub */
    STUB_UNDEFINED, /* #UD */
    STUB_TOO_LONG   /* #GP(0) */
};

/* What a stub does with RFLAGS: moving them in and out costs more than most instructions. */
enum stub_flags {
    STUB_FLAGS_READ = 1,    /* arithmetic flags go in */
    STUB_FLAGS_WRITTEN = 2, /* and come out */
    STUB_FLAGS_ALL = 4      /* DF too: string instructions, CLD, STD */
};

struct stub_entry {
    const uint8_t *key; /* host address of the first byte in guest memory */
    uint64_t bytes[2];  /* the encoding, zero padded ... */
    uint64_t mask[2];   /* ... and which bytes of the 16 count */
    uint8_t kind;       /* enum stub_kind */
    uint8_t code_size;  /* part of the key */
    uint8_t scratch;    /* register that carries the operand's host address, or REGISTER_NONE */
    uint8_t access;     /* ACCESS_* of the memory operand */
    uint8_t flags;      /* enum stub_flags */
    struct instruction insn;
};

/* The page behind the executable view; offsets are known to the emitted entry and exit code. */
struct stub_data {
    uint64_t *registers; /* gpr[16] of the vCPU that runs */
    uint64_t target;     /* stub to jump to */
    uint64_t flags_in,
        flags_out; /* RFLAGS if STUB_FLAGS_ALL, else as LAHF and SETO leave them in AX */
    uint64_t host_rsp;
    uint64_t save; /* spill for the base register at exit */
    /* Filled by the host's signal handler when the instruction faulted. */
    uint64_t faulted, trap, error, address;
};

struct stub_cache {
    uint8_t *write_view;    /* STUB_CODE_SIZE bytes, writable */
    uint8_t *code;          /* the same memory, executable */
    struct stub_data *data; /* at code + STUB_CODE_SIZE */
    void (*enter[3])(void); /* the common entries: no flags in, arithmetic flags, all of them */
    uint8_t *exit[3];       /* the common exits (executable view), likewise */
    void *vector_area;      /* hosted only: the guest's extended state between stubs */
    void *host_vector_area; /* hosted only: scratch for the host's */
    /* Bounce buffers keep the operand's address modulo 64. */
    _Alignas(64) uint8_t bounce[2][64 + 128];
    struct stub_entry entry[STUB_ENTRIES];
};

/* After writing code through the writable view, before running it: makes the CPU forget what it
 * fetched. */
void stub_serialize(void);

/* Prepares a cache over the two views and the data page (host/ maps them) and emits entry and exit.
 */
void stub_cache_init(struct stub_cache *cache, uint8_t *write_view, uint8_t *code);
/* Forgets every decoded instruction. */
void stub_cache_flush(struct stub_cache *cache);

/* Is `address` inside the executable view (for signal handlers)? */
static inline bool stub_contains(const struct stub_cache *cache, uint64_t address)
{
    return address - (uint64_t)(uintptr_t)cache->code < STUB_CODE_SIZE;
}

/*
 * Encodes the native form of `insn` into `out` (STUB_SLOT bytes): its length, or -EINVAL if it has
 * no native form. *scratch is the register that must hold the operand's address (REGISTER_NONE: no
 * memory operand; string instructions use RSI and RDI).
 */
int stub_encode(const struct instruction *insn, uint8_t *out, uint8_t *scratch);

/* The same for an instruction whose only memory operand is ModRM's, with a register of the caller's
 * choice (any but RSP, RBP, R12, R13). -EINVAL: that register cannot be used with this form. */
int stub_encode_with(const struct instruction *insn, uint8_t *out, uint8_t scratch);

/* Encodes the entry's stub and sets its scratch register; once, when the instruction is decoded.
 * -EINVAL: the table calls native what has no native form. */
int stub_build(struct vcpu *vcpu, struct stub_entry *entry) MUST_CHECK;

/* Runs the entry's stub on vcpu->r. 0, or -EFAULT with the exception the CPU raised in vcpu->fault.
 */
int stub_run(struct vcpu *vcpu, struct stub_entry *entry) MUST_CHECK;

/* Carries out one native entry: operand, stub, write back. As an interpreter's contract. */
int step_native(struct vcpu *vcpu, struct stub_entry *entry) MUST_CHECK;
int step_string(struct vcpu *vcpu, struct stub_entry *entry) MUST_CHECK;

/* Around a stub that touches vector or x87 state (host/): no-ops in the freestanding engine. */
void host_vector_enter(struct stub_cache *cache);
void host_vector_leave(struct stub_cache *cache);

#endif
