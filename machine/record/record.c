/* SPDX-License-Identifier: MIT */
/* record.c - the back end that writes down what the guest is given. */
#include "exit.h"
#include "logfile.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Something that happened while the engine ran. DMA is followed by its bytes. */
struct event {
    struct event *next;
    struct log_record record;
    uint8_t bytes[];
};

struct recording {
    struct log_writer *log;
    pthread_mutex_t lock; /* of everything; taken inside the machine's device lock */
    struct backend *inner;
    struct ram *ram;
    bool running;       /* the engine has the move */
    bool pause_wanted;  /* by the machine, for reasons of its own */
    bool answer_wanted; /* by the engine */
    bool lost;          /* no memory for an event: the recording can't be right */
    uint64_t chain;
    uint64_t deadline;           /* as last asked for */
    struct event *first, **last; /* waiting for a pause */
    struct dma_log dma;
};

/* Each boot's back end is the recording itself. */
struct backend {
    struct recording recording;
};

static struct recording *recording_of(struct backend *backend)
{
    return &backend->recording;
}

static const struct backend_operations *const inner = &backend_engine;

/* ---- Events ---- */

static void pass_on(struct recording *recording, const struct log_record *record)
{
    switch (record->kind) {
    case LOG_LINE:
        inner->irq_line(recording->inner, record->source, record->value != 0);
        break;
    case LOG_MSI:
        inner->msi(recording->inner, record->source, record->address, record->data);
        break;
    case LOG_DEADLINE:
        inner->set_deadline(recording->inner, record->value);
        break;
    default:
        if (dma_write(recording->ram, DMA_MACHINE, record->address, record->bytes, record->size))
            recording->lost = true; /* the range was good when the device asked */
        break;
    }
}

static void happen(struct recording *recording, const struct log_record *record)
{
    log_put(recording->log, record);
    pass_on(recording, record);
}

static void postpone(struct recording *recording, const struct log_record *record)
{
    struct event *event = malloc(sizeof(*event) + record->size);

    if (!event) {
        recording->lost = true;
        return;
    }
    event->record = *record;
    event->next = NULL;
    if (record->size) {
        memcpy(event->bytes, record->bytes, record->size);
        event->record.bytes = event->bytes;
    }
    *recording->last = event;
    recording->last = &event->next;
    inner->pause(recording->inner);
}

/* The engine waits: what was postponed happens. */
static void settle(struct recording *recording)
{
    while (recording->first) {
        struct event *event = recording->first;
        recording->first = event->next;
        happen(recording, &event->record);
        free(event);
    }
    recording->last = &recording->first;
}

static void take_event(struct recording *recording, const struct log_record *record)
{
    pthread_mutex_lock(&recording->lock);
    if (recording->running)
        postpone(recording, record);
    else
        happen(recording, record);
    pthread_mutex_unlock(&recording->lock);
}

static void record_irq_line(struct backend *backend, unsigned gsi, bool level)
{
    const struct log_record record = { .kind = LOG_LINE, .source = gsi & 0xff, .value = level };

    take_event(recording_of(backend), &record);
}

static void record_msi(struct backend *backend, uint32_t requester, uint64_t address, uint32_t data)
{
    const struct log_record record = {
        .kind = LOG_MSI, .source = requester, .address = address, .data = data
    };

    take_event(recording_of(backend), &record);
}

static void record_set_deadline(struct backend *backend, uint64_t when)
{
    const struct log_record record = { .kind = LOG_DEADLINE, .value = when };
    struct recording *recording = recording_of(backend);

    if (when == recording->deadline)
        return; /* asked for at every exit */
    recording->deadline = when;
    take_event(recording, &record);
}

static bool record_dma(void *context, uint32_t requester, uint64_t gpa, const void *data,
                       size_t size)
{
    const struct log_record record = {
        .kind = LOG_DMA, .source = requester, .address = gpa, .size = (uint32_t)size, .bytes = data
    };

    take_event(context, &record);
    return true;
}

/* ---- Running ---- */

static int before_run(struct recording *recording, const struct backend_run *run,
                      struct problem *problem)
{
    int result;

    pthread_mutex_lock(&recording->lock);
    if (recording->answer_wanted)
        log_put(recording->log, &(struct log_record){ .kind = LOG_ANSWER, .value = run->value });
    if (run->stop)
        log_put(recording->log, &(struct log_record){ .kind = LOG_STOP });
    recording->answer_wanted = false;
    /* Before the engine goes on: the log of a run that is killed is never behind the guest. */
    result = log_flush(recording->log, problem);
    if (result == 0 && recording->lost)
        result = problem_set(problem, STATUS_HOST, ENOMEM, "--record: no memory");
    recording->running = result == 0;
    pthread_mutex_unlock(&recording->lock);
    return result;
}

