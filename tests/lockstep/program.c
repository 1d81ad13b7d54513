/* SPDX-License-Identifier: MIT */
/*
 * program.c - making random programs: where they lie, what they find in registers and memory, what
 * happens to them.
 */
#include <string.h>
#include "interpreter/interpreter.h"
#include "author.h"

static uint64_t register_value(struct author *a)
{
    uint64_t value = random_value(&a->random);
    switch (author_pick(a, 10)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        return author_data_address(a);
    case 5:
        return author_pick(a, 64);
    case 6:
        return (uint64_t) - (int64_t)author_pick(a, 64);
    case 7:
        return a->p->address + author_pick(a, 256);
    case 8:
        return a->kernel ? KERNEL + FRAME(16 + author_pick(a, 16)) + author_pick(a, 4096)
                         : 1ull << author_pick(a, 64);
    default:
        return value;
    }
}

static void place(struct author *a)
{
    struct program *p = a->p;
    uint64_t offset = author_pick(a, 3) ? author_pick(a, 4096) : 4096 - author_pick(a, 200);
    p->address = CODE_ADDRESS + offset;
    p->frame[0] = FRAME(5);
    p->frame[1] = FRAME(7);
    if (author_pick(a, 24) == 0) { /* about to run over the end of 4 GiB */
        p->address = TOP_ADDRESS + 4096 - author_pick(a, 300) - 1;
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
    p->gpr[REGISTER_RSP] =
        DATA_ADDRESS + 4096 * (1 + author_pick(a, 2)) + author_pick(a, 65) * 4 - 128;
    if (author_pick(a, 24) == 0)
        p->gpr[REGISTER_RSP] = author_pick(a, 2) ? author_pick(a, 16) : register_value(a);
    p->rflags = (random_value(&a->random) & FLAG_ARITHMETIC) | FLAG_ONE | FLAG_IF;
    p->rflags |= (author_pick(a, 8) ? 0 : FLAG_DF) | (author_pick(a, 6) ? 0 : FLAG_AC);
    p->rflags |= (author_pick(a, 50) ? 0 : FLAG_TF) | (author_pick(a, 50) ? 0 : FLAG_RF);
    p->fs_base = bases[author_pick(a, a->wide ? ARRAY_SIZE(bases) : 3)];
    p->gs_base = bases[author_pick(a, a->wide ? ARRAY_SIZE(bases) : 3)];
}

static void extended_state(struct author *a)
{
    uint8_t *area = a->p->extended;
    uint32_t mxcsr = author_pick(a, 6) ? 0x1f80 : 0x1f80 ^ (uint32_t)(1u << author_pick(a, 16));
    const uint16_t control = 0x37f;
    uint64_t present = 0xe7;
    for (unsigned i = 0; i < XSAVE_AREA_SIZE; i += 8) {
        uint64_t value = author_pick(a, 3) ? register_value(a) : 0x3ff8000000000000ull;
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
    p->mode = (enum program_mode)author_pick(a, PROGRAM_MODES);
    a->wide = p->mode == MODE_USER_64 || p->mode == MODE_KERNEL_64;
    a->kernel = p->mode == MODE_KERNEL_64 || p->mode == MODE_KERNEL_32;
    a->maps = a->kernel && author_pick(a, 2);
    a->wanted = 5 + (unsigned)author_pick(a, 46);
    p->options = (author_pick(a, 2) ? ARENA_SMAP : 0) | (author_pick(a, 16) ? 0 : ARENA_TS) |
                 (author_pick(a, 4) ? 0 : ARENA_WP_OFF) | (author_pick(a, 4) ? 0 : ARENA_PKE) |
                 (author_pick(a, 8) ? ARENA_AVX : 0);
    place(a);
    p->data_seed = random_value(&a->random);
    while (p->count < a->wanted && p->size < PROGRAM_BYTES - 100)
        author_write_piece(a);
    p->start[p->count] = (uint16_t)p->size;
    author_byte(a, 0xcc);
    author_resolve(a);
    initial_state(a);
    extended_state(a);
    p->timer = author_pick(a, 2) ? (uint32_t)(1 + author_pick(a, 120)) : 0;
    p->chunk_seed = random_value(&a->random);
    p->budget = 500;
    p->remap = author_pick(a, 8) ? 0 : 1 + (unsigned)author_pick(a, 8);
}
