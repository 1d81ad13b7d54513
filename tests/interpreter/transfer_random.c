/* SPDX-License-Identifier: MIT */
/*
 * transfer_random.c - random descriptor tables, gates, TSSs, page tables and registers: events are
 * delivered and transfers run in them. Whatever the tables hold, nothing may crash, hang, or touch
 * memory outside the RAM slot (guard pages, sanitizers), a fault must leave every register as it
 * was, and a success must leave a state that a CPU can be in.
 *
 * usage: transfer_random [COUNT [SEED]]
 */
#include "transfer_harness.h"

#define DIRTY_END 0x14000u /* tables and leaves: put back before each round */

struct round {
    struct machine *m;
    uint64_t seed;
    const char *what;
    struct vcpu_registers before;
};

struct candidate {
    const char *name;
    const char *bytes;
    unsigned size;
};
#define CANDIDATE(name, bytes)                                                                     \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1                                                             \
    }
static const struct candidate candidates[] = {
    CANDIDATE("jmp far [rax]", "\xff\x28"),
    CANDIDATE("jmp far [rax] 16", "\x66\xff\x28"),
    CANDIDATE("jmp far [rax] 64", "\x48\xff\x28"),
    CANDIDATE("call far [rax]", "\xff\x18"),
    CANDIDATE("call far [rax] 16", "\x66\xff\x18"),
    CANDIDATE("call far [rax] 64", "\x48\xff\x18"),
    CANDIDATE("retf", "\xcb"),
    CANDIDATE("retf 16", "\x66\xcb"),
    CANDIDATE("retf 64", "\x48\xcb"),
    CANDIDATE("retf n", "\xca\x10\x00"),
    CANDIDATE("iret", "\xcf"),
    CANDIDATE("iret 16", "\x66\xcf"),
    CANDIDATE("iretq", "\x48\xcf"),
    CANDIDATE("int", "\xcd\x21"),
    CANDIDATE("int3", "\xcc"),
    CANDIDATE("int1", "\xf1"),
    CANDIDATE("into", "\xce"),
    CANDIDATE("syscall", "\x0f\x05"),
    CANDIDATE("sysret", "\x0f\x07"),
    CANDIDATE("sysretq", "\x48\x0f\x07"),
    CANDIDATE("sysenter", "\x0f\x34"),
    CANDIDATE("sysexit", "\x0f\x35"),
    CANDIDATE("sysexitq", "\x48\x0f\x35"),
    CANDIDATE("mov ds", "\x8e\xd9"),
    CANDIDATE("mov ss", "\x8e\xd1"),
    CANDIDATE("mov fs", "\x8e\xe1"),
    CANDIDATE("lldt", "\x0f\x00\xd1"),
    CANDIDATE("ltr", "\x0f\x00\xd9"),
    CANDIDATE("lar", "\x0f\x02\xd1"),
    CANDIDATE("lsl", "\x0f\x03\xd1"),
    CANDIDATE("verr", "\x0f\x00\xe1"),
    CANDIDATE("verw", "\x0f\x00\xe9"),
    CANDIDATE("lss", "\x0f\xb2\x10"),
    CANDIDATE("lfs", "\x0f\xb4\x10"),
    CANDIDATE("pop fs", "\x0f\xa1"),
    CANDIDATE("pop ss", "\x17"),
    CANDIDATE("push fs", "\x0f\xa0"),
    CANDIDATE("popf", "\x9d"),
    CANDIDATE("pushf", "\x9c"),
    CANDIDATE("enter", "\xc8\x20\x00\x05"),
    CANDIDATE("leave", "\xc9"),
    CANDIDATE("pusha", "\x60"),
    CANDIDATE("popa", "\x61"),
    CANDIDATE("call", "\xe8\x00\x10\x00\x00"),
    CANDIDATE("ret", "\xc3"),
    CANDIDATE("ret n", "\xc2\x08\x00"),
    CANDIDATE("push [rax]", "\xff\x30"),
    CANDIDATE("pop [rax]", "\x8f\x00"),
    CANDIDATE("lgdt", "\x0f\x01\x10"),
    CANDIDATE("sidt", "\x0f\x01\x08"),
    CANDIDATE("call [rax]", "\xff\x10"),
    CANDIDATE("push rsp", "\x54"),
    CANDIDATE("swapgs", "\x0f\x01\xf8"),
    CANDIDATE("wrgsbase", "\xf3\x48\x0f\xae\xd8"),
};

