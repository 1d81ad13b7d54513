/* SPDX-License-Identifier: MIT */
/* pci.c - slots, configuration space, base addresses, interrupt lines, and DMA in a function's
 * name. */
#include "pci.h"
#include "../../memory/dma.h"
#include "../board.h"
#include "msix.h"
#include <errno.h>
#include <string.h>

#define BAR_64BIT  0x4u
#define BAR_FLAGS  0xfull
#define CAPABILITY 4u /* capabilities are aligned to this */

uint64_t pci_window_64(uint64_t memory)
{
    uint64_t end =
        memory > RAM_LOW_LIMIT ? RAM_HIGH_START + memory - RAM_LOW_LIMIT : RAM_HIGH_START;

    return (end + PCI_WINDOW_64_SIZE - 1) & ~(PCI_WINDOW_64_SIZE - 1);
}

static uint32_t get(const uint8_t *config, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    memcpy(&value, config + offset, size);
    return value;
}

static void put(uint8_t *config, unsigned offset, unsigned size, uint32_t value)
{
    memcpy(config + offset, &value, size);
}

int pci_attach(struct device *device)
{
    struct board *board = device->board;
    struct pci_identity identity = { 0 };

    device->class->pci->identify(device, &identity);
    for (unsigned i = 0; i < BOARD_PCI_SLOTS; i++) {
        unsigned slot = (identity.first_slot + i) % BOARD_PCI_SLOTS;
        if (board->slot[slot])
            continue;
        board->slot[slot] = device;
        device->slot = slot;
        return 0;
    }
    return -ENOSPC;
}

/* ---- Base addresses ---- */

static bool in_window(const struct board *board, uint64_t base, uint64_t size)
{
    uint64_t high = pci_window_64(board->config.memory);

    return (base >= PCI_WINDOW_32 && base - PCI_WINDOW_32 <= PCI_WINDOW_32_SIZE - size) ||
           (base >= high && base - high <= PCI_WINDOW_64_SIZE - size);
}

static uint64_t bar_base(const struct device *device, unsigned bar)
{
    const uint8_t *config = pci_state_of(device)->config;
    uint64_t base =
        (uint64_t)get(config, PCI_BAR + 4 * bar + 4, 4) << 32 | get(config, PCI_BAR + 4 * bar, 4);

    return base & ~BAR_FLAGS;
}

