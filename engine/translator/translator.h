/* SPDX-License-Identifier: MIT */
/*
 * translator.h - the Soft tier: blocks of guest code rewritten once and then run at full length.
 *
 * Guest registers live in the same host registers, flags in host flags, except R10 and R11, which
 * are the translator's scratch: the guest's own live in the context block (GS-relative), and so
 * does everything else the code needs. A memory operand is looked up in an inline TLB without
 * touching flags, so the state is precise at every instruction. What the translator does not know
 * it leaves to the Step tier, one instruction at a time.
 *
 * Blocks do not cross a guest page and are keyed by address, guest-physical page and mode. Jumps
 * within the page are chained; all others go through a hash table of addresses that is emptied
 * whenever a translation of addresses may have changed. Pages with blocks are never writable
 * through the inline TLB: a write takes the slow path, which drops the page's blocks first.
 *
 * Needs BMI2 (PEXT, flagless) on the host; without it translator_create refuses and Step goes on.
 */
#ifndef ORIGAMI_ENGINE_TRANSLATOR_H
#define ORIGAMI_ENGINE_TRANSLATOR_H

#include "../engine.h"
#include "../instruction/instruction.h"

/* Sizes, which tests set smaller. The hostile build has every cache at its smallest and blocks of
 * one instruction, so that every event falls between any two of them. */
#ifdef ORIGAMI_HOSTILE
#define SOFT_TLB       4u
#define SOFT_JUMPS     2u
#define SOFT_BLOCKS    8u
#define SOFT_HASH      2u
#define SOFT_INSNS     1u
#define SOFT_CODE_SIZE 40960u
#define SOFT_RUN       1u
#endif
#ifndef SOFT_TLB
#define SOFT_TLB 1024u /* entries of the inline TLB, per view; power of two, at least 4 (run.c) */
#endif
#ifndef SOFT_JUMPS
#define SOFT_JUMPS 2048u /* entries of the jump table, per view; power of two, at least 2 */
#endif
#ifndef SOFT_BLOCKS
#define SOFT_BLOCKS 131072u /* at least 2 */
#endif
#ifndef SOFT_HASH
#define SOFT_HASH 262144u /* power of two */
#endif
#ifndef SOFT_INSNS
#define SOFT_INSNS 64u /* guest instructions in a block at most */
#endif
#ifndef SOFT_CODE_SIZE
#define SOFT_CODE_SIZE                                                                             \
    (32u << 20) /* pages; at least 40 KiB: the largest block and the common code */
#endif
#ifndef SOFT_RUN
#define SOFT_RUN 20000u /* instructions between looks at the outside */
#endif

/* Who runs: the inline TLB is one per view. */
enum soft_view { SOFT_USER, SOFT_KERNEL, SOFT_KERNEL_AC, SOFT_VIEWS };

enum soft_exit {
    SOFT_EXIT_LOOKUP, /* exit_rip has no entry in the jump table */
    SOFT_EXIT_CHAIN,  /* the same, from a jump that may be patched: chain_site */
    SOFT_EXIT_STEP,   /* exit_rip is for the Step tier */
    SOFT_EXIT_SLOW,   /* inline TLB miss: slow_address, info; goes on at resume */
    SOFT_EXIT_BUDGET, /* `left` is used up; nothing of the block has run */
    SOFT_EXIT_UNDO,   /* instruction `info` of the block around chain_site is for Step after all */
    SOFT_EXIT_FAULT   /* the instruction at fault_ip raised an exception */
};

struct soft_tables {
    uint64_t read[SOFT_TLB];   /* minus the linear page address, or a value that never matches */
    uint64_t write[SOFT_TLB];  /* the same, for writing */
    uint64_t host[SOFT_TLB];   /* host address of the page */
    uint64_t jump[SOFT_JUMPS]; /* minus the guest address */
    uint64_t code[SOFT_JUMPS];
};