static unsigned below(struct round *round, unsigned n)
{
    return (unsigned)(random_next(&round->seed) >> 33) % n;
}

/* ---- Random but plausible values ---- */

static uint16_t some_selector(struct round *round)
{
    if (below(round, 8) == 0)
        return (uint16_t)random_next(&round->seed);
    return (uint16_t)(below(round, GDT_BYTES / 8) * 8 | (below(round, 8) == 0 ? 4 : 0) |
                      below(round, 4));
}

static uint64_t some_address(struct round *round)
{
    static const uint64_t pool[] = {
        CODE,
        CODE + 0xfff,
        STACK0,
        STACK3,
        STACK0 - 12,
        UNMAPPED + 8,
        UNMAPPED + 0x1008,
        UNMAPPED + 0x1010,
        UNMAPPED - 4,
        0,
        1,
        2,
        8,
        0x10,
        0xfffe,
        0xffff,
        0x10000,
        RAM_SIZE - 4,
        RAM_SIZE,
        0xffffffff,
        0xfffffffc,
        0x100000000ull,
        0x7ffffffffff8ull,
        0x7ffffffffffcull,
        0x800000000000ull,
        0xffff7fffffffffffull,
        0xffff800000000000ull,
        0xffff800000000004ull,
        ~0ull,
        ~7ull,
        GDT,
        GDT + 0x80,
        TSS,
        TSS2,
        IDT,
        TABLES,
        LEAVES,
    };

    if (below(round, 16) == 0)
        return random_next(&round->seed);
    return pool[below(round, ARRAY_SIZE(pool))];
}

static uint64_t some_value(struct round *round)
{
    switch (below(round, 4)) {
    case 0:
        return some_selector(round);
    case 1:
        return (random_next(&round->seed) & FLAGS_DEFINED) | FLAG_ONE;
    default:
        return some_address(round);
    }
}

/* ---- Random machine ---- */

static uint64_t some_descriptor(struct round *round)
{
    unsigned access = below(round, 256) | (below(round, 4) ? 0x80u : 0);

    switch (below(round, 4)) {
    case 0: /* any bits */
        return random_next(&round->seed);
    case 1: /* a gate */
        return (uint64_t)some_selector(round) << 16 | (some_address(round) & 0xffff) |
               (uint64_t)(access & 0xefu) << 40 | (uint64_t)below(round, 32) << 32 |
               (some_address(round) & 0xffff0000) << 32;
    default:
        return make_segment(below(round, 2) ? 0 : (uint32_t)some_address(round),
                            (uint32_t)some_address(round), access, below(round, 16));
    }
}

static void mutate_tables(struct round *round)
{
    struct machine *m = round->m;
    unsigned entry = m->vcpu.long_mode ? 16 : 8;

    for (unsigned i = below(round, 12); i > 0; i--)
        set_descriptor(m, 8 + below(round, GDT_BYTES / 8 - 1) * 8, some_descriptor(round));
    for (unsigned i = 0; i < 64; i++) {
        uint64_t gate = some_descriptor(round);

        if (below(round, 2))
            gate = (gate & ~(0x1full << 40)) | (uint64_t)(0xe | below(round, 2)) << 40;
        if (m->vcpu.r.cr0 & CR0_PE)
            put(m, IDT + i * entry, 8, gate);
        else
            put(m, i * 4, 4, gate);
        if (entry == 16)
            put(m, IDT + i * entry + 8, 8, below(round, 4) ? 0 : some_value(round));
    }
    for (unsigned i = below(round, 10); i > 0; i--)
        put(m, TSS + below(round, 0x1a) * 4, 4, some_value(round));
    for (unsigned i = 0; i < 0x1a; i++)
        put(m, TSS2 + i * 4, 4, some_value(round));
    if (below(round, 4) == 0)
        set_page(m, below(round, RAM_SIZE >> 12) << 12, random_next(&round->seed) & 0xff007);
}