/* Rebuilds the list of what shows where, in the order of slots, and tells the functions. */
static void map_windows(struct board *board)
{
    board->window_count = 0;
    for (unsigned slot = 0; slot < BOARD_PCI_SLOTS; slot++) {
        struct device *device = board->slot[slot];
        struct pci_identity identity = { 0 };
        if (!device)
            continue;
        device->class->pci->identify(device, &identity);
        bool decodes = get(pci_state_of(device)->config, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;
        for (unsigned bar = 0; bar < PCI_BARS; bar += 2) {
            uint64_t base = bar_base(device, bar);
            if (!identity.bar_size[bar])
                continue;
            bool shown = decodes && in_window(board, base, identity.bar_size[bar]) &&
                         board->window_count < BOARD_WINDOWS;
            if (shown)
                board->window[board->window_count++] =
                    (struct board_window){ base, identity.bar_size[bar], device, bar };
            if (device->class->pci->moved)
                device->class->pci->moved(device, bar, shown ? base : ~0ull);
        }
    }
}

const struct board_window *pci_window_at(const struct board *board, uint64_t gpa)
{
    for (unsigned i = 0; i < board->window_count; i++) {
        if (gpa - board->window[i].base < board->window[i].size)
            return &board->window[i];
    }
    return NULL;
}

uint64_t pci_memory_read(struct board *board, uint64_t gpa, unsigned size)
{
    const struct board_window *window = pci_window_at(board, gpa);

    if (!window || gpa - window->base + size > window->size)
        return ~0ull;
    return window->device->class->pci->read(window->device, window->bar, gpa - window->base, size);
}

void pci_memory_write(struct board *board, uint64_t gpa, unsigned size, uint64_t value)
{
    const struct board_window *window = pci_window_at(board, gpa);

    if (window && gpa - window->base + size <= window->size)
        window->device->class->pci->write(window->device, window->bar, gpa - window->base, size,
                                          value);
}

/* ---- Interrupt lines ---- */

static void drive_line(struct device *device)
{
    struct board *board = device->board;
    uint8_t *config = pci_state_of(device)->config;
    bool asks = pci_state_of(device)->interrupt;
    bool allowed = !(get(config, PCI_COMMAND, 2) & PCI_COMMAND_INTERRUPT_DISABLE);
    unsigned line = device->slot % 4;
    uint32_t bit = 1u << device->slot;

    config[PCI_STATUS] =
        (uint8_t)((config[PCI_STATUS] & ~PCI_STATUS_INTERRUPT) | (asks ? PCI_STATUS_INTERRUPT : 0));
    board->interrupt[line] = (board->interrupt[line] & ~bit) | (asks && allowed ? bit : 0);
    device_irq(device, PCI_GSI + line, board->interrupt[line] != 0);
}

void pci_interrupt(struct device *device, bool level)
{
    if (pci_state_of(device)->interrupt == level)
        return;
    pci_state_of(device)->interrupt = level;
    drive_line(device);
}

/* ---- Configuration space ---- */

static struct device *function_at(struct board *board, unsigned slot, unsigned function)
{
    return slot < BOARD_PCI_SLOTS && function == 0 ? board->slot[slot] : NULL;
}

uint32_t pci_config_read(struct board *board, unsigned slot, unsigned function, unsigned offset,
                         unsigned size)
{
    struct device *device = function_at(board, slot, function);

    if (!device)
        return ~0u;
    if (offset >= PCI_CONFIG_SIZE)
        return 0; /* no extended capabilities */
    if (device->class->pci->config_reading)
        device->class->pci->config_reading(device, offset, size);
    return get(pci_state_of(device)->config, offset, size);
}

/* Bits of a header word that a guest may change; capabilities are their owner's business. */
static uint32_t header_mask(const struct pci_identity *identity, unsigned word)
{
    if (word == PCI_COMMAND)
        return PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTERRUPT_DISABLE;
    if (word == PCI_INTERRUPT_LINE)
        return 0xff;
    if (word < PCI_BAR || word >= PCI_BAR + 4 * PCI_BARS)
        return 0;
    unsigned bar = (word - PCI_BAR) / 4;
    uint64_t mask = 0 - identity->bar_size[bar & ~1u];
    if (!identity->bar_size[bar & ~1u])
        return 0;
    return bar & 1 ? (uint32_t)(mask >> 32) : (uint32_t)mask;
}

/* Capabilities: MSI-X control, and the window to the BARs that virtio has (4.1.4.9). */
static uint32_t capability_mask(const uint8_t *config, unsigned word)
{
    for (unsigned at = config[PCI_CAPABILITIES], left = 48; at >= PCI_FIRST_CAPABILITY && left;
         at = config[at + 1] & ~3u, left--) {
        if (config[at] == PCI_CAPABILITY_MSIX && word == at)
            return 0xc0000000;
        if (config[at] == PCI_CAPABILITY_VENDOR && config[at + 3] == 5 && word >= at + 4 &&
            word < at + 20)
            return word == at + 4 ? 0xff : ~0u;
    }
    return 0;
}

void pci_config_write(struct board *board, unsigned slot, unsigned function, unsigned offset,
                      unsigned size, uint32_t value)
{
    struct device *device = function_at(board, slot, function);
    struct pci_identity identity = { 0 };
    unsigned word = offset & ~3u, shift = 8 * (offset & 3);

    if (!device || offset >= PCI_CONFIG_SIZE)
        return;
    uint8_t *config = pci_state_of(device)->config;
    device->class->pci->identify(device, &identity);
    uint32_t mask =
        word < PCI_FIRST_CAPABILITY ? header_mask(&identity, word) : capability_mask(config, word);
    uint32_t bytes = size >= 4 ? ~0u : (1u << 8 * size) - 1;
    mask &= bytes << shift;
    uint32_t old = get(config, word, 4);
    put(config, word, 4, (old & ~mask) | (value << shift & mask));
    if (word == PCI_COMMAND)
        drive_line(device);
    if (word == PCI_COMMAND || (word >= PCI_BAR && word < PCI_BAR + 4 * PCI_BARS))
        map_windows(board);
    if (device->class->pci->config_written)
        device->class->pci->config_written(device, offset, size);
}

unsigned pci_add_capability(struct device *device, const uint8_t *capability, unsigned size)
{
    uint8_t *config = pci_state_of(device)->config;
    unsigned at = PCI_FIRST_CAPABILITY, last = 0;

    for (unsigned next = config[PCI_CAPABILITIES]; next; next = config[next + 1])
        last = next;
    if (last) {
        at = last;
        at += config[last] == PCI_CAPABILITY_MSIX ? 12u : config[last + 2];
        at = (at + CAPABILITY - 1) & ~(CAPABILITY - 1);
    }
    memcpy(config + at, capability, size);
    config[at + 1] = 0;
    config[last ? last + 1 : PCI_CAPABILITIES] = (uint8_t)at;
    config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    return at;
}

/* ---- Reset and saved state ---- */

static void reset_header(struct device *device, const struct pci_identity *identity, uint64_t *next)
{
    struct pci_state *state = pci_state_of(device);
    uint8_t *config = state->config;

    *state = (struct pci_state){ .interrupt = 0 };
    put(config, PCI_VENDOR, 4, (uint32_t)identity->device << 16 | identity->vendor);
    put(config, PCI_REVISION, 4, identity->class_code << 8 | identity->revision);
    put(config, PCI_SUBSYSTEM, 4, (uint32_t)identity->subsystem << 16 | identity->subsystem_vendor);
    for (unsigned bar = 0; bar < PCI_BARS; bar += 2) {
        uint64_t size = identity->bar_size[bar];
        if (!size)
            continue;
        *next = (*next + size - 1) & ~(size - 1);
        put(config, PCI_BAR + 4 * bar, 4, (uint32_t)*next | BAR_64BIT);
        put(config, PCI_BAR + 4 * bar + 4, 4, (uint32_t)(*next >> 32));
        *next += size;
    }
    if (identity->bar_size[0]) { /* what has registers can interrupt */
        config[PCI_INTERRUPT_LINE] = (uint8_t)(PCI_GSI + device->slot % 4);
        config[PCI_INTERRUPT_PIN] = 1; /* INTA */
    }
}

void pci_reset(struct board *board)
{
    uint64_t next = PCI_WINDOW_32;

    memset(board->interrupt, 0, sizeof(board->interrupt));
    for (unsigned slot = 0; slot < BOARD_PCI_SLOTS; slot++) {
        struct device *device = board->slot[slot];
        struct pci_identity identity = { 0 };
        if (!device)
            continue;
        device->class->pci->identify(device, &identity);
        reset_header(device, &identity, &next);
        if (device->class->pci->reset)
            device->class->pci->reset(device);
    }
    map_windows(board);
}

/* Everything in the header that no guest can change must be as it is here. */
int pci_check(const struct device *device, const void *state)
{
    const struct pci_state *saved = state;
    const uint8_t *now = pci_state_of(device)->config;
    struct pci_identity identity = { 0 };

    device->class->pci->identify(device, &identity);
    for (unsigned word = 0; word < PCI_CONFIG_SIZE; word += 4) {
        uint32_t mask =
            word < PCI_FIRST_CAPABILITY ? header_mask(&identity, word) : capability_mask(now, word);
        if (word == PCI_COMMAND)
            mask |= PCI_STATUS_INTERRUPT << 16;
        if ((get(saved->config, word, 4) ^ get(now, word, 4)) & ~mask)
            return -EINVAL;
    }
    if (saved->interrupt > 1)
        return -EINVAL;
    return device->class->pci->check ? device->class->pci->check(device, state) : 0;
}

void pci_resume(struct board *board)
{
    memset(board->interrupt, 0, sizeof(board->interrupt));
    for (unsigned slot = 0; slot < BOARD_PCI_SLOTS; slot++) {
        struct device *device = board->slot[slot];
        if (!device)
            continue;
        drive_line(device);
        if (device->class->pci->resume)
            device->class->pci->resume(device);
    }
    map_windows(board);
}

/* ---- DMA and messages ---- */

bool pci_is_master(const struct device *device)
{
    return device->board->host.ram &&
           get(pci_state_of(device)->config, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

int pci_dma_read(struct device *device, uint64_t gpa, void *data, size_t size)
{
    if (!pci_is_master(device))
        return -EFAULT;
    return dma_read(device->board->host.ram, pci_requester(device), gpa, data, size);
}

int pci_dma_write(struct device *device, uint64_t gpa, const void *data, size_t size)
{
    if (!pci_is_master(device))
        return -EFAULT;
    return dma_write(device->board->host.ram, pci_requester(device), gpa, data, size);
}

void pci_message(struct device *device, uint64_t address, uint32_t data)
{
    if (pci_is_master(device))
        device_msi(device, pci_requester(device), address, data);
}
