/* SPDX-License-Identifier: MIT */
/*
 * test_net.c - the network card's queues through a driver of our own, with a link that only
 * remembers; and the small parts: queue of frames, checksums, what --net may say.
 */
#include "driver.h"
#include "net/checksum.h"
#include "net/config.h"
#include "net/frames.h"
#include "net/guard.h"
#include "net/link.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MTU      4000u
#define HEADER   12u
#define RECEIVE  0u
#define TRANSMIT 1u
#define SIZE     16u

#define F_CSUM       (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MRG        (1ull << 15)

/* ---- A link that remembers ---- */

static struct recorder {
    struct net_receiver receiver;
    unsigned frames;
    size_t size;
    uint8_t last[LINK_FRAME_MAX];
} recorder;

static int recorder_open(struct net_link **link, const struct net_config *config,
                         const struct net_receiver *receiver, struct problem *problem)
{
    (void)config;
    (void)problem;
    recorder = (struct recorder){ .receiver = *receiver };
    *link = (struct net_link *)(void *)&recorder;
    return 0;
}
static void recorder_close(struct net_link *link)
{
    (void)link;
}
static void recorder_send(struct net_link *link, const uint8_t *frame, size_t size)
{
    (void)link;
    recorder.frames++;
    recorder.size = size;
    memcpy(recorder.last, frame, size);
}
static unsigned recorder_fill(struct net_link *link, struct pollfd *fds, int *timeout)
{
    (void)link;
    (void)fds;
    (void)timeout;
    return 0;
}
static void recorder_done(struct net_link *link, const struct pollfd *fds, unsigned count)
{
    (void)link;
    (void)fds;
    (void)count;
}
static const struct net_link_operations link_recorder = { .mtu = MTU,
                                                          .checksums_good = true,
                                                          .open = recorder_open,
                                                          .close = recorder_close,
                                                          .send = recorder_send,
                                                          .poll_fill = recorder_fill,
                                                          .poll_done = recorder_done };

static struct driver driver;
static struct problem problem;

static void start(uint64_t features)
{
    static const struct net_config net = { .mode = NET_USER, .link = &link_recorder };
    static const struct board_config config = { .memory = 2 << 20, .net = &net };

    assert_int_equal(driver_create(&driver, &config, &problem), 0);
    board_stop(&driver.board); /* without its thread the card works where it is notified */
    assert_true(driver_find(&driver, 1, 0));
    assert_int_equal(driver_start(&driver, features, 2, SIZE) & VIRTIO_STATUS_DRIVER_OK,
                     VIRTIO_STATUS_DRIVER_OK);
    driver_notify(&driver, RECEIVE); /* what came before the driver was there is forgotten now */
}

static bool broken(void)
{
    return driver_status(&driver) & VIRTIO_STATUS_NEEDS_RESET;
}

/* Sends `size` bytes (header included) that lie at DRIVER_BUFFERS. */
static void transmit(uint32_t size)
{
    uint32_t head, written;

    driver_descriptor(&driver, TRANSMIT, 0, DRIVER_BUFFERS, size, 0, 0);
    driver_offer(&driver, TRANSMIT, 0);
    driver_notify(&driver, TRANSMIT);
    assert_true(driver_used(&driver, TRANSMIT, 1, &head, &written));
    assert_int_equal(head, 0);
    assert_int_equal(written, 0);
}

static void set_header(uint8_t flags, uint8_t gso, uint16_t start_at, uint16_t offset)
{
    uint8_t *header = driver_memory(&driver, DRIVER_BUFFERS, HEADER);

    memset(header, 0, HEADER);
    header[0] = flags;
    header[1] = gso;
    memcpy(header + 6, &start_at, 2);
    memcpy(header + 8, &offset, 2);
}

static void frames_from_the_guest(void **state)
{
    (void)state;
    start(F_CSUM);
    uint8_t *frame = driver_memory(&driver, DRIVER_BUFFERS + HEADER, MTU + LINK_HEADER);
    for (unsigned i = 0; i < MTU + LINK_HEADER; i++)
        frame[i] = (uint8_t)(i * 7);
    set_header(0, 0, 0, 0);
    transmit(HEADER + 60);
    assert_int_equal(recorder.size, 60);
    assert_memory_equal(recorder.last, frame, 60);
    transmit(HEADER + MTU + LINK_HEADER);
    assert_int_equal(recorder.size, MTU + LINK_HEADER);
    assert_int_equal(recorder.frames, 2);
    /* The checksum that was left to us: the bytes from 20 on then sum to 0xffff with what was
     * there. */
    set_header(1, 0, 20, 4);
    uint16_t field;
    memcpy(&field, frame + 24, 2);
    transmit(HEADER + 61);
    assert_int_equal(recorder.frames, 3);
    uint32_t sum = checksum_sum(recorder.last + 20, 41) + (uint32_t)field;
    assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
    driver_destroy(&driver);
}

