/* SPDX-License-Identifier: MIT */
/*
 * board.c - finding the device classes, dispatching accesses and timers, saving and loading state.
 */
#include "board.h"
#include "pci/pci.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Made by the linker: the bounds of the section that DEVICE_CLASS() fills. */
extern const struct device_class *const __start_origami_devices[];
extern const struct device_class *const __stop_origami_devices[];

static uint64_t mask_of(unsigned size)
{
    return size >= 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

static unsigned count_of(const struct device_class *class, const struct board_config *config)
{
    if (class->count)
        return class->count(config);
    return !class->present || class->present(config);
}

static int add_device(struct board *board, const struct device_class *class, unsigned index,
                      struct problem *problem)
{
    void *state = calloc(1, class->state_size ? class->state_size : 1);

    if (!state || board->count == BOARD_DEVICES) {
        free(state);
        return problem_set(problem, STATUS_HOST, ENOMEM, "no memory for device %s", class->name);
    }
    struct device *device = &board->device[board->count++];
    *device = (struct device){
        .class = class, .board = board, .index = index, .deadline = DEVICE_NEVER, .state = state
    };
    memcpy(device->range, class->range, sizeof(device->range));
    if (class->pci && pci_attach(device) != 0)
        return problem_set(problem, STATUS_USAGE, ENOSPC, "no PCI slot left for device %s",
                           class->name);
    return 0;
}

int board_init(struct board *board, const struct board_config *config,
               const struct board_host *host, struct problem *problem)
{
    int result = 0;

    *board = (struct board){ .config = *config, .host = *host };
    for (const struct device_class *const *at = __start_origami_devices;
         at < __stop_origami_devices; at++) {
        unsigned count = count_of(*at, config);
        for (unsigned i = 0; i < count && result == 0; i++)
            result = add_device(board, *at, i, problem);
    }
    for (unsigned i = 0; i < board->count && result == 0; i++) {
        const struct device_class *class = board->device[i].class;
        if (class->init)
            class->init(&board->device[i]);
        if (class->open)
            result = class->open(&board->device[i], problem);
    }
    if (result) {
        board_destroy(board);
        return result;
    }
    board_reset(board, config->wall_base);
    return 0;
}

void board_destroy(struct board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        if (board->device[i].class->close)
            board->device[i].class->close(&board->device[i]);
        free(board->device[i].state);
    }
    board->count = 0;
}

int board_start(struct board *board, struct problem *problem)
{
    int result = 0;

    for (unsigned i = 0; i < board->count && result == 0; i++) {
        if (board->device[i].class->start)
            result = board->device[i].class->start(&board->device[i], problem);
    }
    return result;
}

void board_stop(struct board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        if (board->device[i].class->stop)
            board->device[i].class->stop(&board->device[i]);
    }
}

bool board_drain(struct board *board)
{
    bool drained = true;

    for (unsigned i = 0; i < board->count; i++) {
        if (board->device[i].class->drain)
            drained &= board->device[i].class->drain(&board->device[i]);
    }
    return drained;
}

void board_reset(struct board *board, uint64_t wall_base)
{
    board->config.wall_base = wall_base;
    board->now = 0;
    board->lines = 0;
    board->request = REQUEST_NONE;
    board->request_value = 0;
    board->console_owner = NULL;
    for (unsigned i = 0; i < board->count; i++) {
        board->device[i].deadline = DEVICE_NEVER;
        if (board->device[i].class->reset)
            board->device[i].class->reset(&board->device[i]);
    }
    pci_reset(board);
}

void board_set_time(struct board *board, uint64_t now)
{
    if (now > board->now)
        board->now = now;
}

/* ---- Accesses ---- */

/* The narrowest range that holds the address: the reset register at 0xcf9 lies within PCI's 0xcf8.
 */
static struct device *find(struct board *board, enum device_space space, uint64_t address,
                           const struct device_range **range)
{
    struct device *found = NULL;

    for (unsigned i = 0; i < board->count; i++) {
        const struct device_range *at = board->device[i].range;
        for (unsigned j = 0; j < DEVICE_RANGES && at[j].length; j++) {
            if (at[j].space != space || address - at[j].base >= at[j].length ||
                (found && (*range)->length <= at[j].length))
                continue;
            *range = &at[j];
            found = &board->device[i];
        }
    }
    return found;
}

/*
 * The device at the first address takes the whole access, in pieces no wider than it can. What
 * reaches past its range is lost: a 32-bit write to 0xcf8 (PCI configuration) must not become a
 * byte at 0xcf9.
 */
uint64_t board_read(struct board *board, enum device_space space, uint64_t address, unsigned size)
{
    const struct device_range *range = NULL;
    struct device *device = find(board, space, address, &range);
    uint64_t value = mask_of(size);

    if (!device || !device->class->read)
        return value;
    unsigned step = size < range->width ? size : range->width;
    for (unsigned done = 0; done < size; done += step) {
        if (address + done - range->base + step > range->length)
            break;
        uint64_t piece = device->class->read(device, address + done, step) & mask_of(step);
        value &= ~(mask_of(step) << (8 * done));
        value |= piece << (8 * done);
    }
    return value;
}

void board_write(struct board *board, enum device_space space, uint64_t address, unsigned size,
                 uint64_t value)
{
    const struct device_range *range = NULL;
    struct device *device = find(board, space, address, &range);

    if (!device || !device->class->write)
        return;
    unsigned step = size < range->width ? size : range->width;
    for (unsigned done = 0; done < size; done += step) {
        if (address + done - range->base + step > range->length)
            break;
        device->class->write(device, address + done, step, value >> (8 * done) & mask_of(step));
    }
}

