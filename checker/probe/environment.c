/* SPDX-License-Identifier: MIT */
/*
 * What the CPU and the kernel say of themselves. CPUID runs in a guarded child: a process may have
 * had it closed by arch_prctl.
 */
#include "probe.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

enum { REGISTER_EAX, REGISTER_EBX, REGISTER_ECX, REGISTER_EDX };

struct feature_bit {
    const char *name;
    uint32_t leaf, subleaf;
    unsigned cpu_register, bit;
};

/* OSXSAVE and OSPKE, not XSAVE and PKU: they show CR4's bit, and so whether #UD follows. */
static const struct feature_bit feature_bits[FEATURE_COUNT] = {
    [FEATURE_UMIP] = { "umip", 7, 0, REGISTER_ECX, 2 },
    [FEATURE_SMAP] = { "smap", 7, 0, REGISTER_EBX, 20 },
    [FEATURE_INVPCID] = { "invpcid", 7, 0, REGISTER_EBX, 10 },
    [FEATURE_MONITOR] = { "monitor", 1, 0, REGISTER_ECX, 3 },
    [FEATURE_VMX] = { "vmx", 1, 0, REGISTER_ECX, 5 },
    [FEATURE_SVM] = { "svm", 0x80000001, 0, REGISTER_ECX, 2 },
    [FEATURE_RDTSCP] = { "rdtscp", 0x80000001, 0, REGISTER_EDX, 27 },
    [FEATURE_RDPID] = { "rdpid", 7, 0, REGISTER_ECX, 22 },
    [FEATURE_RDPRU] = { "rdpru", 0x80000008, 0, REGISTER_EBX, 4 },
    [FEATURE_FSGSBASE] = { "fsgsbase", 7, 0, REGISTER_EBX, 0 },
    [FEATURE_PKU] = { "ospke", 7, 0, REGISTER_ECX, 4 },
    [FEATURE_XSAVE] = { "osxsave", 1, 0, REGISTER_ECX, 27 },
    [FEATURE_XSAVES] = { "xsaves", 13, 1, REGISTER_EAX, 3 },
};

const char *probe_feature_name(enum probe_feature feature)
{
    return feature_bits[feature].name;
}

static void read_brand(char brand[49])
{
    unsigned leaf[4];

    for (unsigned i = 0; i < 3; i++)
        if (__get_cpuid(0x80000002 + i, &leaf[0], &leaf[1], &leaf[2], &leaf[3]) != 0)
            memcpy(brand + 16 * i, leaf, sizeof(leaf));
    brand[48] = '\0';
}

static void read_hypervisor(struct probe_environment *environment)
{
    unsigned a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 31) == 0)
        return;
    environment->hypervisor = true;
    __cpuid(0x40000000, a, b, c, d);
    memcpy(environment->hypervisor_vendor, &b, 4);
    memcpy(environment->hypervisor_vendor + 4, &c, 4);
    memcpy(environment->hypervisor_vendor + 8, &d, 4);
}

static void read_cpuid(void *shared)
{
    struct probe_environment *environment = shared;
    unsigned a, b, c, d;

    __cpuid(0, a, b, c, d);
    memcpy(environment->vendor, &b, 4);
    memcpy(environment->vendor + 4, &d, 4);
    memcpy(environment->vendor + 8, &c, 4);
    environment->cpuid_known = true;
    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++) {
        const struct feature_bit *bit = &feature_bits[i];
        unsigned leaf[4];

        if (__get_cpuid_count(bit->leaf, bit->subleaf, &leaf[0], &leaf[1], &leaf[2], &leaf[3]) != 0)
            environment->features[i] = (leaf[bit->cpu_register] >> bit->bit & 1) != 0;
    }
    read_brand(environment->brand);
    read_hypervisor(environment);
}

_Static_assert(sizeof(struct probe_environment) <= 2048, "must fit struct probe_shared's copy");

int probe_read_environment(struct probe_context *context)
{
    struct probe_environment *environment = &context->environment;
    struct utsname name;
    uint64_t flags;
    uint16_t selector;
    int error;

    __asm__("movw %%cs, %0" : "=r"(selector));
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    environment->cpl = selector & 3;
    environment->iopl = (unsigned)(flags >> 12 & 3);
    if (environment->cpl != 3)
        return -ENOTSUP;
    if (uname(&name) == 0)
        (void)snprintf(environment->kernel, sizeof(environment->kernel), "%.60s %.60s",
                       name.sysname, name.release);
    error = probe_call_guarded(context, read_cpuid, environment, sizeof(*environment));
    return error;
}
