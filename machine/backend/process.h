/* SPDX-License-Identifier: MIT */
/*
 * process.h - starting the engine process: nothing but its wire and guest memory open, no
 * environment, no terminal, no privileges to gain, and gone when we are.
 */
#ifndef ORIGAMI_MACHINE_PROCESS_H
#define ORIGAMI_MACHINE_PROCESS_H

#include <sys/types.h>
#include "../support/problem.h"

#define PROCESS_FDS 8

struct process_config {
    const char *program; /* its name, for messages */
    int program_fd;      /* the program itself: files may have no names any more */
    int null_fd;         /* /dev/null, for its standard streams */
    int fd[PROCESS_FDS]; /* fd[i] becomes descriptor 3 + i */
    unsigned fd_count;
};

/* Must be called from the main thread: the kernel ties the child's life to the thread that forks.
 */
int MUST_CHECK process_spawn(const struct process_config *config, pid_t *child,
                             struct problem *problem);

/*
 * Finds a sibling program: in the directory of this executable, in ../libexec/origami/, or where
 * the build tree has it (../<tree>/). Writes its path (at most `size` bytes).
 */
int MUST_CHECK process_find(const char *name, const char *tree, char *path, size_t size,
                            struct problem *problem);

/* "ended with status 3", "was killed by signal 9 (Killed)" */
void process_describe(int wait_status, char *text, size_t size);

#endif
