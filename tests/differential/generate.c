/* SPDX-License-Identifier: MIT */
/*
 * generate.c - the state around an instruction, weighted to where things break: page boundaries,
 * sign changes, powers of two, denormals and NaNs, pointers into and just outside the window.
 */
#include <string.h>
#include "engine.h"
#include "vector.h"

static const uint64_t edges[] = {
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    31,
    32,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    0x7fffffffffffffff,
    0x8000000000000000,
    0xffffffffffffffff,
    0xfffffffffffffffe,
    0xffffffff80000000,
    0x00007fffffffffff,
    0x0000800000000000,
    0x5555555555555555,
    0xaaaaaaaaaaaaaaaa,
};

static const uint64_t double_edges[] = {
    0,
    0x8000000000000000,
    0x3ff0000000000000,
    0xbff0000000000000,
    0x7ff0000000000000,
    0xfff0000000000000,
    0x7ff8000000000000,
    0x7ff0000000000001,
    1,
    0x000fffffffffffff,
    0x7fefffffffffffff,
    0x41e0000000000000,
    0x43e0000000000000,
    0x3fe0000000000000,
    0x7f80000000000000,
    0x3f8000003f800000,
    0x7fc00000ff800000,
    0x0000000100800000,
};

static const uint16_t selectors[] = {
    0,
    1,
    3,
    SELECTOR_CODE_32,
    SELECTOR_DATA,
    SELECTOR_CODE_64,
    SELECTOR_DATA,
    0x10,
    0x18,
    0x1b,
    0x30,
    0x28,
    0x43,
    0x53,
    0x63,
    0x80,
    0xfffb,
    SELECTOR_LOCAL_CODE_16,
    SELECTOR_LOCAL_DATA,
    SELECTOR_LOCAL_STACK_16,
    SELECTOR_LOCAL_DOWN,
    SELECTOR_LOCAL_READ_ONLY,
    0x2f,
    0x04,
};

static uint64_t pick(struct generator *g, uint64_t bound)
{
    return random_below(g, bound);
}

static uint16_t random_selector(struct generator *g)
{
    return selectors[pick(g, sizeof(selectors) / sizeof(selectors[0]))];
}

/* Offsets into the data window. */
static uint64_t window_offset(struct generator *g)
{
    switch (pick(g, 4)) {
    case 0: /* around the page boundary inside */
        return 4096 - 40 + pick(g, 80);
    case 1: /* around the end */
        return DATA_SIZE - 80 + pick(g, 100);
    case 2:
        return pick(g, 100) - 20;
    default:
        return 256 + (pick(g, DATA_SIZE - 512) & ~63ull);
    }
}

static uint64_t random_register(struct generator *g)
{
    switch (pick(g, 8)) {
    case 0:
    case 1:
    case 2:
        return DATA_ADDRESS + window_offset(g);
    case 3:
        return pick(g, 64);
    case 4:
        return (uint64_t) - (int64_t)pick(g, 64);
    case 5:
    case 6:
        return edges[pick(g, sizeof(edges) / sizeof(edges[0]))];
    default:
        return random_next(&g->random);
    }
}

/* ---- General registers ---- */

static uint64_t segment_base(const struct input *in, const struct instruction *insn)
{
    if (insn->segment == SEGMENT_FS)
        return in->fs_base;
    if (insn->segment == SEGMENT_GS)
        return in->gs_base;
    if (in->bits == 16)
        return insn->segment == SEGMENT_CS ? CODE_ADDRESS : DATA_ADDRESS;
    return 0;
}

static uint64_t operand_sum(const struct input *in, const struct instruction *insn)
{
    uint64_t sum = (uint64_t)insn->displacement;
    if (insn->base < 16)
        sum += in->gpr[insn->base];
    if (insn->index < 16 && insn->row->memory != MEMORY_VSIB)
        sum += in->gpr[insn->index] * insn->scale;
    return sum;
}

/* Turns the base register so that the memory operand lies at `offset` of the window. */
static void aim(struct input *in, const struct instruction *insn, uint64_t offset)
{
    uint64_t wanted = DATA_ADDRESS + offset - segment_base(in, insn);
    if (!insn->has_memory || insn->base >= 16 || insn->base == insn->index)
        return;
    in->gpr[insn->base] += wanted - operand_sum(in, insn);
    if (in->bits != 64)
        in->gpr[insn->base] = (uint32_t)in->gpr[insn->base];
}

