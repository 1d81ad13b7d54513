/* SPDX-License-Identifier: MIT */
/*
 * What it shows that a row executed. Each judge compares what the code left in the registers or in
 * memory with what the system's state is known to be; if they do not fit, it says so rather than
 * claim a proof.
 */
#include "../messages.h"
#include "judge.h"

#include <stdarg.h>
#include <string.h>

enum { RFLAGS_IF = 0x200, SLOW_CYCLES = 500, SCRATCH_OPERAND = 32 };

/* What Linux writes instead (arch/x86/kernel/umip.c), and the selector of its TSS. */
#define UMIP_GDT_BASE 0xfffffffffffe0000U
#define UMIP_IDT_BASE 0xffffffffffff0000U
#define UMIP_CR0      0x80050033U
#define UMIP_TR       0x40U
#define FILL_HIGH     (0x0101010101010101U * PROBE_FILL >> 32)

void probe_observe(struct probe_finding *finding, const char *format, ...)
{
    size_t used = strlen(finding->observed);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(finding->observed + used, sizeof(finding->observed) - used, gettext(format),
                    arguments);
    va_end(arguments);
}

void judge_nop(const struct probe_environment *environment, const struct probe_result *result,
               struct probe_finding *finding)
{
    (void)environment;
    finding->verdict = VERDICT_INNOCUOUS;
    if (result->step == STEP_NATIVE)
        probe_observe(finding, ": single steps are seen");
    else
        probe_observe(finding, ": single steps are NOT seen");
}

void judge_pushf(const struct probe_environment *environment, const struct probe_result *result,
                 struct probe_finding *finding)
{
    uint64_t flags = result->registers.rax;
    unsigned iopl = (unsigned)(flags >> 12 & 3);

    (void)environment;
    probe_observe(finding, ": IF = %d, IOPL = %u", (flags & RFLAGS_IF) != 0, iopl);
    /* User code runs with interrupts on: IF = 1 is the real flag. */
    finding->verdict = (flags & RFLAGS_IF) != 0 ? VERDICT_CRITICAL : VERDICT_UNDECIDED;
}

void judge_if_kept(const struct probe_environment *environment, const struct probe_result *result,
                   struct probe_finding *finding)
{
    bool kept = (result->registers.rax & RFLAGS_IF) != 0;

    (void)environment;
    probe_observe(finding, kept ? N_(": IF stayed 1, no trap") : N_(": IF BECAME 0"));
    finding->verdict = kept ? VERDICT_CRITICAL : VERDICT_CONTRADICTS;
}

void judge_iopl_kept(const struct probe_environment *environment, const struct probe_result *result,
                     struct probe_finding *finding)
{
    unsigned iopl = (unsigned)(result->registers.rax >> 12 & 3);

    (void)environment;
    probe_observe(finding, iopl == 0 ? N_(": IOPL stayed 0, no trap") : N_(": IOPL BECAME %u"),
                  iopl);
    finding->verdict = iopl == 0 ? VERDICT_CRITICAL : VERDICT_CONTRADICTS;
}

void judge_shows_cpl(const struct probe_environment *environment, const struct probe_result *result,
                     struct probe_finding *finding)
{
    unsigned selector = (unsigned)(result->registers.rax & 0xffff);

    probe_observe(finding, ": 0x%x, CPL %u", selector, selector & 3);
    finding->verdict = (selector & 3) == environment->cpl ? VERDICT_CRITICAL : VERDICT_CONTRADICTS;
}

void judge_unprivileged(const struct probe_environment *environment,
                        const struct probe_result *result, struct probe_finding *finding)
{
    (void)environment;
    (void)result;
    finding->verdict = VERDICT_UNPRIVILEGED;
}

/* DL: ZF for the user's own descriptor; CL: for the kernel's. */
void judge_zero_flags(const struct probe_environment *environment,
                      const struct probe_result *result, struct probe_finding *finding)
{
    unsigned own = (unsigned)(result->registers.rdx & 0xff);
    unsigned kernel = (unsigned)(result->registers.rcx & 0xff);

    (void)environment;
    probe_observe(finding, ": ZF = %u (own segment: ZF = %u)", kernel, own);
    finding->verdict = own == 1 && kernel == 0 ? VERDICT_CRITICAL : VERDICT_CONTRADICTS;
}

