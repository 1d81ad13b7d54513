/* SPDX-License-Identifier: MIT */
/* replay.c - the back end that gives the guest what was written down. */
#include "exit.h"
#include "logfile.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct replay {
    struct log_reader *log;
    struct backend *inner;
    struct ram *ram;
    struct log_parameters recorded;
    uint64_t chain;
    uint64_t instructions, virtual_ns; /* of the last stamp */
    bool in_access;                    /* the engine waits inside an instruction */
    bool pause_wanted;                 /* by the machine; atomic */
    enum record_end end;
    uint64_t end_value;
    bool end_known;
    struct dma_log dma;
};

/* Each boot's back end is the replay itself. */
struct backend {
    struct replay replay;
};

static const struct backend_operations *const inner = &backend_engine;

static struct replay *replay_of(struct backend *backend)
{
    return &backend->replay;
}

static int fail_follow(const struct replay *replay, const struct backend_run *run, const char *what,
                       struct problem *problem)
{
    return problem_set(problem, STATUS_REPLAY, EBADMSG,
                       "the guest does not follow the recording at instruction %" PRIu64 " (after "
                       "%" PRIu64 "): %s",
                       run->instructions, replay->instructions, what);
}

/* ---- What the log says ---- */

/* Carries out one record that is no stamp. */
static int apply(struct replay *replay, const struct log_record *record, struct backend_run *run,
                 struct problem *problem)
{
    switch (record->kind) {
    case LOG_ANSWER:
        run->value = record->value;
        break;
    case LOG_LINE:
        inner->irq_line(replay->inner, record->source, record->value != 0);
        break;
    case LOG_MSI:
        inner->msi(replay->inner, record->source, record->address, record->data);
        break;
    case LOG_DEADLINE:
        inner->set_deadline(replay->inner, record->value);
        break;
    case LOG_STOP:
        run->stop = true;
        break;
    default:
        if (dma_write(replay->ram, DMA_MACHINE, record->address, record->bytes, record->size))
            return problem_set(problem, STATUS_REPLAY, EFAULT,
                               "the recording writes to memory that the guest does not have");
        break;
    }
    return 0;
}

/* Up to the next stamp: returns it without taking it; NULL at the end of the log. */
static int apply_all(struct replay *replay, struct backend_run *run,
                     const struct log_record **stamp, struct problem *problem)
{
    for (;;) {
        const struct log_record *record = log_peek(replay->log);
        *stamp = record;
        if (!record || record->kind == LOG_EXIT || record->kind == LOG_PAUSE ||
            record->kind == LOG_BOOT || record->kind == LOG_END)
            return 0;
        int result = apply(replay, record, run, problem);
        if (result)
            return result;
        log_next(replay->log);
    }
}

static void note_end(struct replay *replay, const struct log_record *record)
{
    if (!record || record->kind != LOG_END)
        return; /* cut short */
    replay->end_known = true;
    replay->end = record->source;
    replay->end_value = record->value;
}

/* ---- Running ---- */

/* The engine is brought to an instruction boundary, if it is not at one. */
static int finish_access(struct replay *replay, struct backend_run *run, struct problem *problem)
{
    int result = 0;

    if (replay->in_access) {
        run->stop = true;
        result = inner->run(replay->inner, run, problem);
    }
    run->exit = BACKEND_ENDED;
    return result;
}

/* The engine stopped where it was told to, or because the machine wants to talk. */
static bool take_pause(struct replay *replay, const struct backend_run *run)
{
    const struct log_record *stamp = log_peek(replay->log);

    if (!stamp || stamp->kind != LOG_PAUSE || stamp->instructions != run->instructions ||
        stamp->virtual_ns != run->virtual_ns)
        return false;
    replay->instructions = run->instructions;
    replay->virtual_ns = run->virtual_ns;
    log_next(replay->log);
    return true;
}

