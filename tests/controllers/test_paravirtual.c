/* SPDX-License-Identifier: MIT */
/*
 * test_paravirtual.c - kvmclock, the wall clock and PV EOI, from the guest's side of the protocol.
 */
#include <string.h>
#include "harness.h"

#define MSR_WALL        0x4b564d00
#define MSR_SYSTEM_TIME 0x4b564d01
#define MSR_PV_EOI      0x4b564d04
#define EOI_BYTE        0x2004

struct time_info {
    uint32_t version, padding;
    uint64_t tsc_timestamp, system_time;
    uint32_t mul;
    int8_t shift;
    uint8_t flags, padding2[2];
};

static struct time_info read_info(struct test_machine *m, uint64_t gpa)
{
    struct time_info info;
    memcpy(&info, m->ram + gpa, sizeof(info));
    return info;
}

/* As the guest computes it (Linux, __pvclock_read_cycles). */
static uint64_t guest_time(const struct time_info *info, uint64_t tsc)
{
    uint64_t delta = tsc - info->tsc_timestamp;
    delta = info->shift >= 0 ? delta << info->shift : delta >> -info->shift;
    return info->system_time + (uint64_t)((unsigned __int128)delta * info->mul >> 32);
}

static void test_kvmclock(void **state)
{
    struct test_machine *m = *state;
    struct vcpu *vcpu = &m->vcpu[0];
    static const uint32_t msrs[] = { MSR_SYSTEM_TIME, 0x12 };
    for (unsigned i = 0; i < 2; i++) {
        uint64_t value, gpa = 0x1000 + i * 64;
        time_to(m, time_now(m) + 123456789);
        vcpu->r.tsc_adjust += 1000000007;
        assert_int_equal(wrmsr(m, 0, msrs[i], gpa | 1), 0);
        assert_int_equal(rdmsr(m, 0, msrs[i], &value), 0);
        assert_int_equal(value, gpa | 1);
        struct time_info info = read_info(m, gpa);
        assert_int_equal(info.version & 1, 0);
        assert_int_not_equal(info.version, 0);
        assert_int_equal(info.flags, 1);
        assert_int_equal(info.system_time, time_now(m));
        assert_int_equal(info.tsc_timestamp, clock_tsc(vcpu));
        for (unsigned j = 0; j < 10; j++) {
            time_to(m, time_now(m) * 2 + j);
            assert_int_equal(guest_time(&info, clock_tsc(vcpu)), time_now(m));
        }
        /* The guest moves its TSC: kvmclock must not jump. */
        vcpu->r.tsc_adjust -= 5000000000;
        controllers_tsc_changed(vcpu);
        struct time_info moved = read_info(m, gpa);
        assert_true(moved.version > info.version && moved.version % 2 == 0);
        assert_int_equal(guest_time(&moved, clock_tsc(vcpu)), time_now(m));
    }
    uint32_t version = read_info(m, 0x1000 + 64).version;
    assert_int_equal(wrmsr(m, 0, MSR_SYSTEM_TIME, 0), 0); /* off: left alone from now on */
    controllers_tsc_changed(vcpu);
    assert_int_equal(read_info(m, 0x1000 + 64).version, version);
}

static void test_wall_clock(void **state)
{
    struct test_machine *m = *state;
    uint32_t wall[3];
    m->vm.clock.wall_base = 1700000000ull * 1000000000 + 987654321;
    time_to(m, 5000 * MS);
    assert_int_equal(wrmsr(m, 0, MSR_WALL, 0x1100), 0);
    memcpy(wall, m->ram + 0x1100, sizeof(wall));
    assert_int_equal(wall[0] & 1, 0);
    assert_int_equal(wall[1], 1700000000);
    assert_int_equal(wall[2], 987654321);
    assert_int_equal(wrmsr(m, 0, 0x11, 0x1200), 0);
    memcpy(wall, m->ram + 0x1200, sizeof(wall));
    assert_int_equal(wall[1], 1700000000);
}