static void aim_operand(struct generator *g, struct input *in, const struct instruction *insn)
{
    uint64_t offset = window_offset(g);
    switch (insn->row->interpreter) {
    case INTERPRET_xrstor:
    case INTERPRET_fxrstor:
    case INTERPRET_xsave:
    case INTERPRET_xsaveopt:
    case INTERPRET_xsavec:
    case INTERPRET_fxsave:
        if (pick(g, 8))
            in->data = DATA_POOL - 1;
        aim(in, insn, IMAGE_OFFSET + (pick(g, 8) ? 0 : pick(g, 100)));
        return;
    case INTERPRET_jmp_far:
    case INTERPRET_call_far:
        aim(in, insn, FRAME_OFFSET + pick(g, 8) * 64);
        return;
    default:
        break;
    }
    if (pick(g, 2) == 0)
        return;
    if ((insn->row->flags & (ROW_ALIGNED | ROW_EXPLICIT_16)) && pick(g, 4))
        offset &= ~63ull;
    aim(in, insn, offset);
}

static bool is_far_return(const struct instruction *insn)
{
    return insn->row->interpreter == INTERPRET_iret || insn->row->interpreter == INTERPRET_ret_far;
}

static void stack_pointer(struct generator *g, struct input *in, const struct instruction *insn)
{
    uint64_t *rsp = &in->gpr[REGISTER_RSP];
    /* 32-bit code that calls 64-bit code may push below 0, which is above 4 GiB: there Linux sees
     * an old CPU's bug at work and runs the instruction again and again (is_errata100). */
    bool calls_far = insn->row->interpreter == INTERPRET_call_far && in->bits == 32;
    if (pick(g, 8) == 0 && !calls_far)
        return;
    *rsp = DATA_ADDRESS + 512 + (pick(g, DATA_SIZE - 1024) & ~7ull);
    if (is_far_return(insn))
        *rsp = DATA_ADDRESS + FRAME_OFFSET + pick(g, 8) * 64;
    if (in->bits == 16)
        *rsp -= DATA_ADDRESS;
}

/* Instructions whose register operand is a selector. */
static void selector_operand(struct generator *g, struct input *in, const struct instruction *insn)
{
    switch (insn->row->interpreter) {
    case INTERPRET_mov_to_segment:
    case INTERPRET_lar:
    case INTERPRET_lsl:
    case INTERPRET_verr:
    case INTERPRET_verw:
    case INTERPRET_arpl:
        if (insn->mod == 3)
            in->gpr[insn->rm & 15] = random_selector(g);
        break;
    default:
        break;
    }
}

static void repetition(struct generator *g, struct input *in, const struct instruction *insn)
{
    bool gathers =
        insn->row->memory == MEMORY_VSIB; /* a fault after some elements is a TF trap first */
    bool string = insn->row->memory == MEMORY_STRING && insn->rep;
    uint64_t base = in->bits == 16 ? 0 : DATA_ADDRESS;
    in->repeat = gathers || string;
    if (!string)
        return;
    in->gpr[REGISTER_RCX] = pick(g, 48);
    if (pick(g, 4)) {
        in->gpr[REGISTER_RSI] = base + window_offset(g);
        in->gpr[REGISTER_RDI] = base + window_offset(g);
    }
}

/* The child of the oracle has its own stack and libraries below the top of the user half: keep
 * away. */
static void keep_away(struct input *in, const struct instruction *insn)
{
    uint64_t linear = operand_sum(in, insn) + segment_base(in, insn);
    uint64_t low = 0x7e0000000000, high = 0x7ffffffff000;
    if (insn->row->memory == MEMORY_VSIB || insn->row->memory == MEMORY_BIT_STRING)
        high += 0x1000; /* and what an index adds is not known here */
    if (in->bits == 64 && insn->has_memory && linear >= low && linear < high)
        in->fs_base = in->gs_base = 0;
    for (unsigned i = 0; i < 16 && in->bits == 64 && insn->has_memory; i++) {
        linear = operand_sum(in, insn) + segment_base(in, insn);
        if (linear >= low && linear < high && (i == insn->base || i == insn->index))
            in->gpr[i] &= 0xfff;
    }
}

