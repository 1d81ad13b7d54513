/* SPDX-License-Identifier: MIT */
/*
 * io - disk and network items of the benchmark, in a guest: reads "run ITEM N" lines until "quit".
 *
 *     io DISK ADDRESS PORT    a block device to overwrite; the server of bench/io.py
 *
 * Results are lines as those of bench.c: @bench ITEM N NANOSECONDS 0 CHECKSUM -, or @failed ITEM N
 * REASON. The disk is read and written around the guest's cache (O_DIRECT).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MIB      (1u << 20)
#define BLOCK    4096u
#define SPAN_MIB 192u /* of the disk that is used */

static uint8_t *buffer; /* MIB bytes, aligned */
static const char *disk;
static struct sockaddr_in server;

static uint64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A block's contents follow from its number. */
static void fill(uint64_t block, uint8_t *at)
{
    for (unsigned i = 0; i < BLOCK / 8; i++) {
        uint64_t word = (block + 1) * 0x9e3779b97f4a7c15u + i;
        memcpy(at + 8 * i, &word, 8);
    }
}

static uint64_t first_word(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, 8);
    return word;
}

static int disk_move(bool write, uint64_t n, uint64_t *sum)
{
    int fd = open(disk, O_RDWR | O_DIRECT);
    int result = fd < 0 ? -errno : 0;

    for (uint64_t i = 0; i < n && result == 0; i++) {
        off_t offset = (off_t)(i % SPAN_MIB * MIB);
        if (write)
            fill(i % SPAN_MIB, buffer);
        ssize_t done = write ? pwrite(fd, buffer, MIB, offset) : pread(fd, buffer, MIB, offset);
        if (done != (ssize_t)MIB)
            result = -EIO;
        *sum += first_word(buffer);
    }
    if (result == 0 && write && fsync(fd) != 0)
        result = -errno;
    if (fd >= 0)
        close(fd);
    return result;
}

static int disk_write(uint64_t n, uint64_t *sum)
{
    return disk_move(true, n, sum);
}

static int disk_read(uint64_t n, uint64_t *sum)
{
    return disk_move(false, n, sum);
}

/* One block at a time: latency, not throughput. */
static int disk_blocks(bool write, uint64_t n, uint64_t *sum)
{
    int fd = open(disk, O_RDWR | O_DIRECT);
    int result = fd < 0 ? -errno : 0;
    uint64_t random = 88172645463325252u;

    for (uint64_t i = 0; i < n && result == 0; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t block = random % (SPAN_MIB * (MIB / BLOCK));
        if (write)
            fill(block, buffer);
        ssize_t done = write ? pwrite(fd, buffer, BLOCK, (off_t)(block * BLOCK))
                             : pread(fd, buffer, BLOCK, (off_t)(block * BLOCK));
        if (done != (ssize_t)BLOCK || (write && fdatasync(fd) != 0))
            result = -EIO;
        *sum += write ? first_word(buffer) : 1;
    }
    if (fd >= 0)
        close(fd);
    return result;
}

static int disk_random(uint64_t n, uint64_t *sum)
{
    return disk_blocks(false, n, sum);
}

static int disk_flush(uint64_t n, uint64_t *sum)
{
    return disk_blocks(true, n, sum);
}

/* ---- Network: one letter and a count tell the server what is wanted ---- */

static int dial(char what, uint64_t n)
{
    char request[32];
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    int size = snprintf(request, sizeof(request), "%c%020" PRIu64 "\n", what, n);

    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof(server)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        write(fd, request, (size_t)size) != size) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static int net_down(uint64_t n, uint64_t *sum)
{
    int fd = dial('d', n * MIB);
    uint64_t got = 0;
    ssize_t size;

    if (fd < 0)
        return fd;
    while ((size = read(fd, buffer, MIB)) > 0)
        got += (uint64_t)size;
    close(fd);
    *sum = got;
    return got == n * MIB ? 0 : -EIO;
}

static int net_up(uint64_t n, uint64_t *sum)
{
    int fd = dial('u', n * MIB);
    uint64_t left = n * MIB;

    if (fd < 0)
        return fd;
    while (left) {
        ssize_t size = write(fd, buffer, left < MIB ? left : MIB);
        if (size <= 0)
            break;
        left -= (uint64_t)size;
    }
    /* The server says how much it has when it has all. */
    ssize_t size = left ? -1 : read(fd, sum, sizeof(*sum));
    close(fd);
    return size == (ssize_t)sizeof(*sum) && *sum == n * MIB ? 0 : -EIO;
}

static int net_roundtrip(uint64_t n, uint64_t *sum)
{
    int fd = dial('e', n * 64);
    int result = fd < 0 ? fd : 0;

    for (uint64_t i = 0; i < n && result == 0; i++) {
        if (write(fd, buffer, 64) != 64)
            result = -EIO;
        for (size_t got = 0; got < 64 && result == 0;) {
            ssize_t size = read(fd, buffer, 64 - got);
            if (size <= 0)
                result = -EIO;
            got += (size_t)size;
        }
        *sum += 1;
    }
    if (fd >= 0)
        close(fd);
    return result;
}

static int net_connect(uint64_t n, uint64_t *sum)
{
    int result = 0;

    for (uint64_t i = 0; i < n && result == 0; i++) {
        uint64_t got = 0;
        result = net_down(0, &got);
        *sum += 1;
    }
    return result;
}

static const struct item {
    const char *name;
    int (*work)(uint64_t n, uint64_t *sum);
} items[] = {
    { "disk-write", disk_write },       { "disk-read", disk_read },
    { "disk-random", disk_random },     { "disk-flush", disk_flush },
    { "net-down", net_down },           { "net-up", net_up },
    { "net-roundtrip", net_roundtrip }, { "net-connect", net_connect },
};

static void run_item(const char *name, uint64_t n)
{
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        uint64_t sum = 0, start = clock_now();
        if (strcmp(items[i].name, name) != 0)
            continue;
        int result = items[i].work(n, &sum);
        uint64_t elapsed = clock_now() - start;
        if (result)
            printf("@failed %s %" PRIu64 " %s\n", name, n, strerror(-result));
        else
            printf("@bench %s %" PRIu64 " %" PRIu64 " 0 %016" PRIx64 " -\n", name, n, elapsed, sum);
        return;
    }
    printf("@failed %s %" PRIu64 " no such item\n", name, n);
}

static void console_quiet(void)
{
    struct termios t;

    if (tcgetattr(STDIN_FILENO, &t) == 0) {
        t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
        t.c_oflag &= ~(tcflag_t)OPOST;
        tcsetattr(STDIN_FILENO, TCSANOW, &t);
    }
}

int main(int argc, char **argv)
{
    char line[128], name[64];
    uint64_t n;

    if (argc != 4 || posix_memalign((void **)&buffer, BLOCK, MIB) != 0)
        return 2;
    memset(buffer, 0, MIB);
    disk = argv[1];
    server =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])) };
    if (inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
        return 2;
    console_quiet();
    printf("@ready\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4) != 0) {
        if (sscanf(line, "run %63s %" SCNu64, name, &n) == 2)
            run_item(name, n);
        fflush(stdout);
    }
    return 0;
}
