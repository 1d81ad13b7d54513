/* SPDX-License-Identifier: MIT */
/*
 * engine.c - the back end that talks to an engine process over the wire (include/origami/wire.h).
 *
 * Two sides, one word: `turn`. While it is the machine's, the engine waits in the kernel. Every
 * exit is copied once and validated (wirecheck.c). The machine's copies of what it shares (lines,
 * message ring) are private; the shared ones are only ever written.
 */
#include "engineprivate.h"
#include "filter.h"
#include "process.h"
#include "wirecheck.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATE_TIMEOUT 10 /* seconds */
#define NO_TIMEOUT    0

/* Exits come in bursts: looking for the next one for a moment is cheaper than sleeping in between.
 */
#define SPIN_NS        20000
#define SPIN_TRUST_MAX 8  /* how many vain looks in a row are forgiven */
#define SPIN_RETRY     32 /* after that, every so many exits one more try */

static int fail_lost(struct backend *backend, struct problem *problem)
{
    char how[128];

    process_describe(backend->wait_status, how, sizeof(how));
    return problem_set(problem, STATUS_ENGINE, ESRCH, "the engine process %s", how);
}

/* ---- The hand-off ---- */

static void engine_lost(struct backend *backend, int wait_status)
{
    backend->wait_status = wait_status;
    backend->child = 0;
    __atomic_store_n(&backend->dead, 1, __ATOMIC_SEQ_CST);
    /* It is dead, so the word is ours: a waiter that is about to sleep finds it changed. */
    __atomic_store_n(&backend->wire->vcpu[0].turn, WIRE_TURN_MACHINE, __ATOMIC_SEQ_CST);
    engine_futex(&backend->wire->vcpu[0].turn, FUTEX_WAKE, 1, NULL);
}

static void collect(struct backend *backend, int options)
{
    int status;

    if (backend->own_waiting && backend->child > 0 &&
        waitpid(backend->child, &status, options) == backend->child)
        engine_lost(backend, status);
}

static void spin_for_turn(struct backend *backend)
{
    const uint32_t *turn = &backend->wire->vcpu[0].turn;

    if (!backend->spin_ticks)
        return;
    if (!backend->spin_trust && ++backend->spin_skipped < SPIN_RETRY)
        return;
    backend->spin_skipped = 0;
    for (uint64_t start = host_clock_tsc(); host_clock_tsc() - start < backend->spin_ticks;) {
        if (__atomic_load_n(turn, __ATOMIC_ACQUIRE) == WIRE_TURN_MACHINE) {
            backend->spin_trust = SPIN_TRUST_MAX;
            return;
        }
        __builtin_ia32_pause();
    }
    if (backend->spin_trust)
        backend->spin_trust--;
}