void judge_lsl_cpu(const struct probe_environment *environment, const struct probe_result *result,
                   struct probe_finding *finding)
{
    uint64_t limit = result->registers.rax;
    unsigned cpu = (unsigned)(limit & 0xfff), node = (unsigned)(limit >> 12);

    (void)environment;
    if ((result->registers.rcx & 0xff) == 0) {
        probe_observe(finding, ": no such segment here");
        finding->verdict = VERDICT_UNPRIVILEGED;
        return;
    }
    probe_observe(finding, ": CPU %u, node %u; getcpu says %u, %u", cpu, node, result->cpu,
                  result->node);
    finding->verdict =
        cpu == result->cpu && node == result->node ? VERDICT_CRITICAL : VERDICT_UNDECIDED;
}

/*
 * Native or emulated? Single steps decide where they work. Without them it takes both Linux's
 * dummy and the time of a trap; time alone would also fit a hypervisor that intercepts it.
 */
static void judge_emulation(const struct probe_environment *environment,
                            const struct probe_result *result, struct probe_finding *finding,
                            bool dummy)
{
    bool steps = environment->stepping && result->step >= STEP_NATIVE;
    bool native = steps && result->step == STEP_NATIVE;

    finding->evidence_dummy = dummy;
    finding->evidence_slow = finding->cycles >= SLOW_CYCLES;
    finding->evidence_skipped = steps && result->step == STEP_SKIPPED;
    if (native && !dummy)
        finding->verdict = VERDICT_CRITICAL;
    else if (finding->evidence_skipped || (!steps && dummy && finding->evidence_slow))
        finding->verdict = VERDICT_EMULATED;
    else if (!steps && !dummy && finding->cycles != 0 && !finding->evidence_slow)
        finding->verdict = VERDICT_CRITICAL;
    else
        finding->verdict = VERDICT_UNDECIDED;
}

static void judge_table(const struct probe_environment *environment,
                        const struct probe_result *result, struct probe_finding *finding,
                        uint64_t dummy)
{
    uint16_t limit;
    uint64_t base;

    memcpy(&limit, result->scratch + SCRATCH_OPERAND, sizeof(limit));
    memcpy(&base, result->scratch + SCRATCH_OPERAND + 2, sizeof(base));
    probe_observe(finding, ": base 0x%llx, limit 0x%x", (unsigned long long)base, limit);
    judge_emulation(environment, result, finding, base == dummy && limit == 0);
}

void judge_sgdt(const struct probe_environment *environment, const struct probe_result *result,
                struct probe_finding *finding)
{
    judge_table(environment, result, finding, UMIP_GDT_BASE);
}

void judge_sidt(const struct probe_environment *environment, const struct probe_result *result,
                struct probe_finding *finding)
{
    judge_table(environment, result, finding, UMIP_IDT_BASE);
}

void judge_sgdt_32(const struct probe_environment *environment, const struct probe_result *result,
                   struct probe_finding *finding)
{
    uint16_t limit;
    uint32_t base;

    memcpy(&limit, result->scratch + SCRATCH_OPERAND, sizeof(limit));
    memcpy(&base, result->scratch + SCRATCH_OPERAND + 2, sizeof(base));
    probe_observe(finding, ": base 0x%x, limit 0x%x", base, limit);
    judge_emulation(environment, result, finding, base == (uint32_t)UMIP_GDT_BASE && limit == 0);
}

/*
 * The CPU writes a 32-bit register and clears its upper half. Linux writes 2 bytes (SLDT, STR) or
 * 4 (SMSW) of the saved register and leaves the rest: so a filled upper half is no CPU's doing.
 */
