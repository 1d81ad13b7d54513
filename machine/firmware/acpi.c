/* SPDX-License-Identifier: MIT */
/*
 * acpi.c - building the ACPI tables. Field offsets are those of the ACPI specification 6.4; chapter
 * and table numbers beside each.
 */
#include "acpi.h"
#include "../devices/pci/pci.h"
#include "../loaders/bytes.h"
#include "../memory/dma.h"
#include "aml.h"
#include "memorymap.h"
#include <errno.h>

#define HEADER_SIZE  36u /* of a system description table (5.2.6) */
#define FADT_SIZE    276u
#define FACS_SIZE    64u
#define XSDT_ENTRIES 3u

#define LAPIC_ADDRESS  0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u

static void checksum(uint8_t *table, size_t size, size_t at)
{
    uint8_t sum = 0;

    table[at] = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + table[i]);
    table[at] = (uint8_t)-sum;
}

static void finish_table(uint8_t *table, const char *signature, size_t size, uint8_t revision)
{
    memcpy(table, signature, 4);
    bytes_put(table + 4, size, 4);
    table[8] = revision;
    memcpy(table + 10, "ORIGAM", 6);
    memcpy(table + 16, "ORIGAMI ", 8);
    bytes_put(table + 24, 1, 4);
    memcpy(table + 28, "ORIG", 4);
    bytes_put(table + 32, 1, 4);
    checksum(table, size, 9);
}

/* Reserves room at the end of the image, 16-byte aligned. The image is large enough by
 * construction. */
static size_t take(struct acpi_image *image, size_t size)
{
    size_t at = (image->size + 15) & ~(size_t)15;

    image->size = at + size;
    return at;
}

/* ---- DSDT ---- */

/* Resource descriptors (6.4.2): IO(Decode16, base, base, 1, length) and IRQNoFlags() { irq }. */
#define RESOURCE_IO(base, length)                                                                  \
    0x47, 0x01, (base)&0xff, (base) >> 8, (base)&0xff, (base) >> 8, 0x01, (length)
#define RESOURCE_IRQ(irq) 0x22, (1 << (irq)) & 0xff, (1 << (irq)) >> 8

static const struct isa_device {
    const char *name, *id;
    uint8_t unique;
    uint8_t size;
    uint8_t resources[20];
} isa_devices[] = {
    { "COM1", "PNP0501", 1, 11, { RESOURCE_IO(0x3f8, 8), RESOURCE_IRQ(4) } },
    { "RTC0", "PNP0B00", 0, 11, { RESOURCE_IO(0x70, 2), RESOURCE_IRQ(8) } },
    { "PIC0", "PNP0000", 0, 16, { RESOURCE_IO(0x20, 2), RESOURCE_IO(0xa0, 2) } },
    { "TIMR", "PNP0100", 0, 11, { RESOURCE_IO(0x40, 4), RESOURCE_IRQ(0) } },
    { "SPKR", "PNP0800", 0, 8, { RESOURCE_IO(0x61, 1) } },
};

static void write_sleep_state(struct aml *aml)
{
    aml_byte(aml, 0x08); /* Name(\_S5, Package(4) { S5, S5, 0, 0 }) */
    aml_name(aml, "\\_S5_");
    aml_open(aml, AML_PACKAGE);
    aml_byte(aml, 4);
    aml_integer(aml, ACPI_SLEEP_S5);
    aml_integer(aml, ACPI_SLEEP_S5);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_close(aml);
}

/* Address space descriptors (6.4.3.5): type, flags, and granularity, minimum, maximum, offset and
 * length of `width` bytes each. */
enum space_type { SPACE_TYPE_MEMORY, SPACE_TYPE_IO, SPACE_TYPE_BUS };

