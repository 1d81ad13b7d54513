/* SPDX-License-Identifier: MIT */
/*
 * control_harness.c - see control_harness.h.
 */
#include "control_harness.h"
#include <sys/mman.h>

static int machine_port(struct vcpu *vcpu, uint16_t port, unsigned size, bool write,
                        uint32_t *value)
{
    struct machine *m = vcpu->host;
    if (!write)
        *value = m->port_input++;
    if (m->port_count < ARRAY_SIZE(m->port))
        m->port[m->port_count++] =
            (struct port_record){ .port = port, .size = size, .write = write, .value = *value };
    return m->cancel ? -ECANCELED : 0;
}

static int machine_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    const struct machine *m = vcpu->host;
    (void)gpa;
    (void)size;
    if (!write)
        *value = ~0ull;
    return m->cancel ? -ECANCELED : 0;
}

static const struct machine_operations operations = { .port = machine_port, .mmio = machine_mmio };

void set_page(struct machine *m, uint64_t linear, uint64_t entry)
{
    memcpy(m->ram + LEAVES + (linear >> 12) * 8, &entry, 8);
    tlb_flush_all(&m->vcpu);
}

static void tables_fill(struct machine *m)
{
    const uint64_t upper[3] = { (TABLES + 0x1000) | 7, (TABLES + 0x2000) | 7, LEAVES | 7 };
    for (unsigned i = 0; i < 3; i++)
        memcpy(m->ram + TABLES + i * 0x1000, &upper[i], 8);
    for (uint64_t page = 0; page < RAM_SIZE; page += 4096)
        set_page(m, page, page == HOLE ? 0 : page | 7);
}

static void segments_fill(struct machine *m, enum machine_mode mode, unsigned cpl)
{
    struct vcpu_registers *r = &m->vcpu.r;
    uint16_t dpl = (uint16_t)(cpl << RIGHTS_DPL_SHIFT);
    for (unsigned i = 0; i < SEGMENT_LDTR; i++) {
        uint16_t rights = (uint16_t)((i == SEGMENT_CS ? 0x9b : 0x93) | RIGHTS_G | RIGHTS_DB | dpl);
        r->segment[i] = (struct segment_register){ .limit = ~0u, .rights = rights };
        if (mode == MODE_REAL)
            r->segment[i] = (struct segment_register){ .limit = 0xffff, .rights = 0x93 };
    }
    if (mode == MODE_LONG64)
        r->segment[SEGMENT_CS].rights =
            (uint16_t)((r->segment[SEGMENT_CS].rights & ~RIGHTS_DB) | RIGHTS_L);
    r->segment[SEGMENT_TR] =
        (struct segment_register){ .base = TSS, .limit = 0x2067, .rights = 0x8b, .selector = 0x38 };
    r->segment[SEGMENT_LDTR] = (struct segment_register){ .unusable = 1 };
}

struct machine *machine_new(enum machine_mode mode, unsigned cpl, enum cpu_vendor vendor)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct cpu_model model;
    bool long_mode = mode == MODE_LONG64 || mode == MODE_COMPATIBILITY;
    assert_non_null(m);
    m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(m->ram != MAP_FAILED);
    cpu_model_init_vendor(&model, 1, vendor);
    vm_init(&m->vm, &model, &operations);
    hosted_clock_init(&m->vm, CLOCK_INSTRUCTIONS);
    struct stub_cache *stubs = hosted_stubs_create();
    assert_non_null(stubs);
    vcpu_init(&m->vcpu, &m->vm, 0, stubs);
    m->vcpu.host = m;
    assert_int_equal(
        memory_add_slot(&m->vm.memory,
                        &(struct memory_slot){ .size = RAM_SIZE, .host = m->ram, .fd = -1 }),
        0);
    struct vcpu_registers *r = &m->vcpu.r;
    r->cr0 = CR0_ET | CR0_NE | (mode == MODE_REAL ? 0 : CR0_PE) | (long_mode ? CR0_PG | CR0_WP : 0);
    r->cr4 = (long_mode ? CR4_PAE : 0u) | CR4_OSFXSR;
    r->cr3 = TABLES;
    r->efer = long_mode ? EFER_LME | EFER_LMA | EFER_SCE : 0;
    if (model.xcr0_allowed) {
        r->cr4 |= CR4_OSXSAVE;
        r->xcr0 = model.xcr0_allowed;
    }
    r->cpl = cpl;
    r->rip = mode == MODE_REAL ? 0x7c00 : CODE;
    tables_fill(m);
    segments_fill(m, mode, cpl);
    vcpu_mode_changed(&m->vcpu);
    m->vcpu.attention = 0;
    return m;
}

void machine_free(struct machine *m)
{
    hosted_stubs_destroy(m->vcpu.stubs);
    munmap(m->ram, RAM_SIZE);
    free(m);
}

int run(struct machine *m, const void *bytes, size_t size)
{
    struct vcpu *vcpu = &m->vcpu;
    struct instruction insn;
    uint8_t padded[16] = { 0 };

    memcpy(padded, bytes, size);
    if (instruction_decode(padded, size, vcpu->code_size, &insn) != DECODE_OK)
        return fault_ud(vcpu);
    assert_int_equal(insn.length, size);
    assert_int_not_equal(insn.row->interpreter, INTERPRETER_NONE);
    vcpu->next_rip = (vcpu->r.rip + insn.length) & vcpu->rip_mask;
    int result = interpreter_table[insn.row->interpreter](vcpu, &insn);
    if (result == 0 || result == -ECANCELED)
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

void random_fill(uint64_t *state, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(random_next(state) >> 32);
}

void random_extended_state(struct machine *m, uint64_t *state)
{
    uint8_t *area = hosted_extended_state(m->vcpu.stubs);
    const struct cpu_model *model = &m->vm.model;
    uint64_t components = model->xcr0_allowed & ~(uint64_t)XCR0_PKRU;
    uint32_t mxcsr = 0x1f80u ^ (uint32_t)(random_next(state) & 0x3f);
    uint16_t control = (uint16_t)(0x37f ^ (random_next(state) & 0xc00));
    uint16_t status = (uint16_t)(random_next(state) & 0x7f00 & ~0x80u);

    memset(area, 0, XSAVE_AREA_SIZE);
    random_fill(state, area + 32, 128);
    for (unsigned i = 0; i < 8; i++) /* the six bytes above each register are not state */
        memset(area + 32 + i * 16 + 10, 0, 6);
    random_fill(state, area + 160, 256);
    for (unsigned i = 2; i < 8; i++)
        random_fill(state, area + model->xstate[i].offset, model->xstate[i].size);
    memcpy(area, &control, 2);
    memcpy(area + 2, &status, 2);
    area[4] = (uint8_t)(random_next(state) | 1);
    memcpy(area + 24, &mxcsr, 4);
    memcpy(area + 512, &components, 8);
}
