/* SPDX-License-Identifier: MIT */
/* fuzz_initrd.c - the check of initial RAM disks against arbitrary files. */
#include "compress.h"
#include "initrd/initrd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problem problem = { 0 };

    /* STATUS_HOST: some formats state the memory they need. */
    if (initrd_check("initrd", (struct bytes){ data, size }, MEMORY, &problem) != 0 &&
        (!problem.text[0] || (problem.status != STATUS_INPUT && problem.status != STATUS_HOST)))
        abort();
    return 0;
}

#ifdef FUZZ_REPLAY
/* Archives in every format, alone and behind one another, damaged in a few places each time. */
int main(int argc, char **argv)
{
    static uint8_t archive[1024], stream[8][2048], data[8192];
    size_t length[8];
    unsigned formats = 0;
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    uint64_t random = 0x853c49e6748fea9bull;
    size_t archive_size = compress_cpio(archive, 200);

    for (; compressors[formats].name; formats++) {
        static uint8_t out[COMPRESS_MAX];
        length[formats] = compressors[formats].compress(archive, archive_size, out);
        memcpy(stream[formats], out, length[formats]);
    }
    for (long i = 0; i < count; i++) {
        size_t size = 0;
        for (unsigned part = 0; part <= i % 3; part++) {
            unsigned format = (unsigned)(random >> 20) % formats;
            memcpy(data + size, stream[format], length[format]);
            size += length[format];
            memset(data + size, 0, 8);
            size += (4 - size % 4) % 4;
            random = random * 6364136223846793005ull + 1442695040888963407ull;
        }
        for (unsigned edits = 0; edits < i % 5; edits++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            data[random % size] = (uint8_t)(random >> 32);
        }
        LLVMFuzzerTestOneInput(data, i % 7 ? size : random % (size + 1));
    }
    printf("%ld inputs\n", count);
    return 0;
}
#endif