/* Each is given back to the guest, and goes nowhere. */
static void bad_frames_are_dropped(void **state)
{
    static const struct {
        uint32_t size;
        uint8_t flags, gso;
        uint16_t start, offset;
    } rows[] = {
        { 1, 0, 0, 0, 0 },
        { HEADER - 1, 0, 0, 0, 0 },
        { HEADER, 0, 0, 0, 0 },
        { HEADER + LINK_HEADER - 1, 0, 0, 0, 0 },
        { HEADER + MTU + LINK_HEADER + 1, 0, 0, 0, 0 },
        { 65536, 0, 0, 0, 0 },
        { HEADER + 60, 0, 1, 0, 0 },
        { HEADER + 60, 0, 255, 0, 0 },
        { HEADER + 60, 1, 0, 60, 0 },
        { HEADER + 60, 1, 0, 59, 0 },
        { HEADER + 60, 1, 0, 20, 39 },
        { HEADER + 60, 1, 0, 65535, 65535 },
        { HEADER + 60, 1, 0, 1, 65535 },
        { HEADER + 60, 1, 0, 61, 0 },
    };

    (void)state;
    start(F_CSUM);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_header(rows[i].flags, rows[i].gso, rows[i].start, rows[i].offset);
        transmit(rows[i].size);
        assert_int_equal(recorder.frames, 0);
        assert_false(broken());
    }
    set_header(0, 0, 0, 0);
    transmit(HEADER + 60);
    assert_int_equal(recorder.frames, 1);
    driver_destroy(&driver);
    start(0); /* a checksum that was not agreed on */
    set_header(1, 0, 20, 4);
    transmit(HEADER + 60);
    assert_int_equal(recorder.frames, 0);
    driver_destroy(&driver);
}

static void give(size_t size, uint8_t value)
{
    static uint8_t frame[LINK_FRAME_MAX + 1];

    memset(frame, value, size);
    recorder.receiver.receive(recorder.receiver.context, frame, size);
}

static void offer_buffer(uint16_t index, uint32_t size)
{
    driver_descriptor(&driver, RECEIVE, index, DRIVER_BUFFERS + 0x1000ull * index, size, WRITE, 0);
    driver_offer(&driver, RECEIVE, index);
}

static void frames_to_the_guest(void **state)
{
    uint32_t head, written;

    (void)state;
    start(F_MRG | F_GUEST_CSUM);
    offer_buffer(0, 2048);
    give(60, 0xaa);
    driver_notify(&driver, RECEIVE);
    assert_true(driver_used(&driver, RECEIVE, 1, &head, &written));
    assert_int_equal(head, 0);
    assert_int_equal(written, HEADER + 60);
    const uint8_t *buffer = driver_memory(&driver, DRIVER_BUFFERS, 2048);
    static const uint8_t header[HEADER] = {
        [0] = 2, [10] = 1
    }; /* checksum known good, one buffer */
    assert_memory_equal(buffer, header, HEADER);
    assert_int_equal(buffer[HEADER], 0xaa);
    assert_int_equal(buffer[HEADER + 59], 0xaa);
    /* Spread over three; not before the third is there. */
    give(2500, 0xbb);
    offer_buffer(1, 1000);
    offer_buffer(2, 1000);
    driver_notify(&driver, RECEIVE);
    assert_false(driver_used(&driver, RECEIVE, 0, &head, &written));
    offer_buffer(3, 1000);
    driver_notify(&driver, RECEIVE);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(driver_used(&driver, RECEIVE, 1, &head, &written));
        assert_int_equal(head, i);
        assert_int_equal(written, i < 3 ? 1000 : 512);
    }
    assert_int_equal(*(uint8_t *)driver_memory(&driver, DRIVER_BUFFERS + 0x1000 + 10, 1), 3);
    assert_int_equal(*(uint8_t *)driver_memory(&driver, DRIVER_BUFFERS + 0x3000 + 511, 1), 0xbb);
    assert_false(broken());
    driver_destroy(&driver);
}

