/* SPDX-License-Identifier: MIT */
/*
 * compare.c - are two outcomes the same? What the manuals leave undefined is masked from the
 * instruction table; everything else must be equal.
 */
#include <stdio.h>
#include <string.h>
#include "engine.h"
#include "vector.h"

#define FLAGS_COMPARED (FLAG_ARITHMETIC | FLAG_DF | FLAG_AC | FLAG_NT | FLAG_ID)

static const char *compare_fault(const struct output *bare, const struct output *step)
{
    uint32_t mask = ~0u;
    if (bare->faulted != step->faulted || bare->vector != step->vector)
        return "fault vector";
    if (!bare->faulted)
        return NULL;
    /* Linux sets P for addresses of its own half before it shows the error code. */
    if (bare->vector == EXCEPTION_PF && bare->address >= 0x7ffffffff000ull)
        mask = ~1u;
    if ((bare->error ^ step->error) & mask)
        return "error code";
    if (bare->vector == EXCEPTION_PF && bare->address != step->address)
        return "fault address";
    return NULL;
}

/* Destination registers the manuals leave undefined: BSF/BSR of zero keeps the register on every
 * CPU we know, so nothing is masked here. */
static const char *compare_registers(const struct output *bare, const struct output *step)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    /* Outside 64-bit code nobody sees the upper halves: a trap saves half of RSP, AMD's KMOVD r, k
     * with W moves 64 bits ... */
    bool wide = (bare->selectors.cs & 0xfffcu) == (SELECTOR_CODE_64 & 0xfffcu);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t mask = wide ? ~0ull : 0xffffffff;
        /* With a stack in the local table Linux's way back (espfix) spoils the upper half. */
        if (i == REGISTER_RSP && (bare->selectors.ss & 4))
            mask = 0xffffffff;
        if ((bare->gpr[i] ^ step->gpr[i]) & mask)
            return names[i];
    }
    return bare->rip == step->rip ? NULL : "rip";
}

/* The x87 pointers (bytes 6 to 23) show the stub's place on the host, and the kernel's words at 464
 * are its own. */
static const char *compare_extended(uint32_t size, const struct output *bare,
                                    const struct output *step)
{
    if (memcmp(bare->extended, step->extended, 6))
        return "x87 control, status or tag word";
    if (memcmp(bare->extended + 24, step->extended + 24, 4))
        return "mxcsr";
    if (memcmp(bare->extended + 32, step->extended + 32, 128))
        return "x87 registers";
    if (memcmp(bare->extended + 160, step->extended + 160, 256))
        return "xmm registers";
    if (memcmp(bare->extended + 576, step->extended + 576, 256))
        return "ymm registers";
    if (memcmp(bare->extended + 832, step->extended + 832, size - 832))
        return "zmm or mask registers";
    return NULL;
}

/* Linux's return from the trap turns every null selector into 0 (SDM Vol. 2, IRET). */
static bool same_selector(uint16_t bare, uint16_t step)
{
    return bare == step || (bare == 0 && step <= 3);
}

static const char *compare_segments(const struct output *bare, const struct output *step)
{
    const struct selectors *b = &bare->selectors, *s = &step->selectors;
    if (b->cs != s->cs || b->ss != s->ss)
        return "cs or ss";
    if (!same_selector(b->ds, s->ds) || !same_selector(b->es, s->es) ||
        !same_selector(b->fs, s->fs) || !same_selector(b->gs, s->gs))
        return "ds, es, fs or gs";
    return bare->fs_base == step->fs_base && bare->gs_base == step->gs_base ? NULL
                                                                            : "fs or gs base";
}

/* PUSHF on the bare CPU pushes the TF that traps after it. */
static const char *compare_memory(const struct input *in, const struct instruction *insn,
                                  const struct output *bare, const struct output *step)
{
    uint64_t at = bare->gpr[REGISTER_RSP] + 1;
    uint8_t difference = FLAG_TF >> 8;
    if (memcmp(bare->data, step->data, DATA_SIZE) == 0)
        return NULL;
    if (insn->row->interpreter != INTERPRET_pushf || bare->faulted)
        return "memory";
    at = in->bits == 16 ? at & 0xffff : at - DATA_ADDRESS;
    if (at >= DATA_SIZE || (bare->data[at] ^ step->data[at]) != difference ||
        memcmp(bare->data, step->data, at) ||
        memcmp(bare->data + at + 1, step->data + at + 1, DATA_SIZE - at - 1))
        return "memory";
    return NULL;
}

const char *compare(const struct batch *batch, uint32_t index, const struct instruction *insn,
                    const struct output *bare, const struct output *step)
{
    uint64_t flags = FLAGS_COMPARED & ~(uint64_t)insn->row->flags_undefined;
    const char *what = compare_fault(bare, step);
    if (what == NULL)
        what = compare_registers(bare, step);
    if (what == NULL && ((bare->rflags ^ step->rflags) & flags))
        what = "rflags";
    if (what == NULL)
        what = compare_segments(bare, step);
    if (what == NULL)
        what = compare_memory(&batch->input[index], insn, bare, step);
    if (what == NULL)
        what = compare_extended(batch->extended_size, bare, step);
    return what;
}

static void show_selectors(const struct selectors *s, uint64_t fs_base, uint64_t gs_base)
{
    printf("    cs %x ss %x ds %x es %x fs %x (%llx) gs %x (%llx)\n", s->cs, s->ss, s->ds, s->es,
           s->fs, (unsigned long long)fs_base, s->gs, (unsigned long long)gs_base);
}

static void show(const char *side, const struct output *out)
{
    printf("  %s: rip %llx flags %llx vector %u error %x address %llx\n   ", side,
           (unsigned long long)out->rip, (unsigned long long)out->rflags,
           out->faulted ? out->vector : 0, out->error, (unsigned long long)out->address);
    for (unsigned i = 0; i < 16; i++)
        printf(" %llx", (unsigned long long)out->gpr[i]);
    printf("\n");
    show_selectors(&out->selectors, out->fs_base, out->gs_base);
}

void report(const struct batch *batch, uint32_t index, const struct instruction *insn,
            const struct output *bare, const struct output *step, const char *what)
{
    const struct input *in = &batch->input[index];
    printf("difference in %s: %s (%u-bit) bytes", what, insn->row->mnemonic, in->bits);
    for (unsigned i = 0; i < in->length; i++)
        printf(" %02x", in->code[i]);
    printf("\n  before: offset %x flags %llx\n   ", in->offset, (unsigned long long)in->rflags);
    for (unsigned i = 0; i < 16; i++)
        printf(" %llx", (unsigned long long)in->gpr[i]);
    printf("\n");
    show_selectors(&in->selectors, in->fs_base, in->gs_base);
    show("bare", bare);
    show("step", step);
    for (unsigned i = 0; i < DATA_SIZE; i++) {
        if (bare->data[i] != step->data[i]) {
            printf("  memory at %x: bare %02x step %02x\n", DATA_ADDRESS + i, bare->data[i],
                   step->data[i]);
            break;
        }
    }
    for (unsigned i = 0; i < batch->extended_size; i++) {
        if ((i >= 464 && i < 512) || (i >= 6 && i < 24))
            continue;
        if (bare->extended[i] != step->extended[i]) {
            printf("  extended state byte %u: bare %02x step %02x\n", i, bare->extended[i],
                   step->extended[i]);
            break;
        }
    }
}
