/* SPDX-License-Identifier: MIT */
/*
 * generate.c - random instructions over states weighted to where things break: page boundaries, sign
 * changes, powers of two, denormals and NaNs, pointers into and just outside the window.
 */
#include <string.h>
#include "engine.h"
#include "vector.h"

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t pick(struct generator *g, uint64_t bound)
{
    return random_next(&g->random) % bound;
}

static const uint64_t edges[] = {
    0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
    0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
    0xffffffffffffffff, 0xfffffffffffffffe, 0xffffffff80000000, 0x00007fffffffffff,
    0x0000800000000000, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa,
};

static const uint64_t double_edges[] = {
    0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
    0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 1, 0x000fffffffffffff,
    0x7fefffffffffffff, 0x41e0000000000000, 0x43e0000000000000, 0x3fe0000000000000,
    0x7f80000000000000, 0x3f8000003f800000, 0x7fc00000ff800000, 0x0000000100800000,
};

static uint64_t window_pointer(struct generator *g)
{
    switch (pick(g, 4)) {
    case 0: /* around the page boundary inside */
        return DATA_ADDRESS + 4096 - 40 + pick(g, 80);
    case 1: /* around the end */
        return DATA_ADDRESS + DATA_SIZE - 80 + pick(g, 100);
    case 2:
        return DATA_ADDRESS - 20 + pick(g, 100);
    default:
        return DATA_ADDRESS + 256 + (pick(g, DATA_SIZE - 512) & ~63ull);
    }
}

static uint64_t random_register(struct generator *g)
{
    switch (pick(g, 8)) {
    case 0:
    case 1:
    case 2:
        return window_pointer(g);
    case 3:
        return pick(g, 64);
    case 4:
        return (uint64_t)-(int64_t)pick(g, 64);
    case 5:
    case 6:
        return edges[pick(g, sizeof(edges) / sizeof(edges[0]))];
    default:
        return random_next(&g->random);
    }
}

/* Outcomes that depend on the host or the moment, or reach the host's kernel: not for this oracle. */
static bool excluded(const struct instruction *insn)
{
    switch (insn->row->interpreter) {
    case INTERPRET_syscall: case INTERPRET_sysenter: case INTERPRET_sysexit: case INTERPRET_sysret:
    case INTERPRET_int_n: case INTERPRET_int1: case INTERPRET_int3: case INTERPRET_into:
    case INTERPRET_iret: case INTERPRET_jmp_far: case INTERPRET_call_far: case INTERPRET_ret_far:
    case INTERPRET_rdtsc: case INTERPRET_rdtscp: case INTERPRET_rdpid: case INTERPRET_rdpmc:
    case INTERPRET_rdrand: case INTERPRET_rdseed: case INTERPRET_cpuid: case INTERPRET_xgetbv:
    case INTERPRET_xsave: case INTERPRET_xsaveopt: case INTERPRET_xsavec: case INTERPRET_xrstor:
    case INTERPRET_sgdt: case INTERPRET_sidt: case INTERPRET_sldt: case INTERPRET_str:
    case INTERPRET_smsw: case INTERPRET_lar: case INTERPRET_lsl: case INTERPRET_verr:
    case INTERPRET_verw: case INTERPRET_mov_to_segment: case INTERPRET_mov_from_segment:
    case INTERPRET_pop_segment: case INTERPRET_push_segment: case INTERPRET_load_far_pointer:
    case INTERPRET_rdfsbase: case INTERPRET_rdgsbase: case INTERPRET_wrfsbase:
    case INTERPRET_wrgsbase: case INTERPRET_rdpkru: case INTERPRET_wrpkru:
    case INTERPRET_hypercall: case INTERPRET_monitor: case INTERPRET_mwait:
    case INTERPRET_pushf: case INTERPRET_popf: case INTERPRET_invpcid: case INTERPRET_lgdt:
    case INTERPRET_lidt: case INTERPRET_swapgs: case INTERPRET_xsetbv: case INTERPRET_invlpg:
    case INTERPRET_clac: case INTERPRET_stac:
        return true;
    default:
        break;
    }
    /* Near branches with 66h in 64-bit code: Intel ignores the prefix, AMD truncates the target. */
    if (insn->code_size == 64 && insn->operand_override && insn->row->class == CLASS_TRANSFER)
        return true;
    /* FS and GS are the test program's own on the bare CPU. */
    return insn->segment_override == SEGMENT_FS || insn->segment_override == SEGMENT_GS;
}

static unsigned put_prefixes(struct generator *g, uint8_t *code, unsigned bits)
{
    static const uint8_t legacy[] = { 0x66, 0xf2, 0xf3, 0x67, 0xf0, 0x2e, 0x36, 0x3e };
    unsigned length = 0;
    while (length < 3 && pick(g, 3) == 0) {
        unsigned which = (unsigned)pick(g, 16);
        code[length++] = legacy[which < 8 ? which : which < 11 ? 0 : which < 13 ? 1 : 2];
    }
    if (bits == 64 && pick(g, 2))
        code[length++] = (uint8_t)(0x40 | pick(g, 16));
    return length;
}

