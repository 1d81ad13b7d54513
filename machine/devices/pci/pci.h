/* SPDX-License-Identifier: MIT */
/*
 * pci.h - the PCI bus: one segment, one bus, 32 slots of one function each (PCI Local Bus 3.0,
 * chapter 6; PCI Express Base 4.0, 7.2.2 for the memory-mapped configuration space).
 *
 * A device class is a PCI function when its `pci` names a struct pci_class and its state begins
 * with struct pci_state. There is no firmware in a guest, so the machine does its part at reset:
 * every base address register has an address, and the interrupt line register a GSI.
 *
 * Base address registers show only inside the two windows; elsewhere they decode nothing, so that
 * none can hide another chip. Where two overlap, the lower slot answers. RAM is the engine's, which
 * looks there first. A function whose bus-master bit is off reads, writes and interrupts nothing.
 */
#ifndef ORIGAMI_MACHINE_PCI_H
#define ORIGAMI_MACHINE_PCI_H

#include "../device.h"

/* Guest-physical layout; the ACPI tables tell the guest. RAM ends at 3 GiB and goes on at 4 GiB. */
#define PCI_WINDOW_32      0xc0000000ull
#define PCI_WINDOW_32_SIZE 0x20000000ull
#define PCI_ECAM           0xe0000000ull
#define PCI_ECAM_SIZE      0x100000ull /* 4 KiB a function, 8 functions a slot, one bus */
#define PCI_WINDOW_64_SIZE 0x400000000ull

/* The window above RAM: its start, for a machine with `memory` bytes. Aligned to its size. */
uint64_t pci_window_64(uint64_t memory);

#define PCI_GSI         16u /* the first of four lines; slot n uses number n % 4 */
#define PCI_CONFIG_SIZE 256u
#define PCI_BARS        6u

/* Configuration space header, type 0 (PCI 3.0, 6.1) */
enum pci_register {
    PCI_VENDOR = 0x00,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR = 0x10,
    PCI_SUBSYSTEM = 0x2c,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_FIRST_CAPABILITY = 0x40
};
#define PCI_COMMAND_MEMORY            0x0002u
#define PCI_COMMAND_MASTER            0x0004u
#define PCI_COMMAND_INTERRUPT_DISABLE 0x0400u
#define PCI_STATUS_INTERRUPT          0x0008u
#define PCI_STATUS_CAPABILITIES       0x0010u
#define PCI_CAPABILITY_VENDOR         0x09u
#define PCI_CAPABILITY_MSIX           0x11u

/* The start of every PCI function's state. */
struct pci_state {
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t interrupt; /* the function asks for its line */
    uint8_t reserved[7];
};

struct pci_identity {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits: class, subclass, interface */
    uint8_t revision;
    uint8_t first_slot;          /* where to look for a free slot first */
    uint64_t bar_size[PCI_BARS]; /* powers of two from 16 up; 0 = none. All 64-bit: even numbers. */
};

struct pci_class {
    void (*identify)(const struct device *device, struct pci_identity *identity);
    /* The header is made: add capabilities, and bring the rest of the state to what it is after
     * reset. */
    void (*reset)(struct device *device);
    /* One access of 1, 2, 4 or 8 bytes, as the guest made it, inside the BAR. */
    uint64_t (*read)(struct device *device, unsigned bar, uint64_t offset, unsigned size);
    void (*write)(struct device *device, unsigned bar, uint64_t offset, unsigned size,
                  uint64_t value);
    /* Where BAR `bar` shows now; ~0 = nowhere. May be called when nothing has changed. */
    void (*moved)(struct device *device, unsigned bar, uint64_t base);
    /* Around accesses to configuration space, for registers that are more than memory. `offset` and
     * `size` lie inside one 32-bit word. */
    void (*config_reading)(struct device *device, unsigned offset, unsigned size);
    void (*config_written)(struct device *device, unsigned offset, unsigned size);
    void (*doorbell)(struct device *device, uint64_t queues);
    /* Is this saved state possible (beyond the header, which is checked already)? 0 or -EINVAL. */
    int (*check)(const struct device *device, const void *state);
    /* State was loaded. */
    void (*resume)(struct device *device);
};

/* ---- For functions ---- */

/* Appends a capability of `size` bytes at reset (its link is filled in here) and returns its
 * offset. Known are MSI-X and vendor-specific ones, whose third byte is their length. */
unsigned pci_add_capability(struct device *device, const uint8_t *capability, unsigned size);

/* The function asks for its interrupt line, or no longer does. */
void pci_interrupt(struct device *device, bool level);

/* Memory and messages in the function's name. -EFAULT: not RAM, or not a bus master (now). */
bool pci_is_master(const struct device *device);
int MUST_CHECK pci_dma_read(struct device *device, uint64_t gpa, void *data, size_t size);
int MUST_CHECK pci_dma_write(struct device *device, uint64_t gpa, const void *data, size_t size);
void pci_message(struct device *device, uint64_t address, uint32_t data);

static inline uint16_t pci_requester(const struct device *device)
{
    return (uint16_t)(device->slot << 3);
}
static inline struct pci_state *pci_state_of(const struct device *device)
{
    return device->state;
}

/* ---- For the board and the host bridge ---- */
struct board;

/* Gives the device a slot. -ENOSPC. */
int MUST_CHECK pci_attach(struct device *device);
/* Every function to its state after reset, with addresses and interrupt lines assigned. */
void pci_reset(struct board *board);
int MUST_CHECK pci_check(const struct device *device, const void *state);
void pci_resume(struct board *board);

/* Configuration space; `offset` counts from the function's start, 0 - 4095. Accesses are aligned,
 * of 1, 2 or 4 bytes. Functions that are not there read as all ones. */
uint32_t pci_config_read(struct board *board, unsigned slot, unsigned function, unsigned offset,
                         unsigned size);
void pci_config_write(struct board *board, unsigned slot, unsigned function, unsigned offset,
                      unsigned size, uint32_t value);
/* Accesses to the windows. */
uint64_t pci_memory_read(struct board *board, uint64_t gpa, unsigned size);
void pci_memory_write(struct board *board, uint64_t gpa, unsigned size, uint64_t value);
/* Who answers at `gpa`; NULL = nobody. */
const struct board_window *pci_window_at(const struct board *board, uint64_t gpa);

#endif
