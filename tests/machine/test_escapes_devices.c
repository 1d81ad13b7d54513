/* SPDX-License-Identifier: MIT */
/* test_escapes_devices.c - attempts with PCI, disk requests and the other devices; see escape.h. */
#include "escape.h"
#include "devices/pci/pci.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- PCI ---- */

static void no_bus_master(struct driver *d)
{
    driver_config_write(d, d->slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    escape_read_to(d, DRIVER_DATA, 512);
    assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_BUFFERS + 16, 1), 0);
    driver_config_write(d, d->slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}
static void bars_overlap(struct driver *d)
{
    uint64_t bar = d->bar;

    for (unsigned slot = 1; slot < 32; slot++) {
        driver_config_write(d, slot, PCI_BAR, 4, (uint32_t)bar);
        driver_config_write(d, slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    }
    /* The lowest slot answers (the console's is 1): the disk's registers are hidden, no one's
     * doorbell but the console's is there. */
    assert_int_equal(driver_read(d, bar + COMMON_QUEUES, 2), 2);
    for (unsigned slot = 2; slot < 32; slot++)
        assert_true(d->doorbell[slot] == ~0ull || d->doorbell[slot] == 0);
    for (unsigned slot = 1; slot < 32; slot++) {
        if (slot != d->slot)
            driver_config_write(d, slot, PCI_COMMAND, 2, 0);
    }
    assert_int_equal(driver_read(d, bar + COMMON_QUEUES, 2), 1);
}
static void bar_anywhere(struct driver *d)
{
    static const uint64_t places[] = { 0,          0x1000,     0xfee00000,         0xfec00000,
                                       0xe0000000, 0xdffff000, 0xfffffffffffff000, 0x100000000,
                                       0xbfff8000, 1ull << 52 };

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        driver_config_write(d, d->slot, PCI_BAR, 4, (uint32_t)places[i]);
        driver_config_write(d, d->slot, PCI_BAR + 4, 4, (uint32_t)(places[i] >> 32));
        driver_read(d, places[i] & ~0x7fffull, 4);
        driver_write(d, places[i] & ~0x7fffull, 4, ~0u);
        assert_true(pci_window_at(&d->board, places[i]) == NULL || places[i] == 0xdffff000);
    }
    driver_config_write(d, d->slot, PCI_BAR, 4, (uint32_t)d->bar);
    driver_config_write(d, d->slot, PCI_BAR + 4, 4, (uint32_t)(d->bar >> 32));
}
static void bar_in_upper_window(struct driver *d)
{
    uint64_t low = d->bar;

    d->bar = pci_window_64(2 << 20) + PCI_WINDOW_64_SIZE - 0x8000;
    driver_config_write(d, d->slot, PCI_BAR, 4, (uint32_t)d->bar);
    driver_config_write(d, d->slot, PCI_BAR + 4, 4, (uint32_t)(d->bar >> 32));
    assert_int_equal(driver_read(d, low, 4), ~0u);
    assert_true(d->doorbell[d->slot] == d->bar + BAR_NOTIFY);
    escape_read_to(d, DRIVER_DATA, 512);
}
static void wild_messages(struct driver *d)
{
    static const uint64_t places[] = { 0,          DRIVER_DATA, 0xfffffffffffffffc,
                                       0xfee00000, PCI_ECAM,    0x7fff00000000 };
    static uint8_t before[DRIVER_LOW_END];

    driver_start(d, 0, 1, ESCAPE_QUEUE); /* without event index: one message a request */
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        driver_write(d, d->bar + BAR_TABLE + 16, 8, places[i]);
        escape_read_to(d, DRIVER_DATA, 512);
        memcpy(before, driver_memory(d, 0, sizeof(before)), sizeof(before));
        /* To the interrupt controllers, with the device's name on it; memory stays as it is. */
        assert_int_equal(d->message[(d->messages - 1) % DRIVER_MESSAGES].address, places[i]);
        assert_int_equal(d->message[(d->messages - 1) % DRIVER_MESSAGES].requester, d->slot << 3);
        assert_memory_equal(before, driver_memory(d, 0, sizeof(before)), sizeof(before));
    }
}
static void vectors_that_are_not_there(struct driver *d)
{
    for (uint64_t at = 2 * 16; at < 0x1000; at += 4) {
        driver_write(d, d->bar + BAR_TABLE + at, 4, ~0u);
        assert_int_equal(driver_read(d, d->bar + BAR_TABLE + at, 4), 0);
    }
    const struct msix_state *msix = &virtio_state_of(d->board.slot[d->slot])->msix;
    for (unsigned i = msix->count; i < MSIX_VECTORS; i++)
        assert_int_equal(msix->entry[i].data | msix->entry[i].address, 0);
    driver_write(d, d->bar + COMMON_QUEUE_SELECT, 2, 0);
    driver_write(d, d->bar + COMMON_QUEUE_VECTOR, 2, 2);
    assert_int_equal(driver_read(d, d->bar + COMMON_QUEUE_VECTOR, 2), MSIX_NONE);
    driver_write(d, d->bar + COMMON_CONFIG_VECTOR, 2, 1000);
    assert_int_equal(driver_read(d, d->bar + COMMON_CONFIG_VECTOR, 2), MSIX_NONE);
    escape_read_to(d, DRIVER_DATA, 512);
}
static void window_to_the_bar(struct driver *d)
{
    unsigned window = virtio_state_of(d->board.slot[d->slot])->window;
    static const uint32_t accesses[][3] = {
        { 0, 0x7ffe, 4 }, { 0, 0xffffffff, 4 }, { 0, 0x8000, 1 },  { 1, 0, 4 },   { 255, 0, 4 },
        { 0, 0, 3 },      { 0, 0, 0xffffffff }, { 0, 0x10000, 2 }, { 0, 0x13, 2 }
    };

    for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
        driver_config_write(d, d->slot, window + 4, 1, accesses[i][0]);
        driver_config_write(d, d->slot, window + 8, 4, accesses[i][1]);
        driver_config_write(d, d->slot, window + 12, 4, accesses[i][2]);
        driver_config_write(d, d->slot, window + 16, 4, 0);
        driver_config_read(d, d->slot, window + 16, 4);
    }
    /* And the right way: queues, through configuration space. */
    driver_config_write(d, d->slot, window + 4, 1, 0);
    driver_config_write(d, d->slot, window + 8, 4, COMMON_QUEUES);
    driver_config_write(d, d->slot, window + 12, 4, 2);
    assert_int_equal(driver_config_read(d, d->slot, window + 16, 4), 1);
    escape_read_to(d, DRIVER_DATA, 512);
}
static void port_sweep(struct driver *d)
{
    for (unsigned port = 0; port < 0x10000; port++) {
        if (port == 0x604 || port == 0xcf9 || port == 0x92 || port == 0x64)
            continue; /* those end the machine, as they should */
        for (unsigned size = 1; size <= 4; size *= 2) {
            board_write(&d->board, SPACE_PORT, port, size, 0xa5a5a5a5);
            board_read(&d->board, SPACE_PORT, port, size);
        }
    }
}
static void configuration_sweep(struct driver *d)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned function = 0; function < 8; function++) {
            for (unsigned offset = 0; offset < 4096; offset += 4)
                driver_config_read(d, slot, function << 12 | offset, 4);
        }
        for (unsigned offset = 0x40; offset < 4096; offset++)
            driver_config_write(d, slot, offset, 1, 0xff);
        for (unsigned offset = 0; offset < 256; offset += 2)
            driver_config_write(d, slot, offset, 2, 0);
    }
    d->bar = PCI_WINDOW_32;
    driver_config_write(d, d->slot, PCI_BAR, 4, (uint32_t)d->bar);
    driver_config_write(d, d->slot, PCI_BAR + 4, 4, 0);
    driver_config_write(d, d->slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    driver_reset(d);
}
static void register_sweep(struct driver *d)
{
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (uint64_t at = 0; at < 0x8000 + 16; at++) {
            driver_read(d, d->bar + at, size);
            driver_write(d, d->bar + at, size, at * 0x0101010101010101ull);
        }
    }
}

