/* SPDX-License-Identifier: MIT */
/* terminal.c - queues, the writer thread, raw mode. */
#include "terminal.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROOM_NEEDED 128u /* a whole FIFO's worth and more, see DEVICE_CONSOLE_ROOM */
#define PIECE_MAX   4096u
#define GATHER_NS                                                                                  \
    500000l /* the writer lets a line come together; nobody sees half a millisecond                \
             */

int terminal_init(struct terminal *terminal, int input, int output, int wake, bool deterministic,
                  struct problem *problem)
{
    int error;

    memset(terminal, 0, sizeof(*terminal));
    terminal->input = input;
    terminal->output = output;
    terminal->wake = wake;
    terminal->wait_for_room = deterministic;
    error = pthread_mutex_init(&terminal->lock, NULL);
    if (!error)
        error = pthread_cond_init(&terminal->changed, NULL);
    if (error)
        return problem_set(problem, STATUS_HOST, error, "cannot make a lock: %s", strerror(error));
    return 0;
}

/* ---- Modes ---- */

static void set_raw(struct terminal *terminal)
{
    struct termios raw = terminal->saved;

    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(terminal->input, TCSANOW, &raw);
}

int terminal_open(struct terminal *terminal, struct problem *problem)
{
    (void)problem;
    if (!isatty(terminal->input) || tcgetattr(terminal->input, &terminal->saved) != 0)
        return 0;
    guard_start(&terminal->guard, terminal->input, &terminal->saved);
    terminal->is_tty = true;
    set_raw(terminal);
    return 0;
}

void terminal_suspend(struct terminal *terminal)
{
    if (terminal->is_tty)
        tcsetattr(terminal->input, TCSANOW, &terminal->saved);
}

void terminal_resume(struct terminal *terminal)
{
    if (terminal->is_tty)
        set_raw(terminal);
}

/* ---- Output ---- */

static void wake_main(struct terminal *terminal)
{
    const uint64_t one = 1;
    ssize_t ignored = write(terminal->wake, &one, sizeof(one));

    (void)ignored; /* full means it is awake already */
}

/* One write of what is queued, without the lock: it may block. 0 = go on, -1 = nobody reads. */
static int write_some(const struct terminal *terminal, const uint8_t *data, size_t size,
                      size_t *done)
{
    ssize_t written = write(terminal->output, data, size);

    *done = written > 0 ? (size_t)written : 0;
    if (written >= 0 || errno == EINTR)
        return 0;
    if (errno == EAGAIN) {
        /* Somebody made it non-blocking: wait here, nobody waits for us. */
        struct pollfd ready = { .fd = terminal->output, .events = POLLOUT };
        poll(&ready, 1, 1000);
        return 0;
    }
    return -1;
}

/* The guest's side pays for waking the writer once a burst, not once a byte. */
static void wait_for_output(struct terminal *terminal)
{
    const struct timespec gather = { .tv_nsec = GATHER_NS };

    terminal->idle = true;
    while (!terminal->closing && !ring_used(&terminal->out))
        pthread_cond_wait(&terminal->changed, &terminal->lock);
    terminal->idle = false;
    if (terminal->closing)
        return;
    pthread_mutex_unlock(&terminal->lock);
    nanosleep(&gather, NULL);
    pthread_mutex_lock(&terminal->lock);
}

static void *writer_main(void *argument)
{
    struct terminal *terminal = argument;
    uint8_t piece[PIECE_MAX];

    pthread_mutex_lock(&terminal->lock);
    while (!(terminal->closing && !ring_used(&terminal->out))) {
        const uint8_t *data;
        size_t size = ring_piece(&terminal->out, &data), done;
        if (!size) {
            wait_for_output(terminal);
            continue;
        }
        if (size > sizeof(piece))
            size = sizeof(piece);
        memcpy(piece, data, size);
        pthread_mutex_unlock(&terminal->lock);
        int result = write_some(terminal, piece, size, &done);
        pthread_mutex_lock(&terminal->lock);
        terminal->out.head += (uint32_t)done;
        if (result < 0) {
            terminal->broken = true;
            terminal->out.head = terminal->out.tail;
        }
        if (terminal->was_full && ring_room(&terminal->out) >= RING_SIZE / 2) {
            terminal->was_full = false;
            wake_main(terminal);
        }
        pthread_cond_broadcast(&terminal->changed);
    }
    pthread_mutex_unlock(&terminal->lock);
    return NULL;
}

