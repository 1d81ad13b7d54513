/* SPDX-License-Identifier: MIT */
/*
 * test_kvm.c - the KVM back end through its interface, with a guest of a few instructions: every
 * exit, answers, messages, deadline, pause, stop, state there and back. The same program runs in an
 * engine process (argv[1]), which shows that the interface is one. Skipped where KVM is not usable.
 */
#include "backend/kvm.h"
#include "memory/dma.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <origami/wire.h>

#define TIME_LIMIT 60 /* seconds; a guest that hangs takes this test with it, nothing else */
#define TABLES     0x10000
#define IDT        0x20000
#define CODE       0x30000
#define STACK      0x40000
#define VECTOR     0x45
#define HOLE       0xd0000000ull

__asm__("guest_start:\n"
        "mov $0x41, %al; mov $0x3f8, %dx; out %al, %dx\n"
        "lea text(%rip), %rsi; mov $3, %ecx; rep outsb\n"
        "in %dx, %eax; mov %eax, %r12d\n"
        "mov $0xd0000000, %ebx; mov (%rbx), %rcx; add $1, %rcx; mov %rcx, 8(%rbx)\n"
        "mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%rbx)\n" /* the local APIC is on */
        "out %al, $0x81\n"
        "sti; 1: pause; test %r13, %r13; jz 1b; cli\n" /* until the message has come */
        "out %al, $0x82\n"
        "2: pause; jmp 2b\n"
        "text: .ascii \"xyz\"\n"
        "guest_handler:\n"
        "inc %r13; movl $0, 0xb0(%rbx); iretq\n"
        "guest_end:\n");
extern const uint8_t guest_start[], guest_handler[], guest_end[];

static const char *engine_program;
static int engine_fd, null_fd;
static struct ram ram;
static struct backend *backend;
static const struct backend_operations *operations;
static struct host_clock host;
static struct problem problem;
static uint32_t tier;

static void put64(uint64_t gpa, uint64_t value)
{
    assert_int_equal(dma_write(&ram, DMA_MACHINE, gpa, &value, sizeof(value)), 0);
}

/* 4 GiB mapped one to one, an interrupt gate for VECTOR, the program. */
static void load_guest(void)
{
    uint64_t handler = CODE + (uint64_t)(guest_handler - guest_start);

    put64(TABLES, (TABLES + 0x1000) | 3);
    for (uint64_t i = 0; i < 4; i++)
        put64(TABLES + 0x1000 + 8 * i, (TABLES + 0x2000 + 0x1000 * i) | 3);
    for (uint64_t i = 0; i < 2048; i++)
        put64(TABLES + 0x2000 + 8 * i, i << 21 | 0x83);
    put64(IDT + 16 * VECTOR,
          (handler & 0xffff) | 0x10 << 16 | 0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48);
    put64(IDT + 16 * VECTOR + 8, handler >> 32);
    put64(IDT + 0x1000 + 0x10, 0x00af9b000000ffffull); /* for the gate */
    put64(IDT + 0x1000 + 0x18, 0x00cf93000000ffffull); /* for the stack, at the return */
    assert_int_equal(
        dma_write(&ram, DMA_MACHINE, CODE, guest_start, (size_t)(guest_end - guest_start)), 0);
}

static void set_start(void)
{
    const struct segment_register code = { .limit = ~0u, .selector = 0x10, .rights = 0xa09b };
    const struct segment_register data = { .limit = ~0u, .selector = 0x18, .rights = 0xc093 };
    struct vcpu_registers r;
    size_t size;

    assert_int_equal(
        operations->get_state(backend, STATE_REGISTERS, &r, sizeof(r), &size, &problem), 0);
    assert_int_equal(size, sizeof(r));
    for (unsigned i = 0; i < 6; i++)
        r.segment[i] = i == 1 ? code : data;
    r.segment[6] = (struct segment_register){ .limit = 0xffff, .unusable = 1 };
    r.segment[7] = (struct segment_register){ .limit = 0x67, .rights = 0x8b };
    r.gdtr = (struct table_register){ .base = IDT + 0x1000, .limit = 0x1f };
    r.idtr = (struct table_register){ .base = IDT, .limit = 0xfff };
    r.cr0 = 0x80000011;
    r.cr3 = TABLES;
    r.cr4 = 0x20;
    r.efer = 0x500;
    r.rip = CODE;
    r.rflags = 2;
    r.gpr[4] = STACK;
    r.gpr[13] = 0;
    r.gpr[15] = 0x123456789abcdef0;
    r.star = 0x0010000800000000;
    r.activity = ACTIVITY_RUNNING;
    r.cpl = 0;
    assert_int_equal(operations->set_state(backend, STATE_REGISTERS, &r, sizeof(r), &problem), 0);
}

static void start(const struct backend_operations *which)
{
    const struct backend_config config = { .ram = &ram,
                                           .cpus = 1,
                                           .tier = WIRE_TIER_SOFT,
                                           .tier_running = &tier,
                                           .clock = host,
                                           .program = engine_program,
                                           .program_fd = engine_fd,
                                           .null_fd = null_fd,
                                           .ready_timeout = 30 };

    operations = which;
    ram_init(&ram);
    assert_int_equal(ram_create(&ram, 2 << 20, &problem), 0);
    if (operations->create(&backend, &config, &problem) != 0)
        fail_msg("%s", problem.text);
    load_guest();
    set_start();
}

static void finish(void)
{
    operations->destroy(backend);
    backend = NULL;
    ram_destroy(&ram);
}

static struct backend_run run;

