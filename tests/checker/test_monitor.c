/* SPDX-License-Identifier: MIT */
/*
 * The monitor that is built from a description, on random programs: equal to the bare machine
 * under one monitor, two and three, after every step.
 *
 * Usage: test_monitor COUNT FILE... [--long FILE...]; ORIGAMI_LONG=1 makes it 100,000 programs a
 * file, and includes the files behind --long.
 */
#include "monitor_bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec time;

    return clock_gettime(CLOCK_MONOTONIC, &time) != 0
               ? 0
               : (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Programs that never trap, or never run, would prove nothing. A hybrid monitor runs user code
 * only, to which random programs seldom return. */
static bool says_something(const struct bench *bench, const struct bench_totals *totals)
{
    return totals->direct > totals->steps / (bench->plan.kind == MONITOR_HYBRID ? 200 : 10) &&
           totals->reflected > 0 && (bench->plan.kind != MONITOR_CLASSIC || totals->emulated > 0) &&
           (bench->plan.kind != MONITOR_HYBRID || totals->interpreted > 0) &&
           (bench->plan.kind != MONITOR_PATCHING || totals->replaced > 0);
}

static int test_file(const char *path, uint64_t count)
{
    struct bench bench;
    struct bench_totals totals;
    enum bench_result result;
    double start = now();
    int error = bench_open(&bench, path, NULL, NULL);

    if (error != 0) {
        printf("%s: %s\n", path, error > 0 ? "not applicable" : "FAILED");
        return error < 0;
    }
    result = bench_run(&bench, 1, count, 3, false, &totals);
    printf("%s, %s monitor: %llu programs at depths 1 to 3, %llu steps (%llu traps), %llu direct, "
           "%llu emulated, %llu reflected, %llu interpreted, %llu replaced; ended: %llu halted, "
           "%llu trap storms, %llu at the limit, %llu stuck; %.1f s: %s\n",
           bench.running->name, monitor_kind_names[bench.plan.kind],
           (unsigned long long)totals.programs, (unsigned long long)totals.steps,
           (unsigned long long)totals.traps, (unsigned long long)totals.direct,
           (unsigned long long)totals.emulated, (unsigned long long)totals.reflected,
           (unsigned long long)totals.interpreted, (unsigned long long)totals.replaced,
           (unsigned long long)totals.ended[END_HALTED],
           (unsigned long long)totals.ended[END_TRAP_STORM],
           (unsigned long long)totals.ended[END_STEP_LIMIT],
           (unsigned long long)totals.ended[END_DEAD], now() - start,
           result == BENCH_EQUAL ? "equal" : "DIFFERENT");
    if (result == BENCH_EQUAL && !says_something(&bench, &totals)) {
        puts("  these programs exercise too little");
        result = BENCH_FAILED;
    }
    bench_close(&bench);
    return result != BENCH_EQUAL;
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    const char *lengthy = getenv("ORIGAMI_LONG");
    bool all = lengthy != NULL && strcmp(lengthy, "1") == 0;
    int wrong = argc < 3;

    if (all)
        count = 100000;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--long") != 0)
            wrong |= test_file(argv[i], count);
        else if (!all)
            break;
        (void)fflush(stdout);
    }
    return wrong;
}
