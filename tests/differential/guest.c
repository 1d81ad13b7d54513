/* SPDX-License-Identifier: MIT */
/*
 * guest.c - the same instruction in the Step tier: a minimal 64-bit guest with the same user
 * addresses, an IDT whose handlers tell the vector by their address, and one vcpu_run of one
 * instruction.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "host/hosted.h"
#include "vector.h"

#define RAM_SIZE     0x100000u
#define PML4         0x1000u
#define PDPT_USER    0x2000u
#define PD_USER      0x3000u
#define PT_DATA      0x4000u
#define PT_CODE      0x5000u
#define PDPT_KERNEL  0x6000u
#define PD_KERNEL    0x7000u
#define IDT          0x8000u
#define TSS          0x9000u
#define GDT          0xa000u
#define LDT          0xb000u
#define KERNEL_STACK 0x20000u
#define DATA_PAGES   0x30000u
#define CODE_PAGES   0x40000u
#define KERNEL       0xffff800000000000ull
#define HANDLERS     (KERNEL + 0x50000u)

struct guest {
    struct vm vm;
    struct vcpu *vcpu;
    struct stub_cache *stubs;
    uint8_t *ram;
    uint64_t mask;
    uint32_t extended_size;
    struct vcpu_registers initial;
};

static int no_port(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t *value)
{
    (void)vcpu, (void)port, (void)size;
    if (!write)
        *value = ~0u;
    return 0;
}

static int no_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    (void)vcpu, (void)gpa, (void)size;
    if (!write)
        *value = ~0ull;
    return 0;
}

static int no_sync(struct vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

static const struct machine_operations operations = { no_port, no_mmio, no_sync };

static void put64(struct guest *guest, uint32_t at, uint64_t value)
{
    memcpy(guest->ram + at, &value, 8);
}

static uint64_t local_descriptor(const struct local_descriptor *d)
{
    uint64_t type = d->code ? 0xfb : d->down ? 0xf7 : d->read_only ? 0xf1 : 0xf3;
    return (d->limit & 0xffffu) | (uint64_t)(d->base & 0xffffffu) << 16 | type << 40 |
           (uint64_t)(d->limit >> 16 & 15) << 48 | (uint64_t)(d->base >> 24) << 56;
}

/* As Linux has them, as far as CPL 3 can tell. */
static void descriptors(struct guest *guest)
{
    put64(guest, GDT + 0x08, 0x00cf9b000000ffffull);
    put64(guest, GDT + 0x10, 0x00af9b000000ffffull); /* kernel code, 64-bit */
    put64(guest, GDT + 0x18, 0x00cf93000000ffffull);
    put64(guest, GDT + 0x20, 0x00cffb000000ffffull); /* user code, 32-bit: selector 0x23 */
    put64(guest, GDT + 0x28, 0x00cff3000000ffffull); /* user data: 0x2b */
    put64(guest, GDT + 0x30, 0x00affb000000ffffull); /* user code, 64-bit: 0x33 */
    put64(guest, GDT + 0x40, 0x00008b0000000067ull); /* task state segment */
    put64(guest, GDT + 0x50, 0x0000820000000027ull); /* local descriptor table */
    put64(guest, GDT + 0x78, 0x0040f50000000000ull); /* the processor's number */
    for (unsigned i = 0; i < LOCAL_DESCRIPTORS; i++)
        put64(guest, LDT + i * 8, local_descriptor(&local_descriptors[i]));
}

/* P = 1, W = 2, U = 4, PS = 0x80; everything a page table needs for the two user areas and the
 * kernel. */
