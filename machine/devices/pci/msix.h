/* SPDX-License-Identifier: MIT */
/*
 * msix.h - message-signalled interrupts, extended (PCI Local Bus 3.0, 6.8.2): a table of messages
 * in one BAR, a pending bit for each, and a capability to enable and mask them all.
 */
#ifndef ORIGAMI_MACHINE_MSIX_H
#define ORIGAMI_MACHINE_MSIX_H

#include "pci.h"

#define MSIX_VECTORS     32u
#define MSIX_ENTRY       16u /* bytes of one table entry */
#define MSIX_TABLE_BYTES (MSIX_VECTORS * MSIX_ENTRY)
#define MSIX_NONE        0xffffu

struct msix_state {
    struct msix_entry {
        uint32_t address, address_high, data, control; /* bit 0 of control masks */
    } entry[MSIX_VECTORS];
    uint32_t pending;
    uint16_t count;      /* vectors there are */
    uint16_t capability; /* offset in configuration space */
};

/* At reset: all masked, and the capability added; table and pending bits in BAR `bar` at the
 * offsets given. */
void msix_reset(struct device *device, struct msix_state *msix, unsigned count, unsigned bar,
                uint32_t table, uint32_t pending);

bool msix_enabled(const struct device *device, const struct msix_state *msix);
/* Sends message `vector`, or keeps it pending while it is masked. Numbers out of range (such as
 * MSIX_NONE) send nothing. */
void msix_send(struct device *device, struct msix_state *msix, unsigned vector);

/* The table: `offset` in bytes from its start, below MSIX_TABLE_BYTES. The same for the pending
 * bits, which are read-only. */
uint64_t msix_table_read(const struct msix_state *msix, uint64_t offset, unsigned size);
void msix_table_write(struct device *device, struct msix_state *msix, uint64_t offset,
                      unsigned size, uint64_t value);
uint64_t msix_pending_read(const struct msix_state *msix, uint64_t offset, unsigned size);

/* The function's configuration space was written: the mask may have gone. */
void msix_config_written(struct device *device, struct msix_state *msix);

int MUST_CHECK msix_check(const struct msix_state *msix, unsigned count);

#endif
