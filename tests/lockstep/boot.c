/* SPDX-License-Identifier: MIT */
/*
 * boot.c - lockstep-boot KERNEL [INITRD] [--instructions N | --whole] [--chunk N] [--break
 * NAME,BLOCKS]: a Linux kernel in both tiers. At the first difference the run is repeated up to the
 * last point where the two were equal, the place is narrowed to one instruction, and all about it
 * is shown.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allocator/access.h"
#include "mutation.h"
#include "verifier.h"
#include "bootguest.h"

#define BOUND      300000000ull /* instructions, unless ORIGAMI_LONG=1 or --whole */
#define CHUNK      5000u
#define RAM_CHUNKS 20000u /* chunks between two looks at all of memory */

struct options {
    const char *kernel, *initrd, *cmdline;
    uint64_t limit, chunk;
};

struct run {
    struct options options;
    struct boot_guest guest;
    uint64_t ram_checks;
    const char *what;
    bool ended;
};

static void usage(void)
{
    fprintf(stderr, "usage: lockstep-boot KERNEL [INITRD] [--cmdline TEXT] [--instructions N] "
                    "[--whole] [--chunk N] [--break MUTATION,BLOCKS]\n");
    exit(2);
}

static void choose_break(char *text)
{
    char *comma = strchr(text, ',');
    if (comma)
        *comma = 0;
    if (!mutation_choose(text))
        usage();
    mutation_delay(comma ? strtoull(comma + 1, NULL, 0) : 0);
}

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = {
        { "cmdline", required_argument, NULL, 'l' },
        { "instructions", required_argument, NULL, 'i' },
        { "whole", no_argument, NULL, 'w' },
        { "chunk", required_argument, NULL, 'c' },
        { "break", required_argument, NULL, 'b' },
        { 0 },
    };
    const char *long_run = getenv("ORIGAMI_LONG");
    struct options options = { .cmdline = "console=ttyS0 quiet origami.test", .chunk = CHUNK };
    int option;
    options.limit = long_run && *long_run == '1' ? ~0ull : BOUND;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'l')
            options.cmdline = optarg;
        else if (option == 'i')
            options.limit = strtoull(optarg, NULL, 0);
        else if (option == 'w')
            options.limit = ~0ull;
        else if (option == 'c')
            options.chunk = strtoull(optarg, NULL, 0);
        else if (option == 'b')
            choose_break(optarg);
        else
            usage();
    }
    if (optind >= argc)
        usage();
    options.kernel = argv[optind];
    options.initrd = optind + 1 < argc ? argv[optind + 1] : NULL;
    return options;
}

static uint64_t retired(const struct run *run)
{
    return run->guest.pair.machine[STEP].vcpu->instructions;
}

/* One stretch of both machines. False: the run is over. */
static bool advance(struct run *run, uint64_t chunk)
{
    struct pair *pair = &run->guest.pair;
    enum vcpu_exit exit;
    run->what = pair_run(pair, chunk, &exit);
    if (run->what)
        return false;
    if (exit == EXIT_HALTED) {
        uint64_t deadline = controllers_next_deadline(&pair->machine[STEP].vm);
        if (deadline == CLOCK_NEVER)
            run->ended = true;
        for (unsigned i = 0; i < MACHINES && !run->ended; i++) {
            clock_skip(pair->machine[i].vcpu, deadline);
            pair->machine[i].vcpu->boundary_check = 0;
        }
    } else if (exit != EXIT_BUDGET) {
        run->ended = true;
    }
    return !run->ended;
}

/* Until `limit` instructions, the end or a difference. *equal: where the last chunk began. */
static void go(struct run *run, uint64_t limit, uint64_t *equal)
{
    uint64_t chunks = 0;
    run->what = NULL;
    run->ended = false;
    do {
        *equal = retired(run);
        if (*equal >= limit)
            return;
        if (++chunks % RAM_CHUNKS == 0) {
            run->ram_checks++;
            if (pair_compare_ram(&run->guest.pair, 0) < run->guest.pair.ram_size) {
                run->what = "memory";
                return;
            }
        }
    } while (advance(run, run->options.chunk));
}

/* ---- Narrowing ---- */

