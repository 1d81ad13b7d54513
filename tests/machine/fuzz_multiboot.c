/* SPDX-License-Identifier: MIT */
/* fuzz_multiboot.c - the multiboot loader against arbitrary files. */
#include "fuzz_loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_one(&loader_multiboot, data, size);
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    return replay(kernel_multiboot_elf, kernel_multiboot_addresses, argc, argv);
}
#endif
