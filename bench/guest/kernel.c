/* SPDX-License-Identifier: MIT */
/* The kernel's daily work: system calls, processes, pipes, files. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int item_syscall(struct run *run, uint64_t *sum)
{
    long parent = syscall(SYS_getppid);
    uint64_t same = 0;

    for (uint64_t i = 0; i < run->n * 1000; i++)
        same += syscall(SYS_getppid) == parent;
    *sum = same;
    return 0;
}

int item_fork_exec(struct run *run, uint64_t *sum)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < run->n; i++) {
        int status = 0;
        pid_t child = fork();

        if (child < 0)
            return -errno;
        if (child == 0) {
            execl(run->self, run->self, "true", (char *)NULL);
            _exit(127);
        }
        if (waitpid(child, &status, 0) != child)
            return -errno;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            return -ECHILD;
        total += i * i;
    }
    *sum = total;
    return 0;
}

/* Answers each byte with its successor until the pipe is closed. */
static void echo(int in, int out)
{
    unsigned char c;

    while (read(in, &c, 1) == 1) {
        c++;
        if (write(out, &c, 1) != 1)
            break;
    }
    _exit(0);
}

static int exchange(struct run *run, int out, int in, uint64_t *sum)
{
    unsigned char c = 0;
    uint64_t total = 0;

    run_begin(run);
    for (uint64_t i = 0; i < run->n * 100; i++) {
        if (write(out, &c, 1) != 1 || read(in, &c, 1) != 1)
            return -EPIPE;
        total += c;
    }
    *sum = total;
    return 0;
}

/*
 * Both processes stay on one CPU, as in a guest with one: what is measured is the switch and not
 * a wake-up of another CPU.
 */
int item_pingpong(struct run *run, uint64_t *sum)
{
    int to[2], from[2] = { -1, -1 }, result;
    cpu_set_t before, one;
    pid_t child;

    if (pipe(to))
        return -errno;
    if (pipe(from)) {
        result = -errno;
        close(to[0]);
        close(to[1]);
        return result;
    }
    int bound = sched_getaffinity(0, sizeof(before), &before) == 0;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu() < 0 ? 0 : (unsigned)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
    child = fork();
    if (child == 0) {
        close(to[1]);
        close(from[0]);
        echo(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    result = child < 0 ? -EAGAIN : exchange(run, to[1], from[0], sum);
    close(to[1]);
    close(from[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    if (bound)
        (void)sched_setaffinity(0, sizeof(before), &before);
    return result;
}

/* One life of a file. */
static int file_life(const char *path, const char *other, const unsigned char *data, size_t bytes,
                     uint64_t *hash)
{
    unsigned char back[8192];
    struct stat st;
    ssize_t n;
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

    if (fd < 0)
        return -errno;
    n = write(fd, data, bytes);
    close(fd);
    if (n != (ssize_t)bytes || stat(path, &st) || rename(path, other))
        return -EIO;
    fd = open(other, O_RDONLY);
    if (fd < 0)
        return -errno;
    n = read(fd, back, sizeof(back));
    close(fd);
    if (n != (ssize_t)bytes || unlink(other))
        return -EIO;
    *hash = hash_bytes(*hash, back, 256) + (uint64_t)st.st_size;
    return 0;
}

int item_files(struct run *run, uint64_t *sum)
{
    unsigned char data[8192];
    char path[300], other[300];
    uint64_t seed = 19, hash = HASH_START;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(random_next(&seed) >> 56);
    for (uint64_t i = 0; i < run->n; i++)
        for (unsigned j = 0; j < 32; j++) {
            snprintf(path, sizeof(path), "%s/bench-%d-%u", run->tmp, (int)getpid(), j);
            snprintf(other, sizeof(other), "%s/bench-%d-%u.new", run->tmp, (int)getpid(), j);
            data[j]++;
            int result = file_life(path, other, data, 256 + 248 * j, &hash);
            if (result)
                return result;
        }
    *sum = hash;
    return 0;
}
