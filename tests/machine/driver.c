/* SPDX-License-Identifier: MIT */
/* driver.c - a virtio driver for tests; see driver.h. */
#include "driver.h"
#include "devices/pci/pci.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define GUARD 0x100000u

/* ---- The machine around it ---- */

static void line(void *context, unsigned gsi, bool level)
{
    struct driver *driver = context;
    driver->lines = (driver->lines & ~(1ull << gsi)) | (uint64_t)level << gsi;
}
static void msi(void *context, uint16_t requester, uint64_t address, uint32_t data)
{
    struct driver *driver = context;
    unsigned at = driver->messages++ % DRIVER_MESSAGES;
    driver->message[at].address = address;
    driver->message[at].data = data;
    driver->message[at].requester = requester;
}
static bool put(void *context, uint8_t byte)
{
    struct driver *driver = context;
    if (!driver->room || driver->written == DRIVER_OUTPUT)
        return false;
    driver->room--;
    driver->output[driver->written++] = (char)byte;
    return true;
}
static bool has_room(void *context)
{
    return ((struct driver *)context)->room >= DEVICE_CONSOLE_ROOM;
}
static int get(void *context)
{
    struct driver *driver = context;
    return driver->input && *driver->input ? (uint8_t)*driver->input++ : -1;
}
static void doorbell(void *context, unsigned slot, uint64_t gpa)
{
    ((struct driver *)context)->doorbell[slot] = gpa;
}
static void enter(void *context)
{
    pthread_mutex_lock(&((struct driver *)context)->lock);
}
static void leave(void *context)
{
    pthread_mutex_unlock(&((struct driver *)context)->lock);
}
static void code_written(void *context, uint64_t page)
{
    struct driver *driver = context;
    driver->code_written = true;
    driver->code_page = page;
}

/* Each piece of RAM with pages around it that nobody may touch. */
static void add_memory(struct driver *driver)
{
    static const uint64_t pieces[][2] = { { 0, DRIVER_LOW_END },
                                          { DRIVER_MID, DRIVER_MID_END },
                                          { DRIVER_HIGH, DRIVER_HIGH_END } };
    uint8_t *at;

    driver->area_size = GUARD;
    for (unsigned i = 0; i < 3; i++)
        driver->area_size += pieces[i][1] - pieces[i][0] + GUARD;
    driver->area = mmap(NULL, driver->area_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (driver->area == MAP_FAILED)
        abort();
    at = (uint8_t *)driver->area + GUARD;
    ram_init(&driver->ram);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t size = pieces[i][1] - pieces[i][0];
        const struct ram_chunk chunk = { .gpa = pieces[i][0], .size = size, .host = at, .fd = -1 };
        if (mprotect(at, size, PROT_READ | PROT_WRITE) != 0 || ram_add(&driver->ram, &chunk) != 0)
            abort();
        at += size + GUARD;
    }
    driver->ram.page_flags = driver->flags;
    driver->ram.page_flags_count = sizeof(driver->flags);
    driver->ram.code_written = code_written;
    driver->ram.code_context = driver;
}

int driver_create(struct driver *driver, const struct board_config *config, struct problem *problem)
{
    const struct board_host host = { .context = driver,
                                     .ram = &driver->ram,
                                     .irq_line = line,
                                     .msi = msi,
                                     .console_put = put,
                                     .console_room = has_room,
                                     .console_get = get,
                                     .doorbell = doorbell,
                                     .enter = enter,
                                     .leave = leave };

    memset(driver, 0, sizeof(*driver));
    driver->room = ~0u;
    pthread_mutex_init(&driver->lock, NULL);
    add_memory(driver);
    int result = board_init(&driver->board, config, &host, problem);
    if (result == 0)
        result = board_start(&driver->board, problem);
    if (result)
        munmap(driver->area, driver->area_size);
    return result;
}

void driver_destroy(struct driver *driver)
{
    board_drain(&driver->board);
    board_stop(&driver->board);
    board_destroy(&driver->board);
    munmap(driver->area, driver->area_size);
    pthread_mutex_destroy(&driver->lock);
}

void *driver_memory(struct driver *driver, uint64_t gpa, size_t size)
{
    for (unsigned i = 0; i < driver->ram.count; i++) {
        const struct ram_chunk *chunk = &driver->ram.chunk[i];
        if (gpa >= chunk->gpa && gpa - chunk->gpa < chunk->size &&
            size <= chunk->size - (gpa - chunk->gpa))
            return chunk->host + (gpa - chunk->gpa);
    }
    abort();
}