void board_doorbell(struct board *board, unsigned slot, uint64_t queues)
{
    struct device *device = slot < BOARD_PCI_SLOTS ? board->slot[slot] : NULL;

    if (device && device->class->pci->doorbell)
        device->class->pci->doorbell(device, queues);
}

/* ---- Timers and console ---- */

void board_run_timers(struct board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct device *device = &board->device[i];
        if (device->deadline > board->now)
            continue;
        device->deadline = DEVICE_NEVER;
        device->budget = DEVICE_BUDGET;
        if (device->class->timer)
            device->class->timer(device);
    }
}

uint64_t board_deadline(const struct board *board)
{
    uint64_t earliest = DEVICE_NEVER;

    for (unsigned i = 0; i < board->count; i++) {
        if (board->device[i].deadline < earliest)
            earliest = board->device[i].deadline;
    }
    return earliest;
}

void board_console(struct board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        board->device[i].budget = DEVICE_BUDGET;
        if (board->device[i].class->console)
            board->device[i].class->console(&board->device[i]);
    }
}

/* ---- State ---- */

struct record {
    char name[16];
    uint32_t version, size;
};

/* Several of a class are told apart by number. */
static void make_record(struct record *record, const struct device *device)
{
    const struct device_class *class = device->class;

    *record = (struct record){ .version = class->version, .size = class->state_size };
    if (class->count)
        snprintf(record->name, sizeof(record->name), "%.12s.%02u", class->name, device->index);
    else
        snprintf(record->name, sizeof(record->name), "%s", class->name);
}

long board_save(const struct board *board, void *data, size_t capacity)
{
    uint8_t *at = data;
    size_t left = capacity;

    for (unsigned i = 0; i < board->count; i++) {
        struct record record;
        make_record(&record, &board->device[i]);
        if (left < sizeof(record) || left - sizeof(record) < record.size)
            return -ENOSPC;
        memcpy(at, &record, sizeof(record));
        memcpy(at + sizeof(record), board->device[i].state, record.size);
        at += sizeof(record) + record.size;
        left -= sizeof(record) + record.size;
    }
    return (long)(capacity - left);
}

/* Checks a copy: what is being loaded may lie at any address. */
static int check_state(const struct device *device, const void *state)
{
    const struct device_class *class = device->class;

    if (!class->check && !class->pci)
        return 0;
    void *copy = malloc(class->state_size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, state, class->state_size);
    int result = class->pci ? pci_check(device, copy) : 0;
    if (result == 0 && class->check)
        result = class->check(copy);
    free(copy);
    return result;
}

/* One pass over the byte string: with `apply` false it only checks. */
static int walk(struct board *board, const uint8_t *at, size_t left, bool apply)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct device *device = &board->device[i];
        struct record record, wanted;
        if (left < sizeof(record))
            return -EINVAL;
        memcpy(&record, at, sizeof(record));
        make_record(&wanted, device);
        if (memcmp(&record, &wanted, sizeof(record)) != 0 || left - sizeof(record) < record.size)
            return -EINVAL;
        at += sizeof(record);
        if (apply)
            memcpy(device->state, at, record.size);
        else if (check_state(device, at) != 0)
            return -EINVAL;
        at += record.size;
        left -= sizeof(record) + record.size;
    }
    return left ? -EINVAL : 0;
}

int board_load(struct board *board, const void *data, size_t size)
{
    int result = walk(board, data, size, false);

    if (result == 0)
        result = walk(board, data, size, true);
    if (result)
        return result;
    board->console_owner = NULL;
    pci_resume(board);
    for (unsigned i = 0; i < board->count; i++) {
        if (board->device[i].class->resume)
            board->device[i].class->resume(&board->device[i]);
    }
    return 0;
}

/* ---- What devices may ask for ---- */

uint64_t device_now(const struct device *device)
{
    return device->board->now;
}

uint64_t device_wall_base(const struct device *device)
{
    return device->board->config.wall_base;
}

const struct board_config *device_config(const struct device *device)
{
    return &device->board->config;
}

void device_irq(struct device *device, unsigned gsi, bool level)
{
    struct board *board = device->board;
    uint64_t bit = 1ull << (gsi & 63);

    if (!!(board->lines & bit) == level)
        return;
    board->lines ^= bit;
    if (board->host.irq_line)
        board->host.irq_line(board->host.context, gsi, level);
}

void device_msi(struct device *device, uint16_t requester, uint64_t address, uint32_t data)
{
    if (device->board->host.msi)
        device->board->host.msi(device->board->host.context, requester, address, data);
}

void device_set_timer(struct device *device, uint64_t when)
{
    device->deadline = when;
}

bool device_console_put(struct device *device, uint8_t byte)
{
    struct board_host *host = &device->board->host;

    return host->console_put && host->console_put(host->context, byte);
}

bool device_console_room(struct device *device)
{
    struct board_host *host = &device->board->host;

    return !host->console_room || host->console_room(host->context);
}

void device_console_claim(struct device *device, bool claim)
{
    if (claim)
        device->board->console_owner = device;
    else if (device->board->console_owner == device)
        device->board->console_owner = NULL;
}

void device_enter(struct device *device)
{
    if (device->board->host.enter)
        device->board->host.enter(device->board->host.context);
    device->budget = DEVICE_BUDGET;
}

void device_leave(struct device *device)
{
    if (device->board->host.leave)
        device->board->host.leave(device->board->host.context);
}

int device_console_get(struct device *device)
{
    struct board_host *host = &device->board->host;

    if (device->board->console_owner && device->board->console_owner != device)
        return -1;
    return host->console_get ? host->console_get(host->context) : -1;
}

void device_request(struct device *device, enum board_request request, uint32_t value)
{
    if (device->board->request != REQUEST_NONE)
        return;
    device->board->request = request;
    device->board->request_value = value;
}
