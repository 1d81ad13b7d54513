/* SPDX-License-Identifier: MIT */
/*
 * control_legacy.c - instructions without a 64-bit encoding, against the host's CPU in a 32-bit
 * code segment (all values of AX, CF and AF); BOUND, XLAT, MOVDIR64B and the hints.
 */
#include "control_harness.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

/* ---- 32-bit code on the host: Linux's user code segment 23H, reached by a far return ---- */

#define LOW_SIZE  0x4000u
#define LOW_DATA  0x1000u
#define LOW_STACK 0x3000u
#define LOW_BACK  0x800u

void legacy_call32(void *stack, const void *code, void *back);
__asm__(".text\n"
        ".globl legacy_call32\n"
        "legacy_call32:\n\t"
        "push %rbp\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "mov $0x2b, %eax\n\tmov %eax, %ds\n\tmov %eax, %es\n\t"
        "mov %rsp, legacy_saved(%rip)\n\t"
        "lea 1f(%rip), %rax\n\tmov %rax, 6(%rdx)\n\t" /* where the way back jumps to */
        "mov %rdi, %rsp\n\tsub $8, %rsp\n\tmov %edx, (%rsp)\n\tmovl $0x33, 4(%rsp)\n\t"
        "pushq $0x23\n\tpush %rsi\n\tlretq\n"
        "1:\tmov legacy_saved(%rip), %rsp\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\tret\n"
        ".bss\n"
        "legacy_saved: .quad 0\n"
        ".text\n");

static sigjmp_buf refused;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(refused, 1);
}

/* mov eax, [data]; push [data + 4]; popf; the instruction; pushf; pop [data + 12]; mov [data + 8],
 * eax; retf */
static void program(uint8_t *low, const char *bytes, size_t size)
{
    uint8_t *p = low;
    uint32_t data = (uint32_t)(uintptr_t)low + LOW_DATA;
    static const uint8_t way_back[] = { 0xff, 0x25, 0, 0, 0, 0 }; /* jmp [rip] */

#define EMIT(opcode, length, address)                                                              \
    memcpy(p, opcode, length);                                                                     \
    memcpy(p + (length), &(uint32_t){ address }, 4);                                               \
    p += (length) + 4
    EMIT("\xa1", 1, data);
    EMIT("\xff\x35", 2, data + 4);
    *p++ = 0x9d;
    memcpy(p, bytes, size);
    p += size;
    *p++ = 0x9c;
    EMIT("\x8f\x05", 2, data + 12);
    EMIT("\xa3", 1, data + 8);
    *p = 0xcb;
    memcpy(low + LOW_BACK, way_back, sizeof(way_back));
#undef EMIT
}

static const struct {
    const char *name, *bytes;
    size_t size;
    uint32_t defined; /* by the manual */
} adjustments[] = {
    { "aaa", "\x37", 1, FLAG_AF | FLAG_CF },
    { "aas", "\x3f", 1, FLAG_AF | FLAG_CF },
    { "daa", "\x27", 1, FLAG_ARITHMETIC & ~FLAG_OF },
    { "das", "\x2f", 1, FLAG_ARITHMETIC & ~FLAG_OF },
    { "aam", "\xd4\x0a", 2, FLAG_SF | FLAG_ZF | FLAG_PF },
    { "aam 255", "\xd4\xff", 2, FLAG_SF | FLAG_ZF | FLAG_PF },
    { "aad", "\xd5\x0a", 2, FLAG_SF | FLAG_ZF | FLAG_PF },
    { "aad 7", "\xd5\x07", 2, FLAG_SF | FLAG_ZF | FLAG_PF },
    { "salc", "\xd6", 1, FLAG_ARITHMETIC },
};

static void compare(struct machine *m, uint8_t *low, unsigned i, uint32_t ax, uint32_t flags)
{
    uint32_t *data = (uint32_t *)(void *)(low + LOW_DATA);
    /* The undefined flags are those of AMD's CPUs. */
    uint32_t checked = m->vm.model.vendor_intel ? adjustments[i].defined : FLAG_ARITHMETIC;

    data[0] = ax | 0xabcd0000;
    data[1] = flags | 0x202;
    legacy_call32(low + LOW_STACK, low, low + LOW_BACK);
    GPR(m, RAX) = ax | 0xabcd0000;
    m->vcpu.r.rflags = flags | FLAG_ONE;
    m->vcpu.r.rip = CODE;
    int result = run(m, adjustments[i].bytes, adjustments[i].size);
    if (result || GPR(m, RAX) != data[2] || ((m->vcpu.r.rflags ^ data[3]) & checked))
        fail_msg("%s of %04x with flags %03x: %08x, %03x instead of %08x, %03x",
                 adjustments[i].name, ax, flags, (uint32_t)GPR(m, RAX),
                 (uint32_t)m->vcpu.r.rflags & FLAG_ARITHMETIC, data[2], data[3] & FLAG_ARITHMETIC);
}

