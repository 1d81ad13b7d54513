/* SPDX-License-Identifier: MIT */
/*
 * compare.c - are two outcomes the same? What the manuals leave undefined is masked from the instruction
 * table; everything else must be equal.
 */
#include <stdio.h>
#include <string.h>
#include "engine.h"
#include "vector.h"

#define FLAGS_COMPARED (FLAG_ARITHMETIC | FLAG_DF | FLAG_AC | FLAG_NT)

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

/* Destination registers the manuals leave undefined: BSF/BSR of zero keeps the register on every CPU we
 * know, so nothing is masked here. */
static const char *compare_registers(const struct output *bare, const struct output *step)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    for (unsigned i = 0; i < 16; i++) {
        if (bare->gpr[i] != step->gpr[i])
            return names[i];
    }
    return bare->rip == step->rip ? NULL : "rip";
}

static const char *compare_extended(uint32_t size, struct output *bare, struct output *step)
{
    /* The x87 pointers show the stub's place on the host, and the kernel's words at 464 are its own. */
    memset(bare->extended + 6, 0, 18);
    memset(step->extended + 6, 0, 18);
    if (memcmp(bare->extended, step->extended, 24))
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

const char *compare(const struct batch *batch, uint32_t index, const struct instruction *insn,
                    struct output *bare, struct output *step)
{
    uint64_t flags = FLAGS_COMPARED & ~(uint64_t)insn->row->flags_undefined;
    const char *what = compare_fault(bare, step);
    (void)index;
    if (what == NULL)
        what = compare_registers(bare, step);
    if (what == NULL && ((bare->rflags ^ step->rflags) & flags))
        what = "rflags";
    if (what == NULL && memcmp(bare->data, step->data, DATA_SIZE))
        what = "memory";
    if (what == NULL)
        what = compare_extended(batch->extended_size, bare, step);
    return what;
}

static void show(const char *side, const struct output *out)
{
    printf("  %s: rip %llx flags %llx vector %u error %x address %llx\n   ", side,
           (unsigned long long)out->rip, (unsigned long long)out->rflags,
           out->faulted ? out->vector : 0, out->error, (unsigned long long)out->address);
    for (unsigned i = 0; i < 16; i++)
        printf(" %llx", (unsigned long long)out->gpr[i]);
    printf("\n");
}

void report(const struct batch *batch, uint32_t index, const struct instruction *insn,
            const struct output *bare, const struct output *step, const char *what)
{
    const struct input *in = &batch->input[index];
    printf("difference in %s: %s (%u-bit) bytes", what, insn->row->mnemonic, in->bits);
    for (unsigned i = 0; i < in->length; i++)
        printf(" %02x", in->code[i]);
    printf("\n  before: flags %llx\n   ", (unsigned long long)in->rflags);
    for (unsigned i = 0; i < 16; i++)
        printf(" %llx", (unsigned long long)in->gpr[i]);
    printf("\n");
    show("bare", bare);
    show("step", step);
    for (unsigned i = 0; i < DATA_SIZE; i++) {
        if (bare->data[i] != step->data[i]) {
            printf("  memory at %x: bare %02x step %02x\n", DATA_ADDRESS + i, bare->data[i],
                   step->data[i]);
            break;
        }
    }
    for (unsigned i = 0; i < EXTENDED_SIZE; i++) {
        if (bare->extended[i] != step->extended[i]) {
            printf("  extended state byte %u: bare %02x step %02x\n", i, bare->extended[i],
                   step->extended[i]);
            break;
        }
    }
}
