/* SPDX-License-Identifier: MIT */
/*
 * test_random.c - seeded random pokes at every register, line, message and deadline: nothing may
 * crash or loop, and the invariants below hold after each. Then the same with random loaded state.
 *
 *   ORIGAMI_RANDOM_COUNT  pokes (default 1,000,000)
 *   ORIGAMI_RANDOM_SEED   seed (default 1)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Values where things happen: small, all ones, single bits, and anything. */
static uint64_t random_value(uint64_t *seed)
{
    uint64_t r = random_next(seed);
    switch (r & 7) {
    case 0:
        return r >> 60;
    case 1:
        return ~0ull >> (r >> 58);
    case 2:
        return 1ull << (r >> 58);
    case 3:
        return r >> 32;
    case 4:
        return r >> 48;
    default:
        return r >> 56;
    }
}

static void poke_port(struct test_machine *m, uint64_t *seed)
{
    static const uint16_t ports[] = { 0x20, 0x21, 0xa0,  0xa1,  0x40, 0x41,  0x42,
                                      0x43, 0x61, 0x4d0, 0x4d1, 0x1f, 0xffff };
    uint64_t r = random_next(seed);
    uint32_t value = (uint32_t)random_value(seed);
    controllers_port(&m->vcpu[r % TEST_CPUS], ports[r >> 8 & 0xff ? (r >> 8) % 13 : 12],
                     1u << (r >> 32 & 3) % 3, r >> 40 & 1, &value);
}

static void poke_mmio(struct test_machine *m, uint64_t *seed)
{
    uint64_t r = random_next(seed), value = random_value(seed);
    struct vcpu *vcpu = &m->vcpu[r % TEST_CPUS];
    uint64_t offset = (r >> 8) % 0x400, base = vcpu->r.apic_base & ~0xfffull;
    unsigned size = 1u << (r >> 32 & 3);
    if (r >> 40 & 7) {
        offset &= ~15ull;
        size = 4;
    }
    if (r >> 44 & 1) {
        base = IOAPIC_ADDRESS;
        offset &= 0x5f;
        if (offset == 0)
            value &= 0x3f;
    }
    controllers_mmio(vcpu, base + offset, size, r >> 45 & 3, &value);
}

static void poke_msr(struct test_machine *m, uint64_t *seed)
{
    static const uint32_t others[] = { 0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d04, 0x6e0 };
    uint64_t r = random_next(seed), value = random_value(seed);
    unsigned cpu = r % TEST_CPUS;
    uint32_t msr = 0x800 + (uint32_t)(r >> 8) % 0x42;
    if ((r >> 32 & 7) == 0)
        msr = others[(r >> 40) % 6];
    if (msr == 0x6e0)
        value = clock_tsc(&m->vcpu[cpu]) + (uint32_t)value % 100000;
    if (msr >= 0x4b564d00)
        value = (value & 0xfffc) | (r >> 50 & 1);
    if ((r >> 56 & 31) == 0) {
        msr = 0x1b;
        value = 0xfee00000 | (value & 0xd00);
    }
    if (r >> 48 & 1)
        rdmsr(m, cpu, msr, &value);
    else
        wrmsr(m, cpu, msr, value);
}

/* As a guest that knows PV EOI does it, and the 8259s' too. */
static void end_interrupt(struct test_machine *m, struct vcpu *vcpu)
{
    uint8_t *byte = &m->ram[vcpu->r.kvm_pv_eoi & 0xfffc];
    if (vcpu->r.kvm_pv_eoi & 1 && *byte & 1)
        *byte &= 0xfe;
    else
        lapic_eoi(vcpu);
    out8(m, 0xa0, 0x20);
    out8(m, 0x20, 0x20);
}