static bool still_differs(struct run *run, const struct snapshot *snapshot, uint64_t count)
{
    enum vcpu_exit exit;
    struct pair *pair = &run->guest.pair;
    snapshot_restore(pair, snapshot);
    return pair_run(pair, count, &exit) || pair_compare_ram(pair, 0) < pair->ram_size;
}

static void show(struct run *run, uint64_t rip)
{
    struct pair *pair = &run->guest.pair;
    printf("guest code from there:\n");
    report_guest_code(&pair->machine[STEP], rip, 8, stdout);
    printf("registers after it:\n");
    report_registers(pair, stdout);
    report_memory(pair, stdout);
    report_blocks(&pair->machine[SOFT], rip, stdout);
}

/* Step on its way to the place: the last instructions before it. */
static void trail(struct machine *m, uint64_t count)
{
    const uint64_t shown = count < 8 ? count : 8;
    (void)machine_run(m, count - shown);
    printf("how Step comes there:\n");
    for (uint64_t i = 0; i < shown; i++) {
        printf("rflags %05llx", (unsigned long long)m->vcpu->r.rflags);
        report_guest_code(m, m->vcpu->r.rip, 1, stdout);
        (void)machine_run(m, 1);
    }
}

/* The machines are equal and stand where `run->what` follows within a chunk. */
static void narrow(struct run *run)
{
    struct pair *pair = &run->guest.pair;
    struct snapshot *snapshot = snapshot_take(pair);
    uint64_t low = 0, high = run->options.chunk;
    if (snapshot == NULL)
        return;
    if (!still_differs(run, snapshot, high)) {
        printf("With an empty translation cache it does not happen: a translation outlived what it "
               "was "
               "made from, or a mapping. The state at the end of the chunk:\n");
        snapshot_restore(pair, snapshot);
        show(run, pair->machine[STEP].vcpu->r.rip);
        snapshot_free(snapshot);
        return;
    }
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (still_differs(run, snapshot, middle))
            high = middle;
        else
            low = middle;
    }
    snapshot_restore(pair, snapshot);
    trail(&pair->machine[STEP], low);
    uint64_t rip = pair->machine[STEP].vcpu->r.rip;
    (void)still_differs(run, snapshot, high);
    printf("narrowed to instruction %llu, at guest %#llx, or one before it in its block\n",
           (unsigned long long)retired(run), (unsigned long long)rip);
    show(run, rip);
    snapshot_free(snapshot);
}

static int explain(struct run *run, uint64_t equal)
{
    printf("first difference: %s, between instruction %llu and %llu\n", run->what,
           (unsigned long long)equal, (unsigned long long)retired(run));
    printf("in the state at the end of the chunk:\n");
    report_registers(&run->guest.pair, stdout);
    uint64_t again;
    const char *what = run->what;
    boot_guest_destroy(&run->guest);
    if (boot_guest_create(&run->guest, run->options.kernel, run->options.initrd,
                          run->options.cmdline))
        return 1;
    mutation_start(&run->guest.pair.machine[SOFT]);
    go(run, equal, &again);
    if (run->what || again != equal)
        printf("(the second run went another way: %s)\n", run->what ? run->what : what);
    else
        narrow(run);
    return 1;
}

int main(int argc, char **argv)
{
    struct run run = { .options = parse(argc, argv) };
    struct timespec begin, end;
    uint64_t equal;
    if (boot_guest_create(&run.guest, run.options.kernel, run.options.initrd,
                          run.options.cmdline)) {
        printf("the kernel or the Soft tier is not to be had here\n");
        return 77; /* skipped */
    }
    mutation_start(&run.guest.pair.machine[SOFT]);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    go(&run, run.options.limit, &equal);
    if (run.what == NULL && pair_compare_ram(&run.guest.pair, 0) < run.guest.pair.ram_size)
        run.what = "memory";
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (run.what)
        return explain(&run, equal);
    (void)verifier_all(run.guest.pair.machine[SOFT].vcpu->translator);
    const struct vcpu_statistics *s = &run.guest.pair.machine[SOFT].vcpu->statistics;
    printf("%llu instructions (%llu in translated code) without a difference%s; memory equal; %llu "
           "interrupts; %llu blocks verified; %.1f s\n",
           (unsigned long long)retired(&run), (unsigned long long)s->direct,
           run.ended ? ", to the end" : "", (unsigned long long)s->interrupts,
           (unsigned long long)verifier_blocks(),
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9);
    return verifier_failed();
}
