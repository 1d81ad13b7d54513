/* SPDX-License-Identifier: MIT */
/* wirecheck.c - the one place where what the engine wrote is validated. */
#include "wirecheck.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Which exits a run may end with, and what accesses they may carry. */
static const struct {
    bool expected;
    enum backend_exit exit;
    unsigned size_max; /* of an access; 0 = none */
    uint64_t address_max;
} reasons[] = {
    [WIRE_EXIT_PORT] = { true, BACKEND_PORT, 4, 0xffff },
    [WIRE_EXIT_MMIO] = { true, BACKEND_MMIO, 8, (1ull << 52) - 1 },
    [WIRE_EXIT_DEADLINE] = { true, BACKEND_DEADLINE, 0, 0 },
    [WIRE_EXIT_COMMAND] = { true, BACKEND_PAUSED, 0, 0 },
    [WIRE_EXIT_SHUTDOWN] = { true, BACKEND_SHUTDOWN, 0, 0 },
    [WIRE_EXIT_STOPPED] = { true, BACKEND_STOPPED, 0, 0 },
    [WIRE_EXIT_ERROR] = { false, 0, 0, 0 },
};

static int check_access(const struct wire_exit *exit, struct problem *problem)
{
    unsigned size = exit->size;

    if (!size || size > reasons[exit->reason].size_max || size & (size - 1) || exit->write > 1 ||
        exit->address > reasons[exit->reason].address_max)
        return problem_set(problem, STATUS_ENGINE, EPROTO,
                           "the engine broke the protocol: %s of %u bytes at 0x%" PRIx64,
                           exit->reason == WIRE_EXIT_PORT ? "port access" : "memory access", size,
                           exit->address);
    return 0;
}

int wire_check_exit(const struct wire_exit *exit, struct backend_run *run, struct problem *problem)
{
    if (exit->reason == WIRE_EXIT_ERROR) {
        char message[sizeof(exit->message) + 1];
        memcpy(message, exit->message, sizeof(exit->message));
        message[sizeof(exit->message)] = 0;
        /* Ours are ASCII; other bytes could be a terminal's control sequences. */
        for (char *at = message; *at; at++) {
            if (*at < 0x20 || *at > 0x7e)
                *at = '?';
        }
        return problem_set(problem, STATUS_ENGINE, ECANCELED, "the engine cannot go on: %s",
                           message);
    }
    if (exit->reason >= sizeof(reasons) / sizeof(reasons[0]) || !reasons[exit->reason].expected)
        return problem_set(problem, STATUS_ENGINE, EPROTO,
                           "the engine broke the protocol: unexpected exit %u", exit->reason);
    if (reasons[exit->reason].size_max) {
        int result = check_access(exit, problem);
        if (result)
            return result;
    }
    *run = (struct backend_run){
        .exit = reasons[exit->reason].exit,
        .virtual_ns = exit->virtual_ns,
        .instructions = exit->instructions,
    };
    if (reasons[exit->reason].size_max) {
        run->address = exit->address;
        run->size = exit->size;
        run->write = exit->write != 0;
        run->value = exit->value;
        if (exit->size < 8)
            run->value &= (1ull << (8 * exit->size)) - 1;
    }
    return 0;
}
