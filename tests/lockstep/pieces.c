/* SPDX-License-Identifier: MIT */
/*
 * pieces.c - what random programs are made of: any instruction of the table, and between them what
 * is hard on a translator: branches of all kinds, stores into code, accesses across pages, changes
 * of mode and mapping.
 */
#include <string.h>
#include "interpreter/interpreter.h"
#include "author.h"

/* A place for the address of, or the distance to, piece number `piece`. */
static void label(struct author *a, unsigned size, bool absolute, unsigned piece)
{
    if (a->fixup_count < ARRAY_SIZE(a->fixup)) {
        a->fixup[a->fixup_count].at = (uint16_t)a->p->size;
        a->fixup[a->fixup_count].size = (uint16_t)size;
        a->fixup[a->fixup_count].piece = (uint16_t)piece;
        a->fixup[a->fixup_count++].absolute = absolute;
    }
    author_bytes(a, 0, size);
}

/* Mostly forwards, so that most programs end. */
static unsigned target(struct author *a)
{
    unsigned now = a->p->count;
    if (author_pick(a, 6) == 0)
        return (unsigned)author_pick(a, now + 1);
    return now + 1 + (unsigned)author_pick(a, 6);
}

/* A register's number; the translator's own two come often, RSP never. */
static unsigned reg(struct author *a)
{
    unsigned n = a->wide ? (author_pick(a, 3) ? (unsigned)author_pick(a, 16)
                                              : 10 + (unsigned)author_pick(a, 2))
                         : (unsigned)author_pick(a, 8);
    return n == REGISTER_RSP ? REGISTER_RAX : n;
}

static void rex(struct author *a, bool w, unsigned r, unsigned b)
{
    if (a->wide)
        author_byte(a, 0x40u | (w ? 8u : 0) | (r >= 8 ? 4u : 0) | (b >= 8 ? 1u : 0));
}

/* ModRM and address of an absolute operand. */
static void absolute(struct author *a, unsigned r, uint32_t address)
{
    author_byte(a, (r & 7u) << 3 | (a->wide ? 4u : 5u));
    if (a->wide)
        author_byte(a, 0x25);
    author_bytes(a, address, 4);
}

static void load_register(struct author *a, unsigned r, uint64_t value)
{
    rex(a, true, 0, r);
    author_byte(a, 0xb8u | (r & 7u));
    author_bytes(a, value, a->wide ? 8 : 4);
}

static void load_label(struct author *a, unsigned r, unsigned piece)
{
    rex(a, true, 0, r);
    author_byte(a, 0xb8u | (r & 7u));
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
            author_byte(a, insn->bytes[i]);
        return;
    }
    author_byte(a, 0x90);
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
    author_byte(a, 0x0f);
    author_byte(a, 0x80u | author_pick(a, 16));
    label(a, 4, false, target(a));
}

static void relative_jump_or_call(struct author *a)
{
    author_byte(a, author_pick(a, 2) ? 0xe9 : 0xe8);
    label(a, 4, false, target(a));
}

static void computed_branch(struct author *a)
{
    unsigned r = reg(a), call = author_pick(a, 2) ? 2 : 4;
    load_label(a, r, target(a));
    if (author_pick(a, 3) == 0) { /* by way of memory */
        uint32_t at = author_data_address(a);
        rex(a, true, r, 0);
        author_byte(a, 0x89);
        absolute(a, r, at);
        author_byte(a, 0xff);
        absolute(a, call, at);
        return;
    }
    if (author_pick(a, 24) == 0 && a->wide) { /* not canonical */
        rex(a, true, 0, r);
        author_byte(a, 0xc1);
        author_byte(a, 0xe0u | (r & 7u));
        author_byte(a, 17 + author_pick(a, 8));
    }
    rex(a, false, 0, r);
    author_byte(a, 0xff);
    author_byte(a, 0xc0u | call << 3 | (r & 7u));
}

static void call_and_return(struct author *a)
{
    unsigned r = reg(a);
    load_label(a, r, target(a));
    rex(a, false, 0, r);
    author_byte(a, 0x50u | (r & 7u));
    if (author_pick(a, 3)) {
        author_byte(a, 0xc3);
    } else {
        author_byte(a, 0xc2);
        author_bytes(a, author_pick(a, 4) * 8, 2);
    }
}

static void push_or_pop(struct author *a)
{
    unsigned r = author_pick(a, 12) ? reg(a) : REGISTER_RSP;
    switch (author_pick(a, 5)) {
    case 0:
        author_byte(a, 0x68);
        author_bytes(a, random_value(&a->random), 4);
        return;
    case 1:
        author_byte(a, 0x6a);
        author_byte(a, author_pick(a, 256));
        return;
    default:
        rex(a, false, 0, r);
        author_byte(a, (author_pick(a, 2) ? 0x50u : 0x58u) | (r & 7u));
    }
}

