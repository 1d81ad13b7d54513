/* SPDX-License-Identifier: MIT */
/*
 * code.c - which instruction to run: half of them any bytes that decode, half of them a row of the
 * table with any operands, so that rare encodings get their share.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"
#include "vector.h"

#define TEMPLATES_PER_ROW 8u
#define SEARCHES          12000000u
#define NO_VVVV           0x78u /* VEX.vvvv = 1111: no second source */

/* The bytes of an instruction up to its ModRM byte, which keeps its reg and mod fields. */
struct code_template {
    uint8_t bytes[16];
    uint8_t length;
    uint8_t modrm;
    bool has_modrm;
    uint8_t bits;
};

struct code_templates {
    unsigned *reachable; /* rows with at least one template */
    unsigned reachable_count;
    uint8_t *count; /* by row */
    struct code_template (*row)[TEMPLATES_PER_ROW];
};

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

unsigned code_row(const struct instruction *insn)
{
    return (unsigned)(insn->row - instruction_rows);
}

static bool excluded_row(const struct instruction_row *row)
{
    switch (row->interpreter) {
    /* The host's system calls and hypervisor. */
    case INTERPRET_syscall:
    case INTERPRET_sysenter:
    case INTERPRET_hypercall:
    /* What a virtual CPU answers by policy, and what changes from moment to moment. */
    case INTERPRET_cpuid:
    case INTERPRET_rdtsc:
    case INTERPRET_rdtscp:
    case INTERPRET_rdpid:
    case INTERPRET_rdpmc:
    case INTERPRET_rdrand:
    case INTERPRET_rdseed:
    case INTERPRET_xgetbv:
    case INTERPRET_rdpkru:
    case INTERPRET_wrpkru:
    /* Linux answers these itself where UMIP makes them fault. */
    case INTERPRET_sgdt:
    case INTERPRET_sidt:
    case INTERPRET_sldt:
    case INTERPRET_str:
    case INTERPRET_smsw:
    case INTERPRET_int1: /* its #DB is a hypervisor's before it is Linux's */
        return true;
    default:
        return false;
    }
}

bool code_excluded(const struct generator *g, const struct instruction *insn)
{
    bool fs_or_gs = insn->segment_override == SEGMENT_FS || insn->segment_override == SEGMENT_GS;
    if (excluded_row(insn->row))
        return true;
    switch (insn->row->interpreter) {
    case INTERPRET_int_n: /* Linux's system calls; and int 3 is INT3 */
        if (insn->immediate == 0x80)
            return true;
        break;
    /* A 16-bit stack makes Linux return with garbage above bit 31 of RSP (espfix), which 64-bit
     * code would see. */
    case INTERPRET_jmp_far:
    case INTERPRET_call_far:
    case INTERPRET_ret_far:
    case INTERPRET_iret:
        if (insn->code_size == 16)
            return true;
        break;
    case INTERPRETER_NONE: /* KMOVQ k, ESP: AMD's processors read all of RSP there */
        if (insn->code_size == 16 && insn->encoding == ENCODING_VEX && insn->map == 1 &&
            insn->opcode == 0x92 && insn->rm == REGISTER_RSP)
            return true;
        break;
    case INTERPRET_rdfsbase:
    case INTERPRET_rdgsbase:
    case INTERPRET_wrfsbase:
    case INTERPRET_wrgsbase:
    case INTERPRET_mov_to_segment:
    case INTERPRET_pop_segment:
    case INTERPRET_load_far_pointer:
    case INTERPRET_mov_from_segment:
    case INTERPRET_push_segment:
        if (!g->segment_bases)
            return true;
        break;
    default:
        break;
    }
    /* Branches with 66h in 64-bit code: Intel ignores the prefix, AMD obeys it, immediate and all.
     */
    if (insn->code_size == 64 && insn->operand_override && insn->row->class == CLASS_TRANSFER)
        return true;
    return fs_or_gs && !g->segment_bases;
}

