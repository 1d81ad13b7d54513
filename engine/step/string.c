/* SPDX-License-Identifier: MIT */
/*
 * string.c - MOVS, CMPS, STOS, LODS and SCAS, natively on runs that stay within one page each.
 *
 * A repeated instruction is carried out run by run: after each, rSI, rDI and rCX hold what they
 * would hold had the instruction been interrupted there, so events come in between runs, and a
 * fault is reported with exactly the elements before it done (SDM Vol. 2, REP).
 */
#include "stub.h"
#include "../interpreter/interpreter.h"
#include "../support.h"

enum { USES_SOURCE = 1, USES_DESTINATION = 2, WRITES_DESTINATION = 4, COMPARES = 8 };

static unsigned string_operands(uint8_t opcode)
{
    switch (opcode & 0xfe) {
    case 0xa4: /* MOVS */
        return USES_SOURCE | USES_DESTINATION | WRITES_DESTINATION;
    case 0xa6: /* CMPS */
        return USES_SOURCE | USES_DESTINATION | COMPARES;
    case 0xaa: /* STOS */
        return USES_DESTINATION | WRITES_DESTINATION;
    case 0xac: /* LODS */
        return USES_SOURCE;
    default: /* SCAS */
        return USES_DESTINATION | COMPARES;
    }
}

struct string_side {
    unsigned reg; /* REGISTER_RSI or REGISTER_RDI */
    unsigned segment;
    unsigned access;
    uint64_t linear;
    uint8_t *host; /* of the first element, or NULL: bounce one element */
};

struct string_run {
    unsigned element; /* bytes */
    unsigned address_size;
    bool down;      /* DF */
    uint64_t count; /* elements of this run */
};

/* Elements from `linear` to the end (or, downwards, the start) of its page; 0 if the first one
 * crosses. */
static uint64_t elements_in_page(uint64_t linear, const struct string_run *run)
{
    uint64_t offset = linear & 4095;
    if (offset + run->element > 4096)
        return 0;
    return run->down ? offset / run->element + 1 : (4096 - offset) / run->element;
}

/* Elements until the address register wraps at its size: the run must not pass that point. */
static uint64_t elements_to_wrap(uint64_t offset, const struct string_run *run)
{
    uint64_t mask = bits_mask(run->address_size);
    uint64_t after_first = (run->down ? offset : mask - offset) / run->element;
    return after_first == ~0ull ? after_first : after_first + 1;
}

static int locate(struct vcpu *vcpu, struct string_side *side, struct string_run *run)
{
    uint64_t offset = vcpu->r.gpr[side->reg] & bits_mask(run->address_size);
    struct translation page;
    int status =
        segment_linear(vcpu, side->segment, offset, run->element, side->access, &side->linear);
    if (status)
        return status;
    uint64_t count = elements_in_page(side->linear, run);
    side->host = NULL;
    if (count == 0) { /* faults come in the order of the operands, so here, not when it is read */
        run->count = 1;
        return linear_probe(vcpu, side->linear, run->element, side->access);
    }
    status = linear_translate(vcpu, side->linear, side->access, &page);
    if (status)
        return status;
    side->host = page.host;
    if (page.host == NULL)
        count = 1;
    if (count > elements_to_wrap(offset, run))
        count = elements_to_wrap(offset, run);
    /* Outside 64-bit code the segment limit may end inside the page: go element by element there.
     */
    if (count > 1 && !vcpu->long_code) {
        uint64_t last =
            run->down ? offset - (count - 1) * run->element : offset + (count - 1) * run->element;
        uint64_t ignored;
        if (segment_linear(vcpu, side->segment, last, run->element, side->access, &ignored))
            count = 1;
    }
    if (count < run->count)
        run->count = count;
    return 0;
}

/* Gives the stub a bounce buffer for one element that has no plain host address. */
static int bounce_in(struct vcpu *vcpu, struct string_side *side, unsigned which, unsigned size)
{
    side->host = vcpu->stubs->bounce[which];
    if (side->access & ACCESS_WRITE)
        return 0;
    return access_settle(vcpu, linear_read(vcpu, side->linear, side->host, size, side->access));
}

static void register_add(struct vcpu *vcpu, unsigned reg, unsigned size, uint64_t delta)
{
    uint64_t old = vcpu->r.gpr[reg];
    uint64_t mask = bits_mask(size);
    uint64_t value = (old + delta) & mask;
    vcpu->r.gpr[reg] = size == 2 ? (old & ~mask) | value : value;
}

