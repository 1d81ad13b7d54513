/* SPDX-License-Identifier: MIT */
/*
 * host.c - the host bridge: the two ways to configuration space (ports 0xcf8 and 0xcfc, PCI 3.0,
 * 3.2.2.3.2; memory, PCI Express Base 4.0, 7.2.2), the windows for base addresses, and itself at
 * slot 0.
 */
#include "../board.h"
#include "pci.h"

#define PORT_ADDRESS 0xcf8u
#define PORT_DATA    0xcfcu
#define ENABLE       0x80000000u

struct pci_host {
    struct pci_state pci;
    uint32_t address; /* as written to 0xcf8 */
    uint32_t reserved;
};

static uint32_t port_config(struct device *device, uint64_t port, unsigned size, bool write,
                            uint32_t value)
{
    uint32_t address = ((struct pci_host *)device->state)->address;
    unsigned slot = address >> 11 & 31, function = address >> 8 & 7;
    unsigned offset = (address & 0xfc) | (unsigned)(port & 3);

    if (!(address & ENABLE) || address >> 16 & 0xff)
        return ~0u;
    if (!write)
        return pci_config_read(device->board, slot, function, offset, size);
    pci_config_write(device->board, slot, function, offset, size, value);
    return 0;
}

static uint32_t ecam_config(struct device *device, uint64_t offset, unsigned size, bool write,
                            uint32_t value)
{
    unsigned slot = (unsigned)(offset >> 15 & 31), function = (unsigned)(offset >> 12 & 7);

    if (offset % size)
        return ~0u;
    if (!write)
        return pci_config_read(device->board, slot, function, (unsigned)offset & 0xfff, size);
    pci_config_write(device->board, slot, function, (unsigned)offset & 0xfff, size, value);
    return 0;
}

/* Ports end at 0xffff, which no window reaches down to. */
static uint64_t host_read(struct device *device, uint64_t address, unsigned size)
{
    const struct pci_host *host = device->state;

    if (address >= PORT_DATA && address < PORT_DATA + 4)
        return (address & 3) % size == 0 ? port_config(device, address, size, false, 0) : ~0ull;
    if (address >= PORT_ADDRESS && address < PORT_DATA)
        return address == PORT_ADDRESS && size == 4 ? host->address : ~0ull;
    if (address - PCI_ECAM < PCI_ECAM_SIZE)
        return ecam_config(device, address - PCI_ECAM, size, false, 0);
    return pci_memory_read(device->board, address, size);
}

static void host_write(struct device *device, uint64_t address, unsigned size, uint64_t value)
{
    struct pci_host *host = device->state;

    if (address >= PORT_DATA && address < PORT_DATA + 4) {
        if ((address & 3) % size == 0)
            port_config(device, address, size, true, (uint32_t)value);
    } else if (address >= PORT_ADDRESS && address < PORT_DATA) {
        if (address == PORT_ADDRESS && size == 4)
            host->address = (uint32_t)value & 0x80fffffc;
    } else if (address - PCI_ECAM < PCI_ECAM_SIZE) {
        ecam_config(device, address - PCI_ECAM, size, true, (uint32_t)value);
    } else {
        pci_memory_write(device->board, address, size, value);
    }
}

static void host_init(struct device *device)
{
    device->range[3].base = pci_window_64(device_config(device)->memory);
}

static void host_identify(const struct device *device, struct pci_identity *identity)
{
    (void)device;
    *identity = (struct pci_identity){
        .vendor = 0x8086,
        .device = 0x0d57, /* what other monitors show, too: a bridge no driver has quirks for */
        .class_code = 0x060000,
    };
}

static void host_reset(struct device *device)
{
    ((struct pci_host *)device->state)->address = 0;
}

static const struct pci_class host_function = {
    .identify = host_identify,
    .reset = host_reset,
};

DEVICE_CLASS(pci_host) = {
    .name = "pci-host",
    .version = 1,
    .state_size = sizeof(struct pci_host),
    .range = { { .base = PORT_ADDRESS, .length = 8, .width = 4, .space = SPACE_PORT },
               { .base = PCI_ECAM, .length = PCI_ECAM_SIZE, .width = 4, .space = SPACE_MMIO },
               { .base = PCI_WINDOW_32,
                 .length = PCI_WINDOW_32_SIZE,
                 .width = 8,
                 .space = SPACE_MMIO },
               { .base = 0, .length = PCI_WINDOW_64_SIZE, .width = 8, .space = SPACE_MMIO } },
    .pci = &host_function,
    .init = host_init,
    .read = host_read,
    .write = host_write,
};