static void test_adjustments_against_host(void **state)
{
    (void)state;
    struct sigaction action = { .sa_handler = on_fault }, old_segv, old_bus;
    struct machine *m = machine_new(MODE_PROTECTED32, 3, VENDOR_HOST);
    uint8_t *low = mmap(NULL, LOW_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED)
        skip();
    sigaction(SIGSEGV, &action, &old_segv);
    sigaction(SIGBUS, &action, &old_bus);
    if (sigsetjmp(refused, 1)) { /* a kernel without 32-bit code segments */
        sigaction(SIGSEGV, &old_segv, NULL);
        sigaction(SIGBUS, &old_bus, NULL);
        skip();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(adjustments); i++) {
        program(low, adjustments[i].bytes, adjustments[i].size);
        for (uint32_t ax = 0; ax < 0x10000; ax++) {
            for (uint32_t f = 0; f < 4; f++)
                compare(m, low, i, ax,
                        (f & 1 ? FLAG_CF : 0) | (f & 2 ? FLAG_AF : 0) |
                            (ax & 1 ? FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF : 0));
        }
    }
    sigaction(SIGSEGV, &old_segv, NULL);
    sigaction(SIGBUS, &old_bus, NULL);
    munmap(low, LOW_SIZE);
    machine_free(m);
}

static void test_divide_by_zero(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_PROTECTED32, 0, VENDOR_HOST);
    GPR(m, RAX) = 0x1234;
    assert_fault(m, RUN(m, "\xd4\x00"), EXCEPTION_DE, 0);
    assert_int_equal(GPR(m, RAX), 0x1234);
    machine_free(m);
}

static int bound(struct machine *m, int32_t index)
{
    GPR(m, RAX) = (uint32_t)index;
    return RUN(m, "\x62\x03"); /* BOUND EAX, [EBX] */
}

static void test_bound(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_PROTECTED32, 0, VENDOR_HOST);
    const int32_t limits[2] = { -5, 7 };
    const int16_t narrow[2] = { -2, 2 };
    memcpy(m->ram + DATA, limits, 8);
    GPR(m, RBX) = DATA;
    assert_int_equal(bound(m, -5), 0);
    assert_int_equal(bound(m, 7), 0);
    assert_fault(m, bound(m, -6), EXCEPTION_BR, 0);
    assert_fault(m, bound(m, 8), EXCEPTION_BR, 0);
    memcpy(m->ram + DATA, narrow, 4);
    GPR(m, RAX) = 0xfffe; /* -2 */
    assert_int_equal(RUN(m, "\x66\x62\x03"), 0);
    GPR(m, RAX) = 0xfffd;
    assert_fault(m, RUN(m, "\x66\x62\x03"), EXCEPTION_BR, 0);
    machine_free(m);
}

static void test_table_lookup(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    m->ram[DATA + 0xff] = 0x42;
    m->vcpu.r.segment[SEGMENT_GS].base = DATA;
    GPR(m, RBX) = DATA;
    GPR(m, RAX) = ~0ull;
    assert_int_equal(RUN(m, "\xd7"), 0);
    assert_int_equal(GPR(m, RAX), 0xffffffffffffff42ull);
    GPR(m, RBX) = 0xffffffff00000000ull;
    GPR(m, RAX) = 0xff;
    assert_int_equal(RUN(m, "\x65\x67\xd7"), 0); /* GS, 32-bit address */
    assert_int_equal(GPR(m, RAX), 0x42);
    GPR(m, RBX) = HOLE;
    assert_fault(m, RUN(m, "\xd7"), EXCEPTION_PF, 4);
    machine_free(m);
}

static void test_moves_and_hints(void **state)
{
    (void)state;
    struct machine *m = machine_new(MODE_LONG64, 3, VENDOR_HOST);
    for (unsigned i = 0; i < 64; i++)
        m->ram[DATA + 3 + i] = (uint8_t)i;
    GPR(m, RBX) = DATA + 3;
    GPR(m, RAX) = DATA + 0x80;
    assert_int_equal(RUN(m, "\x66\x0f\x38\xf8\x03"), 0); /* MOVDIR64B RAX, [RBX] */
    assert_memory_equal(m->ram + DATA + 0x80, m->ram + DATA + 3, 64);
    GPR(m, RAX) = DATA + 0x88;
    assert_gp(m, RUN(m, "\x66\x0f\x38\xf8\x03"));
    GPR(m, RAX) = HOLE;
    assert_fault(m, RUN(m, "\x66\x0f\x38\xf8\x03"), EXCEPTION_PF, 6);
    assert_int_equal(RUN(m, "\x0f\x18\x08"), 0);              /* PREFETCHT0 of the hole */
    assert_fault(m, RUN(m, "\x0f\xae\x38"), EXCEPTION_PF, 4); /* CLFLUSH of it */
    set_page(m, HOLE, HOLE | 5);                              /* read-only is enough */
    assert_int_equal(RUN(m, "\x0f\xae\x38"), 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adjustments_against_host),
        cmocka_unit_test(test_divide_by_zero),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_table_lookup),
        cmocka_unit_test(test_moves_and_hints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
