/* SPDX-License-Identifier: MIT */
/*
 * cpumodel.c - builds the guest's CPUID: an allow-list of known features that the host has too.
 *
 * Two kinds of features. Those whose instructions run natively are shown only if the host shows
 * them (and its operating system has enabled their state); they are the rows of
 * instruction/features.def. Those that the engine carries out itself (paging, control registers,
 * the interrupt controller) are shown always. What is in neither table is not given: VMX, SVM,
 * LA57, XSAVES, CET, AMX, TSX, the PMU, UINTR, FRED, LASS, LAM, MONITOR, WAITPKG, ENQCMD and
 * everything not yet invented.
 *
 * Sources: Intel SDM Vol. 2A, CPUID; AMD APM Vol. 3, appendix E; Linux
 * Documentation/virt/kvm/x86/cpuid.rst.
 */
#include "cpumodel.h"
#include "engine.h"
#include "support.h"

#define BIT(n) (1u << (n))

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

struct registers {
    uint32_t value[4];
};

static struct registers host_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct registers r;
    __asm__ volatile("cpuid"
                     : "=a"(r.value[0]), "=b"(r.value[1]), "=c"(r.value[2]), "=d"(r.value[3])
                     : "a"(leaf), "c"(subleaf));
    return r;
}

/* The host's leaf, zeros beyond its maximum (Intel answers with another leaf's data there). */
static struct registers host_leaf(uint32_t leaf, uint32_t subleaf)
{
    if (leaf > host_cpuid(leaf & 0x80000000u, 0).value[CPUID_EAX])
        return (struct registers){ { 0 } };
    return host_cpuid(leaf, subleaf);
}

static uint64_t host_xcr0(void)
{
    if (!(host_leaf(1, 0).value[CPUID_ECX] & BIT(27)))
        return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Bytes 28-31 of the FXSAVE image; 0 means the default (SDM Vol. 1, 11.6.6). */
static uint32_t host_mxcsr_mask(void)
{
    _Alignas(16) uint8_t image[512];
    uint32_t mask;
    memset(image, 0, sizeof(image));
    __asm__ volatile("fxsave %0" : "+m"(image));
    memcpy(&mask, image + 28, sizeof(mask));
    return mask ? mask : 0xffbf;
}

/* ---- The two tables ---- */

#define EAX CPUID_EAX
#define EBX CPUID_EBX
#define ECX CPUID_ECX
#define EDX CPUID_EDX

static const struct {
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
} feature_bits[FEATURE_COUNT] = {
#define FEATURE(name, leaf, subleaf, reg, bit) [FEATURE_##name] = { leaf, subleaf, reg, bit },
#include "instruction/features.def"
#undef FEATURE
};

enum policy_when { ALWAYS, HOST, NEVER };
enum policy_vendor { BOTH, AMD };

static const struct {
    uint32_t leaf, subleaf;
    uint8_t reg, bit, when, vendor;
} policies[] = {
#define POLICY(leaf, subleaf, reg, bit, when, vendor) { leaf, subleaf, reg, bit, when, vendor },
#include "cpupolicy.def"
#undef POLICY
};

#undef EAX
#undef EBX
#undef ECX
#undef EDX

/* Features whose instructions need a state component that XCR0 must be able to enable. */
#define AVX_LEAF1_ECX    (BIT(12) | BIT(28) | BIT(29)) /* FMA, AVX, F16C */
#define AVX_LEAF7_EBX    BIT(5)                        /* AVX2 */
#define AVX_LEAF7_ECX    (BIT(9) | BIT(10))            /* VAES, VPCLMULQDQ */
#define AVX512_LEAF7_EBX (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
#define AVX512_LEAF7_ECX (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define AVX512_LEAF7_EDX BIT(8) /* VP2INTERSECT */

/* ---- The table under construction ---- */

static struct cpuid_leaf *leaf_add(struct cpu_model *model, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_leaf *found = (struct cpuid_leaf *)(uintptr_t)cpu_model_leaf(model, leaf, subleaf);
    if (found && found->subleaf == subleaf)
        return found;
    if (model->leaf_count == CPUID_LEAF_MAX) /* cannot happen: the leaves are the ones below */
        return &model->leaf[CPUID_LEAF_MAX - 1];
    struct cpuid_leaf *row = &model->leaf[model->leaf_count++];
    *row = (struct cpuid_leaf){ .leaf = leaf, .subleaf = subleaf };
    row->subleaf_matters =
        leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
    return row;
}

static void leaf_set(struct cpu_model *model, uint32_t leaf, uint32_t subleaf, uint32_t eax,
                     uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    struct cpuid_leaf *row = leaf_add(model, leaf, subleaf);
    row->eax = eax;
    row->ebx = ebx;
    row->ecx = ecx;
    row->edx = edx;
}

static uint32_t *leaf_register(struct cpuid_leaf *row, unsigned reg)
{
    switch (reg) {
    case CPUID_EAX:
        return &row->eax;
    case CPUID_EBX:
        return &row->ebx;
    case CPUID_ECX:
        return &row->ecx;
    default:
        return &row->edx;
    }
}

const struct cpuid_leaf *cpu_model_leaf(const struct cpu_model *model, uint32_t leaf,
                                        uint32_t subleaf)
{
    for (uint32_t i = 0; i < model->leaf_count; i++) {
        const struct cpuid_leaf *row = &model->leaf[i];
        if (row->leaf == leaf && (!row->subleaf_matters || row->subleaf == subleaf))
            return row;
    }
    return NULL;
}

/* ---- Features ---- */

static void policies_apply(struct cpu_model *model)
{
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
        uint32_t leaf = policies[i].leaf, subleaf = policies[i].subleaf;
        unsigned number = policies[i].reg;
        uint32_t bit = BIT(policies[i].bit);
        if (policies[i].vendor == AMD && model->vendor_intel)
            continue;
        uint32_t *reg = leaf_register(leaf_add(model, leaf, subleaf), number);
        if (policies[i].when == NEVER)
            *reg &= ~bit;
        else
            *reg |= policies[i].when == ALWAYS ? bit : host_leaf(leaf, subleaf).value[number] & bit;
    }
}

