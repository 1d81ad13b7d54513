/* SPDX-License-Identifier: MIT */
/* run.c - `origami run`: set up, confine, run, reboot as often as the guest likes, clean up. */
#include "run.h"
#include "../backend/filter.h"
#include "machine.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_SECONDS 2 /* output to a reader that takes none for so long is given up */

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
        result = filter_confine_machine(!options->no_reboot, options->statistics != NULL, problem);
    if (result == 0)
        result = terminal_start(&machine->terminal, problem);
    return result;
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