static size_t put_space(uint8_t *at, enum space_type type, unsigned width, uint64_t base,
                        uint64_t size)
{
    static const uint8_t tags[] = { [2] = 0x88, [4] = 0x87, [8] = 0x8a };
    static const uint8_t type_flags[] = { 1 /* read-write */, 3 /* all of the range */, 0 };
    const uint64_t fields[] = { 0, base, base + size - 1, 0, size };

    at[0] = tags[width];
    bytes_put(at + 1, 3 + 5 * width, 2);
    at[3] = (uint8_t)type;
    at[4] = 0x0c; /* minimum and maximum are fixed; the bridge produces it, decoding positively */
    at[5] = type_flags[type];
    for (unsigned i = 0; i < 5; i++)
        bytes_put(at + 6 + i * width, fields[i], width);
    return 6 + 5 * (size_t)width;
}

/* The host bridge: what it passes on, and which GSI each slot's INTA is (6.2.13). Its functions
 * have no PCI Express capability, so it is a plain PCI one; configuration space is in MCFG besides.
 */
static void write_pci_host(struct aml *aml, uint64_t memory)
{
    static const uint8_t config_ports[] = { RESOURCE_IO(0xcf8, 8) };
    uint8_t resources[192];
    size_t size = put_space(resources, SPACE_TYPE_BUS, 2, 0, 1);

    memcpy(resources + size, config_ports, sizeof(config_ports));
    size += sizeof(config_ports);
    size += put_space(resources + size, SPACE_TYPE_IO, 2, 0, 0xcf8);
    size += put_space(resources + size, SPACE_TYPE_IO, 2, 0xd00, 0xf300);
    size += put_space(resources + size, SPACE_TYPE_MEMORY, 4, PCI_WINDOW_32, PCI_WINDOW_32_SIZE);
    size += put_space(resources + size, SPACE_TYPE_MEMORY, 8, pci_window_64(memory),
                      PCI_WINDOW_64_SIZE);
    aml_open(aml, AML_DEVICE);
    aml_name(aml, "PCI0");
    aml_named_eisa_id(aml, "_HID", "PNP0A03");
    aml_named_integer(aml, "_UID", 0);
    aml_named_integer(aml, "_BBN", 0);
    aml_named_integer(aml, "_SEG", 0);
    aml_named_resources(aml, "_CRS", resources, size);
    aml_byte(aml, 0x08); /* Name(_PRT, Package(32) { Package(4) { address, INTA, 0, GSI }, ... }) */
    aml_name(aml, "_PRT");
    aml_open(aml, AML_PACKAGE);
    aml_byte(aml, 32);
    for (unsigned slot = 0; slot < 32; slot++) {
        aml_open(aml, AML_PACKAGE);
        aml_byte(aml, 4);
        aml_integer(aml, (uint64_t)slot << 16 | 0xffff);
        aml_integer(aml, 0);
        aml_integer(aml, 0);
        aml_integer(aml, PCI_GSI + slot % 4);
        aml_close(aml);
    }
    aml_close(aml);
    aml_close(aml);
}

/* Keeps the guest from putting anything where configuration space is. */
static void write_motherboard(struct aml *aml)
{
    uint8_t resource[12] = { 0x86, 9, 0, 1 }; /* Memory32Fixed, read-write (6.4.3.4) */

    bytes_put(resource + 4, PCI_ECAM, 4);
    bytes_put(resource + 8, PCI_ECAM_SIZE, 4);
    aml_open(aml, AML_DEVICE);
    aml_name(aml, "MBRD");
    aml_named_eisa_id(aml, "_HID", "PNP0C02");
    aml_named_resources(aml, "_CRS", resource, sizeof(resource));
    aml_close(aml);
}

static void write_dsdt(struct aml *aml, unsigned cpus, uint64_t memory)
{
    static const char hex[] = "0123456789ABCDEF";

    write_sleep_state(aml);
    aml_open(aml, AML_SCOPE);
    aml_name(aml, "\\_SB_");
    for (unsigned i = 0; i < cpus; i++) {
        char name[5] = { 'C', '0', hex[i >> 4 & 15], hex[i & 15], 0 };
        aml_open(aml, AML_DEVICE);
        aml_name(aml, name);
        aml_named_string(aml, "_HID", "ACPI0007");
        aml_named_integer(aml, "_UID", i);
        aml_close(aml);
    }
    for (unsigned i = 0; i < sizeof(isa_devices) / sizeof(isa_devices[0]); i++) {
        const struct isa_device *device = &isa_devices[i];
        aml_open(aml, AML_DEVICE);
        aml_name(aml, device->name);
        aml_named_eisa_id(aml, "_HID", device->id);
        if (device->unique)
            aml_named_integer(aml, "_UID", device->unique);
        aml_named_resources(aml, "_CRS", device->resources, device->size);
        aml_close(aml);
    }
    write_motherboard(aml);
    write_pci_host(aml, memory);
    aml_close(aml);
}

