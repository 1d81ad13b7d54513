/* SPDX-License-Identifier: MIT */
/*
 * access.c - segment checks and accesses by linear address.
 *
 * Promises: an access faults exactly as hardware would, before anything is written; guest data is
 * copied once; guest-controlled addresses never become host addresses except through a slot of
 * guest memory.
 */
#include "access.h"
#include "../support.h"

/* ---- Segmentation (SDM Vol. 3, 5.3-5.5; Vol. 1, 3.3.7 for canonical addresses) ---- */

static int segment_fault(struct vcpu *vcpu, unsigned segment)
{
    return fault_raise_error(vcpu, segment == SEGMENT_SS ? EXCEPTION_SS : EXCEPTION_GP, 0);
}

/* Type check of protected mode (SDM Vol. 3, 5.5): is this access good for this kind of segment? */
static bool segment_type_allows(const struct segment_register *segment, unsigned access)
{
    bool code = segment->rights & 8;
    bool readable_or_writable = segment->rights & 2;
    if (access & ACCESS_FETCH)
        return code;
    if (access & ACCESS_WRITE)
        return !code && readable_or_writable;
    return !code || readable_or_writable;
}

/* Limit check (SDM Vol. 3, 5.3). An operand that runs over the end of a 4 GiB segment is outside
 * it: the manual leaves that case to the implementation, and current processors fault. */
static bool segment_limit_allows(const struct segment_register *segment, bool expand_down,
                                 uint64_t offset, unsigned size)
{
    uint64_t highest = segment->limit;
    if (expand_down) {
        if (offset <= segment->limit)
            return false;
        highest = segment->rights & RIGHTS_DB ? 0xffffffffu : 0xffff;
    }
    return offset <= highest && size - 1 <= highest - offset;
}

/* Checks outside 64-bit code. */
static int segment_check(struct vcpu *vcpu, unsigned number, uint64_t offset, unsigned size,
                         unsigned access)
{
    const struct segment_register *segment = &vcpu->r.segment[number];
    bool expand_down = false;
    if (vcpu->r.cr0 & CR0_PE && !(vcpu->r.rflags & FLAG_VM)) {
        if (segment->unusable)
            return segment_fault(vcpu, number);
        if (!segment_type_allows(segment, access))
            return fault_gp(vcpu);
        expand_down = (segment->rights & 0xc) == 4;
    }
    /* Real mode checks the limit in the register too: 0xffff unless protected mode left more. */
    if (!segment_limit_allows(segment, expand_down, offset, size))
        return segment_fault(vcpu, number);
    return 0;
}

/* Is alignment checking on (SDM Vol. 3, 6.15, interrupt 17)? */
static bool alignment_checked(const struct vcpu *vcpu)
{
    return vcpu->r.cr0 & CR0_AM && vcpu->r.rflags & FLAG_AC && vcpu->r.cpl == 3;
}

int alignment_check(struct vcpu *vcpu, uint64_t linear, unsigned alignment)
{
    if (linear & (alignment - 1) && alignment_checked(vcpu))
        return fault_raise_error(vcpu, EXCEPTION_AC, 0);
    return 0;
}

/* What alignment checking asks of an operand (SDM Vol. 3, table 6-7). Of vectors the manual says it
 * for none; AMD's processors ask for 16 bytes of every one that long or longer. */
static unsigned alignment_of(const struct vcpu *vcpu, unsigned size)
{
    switch (size) {
    case 2:
    case 4:
    case 8:
        return size;
    case 10:
        return 8;
    case 16:
    case 32:
    case 64:
        return vcpu->vm->model.vendor_intel ? 1 : 16;
    default:
        return 1;
    }
}

