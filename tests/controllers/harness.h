/* SPDX-License-Identifier: MIT */
/*
 * harness.h - a tiny machine for the tests of the controllers: RAM, up to four vCPUs that execute
 * nothing, and a clock that the test moves.
 */
#ifndef ORIGAMI_TESTS_CONTROLLERS_HARNESS_H
#define ORIGAMI_TESTS_CONTROLLERS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine.h"

#define TEST_CPUS     4
#define TEST_RAM_SIZE 0x10000u

struct test_machine {
    struct vm vm;
    struct vcpu vcpu[TEST_CPUS];
    uint8_t *ram;   /* at guest-physical 0 */
    uint64_t taken; /* interrupts delivered by the random test */
};

/* For cmocka's setup and teardown: *state is a struct test_machine with one or with four vCPUs. */
int machine_setup(void **state);
int machine_setup_smp(void **state);
int machine_teardown(void **state);

/* Moves time to `when` (virtual ns), stopping at every deadline on the way, as a dispatcher would.
 * Returns how many deadlines there were. */
unsigned time_to(struct test_machine *machine, uint64_t when);
/* Moves time and advances once, as an engine does that was held up. */
void time_jump(struct test_machine *machine, uint64_t when);
uint64_t time_now(struct test_machine *machine);

/* Delivers one maskable interrupt to a vCPU: its vector, or -1. */
int take(struct test_machine *machine, unsigned cpu);

uint8_t in8(struct test_machine *machine, uint16_t port);
void out8(struct test_machine *machine, uint16_t port, uint8_t value);
uint32_t apic_read(struct test_machine *machine, unsigned cpu, uint32_t offset);
void apic_write(struct test_machine *machine, unsigned cpu, uint32_t offset, uint32_t value);
uint32_t io_read(struct test_machine *machine, uint32_t index);
void io_write(struct test_machine *machine, uint32_t index, uint32_t value);
/* A redirection entry: both halves, upper first. */
void io_route(struct test_machine *machine, unsigned pin, uint32_t destination, uint32_t low);
int rdmsr(struct test_machine *machine, unsigned cpu, uint32_t msr, uint64_t *value);
int wrmsr(struct test_machine *machine, unsigned cpu, uint32_t msr, uint64_t value);

/* Software-enables a LAPIC; puts it into x2APIC mode. */
void apic_enable(struct test_machine *machine, unsigned cpu);
void apic_enter_x2apic(struct test_machine *machine, unsigned cpu);

/* The 8259s as Linux sets them up: vectors 0x30 and 0x38, all masked but `unmasked`. */
void pic_init(struct test_machine *machine, uint16_t unmasked);

/* A small generator for repeatable random tests. */
uint64_t random_next(uint64_t *state);

#define MS 1000000ull
#define US 1000ull

#endif
