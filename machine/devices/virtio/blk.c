/* SPDX-License-Identifier: MIT */
/*
 * blk.c - the disk (virtio 1.2, 5.2): one queue, requests checked whole before anything of them
 * happens, data moved between the image and guest memory without a copy.
 *
 * A request: 16 bytes {type, reserved, sector} to read, data either way, one byte of status to
 * write. A chain that is not of this shape breaks the queue; a request of this shape that asks for
 * what can't be gets a status.
 */
#include "../../storage/blockio.h"
#include "blk.h"
#include "virtio.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Feature bits (5.2.3) */
#define BLK_F_SEG_MAX      (1ull << 2)
#define BLK_F_RO           (1ull << 5)
#define BLK_F_BLK_SIZE     (1ull << 6)
#define BLK_F_FLUSH        (1ull << 9)
#define BLK_F_DISCARD      (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

/* Types and statuses of requests (5.2.6) */
enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_DISCARD = 11, BLK_ZEROES = 13 };
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPPORTED = 2 };

#define SECTOR   512u
#define HEADER   16u
#define ID_BYTES 20u
#define VECTOR_MAX                                                                                 \
    (VIRTQ_SEGMENTS + 4u)       /* a segment may cross from one piece of RAM to the next           \
                                 */
#define DISCARD_MAX   0x800000u /* sectors in one request: 4 GiB */
#define ZEROES_MAX    0x20000u  /* the same: 64 MiB, which may have to be written */
#define DRAIN_SECONDS 10

/* struct virtio_blk_config (5.2.4) */
struct blk_config {
    uint64_t capacity;
    uint32_t size_max, seg_max;
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint32_t blk_size;
    uint8_t physical_block_exp, alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback, unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
};
_Static_assert(sizeof(struct blk_config) == 60 + 4, "5.2.4, padded to 8");
#define CONFIG_SIZE 60u

struct blk {
    struct virtio_state virtio;
    uint64_t sectors;
};

/* One request under way. */
struct blk_request {
    struct block_request io;
    uint64_t status_gpa;
    uint16_t head;
    uint32_t written; /* bytes of data the driver is told of */
    struct iovec vector[VECTOR_MAX];
    struct blk_request *next; /* free */
};

struct blk_runtime {
    struct image image;
    struct block_io *io;
    struct blk_request *free;
    struct blk_request request[VIRTIO_QUEUE_SIZE];
};

static struct blk_runtime *runtime_of(const struct device *device)
{
    return device->runtime;
}

static const struct board_disk *disk_of(const struct device *device)
{
    return &device_config(device)->disk[device->index];
}

/* ---- Ends ---- */

static void answer(struct device *device, const struct blk_request *request, uint8_t status)
{
    /* Checked when it was taken; if it can't be written now, the device is stopped already. */
    if (virtio_running(device) && pci_dma_write(device, request->status_gpa, &status, 1) != 0)
        virtio_fail(device);
    virtq_push(device, 0, request->head, request->written + 1);
}

static void release(struct blk_runtime *runtime, struct blk_request *request)
{
    request->next = runtime->free;
    runtime->free = request;
}

static void finish(struct device *device, struct blk_request *request)
{
    bool read = request->io.operation == BLOCK_READ;

    virtq_unmap(device, request->vector, request->io.count, read);
    if (request->io.result && read)
        request->written = 0;
    answer(device, request, request->io.result ? BLK_IOERR : BLK_OK);
    release(runtime_of(device), request);
}

static void reap(struct device *device)
{
    struct block_request *io;

    while ((io = block_reap(runtime_of(device)->io)) != NULL)
        finish(device, (struct blk_request *)(void *)io);
}

/* ---- Beginnings: validate, then perform ---- */

struct header {
    uint32_t type, reserved;
    uint64_t sector;
};

/* One range of DISCARD and WRITE_ZEROES */
struct range {
    uint64_t sector;
    uint32_t sectors, flags;
};
#define RANGE_UNMAP 1u

static bool inside(const struct device *device, uint64_t sector, uint64_t bytes)
{
    const struct blk *blk = device->state;

    return bytes % SECTOR == 0 && sector <= blk->sectors && bytes / SECTOR <= blk->sectors - sector;
}

static int map(struct device *device, const struct virtq_chain *chain, struct blk_request *request)
{
    bool read = request->io.operation == BLOCK_READ;
    int count = virtq_map(device, chain, read, read ? 0 : HEADER, request->io.length,
                          request->vector, VECTOR_MAX);

    if (count < 0)
        return count;
    request->io.vector = request->vector;
    request->io.count = (unsigned)count;
    return 0;
}

