/* SPDX-License-Identifier: MIT */
/*
 * net.c - the network card (virtio 1.2, 5.1): a queue each way, one thread of its own that carries
 * frames between them and the link (net/link.h).
 *
 * A doorbell wakes the thread and waits for nothing. The thread takes the device lock to copy
 * frames out of and into guest memory, some at a time, and works on the link without it; so a peer
 * that stalls, or a guest that gives no buffers, slows down its own frames only. Both ways frames
 * pass a bounded queue; what finds no room in it is lost, as on a wire.
 */
#include "../../net/checksum.h"
#include "../../net/frames.h"
#include "../../net/link.h"
#include "../board.h"
#include "virtio.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Feature bits (5.1.3) */
#define NET_F_CSUM       (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU        (1ull << 3)
#define NET_F_MAC        (1ull << 5)
#define NET_F_MRG_RXBUF  (1ull << 15)

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

/* struct virtio_net_hdr (5.1.6) */
struct header {
    uint8_t flags, gso_type;
    uint16_t header_length, gso_size, csum_start, csum_offset;
    uint16_t buffers;
};
_Static_assert(sizeof(struct header) == 12, "5.1.6");
#define HEADER_NEEDS_CSUM 1u
#define HEADER_DATA_VALID 2u
#define GSO_NONE          0u

/* struct virtio_net_config (5.1.4), as far as our features reach */
struct net_space {
    uint8_t mac[6];
    uint16_t status, queue_pairs, mtu;
};
#define CONFIG_SIZE 12u
_Static_assert(sizeof(struct net_space) == CONFIG_SIZE, "5.1.4");

#define BURST       64u /* frames each way while the lock is held once */
#define CHAINS      64u /* buffers one frame may be spread over */
#define SYNC_ROUNDS 1024u

struct net {
    struct virtio_state virtio;
};

struct net_runtime {
    struct device *device;
    const struct net_link_operations *operations;
    struct net_link *link;
    pthread_t thread;
    bool threaded;
    uint32_t end;    /* atomic: the thread is to end */
    bool forget;     /* under the device lock: there was a reset, what waits is for nobody */
    bool fresh;      /* frames have come since the guest was last given some */
    uint32_t waking; /* atomic: it has been woken and has not looked yet */
    int wake;        /* eventfd */
    struct pollfd fds[LINK_POLL_MAX + 1];
    struct frames received, sent; /* for the guest, from the guest; the thread's own */
    struct virtq_chain chain[CHAINS];
};

static struct net_runtime *runtime_of(const struct device *device)
{
    return device->runtime;
}

static const struct net_config *config_of(const struct device *device)
{
    return device_config(device)->net;
}

/* ---- From the guest ---- */

static size_t frame_max(const struct net_runtime *runtime)
{
    return runtime->operations->mtu + LINK_HEADER;
}

/* Copies a frame out of guest memory, then looks at it. One that is not as it must be is dropped.
 */
static void take_frame(struct device *device, const struct virtq_chain *chain, uint8_t *room)
{
    struct net_runtime *runtime = runtime_of(device);
    struct header header;

    if (chain->readable_size < sizeof(header) + LINK_HEADER ||
        chain->readable_size > sizeof(header) + frame_max(runtime) ||
        virtq_read(device, chain, 0, &header, sizeof(header)) != sizeof(header))
        return;
    size_t size = chain->readable_size - sizeof(header);
    if (virtq_read(device, chain, sizeof(header), room, size) != size ||
        header.gso_type != GSO_NONE)
        return;
    if (header.flags & HEADER_NEEDS_CSUM &&
        (!virtio_has(device, NET_F_CSUM) ||
         checksum_finish(room, size, header.csum_start, header.csum_offset) != 0))
        return;
    frames_add(&runtime->sent, room, size);
}

/* True: there is more. */
static bool take_frames(struct device *device)
{
    struct net_runtime *runtime = runtime_of(device);
    struct virtq_chain *chain = &runtime->chain[0];

    for (unsigned i = 0; i < BURST; i++) {
        uint8_t *room = frames_room(&runtime->sent, frame_max(runtime));
        if (!room)
            return true;
        if (virtq_pop(device, QUEUE_TRANSMIT, chain) <= 0)
            return virtq_more(device, QUEUE_TRANSMIT);
        take_frame(device, chain, room);
        virtq_push(device, QUEUE_TRANSMIT, chain->head, 0);
    }
    return true;
}

/* ---- To the guest ---- */

/*
 * Takes buffers for `size` bytes and returns how many; 0: the guest has not given enough yet and
 * will tell when it has; -EMSGSIZE: its buffers never will hold so much. Then none is kept.
 */
