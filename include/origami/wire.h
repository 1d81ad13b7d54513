/* SPDX-License-Identifier: MIT */
/*
 * wire.h - the boundary between the machine process (origami) and the engine process
 * (origami-engine): one shared memory object per machine. Offsets and descriptor numbers only,
 * never pointers.
 *
 * Trust: neither side trusts the other. The engine may be hostile once guest code has run: the
 * machine process copies each field once into private memory, validates it, then acts; it never
 * waits on a lock that an engine holds, only on futex words with a way out (the engine's death).
 * The engine likewise copies `setup` once at start.
 *
 * One vCPU is one engine process. Its conversation is a hand-off: `turn` says whose move it is.
 *   engine:  fills exit, turn = WIRE_TURN_MACHINE, FUTEX_WAKE(turn), FUTEX_WAIT(turn)
 *   machine: copies exit, acts, fills reply and command, turn = WIRE_TURN_ENGINE, FUTEX_WAKE(turn)
 * The first exit is WIRE_EXIT_READY (set-up done, filters installed). Futexes are shared (no
 * FUTEX_PRIVATE_FLAG), 32-bit.
 *
 * Beside the conversation the machine raises interrupts at any time: it updates `lines` or the MSI
 * ring, sets kick = 1 (after them, sequentially consistent) and does FUTEX_WAKE(kick). The engine
 * clears kick, then reads them. During an exit the machine need not kick: the engine looks after
 * each reply.
 *
 * Doorbells. A device's notification page is told to the engines in `doorbell`. A write there does
 * not become an exit: the engine sets the bit of the 32-bit word written in `rung`, then, if `bell`
 * was WIRE_BELL_ASLEEP when it exchanged it for WIRE_BELL_RUNG, does FUTEX_WAKE(bell), and goes on.
 * The machine's doorbell thread stores WIRE_BELL_AWAKE, takes the bits, works, and before it sleeps
 * turns AWAKE (not RUNG) into ASLEEP. A bit stands for "look at this queue", which a guest may ask
 * for at any time; a hostile engine can do no more with it. Table entries are single words, so an
 * engine sees an old or a new one, which both mean the same slot.
 *
 * DMA into translated code. `page_flags` has a byte a guest page. An engine sets PAGE_CODE (2),
 * then reads the bytes it translates. The machine changes bytes, then sets PAGE_DIRTY (1) with a
 * locked OR; if PAGE_CODE was there, it puts the page's number into `code` (or, when that is full,
 * sets `code_lost`: all pages with PAGE_CODE) and kicks. Only then is the guest told that the DMA
 * is done, by memory or by an interrupt. The engine drops the page's translations when it takes the
 * kick: before the next interrupt, and before it goes on after any serializing instruction, which
 * is when a CPU must see the new bytes (SDM Vol. 3, 9.1.3). The machine reads only `code_tail` of
 * all this, to know whether there is room; an engine that lies about it or about PAGE_CODE harms
 * its own guest.
 */
#ifndef ORIGAMI_WIRE_H
#define ORIGAMI_WIRE_H

#include <stdint.h>

#define WIRE_MAGIC   0x4d4147495249524full /* "ORIRIGAM" as bytes on the wire */
#define WIRE_VERSION 2u

/* Descriptors the engine process is started with; everything else is closed. */
#define WIRE_FD        3 /* this object, read-write */
#define WIRE_FD_MEMORY 4 /* and following: guest memory objects named by slots */

#define WIRE_VCPU_MAX   64
#define WIRE_SLOT_MAX   32
#define WIRE_MSI_RING   256 /* power of two */
#define WIRE_CODE_RING  128 /* power of two */
#define WIRE_DOORBELLS  32  /* one a PCI slot */
#define WIRE_FILTER_MAX 512 /* BPF instructions in one seccomp filter */
#define WIRE_STATE_SIZE 65536

struct wire_slot {
    uint64_t gpa, size; /* page multiples */
    int32_t fd;         /* in the engine process: WIRE_FD_MEMORY .. */
    uint32_t flags;     /* MEMORY_READ_ONLY */
    uint64_t fd_offset;
};

/* struct sock_filter, without the kernel header. */
struct wire_filter_instruction {
    uint16_t code;
    uint8_t jump_true, jump_false;
    uint32_t k;
};
struct wire_filter {
    uint32_t length; /* 0: none */
    uint32_t reserved;
    struct wire_filter_instruction instruction[WIRE_FILTER_MAX];
};

struct wire_setup {
    uint64_t magic;
    uint32_t version;
    uint32_t size; /* of the whole object in bytes */
    uint32_t vcpu_count;
    uint32_t vcpu_id; /* which vCPU this engine process runs */
    uint32_t slot_count;
    uint32_t clock_mode; /* enum clock_mode: 0 real, 1 instructions */
    uint64_t clock_multiplier, clock_host_base, clock_offset, clock_wall_base;
    uint32_t clock_shift;
    uint32_t vendor_intel; /* 0 AMD, 1 Intel, 2 as the host */
    uint64_t random_seed[2];
    uint64_t engine_base; /* where the engine moves itself; page aligned, 0 = the kernel chooses */
    uint64_t page_flags_offset,
        page_flags_size;     /* one byte per guest page, in this object; 0 = none */
    uint64_t machine_parent; /* pid of the machine process: the engine dies with it */
    uint32_t tier;           /* enum wire_tier wanted; READY's exit.value says which one runs */
    uint32_t reserved;
    struct wire_slot slot[WIRE_SLOT_MAX];
    /* Installed in this order: `early` as soon as the setup is read (it still allows mapping guest
     * memory and moving the image), `final` before READY. */
    struct wire_filter early, final;
};

