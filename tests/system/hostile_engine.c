/* SPDX-License-Identifier: MIT */
/*
 * hostile_engine.c - stands where the engine stands, and does what an engine that a guest has taken
 * over could do with what is in its reach: the wire, the page flags, guest memory.
 *
 * Started without arguments, like the engine; which attack, and the seed of its random numbers,
 * stand in the file `attack` beside the program: "NAME SEED". It ends by itself (SIGALRM at the
 * latest), except where silence is the attack.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <origami/state.h>
#include <origami/wire.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LIFE_SECONDS 3
#define OWN_FAILURE  99

static struct wire *wire;
static size_t wire_size;
static struct wire_vcpu *channel;
static uint8_t *memory;
static size_t memory_size;
static uint64_t seed;
static uint64_t count; /* exits reported */

/* ---- Random numbers: xorshift64*, one generator for each thread ---- */

static _Thread_local uint64_t state;

static uint64_t random64(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t limit)
{
    return random64() % limit;
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

/* Values at which checks go wrong. */
static uint64_t edge(void)
{
    static const uint64_t edges[] = { 0,          1,          2,          3,          4,
                                      8,          0x7f,       0x80,       0xff,       0x100,
                                      0xffff,     0x10000,    65535,      65536,      65537,
                                      0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32, ~0ull,
                                      ~0ull - 1,  1ull << 52, 1ull << 63, 0xfee00000, 0xfec00000,
                                      0xa0000 };
    return one_in(3) ? random64() : edges[below(sizeof(edges) / sizeof(edges[0]))];
}

static void fill(void *at, size_t size)
{
    uint8_t *byte = at;

    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t value = random64();
        memcpy(byte + i, &value, 8);
    }
}

/* ---- The conversation ---- */

static void futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void give_turn(void)
{
    __atomic_store_n(&channel->turn, WIRE_TURN_MACHINE, __ATOMIC_SEQ_CST);
    futex(&channel->turn, FUTEX_WAKE, 1, NULL);
}

static void take_turn(void)
{
    const struct timespec slice = { .tv_nsec = 10000000 };

    while (__atomic_load_n(&channel->turn, __ATOMIC_SEQ_CST) != WIRE_TURN_ENGINE)
        futex(&channel->turn, FUTEX_WAIT, WIRE_TURN_MACHINE, &slice);
}

/* Answers a state request as the engine would: the sizes are right, the contents random or zero. */
static void answer_honestly(const struct wire_reply *reply, bool random)
{
    static const uint32_t sizes[STATE_PART_COUNT] = { [STATE_REGISTERS] =
                                                          sizeof(struct vcpu_registers),
                                                      [STATE_EXTENDED] = XSAVE_AREA_SIZE,
                                                      [STATE_STATISTICS] = 4096 };

    channel->exit.reason = WIRE_EXIT_STATE;
    channel->exit.status = 0;
    if (reply->command != WIRE_COMMAND_GET_STATE)
        return;
    uint32_t size = reply->part < STATE_PART_COUNT ? sizes[reply->part] : 0;
    memset(channel->state, 0, size);
    if (random)
        fill(channel->state, size);
    channel->reply.state_size = size;
}

static void answer_wildly(void)
{
    fill(channel->state, one_in(2) ? 4096 : WIRE_STATE_SIZE);
    channel->exit.reason = one_in(8) ? (uint32_t)edge() : WIRE_EXIT_STATE;
    channel->exit.status = one_in(8) ? (int32_t)edge() : 0;
    channel->reply.state_size = (uint32_t)edge();
}

/* How the end of a run and state requests are answered. */
static enum { HONEST, RANDOM, WILD } manner;

/* Reports what is in channel->exit and obeys until told to go on. */
static void report(void)
{
    for (count++;;) {
        give_turn();
        take_turn();
        struct wire_reply reply = channel->reply;
        if (reply.command == WIRE_COMMAND_QUIT)
            _exit(0);
        if (reply.command == WIRE_COMMAND_STOP)
            channel->exit.reason =
                manner == WILD && one_in(2) ? (uint32_t)edge() : WIRE_EXIT_STOPPED;
        else if (reply.command != WIRE_COMMAND_GET_STATE && reply.command != WIRE_COMMAND_SET_STATE)
            return;
        else if (manner == WILD)
            answer_wildly();
        else
            answer_honestly(&reply, manner == RANDOM);
    }
}

static void ready(void)
{
    channel->exit.reason = WIRE_EXIT_READY;
    report();
}

