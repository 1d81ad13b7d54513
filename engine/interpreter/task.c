/* SPDX-License-Identifier: MIT */
/*
 * task.c - hardware task switches with 32- and 16-bit TSSs (SDM Vol. 3, chapter 7; AMD APM Vol.
 * 2, 12.2).
 *
 * Up to the commit point (the task register is loaded) a fault belongs to the old task and nothing
 * has changed but what is written into the TSSs. After it a fault is raised in the new task:
 * registers are the new task's, segment registers not yet validated are unusable.
 */
#include "transfer.h"

/* Offsets in the two formats (SDM Vol. 3, figures 7-2 and 7-10). */
struct tss_layout {
    uint8_t field;     /* bytes of one register field */
    uint8_t ip;        /* first of IP, FLAGS, eight general registers */
    uint8_t selectors; /* ES CS SS DS [FS GS], one field each */
    uint8_t selector_count;
    uint8_t ldt;
    uint8_t minimum; /* smallest legal limit */
};
static const struct tss_layout layout32 = { 4, 0x20, 0x48, 6, 0x60, 0x67 };
static const struct tss_layout layout16 = { 2, 0x0e, 0x22, 4, 0x2a, 0x2b };

/* What a TSS holds of the new task. */
struct task_image {
    uint64_t cr3;
    uint64_t rip, rflags;
    uint64_t gpr[8];
    uint16_t selector[6]; /* by enum segment_name */
    uint16_t ldt;
    bool trap; /* T: debug exception at the first instruction */
};

static const struct tss_layout *tss_layout(unsigned type)
{
    return type >= SYSTEM_TSS ? &layout32 : &layout16;
}

static uint64_t field_get(const uint8_t *bytes, unsigned offset, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, bytes + offset, size);
    return value;
}

static int image_read(struct vcpu *vcpu, const struct tss_layout *layout, uint64_t base,
                      struct task_image *image)
{
    uint8_t bytes[0x68] = { 0 };
    unsigned f = layout->field;
    int result = system_read(vcpu, base, bytes, layout->minimum + 1u, 0);

    if (result)
        return result;
    *image = (struct task_image){ .rip = field_get(bytes, layout->ip, f),
                                  .rflags = field_get(bytes, layout->ip + f, f),
                                  .ldt = (uint16_t)field_get(bytes, layout->ldt, 2) };
    for (unsigned i = 0; i < 8; i++)
        image->gpr[i] = field_get(bytes, layout->ip + (2 + i) * f, f);
    for (unsigned i = 0; i < layout->selector_count; i++)
        image->selector[i] = (uint16_t)field_get(bytes, layout->selectors + i * f, 2);
    if (layout == &layout32) {
        image->cr3 = field_get(bytes, 0x1c, 4);
        image->trap = bytes[0x64] & 1;
    }
    return 0;
}

/* Saves the old task's registers; `flags` is the image with NT as the switch wants it. */
static int image_save(struct vcpu *vcpu, const struct tss_layout *layout, uint64_t flags)
{
    const struct vcpu_registers *r = &vcpu->r;
    const struct segment_register *tr = &r->segment[SEGMENT_TR];
    uint8_t bytes[40];
    unsigned f = layout->field;
    uint64_t rip = vcpu->next_rip;
    int result;

    memcpy(bytes, &rip, f);
    memcpy(bytes + f, &flags, f);
    for (unsigned i = 0; i < 8; i++)
        memcpy(bytes + (2 + i) * f, &r->gpr[i], f);
    result = access_settle(vcpu, linear_write(vcpu, (tr->base + layout->ip) & 0xffffffff, bytes,
                                              10 * f, ACCESS_WRITE | ACCESS_SYSTEM));
    for (unsigned i = 0; i < layout->selector_count && !result; i++)
        result = access_settle(
            vcpu, linear_write(vcpu, (tr->base + layout->selectors + i * f) & 0xffffffff,
                               &r->segment[i].selector, 2, ACCESS_WRITE | ACCESS_SYSTEM));
    return result;
}

/* The old TSS must take the registers, the new one the back link, before anything is written. */
static int tss_probe(struct vcpu *vcpu, const struct tss_layout *old, uint64_t new_base, bool link)
{
    const struct segment_register *tr = &vcpu->r.segment[SEGMENT_TR];
    unsigned last = (unsigned)(old->selectors + old->selector_count * old->field) - 1u;
    int result;

    if (tr->unusable || last > tr->limit)
        return fault_selector(vcpu, EXCEPTION_TS, tr->selector, 0);
    result = linear_probe(vcpu, (tr->base + old->ip) & 0xffffffff, last - old->ip + 1u,
                          ACCESS_WRITE | ACCESS_SYSTEM);
    if (result || !link)
        return result;
    return linear_probe(vcpu, new_base & 0xffffffff, 2, ACCESS_WRITE | ACCESS_SYSTEM);
}

