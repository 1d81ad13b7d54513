/* SPDX-License-Identifier: MIT */
/*
 * A virtio disk driven by polling (virtio 1.2, 4.1, 5.2; PCI by ports). Needs a disk whose sector n
 * holds `mov eax, n * 0x01010101; ret`: each is read to the same place and run, so that code
 * translated from the sector before it must be gone. Then it times notifications that are
 * doorbells, and accesses to the same page that are not.
 */
#include "guest.h"

void image_main(void);

#define SECTORS 64
#define ROUNDS  3000
#define TIMES   20000
#define QUEUE   8
#define NO_SLOT 32u

enum { COMMON = 0, CONFIG = 0x2000, NOTIFY = 0x3000 };

struct descriptor_ring {
    u64 address;
    u32 size;
    u16 flags, next;
};
static struct descriptor_ring ring[QUEUE] __attribute__((aligned(4096)));
static volatile struct {
    u16 flags, index, ring[QUEUE];
} available __attribute__((aligned(4096)));
static volatile struct {
    u16 flags, index;
    struct {
        u32 head, written;
    } ring[QUEUE];
} used __attribute__((aligned(4096)));
static struct {
    u32 type, reserved;
    u64 sector;
} header;
static volatile u8 status;
static u8 code[4096] __attribute__((aligned(4096)));

static ulong bar;

static void die(const char *why)
{
    print("FAIL %s\n", why);
    guest_exit(1);
}

static u32 config(u32 slot, u32 offset)
{
    outl(0xcf8, 0x80000000u | slot << 11 | offset);
    return inl(0xcfc);
}

static volatile u8 *reg8(ulong offset)
{
    return (volatile u8 *)(bar + offset);
}
static volatile u16 *reg16(ulong offset)
{
    return (volatile u16 *)(bar + offset);
}
static volatile u32 *reg32(ulong offset)
{
    return (volatile u32 *)(bar + offset);
}

static void set_address(ulong offset, const volatile void *at)
{
    *reg32(offset) = (u32)(ulong)at;
    *reg32(offset + 4) = (u32)((u64)(ulong)at >> 32);
}

static void find_disk(void)
{
    u32 slot = 0;

    while (slot < NO_SLOT && config(slot, 0) != 0x10421af4)
        slot++;
    if (slot == NO_SLOT)
        die("no virtio disk");
    bar = config(slot, 0x10) & ~15u;
    outl(0xcf8, 0x80000000u | slot << 11 | 4);
    outw(0xcfc, 6); /* memory, bus master */
}

static void start_disk(void)
{
    *reg8(0x14) = 0;
    while (*reg8(0x14))
        ;
    *reg8(0x14) = 3;
    *reg32(0x08) = 1;
    *reg32(0x0c) = 1; /* VERSION_1 and nothing else */
    *reg8(0x14) = 11;
    if (!(*reg8(0x14) & 8))
        die("features");
    *reg16(0x16) = 0;
    *reg16(0x18) = QUEUE;
    set_address(0x20, ring);
    set_address(0x28, &available);
    set_address(0x30, &used);
    *reg16(0x1c) = 1;
    *reg8(0x14) = 15;
    available.flags = 1; /* no interrupts */
}

static void read_sector(u64 sector)
{
    header.type = 0;
    header.sector = sector;
    status = 0xff;
    ring[0] = (struct descriptor_ring){ (ulong)&header, 16, 1, 1 };
    ring[1] = (struct descriptor_ring){ (ulong)code, 512, 3, 2 };
    ring[2] = (struct descriptor_ring){ (ulong)&status, 1, 2, 0 };
    available.ring[available.index % QUEUE] = 0;
    __asm__ volatile("" ::: "memory");
    available.index++;
    __asm__ volatile("mfence" ::: "memory");
    *reg16(NOTIFY) = 0;
    while (used.index != available.index)
        __asm__ volatile("pause" ::: "memory");
    if (status != 0)
        die("status of a read");
}

/* New code is seen from the next serializing instruction on (SDM Vol. 3, 9.1.3). */
static void run_sectors(void)
{
    u32 r[4];
    u64 reading = 0;

    for (u32 i = 0; i < ROUNDS; i++) {
        u32 sector = i * 7 % SECTORS, got;
        u64 start = rdtsc();
        read_sector(sector);
        reading += rdtsc() - start;
        cpuid(0, 0, r);
        for (u32 again = 0; again < 3; again++) { /* the second time it is translated for sure */
            __asm__ volatile("call *%1" : "=a"(got) : "r"(code) : "memory", "cc");
            if (got != sector * 0x01010101u) {
                print("round %u: sector %u, code returned %x\n", i, sector, (ulong)got);
                die("old code ran");
            }
        }
    }
    print("code from %u sectors: ok, %u ns a read\n", ROUNDS, (u32)(reading / ROUNDS));
}

static void time_notifications(void)
{
    u64 start = rdtsc(), posted, waited;

    for (u32 i = 0; i < TIMES; i++)
        *reg16(NOTIFY + 4) = 1; /* a queue that is not there */
    posted = rdtsc() - start;
    start = rdtsc();
    for (u32 i = 0; i < TIMES; i++)
        *reg8(NOTIFY + 6) = 1; /* no doorbell: not at a word */
    waited = rdtsc() - start;
    print("a doorbell %u ns, an access %u ns\n", (u32)(posted / TIMES), (u32)(waited / TIMES));
}

void image_main(void)
{
    find_disk();
    start_disk();
    run_sectors();
    time_notifications();
    guest_exit(0);
}
