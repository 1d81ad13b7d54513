/* SPDX-License-Identifier: MIT */
/*
 * test_virtio.c - PCI, MSI-X, queues and the devices as a well-behaved driver sees them
 * (virtio 1.2).
 */
#include "disk_fixture.h"
#include "devices/pci/pci.h"
#include "memory/dma.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define F_EVENT    VIRTIO_F_EVENT_IDX
#define F_INDIRECT VIRTIO_F_INDIRECT_DESC
#define BLK_FLUSH  (1ull << 9)
#define BLK_RO     (1ull << 5)

static struct disk_fixture fixture;
static struct driver *const d = &fixture.driver;

static int one_disk(void **state)
{
    (void)state;
    disk_fixture_create(&fixture, 1, true, false);
    return driver_find(d, 2, 0) ? 0 : -1;
}
static int tear_down(void **state)
{
    (void)state;
    disk_fixture_destroy(&fixture);
    return 0;
}

/* ---- PCI ---- */

static void both_ways_to_configuration_space(void **state)
{
    (void)state;
    for (unsigned offset = 0; offset < 256; offset += 4) {
        board_write(&d->board, SPACE_PORT, 0xcf8, 4, 0x80000000u | d->slot << 11 | offset);
        assert_int_equal(board_read(&d->board, SPACE_PORT, 0xcfc, 4),
                         driver_config_read(d, d->slot, offset, 4));
        assert_int_equal(board_read(&d->board, SPACE_PORT, 0xcfd, 1),
                         driver_config_read(d, d->slot, offset + 1, 1));
    }
    assert_int_equal(driver_config_read(d, 0, 0, 4), 0x0d578086);
    assert_int_equal(driver_config_read(d, 0, 8, 4) >> 8, 0x060000);
    assert_int_equal(driver_config_read(d, 30, 0, 4), 0xffffffff);
    assert_int_equal(driver_config_read(d, 8 | 1 << 5, 0x1000, 4), 0xffffffff); /* bus 1 */
    board_write(&d->board, SPACE_PORT, 0xcf8, 4, d->slot << 11);                /* not enabled */
    assert_int_equal(board_read(&d->board, SPACE_PORT, 0xcfc, 4), 0xffffffff);
    /* The reset register lies in the middle of it. */
    board_write(&d->board, SPACE_PORT, 0xcf9, 1, 0x06);
    assert_int_equal(d->board.request, REQUEST_RESET);
}

static void bars_are_sized_and_moved(void **state)
{
    (void)state;
    driver_config_write(d, d->slot, PCI_BAR, 4, ~0u);
    driver_config_write(d, d->slot, PCI_BAR + 4, 4, ~0u);
    assert_int_equal(driver_config_read(d, d->slot, PCI_BAR, 4), 0xffff8004);
    assert_int_equal(driver_config_read(d, d->slot, PCI_BAR + 4, 4), ~0u);
    driver_config_write(d, d->slot, PCI_BAR, 4, 0xc1000000);
    driver_config_write(d, d->slot, PCI_BAR + 4, 4, 0);
    d->bar = 0xc1000000;
    assert_int_equal(driver_read(d, d->bar + COMMON_QUEUES, 2), 1);
    assert_true(d->doorbell[d->slot] == d->bar + BAR_NOTIFY);
    driver_config_write(d, d->slot, PCI_COMMAND, 2, 0);
    assert_int_equal(driver_read(d, d->bar + COMMON_QUEUES, 2), 0xffff);
    assert_true(d->doorbell[d->slot] == ~0ull);
    driver_config_write(d, d->slot, PCI_VENDOR, 4, 0);
    assert_int_equal(driver_config_read(d, d->slot, PCI_VENDOR, 4), 0x10421af4);
}

static void capabilities_are_in_a_list(void **state)
{
    unsigned seen = 0, msix = 0;

    (void)state;
    assert_int_equal(driver_config_read(d, d->slot, PCI_STATUS, 2) & 0x10, 0x10);
    for (unsigned at = driver_config_read(d, d->slot, PCI_CAPABILITIES, 1), n = 0; at && n < 20;
         at = driver_config_read(d, d->slot, at + 1, 1), n++) {
        unsigned type = driver_config_read(d, d->slot, at, 1);
        msix += type == PCI_CAPABILITY_MSIX;
        if (type == PCI_CAPABILITY_VENDOR)
            seen |= 1u << driver_config_read(d, d->slot, at + 3, 1);
    }
    assert_int_equal(msix, 1);
    assert_int_equal(seen, 0x3e); /* common, notify, ISR, device, PCI */
}