/* Busy bits in the GDT: the outgoing task's descriptor, then the incoming one's. */
static int busy_update(struct vcpu *vcpu, struct task_request *request)
{
    bool nests = request->reason == TASK_CALL || request->reason == TASK_GATE;
    struct descriptor old = { .raw = 0 };
    uint16_t selector = vcpu->r.segment[SEGMENT_TR].selector;
    int result;

    if (request->reason != TASK_IRET) {
        result = linear_probe(vcpu, (request->tss.linear + 5) & 0xffffffff, 1,
                              ACCESS_WRITE | ACCESS_SYSTEM);
        if (result)
            return result;
    }
    if (!nests && descriptor_locate(vcpu, selector, 8, &old.linear)) {
        result = descriptor_update(vcpu, &old, 0, DESCRIPTOR_BUSY);
        if (result)
            return result;
    }
    if (request->reason != TASK_IRET)
        return descriptor_update(vcpu, &request->tss, DESCRIPTOR_BUSY, 0);
    return 0;
}

/* ---- After the commit point ---- */

static int task_load_ldt(struct vcpu *vcpu, uint16_t selector, unsigned external)
{
    struct descriptor descriptor;
    int result;

    segment_set_null(&vcpu->r.segment[SEGMENT_LDTR], selector, 0);
    if (selector_null(selector))
        return 0;
    if (selector_local(selector))
        return fault_selector(vcpu, EXCEPTION_TS, selector, external);
    result = descriptor_read(vcpu, selector, EXCEPTION_TS, external, false, &descriptor);
    if (result)
        return result;
    if (!descriptor_system(descriptor.raw) || descriptor_type(descriptor.raw) != SYSTEM_LDT ||
        !descriptor_present(descriptor.raw))
        return fault_selector(vcpu, EXCEPTION_TS, selector, external);
    segment_from_descriptor(&vcpu->r.segment[SEGMENT_LDTR], selector, descriptor.raw);
    return 0;
}

