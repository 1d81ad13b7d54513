/* SPDX-License-Identifier: MIT */
/*
 * log.h - the input log: everything that a guest is given from outside, in the order in which the
 * engine was given it, stamped with the count of instructions. With the same kernel and options it
 * is all that is needed to run the same instructions again.
 *
 * What is no input and so is not here: virtual time and the TSC (functions of the instruction count
 * in the runs that are recorded), random numbers (their seeds are in the header), guest memory as
 * the loaders make it (checked by hashes in the header).
 *
 * The file: struct log_header, then records without gaps. All fields are little-endian. A record is
 * its kind (one byte), its fields as variable-length numbers (seven bits a byte, lowest first, bit
 * 7: more follow), for DMA the bytes, then 16 bits of the CRC-32 of the file so far (without these
 * checks): a record is good only behind those it was written behind. Every record is written before
 * the engine goes on, so the log of a run that was killed is good to its end; a record that was cut
 * short is no record.
 *
 *   BOOT      wall              a machine starts or is reset; counts begin at 0 again
 *   EXIT      instructions time check    the engine reported an exit, see log_exit_check()
 *   PAUSE     instructions time          the engine was stopped for what follows
 *   ANSWER    value             of the port or memory read of the last EXIT
 *   LINE      gsi * 2 + level   an interrupt line changed
 *   MSI       requester address data
 *   DEADLINE  time + 1          of the machine's next timer; 0 = never
 *   DMA       requester address size, then the bytes: a device wrote to guest memory
 *   STOP                        the run ends at the next instruction boundary
 *   END       reason value      nothing follows
 *
 * Records between an EXIT or PAUSE and the next one happen while the engine waits there.
 * `instructions` and `time` (virtual ns less instructions) are differences from the last stamp.
 */
#ifndef ORIGAMI_MACHINE_LOG_H
#define ORIGAMI_MACHINE_LOG_H

#include <stddef.h>
#include <stdint.h>
#include "../support/problem.h"

#define LOG_MAGIC      "ORIGAMI\x1a" /* the last byte ends a listing on a terminal */
#define LOG_VERSION    1u
#define LOG_DMA_MAX    65536u              /* bytes in one record */
#define LOG_RECORD_MAX (LOG_DMA_MAX + 64u) /* bytes of one record */
#define LOG_NEVER      (~0ull)

enum log_kind {
    LOG_BOOT = 1,
    LOG_EXIT,
    LOG_PAUSE,
    LOG_ANSWER,
    LOG_LINE,
    LOG_MSI,
    LOG_DEADLINE,
    LOG_DMA,
    LOG_STOP,
    LOG_END,
    LOG_KINDS
};

/* What a machine is made of. A replay needs the same. */
struct log_parameters {
    char origami[32]; /* version, NUL-padded */
    uint64_t memory;  /* bytes */
    uint32_t cpus;
    uint32_t flags;                            /* LOG_FLAG_* */
    uint64_t kernel, initrd, modules, cmdline; /* hashes (hash_bytes()); 0 = none */
    uint64_t devices;                          /* hash of the options that add any */
    uint64_t cpu;                              /* hash of the features of the host's CPU */
    uint64_t wall_base;                        /* ns since 1970 at power-on */
    uint64_t seed[2];                          /* of RDRAND */
    uint8_t boot_seed[32];                     /* of the guest kernel's random numbers */
};
#define LOG_FLAG_DEBUG_EXIT 1u
#define LOG_FLAG_NO_REBOOT  2u

struct log_header {
    char magic[8];
    uint32_t version;
    uint32_t size; /* of this structure */
    struct log_parameters parameters;
    uint32_t reserved;
    uint32_t crc; /* CRC-32 of all before it */
};

/* One record; which fields count depends on the kind. */
struct log_record {
    enum log_kind kind;
    uint64_t instructions, virtual_ns; /* EXIT, PAUSE: since power-on or reset */
    uint16_t check;                    /* EXIT */
    uint64_t
        value; /* ANSWER; DEADLINE: time, LOG_NEVER; BOOT: wall base; LINE: level; END: value */
    uint32_t source; /* LINE: gsi; MSI, DMA: requester; END: enum record_end */
    uint64_t address;
    uint32_t data;     /* MSI */
    uint32_t size;     /* DMA */
    const void *bytes; /* DMA; decoded: inside the buffer that was decoded */
};

/* What coding depends on besides the record. */
struct log_state {
    uint32_t crc;
    uint64_t instructions, skipped; /* of the last stamp */
};

void log_header_make(struct log_header *header, const struct log_parameters *parameters,
                     struct log_state *state);
/* `name` is for messages. Status 4 with a line if this is no log, or one of another version. */
int MUST_CHECK log_header_check(const void *data, size_t size, const char *name,
                                struct log_parameters *parameters, struct log_state *state,
                                struct problem *problem);

/* Writes at most LOG_RECORD_MAX bytes; returns how many. */
size_t log_encode(struct log_state *state, const struct log_record *record, uint8_t *buffer);
/* Returns the bytes taken; 0 if `size` bytes hold no whole record; -EBADMSG if they are none. */
long log_decode(struct log_state *state, const uint8_t *data, size_t size,
                struct log_record *record);

#endif
