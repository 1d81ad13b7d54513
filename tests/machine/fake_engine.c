/* SPDX-License-Identifier: MIT */
/*
 * fake_engine.c - a program that speaks the engine's side of the wire without running any guest.
 * What it does is the kernel's command line, which it finds in guest memory where the PVH loader
 * puts it: words separated by spaces, one step each. See steps[] below.
 */
#include <errno.h>
#include <linux/futex.h>
#include <origami/wire.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "engine.h"
#include "loaders/layout.h"

#define COM 0x3f8

static struct wire *wire;
static struct wire_vcpu *channel;
static uint64_t retired;

static void futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void answer_state(const struct wire_reply *reply)
{
    static struct vcpu_registers registers;
    uint32_t size = 256;

    channel->exit.reason = WIRE_EXIT_STATE;
    channel->exit.status = 0;
    if (reply->part == STATE_REGISTERS)
        size = sizeof(registers);
    else if (reply->part == STATE_STATISTICS)
        size = sizeof(struct vcpu_statistics);
    if (reply->command == WIRE_COMMAND_GET_STATE) {
        memset(channel->state, 0, size);
        channel->reply.state_size = size;
    }
}

/* Reports an exit; returns the value read. Does not return once the machine has had enough. */
static uint64_t report(uint32_t reason)
{
    bool stopping = false;

    channel->exit.reason = reason;
    channel->exit.instructions = ++retired;
    channel->exit.virtual_ns = retired * 1000;
    for (;;) {
        __atomic_store_n(&channel->turn, WIRE_TURN_MACHINE, __ATOMIC_SEQ_CST);
        futex(&channel->turn, FUTEX_WAKE, 1, NULL);
        while (__atomic_load_n(&channel->turn, __ATOMIC_SEQ_CST) != WIRE_TURN_ENGINE)
            futex(&channel->turn, FUTEX_WAIT, WIRE_TURN_MACHINE, NULL);
        struct wire_reply reply = channel->reply;
        switch (reply.command) {
        case WIRE_COMMAND_CONTINUE:
            if (stopping)
                exit(77);
            if (!channel->pause)
                return reply.value;
            channel->exit.reason = WIRE_EXIT_COMMAND;
            break;
        case WIRE_COMMAND_STOP:
            stopping = true;
            channel->exit.reason = WIRE_EXIT_STOPPED;
            break;
        case WIRE_COMMAND_QUIT:
            exit(0);
        default:
            answer_state(&reply);
        }
    }
}

static uint64_t port(uint16_t number, unsigned size, bool write, uint64_t value)
{
    channel->exit.address = number;
    channel->exit.size = size;
    channel->exit.write = write;
    channel->exit.value = value;
    return report(WIRE_EXIT_PORT);
}

static void say(const char *text)
{
    for (; *text; text++) {
        while (!(port(COM + 5, 1, false, 0) & 0x20))
            continue;
        port(COM, 1, true, (uint8_t)*text);
    }
}

/* HLT: until a kick comes. */
static void halt(void)
{
    while (!__atomic_exchange_n(&channel->kick, 0, __ATOMIC_SEQ_CST)) {
        const struct timespec slice = { .tv_nsec = 100000000 };
        futex(&channel->kick, FUTEX_WAIT, 0, &slice);
    }
    if (channel->pause)
        report(WIRE_EXIT_COMMAND);
}

/* ---- Steps ---- */