/* Into code that is about to run or has run: by its own address, another page's or another mapping.
 */
static void store_into_code(struct author *a)
{
    struct program *p = a->p;
    uint32_t offset = (uint32_t)author_pick(a, p->size + 60);
    uint32_t at = (uint32_t)p->address + offset;
    unsigned size = 1u << author_pick(a, 3), r = reg(a);
    if (a->maps)
        return;
    if (p->frame[0] == FRAME(5) && author_pick(a, 2))
        at += author_pick(a, 2) ? CODE_ALIAS - CODE_ADDRESS
                                : DATA_ADDRESS + PAGE_CODE_0 * 4096 - CODE_ADDRESS;
    if (author_pick(a, 4) == 0) { /* a whole instruction that can be told apart */
        author_byte(a, 0xc7);
        absolute(a, 0, at);
        author_bytes(a, 0x90c0fe90u ^ (author_pick(a, 8) << 16), 4);
        return;
    }
    if (size == 2)
        author_byte(a, 0x66);
    rex(a, false, r, 0);
    author_byte(a, size == 1 ? 0x88 : 0x89);
    absolute(a, r, at);
}

static void access_memory(struct author *a)
{
    static const uint8_t opcodes[] = { 0x01, 0x03, 0x11, 0x13, 0x19, 0x1b, 0x29, 0x2b, 0x31, 0x33,
                                       0x39, 0x3b, 0x85, 0x87, 0x89, 0x8b, 0x88, 0x8a, 0x00, 0x02 };
    unsigned r = reg(a), size = (unsigned)author_pick(a, 3);
    if (author_pick(a, 8) == 0)
        author_byte(a, author_pick(a, 2) ? 0x64 : 0x65);
    if (size == 2)
        author_byte(a, 0x66);
    rex(a, size == 1, r, 0);
    author_byte(a, opcodes[author_pick(a, ARRAY_SIZE(opcodes))]);
    absolute(a, r, author_data_address(a));
}

/* Base, index, scale and displacement, with every register, the segments of threads and short
 * addresses. */
static void access_scaled(struct author *a)
{
    unsigned r = reg(a), base = reg(a), index = reg(a);
    if (author_pick(a, 6) == 0)
        author_byte(a, author_pick(a, 2) ? 0x64 : 0x65);
    if (author_pick(a, 10) == 0)
        author_byte(a, 0x67);
    if (a->wide)
        author_byte(a, 0x48u | (r >= 8 ? 4u : 0) | (index >= 8 ? 2u : 0) | (base >= 8 ? 1u : 0));
    author_byte(a, author_pick(a, 3) == 0 ? 0x8d : author_pick(a, 2) ? 0x8b : 0x01);
    author_byte(a, 0x44u | (r & 7u) << 3);
    author_byte(a, author_pick(a, 4) << 6 | (index & 7u) << 3 | (base & 7u));
    author_byte(a, author_pick(a, 256));
}

static void atomic_access(struct author *a)
{
    unsigned r = reg(a);
    author_byte(a, 0xf0);
    rex(a, author_pick(a, 2), r, 0);
    author_byte(a, 0x0f);
    author_byte(a, author_pick(a, 2) ? 0xc1 : 0xb1);
    absolute(a, r, author_data_address(a));
}

/* Flags that live on through loads, stores and the ends of blocks. */
static void flag_chain(struct author *a)
{
    unsigned r = reg(a), s = reg(a);
    rex(a, true, r, s);
    author_byte(a, author_pick(a, 2) ? 0x39 : 0x01);
    author_byte(a, 0xc0u | (r & 7u) << 3 | (s & 7u));
    access_memory(a);
    if (author_pick(a, 2))
        conditional_jump(a);
    rex(a, false, 0, s);
    author_byte(a, 0x0f);
    author_byte(a, 0x90u | author_pick(a, 16));
    author_byte(a, 0xc0u | (s & 7u));
}

static void bounded_loop(struct author *a)
{
    load_register(a, REGISTER_RCX, 1 + author_pick(a, 20));
    unsigned begin = a->p->size;
    if (author_pick(a, 2))
        access_memory(a);
    flag_chain(a);
    author_byte(a, 0xff); /* dec ecx */
    author_byte(a, 0xc9);
    author_byte(a, 0x0f);
    author_byte(a, 0x85);
    author_bytes(a, (uint64_t)begin - (a->p->size + 4), 4);
}

static void read_time(struct author *a)
{
    author_byte(a, 0x0f);
    author_byte(a, 0x31);
}

