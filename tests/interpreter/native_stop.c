/* SPDX-License-Identifier: MIT */
/*
 * native_stop.c - the machine wants to stop while an innocuous instruction accesses a device. The
 * access has been carried out: the instruction goes on, faults if it must, and then the vCPU stops.
 */
#include "control_harness.h"

#define DEVICE  0x10000000u /* the base of DS and ES: no RAM is there */
#define HANDLER 0x600u

static struct machine *stopping(const void *code, size_t size)
{
    struct machine *m = machine_new(MODE_REAL, 0, VENDOR_HOST);
    const uint32_t entry = HANDLER;
    const uint16_t for_ever = 0xfeeb;

    m->cancel = true;
    m->vcpu.r.segment[SEGMENT_DS].base = m->vcpu.r.segment[SEGMENT_ES].base = DEVICE;
    GPR(m, RSP) = 0x7000;
    memcpy(m->ram, &entry, 4); /* divide error */
    memcpy(m->ram + HANDLER, &for_ever, 2);
    memcpy(m->ram + 0x7c00, code, size);
    memcpy(m->ram + 0x7c00 + size, &for_ever, 2);
    return m;
}
#define STOPPING(code) stopping(code, sizeof(code) - 1)

static void expect_stop(struct machine *m, uint64_t rip, uint64_t instructions)
{
    assert_int_equal(vcpu_run(&m->vcpu, 100), EXIT_STOPPED);
    assert_int_equal(m->vcpu.r.rip, rip);
    assert_int_equal(m->vcpu.instructions, instructions);
}

static void plain(void **state)
{
    struct machine *m = STOPPING("\xa1\x00\x00"); /* mov ax, [0] */

    (void)state;
    expect_stop(m, 0x7c03, 1);
    assert_int_equal(GPR(m, RAX) & 0xffff, 0xffff);
    machine_free(m);
    m = STOPPING("\x01\x06\x00\x00"); /* add [0], ax: read and written */
    expect_stop(m, 0x7c04, 1);
    machine_free(m);
}

static void faulting(void **state)
{
    struct machine *m = STOPPING("\xf7\x36\x00\x00"); /* div word [0]: by 0xffff, too much */

    (void)state;
    GPR(m, RDX) = 0xffff;
    expect_stop(m, HANDLER, 1);
    assert_int_equal(m->vcpu.statistics.exceptions[EXCEPTION_DE], 1);
    machine_free(m);
}

static void strings(void **state)
{
    struct machine *m = STOPPING("\xf3\xa4"); /* rep movsb */

    (void)state;
    GPR(m, RCX) = 3;
    for (unsigned done = 1; done <= 3; done++) {
        expect_stop(m, done < 3 ? 0x7c00 : 0x7c02, done);
        assert_int_equal(GPR(m, RCX), 3 - done);
        assert_int_equal(GPR(m, RSI), done);
    }
    machine_free(m);
    m = STOPPING("\xf3\xa6"); /* repe cmpsb */
    GPR(m, RCX) = 2;
    expect_stop(m, 0x7c00, 1);
    assert_int_equal(GPR(m, RDI), 1);
    machine_free(m);
}

/* The x87 pointers are those of an instruction that was stopped after, too. */
static void x87(void **state)
{
    struct machine *m = STOPPING("\xd9\x1e\x08\x00"); /* fstp dword [8] */

    (void)state;
    expect_stop(m, 0x7c04, 1);
    assert_int_equal(m->vcpu.r.fip, 0x7c00);
    assert_int_equal(m->vcpu.r.fdp, 8);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(plain), cmocka_unit_test(faulting),
                                        cmocka_unit_test(strings), cmocka_unit_test(x87) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
