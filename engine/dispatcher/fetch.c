/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - from CS:RIP to a decoded instruction, through the cache of stubs.
 */
#include "dispatcher.h"
#include "../interpreter/interpreter.h"
#include "../support.h"

static unsigned hash(const uint8_t *host)
{
    uint64_t h = (uint64_t)(uintptr_t)host;
    return (unsigned)((h ^ (h >> 15) ^ (h >> 27)) & (STUB_ENTRIES - 1));
}

static int page_change(struct vcpu *vcpu, uint64_t linear)
{
    struct translation page;
    if (vcpu->long_code && !address_canonical(linear))
        return fault_gp(vcpu);
    int status = linear_translate(vcpu, linear, ACCESS_FETCH, &page);
    if (status)
        return status;
    vcpu->fetch.page = linear >> 12;
    vcpu->fetch.host = page.host ? page.host - (linear & 4095) : NULL;
    vcpu->fetch.generation = vcpu->tlb.generation;
    return 0;
}

static bool entry_matches(const struct stub_entry *entry, const uint64_t bytes[2])
{
    return ((bytes[0] ^ entry->bytes[0]) & entry->mask[0]) == 0 &&
           ((bytes[1] ^ entry->bytes[1]) & entry->mask[1]) == 0;
}

static void entry_key(struct stub_entry *entry, const uint8_t *bytes, unsigned length)
{
    uint8_t padded[16] = { 0 }, mask[16] = { 0 };
    memcpy(padded, bytes, length);
    memset(mask, 0xff, length);
    memcpy(entry->bytes, padded, 16);
    memcpy(entry->mask, mask, 16);
}

/* Is the instruction one that this guest was given? */
static bool allowed(const struct vcpu *vcpu, const struct instruction *insn)
{
    const struct instruction_row *row = insn->row;
    if (!cpu_model_has(&vcpu->vm->model, row->feature))
        return false;
    if (insn->encoding == ENCODING_EVEX && insn->vector_length != 64)
        return cpu_model_has(&vcpu->vm->model, row->feature_vl);
    return true;
}

static uint8_t operand_access(const struct instruction *insn)
{
    switch (insn->row->direction) {
    case DIRECTION_READ:
        return ACCESS_READ;
    case DIRECTION_WRITE:
        return ACCESS_WRITE;
    case DIRECTION_READ_WRITE:
        return ACCESS_READ | ACCESS_WRITE;
    default:
        return insn->row->memory == MEMORY_PUSH ? ACCESS_WRITE : ACCESS_READ;
    }
}

/* TZCNT, LZCNT and WBNOINVD are BSF, BSR and WBINVD on a CPU without them: F3h is then ignored. */
static void choose_row(const struct vcpu *vcpu, struct instruction *insn)
{
    if (!(insn->row->flags & ROW_ELSE_NEXT) || cpu_model_has(&vcpu->vm->model, insn->row->feature))
        return;
    insn->row++;
    insn->rep = 0;
}

/* Decodes from `bytes`, which hold `available` bytes, into the entry. */
static int decode(struct vcpu *vcpu, struct stub_entry *entry, const uint8_t *bytes,
                  unsigned available)
{
    int status = instruction_decode(bytes, available, vcpu->code_size, &entry->insn);
    vcpu->statistics.decodes++;
    if (status == DECODE_TRUNCATED && available < INSTRUCTION_MAX_LENGTH)
        return -EAGAIN;
    if (status == DECODE_OK)
        choose_row(vcpu, &entry->insn);
    if (status == DECODE_UNDEFINED || (status == DECODE_OK && !allowed(vcpu, &entry->insn))) {
        entry->kind = STUB_UNDEFINED;
        entry->insn.length = 1;
        entry_key(entry, bytes, available < 15 ? available : 15);
        return 0;
    }
    if (status != DECODE_OK) {
        entry->kind = STUB_TOO_LONG;
        entry->insn.length = 1;
        entry_key(entry, bytes, available < 15 ? available : 15);
        return 0;
    }
    entry_key(entry, bytes, entry->insn.length);
    entry->access = operand_access(&entry->insn);
    entry->kind = entry->insn.row->interpreter == INTERPRETER_NONE ? STUB_NATIVE : STUB_INTERPRET;
    if (entry->kind == STUB_NATIVE && stub_build(vcpu, entry)) {
        entry->kind = STUB_UNDEFINED; /* a row without a native form is a bug the tests look for */
        vcpu->statistics.stubs_refused++;
    }
    return 0;
}