static void frames_without_a_place(void **state)
{
    uint32_t head, written;

    (void)state;
    start(0); /* one buffer a frame */
    offer_buffer(0, 1000);
    give(2500, 0xbb); /* never fits: dropped, and the buffer is still there for the next */
    give(60, 0xcc);
    driver_notify(&driver, RECEIVE);
    assert_true(driver_used(&driver, RECEIVE, 1, &head, &written));
    assert_int_equal(written, HEADER + 60);
    give(13, 1);
    give(MTU + LINK_HEADER + 1, 1);
    give(LINK_FRAME_MAX + 1, 1);
    offer_buffer(1, 2048);
    driver_notify(&driver, RECEIVE);
    assert_false(driver_used(&driver, RECEIVE, 0, &head, &written));
    /* A guest that takes nothing costs a bounded queue, and the first frames are kept. */
    for (unsigned i = 0; i < 100000; i++)
        give(1000, (uint8_t)i);
    driver_notify(&driver, RECEIVE);
    assert_true(driver_used(&driver, RECEIVE, 1, &head, &written));
    assert_int_equal(*(uint8_t *)driver_memory(&driver, DRIVER_BUFFERS + 0x1000 + HEADER, 1), 0);
    assert_false(broken());
    driver_destroy(&driver);
}

static void buffers_that_break_the_queue(void **state)
{
    (void)state;
    start(F_MRG);
    offer_buffer(0, HEADER - 1); /* 5.1.6.3.1 */
    give(60, 1);
    driver_notify(&driver, RECEIVE);
    assert_true(broken());
    driver_destroy(&driver);
    start(F_MRG);
    driver_descriptor(&driver, RECEIVE, 0, DRIVER_BUFFERS, 2048, 0,
                      0); /* not for the device to write */
    driver_offer(&driver, RECEIVE, 0);
    give(60, 1);
    driver_notify(&driver, RECEIVE);
    assert_true(broken());
    driver_destroy(&driver);
    start(F_MRG);
    driver_descriptor(&driver, RECEIVE, 0, DRIVER_LOW_END - 100, 200, WRITE, 0); /* into a hole */
    driver_offer(&driver, RECEIVE, 0);
    give(60, 1);
    driver_notify(&driver, RECEIVE);
    assert_true(broken());
    driver_destroy(&driver);
}

static void reset_forgets_frames(void **state)
{
    uint32_t head, written;

    (void)state;
    start(F_MRG);
    give(60, 0xdd);
    driver_reset(&driver);
    driver_notify(&driver, RECEIVE);
    assert_int_equal(driver_start(&driver, F_MRG, 2, SIZE) & VIRTIO_STATUS_DRIVER_OK,
                     VIRTIO_STATUS_DRIVER_OK);
    offer_buffer(0, 2048);
    driver_notify(&driver, RECEIVE);
    assert_false(driver_used(&driver, RECEIVE, 0, &head, &written));
    give(70, 0xee);
    driver_notify(&driver, RECEIVE);
    assert_true(driver_used(&driver, RECEIVE, 1, &head, &written));
    assert_int_equal(written, HEADER + 70);
    driver_destroy(&driver);
}

/* ---- Parts ---- */

static void queue_of_frames(void **state)
{
    static struct frames frames, *f = &frames;
    uint64_t random = 88172645463325252ull, in = 0, out = 0;
    static uint32_t sizes[FRAMES_MAX + 1];
    size_t size;

    (void)state;
    for (unsigned i = 0; i < 1000000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint32_t wanted = (uint32_t)(random >> 40) % (i % 3 ? 2000 : LINK_FRAME_MAX) + 1;
        uint8_t *room = random & 4 ? frames_room(f, wanted) : NULL;
        if (room) {
            assert_true(room >= f->data && room + wanted <= f->data + FRAMES_BYTES);
            room[0] = room[wanted - 1] = (uint8_t)in;
            sizes[in++ % (FRAMES_MAX + 1)] = wanted;
            frames_add(f, room, wanted);
        }
        uint8_t *first = random & 8 || !(i % 700) ? frames_first(f, &size) : NULL;
        if (first) {
            assert_int_equal(size, sizes[out % (FRAMES_MAX + 1)]);
            assert_int_equal(first[0], (uint8_t)out);
            assert_int_equal(first[size - 1], (uint8_t)out);
            out++;
            frames_drop(f);
        }
        assert_int_equal(f->count, in - out);
    }
    assert_true(out > 100000);
    assert_null(frames_room(f, FRAMES_BYTES + 1));
}