/* Waits until the move is ours. `seconds` 0 = for as long as it takes. */
static int wait_for_turn(struct backend *backend, int seconds, struct problem *problem)
{
    uint32_t *turn = &backend->wire->vcpu[0].turn;
    const long slice = backend->own_waiting ? ENGINE_SLICE_NS / 25 : ENGINE_SLICE_NS;
    const struct timespec timeout = { .tv_nsec = slice };
    long left = seconds * (1000000000l / slice);

    for (;;) {
        uint32_t value = __atomic_load_n(turn, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&backend->dead, __ATOMIC_SEQ_CST))
            return fail_lost(backend, problem);
        if (value == WIRE_TURN_MACHINE)
            break;
        if (engine_futex(turn, FUTEX_WAIT, value, &timeout) != 0 && errno == ETIMEDOUT) {
            collect(backend, WNOHANG);
            if (seconds && --left <= 0)
                return problem_set(problem, STATUS_ENGINE, ETIMEDOUT,
                                   "the engine did not answer within %d s", seconds);
        }
    }
    __atomic_store_n(&backend->in_exit, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* Gives the engine the move with `command`. */
static void hand_over(struct backend *backend, const struct wire_reply *reply)
{
    struct wire_vcpu *channel = &backend->wire->vcpu[0];

    channel->reply = *reply;
    __atomic_store_n(&backend->in_exit, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&channel->turn, WIRE_TURN_ENGINE, __ATOMIC_SEQ_CST);
    engine_futex(&channel->turn, FUTEX_WAKE, 1, NULL);
}

/* One copy, taken when the move is ours. A hostile engine may still scribble: the copy does not
 * change. */
static struct wire_exit copy_exit(const struct backend *backend)
{
    struct wire_exit exit;
    const volatile uint8_t *from = (const volatile uint8_t *)&backend->wire->vcpu[0].exit;

    for (size_t i = 0; i < sizeof(exit); i++)
        ((uint8_t *)&exit)[i] = from[i];
    return exit;
}

static int engine_run(struct backend *backend, struct backend_run *run, struct problem *problem)
{
    struct wire_reply reply = { .command = run->stop ? WIRE_COMMAND_STOP : WIRE_COMMAND_CONTINUE,
                                .value = run->value,
                                .stop = run->pause_at ? run->pause_at : ~0ull };

    backend->own_waiting = false; /* from now on the main loop collects the child */
    if (__atomic_load_n(&backend->dead, __ATOMIC_SEQ_CST))
        return fail_lost(backend, problem);
    hand_over(backend, &reply);
    spin_for_turn(backend);
    int result = wait_for_turn(backend, NO_TIMEOUT, problem);
    if (result)
        return result;
    struct wire_exit exit = copy_exit(backend);
    result = wire_check_exit(&exit, run, problem);
    if (result == 0 && run->exit == BACKEND_PAUSED)
        __atomic_store_n(&backend->wire->vcpu[0].pause, 0, __ATOMIC_SEQ_CST);
    return result;
}

/* ---- State ---- */

static int converse_state(struct backend *backend, const struct wire_reply *reply,
                          struct problem *problem)
{
    hand_over(backend, reply);
    int result = wait_for_turn(backend, STATE_TIMEOUT, problem);
    if (result)
        return result;
    struct wire_exit exit = copy_exit(backend);
    if (exit.reason != WIRE_EXIT_STATE || exit.status != 0)
        return problem_set(problem, STATUS_ENGINE, EPROTO,
                           "the engine refused its state part %u (exit %u, status %d)", reply->part,
                           exit.reason, exit.status);
    return 0;
}

static int engine_get_state(struct backend *backend, enum state_part part, void *data,
                            size_t capacity, size_t *size, struct problem *problem)
{
    const struct wire_reply reply = { .command = WIRE_COMMAND_GET_STATE, .part = part };
    const struct wire_vcpu *channel = &backend->wire->vcpu[0];
    int result = converse_state(backend, &reply, problem);

    if (result)
        return result;
    uint32_t given = __atomic_load_n(&channel->reply.state_size, __ATOMIC_RELAXED);
    if (given > capacity || given > WIRE_STATE_SIZE)
        return problem_set(problem, STATUS_ENGINE, EPROTO,
                           "the engine broke the protocol: state part %u of %u bytes", part, given);
    memcpy(data, channel->state, given);
    *size = given;
    return 0;
}

static uint32_t part_version(enum state_part part)
{
    static const uint32_t versions[] = {
#define STATE_PART(name, version, text) [STATE_##name] = version,
        STATE_PARTS(STATE_PART)
#undef STATE_PART
    };
    return versions[part];
}

static int engine_set_state(struct backend *backend, enum state_part part, const void *data,
                            size_t size, struct problem *problem)
{
    const struct wire_reply reply = { .command = WIRE_COMMAND_SET_STATE,
                                      .part = part,
                                      .version = part_version(part),
                                      .state_size = (uint32_t)size };

    if (size > WIRE_STATE_SIZE)
        return problem_set(problem, STATUS_ENGINE, E2BIG, "state part %u is too large", part);
    memcpy(backend->wire->vcpu[0].state, data, size);
    return converse_state(backend, &reply, problem);
}

static pid_t engine_child(const struct backend *backend)
{
    return backend->child;
}

/* ---- Creation ---- */

static int map_wire(struct backend *backend, struct problem *problem)
{
    uint64_t flags_at = (sizeof(struct wire) + RAM_PAGE - 1) & ~(uint64_t)(RAM_PAGE - 1);
    uint64_t flags_size = ram_page_count(backend->ram);

    backend->wire_size = (flags_at + flags_size + RAM_PAGE - 1) & ~(uint64_t)(RAM_PAGE - 1);
    backend->wire_fd = memfd_create("origami-wire", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (backend->wire_fd < 0 || ftruncate(backend->wire_fd, (off_t)backend->wire_size) != 0 ||
        fcntl(backend->wire_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return problem_set(problem, STATUS_HOST, errno, "cannot make shared memory: %s",
                           strerror(errno));
    void *map = mmap(NULL, backend->wire_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                     backend->wire_fd, 0);
    if (map == MAP_FAILED)
        return problem_set(problem, STATUS_HOST, errno, "cannot map shared memory: %s",
                           strerror(errno));
    backend->wire = map;
    backend->wire->setup.page_flags_offset = flags_at;
    backend->wire->setup.page_flags_size = flags_size;
    backend->ram->page_flags = (uint8_t *)map + flags_at;
    backend->ram->page_flags_count = flags_size;
    backend->ram->code_written = engine_code_written;
    backend->ram->code_context = backend;
    memset(backend->wire->doorbell, 0xff, sizeof(backend->wire->doorbell));
    return 0;
}

/* Slots and the descriptors behind them; chunks of one object share a descriptor. */
static int fill_slots(struct backend *backend, struct process_config *process,
                      struct problem *problem)
{
    struct wire_setup *setup = &backend->wire->setup;
    const struct ram *ram = backend->ram;

    process->fd[0] = backend->wire_fd;
    process->fd_count = 1;
    for (unsigned i = 0; i < ram->count; i++) {
        unsigned at = 1;
        while (at < process->fd_count && process->fd[at] != ram->chunk[i].fd)
            at++;
        if (at == PROCESS_FDS || i == WIRE_SLOT_MAX)
            return problem_set(problem, STATUS_HOST, E2BIG, "guest memory: too many pieces");
        if (at == process->fd_count)
            process->fd[process->fd_count++] = ram->chunk[i].fd;
        setup->slot[i] = (struct wire_slot){ .gpa = ram->chunk[i].gpa,
                                             .size = ram->chunk[i].size,
                                             .fd = WIRE_FD + (int)at,
                                             .fd_offset = ram->chunk[i].fd_offset };
    }
    setup->slot_count = ram->count;
    return 0;
}

/* Anywhere in the user half of the address space, but for its first and last 4 GiB. The engine sees
 * to it that nothing is in the way; 0 (no random numbers to be had) leaves the choice to the
 * kernel. */
static uint64_t choose_engine_base(void)
{
    const uint64_t first = 1ull << 32, last = (1ull << 47) - (1ull << 32);
    uint64_t random;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        return 0;
    return first + random % ((last - first) / RAM_PAGE) * RAM_PAGE;
}

static void fill_setup(struct backend *backend, const struct backend_config *config)
{
    struct wire_setup *setup = &backend->wire->setup;

    setup->magic = WIRE_MAGIC;
    setup->version = WIRE_VERSION;
    setup->size = (uint32_t)backend->wire_size;
    setup->vcpu_count = config->cpus;
    setup->clock_mode = config->instructions;
    setup->tier = config->tier;
    setup->clock_multiplier = config->clock.multiplier;
    setup->clock_shift = config->clock.shift;
    setup->clock_host_base = config->clock.base;
    setup->clock_wall_base = config->wall_base;
    setup->vendor_intel = 2; /* as the host */
    memcpy(setup->random_seed, config->seed, sizeof(setup->random_seed));
    setup->machine_parent = (uint64_t)getpid();
    setup->engine_base = choose_engine_base();
    backend->wire->deadline = backend->deadline = ~0ull;
}

static void engine_destroy(struct backend *backend)
{
    const struct wire_reply quit = { .command = WIRE_COMMAND_QUIT };

    if (!backend)
        return;
    if (backend->child > 0) {
        if (backend->in_exit)
            hand_over(backend, &quit);
        kill(backend->child, SIGKILL);
        waitpid(backend->child, NULL, 0);
    }
    backend->ram->page_flags = NULL;
    backend->ram->page_flags_count = 0;
    backend->ram->code_written = NULL;
    if (backend->wire)
        munmap(backend->wire, backend->wire_size);
    if (backend->wire_fd >= 0)
        close(backend->wire_fd);
    free(backend);
}

static int wait_until_ready(struct backend *backend, const struct backend_config *config,
                            struct problem *problem)
{
    backend->own_waiting = true;
    int result = wait_for_turn(backend, config->ready_timeout, problem);
    if (result == -ESRCH) {
        char how[128];
        process_describe(backend->wait_status, how, sizeof(how));
        return problem_set(problem, STATUS_ENGINE, ESRCH, "%s %s before it was ready",
                           config->program, how);
    }
    if (result)
        return result;
    struct wire_exit exit = copy_exit(backend);
    if (exit.reason != WIRE_EXIT_READY) {
        struct backend_run unused;
        result = wire_check_exit(&exit, &unused, problem);
        return result ? result
                      : problem_set(problem, STATUS_ENGINE, EPROTO,
                                    "the engine broke the protocol: exit %u instead of ready",
                                    exit.reason);
    }
    *config->tier_running = exit.value == WIRE_TIER_SOFT ? WIRE_TIER_SOFT : WIRE_TIER_STEP;
    return 0;
}

/* CPUs we may run on; 1 if the host does not say. */
static int cpu_count(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

static int engine_create(struct backend **result, const struct backend_config *config,
                         struct problem *problem)
{
    struct process_config process = { .program = config->program,
                                      .program_fd = config->program_fd,
                                      .null_fd = config->null_fd };
    struct backend *backend = calloc(1, sizeof(*backend));
    int error;

    *result = NULL;
    if (!backend)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    backend->ram = config->ram;
    backend->wire_fd = -1;
    if (cpu_count() > 1 && config->clock.multiplier)
        backend->spin_ticks = (uint64_t)(((unsigned __int128)SPIN_NS << config->clock.shift) /
                                         config->clock.multiplier);
    error = map_wire(backend, problem);
    if (error == 0)
        error = fill_slots(backend, &process, problem);
    if (error == 0) {
        fill_setup(backend, config);
        error = filter_build(FILTER_ENGINE_EARLY, &backend->wire->setup.early, problem);
    }
    if (error == 0)
        error = filter_build(FILTER_ENGINE_FINAL, &backend->wire->setup.final, problem);
    if (error == 0)
        error = process_spawn(&process, &backend->child, problem);
    if (error == 0)
        error = wait_until_ready(backend, config, problem);
    if (error) {
        engine_destroy(backend);
        return error;
    }
    *result = backend;
    return 0;
}

const struct backend_operations backend_engine = {
    .name = "engine",
    .create = engine_create,
    .destroy = engine_destroy,
    .run = engine_run,
    .get_state = engine_get_state,
    .set_state = engine_set_state,
    .irq_line = engine_irq_line,
    .msi = engine_msi,
    .set_deadline = engine_set_deadline,
    .pause = engine_pause,
    .set_doorbell = engine_set_doorbell,
    .wait_doorbells = engine_wait_doorbells,
    .stop_doorbells = engine_stop_doorbells,
    .child = engine_child,
    .lost = engine_lost,
};
