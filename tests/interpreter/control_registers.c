/* SPDX-License-Identifier: MIT */
/* control_registers.c - control and debug registers, flags, INVPCID, protection keys, hypercalls,
 * time. */
#include "control_harness.h"
#include "interpreter/debugregister.h"

static struct machine *kernel(enum machine_mode mode)
{
    return machine_new(mode, 0, VENDOR_HOST);
}

/* MOV CRn, RAX with a value; the instruction's result. */
static int write_cr(struct machine *m, unsigned number, uint64_t value)
{
    uint8_t bytes[4] = { 0x44, 0x0f, 0x22, (uint8_t)(0xc0 | (number & 7) << 3) };
    GPR(m, RAX) = value;
    return number == 8 ? run(m, bytes, 4) : run(m, bytes + 1, 3);
}

static uint64_t read_cr(struct machine *m, unsigned number)
{
    uint8_t bytes[3] = { 0x0f, 0x20, (uint8_t)(0xc0 | number << 3) };
    assert_int_equal(run(m, bytes, 3), 0);
    return GPR(m, RAX);
}

static void test_cr0_rules(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    uint64_t cr0 = m->vcpu.r.cr0;
    assert_gp(m, write_cr(m, 0, cr0 | 1ull << 32));
    assert_gp(m, write_cr(m, 0, cr0 & ~(uint64_t)CR0_PE)); /* PG without PE */
    assert_gp(m, write_cr(m, 0, cr0 | CR0_NW));            /* NW without CD */
    assert_gp(m, write_cr(m, 0, cr0 & ~(uint64_t)CR0_PG)); /* from 64-bit code */
    assert_int_equal(m->vcpu.r.cr0, cr0);
    assert_int_equal(write_cr(m, 0, cr0 | CR0_NW | CR0_CD | CR0_TS), 0);
    assert_int_equal(read_cr(m, 0), cr0 | CR0_NW | CR0_CD | CR0_TS);
    assert_int_equal(write_cr(m, 0, (cr0 & ~(uint64_t)CR0_ET) | 1u << 7),
                     0);                  /* reserved: ignored */
    assert_int_equal(m->vcpu.r.cr0, cr0); /* ET is stuck at 1 */
    assert_int_equal(write_cr(m, 0, cr0 | CR0_TS), 0);
    assert_int_equal(RUN(m, "\x0f\x06"), 0); /* CLTS */
    assert_false(m->vcpu.r.cr0 & CR0_TS);
    machine_free(m);
}

static void test_long_mode_entry(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_PROTECTED32);
    m->vcpu.r.efer = EFER_LME;
    assert_gp(m, write_cr(m, 0, m->vcpu.r.cr0 | CR0_PG)); /* no PAE */
    assert_false(m->vcpu.r.efer & EFER_LMA);
    m->vcpu.r.cr4 |= CR4_PAE;
    m->vcpu.r.segment[SEGMENT_CS].rights |= RIGHTS_L;
    assert_gp(m, write_cr(m, 0, m->vcpu.r.cr0 | CR0_PG)); /* CS.L would be 64-bit at once */
    m->vcpu.r.segment[SEGMENT_CS].rights &= (uint16_t)~RIGHTS_L;
    assert_int_equal(write_cr(m, 0, m->vcpu.r.cr0 | CR0_PG), 0);
    assert_true(m->vcpu.r.efer & EFER_LMA);
    assert_true(m->vcpu.long_mode);
    assert_int_equal(m->vcpu.code_size, 32);
    /* and out again, from compatibility mode */
    assert_int_equal(write_cr(m, 0, m->vcpu.r.cr0 & ~(uint64_t)CR0_PG & 0xffffffff), 0);
    assert_false(m->vcpu.r.efer & EFER_LMA);
    machine_free(m);
}