static void general_registers(struct generator *g, struct input *in, const struct instruction *insn)
{
    for (unsigned i = 0; i < 16; i++) {
        in->gpr[i] = random_register(g);
        if (in->bits == 16 && pick(g, 2))
            in->gpr[i] &= 0xffff;
        if (in->bits != 64)
            in->gpr[i] = i < 8 ? (uint32_t)in->gpr[i] : 0;
    }
    stack_pointer(g, in, insn);
    aim_operand(g, in, insn);
    selector_operand(g, in, insn);
    repetition(g, in, insn);
    keep_away(in, insn);
    switch (insn->row->interpreter) {
    case INTERPRET_xsave:
    case INTERPRET_xsaveopt:
    case INTERPRET_xsavec:
    case INTERPRET_xrstor:
        in->gpr[REGISTER_RAX] &= ~(uint64_t)XCR0_PKRU; /* the host may have it on */
        break;
    default:
        break;
    }
    in->rflags = random_next(&g->random) & (FLAG_ARITHMETIC);
    in->rflags |= FLAG_IF | FLAG_ONE;
    if (pick(g, 4) == 0)
        in->rflags |= FLAG_DF;
    if (pick(g, 16) == 0)
        in->rflags |= FLAG_AC;
}

/* ---- Segment registers ---- */

static uint16_t data_selector(struct generator *g)
{
    static const uint16_t good[] = {
        SELECTOR_DATA,       SELECTOR_DATA,       0,
        SELECTOR_LOCAL_DATA, SELECTOR_LOCAL_DOWN, SELECTOR_LOCAL_READ_ONLY
    };
    return good[pick(g, g->local_descriptors ? 6 : 3)];
}

static uint64_t random_base(struct generator *g, unsigned bits)
{
    static const uint64_t bases[] = { 0,
                                      16,
                                      DATA_ADDRESS + 64,
                                      0xffffffffffffff00,
                                      0x7ffffffff000,
                                      0xffff800000000010,
                                      0x80000000,
                                      0xfffff000 };
    uint64_t base = bases[pick(g, 8)];
    return bits == 64 ? base : (uint32_t)base;
}

static void segment_registers(struct generator *g, struct input *in)
{
    struct selectors *s = &in->selectors;
    bool local = in->bits == 16;
    s->cs = in->bits == 64   ? SELECTOR_CODE_64
            : in->bits == 32 ? SELECTOR_CODE_32
                             : SELECTOR_LOCAL_CODE_16;
    s->ss = local ? SELECTOR_LOCAL_STACK_16 : SELECTOR_DATA;
    s->ds = s->es = local ? SELECTOR_LOCAL_DATA : SELECTOR_DATA;
    if (!g->segment_bases)
        return;
    if (pick(g, 32) == 0)
        s->ds = data_selector(g);
    if (pick(g, 32) == 0)
        s->es = data_selector(g);
    s->fs = data_selector(g);
    s->gs = data_selector(g);
    in->fs_base = random_base(g, in->bits);
    in->gs_base = random_base(g, in->bits);
}

/* Some instructions lie across the two code pages, some run over the end of the second. */
static void place(struct generator *g, struct input *in)
{
    in->offset = CODE_OFFSET;
    if (pick(g, 16) == 0)
        in->offset = (uint16_t)(4096 - pick(g, 16));
    else if (pick(g, 32) == 0)
        in->offset = (uint16_t)(CODE_SIZE - 1 - pick(g, 16));
}

static bool loads_stack_segment(const struct instruction *insn)
{
    if (insn->row->interpreter == INTERPRET_mov_to_segment)
        return (insn->modrm >> 3 & 7) == SEGMENT_SS;
    return insn->row->interpreter == INTERPRET_pop_segment && insn->map == 0 &&
           insn->opcode == 0x17;
}

/* ---- Pools ---- */

/* x87 with valid tags and normal precision most of the time; any vector contents; all masks. */
static void x87_words(struct generator *g, uint8_t *area)
{
    uint16_t control = 0x37f, status;
    if (pick(g, 4) == 0)
        control = (uint16_t)(random_next(&g->random) & 0x0f7f) | 0x40;
    status = (uint16_t)(pick(g, 8) << 11 | (random_next(&g->random) & 0x4700));
    if (pick(g, 4) == 0)
        status |= (uint16_t)(random_next(&g->random) & 0x7f);
    if (pick(g, 8) && (status & 0x3f & ~control)) /* mostly no exception is pending */
        status &= 0xff80;
    if (status & 0x3f & ~control)
        status |= 0x8080;
    memcpy(area, &control, 2);
    memcpy(area + 2, &status, 2);
    area[4] = (uint8_t)random_next(&g->random);
}