static int take_buffers(struct device *device, uint64_t size)
{
    struct net_runtime *runtime = runtime_of(device);
    unsigned limit = virtio_has(device, NET_F_MRG_RXBUF) ? CHAINS : 1;
    unsigned count = 0;
    uint64_t room = 0;
    int result = 0;

    while (room < size && result == 0) {
        struct virtq_chain *chain = &runtime->chain[count];
        if (count == limit) {
            result = -EMSGSIZE;
        } else if (virtq_pop(device, QUEUE_RECEIVE, chain) > 0) {
            count++;
            room += chain->writable_size;
            /* 5.1.6.3.1: at least the header fits into each. */
            if (chain->writable_size < sizeof(struct header))
                virtio_fail(device);
        } else if (!virtq_more(device, QUEUE_RECEIVE)) {
            break; /* asked while all of them are taken: so that the next one is told of */
        }
    }
    if (room >= size)
        return (int)count;
    while (count--)
        virtq_unpop(device, QUEUE_RECEIVE);
    return result;
}

static void fill_buffers(struct device *device, unsigned count, const uint8_t *frame, size_t size)
{
    struct net_runtime *runtime = runtime_of(device);
    struct header header = { .gso_type = GSO_NONE, .buffers = (uint16_t)count };
    struct virtq_used used[CHAINS];
    size_t done = 0;

    if (runtime->operations->checksums_good && virtio_has(device, NET_F_GUEST_CSUM))
        header.flags = HEADER_DATA_VALID;
    for (unsigned i = 0; i < count; i++) {
        const struct virtq_chain *chain = &runtime->chain[i];
        size_t offset = i ? 0 : sizeof(header);
        size_t piece = chain->writable_size - offset;
        if (piece > size - done)
            piece = size - done;
        if (!i)
            virtq_write(device, chain, 0, &header, sizeof(header));
        virtq_write(device, chain, offset, frame + done, piece);
        used[i] = (struct virtq_used){ chain->head, (uint32_t)(offset + piece) };
        done += piece;
    }
    virtq_push_all(device, QUEUE_RECEIVE, used, count);
}

static void give_frames(struct device *device)
{
    struct net_runtime *runtime = runtime_of(device);
    const uint8_t *frame;
    size_t size;

    while ((frame = frames_first(&runtime->received, &size)) != NULL) {
        int count = take_buffers(device, sizeof(struct header) + size);
        if (!count)
            return;
        if (count > 0)
            fill_buffers(device, (unsigned)count, frame, size);
        frames_drop(&runtime->received);
    }
}

/* ---- The thread ---- */

/* Everything that needs the lock. True: there is more to take from the guest. */
static bool exchange(struct device *device)
{
    struct net_runtime *runtime = runtime_of(device);

    if (runtime->forget || !virtio_running(device))
        frames_clear(&runtime->received);
    runtime->forget = false;
    if (!virtio_running(device))
        return false;
    bool more = take_frames(device);
    give_frames(device);
    virtq_signal(device, QUEUE_TRANSMIT);
    virtq_signal(device, QUEUE_RECEIVE);
    return more;
}

static void send_frames(struct net_runtime *runtime)
{
    const uint8_t *frame;
    size_t size;

    while ((frame = frames_first(&runtime->sent, &size)) != NULL) {
        runtime->operations->send(runtime->link, frame, size);
        frames_drop(&runtime->sent);
    }
}

static void receive(void *context, const uint8_t *frame, size_t size)
{
    struct net_runtime *runtime = context;
    uint8_t *room = NULL;

    if (size >= LINK_HEADER && size <= frame_max(runtime))
        room = frames_room(&runtime->received, size);
    if (!room)
        return;
    memcpy(room, frame, size);
    frames_add(&runtime->received, room, size);
    runtime->fresh = true;
}

/* Sleeps until the guest, the link or a timer has something. */
static void wait_for_events(struct net_runtime *runtime, int timeout)
{
    uint64_t count;
    unsigned links = runtime->operations->poll_fill(runtime->link, runtime->fds + 1, &timeout);

    runtime->fds[0] = (struct pollfd){ .fd = runtime->wake, .events = POLLIN };
    if (poll(runtime->fds, links + 1, timeout) < 0) {
        for (unsigned i = 0; i <= links; i++)
            runtime->fds[i].revents = 0;
    }
    if (runtime->fds[0].revents && read(runtime->wake, &count, sizeof(count)) < 0)
        runtime->fds[0].revents = 0; /* somebody else was quicker: there is nobody else */
    runtime->operations->poll_done(runtime->link, runtime->fds + 1, links);
}