/* One access that the machine's checks let pass, mostly to where devices are. */
static void access_device(void)
{
    static const uint16_t ports[] = {
        0x20,  0x40,  0x60,  0x61,  0x64,  0x70,  0x71,  0x80,  0x92,
        0x2f8, 0x3d4, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe,
        0x3ff, 0x4d0, 0x600, 0x604, 0x608, 0xcf8, 0xcfc, 0xf4,  0x402
    };
    struct wire_exit *exit = &channel->exit;
    bool port = !one_in(8);

    exit->reason = port ? WIRE_EXIT_PORT : WIRE_EXIT_MMIO;
    exit->size = 1u << below(port ? 3 : 4);
    exit->write = (uint32_t)below(2);
    exit->address =
        one_in(6) ? below(0x10000) : ports[below(sizeof(ports) / sizeof(ports[0]))] + below(2);
    if (!port)
        exit->address = one_in(2) ? edge() & ((1ull << 52) - 1) : 0xfec00000 + below(0x400000);
    exit->value = one_in(2) ? edge() : below(256);
    /* Ways to end the run are rare, or nothing else would be seen. */
    if (port && exit->write && !one_in(200) &&
        (exit->address == 0xf4 || exit->address == 0x92 || exit->address == 0x64 ||
         exit->address == 0xcf9 || (exit->address >= 0x600 && exit->address < 0x608)))
        exit->write = 0;
    exit->virtual_ns = one_in(20) ? edge() : count * 1000;
    exit->instructions = one_in(20) ? edge() : count;
    report();
}

/* ---- Second threads ---- */

static uint64_t *anywhere(void *base, size_t size)
{
    return (uint64_t *)((uint8_t *)base + (below(size - 8) & ~7ull));
}

/* Writes over the conversation, again and again, while the machine reads it. */
static void *scribble_channel(void *turns)
{
    state = seed ^ 0x5bd1e995;
    for (;;) {
        uint32_t turn = channel->turn;
        switch (below(turns ? 12 : 8)) {
        case 0:
            channel->exit.size = (uint32_t)edge();
            break;
        case 1:
            channel->exit.address = edge();
            break;
        case 2:
            channel->exit.reason = (uint32_t)below(12);
            break;
        case 3:
            channel->reply.state_size = (uint32_t)edge();
            break;
        case 4:
            *anywhere(&channel->exit, sizeof(channel->exit)) = edge();
            break;
        case 5:
            wire->msi_tail = (uint32_t)edge();
            break;
        case 6: /* interrupt lines, pulses, deadline, messages */
            *anywhere(&wire->lines, offsetof(struct wire, vcpu) - offsetof(struct wire, lines)) =
                edge();
            break;
        case 7:
            *anywhere(&wire->setup, sizeof(wire->setup)) = edge();
            break;
        case 8:
            channel->kick = (uint32_t)below(3);
            channel->pause = (uint32_t)below(3);
            break;
        default:
            channel->turn = one_in(10) ? (uint32_t)edge() : !turn;
            futex(&channel->turn, FUTEX_WAKE, 1, NULL);
            break;
        }
    }
    return NULL;
}

static void *scribble_memory(void *unused)
{
    uint64_t flags = wire->setup.page_flags_offset, size = wire->setup.page_flags_size;

    (void)unused;
    state = seed ^ 0x9e3779b9;
    for (;;) {
        *anywhere(memory, memory_size) = edge();
        if (flags + size <= wire_size && size > 8)
            *anywhere((uint8_t *)wire + flags, size) = edge();
        if (one_in(1000))
            fill(memory + (below(memory_size) & ~4095ull), 4096);
    }
    return NULL;
}

static void beside(void *(*thread)(void *), void *argument)
{
    pthread_t id;

    if (pthread_create(&id, NULL, thread, argument) != 0)
        _exit(OWN_FAILURE);
}

/* ---- Attacks ---- */

static void devices(unsigned accesses)
{
    for (unsigned i = 0; i < accesses; i++)
        access_device();
}

static void attack_garbage(void)
{
    if (one_in(2))
        ready();
    for (unsigned i = 0; i < 20; i++) {
        if (one_in(2))
            fill(wire, wire_size);
        else
            fill(channel, sizeof(*channel));
        give_turn();
        usleep((useconds_t)below(20000));
    }
}

static void attack_handshake(void)
{
    manner = WILD;
    ready();
    devices(100);
}

static void attack_devices(void)
{
    ready();
    devices(5000);
    channel->exit.reason = (uint32_t)below(16);
    report();
}

static void attack_exits(void)
{
    ready();
    for (;;) {
        devices((unsigned)below(50));
        fill(&channel->exit, sizeof(channel->exit));
        channel->exit.reason = one_in(4) ? (uint32_t)edge() : (uint32_t)below(12);
        channel->exit.size = (uint32_t)below(10);
        channel->exit.write = (uint32_t)below(3);
        if (one_in(2))
            channel->exit.address = edge();
        report();
    }
}