static int add_dsdt(struct acpi_image *image, unsigned cpus, uint64_t memory)
{
    struct aml aml;

    image->dsdt = take(image, HEADER_SIZE);
    aml_init(&aml, image->data + image->size, ACPI_AREA_SIZE - image->size);
    write_dsdt(&aml, cpus, memory);
    if (aml.overflow)
        return -E2BIG;
    image->size += aml.size;
    image->dsdt_size = HEADER_SIZE + aml.size;
    finish_table(image->data + image->dsdt, "DSDT", image->dsdt_size, 2);
    return 0;
}

/* ---- FADT (table 5.9) ---- */

/* Generic address structure (5.2.3.2) of a port. */
static void put_port(uint8_t *at, unsigned port, unsigned bits)
{
    at[0] = 1; /* system I/O */
    at[1] = (uint8_t)bits;
    at[3] = (uint8_t)(bits == 8 ? 1 : bits == 16 ? 2 : 3); /* access size */
    bytes_put(at + 4, port, 8);
}

static size_t add_fadt(struct acpi_image *image, size_t facs)
{
    static const struct {
        uint8_t offset, size;
        uint32_t value;
    } fields[] = {
        { 46, 2, ACPI_SCI },
        { 56, 4, ACPI_PM1_EVENT },
        { 64, 4, ACPI_PM1_CONTROL },
        { 76, 4, ACPI_PM_TIMER },
        { 88, 1, 4 },
        { 89, 1, 2 },
        { 91, 1, 4 }, /* lengths of the three */
        { 96, 2, 0xfff },
        { 98, 2, 0xfff },      /* C2, C3 latency: not supported */
        { 108, 1, 0x32 },      /* century in the RTC's CMOS */
        { 109, 2, 0x1 | 0x4 }, /* legacy devices behind ISA; no VGA; no 8042 keyboard */
        /* WBINVD, C1, no sleep button, no fixed RTC wake; 32-bit timer, reset register */
        { 112, 4, 1u << 0 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 10 },
        { 128, 1, ACPI_RESET_VALUE },
    };
    size_t at = take(image, FADT_SIZE);
    uint8_t *table = image->data + at;

    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        bytes_put(table + fields[i].offset, fields[i].value, fields[i].size);
    bytes_put(table + 36, FIRMWARE_AREA + facs, 4);
    bytes_put(table + 40, FIRMWARE_AREA + image->dsdt, 4);
    bytes_put(table + 132, FIRMWARE_AREA + facs, 8);
    bytes_put(table + 140, FIRMWARE_AREA + image->dsdt, 8);
    put_port(table + 116, ACPI_RESET_PORT, 8);
    put_port(table + 148, ACPI_PM1_EVENT, 32);
    put_port(table + 172, ACPI_PM1_CONTROL, 16);
    put_port(table + 208, ACPI_PM_TIMER, 32);
    table[131] = 4; /* minor version: 6.4 */
    finish_table(table, "FACP", FADT_SIZE, 6);
    return at;
}

/* ---- MADT (5.2.12) ---- */