/* Takes away what needs state that the host's operating system has not enabled. */
static void features_drop_stateless(struct cpu_model *model)
{
    struct cpuid_leaf *one = leaf_add(model, 1, 0);
    struct cpuid_leaf *seven = leaf_add(model, 7, 0);
    struct cpuid_leaf *seven_one = leaf_add(model, 7, 1);

    if (!(one->ecx & BIT(26))) { /* no XSAVE */
        leaf_add(model, 0xd, 1)->eax = 0;
        model->xcr0_allowed = 0;
    }
    if (!(model->xcr0_allowed & XCR0_AVX)) {
        one->ecx &= ~AVX_LEAF1_ECX;
        seven->ebx &= ~AVX_LEAF7_EBX;
        seven->ecx &= ~AVX_LEAF7_ECX;
        seven_one->eax &= ~BIT(4); /* AVX-VNNI */
    }
    if (!(model->xcr0_allowed & XCR0_HI16_ZMM)) {
        seven->ebx &= ~AVX512_LEAF7_EBX;
        seven->ecx &= ~AVX512_LEAF7_ECX;
        seven->edx &= ~AVX512_LEAF7_EDX;
        seven_one->eax &= ~BIT(5); /* AVX512-BF16 */
    }
}

static void features_apply(struct cpu_model *model)
{
    for (unsigned i = 1; i < FEATURE_COUNT; i++) {
        struct registers host = host_leaf(feature_bits[i].leaf, feature_bits[i].subleaf);
        uint32_t *reg = leaf_register(
            leaf_add(model, feature_bits[i].leaf, feature_bits[i].subleaf), feature_bits[i].reg);
        *reg |= host.value[feature_bits[i].reg] & BIT(feature_bits[i].bit);
    }
    if (model->vendor_intel)
        leaf_add(model, 0x80000001, 0)->ecx &= ~BIT(6); /* SSE4A is AMD's */
    policies_apply(model);
    features_drop_stateless(model);
}

