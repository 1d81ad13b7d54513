/* SPDX-License-Identifier: MIT */
/*
 * program.c - making random programs: any instruction of the table, and between them what is hard
 * on a translator: branches of all kinds, stores into code, accesses across pages, changes of mode
 * and mapping.
 */
#include <string.h>
#include "interpreter/interpreter.h"
#include "program.h"

struct author {
    struct program *p;
    const struct pool *pool;
    uint64_t random;
    bool wide, kernel;
    bool maps; /* changes mappings, else stores into its code: an INVLPG must not be overwritten */
    unsigned wanted;
    struct {
        uint16_t at, size, piece;
        bool absolute;
    } fixup[PROGRAM_INSNS * 2];
    unsigned fixup_count;
};

static uint64_t pick(struct author *a, uint64_t bound)
{
    return random_under(&a->random, bound);
}

static void byte(struct author *a, uint64_t value)
{
    if (a->p->size < PROGRAM_BYTES)
        a->p->code[a->p->size++] = (uint8_t)value;
}

static void bytes(struct author *a, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        byte(a, value >> (8 * i));
}

/* A place for the address of, or the distance to, piece number `piece`. */
static void label(struct author *a, unsigned size, bool absolute, unsigned piece)
{
    if (a->fixup_count < ARRAY_SIZE(a->fixup)) {
        a->fixup[a->fixup_count].at = (uint16_t)a->p->size;
        a->fixup[a->fixup_count].size = (uint16_t)size;
        a->fixup[a->fixup_count].piece = (uint16_t)piece;
        a->fixup[a->fixup_count++].absolute = absolute;
    }
    bytes(a, 0, size);
}

/* Mostly forwards, so that most programs end. */
static unsigned target(struct author *a)
{
    unsigned now = a->p->count;
    if (pick(a, 6) == 0)
        return (unsigned)pick(a, now + 1);
    return now + 1 + (unsigned)pick(a, 6);
}

/* A register's number; the translator's own two come often, RSP never. */
static unsigned reg(struct author *a)
{
    unsigned n = a->wide ? (pick(a, 3) ? (unsigned)pick(a, 16) : 10 + (unsigned)pick(a, 2))
                         : (unsigned)pick(a, 8);
    return n == REGISTER_RSP ? REGISTER_RAX : n;
}

static void rex(struct author *a, bool w, unsigned r, unsigned b)
{
    if (a->wide)
        byte(a, 0x40u | (w ? 8u : 0) | (r >= 8 ? 4u : 0) | (b >= 8 ? 1u : 0));
}

/* ModRM and address of an absolute operand. */
static void absolute(struct author *a, unsigned r, uint32_t address)
{
    byte(a, (r & 7u) << 3 | (a->wide ? 4u : 5u));
    if (a->wide)
        byte(a, 0x25);
    bytes(a, address, 4);
}

/* An address in the data pages, most often where two of them meet. */
static uint32_t data_address(struct author *a)
{
    uint32_t page = (uint32_t)pick(a, 4) ? (uint32_t)pick(a, 3) : (uint32_t)pick(a, PAGE_COUNT);
    uint32_t base = pick(a, 12) ? DATA_ADDRESS + page * 4096 : LOW_ADDRESS + (page & 3) * 4096;
    if (pick(a, 2))
        return base + 4096 - 16 + (uint32_t)pick(a, 32);
    return base + (uint32_t)pick(a, 4096);
}

static void load_register(struct author *a, unsigned r, uint64_t value)
{
    rex(a, true, 0, r);
    byte(a, 0xb8u | (r & 7u));
    bytes(a, value, a->wide ? 8 : 4);
}

static void load_label(struct author *a, unsigned r, unsigned piece)
{
    rex(a, true, 0, r);
    byte(a, 0xb8u | (r & 7u));
    label(a, a->wide ? 8 : 4, true, piece);
}

/* ---- Pieces ---- */

static bool suitable(const struct author *a, const struct instruction *insn)
{
    switch (insn->row->interpreter) {
    case INTERPRET_jmp_far:
    case INTERPRET_call_far:
    case INTERPRET_ret_far:
    case INTERPRET_iret:
    case INTERPRET_int_n:
    case INTERPRET_syscall:
    case INTERPRET_sysenter:
    case INTERPRET_hlt:
    case INTERPRET_sysret:
    case INTERPRET_sysexit:
        return false;
    default: /* what the kernel may do, the pieces below do in ways that leave the arena standing */
        return !a->kernel || insn->row->class != CLASS_PRIVILEGED;
    }
}

