/* SPDX-License-Identifier: MIT */
/*
 * translator.h - the Soft tier: blocks of guest code rewritten once and then run at full length.
 *
 * Guest registers live in the same host registers, flags in host flags, except R10 and R11, which
 * are the translator's scratch: the guest's own live in the context block (GS-relative), and so
 * does everything else the code needs. A memory operand is looked up in an inline TLB by a handful
 * of instructions that change flags; the guest's flags are put aside before the first of them and
 * brought back when an instruction needs them (flags.h). What the translator does not know it
 * leaves to the Step tier, one instruction at a time.
 *
 * Blocks do not cross a guest page, but for one that holds just the instruction which does, and are
 * keyed by address, guest-physical page and mode. A jump
 * within the page leads straight to its target once it has been taken. One to a known address in
 * another page does so as long as the target's page still is the one it was: a compare of the page
 * table kept for that (soft_tables.page). All others look the target up in a table of addresses.
 * Pages with blocks are never writable through the inline TLB: a write takes the slow path, which
 * drops the page's blocks first.
 *
 * Host: any x86-64 with LAHF in 64-bit code; without, translator_init refuses and Step goes on.
 */
#ifndef ORIGAMI_ENGINE_TRANSLATOR_H
#define ORIGAMI_ENGINE_TRANSLATOR_H

#include "../engine.h"
#include "../instruction/instruction.h"

/* Sizes, which tests set smaller. The hostile build has every cache at its smallest and blocks of
 * one instruction, so that every event falls between any two of them. */
#ifdef ORIGAMI_HOSTILE
#define SOFT_TLB       4u
#define SOFT_SPACES    2u
#define SOFT_JUMPS     2u
#define SOFT_PAGES     2u
#define SOFT_BLOCKS    8u
#define SOFT_HASH      2u
#define SOFT_INSNS     1u
#define SOFT_CODE_SIZE 40960u
#define SOFT_RUN       1u
#endif
#ifndef SOFT_TLB
#define SOFT_TLB 2048u /* entries of the inline TLB, per view; power of two, at least 2 */
#endif
#ifndef SOFT_JUMPS
#define SOFT_JUMPS 8192u /* entries of the jump table, per view; power of two, at least 2 */
#endif
#ifndef SOFT_SPACES
#define SOFT_SPACES 8u /* address spaces with tables of their own, at least 1 */
#endif
#ifndef SOFT_PAGES
#define SOFT_PAGES 256u /* code pages a jump may find unchanged, per view; power of two */
#endif
#ifndef SOFT_BLOCKS
#define SOFT_BLOCKS 131072u /* at least 2 */
#endif
#ifndef SOFT_HASH
#define SOFT_HASH 262144u /* power of two */
#endif
#ifndef SOFT_INSNS
#define SOFT_INSNS 64u /* guest instructions in a block, at most 64 */
#endif
#ifndef SOFT_CODE_SIZE
#define SOFT_CODE_SIZE                                                                             \
    (32u << 20) /* pages; at least 40 KiB: the largest block and the common code */
#endif
#ifndef SOFT_RUN
#define SOFT_RUN 20000u /* instructions between looks at the outside */
#endif

/* Look-ups of one block at most: an instruction's operand through FS or GS, its offset tested
 * twice, and the stack; a call tests its target too. */
#define SOFT_SITES (SOFT_INSNS * 4 + 1)

/* Who runs: the inline TLB is one per view. */
enum soft_view { SOFT_USER, SOFT_KERNEL, SOFT_KERNEL_AC, SOFT_VIEWS };

enum soft_exit {
    SOFT_EXIT_LOOKUP, /* exit_rip is not in the jump table; link `info` */
    SOFT_EXIT_CHAIN,  /* a jump that may be patched: link `info` */
    SOFT_EXIT_STEP,   /* the target of link `info` is for the Step tier */
    SOFT_EXIT_SLOW,   /* inline TLB miss: slow_address, site `info`; goes on at the site's retry */
    SOFT_EXIT_AGAIN,  /* the second page of block `info` may be another now: look */
    SOFT_EXIT_BUDGET, /* `left` is used up; nothing of block `info` has run */
    SOFT_EXIT_UNDO,   /* instruction of site `info` is for Step after all */
    SOFT_EXIT_FAULT   /* the instruction at fault_ip raised an exception */
};
/* Beside the reason: the guest's flags are in saved_flags, not in `flags`. */
#define SOFT_EXIT_SAVED 0x100u

/* One page in the inline TLB. An address is looked up by what is left of it when the page's is
 * taken away (exclusive or): less than a page, or it was not this one. */
struct soft_entry {
    uint64_t read;  /* linear address of the page, or one that never matches */
    uint64_t write; /* the same, for writing */
    uint64_t host;  /* host address of the page */
    uint64_t local; /* the page is this address space's own: not global */
};

/* The page of RSP-relative operands, by direction. Any address may be compared with it, so that no
 * value of `page` never matches; without a page `host` is 0 and the access faults. */
struct soft_stack {
    uint64_t page, host;
};

