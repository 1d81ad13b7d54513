/* SPDX-License-Identifier: MIT */
/*
 * control_native.h - runs one instruction on the host's CPU with a given extended state: the oracle
 * for the interpreters that are written by hand.
 *
 * NATIVE(in, out, operand, mask, "instruction"): loads the XSAVE image `in`, runs the instruction
 * with RDI = operand and EDX:EAX = mask, and stores the state it left to `out`. Both are
 * XSAVE_AREA_SIZE bytes, 64-byte aligned.
 */
#ifndef ORIGAMI_TEST_CONTROL_NATIVE_H
#define ORIGAMI_TEST_CONTROL_NATIVE_H

#include <stdint.h>
#include <string.h>

#define NATIVE_COMPONENTS                                                                          \
    0xe7u /* x87, SSE, AVX, AVX-512; the host's XCR0 leaves out what it has not */

#define NATIVE(in, out, operand, mask, instruction)                                                \
    do {                                                                                           \
        static _Alignas(64) uint8_t native_host_[16384];                                           \
        memset(out, 0, XSAVE_AREA_SIZE);                                                           \
        __asm__ volatile(                                                                          \
            "mov %[all], %%eax\n\txor %%edx, %%edx\n\t"                                            \
            "xsave64 (%[host])\n\txrstor64 (%[from])\n\t"                                          \
            "mov %[low], %%eax\n\tmov %[high], %%edx\n\t" instruction "\n\t"                       \
            "mov %[all], %%eax\n\txor %%edx, %%edx\n\t"                                            \
            "xsave64 (%[to])\n\txrstor64 (%[host])\n\t"                                            \
            :                                                                                      \
            : [host] "r"(native_host_), [from] "r"(in), [to] "r"(out),                             \
              "D"(operand), [all] "i"(NATIVE_COMPONENTS), [low] "r"((uint32_t)(mask)),             \
              [high] "r"((uint32_t)((uint64_t)(mask) >> 32))                                       \
            : "rax", "rdx", "cc", "memory");                                                       \
    } while (0)

#endif