static void attack_race(void)
{
    if (one_in(2))
        manner = WILD;
    if (one_in(4)) {
        beside(scribble_channel, NULL);
        ready();
    } else {
        ready();
        beside(scribble_channel, NULL);
    }
    devices(5000);
}

static void attack_turns(void)
{
    ready();
    beside(scribble_channel, &wire);
    for (;;) {
        channel->exit.reason = WIRE_EXIT_PORT;
        channel->exit.size = 1;
        channel->exit.write = 0;
        channel->exit.address = 0x3fd;
        give_turn();
        if (one_in(2))
            take_turn();
    }
}

static void attack_memory(void)
{
    beside(scribble_memory, NULL);
    ready();
    devices(3000);
}

/* With --stats: the run ends well, then the state that is asked for is whatever comes to mind. */
static void attack_statistics(void)
{
    ready();
    manner = one_in(3) ? WILD : RANDOM;
    if (one_in(2))
        beside(scribble_memory, NULL);
    devices((unsigned)below(100));
    channel->exit = (struct wire_exit){
        .reason = WIRE_EXIT_PORT, .size = 4, .write = 1, .address = 0xf4, .value = 5
    };
    channel->exit.instructions = edge();
    channel->exit.virtual_ns = edge();
    report();
}

/* Resets, so that another of us is started, or does something worse. */
static void attack_reboot(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    state ^= (uint64_t)now.tv_nsec << 20;
    ready();
    if (one_in(4)) {
        attack_exits();
    } else {
        devices((unsigned)below(20));
        channel->exit = (struct wire_exit){
            .reason = WIRE_EXIT_PORT, .size = 1, .write = 1, .address = 0x64, .value = 0xfe
        };
        report();
    }
}

static void attack_die(void)
{
    static const int signals[] = { SIGKILL, SIGSEGV, SIGSYS, SIGABRT, SIGTERM, SIGBUS };

    if (!one_in(3)) {
        ready();
        devices((unsigned)below(50));
    }
    if (one_in(2))
        raise(signals[below(sizeof(signals) / sizeof(signals[0]))]);
    _exit((int)below(256));
}

static void attack_error(void)
{
    ready();
    fill(channel->exit.message, sizeof(channel->exit.message));
    if (one_in(2))
        memcpy(channel->exit.message, "two\nlines \033[31m %s%n", 20);
    channel->exit.reason = WIRE_EXIT_ERROR;
    report();
}

/* Ready, then nothing more; obeys nothing. */
static void attack_silence(void)
{
    ready();
    for (;;)
        pause();
}

/* Not even ready. */
static void attack_deaf(void)
{
    for (;;)
        pause();
}

static const struct {
    const char *name;
    void (*run)(void);
    bool lasts;
} attacks[] = {
    { "garbage", attack_garbage, false }, { "handshake", attack_handshake, false },
    { "devices", attack_devices, false }, { "exits", attack_exits, false },
    { "race", attack_race, false },       { "turns", attack_turns, false },
    { "memory", attack_memory, false },   { "statistics", attack_statistics, false },
    { "reboot", attack_reboot, false },   { "die", attack_die, false },
    { "error", attack_error, false },     { "silence", attack_silence, true },
    { "deaf", attack_deaf, true },
};

/* ---- Start ---- */

static void read_attack(char *name, size_t size)
{
    char path[4096], text[128] = "";
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 8);

    if (length < 0)
        _exit(OWN_FAILURE);
    path[length] = 0;
    strcpy(strrchr(path, '/') + 1, "attack");
    int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        _exit(OWN_FAILURE);
    close(fd);
    char *space = strchr(text, ' ');
    if (!space || (size_t)(space - text) >= size)
        _exit(OWN_FAILURE);
    *space = 0;
    strcpy(name, text);
    seed = strtoull(space + 1, NULL, 10);
    state = (seed + 1) * 0x9e3779b97f4a7c15ull;
}

static void *map(int fd, size_t *size)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        _exit(OWN_FAILURE);
    *size = (size_t)info.st_size;
    void *at = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        _exit(OWN_FAILURE);
    return at;
}

int main(void)
{
    char name[32];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    read_attack(name, sizeof(name));
    wire = map(WIRE_FD, &wire_size);
    memory = map(WIRE_FD_MEMORY, &memory_size);
    channel = &wire->vcpu[0];
    for (unsigned i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        if (strcmp(name, attacks[i].name) != 0)
            continue;
        if (!attacks[i].lasts)
            alarm(LIFE_SECONDS);
        attacks[i].run();
        _exit((int)below(256));
    }
    return OWN_FAILURE;
}
