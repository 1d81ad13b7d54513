/* SPDX-License-Identifier: MIT */
/*
 * segment.c - descriptors, and loading of data, stack and code segment registers.
 *
 * Checks follow SDM Vol. 3, chapter 5 ("Protection") and the operation sections of MOV, RET and
 * IRET in Vol. 2; error codes are 6.13's. The table accesses are system accesses: CPL 0 whatever
 * CPL is.
 */
#include "transfer.h"

/* ---- Descriptor tables ---- */

uint32_t descriptor_limit(uint64_t raw)
{
    uint32_t limit = (uint32_t)(raw & 0xffff) | (uint32_t)(raw >> 32 & 0xf0000);

    return raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

static uint64_t descriptor_base(uint64_t raw)
{
    return (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000);
}

void segment_from_descriptor(struct segment_register *out, uint16_t selector, uint64_t raw)
{
    *out = (struct segment_register){ .base = descriptor_base(raw),
                                      .limit = descriptor_limit(raw),
                                      .selector = selector,
                                      .rights = (uint16_t)(raw >> 40 & 0xf0ff) };
}

/* Linear addresses outside long mode are 32 bits wide. */
static uint64_t linear_wrap(const struct vcpu *vcpu, uint64_t linear)
{
    return vcpu->long_mode ? linear : linear & 0xffffffff;
}

static bool linear_valid(const struct vcpu *vcpu, uint64_t linear, size_t size)
{
    return !vcpu->long_mode || (address_canonical(linear) && address_canonical(linear + size - 1));
}

int system_read(struct vcpu *vcpu, uint64_t linear, void *data, size_t size, unsigned external)
{
    linear = linear_wrap(vcpu, linear);
    if (!linear_valid(vcpu, linear, size))
        return fault_raise_error(vcpu, EXCEPTION_GP, external);
    return access_settle(vcpu, linear_read(vcpu, linear, data, size, ACCESS_READ | ACCESS_SYSTEM));
}

bool descriptor_locate(const struct vcpu *vcpu, uint16_t selector, unsigned size, uint64_t *linear)
{
    const struct segment_register *ldtr = &vcpu->r.segment[SEGMENT_LDTR];
    uint32_t offset = selector & 0xfff8u;
    uint32_t limit = vcpu->r.gdtr.limit;
    uint64_t base = vcpu->r.gdtr.base;

    if (selector_local(selector)) {
        if (ldtr->unusable)
            return false;
        limit = ldtr->limit;
        base = ldtr->base;
    }
    *linear = linear_wrap(vcpu, base + offset);
    return offset + size - 1 <= limit && linear_valid(vcpu, *linear, size);
}

int descriptor_read(struct vcpu *vcpu, uint16_t selector, unsigned vector, unsigned external,
                    bool wide, struct descriptor *out)
{
    unsigned size = wide ? 16 : 8;
    uint64_t raw[2] = { 0, 0 };
    int result;

    *out = (struct descriptor){ .raw = 0 };
    if (selector_null(selector) || !descriptor_locate(vcpu, selector, size, &out->linear))
        return fault_selector(vcpu, vector, selector, external);
    result = system_read(vcpu, out->linear, raw, size, external);
    if (result)
        return result;
    out->raw = raw[0];
    out->upper = raw[1];
    return 0;
}

int descriptor_update(struct vcpu *vcpu, struct descriptor *descriptor, uint64_t set,
                      uint64_t clear)
{
    uint64_t linear = linear_wrap(vcpu, descriptor->linear + 5);
    uint8_t byte, set_byte = (uint8_t)(set >> 40), clear_byte = (uint8_t)(clear >> 40);
    struct translation page;
    int result;

    descriptor->raw = (descriptor->raw | set) & ~clear;
    result = linear_translate(vcpu, linear, ACCESS_READ | ACCESS_WRITE | ACCESS_SYSTEM, &page);
    if (result)
        return result;
    if (page.host) {
        /* Hardware locks the bus here (SDM Vol. 3, 8.1.2.1). */
        if (set_byte)
            __atomic_fetch_or(page.host, set_byte, __ATOMIC_SEQ_CST);
        if (clear_byte)
            __atomic_fetch_and(page.host, (uint8_t)~clear_byte, __ATOMIC_SEQ_CST);
        return 0;
    }
    result = access_settle(vcpu, linear_read(vcpu, linear, &byte, 1, ACCESS_READ | ACCESS_SYSTEM));
    if (result)
        return result;
    byte = (uint8_t)((byte | set_byte) & ~clear_byte);
    return access_settle(vcpu, linear_write(vcpu, linear, &byte, 1, ACCESS_WRITE | ACCESS_SYSTEM));
}

int descriptor_mark_accessed(struct vcpu *vcpu, struct descriptor *descriptor)
{
    if (descriptor->raw & DESCRIPTOR_ACCESSED)
        return 0;
    return descriptor_update(vcpu, descriptor, DESCRIPTOR_ACCESSED, 0);
}

/* ---- Loads without checks ---- */

void segment_set_null(struct segment_register *out, uint16_t selector, unsigned dpl)
{
    *out = (struct segment_register){ .selector = selector,
                                      .rights = (uint16_t)(dpl << RIGHTS_DPL_SHIFT),
                                      .unusable = 1 };
}

void segment_set_virtual8086(struct segment_register *out, uint16_t selector)
{
    /* SDM Vol. 3, 20.2.1: present, DPL 3, writable, accessed. */
    *out = (struct segment_register){
        .base = (uint64_t)selector << 4, .limit = 0xffff, .selector = selector, .rights = 0xf3
    };
}

void segment_set_paragraph(struct vcpu *vcpu, unsigned segment, uint16_t selector)
{
    struct segment_register *out = &vcpu->r.segment[segment];

    if (vcpu_virtual8086(vcpu)) {
        segment_set_virtual8086(out, selector);
        return;
    }
    /* Real mode keeps limit and rights ("big real mode"); a null selector left none to keep. */
    if (out->unusable)
        *out = (struct segment_register){ .limit = 0xffff, .rights = 0x93 };
    out->selector = selector;
    out->base = (uint64_t)selector << 4;
}

void segment_set_flat(struct segment_register *out, uint16_t selector, uint16_t rights)
{
    *out = (struct segment_register){ .limit = 0xffffffff, .selector = selector, .rights = rights };
}

void segments_drop(struct vcpu *vcpu, unsigned cpl)
{
    static const uint8_t names[] = { SEGMENT_ES, SEGMENT_DS, SEGMENT_FS, SEGMENT_GS };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        struct segment_register *s = &vcpu->r.segment[names[i]];
        unsigned dpl = (s->rights & RIGHTS_DPL) >> RIGHTS_DPL_SHIFT;
        bool conforming =
            (s->rights & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);

        if (s->unusable)
            s->selector = 0;
        else if (dpl < cpl && !conforming)
            segment_set_null(s, 0, 0);
    }
}

