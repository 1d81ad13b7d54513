/* SPDX-License-Identifier: MIT */
/*
 * acpi.h - the ACPI tables: RSDP, XSDT, FADT, FACS, MADT, MCFG, DSDT (ACPI specification 6.4,
 * chapter 5; MCFG: PCI Firmware specification 3.2, 4.1.2).
 *
 * They live in the reserved area from FIRMWARE_AREA on, the RSDP first, where a guest that is not
 * told its address finds it by searching. There is no SMI and no legacy mode: SCI_EN is always set.
 * No HPET.
 */
#ifndef ORIGAMI_MACHINE_ACPI_H
#define ORIGAMI_MACHINE_ACPI_H

#include "../memory/ram.h"

/* Fixed hardware; devices/acpi_pm.c and devices/reset.c answer at these ports. */
#define ACPI_PM1_EVENT   0x600u /* 4 bytes: status, enable */
#define ACPI_PM1_CONTROL 0x604u /* 2 bytes */
#define ACPI_PM_TIMER    0x608u /* 4 bytes */
#define ACPI_RESET_PORT  0xcf9u
#define ACPI_RESET_VALUE 0x06u
#define ACPI_SCI         9u /* GSI, level, active high */
#define ACPI_SLEEP_S5    5u /* SLP_TYP of soft off */

#define ACPI_AREA_SIZE 8192u

struct acpi_image {
    uint8_t data[ACPI_AREA_SIZE]; /* from FIRMWARE_AREA on; the RSDP at 0 */
    size_t size;
    size_t dsdt, dsdt_size; /* where the DSDT is, for tests */
};

/* Builds the tables for a machine with `cpus` CPUs and `memory` bytes of RAM (which decides where
 * the upper PCI window is). -E2BIG if they do not fit. */
int MUST_CHECK acpi_build(struct acpi_image *image, unsigned cpus, uint64_t memory);
/* Builds and writes them to guest memory; *rsdp is the root pointer's address. */
int MUST_CHECK acpi_install(struct ram *ram, unsigned cpus, uint64_t *rsdp,
                            struct problem *problem);

#endif
