/* SPDX-License-Identifier: MIT */
/*
 * The check can fail: take from a monitor one thing that it needs, and the same random programs
 * find a difference. One critical instruction added and not told; every instruction that the
 * monitor treats specially, forgotten in turn; the monitor of Theorem 1 where Theorem 1 fails.
 *
 * Usage: test_monitor_differs DIRECTORY-OF-DESCRIPTIONS
 */
#include "monitor_bench.h"

#include <stdlib.h>

enum { PROGRAMS = 30000 };

static unsigned found, missed;

static void must_differ(const struct bench *bench, const char *what, const char *name)
{
    struct bench_totals totals;
    enum bench_result result = bench_run(bench, 1, PROGRAMS, 1, true, &totals);

    printf("%s, %s%s: ", bench->running->name, what, name);
    if (result == BENCH_DIFFERENT) {
        printf("difference at program %llu\n", (unsigned long long)totals.programs);
        found++;
    } else {
        printf("NO DIFFERENCE in %d programs\n", PROGRAMS);
        missed++;
    }
}

/* A critical instruction that the plan does not know, so that it runs directly. */
static void hidden_instruction(const char *path, const char *name, const char *text)
{
    struct bench bench;

    if (bench_open(&bench, path, NULL, text) != 0) {
        missed++;
        return;
    }
    must_differ(&bench, "with hidden ", name);
    bench_close(&bench);
}

/* The same for an innocuous one: what is found above is not the addition as such. */
static void added_instruction(const char *path, const char *text)
{
    struct bench bench;
    struct bench_totals totals;

    if (bench_open(&bench, path, NULL, text) != 0 ||
        bench_run(&bench, 1, 1000, 1, false, &totals) != BENCH_EQUAL) {
        printf("an innocuous instruction was added, and something differs\n");
        missed++;
    }
    bench_close(&bench);
}

/* Each interpreter, or each replacement, forgotten. */
static void forgotten(const char *path)
{
    struct bench bench;

    if (bench_open(&bench, path, NULL, NULL) != 0) {
        missed++;
        return;
    }
    for (unsigned i = 0; i < bench.plan.count; i++) {
        struct plan_row *row = &bench.plan.rows[i], kept = *row;

        if (bench.plan.kind == MONITOR_HYBRID || (!row->privileged && !row->replaced) ||
            (bench.plan.kind == MONITOR_CLASSIC && !row->privileged))
            continue;
        row->privileged = false;
        row->replaced = false;
        must_differ(&bench, "forgetting ", bench.running->instructions[i]->name);
        *row = kept;
    }
    if (bench.plan.kind != MONITOR_CLASSIC) {
        bench.plan.kind = MONITOR_CLASSIC;
        must_differ(&bench, "the monitor of Theorem 1", "");
    }
    bench_close(&bench);
}

int main(int argc, char **argv)
{
    static const char *const files[] = { "third-generation", "mc68000", "mc68010", "pdp-10",
                                         "pdp-11-45" };
    char path[4096];

    if (argc < 2)
        return 64;
    (void)snprintf(path, sizeof(path), "%s/third-generation.isa", argv[1]);
    hidden_instruction(
        path, "READMODE",
        "insn READMODE(a : address_bits) = {0b1100, a, _:word - 4 - address_bits} {\n"
        "    store(a, zext(M, word));\n}\n");
    hidden_instruction(path, "READR",
                       "insn READR(a : address_bits) = {0b1101, a, _:word - 4 - address_bits} {\n"
                       "    store(a, zext({l, b}, word));\n}\n");
    hidden_instruction(path, "RETU",
                       "insn RETU(a : address_bits) = {0b1110, a, _:word - 4 - address_bits} {\n"
                       "    M = u;\n    P = a;\n}\n");
    hidden_instruction(path, "SHRINK",
                       "insn SHRINK(a : address_bits) = {0b1111, a, _:word - 4 - address_bits} {\n"
                       "    if (zext(a, address_bits + 1) < b) {\n"
                       "        b = zext(a, address_bits + 1);\n    }\n}\n");
    added_instruction(path,
                      "insn SUBTRACT(a : address_bits) = {0b1100, a, _:word - 4 - address_bits} {\n"
                      "    let value = load(a);\n    store(a, value - 3);\n}\n");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s.isa", argv[1], files[i]);
        forgotten(path);
    }
    printf("%u of %u found\n", found, found + missed);
    return missed != 0 || found == 0;
}
