/* SPDX-License-Identifier: MIT */
/* threads.c - block I/O by a few threads that wait in the system calls. */
#include "blockway.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct block_list waiting;
    bool stopping;
    unsigned running;
    pthread_t thread[THREADS];
};

static void *work(void *argument)
{
    struct block_io *io = argument;
    struct pool *pool = io->own;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct block_request *request = block_list_take(&pool->waiting);
        if (!request && pool->stopping)
            break;
        if (!request) {
            pthread_cond_wait(&pool->more, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        request->result = block_transfer(io->calls, io->image, request);
        pthread_mutex_lock(&pool->lock);
        bool first = !io->done.first; /* else somebody has been called already */
        block_list_add(&io->done, request);
        pthread_mutex_unlock(&pool->lock);
        if (first)
            io->wake(io->context);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int start(struct block_io *io, struct problem *problem)
{
    struct pool *pool = io->own;

    while (pool->running < THREADS) {
        int error = pthread_create(&pool->thread[pool->running], NULL, work, io);
        if (error && !pool->running)
            return problem_set(problem, STATUS_HOST, error, "cannot start a thread: %s",
                               strerror(error));
        if (error)
            break; /* fewer will do */
        pool->running++;
    }
    return 0;
}

static void stop(struct block_io *io)
{
    struct pool *pool = io->own;

    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    while (pool->running)
        pthread_join(pool->thread[--pool->running], NULL);
    pool->stopping = false;
}

static void submit(struct block_io *io, struct block_request *request)
{
    struct pool *pool = io->own;

    pthread_mutex_lock(&pool->lock);
    block_list_add(&pool->waiting, request);
    pthread_cond_signal(&pool->more);
    pthread_mutex_unlock(&pool->lock);
}

static struct block_request *reap(struct block_io *io)
{
    struct pool *pool = io->own;

    pthread_mutex_lock(&pool->lock);
    struct block_request *request = block_list_take(&io->done);
    pthread_mutex_unlock(&pool->lock);
    return request;
}

static void destroy(struct block_io *io)
{
    free(io->own);
}

static const struct block_way way = {
    .name = "threads",
    .start = start,
    .stop = stop,
    .submit = submit,
    .reap = reap,
    .destroy = destroy,
};

int block_threads_create(struct block_io *io)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    io->own = pool;
    io->way = &way;
    return 0;
}