static void test_pae_pointers(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_PROTECTED32);
    uint64_t entries[4] = { 0x20001, 0x21001, 0,
                            0x22000 | 0x1e6 | 1 }; /* the last: reserved bits */
    m->vcpu.r.cr4 |= CR4_PAE;
    m->vcpu.r.cr3 = 0x30020;
    memcpy(m->ram + 0x30020, entries, sizeof(entries));
    assert_gp(m, write_cr(m, 0, m->vcpu.r.cr0 | CR0_PG));
    assert_false(m->vcpu.r.cr0 & CR0_PG);
    entries[3] = 0;
    memcpy(m->ram + 0x30020, entries, sizeof(entries));
    assert_int_equal(write_cr(m, 0, m->vcpu.r.cr0 | CR0_PG), 0);
    assert_int_equal(m->vcpu.r.pdpte[1], 0x21001);
    m->ram[0x30028] = 0xe7;
    uint64_t old = m->vcpu.r.cr3;
    assert_gp(m, write_cr(m, 3, 0x30020));
    assert_int_equal(m->vcpu.r.cr3, old);
    assert_gp(m, write_cr(m, 4, m->vcpu.r.cr4 | CR4_PGE)); /* reloads them too */
    assert_false(m->vcpu.r.cr4 & CR4_PGE);
    machine_free(m);
}

static void test_cr3_and_pcid(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    assert_gp(m, write_cr(m, 3, TABLES | 1ull << 63)); /* reserved without PCIDE */
    assert_gp(m, write_cr(m, 3, 1ull << m->vm.model.physical_bits));
    m->vcpu.r.cr3 = TABLES | 0x18;
    assert_gp(m, write_cr(m, 4, m->vcpu.r.cr4 | CR4_PCIDE)); /* CR3[11:0] not zero */
    assert_int_equal(write_cr(m, 3, TABLES), 0);
    assert_int_equal(write_cr(m, 4, m->vcpu.r.cr4 | CR4_PCIDE), 0);
    assert_int_equal(write_cr(m, 3, TABLES | 5), 0);
    assert_int_equal(m->vcpu.tlb.asid, 5);
    assert_int_equal(write_cr(m, 3, TABLES | 6 | 1ull << 63), 0);
    assert_int_equal(m->vcpu.r.cr3, TABLES | 6); /* the bit is not kept */
    assert_int_equal(m->vcpu.tlb.asid, 6);
    assert_int_equal(write_cr(m, 4, m->vcpu.r.cr4 & ~(uint64_t)CR4_PCIDE), 0);
    assert_int_equal(m->vcpu.tlb.asid, 0);
    machine_free(m);
}

/* What a stale translation would show: a page re-mapped behind the TLB's back. */
static uint8_t peek(struct machine *m)
{
    uint8_t value = 0;
    assert_int_equal(linear_read(&m->vcpu, DATA, &value, 1, ACCESS_READ), 0);
    return value;
}

static void remap(struct machine *m, uint64_t target)
{
    uint64_t entry = target | 7;
    memcpy(m->ram + LEAVES + (DATA >> 12) * 8, &entry, 8);
}

static void test_flushes(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    const uint64_t descriptor[2] = { 5, DATA };
    m->ram[DATA] = 1;
    m->ram[DATA + 0x1000] = 2;
    memcpy(m->ram + 0x80000, descriptor, 16);
    assert_int_equal(write_cr(m, 4, m->vcpu.r.cr4 | CR4_PCIDE), 0);
    assert_int_equal(write_cr(m, 3, TABLES | 5), 0);
    assert_int_equal(peek(m), 1);
    remap(m, DATA + 0x1000);
    assert_int_equal(write_cr(m, 3, TABLES | 5), 0); /* flushes PCID 5 */
    assert_int_equal(peek(m), 2);
    remap(m, DATA);
    GPR(m, RAX) = DATA;
    assert_int_equal(RUN(m, "\x0f\x01\x38"), 0); /* INVLPG [RAX] */
    assert_int_equal(peek(m), 1);
    remap(m, DATA + 0x1000);
    GPR(m, RAX) = 0;
    GPR(m, RCX) = 0x80000;
    assert_int_equal(RUN(m, "\x66\x0f\x38\x82\x01"), 0); /* INVPCID RAX, [RCX]: one address */
    assert_int_equal(peek(m), 2);
    for (unsigned type = 1; type <= 3; type++) {
        remap(m, type & 1 ? DATA : DATA + 0x1000);
        GPR(m, RAX) = type;
        assert_int_equal(RUN(m, "\x66\x0f\x38\x82\x01"), 0);
        assert_int_equal(peek(m), type & 1 ? 1 : 2);
    }
    GPR(m, RAX) = 0x800000000000ull; /* not canonical: nothing happens, nothing faults */
    assert_int_equal(RUN(m, "\x0f\x01\x38"), 0);
    machine_free(m);
}