int segment_linear(struct vcpu *vcpu, unsigned segment, uint64_t offset, unsigned size,
                   unsigned access, uint64_t *linear)
{
    const unsigned exempt =
        ACCESS_FETCH | ACCESS_SYSTEM | ACCESS_SUPERVISOR | ACCESS_NO_ALIGN_CHECK;
    uint64_t address = offset;
    if (vcpu->long_code) {
        if (segment == SEGMENT_FS || segment == SEGMENT_GS) {
            /* AMD's processors look at the offset too. */
            if ((!address_canonical(offset) || !address_canonical(offset + size - 1)) &&
                !vcpu->vm->model.vendor_intel)
                return segment_fault(vcpu, segment);
            address += vcpu->r.segment[segment].base;
        }
        if (!address_canonical(address) || !address_canonical(address + size - 1))
            return segment_fault(vcpu, segment);
    } else {
        int status = segment_check(vcpu, segment, offset, size, access);
        if (status)
            return status;
        address = (uint32_t)(vcpu->r.segment[segment].base + offset);
    }
    *linear = address;
    if (!(vcpu->r.rflags & FLAG_AC) || access & exempt)
        return 0;
    return alignment_check(vcpu, address, alignment_of(vcpu, size));
}

/* ---- Page tables in guest memory ---- */

static int table_read(void *context, uint64_t gpa, unsigned size, uint64_t *value)
{
    struct guest_memory *memory = context;
    const uint8_t *host = memory_host(memory, gpa, size, false);
    if (!host)
        return -EIO;
    if (size == 4)
        *value = __atomic_load_n((const uint32_t *)(const void *)host, __ATOMIC_ACQUIRE);
    else
        *value = __atomic_load_n((const uint64_t *)(const void *)host, __ATOMIC_ACQUIRE);
    return 0;
}

