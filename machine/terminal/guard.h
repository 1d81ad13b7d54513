/* SPDX-License-Identifier: MIT */
/*
 * guard.h - puts the terminal's modes back when this process cannot: killed with SIGKILL, by its
 * system call filter or by a crash. A tiny child waits for our end of a pipe to close.
 */
#ifndef ORIGAMI_MACHINE_GUARD_H
#define ORIGAMI_MACHINE_GUARD_H

#include <sys/types.h>
#include <termios.h>

struct guard {
    pid_t child; /* 0 = none */
    int pipe;
};

/* Starts one for descriptor `tty`. Without it nothing is worse than before: failure is not
 * reported. */
void guard_start(struct guard *guard, int tty, const struct termios *modes);
/* The modes are back: it may go. */
void guard_dismiss(struct guard *guard);

#endif