int terminal_start(struct terminal *terminal, struct problem *problem)
{
    int error = pthread_create(&terminal->writer, NULL, writer_main, terminal);

    if (error)
        return problem_set(problem, STATUS_HOST, error, "cannot start a thread: %s",
                           strerror(error));
    terminal->writer_runs = true;
    return 0;
}

bool terminal_put(struct terminal *terminal, uint8_t byte)
{
    bool taken = true;

    pthread_mutex_lock(&terminal->lock);
    while (terminal->wait_for_room && !terminal->closing && !terminal->broken &&
           ring_room(&terminal->out) < ROOM_NEEDED)
        pthread_cond_wait(&terminal->changed, &terminal->lock);
    if (!terminal->broken) {
        taken = ring_room(&terminal->out) != 0;
        if (taken)
            ring_put(&terminal->out, byte);
        if (terminal->idle)
            pthread_cond_broadcast(&terminal->changed);
    }
    pthread_mutex_unlock(&terminal->lock);
    return taken;
}

bool terminal_room(struct terminal *terminal)
{
    bool room;

    pthread_mutex_lock(&terminal->lock);
    room = terminal->broken || terminal->wait_for_room || ring_room(&terminal->out) >= ROOM_NEEDED;
    if (!room)
        terminal->was_full = true;
    pthread_mutex_unlock(&terminal->lock);
    return room;
}

void terminal_abandon(struct terminal *terminal)
{
    pthread_mutex_lock(&terminal->lock);
    terminal->wait_for_room = false;
    pthread_cond_broadcast(&terminal->changed);
    pthread_mutex_unlock(&terminal->lock);
}

/* Waits for the queue to empty as long as it gets shorter. */
static void drain(struct terminal *terminal, int seconds)
{
    uint32_t seen = terminal->out.head;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    while (ring_used(&terminal->out)) {
        if (pthread_cond_timedwait(&terminal->changed, &terminal->lock, &until) != ETIMEDOUT)
            continue;
        if (terminal->out.head == seen)
            break;
        seen = terminal->out.head;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += seconds;
    }
}

bool terminal_close(struct terminal *terminal, int seconds)
{
    bool stuck = false;

    if (terminal->writer_runs) {
        pthread_mutex_lock(&terminal->lock);
        terminal->closing = true;
        pthread_cond_broadcast(&terminal->changed);
        drain(terminal, seconds);
        stuck = ring_used(&terminal->out) != 0;
        pthread_mutex_unlock(&terminal->lock);
        /* A writer that hangs in write() ends with the process. */
        if (!stuck)
            pthread_join(terminal->writer, NULL);
        terminal->writer_runs = false;
    }
    if (terminal->is_tty)
        tcsetattr(terminal->input, TCSANOW, &terminal->saved);
    terminal->is_tty = false;
    guard_dismiss(&terminal->guard);
    return !stuck;
}

/* ---- Input ---- */

int terminal_get(struct terminal *terminal)
{
    int byte = -1;

    pthread_mutex_lock(&terminal->lock);
    if (ring_used(&terminal->in)) {
        bool was_full = ring_room(&terminal->in) < PIECE_MAX;
        byte = ring_get(&terminal->in);
        if (was_full && ring_room(&terminal->in) >= PIECE_MAX)
            wake_main(terminal);
    }
    pthread_mutex_unlock(&terminal->lock);
    return byte;
}

bool terminal_wants_input(struct terminal *terminal)
{
    bool room;

    if (terminal->input_ended)
        return false;
    pthread_mutex_lock(&terminal->lock);
    room = ring_room(&terminal->in) >= PIECE_MAX;
    pthread_mutex_unlock(&terminal->lock);
    /* From a terminal the escape keys must always get through; what does not fit is lost. */
    return room || terminal->is_tty;
}

enum escape_action terminal_read(struct terminal *terminal)
{
    uint8_t piece[PIECE_MAX];
    enum escape_action result = ESCAPE_NONE;
    ssize_t size = read(terminal->input, piece, sizeof(piece));

    if (size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN)) {
        terminal->input_ended = true; /* the guest goes on without */
        return ESCAPE_NONE;
    }
    pthread_mutex_lock(&terminal->lock);
    for (ssize_t i = 0; i < size; i++) {
        bool escaped = terminal->escape.pending;
        enum escape_action action = escape_next(&terminal->escape, piece[i]);
        if (action == ESCAPE_BYTE && ring_room(&terminal->in))
            ring_put(&terminal->in, escaped ? ESCAPE_KEY : piece[i]);
        if (action == ESCAPE_LEAVE || (action == ESCAPE_HELP && result == ESCAPE_NONE))
            result = action;
    }
    pthread_mutex_unlock(&terminal->lock);
    return result;
}