/* PUSHF, change a bit, POPF: TF, IF, DF, AC, NT, RF. */
static void change_flags(struct author *a)
{
    static const uint32_t bits[] = { FLAG_TF, FLAG_DF, FLAG_AC, FLAG_AC, FLAG_DF,
                                     FLAG_IF, FLAG_NT, FLAG_RF, FLAG_ID };
    author_byte(a, 0x9c);
    author_byte(a, 0x81); /* xor dword [rsp], bit */
    author_byte(a, 0x34);
    author_byte(a, 0x24);
    author_bytes(a, bits[author_pick(a, ARRAY_SIZE(bits))], 4);
    author_byte(a, 0x9d);
}

/* ---- Pieces that only a kernel may run ---- */

static void toggle_control(struct author *a)
{
    bool zero = author_pick(a, 2);
    author_byte(a, 0x0f); /* mov rax, cr0 or cr4 */
    author_byte(a, 0x20);
    author_byte(a, zero ? 0xc0 : 0xe0);
    rex(a, true, 0, 0);
    author_byte(a, 0x35); /* xor rax, bit */
    if (zero)
        author_bytes(a, author_pick(a, 2) ? CR0_TS : CR0_WP, 4);
    else
        author_bytes(a,
                     author_pick(a, 3) == 0 ? CR4_PCE
                     : author_pick(a, 2)    ? CR4_OSFXSR
                                            : CR4_SMAP,
                     4);
    author_byte(a, 0x0f);
    author_byte(a, 0x22);
    author_byte(a, zero ? 0xc0 : 0xe0);
}

/* Changes the entry of a page that data or code lies in, then the processor is told. */
static void change_mapping(struct author *a)
{
    bool code = author_pick(a, 3) == 0;
    uint32_t page = (uint32_t)(code ? author_pick(a, CODE_PAGES) : author_pick(a, PAGE_COUNT));
    uint32_t linear = (code ? CODE_ADDRESS : DATA_ADDRESS) + page * 4096;
    uint64_t entry =
        (code ? FRAME(5 + 2 * author_pick(a, CODE_PAGES)) : FRAME(16 + author_pick(a, 16))) | 0x61;
    uint64_t here = a->p->address + a->p->size;
    /* Between the change and INVLPG either mapping may be seen: not of the page this runs in. */
    if (!a->wide || !a->maps || here >> 12 == linear >> 12 || (here + 64) >> 12 == linear >> 12)
        return;
    entry |= author_pick(a, 4) ? 2 : 0;
    /* No register gets to know where: what a change without INVLPG does is open. */
    load_register(a, REGISTER_RAX, entry);
    author_bytes(a, 0xa348, 2); /* mov [...], rax */
    author_bytes(a, KERNEL + (code ? PT_CODE : PT_DATA) + page * 8, 8);
    if (author_pick(a, 3)) {
        author_byte(a, 0x0f); /* invlpg */
        author_byte(a, 0x01);
        absolute(a, 7, linear);
    } else {
        author_bytes(a, 0xd8200fu, 3); /* mov rax, cr3; mov cr3, rax */
        author_bytes(a, 0xd8220fu, 3);
    }
}

static void toggle_interrupts_or_ac(struct author *a)
{
    switch (author_pick(a, 5)) {
    case 0:
        author_byte(a, 0xfa);
        return;
    case 1:
        author_byte(a, 0xfb);
        return;
    case 2:
        author_bytes(a, 0x060fu, 2); /* clts */
        return;
    default:
        author_bytes(a, author_pick(a, 2) ? 0xcb010fu : 0xca010fu, 3); /* stac, clac */
    }
}

static void set_extended(struct author *a)
{
    static const uint32_t values[] = { 1, 3, 7, 0xe7 };
    load_register(a, REGISTER_RAX, values[author_pick(a, 4)]);
    load_register(a, REGISTER_RCX, 0);
    load_register(a, REGISTER_RDX, 0);
    author_bytes(a, 0xd1010fu, 3);
}

/* From 64- to 32-bit code or back, in the same ring, to the next piece. */
static void change_code_size(struct author *a)
{
    unsigned selector =
        a->kernel ? (author_pick(a, 2) ? 0x08 : 0x10) : (author_pick(a, 2) ? 0x23 : 0x33);
    author_byte(a, 0x6a);
    author_byte(a, selector);
    author_byte(a, 0x68);
    label(a, 4, true, target(a));
    if (a->wide)
        author_byte(a, 0x48);
    author_byte(a, 0xcb);
}

/* ---- One after another ---- */

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

void author_write_piece(struct author *a)
{
    unsigned sum = 0, kind = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
        sum += pieces[i].kernel && !a->kernel ? 0 : pieces[i].weight;
    uint64_t at = author_pick(a, sum);
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

void author_resolve(struct author *a)
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