static void tables(struct guest *guest)
{
    put64(guest, PML4, PDPT_USER | 7);
    put64(guest, PDPT_USER, PD_USER | 7);
    put64(guest, PD_USER + 8 * (DATA_ADDRESS >> 21), PT_DATA | 7);
    put64(guest, PD_USER + 8 * (CODE_ADDRESS >> 21), PT_CODE | 7);
    put64(guest, PT_DATA, DATA_PAGES | 0x67 | 1ull << 63);
    put64(guest, PT_DATA + 8, (DATA_PAGES + 4096) | 0x67 | 1ull << 63);
    put64(guest, PT_CODE, CODE_PAGES | 0x67);
    put64(guest, PT_CODE + 8, (CODE_PAGES + 4096) | 0x67);
    put64(guest, PML4 + 8 * 256, PDPT_KERNEL | 3);
    put64(guest, PDPT_KERNEL, PD_KERNEL | 3);
    put64(guest, PD_KERNEL, 0x83 | 0x60);
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t handler = HANDLERS + vector * 16;
        uint64_t dpl = vector == 3 || vector == 4 ? 3 : 0;
        put64(guest, IDT + vector * 16,
              (handler & 0xffff) | 0x10ull << 16 | (0x8e00ull | dpl << 13) << 32 |
                  (handler >> 16 & 0xffff) << 48);
        put64(guest, IDT + vector * 16 + 8, handler >> 32);
    }
    put64(guest, TSS + 0x60, 0xffffull << 48); /* no I/O permission bitmap */
    put64(guest, TSS + 4, KERNEL + KERNEL_STACK);
}

/* What loading `selector` puts into a segment register. */
static struct segment_register segment(const struct guest *guest, uint16_t selector)
{
    struct segment_register out = { .selector = selector, .unusable = 1 };
    uint64_t raw;
    if ((selector & 0xfffcu) == 0)
        return out;
    memcpy(&raw, guest->ram + (selector & 4 ? LDT : GDT) + (selector & 0xfff8u), 8);
    out.unusable = 0;
    out.base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000);
    out.limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));
    if (raw >> 55 & 1)
        out.limit = out.limit << 12 | 0xfff;
    out.rights = (uint16_t)(raw >> 40 & 0xf0ff);
    return out;
}

static void registers(struct guest *guest)
{
    struct vcpu_registers *r = &guest->initial;
    *r = guest->vcpu->r;
    r->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_AM;
    r->cr3 = PML4;
    r->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    r->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    r->xcr0 = guest->mask;
    r->gdtr = (struct table_register){ .base = KERNEL + GDT, .limit = 0x7f };
    r->idtr = (struct table_register){ .base = KERNEL + IDT, .limit = 0xfff };
    r->segment[SEGMENT_TR] = (struct segment_register){
        .base = KERNEL + TSS, .limit = 0x67, .selector = 0x40, .rights = 0x8b
    };
    r->segment[SEGMENT_LDTR] = (struct segment_register){
        .base = KERNEL + LDT, .limit = LOCAL_DESCRIPTORS * 8 - 1, .selector = 0x50, .rights = 0x82
    };
    r->cpl = 3;
}

struct guest *guest_create(uint64_t *extended_mask)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    struct cpu_model model;
    if (guest == NULL)
        return NULL;
    guest->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    guest->vcpu = calloc(1, sizeof(*guest->vcpu));
    guest->stubs = hosted_stubs_create();
    if (guest->ram == MAP_FAILED || guest->vcpu == NULL || guest->stubs == NULL)
        abort();
    cpu_model_init(&model, 1);
    vm_init(&guest->vm, &model, &operations);
    hosted_clock_init(&guest->vm, CLOCK_INSTRUCTIONS);
    if (memory_add_slot(&guest->vm.memory,
                        &(struct memory_slot){ .size = RAM_SIZE, .host = guest->ram, .fd = -1 }))
        abort();
    vcpu_init(guest->vcpu, &guest->vm, 0, guest->stubs);
    *extended_mask = guest->mask = model.xcr0_allowed & ~(uint64_t)XCR0_PKRU;
    guest->extended_size = extended_size();
    memset(guest->ram + CODE_PAGES, CODE_FILLER, CODE_SIZE);
    tables(guest);
    descriptors(guest);
    registers(guest);
    return guest;
}

const struct cpu_model *guest_model(const struct guest *guest)
{
    return &guest->vm.model;
}

static void segments(struct guest *guest, const struct input *in)
{
    struct segment_register *s = guest->vcpu->r.segment;
    s[SEGMENT_CS] = segment(guest, in->selectors.cs);
    s[SEGMENT_SS] = segment(guest, in->selectors.ss);
    s[SEGMENT_DS] = segment(guest, in->selectors.ds);
    s[SEGMENT_ES] = segment(guest, in->selectors.es);
    s[SEGMENT_FS] = segment(guest, in->selectors.fs);
    s[SEGMENT_GS] = segment(guest, in->selectors.gs);
    s[SEGMENT_FS].base = in->fs_base;
    s[SEGMENT_GS].base = in->gs_base;
}

