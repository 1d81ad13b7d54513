/* SPDX-License-Identifier: MIT */
/*
 * program_run.c - a random program in both machines, until it ends or enough has happened.
 */
#include <string.h>
#include <Zydis/Zydis.h>
#include "allocator/access.h"
#include "interpreter/interpreter.h"
#include "program.h"

#define CALLS 160u /* of vcpu_run, at most */

static void load_code(struct pair *pair, const struct program *p)
{
    unsigned offset = (unsigned)(p->address & 4095), room = 4096 - offset;
    unsigned size = p->size < room ? p->size : room;
    arena_write(pair, p->frame[0] + offset, p->code, size);
    if (p->size > size)
        arena_write(pair, p->frame[1], p->code + size, p->size - size);
}

static void begin(struct pair *pair, const struct program *p)
{
    arena_registers(pair, p->mode, p->options);
    arena_reset(pair, p->mode, p->data_seed);
    load_code(pair, p);
    for (unsigned i = 0; i < MACHINES; i++) {
        struct vcpu *vcpu = pair->machine[i].vcpu;
        uint8_t *area = vcpu->stubs->vector_area;
        uint64_t present = vcpu->vm->model.xcr0_allowed & 0xe7;
        memcpy(area, p->extended, vcpu->vm->model.xsave_size);
        memcpy(area + 512, &present, 8);
        memcpy(vcpu->r.gpr, p->gpr, sizeof(p->gpr));
        vcpu->r.rip = p->address;
        vcpu->r.rflags = p->rflags;
        vcpu->r.segment[SEGMENT_FS].base = p->fs_base;
        vcpu->r.segment[SEGMENT_GS].base = p->gs_base;
        vcpu->fetch.generation = ~0ull;
        vcpu_mode_changed(vcpu);
    }
    arena_timer(pair, p->timer);
}

/* The linear address of a page starts to mean another one, in both machines at the same
 * instruction. */
static void remap(struct pair *pair, uint64_t random)
{
    static const uint32_t code[] = { FRAME(5), FRAME(7), FRAME(9) };
    bool is_code = random & 1;
    uint64_t page = random >> 8 & (is_code ? 1 : 7);
    uint32_t table = is_code ? PT_CODE : PT_DATA;
    uint32_t frame = is_code ? code[random >> 16 & 1] : FRAME(16 + (uint32_t)(random >> 16 & 15));
    for (unsigned i = 0; i < MACHINES; i++) {
        uint64_t *entry = (uint64_t *)(void *)(pair->machine[i].ram + table + page * 8);
        *entry = (*entry & ~0xff000ull) | frame;
        tlb_flush_page(pair->machine[i].vcpu,
                       (is_code ? CODE_ADDRESS : DATA_ADDRESS) + page * 4096);
    }
}

/* After a fault the program goes on behind the piece that faulted; after an interrupt or a trap,
 * there. */
static bool go_on(struct pair *pair, const struct program *p, struct program_counts *counts)
{
    struct arena_frame frame;
    if (!arena_frame(pair, &frame))
        return false;
    if (frame.vector == TIMER_VECTOR) {
        counts->interrupts++;
    } else {
        counts->faults++;
        uint64_t at = frame.rip - p->address;
        unsigned piece = 0;
        if (frame.vector == EXCEPTION_BP || frame.vector == EXCEPTION_DF || at >= p->size)
            return false;
        while (piece < p->count && p->start[piece] <= at)
            piece++;
        if (frame.vector != EXCEPTION_DB)
            frame.rip = p->address + p->start[piece];
    }
    arena_return(pair, p->mode, &frame);
    return true;
}