/* True if the exit is for the machine. */
static bool after_run(struct recording *recording, const struct backend_run *run)
{
    struct log_record stamp = { .kind = LOG_EXIT,
                                .instructions = run->instructions,
                                .virtual_ns = run->virtual_ns };
    bool report = true;

    pthread_mutex_lock(&recording->lock);
    recording->running = false;
    recording->answer_wanted = exit_wants_answer(run);
    if (exit_is_guests(run)) {
        stamp.check = exit_check(&recording->chain, run);
        log_put(recording->log, &stamp);
    } else if (run->exit == BACKEND_PAUSED) {
        stamp.kind = LOG_PAUSE;
        log_put(recording->log, &stamp);
        report = recording->pause_wanted;
    }
    if (run->exit != BACKEND_STOPPED)
        settle(recording);
    pthread_mutex_unlock(&recording->lock);
    return report;
}

static int record_run(struct backend *backend, struct backend_run *run, struct problem *problem)
{
    struct recording *recording = recording_of(backend);

    for (;;) {
        int result = before_run(recording, run, problem);
        if (result == 0)
            result = inner->run(recording->inner, run, problem);
        if (result || after_run(recording, run))
            return result;
        *run = (struct backend_run){ 0 };
    }
}

static void record_pause(struct backend *backend)
{
    struct recording *recording = recording_of(backend);

    pthread_mutex_lock(&recording->lock);
    recording->pause_wanted = true;
    pthread_mutex_unlock(&recording->lock);
    inner->pause(recording->inner);
}

/* ---- Life ---- */

static int record_create(struct backend **backend, const struct backend_config *config,
                         struct problem *problem)
{
    struct recording *recording = config->recording;
    int result = inner->create(&recording->inner, config, problem);

    if (result)
        return result;
    recording->ram = config->ram;
    recording->running = recording->pause_wanted = recording->answer_wanted = false;
    recording->chain = HASH_START;
    recording->deadline = LOG_NEVER;
    log_put(recording->log, &(struct log_record){ .kind = LOG_BOOT, .value = config->wall_base });
    *backend = (struct backend *)(void *)recording;
    return 0;
}

static void record_destroy(struct backend *backend)
{
    if (!backend)
        return;
    struct recording *recording = recording_of(backend);
    inner->destroy(recording->inner);
    recording->inner = NULL;
    /* For an engine that is no more. */
    while (recording->first) {
        struct event *event = recording->first;
        recording->first = event->next;
        free(event);
    }
    recording->last = &recording->first;
}

static int record_get_state(struct backend *backend, enum state_part part, void *data,
                            size_t capacity, size_t *size, struct problem *problem)
{
    return inner->get_state(recording_of(backend)->inner, part, data, capacity, size, problem);
}

static int record_set_state(struct backend *backend, enum state_part part, const void *data,
                            size_t size, struct problem *problem)
{
    return inner->set_state(recording_of(backend)->inner, part, data, size, problem);
}

static pid_t record_child(const struct backend *backend)
{
    return inner->child(backend->recording.inner);
}

static void record_lost(struct backend *backend, int wait_status)
{
    inner->lost(recording_of(backend)->inner, wait_status);
}

int recording_create(struct recording **result, const char *path,
                     const struct log_parameters *parameters, struct problem *problem)
{
    struct recording *recording = calloc(1, sizeof(*recording));

    *result = NULL;
    if (!recording)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    int error = log_create(&recording->log, path, parameters, problem);
    if (error == 0 && pthread_mutex_init(&recording->lock, NULL) != 0)
        error = problem_set(problem, STATUS_HOST, ENOMEM, "cannot make a lock");
    if (error) {
        log_close(recording->log);
        free(recording);
        return error;
    }
    recording->last = &recording->first;
    recording->dma = (struct dma_log){ .context = recording, .write = record_dma };
    *result = recording;
    return 0;
}

void recording_end(struct recording *recording, enum record_end end, uint64_t value)
{
    if (!recording)
        return;
    log_put(recording->log, &(struct log_record){ .kind = LOG_END, .source = end, .value = value });
    log_close(recording->log);
    pthread_mutex_destroy(&recording->lock);
    free(recording);
}

struct dma_log *recording_dma(struct recording *recording)
{
    return &recording->dma;
}

const struct backend_operations backend_record = {
    .name = "record",
    .create = record_create,
    .destroy = record_destroy,
    .run = record_run,
    .get_state = record_get_state,
    .set_state = record_set_state,
    .irq_line = record_irq_line,
    .msi = record_msi,
    .set_deadline = record_set_deadline,
    .pause = record_pause,
    .child = record_child,
    .lost = record_lost,
};