struct soft_jump {
    uint64_t rip;  /* guest address, or ~0 */
    uint64_t code; /* where its block takes flags from saved_flags */
};

struct soft_tables {
    struct soft_stack stack[2]; /* what RSP-relative operands last used: to read, to write */
    struct soft_entry entry[SOFT_TLB];
    uint32_t page[SOFT_PAGES]; /* number of the code page that is there now (struct soft_page) */
    struct soft_jump jump[SOFT_JUMPS];
};

/* At GS base while translated code runs; offsets are known to emitted code. One for each address
 * space: what comes before `tables` moves along when another one becomes the current. */
struct soft_context {
    uint64_t *registers;  /* gpr[16] of the vCPU */
    uint64_t resume;      /* where to enter */
    uint64_t flags;       /* RFLAGS on the way in (DF) and out */
    uint64_t saved_flags; /* arithmetic flags as LAHF and SETO leave them in AX */
    uint64_t host_rsp, save, rcx;
    uint64_t r10, r11; /* the guest's */
    uint64_t left;     /* instructions still to run; negative: stop */
    uint64_t reason, exit_rip, slow_address, info;
    uint64_t fs_base, gs_base;
    uint64_t fault_ip;
    uint64_t reserved[15];
    struct soft_tables tables[SOFT_VIEWS];
};

/* A guest instruction in a block. */
struct soft_insn {
    uint16_t host; /* offset of its code in the block */
    uint8_t guest; /* offset of its first byte from the block's: blocks are short */
    uint8_t saved; /* while it runs the guest's flags are in saved_flags */
};

/* A look-up in the inline TLB, for when it misses. */
struct soft_site {
    uint32_t retry; /* in the code area */
    uint8_t insn;   /* of the block */
    uint8_t size, write;
    uint8_t alignment; /* the operand must have these address bits clear */
    uint8_t stack;     /* looks into soft_tables.stack first */
    uint8_t masked;    /* perhaps not all of the operand is used */
    uint8_t reserved[2];
};

/* A way out of a block. */
struct soft_link {
    uint64_t target; /* guest address, where it is known */
    uint32_t site;   /* where the rel32 of the jump to the target is, in the code area */
    uint32_t check;  /* where the number of the target's page is; 0: it is the block's own page */
    uint32_t pop;    /* a near return: what RSP then moves by */
    uint32_t step;   /* the target is an instruction for Step: which (translator->step), or 0 */
    uint8_t saved;   /* flags are in saved_flags when the jump is taken */
    uint8_t reserved[7];
};

struct soft_block {
    uint64_t rip;
    uint64_t frame;         /* guest-physical page */
    uint64_t second;        /* of an instruction that goes on in the next page: that one's frame */
    uint32_t second_number; /* and what it is known by (struct soft_page); 0: no such thing */
    uint32_t mode;
    uint32_t next;      /* hash chain; 0 ends */
    uint32_t page_next; /* other blocks of the frame */
    uint32_t code;      /* offset in the code area */
    uint32_t code_size;
    uint32_t insns;       /* first of its records in translator->insn */
    uint32_t step;        /* as the last link's, if it ends so */
    uint16_t entry_host;  /* offset of the entry with the guest's flags in the host's */
    uint16_t entry_saved; /* and of the one with them in saved_flags */
    uint16_t count;       /* guest instructions, the one left to Step not counted: perhaps none */
    uint8_t valid;
    uint8_t reserved;
};

/* A linear page found to be a frame, by a number of its own: what a jump to it checks. */
struct soft_page {
    uint64_t linear, frame;
    uint32_t number;
    uint32_t next; /* in the chain of the frame; 0 ends */
};

/* What the tables of a context were filled under, and which entries are filled, so that clearing
 * costs no more than what was used. */
struct soft_space {
    bool ready;      /* its tables have been initialized */
    uint16_t tag;    /* the address space (struct tlb); 0: none */
    uint16_t global; /* and the tag of global pages */
    uint64_t epoch, drops;
    uint64_t used; /* when it last became current */
    struct soft_rights {
        uint64_t cr0, cr4, efer, pkru;
    } rights;
    uint32_t jump_mode[SOFT_VIEWS]; /* the mode of the blocks in each view's jump table */
    bool stale_jumps;               /* blocks have been dropped since it was current */
    struct soft_filled {
        uint32_t entries, jumps;
        bool all, all_jumps; /* the list is that of every one */
        bool local_code;     /* jumps or pages that are not global have been entered */
        uint16_t entry[SOFT_TLB], jump[SOFT_JUMPS];
        bool jumps_to[SOFT_PAGES]; /* pages that the jump table has an address in, hashed */
    } filled[SOFT_VIEWS];
};