/* ---- Data and stack segments ---- */

int segment_check_stack(struct vcpu *vcpu, uint16_t selector, unsigned cpl, unsigned vector,
                        unsigned external, struct descriptor *out)
{
    int result;

    if (selector_null(selector))
        return fault_raise_error(vcpu, vector, external);
    result = descriptor_read(vcpu, selector, vector, external, false, out);
    if (result)
        return result;
    if ((selector & 3u) != cpl || !descriptor_writable_data(out->raw) ||
        descriptor_dpl(out->raw) != cpl)
        return fault_selector(vcpu, vector, selector, external);
    if (!descriptor_present(out->raw))
        return fault_selector(vcpu, EXCEPTION_SS, selector, external);
    return descriptor_mark_accessed(vcpu, out);
}

static int load_stack(struct vcpu *vcpu, uint16_t selector)
{
    struct descriptor descriptor;
    int result;

    if (selector_null(selector) && vcpu->long_code && vcpu->r.cpl < 3 &&
        (selector & 3u) == vcpu->r.cpl) {
        segment_set_null(&vcpu->r.segment[SEGMENT_SS], selector, vcpu->r.cpl);
        vcpu_mode_changed(vcpu);
        return 0;
    }
    result = segment_check_stack(vcpu, selector, vcpu->r.cpl, EXCEPTION_GP, 0, &descriptor);
    if (result)
        return result;
    segment_from_descriptor(&vcpu->r.segment[SEGMENT_SS], selector, descriptor.raw);
    vcpu_mode_changed(vcpu);
    return 0;
}

static int load_data(struct vcpu *vcpu, unsigned segment, uint16_t selector)
{
    struct segment_register *out = &vcpu->r.segment[segment];
    struct descriptor descriptor;
    unsigned type, dpl;
    int result;

    if (selector_null(selector)) {
        segment_set_null(out, selector, 0);
        return 0;
    }
    result = descriptor_read(vcpu, selector, EXCEPTION_GP, 0, false, &descriptor);
    if (result)
        return result;
    type = descriptor_type(descriptor.raw);
    dpl = descriptor_dpl(descriptor.raw);
    if (descriptor_system(descriptor.raw) || (type & (TYPE_CODE | TYPE_READABLE)) == TYPE_CODE)
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    if ((type & (TYPE_CODE | TYPE_CONFORMING)) != (TYPE_CODE | TYPE_CONFORMING) &&
        ((selector & 3u) > dpl || vcpu->r.cpl > dpl))
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    if (!descriptor_present(descriptor.raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, 0);
    result = descriptor_mark_accessed(vcpu, &descriptor);
    if (result)
        return result;
    segment_from_descriptor(out, selector, descriptor.raw);
    return 0;
}

int segment_load(struct vcpu *vcpu, unsigned segment, uint16_t selector)
{
    if (vcpu_paragraphs(vcpu)) {
        segment_set_paragraph(vcpu, segment, selector);
        if (segment == SEGMENT_SS)
            vcpu_mode_changed(vcpu);
        return 0;
    }
    if (segment == SEGMENT_SS)
        return load_stack(vcpu, selector);
    return load_data(vcpu, segment, selector);
}

/* ---- Code segments ---- */

int code_check_offset(struct vcpu *vcpu, uint64_t raw, uint64_t offset, unsigned external)
{
    bool valid = vcpu->long_mode && descriptor_long(raw) ? address_canonical(offset)
                                                         : offset <= descriptor_limit(raw);

    return valid ? 0 : fault_raise_error(vcpu, EXCEPTION_GP, external);
}

int code_check_return(struct vcpu *vcpu, uint16_t selector, struct descriptor *out)
{
    unsigned rpl = selector & 3u;
    int result;

    if (selector_null(selector))
        return fault_gp(vcpu);
    result = descriptor_read(vcpu, selector, EXCEPTION_GP, 0, false, out);
    if (result)
        return result;
    if (!descriptor_code(out->raw) || rpl < vcpu->r.cpl)
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    if (descriptor_conforming(out->raw) ? descriptor_dpl(out->raw) > rpl
                                        : descriptor_dpl(out->raw) != rpl)
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    /* L and D together are reserved in long mode. */
    if (vcpu->long_mode && descriptor_long(out->raw) && descriptor_big(out->raw))
        return fault_selector(vcpu, EXCEPTION_GP, selector, 0);
    if (!descriptor_present(out->raw))
        return fault_selector(vcpu, EXCEPTION_NP, selector, 0);
    return descriptor_mark_accessed(vcpu, out);
}
