/* SPDX-License-Identifier: MIT */
/*
 * stub.c - the common entry and exit of stubs, building one, and running it.
 */
#include "stub.h"
#include "../support.h"

/* Offsets of struct stub_data as the emitted code sees them, and of gpr[] in bytes. */
#define DATA(field) ((unsigned)offsetof(struct stub_data, field))

struct writer {
    struct stub_cache *cache;
    unsigned at; /* offset in the code area */
};

static void put(struct writer *w, unsigned byte)
{
    w->cache->write_view[w->at++] = (uint8_t)byte;
}

static void put32(struct writer *w, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        put(w, (value >> (8 * i)) & 0xffu);
}

/* `opcode` with ModRM reg and a RIP-relative operand in the data page. */
static void put_data(struct writer *w, unsigned rex, unsigned opcode, unsigned reg, unsigned field)
{
    if (rex)
        put(w, rex);
    put(w, opcode);
    put(w, ((reg & 7u) << 3) | 5u);
    put32(w, STUB_CODE_SIZE + field - (w->at + 4));
}

/* MOV between general register `reg` and [rdi + 8 * reg]. */
static void put_register(struct writer *w, unsigned opcode, unsigned reg)
{
    put(w, reg >= 8 ? 0x4c : 0x48);
    put(w, opcode);
    put(w, 0x40u | ((reg & 7u) << 3) | 7u);
    put(w, reg * 8);
}

static const uint8_t callee_saved[] = { 3, 5, 12, 13, 14, 15 }; /* RBX RBP R12-R15 */

/* Which of the entries and exits. */
enum { FLAGS_NONE, FLAGS_ARITHMETIC_ONLY, FLAGS_EVERY };

static void emit_enter(struct writer *w, unsigned flags)
{
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++) {
        if (callee_saved[i] >= 8)
            put(w, 0x41);
        put(w, 0x50u | (callee_saved[i] & 7u));
    }
    put_data(w, 0x48, 0x89, REGISTER_RSP, DATA(host_rsp)); /* mov [host_rsp], rsp */
    if (flags == FLAGS_EVERY) {
        put_data(w, 0, 0xff, 6, DATA(flags_in)); /* push [flags_in] */
        put(w, 0x9d);                            /* popfq */
    } else if (flags == FLAGS_ARITHMETIC_ONLY) {
        put_data(w, 0, 0x8b, REGISTER_RAX, DATA(flags_in)); /* mov eax, [flags_in] */
        put(w, 0x04);                                       /* add al, 127: OF if AL was 1 */
        put(w, 0x7f);
        put(w, 0x9e); /* sahf */
    }
    put_data(w, 0x48, 0x8b, REGISTER_RDI, DATA(registers)); /* mov rdi, [registers] */
    for (unsigned reg = 0; reg < REGISTER_COUNT; reg++) {
        if (reg != REGISTER_RDI)
            put_register(w, 0x8b, reg);
    }
    put_register(w, 0x8b, REGISTER_RDI);
    put_data(w, 0, 0xff, 4, DATA(target)); /* jmp [target] */
}

static void emit_exit(struct writer *w, unsigned flags)
{
    put_data(w, 0x48, 0x89, REGISTER_RDI, DATA(save));
    put_data(w, 0x48, 0x8b, REGISTER_RDI, DATA(registers));
    for (unsigned reg = 0; reg < REGISTER_COUNT; reg++) {
        if (reg != REGISTER_RDI)
            put_register(w, 0x89, reg);
    }
    put_data(w, 0x48, 0x8b, REGISTER_RSP, DATA(host_rsp));
    if (flags == FLAGS_EVERY) {
        put(w, 0x9c);                             /* pushfq */
        put_data(w, 0, 0x8f, 0, DATA(flags_out)); /* pop [flags_out] */
        put(w, 0xfc);                             /* cld: the C ABI wants DF clear */
    } else if (flags == FLAGS_ARITHMETIC_ONLY) {
        put(w, 0x9f); /* lahf */
        put(w, 0x0f); /* seto al */
        put(w, 0x90);
        put(w, 0xc0);
        put_data(w, 0, 0x89, REGISTER_RAX, DATA(flags_out)); /* mov [flags_out], eax */
    }
    put_data(w, 0x48, 0x8b, REGISTER_RAX, DATA(save));
    put(w, 0x48); /* mov [rdi + 56], rax */
    put(w, 0x89);
    put(w, 0x47);
    put(w, 56);
    for (unsigned i = ARRAY_SIZE(callee_saved); i-- > 0;) {
        if (callee_saved[i] >= 8)
            put(w, 0x41);
        put(w, 0x58u | (callee_saved[i] & 7u));
    }
    put(w, 0xc3);
}

/* Code was written through another mapping: the CPU must not run what it had prefetched (SDM Vol.
 * 3, 8.1.3). IRET to the next instruction serializes and, unlike CPUID, is never intercepted. */
void stub_serialize(void)
{
    uint64_t scratch;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* keep the red zone of hosted builds */
                     "mov %%ss, %k0\n\t"
                     "push %0\n\t"
                     "push %%rsp\n\t"
                     "addq $8, (%%rsp)\n\t"
                     "pushfq\n\t"
                     "mov %%cs, %k0\n\t"
                     "push %0\n\t"
                     "lea 1f(%%rip), %0\n\t"
                     "push %0\n\t"
                     "iretq\n"
                     "1:\n\t"
                     "lea 128(%%rsp), %%rsp"
                     : "=&r"(scratch)
                     :
                     : "memory", "cc");
}

