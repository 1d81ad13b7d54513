/* SPDX-License-Identifier: MIT */
/*
 * gather.c - gathers and scatters: one memory access for each enabled element, at base + index *
 * scale.
 *
 * They can be interrupted by a fault between elements: what is done is recorded by clearing its
 * mask, so that the instruction continues when it is run again (SDM Vol. 2, VPGATHERDD and
 * following, VPSCATTERDD).
 */
#include "extendedstate.h"
#include "transfer.h"

struct gather {
    struct extended_image image;
    uint64_t components;
    unsigned element, index_size, count;
    unsigned index; /* vector register */
    bool opmask;    /* EVEX: the mask is k1-k7, else a vector's sign bits */
    bool scatter;
    bool done; /* at least one element */
    uint64_t enabled;
    uint8_t data[64], indices[64], mask[64];
};

/* The VSIB index register (SDM Vol. 2, 2.3.12): X extends it, and EVEX.V' once more. */
static unsigned vsib_register(const struct instruction *insn)
{
    unsigned number = (insn->sib >> 3 & 7u) | (insn->rex & REX_X ? 8u : 0u);
    return insn->encoding == ENCODING_EVEX ? number | (insn->vvvv & 16u) : number;
}

static uint64_t mask_bits(const struct gather *g)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < g->count; i++)
        bits |= (uint64_t)(g->mask[(i + 1) * g->element - 1] >> 7) << i;
    return bits;
}

static int gather_begin(struct vcpu *vcpu, const struct instruction *insn, struct gather *g)
{
    g->opmask = insn->encoding == ENCODING_EVEX;
    g->scatter = g->opmask && insn->opcode >= 0xa0;
    g->element = insn->vex_w ? 8 : 4;
    g->index_size = insn->opcode & 1 ? 8 : 4;
    g->count = insn->vector_length / (g->element > g->index_size ? g->element : g->index_size);
    g->index = vsib_register(insn);
    g->components = extended_vector_mask(vcpu);
    if (g->opmask
            ? insn->evex_mask == 0 || insn->evex_zero || (!g->scatter && g->index == insn->reg)
            : insn->reg == insn->vvvv || insn->reg == g->index || insn->vvvv == g->index)
        return fault_ud(vcpu);

    extended_image_get(vcpu, &g->image, g->components);
    extended_vector_get(vcpu, &g->image, insn->reg, 64, g->data);
    extended_vector_get(vcpu, &g->image, g->index, 64, g->indices);
    if (g->opmask) {
        g->enabled = extended_opmask_get(vcpu, &g->image, insn->evex_mask);
    } else {
        extended_vector_get(vcpu, &g->image, insn->vvvv, 64, g->mask);
        g->enabled = mask_bits(g);
    }
    return 0;
}

static int gather_element(struct vcpu *vcpu, const struct instruction *insn, struct gather *g,
                          unsigned i)
{
    /* Never alignment-checked (SDM Vol. 2, VPGATHERDD). */
    unsigned access = (g->scatter ? ACCESS_WRITE : ACCESS_READ) | ACCESS_NO_ALIGN_CHECK;
    uint8_t *data = g->data + i * g->element;
    uint64_t linear;
    int64_t index;

    if (g->index_size == 8) {
        memcpy(&index, g->indices + i * 8, 8);
    } else {
        int32_t narrow;
        memcpy(&narrow, g->indices + i * 4, 4);
        index = narrow;
    }
    uint64_t offset = operand_offset(vcpu, insn) + (uint64_t)index * insn->scale;
    int result = segment_linear(vcpu, insn->segment, offset & bits_mask(insn->address_size),
                                g->element, access, &linear);
    if (result)
        return result;
    if (g->scatter)
        result = linear_write(vcpu, linear, data, g->element, access);
    else
        result = linear_read(vcpu, linear, data, g->element, access);
    result = access_settle(vcpu, result);
    if (result == 0)
        access_watch(vcpu, linear, g->element, g->scatter);
    return result;
}

/* Element i is done, or was not enabled. */
static void gather_mark(struct gather *g, unsigned i)
{
    g->done = g->done || (g->enabled >> i & 1);
    g->enabled &= ~(1ull << i);
    if (!g->opmask)
        memset(g->mask + i * g->element, 0, g->element);
}

/* Puts the registers back, after the last element or when one has faulted. */
static void gather_end(struct vcpu *vcpu, const struct instruction *insn, struct gather *g,
                       bool complete)
{
    if (complete) { /* upper parts of the destination, and the whole mask, are zero then */
        unsigned used = g->count * g->element;
        memset(g->data + used, 0, sizeof(g->data) - used);
        memset(g->mask, 0, sizeof(g->mask));
        g->enabled = 0;
    } else if (g->opmask &&
               g->done) { /* an EVEX write, even of one element, clears what is above */
        memset(g->data + insn->vector_length, 0, sizeof(g->data) - insn->vector_length);
    }
    if (!g->scatter)
        extended_vector_set(vcpu, &g->image, insn->reg, 64, g->data);
    if (g->opmask)
        extended_opmask_set(vcpu, &g->image, insn->evex_mask, g->enabled);
    else
        extended_vector_set(vcpu, &g->image, insn->vvvv, 64, g->mask);
    extended_image_put(vcpu, &g->image, g->components);
}

int interpret_gather_scatter(struct vcpu *vcpu, const struct instruction *insn)
{
    struct gather g = { .done = false };
    int result = gather_begin(vcpu, insn, &g);
    if (result)
        return result;
    for (unsigned i = 0; i < g.count && result == 0; i++) {
        if (g.enabled >> i & 1)
            result = gather_element(vcpu, insn, &g, i);
        if (result == 0)
            gather_mark(&g, i);
    }
    gather_end(vcpu, insn, &g, result == 0);
    return result;
}
