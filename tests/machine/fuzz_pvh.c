/* SPDX-License-Identifier: MIT */
/* fuzz_pvh.c - the PVH loader against arbitrary files. */
#include "fuzz_loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_one(&loader_pvh, data, size);
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    return replay(kernel_pvh, NULL, argc, argv);
}
#endif
