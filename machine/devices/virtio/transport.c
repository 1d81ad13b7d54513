/* SPDX-License-Identifier: MIT */
/*
 * transport.c - virtio over PCI (virtio 1.2, 4.1): one 64-bit BAR with a page for each structure,
 * the capabilities that say so, status, reset and interrupts.
 */
#include "transport.h"
#include "../board.h"
#include <errno.h>
#include <string.h>

/* The BAR: a page each, so that the notification page can be a doorbell of its own. */
enum part {
    PART_COMMON,
    PART_INTERRUPT,
    PART_CONFIG,
    PART_NOTIFY,
    PART_TABLE,
    PART_PENDING,
    PARTS
};
#define PART_SIZE         0x1000u
#define BAR_SIZE          0x8000u
#define NOTIFY_MULTIPLIER 4u
#define CONFIG_MAX        4096u

/* Types of the capabilities (4.1.4) */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };

unsigned virtio_queue_count(const struct device *device)
{
    unsigned count = device->class->virtio->queues(device);

    return count <= VIRTIO_QUEUES ? count : VIRTIO_QUEUES;
}

uint64_t virtio_offered(const struct device *device)
{
    return device->class->virtio->features(device) | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC |
           VIRTIO_F_EVENT_IDX;
}

bool virtio_running(const struct device *device)
{
    const struct virtio_state *state = virtio_state_of(device);

    return (state->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
               VIRTIO_STATUS_DRIVER_OK &&
           !state->resetting && pci_is_master(device);
}

/* ---- Interrupts (4.1.4.5, 4.1.5.3) ---- */

void virtio_interrupt(struct device *device, uint16_t vector, uint8_t reason)
{
    struct virtio_state *state = virtio_state_of(device);

    if (msix_enabled(device, &state->msix)) {
        msix_send(device, &state->msix, vector);
        return;
    }
    state->interrupt_status |= reason;
    pci_interrupt(device, true);
}

void virtio_config_changed(struct device *device)
{
    struct virtio_state *state = virtio_state_of(device);

    state->config_generation++;
    if (state->status & VIRTIO_STATUS_DRIVER_OK)
        virtio_interrupt(device, state->config_vector, VIRTIO_INTERRUPT_CONFIG);
}

void virtio_fail(struct device *device)
{
    struct virtio_state *state = virtio_state_of(device);

    if (state->status & VIRTIO_STATUS_NEEDS_RESET || state->resetting)
        return;
    state->status |= VIRTIO_STATUS_NEEDS_RESET;
    if (state->status & VIRTIO_STATUS_DRIVER_OK) /* 2.1.2 */
        virtio_interrupt(device, state->config_vector, VIRTIO_INTERRUPT_CONFIG);
}

/* ---- Reset and status ---- */

/* What a driver's reset clears; PCI's side (BAR, command, MSI-X table) stays. */
static void clear_state(struct device *device)
{
    struct virtio_state *state = virtio_state_of(device);
    const struct virtio_class *class = device->class->virtio;

    state->driver_features = 0;
    state->device_feature_select = state->driver_feature_select = 0;
    state->queue_select = 0;
    state->config_vector = MSIX_NONE;
    state->status = state->interrupt_status = state->resetting = 0;
    memset(state->queue, 0, sizeof(state->queue));
    for (unsigned i = 0; i < virtio_queue_count(device); i++) {
        state->queue[i].size = class->queue_size;
        state->queue[i].vector = MSIX_NONE;
    }
    state->msix.pending = 0;
    pci_interrupt(device, false);
    if (class->reset)
        class->reset(device);
}

void virtio_finish_reset(struct device *device)
{
    struct virtio_state *state = virtio_state_of(device);

    for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
        if (state->queue[i].taken)
            return;
    }
    clear_state(device);
}

static void ring_all(struct device *device)
{
    for (unsigned i = 0; i < virtio_queue_count(device); i++) {
        device->budget = DEVICE_BUDGET;
        if (virtio_state_of(device)->queue[i].enabled && virtio_running(device))
            device->class->virtio->notify(device, i);
    }
}

void virtio_again(struct device *device)
{
    ring_all(device);
}

void virtio_write_status(struct device *device, uint8_t value)
{
    struct virtio_state *state = virtio_state_of(device);
    uint8_t old = state->status;

    if (state->resetting)
        return;
    if (value == 0) {
        state->resetting = 1;
        virtio_finish_reset(device);
        return;
    }
    /* Bits are only ever added (2.1.1), and NEEDS_RESET only by us. */
    state->status |= value & (uint8_t)~VIRTIO_STATUS_NEEDS_RESET;
    /* What was not offered can't be agreed on; nor can doing without VERSION_1 (6.2). */
    if (!(old & VIRTIO_STATUS_FEATURES_OK) && (state->driver_features & ~virtio_offered(device) ||
                                               !(state->driver_features & VIRTIO_F_VERSION_1)))
        state->status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
    /* DRIVER_OK without features is no way to start (3.1.1). */
    if (!(state->status & VIRTIO_STATUS_FEATURES_OK))
        state->status &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
    if (state->status & ~old & VIRTIO_STATUS_DRIVER_OK) {
        if (device->class->virtio->ready)
            device->class->virtio->ready(device);
        ring_all(device); /* buffers may have been made available before */
    }
}