static void any_instruction(struct author *a, bool native)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        const struct instruction *insn =
            pool_pick(a->pool, a->wide, native, random_value(&a->random));
        if (insn == NULL || !suitable(a, insn))
            continue;
        for (unsigned i = 0; i < insn->length; i++)
            byte(a, insn->bytes[i]);
        return;
    }
    byte(a, 0x90);
}

static void native_instruction(struct author *a)
{
    any_instruction(a, true);
}

static void interpreted_instruction(struct author *a)
{
    any_instruction(a, false);
}

static void conditional_jump(struct author *a)
{
    byte(a, 0x0f);
    byte(a, 0x80u | pick(a, 16));
    label(a, 4, false, target(a));
}

static void relative_jump_or_call(struct author *a)
{
    byte(a, pick(a, 2) ? 0xe9 : 0xe8);
    label(a, 4, false, target(a));
}

static void computed_branch(struct author *a)
{
    unsigned r = reg(a), call = pick(a, 2) ? 2 : 4;
    load_label(a, r, target(a));
    if (pick(a, 3) == 0) { /* by way of memory */
        uint32_t at = data_address(a);
        rex(a, true, r, 0);
        byte(a, 0x89);
        absolute(a, r, at);
        byte(a, 0xff);
        absolute(a, call, at);
        return;
    }
    if (pick(a, 24) == 0 && a->wide) { /* not canonical */
        rex(a, true, 0, r);
        byte(a, 0xc1);
        byte(a, 0xe0u | (r & 7u));
        byte(a, 17 + pick(a, 8));
    }
    rex(a, false, 0, r);
    byte(a, 0xff);
    byte(a, 0xc0u | call << 3 | (r & 7u));
}

static void call_and_return(struct author *a)
{
    unsigned r = reg(a);
    load_label(a, r, target(a));
    rex(a, false, 0, r);
    byte(a, 0x50u | (r & 7u));
    if (pick(a, 3)) {
        byte(a, 0xc3);
    } else {
        byte(a, 0xc2);
        bytes(a, pick(a, 4) * 8, 2);
    }
}

static void push_or_pop(struct author *a)
{
    unsigned r = pick(a, 12) ? reg(a) : REGISTER_RSP;
    switch (pick(a, 5)) {
    case 0:
        byte(a, 0x68);
        bytes(a, random_value(&a->random), 4);
        return;
    case 1:
        byte(a, 0x6a);
        byte(a, pick(a, 256));
        return;
    default:
        rex(a, false, 0, r);
        byte(a, (pick(a, 2) ? 0x50u : 0x58u) | (r & 7u));
    }
}

/* Into code that is about to run or has run: by its own address, another page's or another mapping.
 */
static void store_into_code(struct author *a)
{
    struct program *p = a->p;
    uint32_t offset = (uint32_t)pick(a, p->size + 60);
    uint32_t at = (uint32_t)p->address + offset;
    unsigned size = 1u << pick(a, 3), r = reg(a);
    if (a->maps)
        return;
    if (p->frame[0] == FRAME(5) && pick(a, 2))
        at += pick(a, 2) ? CODE_ALIAS - CODE_ADDRESS
                         : DATA_ADDRESS + PAGE_CODE_0 * 4096 - CODE_ADDRESS;
    if (pick(a, 4) == 0) { /* a whole instruction that can be told apart */
        byte(a, 0xc7);
        absolute(a, 0, at);
        bytes(a, 0x90c0fe90u ^ (pick(a, 8) << 16), 4);
        return;
    }
    if (size == 2)
        byte(a, 0x66);
    rex(a, false, r, 0);
    byte(a, size == 1 ? 0x88 : 0x89);
    absolute(a, r, at);
}

static void access_memory(struct author *a)
{
    static const uint8_t opcodes[] = { 0x01, 0x03, 0x11, 0x13, 0x19, 0x1b, 0x29, 0x2b, 0x31, 0x33,
                                       0x39, 0x3b, 0x85, 0x87, 0x89, 0x8b, 0x88, 0x8a, 0x00, 0x02 };
    unsigned r = reg(a), size = (unsigned)pick(a, 3);
    if (pick(a, 8) == 0)
        byte(a, pick(a, 2) ? 0x64 : 0x65);
    if (size == 2)
        byte(a, 0x66);
    rex(a, size == 1, r, 0);
    byte(a, opcodes[pick(a, ARRAY_SIZE(opcodes))]);
    absolute(a, r, data_address(a));
}