/* ---- Disk requests ---- */

static void expect(struct driver *d, uint32_t type, uint64_t sector, uint32_t size, int status)
{
    assert_int_equal(driver_disk(d, type, sector, size), status);
}
static void sectors_outside(struct driver *d)
{
    expect(d, 0, DISK_BYTES / 512, 512, 1);
    expect(d, 0, DISK_BYTES / 512 - 1, 1024, 1);
    expect(d, 0, ~0ull, 512, 1);
    expect(d, 0, ~0ull / 512, 512, 1);
    expect(d, 1, DISK_BYTES / 512, 512, 1);
    expect(d, 1, 1ull << 55, 512, 1);
    expect(d, 1, ~0ull - 1, 1024, 1);
}
static void parts_of_sectors(struct driver *d)
{
    expect(d, 0, 0, 511, 1);
    expect(d, 1, 0, 1, 1);
    expect(d, 1, 0, 513, 1);
}
static void unknown_requests(struct driver *d)
{
    expect(d, 2, 0, 512, 2);
    expect(d, 0xffffffff, 0, 512, 2);
    expect(d, 8, 0, 19, 1); /* no room for an identity */
}
static void put_range(struct driver *d, uint64_t sector, uint32_t count, uint32_t flags)
{
    driver_put64(d, DRIVER_DATA, sector);
    driver_put64(d, DRIVER_DATA + 8, (uint64_t)flags << 32 | count);
}
static void ranges_outside(struct driver *d)
{
    put_range(d, DISK_BYTES / 512 - 1, 2, 0);
    expect(d, 11, 0, 16, 1);
    expect(d, 13, 0, 16, 1);
    put_range(d, ~0ull, 2, 0);
    expect(d, 13, 0, 16, 1);
    put_range(d, 0, 0xffffffff, 0);
    expect(d, 13, 0, 16, 1);
    put_range(d, 0, 0, 0);
    expect(d, 13, 0, 16, 1);
    put_range(d, 0, 1, 2);
    expect(d, 13, 0, 16, 2);
    put_range(d, 0, 1, 1);
    expect(d, 11, 0, 16, 2);
    expect(d, 13, 0, 15, 1);
    expect(d, 13, 0, 32, 1);
}

