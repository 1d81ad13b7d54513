/* SPDX-License-Identifier: MIT */
/* fuzz_bzimage.c - the bzimage loader against arbitrary files. */
#include "fuzz_loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_one(&loader_bzimage, data, size);
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    return replay(kernel_bzimage, NULL, argc, argv);
}
#endif