static void poke_events(struct test_machine *m, uint64_t *seed)
{
    uint64_t r = random_next(seed);
    struct vcpu *vcpu = &m->vcpu[r % TEST_CPUS];
    uint8_t vector;
    switch (r >> 8 & 15) {
    case 0:
    case 1:
    case 2:
        controllers_irq_line(&m->vm, (unsigned)(r >> 16) % 26, r >> 32 & 1);
        break;
    case 3:
    case 4:
        controllers_msi(&m->vm, (uint16_t)r, 0xfee00000 | (r >> 16 & 0xfffff),
                        (uint32_t)random_value(seed));
        break;
    case 5:
        controllers_cr8_write(vcpu, random_value(seed));
        break;
    case 6:
        m->vcpu[r % TEST_CPUS].r.tsc_adjust = random_value(seed);
        controllers_tsc_changed(vcpu);
        break;
    case 7:
        controllers_take_startup(vcpu, &vector);
        vcpu->init_pending = vcpu->nmi_pending = false;
        break;
    case 8:
        m->ram[(r >> 16) % TEST_RAM_SIZE] = (uint8_t)(r >> 32);
        break;
    case 9:
        if ((r >> 16 & 63) == 0)
            lapic_reset(vcpu, r >> 32 & 1);
        break;
    default:
        for (unsigned i = 0; i < 4; i++) {
            int got = controllers_pending(vcpu) ? controllers_acknowledge(vcpu) : -1;
            m->taken += got >= 0;
            if (got < 0 || r >> (40 + i) & 1)
                end_interrupt(m, vcpu);
        }
        break;
    }
}

/* Random pokes soon leave everything masked or disabled. A sane setting now and then, as a guest
 * would make it, keeps interrupts flowing. */
static void revive(struct test_machine *m, uint64_t *seed)
{
    uint64_t r = random_next(seed);
    unsigned cpu = r % TEST_CPUS;
    struct vcpu *vcpu = &m->vcpu[cpu];

    lapic_reset(vcpu, false);
    if (r >> 8 & 1)
        apic_enter_x2apic(m, cpu);
    else
        apic_enable(m, cpu);
    m->vm.controllers.lapic[cpu].ldr = 1u << (24 + cpu);
    lapic_timer_write_lvt(vcpu, (uint32_t)((r >> 10 & 3) << 17 | 0x20 | (r >> 12 & 0xdf)));
    if (r >> 9 & 1)
        wrmsr(m, cpu, 0x4b564d04, 0x2001 + cpu * 64);
    vcpu->r.activity = r >> 20 & 3 ? ACTIVITY_RUNNING : ACTIVITY_WAIT_INIT;
    /* The controllers outside are reached from vCPU 0. */
    uint32_t word = (uint32_t)(r >> 24), select;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        select = word >> pin & 1;
        m->vm.controllers.ioapic.select = 0x10 + 2 * pin;
        ioapic_write(&m->vm, 0x10, select << 15 | (pin == 0 ? 0x700 : 0x30 + pin * 8));
        m->vm.controllers.ioapic.select = 0x11 + 2 * pin;
        ioapic_write(&m->vm, 0x10, (pin + cpu) % TEST_CPUS << 24);
    }
    pic_init(m, (uint16_t)(r >> 48));
    out8(m, 0x4d0, (uint8_t)(r >> 40));
}

static void check_lapic(struct vcpu *vcpu)
{
    const struct lapic *lapic = &vcpu->vm->controllers.lapic[vcpu->id];
    assert_int_equal(lapic->irr[0] & 0xffff, 0);
    assert_int_equal(lapic->isr[0] & 0xffff, 0);
    assert_true(lapic->tpr <= 0xff);
    assert_true(lapic->timer_divide <= 0xf);
    assert_int_not_equal(vcpu->r.apic_base & (APIC_BASE_EN | APIC_BASE_EXTD), APIC_BASE_EXTD);
    if (!(lapic->svr & 0x100)) {
        for (unsigned i = 0; i < LVT_COUNT; i++)
            assert_true(lapic->lvt[i] & LVT_MASKED || i == LVT_LINT0);
    }
    /* What is pending can be acknowledged, and beats everything in service. */
    struct lapic saved = *lapic;
    int vector = lapic_pending(vcpu);
    if (vector >= 0)
        assert_true((vector & 0xf0) > (int)(lapic_ppr(lapic) & 0xf0));
    assert_true(saved.clock_seen <= lapic->clock_seen);
}

