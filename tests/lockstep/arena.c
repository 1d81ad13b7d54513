/* SPDX-License-Identifier: MIT */
/*
 * arena.c - the guest around a random program.
 */
#include <string.h>
#include "allocator/access.h"
#include "arena.h"

uint64_t random_value(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void put(struct pair *pair, uint64_t gpa, const void *data, size_t size)
{
    for (unsigned i = 0; i < MACHINES; i++)
        memcpy(pair->machine[i].ram + gpa, data, size);
}

static void put64(struct pair *pair, uint64_t gpa, uint64_t value)
{
    put(pair, gpa, &value, 8);
}

void arena_write(struct pair *pair, uint64_t gpa, const void *data, size_t size)
{
    if (memcmp(pair->machine[SOFT].ram + gpa, data, size))
        memory_mark_dirty(&pair->machine[SOFT].vm.memory, gpa, size);
    put(pair, gpa, data, size);
}

void arena_prepare(struct pair *pair)
{
    const uint8_t halt[16] = { 0xf4, 0xeb, 0xfd };  /* hlt; jmp back to it */
    put64(pair, GDT + 0x08, 0x00cf9b000000ffffull); /* kernel code, 32-bit */
    put64(pair, GDT + 0x10, 0x00af9b000000ffffull); /* kernel code, 64-bit */
    put64(pair, GDT + 0x18, 0x00cf93000000ffffull); /* kernel data */
    put64(pair, GDT + 0x20, 0x00cffb000000ffffull); /* user code, 32-bit: 0x23 */
    put64(pair, GDT + 0x28, 0x00cff3000000ffffull); /* user data: 0x2b */
    put64(pair, GDT + 0x30, 0x00affb000000ffffull); /* user code, 64-bit: 0x33 */
    put64(pair, GDT + 0x40, 0x00008b0000000067ull | (uint64_t)TSS << 16);
    put64(pair, GDT + 0x48, KERNEL >> 32);
    for (uint64_t vector = 0; vector < 256; vector++) {
        uint64_t at = HANDLERS + vector * 16, dpl = vector == 3 || vector == 4 ? 3 : 0;
        put64(pair, IDT + vector * 16,
              (at & 0xffff) | 0x10ull << 16 | 1ull << 32 /* IST1 */ |
                  (0x8e00ull | dpl << 13) << 32 | (at >> 16 & 0xffff) << 48);
        put64(pair, IDT + vector * 16 + 8, at >> 32);
        put(pair, HANDLERS_PAGE + vector * 16, halt, 16);
    }
    put64(pair, TSS + 0x24, KERNEL + KERNEL_STACK);
    put64(pair, TSS + 0x60, 0xffffull << 48);
}

/* ---- Page tables and data ---- */

/* P 1, W 2, U 4, A 0x20, D 0x40 */
static void page_tables(struct pair *pair, bool user)
{
    uint64_t u = user ? 4 : 0, keep = 0x60;
    static const uint8_t zero[4096];
    for (uint32_t table = PML4; table < TABLES_END; table += 4096)
        put(pair, table, zero, 4096);
    put64(pair, PML4, PDPT_LOW | 7);
    put64(pair, PDPT_LOW, PD_LOW | 7);
    put64(pair, PDPT_LOW + 8 * 3, PD_FOURTH | 7);
    put64(pair, PD_LOW, PT_LOW | 7);
    put64(pair, PD_LOW + 8 * (DATA_ADDRESS >> 21), PT_DATA | 7);
    put64(pair, PD_LOW + 8 * (CODE_ADDRESS >> 21), PT_CODE | 7);
    put64(pair, PD_FOURTH + 8 * 511, PT_TOP | 7);
    put64(pair, PML4 + 8 * 256, PDPT_KERNEL | 3);
    put64(pair, PDPT_KERNEL, PD_KERNEL | 3);
    put64(pair, PD_KERNEL, 0x83 | keep);
    /* Neighbours in linear memory are no neighbours in RAM. */
    for (uint64_t i = 0; i < PAGE_COUNT; i++)
        put64(pair, PT_DATA + 8 * i, FRAME(16 + (i * 5 & 15)) | 3 | u | keep | (i & 1) << 63);
    put64(pair, PT_DATA + 8 * PAGE_READ_ONLY, FRAME(1) | 1 | u | keep);
    put64(pair, PT_DATA + 8 * PAGE_ABSENT, FRAME(2) | 2 | u);
    put64(pair, PT_DATA + 8 * PAGE_OTHER_RING, FRAME(3) | 3 | (u ^ 4) | keep);
    put64(pair, PT_DATA + 8 * PAGE_DEVICE, DEVICE_ADDRESS | 3 | u | keep);
    put64(pair, PT_DATA + 8 * PAGE_KEY, FRAME(4) | 3 | u | keep | 1ull << 59);
    for (uint64_t i = 0; i < CODE_PAGES; i++) {
        put64(pair, PT_CODE + 8 * i, FRAME(5 + 2 * i) | 3 | u | keep);
        put64(pair, PT_CODE + 8 * (i + (CODE_ALIAS - CODE_ADDRESS) / 4096),
              FRAME(5 + 2 * i) | 3 | u);
        put64(pair, PT_DATA + 8 * (PAGE_CODE_0 + i), FRAME(5 + 2 * i) | 3 | u | 1ull << 63);
    }
    put64(pair, PT_DATA + 8 * PAGE_DATA_ALIAS, FRAME(16) | 3 | u | keep);
    put64(pair, PT_DATA + 8 * PAGE_FRESH, FRAME(12) | 3 | u); /* A and D clear */
    for (uint64_t i = 0; i < 3; i++)
        put64(pair, PT_LOW + 8 * (LOW_ADDRESS / 4096 + i), FRAME(13 - i) | 3 | u | keep);
    put64(pair, PT_LOW, FRAME(14) | 3 | u | keep); /* what follows 4 GiB */
    put64(pair, PT_TOP + 8 * 511, FRAME(15) | 3 | u | keep);
}

/* Mostly addresses and small numbers, as memory holds. */
static uint64_t data_value(uint64_t *random)
{
    uint64_t value = random_value(random);
    switch (value >> 60) {
    case 0:
    case 1:
    case 2:
        return DATA_ADDRESS + (value & 0xffff);
    case 3:
    case 4:
        return CODE_ADDRESS + (value & 0x1fff);
    case 5:
    case 6:
    case 7:
    case 8:
        return (uint64_t)((int64_t)(value << 48) >> 56);
    case 9:
        return 0x3ff0000000000000ull + (value & 0xff) * 0x10000000000ull;
    default:
        return value;
    }
}

void arena_reset(struct pair *pair, enum program_mode mode, uint64_t seed)
{
    uint64_t page[512];
    page_tables(pair, mode == MODE_USER_64 || mode == MODE_USER_32);
    for (unsigned i = 0; i < 512; i++)
        page[i] = data_value(&seed);
    for (unsigned n = 0; n < FRAME_COUNT; n++) {
        page[n * 7 & 511] = data_value(&seed);
        arena_write(pair, FRAME(n), page, 4096);
    }
    for (unsigned i = 0; i < MACHINES; i++)
        tlb_flush_all(pair->machine[i].vcpu);
}

/* ---- Registers ---- */

static struct segment_register flat(uint16_t selector, uint16_t rights)
{
    return (
        struct segment_register){ .limit = 0xffffffffu, .selector = selector, .rights = rights };
}

static void mode_segments(struct vcpu_registers *r, enum program_mode mode)
{
    bool user = mode == MODE_USER_64 || mode == MODE_USER_32;
    struct segment_register data = user ? flat(0x2b, 0xc0f3) : flat(0x18, 0xc093);
    for (unsigned i = SEGMENT_ES; i <= SEGMENT_GS; i++)
        r->segment[i] = data;
    r->segment[SEGMENT_CS] = mode == MODE_USER_64     ? flat(0x33, 0xa0fb)
                             : mode == MODE_USER_32   ? flat(0x23, 0xc0fb)
                             : mode == MODE_KERNEL_64 ? flat(0x10, 0xa09b)
                                                      : flat(0x08, 0xc09b);
    r->cpl = user ? 3 : 0;
}

static void machine_registers(struct machine *m, enum program_mode mode, uint64_t options)
{
    struct vcpu_registers *r = &m->vcpu->r;
    uint64_t apic_base = r->apic_base;
    memset(r, 0, sizeof(*r));
    r->apic_base = apic_base;
    r->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP | (options & ARENA_WP_OFF ? 0 : CR0_WP) |
             (options & ARENA_TS ? CR0_TS : 0);
    r->cr3 = PML4;
    r->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE | CR4_PGE |
             (options & ARENA_SMAP ? CR4_SMAP | CR4_SMEP : 0) | (options & ARENA_PKE ? CR4_PKE : 0);
    r->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    r->xcr0 = XCR0_X87 | XCR0_SSE | (options & ARENA_AVX ? XCR0_AVX | XCR0_AVX512 : 0);
    r->xcr0 &= m->vm.model.xcr0_allowed;
    r->pkru = options & ARENA_PKE ? 8 : 0; /* key 1: no writes */
    r->gdtr = (struct table_register){ .base = KERNEL + GDT, .limit = 0x4f };
    r->idtr = (struct table_register){ .base = KERNEL + IDT, .limit = 0xfff };
    r->segment[SEGMENT_TR] = (struct segment_register){
        .base = KERNEL + TSS, .limit = 0x67, .selector = 0x40, .rights = 0x8b
    };
    r->segment[SEGMENT_LDTR].unusable = 1;
    r->dr[6] = 0xffff0ff0;
    r->dr[7] = 0x400;
    r->pat = 0x0007040600070406ull;
    mode_segments(r, mode);
    m->vcpu->debug_pending = 0;
    m->vcpu->nmi_pending = false;
}

void arena_registers(struct pair *pair, enum program_mode mode, uint64_t options)
{
    for (unsigned i = 0; i < MACHINES; i++)
        machine_registers(&pair->machine[i], mode, options);
}

/* ---- Interrupts ---- */

static void apic_write(struct machine *m, uint32_t reg, uint32_t value)
{
    (void)memory_physical_write(m->vcpu, APIC_BASE_ADDRESS + reg, &value, 4);
}

void arena_timer(struct pair *pair, uint32_t count)
{
    for (unsigned i = 0; i < MACHINES; i++) {
        struct machine *m = &pair->machine[i];
        apic_write(m, 0x0b0, 0);            /* the last program's interrupt is over */
        apic_write(m, 0x0f0, 0x1ff);        /* enable */
        apic_write(m, 0x3e0, 0xb);          /* divide by 1 */
        apic_write(m, 0x320, TIMER_VECTOR); /* one-shot */
        apic_write(m, 0x380, count);
    }
}

bool arena_frame(const struct pair *pair, struct arena_frame *frame)
{
    const struct vcpu_registers *r = &pair->machine[STEP].vcpu->r;
    uint64_t words[6], at = r->gpr[REGISTER_RSP] - KERNEL;
    uint64_t handler = r->rip - 1 - HANDLERS; /* HLT is done */
    if (handler >= 4096 || handler % 16 || at > KERNEL_STACK - 40)
        return false;
    memcpy(words, pair->machine[STEP].ram + at, sizeof(words));
    frame->vector = (unsigned)(handler / 16);
    bool error =
        frame->vector == 8 || (frame->vector >= 10 && frame->vector <= 14) || frame->vector == 17;
    const uint64_t *image = error ? words + 1 : words;
    *frame = (struct arena_frame){
        .vector = frame->vector, .rip = image[0], .rflags = image[2], .rsp = image[3]
    };
    return true;
}

void arena_return(struct pair *pair, enum program_mode mode, const struct arena_frame *frame)
{
    for (unsigned i = 0; i < MACHINES; i++) {
        struct machine *m = &pair->machine[i];
        struct vcpu_registers *r = &m->vcpu->r;
        struct segment_register fs = r->segment[SEGMENT_FS], gs = r->segment[SEGMENT_GS];
        if (frame->vector == TIMER_VECTOR)
            apic_write(m, 0x0b0, 0);
        mode_segments(r, mode);
        r->segment[SEGMENT_FS] = fs;
        r->segment[SEGMENT_GS] = gs;
        r->rip = frame->rip;
        r->rflags = frame->rflags;
        r->gpr[REGISTER_RSP] = frame->rsp;
        r->activity = ACTIVITY_RUNNING;
        vcpu_mode_changed(m->vcpu);
    }
}
