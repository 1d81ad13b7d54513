/* SPDX-License-Identifier: MIT */
/* harness.c - see harness.h. */
#include "harness.h"
#include <string.h>
#include <time.h>

static void record(struct harness *h, struct mmio_record entry)
{
    if (h->log_count < LOG_MAX)
        h->log[h->log_count++] = entry;
}

static int device_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    struct harness *h = vcpu->host;
    if (!write)
        *value = h->mmio_value;
    record(h, (struct mmio_record){ gpa, size, write, false, *value });
    return h->mmio_status;
}

/* Stands in for the interrupt controllers. */
bool controllers_mmio(struct vcpu *vcpu, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
    struct harness *h = vcpu->host;
    if (gpa < APIC_GPA || gpa >= APIC_GPA + 4096)
        return false;
    if (!write)
        *value = 0xa1a2a3a4a5a6a7a8ull;
    record(h, (struct mmio_record){ gpa, size, write, true, *value });
    return true;
}

static const struct machine_operations device_operations = { .mmio = device_mmio };

static uint8_t *add_memory(struct harness *h, uint64_t gpa, uint64_t size, uint32_t flags)
{
    struct memory_slot slot = { .gpa = gpa, .size = size, .flags = flags, .fd = -1 };
    slot.host = aligned_alloc(4096, size);
    memset(slot.host, 0, size);
    assert_int_equal(memory_add_slot(&h->vm.memory, &slot), 0);
    return slot.host;
}

struct harness *harness_new(void)
{
    struct harness *h = calloc(1, sizeof(*h));
    h->vm.machine = &device_operations;
    h->vm.model.physical_bits = 40;
    h->vm.model.leaf_count = 2;
    h->vm.model.leaf[0] = (struct cpuid_leaf){ .leaf = 1, .edx = 1u << 17 };
    h->vm.model.leaf[1] = (struct cpuid_leaf){ .leaf = 0x80000001, .edx = 1u << 26 };
    h->rom = add_memory(h, ROM_GPA, ROM_SIZE, MEMORY_READ_ONLY);
    h->ram = add_memory(h, 0, RAM_SIZE, 0);
    h->ram2 = add_memory(h, RAM2_GPA, RAM2_SIZE, 0);
    h->vcpu.vm = &h->vm;
    h->vcpu.host = h;
    h->vcpu.long_mode = true;
    h->vcpu.long_code = true;
    h->vcpu.r.rflags = FLAG_ONE;
    h->vcpu.r.cr0 = CR0_PE | CR0_PG | CR0_WP;
    h->vcpu.r.cr4 = CR4_PAE | CR4_PGE;
    h->vcpu.r.efer = EFER_LME | EFER_LMA | EFER_NXE;
    return h;
}

void harness_free(struct harness *h)
{
    free(h->ram);
    free(h->ram2);
    free(h->rom);
    free(h);
}

void put64(struct harness *h, uint64_t gpa, uint64_t value)
{
    memcpy(h->ram + gpa, &value, 8);
}

uint64_t get64(struct harness *h, uint64_t gpa)
{
    uint64_t value;
    memcpy(&value, h->ram + gpa, 8);
    return value;
}

void put32(struct harness *h, uint64_t gpa, uint32_t value)
{
    memcpy(h->ram + gpa, &value, 4);
}

uint64_t entry_gpa(struct harness *h, uint64_t root, uint64_t linear, unsigned level)
{
    uint64_t table = root;
    for (unsigned l = 4;; l--) {
        uint64_t gpa = table + (linear >> (12 + 9 * (l - 1)) & 0x1ff) * 8;
        if (l == level)
            return gpa;
        table = get64(h, gpa) & 0xffffffffff000ull;
    }
}

void map4k(struct harness *h, uint64_t root, uint64_t *next, uint64_t linear, uint64_t leaf)
{
    for (unsigned level = 4; level > 1; level--) {
        uint64_t gpa = entry_gpa(h, root, linear, level);
        if (get64(h, gpa) & PT_P)
            continue;
        put64(h, gpa, *next | PT_P | PT_W | PT_U);
        *next += 4096;
    }
    put64(h, entry_gpa(h, root, linear, 1), leaf);
}

uint64_t random_next(struct random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * 0x2545f4914f6cdd1dull;
}

void assert_page_fault(struct harness *h, uint64_t address, uint32_t error)
{
    assert_int_equal(h->vcpu.fault.vector, EXCEPTION_PF);
    assert_true(h->vcpu.fault.has_error);
    assert_int_equal(h->vcpu.fault.error, error);
    assert_int_equal(h->vcpu.fault.address, address);
}

void assert_fault(struct harness *h, unsigned vector)
{
    assert_int_equal(h->vcpu.fault.vector, vector);
    assert_true(h->vcpu.fault.has_error);
    assert_int_equal(h->vcpu.fault.error, 0);
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
