/* SPDX-License-Identifier: MIT */
#include "transfer_harness.h"
#include <sys/mman.h>

/* ---- Memory ---- */

void put(struct machine *m, uint64_t gpa, unsigned size, uint64_t value)
{
    memcpy(m->ram + gpa, &value, size);
}

uint64_t get(const struct machine *m, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, m->ram + gpa, size);
    return value;
}

static int machine_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    struct machine *m = vcpu->host;

    (void)gpa, (void)size;
    m->mmio++;
    if (!write)
        *value = ~0ull;
    return m->cancel ? -ECANCELED : 0;
}

static const struct machine_operations operations = { .mmio = machine_mmio };

static uint8_t *ram_new(void)
{
    /* A guard page on each side: an access outside the slot is a crash, not a silent success. */
    uint8_t *all = mmap(NULL, RAM_SIZE + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(all != MAP_FAILED);
    assert_int_equal(mprotect(all + 4096, RAM_SIZE, PROT_READ | PROT_WRITE), 0);
    return all + 4096;
}

/* ---- Tables ---- */

uint64_t make_segment(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}

void set_descriptor(struct machine *m, unsigned selector, uint64_t raw)
{
    put(m, GDT + (selector & ~7u), 8, raw);
}

void set_gate64(struct machine *m, unsigned vector, uint16_t selector, uint64_t offset,
                unsigned access, unsigned stack)
{
    put(m, IDT + vector * 16, 8,
        (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)stack << 32 |
            (uint64_t)access << 40 | (offset >> 16 & 0xffff) << 48);
    put(m, IDT + vector * 16 + 8, 8, offset >> 32);
}

void set_gate32(struct machine *m, unsigned vector, uint16_t selector, uint32_t offset,
                unsigned access)
{
    put(m, IDT + vector * 8, 8,
        (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)access << 40 |
            (uint64_t)(offset >> 16) << 48);
}

static void tables_fill(struct machine *m, bool long_mode)
{
    set_descriptor(m, CODE0_64, make_segment(0, 0xfffff, 0x9b, 0xa));
    set_descriptor(m, DATA0, make_segment(0, 0xfffff, 0x93, 0xc));
    set_descriptor(m, CODE3_32, make_segment(0, 0xfffff, 0xfb, 0xc));
    set_descriptor(m, DATA3, make_segment(0, 0xfffff, 0xf3, 0xc));
    set_descriptor(m, CODE3_64, make_segment(0, 0xfffff, 0xfb, 0xa));
    set_descriptor(m, CODE0_32, make_segment(0, 0xfffff, 0x9b, 0xc));
    set_descriptor(m, TSS_SELECTOR, make_segment(TSS, 0x867, 0x8b, 0));
    set_descriptor(m, CODE0_16, make_segment(0x8000, 0xffff, 0x9b, 0));
    set_descriptor(m, DATA0_16, make_segment(0x20000, 0xffff, 0x93, 0));
    set_descriptor(m, CONFORMING, make_segment(0, 0xfffff, 0x9f, 0xc));
    set_descriptor(m, DATA1, make_segment(0, 0xfffff, 0xb3, 0xc));
    set_descriptor(m, CODE1_32, make_segment(0, 0xfffff, 0xbb, 0xc));
    set_descriptor(m, TSS2_SELECTOR, make_segment(TSS2, 0x67, 0x89, 0));
    set_descriptor(m, LDT_SELECTOR, make_segment(LDT, 0xff, 0x82, 0));
    set_descriptor(m, ABSENT_CODE, make_segment(0, 0xfffff, 0x1b, long_mode ? 0xa : 0xc));
    set_descriptor(m, ABSENT_DATA, make_segment(0, 0xfffff, 0x13, 0xc));
    set_descriptor(m, EXECUTE_ONLY, make_segment(0, 0xfffff, 0x99, 0xc));
    set_descriptor(m, READ_ONLY, make_segment(0, 0xfffff, 0x91, 0xc));
    set_descriptor(m, EXPAND_DOWN, make_segment(0, 0x1f, 0x97, 0xc));
    set_descriptor(m, TASK_GATE_SELECTOR, (uint64_t)TSS2_SELECTOR << 16 | 0xe500ull << 32);
    if (long_mode) {
        put(m, TSS + 4, 8, STACK0);
        put(m, TSS + 12, 8, STACK0 - 0x1000);
        for (unsigned i = 1; i < 8; i++)
            put(m, TSS + 28 + i * 8, 8, STACK_I + i * 0x800);
    } else {
        put(m, TSS + 4, 4, STACK0);
        put(m, TSS + 8, 4, DATA0);
        put(m, TSS + 12, 4, STACK0 - 0x1000);
        put(m, TSS + 16, 4, DATA1 | 1);
    }
}

void set_page(struct machine *m, uint64_t linear, uint64_t entry)
{
    put(m, LEAVES + (linear >> 12) * 8, 8, entry);
    tlb_flush_all(&m->vcpu);
}

static void paging_fill(struct machine *m)
{
    put(m, TABLES, 8, (TABLES + 0x1000) | 7);
    put(m, TABLES + 0x1000, 8, (TABLES + 0x2000) | 7);
    put(m, TABLES + 0x2000, 8, LEAVES | 7);
    for (unsigned i = 0; i < RAM_SIZE >> 12; i++)
        put(m, LEAVES + i * 8, 8, (uint64_t)i << 12 | 7);
    put(m, LEAVES + (UNMAPPED >> 12) * 8, 8, 0);
}

/* ---- The machine ---- */

static void load(struct machine *m, unsigned segment, uint16_t selector)
{
    segment_from_descriptor(&m->vcpu.r.segment[segment], selector,
                            get(m, GDT + (selector & ~7u), 8));
}

static void segments_load(struct machine *m, enum machine_mode mode, unsigned cpl)
{
    struct vcpu_registers *r = &m->vcpu.r;
    uint16_t code = mode == MODE_LONG64 ? (cpl == 3 ? CODE3_64 : CODE0_64)
                                        : (cpl == 3   ? CODE3_32
                                           : cpl == 1 ? CODE1_32
                                                      : CODE0_32);
    uint16_t data = cpl == 3 ? DATA3 : cpl == 1 ? DATA1 : DATA0;

    for (unsigned i = 0; i < 6; i++) {
        if (mode == MODE_REAL)
            r->segment[i] = (struct segment_register){ .limit = 0xffff, .rights = 0x93 };
        else if (mode == MODE_VIRTUAL8086)
            segment_set_virtual8086(&r->segment[i], 0);
        else
            load(m, i, (uint16_t)((i == SEGMENT_CS ? code : data) | cpl));
    }
    load(m, SEGMENT_TR, TSS_SELECTOR);
    segment_set_null(&r->segment[SEGMENT_LDTR], 0, 0);
}

struct machine *machine_new(enum machine_mode mode, unsigned cpl)
{
    bool long_mode = mode == MODE_LONG64 || mode == MODE_COMPATIBILITY;
    struct machine *m = calloc(1, sizeof(*m));
    struct vcpu_registers *r;

    assert_non_null(m);
    m->ram = ram_new();
    m->vm.machine = &operations;
    m->vm.model.physical_bits = 39;
    m->vm.model.linear_bits = 48;
    m->vm.model.vendor_intel = true;
    memset(m->vm.model.feature, 0xff, sizeof(m->vm.model.feature));
    m->vm.vcpu_count = 1;
    m->vm.vcpus[0] = &m->vcpu;
    m->vcpu.vm = &m->vm;
    m->vcpu.host = m;
    m->vcpu.kick = &m->vcpu.own_kick;
    assert_int_equal(memory_add_slot(&m->vm.memory,
                                     &(struct memory_slot){
                                         .gpa = 0, .size = RAM_SIZE, .host = m->ram, .fd = -1 }),
                     0);
    r = &m->vcpu.r;
    r->rflags = FLAG_ONE | (mode == MODE_VIRTUAL8086 ? FLAG_VM | FLAG_IOPL : 0);
    r->cr0 = CR0_ET | CR0_NE | (mode == MODE_REAL ? 0 : CR0_PE) | (long_mode ? CR0_PG | CR0_WP : 0);
    r->cr4 = long_mode ? CR4_PAE : 0;
    r->cr3 = TABLES;
    r->efer = long_mode ? EFER_LME | EFER_LMA | EFER_SCE : 0;
    r->gdtr = (struct table_register){ .base = GDT, .limit = GDT_BYTES - 1 };
    r->idtr = (struct table_register){ .base = mode == MODE_REAL ? 0 : IDT,
                                       .limit = mode == MODE_REAL ? 0x3ff : 0xfff };
    r->dr[6] = 0xffff0ff0;
    r->dr[7] = 0x400;
    r->cpl = mode == MODE_VIRTUAL8086 ? 3 : cpl;
    tables_fill(m, long_mode);
    paging_fill(m);
    segments_load(m, mode, cpl);
    r->rip = mode == MODE_REAL || mode == MODE_VIRTUAL8086 ? 0x7c00 : CODE;
    r->gpr[REGISTER_RSP] = mode == MODE_REAL || mode == MODE_VIRTUAL8086 ? 0x7000
                           : cpl == 3                                    ? STACK3
                                                                         : STACK0 - 0x800;
    tlb_flush_all(&m->vcpu);
    vcpu_mode_changed(&m->vcpu);
    return m;
}

void machine_free(struct machine *m)
{
    munmap(m->ram - 4096, RAM_SIZE + 8192);
    free(m);
}

int run(struct machine *m, const char *bytes, size_t size)
{
    struct vcpu *vcpu = &m->vcpu;
    struct instruction insn;
    int result;

    result = instruction_decode((const uint8_t *)bytes, size, vcpu->code_size, &insn);
    if (result != DECODE_OK)
        return fault_ud(vcpu);
    assert_int_equal(insn.length, size);
    assert_int_not_equal(insn.row->interpreter, INTERPRETER_NONE);
    vcpu->next_rip = (vcpu->r.rip + insn.length) & vcpu->rip_mask;
    result = interpreter_table[insn.row->interpreter](vcpu, &insn);
    if (result == 0)
        vcpu->r.rip = vcpu->next_rip;
    return result;
}

void assert_fault(const struct machine *m, int result, unsigned vector, uint32_t error)
{
    assert_int_equal(result, -EFAULT);
    assert_int_equal(m->vcpu.fault.vector, vector);
    assert_int_equal(m->vcpu.fault.error, error);
}

uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}
