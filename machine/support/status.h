/* SPDX-License-Identifier: MIT */
/*
 * status.h - the exit statuses of `origami run`, in one table. Origami's own are even; odd ones are
 * the guest's, given through the debug-exit device as (value << 1) | 1, cut to eight bits.
 */
#ifndef ORIGAMI_MACHINE_STATUS_H
#define ORIGAMI_MACHINE_STATUS_H

/* EXIT_STATUS(name, value, text for --help) */
#define EXIT_STATUSES(EXIT_STATUS)                                                                 \
    EXIT_STATUS(OK, 0, "the guest powered itself off (or rebooted, with --no-reboot)")             \
    EXIT_STATUS(USAGE, 2, "unknown or contradictory options")                                      \
    EXIT_STATUS(INPUT, 4, "kernel, initrd or module cannot be read, used or placed in memory")     \
    EXIT_STATUS(HOST, 6,                                                                           \
                "the host lacks memory, a program or a permission; a file cannot be "              \
                "written")                                                                         \
    EXIT_STATUS(ENGINE, 8, "the engine process failed, died or broke the protocol")                \
    EXIT_STATUS(SHUTDOWN, 10, "the guest's CPU shut down (triple fault)")                          \
    EXIT_STATUS(SIGNAL, 12, "ended by SIGINT, SIGTERM, SIGHUP or SIGQUIT")                         \
    EXIT_STATUS(LEFT, 14, "ended from the terminal with Ctrl-A x")                                 \
    EXIT_STATUS(REPLAY, 16, "a replay came to the end of a log cut short, or did not follow it")

enum exit_status {
#define EXIT_STATUS(name, value, text) STATUS_##name = value,
    EXIT_STATUSES(EXIT_STATUS)
#undef EXIT_STATUS
};

#endif