static void lines_are_shared_and_released(void **state)
{
    unsigned gsi = PCI_GSI + d->slot % 4;

    (void)state;
    driver_start(d, 0, 1, 16);
    driver_config_write(d, d->slot, PCI_FIRST_CAPABILITY + 2, 2, 0); /* MSI-X off */
    assert_int_equal(driver_disk(d, 0, 0, 512), 0);
    assert_int_equal(d->lines, 1ull << gsi);
    assert_int_equal(driver_config_read(d, d->slot, PCI_STATUS, 2) & 8, 8);
    driver_config_write(d, d->slot, PCI_COMMAND, 2, 0x406);
    assert_int_equal(d->lines, 0);
    driver_config_write(d, d->slot, PCI_COMMAND, 2, 0x006);
    assert_int_equal(d->lines, 1ull << gsi);
    assert_int_equal(driver_read(d, d->bar + BAR_INTERRUPT, 1), 1);
    assert_int_equal(d->lines, 0);
    assert_int_equal(driver_read(d, d->bar + BAR_INTERRUPT, 1), 0);
}

static void masked_messages_stay_pending(void **state)
{
    uint64_t entry = d->bar + BAR_TABLE + 16;

    (void)state;
    driver_start(d, 0, 1, 16);
    driver_write(d, entry + 12, 4, 1);
    assert_int_equal(driver_disk(d, 0, 0, 512), 0);
    assert_int_equal(d->messages, 0);
    assert_int_equal(driver_read(d, d->bar + 0x5000, 8), 2);
    driver_write(d, entry + 12, 4, 0);
    assert_int_equal(d->messages, 1);
    assert_int_equal(d->message[0].data, 0x41);
    assert_int_equal(d->message[0].requester, d->slot << 3);
    assert_int_equal(driver_read(d, d->bar + 0x5000, 8), 0);
    driver_config_write(d, d->slot, PCI_FIRST_CAPABILITY + 2, 2, 0xc000); /* all masked */
    assert_int_equal(driver_disk(d, 0, 0, 512), 0);
    assert_int_equal(d->messages, 1);
    driver_config_write(d, d->slot, PCI_FIRST_CAPABILITY + 2, 2, 0x8000);
    assert_int_equal(d->messages, 2);
}

/* ---- Queues ---- */

static void every_kind_of_chain_reads_the_same(void **state)
{
    static const uint32_t splits[] = { 1024, 512, 513, 100, 11, 6 };

    (void)state;
    driver_start(d, F_INDIRECT | F_EVENT, 1, 256);
    for (unsigned i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
        for (unsigned indirect = 0; indirect < 2; indirect++) {
            uint64_t table = indirect ? 0x18000 : d->queue[0].rings;
            uint32_t left = 1024, at = 0;
            uint16_t n = 0;
            driver_put64(d, DRIVER_BUFFERS, 0);
            driver_put64(d, DRIVER_BUFFERS + 8, 3);
            driver_put64(d, table, DRIVER_BUFFERS);
            driver_put64(d, table + 8, 1ull << 48 | (uint64_t)NEXT << 32 | 16);
            while (left) {
                uint32_t piece = left < splits[i] ? left : splits[i];
                n++;
                driver_put64(d, table + 16ull * n, DRIVER_DATA + at);
                driver_put64(d, table + 16ull * n + 8,
                             (uint64_t)(n + 1) << 48 | (uint64_t)(NEXT | WRITE) << 32 | piece);
                at += piece;
                left -= piece;
            }
            n++;
            driver_put64(d, table + 16ull * n, DRIVER_BUFFERS + 16);
            driver_put64(d, table + 16ull * n + 8, (uint64_t)WRITE << 32 | 1);
            if (indirect)
                driver_descriptor(d, 0, 0, table, 16 * (n + 1u), INDIRECT, 0);
            memset(driver_memory(d, DRIVER_DATA, 1024), 0xee, 1024);
            driver_offer(d, 0, 0);
            driver_notify(d, 0);
            uint32_t written;
            assert_true(driver_used(d, 0, 1, NULL, &written));
            assert_int_equal(written, 1025);
            const uint8_t *data = driver_memory(d, DRIVER_DATA, 1024);
            assert_int_equal(data[0], 3);
            assert_int_equal(data[511], 3);
            assert_int_equal(data[512], 4);
            assert_int_equal(data[1023], 4);
        }
    }
}