static void step_hello(void)
{
    say("hello\r\n");
}
static void step_poweroff(void)
{
    port(0x604, 2, true, 5 << 10 | 1 << 13);
}
static void step_reset(void)
{
    port(0xcf9, 1, true, 6);
}
static void step_triple(void)
{
    report(WIRE_EXIT_SHUTDOWN);
}
static void step_exit(void)
{
    port(0xf4, 4, true, 0x81); /* status 3: (0x81 << 1 | 1) cut to 8 bits */
}
/* Remembers boots in the CMOS memory, which a reset keeps: the second time it goes on. */
static void step_reset_once(void)
{
    port(0x70, 1, true, 0x50);
    if (port(0x71, 1, false, 0) == 0x77)
        return;
    port(0x71, 1, true, 0x77);
    step_reset();
}
static void step_hang(void)
{
    for (;;)
        pause();
}
static void step_sleep(void)
{
    for (;;)
        halt();
}
static void step_spin(void)
{
    for (;;)
        port(COM + 7, 1, false, 0);
}
/* Says what is typed, until q. */
static void step_echo(void)
{
    port(COM + 2, 1, true, 1);
    port(COM + 4, 1, true, 0x0b);
    port(COM + 1, 1, true, 1);
    for (;;) {
        while (port(COM + 5, 1, false, 0) & 1) {
            char text[8] = { '<', (char)port(COM, 1, false, 0), '>', 0 };
            say(text);
            if (text[1] == 'q')
                return;
        }
        while (!(wire->lines[0] & 1 << 4))
            halt();
    }
}
static void step_flood(void)
{
    for (unsigned i = 0; i < 100000; i++)
        port(COM, 1, true, 'f');
}
static void step_lines(void)
{
    for (unsigned i = 0; i < 3000; i++)
        say("0123456789\n");
}
static void step_die(void)
{
    exit(3);
}
static void step_kill(void)
{
    kill(getpid(), SIGKILL);
}
static void step_orphan(void)
{
    kill((pid_t)wire->setup.machine_parent, SIGKILL);
    step_hang();
}
static void step_error(void)
{
    strcpy(channel->exit.message, "a message\nwith \x1b[31mcolour");
    report(WIRE_EXIT_ERROR);
}
static void step_bad_reason(void)
{
    report(1234);
}
static void step_bad_port(void)
{
    port(COM, 3, true, 1);
}
static void step_bad_address(void)
{
    channel->exit.address = ~0ull;
    channel->exit.size = 8;
    report(WIRE_EXIT_MMIO);
}
static void step_deadline(void)
{
    /* RTC update interrupt: a deadline within a second appears. */
    port(0x70, 1, true, 11);
    port(0x71, 1, true, 0x12);
    if (wire->deadline > 60000000000ull)
        exit(78);
    report(WIRE_EXIT_DEADLINE);
    if (!(wire->lines[1 / 64] & 1 << 8))
        exit(79);
    port(0x70, 1, true, 12);
    if (port(0x71, 1, false, 0) != 0xd0 || !(wire->pulses[0] & 1 << 8))
        exit(80);
}

/* Everything the engine can write is garbage, while the machine is at work and between. */
static void step_scribble(void)
{
    uint64_t random = 0x1234567 + (uint64_t)getpid();
    uint64_t *words = (uint64_t *)wire;
    size_t count = wire->setup.size / 8;

    for (unsigned i = 0; i < 3000000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        words[(random >> 8) % count] = random * 0x9e3779b97f4a7c15ull;
        if (i % 16 == 0) {
            channel->exit.reason = (uint32_t)(random >> 32) % 10;
            channel->exit.size = 1u << (random >> 40) % 4;
            channel->exit.write = random >> 50 & 1;
            channel->exit.address = (random >> 20) % 0x10000;
            channel->exit.value = random;
            __atomic_store_n(&channel->turn, (uint32_t)(random >> 60) % 3, __ATOMIC_SEQ_CST);
            futex(&channel->turn, FUTEX_WAKE, 1, NULL);
        }
    }
    exit(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} steps[] = {
    { "hello", step_hello },
    { "poweroff", step_poweroff },
    { "reset", step_reset },
    { "reset-once", step_reset_once },
    { "triple", step_triple },
    { "exit", step_exit },
    { "hang", step_hang },
    { "sleep", step_sleep },
    { "spin", step_spin },
    { "echo", step_echo },
    { "flood", step_flood },
    { "lines", step_lines },
    { "die", step_die },
    { "kill", step_kill },
    { "orphan", step_orphan },
    { "error", step_error },
    { "bad-reason", step_bad_reason },
    { "bad-port", step_bad_port },
    { "bad-address", step_bad_address },
    { "deadline", step_deadline },
    { "scribble", step_scribble },
};

static void run_step(const char *name)
{
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (!strcmp(name, steps[i].name)) {
            steps[i].run();
            return;
        }
    }
    exit(76);
}

int main(void)
{
    char script[256] = { 0 };

    wire = mmap(NULL, sizeof(struct wire), PROT_READ | PROT_WRITE, MAP_SHARED, WIRE_FD, 0);
    const char *ram = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, WIRE_FD_MEMORY, 0);
    if (wire == MAP_FAILED || ram == MAP_FAILED || wire->setup.magic != WIRE_MAGIC)
        return 75;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    channel = &wire->vcpu[0];
    /* Only the wire and guest memory are open, and standard streams lead nowhere. */
    if (write(5, "", 1) >= 0 || errno != EBADF || isatty(0) || isatty(2))
        return 74;
    report(WIRE_EXIT_READY);
    strncpy(script, ram + BOOT_CMDLINE, sizeof(script) - 1);
    for (char *word = strtok(script, " "); word; word = strtok(NULL, " "))
        run_step(word);
    step_hang();
}