/* The decoder's gates say exactly what CPUID shows. */
static void features_collect(struct cpu_model *model)
{
    for (unsigned i = 1; i < FEATURE_COUNT; i++) {
        const struct cpuid_leaf *row =
            cpu_model_leaf(model, feature_bits[i].leaf, feature_bits[i].subleaf);
        struct cpuid_leaf copy = row ? *row : (struct cpuid_leaf){ 0 };
        if (*leaf_register(&copy, feature_bits[i].reg) & BIT(feature_bits[i].bit))
            model->feature[i / 64] |= 1ull << (i % 64);
    }
}

/* ---- Extended state ---- */

uint32_t cpu_model_xsave_size(const struct cpu_model *model, uint64_t components)
{
    uint32_t size = 512 + 64;
    for (unsigned i = 2; i < XSTATE_MAX; i++) {
        const struct xstate_component *c = &model->xstate[i];
        uint32_t end = (uint32_t)c->offset + c->size;
        if ((components >> i & 1) && end > size)
            size = end;
    }
    return size;
}

uint32_t cpu_model_xsavec_size(const struct cpu_model *model, uint64_t components)
{
    uint32_t size = 512 + 64;
    for (unsigned i = 2; i < XSTATE_MAX; i++) {
        const struct xstate_component *c = &model->xstate[i];
        if (!(components >> i & 1))
            continue;
        if (c->aligned)
            size = (size + 63) & ~63u;
        size += c->size;
    }
    return size;
}

static bool xstate_add(struct cpu_model *model, unsigned i, uint32_t offset, uint32_t size,
                       bool aligned)
{
    if (size == 0 || offset < 576 || offset + size > XSAVE_AREA_SIZE)
        return false;
    model->xstate[i] = (struct xstate_component){ .offset = (uint16_t)offset,
                                                  .size = (uint16_t)size,
                                                  .aligned = aligned };
    return true;
}

/* Layout and the bits of XCR0 that the guest may set. */
static void xstate_init(struct cpu_model *model)
{
    uint64_t host = host_xcr0();
    uint64_t usable = XCR0_X87 | XCR0_SSE;

    for (unsigned i = 2; i <= 7; i++) {
        if (!((XCR0_AVX | XCR0_AVX512) >> i & 1) || !(host >> i & 1))
            continue;
        struct registers r = host_leaf(0xd, i);
        if (xstate_add(model, i, r.value[CPUID_EBX], r.value[CPUID_EAX],
                       r.value[CPUID_ECX] >> 1 & 1))
            usable |= 1ull << i;
    }
    if ((usable & XCR0_AVX512) != XCR0_AVX512 || !(usable & XCR0_AVX))
        usable &= ~(uint64_t)XCR0_AVX512;

    /* PKRU never reaches the host, so a host without it only leaves the offset to be chosen. */
    struct registers pkru = host_leaf(0xd, 9);
    uint32_t end = (cpu_model_xsave_size(model, usable) + 63) & ~63u;
    if ((host_leaf(0xd, 0).value[CPUID_EAX] & XCR0_PKRU) && pkru.value[CPUID_EBX] >= end)
        end = pkru.value[CPUID_EBX];
    if (xstate_add(model, 9, end, 8, false))
        usable |= XCR0_PKRU;
    model->xcr0_allowed = (host & 3) == 3 ? usable : 0;
}

static void xstate_leaves(struct cpu_model *model)
{
    if (!model->xcr0_allowed)
        return;
    model->xsave_size = cpu_model_xsave_size(model, model->xcr0_allowed);
    /* EBX follows the guest's XCR0 and is filled in when the leaf is read. */
    leaf_set(model, 0xd, 0, (uint32_t)model->xcr0_allowed, 0, model->xsave_size,
             (uint32_t)(model->xcr0_allowed >> 32));
    for (unsigned i = 2; i < XSTATE_MAX; i++) {
        const struct xstate_component *c = &model->xstate[i];
        if (model->xcr0_allowed >> i & 1)
            leaf_set(model, 0xd, i, c->size, c->offset, c->aligned ? 2 : 0, 0);
    }
}

/* ---- Identity, topology, caches ---- */

static bool host_is_intel(void)
{
    uint32_t ebx = host_cpuid(0, 0).value[CPUID_EBX];
    return ebx != 0x68747541 /* Auth */ && ebx != 0x6f677948 /* Hygo */;
}

