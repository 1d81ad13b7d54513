/* SPDX-License-Identifier: MIT */
/*
 * soft_guest.c - puts the Soft tier under the differential test's guest: linked with --wrap, so
 * that the guest itself needs to know nothing of it. Blocks are of one instruction (SOFT_INSNS), as
 * the test runs one.
 */
#include <stdio.h>
#include <stdlib.h>
#include "host/hosted.h"
#include "translator/translator.h"

void __real_vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned id, struct stub_cache *stubs);
void __wrap_vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned id, struct stub_cache *stubs);
enum vcpu_exit __real_vcpu_run(struct vcpu *vcpu, uint64_t budget);
enum vcpu_exit __wrap_vcpu_run(struct vcpu *vcpu, uint64_t budget);

/* Of the run so far: the vCPU is gone when they are shown. */
static uint64_t direct, all;

static void show_share(void)
{
    printf("Soft: %llu of %llu instructions in translated code\n", (unsigned long long)direct,
           (unsigned long long)all);
}

void __wrap_vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned id, struct stub_cache *stubs)
{
    struct guest_memory *memory = &vm->memory;
    __real_vcpu_init(vcpu, vm, id, stubs);
    memory->page_flags_count = memory->slot[0].size >> 12;
    memory->page_flags = calloc(1, memory->page_flags_count);
    if (memory->page_flags == NULL || hosted_translator_create(vcpu) == NULL) {
        printf("the Soft tier does not work on this host\n");
        exit(77); /* skipped */
    }
}

/* The guest's memory has been written behind the engine's back, as by a device that does not say
 * so. */
enum vcpu_exit __wrap_vcpu_run(struct vcpu *vcpu, uint64_t budget)
{
    static bool once;
    if (!once && atexit(show_share) == 0)
        once = true;
    struct guest_memory *memory = &vcpu->vm->memory;
    for (uint64_t page = 0; page < memory->page_flags_count; page++) {
        if (memory->page_flags[page] & PAGE_CODE)
            memory_mark_dirty(memory, page << 12, 1);
    }
    enum vcpu_exit exit = __real_vcpu_run(vcpu, budget);
    direct = vcpu->statistics.direct;
    all = vcpu->instructions;
    return exit;
}
