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
 */
#ifndef ORIGAMI_WIRE_H
#define ORIGAMI_WIRE_H

#include <stdint.h>

#define WIRE_MAGIC   0x4d4147495249524full /* "ORIRIGAM" as bytes on the wire */
#define WIRE_VERSION 1u

/* Descriptors the engine process is started with; everything else is closed. */
#define WIRE_FD        3 /* this object, read-write */
#define WIRE_FD_MEMORY 4 /* and following: guest memory objects named by slots */

#define WIRE_VCPU_MAX   64
#define WIRE_SLOT_MAX   32
#define WIRE_MSI_RING   64  /* power of two */
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
    uint64_t engine_base; /* where the engine moves itself; page aligned, 0 = where it was loaded */
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
    uint32_t pause; /* machine: report WIRE_EXIT_COMMAND at the next boundary */
    _Alignas(64) uint8_t state[WIRE_STATE_SIZE];
};

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
    struct wire_vcpu vcpu[1]; /* setup.vcpu_count of them */
    /* page flags follow at setup.page_flags_offset */
};

#endif