static void generate_extended(struct generator *g, uint8_t *area)
{
    uint32_t mxcsr = 0x1f80;
    for (unsigned i = 0; i < EXTENDED_SIZE / 8; i++) {
        uint64_t value = pick(g, 2)   ? random_next(&g->random)
                         : pick(g, 2) ? double_edges[pick(g, sizeof(double_edges) / 8)]
                                      : edges[pick(g, sizeof(edges) / 8)];
        memcpy(area + i * 8, &value, 8);
    }
    if (pick(g, 4) == 0)
        mxcsr ^= (uint32_t)random_next(&g->random) & 0xffff;
    memset(area, 0, 32);
    memset(area + 464, 0, 112);
    x87_words(g, area);
    memcpy(area + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        if (pick(g, 2)) { /* a normal extended-precision number */
            uint16_t exponent = (uint16_t)(0x3fff + pick(g, 64) - 32);
            area[32 + 16 * i + 7] |= 0x80;
            memcpy(area + 32 + 16 * i + 8, &exponent, 2);
        }
        memset(area + 32 + 16 * i + 10, 0, 6);
    }
}

/* Frames for IRET and RETF, far pointers for JMP and CALL: RIP, CS, RFLAGS, RSP, SS in 2, 4 or 8
 * bytes. */
static void generate_frames(struct generator *g, uint8_t *data)
{
    static const uint8_t sizes[] = { 8, 4, 8, 4, 2, 4, 8, 4 };
    for (unsigned i = 0; i < 8; i++) {
        uint64_t value[5] = { CODE_ADDRESS + CODE_OFFSET + pick(g, 64), random_selector(g),
                              random_next(&g->random) & 0x244fd5, DATA_ADDRESS + 0x400,
                              random_selector(g) };
        if (pick(g, 2))
            value[1] = pick(g, 2) ? SELECTOR_CODE_64 : SELECTOR_CODE_32;
        if (pick(g, 2))
            value[4] = SELECTOR_DATA;
        if (pick(g, 8) == 0)
            value[0] = random_register(g);
        for (unsigned at = 0; at < 5; at++)
            memcpy(data + FRAME_OFFSET + i * 64 + at * sizes[i], &value[at], sizes[i]);
    }
}

/* An XSAVE image that XRSTOR accepts more often than not. */
static void generate_image(struct generator *g, const struct batch *batch, uint8_t *data)
{
    const uint8_t *from = batch->extended[pick(g, EXTENDED_POOL)];
    uint64_t present = random_next(&g->random) & 0xe7;
    uint64_t compact = 1ull << 63 | (random_next(&g->random) & 0xe7) | present;
    memcpy(data + IMAGE_OFFSET, from, g->extended_size);
    memset(data + IMAGE_OFFSET + 512, 0, 64);
    memcpy(data + IMAGE_OFFSET + 512, &present, 8);
    if (pick(g, 3) == 0)
        memcpy(data + IMAGE_OFFSET + 520, &compact, 8);
}

static void generate_pools(struct generator *g, struct batch *batch)
{
    for (unsigned i = 0; i < EXTENDED_POOL; i++)
        generate_extended(g, batch->extended[i]);
    for (unsigned i = 0; i < DATA_POOL; i++) {
        for (unsigned at = 0; at < DATA_SIZE; at += 8) {
            uint64_t value = random_register(g);
            memcpy(batch->data[i] + at, &value, 8);
        }
        generate_frames(g, batch->data[i]);
    }
    generate_image(g, batch, batch->data[DATA_POOL - 1]);
}

void generate_batch(struct generator *g, struct batch *batch, uint32_t count)
{
    batch->count = count;
    batch->extended_size = g->extended_size;
    generate_pools(g, batch);
    for (uint32_t i = 0; i < count; i++) {
        struct input *in = &batch->input[i];
        struct instruction insn;
        memset(in, 0, sizeof(*in));
        code_generate(g, in, &insn);
        in->extended = (uint8_t)pick(g, EXTENDED_POOL);
        in->data = (uint8_t)pick(g, DATA_POOL);
        in->shadow = loads_stack_segment(&insn);
        place(g, in);
        segment_registers(g, in);
        general_registers(g, in, &insn);
    }
}
