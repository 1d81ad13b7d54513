/* SPDX-License-Identifier: MIT */
/* control_port.c - IN, OUT, INS, OUTS and the I/O permission bitmap. */
#include "control_harness.h"
#include "interpreter/debugregister.h"

#define BITMAP 0x68u /* offset in the TSS */

static struct machine *user(void)
{
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    const uint16_t base = BITMAP;
    memcpy(m->ram + TSS + 102, &base, 2);
    memset(m->ram + TSS + BITMAP, 0xff, 0x2000);
    return m;
}

static void allow(struct machine *m, unsigned port, unsigned count)
{
    for (; count; count--, port++)
        m->ram[TSS + BITMAP + port / 8] &= (uint8_t) ~(1u << (port & 7));
}

static void test_sizes(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    GPR(m, RDX) = 0x10500;
    GPR(m, RAX) = ~0ull;
    m->port_input = 0x11223344;
    assert_int_equal(RUN(m, "\xec"), 0); /* IN AL, DX */
    assert_int_equal(GPR(m, RAX), 0xffffffffffffff44ull);
    m->port_input = 0x11223344;
    assert_int_equal(RUN(m, "\x66\xed"), 0);
    assert_int_equal(GPR(m, RAX), 0xffffffffffff3344ull);
    m->port_input = 0x11223344;
    assert_int_equal(RUN(m, "\x48\xed"), 0); /* REX.W means nothing */
    assert_int_equal(GPR(m, RAX), 0x11223344);
    assert_int_equal(RUN(m, "\xe6\xf4"), 0); /* OUT F4H, AL */
    assert_int_equal(m->port[3].port, 0xf4);
    assert_int_equal(m->port[3].size, 1);
    assert_true(m->port[3].write);
    assert_int_equal(m->port[3].value, 0x44);
    assert_int_equal(m->port[0].port, 0x500);
    assert_int_equal(m->port_count, 4);
    assert_int_equal(m->vcpu.statistics.port_exits, 4);
    assert_int_equal(RUN(m, "\xe4\x21"), 0); /* the 8259's mask: inside the engine */
    assert_int_equal(m->port_count, 4);
    assert_int_equal(m->vcpu.statistics.port_internal, 1);
    m->cancel = true;
    assert_int_equal(RUN(m, "\xe6\xf4"), -ECANCELED); /* carried out all the same */
    assert_int_equal(m->port_count, 5);
    machine_free(m);
}

static void test_permission(void **state)
{
    (void)state;
    struct machine *m = user();
    GPR(m, RDX) = 0x500;
    assert_gp(m, RUN(m, "\xec"));
    allow(m, 0x500, 1);
    assert_int_equal(RUN(m, "\xec"), 0);
    assert_gp(m, RUN(m, "\x66\xed")); /* the second byte is not allowed */
    allow(m, 0x501, 3);
    assert_int_equal(RUN(m, "\xed"), 0);
    GPR(m, RDX) = 0x507; /* crosses a byte of the bitmap */
    allow(m, 0x507, 2);
    assert_int_equal(RUN(m, "\x66\xed"), 0);
    GPR(m, RDX) = 0xffff;
    allow(m, 0xffff, 1);
    m->vcpu.r.segment[SEGMENT_TR].limit = BITMAP + 0x2000; /* with the byte after the last */
    assert_int_equal(RUN(m, "\xec"), 0);
    m->vcpu.r.segment[SEGMENT_TR].limit = BITMAP + 0x1fff; /* without it */
    assert_gp(m, RUN(m, "\xec"));
    m->vcpu.r.segment[SEGMENT_TR].limit = 0x67; /* the usual TSS: no bitmap */
    assert_gp(m, RUN(m, "\xec"));
    m->vcpu.r.rflags |= FLAG_IOPL;
    assert_int_equal(RUN(m, "\xec"), 0);
    m->vcpu.r.rflags &= ~(uint64_t)FLAG_IOPL;
    m->vcpu.r.segment[SEGMENT_TR].limit = 0x2067;
    m->vcpu.r.segment[SEGMENT_TR].rights = 0x83; /* 16-bit TSS */
    assert_gp(m, RUN(m, "\xec"));
    machine_free(m);
}

