/* SPDX-License-Identifier: MIT */
/* msix.c - the table of messages and when they are sent. */
#include "msix.h"
#include <errno.h>
#include <string.h>

#define CONTROL_MASKED 1u
#define CAPABILITY     12u
/* Message control, the capability's second 16-bit word */
#define ENABLE        0x8000u
#define FUNCTION_MASK 0x4000u

void msix_reset(struct device *device, struct msix_state *msix, unsigned count, unsigned bar,
                uint32_t table, uint32_t pending)
{
    const uint32_t at[2] = { table | bar, pending | bar };
    uint8_t capability[CAPABILITY] = { PCI_CAPABILITY_MSIX };

    if (count > MSIX_VECTORS)
        count = MSIX_VECTORS;
    *msix = (struct msix_state){ .count = (uint16_t)count };
    for (unsigned i = 0; i < MSIX_VECTORS; i++)
        msix->entry[i].control = CONTROL_MASKED;
    capability[2] = (uint8_t)(count - 1);
    memcpy(capability + 4, at, sizeof(at));
    msix->capability = (uint16_t)pci_add_capability(device, capability, CAPABILITY);
}

static unsigned control(const struct device *device, const struct msix_state *msix)
{
    const uint8_t *config = pci_state_of(device)->config;

    return (unsigned)config[msix->capability + 3] << 8;
}

bool msix_enabled(const struct device *device, const struct msix_state *msix)
{
    return control(device, msix) & ENABLE;
}

static bool masked(const struct device *device, const struct msix_state *msix, unsigned vector)
{
    return (control(device, msix) & FUNCTION_MASK) ||
           (msix->entry[vector].control & CONTROL_MASKED);
}

void msix_send(struct device *device, struct msix_state *msix, unsigned vector)
{
    if (vector >= msix->count || !msix_enabled(device, msix))
        return;
    if (masked(device, msix, vector)) {
        msix->pending |= 1u << vector;
        return;
    }
    const struct msix_entry *entry = &msix->entry[vector];
    msix->pending &= ~(1u << vector);
    pci_message(device, (uint64_t)entry->address_high << 32 | entry->address, entry->data);
}

/* What was held back goes out once nothing holds it back any more. */
static void send_pending(struct device *device, struct msix_state *msix)
{
    if (!msix_enabled(device, msix))
        return;
    for (unsigned vector = 0; vector < msix->count; vector++) {
        if (msix->pending >> vector & 1 && !masked(device, msix, vector))
            msix_send(device, msix, vector);
    }
}

uint64_t msix_table_read(const struct msix_state *msix, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (offset < (uint64_t)msix->count * MSIX_ENTRY && offset % size == 0)
        memcpy(&value, (const uint8_t *)msix->entry + offset, size);
    return value;
}

/* Only whole words count (6.8.2: drivers use aligned DWORD or QWORD accesses). */
void msix_table_write(struct device *device, struct msix_state *msix, uint64_t offset,
                      unsigned size, uint64_t value)
{
    if (offset >= (uint64_t)msix->count * MSIX_ENTRY || size < 4 || offset % size)
        return;
    memcpy((uint8_t *)msix->entry + offset, &value, size);
    msix->entry[offset / MSIX_ENTRY].address &= ~3u;
    msix->entry[offset / MSIX_ENTRY].control &= CONTROL_MASKED;
    send_pending(device, msix);
}

uint64_t msix_pending_read(const struct msix_state *msix, uint64_t offset, unsigned size)
{
    uint64_t bits = msix->pending, value = 0;

    if (offset + size <= sizeof(bits))
        memcpy(&value, (const uint8_t *)&bits + offset, size);
    return value;
}

void msix_config_written(struct device *device, struct msix_state *msix)
{
    send_pending(device, msix);
}

int msix_check(const struct msix_state *msix, unsigned count)
{
    return msix->count == count && count <= MSIX_VECTORS &&
                   msix->capability >= PCI_FIRST_CAPABILITY &&
                   msix->capability <= PCI_CONFIG_SIZE - CAPABILITY
               ? 0
               : -EINVAL;
}