void driver_put64(struct driver *driver, uint64_t gpa, uint64_t value)
{
    memcpy(driver_memory(driver, gpa, 8), &value, 8);
}

static void put16(struct driver *driver, uint64_t gpa, uint16_t value)
{
    __atomic_store_n((uint16_t *)driver_memory(driver, gpa, 2), value, __ATOMIC_SEQ_CST);
}

static uint16_t get16(struct driver *driver, uint64_t gpa)
{
    return __atomic_load_n((uint16_t *)driver_memory(driver, gpa, 2), __ATOMIC_SEQ_CST);
}

/* ---- PCI ---- */

uint64_t driver_read(struct driver *driver, uint64_t gpa, unsigned size)
{
    enter(driver);
    uint64_t value = board_read(&driver->board, SPACE_MMIO, gpa, size);
    leave(driver);
    return value;
}

void driver_write(struct driver *driver, uint64_t gpa, unsigned size, uint64_t value)
{
    enter(driver);
    board_write(&driver->board, SPACE_MMIO, gpa, size, value);
    leave(driver);
}

uint32_t driver_config_read(struct driver *driver, unsigned slot, unsigned offset, unsigned size)
{
    return (uint32_t)driver_read(driver, PCI_ECAM + (slot << 15) + offset, size);
}

void driver_config_write(struct driver *driver, unsigned slot, unsigned offset, unsigned size,
                         uint32_t value)
{
    driver_write(driver, PCI_ECAM + (slot << 15) + offset, size, value);
}

