/* SPDX-License-Identifier: MIT */
/* fuzz_initrd.c - the first look at an initial RAM disk, against arbitrary files. */
#include "loaders/bytes.h"
#include "run/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problem problem = { 0 };

    if (files_check_initrd("initrd", (struct bytes){ data, size }, &problem) != 0 &&
        (!problem.text[0] || problem.status != STATUS_INPUT))
        abort();
    return 0;
}

#ifdef FUZZ_REPLAY
/* A small cpio archive, damaged in a few places each time. */
int main(int argc, char **argv)
{
    static const char entry[] =
        "07070100000001000081A4000000000000000000000001000000000000000400000000"
        "00000000000000000000000000000005000000000file";
    static const char trailer[] = "0707010000000000000000000000000000000000000001000000000000000000"
                                  "0000000000000000000000000000000000000B00000000TRAILER!!!";
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    uint64_t random = 0x853c49e6748fea9bull;
    uint8_t data[512];

    for (long i = 0; i < count; i++) {
        memset(data, 0, sizeof(data));
        memcpy(data, entry, sizeof(entry));
        memcpy(data + 124, trailer, sizeof(trailer));
        for (unsigned edits = 0; edits < i % 5; edits++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            data[random % 256] = (uint8_t)(random >> 32);
        }
        LLVMFuzzerTestOneInput(data, (size_t)(i % 7 ? sizeof(data) : random % sizeof(data)));
    }
    printf("%ld inputs\n", count);
    return 0;
}
#endif