/* Fills request->io; BLK_OK: submit it, or the status to answer with. */
static uint8_t check_move(struct device *device, const struct virtq_chain *chain,
                          const struct header *header, struct blk_request *request)
{
    bool read = header->type == BLK_IN;
    uint64_t bytes = read ? chain->writable_size - 1 : chain->readable_size - HEADER;

    if (!inside(device, header->sector, bytes) || (!read && runtime_of(device)->image.read_only))
        return BLK_IOERR;
    request->io.operation = read ? BLOCK_READ : BLOCK_WRITE;
    request->io.stable = !virtio_has(device, BLK_F_FLUSH); /* 5.2.6.2: no cache was agreed on */
    request->io.offset = header->sector * SECTOR;
    request->io.length = bytes;
    request->written = read ? (uint32_t)bytes : 0;
    return map(device, chain, request) == 0 ? BLK_OK : BLK_IOERR;
}

static uint8_t check_range(struct device *device, const struct virtq_chain *chain,
                           const struct header *header, struct blk_request *request)
{
    bool discard = header->type == BLK_DISCARD;
    struct range range;

    if (!virtio_has(device, discard ? BLK_F_DISCARD : BLK_F_WRITE_ZEROES))
        return BLK_UNSUPPORTED;
    if (chain->readable_size != HEADER + sizeof(range) ||
        virtq_read(device, chain, HEADER, &range, sizeof(range)) != sizeof(range))
        return BLK_IOERR;
    /* 5.2.6.2: reserved flags, and UNMAP in a discard, are not supported */
    if (range.flags & (discard ? ~0u : ~RANGE_UNMAP))
        return BLK_UNSUPPORTED;
    if (runtime_of(device)->image.read_only ||
        range.sectors > (discard ? DISCARD_MAX : ZEROES_MAX) || !range.sectors ||
        !inside(device, range.sector, (uint64_t)range.sectors * SECTOR))
        return BLK_IOERR;
    request->io.operation = discard ? BLOCK_DISCARD : BLOCK_ZERO;
    request->io.stable = !virtio_has(device, BLK_F_FLUSH);
    request->io.unmap = range.flags & RANGE_UNMAP;
    request->io.offset = range.sector * SECTOR;
    request->io.length = (uint64_t)range.sectors * SECTOR;
    return BLK_OK;
}

static uint8_t give_id(struct device *device, const struct virtq_chain *chain,
                       struct blk_request *request)
{
    const char *serial = disk_of(device)->serial;
    char id[ID_BYTES] = { 0 };

    if (chain->writable_size - 1 < sizeof(id))
        return BLK_IOERR;
    memcpy(id, serial ? serial : "", serial ? strnlen(serial, sizeof(id)) : 0);
    if (virtq_write(device, chain, 0, id, sizeof(id)) != sizeof(id))
        return BLK_IOERR;
    request->written = sizeof(id);
    return BLK_OK;
}

/* True: submit request->io. False: answered already. */
static bool begin(struct device *device, const struct virtq_chain *chain,
                  const struct header *header, struct blk_request *request)
{
    uint8_t status = BLK_UNSUPPORTED;
    bool submit = false;

    switch (header->type) {
    case BLK_IN:
    case BLK_OUT:
        status = check_move(device, chain, header, request);
        submit = status == BLK_OK && request->io.length;
        break;
    case BLK_FLUSH:
        request->io.operation = BLOCK_FLUSH;
        submit = true;
        break;
    case BLK_DISCARD:
    case BLK_ZEROES:
        status = check_range(device, chain, header, request);
        submit = status == BLK_OK;
        break;
    case BLK_GET_ID:
        status = give_id(device, chain, request);
        break;
    default:
        break;
    }
    if (!submit) {
        answer(device, request, status);
        release(runtime_of(device), request);
    }
    return submit;
}

/* Where the last writable byte is. */
static uint64_t status_of(const struct virtq_chain *chain)
{
    const struct virtq_segment *last = &chain->segment[chain->readable + chain->writable - 1];

    return last->gpa + last->size - 1;
}

static void take(struct device *device, const struct virtq_chain *chain)
{
    struct blk_runtime *runtime = runtime_of(device);
    struct blk_request *request = runtime->free;
    struct header header;

    if (!request || chain->writable_size < 1 ||
        virtq_read(device, chain, 0, &header, sizeof(header)) != sizeof(header)) {
        virtio_fail(device);
        virtq_push(device, 0, chain->head, 0);
        return;
    }
    runtime->free = request->next;
    request->io = (struct block_request){ .operation = BLOCK_FLUSH };
    request->head = chain->head;
    request->written = 0;
    request->status_gpa = status_of(chain);
    if (begin(device, chain, &header, request))
        block_submit(runtime->io, &request->io);
}