/* Base, index, scale and displacement, with every register, the segments of threads and short
 * addresses. */
static void access_scaled(struct author *a)
{
    unsigned r = reg(a), base = reg(a), index = reg(a);
    if (pick(a, 6) == 0)
        byte(a, pick(a, 2) ? 0x64 : 0x65);
    if (pick(a, 10) == 0)
        byte(a, 0x67);
    if (a->wide)
        byte(a, 0x48u | (r >= 8 ? 4u : 0) | (index >= 8 ? 2u : 0) | (base >= 8 ? 1u : 0));
    byte(a, pick(a, 3) == 0 ? 0x8d : pick(a, 2) ? 0x8b : 0x01);
    byte(a, 0x44u | (r & 7u) << 3);
    byte(a, pick(a, 4) << 6 | (index & 7u) << 3 | (base & 7u));
    byte(a, pick(a, 256));
}

static void atomic_access(struct author *a)
{
    unsigned r = reg(a);
    byte(a, 0xf0);
    rex(a, pick(a, 2), r, 0);
    byte(a, 0x0f);
    byte(a, pick(a, 2) ? 0xc1 : 0xb1);
    absolute(a, r, data_address(a));
}

/* Flags that live on through loads, stores and the ends of blocks. */
static void flag_chain(struct author *a)
{
    unsigned r = reg(a), s = reg(a);
    rex(a, true, r, s);
    byte(a, pick(a, 2) ? 0x39 : 0x01);
    byte(a, 0xc0u | (r & 7u) << 3 | (s & 7u));
    access_memory(a);
    if (pick(a, 2))
        conditional_jump(a);
    rex(a, false, 0, s);
    byte(a, 0x0f);
    byte(a, 0x90u | pick(a, 16));
    byte(a, 0xc0u | (s & 7u));
}

static void bounded_loop(struct author *a)
{
    load_register(a, REGISTER_RCX, 1 + pick(a, 20));
    unsigned begin = a->p->size;
    if (pick(a, 2))
        access_memory(a);
    flag_chain(a);
    byte(a, 0xff); /* dec ecx */
    byte(a, 0xc9);
    byte(a, 0x0f);
    byte(a, 0x85);
    bytes(a, (uint64_t)begin - (a->p->size + 4), 4);
}

static void read_time(struct author *a)
{
    byte(a, 0x0f);
    byte(a, 0x31);
}

/* PUSHF, change a bit, POPF: TF, IF, DF, AC, NT, RF. */
static void change_flags(struct author *a)
{
    static const uint32_t bits[] = { FLAG_TF, FLAG_DF, FLAG_AC, FLAG_AC, FLAG_DF,
                                     FLAG_IF, FLAG_NT, FLAG_RF, FLAG_ID };
    byte(a, 0x9c);
    byte(a, 0x81); /* xor dword [rsp], bit */
    byte(a, 0x34);
    byte(a, 0x24);
    bytes(a, bits[pick(a, ARRAY_SIZE(bits))], 4);
    byte(a, 0x9d);
}

/* ---- Pieces that only a kernel may run ---- */

static void toggle_control(struct author *a)
{
    bool zero = pick(a, 2);
    byte(a, 0x0f); /* mov rax, cr0 or cr4 */
    byte(a, 0x20);
    byte(a, zero ? 0xc0 : 0xe0);
    rex(a, true, 0, 0);
    byte(a, 0x35); /* xor rax, bit */
    if (zero)
        bytes(a, pick(a, 2) ? CR0_TS : CR0_WP, 4);
    else
        bytes(a, pick(a, 3) == 0 ? CR4_PCE : pick(a, 2) ? CR4_OSFXSR : CR4_SMAP, 4);
    byte(a, 0x0f);
    byte(a, 0x22);
    byte(a, zero ? 0xc0 : 0xe0);
}