static bool acceptable(const struct generator *g, const struct instruction *insn)
{
    if (code_excluded(g, insn) || !cpu_model_has(g->model, insn->row->feature))
        return false;
    return insn->encoding != ENCODING_EVEX || insn->vector_length == 64 ||
           cpu_model_has(g->model, insn->row->feature_vl);
}

/* ---- Any bytes ---- */

static unsigned put_prefixes(struct generator *g, uint8_t *code, unsigned bits)
{
    static const uint8_t legacy[] = { 0x66, 0xf2, 0xf3, 0x67, 0xf0, 0x2e, 0x36, 0x3e,
                                      0x64, 0x65, 0x26, 0x66, 0x66, 0xf2, 0xf3, 0xf3 };
    unsigned length = 0;
    while (length < 3 && random_below(g, 3) == 0)
        code[length++] = legacy[random_below(g, 16)];
    if (bits == 64 && random_below(g, 2))
        code[length++] = (uint8_t)(0x40 | random_below(g, 16));
    return length;
}

/* Gathers and scatters need so much else to be right that chance alone hardly finds them. */
static uint8_t random_opcode(struct generator *g)
{
    static const uint8_t gathers[] = { 0x90, 0x91, 0x92, 0x93, 0xa0, 0xa1, 0xa2, 0xa3 };
    return random_below(g, 16) ? (uint8_t)random_next(&g->random) : gathers[random_below(g, 8)];
}