void stub_cache_init(struct stub_cache *cache, uint8_t *write_view, uint8_t *code)
{
    struct writer w = { .cache = cache };
    cache->write_view = write_view;
    cache->code = code;
    cache->data = (struct stub_data *)(void *)(code + STUB_CODE_SIZE);
    memset(cache->data, 0, sizeof(*cache->data));
    for (unsigned flags = FLAGS_NONE; flags <= FLAGS_EVERY; flags++) {
        w.at = (w.at + 63u) & ~63u;
        cache->enter[flags] = (void (*)(void))(uintptr_t)(code + w.at);
        emit_enter(&w, flags);
        w.at = (w.at + 63u) & ~63u;
        cache->exit[flags] = code + w.at;
        emit_exit(&w, flags);
    }
    stub_serialize();
    stub_cache_flush(cache);
}

void stub_cache_flush(struct stub_cache *cache)
{
    for (unsigned i = 0; i < STUB_ENTRIES; i++)
        cache->entry[i].kind = STUB_EMPTY;
}

static unsigned entry_offset(const struct stub_cache *cache, const struct stub_entry *entry)
{
    return STUB_COMMON + (unsigned)(entry - cache->entry) * STUB_SLOT;
}

static uint8_t flags_of(const struct instruction_row *row)
{
    const uint32_t arithmetic = FLAG_ARITHMETIC;
    if (row->memory == MEMORY_STRING || ((row->flags_read | row->flags_written) & FLAG_DF))
        return STUB_FLAGS_ALL;
    /* A flag that is undefined, or written only if a count is not zero, may be left as it was. */
    bool kept = (row->flags_undefined & arithmetic) || (row->flags & ROW_SHIFT_COUNT);
    return (uint8_t)(((row->flags_read & arithmetic) || kept ? STUB_FLAGS_READ : 0) |
                     (row->flags_written & arithmetic ? STUB_FLAGS_WRITTEN : 0));
}

static unsigned flags_path(const struct stub_entry *entry, unsigned direction)
{
    if (entry->flags & STUB_FLAGS_ALL)
        return FLAGS_EVERY;
    return entry->flags & direction ? FLAGS_ARITHMETIC_ONLY : FLAGS_NONE;
}

int stub_build(struct vcpu *vcpu, struct stub_entry *entry)
{
    struct stub_cache *cache = vcpu->stubs;
    uint8_t code[STUB_SLOT];
    int length = stub_encode(&entry->insn, code, &entry->scratch);
    if (length < 0 || length > (int)STUB_SLOT - 5)
        return -EINVAL;
    struct writer w = { .cache = cache, .at = entry_offset(cache, entry) };
    for (int i = 0; i < length; i++)
        put(&w, code[i]);
    entry->flags = flags_of(entry->insn.row);
    const uint8_t *exit = cache->exit[flags_path(entry, STUB_FLAGS_WRITTEN)];
    put(&w, 0xe9); /* jmp exit */
    put32(&w, (uint32_t)(exit - cache->code) - (w.at + 4));
    stub_serialize();
    vcpu->statistics.stubs_built++;
    return 0;
}

/* What the CPU raised while the stub ran is what the guest would have seen: its operand addresses
 * were checked before, so only the instruction's own exceptions are left. */
static int stub_fault(struct vcpu *vcpu, const struct stub_data *data)
{
    switch (data->trap) {
    case EXCEPTION_DE:
    case EXCEPTION_UD:
    case EXCEPTION_MF:
        return fault_raise(vcpu, (unsigned)data->trap);
    case EXCEPTION_XM: /* without CR4.OSXMMEXCPT: #UD (SDM Vol. 3, 2.5) */
        return fault_raise(vcpu, vcpu->r.cr4 & CR4_OSXMMEXCPT ? EXCEPTION_XM : EXCEPTION_UD);
    case EXCEPTION_GP:
    case EXCEPTION_AC:
        return fault_raise_error(vcpu, (unsigned)data->trap, 0);
    default:
        vcpu->internal_error = "the host could not supply guest memory (out of memory?)";
        return -EIO;
    }
}

/* RFLAGS as LAHF and SETO leave them in AX, and back. */
static uint64_t flags_pack(uint64_t rflags)
{
    return (rflags & 0xd5) << 8 | (rflags >> 11 & 1);
}

static uint64_t flags_unpack(uint64_t packed)
{
    return (packed >> 8 & 0xd5) | (packed & 1) << 11;
}

int stub_run(struct vcpu *vcpu, struct stub_entry *entry)
{
    struct stub_cache *cache = vcpu->stubs;
    struct stub_data *data = cache->data;
    const uint64_t movable = FLAG_ARITHMETIC | FLAG_DF;
    bool vector = entry->insn.row->state != STATE_GENERAL, all = entry->flags & STUB_FLAGS_ALL;
    uint64_t rflags = vcpu->r.rflags;
    data->registers = vcpu->r.gpr;
    data->target = (uint64_t)(uintptr_t)(cache->code + entry_offset(cache, entry));
    data->flags_in = all ? (rflags & movable) | FLAG_IF | FLAG_ONE : flags_pack(rflags);
    data->faulted = 0;
    if (vector)
        host_vector_enter(cache);
    cache->enter[flags_path(entry, STUB_FLAGS_READ)]();
    if (vector)
        host_vector_leave(cache);
    if (data->faulted) /* no flag changes then */
        return stub_fault(vcpu, data);
    if (entry->flags & (STUB_FLAGS_WRITTEN | STUB_FLAGS_ALL)) {
        uint64_t written = all ? movable : entry->insn.row->flags_written & FLAG_ARITHMETIC;
        uint64_t out = all ? data->flags_out : flags_unpack(data->flags_out);
        vcpu->r.rflags = (rflags & ~written) | (out & written);
    }
    return 0;
}