bool driver_find(struct driver *driver, unsigned type, unsigned number)
{
    for (unsigned slot = 0; slot < BOARD_PCI_SLOTS; slot++) {
        uint32_t identity = driver_config_read(driver, slot, PCI_VENDOR, 4);
        if (identity != ((0x1040u + type) << 16 | 0x1af4))
            continue;
        if (number--)
            continue;
        driver->slot = slot;
        driver->bar = (driver_config_read(driver, slot, PCI_BAR, 4) & ~0xfull) |
                      (uint64_t)driver_config_read(driver, slot, PCI_BAR + 4, 4) << 32;
        driver_config_write(driver, slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        return true;
    }
    return false;
}

/* ---- The device ---- */

uint8_t driver_status(struct driver *driver)
{
    return (uint8_t)driver_read(driver, driver->bar + COMMON_STATUS, 1);
}

void driver_reset(struct driver *driver)
{
    const struct timespec moment = { .tv_nsec = 1000000 };

    driver_write(driver, driver->bar + COMMON_STATUS, 1, 0);
    for (unsigned i = 0; i < 10000 && driver_status(driver) != 0; i++)
        nanosleep(&moment, NULL);
}

uint64_t driver_offered(struct driver *driver)
{
    uint64_t features = 0;

    for (unsigned half = 0; half < 2; half++) {
        driver_write(driver, driver->bar + COMMON_DEVICE_FEATURE_SELECT, 4, half);
        features |= driver_read(driver, driver->bar + COMMON_DEVICE_FEATURE, 4) << 32 * half;
    }
    return features;
}

uint8_t driver_negotiate(struct driver *driver, uint64_t features)
{
    driver->features = features;
    driver_write(driver, driver->bar + COMMON_STATUS, 1, 1);
    driver_write(driver, driver->bar + COMMON_STATUS, 1, 3);
    for (unsigned half = 0; half < 2; half++) {
        driver_write(driver, driver->bar + COMMON_DRIVER_FEATURE_SELECT, 4, half);
        driver_write(driver, driver->bar + COMMON_DRIVER_FEATURE, 4, features >> 32 * half);
    }
    driver_write(driver, driver->bar + COMMON_STATUS, 1, 11);
    return driver_status(driver);
}

void driver_setup_queue(struct driver *driver, unsigned queue, uint16_t size, uint64_t descriptors,
                        uint64_t available, uint64_t used)
{
    uint64_t bar = driver->bar;

    driver_write(driver, bar + COMMON_QUEUE_SELECT, 2, queue);
    driver_write(driver, bar + COMMON_QUEUE_SIZE, 2, size);
    driver_write(driver, bar + COMMON_QUEUE_VECTOR, 2, queue + 1);
    driver_write(driver, bar + COMMON_QUEUE_DESCRIPTORS, 8, descriptors);
    driver_write(driver, bar + COMMON_QUEUE_AVAILABLE, 8, available);
    driver_write(driver, bar + COMMON_QUEUE_USED, 8, used);
    driver_write(driver, bar + COMMON_QUEUE_ENABLE, 2, 1);
}

void driver_enable_msix(struct driver *driver, unsigned vectors)
{
    for (unsigned i = 0; i < vectors; i++) {
        uint64_t entry = driver->bar + BAR_TABLE + 16 * (uint64_t)i;
        driver_write(driver, entry, 8, 0xfee00000);
        driver_write(driver, entry + 8, 4, 0x40 + i);
        driver_write(driver, entry + 12, 4, 0);
    }
    driver_config_write(driver, driver->slot, PCI_FIRST_CAPABILITY + 2, 2, 0x8000);
    driver_write(driver, driver->bar + COMMON_CONFIG_VECTOR, 2, 0);
}

uint8_t driver_start(struct driver *driver, uint64_t wanted, unsigned queues, uint16_t size)
{
    driver_reset(driver);
    driver_negotiate(driver, (wanted & driver_offered(driver)) | VIRTIO_F_VERSION_1);
    driver_enable_msix(driver, queues + 1);
    for (unsigned i = 0; i < queues; i++) {
        uint64_t rings = DRIVER_RINGS + 0x4000ull * i;
        memset(driver_memory(driver, rings, 0x4000), 0, 0x4000);
        driver->queue[i] = (struct driver_queue){ .size = size, .rings = rings };
        driver_setup_queue(driver, i, size, rings, rings + 0x2000, rings + 0x3000);
    }
    driver_write(driver, driver->bar + COMMON_STATUS, 1, 15);
    return driver_status(driver);
}

/* ---- Queues ---- */

void driver_descriptor(struct driver *driver, unsigned queue, uint16_t index, uint64_t address,
                       uint32_t size, uint16_t flags, uint16_t next)
{
    uint64_t at = driver->queue[queue].rings + 16ull * index;

    driver_put64(driver, at, address);
    driver_put64(driver, at + 8, (uint64_t)next << 48 | (uint64_t)flags << 32 | size);
}

void driver_offer(struct driver *driver, unsigned queue, uint16_t head)
{
    struct driver_queue *q = &driver->queue[queue];
    uint64_t ring = q->rings + 0x2000;

    put16(driver, ring + 4 + 2ull * (q->available & (q->size - 1u)), head);
    put16(driver, ring + 2, ++q->available);
}

void driver_notify(struct driver *driver, unsigned queue)
{
    driver_write(driver, driver->bar + BAR_NOTIFY + 4ull * queue, 2, queue);
}

bool driver_used(struct driver *driver, unsigned queue, unsigned seconds, uint32_t *head,
                 uint32_t *written)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    struct driver_queue *q = &driver->queue[queue];
    uint64_t ring = q->rings + 0x3000;

    for (unsigned i = 0; get16(driver, ring + 2) == q->used; i++) {
        if (i == seconds * 1000)
            return false;
        nanosleep(&moment, NULL);
    }
    const uint32_t *element =
        driver_memory(driver, ring + 4 + 8ull * (q->used & (q->size - 1u)), 8);
    if (head)
        *head = element[0];
    if (written)
        *written = element[1];
    q->used++;
    return true;
}

int driver_disk(struct driver *driver, uint32_t type, uint64_t sector, uint32_t size)
{
    uint8_t *status = driver_memory(driver, DRIVER_BUFFERS + 16, 1);
    bool out = type == 1 || type == 11 || type == 13;

    driver_put64(driver, DRIVER_BUFFERS, type);
    driver_put64(driver, DRIVER_BUFFERS + 8, sector);
    *status = 0xee;
    driver_descriptor(driver, 0, 0, DRIVER_BUFFERS, 16, NEXT, size ? 1 : 2);
    driver_descriptor(driver, 0, 1, DRIVER_DATA, size, out ? NEXT : NEXT | WRITE, 2);
    driver_descriptor(driver, 0, 2, DRIVER_BUFFERS + 16, 1, WRITE, 0);
    driver_offer(driver, 0, 0);
    driver_notify(driver, 0);
    return driver_used(driver, 0, 10, NULL, NULL) ? *status : -1;
}