static unsigned put_opcode(struct generator *g, uint8_t *code, unsigned length)
{
    switch (pick(g, 16)) {
    case 0: case 1: case 2: case 3: case 4: case 5: /* one byte */
        break;
    case 6: case 7: case 8: case 9:
        code[length++] = 0x0f;
        break;
    case 10:
        code[length++] = 0x0f;
        code[length++] = 0x38;
        break;
    case 11:
        code[length++] = 0x0f;
        code[length++] = 0x3a;
        break;
    case 12:
        code[length++] = 0xc5;
        code[length++] = (uint8_t)random_next(&g->random);
        break;
    case 13:
        code[length++] = 0xc4;
        code[length++] = (uint8_t)(0xe0 ^ (pick(g, 8) << 5) ^ (1 + pick(g, 3)));
        code[length++] = (uint8_t)random_next(&g->random);
        break;
    default:
        code[length++] = 0x62;
        code[length++] = (uint8_t)(0xf0 ^ (pick(g, 16) << 4) ^ (1 + pick(g, 3)));
        code[length++] = (uint8_t)(random_next(&g->random) | 4);
        code[length++] = (uint8_t)random_next(&g->random);
        break;
    }
    return length;
}

/* Displacements and immediates: mostly small, so that base registers decide where an operand lies. */
static void put_rest(struct generator *g, uint8_t *code, unsigned length)
{
    uint64_t low = random_next(&g->random), high = random_next(&g->random);
    uint8_t rest[16];
    if (pick(g, 2))
        low &= 0x00000f3f00003f3full;
    memcpy(rest, &low, 8);
    memcpy(rest + 8, &high, 8);
    memcpy(code + length, rest, 16 - length);
}

static bool generate_code(struct generator *g, struct input *in, struct instruction *insn)
{
    in->bits = pick(g, 4) ? 64 : 32;
    memset(in->code, 0, sizeof(in->code));
    unsigned length = put_prefixes(g, in->code, in->bits);
    length = put_opcode(g, in->code, length);
    in->code[length++] = (uint8_t)random_next(&g->random);
    if (pick(g, 3) == 0) /* a register form, or a plain base */
        in->code[length++] = (uint8_t)(0xc0 | pick(g, 64));
    else
        in->code[length++] = (uint8_t)random_next(&g->random);
    put_rest(g, in->code, length);
    if (instruction_decode(in->code, 15, in->bits, insn) != DECODE_OK || excluded(insn))
        return false;
    if (!cpu_model_has(g->model, insn->row->feature) ||
        (insn->encoding == ENCODING_EVEX && insn->vector_length != 64 &&
         !cpu_model_has(g->model, insn->row->feature_vl)))
        return false;
    in->length = insn->length;
    memset(in->code + insn->length, 0x90, 16u - insn->length);
    return true;
}

static void generate_registers(struct generator *g, struct input *in, const struct instruction *insn)
{
    for (unsigned i = 0; i < 16; i++) {
        in->gpr[i] = random_register(g);
        if (in->bits == 32)
            in->gpr[i] = i < 8 ? (uint32_t)in->gpr[i] : 0;
    }
    if (pick(g, 8))
        in->gpr[REGISTER_RSP] = DATA_ADDRESS + 512 + (pick(g, DATA_SIZE - 1024) & ~7ull);
    bool gathers = insn->row->memory == MEMORY_VSIB; /* a fault after some elements is a TF trap first */
    in->repeat = gathers || (insn->row->memory == MEMORY_STRING && insn->rep);
    if (in->repeat && !gathers) {
        in->gpr[REGISTER_RCX] = pick(g, 48);
        if (pick(g, 4)) {
            in->gpr[REGISTER_RSI] = window_pointer(g);
            in->gpr[REGISTER_RDI] = window_pointer(g);
        }
    }
    in->rflags = random_next(&g->random) & (FLAG_ARITHMETIC);
    in->rflags |= FLAG_IF | FLAG_ONE;
    if (pick(g, 4) == 0)
        in->rflags |= FLAG_DF;
    if (pick(g, 16) == 0)
        in->rflags |= FLAG_AC;
}

/* x87 with valid tags and normal precision most of the time; any vector contents; all masks. */
static void generate_extended(struct generator *g, uint8_t *area)
{
    uint32_t mxcsr = 0x1f80;
    uint16_t control = 0x37f, status = 0;
    for (unsigned i = 0; i < EXTENDED_SIZE / 8; i++) {
        uint64_t value = pick(g, 2) ? random_next(&g->random) :
                         pick(g, 2) ? double_edges[pick(g, sizeof(double_edges) / 8)] :
                                      edges[pick(g, sizeof(edges) / 8)];
        memcpy(area + i * 8, &value, 8);
    }
    if (pick(g, 4) == 0)
        mxcsr ^= (uint32_t)random_next(&g->random) & 0xffff;
    if (pick(g, 4) == 0)
        control = (uint16_t)(random_next(&g->random) & 0x0f7f) | 0x40;
    status = (uint16_t)(pick(g, 8) << 11 | (random_next(&g->random) & 0x4700));
    memset(area, 0, 32);
    memset(area + 464, 0, 112);
    memcpy(area, &control, 2);
    memcpy(area + 2, &status, 2);
    area[4] = (uint8_t)random_next(&g->random);
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

void generate_batch(struct generator *g, struct batch *batch, uint32_t count)
{
    batch->count = count;
    batch->extended_size = g->extended_size;
    for (unsigned i = 0; i < EXTENDED_POOL; i++)
        generate_extended(g, batch->extended[i]);
    for (unsigned i = 0; i < DATA_POOL; i++) {
        for (unsigned at = 0; at < DATA_SIZE; at += 8) {
            uint64_t value = random_register(g);
            memcpy(batch->data[i] + at, &value, 8);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        struct input *in = &batch->input[i];
        struct instruction insn;
        memset(in, 0, sizeof(*in));
        while (!generate_code(g, in, &insn)) {
        }
        generate_registers(g, in, &insn);
        in->extended = (uint8_t)pick(g, EXTENDED_POOL);
        in->data = (uint8_t)pick(g, DATA_POOL);
    }
}
