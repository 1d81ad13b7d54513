/* SPDX-License-Identifier: MIT */
/*
 * pair.c - making, running, comparing and rewinding the two machines.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "allocator/access.h"
#include "pair.h"

/* ---- Creation ---- */

static int machine_create(struct machine *m, uint64_t ram_size,
                          const struct machine_operations *operations)
{
    struct cpu_model model;
    m->ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    m->vcpu = aligned_alloc(64, (sizeof(*m->vcpu) + 63) & ~(size_t)63);
    if (m->ram == MAP_FAILED || m->vcpu == NULL)
        return -1;
    cpu_model_init(&model, 1);
    vm_init(&m->vm, &model, operations);
    hosted_clock_init(&m->vm, CLOCK_INSTRUCTIONS);
    m->vm.clock.host_base = 0;
    m->vm.clock.wall_base = 1700000000ull * 1000000000ull;
    m->vm.random_state[0] = m->vm.random_state[1] = 1;
    if (memory_add_slot(&m->vm.memory,
                        &(struct memory_slot){ .size = ram_size, .host = m->ram, .fd = -1 }))
        return -1;
    struct stub_cache *stubs = hosted_stubs_create();
    if (stubs == NULL)
        return -1;
    vcpu_init(m->vcpu, &m->vm, 0, stubs);
    m->vm.memory.page_flags = calloc(1, ram_size >> 12);
    m->vm.memory.page_flags_count = ram_size >> 12;
    return m->vm.memory.page_flags ? 0 : -1;
}

int pair_create(struct pair *pair, uint64_t ram_size, const struct machine_operations *operations)
{
    pair->ram_size = ram_size;
    for (unsigned i = 0; i < MACHINES; i++) {
        if (machine_create(&pair->machine[i], ram_size, operations))
            return -1;
    }
    return hosted_translator_create(pair->machine[SOFT].vcpu) ? 0 : -1;
}

void pair_destroy(struct pair *pair)
{
    for (unsigned i = 0; i < MACHINES; i++) {
        struct machine *m = &pair->machine[i];
        hosted_stubs_destroy(m->vcpu->stubs);
        munmap(m->ram, pair->ram_size);
        free(m->vm.memory.page_flags);
        free(m->vcpu);
    }
}

/* ---- Running ---- */

void machine_select(struct machine *machine)
{
    (void)hosted_extended_state(machine->vcpu->stubs);
}

enum vcpu_exit machine_run(struct machine *machine, uint64_t budget)
{
    machine_select(machine);
    return vcpu_run(machine->vcpu, budget);
}

const char *pair_run(struct pair *pair, uint64_t budget, enum vcpu_exit *exit)
{
    const struct vcpu *soft = pair->machine[SOFT].vcpu;
    uint64_t begin = soft->instructions;
    enum vcpu_exit other;
    *exit = machine_run(&pair->machine[SOFT], budget);
    uint64_t done = soft->instructions - begin;
    if (done > budget)
        return "budget: Soft ran more instructions than it was allowed";
    /* After a halt or the like one more step must bring Step to the same place. */
    other = machine_run(&pair->machine[STEP], *exit == EXIT_BUDGET ? done : budget);
    if (other != *exit)
        return "the reason for stopping";
    return pair_compare(pair);
}

/* ---- Comparing ---- */

/* Asked once: CPUID in a virtual machine is slow. */
void extended_component(unsigned component, unsigned *offset, unsigned *size)
{
    static struct {
        unsigned offset, size;
    } known[8];
    component &= 7;
    if (known[component].offset == 0) {
        unsigned eax = 0, ebx = 0, ecx, edx;
        __get_cpuid_count(0xd, component, &eax, &ebx, &ecx, &edx);
        known[component].offset = ebx + eax <= XSAVE_AREA_SIZE && eax ? ebx : 576;
        known[component].size = ebx + eax <= XSAVE_AREA_SIZE ? eax : 0;
    }
    *offset = known[component].offset;
    *size = known[component].size;
}

/* A component whose bit is clear is in its initial state whatever its bytes say. */
static void canonical(const uint8_t *area, uint8_t out[XSAVE_AREA_SIZE])
{
    const uint16_t control = 0x37f;
    uint64_t present;
    memcpy(out, area, XSAVE_AREA_SIZE);
    memcpy(&present, area + 512, 8);
    for (unsigned i = 2; i < 8; i++) {
        unsigned offset, size;
        extended_component(i, &offset, &size);
        if (!(present >> i & 1))
            memset(out + offset, 0, size);
    }
    if (!(present & 2))
        memset(out + 160, 0, 256);
    if (!(present & 1)) {
        memset(out, 0, 24);
        memset(out + 32, 0, 128);
        memcpy(out, &control, 2);
    }
    memset(out + 6, 0, 18); /* opcode and pointers are the CPU's own: the guest's are registers */
    memset(out + 28, 0, 4); /* MXCSR_MASK */
    memset(out + 416, 0, 160); /* reserved, and the header */
}

