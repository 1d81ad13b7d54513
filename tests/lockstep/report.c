/* SPDX-License-Identifier: MIT */
/*
 * report.c - what a person needs to find the cause of a difference: both states, the guest's code,
 * the host code made of it, and the memory that differs.
 */
#include <string.h>
#include <Zydis/Zydis.h>
#include "interpreter/interpreter.h"
#include "pair.h"

/* ---- Registers ---- */

#define FIELD(label, member)                                                                       \
    {                                                                                              \
        label, offsetof(struct vcpu_registers, member),                                            \
            sizeof(((struct vcpu_registers *)0)->member)                                           \
    }

static const struct field {
    const char *name;
    size_t offset, size;
} fields[] = {
    FIELD("rax", gpr[0]),
    FIELD("rcx", gpr[1]),
    FIELD("rdx", gpr[2]),
    FIELD("rbx", gpr[3]),
    FIELD("rsp", gpr[4]),
    FIELD("rbp", gpr[5]),
    FIELD("rsi", gpr[6]),
    FIELD("rdi", gpr[7]),
    FIELD("r8", gpr[8]),
    FIELD("r9", gpr[9]),
    FIELD("r10", gpr[10]),
    FIELD("r11", gpr[11]),
    FIELD("r12", gpr[12]),
    FIELD("r13", gpr[13]),
    FIELD("r14", gpr[14]),
    FIELD("r15", gpr[15]),
    FIELD("rip", rip),
    FIELD("rflags", rflags),
    FIELD("cpl", cpl),
    FIELD("es.base", segment[0].base),
    FIELD("cs.base", segment[1].base),
    FIELD("ss.base", segment[2].base),
    FIELD("ds.base", segment[3].base),
    FIELD("fs.base", segment[4].base),
    FIELD("gs.base", segment[5].base),
    FIELD("es", segment[0].selector),
    FIELD("cs", segment[1].selector),
    FIELD("ss", segment[2].selector),
    FIELD("ds", segment[3].selector),
    FIELD("fs", segment[4].selector),
    FIELD("gs", segment[5].selector),
    FIELD("cr0", cr0),
    FIELD("cr2", cr2),
    FIELD("cr3", cr3),
    FIELD("cr4", cr4),
    FIELD("xcr0", xcr0),
    FIELD("efer", efer),
    FIELD("pkru", pkru),
    FIELD("dr6", dr[6]),
    FIELD("dr7", dr[7]),
    FIELD("shadow", interrupt_shadow),
    FIELD("activity", activity),
};

static unsigned long long field_value(const struct vcpu_registers *r, const struct field *field)
{
    unsigned long long value = 0;
    memcpy(&value, (const uint8_t *)r + field->offset, field->size);
    return value;
}

/* Vector registers differ rarely and fill the screen: only those that do are shown. */
static void report_vectors(struct pair *pair, FILE *out)
{
    const uint8_t *soft = pair->machine[SOFT].vcpu->stubs->vector_area;
    const uint8_t *step = pair->machine[STEP].vcpu->stubs->vector_area;
    struct {
        const char *name;
        unsigned offset, size, count;
    } parts[] = {
        { "mxcsr", 24, 4, 1 },     { "x87 control", 0, 8, 1 }, { "st", 32, 16, 8 },
        { "xmm", 160, 16, 16 },    { "ymm high", 2, 16, 16 },  { "k", 5, 8, 8 },
        { "zmm high", 6, 32, 16 }, { "zmm16+", 7, 64, 16 },    { "in use", 512, 8, 1 },
    };
    for (unsigned i = 4; i < 8; i++) {
        unsigned size;
        extended_component(parts[i].offset, &parts[i].offset, &size);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        for (unsigned n = 0; n < parts[i].count; n++) {
            unsigned at = parts[i].offset + n * parts[i].size;
            if (memcmp(soft + at, step + at, parts[i].size) == 0)
                continue;
            fprintf(out, "* %s[%u]\n    Soft", parts[i].name, n);
            for (unsigned b = parts[i].size; b-- > 0;)
                fprintf(out, "%s%02x", b % 4 == 3 ? " " : "", soft[at + b]);
            fprintf(out, "\n    Step");
            for (unsigned b = parts[i].size; b-- > 0;)
                fprintf(out, "%s%02x", b % 4 == 3 ? " " : "", step[at + b]);
            fprintf(out, "\n");
        }
    }
}

void report_registers(struct pair *pair, FILE *out)
{
    const struct vcpu *soft = pair->machine[SOFT].vcpu, *step = pair->machine[STEP].vcpu;
    fprintf(out, "  %-9s %-18s %-18s\n", "", "Soft", "Step");
    fprintf(out, "%c %-9s %-18llu %-18llu\n", soft->instructions == step->instructions ? ' ' : '*',
            "retired", (unsigned long long)soft->instructions,
            (unsigned long long)step->instructions);
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        unsigned long long a = field_value(&soft->r, &fields[i]);
        unsigned long long b = field_value(&step->r, &fields[i]);
        if (i < 20 || a != b)
            fprintf(out, "%c %-9s %-18llx %-18llx\n", a == b ? ' ' : '*', fields[i].name, a, b);
    }
    for (unsigned v = 0; v < 32; v++) {
        uint64_t a = soft->statistics.exceptions[v], b = step->statistics.exceptions[v];
        if (a != b)
            fprintf(out, "* exception %u was delivered %llu times by Soft, %llu by Step\n", v,
                    (unsigned long long)a, (unsigned long long)b);
    }
    if (soft->statistics.interrupts != step->statistics.interrupts)
        fprintf(out, "* interrupts: %llu by Soft, %llu by Step\n",
                (unsigned long long)soft->statistics.interrupts,
                (unsigned long long)step->statistics.interrupts);
    report_vectors(pair, out);
}