/* How guest code is carried out. An engine falls back to STEP where the host cannot do more. */
enum wire_tier { WIRE_TIER_STEP, WIRE_TIER_SOFT };

enum wire_turn { WIRE_TURN_ENGINE = 0, WIRE_TURN_MACHINE = 1 };

enum wire_exit_reason {
    WIRE_EXIT_NONE,
    WIRE_EXIT_READY,    /* waiting for commands; value: enum wire_tier */
    WIRE_EXIT_PORT,     /* port, size, write, value -> reply.value */
    WIRE_EXIT_MMIO,     /* address, size, write, value -> reply.value */
    WIRE_EXIT_DEADLINE, /* the machine's deadline has come */
    WIRE_EXIT_COMMAND,  /* at an instruction boundary, because the machine set `pause` and kicked */
    WIRE_EXIT_SHUTDOWN, /* triple fault */
    WIRE_EXIT_STOPPED,  /* answer to WIRE_COMMAND_STOP at the next instruction boundary */
    WIRE_EXIT_STATE,    /* answer to GET_STATE / SET_STATE; status */
    WIRE_EXIT_ERROR     /* the engine cannot go on: message */
};

struct wire_exit {
    uint32_t reason;
    uint32_t size; /* 1, 2, 4 (8 for MMIO) */
    uint32_t write;
    int32_t status;        /* STATE: 0 or -errno */
    uint64_t address;      /* port number or guest-physical address */
    uint64_t value;        /* written */
    uint64_t virtual_ns;   /* the machine's clock at this exit */
    uint64_t instructions; /* retired so far */
    char message[128];     /* ERROR: one line, NUL-terminated */
};

enum wire_command {
    WIRE_COMMAND_CONTINUE,  /* go on (and finish the access) */
    WIRE_COMMAND_STOP,      /* finish the access, then report WIRE_EXIT_STOPPED */
    WIRE_COMMAND_GET_STATE, /* after READY, STOPPED, SHUTDOWN, COMMAND or STATE: part -> state,
                               state_size */
    WIRE_COMMAND_SET_STATE,
    WIRE_COMMAND_QUIT /* exit_group(0) */
};

struct wire_reply {
    uint32_t command; /* enum wire_command */
    uint32_t part;    /* enum state_part */
    uint32_t version;
    uint32_t state_size; /* SET: bytes valid in `state`; GET: filled by the engine */
    uint64_t value;      /* read result */
    /* CONTINUE and STOP, in runs that count instructions: virtual ns at which the machine wants
     * WIRE_EXIT_COMMAND, at the first instruction boundary that is not earlier, before anything
     * else happens there. ~0 = never. Holds until the next exit. */
    uint64_t stop;
};

struct wire_msi {
    uint64_t address;
    uint32_t data;
    uint32_t requester;
};

struct wire_vcpu {
    _Alignas(64) uint32_t turn; /* futex; enum wire_turn */
    _Alignas(64) uint32_t kick; /* futex; 1: look at lines, MSIs, pause, deadline */
    _Alignas(64) struct wire_exit exit;
    _Alignas(64) struct wire_reply reply;
    _Alignas(64) uint32_t code_head; /* machine: next free slot of `code`, as with messages */
    uint32_t code_lost;              /* machine: 1 = pages are missing in `code` */
    _Alignas(64) uint32_t code_tail; /* engine: next to take */
    _Alignas(64) uint64_t code[WIRE_CODE_RING]; /* guest page numbers */
    uint32_t pause; /* machine: report WIRE_EXIT_COMMAND at the next boundary */
    _Alignas(64) uint8_t state[WIRE_STATE_SIZE];
};

enum wire_bell { WIRE_BELL_AWAKE = 0, WIRE_BELL_RUNG = 1, WIRE_BELL_ASLEEP = 2 };

struct wire {
    struct wire_setup setup;
    /* Interrupt lines by GSI: bit n of word n/64 is the wire's level. Machine writes atomically. */
    _Alignas(64) uint64_t lines[4];
    /* Pulses: bit set = the line rose and fell since the last look (edge interrupts shorter than a
     * look). */
    uint64_t pulses[4];
    /* Virtual ns at which the machine wants WIRE_EXIT_DEADLINE; ~0 = never. Machine writes, then
     * kicks (or is in an exit). One shot: the engine reports it once per value. */
    _Alignas(64) uint64_t deadline;
    _Alignas(
        64) uint32_t msi_head; /* machine: next free slot (counts up, index modulo WIRE_MSI_RING) */
    _Alignas(64) uint32_t msi_tail; /* engine: next to take */
    struct wire_msi msi[WIRE_MSI_RING];
    _Alignas(64) uint64_t doorbell[WIRE_DOORBELLS]; /* machine: guest-physical page, or ~0 */
    _Alignas(64) uint64_t rung[WIRE_DOORBELLS];     /* engines set bits, the machine takes them */
    _Alignas(64) uint32_t bell;                     /* futex; enum wire_bell */
    struct wire_vcpu vcpu[1];                       /* setup.vcpu_count of them */
    /* page flags follow at setup.page_flags_offset */
};

#endif