/* Indices wrap at 2^16; 70,000 requests through a queue of 16 pass that. */
static void indices_wrap(void **state)
{
    (void)state;
    driver_start(d, F_EVENT, 1, 16);
    for (unsigned i = 0; i < 70000; i++) {
        uint64_t sector = i % (DISK_BYTES / 512);
        if (driver_disk(d, 0, sector, 512) != 0 ||
            *(uint8_t *)driver_memory(d, DRIVER_DATA, 1) != (uint8_t)sector)
            fail_msg("request %u", i);
    }
}

static void notifications_are_suppressed(void **state)
{
    (void)state;
    /* By flag (2.7.7): NO_INTERRUPT in the driver's ring. */
    driver_start(d, 0, 1, 16);
    uint16_t *flags = driver_memory(d, d->queue[0].rings + 0x2000, 2);
    *flags = 1;
    driver_disk(d, 0, 0, 512);
    assert_int_equal(d->messages, 0);
    *flags = 0;
    driver_disk(d, 0, 0, 512);
    assert_int_equal(d->messages, 1);
    /* By index (2.7.10): one when the third is used, and none before or after. */
    driver_start(d, F_EVENT, 1, 16);
    uint16_t *event = driver_memory(d, d->queue[0].rings + 0x2000 + 4 + 2 * 16, 2);
    *event = 0;
    driver_disk(d, 0, 0, 512);
    unsigned first = d->messages;
    assert_int_equal(first, 2);
    *event = 3;
    for (unsigned i = 1; i < 8; i++) {
        driver_disk(d, 0, 0, 512);
        assert_int_equal(d->messages, first + (i >= 3));
    }
    /* The device asks for the next one, always. */
    uint16_t *wish = driver_memory(d, d->queue[0].rings + 0x3000 + 4 + 8 * 16, 2);
    assert_int_equal(*wish, d->queue[0].available);
}

static void doorbells_do_the_same(void **state)
{
    (void)state;
    driver_start(d, F_EVENT, 1, 16);
    driver_put64(d, DRIVER_BUFFERS, 0);
    driver_put64(d, DRIVER_BUFFERS + 8, 9);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, NEXT, 1);
    driver_descriptor(d, 0, 1, DRIVER_DATA, 513, WRITE, 0);
    driver_offer(d, 0, 0);
    assert_false(driver_used(d, 0, 0, NULL, NULL));
    board_doorbell(&d->board, d->slot, 1);
    assert_true(driver_used(d, 0, 0, NULL, NULL));
    assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_DATA, 1), 9);
}

static void dma_tells_of_code(void **state)
{
    (void)state;
    driver_start(d, 0, 1, 16);
    d->flags[DRIVER_DATA / 4096] = DMA_PAGE_CODE;
    assert_int_equal(driver_disk(d, 1, 0, 512), 0); /* from there: nothing changes */
    assert_false(d->code_written);
    assert_int_equal(driver_disk(d, 0, 0, 512), 0);
    assert_true(d->code_written);
    assert_int_equal(d->code_page, DRIVER_DATA / 4096);
    assert_int_equal(d->flags[DRIVER_DATA / 4096], DMA_PAGE_CODE | DMA_PAGE_DIRTY);
}

/* ---- The disk ---- */

static void disk_describes_itself(void **state)
{
    (void)state;
    driver_start(d, 0, 1, 16);
    assert_int_equal(driver_read(d, d->bar + BAR_CONFIG, 8), DISK_BYTES / 512);
    assert_int_equal(driver_read(d, d->bar + BAR_CONFIG + 20, 4), 512);
    assert_int_equal(driver_read(d, d->bar + BAR_CONFIG + 56, 1), 1);
    assert_int_equal(driver_read(d, d->bar + BAR_CONFIG + 60, 4), 0);
    assert_int_equal(driver_disk(d, 8, 0, 20), 0);
    assert_memory_equal(driver_memory(d, DRIVER_DATA, 20), "serial-0123456789-to", 20);
}