/* Changes the entry of a page that data or code lies in, then the processor is told. */
static void change_mapping(struct author *a)
{
    bool code = pick(a, 3) == 0;
    uint32_t page = (uint32_t)(code ? pick(a, CODE_PAGES) : pick(a, PAGE_COUNT));
    uint32_t linear = (code ? CODE_ADDRESS : DATA_ADDRESS) + page * 4096;
    uint64_t entry = (code ? FRAME(5 + 2 * pick(a, CODE_PAGES)) : FRAME(16 + pick(a, 16))) | 0x61;
    uint64_t here = a->p->address + a->p->size;
    /* Between the change and INVLPG either mapping may be seen: not of the page this runs in. */
    if (!a->wide || !a->maps || here >> 12 == linear >> 12 || (here + 64) >> 12 == linear >> 12)
        return;
    entry |= pick(a, 4) ? 2 : 0;
    /* No register gets to know where: what a change without INVLPG does is open. */
    load_register(a, REGISTER_RAX, entry);
    bytes(a, 0xa348, 2); /* mov [...], rax */
    bytes(a, KERNEL + (code ? PT_CODE : PT_DATA) + page * 8, 8);
    if (pick(a, 3)) {
        byte(a, 0x0f); /* invlpg */
        byte(a, 0x01);
        absolute(a, 7, linear);
    } else {
        bytes(a, 0xd8200fu, 3); /* mov rax, cr3; mov cr3, rax */
        bytes(a, 0xd8220fu, 3);
    }
}

static void toggle_interrupts_or_ac(struct author *a)
{
    switch (pick(a, 5)) {
    case 0:
        byte(a, 0xfa);
        return;
    case 1:
        byte(a, 0xfb);
        return;
    case 2:
        bytes(a, 0x060fu, 2); /* clts */
        return;
    default:
        bytes(a, pick(a, 2) ? 0xcb010fu : 0xca010fu, 3); /* stac, clac */
    }
}

static void set_extended(struct author *a)
{
    static const uint32_t values[] = { 1, 3, 7, 0xe7 };
    load_register(a, REGISTER_RAX, values[pick(a, 4)]);
    load_register(a, REGISTER_RCX, 0);
    load_register(a, REGISTER_RDX, 0);
    bytes(a, 0xd1010fu, 3);
}

/* From 64- to 32-bit code or back, in the same ring, to the next piece. */
static void change_code_size(struct author *a)
{
    unsigned selector = a->kernel ? (pick(a, 2) ? 0x08 : 0x10) : (pick(a, 2) ? 0x23 : 0x33);
    byte(a, 0x6a);
    byte(a, selector);
    byte(a, 0x68);
    label(a, 4, true, target(a));
    if (a->wide)
        byte(a, 0x48);
    byte(a, 0xcb);
}

/* ---- Programs ---- */

typedef void piece_writer(struct author *a);
static const struct {
    piece_writer *write;
    unsigned weight;
    bool kernel;
} pieces[] = {
    { native_instruction, 40, false },
    { interpreted_instruction, 6, false },
    { conditional_jump, 8, false },
    { relative_jump_or_call, 4, false },
    { computed_branch, 4, false },
    { call_and_return, 3, false },
    { push_or_pop, 8, false },
    { store_into_code, 5, false },
    { access_memory, 12, false },
    { access_scaled, 10, false },
    { atomic_access, 2, false },
    { flag_chain, 5, false },
    { bounded_loop, 3, false },
    { read_time, 1, false },
    { change_flags, 1, false },
    { change_code_size, 1, false },
    { toggle_control, 3, true },
    { change_mapping, 4, true },
    { toggle_interrupts_or_ac, 4, true },
    { set_extended, 1, true },
};

static void write_piece(struct author *a)
{
    unsigned sum = 0, kind = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
        sum += pieces[i].kernel && !a->kernel ? 0 : pieces[i].weight;
    uint64_t at = pick(a, sum);
    for (;; kind++) {
        unsigned weight = pieces[kind].kernel && !a->kernel ? 0 : pieces[kind].weight;
        if (at < weight)
            break;
        at -= weight;
    }
    a->p->start[a->p->count] = (uint16_t)a->p->size;
    pieces[kind].write(a);
    a->p->count++;
}

static void resolve(struct author *a)
{
    struct program *p = a->p;
    for (unsigned i = 0; i < a->fixup_count; i++) {
        unsigned at = a->fixup[i].at, size = a->fixup[i].size, piece = a->fixup[i].piece;
        uint64_t to = p->address + p->start[piece < p->count ? piece : p->count];
        if (at + size > p->size)
            continue;
        if (!a->fixup[i].absolute)
            to -= p->address + at + size;
        memcpy(p->code + at, &to, size);
    }
}

static uint64_t register_value(struct author *a)
{
    uint64_t value = random_value(&a->random);
    switch (pick(a, 10)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        return data_address(a);
    case 5:
        return pick(a, 64);
    case 6:
        return (uint64_t) - (int64_t)pick(a, 64);
    case 7:
        return a->p->address + pick(a, 256);
    case 8:
        return a->kernel ? KERNEL + FRAME(16 + pick(a, 16)) + pick(a, 4096) : 1ull << pick(a, 64);
    default:
        return value;
    }
}