static int table_compare_swap(void *context, uint64_t gpa, unsigned size, uint64_t expected,
                              uint64_t desired)
{
    struct guest_memory *memory = context;
    uint8_t *host = memory_host(memory, gpa, size, true);
    if (!host)
        return 0; /* tables in ROM or beyond memory: nothing takes the write */
    bool done;
    if (size == 4) {
        uint32_t expected_low = (uint32_t)expected;
        done =
            __atomic_compare_exchange_n((uint32_t *)(void *)host, &expected_low, (uint32_t)desired,
                                        false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        done = __atomic_compare_exchange_n((uint64_t *)(void *)host, &expected, desired, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    return done ? 0 : -EAGAIN;
}

/* For look-ups that leave no trace. */
static int table_keep(void *context, uint64_t gpa, unsigned size, uint64_t expected,
                      uint64_t desired)
{
    (void)context, (void)gpa, (void)size, (void)expected, (void)desired;
    return 0;
}

int paging_lookup(struct vcpu *vcpu, uint64_t linear, uint64_t *gpa)
{
    struct paging_mode mode;
    struct paging_result result;
    uint32_t error;
    const struct paging_memory tables = { table_read, table_keep, &vcpu->vm->memory };
    paging_mode_get(vcpu, &mode);
    if (mode.levels != 4)
        linear = (uint32_t)linear;
    else if (!address_canonical(linear))
        return -ENOENT;
    if (mode.levels == 0) {
        *gpa = linear;
        return 0;
    }
    mode.smap = false;
    mode.pke = false;
    if (paging_walk(&mode, &tables, linear, ACCESS_READ, false, &result, &error))
        return -ENOENT;
    *gpa = result.gpa | (linear & 0xfff);
    return 0;
}

int paging_load_pdptes(struct vcpu *vcpu)
{
    uint64_t table = vcpu->r.cr3 & 0xffffffe0u;
    uint64_t reserved = paging_pdpte_reserved(vcpu->vm->model.physical_bits);
    uint64_t pdpte[4];
    for (unsigned i = 0; i < 4; i++) {
        if (table_read(&vcpu->vm->memory, table + i * 8, 8, &pdpte[i]))
            pdpte[i] = ~0ull;
        if (pdpte[i] & 1 && pdpte[i] & reserved)
            return fault_gp(vcpu);
    }
    memcpy(vcpu->r.pdpte, pdpte, sizeof(pdpte));
    return 0;
}

/* ---- Translation behind a TLB miss ---- */

static int fault_page(struct vcpu *vcpu, uint64_t linear, uint32_t error)
{
    tlb_drop(&vcpu->tlb, linear >> 12);
    vcpu->fault = (struct fault){
        .vector = EXCEPTION_PF, .has_error = true, .error = error, .address = linear
    };
    return -EFAULT;
}

/* Is this an access with user privilege? */
static bool access_is_user(const struct vcpu *vcpu, unsigned access)
{
    if (access & ACCESS_USER)
        return true;
    return vcpu->r.cpl == 3 && !(access & (ACCESS_SYSTEM | ACCESS_SUPERVISOR));
}

static int page_walk(struct vcpu *vcpu, uint64_t linear, unsigned access,
                     struct paging_result *page)
{
    struct paging_mode *mode = &vcpu->tlb.mode;
    if (mode->levels == 0) {
        *page = (struct paging_result){ .gpa = linear & ~0xfffull,
                                        .rights = TLB_USER | TLB_WRITE | TLB_DIRTY,
                                        .page_shift = 12 };
        return 0;
    }
    const struct paging_memory tables = { table_read, table_compare_swap, &vcpu->vm->memory };
    mode->root = vcpu->r.cr3;
    if (mode->levels == 3)
        memcpy(mode->pdpte, vcpu->r.pdpte, sizeof(mode->pdpte));
    uint32_t error;
    bool user = access_is_user(vcpu, access);
    if (user)
        access &= ~ACCESS_SYSTEM;
    if (paging_walk(mode, &tables, linear, access, user, page, &error))
        return fault_page(vcpu, linear, error);
    return 0;
}

int linear_translate_miss(struct vcpu *vcpu, uint64_t linear, unsigned access,
                          struct translation *out)
{
    struct guest_memory *memory = &vcpu->vm->memory;
    struct paging_result page;
    bool write = access & ACCESS_WRITE && !(access & ACCESS_FETCH);
    if (!vcpu->tlb.signature)
        tlb_mode_changed(vcpu); /* the first access of all */
    if (!(vcpu->r.efer & EFER_LMA))
        linear = (uint32_t)linear;
    else if (!address_canonical(linear))
        return fault_gp(vcpu);
    vcpu->statistics.tlb_misses++;
    int status = page_walk(vcpu, linear, access, &page);
    if (status)
        return status;
    const struct memory_slot *slot = memory_slot_at(memory, page.gpa);
    uint8_t *host = slot ? slot->host + (page.gpa - slot->gpa) : NULL;
    bool read_only = slot && slot->flags & MEMORY_READ_ONLY;
    if (read_only) {
        page.rights |= TLB_READONLY;
    } else if (slot) {
        /* The dirty log must see the first write: until then the entry does not serve writes. */
        if (write)
            memory_mark_dirty(memory, page.gpa, PAGE_SIZE_4K);
        else if (!memory_is_dirty(memory, page.gpa) || memory_has_code(memory, page.gpa))
            page.rights &= (uint8_t)~TLB_DIRTY;
    }
    tlb_fill(&vcpu->tlb, linear >> 12, &page, host);
    out->gpa = page.gpa | (linear & 0xfff);
    out->host = !host || (write && read_only) ? NULL : host + (linear & 0xfff);
    return 0;
}

/* ---- Copying through linear addresses ---- */

/* The address `step` bytes on. Outside long mode, and for operands of compatibility-mode code,
 * linear addresses have 32 bits. */
static uint64_t linear_next(const struct vcpu *vcpu, uint64_t linear, size_t step, unsigned access)
{
    bool wide =
        vcpu->r.efer & EFER_LMA && (vcpu->long_code || linear > 0xffffffffu ||
                                    access & (ACCESS_SYSTEM | ACCESS_SUPERVISOR | ACCESS_USER));
    return wide ? linear + step : (uint32_t)(linear + step);
}

static size_t page_left(uint64_t linear)
{
    return PAGE_SIZE_4K - (linear & (PAGE_SIZE_4K - 1));
}

static size_t page_piece(uint64_t linear, size_t size)
{
    size_t left = page_left(linear);
    return size < left ? size : left;
}

int linear_probe(struct vcpu *vcpu, uint64_t linear, size_t size, unsigned access)
{
    while (size) {
        struct translation at;
        size_t piece = page_piece(linear, size);
        int status = linear_translate(vcpu, linear, access, &at);
        if (status)
            return status;
        linear = linear_next(vcpu, linear, piece, access);
        size -= piece;
    }
    return 0;
}

/* The data of a copy: exactly one of the two is set. */
struct buffer {
    uint8_t *in;        /* guest memory is read to here */
    const uint8_t *out; /* guest memory is written from here */
};

/* Copies within one page that has been translated. 0 or -ECANCELED. */
static int copy_piece(struct vcpu *vcpu, const struct translation *at, struct buffer *buffer,
                      size_t size)
{
    int status = 0;
    if (buffer->in) {
        if (at->host)
            memory_copy(buffer->in, at->host, size);
        else
            status = memory_physical_read(vcpu, at->gpa, buffer->in, size);
        buffer->in += size;
    } else {
        if (at->host)
            memory_copy(at->host, buffer->out, size);
        else
            status = memory_physical_write(vcpu, at->gpa, buffer->out, size);
        buffer->out += size;
    }
    return status;
}

/* An access that crosses pages: all of it is checked before any of it is done. Up to two pages the
 * translations are kept, so that another vCPU's change of the tables can't come in between. */
static int copy_across(struct vcpu *vcpu, uint64_t linear, struct buffer buffer, size_t size,
                       unsigned access)
{
    struct translation first, second;
    size_t piece = page_left(linear);
    uint64_t next = linear_next(vcpu, linear, piece, access);
    int canceled = 0;
    int status = linear_translate(vcpu, linear, access, &first);
    if (!status)
        status = linear_probe(vcpu, next, size - piece, access);
    if (!status)
        status = linear_translate(vcpu, next, access, &second);
    if (status)
        return status;
    canceled |= copy_piece(vcpu, &first, &buffer, piece);
    size -= piece;
    piece = page_piece(next, size);
    canceled |= copy_piece(vcpu, &second, &buffer, piece);
    while (size -= piece) {
        next = linear_next(vcpu, next, piece, access);
        piece = page_piece(next, size);
        status = linear_translate(vcpu, next, access, &first);
        if (status)
            return status;
        canceled |= copy_piece(vcpu, &first, &buffer, piece);
    }
    return canceled ? -ECANCELED : 0;
}

static int copy_linear(struct vcpu *vcpu, uint64_t linear, struct buffer buffer, size_t size,
                       unsigned access)
{
    struct translation at;
    if (size > page_left(linear))
        return copy_across(vcpu, linear, buffer, size, access);
    if (size == 0)
        return 0;
    int status = linear_translate(vcpu, linear, access, &at);
    return status ? status : copy_piece(vcpu, &at, &buffer, size);
}

int linear_read(struct vcpu *vcpu, uint64_t linear, void *data, size_t size, unsigned access)
{
    return copy_linear(vcpu, linear, (struct buffer){ .in = data }, size, access);
}

int linear_write(struct vcpu *vcpu, uint64_t linear, const void *data, size_t size, unsigned access)
{
    return copy_linear(vcpu, linear, (struct buffer){ .out = data }, size, access | ACCESS_WRITE);
}

int virtual_read(struct vcpu *vcpu, unsigned segment, uint64_t offset, void *data, unsigned size)
{
    uint64_t linear;
    int status = segment_linear(vcpu, segment, offset, size, ACCESS_READ, &linear);
    return status ? status : linear_read(vcpu, linear, data, size, ACCESS_READ);
}

int virtual_write(struct vcpu *vcpu, unsigned segment, uint64_t offset, const void *data,
                  unsigned size)
{
    uint64_t linear;
    int status = segment_linear(vcpu, segment, offset, size, ACCESS_WRITE, &linear);
    return status ? status : linear_write(vcpu, linear, data, size, ACCESS_WRITE);
}