/* Ice Lake server and Milan: what a guest of the other vendor is told. */
#define SIGNATURE_INTEL 0x000606a6u
#define SIGNATURE_AMD   0x00a00f11u

static void identity_leaves(struct cpu_model *model, bool native)
{
    static const char other[48] = "Origami virtual CPU";
    uint32_t brand[12];
    uint32_t signature = host_cpuid(1, 0).value[CPUID_EAX];

    memcpy(brand, other, sizeof(brand));
    if (!native)
        signature = model->vendor_intel ? SIGNATURE_INTEL : SIGNATURE_AMD;
    for (uint32_t i = 0; native && i < 3; i++) {
        struct registers r = host_leaf(0x80000002u + i, 0);
        memcpy(&brand[i * 4], r.value, sizeof(r.value));
    }
    for (uint32_t i = 0; i < 3; i++)
        leaf_set(model, 0x80000002u + i, 0, brand[i * 4], brand[i * 4 + 1], brand[i * 4 + 2],
                 brand[i * 4 + 3]);

    uint32_t b = model->vendor_intel ? 0x756e6547 : 0x68747541;
    uint32_t d = model->vendor_intel ? 0x49656e69 : 0x69746e65;
    uint32_t c = model->vendor_intel ? 0x6c65746e : 0x444d4163;
    model->maximum_basic = 0x16;
    model->maximum_hypervisor = 0x40000001;
    model->maximum_extended = model->vendor_intel ? 0x80000008 : 0x80000021;
    leaf_set(model, 0, 0, model->maximum_basic, b, c, d);
    leaf_set(model, 0x80000000, 0, model->maximum_extended, model->vendor_intel ? 0 : b,
             model->vendor_intel ? 0 : c, model->vendor_intel ? 0 : d);
    leaf_add(model, 1, 0)->eax = signature;
    leaf_add(model, 0x80000001, 0)->eax = model->vendor_intel ? 0 : signature;
}

static uint32_t log2_ceiling(uint32_t value)
{
    uint32_t bits = 0;
    while ((1u << bits) < value)
        bits++;
    return bits;
}

/* One package, one thread a core; the APIC id is the vCPU's number. */
static void topology_leaves(struct cpu_model *model, uint32_t count)
{
    uint32_t shift = log2_ceiling(count);
    struct cpuid_leaf *one = leaf_add(model, 1, 0);

    one->ebx = 8u << 8 | (1u << shift & 0xff)
                             << 16; /* CLFLUSH line 64; ids; the APIC id is added later */
    if (count > 1)
        one->edx |= BIT(28); /* HTT: the count above is valid */
    leaf_set(model, 0xb, 0, 0, 1, 0 | 1u << 8, 0);
    leaf_set(model, 0xb, 1, shift, count, 1 | 2u << 8, 0);

    struct cpuid_leaf *extended = leaf_add(model, 0x80000008, 0);
    extended->eax = model->physical_bits | (uint32_t)model->linear_bits << 8;
    if (!model->vendor_intel) {
        extended->ecx = (count - 1) | shift << 12;
        if (count > 1)
            leaf_add(model, 0x80000001, 0)->ecx |= BIT(1); /* CMP_LEGACY: cores, not threads */
        leaf_set(model, 0x8000001e, 0, 0, 0, 0, 0);
    }
}

/* A plausible cache hierarchy; the host's own would reveal it and change under migration. */
struct cache {
    uint8_t type; /* 1 data, 2 instruction, 3 unified */
    uint8_t level;
    uint8_t shared; /* by the whole package */
    uint16_t ways, sets;
};
static const struct cache caches[] = {
    { 1, 1, 0, 8, 64 },
    { 2, 1, 0, 8, 64 },
    { 3, 2, 0, 16, 1024 },
    { 3, 3, 1, 16, 16384 },
};