static void place(struct author *a)
{
    struct program *p = a->p;
    uint64_t offset = pick(a, 3) ? pick(a, 4096) : 4096 - pick(a, 200);
    p->address = CODE_ADDRESS + offset;
    p->frame[0] = FRAME(5);
    p->frame[1] = FRAME(7);
    if (pick(a, 24) == 0) { /* about to run over the end of 4 GiB */
        p->address = TOP_ADDRESS + 4096 - pick(a, 300) - 1;
        p->frame[0] = FRAME(15);
        p->frame[1] = FRAME(14);
    }
}

static void initial_state(struct author *a)
{
    struct program *p = a->p;
    static const uint64_t bases[] = {
        0, 64, DATA_ADDRESS, 0xffffffffffffff00, 0x7ffffffff000, 0xffff800000000010, 0xfffff000
    };
    for (unsigned i = 0; i < 16; i++) {
        p->gpr[i] = register_value(a);
        if (!a->wide)
            p->gpr[i] = i < 8 ? (uint32_t)p->gpr[i] : 0;
    }
    p->gpr[REGISTER_RSP] = DATA_ADDRESS + 4096 * (1 + pick(a, 2)) + pick(a, 65) * 4 - 128;
    if (pick(a, 24) == 0)
        p->gpr[REGISTER_RSP] = pick(a, 2) ? pick(a, 16) : register_value(a);
    p->rflags = (random_value(&a->random) & FLAG_ARITHMETIC) | FLAG_ONE | FLAG_IF;
    p->rflags |= (pick(a, 8) ? 0 : FLAG_DF) | (pick(a, 6) ? 0 : FLAG_AC);
    p->rflags |= (pick(a, 50) ? 0 : FLAG_TF) | (pick(a, 50) ? 0 : FLAG_RF);
    p->fs_base = bases[pick(a, a->wide ? ARRAY_SIZE(bases) : 3)];
    p->gs_base = bases[pick(a, a->wide ? ARRAY_SIZE(bases) : 3)];
}

static void extended_state(struct author *a)
{
    uint8_t *area = a->p->extended;
    uint32_t mxcsr = pick(a, 6) ? 0x1f80 : 0x1f80 ^ (uint32_t)(1u << pick(a, 16));
    const uint16_t control = 0x37f;
    uint64_t present = 0xe7;
    for (unsigned i = 0; i < XSAVE_AREA_SIZE; i += 8) {
        uint64_t value = pick(a, 3) ? register_value(a) : 0x3ff8000000000000ull;
        memcpy(area + i, &value, 8);
    }
    memset(area, 0, 32);
    memset(area + 464, 0, 112);
    memcpy(area, &control, 2);
    memcpy(area + 24, &mxcsr, 4);
    memcpy(area + 512, &present, 8);
    for (unsigned i = 0; i < 8; i++)
        memset(area + 32 + 16 * i + 10, 0, 6);
}

void program_generate(struct program *p, const struct pool *pool, uint64_t seed)
{
    struct author author = { .p = p, .pool = pool, .random = seed }, *a = &author;
    memset(p, 0, sizeof(*p));
    p->mode = (enum program_mode)pick(a, PROGRAM_MODES);
    a->wide = p->mode == MODE_USER_64 || p->mode == MODE_KERNEL_64;
    a->kernel = p->mode == MODE_KERNEL_64 || p->mode == MODE_KERNEL_32;
    a->maps = a->kernel && pick(a, 2);
    a->wanted = 5 + (unsigned)pick(a, 46);
    p->options = (pick(a, 2) ? ARENA_SMAP : 0) | (pick(a, 16) ? 0 : ARENA_TS) |
                 (pick(a, 4) ? 0 : ARENA_WP_OFF) | (pick(a, 4) ? 0 : ARENA_PKE) |
                 (pick(a, 8) ? ARENA_AVX : 0);
    place(a);
    p->data_seed = random_value(&a->random);
    while (p->count < a->wanted && p->size < PROGRAM_BYTES - 100)
        write_piece(a);
    p->start[p->count] = (uint16_t)p->size;
    byte(a, 0xcc);
    resolve(a);
    initial_state(a);
    extended_state(a);
    p->timer = pick(a, 2) ? (uint32_t)(1 + pick(a, 120)) : 0;
    p->chunk_seed = random_value(&a->random);
    p->budget = 500;
    p->remap = pick(a, 8) ? 0 : 1 + (unsigned)pick(a, 8);
}
