/* SPDX-License-Identifier: MIT */
/*
 * `origami probe`: which instructions trap, reveal or silently keep system state, or are emulated
 * by the kernel, asked of the CPU that runs this program, from user mode.
 *
 * Reading order: this header; instructions_64.h, instructions_system.h, instructions_32.h (the
 * tables: one row per instruction and operation); code.c (the rows' machine code); child.c (one
 * process per row); judge.c (what an outcome shows); report_text.c, report_json.c; command_probe.c.
 *
 * This folder knows nothing of descriptions (*.isa), of the solver or of the engine.
 */
#ifndef ORIGAMI_PROBE_H
#define ORIGAMI_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROBE_MUST_CHECK __attribute__((warn_unused_result))

/* What the architecture's manuals make of an instruction, in the terms of Popek and Goldberg. */
enum probe_model {
    MODEL_INNOCUOUS,  /* sees nothing but the program's own state */
    MODEL_PRIVILEGED, /* traps in user mode whatever the state */
    MODEL_CRITICAL,   /* sensitive and does not trap in user mode */
    MODEL_UMIP,       /* critical, unless CR4.UMIP makes it privileged */
    MODEL_PARTIAL,    /* traps in user mode in some states only (IOPL, descriptor checks) */
    MODEL_READER,     /* reads a clock or resource outside M and R; a control bit may close it */
    MODEL_VECTORS,    /* enters the kernel by design, from either mode */
    MODEL_COUNT,
};

enum probe_verdict {
    VERDICT_INNOCUOUS,    /* executed, and nothing of the system shows */
    VERDICT_TRAPPED,      /* trapped: consistent with privileged, which one state can't prove */
    VERDICT_CRITICAL,     /* executed natively and revealed or ignored system state: proved */
    VERDICT_UNPRIVILEGED, /* executed natively: not privileged; that it is sensitive, the model says
                           */
    VERDICT_EMULATED,     /* trapped to the kernel, which supplied a result */
    VERDICT_CHECKED,      /* trapped by a check that other operands or states would pass */
    VERDICT_READS,        /* executed natively and gave a clock or a resource's value */
    VERDICT_CLOSED,       /* trapped because a control bit is set (CR4.TSD, CPUID faulting ...) */
    VERDICT_VECTORED,     /* entered the kernel, as it should */
    VERDICT_UNAVAILABLE,  /* #UD: the feature is absent or not enabled */
    VERDICT_NOT_PROBED,   /* refused or impossible here; the observation says why */
    VERDICT_UNDECIDED,    /* the observation fits more than one reading */
    VERDICT_CONTRADICTS,  /* not what the model says */
    VERDICT_COUNT,
};

enum probe_group {
    GROUP_CONTROL,
    GROUP_FLAGS,
    GROUP_SELECTOR,
    GROUP_DESCRIPTOR,
    GROUP_TABLE,
    GROUP_FAR,
    GROUP_VECTOR,
    GROUP_PORT,
    GROUP_SYSTEM,
    GROUP_CACHE,
    GROUP_MODE,
    GROUP_HARDWARE,
    GROUP_READER,
    GROUP_COMPATIBILITY,
    GROUP_COUNT,
};

/* CPUID bits that decide whether #UD means "absent"; environment.c says where they are. */
enum probe_feature {
    FEATURE_NONE,
    FEATURE_UMIP,
    FEATURE_SMAP,
    FEATURE_INVPCID,
    FEATURE_MONITOR,
    FEATURE_VMX,
    FEATURE_SVM,
    FEATURE_RDTSCP,
    FEATURE_RDPID,
    FEATURE_RDPRU,
    FEATURE_FSGSBASE,
    FEATURE_PKU,
    FEATURE_XSAVE,
    FEATURE_XSAVES,
    FEATURE_COUNT,
};

enum probe_need {
    NEED_IOPL_0 = 1 << 0,      /* not where user mode may mask interrupts */
    NEED_NO_PORTS = 1 << 1,    /* not unless ioperm is known to be void */
    NEED_LOW = 1 << 2,         /* code below 4 GiB: a 32-bit far pointer */
    NEED_HYPERCALLS = 1 << 3,  /* only with --hypercalls */
    NEED_TSD = 1 << 4,         /* after prctl(PR_SET_TSC, PR_TSC_SIGSEGV) */
    NEED_CPUID_FAULT = 1 << 5, /* after arch_prctl(ARCH_SET_CPUID, 0) */
    NEED_COMPAT = 1 << 6,      /* runs in the 32-bit code segment 0x23 */
    NEED_STEP = 1 << 7,        /* single-step it too: tells emulated from native */
    NEED_FAR_STACK = 1 << 8,   /* far transfer through the stack: not under QEMU's emulator */
};

enum probe_vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_BP = 3,
    VECTOR_UD = 6,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
};

enum { PROBE_ANY_ERROR = -1, PROBE_SCRATCH_SIZE = 4096, PROBE_FILL = 0xa5 };

struct probe_expectation {
    bool may_execute;
    bool may_be_absent; /* #UD besides: some vendor does not have it */
    uint32_t vectors;   /* bit per vector that fits the model */
    int32_t error;      /* the error code of a trap, or PROBE_ANY_ERROR */
};

/* Loaded before the code, stored after it; the layout is known to code.c. */
struct probe_registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi;
    uint64_t rflags;
};

enum probe_outcome {
    OUTCOME_NOT_RUN, /* a need was refused: `refusal` */
    OUTCOME_EXECUTED,
    OUTCOME_TRAPPED,
    OUTCOME_TIMEOUT,
    OUTCOME_KILLED, /* by a signal that has no handler: `signal` */
};

