/* SPDX-License-Identifier: MIT */
/*
 * loop.c - the main thread while a machine runs: terminal, signals, and the life of the engine.
 */
#include "machine.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long the vCPU may take to come to an instruction boundary once the run is to end. */
#define STOP_NS 3000000000ull

static const char help_text[] = "\r\n"
                                "Ctrl-A x       leave\r\n"
                                "Ctrl-A h       this help\r\n"
                                "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Asks the vCPU's thread to end. It may be waiting for an exit or for room in the console. */
static void end_run(struct machine *machine, enum run_end end, uint32_t value)
{
    /* First, without the device lock: the vCPU may hold it while it waits for room. */
    terminal_abandon(&machine->terminal);
    pthread_mutex_lock(&machine->lock);
    machine_end(machine, end, value);
    pthread_mutex_unlock(&machine->lock);
    machine->operations->pause(machine->backend);
}

static void collect_child(struct machine *machine)
{
    pid_t child = machine->operations->child(machine->backend);
    int status;

    if (child > 0 && waitpid(child, &status, WNOHANG) == child)
        machine->operations->lost(machine->backend, status);
}

/* Ctrl-Z from outside: give the terminal back while we sleep. */
static void stop_self(struct machine *machine)
{
    terminal_suspend(&machine->terminal);
    kill(getpid(), SIGSTOP);
    terminal_resume(&machine->terminal);
}

static void take_signals(struct machine *machine)
{
    struct signalfd_siginfo info;

    while (read(machine->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            collect_child(machine);
        else if (info.ssi_signo == SIGTSTP)
            stop_self(machine);
        else
            end_run(machine, END_SIGNAL, info.ssi_signo);
    }
}

static void take_input(struct machine *machine)
{
    switch (terminal_read(&machine->terminal)) {
    case ESCAPE_LEAVE:
        end_run(machine, END_LEFT, 0);
        break;
    case ESCAPE_HELP:
        fputs(help_text, stderr);
        break;
    default:
        break;
    }
    machine_console(machine);
}

/* Milliseconds the next poll may take; sets the time by which the vCPU must have stopped. */
static int poll_timeout(struct machine *machine, uint64_t *stop_by)
{
    pthread_mutex_lock(&machine->lock);
    bool ending = machine->end != END_NONE;
    pthread_mutex_unlock(&machine->lock);
    if (!ending)
        return -1;
    if (!*stop_by)
        *stop_by = monotonic_ns() + STOP_NS;
    return 100;
}

static int poll_once(struct machine *machine, int timeout)
{
    uint64_t count;
    struct pollfd fds[] = {
        { .fd = machine->signals, .events = POLLIN },
        { .fd = machine->wake, .events = POLLIN },
        { .fd = terminal_wants_input(&machine->terminal) ? machine->terminal.input : -1,
          .events = POLLIN },
    };

    if (poll(fds, 3, timeout) < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    if (fds[1].revents && read(machine->wake, &count, sizeof(count)) > 0)
        machine_console(machine); /* room, or the vCPU's end */
    if (fds[2].revents)
        take_input(machine);
    if (fds[0].revents)
        take_signals(machine);
    return 0;
}

int loop_run(struct machine *machine, struct problem *problem)
{
    uint64_t stop_by = 0;
    int error = doorbell_start(machine, problem);

    if (error)
        return error;
    error = pthread_create(&machine->thread, NULL, vcpu_main, machine);
    if (error) {
        doorbell_stop(machine);
        return problem_set(problem, STATUS_HOST, error, "cannot start a thread: %s",
                           strerror(error));
    }
    while (!__atomic_load_n(&machine->thread_done, __ATOMIC_SEQ_CST)) {
        error = poll_once(machine, poll_timeout(machine, &stop_by));
        pid_t child = machine->operations->child(machine->backend);
        /* An engine that does not come to a boundary is not asked again. */
        bool late = stop_by && monotonic_ns() > stop_by &&
                    !__atomic_load_n(&machine->boundary, __ATOMIC_SEQ_CST);
        if ((error || late) && child > 0)
            kill(child, SIGKILL);
        if (error)
            end_run(machine, END_FAILED, 0);
    }
    pthread_join(machine->thread, NULL);
    doorbell_stop(machine);
    if (error && !machine->problem.text[0])
        return problem_set(problem, STATUS_HOST, -error, "cannot wait for events: %s",
                           strerror(-error));
    return 0;
}