static void fill_stack(struct round *round, uint64_t around)
{
    unsigned size = 2u << below(round, 3);

    for (unsigned i = 0; i < 48; i++) {
        uint64_t at = around - 64 + i * size;

        if (at < RAM_SIZE - 8 && at >= DIRTY_END)
            put(round->m, at, size, some_value(round));
    }
}

static void mutate_registers(struct round *round)
{
    struct vcpu_registers *r = &round->m->vcpu.r;

    for (unsigned i = 0; i < REGISTER_COUNT; i++)
        if (i != REGISTER_RSP || below(round, 2))
            r->gpr[i] = some_value(round);
    if (below(round, 2))
        r->gpr[REGISTER_RAX] = 0x60000;
    r->gpr[REGISTER_RCX] = below(round, 2) ? some_selector(round) : r->gpr[REGISTER_RCX];
    if (!(r->efer & EFER_LMA))
        for (unsigned i = 0; i < REGISTER_COUNT; i++)
            r->gpr[i] &= 0xffffffff;
    r->rflags = (r->rflags & FLAG_VM) |
                (random_next(&round->seed) & FLAGS_DEFINED & ~(uint64_t)(FLAG_VM | FLAG_NT)) |
                FLAG_ONE | (below(round, 8) ? 0 : FLAG_NT);
    if (below(round, 4) == 0)
        r->segment[below(round, SEGMENT_COUNT)].limit = (uint32_t)some_address(round);
    if (below(round, 8) == 0)
        r->gdtr.limit = (uint16_t)some_address(round);
    if (below(round, 8) == 0)
        r->idtr.base = some_address(round);
    if (below(round, 16) == 0)
        r->gdtr.base = some_address(round);
    r->star = random_next(&round->seed);
    r->lstar = r->cstar = 0xffff800000001000ull;
    r->fmask = random_next(&round->seed) & 0xffffffff;
    r->sysenter_cs = some_selector(round);
    r->sysenter_eip = r->sysenter_esp = CODE;
    r->cr4 =
        (r->cr4 & CR4_PAE) | (below(round, 4) ? 0 : CR4_VME) | (below(round, 2) ? 0 : CR4_UMIP);
    r->nmi_blocked = 0;
    round->m->vm.model.vendor_intel = below(round, 2);
}

/* ---- Checks ---- */

static void complain(const struct round *round, const char *text)
{
    fail_msg("%s: %s (cpl %u, rip %llx)", round->what, text, round->before.cpl,
             (unsigned long long)round->before.rip);
}

/* A task switch that faults after its commit point has changed the registers: hardware does too. */
static bool task_committed(const struct round *round)
{
    const struct vcpu_registers *r = &round->m->vcpu.r;

    return (r->cr0 & CR0_TS) && !(r->efer & EFER_LMA);
}

static void check_unchanged(struct round *round)
{
    struct vcpu_registers now = round->m->vcpu.r;

    if (task_committed(round))
        return;
    if (memcmp(&now, &round->before, sizeof(now)) != 0)
        complain(round, "a fault has changed registers");
}

static void check_sane(struct round *round)
{
    const struct vcpu *vcpu = &round->m->vcpu;
    const struct vcpu_registers *r = &vcpu->r;
    const struct segment_register *cs = &r->segment[SEGMENT_CS];

    if (r->cpl > 3 || !(r->rflags & FLAG_ONE) ||
        (r->rflags & ~(uint64_t)(FLAGS_DEFINED | FLAG_ONE)))
        complain(round, "impossible CPL or flags");
    if ((r->efer & EFER_LMA) && (r->rflags & FLAG_VM))
        complain(round, "virtual-8086 mode in long mode");
    if (!(r->cr0 & CR0_PE))
        return;
    if (r->rflags & FLAG_VM) {
        if (r->cpl != 3 || cs->base != (uint64_t)cs->selector << 4)
            complain(round, "impossible virtual-8086 state");
        return;
    }
    if ((cs->selector & 3u) != r->cpl)
        complain(round, "CS.RPL is not CPL");
    if ((r->segment[SEGMENT_SS].rights & RIGHTS_DPL) >> RIGHTS_DPL_SHIFT != r->cpl)
        complain(round, "SS.DPL is not CPL");
    if (vcpu->long_code != ((r->efer & EFER_LMA) && (cs->rights & RIGHTS_L)))
        complain(round, "derived mode is stale");
}

/* ---- Actions ---- */

