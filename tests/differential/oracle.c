/* SPDX-License-Identifier: MIT */
/*
 * oracle.c - the bare CPU as an oracle: starts the child, hands it batches, notices when it dies or
 * hangs.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "oracle.h"

#define SECONDS_TO_ANSWER 60 /* for one batch, on a machine that is busy with other things */

struct oracle {
    struct oracle_shared *shared;
    pid_t child;
    uint32_t submitted, waited;
};

const struct local_descriptor local_descriptors[LOCAL_DESCRIPTORS] = {
    { .base = CODE_ADDRESS, .limit = CODE_SIZE - 1, .code = true },
    { .base = DATA_ADDRESS, .limit = DATA_SIZE - 1 - LOCAL_SHORT },
    { .base = DATA_ADDRESS, .limit = DATA_SIZE - 1 },
    { .base = DATA_ADDRESS, .limit = 0xfff, .down = true },
    { .base = DATA_ADDRESS, .limit = DATA_SIZE - 1 - LOCAL_SHORT, .read_only = true },
};

uint32_t extended_size(void)
{
    uint32_t eax = 0xd, ebx, ecx = 9, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (!eax || !ebx) { /* no PKRU: everything */
        eax = 0xd;
        ecx = 0;
        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    }
    return ebx < EXTENDED_SIZE ? ebx : EXTENDED_SIZE;
}

/* Waits until *word is no longer `value`. 0, or -1 when the child is gone or silent. */
static int await(struct oracle *oracle, uint32_t *word, uint32_t value)
{
    struct timespec second = { .tv_sec = 1 };
    int status;
    for (unsigned waited = 0; __atomic_load_n(word, __ATOMIC_SEQ_CST) == value;) {
        if (syscall(SYS_futex, word, FUTEX_WAIT, value, &second, NULL, 0) && errno == ETIMEDOUT)
            waited++;
        if (waitpid(oracle->child, &status, WNOHANG) == oracle->child) {
            oracle->child = 0;
            if (WIFSIGNALED(status))
                fprintf(stderr, "oracle: the child was killed by signal %d\n", WTERMSIG(status));
            else
                fprintf(stderr, "oracle: the child ended with status %d\n", WEXITSTATUS(status));
            return -1;
        }
        if (waited >= SECONDS_TO_ANSWER) {
            fprintf(stderr, "oracle: the child has not answered for %d seconds\n",
                    SECONDS_TO_ANSWER);
            return -1;
        }
    }
    return 0;
}

struct oracle *oracle_start(uint64_t extended_mask)
{
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    if (oracle == NULL)
        return NULL;
    oracle->shared = mmap(NULL, sizeof(struct oracle_shared), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (oracle->shared == MAP_FAILED) {
        free(oracle);
        return NULL;
    }
    oracle->shared->done = ~0u;
    oracle->child = fork();
    if (oracle->child == 0)
        bare_main(oracle->shared, extended_mask);
    if (oracle->child < 0 || await(oracle, &oracle->shared->done, ~0u)) {
        oracle_stop(oracle);
        return NULL;
    }
    return oracle;
}

struct batch *oracle_batch(struct oracle *oracle)
{
    return &oracle->shared->batch[oracle->submitted % PLACES];
}

void oracle_submit(struct oracle *oracle)
{
    struct oracle_shared *shared = oracle->shared;
    oracle->submitted++;
    __atomic_store_n(&shared->request, oracle->submitted, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &shared->request, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int oracle_wait(struct oracle *oracle, const struct batch **batch, const struct output **outputs,
                uint32_t *died)
{
    struct oracle_shared *shared = oracle->shared;
    uint32_t place = oracle->waited % PLACES, done;
    *batch = &shared->batch[place];
    *outputs = shared->output[place];
    while ((done = __atomic_load_n(&shared->done, __ATOMIC_SEQ_CST)) == oracle->waited) {
        if (await(oracle, &shared->done, done)) {
            *died = shared->running;
            return -1;
        }
    }
    oracle->waited++;
    return 0;
}

bool oracle_has_local_descriptors(const struct oracle *oracle)
{
    return oracle->shared->local_descriptors;
}

bool oracle_has_segment_bases(const struct oracle *oracle)
{
    return oracle->shared->segment_bases;
}

void oracle_stop(struct oracle *oracle)
{
    if (oracle->child > 0) {
        kill(oracle->child, SIGKILL);
        waitpid(oracle->child, NULL, 0);
    }
    munmap(oracle->shared, sizeof(struct oracle_shared));
    free(oracle);
}