static void test_string_output(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    memcpy(m->ram + DATA, "hello", 5);
    GPR(m, RDX) = 0x500;
    GPR(m, RSI) = DATA;
    GPR(m, RCX) = 5;
    assert_int_equal(RUN(m, "\xf3\x6e"), 0); /* REP OUTSB */
    assert_int_equal(GPR(m, RCX), 0);
    assert_int_equal(GPR(m, RSI), DATA + 5);
    assert_int_equal(m->port_count, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(m->port[i].value, (uint8_t) "hello"[i]);
    assert_int_equal(RUN(m, "\xf3\x6e"), 0); /* a count of zero */
    assert_int_equal(m->port_count, 5);
    m->port_count = 0;
    m->vcpu.r.rflags |= FLAG_DF;
    GPR(m, RSI) = DATA + 4;
    GPR(m, RCX) = 0xdeadbeef00000002;
    assert_int_equal(RUN(m, "\x67\xf2\x6e"), 0); /* 32-bit addresses and count, downwards */
    assert_int_equal(GPR(m, RCX), 0);
    assert_int_equal(GPR(m, RSI), DATA + 2);
    assert_int_equal(m->port[1].value, 'l');
    machine_free(m);
}

static void test_string_input(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    GPR(m, RDX) = 0x500;
    GPR(m, RDI) = HOLE - 6;
    GPR(m, RCX) = 9;
    m->port_input = 0x100;
    assert_fault(m, RUN(m, "\xf3\x66\x6d"), EXCEPTION_PF, 2); /* REP INSW into a hole */
    assert_int_equal(m->port_count, 3);                       /* the fourth was not read */
    assert_int_equal(GPR(m, RCX), 6);
    assert_int_equal(GPR(m, RDI), HOLE);
    assert_memory_equal(m->ram + HOLE - 6, "\x00\x01\x01\x01\x02\x01", 6);
    /* A long one comes in runs. */
    GPR(m, RDI) = DATA;
    GPR(m, RCX) = 200;
    unsigned runs = 1;
    while (RUN(m, "\xf3\x6c") == -EAGAIN)
        runs++;
    assert_int_equal(runs, 4);
    assert_int_equal(GPR(m, RDI), DATA + 200);
    /* With the machine asking to stop: one element, and RIP stays. */
    GPR(m, RCX) = 2;
    m->cancel = true;
    uint64_t rip = m->vcpu.r.rip;
    assert_int_equal(RUN(m, "\xf3\x6c"), -ECANCELED);
    assert_int_equal(m->vcpu.r.rip, rip);
    assert_int_equal(RUN(m, "\xf3\x6c"), -ECANCELED);
    assert_int_equal(m->vcpu.r.rip, rip + 2);
    /* The trap flag wants to see each element. */
    m->cancel = false;
    m->vcpu.r.rflags |= FLAG_TF;
    GPR(m, RCX) = 2;
    assert_int_equal(RUN(m, "\xf3\x6c"), -EAGAIN);
    assert_int_equal(RUN(m, "\xf3\x6c"), 0);
    machine_free(m);
}

static void test_segments_and_breakpoints(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_PROTECTED32, 0, VENDOR_HOST);
    m->vcpu.r.segment[SEGMENT_FS].base = DATA;
    m->ram[DATA + 8] = 0x42;
    GPR(m, RSI) = 8;
    GPR(m, RDX) = 0x501;
    m->vcpu.r.cr4 |= CR4_DE;
    m->vcpu.r.dr[0] = 0x500;
    m->vcpu.r.dr[7] = 1 | 2u << 16 | 1u << 18; /* two bytes of port 500H */
    assert_int_equal(RUN(m, "\x64\x6e"), 0);   /* OUTSB from FS */
    assert_int_equal(m->port[0].value, 0x42);
    assert_int_equal(m->vcpu.debug_pending, 1);
    m->vcpu.debug_pending = 0;
    GPR(m, RDX) = 0x502;
    assert_int_equal(RUN(m, "\xec"), 0);
    assert_int_equal(m->vcpu.debug_pending, 0);
    m->vcpu.r.segment[SEGMENT_ES].limit = 0xff;
    GPR(m, RDI) = 0xfd;
    assert_gp(m, RUN(m, "\x6d")); /* INSD over the limit; the port was not read */
    assert_int_equal(m->port_count, 2);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_permission),
        cmocka_unit_test(test_string_output),
        cmocka_unit_test(test_string_input),
        cmocka_unit_test(test_segments_and_breakpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