static int task_load_code(struct vcpu *vcpu, uint16_t selector, unsigned external)
{
    struct descriptor descriptor;
    unsigned dpl;
    int result;

    result = descriptor_read(vcpu, selector, EXCEPTION_TS, external, false, &descriptor);
    if (result)
        return result;
    dpl = descriptor_dpl(descriptor.raw);
    if (!descriptor_code(descriptor.raw) ||
        (descriptor_conforming(descriptor.raw) ? dpl > (selector & 3u) : dpl != (selector & 3u)))
        return fault_selector(vcpu, EXCEPTION_TS, selector, external);
    if (!descriptor_present(descriptor.raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, external);
    result = descriptor_mark_accessed(vcpu, &descriptor);
    if (result)
        return result;
    segment_from_descriptor(&vcpu->r.segment[SEGMENT_CS], selector, descriptor.raw);
    vcpu_mode_changed(vcpu);
    return 0;
}

static int task_load_stack(struct vcpu *vcpu, uint16_t selector, unsigned external)
{
    struct descriptor descriptor;
    int result =
        segment_check_stack(vcpu, selector, vcpu->r.cpl, EXCEPTION_TS, external, &descriptor);

    if (result)
        return result;
    segment_from_descriptor(&vcpu->r.segment[SEGMENT_SS], selector, descriptor.raw);
    vcpu_mode_changed(vcpu);
    return 0;
}

/* As MOV to a data segment register, but selector errors are #TS. */
static int task_load_data(struct vcpu *vcpu, unsigned segment, uint16_t selector, unsigned external)
{
    int result = segment_load(vcpu, segment, selector);

    if (result == -EFAULT && vcpu->fault.vector == EXCEPTION_GP)
        vcpu->fault.vector = EXCEPTION_TS;
    if (result == -EFAULT && vcpu->fault.vector != EXCEPTION_PF)
        vcpu->fault.error |= external;
    return result;
}

static int task_load_segments(struct vcpu *vcpu, const struct task_image *image, unsigned external)
{
    static const uint8_t data[] = { SEGMENT_DS, SEGMENT_ES, SEGMENT_FS, SEGMENT_GS };
    int result = task_load_ldt(vcpu, image->ldt, external);

    if (result || vcpu_virtual8086(vcpu))
        return result;
    result = task_load_code(vcpu, image->selector[SEGMENT_CS], external);
    if (!result)
        result = task_load_stack(vcpu, image->selector[SEGMENT_SS], external);
    for (unsigned i = 0; i < ARRAY_SIZE(data) && !result; i++)
        result = task_load_data(vcpu, data[i], image->selector[data[i]], external);
    return result;
}

/* Registers of the new task; segment registers hold selectors only until they are validated. */
static void task_load_registers(struct vcpu *vcpu, const struct task_image *image, uint64_t flags)
{
    struct vcpu_registers *r = &vcpu->r;

    for (unsigned i = 0; i < 8; i++)
        r->gpr[i] = image->gpr[i];
    r->rip = image->rip;
    vcpu->next_rip = image->rip;
    for (unsigned i = 0; i < 6; i++) {
        if (flags & FLAG_VM)
            segment_set_virtual8086(&r->segment[i], image->selector[i]);
        else
            segment_set_null(&r->segment[i], image->selector[i], 0);
    }
    r->cpl = flags & FLAG_VM ? 3 : image->selector[SEGMENT_CS] & 3u;
    r->segment[SEGMENT_SS].rights |= (uint16_t)(r->cpl << RIGHTS_DPL_SHIFT);
    flags_set(vcpu, flags);
    vcpu_mode_changed(vcpu);
}

static int task_enter(struct vcpu *vcpu, const struct task_request *request,
                      const struct task_image *image, const struct tss_layout *layout)
{
    struct vcpu_registers *r = &vcpu->r;
    bool nests = request->reason == TASK_CALL || request->reason == TASK_GATE;
    int result;

    segment_from_descriptor(&r->segment[SEGMENT_TR], request->selector, request->tss.raw);
    r->segment[SEGMENT_TR].rights |= 2; /* busy */
    r->cr0 |= CR0_TS;
    r->dr[7] &= ~0x155ull; /* L0-L3 and LE: local breakpoints belong to a task */
    task_load_registers(vcpu, image, nests ? image->rflags | FLAG_NT : image->rflags);
    if ((r->cr0 & CR0_PG) && layout == &layout32) {
        result = access_settle(vcpu, control_write_cr3(vcpu, image->cr3));
        if (result)
            return result;
    }
    result = task_load_segments(vcpu, image, request->external);
    if (result)
        return result;
    if (image->trap) {
        vcpu->debug_pending |= 1u << 15; /* DR6.BT */
        vcpu_raise(vcpu, ATTENTION_DEBUG);
    }
    if (request->has_error) {
        result = stack_push(vcpu, layout->field, request->error);
        if (result)
            return result;
    }
    return image->rip > r->segment[SEGMENT_CS].limit
               ? fault_raise_error(vcpu, EXCEPTION_GP, request->external)
               : 0;
}

int task_switch_perform(struct vcpu *vcpu, const struct task_request *original)
{
    struct task_request request = *original;
    bool nests = request.reason == TASK_CALL || request.reason == TASK_GATE;
    const struct tss_layout *layout = tss_layout(descriptor_type(request.tss.raw));
    const struct tss_layout *old = tss_layout(vcpu->r.segment[SEGMENT_TR].rights & RIGHTS_TYPE);
    struct segment_register tss;
    struct task_image image;
    int result;

    segment_from_descriptor(&tss, request.selector, request.tss.raw);
    if (tss.limit < layout->minimum)
        return fault_selector(vcpu, EXCEPTION_TS, request.selector, request.external);
    result = tss_probe(vcpu, old, tss.base, nests);
    if (result)
        return result;
    result = image_read(vcpu, layout, tss.base, &image);
    if (result)
        return result;
    result = busy_update(vcpu, &request);
    if (result)
        return result;
    if (request.reason == TASK_IRET)
        request.flags &= ~(uint64_t)FLAG_NT;
    result = image_save(vcpu, old, request.flags);
    if (result)
        return result;
    if (nests) {
        result = access_settle(vcpu, linear_write(vcpu, tss.base & 0xffffffff,
                                                  &vcpu->r.segment[SEGMENT_TR].selector, 2,
                                                  ACCESS_WRITE | ACCESS_SYSTEM));
        if (result)
            return result;
    }
    return task_enter(vcpu, &request, &image, layout);
}

int task_switch(struct vcpu *vcpu, uint16_t selector, const struct descriptor *tss,
                enum task_switch reason, bool has_error, uint32_t error)
{
    struct task_request request = { .selector = selector,
                                    .tss = *tss,
                                    .reason = reason,
                                    .flags = vcpu->r.rflags,
                                    .has_error = has_error,
                                    .error = error };

    return task_switch_perform(vcpu, &request);
}