static void blk_notify(struct device *device, unsigned queue)
{
    struct virtq_chain chain;

    do {
        while (virtq_pop(device, queue, &chain) > 0)
            take(device, &chain);
        block_kick(runtime_of(device)->io);
        reap(device);
        virtq_signal(device, queue);
    } while (virtq_more(device, queue));
}

/* ---- From the I/O's own threads ---- */

static void blk_wake(void *context)
{
    struct device *device = context;

    device_enter(device);
    reap(device);
    virtq_signal(device, 0);
    device_leave(device);
}

/* No queue is worked on any more: what is under way ends. */
static bool blk_drain(struct device *device)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    struct blk_runtime *runtime = runtime_of(device);

    for (unsigned i = 0; i < DRAIN_SECONDS * 1000u; i++) {
        device_enter(device);
        reap(device);
        unsigned left = block_in_flight(runtime->io);
        device_leave(device);
        if (!left)
            return true;
        nanosleep(&moment, NULL);
    }
    return false;
}

/* ---- Making it ---- */

static unsigned blk_count(const struct board_config *config)
{
    return config->disk_count;
}

static int blk_open(struct device *device, struct problem *problem)
{
    const struct board_disk *disk = disk_of(device);
    struct blk_runtime *runtime = calloc(1, sizeof(*runtime));
    int result;

    if (!runtime)
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory for disk %s", disk->file);
    device->runtime = runtime;
    for (unsigned i = VIRTIO_QUEUE_SIZE; i-- > 0;)
        release(runtime, &runtime->request[i]);
    result = image_open(&runtime->image, disk->file, disk->read_only, problem);
    if (result)
        return result;
    return block_create(&runtime->io, &runtime->image, &block_host_calls,
                        device_config(device)->deterministic ? BLOCK_AT_ONCE : BLOCK_BEST, blk_wake,
                        device, problem);
}

static void blk_close(struct device *device)
{
    struct blk_runtime *runtime = runtime_of(device);

    if (!runtime)
        return;
    block_destroy(runtime->io);
    image_close(&runtime->image);
    free(runtime);
    device->runtime = NULL;
}

static int blk_start(struct device *device, struct problem *problem)
{
    return block_start(runtime_of(device)->io, problem);
}

static void blk_stop(struct device *device)
{
    block_stop(runtime_of(device)->io);
}

/* ---- What the driver sees ---- */

static unsigned blk_queues(const struct device *device)
{
    (void)device;
    return 1;
}

static uint64_t blk_features(const struct device *device)
{
    return BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
           (disk_of(device)->read_only ? BLK_F_RO : BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
}

static void blk_config(const struct device *device, uint8_t *data)
{
    const struct blk *blk = device->state;
    const struct blk_config config = {
        .capacity = blk->sectors,
        .seg_max = VIRTIO_QUEUE_SIZE - 2, /* header and status beside the data */
        .blk_size = SECTOR,
        .num_queues = 1,
        .max_discard_sectors = DISCARD_MAX,
        .max_discard_seg = 1,
        .discard_sector_alignment = 8,
        .max_write_zeroes_sectors = ZEROES_MAX,
        .max_write_zeroes_seg = 1,
        .write_zeroes_may_unmap = 1,
    };

    memcpy(data, &config, CONFIG_SIZE);
}

static void blk_reset(struct device *device)
{
    struct blk *blk = device->state;

    blk->sectors = runtime_of(device)->image.size / SECTOR;
}

/* A state belongs to an image of its size. */
static int blk_check(const struct device *device, const void *state)
{
    return ((const struct blk *)state)->sectors == ((const struct blk *)device->state)->sectors
               ? 0
               : -EINVAL;
}

static const struct virtio_class blk_virtio = {
    .type = 2,
    .first_slot = 8,
    .class_code = 0x018000, /* mass storage, other */
    .queue_size = VIRTIO_QUEUE_SIZE,
    .config_size = CONFIG_SIZE,
    .queues = blk_queues,
    .features = blk_features,
    .config = blk_config,
    .reset = blk_reset,
    .notify = blk_notify,
    .check = blk_check,
};

DEVICE_CLASS(virtio_blk) = {
    .name = "virtio-blk",
    .version = 1,
    .state_size = sizeof(struct blk),
    .pci = &virtio_pci,
    .virtio = &blk_virtio,
    .timer = virtio_again,
    .count = blk_count,
    .open = blk_open,
    .close = blk_close,
    .start = blk_start,
    .stop = blk_stop,
    .drain = blk_drain,
};

const char *blk_way(const struct board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        if (board->device[i].class == &virtio_blk)
            return block_name(runtime_of(&board->device[i])->io);
    }
    return NULL;
}