static unsigned put_opcode(struct generator *g, uint8_t *code, unsigned length)
{
    switch (g->only_evex ? 15 : random_below(g, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: /* one byte */
        break;
    case 6:
    case 7:
    case 8:
    case 9:
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
        code[length++] = (uint8_t)(random_next(&g->random) | (random_below(g, 2) ? NO_VVVV : 0));
        break;
    case 13:
        code[length++] = 0xc4;
        code[length++] = (uint8_t)(0xe0 ^ (random_below(g, 8) << 5) ^ (1 + random_below(g, 3)));
        code[length++] = (uint8_t)(random_next(&g->random) | (random_below(g, 2) ? NO_VVVV : 0));
        break;
    default:
        code[length++] = 0x62;
        code[length++] = (uint8_t)(0xf0 ^ (random_below(g, 16) << 4) ^ (1 + random_below(g, 3)));
        code[length++] =
            (uint8_t)(random_next(&g->random) | 4 | (random_below(g, 2) ? NO_VVVV : 0));
        code[length++] =
            (uint8_t)(random_below(g, 2) ? random_next(&g->random) : 8 | random_below(g, 4) << 5);
        break;
    }
    code[length++] = random_opcode(g);
    return length;
}

static uint8_t random_modrm(struct generator *g)
{
    if (random_below(g, 3) == 0) /* a register form */
        return (uint8_t)(0xc0 | random_below(g, 64));
    if (random_below(g, 6) == 0) /* a SIB byte */
        return (uint8_t)((random_below(g, 192) & 0xf8) | 4);
    return (uint8_t)random_next(&g->random);
}

/* SIB, displacements and immediates: mostly small, so that base registers decide where an operand
 * lies. */
static void put_rest(struct generator *g, uint8_t *code, unsigned length)
{
    uint64_t low = random_next(&g->random), high = random_next(&g->random);
    uint8_t rest[16];
    if (random_below(g, 2))
        low &= 0x00000f3f00003f3full;
    memcpy(rest, &low, 8);
    memcpy(rest + 8, &high, 8);
    memcpy(code + length, rest, 16 - length);
}

static uint8_t random_bits(struct generator *g)
{
    switch (random_below(g, 16)) {
    case 0:
    case 1:
    case 2:
        return 32;
    case 3:
        return g->local_descriptors ? 16 : 32;
    default:
        return 64;
    }
}

static bool any_bytes(struct generator *g, struct input *in, struct instruction *insn)
{
    in->bits = random_bits(g);
    unsigned length = put_prefixes(g, in->code, in->bits);
    length = put_opcode(g, in->code, length);
    in->code[length++] = random_modrm(g);
    put_rest(g, in->code, length);
    return instruction_decode(in->code, 15, in->bits, insn) == DECODE_OK && acceptable(g, insn);
}

/* ---- A row of the table ---- */

static void template_note(struct code_templates *t, const struct input *in,
                          const struct instruction *insn)
{
    unsigned row = code_row(insn);
    unsigned length = insn->has_modrm ? insn->modrm_offset : insn->opcode_offset + 1u;
    if (t->count[row] == TEMPLATES_PER_ROW)
        return;
    if (t->count[row] == 0)
        t->reachable[t->reachable_count++] = row;
    struct code_template *out = &t->row[row][t->count[row]++];
    memcpy(out->bytes, in->code, length);
    out->length = (uint8_t)length;
    out->modrm = insn->modrm;
    out->has_modrm = insn->has_modrm;
    out->bits = in->bits;
}

struct code_templates *code_templates_make(struct generator *g)
{
    struct code_templates *t = calloc(1, sizeof(*t));
    uint64_t random = g->random;
    if (t == NULL)
        return NULL;
    t->reachable = calloc(instruction_row_count, sizeof(*t->reachable));
    t->count = calloc(instruction_row_count, 1);
    t->row = calloc(instruction_row_count, sizeof(*t->row));
    if (!t->reachable || !t->count || !t->row)
        return NULL;
    g->random = 1; /* the same templates whatever the seed */
    for (unsigned i = 0; i < SEARCHES; i++) {
        struct input in = { .bits = 0 };
        struct instruction insn;
        g->only_evex = i & 1; /* half of all rows, and the rarest encodings */
        if (any_bytes(g, &in, &insn))
            template_note(t, &in, &insn);
    }
    g->only_evex = false;
    g->random = random;
    return t;
}

static bool from_template(struct generator *g, struct input *in, struct instruction *insn)
{
    const struct code_templates *t = g->templates;
    unsigned row = t->reachable[random_below(g, t->reachable_count)];
    const struct code_template *from = &t->row[row][random_below(g, t->count[row])];
    unsigned length = from->length;
    memcpy(in->code, from->bytes, length);
    in->bits = from->bits;
    if (from->has_modrm) {
        uint8_t modrm = random_modrm(g);
        if (random_below(g, 2)) /* reg may extend the opcode, mod may be part of it */
            modrm = (uint8_t)((modrm & 0xc7) | (from->modrm & 0x38));
        if (random_below(g, 4) == 0)
            modrm = (uint8_t)((modrm & 0x3f) | (from->modrm & 0xc0));
        if (random_below(g, 8) == 0)
            modrm = from->modrm;
        in->code[length++] = modrm;
    }
    put_rest(g, in->code, length);
    return instruction_decode(in->code, 15, in->bits, insn) == DECODE_OK && code_row(insn) == row &&
           acceptable(g, insn);
}

void code_generate(struct generator *g, struct input *in, struct instruction *insn)
{
    for (;;) {
        memset(in->code, 0, sizeof(in->code));
        if (g->templates && random_below(g, 2) ? from_template(g, in, insn)
                                               : any_bytes(g, in, insn))
            break;
    }
    in->length = insn->length;
    memset(in->code + insn->length, 0x90, 16u - insn->length);
}

/* ---- Coverage ---- */

void code_coverage(const struct generator *g, const uint64_t *counts)
{
    unsigned reached = 0, missing = 0, not_given = 0, not_ours = 0;
    for (unsigned row = 1; row < instruction_row_count; row++) {
        const struct instruction_row *r = &instruction_rows[row];
        if (counts[row]) {
            reached++;
        } else if (!cpu_model_has(g->model, r->feature)) {
            not_given++;
        } else if (excluded_row(r)) {
            not_ours++;
        } else {
            missing++;
            printf("never run: %s (row %u, state %u)\n", r->mnemonic, row, r->state);
        }
    }
    printf(
        "coverage: %u rows run, %u never; %u left out on purpose, %u of features this CPU lacks\n",
        reached, missing, not_ours, not_given);
}