/* ---- The BAR ---- */

static uint64_t read_bytes(const void *from, size_t length, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (offset + size <= length)
        memcpy(&value, (const uint8_t *)from + offset, size);
    return value;
}

static uint64_t read_interrupt(struct device *device)
{
    struct virtio_state *state = virtio_state_of(device);
    uint8_t value = state->interrupt_status;

    state->interrupt_status = 0;
    pci_interrupt(device, false);
    return value;
}

static uint64_t bar_read(struct device *device, unsigned bar, uint64_t offset, unsigned size)
{
    const struct virtio_class *class = device->class->virtio;
    struct virtio_state *state = virtio_state_of(device);
    uint64_t at = offset % PART_SIZE;
    uint8_t config[CONFIG_MAX];

    (void)bar;
    switch (offset / PART_SIZE) {
    case PART_COMMON:
        return virtio_common_read(device, (unsigned)at, size);
    case PART_INTERRUPT:
        return at == 0 ? read_interrupt(device) : 0;
    case PART_CONFIG:
        if (at + size > class->config_size)
            return 0;
        class->config(device, config);
        return read_bytes(config, class->config_size, at, size);
    case PART_TABLE:
        return at < MSIX_TABLE_BYTES ? msix_table_read(&state->msix, at, size) : 0;
    case PART_PENDING:
        return msix_pending_read(&state->msix, at, size);
    default:
        return 0;
    }
}

static void notify(struct device *device, unsigned queue)
{
    if (queue < virtio_queue_count(device) && virtio_state_of(device)->queue[queue].enabled &&
        virtio_running(device)) {
        device->budget = DEVICE_BUDGET;
        device->class->virtio->notify(device, queue);
    }
}

static void bar_write(struct device *device, unsigned bar, uint64_t offset, unsigned size,
                      uint64_t value)
{
    const struct virtio_class *class = device->class->virtio;
    struct virtio_state *state = virtio_state_of(device);
    unsigned at = (unsigned)(offset % PART_SIZE);

    if (size == 8 && offset / PART_SIZE != PART_TABLE) {
        bar_write(device, bar, offset, 4, (uint32_t)value);
        bar_write(device, bar, offset + 4, 4, value >> 32);
        return;
    }
    switch (offset / PART_SIZE) {
    case PART_COMMON:
        virtio_common_write(device, at, size, (uint32_t)value);
        break;
    case PART_CONFIG:
        if (class->config_write && at + size <= class->config_size)
            class->config_write(device, at, size, (uint32_t)value);
        break;
    case PART_NOTIFY: /* the address says which; the value repeats it */
        if (at % NOTIFY_MULTIPLIER == 0)
            notify(device, at / NOTIFY_MULTIPLIER);
        break;
    case PART_TABLE:
        if (at < MSIX_TABLE_BYTES)
            msix_table_write(device, &state->msix, at, size, value);
        break;
    default:
        break;
    }
}

static void doorbell(struct device *device, uint64_t queues)
{
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
        if (queues >> i & 1)
            notify(device, i);
    }
}

/* The notification page is a doorbell where this BAR is the one that answers. */
static void moved(struct device *device, unsigned bar, uint64_t base)
{
    struct board *board = device->board;
    uint64_t gpa = base == ~0ull ? ~0ull : base + PART_NOTIFY * PART_SIZE;

    if (!board->host.doorbell)
        return;
    if (gpa != ~0ull) {
        const struct board_window *window = pci_window_at(board, gpa);
        if (!window || window->device != device || window->bar != bar)
            gpa = ~0ull;
    }
    board->host.doorbell(board->host.context, device->slot, gpa);
}

/* ---- Configuration space ---- */

/* A window to the BAR for those who can't reach it (4.1.4.9): offset and length as written, data.
 */
static bool window_access(struct device *device, uint32_t *offset, uint32_t *size)
{
    const uint8_t *config = pci_state_of(device)->config + virtio_state_of(device)->window;

    memcpy(offset, config + 8, 4);
    memcpy(size, config + 12, 4);
    return config[4] == 0 && (*size == 1 || *size == 2 || *size == 4) && *offset % *size == 0 &&
           *offset < BAR_SIZE;
}

