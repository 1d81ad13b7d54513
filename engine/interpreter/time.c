/* SPDX-License-Identifier: MIT */
/*
 * time.c - instructions that read the clock, the processor's number, counters and random numbers.
 *
 * All are sensitive: run natively they would show the host's clock and CPU number, and make runs
 * that must repeat differ.
 */
#include "interpreter.h"

/* EDX:EAX as the 64-bit results of old instructions are given: upper halves cleared. */
static void pair_write(struct vcpu *vcpu, uint64_t value)
{
    vcpu->r.gpr[REGISTER_RAX] = (uint32_t)value;
    vcpu->r.gpr[REGISTER_RDX] = value >> 32;
}

static bool tsc_disabled(const struct vcpu *vcpu)
{
    return (vcpu->r.cr4 & CR4_TSD) && vcpu->r.cpl != 0;
}

int interpret_rdtsc(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (tsc_disabled(vcpu))
        return fault_gp(vcpu);
    pair_write(vcpu, clock_tsc(vcpu));
    return 0;
}

int interpret_rdtscp(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    if (tsc_disabled(vcpu))
        return fault_gp(vcpu);
    pair_write(vcpu, clock_tsc(vcpu));
    vcpu->r.gpr[REGISTER_RCX] = (uint32_t)vcpu->r.tsc_aux;
    return 0;
}

int interpret_rdpid(struct vcpu *vcpu, const struct instruction *insn)
{
    register_write(vcpu, insn, insn->rm, insn->code_size == 64 ? 8 : 4, vcpu->r.tsc_aux);
    return 0;
}

/* The guest has no performance counters (CPUID 0AH is zero): every index is invalid. */
int interpret_rdpmc(struct vcpu *vcpu, const struct instruction *insn)
{
    (void)insn;
    return fault_gp(vcpu);
}

/* ---- Random numbers ---- */

/* xorshift128+ (Vigna, 2014) for runs that must repeat; not for secrets, and documented so. */
static uint64_t random_seeded(struct vm *vm)
{
    uint64_t a = vm->random_state[0];
    uint64_t b = vm->random_state[1];
    if (!(a | b)) /* the one state it cannot leave */
        a = 0x9e3779b97f4a7c15ull;
    a ^= a << 23;
    a ^= a >> 17;
    a ^= b ^ (b >> 26);
    vm->random_state[0] = b;
    vm->random_state[1] = a;
    return a + b;
}

/* Always the 64-bit forms: the short ones of RDSEED fail silently on early Zen 5. */
static bool host_rdrand(uint64_t *value)
{
    uint8_t ok;
    __asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(ok) : : "cc");
    return ok;
}

static bool host_rdseed(uint64_t *value)
{
    uint8_t ok;
    __asm__ volatile("rdseed %0; setc %1" : "=r"(*value), "=qm"(ok) : : "cc");
    return ok;
}

/* CF says whether a number was ready; the other arithmetic flags are cleared (SDM Vol. 2, RDRAND).
 */
static int random_deliver(struct vcpu *vcpu, const struct instruction *insn, bool ok,
                          uint64_t value)
{
    uint64_t flags = vcpu->r.rflags & ~(uint64_t)FLAG_ARITHMETIC;
    register_write(vcpu, insn, insn->rm, insn->operand_size, ok ? value : 0);
    vcpu->r.rflags = ok ? flags | FLAG_CF : flags;
    return 0;
}

/* The model shows RDRAND and RDSEED only if the host has them, so the host's may be run. */
int interpret_rdrand(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value = 0;
    bool ok = false;
    if (vcpu->vm->deterministic)
        return random_deliver(vcpu, insn, true, random_seeded(vcpu->vm));
    if (cpu_model_has(&vcpu->vm->model, FEATURE_RDRAND))
        ok = host_rdrand(&value);
    return random_deliver(vcpu, insn, ok, value);
}

int interpret_rdseed(struct vcpu *vcpu, const struct instruction *insn)
{
    uint64_t value = 0;
    bool ok = false;
    if (vcpu->vm->deterministic)
        return random_deliver(vcpu, insn, true, random_seeded(vcpu->vm));
    if (cpu_model_has(&vcpu->vm->model, FEATURE_RDSEED))
        ok = host_rdseed(&value);
    return random_deliver(vcpu, insn, ok, value);
}