struct translator {
    uint8_t *write_view, *code; /* SOFT_CODE_SIZE bytes, twice mapped */
    uint32_t used;              /* of the code area */
    uint32_t common;            /* code that survives a flush ends here */
    uint32_t enter, exit, probe;
    /* Common ways out: with the guest's flags in the host's, and in saved_flags. */
    uint32_t leave_chain[2], leave_step[2], leave_budget[2];
    uint32_t leave_slow[2]; /* by scratch register: R10, R11; flags saved */
    uint32_t leave_undo, leave_lookup, leave_again;
    uint32_t block_count, insn_count, site_count, link_count, page_count, step_count;
    uint32_t invalidations; /* changes whenever a block is dropped */
    uint32_t last_page;     /* the last number given to a page */
    bool written;  /* code was written through the other view since translated code last ran */
    uint32_t view; /* of the code that runs */
    struct soft_context *context; /* the current space's */
    struct soft_context *contexts;
    uint32_t current, spaces; /* spaces: 1 if the host cannot change GS base quickly */
    uint64_t uses;
    uint64_t shadowed; /* instruction count after an STI whose shadow is not in vcpu->r */
    struct soft_space space[SOFT_SPACES];
    uint32_t hash[SOFT_HASH];
    uint32_t page_hash[SOFT_HASH];   /* of blocks, by frame */
    uint32_t number_hash[SOFT_HASH]; /* of pages, by frame */
    struct soft_block block[SOFT_BLOCKS];
    struct soft_page page[SOFT_BLOCKS];
    struct soft_insn insn[SOFT_BLOCKS * 8 + SOFT_INSNS];
    struct soft_site site[SOFT_BLOCKS * 4 + SOFT_SITES];
    struct soft_link link[SOFT_BLOCKS * 2 + 2];
    struct instruction step[SOFT_BLOCKS / 8 + 2]; /* for interpreters, already decoded */
};

/* Prepares `translator` (zeroed, with write_view, code and contexts set, GS base at contexts, and
 * signal handlers that know it). -EOPNOTSUPP: the host lacks LAHF in 64-bit code. */
int translator_init(struct translator *translator, struct vcpu *vcpu);

/* Runs until `end` instructions are retired, something wants attention, or the next instruction is
 * for the Step tier. BOUNDARY_GO: look around, then come back; TRANSLATOR_STEP: step one
 * instruction; otherwise the exit to report. */
#define TRANSLATOR_STEP (-2)
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

/* common.c: code that every block shares */
void emit_common(struct translator *t);

/* Where the code of a block is. */
struct soft_code {
    uint64_t frame;
    const uint8_t *host; /* of the page */
    /* The same for the next page, if the instruction at hand goes on there; else NULL. */
    uint64_t second_linear, second;
    const uint8_t *second_host;
};

/* translate.c: a new block for the code at `rip`; it may be empty (count 0). NULL: there is no
 * instruction that can be decoded. May flush the cache. */
struct soft_block *translate_block(struct vcpu *vcpu, uint64_t rip, const struct soft_code *code,
                                   uint32_t mode);

/* locate.c: the mode of blocks that fit the guest's state; and the block at `rip`, translated if
 * need be. NULL: for Step, faults of the fetch included. */
uint32_t translator_mode(const struct vcpu *vcpu);
struct soft_block *block_at(struct vcpu *vcpu, uint64_t rip, uint32_t mode);

/* cache.c: blocks and pages, found and forgotten */
struct soft_block *block_find(struct translator *t, uint64_t rip, uint64_t frame, uint32_t mode);
void block_add(struct vcpu *vcpu, struct soft_block *block);
void code_protect(struct vcpu *vcpu, uint64_t frame);
struct soft_block *block_of_code(struct translator *t, uint32_t at);
uint32_t page_number(struct vcpu *vcpu, uint64_t linear, uint64_t frame);
void translator_flush(struct vcpu *vcpu);

/* tables.c: what emitted code looks addresses up in */
void tables_init(struct vcpu *vcpu);
/* Makes the tables those of the current address space, and fit for blocks of `mode`. */
void tables_enter(struct vcpu *vcpu, uint32_t mode);
void tables_clear(struct vcpu *vcpu);          /* in all spaces */
void tables_blocks_dropped(struct vcpu *vcpu); /* jumps may lead to blocks that are no more */
void tables_protect(struct vcpu *vcpu, uint64_t host_page); /* no longer to be written */
void tables_forget_page(struct vcpu *vcpu, const struct soft_page *page);
void tables_fill_entry(struct vcpu *vcpu, unsigned view, uint64_t linear, uint64_t host,
                       bool write);
void tables_fill_page(struct vcpu *vcpu, unsigned view, uint64_t linear, uint32_t number);
void tables_forget_jump(struct vcpu *vcpu, const struct soft_block *block);
void tables_fill_jump(struct vcpu *vcpu, const struct soft_block *block);

/* The same arithmetic as emitted code does. */
static inline unsigned soft_tlb_index(uint64_t linear)
{
    return (unsigned)(linear >> 12) & (SOFT_TLB - 1);
}
static inline unsigned soft_page_index(uint64_t linear)
{
    uint64_t page = linear >> 12;
    return (unsigned)(page ^ page >> 8 ^ page >> 20) & (SOFT_PAGES - 1);
}
#define SOFT_JUMP_SHIFT 10
static inline unsigned soft_jump_index(uint64_t rip)
{
    return (unsigned)(rip ^ rip >> SOFT_JUMP_SHIFT) & (SOFT_JUMPS - 1);
}

#endif