static int invpcid(struct machine *m, uint64_t type, uint64_t pcid, uint64_t address)
{
    uint64_t descriptor[2] = { pcid, address };
    memcpy(m->ram + DATA, descriptor, 16);
    GPR(m, RAX) = type;
    GPR(m, RCX) = DATA;
    return RUN(m, "\x66\x0f\x38\x82\x01");
}

static void test_invpcid_checks(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    assert_gp(m, invpcid(m, 4, 0, 0));
    assert_gp(m, invpcid(m, 1ull << 32, 0, 0));
    assert_gp(m, invpcid(m, 2, 0x1000, 0)); /* reserved bits */
    assert_gp(m, invpcid(m, 0, 1, 0));      /* PCIDs are off */
    assert_gp(m, invpcid(m, 1, 1, 0));
    assert_gp(m, invpcid(m, 0, 0, 1ull << 63));
    assert_int_equal(invpcid(m, 1, 0, 1ull << 63), 0); /* address unused */
    assert_int_equal(invpcid(m, 2, 1, 0), 0);
    GPR(m, RCX) = HOLE;
    assert_fault(m, RUN(m, "\x66\x0f\x38\x82\x01"), EXCEPTION_PF, 0);
    machine_free(m);
    m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    assert_gp(m, invpcid(m, 0, 0, 0));
    machine_free(m);
}

static void test_cr4_rules(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    uint64_t cr4 = m->vcpu.r.cr4;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t value = cr4 | 1ull << bit;
        bool given = (m->vm.model.cr4_allowed >> bit & 1) != 0;
        if (given)
            assert_int_equal(write_cr(m, 4, value), 0);
        else
            assert_gp(m, write_cr(m, 4, value));
    }
    assert_int_equal(write_cr(m, 4, cr4), 0);
    assert_gp(m, write_cr(m, 4, cr4 & ~(uint64_t)CR4_PAE));
    assert_gp(m, write_cr(m, 4, cr4 | 1u << 12)); /* LA57 */
    assert_gp(m, write_cr(m, 4, cr4 | 1u << 13)); /* VMXE */
    assert_gp(m, write_cr(m, 8, 16));
    assert_int_equal(write_cr(m, 8, 9), 0);
    assert_int_equal(RUN(m, "\x44\x0f\x20\xc0"), 0);
    assert_int_equal(GPR(m, RAX), 9);
    machine_free(m);
}

static void test_privilege(void **state)
{
    (void)state;
    static const char *const instructions[] = { "\x0f\x20\xc0", "\x0f\x22\xd8", "\x0f\x21\xc0",
                                                "\x0f\x23\xf8", "\x0f\x01\x38", "\x0f\x01\xf0",
                                                "\x0f\x30\x90", "\x0f\x32\x90" };
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++)
        assert_gp(m, run(m, instructions[i], instructions[i][2] == '\x90' ? 2 : 3));
    assert_gp(m, RUN(m, "\xf4"));         /* HLT */
    assert_gp(m, RUN(m, "\xfa"));         /* CLI */
    assert_gp(m, RUN(m, "\xfb"));         /* STI */
    assert_gp(m, RUN(m, "\x0f\x06"));     /* CLTS */
    assert_gp(m, RUN(m, "\x0f\x08"));     /* INVD */
    assert_gp(m, RUN(m, "\x0f\x09"));     /* WBINVD */
    assert_ud(m, RUN(m, "\x0f\x01\xca")); /* CLAC: #UD, not #GP */
    assert_ud(m, RUN(m, "\x0f\x01\xcb"));
    assert_int_equal(RUN(m, "\x0f\x01\xe0"), 0); /* SMSW EAX: critical ... */
    assert_int_equal((uint32_t)GPR(m, RAX), (uint32_t)m->vcpu.r.cr0);
    m->vcpu.r.cr4 |= CR4_UMIP;
    assert_gp(m, RUN(m, "\x0f\x01\xe0")); /* ... until UMIP */
    m->vcpu.r.rflags |= FLAG_IOPL;
    assert_int_equal(RUN(m, "\xfb"), 0);
    assert_true(m->vcpu.r.rflags & FLAG_IF);
    assert_int_equal(m->vcpu.r.interrupt_shadow, SHADOW_STI);
    m->vcpu.r.interrupt_shadow = 0;
    assert_int_equal(RUN(m, "\xfb"), 0); /* IF was set: no shadow */
    assert_int_equal(m->vcpu.r.interrupt_shadow, 0);
    machine_free(m);
}

