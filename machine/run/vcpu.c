/* SPDX-License-Identifier: MIT */
/*
 * vcpu.c - the thread behind the virtual CPU: runs it, carries out its accesses on the board, and
 * at the end collects what the statistics need while the state can still be read.
 */
#include "../memory/hash.h"
#include "machine.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void machine_end(struct machine *machine, enum run_end end, uint32_t value)
{
    if (machine->end != END_NONE)
        return;
    machine->end = end;
    machine->end_value = value;
}

/* What a device asked for becomes the end of this run. */
static void take_request(struct machine *machine)
{
    static const enum run_end ends[] = { [REQUEST_POWER_OFF] = END_POWER_OFF,
                                         [REQUEST_RESET] = END_RESET,
                                         [REQUEST_DEBUG_EXIT] = END_DEBUG_EXIT };

    if (machine->board.request != REQUEST_NONE)
        machine_end(machine, ends[machine->board.request], machine->board.request_value);
}

static void carry_out(struct machine *machine, struct backend_run *run)
{
    enum device_space space = run->exit == BACKEND_PORT ? SPACE_PORT : SPACE_MMIO;

    if (run->exit != BACKEND_PORT && run->exit != BACKEND_MMIO)
        return;
    if (run->write)
        board_write(&machine->board, space, run->address, run->size, run->value);
    else
        run->value = board_read(&machine->board, space, run->address, run->size);
}

/* One exit. Returns whether the run goes on; `run` then holds the answer. */
static bool handle_exit(struct machine *machine, struct backend_run *run)
{
    uint64_t start = host_clock_tsc();

    pthread_mutex_lock(&machine->lock);
    machine->statistics.exits[run->exit]++;
    board_set_time(&machine->board,
                   machine->options->instructions ? run->virtual_ns : machine_now(machine));
    /* Its own clock said so: another core's TSC may be a little behind, and it reports only once.
     */
    if (run->exit == BACKEND_DEADLINE && board_deadline(&machine->board) != DEVICE_NEVER)
        board_set_time(&machine->board, board_deadline(&machine->board));
    carry_out(machine, run);
    if (board_deadline(&machine->board) <= machine->board.now)
        board_run_timers(&machine->board);
    if (run->exit == BACKEND_SHUTDOWN)
        machine_end(machine, END_SHUTDOWN, 0);
    if (run->exit == BACKEND_ENDED)
        machine_end(machine, END_REPLAYED, 0);
    take_request(machine);
    run->stop = machine->end != END_NONE;
    machine->operations->set_deadline(machine->backend, board_deadline(&machine->board));
    machine->statistics.device_ns +=
        host_clock_ns(&machine->clock, host_clock_tsc()) - host_clock_ns(&machine->clock, start);
    pthread_mutex_unlock(&machine->lock);
    machine_run_console(machine);
    /* At a stop the access was the last thing; these exits carry none and end at once. */
    return !run->stop || run->exit == BACKEND_PORT || run->exit == BACKEND_MMIO ||
           run->exit == BACKEND_DEADLINE;
}

/* Runs until a boundary at which the state can be read. False: the back end failed. */
static bool run_to_end(struct machine *machine, struct backend_run *run)
{
    struct problem problem = { 0 };

    do {
        if (machine->operations->run(machine->backend, run, &problem) != 0) {
            pthread_mutex_lock(&machine->lock);
            /* Killed because the run had ended, or lost for a reason of its own? */
            if (machine->end == END_NONE) {
                machine->end = END_FAILED;
                machine->problem = problem;
            }
            pthread_mutex_unlock(&machine->lock);
            return false;
        }
    } while (handle_exit(machine, run));
    return true;
}

static int hash_part(struct machine *machine, enum state_part part, void *buffer, uint64_t *hash,
                     struct problem *problem)
{
    size_t size;
    int result = machine->operations->get_state(machine->backend, part, buffer, BACKEND_STATE_MAX,
                                                &size, problem);

    if (result == 0)
        *hash = hash_bytes(HASH_START, buffer, size);
    return result;
}

static void collect_statistics(struct machine *machine)
{
    struct run_statistics *statistics = &machine->statistics;
    struct problem problem = { 0 };
    void *buffer = malloc(BACKEND_STATE_MAX);
    size_t size;

    if (!buffer)
        return;
    int result = machine->operations->get_state(machine->backend, STATE_STATISTICS, buffer,
                                                BACKEND_STATE_MAX, &size, &problem);
    if (result == 0) {
        statistics_add(statistics, buffer, size);
        result = hash_part(machine, STATE_REGISTERS, buffer, &statistics->registers_hash, &problem);
    }
    if (result == 0)
        result = hash_part(machine, STATE_EXTENDED, buffer, &statistics->extended_hash, &problem);
    if (result == 0)
        statistics->memory_hash = ram_hash(&machine->ram);
    statistics->state_valid = result == 0;
    free(buffer);
}

void *vcpu_main(void *argument)
{
    struct machine *machine = argument;
    struct backend_run run = { 0 };
    const uint64_t one = 1;
    bool readable = run_to_end(machine, &run);

    __atomic_store_n(&machine->boundary, true, __ATOMIC_SEQ_CST);
    machine->statistics.instructions += run.instructions;
    pthread_mutex_lock(&machine->lock);
    machine->statistics.virtual_ns = machine->board.now;
    pthread_mutex_unlock(&machine->lock);
    machine->statistics.state_valid = false;
    if (readable && machine->options->statistics)
        collect_statistics(machine);
    __atomic_store_n(&machine->thread_done, true, __ATOMIC_SEQ_CST);
    if (write(machine->wake, &one, sizeof(one)) < 0)
        return NULL; /* full: the main loop is awake already */
    return NULL;
}