static void check(struct test_machine *m)
{
    struct controllers *c = &m->vm.controllers;
    for (unsigned i = 0; i < TEST_CPUS; i++)
        check_lapic(&m->vcpu[i]);
    for (unsigned i = 0; i < 24; i++) {
        uint64_t entry = c->ioapic.redirection[i];
        assert_int_equal(entry & ~0xff0000000001efffull, 0);
        if (entry &
            1u << 14) /* remote IRR: level triggered, fixed or lowest priority when it was set */
            assert_true(entry & 1u << 15);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_true(c->pic.chip[i].lowest < 8 && c->pic.chip[i].init_step <= 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(c->pit.channel[i].count <= 65536 && c->pit.channel[i].next <= 65536);
        assert_true(c->pit.channel[i].mode <= 5);
    }
}

/* Time passes, with all deadlines on the way served; there cannot be more than the floors allow. */
static void pass_time(struct test_machine *m, uint64_t *seed)
{
    uint64_t r = random_next(seed);
    uint64_t now = time_now(m), span = (r & 0xff) ? r >> 8 & 0xffff : r >> 8 & 0xfffffff;
    unsigned served = 0;
    if (r >> 60 == 0) {
        time_jump(m, now + span);
        return;
    }
    for (;;) {
        uint64_t next = controllers_next_deadline(&m->vm);
        if (next > now + span)
            break;
        time_jump(m, next);
        served++;
        assert_true(served <= (TEST_CPUS + 1) * (span / 50000 + 3));
    }
    time_jump(m, now + span);
}

static void run(struct test_machine *m, uint64_t count, uint64_t seed)
{
    for (uint64_t i = 0; i < count; i++) {
        if (i % 64 == 0)
            revive(m, &seed);
        switch (random_next(&seed) & 15) {
        case 0 ... 3:
            poke_port(m, &seed);
            break;
        case 4 ... 7:
            poke_mmio(m, &seed);
            break;
        case 8 ... 11:
            poke_msr(m, &seed);
            break;
        case 12:
            pass_time(m, &seed);
            break;
        default:
            poke_events(m, &seed);
            break;
        }
        check(m);
    }
}

static void test_pokes(void **state)
{
    struct test_machine *m = *state;
    uint64_t seed = setting("ORIGAMI_RANDOM_SEED", 1);
    for (unsigned i = 0; i < TEST_CPUS; i++)
        apic_enable(m, i);
    uint64_t count = setting("ORIGAMI_RANDOM_COUNT", 1000000);
    run(m, count, seed);
    assert_true(m->taken >= count / 50); /* the pokes did reach something */
}

/* The same pokes from the same seed leave the same state. */
static void test_repeatable(void **state)
{
    struct test_machine *m = *state;
    void *second = NULL;
    assert_int_equal(machine_setup_smp(&second), 0);
    struct test_machine *n = second;
    run(m, 50000, 99);
    run(n, 50000, 99);
    assert_memory_equal(&m->vm.controllers, &n->vm.controllers, sizeof(m->vm.controllers));
    assert_memory_equal(m->ram, n->ram, TEST_RAM_SIZE);
    machine_teardown(&second);
}

/* State saved in the middle and loaded into another machine goes on the same way. */
static void test_save_and_load(void **state)
{
    struct test_machine *m = *state;
    void *second = NULL;
    assert_int_equal(machine_setup_smp(&second), 0);
    struct test_machine *n = second;
    run(m, 20000, 7);
    controllers_state_loaded(&m->vm); /* legal state is left as it is */
    n->vm.controllers = m->vm.controllers;
    n->vm.clock = m->vm.clock;
    memcpy(n->ram, m->ram, TEST_RAM_SIZE);
    for (unsigned i = 0; i < TEST_CPUS; i++) {
        n->vcpu[i].r = m->vcpu[i].r;
        n->vcpu[i].init_pending = m->vcpu[i].init_pending;
    }
    controllers_state_loaded(&n->vm);
    run(m, 20000, 8);
    run(n, 20000, 8);
    assert_memory_equal(&m->vm.controllers, &n->vm.controllers, sizeof(m->vm.controllers));
    machine_teardown(&second);
}

/* Any bytes may come from a file: after controllers_state_loaded() they are harmless. */
static void test_random_state(void **state)
{
    struct test_machine *m = *state;
    uint64_t seed = setting("ORIGAMI_RANDOM_SEED", 1);
    for (unsigned round = 0; round < 200; round++) {
        uint8_t *bytes = (uint8_t *)&m->vm.controllers;
        for (size_t i = 0; i < sizeof(m->vm.controllers); i++)
            bytes[i] = (uint8_t)random_next(&seed);
        controllers_state_loaded(&m->vm);
        for (unsigned i = 0; i < 500; i++) {
            uint64_t now = time_now(m);
            poke_port(m, &seed);
            poke_mmio(m, &seed);
            poke_msr(m, &seed);
            poke_events(m, &seed);
            controllers_next_deadline(&m->vm);
            time_jump(m, now + (random_next(&seed) & 0xffff));
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup_smp, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pokes),
        TEST(test_repeatable),
        TEST(test_save_and_load),
        TEST(test_random_state),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