static void config_reading(struct device *device, unsigned offset, unsigned size)
{
    unsigned data = virtio_state_of(device)->window + 16u;
    uint32_t at, length;

    (void)size;
    if ((offset & ~3u) != data || !window_access(device, &at, &length))
        return;
    uint32_t value = (uint32_t)bar_read(device, 0, at, length);
    memcpy(pci_state_of(device)->config + data, &value, 4);
}

static void config_written(struct device *device, unsigned offset, unsigned size)
{
    struct virtio_state *state = virtio_state_of(device);
    unsigned data = state->window + 16u;
    uint32_t at, length, value;

    (void)size;
    if ((offset & ~3u) == data && window_access(device, &at, &length)) {
        memcpy(&value, pci_state_of(device)->config + data, 4);
        bar_write(device, 0, at, length, length < 4 ? value & ((1u << 8 * length) - 1) : value);
    }
    msix_config_written(device, &state->msix);
    if ((offset & ~3u) == PCI_COMMAND && virtio_running(device))
        ring_all(device); /* perhaps a bus master again */
}

/* struct virtio_pci_cap (4.1.4): vendor-specific, link, length, type, BAR 0, offset, length */
static unsigned add_capability(struct device *device, uint8_t type, uint8_t size, enum part part,
                               uint32_t length)
{
    uint8_t capability[20] = { PCI_CAPABILITY_VENDOR, 0, size, type };
    const uint32_t at[2] = { type == CAP_PCI ? 0 : part * PART_SIZE, length };
    const uint32_t multiplier = type == CAP_NOTIFY ? NOTIFY_MULTIPLIER : 0;

    memcpy(capability + 8, at, sizeof(at));
    memcpy(capability + 16, &multiplier, sizeof(multiplier));
    return pci_add_capability(device, capability, size);
}

static void reset(struct device *device)
{
    struct virtio_state *state = virtio_state_of(device);
    const struct virtio_class *class = device->class->virtio;
    unsigned queues = virtio_queue_count(device);

    msix_reset(device, &state->msix, queues + 1, 0, PART_TABLE * PART_SIZE,
               PART_PENDING * PART_SIZE);
    add_capability(device, CAP_COMMON, 16, PART_COMMON, VIRTIO_COMMON_SIZE);
    add_capability(device, CAP_NOTIFY, 20, PART_NOTIFY, queues * NOTIFY_MULTIPLIER);
    add_capability(device, CAP_ISR, 16, PART_INTERRUPT, 1);
    if (class->config_size)
        add_capability(device, CAP_DEVICE, 16, PART_CONFIG, class->config_size);
    state->window = (uint16_t)add_capability(device, CAP_PCI, 20, PART_COMMON, 0);
    state->config_generation = 0;
    clear_state(device);
}

static void identify(const struct device *device, struct pci_identity *identity)
{
    const struct virtio_class *class = device->class->virtio;

    *identity = (struct pci_identity){
        .vendor = 0x1af4, /* 4.1.2 */
        .device = (uint16_t)(0x1040 + class->type),
        .subsystem_vendor = 0x1af4,
        .subsystem = class->type,
        .class_code = class->class_code,
        .revision = 1,
        .first_slot = class->first_slot,
        .bar_size = { BAR_SIZE },
    };
}

/* ---- Saved state ---- */

static int check_queue(const struct device *device, const struct virtio_queue *q)
{
    if (q->taken || q->enabled > 1 || q->told > 1)
        return -EINVAL;
    if (!q->enabled)
        return 0;
    return !q->size || q->size > device->class->virtio->queue_size || q->size & (q->size - 1) ||
                   q->descriptors % 16 || q->available % 2 || q->used % 4
               ? -EINVAL
               : 0;
}

static int check(const struct device *device, const void *data)
{
    const struct virtio_state *state = data;
    unsigned queues = virtio_queue_count(device);

    if (state->resetting || state->window != virtio_state_of(device)->window ||
        msix_check(&state->msix, queues + 1) != 0 ||
        state->msix.capability != virtio_state_of(device)->msix.capability)
        return -EINVAL;
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
        if (check_queue(device, &state->queue[i]) != 0 || (i >= queues && state->queue[i].enabled))
            return -EINVAL;
    }
    return device->class->virtio->check ? device->class->virtio->check(device, data) : 0;
}

static void resume(struct device *device)
{
    if (device->class->virtio->resume)
        device->class->virtio->resume(device);
    ring_all(device);
}

const struct pci_class virtio_pci = {
    .identify = identify,
    .reset = reset,
    .read = bar_read,
    .write = bar_write,
    .moved = moved,
    .config_reading = config_reading,
    .config_written = config_written,
    .doorbell = doorbell,
    .check = check,
    .resume = resume,
};
