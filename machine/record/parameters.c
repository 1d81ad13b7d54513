/* SPDX-License-Identifier: MIT */
/* parameters.c - hashes of the inputs and of the host's CPU. */
#include "parameters.h"
#include "../memory/hash.h"
#include <cpuid.h>
#include <string.h>

#define WALL_BASE 1704067200000000000ull /* 2024-01-01 00:00:00 UTC */
#define SEED      0x5a

static uint64_t hash_file(struct bytes bytes)
{
    return hash_bytes(HASH_START, bytes.data, bytes.size);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash_bytes(hash, text, strlen(text) + 1);
}

static uint64_t hash_modules(const struct boot_request *boot)
{
    uint64_t hash = 0;

    for (unsigned i = 0; i < boot->module_count; i++) {
        const struct boot_module *module = &boot->module[i];
        hash = hash_text(hash_text(hash, module->name), module->arguments);
        hash = hash_bytes(hash, module->data.data, module->data.size);
    }
    return hash;
}

/* Vendor, signature, features, sizes of the extended state. What differs between cores or with the
 * system's state (APIC ids, OSXSAVE, OSPKE) is masked. */
static uint64_t hash_cpu(void)
{
    static const struct {
        uint32_t leaf, subleaf, mask[4];
    } leaves[] = {
        { 0, 0, { 0, ~0u, ~0u, ~0u } },          { 1, 0, { ~0u, 0, ~(1u << 27), ~0u } },
        { 7, 0, { ~0u, ~0u, ~(1u << 4), ~0u } }, { 7, 1, { ~0u, ~0u, ~0u, ~0u } },
        { 13, 0, { ~0u, 0, ~0u, ~0u } },         { 13, 1, { ~0u, 0, 0, 0 } },
        { 0x80000001, 0, { ~0u, 0, ~0u, ~0u } }, { 0x80000008, 0, { ~0u, ~0u, 0, 0 } },
    };
    uint64_t hash = HASH_START;

    for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        uint32_t value[4] = { 0 };
        __get_cpuid_count(leaves[i].leaf, leaves[i].subleaf, &value[0], &value[1], &value[2],
                          &value[3]);
        for (unsigned j = 0; j < 4; j++)
            hash = hash_word(hash, value[j] & leaves[i].mask[j]);
    }
    return hash;
}

/* Not what is on the disks or comes over the network: that is in the log, as far as the guest has
 * read it. */
static uint64_t hash_devices(const struct options *options)
{
    uint64_t hash = HASH_START;

    for (unsigned i = 0; i < options->disk_count; i++) {
        const struct options_disk *disk = &options->disk[i];
        hash = hash_word(hash_text(hash, disk->serial), disk->read_only);
    }
    hash =
        hash_bytes(hash_word(hash, options->net.mode), &options->net.mac, sizeof(options->net.mac));
    hash = hash_word(hash, (uint64_t)options->console | (uint64_t)options->rng << 1 |
                               (uint64_t)options->balloon << 2);
    return hash_word(hash, options->balloon_size);
}

void parameters_fill(struct log_parameters *parameters, const struct options *options,
                     const struct boot_request *boot)
{
    *parameters = (struct log_parameters){
        .memory = options->memory,
        .cpus = options->cpus,
        .flags = (options->debug_exit ? LOG_FLAG_DEBUG_EXIT : 0) |
                 (options->no_reboot ? LOG_FLAG_NO_REBOOT : 0),
        .kernel = hash_file(boot->kernel),
        .initrd = boot->initrd ? hash_file(boot->initrd->data) : 0,
        .modules = hash_modules(boot),
        .cmdline = boot->cmdline ? hash_text(HASH_START, boot->cmdline) : 0,
        .devices = hash_devices(options),
        .cpu = hash_cpu(),
        .wall_base = WALL_BASE,
    };
    strncpy(parameters->origami, ORIGAMI_VERSION, sizeof(parameters->origami) - 1);
    memset(parameters->seed, SEED, sizeof(parameters->seed));
    memset(parameters->boot_seed, SEED, sizeof(parameters->boot_seed));
}