static void test_status_word(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    GPR(m, RAX) = ~0ull;
    assert_int_equal(RUN(m, "\x66\x0f\x01\xe0"), 0); /* SMSW AX */
    assert_int_equal(GPR(m, RAX), (~0ull << 16) | (m->vcpu.r.cr0 & 0xffff));
    GPR(m, RAX) = DATA;
    memset(m->ram + DATA, 0xee, 8);
    assert_int_equal(RUN(m, "\x48\x0f\x01\x20"), 0); /* memory: 16 bits whatever REX.W */
    assert_int_equal(m->ram[DATA + 2], 0xee);
    GPR(m, RAX) = 0xfff0 | CR0_TS;
    assert_int_equal(RUN(m, "\x0f\x01\xf0"), 0); /* LMSW AX: PE stays, TS set */
    assert_true(m->vcpu.r.cr0 & CR0_PE);
    assert_true(m->vcpu.r.cr0 & CR0_TS);
    assert_false(m->vcpu.r.cr0 & CR0_MP);
    machine_free(m);
}

static void test_keys_and_hypercalls(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    GPR(m, RAX) = 0x55;
    GPR(m, RDX) = 0;
    assert_ud(m, RUN(m, "\x0f\x01\xef")); /* WRPKRU without CR4.PKE */
    m->vcpu.r.cr4 |= CR4_PKE;
    assert_int_equal(RUN(m, "\x0f\x01\xef"), 0);
    assert_int_equal(m->vcpu.r.pkru, 0x55);
    GPR(m, RDX) = 1;
    assert_gp(m, RUN(m, "\x0f\x01\xef"));
    GPR(m, RCX) = 1;
    assert_gp(m, RUN(m, "\x0f\x01\xee"));
    GPR(m, RCX) = 1ull << 32; /* only ECX counts */
    assert_int_equal(RUN(m, "\x0f\x01\xee"), 0);
    assert_int_equal(GPR(m, RAX), 0x55);
    assert_int_equal(GPR(m, RDX), 0);
    assert_int_equal(RUN(m, "\x0f\x01\xc1"), 0); /* VMCALL */
    assert_int_equal(GPR(m, RAX), -1000);
    machine_free(m);
    m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    assert_int_equal(RUN(m, "\x0f\x01\xd9"), 0); /* VMMCALL */
    assert_int_equal(GPR(m, RAX), -1);
    machine_free(m);
}

static int write_dr(struct machine *m, unsigned number, uint64_t value)
{
    uint8_t bytes[3] = { 0x0f, 0x23, (uint8_t)(0xc0 | number << 3) };
    GPR(m, RAX) = value;
    return run(m, bytes, 3);
}

static uint64_t read_dr(struct machine *m, unsigned number)
{
    uint8_t bytes[3] = { 0x0f, 0x21, (uint8_t)(0xc0 | number << 3) };
    assert_int_equal(run(m, bytes, 3), 0);
    return GPR(m, RAX);
}

static void test_debug_registers(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    assert_int_equal(write_dr(m, 0, 0xdeadbeefcafe1234), 0);
    assert_int_equal(read_dr(m, 0), 0xdeadbeefcafe1234);
    assert_int_equal(write_dr(m, 6, 0), 0);
    assert_int_equal(read_dr(m, 6), 0xffff0ff0);
    assert_int_equal(write_dr(m, 6, 0xffffffff), 0);
    assert_int_equal(read_dr(m, 6), 0xffffefff);
    assert_int_equal(write_dr(m, 7, 0xffffdfff), 0); /* all but GD */
    assert_int_equal(read_dr(m, 7), 0xffff07ff);
    assert_gp(m, write_dr(m, 6, 1ull << 32));
    assert_gp(m, write_dr(m, 7, 1ull << 32));
    assert_int_equal(read_dr(m, 5), read_dr(m, 7)); /* DR5 is DR7 */
    m->vcpu.r.cr4 |= CR4_DE;
    assert_ud(m, RUN(m, "\x0f\x21\xe8"));
    assert_ud(m, RUN(m, "\x44\x0f\x21\xc0")); /* DR8 */
    assert_int_equal(write_dr(m, 7, DR7_GD), 0);
    assert_fault(m, RUN(m, "\x0f\x21\xc0"), EXCEPTION_DB, 0);
    assert_int_equal(m->vcpu.fault.address, DR6_BD);
    machine_free(m);
}

