/* SPDX-License-Identifier: MIT */
/*
 * Results: one line per check ("ok NAME", "FAIL NAME got .. want ..", "skip NAME: why"), then
 * "N checks, M failed". A failure that deviations.c lists for QEMU TCG is reported as "dev".
 */
#include "guest.h"
#include "deviations.h"

extern const struct group checks_begin[], checks_end[];

static u32 checks, failed, skipped, deviating;

/* `a` may end in a star. */
static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b || *a == '*';
}

/* Joins up to three parts in one of a few static buffers. */
const char *join(const char *a, const char *b, const char *c)
{
    static char buffers[4][96];
    static u32 next;
    const char *parts[] = { a, b, c };
    char *buffer = buffers[next++ % 4];
    u32 n = 0;

    for (u32 i = 0; i < 3; i++)
        for (const char *p = parts[i]; p && *p && n < 95; p++)
            buffer[n++] = *p;
    buffer[n] = '\0';
    return buffer;
}

static const struct deviation *deviation(const char *name)
{
    if (!on_tcg() || command_line_has("strict"))
        return NULL;
    for (u32 i = 0; i < sizeof(tcg_deviations) / sizeof(*tcg_deviations); i++)
        if (same(tcg_deviations[i].name, name))
            return &tcg_deviations[i];
    return NULL;
}

/* Returns non-zero when the caller has to print a failure's details. */
static int record(const char *name, int good)
{
    const struct deviation *known;

    checks++;
    if (good) {
        print("ok %s\n", name);
        return 0;
    }
    known = deviation(name);
    if (known) {
        deviating++;
        print("dev %s (QEMU TCG: %s)", name, known->reason);
    } else {
        failed++;
        print("FAIL %s", name);
    }
    return 1;
}

/* A deviation that would take the whole machine down is reported without running the check. */
int check_hazard(const char *name)
{
    const struct deviation *known = deviation(name);

    if (!known || !known->hazard)
        return 0;
    checks++;
    deviating++;
    print("dev %s (QEMU TCG: %s) not run\n", name, known->reason);
    return 1;
}

void check_true(const char *name, int good)
{
    if (record(name, good))
        print(" got false want true\n");
}

void check_value(const char *name, u64 got, u64 want)
{
    if (record(name, got == want))
        print(" got %X want %X\n", got, want);
}

static void print_outcome(void)
{
    print("vector %u error %x at +%x cr2 %x flags %x", (u32)out.f.vector, out.f.error, out.at,
          out.cr2, out.f.flags);
}

void check_fault(const char *name, u32 vector, u32 error)
{
    if (record(name, out.f.vector == vector && (vector == DONE || out.f.error == error))) {
        print(" got ");
        print_outcome();
        print(" want vector %u error %x\n", vector, (ulong)error);
    }
}

/* As check_fault(), and RIP must be `at` bytes into the snippet. */
void check_fault_at(const char *name, u32 vector, u32 error, ulong at)
{
    if (record(name, out.f.vector == vector && out.f.error == error && out.at == at)) {
        print(" got ");
        print_outcome();
        print(" want vector %u error %x at +%x\n", vector, (ulong)error, at);
    }
}

void check_done(const char *name)
{
    check_fault(name, DONE, 0);
}

void check_skip(const char *name, const char *why)
{
    skipped++;
    print("skip %s: %s\n", name, why);
}

u32 check_failures(void)
{
    return failed;
}

void check_summary(void)
{
    if (deviating)
        print("%u known deviations of QEMU TCG\n", deviating);
    print("%u checks, %u failed, %u skipped\n", checks, failed, skipped);
}

void check_all(void)
{
    for (const struct group *g = checks_begin; g != checks_end; g++) {
        print("# %s\n", g->name);
        env_reset();
        g->fn();
    }
    env_reset();
    check_summary();
}