static int act_event(struct round *round)
{
    static const enum event_kind kinds[] = {
        EVENT_EXCEPTION,          EVENT_INTERRUPT,           EVENT_NMI, EVENT_SOFTWARE,
        EVENT_SOFTWARE_EXCEPTION, EVENT_PRIVILEGED_SOFTWARE, EVENT_TRAP
    };
    struct vcpu *vcpu = &round->m->vcpu;
    enum event_kind kind = kinds[below(round, ARRAY_SIZE(kinds))];

    round->what = "event";
    vcpu->next_rip = vcpu->r.rip + 2;
    return event_deliver_once(vcpu, below(round, 64), kind, below(round, 2),
                              (uint32_t)some_value(round));
}

static int act_nested(struct round *round)
{
    struct fault fault = { .vector = (uint8_t)below(round, 20),
                           .has_error = below(round, 2),
                           .error = 2,
                           .address = some_address(round) };
    int result;

    round->what = "nested event";
    result = event_deliver(&round->m->vcpu, &fault, EVENT_EXCEPTION);
    if (result == -EFAULT)
        complain(round, "event_deliver gave a fault back");
    return result;
}

static int act_instruction(struct round *round)
{
    const struct candidate *e = &candidates[below(round, ARRAY_SIZE(candidates))];
    struct vcpu *vcpu = &round->m->vcpu;
    struct instruction insn;
    int result;

    round->what = e->name;
    put(round->m, 0x60000, 8, some_value(round));
    put(round->m, 0x60000 + (2u << below(round, 3)), 2, some_selector(round));
    if (instruction_decode((const uint8_t *)e->bytes, e->size, vcpu->code_size, &insn) ||
        insn.row->interpreter == INTERPRETER_NONE)
        return 0; /* means something else in this mode */
    vcpu->next_rip = (vcpu->r.rip + insn.length) & vcpu->rip_mask;
    result = interpreter_table[insn.row->interpreter](vcpu, &insn);
    if (result == -EFAULT && insn.row->interpreter == INTERPRET_iret)
        vcpu->r.nmi_blocked = 0;
    return result;
}

static void round_run(struct round *round, const struct machine *fresh)
{
    struct machine *m = round->m;
    int result;

    memcpy(m->ram, fresh->ram, DIRTY_END);
    m->vcpu.r = fresh->vcpu.r;
    m->vcpu.debug_pending = 0;
    mutate_registers(round);
    vcpu_mode_changed(&m->vcpu);
    mutate_tables(round);
    fill_stack(round, m->vcpu.r.gpr[REGISTER_RSP]);
    tlb_flush_all(&m->vcpu);
    round->before = m->vcpu.r;
    switch (below(round, 4)) {
    case 0:
        result = act_event(round);
        break;
    case 1:
        result = act_nested(round);
        break;
    default:
        result = act_instruction(round);
        break;
    }
    if (result != 0 && result != -EFAULT && result != -ESHUTDOWN)
        complain(round, "unexpected result");
    if (result == -EFAULT)
        check_unchanged(round);
    if (result == 0)
        check_sane(round);
}

static unsigned rounds = 200000;
static uint64_t first_seed = 1;

static void random_transfers(void **state)
{
    static const struct {
        enum machine_mode mode;
        unsigned cpl;
    } modes[] = { { MODE_REAL, 0 },          { MODE_PROTECTED32, 0 },   { MODE_PROTECTED32, 1 },
                  { MODE_PROTECTED32, 3 },   { MODE_LONG64, 0 },        { MODE_LONG64, 3 },
                  { MODE_COMPATIBILITY, 0 }, { MODE_COMPATIBILITY, 3 }, { MODE_VIRTUAL8086, 3 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        struct machine *fresh = machine_new(modes[i].mode, modes[i].cpl);
        struct round round = { .m = machine_new(modes[i].mode, modes[i].cpl) };

        for (unsigned n = 0; n < rounds / ARRAY_SIZE(modes); n++) {
            round.seed = (first_seed + n) * 0x9e3779b97f4a7c15ull + i + 1;
            round_run(&round, fresh);
        }
        machine_free(round.m);
        machine_free(fresh);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_transfers) };

    if (argc > 1)
        rounds = (unsigned)strtoul(argv[1], NULL, 0);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
