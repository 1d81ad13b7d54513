/* SPDX-License-Identifier: MIT */
/*
 * doorbell.c - the thread that works on the queues a guest has notified, while the guest goes on.
 * Back ends without doorbells, and deterministic runs, have none: there a notification is an access
 * like any other, carried out by the vCPU's thread.
 */
#include "machine.h"
#include <string.h>

static void *bell_main(void *argument)
{
    struct machine *machine = argument;
    uint64_t rung[BACKEND_DOORBELLS];

    while (machine->operations->wait_doorbells(machine->backend, rung)) {
        machine_enter(machine);
        for (unsigned slot = 0; slot < BACKEND_DOORBELLS; slot++) {
            if (rung[slot])
                board_doorbell(&machine->board, slot, rung[slot]);
        }
        machine_leave(machine);
    }
    return NULL;
}

static bool any_doorbell(const struct board *board)
{
    for (unsigned slot = 0; slot < BOARD_PCI_SLOTS; slot++) {
        if (board->slot[slot] && board->slot[slot]->class->virtio)
            return true;
    }
    return false;
}

int doorbell_start(struct machine *machine, struct problem *problem)
{
    if (!machine->operations->wait_doorbells || !machine->board.host.doorbell ||
        !any_doorbell(&machine->board))
        return 0;
    int error = pthread_create(&machine->bells, NULL, bell_main, machine);
    if (error)
        return problem_set(problem, STATUS_HOST, error, "cannot start a thread: %s",
                           strerror(error));
    machine->bells_run = true;
    return 0;
}

void doorbell_stop(struct machine *machine)
{
    if (!machine->bells_run)
        return;
    machine->operations->stop_doorbells(machine->backend);
    pthread_join(machine->bells, NULL);
    machine->bells_run = false;
}
