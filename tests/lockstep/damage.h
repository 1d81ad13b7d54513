/* SPDX-License-Identifier: MIT */
/*
 * damage.h - ways to break a block that was really emitted, and what the verifier must refuse.
 */
#ifndef ORIGAMI_TEST_LOCKSTEP_DAMAGE_H
#define ORIGAMI_TEST_LOCKSTEP_DAMAGE_H

#include "verifier_internal.h"

#define CHANGES 4u

/* A place in a block that is in order; what is changed can be put back. */
struct place {
    struct translator *t;
    struct soft_block *block;
    const struct reading *r; /* of the block as it was */
    const struct line *line;
    const struct state *s; /* before the line */
    uint8_t *code;         /* of the line */
    struct {
        uint8_t *at, old[16];
        size_t size;
    } change[CHANGES];
    unsigned changes;
};

/* Breaks the block there if there is anything of the kind to break. Each is dangerous wherever it
 * says that it applies: to miss it once is a failure of the verifier. */
struct damage {
    const char *name;
    bool (*apply)(struct place *p);
};
extern const struct damage_list {
    const struct damage *rows;
    unsigned count;
} damage_memory, damage_jumps, damage_state;

/* ---- damage.c: what these are made of ---- */

/* Can be undone. */
void change(struct place *p, void *at, const void *data, size_t size);
void damage_undo(struct place *p);
/* Changes of the line; true. */
bool set_byte(struct place *p, unsigned at, unsigned value);
bool set_last(struct place *p, uint32_t value); /* 4 bytes: an immediate or a distance */
bool set_displacement(struct place *p, uint64_t value);
bool lead_to(struct place *p, uint32_t to);
bool no_operation(struct place *p);

/* What the line is. */
bool is(const struct place *p, unsigned mnemonic);
uint64_t displacement(const struct place *p);
bool field(const struct place *p, unsigned mnemonic, size_t offset, bool write);
bool guard(const struct place *p, unsigned flags); /* a jump on such flags: enum flags_kind */
bool uses_host(const struct place *p);             /* memory that was looked up */
bool takes_tag(const struct place *p);             /* xor s, [tag] of a look-up */
bool adds_host(const struct place *p);
bool in_entries(const struct place *p); /* its operand is in the inline TLB */
/* The link or site that belongs to it, and the block it was patched to lead to; or NULL. */
struct soft_link *link_here(const struct place *p);
struct soft_block *led_to(const struct place *p);
struct soft_site *site_here(const struct place *p);

#define FIELD(name)    offsetof(struct soft_context, name)
#define TABLE(p, name) ((p)->r->tables + offsetof(struct soft_tables, name))

#endif