static int take_exit(struct replay *replay, const struct backend_run *run, struct problem *problem)
{
    const struct log_record *stamp = log_peek(replay->log);
    uint16_t check = exit_check(&replay->chain, run);

    if (!stamp || stamp->kind != LOG_EXIT)
        return fail_follow(replay, run, "it does what the recorded one did not", problem);
    if (stamp->instructions != run->instructions || stamp->virtual_ns != run->virtual_ns)
        return fail_follow(replay, run, "it comes at another time", problem);
    if (stamp->check != check)
        return fail_follow(replay, run, "it does something else", problem);
    replay->instructions = run->instructions;
    replay->virtual_ns = run->virtual_ns;
    replay->in_access = run->exit == BACKEND_PORT || run->exit == BACKEND_MMIO;
    log_next(replay->log);
    return 0;
}

/* The engine is asked to stop where the recorded one was stopped. */
static void arm(struct replay *replay, struct backend_run *run, const struct log_record *stamp)
{
    if (!stamp || stamp->kind != LOG_PAUSE)
        return;
    run->pause_at = stamp->virtual_ns;
    if (!stamp->virtual_ns)
        inner->pause(replay->inner); /* before the first instruction */
}

static int replay_run(struct backend *backend, struct backend_run *run, struct problem *problem)
{
    struct replay *replay = replay_of(backend);
    bool stop = run->stop;

    for (;;) {
        const struct log_record *stamp;
        int result = apply_all(replay, run, &stamp, problem);
        if (result)
            return result;
        bool ends = !stamp || (stamp->kind == LOG_END && stamp->source != RECORD_FAILED);
        if (!stop && ends && !run->stop) {
            note_end(replay, stamp);
            return finish_access(replay, run, problem);
        }
        bool stopping = run->stop;
        arm(replay, run, stamp);
        uint64_t pause_at = stamp && stamp->kind == LOG_PAUSE ? stamp->virtual_ns : LOG_NEVER;
        result = inner->run(replay->inner, run, problem);
        if (result)
            return result;
        replay->in_access = false;
        if (run->exit == BACKEND_STOPPED) {
            if (stop || !stopping)
                return 0;
            note_end(replay, log_peek(replay->log));
            run->exit = BACKEND_ENDED;
            return 0;
        }
        if (exit_is_guests(run))
            return take_exit(replay, run, problem);
        if (!take_pause(replay, run)) {
            if (run->virtual_ns >= pause_at)
                return fail_follow(replay, run, "it cannot be stopped where it was", problem);
            return 0; /* the machine's own */
        }
        if (__atomic_load_n(&replay->pause_wanted, __ATOMIC_SEQ_CST))
            return 0; /* both at once: the machine is not asked again */
        *run = (struct backend_run){ .instructions = run->instructions,
                                     .virtual_ns = run->virtual_ns };
    }
}

/* What the machine's devices say is not for the guest. */
static void ignore_irq_line(struct backend *backend, unsigned gsi, bool level)
{
    (void)backend;
    (void)gsi;
    (void)level;
}

static void ignore_msi(struct backend *backend, uint32_t requester, uint64_t address, uint32_t data)
{
    (void)backend;
    (void)requester;
    (void)address;
    (void)data;
}

static void ignore_deadline(struct backend *backend, uint64_t when)
{
    (void)backend;
    (void)when;
}

static bool ignore_dma(void *context, uint32_t requester, uint64_t gpa, const void *data,
                       size_t size)
{
    (void)context;
    (void)requester;
    (void)gpa;
    (void)data;
    (void)size;
    return true;
}

/* ---- Life ---- */

static int replay_create(struct backend **backend, const struct backend_config *config,
                         struct problem *problem)
{
    struct replay *replay = config->replay;
    const struct log_record *record = log_peek(replay->log);
    struct backend_config mine = *config;