/* The rest of an instruction that starts near the end of a page. */
static int fetch_rest(struct vcpu *vcpu, uint64_t linear, uint8_t *bytes, unsigned available)
{
    uint64_t rest = linear + available;
    unsigned length = INSTRUCTION_MAX_LENGTH - available;
    if (!vcpu->long_code) {
        if (vcpu->r.rip + available > vcpu->r.segment[SEGMENT_CS].limit)
            return fault_gp(vcpu);
        rest = (uint32_t)rest;
    } else if (!address_canonical(rest)) {
        return fault_gp(vcpu);
    }
    return linear_read(vcpu, rest, bytes + available, length, ACCESS_FETCH);
}

/* Near a page's end, in MMIO, or when the cache has nothing: assemble bytes, look, decode. */
static int fetch_slow(struct vcpu *vcpu, uint64_t linear, const uint8_t *host,
                      struct stub_entry *entry)
{
    uint8_t bytes[16] = { 0 };
    uint64_t words[2];
    unsigned available = 4096 - (unsigned)(linear & 4095);
    int status;
    if (available > INSTRUCTION_MAX_LENGTH)
        available = INSTRUCTION_MAX_LENGTH;
    if (host) {
        memcpy(bytes, host, available);
    } else {
        status = access_settle(vcpu, linear_read(vcpu, linear, bytes, available, ACCESS_FETCH));
        if (status)
            return status;
    }
    bool known = host && entry->kind != STUB_EMPTY && entry->key == host &&
                 entry->code_size == vcpu->code_size;
    if (known && entry->kind <= STUB_NATIVE && entry->insn.length <= available) {
        memcpy(words, bytes, 16);
        if (entry_matches(entry, words))
            return 0;
    }
    entry->key = host;
    entry->code_size = vcpu->code_size;
    if (decode(vcpu, entry, bytes, available) == 0)
        return 0;
    entry->kind = STUB_EMPTY;
    status = access_settle(vcpu, fetch_rest(vcpu, linear, bytes, available));
    if (status)
        return status;
    (void)decode(vcpu, entry, bytes, INSTRUCTION_MAX_LENGTH);
    return 0;
}

int fetch(struct vcpu *vcpu, struct stub_entry **out)
{
    const struct segment_register *cs = &vcpu->r.segment[SEGMENT_CS];
    uint64_t rip = vcpu->r.rip;
    uint64_t linear = rip;
    int status;
    if (!vcpu->long_code) {
        if (rip > cs->limit)
            return fault_gp(vcpu);
        linear = (uint32_t)(cs->base + rip);
    }
    if (vcpu->fetch.page != linear >> 12 || vcpu->fetch.generation != vcpu->tlb.generation) {
        status = page_change(vcpu, linear);
        if (status)
            return status;
    }
    const uint8_t *host = vcpu->fetch.host;
    struct stub_entry *entry;
    if (host && (linear & 4095) <= 4096 - 16) {
        uint64_t words[2];
        host += linear & 4095;
        entry = &vcpu->stubs->entry[hash(host)];
        memcpy(words, host, 16);
        if (entry->key != host || entry->code_size != vcpu->code_size ||
            entry->kind == STUB_EMPTY || !entry_matches(entry, words)) {
            status = fetch_slow(vcpu, linear, host, entry);
            if (status)
                return status;
        }
    } else {
        host = host ? host + (linear & 4095) : NULL;
        entry = &vcpu->stubs->entry[hash(host)];
        status = fetch_slow(vcpu, linear, host, entry);
        if (status)
            return status;
    }
    if (!vcpu->long_code && rip + entry->insn.length - 1 > cs->limit)
        return fault_gp(vcpu);
    *out = entry;
    return 0;
}