const char *program_run(struct pair *pair, const struct program *p, struct program_counts *counts)
{
    uint64_t random = p->chunk_seed;
    uint64_t first = pair->machine[STEP].vcpu->instructions, done = 0;
    bool pieces = random & 1;
    const char *what = NULL;
    begin(pair, p);
    for (unsigned call = 1; call <= CALLS && done < p->budget && what == NULL; call++) {
        uint64_t left = p->budget - done, piece = 1 + random_under(&random, 40);
        uint64_t budget = pieces && piece < left ? piece : left;
        enum vcpu_exit exit;
        what = pair_run(pair, budget, &exit);
        done = pair->machine[STEP].vcpu->instructions - first;
        if (call == p->remap)
            remap(pair, random_value(&random));
        if (what || exit == EXIT_BUDGET)
            continue;
        if (exit != EXIT_HALTED || !go_on(pair, p, counts))
            break;
    }
    counts->instructions += done;
    if (what == NULL && pair_compare_ram(pair, 0) < pair->ram_size)
        what = "memory";
    return what;
}

/* ---- When something differs ---- */

static bool differs(struct pair *pair, const struct program *p)
{
    struct program_counts counts;
    translator_flush(pair->machine[SOFT].vcpu);
    memcpy(pair->machine[STEP].ram, pair->machine[SOFT].ram, pair->ram_size);
    pair->machine[STEP].vcpu->instructions = pair->machine[SOFT].vcpu->instructions;
    pair->machine[STEP].vcpu->statistics = pair->machine[SOFT].vcpu->statistics;
    pair->machine[STEP].vm.controllers = pair->machine[SOFT].vm.controllers;
    for (unsigned i = 0; i < MACHINES; i++) {
        pair->machine[i].vcpu->attention = 0;
        pair->machine[i].vcpu->boundary_check = 0;
        pair->machine[i].vm.machine_deadline = CLOCK_NEVER;
    }
    return program_run(pair, p, &counts) != NULL;
}

void program_reduce(struct pair *pair, struct program *p)
{
    struct program smaller;
    if (!differs(pair, p)) {
        printf("(not reproduced alone: it needs what ran before it)\n");
        return;
    }
    for (unsigned i = 0; i < p->count; i++) {
        smaller = *p;
        memset(smaller.code + p->start[i], 0x90, (size_t)(p->start[i + 1] - p->start[i]));
        if (differs(pair, &smaller))
            *p = smaller;
    }
    smaller = *p;
    smaller.timer = 0;
    if (differs(pair, &smaller))
        *p = smaller;
    smaller = *p;
    smaller.remap = 0;
    if (differs(pair, &smaller))
        *p = smaller;
    /* The shortest run that shows it: the last instruction of it is the one. */
    smaller = *p;
    for (smaller.budget = 1; smaller.budget < p->budget && !differs(pair, &smaller);)
        smaller.budget++;
    *p = smaller;
    (void)differs(pair, p);
}

void program_show(const struct program *p, FILE *out)
{
    static const char *modes[] = { "user 64", "kernel 64", "user 32", "kernel 32" };
    bool wide = p->mode == MODE_USER_64 || p->mode == MODE_KERNEL_64;
    fprintf(out,
            "mode: %s, options %#llx, rflags %#llx, fs %#llx, gs %#llx, timer %u, remap %u, "
            "%u instructions\n",
            modes[p->mode], (unsigned long long)p->options, (unsigned long long)p->rflags,
            (unsigned long long)p->fs_base, (unsigned long long)p->gs_base, p->timer, p->remap,
            p->budget);
    for (unsigned i = 0; i < 16; i++)
        fprintf(out, "  r%-2u %016llx%s", i, (unsigned long long)p->gpr[i], i % 4 == 3 ? "\n" : "");
    for (unsigned at = 0; at < p->size;) {
        ZydisDisassembledInstruction line;
        uint64_t address = p->address + at;
        if (p->code[at] == 0x90) {
            at++;
            continue;
        }
        if (!ZYAN_SUCCESS(ZydisDisassembleIntel(wide ? ZYDIS_MACHINE_MODE_LONG_64
                                                     : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                                address, p->code + at, p->size - at, &line))) {
            fprintf(out, "  %llx  %02x (bad)\n", (unsigned long long)address, p->code[at]);
            at++;
            continue;
        }
        fprintf(out, "  %llx ", (unsigned long long)address);
        for (unsigned i = 0; i < line.info.length; i++)
            fprintf(out, " %02x", p->code[at + i]);
        fprintf(out, "  %s\n", line.text);
        at += line.info.length;
    }
}