/* ---- Memory ---- */

void report_memory(const struct pair *pair, FILE *out)
{
    uint64_t at = 0, places = 0;
    for (;;) {
        at = pair_compare_ram(pair, at);
        if (at >= pair->ram_size)
            break;
        if (places++ < 8) {
            uint64_t row = at & ~7ull;
            fprintf(out, "* guest-physical %#llx: Soft", (unsigned long long)row);
            for (unsigned i = 0; i < 8; i++)
                fprintf(out, " %02x", pair->machine[SOFT].ram[row + i]);
            fprintf(out, "   Step");
            for (unsigned i = 0; i < 8; i++)
                fprintf(out, " %02x", pair->machine[STEP].ram[row + i]);
            fprintf(out, "\n");
        }
        at = (at & ~7ull) + 8;
    }
    fprintf(out, places ? "memory differs in %llu words\n" : "memory is equal\n",
            (unsigned long long)places);
}

/* ---- Code ---- */

static unsigned show_line(ZydisMachineMode mode, uint64_t address, const uint8_t *bytes,
                          unsigned available, const char *indent, FILE *out)
{
    ZydisDisassembledInstruction line;
    unsigned length = 1;
    const char *text = "(bad)";
    if (available && ZYAN_SUCCESS(ZydisDisassembleIntel(mode, address, bytes, available, &line))) {
        length = line.info.length;
        text = line.text;
    }
    fprintf(out, "%s%016llx ", indent, (unsigned long long)address);
    for (unsigned i = 0; i < length && i < available; i++)
        fprintf(out, " %02x", bytes[i]);
    fprintf(out, "%*s  %s\n", length < 10 ? (int)(3 * (10 - length)) : 0, "", text);
    return length;
}

static ZydisMachineMode machine_mode(unsigned code_size)
{
    return code_size == 64   ? ZYDIS_MACHINE_MODE_LONG_64
           : code_size == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
                             : ZYDIS_MACHINE_MODE_LONG_COMPAT_16;
}

/* Bytes at a linear address, without a trace in the guest. */
static unsigned peek(struct machine *m, uint64_t linear, uint8_t *bytes, unsigned size)
{
    unsigned done = 0;
    for (; done < size; done++) {
        uint64_t gpa;
        if (paging_lookup(m->vcpu, linear + done, &gpa))
            break;
        const uint8_t *host = memory_host(&m->vm.memory, gpa, 1, false);
        if (host == NULL)
            break;
        bytes[done] = *host;
    }
    return done;
}

void report_guest_code(struct machine *m, uint64_t rip, unsigned count, FILE *out)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t bytes[15];
        unsigned available = peek(m, rip, bytes, sizeof(bytes));
        rip += show_line(machine_mode(m->vcpu->code_size), rip, bytes, available,
                         i ? "     " : "  -> ", out);
    }
}

static void report_host_code(const struct translator *t, const struct soft_block *block,
                             uint32_t from, uint32_t to, FILE *out)
{
    uint32_t at = from;
    while (at < to && at < block->code_size) {
        const uint8_t *code = t->code + block->code + at;
        at += show_line(ZYDIS_MACHINE_MODE_LONG_64, (uint64_t)(uintptr_t)code, code,
                        block->code_size - at, "        ", out);
    }
}

void report_block(struct machine *m, const struct soft_block *block, FILE *out)
{
    const struct translator *t = m->vcpu->translator;
    const struct soft_insn *records = &t->insn[block->insns];
    uint32_t at = 0;
    fprintf(out, "block of %u guest instructions at %#llx, frame %#llx, mode %#x%s, %u bytes:\n",
            block->count, (unsigned long long)block->rip, (unsigned long long)block->frame,
            block->mode, block->valid ? "" : " (dropped)", block->code_size);
    for (unsigned i = 0; i < block->count; i++) {
        uint8_t bytes[15];
        unsigned available = (unsigned)(4096 - (block->rip & 4095) - records[i].guest);
        const uint8_t *host = memory_host(
            &m->vm.memory, (block->frame | (block->rip & 4095)) + records[i].guest, 1, false);
        report_host_code(t, block, at, records[i].host, out);
        at = records[i].host;
        if (host == NULL)
            break;
        available = available < 15 ? available : 15;
        memcpy(bytes, host, available);
        show_line(machine_mode(block->mode & MODE_WIDE ? 64 : 32), block->rip + records[i].guest,
                  bytes, available, "  ", out);
    }
    report_host_code(t, block, at, block->code_size, out);
}

void report_blocks(struct machine *m, uint64_t rip, FILE *out)
{
    const struct translator *t = m->vcpu->translator;
    unsigned shown = 0;
    for (uint32_t i = t->block_count; i > 0 && shown < 2; i--) {
        const struct soft_block *block = &t->block[i];
        const struct soft_insn *records = &t->insn[block->insns];
        for (unsigned n = 0; n < block->count; n++) {
            if (block->rip + records[n].guest == rip) {
                report_block(m, block, out);
                shown++;
                break;
            }
        }
    }
    if (shown == 0 && t->block_count) {
        fprintf(out, "no block holds %#llx; the last one translated:\n", (unsigned long long)rip);
        report_block(m, &t->block[t->block_count], out);
    }
}