static size_t add_madt(struct acpi_image *image, unsigned cpus)
{
    static const uint8_t overrides[] = {
        2, 10, 0,    0,        2,        0, 0, 0, 0,    0, /* ISA IRQ 0 (8254) is GSI 2 */
        2, 10, 0,    ACPI_SCI, ACPI_SCI, 0, 0, 0, 0x0d, 0, /* SCI: level, active high */
        4, 6,  0xff, 0,        0,        1,                /* NMI on LINT1 of every CPU */
    };
    size_t at = take(image, HEADER_SIZE + 8 + 8 * (size_t)cpus + 12 + sizeof(overrides));
    uint8_t *table = image->data + at;
    uint8_t *entry = table + HEADER_SIZE + 8;

    bytes_put(table + 36, LAPIC_ADDRESS, 4);
    bytes_put(table + 40, 1, 4); /* PCAT_COMPAT: there are 8259s to be masked */
    for (unsigned i = 0; i < cpus; i++, entry += 8) {
        entry[0] = 0;
        entry[1] = 8;
        entry[2] = entry[3] = (uint8_t)i;
        entry[4] = 1; /* enabled */
    }
    entry[0] = 1;
    entry[1] = 12;
    bytes_put(entry + 4, IOAPIC_ADDRESS, 4);
    memcpy(entry + 12, overrides, sizeof(overrides));
    finish_table(table, "APIC", image->size - at, 5);
    return at;
}

/* ---- MCFG: where configuration space is, for bus 0 of segment 0 ---- */

static size_t add_mcfg(struct acpi_image *image)
{
    size_t at = take(image, HEADER_SIZE + 8 + 16);

    bytes_put(image->data + at + HEADER_SIZE + 8, PCI_ECAM, 8);
    finish_table(image->data + at, "MCFG", HEADER_SIZE + 8 + 16, 1);
    return at;
}

static size_t add_facs(struct acpi_image *image)
{
    size_t at = (image->size + 63) & ~(size_t)63; /* 64-byte aligned (5.2.10) */

    image->size = at + FACS_SIZE;
    memcpy(image->data + at, "FACS", 4);
    bytes_put(image->data + at + 4, FACS_SIZE, 4);
    image->data[at + 32] = 2; /* version */
    return at;
}

static void write_rsdp(struct acpi_image *image, size_t xsdt)
{
    uint8_t *rsdp = image->data;

    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "ORIGAM", 6);
    rsdp[15] = 2; /* revision; no RSDT */
    bytes_put(rsdp + 20, 36, 4);
    bytes_put(rsdp + 24, FIRMWARE_AREA + xsdt, 8);
    checksum(rsdp, 20, 8);
    checksum(rsdp, 36, 32);
}

int acpi_build(struct acpi_image *image, unsigned cpus, uint64_t memory)
{
    /* All but the DSDT take about 1 KiB and 8 bytes a CPU, which leaves the DSDT its maximum. */
    *image = (struct acpi_image){ .size = 36 };
    if (!cpus || cpus > 64)
        return -E2BIG;
    size_t facs = add_facs(image);
    size_t madt = add_madt(image, cpus);
    size_t mcfg = add_mcfg(image);
    size_t xsdt = take(image, HEADER_SIZE + XSDT_ENTRIES * 8);
    int result = add_dsdt(image, cpus, memory);
    if (result || ACPI_AREA_SIZE - image->size < FADT_SIZE + 16)
        return -E2BIG;
    size_t fadt = add_fadt(image, facs);
    const size_t tables[XSDT_ENTRIES] = { fadt, madt, mcfg };
    for (unsigned i = 0; i < XSDT_ENTRIES; i++)
        bytes_put(image->data + xsdt + HEADER_SIZE + 8 * (size_t)i, FIRMWARE_AREA + tables[i], 8);
    finish_table(image->data + xsdt, "XSDT", HEADER_SIZE + XSDT_ENTRIES * 8, 1);
    write_rsdp(image, xsdt);
    return 0;
}

int acpi_install(struct ram *ram, unsigned cpus, uint64_t *rsdp, struct problem *problem)
{
    struct acpi_image image;
    int result = acpi_build(&image, cpus, ram->size);

    if (result == 0)
        result = dma_write(ram, DMA_MACHINE, FIRMWARE_AREA, image.data, image.size);
    if (result)
        return problem_set(problem, STATUS_HOST, -result, "cannot place the ACPI tables");
    *rsdp = FIRMWARE_AREA;
    return 0;
}