static void cache_leaves(struct cpu_model *model, uint32_t count)
{
    uint32_t leaf = model->vendor_intel ? 4 : 0x8000001d;
    for (uint32_t i = 0; i < ARRAY_SIZE(caches); i++) {
        const struct cache *c = &caches[i];
        uint32_t eax = c->type | (uint32_t)c->level << 5 | BIT(8) /* self-initializing */;
        if (c->shared)
            eax |= (count - 1) << 14;
        if (model->vendor_intel)
            eax |= (count - 1) << 26; /* cores in the package */
        leaf_set(model, leaf, i, eax, 63u | (c->ways - 1u) << 22, c->sets - 1u, 0);
    }
    leaf_set(model, leaf, ARRAY_SIZE(caches), 0, 0, 0, 0);
    if (model->vendor_intel) {
        leaf_set(model, 2, 0, 0x00feff01, 0xf0, 0, 0); /* see leaf 4 (and 18h); 64-byte prefetch */
        leaf_set(model, 0x80000006, 0, 0, 0, 64u | 6u << 12 | 1024u << 16, 0);
    } else {
        leaf_set(model, 0x80000005, 0, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140);
        leaf_set(model, 0x80000006, 0, 0x60004000, 0x60004000, 0x04008140, 32u << 18 | 0x9140);
    }
}

/* Time and the paravirtual interface, so that boot needs no calibration loop. */
static void clock_leaves(struct cpu_model *model)
{
    /* TSC = crystal * EBX / EAX. The crystal also feeds the local APIC's timer. */
    leaf_set(model, 0x15, 0, 1, 1, (uint32_t)CLOCK_TSC_HZ, 0);
    leaf_set(model, 0x16, 0, (uint32_t)(CLOCK_TSC_HZ / 1000000), (uint32_t)(CLOCK_TSC_HZ / 1000000),
             100, 0);
    leaf_set(model, 0x40000000, 0, model->maximum_hypervisor, 0x4b4d564b, 0x564b4d56, 0x4d);
    leaf_set(model, 0x40000001, 0,
             BIT(0) /* CLOCKSOURCE */ | BIT(1) /* NOP_IO_DELAY */ | BIT(3) /* CLOCKSOURCE2 */ |
                 BIT(6) /* PV_EOI */ | BIT(24) /* CLOCKSOURCE_STABLE */,
             0, 0, 0);
}

/* AMD repeats the basic bits of leaf 1 in the extended leaf. */
static void amd_mirror(struct cpu_model *model)
{
    if (!model->vendor_intel)
        leaf_add(model, 0x80000001, 0)->edx |= leaf_add(model, 1, 0)->edx & 0x0183f3ffu;
}

static uint8_t physical_bits(void)
{
    uint32_t bits = host_leaf(0x80000008, 0).value[CPUID_EAX] & 0xff;
    if (bits < 36)
        return 36;
    return bits > 52 ? 52 : (uint8_t)bits;
}

static void control_masks(struct cpu_model *model)
{
    model->cr4_allowed = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
                         CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE |
                         CR4_SMEP | CR4_SMAP | CR4_PKE;
    if (cpu_model_has(model, FEATURE_XSAVE))
        model->cr4_allowed |= CR4_OSXSAVE;
    model->efer_allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
}

void cpu_model_init_vendor(struct cpu_model *model, unsigned vcpu_count, enum cpu_vendor vendor)
{
    bool host_intel = host_is_intel();
    uint32_t count = vcpu_count ? vcpu_count : 1;

    memset(model, 0, sizeof(*model));
    model->vendor_intel = vendor == VENDOR_HOST ? host_intel : vendor == VENDOR_INTEL;
    model->physical_bits = physical_bits();
    model->linear_bits = 48;
    model->mxcsr_mask = host_mxcsr_mask();
    xstate_init(model);
    features_apply(model);
    identity_leaves(model, model->vendor_intel == host_intel);
    topology_leaves(model, count);
    cache_leaves(model, count);
    clock_leaves(model);
    xstate_leaves(model);
    amd_mirror(model);
    leaf_add(model, 7, 0)->eax = 1; /* highest subleaf */
    features_collect(model);
    control_masks(model);
    model->x87_pointers_always = model->vendor_intel;
    model->x87_pointers_restored =
        model->vendor_intel || (leaf_add(model, 0x80000008, 0)->ebx & BIT(2)) != 0;
    model->x87_selectors_zero = (leaf_add(model, 7, 0)->ebx & BIT(13)) != 0;
}

void cpu_model_init(struct cpu_model *model, unsigned vcpu_count)
{
    cpu_model_init_vendor(model, vcpu_count, VENDOR_HOST);
}