    if (!record || record->kind != LOG_BOOT)
        return problem_set(problem, STATUS_REPLAY, EBADMSG, "the recording ends before %s",
                           record ? "this reset" : "the boot");
    mine.wall_base = record->value;
    log_next(replay->log);
    int result = inner->create(&replay->inner, &mine, problem);
    if (result)
        return result;
    replay->ram = config->ram;
    replay->chain = HASH_START;
    replay->instructions = replay->virtual_ns = 0;
    replay->in_access = replay->pause_wanted = false;
    *backend = (struct backend *)(void *)replay;
    return 0;
}

static void replay_destroy(struct backend *backend)
{
    if (!backend)
        return;
    inner->destroy(replay_of(backend)->inner);
    replay_of(backend)->inner = NULL;
}

static int replay_get_state(struct backend *backend, enum state_part part, void *data,
                            size_t capacity, size_t *size, struct problem *problem)
{
    return inner->get_state(replay_of(backend)->inner, part, data, capacity, size, problem);
}

static int replay_set_state(struct backend *backend, enum state_part part, const void *data,
                            size_t size, struct problem *problem)
{
    return inner->set_state(replay_of(backend)->inner, part, data, size, problem);
}

static void replay_pause(struct backend *backend)
{
    __atomic_store_n(&replay_of(backend)->pause_wanted, true, __ATOMIC_SEQ_CST);
    inner->pause(replay_of(backend)->inner);
}

static pid_t replay_child(const struct backend *backend)
{
    return inner->child(backend->replay.inner);
}

static void replay_lost(struct backend *backend, int wait_status)
{
    inner->lost(replay_of(backend)->inner, wait_status);
}

/* ---- Opening ---- */

/* The first thing in which a recorded machine and this one differ. */
static const char *difference(const struct log_parameters *a, const struct log_parameters *b)
{
    if (memcmp(a->origami, b->origami, sizeof(a->origami)) != 0)
        return "version of Origami";
    if (a->cpu != b->cpu)
        return "kind of host CPU";
    if (a->memory != b->memory)
        return "--memory";
    if (a->cpus != b->cpus)
        return "--cpus";
    if (a->kernel != b->kernel)
        return "--kernel";
    if (a->initrd != b->initrd)
        return "--initrd";
    if (a->modules != b->modules)
        return "--module";
    if (a->cmdline != b->cmdline)
        return "--cmdline";
    if (a->devices != b->devices)
        return "set of devices (--disk, --net, --console, --rng, --balloon)";
    if ((a->flags ^ b->flags) & LOG_FLAG_DEBUG_EXIT)
        return "--debug-exit";
    if (a->flags != b->flags)
        return "--no-reboot";
    return NULL;
}

int replay_open(struct replay **result, const char *path, struct log_parameters *mine,
                struct problem *problem)
{
    struct replay *replay = calloc(1, sizeof(*replay));

    *result = NULL;
    if (!replay)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    int error = log_open(&replay->log, path, &replay->recorded, problem);
    if (error == 0) {
        const char *what = difference(&replay->recorded, mine);
        if (what)
            error = problem_set(problem, STATUS_INPUT, EINVAL, "%s: recorded with another %s", path,
                                what);
    }
    if (error) {
        replay_close(replay);
        return error;
    }
    *mine = replay->recorded;
    replay->dma = (struct dma_log){ .context = replay, .write = ignore_dma };
    *result = replay;
    return 0;
}

bool replay_end(const struct replay *replay, enum record_end *end, uint64_t *value)
{
    *end = replay->end;
    *value = replay->end_value;
    return replay->end_known;
}

void replay_close(struct replay *replay)
{
    if (!replay)
        return;
    log_forget(replay->log);
    free(replay);
}

struct dma_log *replay_dma(struct replay *replay)
{
    return &replay->dma;
}

const struct backend_operations backend_replay = {
    .name = "replay",
    .create = replay_create,
    .destroy = replay_destroy,
    .run = replay_run,
    .get_state = replay_get_state,
    .set_state = replay_set_state,
    .irq_line = ignore_irq_line,
    .msi = ignore_msi,
    .set_deadline = ignore_deadline,
    .pause = replay_pause,
    .child = replay_child,
    .lost = replay_lost,
};