static void test_wild_addresses(void **state)
{
    struct test_machine *m = *state;
    static const uint64_t wild[] = { TEST_RAM_SIZE, TEST_RAM_SIZE - 4, 0xfee00000,
                                     1ull << 52,    ~0ull & ~7ull,     0xfffffffffffff000ull };
    for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        assert_int_equal(wrmsr(m, 0, MSR_SYSTEM_TIME, wild[i] | 1), 0);
        assert_int_equal(wrmsr(m, 0, MSR_WALL, wild[i]), 0);
        if (wild[i] != TEST_RAM_SIZE - 4)
            assert_int_not_equal(wrmsr(m, 0, MSR_PV_EOI, wild[i] | 1), 0);
    }
    assert_int_equal(wrmsr(m, 0, MSR_SYSTEM_TIME, (PAGE_SIZE_4K - 8) | 1), 0); /* crosses pages */
    assert_int_equal(read_info(m, PAGE_SIZE_4K - 8).flags, 1);
}

static void test_not_offered(void **state)
{
    struct test_machine *m = *state;
    static const uint32_t msrs[] = { 0x4b564d02, 0x4b564d03, 0x4b564d05, 0x4b564d06, 0x4b564dff };
    uint64_t value;
    for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
        assert_int_equal(wrmsr(m, 0, msrs[i], 1), -14); /* -EFAULT: #GP */
        assert_int_equal(m->vcpu[0].fault.vector, EXCEPTION_GP);
        assert_int_equal(rdmsr(m, 0, msrs[i], &value), -14);
    }
    assert_int_equal(wrmsr(m, 0, 0x4b564cff, 1), -2); /* -ENOENT */
    assert_int_equal(wrmsr(m, 0, 0x4b564e00, 1), -2);
    assert_int_equal(wrmsr(m, 0, MSR_PV_EOI, EOI_BYTE | 3), -14);
}

/* ---- PV EOI ---- */

static void eoi_setup(struct test_machine *m)
{
    apic_enable(m, 0);
    assert_int_equal(wrmsr(m, 0, MSR_PV_EOI, EOI_BYTE | 1), 0);
}

static void msi(struct test_machine *m, unsigned data)
{
    controllers_msi(&m->vm, 0, 0xfee00000, data);
}

/* Linux, kvm_guest_apic_eoi_write: true if the register had to be written. */
static bool guest_eoi(struct test_machine *m)
{
    if (m->ram[EOI_BYTE] & 1) {
        m->ram[EOI_BYTE] &= 0xfe;
        return false;
    }
    apic_write(m, 0, 0xb0, 0);
    return true;
}

static void test_eoi_taken(void **state)
{
    struct test_machine *m = *state;
    eoi_setup(m);
    for (unsigned i = 0; i < 5; i++) {
        msi(m, 0x50);
        assert_int_equal(take(m, 0), 0x50);
        assert_int_equal(m->ram[EOI_BYTE], 1);
        assert_false(guest_eoi(m));
    }
    assert_int_equal(take(m, 0), -1);
    assert_int_equal(apic_read(m, 0, 0xa0), 0); /* the ISR is seen empty */
    assert_int_equal(apic_read(m, 0, 0x120), 0);
}

static void test_eoi_withdrawn(void **state)
{
    struct test_machine *m = *state;
    eoi_setup(m);
    msi(m, 0x50);
    assert_int_equal(take(m, 0), 0x50);
    msi(m, 0x51); /* the same class: waits, so the EOI must be noticed */
    assert_int_equal(take(m, 0), -1);
    assert_int_equal(m->ram[EOI_BYTE], 0);
    m->vcpu[0].attention = 0;
    assert_true(guest_eoi(m));
    assert_true(m->vcpu[0].attention & ATTENTION_INTERRUPT);
    assert_int_equal(take(m, 0), 0x51);
    assert_false(guest_eoi(m));
}