/* DR7: enable breakpoint 1 with R/W and LEN. */
static uint64_t dr7(unsigned kind, unsigned length)
{
    return 1u << 2 | (uint64_t)kind << 20 | (uint64_t)length << 22;
}

static void test_breakpoints(void **state)
{
    (void)state;
    struct machine *m = kernel(MODE_LONG64);
    struct vcpu *vcpu = &m->vcpu;
    assert_false(debug_breakpoints_armed(vcpu));
    vcpu->r.dr[1] = 0x1004;
    assert_int_equal(write_dr(m, 7, dr7(1, 3)), 0); /* write, 4 bytes */
    assert_true(debug_breakpoints_armed(vcpu));
    assert_int_equal(vcpu->data_breakpoints, 1);
    assert_int_equal(debug_match_data(vcpu, 0x1004, 1, true), 2);
    assert_int_equal(debug_match_data(vcpu, 0x1004, 1, false), 0);
    assert_int_equal(debug_match_data(vcpu, 0x1003, 1, true), 0);
    assert_int_equal(debug_match_data(vcpu, 0x1003, 2, true), 2);
    assert_int_equal(debug_match_data(vcpu, 0x1000, 64, true), 2);
    assert_int_equal(debug_match_data(vcpu, 0x1007, 8, true), 2);
    assert_int_equal(debug_match_data(vcpu, 0x1008, 8, true), 0);
    assert_int_equal(write_dr(m, 7, dr7(3, 2)), 0); /* read and write, 8 bytes: aligned down */
    assert_int_equal(debug_match_data(vcpu, 0x1000, 1, false), 2);
    assert_int_equal(debug_match_fetch(vcpu, 0x1004), 0);
    assert_int_equal(write_dr(m, 7, dr7(0, 0)), 0);
    assert_int_equal(vcpu->data_breakpoints, 0);
    assert_int_equal(debug_match_fetch(vcpu, 0x1004), 2);
    assert_int_equal(debug_match_fetch(vcpu, 0x1005), 0);
    machine_free(m);
}

static void test_time(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    m->vcpu.instructions = 0x123456789a;
    m->vcpu.r.tsc_aux = 7;
    assert_int_equal(RUN(m, "\x0f\x01\xf9"), 0); /* RDTSCP */
    assert_int_equal(GPR(m, RDX) << 32 | GPR(m, RAX), 0x123456789a);
    assert_int_equal(GPR(m, RCX), 7);
    assert_int_equal(RUN(m, "\xf3\x0f\xc7\xfb"), 0); /* RDPID RBX */
    assert_int_equal(GPR(m, RBX), 7);
    assert_gp(m, RUN(m, "\x0f\x33")); /* RDPMC */
    m->vcpu.r.cr4 |= CR4_TSD;
    assert_gp(m, RUN(m, "\x0f\x31"));
    assert_gp(m, RUN(m, "\x0f\x01\xf9"));
    /* Seeded numbers: reproducible, not all alike, and of the operand's size. */
    uint64_t first;
    m->vm.random_state[0] = 1;
    GPR(m, RAX) = ~0ull;
    assert_int_equal(RUN(m, "\x48\x0f\xc7\xf0"), 0);
    first = GPR(m, RAX);
    assert_int_equal(m->vcpu.r.rflags & FLAG_ARITHMETIC, FLAG_CF);
    GPR(m, RAX) = ~0ull;
    assert_int_equal(RUN(m, "\x66\x0f\xc7\xf8"), 0); /* RDSEED AX */
    assert_int_equal(GPR(m, RAX) >> 16, 0xffffffffffff);
    m->vm.random_state[0] = 1;
    m->vm.random_state[1] = 0;
    assert_int_equal(RUN(m, "\x48\x0f\xc7\xf0"), 0);
    assert_int_equal(GPR(m, RAX), first);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cr0_rules),
        cmocka_unit_test(test_long_mode_entry),
        cmocka_unit_test(test_pae_pointers),
        cmocka_unit_test(test_cr3_and_pcid),
        cmocka_unit_test(test_flushes),
        cmocka_unit_test(test_invpcid_checks),
        cmocka_unit_test(test_cr4_rules),
        cmocka_unit_test(test_privilege),
        cmocka_unit_test(test_status_word),
        cmocka_unit_test(test_keys_and_hypercalls),
        cmocka_unit_test(test_debug_registers),
        cmocka_unit_test(test_breakpoints),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