static void judge_word(const struct probe_environment *environment,
                       const struct probe_result *result, struct probe_finding *finding,
                       uint32_t dummy, uint32_t mask)
{
    uint64_t value = result->registers.rax;
    bool upper_kept = value >> 32 == FILL_HIGH;

    probe_observe(finding, upper_kept ? N_(": 0x%llx, upper half untouched") : N_(": 0x%llx"),
                  (unsigned long long)(value & mask));
    judge_emulation(environment, result, finding, upper_kept && (value & mask) == dummy);
}

void judge_sldt(const struct probe_environment *environment, const struct probe_result *result,
                struct probe_finding *finding)
{
    judge_word(environment, result, finding, 0, 0xffff);
}

void judge_str(const struct probe_environment *environment, const struct probe_result *result,
               struct probe_finding *finding)
{
    judge_word(environment, result, finding, UMIP_TR, 0xffff);
}

void judge_smsw(const struct probe_environment *environment, const struct probe_result *result,
                struct probe_finding *finding)
{
    judge_word(environment, result, finding, UMIP_CR0, 0xffffffff);
}

/* CLI and STI: nothing but the kernel may let them pass where IOPL is 0. */
void judge_skipped(const struct probe_environment *environment, const struct probe_result *result,
                   struct probe_finding *finding)
{
    finding->evidence_skipped = environment->stepping && result->step == STEP_SKIPPED;
    finding->evidence_slow = finding->cycles >= SLOW_CYCLES;
    finding->verdict = finding->evidence_skipped ? VERDICT_EMULATED : VERDICT_CONTRADICTS;
}

void judge_int_80(const struct probe_environment *environment, const struct probe_result *result,
                  struct probe_finding *finding)
{
    bool right = (uint32_t)result->registers.rax == result->pid;

    (void)environment;
    probe_observe(finding, right ? N_(": the kernel's getpid") : N_(": the kernel answered %d"),
                  (int)(uint32_t)result->registers.rax);
    finding->verdict = VERDICT_VECTORED;
}

void judge_hypercall(const struct probe_environment *environment, const struct probe_result *result,
                     struct probe_finding *finding)
{
    (void)environment;
    probe_observe(finding, ": a hypervisor answered %lld", (long long)result->registers.rax);
    finding->verdict = VERDICT_VECTORED;
}

void judge_reads(const struct probe_environment *environment, const struct probe_result *result,
                 struct probe_finding *finding)
{
    bool skipped = environment->stepping && result->step == STEP_SKIPPED;

    finding->evidence_skipped = skipped;
    probe_observe(finding, ": EAX = 0x%x", (unsigned)result->registers.rax);
    finding->verdict = skipped ? VERDICT_EMULATED : VERDICT_READS;
}

/* Linux keeps the CPU's number, and above bit 12 the node's, in TSC_AUX. */
static void judge_aux(const struct probe_result *result, struct probe_finding *finding,
                      uint64_t value)
{
    unsigned cpu = (unsigned)(value & 0xfff), node = (unsigned)(value >> 12);

    finding->verdict = VERDICT_READS;
    if (cpu == result->cpu && node == result->node)
        probe_observe(finding, ": CPU %u, node %u, as getcpu says", cpu, node);
    else
        probe_observe(finding, ": TSC_AUX = 0x%llx", (unsigned long long)value);
}

void judge_aux_rax(const struct probe_environment *environment, const struct probe_result *result,
                   struct probe_finding *finding)
{
    (void)environment;
    judge_aux(result, finding, result->registers.rax);
}

void judge_aux_rcx(const struct probe_environment *environment, const struct probe_result *result,
                   struct probe_finding *finding)
{
    (void)environment;
    judge_aux(result, finding, result->registers.rcx);
}

void judge_salc(const struct probe_environment *environment, const struct probe_result *result,
                struct probe_finding *finding)
{
    bool right = (result->registers.rax & 0xff) == 0xff;

    (void)environment;
    probe_observe(finding, ": AL = 0x%x for CF = 1", (unsigned)(result->registers.rax & 0xff));
    finding->verdict = right ? VERDICT_INNOCUOUS : VERDICT_CONTRADICTS;
}