static void written_sectors_are_in_the_image(void **state)
{
    uint8_t sector[512];

    (void)state;
    driver_start(d, BLK_FLUSH, 1, 16);
    memset(driver_memory(d, DRIVER_DATA, 1024), 0xa5, 1024);
    assert_int_equal(driver_disk(d, 1, DISK_BYTES / 512 - 2, 1024), 0);
    assert_int_equal(driver_disk(d, 4, 0, 0), 0);
    assert_int_equal(pread(fixture.file[0], sector, 512, DISK_BYTES - 512), 512);
    assert_int_equal(sector[0], 0xa5);
    assert_int_equal(sector[511], 0xa5);
    assert_int_equal(pread(fixture.file[0], sector, 512, DISK_BYTES - 1536), 512);
    assert_int_equal(sector[511], (DISK_BYTES / 512 - 3) & 0xff);
    assert_int_equal(lseek(fixture.file[0], 0, SEEK_END), DISK_BYTES);
}

static void ranges_are_zeroed(void **state)
{
    uint8_t sector[512];

    (void)state;
    driver_start(d, 1u << 13 | 1u << 14 | BLK_FLUSH, 1, 16);
    for (unsigned unmap = 0; unmap < 2; unmap++) {
        driver_put64(d, DRIVER_DATA, 10 + 100 * unmap);
        driver_put64(d, DRIVER_DATA + 8, (uint64_t)unmap << 32 | 3);
        assert_int_equal(driver_disk(d, 13, 0, 16), 0);
        for (unsigned i = 9; i < 14; i++) {
            assert_int_equal(pread(fixture.file[0], sector, 512, 512 * (i + 100 * unmap)), 512);
            assert_int_equal(sector[7], i >= 10 && i < 13 ? 0 : i + 100 * unmap);
        }
    }
    driver_put64(d, DRIVER_DATA, 0);
    driver_put64(d, DRIVER_DATA + 8, 8);
    assert_int_equal(driver_disk(d, 11, 0, 16), 0);
}

static void read_only_disk_is_not_written(void **state)
{
    uint8_t sector[512];

    (void)state;
    tear_down(state);
    disk_fixture_create(&fixture, 1, true, true);
    assert_true(driver_find(d, 2, 0));
    driver_start(d, ~0ull & ~F_EVENT, 1, 16);
    assert_int_equal(d->features & (BLK_RO | 1u << 13 | 1u << 14), BLK_RO);
    assert_int_equal(driver_disk(d, 1, 0, 512), 1);
    assert_int_equal(driver_disk(d, 13, 0, 16), 2);
    assert_int_equal(driver_disk(d, 4, 0, 0), 0);
    assert_int_equal(driver_disk(d, 0, 0, 512), 0);
    assert_int_equal(pread(fixture.file[0], sector, 512, 0), 512);
    assert_int_equal(sector[0], 0);
}

/* Through io_uring or threads: many at once, each its own sector, then a reset in the middle. */
static void many_requests_at_once(void **state)
{
    (void)state;
    tear_down(state);
    disk_fixture_create(&fixture, 1, false, false);
    assert_true(driver_find(d, 2, 0));
    driver_start(d, F_EVENT | BLK_FLUSH, 1, 256);
    for (unsigned round = 0; round < 20; round++) {
        for (uint16_t i = 0; i < 80; i++) {
            uint64_t at = 0x140000 + 0x400ull * i;
            driver_put64(d, at, 0);
            driver_put64(d, at + 8, i * 7u);
            driver_descriptor(d, 0, (uint16_t)(2 * i), at, 16, NEXT, (uint16_t)(2 * i + 1));
            driver_descriptor(d, 0, (uint16_t)(2 * i + 1), at + 16, 513, WRITE, 0);
            memset(driver_memory(d, at + 16, 513), 0xee, 513);
            driver_offer(d, 0, (uint16_t)(2 * i));
        }
        driver_notify(d, 0);
        if (round == 19)
            break;
        for (unsigned i = 0; i < 80; i++) {
            uint32_t head;
            assert_true(driver_used(d, 0, 10, &head, NULL));
            const uint8_t *data = driver_memory(d, 0x140000 + 0x400ull * (head / 2), 0x400);
            assert_int_equal(data[16], (uint8_t)(head / 2 * 7));
            assert_int_equal(data[16 + 512], 0);
        }
    }
    driver_reset(d);
    assert_int_equal(driver_status(d), 0);
    driver_start(d, F_EVENT, 1, 16);
    assert_int_equal(driver_disk(d, 0, 77, 512), 0);
    assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_DATA, 1), 77);
}