/* At GS base while translated code runs; offsets are known to emitted code. */
struct soft_context {
    uint64_t *registers; /* gpr[16] of the vCPU */
    uint64_t resume;     /* where to enter */
    uint64_t flags, host_rsp, save, rcx;
    uint64_t r10, r11; /* the guest's */
    uint64_t left;     /* instructions still to run; negative: stop */
    uint64_t reason, exit_rip, chain_site, slow_address, info;
    uint64_t fs_base, gs_base;
    uint64_t mask_index, mask_page, mask_sign, mask_jump, mask_high; /* PEXT masks */
    uint64_t fault_ip;
    struct soft_tables tables[SOFT_VIEWS];
};

struct soft_insn {
    uint16_t host; /* offset of its code in the block */
    uint8_t guest; /* offset of its first byte from the block's, modulo 256: blocks are short */
    uint8_t reserved;
};

struct soft_block {
    uint64_t rip;
    uint64_t frame; /* guest-physical page */
    uint32_t mode;
    uint32_t next;      /* hash chain; 0 ends */
    uint32_t page_next; /* other blocks of the frame */
    uint32_t code;      /* offset in the code area */
    uint32_t code_size;
    uint32_t valid;
    uint32_t insns; /* first of its records in translator->insn */
    uint16_t count; /* guest instructions, the one left to Step not counted */
    uint16_t reserved;
};

struct translator {
    uint8_t *write_view, *code; /* SOFT_CODE_SIZE bytes, twice mapped */
    uint32_t used;              /* of the code area */
    uint32_t common;            /* code that survives a flush ends here */
    uint32_t enter, exit, dispatch[SOFT_VIEWS];
    uint32_t block_count, insn_count;
    uint32_t invalidations; /* changes whenever a block is dropped */
    /* What the tables were filled under. */
    uint64_t seen_flushes;
    struct soft_rights {
        uint64_t cr0, cr4, efer, pkru;
    } seen_rights;
    uint32_t jump_mode[SOFT_VIEWS]; /* the mode of the blocks in each view's jump table */
    uint16_t seen_tag;
    bool active;
    struct soft_context *context;
    uint32_t hash[SOFT_HASH];
    uint32_t page_hash[SOFT_HASH];
    struct soft_block block[SOFT_BLOCKS];
    struct soft_insn insn[SOFT_BLOCKS * 8 + SOFT_INSNS];
};

/* Prepares `translator` (zeroed, with write_view, code and context set; GS base is the caller's
 * business). -EOPNOTSUPP: the host lacks BMI2. */
int translator_init(struct translator *translator, struct vcpu *vcpu);

/* Runs until `end` instructions are retired, something wants attention, or the next instruction is
 * for the Step tier. 0: look around, then come back. 1: step one instruction. */
int translator_run(struct vcpu *vcpu, uint64_t end);

/* May this mode be translated at all? */
bool translator_possible(const struct vcpu *vcpu);

/* Called when a page that holds blocks is about to be written. */
void translator_page_written(void *context, uint64_t gpa);

static inline bool translator_contains(const struct translator *t, uint64_t ip)
{
    return t && ip - (uint64_t)(uintptr_t)t->code < SOFT_CODE_SIZE;
}

/* A block's mode: what its code takes for granted. */
#define MODE_VIEW   3u /* enum soft_view */
#define MODE_WIDE   4u /* 64-bit code */
#define MODE_SSE    8u
#define MODE_AVX    16u
#define MODE_AVX512 32u

/* For signal handlers: the instruction at `ip` raised an exception; go on at translator_exit(). */
static inline void translator_fault(struct translator *t, uint64_t ip)
{
    t->context->fault_ip = ip;
    t->context->reason = SOFT_EXIT_FAULT;
}
static inline uint64_t translator_exit(const struct translator *t)
{
    return (uint64_t)(uintptr_t)t->code + t->exit;
}

/* ---- between the files of the translator ---- */
struct soft_block *translate_block(struct vcpu *vcpu, uint64_t rip, uint64_t frame,
                                   const uint8_t *host_page, uint32_t mode);
void emit_common(struct translator *t);
void translator_flush(struct vcpu *vcpu);

#endif
