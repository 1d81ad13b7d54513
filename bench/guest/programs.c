/* SPDX-License-Identifier: MIT */
/*
 * Real programs: a shell, a compiler, an interpreter. Each is started with an environment and
 * options that make its work the same on every system; its standard output is the result and is
 * hashed.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int run_program(const char *directory, char *const argv[], char *const environment[],
                       uint64_t *hash)
{
    unsigned char data[16384];
    int out[2], status = 0;
    uint64_t bytes = 0;
    ssize_t n;

    if (pipe(out))
        return -errno;
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        if (chdir(directory) == 0)
            execve(argv[0], argv, environment);
        _exit(127);
    }
    close(out[1]);
    while (child > 0 && (n = read(out[0], data, sizeof(data))) > 0) {
        *hash = hash_bytes(*hash, data, (size_t)n);
        bytes += (uint64_t)n;
    }
    close(out[0]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -ECHILD;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return -ENOENT;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && bytes ? 0 : -EIO;
}

int item_shell(struct run *run, uint64_t *sum)
{
    char busybox[300], data[300], path[300], n[32];
    char *argv[] = { busybox, "sh", "work.sh", n, NULL };
    char *environment[] = { path, "LC_ALL=C", NULL };

    snprintf(busybox, sizeof(busybox), "%s/bin/busybox", run->root);
    snprintf(data, sizeof(data), "%s/data", run->root);
    snprintf(path, sizeof(path), "PATH=%s/bin", run->root);
    snprintf(n, sizeof(n), "%" PRIu64, run->n);
    *sum = HASH_START;
    return run_program(data, argv, environment, sum);
}

/* ROOT/lib holds the loader and every library, so the host's own are not used natively either. */
int item_compiler(struct run *run, uint64_t *sum)
{
    char loader[300], lib[300], cc1[300], data[300];
    /* The collector's limits would otherwise follow the size of the memory. */
    char *argv[] = { loader,
                     "--library-path",
                     lib,
                     cc1,
                     "-quiet",
                     "-fpreprocessed",
                     "-O1",
                     "--param",
                     "ggc-min-expand=60",
                     "--param",
                     "ggc-min-heapsize=65536",
                     "unit.i",
                     "-o",
                     "-",
                     NULL };
    char *environment[] = { "LC_ALL=C", NULL };

    snprintf(loader, sizeof(loader), "%s/lib/loader", run->root);
    snprintf(lib, sizeof(lib), "%s/lib", run->root);
    snprintf(cc1, sizeof(cc1), "%s/bin/cc1", run->root);
    snprintf(data, sizeof(data), "%s/data", run->root);
    *sum = HASH_START;
    for (uint64_t i = 0; i < run->n; i++) {
        int result = run_program(data, argv, environment, sum);
        if (result)
            return result;
    }
    return 0;
}

int item_python(struct run *run, uint64_t *sum)
{
    char loader[300], lib[300], python[300], data[300], home[300], n[32];
    char *argv[] = { loader, "--library-path", lib, python, "-S", "-B", "work.py", n, NULL };
    char *environment[] = { home, "LC_ALL=C", "PYTHONHASHSEED=0", NULL };

    snprintf(loader, sizeof(loader), "%s/lib/loader", run->root);
    snprintf(lib, sizeof(lib), "%s/lib", run->root);
    snprintf(python, sizeof(python), "%s/bin/python3", run->root);
    snprintf(data, sizeof(data), "%s/data", run->root);
    snprintf(home, sizeof(home), "PYTHONHOME=%s/python", run->root);
    snprintf(n, sizeof(n), "%" PRIu64, run->n);
    *sum = HASH_START;
    return run_program(data, argv, environment, sum);
}
