/* SPDX-License-Identifier: MIT */
/* test_escapes.c - attempts with chains, indirect tables and queues; see escape.h. */
#include "escape.h"
#include "devices/pci/pci.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- Chains ---- */

/* Right behind the table a driver that may be believed has put a flush. */
static void head_out_of_range(struct driver *d)
{
    escape_header(d, 4, 0);
    driver_descriptor(d, 0, ESCAPE_QUEUE, DRIVER_BUFFERS, 16, NEXT, 1);
    driver_descriptor(d, 0, 1, DRIVER_BUFFERS + 16, 1, WRITE, 0);
    driver_offer(d, 0, ESCAPE_QUEUE);
    driver_notify(d, 0);
}
static void head_65535(struct driver *d)
{
    driver_offer(d, 0, 65535);
    driver_notify(d, 0);
}
static void next_out_of_range(struct driver *d)
{
    escape_header(d, 0, 0);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, NEXT, 40000);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void next_right_behind(struct driver *d)
{
    escape_header(d, 4, 0);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, NEXT, ESCAPE_QUEUE);
    driver_descriptor(d, 0, ESCAPE_QUEUE, DRIVER_BUFFERS + 16, 1, WRITE, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void loop_of_one(struct driver *d)
{
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, NEXT, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void loop_of_three(struct driver *d)
{
    for (uint16_t i = 0; i < 3; i++)
        driver_descriptor(d, 0, i, DRIVER_BUFFERS, 512, NEXT, (uint16_t)((i + 1) % 3));
    driver_offer(d, 0, 1);
    driver_notify(d, 0);
}
/* A flush: what the ring's entries, all 0, lead to. */
static void valid_flush(struct driver *d)
{
    escape_header(d, 4, 0);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, NEXT, 1);
    driver_descriptor(d, 0, 1, DRIVER_BUFFERS + 16, 1, WRITE, 0);
}
static void index_jumps(struct driver *d)
{
    valid_flush(d);
    d->queue[0].available += 30000;
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void index_goes_back(struct driver *d)
{
    valid_flush(d);
    d->queue[0].available -= 3;
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void write_before_read(struct driver *d)
{
    escape_header(d, 4, 0); /* a flush, whichever of the two is taken for the header */
    driver_put64(d, DRIVER_BUFFERS + 0x100, 4);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS + 0x100, 16, NEXT | WRITE, 1);
    driver_descriptor(d, 0, 1, DRIVER_BUFFERS, 16, 0, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void same_head_again_and_again(struct driver *d)
{
    valid_flush(d); /* each chain is valid by itself */
    for (unsigned i = 0; i < ESCAPE_QUEUE; i++)
        driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void no_status_byte(struct driver *d)
{
    escape_header(d, 0, 0);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, 0, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void short_header(struct driver *d)
{
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 15, NEXT, 1);
    driver_descriptor(d, 0, 1, DRIVER_BUFFERS + 16, 513, WRITE, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void empty_chain(struct driver *d)
{
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 0, 0, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void more_than_4_gib(struct driver *d)
{
    escape_header(d, 0, 0);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, NEXT, 1);
    for (unsigned i = 1; i < ESCAPE_QUEUE; i++)
        driver_descriptor(d, 0, (uint16_t)i, DRIVER_MID, 0xffffffff,
                          i < ESCAPE_QUEUE - 1 ? WRITE | NEXT : WRITE, (uint16_t)(i + 1));
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void header_in_pieces(struct driver *d)
{
    escape_header(d, 0, 7);
    for (uint16_t i = 0; i < 8; i++)
        driver_descriptor(d, 0, i, DRIVER_BUFFERS + 2ull * i, 2, NEXT, (uint16_t)(i + 1));
    driver_descriptor(d, 0, 8, DRIVER_DATA, 512, WRITE | NEXT, 9);
    driver_descriptor(d, 0, 9, DRIVER_BUFFERS + 16, 1, WRITE, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
    assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_DATA, 1), 7);
}

/* ---- Where buffers are ---- */

static void past_low_end(struct driver *d)
{
    escape_read_to(d, DRIVER_MID_END, 512);
}
static void across_low_end(struct driver *d)
{
    escape_read_to(d, DRIVER_MID_END - 256, 512);
}
static void past_high_end(struct driver *d)
{
    escape_read_to(d, DRIVER_HIGH_END, 512);
}
static void across_high_end(struct driver *d)
{
    escape_read_to(d, DRIVER_HIGH_END - 1, 512);
}
static void in_vga_hole(struct driver *d)
{
    escape_read_to(d, DRIVER_LOW_END, 512);
}
static void across_vga_hole(struct driver *d)
{
    escape_read_to(d, DRIVER_LOW_END - 512, (uint32_t)(DRIVER_MID - DRIVER_LOW_END) + 1024);
}
static void in_lapic(struct driver *d)
{
    escape_read_to(d, 0xfee00000, 512);
}
static void in_configuration_space(struct driver *d)
{
    escape_read_to(d, PCI_ECAM, 512);
}
static void in_own_bar(struct driver *d)
{
    escape_read_to(d, d->bar + BAR_TABLE, 512);
}
static void wrapping_address(struct driver *d)
{
    escape_read_to(d, ~0ull - 255, 512);
}
static void address_of_machine(struct driver *d)
{
    escape_read_to(d, (uint64_t)(uintptr_t)d->board.device[0].state, 512);
}
static void address_of_code(struct driver *d)
{
    escape_read_to(d, (uint64_t)(uintptr_t)&board_init, 512);
}
static void own_rings(struct driver *d)
{
    /* Its own memory: it may break its own ring, and the device must bear it. */
    escape_read_to(d, d->queue[0].rings, 512);
}
static void own_used_ring(struct driver *d)
{
    escape_read_to(d, d->queue[0].rings + 0x3000, 512);
}

/* ---- Indirect tables, at DRIVER_DATA ---- */

static void indirect(struct driver *d, uint64_t table, uint32_t size, uint16_t flags)
{
    driver_descriptor(d, 0, 0, table, size, INDIRECT | flags, 1);
    driver_descriptor(d, 0, 1, DRIVER_BUFFERS + 16, 1, WRITE, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}
static void put_entry(struct driver *d, unsigned index, uint64_t address, uint32_t size,
                      uint16_t flags, uint16_t next)
{
    driver_put64(d, DRIVER_DATA + 16 * index, address);
    driver_put64(d, DRIVER_DATA + 16 * index + 8,
                 (uint64_t)next << 48 | (uint64_t)flags << 32 | size);
}
/* A flush from entry `first` on: each attempt is right but for one thing. */
static void put_flush(struct driver *d, unsigned first)
{
    escape_header(d, 4, 0);
    put_entry(d, first, DRIVER_BUFFERS, 16, NEXT, (uint16_t)(first + 1));
    put_entry(d, first + 1, DRIVER_BUFFERS + 16, 1, WRITE, 0);
}
static void indirect_as_it_should_be(struct driver *d)
{
    put_flush(d, 0);
    indirect(d, DRIVER_DATA, 32, 0);
}
static void indirect_in_indirect(struct driver *d)
{
    put_entry(d, 4, DRIVER_DATA, 32, INDIRECT, 0);
    put_flush(d, 0);
    indirect(d, DRIVER_DATA + 64, 16, 0);
}
static void indirect_with_next(struct driver *d)
{
    put_flush(d, 0);
    indirect(d, DRIVER_DATA, 32, NEXT);
}
static void indirect_odd_size(struct driver *d)
{
    put_flush(d, 0);
    indirect(d, DRIVER_DATA, 33, 0);
}
static void indirect_of_nothing(struct driver *d)
{
    put_flush(d, 0);
    indirect(d, DRIVER_DATA, 0, 0);
}
static void indirect_huge(struct driver *d)
{
    put_flush(d, 0);
    indirect(d, DRIVER_DATA, 16 * (VIRTQ_SEGMENTS + 1), 0);
}
static void indirect_4_gib(struct driver *d)
{
    put_flush(d, 0);
    indirect(d, DRIVER_DATA, 0xfffffff0, 0);
}
static void indirect_outside(struct driver *d)
{
    indirect(d, DRIVER_MID_END, 32, 0);
}
static void indirect_across_end(struct driver *d)
{
    indirect(d, DRIVER_MID_END - 16, 32, 0);
}
static void indirect_loop(struct driver *d)
{
    put_entry(d, 0, DRIVER_BUFFERS, 16, NEXT, 1);
    put_entry(d, 1, DRIVER_BUFFERS, 16, NEXT, 0);
    indirect(d, DRIVER_DATA, 32, 0);
}
static void indirect_next_outside(struct driver *d)
{
    put_entry(d, 0, DRIVER_BUFFERS, 16, NEXT, 2);
    indirect(d, DRIVER_DATA, 32, 0);
}
static void indirect_not_agreed(struct driver *d)
{
    driver_start(d, 0, 1, ESCAPE_QUEUE);
    put_flush(d, 0);
    indirect(d, DRIVER_DATA, 32, 0);
}

/* ---- Queues ---- */

static void restart_with(struct driver *d, uint16_t size, uint64_t descriptors, uint64_t available,
                         uint64_t used)
{
    driver_reset(d);
    driver_negotiate(d, VIRTIO_F_VERSION_1);
    driver_setup_queue(d, 0, size, descriptors, available, used);
    driver_write(d, d->bar + COMMON_STATUS, 1, 15);
}
static void rings_outside(struct driver *d)
{
    restart_with(d, ESCAPE_QUEUE, DRIVER_MID_END, DRIVER_RINGS, DRIVER_RINGS + 0x1000);
}
static void available_across_end(struct driver *d)
{
    restart_with(d, ESCAPE_QUEUE, DRIVER_RINGS, DRIVER_MID_END - 6, DRIVER_RINGS + 0x1000);
}
static void used_in_hole(struct driver *d)
{
    restart_with(d, ESCAPE_QUEUE, DRIVER_RINGS, DRIVER_RINGS + 0x1000, DRIVER_LOW_END);
}
static void rings_wrap(struct driver *d)
{
    restart_with(d, ESCAPE_QUEUE, ~0xfull, DRIVER_RINGS, DRIVER_RINGS + 0x1000);
}
static void rings_misaligned(struct driver *d)
{
    restart_with(d, ESCAPE_QUEUE, DRIVER_RINGS + 8, DRIVER_RINGS + 0x1000, DRIVER_RINGS + 0x2000);
}
static void size_not_a_power(struct driver *d)
{
    restart_with(d, 15, DRIVER_RINGS, DRIVER_RINGS + 0x1000, DRIVER_RINGS + 0x2000);
}
static void size_zero(struct driver *d)
{
    restart_with(d, 0, DRIVER_RINGS, DRIVER_RINGS + 0x1000, DRIVER_RINGS + 0x2000);
}
static void size_too_large(struct driver *d)
{
    restart_with(d, 32768, DRIVER_RINGS, DRIVER_RINGS + 0x1000, DRIVER_RINGS + 0x2000);
}
static void addresses_changed_under_it(struct driver *d)
{
    driver_setup_queue(d, 0, 8, DRIVER_MID_END, 0xfee00000, ~0ull);
    escape_read_to(d, DRIVER_DATA, 512);
}
static void queues_that_are_not_there(struct driver *d)
{
    static const uint16_t numbers[] = { 1, 15, 16, 17, 255, 32767, 65535 };

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        driver_setup_queue(d, numbers[i], ESCAPE_QUEUE, DRIVER_RINGS, DRIVER_RINGS, DRIVER_RINGS);
        assert_int_equal(driver_read(d, d->bar + COMMON_QUEUE_SIZE, 2), 0);
        assert_int_equal(driver_read(d, d->bar + COMMON_QUEUE_ENABLE, 2), 0);
        driver_notify(d, numbers[i] % 1024);
    }
    for (unsigned slot = 0; slot < 100; slot++)
        board_doorbell(&d->board, slot, ~0ull);
}
static void notified_too_early(struct driver *d)
{
    driver_reset(d);
    driver_notify(d, 0);
    driver_negotiate(d, VIRTIO_F_VERSION_1);
    driver_setup_queue(d, 0, ESCAPE_QUEUE, DRIVER_RINGS, DRIVER_RINGS + 0x2000,
                       DRIVER_RINGS + 0x3000);
    d->queue[0] = (struct driver_queue){ .size = ESCAPE_QUEUE, .rings = DRIVER_RINGS };
    memset(driver_memory(d, DRIVER_RINGS, 0x4000), 0, 0x4000);
    driver_offer(d, 0, 60000 % ESCAPE_QUEUE);
    driver_notify(d, 0);
    assert_false(driver_used(d, 0, 0, NULL, NULL));
}
static void features_not_offered(struct driver *d)
{
    driver_reset(d);
    assert_int_equal(driver_negotiate(d, ~0ull) & 8, 0);
    driver_write(d, d->bar + COMMON_STATUS, 1, 15);
    assert_int_equal(driver_status(d) & 4, 0);
}
static void features_after_agreement(struct driver *d)
{
    driver_write(d, d->bar + COMMON_DRIVER_FEATURE_SELECT, 4, 0);
    driver_write(d, d->bar + COMMON_DRIVER_FEATURE, 4, ~0u);
    assert_int_not_equal(driver_read(d, d->bar + COMMON_DRIVER_FEATURE, 4), ~0u);
}

static const struct escape attempts[] = {
#define ROW(function, outcome)                                                                     \
    {                                                                                              \
#function, function, outcome                                                               \
    }
    ROW(head_out_of_range, BROKEN),
    ROW(head_65535, BROKEN),
    ROW(next_out_of_range, BROKEN),
    ROW(next_right_behind, BROKEN),
    ROW(loop_of_one, BROKEN),
    ROW(loop_of_three, BROKEN),
    ROW(index_jumps, BROKEN),
    ROW(index_goes_back, BROKEN),
    ROW(write_before_read, BROKEN),
    ROW(same_head_again_and_again, WORKS),
    ROW(no_status_byte, BROKEN),
    ROW(short_header, BROKEN),
    ROW(empty_chain, BROKEN),
    ROW(more_than_4_gib, BROKEN),
    ROW(header_in_pieces, WORKS),
    ROW(past_low_end, BROKEN),
    ROW(across_low_end, BROKEN),
    ROW(past_high_end, BROKEN),
    ROW(across_high_end, BROKEN),
    ROW(in_vga_hole, BROKEN),
    ROW(across_vga_hole, BROKEN),
    ROW(in_lapic, BROKEN),
    ROW(in_configuration_space, BROKEN),
    ROW(in_own_bar, BROKEN),
    ROW(wrapping_address, BROKEN),
    ROW(address_of_machine, BROKEN),
    ROW(address_of_code, BROKEN),
    ROW(own_rings, SILENT),
    ROW(own_used_ring, SILENT),
    ROW(indirect_as_it_should_be, WORKS),
    ROW(indirect_in_indirect, BROKEN),
    ROW(indirect_with_next, BROKEN),
    ROW(indirect_odd_size, BROKEN),
    ROW(indirect_of_nothing, BROKEN),
    ROW(indirect_huge, BROKEN),
    ROW(indirect_4_gib, BROKEN),
    ROW(indirect_outside, BROKEN),
    ROW(indirect_across_end, BROKEN),
    ROW(indirect_loop, BROKEN),
    ROW(indirect_next_outside, BROKEN),
    ROW(indirect_not_agreed, BROKEN),
    ROW(rings_outside, BROKEN),
    ROW(available_across_end, BROKEN),
    ROW(used_in_hole, BROKEN),
    ROW(rings_wrap, BROKEN),
    ROW(rings_misaligned, BROKEN),
    ROW(size_not_a_power, BROKEN),
    ROW(size_zero, BROKEN),
    ROW(size_too_large, BROKEN),
    ROW(addresses_changed_under_it, WORKS),
    ROW(queues_that_are_not_there, SILENT),
    ROW(notified_too_early, SILENT),
    ROW(features_not_offered, SILENT),
    ROW(features_after_agreement, SILENT),
};

int main(void)
{
    return escape_run(attempts, sizeof(attempts) / sizeof(attempts[0]));
}
