/* SPDX-License-Identifier: MIT */
/* escape.c - running the attempts of escape.h, and what they share. */
#include "escape.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

void escape_header(struct driver *d, uint32_t type, uint64_t sector)
{
    driver_put64(d, DRIVER_BUFFERS, type);
    driver_put64(d, DRIVER_BUFFERS + 8, sector);
}

void escape_read_to(struct driver *d, uint64_t address, uint32_t size)
{
    escape_header(d, 0, 0);
    driver_descriptor(d, 0, 0, DRIVER_BUFFERS, 16, NEXT, 1);
    driver_descriptor(d, 0, 1, address, size, NEXT | WRITE, 2);
    driver_descriptor(d, 0, 2, DRIVER_BUFFERS + 16, 1, WRITE, 0);
    driver_offer(d, 0, 0);
    driver_notify(d, 0);
}

static void image_is_whole(const struct disk_fixture *fixture)
{
    static uint8_t image[DISK_BYTES];

    assert_int_equal(pread(fixture->file[0], image, sizeof(image), 0), sizeof(image));
    for (unsigned i = 0; i < DISK_BYTES; i++) {
        if (image[i] != (uint8_t)(i / 512))
            fail_msg("the image has changed at byte %u", i);
    }
}

/* Whatever was done to it, a reset makes it a disk again. */
static void disk_works(struct driver *d)
{
    assert_true(driver_find(d, 2, 0));
    assert_int_equal(driver_start(d, VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, 1, ESCAPE_QUEUE),
                     15);
    assert_int_equal(driver_disk(d, 0, 5, 512), 0);
    assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_DATA, 1), 5);
}

static void attempt_is_stopped(void **state)
{
    const struct escape *attempt = *state;
    static struct disk_fixture fixture;
    struct driver *d = &fixture.driver;

    disk_fixture_create(&fixture, 1, true, false);
    assert_true(driver_find(d, 2, 0));
    assert_int_equal(driver_start(d, VIRTIO_F_INDIRECT_DESC | 1u << 13 | 1u << 14, 1, ESCAPE_QUEUE),
                     15);
    attempt->run(d);
    bool broken = driver_status(d) & VIRTIO_STATUS_NEEDS_RESET;
    if (attempt->outcome == WORKS)
        assert_int_equal(*(uint8_t *)driver_memory(d, DRIVER_BUFFERS + 16, 1), 0);
    if (attempt->outcome != SILENT)
        assert_int_equal(broken, attempt->outcome == BROKEN);
    if (broken) { /* it does not do another thing until it is reset */
        uint64_t before = d->messages;
        driver_notify(d, 0);
        assert_int_equal(d->messages, before);
    }
    if (d->bar)
        driver_reset(d);
    disk_works(d);
    image_is_whole(&fixture);
    disk_fixture_destroy(&fixture);
}

int escape_run(const struct escape *attempts, size_t count)
{
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));

    if (!tests)
        return 1;
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){ .name = attempts[i].name,
                                        .test_func = attempt_is_stopped,
                                        .initial_state = (void *)(uintptr_t)&attempts[i] };
    int failed = _cmocka_run_group_tests("escapes", tests, count, NULL, NULL);
    free(tests);
    return failed;
}