static void test_eoi_nesting(void **state)
{
    struct test_machine *m = *state;
    eoi_setup(m);
    msi(m, 0x50);
    assert_int_equal(take(m, 0), 0x50);
    msi(m, 0x60);
    assert_int_equal(take(m, 0), 0x60); /* two in service: no offer */
    assert_int_equal(m->ram[EOI_BYTE], 0);
    assert_true(guest_eoi(m));
    assert_int_equal(apic_read(m, 0, 0xa0), 0x50);
    assert_true(guest_eoi(m));
    msi(m, 0x61);
    msi(m, 0x52);
    assert_int_equal(take(m, 0), 0x61); /* another one waits: no offer */
    assert_int_equal(m->ram[EOI_BYTE], 0);
    assert_true(guest_eoi(m));
    assert_int_equal(take(m, 0), 0x52);
    assert_int_equal(m->ram[EOI_BYTE], 1);
}

/* The guest ends one by its byte with interrupts off, and another has come meanwhile. */
static void test_eoi_then_next(void **state)
{
    struct test_machine *m = *state;
    eoi_setup(m);
    msi(m, 0x50);
    assert_int_equal(take(m, 0), 0x50);
    msi(m, 0x50); /* not looked at: IF is 0 */
    assert_false(guest_eoi(m));
    assert_int_equal(take(m, 0), 0x50);
    assert_false(guest_eoi(m));
    assert_int_equal(take(m, 0), -1);
}

static void test_eoi_level_not_offered(void **state)
{
    struct test_machine *m = *state;
    eoi_setup(m);
    io_route(m, 20, 0, 0x8060);
    controllers_irq_line(&m->vm, 20, true);
    assert_int_equal(take(m, 0), 0x60);
    assert_int_equal(m->ram[EOI_BYTE], 0); /* the IOAPIC waits for it */
    controllers_irq_line(&m->vm, 20, false);
    assert_true(guest_eoi(m));
    assert_int_equal(io_read(m, 0x10 + 40), 0x8060);
}

static void test_eoi_odd_guests(void **state)
{
    struct test_machine *m = *state;
    eoi_setup(m);
    msi(m, 0x50);
    assert_int_equal(take(m, 0), 0x50);
    apic_write(m, 0, 0xb0, 0); /* a real EOI in spite of the offer */
    assert_int_equal(m->ram[EOI_BYTE], 0);
    assert_int_equal(apic_read(m, 0, 0xa0), 0);
    msi(m, 0x50);
    assert_int_equal(take(m, 0), 0x50);
    assert_int_equal(wrmsr(m, 0, MSR_PV_EOI, 0), 0); /* switched off in service */
    assert_int_equal(m->ram[EOI_BYTE], 0);
    assert_int_equal(apic_read(m, 0, 0xa0), 0x50);
    apic_write(m, 0, 0xb0, 0);
    eoi_setup(m);
    msi(m, 0x50);
    assert_int_equal(take(m, 0), 0x50);
    assert_int_equal(memory_remove_slot(&m->vm.memory, 0), 0); /* the memory goes away */
    msi(m, 0x70);
    assert_int_equal(take(m, 0), 0x70);
    apic_write(m, 0, 0xb0, 0);
    apic_write(m, 0, 0xb0, 0);
    assert_int_equal(apic_read(m, 0, 0xa0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kvmclock),       TEST(test_wall_clock),    TEST(test_wild_addresses),
        TEST(test_not_offered),    TEST(test_eoi_taken),     TEST(test_eoi_withdrawn),
        TEST(test_eoi_nesting),    TEST(test_eoi_then_next), TEST(test_eoi_level_not_offered),
        TEST(test_eoi_odd_guests),
    };
    return cmocka_run_group_tests_name("paravirtual", tests, NULL, NULL);
}