/* ---- The other devices ---- */

static void offer_one(struct driver *d, unsigned queue, uint64_t address, uint32_t size,
                      uint16_t flags)
{
    driver_descriptor(d, queue, 0, address, size, flags, 0);
    driver_offer(d, queue, 0);
    driver_notify(d, queue);
}
static void balloon_of_everything(struct driver *d)
{
    unsigned disk = d->slot;
    uint32_t *numbers;

    assert_true(driver_find(d, 5, 0));
    driver_start(d, ~0ull & ~VIRTIO_F_EVENT_IDX, 3, 16);
    numbers = driver_memory(d, DRIVER_DATA, 64);
    /* Holes, chips, the end of everything, and its own page of numbers. */
    const uint32_t wild[] = { 0xa0,    0xbf,       0xfee00,           0xe0000,
                              0xc0000, 0xffffffff, DRIVER_DATA >> 12, 0x200 };
    memcpy(numbers, wild, sizeof(wild));
    offer_one(d, 0, DRIVER_DATA, sizeof(wild), 0);
    assert_true(driver_used(d, 0, 1, NULL, NULL));
    assert_int_equal(numbers[0], 0); /* given back: reads as zeros */
    /* Reports: of nothing whole, and across a hole. */
    memset(driver_memory(d, DRIVER_MID, 8192), 0xaa, 8192);
    offer_one(d, 2, DRIVER_MID + 1, 4096, WRITE);
    assert_true(driver_used(d, 2, 1, NULL, NULL));
    for (unsigned i = 0; i < 8192; i++)
        assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_MID + i, 1), 0xaa);
    offer_one(d, 2, DRIVER_LOW_END - 4096, 0x21000, WRITE);
    assert_false(driver_used(d, 2, 0, NULL, NULL));
    assert_int_equal(driver_status(d) & 64, 64);
    d->slot = disk;
    driver_find(d, 2, 0);
    driver_start(d, VIRTIO_F_INDIRECT_DESC, 1, ESCAPE_QUEUE);
}
static void random_numbers_for_all_memory(struct driver *d)
{
    unsigned disk = d->slot;
    uint32_t written = 0;

    assert_true(driver_find(d, 4, 0));
    driver_start(d, 0, 1, 16);
    offer_one(d, 0, 0, DRIVER_LOW_END, WRITE);
    assert_true(driver_used(d, 0, 1, NULL, &written));
    assert_in_range(written, 1, 4096);
    offer_one(d, 0, 0xfee00000, 64, WRITE);
    assert_int_equal(driver_status(d) & 64, 64);
    d->slot = disk;
    driver_find(d, 2, 0);
}
static void random_index_jumps(struct driver *d)
{
    assert_true(driver_find(d, 4, 0));
    driver_start(d, 0, 1, 16);
    driver_descriptor(d, 0, 0, DRIVER_DATA, 64, WRITE, 0);
    d->queue[0].available += 100;
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
    assert_int_equal(driver_status(d) & 64, 64);
    driver_find(d, 2, 0);
}
static void console_of_wild_buffers(struct driver *d)
{
    unsigned disk = d->slot;

    assert_true(driver_find(d, 3, 0));
    driver_start(d, 0, 2, 16);
    d->room = 3;
    memcpy(driver_memory(d, DRIVER_DATA, 8), "abcdefgh", 8);
    offer_one(d, 1, DRIVER_DATA, 8, 0);
    d->room = DRIVER_OUTPUT;
    board_console(&d->board);
    assert_memory_equal(d->output, "abcdefgh", 8);
    offer_one(d, 1, 0xe0000000, 8, 0);
    assert_int_equal(driver_status(d) & 64, 64);
    d->slot = disk;
    driver_find(d, 2, 0);
}

static const struct escape attempts[] = {
#define ROW(function, outcome)                                                                     \
    {                                                                                              \
#function, function, outcome                                                               \
    }
    ROW(no_bus_master, SILENT),         ROW(bars_overlap, SILENT),
    ROW(bar_anywhere, SILENT),          ROW(bar_in_upper_window, WORKS),
    ROW(wild_messages, WORKS),          ROW(vectors_that_are_not_there, WORKS),
    ROW(window_to_the_bar, WORKS),      ROW(port_sweep, SILENT),
    ROW(configuration_sweep, SILENT),   ROW(register_sweep, SILENT),
    ROW(sectors_outside, REFUSED),      ROW(parts_of_sectors, REFUSED),
    ROW(unknown_requests, REFUSED),     ROW(ranges_outside, REFUSED),
    ROW(balloon_of_everything, SILENT), ROW(random_numbers_for_all_memory, SILENT),
    ROW(random_index_jumps, SILENT),    ROW(console_of_wild_buffers, SILENT),
};

int main(void)
{
    return escape_run(attempts, sizeof(attempts) / sizeof(attempts[0]));
}