/* ---- The others ---- */

static void random_numbers_repeat_from_a_seed(void **state)
{
    uint8_t first[64];

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        assert_true(driver_find(d, 4, 0));
        driver_start(d, 0, 1, 16);
        driver_descriptor(d, 0, 0, DRIVER_DATA, 64, WRITE, 0);
        driver_offer(d, 0, 0);
        driver_notify(d, 0);
        uint32_t written;
        assert_true(driver_used(d, 0, 0, NULL, &written));
        assert_int_equal(written, 64);
        const uint8_t *data = driver_memory(d, DRIVER_DATA, 64);
        if (round == 0)
            memcpy(first, data, 64);
        else
            assert_memory_equal(first, data, 64);
        assert_memory_not_equal(data, data + 32, 32);
        tear_down(state);
        disk_fixture_create(&fixture, 1, true, false);
    }
}

static void send(const char *text, uint32_t size)
{
    memcpy(driver_memory(d, DRIVER_DATA, size), text, size);
    driver_descriptor(d, 1, 0, DRIVER_DATA, size, 0, 0);
    driver_offer(d, 1, 0);
    driver_notify(d, 1);
}

static void console_speaks_and_listens(void **state)
{
    (void)state;
    assert_true(driver_find(d, 3, 0));
    assert_null(d->board.console_owner);
    driver_start(d, F_EVENT, 2, 16);
    assert_non_null(d->board.console_owner);
    send("hello", 5);
    assert_true(driver_used(d, 1, 0, NULL, NULL));
    assert_memory_equal(d->output, "hello", 5);
    /* No room: what is left waits, and nothing is sent twice. */
    d->room = 2;
    send("0123456789", 10);
    assert_false(driver_used(d, 1, 0, NULL, NULL));
    d->room = 1000;
    board_console(&d->board);
    assert_true(driver_used(d, 1, 0, NULL, NULL));
    assert_int_equal(d->written, 15);
    assert_memory_equal(d->output, "hello0123456789", 15);
    /* Input waits for a buffer; what does not fit waits for the next one. */
    d->input = "abcdefgh";
    board_console(&d->board);
    driver_descriptor(d, 0, 0, DRIVER_DATA, 3, WRITE, 0);
    driver_descriptor(d, 0, 1, DRIVER_DATA + 16, 100, WRITE, 0);
    driver_offer(d, 0, 0);
    driver_offer(d, 0, 1);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
    uint32_t written;
    assert_true(driver_used(d, 0, 0, NULL, &written));
    assert_int_equal(written, 3);
    assert_true(driver_used(d, 0, 0, NULL, &written));
    assert_int_equal(written, 5);
    assert_memory_equal(driver_memory(d, DRIVER_DATA + 16, 5), "defgh", 5);
    assert_false(driver_used(d, 0, 0, NULL, NULL));
    d->input = "x";
    board_console(&d->board);
    assert_true(driver_used(d, 0, 0, NULL, &written));
    assert_int_equal(written, 1);
    driver_reset(d);
    assert_null(d->board.console_owner);
}