enum probe_refusal {
    REFUSAL_NONE,
    REFUSAL_IOPL,      /* IOPL is not 0 and could not be lowered */
    REFUSAL_PORTS,     /* port permission can't be given up here */
    REFUSAL_LOW,       /* no executable memory below 4 GiB */
    REFUSAL_HYPERCALL, /* not asked for */
    REFUSAL_EMULATOR,  /* NEED_FAR_STACK under QEMU's emulator with SMAP */
    REFUSAL_CALL,      /* arch_prctl or prctl failed: `error` */
};

/* What single-stepping over the instruction saw (child.c says why this tells). */
enum probe_step { STEP_NOT_TRIED, STEP_UNSEEN, STEP_NATIVE, STEP_SKIPPED };

/* What happened, without interpretation. Written by the child into shared memory. */
struct probe_result {
    enum probe_outcome outcome;
    enum probe_refusal refusal;
    int refusal_errno;
    int signal;
    uint64_t vector, error;
    bool at_instruction; /* the trap's RIP is the instruction's, or just after it (INT3) */
    struct probe_registers registers;
    uint64_t cycles; /* of the TSC, minimum over many runs, call included; 0 not measured */
    enum probe_step step;
    uint32_t cpu, node;
    uint32_t pid;
    uint8_t scratch[64]; /* the first bytes of the code's scratch memory, afterwards */
};

struct probe_environment {
    char vendor[13], hypervisor_vendor[13], brand[49], kernel[160];
    bool cpuid_known; /* false where CPUID is closed to us */
    bool hypervisor;  /* the CPU says so */
    bool features[FEATURE_COUNT];
    unsigned cpl, iopl;
    bool timing;          /* RDTSC executes */
    bool stepping;        /* a NOP is seen to be stepped over */
    uint64_t base_cycles; /* the cost of calling a NOP row: subtracted from every other */
    uint64_t base_cycles_32;
};

struct probe_options {
    bool json;
    bool hypercalls;
};

struct probe_row;
struct probe_context;

/* The judgement of one row. */
struct probe_finding {
    enum probe_verdict verdict;
    bool evidence_dummy, evidence_slow, evidence_skipped; /* of emulation by the kernel */
    uint64_t cycles;                                      /* net, 0 not measured */
    char observed[256];                                   /* in the language of the messages */
};

/* Called for a row that executed; sets the verdict and the words after "executed". */
typedef void probe_judge(const struct probe_environment *environment,
                         const struct probe_result *result, struct probe_finding *finding);

struct probe_row {
    const char *id, *mnemonic, *operation;
    enum probe_group group;
    enum probe_model model;
    struct probe_expectation expect;
    enum probe_feature feature;
    unsigned needs;
    probe_judge *judge; /* NULL: executing says nothing more */
    const uint8_t *code, *instruction, *after, *end;
};

/* Memory of a run: the result and scratch pages are shared with the children. */
struct probe_context {
    struct probe_options options;
    struct probe_environment environment;
    struct probe_shared *shared; /* child.c */
    uint8_t *low_code;           /* copy of the rows' code below 4 GiB, NULL if refused */
    struct probe_result *results;
    struct probe_finding *findings;
};

struct probe_summary {
    unsigned verdicts[VERDICT_COUNT];
    unsigned rows;
    bool consistent; /* no row contradicts the model */
    enum { UMIP_UNKNOWN, UMIP_OFF, UMIP_ON } umip;
    bool umip_emulated;
};

/* table.c */
const struct probe_row *probe_rows(size_t *count);
const struct probe_row *probe_find_row(const char *id);
const char *probe_group_name(enum probe_group group);
const char *probe_model_name(enum probe_model model);
const char *probe_verdict_name(enum probe_verdict verdict);
/* A word for programs: "critical", "not-probed" ... */
const char *probe_verdict_key(enum probe_verdict verdict);
const char *probe_model_key(enum probe_model model);
/* "#GP", or NULL for a vector without a name here. */
const char *probe_vector_name(uint64_t vector);

/* environment.c: CPUID, CPL, IOPL. 0, -errno, or -ENOTSUP when this is not user mode at CPL 3. */
int probe_read_environment(struct probe_context *context) PROBE_MUST_CHECK;
const char *probe_feature_name(enum probe_feature feature);

/* child.c. Ownership: context owns its pages; probe_close gives them back, also after failure. */
int probe_open(struct probe_context *context, const struct probe_options *options) PROBE_MUST_CHECK;
void probe_close(struct probe_context *context);
/* Runs one row in a child. 0 with *result filled whatever happened to the child; -errno only if
 * there could be no child. */
int probe_run_row(struct probe_context *context, const struct probe_row *row,
                  struct probe_result *result) PROBE_MUST_CHECK;
/* Runs all rows into context->results and ->findings. */
int probe_run(struct probe_context *context) PROBE_MUST_CHECK;
/* Calls `function` in a child whose memory at `shared` is seen here afterwards. */
int probe_call_guarded(struct probe_context *context, void (*function)(void *shared), void *copy,
                       size_t size) PROBE_MUST_CHECK;

/* judge.c */
void probe_judge_row(const struct probe_environment *environment, const struct probe_row *row,
                     const struct probe_result *result, struct probe_finding *finding);
struct probe_summary probe_summarize(const struct probe_context *context);

/* report_text.c, report_json.c. The latter: 0 or -ENOMEM. */
void probe_print_text(const struct probe_context *context, FILE *out);
int probe_print_json(const struct probe_context *context, FILE *out) PROBE_MUST_CHECK;

#endif
