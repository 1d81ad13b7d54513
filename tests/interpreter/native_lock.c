/* SPDX-License-Identifier: MIT */
/* native_lock.c - a locked instruction is one access for whoever shares the memory, across pages
 * too. */
#include "control_harness.h"
#include <pthread.h>

#define ROUNDS 40000u

/* What a device or another CPU would do. Unaligned on purpose: that is what is tested. */
__attribute__((no_sanitize("alignment"))) static void *other(void *argument)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        __asm__ volatile("lock incq (%0)" : : "r"(argument) : "memory");
    return NULL;
}

/* lock inc qword [rbx]; dec ecx; jnz; hlt, with another thread at the same eight bytes. */
static uint64_t count_together(struct machine *m, uint64_t linear, uint8_t *host)
{
    static const uint8_t code[] = { 0xf0, 0x48, 0xff, 0x03, 0xff, 0xc9, 0x75, 0xf8, 0xf4 };
    pthread_t thread;
    uint64_t count;

    memcpy(m->ram + CODE, code, sizeof(code));
    memset(host, 0, 8);
    GPR(m, RBX) = linear;
    GPR(m, RCX) = ROUNDS;
    m->vcpu.r.rip = CODE;
    assert_int_equal(pthread_create(&thread, NULL, other, host), 0);
    assert_int_equal(vcpu_run(&m->vcpu, 4 * ROUNDS), EXIT_HALTED);
    pthread_join(thread, NULL);
    m->vcpu.r.activity = ACTIVITY_RUNNING;
    memcpy(&count, host, 8);
    return count;
}

static void neighbours(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);

    (void)state;
    for (unsigned offset = 0xff8; offset <= 0xfff; offset++)
        assert_int_equal(count_together(m, DATA + offset, m->ram + DATA + offset), 2 * ROUNDS);
    assert_int_equal(m->vcpu.statistics.native_bounced, 0);
    machine_free(m);
}

/* Frames that are no neighbours: still the right bytes, in both pages. */
static void apart(void **state)
{
    struct machine *m = machine_new(MODE_LONG64, 0, VENDOR_HOST);
    const uint64_t before = 0x00000000ffffffffull;
    uint64_t low = 0, high = 0;

    (void)state;
    set_page(m, DATA + 0x1000, (DATA + 0x5000) | 7);
    memcpy(m->ram + DATA + 0xffc, &before, 4);
    memcpy(m->ram + CODE, "\xf0\x48\xff\x03", 4); /* lock inc qword [rbx] */
    GPR(m, RBX) = DATA + 0xffc;
    assert_int_equal(vcpu_run(&m->vcpu, 1), EXIT_BUDGET);
    memcpy(&low, m->ram + DATA + 0xffc, 4);
    memcpy(&high, m->ram + DATA + 0x5000, 4);
    assert_int_equal(low, 0);
    assert_int_equal(high, 1);
    assert_int_equal(m->vcpu.statistics.native_bounced, 1);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(neighbours), cmocka_unit_test(apart) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
