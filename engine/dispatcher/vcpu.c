/* SPDX-License-Identifier: MIT */
/*
 * vcpu.c - creation and reset of the virtual machine and its virtual CPUs.
 */
#include "../engine.h"
#include "../interpreter/interpreter.h"
#include "../step/stub.h"
#include "../support.h"

void vm_init(struct vm *vm, const struct cpu_model *model, const struct machine_operations *machine)
{
    memset(vm, 0, sizeof(*vm));
    vm->model = *model;
    vm->machine = machine;
    vm->machine_deadline = vm->machine_stop = CLOCK_NEVER;
    controllers_init(vm);
}

void vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned id, struct stub_cache *stubs)
{
    memset(vcpu, 0, sizeof(*vcpu));
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->stubs = stubs;
    vcpu->kick = &vcpu->own_kick;
    vm->vcpus[id] = vcpu;
    if (vm->vcpu_count <= id)
        vm->vcpu_count = id + 1;
    tlb_flush_all(vcpu);
    vcpu_reset(vcpu, false);
}

static void segment_reset(struct segment_register *segment, uint16_t rights)
{
    memset(segment, 0, sizeof(*segment));
    segment->limit = 0xffff;
    segment->rights = rights;
}

/* SDM Vol. 3, table 9-1. INIT keeps x87 and vector state, XCR0, MSRs other than those listed, and
 * the cache bits of CR0. */
void vcpu_reset(struct vcpu *vcpu, bool init)
{
    struct vcpu_registers *r = &vcpu->r;
    struct vcpu_registers old = *r;
    memset(r, 0, sizeof(*r));
    if (init) {
        *r = old;
        memset(r->gpr, 0, sizeof(r->gpr));
        memset(r->dr, 0, sizeof(r->dr));
        r->cr2 = r->cr3 = r->cr4 = r->efer = 0;
        r->interrupt_shadow = r->nmi_blocked = 0;
    } else {
        r->xcr0 = XCR0_X87;
        r->pat = 0x0007040600070406ull;
        r->misc_enable = 1;
        r->mtrr_def_type = 0;
    }
    r->rflags = FLAG_ONE;
    r->rip = 0xfff0;
    r->gpr[REGISTER_RDX] = 0x600;
    r->cr0 = CR0_ET | (init ? old.cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        segment_reset(&r->segment[i], 0x93);
    segment_reset(&r->segment[SEGMENT_CS], 0x9b);
    r->segment[SEGMENT_CS].selector = 0xf000;
    r->segment[SEGMENT_CS].base = 0xffff0000;
    segment_reset(&r->segment[SEGMENT_LDTR], 0x82);
    segment_reset(&r->segment[SEGMENT_TR], 0x8b);
    r->gdtr.limit = r->idtr.limit = 0xffff;
    r->dr[6] = 0xffff0ff0;
    r->dr[7] = 0x400;
    r->cpl = 0;
    r->activity = vcpu->id ? ACTIVITY_WAIT_INIT : ACTIVITY_RUNNING;
    vcpu->debug_pending = 0;
    vcpu->nmi_pending = vcpu->init_pending = false;
    vcpu->data_breakpoints = 0;
    lapic_reset(vcpu, init);
    tlb_flush_all(vcpu);
    vcpu_mode_changed(vcpu);
}
