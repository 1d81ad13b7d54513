/* SPDX-License-Identifier: MIT */
/*
 * fuzz_loader.h - one fuzz target per loader. The input is 4 bytes of choices (memory size, initrd,
 * modules, command line), then the kernel file. Under libFuzzer this is the target; with
 * -DFUZZ_REPLAY it is a program that mutates a valid kernel a given number of times by itself, for
 * `make check`.
 */
#ifndef ORIGAMI_TESTS_FUZZ_LOADER_H
#define ORIGAMI_TESTS_FUZZ_LOADER_H

#include "kernels.h"
#include "loaders/loader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_HEADER 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ram fuzz_ram;

static int fuzz_one(const struct loader *loader, const uint8_t *data, size_t size)
{
    static const uint8_t content[5000];
    static const uint64_t sizes[4] = { 1 << 20, 2 << 20, 4 << 20, 20 << 20 };
    const struct boot_module module = { .data = { content, sizeof(content) },
                                        .name = "module",
                                        .arguments = "arguments" };
    struct boot_entry entry = { 0 };
    struct problem problem = { 0 };
    struct vcpu_registers registers = { 0 };

    if (size < FUZZ_HEADER)
        return 0;
    if (!fuzz_ram.count)
        test_ram_make(&fuzz_ram, sizes[3]);
    fuzz_ram.chunk[1].size = sizes[data[0] & 3] - RAM_VGA_END;
    struct boot_request request = {
        .kernel = { data + FUZZ_HEADER, size - FUZZ_HEADER },
        .kernel_name = "kernel",
        .initrd = data[1] & 1 ? &module : NULL,
        .module = &module,
        .module_count = data[2] & 1,
        .cmdline = data[3] & 1 ? "a command line" : NULL,
    };
    if (!loader->recognizes(request.kernel))
        return 0;
    if (loader->load(&fuzz_ram, &request, &entry, &problem) == 0)
        loader_registers(&entry, &registers);
    else if (!problem.text[0] || !problem.status)
        abort(); /* every refusal has a line and a status */
    return 0;
}

#ifdef FUZZ_REPLAY
static uint64_t replay_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A few edits: a random byte, an interesting value in a random field, or a cut. */
static size_t replay_mutate(uint8_t *data, size_t size, uint64_t *state)
{
    static const uint64_t values[] = { 0,          1,        ~0ull,   0x7fffffff, 0x80000000,
                                       0xffffffff, 0x100000, 0xfffff, 4096,       0xa0000 };
    unsigned edits = 1 + (unsigned)(replay_random(state) % 6);

    while (edits--) {
        uint64_t choice = replay_random(state);
        /* Headers are at the front: most edits go there. */
        size_t at = (size_t)(replay_random(state) % (choice & 0x30 ? 0x300 : size));
        if (at + 8 > size)
            continue;
        if ((choice & 3) == 0)
            data[at] = (uint8_t)(choice >> 8);
        else if ((choice & 3) == 1)
            bytes_put(data + at, values[(choice >> 8) % 10], 1u << ((choice >> 16) & 3));
        else if ((choice & 3) == 2)
            bytes_put(data + at, choice >> 20, 4);
        else if ((choice & 0xf0) == 0x70)
            return at + 8;
    }
    return size;
}

static int replay(size_t (*make)(uint8_t *), size_t (*make_other)(uint8_t *), int argc, char **argv)
{
    static uint8_t data[FUZZ_HEADER + KERNEL_MAX];
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    uint64_t state = 0x9e3779b97f4a7c15ull;

    for (long i = 0; i < count; i++) {
        uint64_t choices = replay_random(&state);
        size_t size =
            i & 1 && make_other ? make_other(data + FUZZ_HEADER) : make(data + FUZZ_HEADER);
        memcpy(data, &choices, FUZZ_HEADER);
        size = replay_mutate(data + FUZZ_HEADER, size, &state);
        LLVMFuzzerTestOneInput(data, FUZZ_HEADER + size);
    }
    printf("%ld inputs\n", count);
    return 0;
}
#endif

#endif
