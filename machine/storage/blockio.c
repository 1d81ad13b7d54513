/* SPDX-License-Identifier: MIT */
/* blockio.c - choosing a way, and the simplest one: at once. */
#include "blockway.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void block_list_add(struct block_list *list, struct block_request *request)
{
    request->next = NULL;
    if (list->last)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
}

struct block_request *block_list_take(struct block_list *list)
{
    struct block_request *request = list->first;

    if (!request)
        return NULL;
    list->first = request->next;
    if (!list->first)
        list->last = NULL;
    return request;
}

/* ---- At once: the guest waits, and every run is the same ---- */

static void at_once_submit(struct block_io *io, struct block_request *request)
{
    request->result = block_transfer(io->calls, io->image, request);
    block_list_add(&io->done, request);
}

static struct block_request *at_once_reap(struct block_io *io)
{
    return block_list_take(&io->done);
}

const struct block_way block_way_at_once = {
    .name = "synchronous",
    .submit = at_once_submit,
    .reap = at_once_reap,
};

/* ---- Whichever ---- */

int block_create(struct block_io **result, struct image *image, const struct block_calls *calls,
                 enum block_choice choice, void (*wake)(void *context), void *context,
                 struct problem *problem)
{
    struct block_io *io = calloc(1, sizeof(*io));
    int error = -ENOSYS;

    *result = NULL;
    if (!io)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory for a disk");
    io->image = image;
    io->calls = calls;
    io->wake = wake;
    io->context = context;
    /* io_uring makes no calls of ours, so a table of other ones rules it out. */
    if (choice == BLOCK_BEST && calls == &block_host_calls)
        error = block_uring_create(io);
    if (error && choice != BLOCK_AT_ONCE)
        error = block_threads_create(io);
    if (error)
        io->way = &block_way_at_once;
    *result = io;
    return 0;
}

void block_destroy(struct block_io *io)
{
    if (!io)
        return;
    if (io->way->destroy)
        io->way->destroy(io);
    free(io);
}

const char *block_name(const struct block_io *io)
{
    return io->way->name;
}

int block_start(struct block_io *io, struct problem *problem)
{
    return io->way->start ? io->way->start(io, problem) : 0;
}

void block_stop(struct block_io *io)
{
    if (io->way->stop)
        io->way->stop(io);
}

void block_submit(struct block_io *io, struct block_request *request)
{
    io->in_flight++;
    io->way->submit(io, request);
}

void block_kick(struct block_io *io)
{
    if (io->way->kick)
        io->way->kick(io);
}

struct block_request *block_reap(struct block_io *io)
{
    struct block_request *request = io->way->reap(io);

    if (request)
        io->in_flight--;
    return request;
}

unsigned block_in_flight(const struct block_io *io)
{
    return io->in_flight;
}