static void *net_main(void *argument)
{
    struct net_runtime *runtime = argument;

    while (!__atomic_load_n(&runtime->end, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&runtime->waking, 0, __ATOMIC_SEQ_CST);
        runtime->fresh = false;
        device_enter(runtime->device);
        bool more = exchange(runtime->device);
        device_leave(runtime->device);
        send_frames(runtime);
        wait_for_events(runtime, more || runtime->fresh ? 0 : -1);
    }
    return NULL;
}

static void wake(struct net_runtime *runtime)
{
    const uint64_t one = 1;

    if (__atomic_exchange_n(&runtime->waking, 1, __ATOMIC_SEQ_CST))
        return;
    if (write(runtime->wake, &one, sizeof(one)) < 0)
        return; /* full: it is awake */
}

/* Without a thread (before start(), in tests) the work is done here. */
static void net_notify(struct device *device, unsigned queue)
{
    struct net_runtime *runtime = runtime_of(device);
    bool more = true;

    (void)queue;
    if (runtime->threaded) {
        wake(runtime);
        return;
    }
    for (unsigned i = 0; i < SYNC_ROUNDS && more; i++) {
        more = exchange(device);
        send_frames(runtime);
        wait_for_events(runtime, 0);
    }
    exchange(device);
}

/* ---- Making it ---- */

static bool net_present(const struct board_config *config)
{
    return config->net && config->net->mode != NET_NONE;
}

static int net_open(struct device *device, struct problem *problem)
{
    struct net_runtime *runtime = calloc(1, sizeof(*runtime));
    const struct net_receiver receiver = { .context = runtime, .receive = receive };

    device->runtime = runtime;
    if (!runtime)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    runtime->device = device;
    runtime->wake = -1;
    runtime->operations = config_of(device)->link;
    if (!runtime->operations)
        runtime->operations = config_of(device)->mode == NET_TAP ? &link_tap : &link_user;
    runtime->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (runtime->wake < 0)
        return problem_set(problem, STATUS_HOST, errno, "--net: %s", strerror(errno));
    return runtime->operations->open(&runtime->link, config_of(device), &receiver, problem);
}

static void net_close(struct device *device)
{
    struct net_runtime *runtime = runtime_of(device);

    if (!runtime)
        return;
    if (runtime->link)
        runtime->operations->close(runtime->link);
    if (runtime->wake >= 0)
        close(runtime->wake);
    free(runtime);
    device->runtime = NULL;
}

static int net_start(struct device *device, struct problem *problem)
{
    struct net_runtime *runtime = runtime_of(device);

    runtime->threaded = true;
    int error = pthread_create(&runtime->thread, NULL, net_main, runtime);
    if (!error)
        return 0;
    runtime->threaded = false;
    return problem_set(problem, STATUS_HOST, error, "cannot start a thread: %s", strerror(error));
}

static void net_stop(struct device *device)
{
    struct net_runtime *runtime = runtime_of(device);

    if (!runtime || !runtime->threaded)
        return;
    __atomic_store_n(&runtime->end, 1, __ATOMIC_SEQ_CST);
    wake(runtime);
    pthread_join(runtime->thread, NULL);
    runtime->threaded = false;
}

static void net_reset(struct device *device)
{
    if (runtime_of(device))
        runtime_of(device)->forget = true;
}

static unsigned net_queues(const struct device *device)
{
    (void)device;
    return QUEUES;
}

static uint64_t net_features(const struct device *device)
{
    (void)device;
    return NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MTU | NET_F_MAC | NET_F_MRG_RXBUF;
}

static void net_space(const struct device *device, uint8_t *space)
{
    static const struct net_address usual = { { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 } };
    const struct net_address *mac = &config_of(device)->mac;
    struct net_space values = { .mtu = (uint16_t)runtime_of(device)->operations->mtu };

    if (!memcmp(mac, &(struct net_address){ 0 }, sizeof(*mac)))
        mac = &usual;
    memcpy(values.mac, mac, sizeof(values.mac));
    memcpy(space, &values, CONFIG_SIZE);
}

static const struct virtio_class net_class = {
    .type = 1,
    .first_slot = 3,
    .class_code = 0x020000, /* Ethernet */
    .queue_size = 256,
    .config_size = CONFIG_SIZE,
    .queues = net_queues,
    .features = net_features,
    .config = net_space,
    .reset = net_reset,
    .notify = net_notify,
};

DEVICE_CLASS(virtio_net) = {
    .name = "virtio-net",
    .version = 1,
    .state_size = sizeof(struct net),
    .pci = &virtio_pci,
    .virtio = &net_class,
    .timer = virtio_again,
    .present = net_present,
    .open = net_open,
    .close = net_close,
    .start = net_start,
    .stop = net_stop,
};
