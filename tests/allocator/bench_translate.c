/* SPDX-License-Identifier: MIT */
/* bench_translate.c - what a TLB hit, a miss and a small access cost, in nanoseconds. */
#include <string.h>
#include "harness.h"

#define PAGES  256u
#define ROUNDS 40000u

static double nanoseconds(double start, uint64_t count)
{
    return (seconds_now() - start) * 1e9 / (double)count;
}

int main(void)
{
    struct harness *h = harness_new();
    struct vcpu *vcpu = &h->vcpu;
    struct translation at;
    uint64_t next = 0x10000, sum = 0, base = 0x7f0000000000ull;
    const uint64_t count = (uint64_t)PAGES * ROUNDS;
    vcpu->r.cr3 = 0x1000;
    vcpu->r.cr4 |= CR4_PKE | CR4_SMAP;
    for (uint64_t i = 0; i < PAGES; i++)
        map4k(h, 0x1000, &next, base + i * 4096, 0x200000 + i * 4096 + (PT_P | PT_W | PT_U));
    vcpu->r.cpl = 3;
    tlb_mode_changed(vcpu);
    for (int pass = 0; pass < 2; pass++) { /* the first one fills */
        double start = seconds_now();
        for (uint64_t i = 0; i < count; i++) {
            if (linear_translate(vcpu, base + (i % PAGES) * 4096 + (sum & 8), ACCESS_READ, &at))
                return 1;
            sum += at.gpa; /* each look-up waits for the one before: latency, not throughput */
        }
        if (pass)
            printf("hit, dependent:   %.2f ns\n", nanoseconds(start, count));
    }
    double start = seconds_now();
    for (uint64_t i = 0; i < count; i++) {
        if (linear_translate(vcpu, base + (i % PAGES) * 4096, ACCESS_READ, &at))
            return 1;
        sum += at.gpa;
    }
    printf("hit, independent: %.2f ns\n", nanoseconds(start, count));
    start = seconds_now();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value;
        if (linear_read(vcpu, base + (i % PAGES) * 4096, &value, 8, ACCESS_READ))
            return 1;
        sum += value;
    }
    printf("linear_read of 8: %.2f ns\n", nanoseconds(start, count));
    start = seconds_now();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value;
        if (virtual_read(vcpu, SEGMENT_DS, base + (i % PAGES) * 4096, &value, 8))
            return 1;
        sum += value;
    }
    printf("virtual_read of 8: %.2f ns\n", nanoseconds(start, count));
    start = seconds_now();
    for (uint64_t i = 0; i < count / 16; i++) {
        vcpu->tlb.entry[tlb_index((base >> 12) + i % PAGES)].page = ~0ull;
        if (linear_translate(vcpu, base + (i % PAGES) * 4096, ACCESS_READ, &at))
            return 1;
        sum += at.gpa;
    }
    printf("miss, 4 levels:   %.2f ns\n", nanoseconds(start, count / 16));
    start = seconds_now();
    for (uint64_t i = 0; i < count / 16; i++) {
        vcpu->r.cpl = i & 1 ? 3 : 0;
        tlb_mode_changed(vcpu);
    }
    printf("change of CPL:    %.2f ns\n", nanoseconds(start, count / 16));
    start = seconds_now();
    for (uint64_t i = 0; i < count / 64; i++)
        tlb_flush_asid(vcpu, vcpu->tlb.asid);
    printf("flush an ASID:    %.2f ns\n", nanoseconds(start, count / 64));
    harness_free(h);
    return sum == 1;
}
