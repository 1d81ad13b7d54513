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

static void emit_enter(struct writer *w)
{
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++) {
        if (callee_saved[i] >= 8)
            put(w, 0x41);
        put(w, 0x50u | (callee_saved[i] & 7u));
    }
    put_data(w, 0x48, 0x89, REGISTER_RSP, DATA(host_rsp)); /* mov [host_rsp], rsp */
    put_data(w, 0, 0xff, 6, DATA(flags_in));               /* push [flags_in] */
    put(w, 0x9d);                                          /* popfq */
    put_data(w, 0x48, 0x8b, REGISTER_RDI, DATA(registers)); /* mov rdi, [registers] */
    for (unsigned reg = 0; reg < REGISTER_COUNT; reg++) {
        if (reg != REGISTER_RDI)
            put_register(w, 0x8b, reg);
    }
    put_register(w, 0x8b, REGISTER_RDI);
    put_data(w, 0, 0xff, 4, DATA(target)); /* jmp [target] */
}

static void emit_exit(struct writer *w)
{
    put_data(w, 0x48, 0x89, REGISTER_RDI, DATA(save));
    put_data(w, 0x48, 0x8b, REGISTER_RDI, DATA(registers));
    for (unsigned reg = 0; reg < REGISTER_COUNT; reg++) {
        if (reg != REGISTER_RDI)
            put_register(w, 0x89, reg);
    }
    put_data(w, 0x48, 0x8b, REGISTER_RSP, DATA(host_rsp));
    put(w, 0x9c);                             /* pushfq */
    put_data(w, 0, 0x8f, 0, DATA(flags_out)); /* pop [flags_out] */
    put_data(w, 0x48, 0x8b, REGISTER_RAX, DATA(save));
    put(w, 0x48); /* mov [rdi + 56], rax */
    put(w, 0x89);
    put(w, 0x47);
    put(w, 56);
    put(w, 0xfc); /* cld: the C ABI wants DF clear */
    for (unsigned i = ARRAY_SIZE(callee_saved); i-- > 0;) {
        if (callee_saved[i] >= 8)
            put(w, 0x41);
        put(w, 0x58u | (callee_saved[i] & 7u));
    }
    put(w, 0xc3);
}

/* Code was written through another mapping: the CPU must not run what it had prefetched (SDM Vol. 3,
 * 8.1.3). IRET to the next instruction serializes and, unlike CPUID, is never intercepted. */
static void serialize(void)
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
    emit_enter(&w);
    unsigned exit_at = w.at = (w.at + 15u) & ~15u;
    emit_exit(&w);
    cache->enter = (void (*)(void))(uintptr_t)code;
    cache->exit = code + exit_at;
    serialize();
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
    put(&w, 0xe9); /* jmp exit */
    put32(&w, (uint32_t)(cache->exit - cache->code) - (w.at + 4));
    serialize();
    vcpu->statistics.stubs_built++;
    return 0;
}

/* What the CPU raised while the stub ran is what the guest would have seen: its operand addresses were
 * checked before, so only the instruction's own exceptions are left. */
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

int stub_run(struct vcpu *vcpu, struct stub_entry *entry)
{
    struct stub_cache *cache = vcpu->stubs;
    struct stub_data *data = cache->data;
    const uint64_t arithmetic = FLAG_ARITHMETIC;
    bool vector = entry->insn.row->state != STATE_GENERAL;
    data->registers = vcpu->r.gpr;
    data->target = (uint64_t)(uintptr_t)(cache->code + entry_offset(cache, entry));
    data->flags_in = (vcpu->r.rflags & (arithmetic | FLAG_DF)) | FLAG_IF | FLAG_ONE;
    data->faulted = 0;
    if (vector)
        host_vector_enter(cache);
    cache->enter();
    if (vector)
        host_vector_leave(cache);
    vcpu->r.rflags = (vcpu->r.rflags & ~(arithmetic | FLAG_DF)) |
                     (data->flags_out & (arithmetic | FLAG_DF));
    return data->faulted ? stub_fault(vcpu, data) : 0;
}
