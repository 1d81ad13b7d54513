/* SPDX-License-Identifier: MIT */
/*
 * cpumodel.h - what CPU the guest sees: an allow-list of known features that the host has too.
 * Built by cpu_model_init() from the host's CPUID; read by the decoder's feature gates and CPUID.
 */
#ifndef ORIGAMI_ENGINE_CPUMODEL_H
#define ORIGAMI_ENGINE_CPUMODEL_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid_leaf {
    uint32_t leaf, subleaf;
    uint32_t subleaf_matters;
    uint32_t eax, ebx, ecx, edx;
};
#define CPUID_LEAF_MAX 80
#define FEATURE_WORDS  4
#define XSTATE_MAX     10 /* state components 0 (x87) to 9 (PKRU) */

/* Where a state component lies in the standard XSAVE format. The host's layout is the guest's:
 * Intel's and AMD's differ, and the staging area is filled by the host's own XSAVE. size 0: not
 * given. */
struct xstate_component {
    uint16_t offset, size;
    uint16_t aligned; /* starts at a multiple of 64 in the compacted format */
    uint16_t reserved;
};

/* Whose CPU the guest sees. */
enum cpu_vendor { VENDOR_HOST, VENDOR_INTEL, VENDOR_AMD };

struct cpu_model {
    struct cpuid_leaf leaf[CPUID_LEAF_MAX];
    uint32_t leaf_count;
    uint32_t maximum_basic, maximum_extended, maximum_hypervisor;
    uint64_t feature[FEATURE_WORDS]; /* bitmap by enum instruction_feature */
    uint64_t xcr0_allowed;           /* XCR0 bits the guest may set */
    uint32_t xsave_size;             /* bytes for xcr0_allowed */
    uint32_t mxcsr_mask;
    uint8_t physical_bits;      /* MAXPHYADDR */
    uint8_t linear_bits;        /* 48 */
    bool vendor_intel;          /* which vendor's rules where they differ */
    bool x87_pointers_always;   /* FXSAVE shows FIP/FDP/FOP even with no exception pending */
    bool x87_pointers_restored; /* FXRSTOR loads them even with no exception pending */
    bool x87_selectors_zero;    /* FCS and FDS are saved as 0 (CPUID 7.EBX[13]) */
    struct xstate_component xstate[XSTATE_MAX];
    uint64_t cr4_allowed, efer_allowed;
};

static inline bool cpu_model_has(const struct cpu_model *model, unsigned feature)
{
    return feature == 0 || (model->feature[feature / 64] >> (feature % 64) & 1);
}

/* Probes the host and applies the allow-list. Runs CPUID and XGETBV; needs no system call. The
 * vendor is the host's with cpu_model_init(). */
void cpu_model_init(struct cpu_model *model, unsigned vcpu_count);
void cpu_model_init_vendor(struct cpu_model *model, unsigned vcpu_count, enum cpu_vendor vendor);

/* The row of leaf and subleaf, or NULL. */
const struct cpuid_leaf *cpu_model_leaf(const struct cpu_model *model, uint32_t leaf,
                                        uint32_t subleaf);
/* Bytes of an XSAVE area that holds `components`, in the standard and in the compacted format. */
uint32_t cpu_model_xsave_size(const struct cpu_model *model, uint64_t components);
uint32_t cpu_model_xsavec_size(const struct cpu_model *model, uint64_t components);

#endif
