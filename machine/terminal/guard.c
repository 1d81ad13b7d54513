/* SPDX-License-Identifier: MIT */
/* guard.c - the child that outlives us by an instant. */
#include "guard.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void __attribute__((noreturn)) guard_main(int input, int tty, const struct termios *modes)
{
    char byte;
    ssize_t size;

    /* Its own session: signals to our process group, SIGKILL included, do not reach it. */
    setsid();
    prctl(PR_SET_NAME, "origami-tty", 0, 0, 0);
    for (int fd = 0; fd < 3; fd++) {
        if (fd != tty)
            close(fd);
    }
    do {
        size = read(input, &byte, 1);
    } while (size < 0 && errno == EINTR);
    if (size == 0)
        tcsetattr(tty, TCSANOW, modes);
    _exit(0);
}

void guard_start(struct guard *guard, int tty, const struct termios *modes)
{
    int ends[2];

    guard->child = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        guard_main(ends[0], tty, modes);
    }
    close(ends[0]);
    if (child < 0) {
        close(ends[1]);
        return;
    }
    *guard = (struct guard){ .child = child, .pipe = ends[1] };
}

void guard_dismiss(struct guard *guard)
{
    if (!guard->child)
        return;
    if (write(guard->pipe, "", 1) == 1)
        close(guard->pipe);
    else
        kill(guard->child, SIGKILL);
    waitpid(guard->child, NULL, 0);
    guard->child = 0;
}