static void balloon_asks_and_takes(void **state)
{
    (void)state;
    assert_true(driver_find(d, 5, 0));
    driver_start(d, ~0ull & ~F_EVENT, 3, 16);
    assert_int_equal(driver_read(d, d->bar + BAR_CONFIG, 4), 256); /* 1 MiB */
    driver_write(d, d->bar + BAR_CONFIG + 4, 4, 17);
    assert_int_equal(driver_read(d, d->bar + BAR_CONFIG + 4, 4), 17);
    driver_write(d, d->bar + BAR_CONFIG, 4, 1);
    assert_int_equal(driver_read(d, d->bar + BAR_CONFIG, 4), 256);
    memset(driver_memory(d, 0x20000, 0x4000), 0xaa, 0x4000);
    uint32_t *numbers = driver_memory(d, DRIVER_DATA, 12);
    numbers[0] = 0x22;
    numbers[1] = 0x21;
    driver_descriptor(d, 0, 0, DRIVER_DATA, 8, 0, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
    const uint8_t *memory = driver_memory(d, 0x20000, 0x4000);
    assert_int_equal(memory[0xfff], 0xaa);
    assert_int_equal(memory[0x1000], 0);
    assert_int_equal(memory[0x2fff], 0);
    assert_int_equal(memory[0x3000], 0xaa);
}

/* More requests than one turn allows wait for the timer, and are done then. */
static void endless_requests_leave_the_lock(void **state)
{
    struct virtq_chain chain;

    (void)state;
    assert_true(driver_find(d, 4, 0));
    driver_start(d, 0, 1, 16);
    driver_descriptor(d, 0, 0, DRIVER_DATA, 8, WRITE, 0);
    d->board.slot[d->slot]->budget = 0;
    driver_offer(d, 0, 0);
    assert_int_equal(virtq_pop(d->board.slot[d->slot], 0, &chain), 0);
    assert_false(virtq_more(d->board.slot[d->slot], 0));
    assert_int_equal(board_deadline(&d->board), d->board.now);
    assert_false(driver_used(d, 0, 0, NULL, NULL));
    board_run_timers(&d->board);
    assert_true(driver_used(d, 0, 0, NULL, NULL));
    assert_int_equal(board_deadline(&d->board), DEVICE_NEVER);
}

/* ---- Saving ---- */

static void a_saved_machine_goes_on(void **state)
{
    static uint8_t saved[65536], broken[65536];

    (void)state;
    driver_start(d, F_EVENT, 1, 16);
    assert_int_equal(driver_disk(d, 0, 1, 512), 0);
    assert_true(board_drain(&d->board));
    long size = board_save(&d->board, saved, sizeof(saved));
    assert_true(size > 0);
    for (long at = 0; at < size;
         at += 3) { /* any byte may be wrong: refused, or a possible state */
        memcpy(broken, saved, (size_t)size);
        broken[at] ^= 0x5a;
        int result = board_load(&d->board, broken, (size_t)size);
        assert_true(result == 0 || result == -22);
        for (unsigned slot = 0; slot < 10; slot++)
            board_doorbell(&d->board, slot, ~0ull);
    }
    board_reset(&d->board, 0);
    assert_int_equal(driver_status(d), 0xff); /* not even decoded */
    assert_int_equal(board_load(&d->board, saved, (size_t)size), 0);
    assert_int_equal(driver_status(d), 15);
    assert_true(d->doorbell[d->slot] == d->bar + BAR_NOTIFY);
    unsigned messages = d->messages;
    memset(driver_memory(d, d->queue[0].rings + 0x2000 + 4 + 2 * 16, 2), 1, 1); /* event index */
    assert_int_equal(driver_disk(d, 0, 200, 512), 0);
    assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_DATA, 1), 200);
    assert_int_equal(d->messages, messages + 1);
    assert_int_equal(board_load(&d->board, saved, (size_t)size - 1), -22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, one_disk, tear_down)
        TEST(both_ways_to_configuration_space),
        TEST(bars_are_sized_and_moved),
        TEST(capabilities_are_in_a_list),
        TEST(lines_are_shared_and_released),
        TEST(masked_messages_stay_pending),
        TEST(every_kind_of_chain_reads_the_same),
        TEST(indices_wrap),
        TEST(notifications_are_suppressed),
        TEST(doorbells_do_the_same),
        TEST(dma_tells_of_code),
        TEST(disk_describes_itself),
        TEST(written_sectors_are_in_the_image),
        TEST(ranges_are_zeroed),
        TEST(read_only_disk_is_not_written),
        TEST(many_requests_at_once),
        TEST(random_numbers_repeat_from_a_seed),
        TEST(console_speaks_and_listens),
        TEST(balloon_asks_and_takes),
        TEST(endless_requests_leave_the_lock),
        TEST(a_saved_machine_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