static bool extended_equal(const struct pair *pair)
{
    uint8_t soft[XSAVE_AREA_SIZE], step[XSAVE_AREA_SIZE];
    const uint8_t *a = pair->machine[SOFT].vcpu->stubs->vector_area;
    const uint8_t *b = pair->machine[STEP].vcpu->stubs->vector_area;
    if (memcmp(a, b, XSAVE_AREA_SIZE) == 0)
        return true;
    canonical(a, soft);
    canonical(b, step);
    return memcmp(soft, step, XSAVE_AREA_SIZE) == 0;
}

const char *pair_compare(struct pair *pair)
{
    const struct vcpu *soft = pair->machine[SOFT].vcpu, *step = pair->machine[STEP].vcpu;
    if (soft->instructions != step->instructions)
        return "the number of instructions";
    if (memcmp(&soft->r, &step->r, sizeof(soft->r)))
        return "registers";
    if (!extended_equal(pair))
        return "vector or x87 state";
    if (soft->statistics.interrupts != step->statistics.interrupts)
        return "interrupts taken";
    if (memcmp(soft->statistics.exceptions, step->statistics.exceptions,
               sizeof(soft->statistics.exceptions)))
        return "exceptions delivered";
    return NULL;
}

uint64_t pair_compare_ram(const struct pair *pair, uint64_t from)
{
    const uint8_t *a = pair->machine[SOFT].ram, *b = pair->machine[STEP].ram;
    const uint64_t piece = 4096;
    while (from < pair->ram_size) {
        uint64_t end = (from & ~(piece - 1)) + piece;
        if (memcmp(a + from, b + from, end - from) == 0) {
            from = end;
            continue;
        }
        while (a[from] == b[from])
            from++;
        return from;
    }
    return pair->ram_size;
}

/* ---- Rewinding ---- */

struct snapshot {
    struct saved {
        struct vm vm;
        struct vcpu vcpu;
        uint8_t extended[XSAVE_AREA_SIZE];
        uint8_t *ram;
    } machine[MACHINES];
    uint64_t ram_size;
};

struct snapshot *snapshot_take(struct pair *pair)
{
    struct snapshot *s = aligned_alloc(64, (sizeof(*s) + 63) & ~(size_t)63);
    if (s == NULL)
        return NULL;
    s->ram_size = pair->ram_size;
    for (unsigned i = 0; i < MACHINES; i++) {
        const struct machine *m = &pair->machine[i];
        struct saved *saved = &s->machine[i];
        saved->vm = m->vm;
        saved->vcpu = *m->vcpu;
        memcpy(saved->extended, m->vcpu->stubs->vector_area, XSAVE_AREA_SIZE);
        saved->ram = mmap(NULL, s->ram_size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (saved->ram == MAP_FAILED)
            return NULL;
        for (uint64_t at = 0; at < s->ram_size; at += 4096) {
            static const uint8_t zero[4096];
            if (memcmp(m->ram + at, zero, 4096)) /* the rest costs no memory */
                memcpy(saved->ram + at, m->ram + at, 4096);
        }
    }
    return s;
}

void snapshot_restore(struct pair *pair, const struct snapshot *s)
{
    for (unsigned i = 0; i < MACHINES; i++) {
        struct machine *m = &pair->machine[i];
        const struct saved *saved = &s->machine[i];
        struct guest_memory memory = m->vm.memory;
        m->vm = saved->vm;
        m->vm.memory = memory;
        *m->vcpu = saved->vcpu;
        m->vcpu->fetch.generation--; /* looked up again */
        memcpy(m->vcpu->stubs->vector_area, saved->extended, XSAVE_AREA_SIZE);
        for (uint64_t at = 0; at < s->ram_size; at += 4096) {
            if (memcmp(m->ram + at, saved->ram + at, 4096))
                memcpy(m->ram + at, saved->ram + at, 4096);
        }
        tlb_flush_all(m->vcpu);
        if (m->vcpu->translator)
            translator_flush(m->vcpu);
    }
}

void snapshot_free(struct snapshot *s)
{
    for (unsigned i = 0; s && i < MACHINES; i++)
        munmap(s->machine[i].ram, s->ram_size);
    free(s);
}