static void expect(enum backend_exit exit)
{
    if (operations->run(backend, &run, &problem) != 0)
        fail_msg("%s", problem.text);
    assert_int_equal(run.exit, exit);
}

static void expect_access(enum backend_exit exit, uint64_t address, unsigned size, bool write)
{
    expect(exit);
    assert_int_equal(run.address, address);
    assert_int_equal(run.size, size);
    assert_int_equal(run.write, write);
}

/* Up to the write to port 0x81, the one after the APIC is on. */
static void run_accesses(void)
{
    run = (struct backend_run){ 0 };
    for (const char *c = "Axyz"; *c; c++) {
        expect_access(BACKEND_PORT, 0x3f8, 1, true);
        assert_int_equal(run.value, *c);
    }
    expect_access(BACKEND_PORT, 0x3f8, 4, false);
    run.value = 0x87654321;
    expect_access(BACKEND_MMIO, HOLE, 8, false);
    run.value = 0x1111222233334444;
    expect_access(BACKEND_MMIO, HOLE + 8, 8, true);
    assert_true(run.value == 0x1111222233334445);
    expect_access(BACKEND_PORT, 0x81, 1, true);
}

static void *pause_soon(void *unused)
{
    (void)unused;
    usleep(50000);
    operations->pause(backend);
    return NULL;
}

static uint64_t now_ns(void)
{
    return host_clock_ns(&host, host_clock_tsc());
}

static void run_events(void)
{
    pthread_t thread;

    operations->msi(backend, 8, 0xfee00000, VECTOR);
    expect_access(BACKEND_PORT, 0x82, 1, true);
    uint64_t when = now_ns() + 30000000;
    operations->set_deadline(backend, when);
    expect(BACKEND_DEADLINE);
    assert_true(now_ns() >= when);
    assert_int_equal(pthread_create(&thread, NULL, pause_soon, NULL), 0);
    expect(BACKEND_PAUSED); /* and not the same deadline again */
    pthread_join(thread, NULL);
}

static void check_state(void)
{
    static struct vcpu_registers first, second;
    static uint8_t extended[2][XSAVE_AREA_SIZE];
    size_t size;

    assert_int_equal(
        operations->get_state(backend, STATE_REGISTERS, &first, sizeof(first), &size, &problem), 0);
    assert_int_equal(first.gpr[12], 0x87654321);
    assert_true(first.gpr[1] == 0x1111222233334445);
    assert_true(first.gpr[13] == 1 && first.gpr[15] == 0x123456789abcdef0);
    assert_true(first.rip > CODE && first.rip < CODE + (uint64_t)(guest_end - guest_start));
    assert_true(first.cr3 == TABLES && first.efer == 0x500 && first.star == 0x0010000800000000);
    assert_int_equal(first.segment[1].rights, 0xa09b);
    assert_int_equal(
        operations->set_state(backend, STATE_REGISTERS, &first, sizeof(first), &problem), 0);
    assert_int_equal(
        operations->get_state(backend, STATE_REGISTERS, &second, sizeof(second), &size, &problem),
        0);
    assert_memory_equal(&first, &second, sizeof(first));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(operations->get_state(backend, STATE_EXTENDED, extended[i],
                                               sizeof(extended[i]), &size, &problem),
                         0);
        assert_int_equal(size, XSAVE_AREA_SIZE);
        assert_int_equal(
            operations->set_state(backend, STATE_EXTENDED, extended[0], size, &problem), 0);
    }
    assert_memory_equal(extended[0], extended[1], XSAVE_AREA_SIZE);
    assert_int_not_equal(
        operations->set_state(backend, STATE_REGISTERS, &first, sizeof(first) - 1, &problem), 0);
    assert_int_not_equal(
        operations->set_state(backend, STATE_STATISTICS, &first, sizeof(first), &problem), 0);
}

static void whole(const struct backend_operations *which)
{
    start(which);
    run_accesses();
    run_events();
    check_state();
    run.stop = true;
    expect(BACKEND_STOPPED);
    finish();
}

static bool no_kvm(void)
{
    char reason[KVM_REASON];
    int fd = kvm_open(reason);

    if (fd < 0) {
        print_message("skip: %s\n", reason);
        return true;
    }
    close(fd);
    return false;
}

static void with_kvm(void **state)
{
    (void)state;
    if (no_kvm())
        skip();
    whole(&backend_kvm);
}

static void with_engine(void **state)
{
    (void)state;
    whole(&backend_engine);
}

/* A stop in the middle: the access is finished, its result is in the register, nothing more ran. */
static void stop_finishes_the_access(void **state)
{
    struct vcpu_registers r;
    size_t size;

    (void)state;
    if (no_kvm())
        skip();
    start(&backend_kvm);
    run = (struct backend_run){ 0 };
    for (unsigned i = 0; i < 5; i++)
        expect(BACKEND_PORT);
    assert_false(run.write);
    run.value = 0x55;
    run.stop = true;
    expect(BACKEND_STOPPED);
    assert_int_equal(
        operations->get_state(backend, STATE_REGISTERS, &r, sizeof(r), &size, &problem), 0);
    assert_int_equal(r.gpr[0], 0x55);
    assert_int_equal(r.gpr[12], 0);
    finish();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_engine),
        cmocka_unit_test(with_kvm),
        cmocka_unit_test(stop_finishes_the_access),
    };
    struct host_sample sample = host_clock_sample();

    alarm(TIME_LIMIT);
    engine_program = argc > 1 ? argv[1] : "origami-engine";
    engine_fd = open(engine_program, O_PATH | O_CLOEXEC);
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (engine_fd < 0 || null_fd < 0)
        return 1;
    if (host_clock_calibrate(&host, sample, &problem) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
