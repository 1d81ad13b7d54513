/* SPDX-License-Identifier: MIT */
/* run.c - `origami run`: set up, confine, run, reboot as often as the guest likes, clean up. */
#include "run.h"
#include "../backend/filter.h"
#include "machine.h"
#include "namespaces.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_SECONDS 2 /* output to a reader that takes none for so long is given up */

/* A replay ends as the recorded run did, where that was not the guest's doing. */
static void describe_replayed(const struct machine *machine, struct problem *problem)
{
    enum record_end end;
    uint64_t value;

    if (!replay_end(machine->replay, &end, &value))
        problem_set(problem, STATUS_REPLAY, EINTR,
                    "the recording ends here: its run was cut short");
    else if (end == RECORD_LEFT)
        problem_set(problem, STATUS_LEFT, EINTR, "the recording ends here: left with Ctrl-A x");
    else if (end == RECORD_SIGNAL)
        problem_set(problem, STATUS_SIGNAL, EINTR,
                    "the recording ends here: ended by signal %u (%s)", (unsigned)value,
                    strsignal((int)value));
    else
        problem_set(problem, STATUS_REPLAY, EBADMSG,
                    "the recording ends here, and the guest does not");
}

/* The line and the status that an ended run leaves. A reset that goes on never comes here. */
static int describe_end(const struct machine *machine, struct problem *problem)
{
    problem->text[0] = 0;
    switch (machine->end) {
    case END_POWER_OFF:
    case END_RESET:
        return STATUS_OK;
    case END_DEBUG_EXIT:
        return (int)((machine->end_value << 1 | 1) & 0xff);
    case END_SHUTDOWN:
        problem_set(problem, STATUS_SHUTDOWN, EIO, "the guest's CPU shut down (triple fault)");
        break;
    case END_SIGNAL:
        problem_set(problem, STATUS_SIGNAL, EINTR, "ended by signal %u (%s)", machine->end_value,
                    strsignal((int)machine->end_value));
        break;
    case END_LEFT:
        problem_set(problem, STATUS_LEFT, EINTR, "left with Ctrl-A x");
        break;
    case END_REPLAYED:
        describe_replayed(machine, problem);
        break;
    default:
        *problem = machine->problem;
        break;
    }
    return problem->status;
}

/* Boots until the guest is done with rebooting. 0 if the machine ended by itself. */
static int run_boots(struct machine *machine, struct problem *problem)
{
    int result;

    machine->statistics.ready_ns = host_clock_sample().ns;
    for (;;) {
        result = loop_run(machine, problem);
        if (result || machine->end != END_RESET || machine->options->no_reboot)
            return result;
        result = machine_reset(machine, problem);
        if (result)
            return result;
    }
}

static unsigned filter_needs(const struct machine *machine)
{
    unsigned needs = machine->operations == &backend_kvm ? FILTER_KVM : 0;

    if (!machine->options->no_reboot)
        needs |= FILTER_REBOOT;
    if (machine->options->statistics)
        needs |= FILTER_STATISTICS;
    if (machine->options->disk_count)
        needs |= FILTER_DISK;
    if (machine->options->net.mode == NET_USER)
        needs |= FILTER_NET;
    return needs;
}

static void enter_namespaces(struct machine *machine)
{
    const struct options *options = machine->options;
    /* KVM is asked for again at a reboot; the report is put in place by name. */
    const struct namespaces_needs needs = { .files = options->statistics ||
                                                     (machine->operations == &backend_kvm &&
                                                      !options->no_reboot),
                                            .sockets = options->net.mode == NET_USER };

    machine->statistics.namespaces = namespaces_enter(&needs);
}

/*
 * Order matters: the first engine is started before our own filter, so it does not inherit it; the
 * terminal turns raw once everything that may fail in an ordinary way has not; threads come last,
 * so that the filter holds for all of them.
 */
static int set_up(struct machine *machine, struct problem *problem)
{
    const struct options *options = machine->options;
    int result = machine_boot(machine, problem);

    if (options->no_reboot)
        machine_release_files(machine);
    if (result == 0)
        result = terminal_open(&machine->terminal, problem);
    if (result == 0)
        enter_namespaces(machine);
    if (result == 0)
        result = filter_confine_machine(filter_needs(machine), problem);
    if (result == 0)
        result = terminal_start(&machine->terminal, problem);
    return result ? result : board_start(&machine->board, problem);
}

int run_machine(const struct options *options, struct problem *problem)
{
    struct statistics_file file = { .fd = -1 };
    struct machine *machine = malloc(sizeof(*machine));
    int result;

    if (!machine) {
        problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
        return STATUS_HOST;
    }
    result = machine_create(machine, options, problem);
    if (result == 0 && options->statistics)
        result = statistics_open(&file, options->statistics, problem);
    if (result == 0)
        result = set_up(machine, problem);
    if (result == 0)
        result = run_boots(machine, problem);
    int status = result ? problem->status : describe_end(machine, problem);

    if (!board_drain(&machine->board) && !problem->text[0])
        status = problem_set(problem, STATUS_HOST, ETIMEDOUT,
                             "a disk image did not answer: writes may be lost")
                     ? STATUS_HOST
                     : status;
    board_stop(&machine->board);
    bool writer_gone = terminal_close(&machine->terminal, DRAIN_SECONDS);
    machine->statistics.end_ns = host_clock_sample().ns;
    machine->statistics.exit_status = status;
    if (file.fd >= 0 && machine->statistics.ready_ns) {
        struct problem late = { 0 };
        if (statistics_write(&file, &machine->statistics, &late) != 0 && !problem->text[0]) {
            *problem = late;
            status = late.status;
        }
    }
    statistics_abandon(&file);
    machine_destroy(machine);
    if (writer_gone)
        free(machine); /* else a thread stuck in write() may still look at it until we exit */
    return status;
}