/* Runs the stub on `run->count` elements; returns how many were done in *done. */
static int run_elements(struct vcpu *vcpu, struct stub_entry *entry, struct string_side *source,
                        struct string_side *destination, const struct string_run *run,
                        uint64_t *done)
{
    uint64_t *gpr = vcpu->r.gpr;
    uint64_t saved[3] = { gpr[REGISTER_RSI], gpr[REGISTER_RDI], gpr[REGISTER_RCX] };
    gpr[REGISTER_RSI] = (uint64_t)(uintptr_t)source->host;
    gpr[REGISTER_RDI] = (uint64_t)(uintptr_t)destination->host;
    gpr[REGISTER_RCX] = run->count;
    int status = stub_run(vcpu, entry);
    *done = entry->insn.rep ? run->count - gpr[REGISTER_RCX] : 1;
    gpr[REGISTER_RSI] = saved[0];
    gpr[REGISTER_RDI] = saved[1];
    gpr[REGISTER_RCX] = saved[2];
    return status;
}

static int string_chunk(struct vcpu *vcpu, struct stub_entry *entry, unsigned operands,
                        struct string_run *run)
{
    const struct instruction *insn = &entry->insn;
    struct string_side source = { .reg = REGISTER_RSI,
                                  .segment = insn->segment,
                                  .access = ACCESS_READ };
    struct string_side destination = {
        .reg = REGISTER_RDI,
        .segment = SEGMENT_ES,
        .access = operands & WRITES_DESTINATION ? ACCESS_WRITE : ACCESS_READ,
    };
    uint64_t done;
    bool bounced = false;
    int status = operands & USES_SOURCE ? locate(vcpu, &source, run) : 0;
    if (status == 0 && (operands & USES_DESTINATION))
        status = locate(vcpu, &destination, run);
    if (status == 0 && (operands & USES_SOURCE) && source.host == NULL)
        status = bounce_in(vcpu, &source, 0, run->element);
    if (status == 0 && (operands & USES_DESTINATION) && destination.host == NULL) {
        bounced = true;
        status = bounce_in(vcpu, &destination, 1, run->element);
    }
    if (status == 0)
        status = run_elements(vcpu, entry, &source, &destination, run, &done);
    if (status == 0 && bounced && (operands & WRITES_DESTINATION))
        status = access_settle(vcpu, linear_write(vcpu, destination.linear, destination.host,
                                                  run->element, ACCESS_WRITE));
    if (status)
        return status;
    if (vcpu->data_breakpoints && done) { /* then runs are one element long */
        if (operands & USES_SOURCE)
            access_watch(vcpu, source.linear, run->element, false);
        if (operands & USES_DESTINATION)
            access_watch(vcpu, destination.linear, run->element, operands & WRITES_DESTINATION);
    }
    uint64_t delta = done * run->element;
    if (run->down)
        delta = 0 - delta;
    if (operands & USES_SOURCE)
        register_add(vcpu, REGISTER_RSI, run->address_size, delta);
    if (operands & USES_DESTINATION)
        register_add(vcpu, REGISTER_RDI, run->address_size, delta);
    if (insn->rep)
        register_add(vcpu, REGISTER_RCX, run->address_size, 0 - done);
    return 0;
}

static bool repeat_ends(const struct vcpu *vcpu, const struct instruction *insn, unsigned operands,
                        uint64_t mask)
{
    bool zero = vcpu->r.rflags & FLAG_ZF;
    if ((vcpu->r.gpr[REGISTER_RCX] & mask) == 0)
        return true;
    return (operands & COMPARES) && zero != (insn->rep == 0xf3);
}

int step_string(struct vcpu *vcpu, struct stub_entry *entry)
{
    const struct instruction *insn = &entry->insn;
    unsigned operands = string_operands(insn->opcode);
    uint64_t mask = bits_mask(insn->address_size);
    struct string_run run = {
        .element = insn->opcode & 1 ? insn->operand_size : 1,
        .address_size = insn->address_size,
        .down = vcpu->r.rflags & FLAG_DF,
        .count = insn->rep ? vcpu->r.gpr[REGISTER_RCX] & mask : 1,
    };
    if (insn->rep && run.count == 0)
        return 0;
    if (vcpu->r.rflags & FLAG_TF || vcpu->data_breakpoints)
        run.count = 1; /* a debug trap may come after every element */
    int status = string_chunk(vcpu, entry, operands, &run);
    bool ends = !insn->rep || repeat_ends(vcpu, insn, operands, mask);
    if (status || ends)
        return status;
    return -EAGAIN;
}