static void checksums(void **state)
{
    uint8_t data[64];
    uint64_t random = 1;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        uint32_t sum = 0;
        for (unsigned j = 0; j < sizeof(data); j++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            data[j] = i % 5 ? (uint8_t)(random >> 56) : 0xff;
        }
        unsigned size = i % (sizeof(data) + 1);
        for (unsigned j = 0; j < size; j++)
            sum += j & 1 ? (uint32_t)data[j] << 8 : data[j];
        while (sum >> 16)
            sum = (sum & 0xffff) + (sum >> 16);
        assert_int_equal(checksum_sum(data, size), sum);
    }
}

static void forwards(void **state)
{
    static const char *const wrong[] = { "",
                                         "tcp",
                                         "tcp:",
                                         "tcp:80",
                                         "tcp:80:",
                                         "tcp::80",
                                         "tcp:0:80",
                                         "tcp:80:0",
                                         "tcp:80:65536",
                                         "tcp:x:80",
                                         "tcp:80:80x",
                                         "tcp:-1:80",
                                         "sctp:1:1",
                                         "tcp:1.2.3:1:1",
                                         "tcp:a:1:1",
                                         "tcp:1:1:1:1",
                                         "TCP:80:80",
                                         "tcp:[::1]:80:80",
                                         "tcp: 80:80",
                                         "tcp:127.0.0.1:80",
                                         "tcp:1234567890123456:80:80" };
    struct net_forward forward;

    (void)state;
    assert_null(net_parse_forward(&forward, "tcp:8080:80"));
    assert_true(!forward.udp && forward.host_port == 8080 && forward.guest_port == 80 &&
                forward.host_address == 0x7f000001);
    assert_null(net_parse_forward(&forward, "udp:0.0.0.0:65535:1"));
    assert_true(forward.udp && forward.host_port == 65535 && forward.guest_port == 1 &&
                forward.host_address == 0);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_non_null(net_parse_forward(&forward, wrong[i]));
}

static void addresses(void **state)
{
    struct net_address mac;

    (void)state;
    assert_null(net_parse_mac(&mac, "52:54:00:aB:cd:ef"));
    assert_memory_equal(mac.byte, "\x52\x54\x00\xab\xcd\xef", 6);
    static const char *const wrong[] = { "",
                                         "52:54:00:ab:cd",
                                         "52:54:00:ab:cd:ef:00",
                                         "53:54:00:ab:cd:ef",
                                         "00:00:00:00:00:00",
                                         "52-54-00-ab-cd-ef",
                                         "5:54:00:ab:cd:ef0",
                                         "52:54:00:ab:cd:eg" };
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_non_null(net_parse_mac(&mac, wrong[i]));
}

static void parts_together(void **state)
{
    struct net_config user = { .mode = NET_USER,
                               .forward_count = 2,
                               .forward = { { 1, 80, 80, false }, { 1, 81, 80, false } } };
    struct net_config tap = { .mode = NET_TAP, .name = "tap0" };

    (void)state;
    assert_null(net_check(&user));
    user.forward[1].host_port = 80;
    assert_non_null(net_check(&user));
    user.forward[1].udp = true;
    assert_null(net_check(&user));
    user.name = "tap0";
    assert_non_null(net_check(&user));
    assert_null(net_check(&tap));
    tap.host_loopback = true;
    assert_non_null(net_check(&tap));
    tap = (struct net_config){ .mode = NET_TAP };
    assert_non_null(net_check(&tap));
    tap.name = "../../etc/passwd";
    assert_non_null(net_check(&tap));
    tap.name = "sixteencharacter";
    assert_non_null(net_check(&tap));
    struct net_config none = { .mode = NET_NONE, .forward_count = 1 };
    assert_non_null(net_check(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_from_the_guest),
        cmocka_unit_test(bad_frames_are_dropped),
        cmocka_unit_test(frames_to_the_guest),
        cmocka_unit_test(frames_without_a_place),
        cmocka_unit_test(buffers_that_break_the_queue),
        cmocka_unit_test(reset_forgets_frames),
        cmocka_unit_test(queue_of_frames),
        cmocka_unit_test(checksums),
        cmocka_unit_test(forwards),
        cmocka_unit_test(addresses),
        cmocka_unit_test(parts_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