static void load(struct guest *guest, const struct batch *batch, const struct input *in)
{
    struct vcpu *vcpu = guest->vcpu;
    uint8_t *area = hosted_extended_state(guest->stubs);
    uint32_t room = CODE_SIZE - in->offset;
    vcpu->r = guest->initial;
    memcpy(vcpu->r.gpr, in->gpr, sizeof(in->gpr));
    vcpu->r.rflags = in->rflags | FLAG_IF | FLAG_ONE;
    vcpu->r.rip = input_rip(in);
    segments(guest, in);
    memcpy(area, batch->extended[in->extended], guest->extended_size);
    memset(area + 512, 0, 64);
    memcpy(area + 512, &guest->mask, 8);
    memcpy(guest->ram + CODE_PAGES + in->offset, in->code, room < 16 ? room : 16);
    memcpy(guest->ram + DATA_PAGES, batch->data[in->data], DATA_SIZE);
    vcpu->debug_pending = 0;
    vcpu->attention = 0;
    vcpu_mode_changed(vcpu);
}

static void harvest(struct guest *guest, struct output *out)
{
    const struct vcpu_registers *r = &guest->vcpu->r;
    memcpy(out->gpr, r->gpr, sizeof(out->gpr));
    out->rip = r->rip;
    out->rflags = r->rflags;
    out->faulted = r->cpl == 0;
    out->vector = 1;
    out->error = 0;
    out->address = r->cr2;
    out->selectors = (struct selectors){
        .cs = r->segment[SEGMENT_CS].selector,
        .ss = r->segment[SEGMENT_SS].selector,
        .ds = r->segment[SEGMENT_DS].selector,
        .es = r->segment[SEGMENT_ES].selector,
        .fs = r->segment[SEGMENT_FS].selector,
        .gs = r->segment[SEGMENT_GS].selector,
    };
    out->fs_base = r->segment[SEGMENT_FS].base;
    out->gs_base = r->segment[SEGMENT_GS].base;
    if (out->faulted) {
        uint64_t frame[6]; /* error code, RIP, CS, RFLAGS, RSP, SS */
        uint64_t at = r->gpr[REGISTER_RSP] - KERNEL;
        out->vector = (uint8_t)((r->rip - HANDLERS) / 16);
        bool has_error =
            out->vector == 8 || (out->vector >= 10 && out->vector <= 14) || out->vector == 17;
        memset(frame, 0, sizeof(frame));
        if (at <= RAM_SIZE - sizeof(frame))
            memcpy(frame, guest->ram + at, sizeof(frame));
        const uint64_t *image = has_error ? frame + 1 : frame;
        out->error = has_error ? (uint32_t)frame[0] : 0;
        out->rip = image[0];
        out->selectors.cs = (uint16_t)image[1];
        out->rflags = image[2];
        out->gpr[REGISTER_RSP] = image[3];
        out->selectors.ss = (uint16_t)image[4];
    }
    memcpy(out->data, guest->ram + DATA_PAGES, DATA_SIZE);
    memcpy(out->extended, hosted_extended_state(guest->stubs), guest->extended_size);
}

void guest_run(struct guest *guest, const struct batch *batch, uint32_t index, struct output *out)
{
    const struct input *in = &batch->input[index];
    uint32_t room = CODE_SIZE - in->offset;
    enum vcpu_exit exit;
    load(guest, batch, in);
    /* A repeated string instruction is several runs: go on until it is left. */
    for (unsigned i = 0; i < 64; i++) {
        exit = vcpu_run(guest->vcpu, 1);
        if (exit != EXIT_BUDGET || !in->repeat || guest->vcpu->r.rip != input_rip(in))
            break;
    }
    if (in->shadow && exit == EXIT_BUDGET && guest->vcpu->r.cpl == 3)
        exit = vcpu_run(guest->vcpu, 1);
    harvest(guest, out);
    memset(guest->ram + CODE_PAGES + in->offset, CODE_FILLER, room < 16 ? room : 16);
    if (exit != EXIT_BUDGET) {
        out->faulted = true;
        out->vector = (uint8_t)(0xe0 + exit);
    }
}

void guest_destroy(struct guest *guest)
{
    hosted_stubs_destroy(guest->stubs);
    munmap(guest->ram, RAM_SIZE);
    free(guest->vcpu);
    free(guest);
}
